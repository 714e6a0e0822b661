"""The bus in a nutshell: what the gateway writes goes through the real correlation, in memory, into a real read model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from connectors.gateway.access import Access, Member, changing, new_token
from connectors.gateway.app import Gateway
from connectors.gateway.asking import Asking
from connectors.gateway.bus import Bus, BusConfig, Order
from connectors.gateway.codes import Minter
from connectors.gateway.door import Door
from connectors.gateway.inbox import Inbox
from connectors.gateway.pulse import Pulse
from connectors.status.database import Database, sqlite_url
from connectors.status.model import ReadModel
from connectors.status.writing import TOPICS, Batch, Writer
from schemas.codec import events
from schemas.directory import Body, Contact
from streams.correlate import Correlate, Plan
from streams.engine.book import Book
from streams.runtime.processor import Effects, Record
from streams.runtime.store import MemoryStore
from tests.support.books import book
from tests.support.facts import KEYS, SECRET

INSTANCE = "loop"
BODIES = (
    Body(id="viriat", name="Mairie de Viriat", kind="commune"),
    Body(
        id="gba", name="Grand Bourg Agglomération", kind="epci",
        contacts={"*": Contact(service="Urbanisme", phone="04 00 00 00 01")},
    ),
    Body(id="udap", name="UDAP de l'Ain", kind="state"),
    Body(id="stranger", name="Ailleurs", kind="commune"),
)  # fmt: skip


class LoopBus(Bus):
    """Writes into one partition of correlation, and its effects into the read model."""

    def __init__(self, writer: Writer, rules: Book) -> None:
        super().__init__(BusConfig(brokers=""))
        plan = Plan(
            instance=INSTANCE, partitions=1, output_partitions=1, led=False, room=1_000, keys=KEYS, events=events()
        )
        self.store = MemoryStore()
        self.correlate = Correlate(plan, 0, self.store, rules)
        self.writer, self.tables = writer, writer.begin()
        self.reference: list[Order] = []
        self.log: list[Record] = []
        self.at: dict[str, int] = {}
        self.done = 0

    @property
    def started(self) -> bool:
        return True

    async def write(self, orders: Sequence[Order]) -> None:
        now = time.time_ns() // 1_000_000
        for order in orders:
            if order.topic == "case-events":
                self.log.append(Record(len(self.log), now, order.key, order.value))
            else:
                self.reference.append(order)
        self.settle()

    def settle(self, established: int | None = None) -> None:
        """Process all there is; then timers, at an established time (ms), if one is given."""
        while self.done < len(self.log):
            batch, self.done = self.log[self.done :], len(self.log)
            self.commit(self.correlate.process(batch))
        if established is not None:
            while (effects := self.correlate.timers(established, 100)) is not None:
                self.commit(effects)

    def commit(self, effects: Effects) -> None:
        self.store.write([*effects.state, *effects.local], self.store.position() + len(effects.state))
        outputs: dict[str, list[Record]] = {"journeys": [Record(0, 0, key, value) for key, value in effects.state]}
        for send in effects.sends:
            topic = send.topic.removeprefix(f"{INSTANCE}.")
            if topic == "case-events":
                self.log.append(Record(len(self.log), 0, send.key, send.value, send.headers))
            else:
                outputs.setdefault(topic, []).append(Record(0, 0, send.key, send.value, send.headers))
        batches = []
        for topic, records in outputs.items():
            base = self.at.get(topic, 0)
            if records and topic in TOPICS:
                self.at[topic] = base + len(records)
                numbered = [r._replace(offset=base + i) for i, r in enumerate(records)]
                batches.append(Batch(topic, 0, base, self.at[topic], numbered))
        self.writer.apply(self.tables, batches)


class Town:
    """A gateway over the loop, with a token for every body and one for an operator."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(sqlite_url(folder / "read.db"))
        model, rules = ReadModel(self.database), book(BODIES)
        self.book = rules
        self.bus = LoopBus(Writer(self.database, KEYS, events()), rules)
        self.tokens: dict[str, str] = {}
        self.register = folder / "bodies.json"
        members = {}
        for body in BODIES:
            self.tokens[body.id], token = new_token("test")
            types = ("case.*", "handoff.*", "alert.*", "correction.*") if body.id == "udap" else ("*",)
            procedures = ("test.simple",) if body.id == "udap" else ("*",)
            members[body.id] = Member(types=types, procedures=procedures, tokens=(token,))
        self.tokens["operator"], operator = new_token()
        with changing(self.register) as held:
            held[0] = held[0].model_copy(update={"bodies": members, "operators": (operator,)})
        self.gateway = Gateway(
            access=Access(self.register, look_every_s=0),
            door=Door(KEYS, events(), rules, Minter(SECRET), 1),
            bus=self.bus,
            asking=Asking(model, KEYS, events(), rules),
            inbox=Inbox(model, KEYS, rules),
            pulse=Pulse(model),
        )
