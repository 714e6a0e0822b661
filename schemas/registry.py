"""Schema ids of a registry, from a file: what the Confluent framing needs to be read without a call to anybody.

The file is a JSON object from id to event and version: `{"17": "case.opened.1"}`. A registry keeps what it has given out for ever, so
the file only grows; whoever runs the registry writes it when a schema is registered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from schemas import catalog


class UnsoundIdsError(ValueError):
    """A file of ids that cannot be used; the text says where and how to mend it."""


class Ids:
    """The ids of one registry (see `schemas.codec.Registry`)."""

    def __init__(self, ids: Mapping[int, str]) -> None:
        """`ids`: id to `name.version`; UnsoundIdsError for a name that the contract does not have."""
        known = {f"{s.name}.{s.version}": s for s in catalog.events()}
        unknown = sorted(set(ids.values()) - known.keys())
        if unknown:
            raise UnsoundIdsError(f"no such event: {', '.join(unknown)}; `relais schemas list` names them")
        self._schemas = {id_: json.dumps(known[name].json) for id_, name in ids.items()}

    def schema(self, schema_id: int) -> str | None:
        """The Avro schema (JSON) of an id, or None if it is not known (yet)."""
        return self._schemas.get(schema_id)


def load(path: Path) -> Ids:
    """Read a file of ids. UnsoundIdsError says what is wrong with it."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Ids({int(id_): str(name) for id_, name in found.items()})
    except UnsoundIdsError as error:
        raise UnsoundIdsError(f"{path}: {error}") from None
    except (OSError, ValueError, AttributeError) as error:
        raise UnsoundIdsError(f'{path} is not a JSON object such as {{"17": "case.opened.1"}}: {error}') from None
