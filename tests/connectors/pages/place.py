"""A territory for the tests of pages: the packaged bodies, the real correlation in memory, a real read model, and the pages."""

from __future__ import annotations

import asyncio
import time
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from connectors.gateway.access import Access, Grant
from connectors.gateway.app import Gateway, application
from connectors.gateway.asking import Asking
from connectors.gateway.bus import Order
from connectors.gateway.codes import Minter
from connectors.gateway.door import Accepted, Door
from connectors.gateway.inbox import Inbox
from connectors.gateway.pulse import Pulse
from connectors.pages.accounts import Account, Role, account, changing
from connectors.pages.routes import routes
from connectors.pages.site import Site
from connectors.status.database import Database, sqlite_url
from connectors.status.model import ReadModel
from connectors.status.sink import SinkConfig
from connectors.status.sources import Heard, Sources
from connectors.status.writing import Writer
from deploy.rules import directory
from schemas.codec import events
from tests.support.books import book
from tests.support.facts import KEYS, SECRET
from tests.support.loop import LoopBus

TODAY = date.today()  # noqa: DTZ011 - legal dates are local
CCAS, AIN, VIRIAT, GBA = "ccas-bourg-en-bresse", "departement-ain", "viriat", "grand-bourg"
HANDOFF = f"handoff:{CCAS}:" + "0a" * 16
APA, AUTONOMY = f"case:{CCAS}/2027-0033", f"case:{AIN}/APA-2027-01933"


PASSWORD = "a password for the tests"


@cache
def _account() -> Account:
    """An account whose password was hashed once: to hash it takes its time."""
    return account(PASSWORD)


def before(days: int) -> str:
    """A day so many days ago, ISO 8601."""
    return (TODAY - timedelta(days=days)).isoformat()


class Place:
    """Everything in one process."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(sqlite_url(folder / "read.db"))
        self.model = ReadModel(self.database)
        bodies = directory()
        self.book = book(tuple(bodies), bodies.conventions)
        self.bus = LoopBus(Writer(self.database, KEYS, events()), self.book)
        self.gateway = Gateway(
            access=Access(folder / "bodies.json", look_every_s=0),
            door=Door(KEYS, events(), self.book, Minter(SECRET), 1),
            bus=self.bus,
            asking=Asking(self.model, KEYS, events(), self.book),
            inbox=Inbox(self.model, KEYS, self.book),
            pulse=Pulse(self.model, every_s=0.01),
        )
        self.site = Site(
            gateway=self.gateway, model=self.model, keys=KEYS, events=events(), secret=SECRET,
            agents_file=folder / "agents.json", bodies_file=folder / "bodies.json",
        )  # fmt: skip
        self.gateway.routes = routes(self.site)
        self.app = application(self.gateway)
        self._number = 0

    def state(self, type_: str, subject: str, days: int = 0, **data: Any) -> Accepted:
        """State a fact of so many days ago, as the body whose case it is."""
        body = subject.removeprefix("case:").split("/")[0]
        self._number += 1
        message = {
            "specversion": "1.0", "id": str(self._number), "source": f"{body}/soft", "type": f"fr.relais.{type_}",
            "subject": subject, "data": {"occurred_on": before(days), **data},
        }  # fmt: skip
        grant = Grant(body=body, procedures=("*",), types=("*",))
        (taken,) = self.gateway.door.take([message], grant, batch=False, codes=True)
        order = Order(taken.route.topic, taken.route.partition, taken.route.key, taken.value)
        self.write(order)
        return taken

    def write(self, *orders: Order) -> None:
        """Write to the bus, wherever this is called from."""
        coroutine = self.bus.write(orders)
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise AssertionError("the bus in memory does not wait")

    def hear(self, now: float, *heard: Heard) -> None:
        """Software of bodies was heard, and it is `now` (seconds since the epoch)."""
        sources = self.site.sources = Sources(SinkConfig(brokers="nowhere:1"), events(), lambda: now)
        sources._heard = {one.source.encode(): one for one in heard}

    def ring(self, days: int = 0) -> None:
        """Let timers fire as of so many days from now."""
        self.bus.settle(time.time_ns() // 1_000_000 + 1_000 + days * 86_400_000)

    def apa(self, until: str = "visit") -> str:
        """A request for the autonomy allowance, filed with the CCAS and passed to the département: the person's code."""
        code = self.state("case.opened", APA, 35, procedure="social.apa-domicile", channel="counter").code
        assert code is not None
        if until == "filed":
            return code
        self.state("handoff.sent", APA, 32, handoff=HANDOFF, to=AIN, kind="transfer")
        if until == "sent":
            return code
        self.state("handoff.accepted", AUTONOMY, 28, handoff=HANDOFF, procedure="social.apa-domicile")
        self.state("case.opened", AUTONOMY, 28, procedure="social.apa-domicile")
        asked = "relevé d'impôt"
        self.state("case.pieces-requested", AUTONOMY, 27, pieces=[asked], due_on=before(-3))
        if until == "asked":
            return code
        self.state("case.pieces-received", AUTONOMY, 14, pieces=[asked], complete=True)
        self.state("case.acknowledged", AUTONOMY, 14, kind="receipt", complete=True)
        if until == "decided":
            self.state("case.step-completed", AUTONOMY, 6, step="visit")
            self.state("case.decided", AUTONOMY, 3, outcome="refused")
            self.state("case.notified", AUTONOMY, 2, means="post")
        return code

    def account(self, name: str, *bodies: str, operator: bool = False, role: Role = Role.AGENT) -> None:
        """Give somebody an account; everybody has the same password."""
        with changing(self.site.agents_file) as people:
            roles = dict.fromkeys(bodies, role)
            people[name] = _account().model_copy(update={"roles": roles, "operator": operator})

    def stall(self) -> None:
        """Handoffs that nobody looks after, a limit that has passed, a dead letter, a claim."""
        permit = f"case:{VIRIAT}/PC-001-451-27-00087"
        self.state("case.opened", permit, 70, procedure="urbanisme.pc-maison", complete=True)
        self.state("handoff.sent", permit, 69, handoff=f"handoff:{VIRIAT}:" + "1" * 32, to=GBA, kind="transmission")
        works = f"case:{VIRIAT}/DP-001-451-27-00012"
        self.state("case.opened", works, 12, procedure="urbanisme.declaration-prealable")
        handoff = f"handoff:{VIRIAT}:" + "2" * 32
        self.state("handoff.sent", works, 12, handoff=handoff, to=GBA, kind="transfer")
        self.state("handoff.received", f"case:{GBA}/DP-9", 11, handoff=handoff)
        self.state("case.opened", f"case:{VIRIAT}/A-1", 40, procedure="voirie.signalement")
        self.state("case.opened", "case:peronnas/X-1", 5, references=[works])
        self.ring()

    def close(self) -> None:
        """End."""
        asyncio.run(self.gateway.pulse.stop()) if self.gateway.pulse._task else None
        self.database.close()
