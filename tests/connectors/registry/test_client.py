"""Schemas registered and found again at a registry, and a producer of the Confluent framing that is understood."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_writer
from typer.testing import CliRunner

from connectors.kit.contract import ConfigError, Unavailable
from connectors.registry.client import Registry, ids, push
from deploy.cli import app
from deploy.errors import DeployError
from deploy.schema_ids import KEPT
from deploy.settings import load
from deploy.worker import events_codec
from schemas import catalog
from schemas.catalog import make
from tests.support.facts import case, event
from tests.support.registry import SmallRegistry, apicurio
from tests.support.serving import serving

VALUE = event("case.opened", case("viriat", "PC1"), 20_000, 1)


@pytest.fixture
def small() -> SmallRegistry:
    return SmallRegistry()


@pytest.fixture(params=["small", pytest.param("apicurio", marks=pytest.mark.long)])
async def url(request: pytest.FixtureRequest, small: SmallRegistry, tmp_path: Path) -> AsyncIterator[str]:
    """Return the address of an empty registry."""
    if request.param == "small":
        async with serving(small.app) as address:
            yield address
    else:
        with apicurio(tmp_path) as address:
            yield address


async def relais(*arguments: str) -> tuple[int, str]:
    """Run the command while this loop serves."""
    done = await asyncio.to_thread(CliRunner().invoke, app, ["schemas", *arguments])
    if isinstance(done.exception, DeployError):
        return done.exception.exit_code, str(done.exception)
    return done.exit_code, done.output


async def test_what_was_pushed_is_found_and_keeps_its_id(url: str) -> None:
    code, told = await relais("ids", "--registry", url)
    assert (code, "not registered: alert.acknowledged.1" in told) == (1, True)
    code, pushed = await relais("push", "--registry", url)
    assert code == 0
    assert set(json.loads(pushed).values()) == {f"{s.name}.{s.version}" for s in catalog.events()}
    assert await relais("ids", "--registry", url) == await relais("push", "--registry", url) == (0, pushed)


async def test_a_direct_producer_of_the_confluent_framing_is_read(url: str, tmp_path: Path) -> None:
    registry = Registry(url)
    [opened] = [s for s in catalog.events() if s.name == "case.opened"]
    given = await push(registry, [opened])
    id_ = await registry.id_of(opened)
    assert given == {id_: "case.opened.1"} == (await ids(registry, catalog.events()))[0]
    text = await registry.schema(id_ or 0)
    assert text is not None
    assert make("case.opened", 1, json.loads(text)).fingerprint == opened.fingerprint
    assert await registry.schema(987_654) is None
    await registry.close()
    # another program: it knows the registry's text of the schema, and nothing of ours
    codec = await asyncio.to_thread(events_codec, load(schema_registry=url, data_dir=tmp_path))
    datum = codec.decode(VALUE)[1]
    out = BytesIO(b"\0" + (id_ or 0).to_bytes(4, "big"))
    out.seek(5)
    schemaless_writer(out, parse_schema(opened.parsed), datum)
    assert codec.decode(out.getvalue()) == codec.decode(VALUE)


async def test_the_registry_refuses_what_others_could_not_read(small: SmallRegistry) -> None:
    async with serving(small.app) as url:
        await relais("push", "--registry", url)
    assert set(small.levels) == set(small.subjects)
    assert set(small.levels.values()) == {"FULL_TRANSITIVE"}
    assert "fr.relais.case.CaseOpened" in small.subjects


async def test_a_registry_that_is_down_at_a_start_is_read_from_what_was_kept(
    small: SmallRegistry, tmp_path: Path
) -> None:
    async with serving(small.app) as url:
        settings = load(schema_registry=url, data_dir=tmp_path)
        small.down = True
        with pytest.raises(DeployError, match="has to answer once"):
            await asyncio.to_thread(events_codec, settings)
        small.down = False
        await relais("push", "--registry", url)
        await asyncio.to_thread(events_codec, settings)
        kept = json.loads((tmp_path / KEPT).read_text())
        small.down = True
        codec = await asyncio.to_thread(events_codec, settings)
    [id_] = [int(n) for n, name in kept.items() if name == "case.opened.1"]
    assert codec.decode(b"\0" + id_.to_bytes(4, "big") + VALUE[10:]) == codec.decode(VALUE)


async def test_an_address_that_is_no_registry_is_told(small: SmallRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(small.app) as url:
        code, told = await relais("ids", "--registry", f"{url}/nowhere")
        assert code != 0
        assert "check the address" in told
        registry = Registry(f"{url}/nowhere")
        with pytest.raises(ConfigError):
            await registry.subjects()
        await registry.close()
    closed = Registry(url)
    with pytest.raises(Unavailable):
        await closed.subjects()
    await closed.close()
    monkeypatch.delenv("RELAIS_SCHEMA_REGISTRY", raising=False)
    code, told = await relais("push")
    assert code != 0
    assert "--registry URL" in told
