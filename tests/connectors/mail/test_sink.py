"""Mail to bodies without software, taken by a real SMTP server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from connectors.mail.ledger import Fate, Ledger
from connectors.mail.sink import MailConfig, MailSink
from connectors.mail.words import message
from connectors.status.database import Database, sqlite_url
from connectors.status.model import ReadModel
from connectors.status.writing import Batch, Writer
from schemas.codec import bus, events
from schemas.directory import Body, Contact
from tests.support import outputs
from tests.support.books import book
from tests.support.facts import KEYS

SMALL = Body(
    id="small", name="Mairie d'ici", kind="commune", connected=(),
    contacts={"*": Contact(service="Accueil", mail="accueil@small.example"), "apa": Contact(service="Social")},
)  # fmt: skip
BODIES = (
    SMALL,
    Body(id="gone", name="Ailleurs", kind="ccas", connected=(), contacts={"*": Contact(service="x", mail="no@gone.example")}),
    Body(id="mute", name="Muet", kind="ccas", connected=(), contacts={"*": Contact(service="x", phone="04 00 00 00 09")}),
    Body(id="gba", name="Grand Bourg Agglomération", kind="epci", contacts={"*": Contact(service="x", mail="a@gba.example")}),
    Body(id="viriat", name="Mairie de\nViriat", kind="commune"),
)  # fmt: skip


class Post:
    """What the server has taken."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.busy = False

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _s: SMTP, _se: Session, envelope: Envelope, address: str, _o: list[str]
    ) -> str:
        if address.endswith("@gone.example"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: SMTP, _se: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        if self.busy:
            return "451 come back later"
        content = envelope.content
        assert isinstance(content, bytes)
        made = message_from_bytes(content, policy=policy.default)
        assert isinstance(made, EmailMessage)
        assert envelope.rcpt_tos == [made["to"]]
        self.taken.append(made)
        return "250 OK"


@asynccontextmanager
async def server() -> AsyncIterator[tuple[str, Post]]:
    post = Post()
    made = await asyncio.get_running_loop().create_server(lambda: SMTP(post, hostname="mail.test"), "127.0.0.1", 0)
    async with made:
        yield f"smtp://127.0.0.1:{made.sockets[0].getsockname()[1]}", post


class Bus:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.writer = Writer(self.database, KEYS, events())
        self.tables = self.writer.begin()
        self.at = 0

    def say(self, *handoffs: dict[str, Any]) -> None:
        records = [outputs.record(KEYS.of(h["handoff"]), bus().encode("handoff", h)) for h in handoffs]
        self.writer.apply(self.tables, [Batch("handoffs", 0, self.at, self.at + len(records), records)])
        self.at += len(records)

    @asynccontextmanager
    async def sink(self, url: str) -> AsyncIterator[None]:
        config = MailConfig(
            server=url, sender="relais@bus.example", link="https://relais.example/entrer", look_s=0.05, retry_s=0.05
        )
        sink = MailSink(ReadModel(self.database), Ledger(self.database), book(BODIES), KEYS, config)
        task = asyncio.create_task(sink.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - a thread moves it
            await asyncio.sleep(0.02)


async def test_one_message_for_each_item_of_a_body_without_software(tmp_path: Path) -> None:
    world = Bus(Database(sqlite_url(tmp_path / "read.db")))
    first = outputs.handoff(
        1, to="small", due_on=20_039, reason="Jean Dupont, 1 rue d'ici", from_case="case:viriat/DUPONT"
    )
    world.say(first, outputs.handoff(2, to="gba"), outputs.handoff(3, to="mute"), outputs.handoff(4, to="gone"))
    world.say(outputs.handoff(5, to="small", state="received", received_on=20_001))
    ledger = Ledger(world.database)

    def told(n: int) -> bool:
        return not ledger.new([KEYS.of(outputs.handoff(n)["handoff"])])

    async with server() as (url, post):
        async with world.sink(url):
            await until(lambda: told(1) and told(4))
        async with world.sink(url):
            world.say(first | {"due_on": 20_050}, outputs.handoff(6, to="small", procedure="apa", kind="consultation"))
            await until(lambda: told(6))
        post.busy = True
        async with world.sink(url):
            world.say(outputs.handoff(7, to="small"))
            await asyncio.sleep(0.3)
            assert not told(7)
            post.busy = False
            await until(lambda: told(7))
    world.database.close()
    assert [m["to"] for m in post.taken] == ["accueil@small.example"] * 3
    assert not [m for m in post.taken if "DUPONT" in m.get_content().upper() or "case:" in m.as_string()]
    one, two, _ = post.taken
    text = one.get_content()
    assert "Mairie de Viriat vous a transmis un dossier pour lequel vous êtes compétent" in text
    assert "À faire avant la fin du : 12 novembre 2024" in text
    assert "Due by the end of: 2024-11-12" in text
    assert "https://relais.example/entrer" in text
    assert one["subject"].startswith("Mairie de Viriat vous a transmis")
    assert one["auto-submitted"] == "auto-generated"
    assert "une demande d'avis" in two.get_content()
    assert len({m["message-id"] for m in post.taken}) == 3


def test_the_ledger_forgets_what_is_old_and_was_taken(database: Database) -> None:
    ledger = Ledger(database)
    for n in range(3):
        ledger.enter(bytes([n]) * 16, Fate.SENT, 1_000 * n)
    ledger.enter(b"\0" * 16, Fate.REFUSED, 0)
    keys = [bytes([n]) * 16 for n in range(4)]
    assert Ledger(database).new(keys) == {keys[3]}
    ledger.forget(1_500, [keys[0]])
    assert ledger.new(keys) == {keys[1], keys[3]}


@pytest.mark.parametrize("url", ["http://x", "smtp://", "mail.example:25"])
def test_an_address_of_a_server_that_cannot_be_one(url: str, tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "read.db"))
    with pytest.raises(ValueError, match="smtp://host"):
        MailSink(ReadModel(database), Ledger(database), book(BODIES), KEYS, MailConfig(server=url, sender="a@b"))
    database.close()
    assert "secret" not in repr(MailConfig(server="smtp://a:secret@x", sender="a@b"))


def test_a_message_id_stays_the_same() -> None:
    made = [
        message(outputs.handoff(to="small"), book(BODIES), "a@bus.example", "b@c.example", "", "00ff") for _ in "ab"
    ]
    assert [m["message-id"] for m in made] == ["<00ff@bus.example>"] * 2
