"""All the pages as routes that the gateway mounts."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from connectors.pages.agent import Agent
from connectors.pages.citizen import Citizen
from connectors.pages.operations import Operations
from connectors.pages.sessions import Sessions
from connectors.pages.site import Pages, Site, asset, go


def routes(site: Site) -> tuple[BaseRoute, ...]:
    """The routes of the pages."""
    pages = Pages()
    pages.add("home", "/", _home)
    pages.add("asset", "/assets/{name}", asset)
    sessions = Sessions(site)
    Citizen(site).add_to(pages)
    sessions.add_to(pages)
    Agent(site, sessions).add_to(pages)
    Operations(site, sessions).add_to(pages)
    return tuple(pages.routes)


async def _home(_request: Request) -> Response:
    """People who come by the bare address want to know where their request is."""
    return go("/suivi")
