"""What a connector remembers, looked at and changed: where it reads on, what waits for a label, what was not taken.

To look, the state topic is read. To change, its state is taken over for a moment: a runner at work notices, and begins again with what
was changed some seconds later.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import yaml

from connectors.kit import state
from connectors.kit.contract import Cursor, Item, Record
from connectors.kit.dispatch import Dispatch, Waiting
from connectors.kit.intake import Outcome
from connectors.kit.mapping import labels_file
from connectors.kit.runner import intake_of, mapper_of
from connectors.kit.session import Session, letters_of, topic_of
from connectors.kit.spec import Spec
from deploy import topics
from deploy.connectors import running
from deploy.letters import Choice, Letter, letters
from deploy.reading import records
from schemas.yamltext import read
from streams.runtime.config import StoreKind

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.settings import Settings
    from schemas.directory import Directory

EXAMPLES = 3


@dataclass(slots=True)
class Label:
    """A label that nobody has mapped."""

    table: str
    label: str
    count: int = 0
    """Records that wait for it."""
    behind: int = 0
    """Records that wait behind those, to keep the order."""
    examples: list[str] = field(default_factory=list)
    """Where some of them stand."""


class Replayed(StrEnum):
    """What became of a dead letter that was to be tried again."""

    TAKEN = "taken"
    """It is on the bus now, or on its way to the receiver."""
    REFUSED = "refused"
    """It is refused again: a new dead letter."""
    SUPERSEDED = "superseded"
    """The record has changed since: what came later stands."""
    NOT_KEPT = "not-kept"
    """Its content was not kept, or the source could not read it: it has to come from there again."""
    NOT_RETRIABLE = "not-retriable"
    """The record itself is wrong; --force tries it all the same."""


async def remembered(brokers: str, instance: str, name: str) -> dict[bytes, bytes]:
    """The state of a connector as it is committed. Raises `UnreachableError`."""
    found: dict[bytes, bytes] = {}
    async with aclosing(records(brokers, topic_of(instance, name))) as reading:
        async for record in reading:
            if record.key is not None and record.value is not None:
                found[record.key] = record.value
            elif record.key is not None:
                found.pop(record.key, None)
    return found


async def labels(brokers: str, instance: str, name: str) -> list[Label]:
    """The labels that nobody has mapped, those that hold up most first."""
    found: dict[tuple[str, str], Label] = {}
    lanes: dict[str, Label] = {}
    kept = await remembered(brokers, instance, name)
    for key in sorted(key for key in kept if key.startswith(state.HELD)):
        held = state.read_held(kept[key])
        if held.lane in lanes:
            lanes[held.lane].behind += 1
            continue
        label = lanes[held.lane] = found.setdefault((held.table, held.label), Label(held.table, held.label))
        label.count += 1
        if held.record.place and len(label.examples) < EXAMPLES:
            label.examples.append(held.record.place)
    return sorted(found.values(), key=lambda one: -(one.count + one.behind))


def map_label(spec: Spec, table: str, label: str, value: Any) -> Path:
    """Map a label, in the file beside the mapping."""
    path = labels_file(spec.mapping)
    document = read(path)[0] if path.exists() else None
    tables = dict(document.value) if document is not None else {}
    tables[table] = {**tables.get(table, {}), label: value}
    draft = path.with_suffix(".new")
    text = yaml.safe_dump(tables, allow_unicode=True, sort_keys=True)
    draft.write_text(f"# Written by relais connector labels map.\n{text}", encoding="utf-8")
    draft.replace(path)
    return path


@asynccontextmanager
async def holding(settings: Settings, brokers: str, spec: Spec) -> AsyncIterator[Session]:
    """The state of a connector, taken over."""
    await topics.ensure_connector(settings, brokers, spec.file.name)
    runtime = replace(running.runtime_config(settings, brokers), store=StoreKind.MEMORY)
    async with Session.open(spec.file.name, runtime) as session:
        yield session


async def move(settings: Settings, brokers: str, spec: Spec, cursor: Cursor) -> Cursor:
    """Let a connector read on from another place; where it would have."""
    async with holding(settings, brokers, spec) as session:
        checkpoint = state.read_checkpoint(session.store.get(state.CHECKPOINT))
        before, checkpoint.cursor = checkpoint.cursor, cursor
        await session.commit([(state.CHECKPOINT, checkpoint.bytes())], [])
    return before


async def replay(
    settings: Settings, brokers: str, spec: Spec, directory: Directory, ids: set[str], force: bool
) -> list[tuple[Letter, Replayed]]:
    """Try the dead letters of a connector again."""
    chosen = Choice(ids=ids, topics={topic_of(settings.instance, spec.file.name)})
    found = [letter async for letter in letters(brokers, settings.instance, chosen)]
    newest = {letter.datum["digest"]: letter for letter in found}
    async with holding(settings, brokers, spec) as session:
        fates = []
        for letter in newest.values():
            if not (letter.datum["retriable"] or force):
                fates.append((letter, Replayed.NOT_RETRIABLE))
            elif spec.is_sink:
                fates.append((letter, await _send_again(settings, spec, directory, session, letter)))
            else:
                fates.append((letter, await _take_again(settings, spec, directory, session, letter)))
    return fates


async def _take_again(
    settings: Settings, spec: Spec, directory: Directory, session: Session, letter: Letter
) -> Replayed:
    record = _record(letter)
    if record is None:
        return Replayed.NOT_KEPT
    entry = state.read_entry(session.store.get(state.entry_key(record.key, record.version)))
    if entry.content != state.content_digest(record) or entry.fate != Outcome.REFUSED:
        return Replayed.SUPERSEDED
    stating = running.stating(settings, spec, frozenset(directory.by_id()))
    intake = intake_of(session, settings.instance, mapper_of(spec), stating)
    step = intake.take([record], None, move=False, again=True)
    await session.commit(step.effects.state, step.effects.sends)
    return Replayed.REFUSED if Counter(told.outcome for told in step.told)[Outcome.REFUSED] else Replayed.TAKEN


async def _send_again(
    settings: Settings, spec: Spec, directory: Directory, session: Session, letter: Letter
) -> Replayed:
    datum = letter.datum
    if datum["value"] is None:
        return Replayed.NOT_KEPT
    headers = {header["name"]: header["value"] for header in datum["headers"]}
    stating = running.stating(settings, spec, frozenset(directory.by_id()))
    dispatch = Dispatch((f"{settings.instance}.", session.topic, letters_of(settings.instance)), stating, session.store)
    receipt = json.loads(headers["receipt"]) if "receipt" in headers else None
    dispatch.put(Waiting(Item(**json.loads(datum["value"])), receipt))
    effects = dispatch.done(dispatch.checkpoint.cursor)
    await session.commit(effects.state, effects.sends)
    return Replayed.TAKEN


def _record(letter: Letter) -> Record | None:
    datum = letter.datum
    headers = {header["name"]: header["value"] for header in datum["headers"]}
    if datum["key"] is None or datum["value"] is None:
        return None
    raw = datum["value"] if "content" in headers else b""
    version = headers["version"].decode() if "version" in headers else None
    content = json.loads(headers.get("content", datum["value"]))
    return Record(datum["key"].decode(), content, raw, version, headers.get("place", b"").decode())
