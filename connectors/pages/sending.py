"""From a page to the bus, by the door that the gateway itself uses."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from connectors.gateway.access import Grant
from connectors.gateway.bus import Order
from connectors.gateway.door import Accepted
from connectors.pages.site import Site
from connectors.status.model import NotReadyError
from schemas.models import Attestation

WAIT_S = 5
"""A page waits so long for what it said to show; after that it comes by itself."""


async def send(
    site: Site,
    message: dict[str, object],
    grant: Grant,
    *,
    codes: bool = False,
    attested_by: Attestation = Attestation.GATEWAY,
) -> tuple[Accepted, bool]:
    """State one fact: what was taken, and whether it shows already. Raises `ProblemError`."""
    gateway = site.gateway
    (taken,) = await run_in_threadpool(
        lambda: gateway.door.take([message], grant, batch=False, codes=codes, attested_by=attested_by)
    )
    await gateway.bus.write([Order(taken.route.topic, taken.route.partition, taken.route.key, taken.value)])
    facts = {taken.fact: taken.subject} if taken.fact is not None else {}

    def look() -> bool | None:
        try:
            return gateway.asking.shows(facts) or None
        except (NotReadyError, DBAPIError):
            return None

    return taken, bool(await gateway.pulse.until(look, WAIT_S))
