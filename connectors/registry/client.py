"""The five routes that Karapace, Apicurio (`/apis/ccompat/v7`) and Confluent's registry have in common.

A subject is the full name of the record (`fr.relais.case.CaseOpened`, Confluent's RecordNameStrategy), since one topic holds events of all
types. The registry gives ids and keeps them; what a schema is, the contract alone says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote

from connectors.kit.authentication import Authenticated, Basic, Bearer
from connectors.kit.contract import ConfigError, Json, Unavailable
from connectors.kit.outgoing import Client, Outgoing
from schemas.catalog import Schema

ANYWHERE = Outgoing(private=("0.0.0.0/0", "::/0"))
"""Who runs the bus names the registry: it may stand on a private network, and speak without TLS there."""
_JSON = "application/vnd.schemaregistry.v1+json"
_UNKNOWN = 404


class Registry:
    """Talks to one registry. Every method raises `ConfigError`, `Unavailable` or `Rejected`."""

    def __init__(self, url: str, way: Basic | Bearer | None = None, out: Outgoing = ANYWHERE) -> None:
        """`url`: up to the routes, such as `http://registry:8081` or `https://apicurio.example/apis/ccompat/v7`."""
        self._url = url.rstrip("/")
        self._http = Client(out)
        self._caller = Authenticated(self._http, way)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def register(self, schema: Schema) -> int:
        """The id of a schema, given by the registry if it is new to it."""
        answer = await self._ask("POST", f"/subjects/{_subject(schema)}/versions", {"schema": _text(schema)})
        return _number(answer, "id")

    async def id_of(self, schema: Schema) -> int | None:
        """The id of a schema, or None if the registry does not have it."""
        found = await self._ask("POST", f"/subjects/{_subject(schema)}", {"schema": _text(schema)}, absent=True)
        return None if found is None else _number(found, "id")

    async def schema(self, id_: int) -> str | None:
        """The text of the schema of an id, or None if there is none."""
        found = await self._ask("GET", f"/schemas/ids/{id_}", absent=True)
        if found is None:
            return None
        text = found.get("schema") if isinstance(found, dict) else None
        if not isinstance(text, str):
            raise Unavailable("the registry answers without a schema")
        return text

    async def subjects(self) -> list[str]:
        """Names of what it holds."""
        found = await self._ask("GET", "/subjects")
        if not isinstance(found, list):
            raise ConfigError("there is no registry at this address: write it up to /subjects, with its path")
        return [str(one) for one in found]

    async def protect(self, schema: Schema) -> None:
        """Let the registry refuse what could not be read by every version of this record, and the other way round."""
        await self._ask("PUT", f"/config/{_subject(schema)}", {"compatibility": "FULL_TRANSITIVE"})

    async def _ask(
        self, method: Literal["GET", "POST", "PUT"], path: str, body: Json = None, *, absent: bool = False
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"accept": _JSON} | ({"content-type": _JSON} if content is not None else {})
        answer = await self._caller.request(method, self._url + path, headers=headers, content=content)
        if absent and answer.status == _UNKNOWN:
            return None
        return answer.good("the registry").json()


async def push(registry: Registry, schemas: Iterable[Schema]) -> dict[int, str]:
    """Register schemas, oldest version first; their ids, as the file of ids has them."""
    await registry.subjects()  # says whether there is a registry at this address
    ids = {}
    for schema in sorted(schemas, key=lambda s: (s.name, s.version)):
        id_ = await registry.register(schema)
        await registry.protect(schema)
        ids[id_] = f"{schema.name}.{schema.version}"
    return ids


async def ids(registry: Registry, schemas: Iterable[Schema]) -> tuple[dict[int, str], list[str]]:
    """The ids that a registry has given to schemas, and the names of those that it does not have."""
    found: dict[int, str] = {}
    missing = []
    await registry.subjects()  # else an address that is wrong would look like a registry that has none
    for schema in sorted(schemas, key=lambda s: (s.name, s.version)):
        name = f"{schema.name}.{schema.version}"
        id_ = await registry.id_of(schema)
        if id_ is None:
            missing.append(name)
        else:
            found[id_] = name
    return found, missing


def _subject(schema: Schema) -> str:
    return quote(f"{schema.json['namespace']}.{schema.json['name']}", safe="")


def _text(schema: Schema) -> str:
    return json.dumps(schema.json)


def _number(found: Any, name: str) -> int:
    number = found.get(name) if isinstance(found, dict) else None
    if not isinstance(number, int):
        raise Unavailable("the registry answers without an id")
    return number
