"""Questions to the GraphQL interface of demarche.numerique, and what its answers mean: most errors come with status 200."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import Field

from connectors.kit.authentication import Authenticated, Bearer
from connectors.kit.contract import ConfigError, ConnectorConfig, ConnectorError, Finding, Json, Rejected, Unavailable
from connectors.kit.outgoing import Answer, Client, Outgoing, TooSlowError
from connectors.kit.secret import Secret

_SLOW = {"timeout"}
_GATEWAY_SLOW = {502, 504}
_CREDENTIALS = {"unauthorized", "forbidden", "deprecated_token"}


class Platform(ConnectorConfig):
    """Where the platform is, and who we are to it."""

    url: str = "https://demarche.numerique.gouv.fr/api/v2/graphql"
    """Address of the GraphQL interface."""
    token: Secret
    """Token of an administrator, for this démarche alone; for reading, one that can only read."""
    demarche: int = Field(gt=0)
    """Number of the démarche."""
    outgoing: Outgoing = Outgoing(timeout_s=60)
    """How calls go out; the platform itself gives up after 30 seconds."""


class MissingError(Exception):
    """There is no such object, or not for us; `path` says where in the question."""

    def __init__(self, path: Sequence[str | int]) -> None:
        super().__init__("not found")
        self.path = path


@cache
def query(name: str) -> str:
    """The text of a query or fragment of the folder `queries`."""
    return (files(__package__) / "queries" / f"{name}.graphql").read_text(encoding="utf-8")


class Graphql:
    """Asks. Close it."""

    def __init__(self, config: Platform) -> None:
        self._config = config
        self._client = Client(config.outgoing)
        self._caller = Authenticated(self._client, Bearer(kind="bearer", token=config.token))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def ask(self, text: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer.

        Raises:
            TooSlowError: the platform gave up: ask for less.
            MissingError: there is no such object.
            ConfigError: the token, or the question, is not taken.
            Unavailable: not now.
        """
        answer = await self._caller.request("POST", self._config.url, json={"query": text, "variables": variables})
        if answer.status in _GATEWAY_SLOW:
            raise TooSlowError(f"the platform answers {answer.status}", answer.retry_after_s)
        told = self._json(answer)
        errors = told.get("errors")
        if errors:
            raise _meant(errors)
        data = told.get("data")
        if not isinstance(data, dict):
            raise Unavailable("the platform answers without data")
        return data

    @staticmethod
    def _json(answer: Answer) -> Mapping[str, Json]:
        try:
            told = answer.good("the platform").json()
        except Rejected as error:
            raise ConfigError(
                f"{error.mend}: its interface has changed, or `url` is not its GraphQL address", "url"
            ) from None
        if not isinstance(told, dict):
            raise Unavailable("the platform's answer is no object")
        return told


async def find(graphql: Graphql, number: int) -> Finding:
    """Whether there is a démarche of this number for us, and in what state it is."""
    what = f"find démarche {number}"
    try:
        found = (await graphql.ask(query("demarche"), demarche=number))["demarche"]
    except MissingError:
        return Finding(False, what, "correct its number, or make the token for it")
    except ConnectorError as error:
        return Finding(False, what, str(error))
    return Finding(True, f"{what}: it is {found['state']}")


def _meant(errors: Json) -> Exception:
    """What errors mean; their texts may repeat what was asked, so that only their codes are told."""
    first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
    code = str((first.get("extensions") or {}).get("code", ""))
    if code in _SLOW:
        return TooSlowError("the platform gave up on a question (timeout)")
    if code == "not_found":
        return MissingError(first.get("path") or ())
    if code in _CREDENTIALS:
        return ConfigError(
            f"the platform refuses ({code}): make a token for this démarche, with the rights that are needed", "token"
        )
    if code in {
        "",
        "bad_request",
        "graphql_parse_failed",
        "argumentNotAccepted",
        "undefinedField",
        "argumentLiteralsIncompatible",
    }:
        return ConfigError(
            f"the platform does not take the question ({code or 'no code'}): its interface has changed", "url"
        )
    return Unavailable(f"the platform fails ({code})")
