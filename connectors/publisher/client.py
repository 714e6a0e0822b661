"""The client: publish to the spool, send what is in the spool."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import httpx2

from connectors.publisher import problems
from connectors.publisher.events import Event
from connectors.publisher.problems import PublisherError, Refused
from connectors.publisher.spool import Spool

BATCH = 500
"""Events that the gateway takes at once."""
LONGEST_WAIT_S = 60.0
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_TOO_LARGE = 413
_LATER = {408, 425, 429}


class Flushed(NamedTuple):
    """What became of the spool."""

    sent: int
    """Events that the gateway took."""
    refused: int
    """Events set aside now: `refused()` tells what to mend."""
    waiting: int
    """Events that wait still: the gateway could not take them in time (flush again later), or one before them is refused (`in_order`)."""


class Publisher:
    """States facts for one source of one body. Safe to use from several threads."""

    def __init__(
        self,
        url: str,
        token: str,
        source: str,
        spool: Path,
        *,
        ca_file: Path | None = None,
        timeout_s: float = 60.0,
        in_order: bool = False,
    ) -> None:
        """Open the spool; nothing is sent.

        Args:
            url: address of the gateway, https but on this machine.
            token: of the body; in no message and no file of this client.
            source: who speaks: `<body>/<system>`.
            spool: file for what is not sent yet.
            ca_file: authorities to trust (PEM), instead of the system's.
            timeout_s: longest wait for one answer.
            in_order: let what is said of a case wait while an earlier event of that case is refused. Not needed for the bus, to which
                the order of coming means nothing; for software whose later events build on a number that may be wrong.
        """
        address = httpx2.URL(url)
        if address.scheme != "https" and address.host not in _LOCAL:
            raise ValueError("the token must not go over the line in clear: write an address with https")
        trust = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        self._source = source
        self._in_order = in_order
        self._spool = Spool(spool)
        self._http = httpx2.Client(
            base_url=url, timeout=timeout_s, verify=trust, trust_env=False, headers={"Authorization": f"Bearer {token}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; what waits stays in the spool."""
        self._http.close()

    def publish(self, *events: Event) -> None:
        """Keep events on the disk, all or none; `flush` sends them. Raises `AlreadySaidError`, or `ValueError` for one without a date."""
        self._spool.add([event.cloudevent(self._source) for event in events])

    def flush(self, patience_s: float = 60.0) -> Flushed:
        """Send what waits, oldest first, for at most so many seconds of waiting for the gateway.

        Raises `PublisherError` where a person has to change something first.
        """
        sent = refused = failures = 0
        limit, end = BATCH, time.monotonic() + patience_s
        while batch := self._spool.head(limit, in_order=self._in_order):
            answer = self._send([text for _, text in batch])
            if isinstance(answer, float | None):
                failures += 1
                wait = answer if answer is not None else _backoff(failures)
                if time.monotonic() + wait > end:
                    break
                time.sleep(wait)
                continue
            failures = 0
            if answer.is_success:
                self._spool.done([number for number, _ in batch])
                sent, limit = sent + len(batch), BATCH
            elif answer.status_code == _TOO_LARGE and len(batch) > 1:
                limit = len(batch) // 2
            else:
                refused += self._set_aside(batch, answer)
        return Flushed(sent, refused, self._spool.waiting())

    def refused(self) -> list[Refused]:
        """Events that the gateway does not take as they are, each with what to mend. Publish a corrected one under the same id."""
        return self._spool.refused()

    def forget(self, subject: str, id_: str) -> None:
        """Drop an event that was refused."""
        self._spool.forget(self._source, subject, id_)

    def _send(self, events: Sequence[str]) -> httpx2.Response | float | None:
        """The answer, or how long to wait before the next try (None: it does not say)."""
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        try:
            answer = self._http.post("/v1/events", content=f"[{','.join(events)}]".encode(), headers=headers)
        except httpx2.TransportError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise PublisherError(
                    0, "certificate", "the gateway's certificate is not trusted: check ca_file"
                ) from None
            return None
        if answer.status_code in _LATER or answer.status_code >= 500:
            asked = answer.headers.get("retry-after", "")
            return float(asked) if asked.isdecimal() else None
        return answer

    def _set_aside(self, batch: Sequence[tuple[int, str]], answer: httpx2.Response) -> int:
        """Set the events aside that the answer names. Raises `PublisherError` if it names none."""
        error, flaws = problems.read(answer.status_code, answer.content)
        if not flaws and answer.status_code == _TOO_LARGE:
            flaws = {0: [problems.Flaw(error.code, "", "this event alone is too large")]}
        if not flaws:
            raise error
        for index, found in flaws.items():
            self._spool.refuse(batch[index][0], found)
        return len(flaws)


def _backoff(failures: int) -> float:
    longest: float = min(LONGEST_WAIT_S, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
