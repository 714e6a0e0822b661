"""Tells a body by mail what was handed to it, if it is not connected for the procedure and its contact has an address.

One message for each handoff that nobody has taken yet. It is entered in the ledger once a server has taken it, so a crash between the two
sends it again, under the same Message-ID.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib
import structlog
from prometheus_client import Counter
from sqlalchemy.exc import DBAPIError

from connectors.mail.ledger import Fate, Ledger
from connectors.mail.words import message
from connectors.status.model import NotReadyError, ReadModel
from schemas.references import Keys
from streams.engine.book import Book

log = structlog.get_logger()

MAILS = Counter("relais_mails_total", "Messages to bodies about what was handed to them.", ["outcome"])
for _outcome in ("sent", "refused", "failed"):
    MAILS.labels(_outcome)
PAGE = 500
KEEP_MS = 400 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MailConfig:
    """Settings of the sink."""

    server: str = field(repr=False)
    """Server that takes messages: `smtp://user:password@host:port`, or `smtps://…`; never logged."""
    sender: str
    """Address that messages come from."""
    link: str = ""
    """Address of the pages where an item can be taken; empty: none is given."""
    look_s: float = 10.0
    """The read model is looked at this often."""
    retry_s: float = 60.0
    """Wait after the server did not take a message for now."""
    timeout_s: float = 20.0
    """Wait for one answer of the server."""


@dataclass(frozen=True, slots=True)
class _Due:
    """A message to send."""

    key: bytes
    record: dict[str, Any]
    recipient: str


class MailSink:
    """Sends messages until it is cancelled."""

    def __init__(
        self,
        model: ReadModel,
        ledger: Ledger,
        book: Book,
        keys: Keys,
        config: MailConfig,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """`ready`: whether the read model has caught up; before that something may seem to wait that was taken long ago."""
        self._model = model
        self._ledger = ledger
        self._book = book
        self._keys = keys
        self._config = config
        self._ready = ready
        self._server = _server(config)

    async def run(self) -> None:
        """Run until cancelled; failures are waited out."""
        while True:
            wait = self._config.look_s
            if self._ready():
                try:
                    sent = [await self._send(due) for due in await asyncio.to_thread(self._due)]
                    wait = wait if all(sent) else self._config.retry_s
                except (NotReadyError, DBAPIError) as error:
                    log.warning("what is to be mailed cannot be read now", error=type(error).__name__)
                except (aiosmtplib.SMTPException, OSError) as error:
                    MAILS.labels("failed").inc()
                    log.warning("the mail server does not take messages now", error=type(error).__name__)
                    wait = self._config.retry_s
            await asyncio.sleep(wait)

    def _due(self) -> list[_Due]:
        found: list[_Due] = []
        waiting: set[bytes] = set()
        for body in self._book.directory:
            if not any(contact.mail for contact in body.contacts.values()):
                continue
            for record in self._sent_to(body.id):
                recipient = self._recipient(record)
                if recipient is not None:
                    key = self._keys.of(record["handoff"])
                    waiting.add(key)
                    found.append(_Due(key, record, recipient))
        new = self._ledger.new(waiting)
        self._ledger.forget(time.time_ns() // 1_000_000 - KEEP_MS, waiting)
        return [due for due in found if due.key in new]

    def _sent_to(self, body: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        with self._model.snapshot() as now:
            while True:
                page = now.open_handoffs(states=("sent",), to=body, offset=len(found), limit=PAGE)
                found += page
                if len(page) < PAGE:
                    return found

    def _recipient(self, record: dict[str, Any]) -> str | None:
        """Address to tell; None if the body is connected for the procedure, or no service has an address."""
        procedure = record["procedure"] or ""
        body = self._book.body(record["to"])
        if body is None or self._book.connected(body.id, procedure, record["sent_on"]):
            return None
        contacts = (body.contacts.get(procedure), body.contacts.get("*"))
        return next((c.mail for c in contacts if c is not None and c.mail), None)

    async def _send(self, due: _Due) -> bool:
        """Whether it is settled; False if this one is to be tried again. Raises what concerns the server as a whole."""
        config = self._config
        made = message(due.record, self._book, config.sender, due.recipient, config.link, due.key.hex())
        fate = Fate.SENT
        try:
            await aiosmtplib.send(made, timeout=config.timeout_s, **self._server)
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
            if not _for_good(error):
                MAILS.labels("failed").inc()
                return False
            fate = Fate.REFUSED
            log.warning("a message was refused for good: look at the contact of the body", body=due.record["to"])
        MAILS.labels(fate.value).inc()
        await asyncio.to_thread(self._ledger.enter, due.key, fate, time.time_ns() // 1_000_000)
        return True


def _for_good(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> bool:
    """Whether a message was refused for ever, rather than for now."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(500 <= one.code < 600 for one in error.recipients)
    return 500 <= error.code < 600


def _server(config: MailConfig) -> dict[str, Any]:
    wrong = ValueError("the mail server is written smtp://host:port or smtps://host:port, a password percent-encoded")
    try:
        parts = urlsplit(config.server)
        port = parts.port
    except ValueError:
        raise wrong from None  # what was raised may quote the password
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise wrong
    found: dict[str, Any] = {"hostname": parts.hostname, "port": port, "use_tls": parts.scheme == "smtps"}
    if parts.username is not None:
        found |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
        if parts.scheme == "smtp":
            found["start_tls"] = True  # a password never goes in the clear
    return found
