"""The OpenAPI document says what the gateway does: requests made from it meet no 5xx and no undocumented answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.applications import Starlette

from connectors.gateway.app import application
from tests.support.loop import Town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    made = Town(tmp_path_factory.mktemp("town"))
    yield made
    made.database.close()


def test_requests_made_from_the_document(town: Town) -> None:
    @asynccontextmanager
    async def unconnected(_app: Starlette) -> AsyncIterator[None]:
        yield

    app = application(town.gateway)
    app.router.lifespan_context = unconnected  # the loop of the tests needs no broker
    operations = [found.ok() for found in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations()]
    assert len(operations) >= 10
    headers = {"Authorization": f"Bearer {town.tokens['viriat']}"}
    for operation in operations:

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy())
        def sound(case: schemathesis.Case) -> None:
            if case.query:
                case.query.pop("wait", None)  # it would wait
            # What has the right form can still be refused: the checks of the door are more than JSON Schema.
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        sound()


def test_the_document_names_every_address(town: Town) -> None:
    app = application(town.gateway)
    paths = {getattr(route, "path", "").replace(":path", "") for route in app.routes}
    described = set(schemathesis.openapi.from_asgi("/openapi.json", app).raw_schema["paths"])
    assert paths == described
