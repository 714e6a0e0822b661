"""A sink that writes into a private annotation of the dossier where its journey stands at the other bodies.

An annotation, and no message: it is for the agents, it mails nobody, and writing it twice is writing it once. What is handed over to the
body has no dossier to be written into; it stays in the body's inbox.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar

from pydantic import Field

from connectors.demarche.graphql import Graphql, MissingError, Platform, find, query
from connectors.kit.contract import (
    ConfigError,
    ConnectorConfig,
    Item,
    Outcome,
    Reject,
    Report,
    Sent,
)
from connectors.pages.labels import CASE_STATES, HANDOFF_STATES
from schemas.references import BODY

_KINDS = {
    "transfer": "Transmission",
    "consultation": "Demande d'avis",
    "transmission": "Étape suivante",
    "execution": "Exécution",
    "information": "Information",
}
_READ_ONLY = "seulement en lecture"


class AnnotationConfig(Platform):
    """The annotation into which is written. The token must be one that can write."""

    body: str = Field(pattern=BODY.pattern)
    """Id of our body: its cases, numbered as the dossiers are, are the ones to write into."""
    annotation: str
    """Id of a private annotation of the type text (`Q2hhbXAt…`)."""
    instructeur: str
    """Id of the instructeur in whose name it is written; a member of the group that handles the dossiers."""
    names: dict[str, str] = Field(default_factory=dict)
    """Names of bodies, by their id, as agents know them."""


class Annotation:
    """Writes where a journey stands into a private annotation of its dossier at demarche.numerique."""

    Config: ClassVar[type[ConnectorConfig]] = AnnotationConfig

    def __init__(self, config: AnnotationConfig) -> None:
        self._config = config
        self._graphql = Graphql(config)

    async def close(self) -> None:
        """Close the connections."""
        await self._graphql.close()

    async def check(self) -> Report:
        """Find the démarche. Whether the token can write is not tried: a check changes nothing."""
        return Report([await find(self._graphql, self._config.demarche)])

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Write the statuses; see `Sink.send`."""
        return [await self._one(item) for item in items]

    async def _one(self, item: Item) -> Outcome:
        if item.kind != "status" or item.gone:
            return Sent()
        text = "\n".join(self._lines(item.content))
        for number in self._dossiers(item.content):
            mend = await self._write(number, text)
            if mend:
                return Reject(mend)
        return Sent()

    def _dossiers(self, content: Mapping[str, Any]) -> Iterator[int]:
        for case in content["cases"]:
            owner, _, number = str(case.get("case") or "").removeprefix("case:").partition("/")
            if owner == self._config.body and number.isdecimal():
                yield int(number)

    async def _write(self, number: int, text: str) -> str:
        """Write, unless it stands there already; what to mend, if it cannot be written."""
        config = self._config
        try:
            asked = await self._graphql.ask(query("annotation"), dossier=number, annotation=config.annotation)
        except MissingError:
            return "the dossier is no more, or not for this token"
        dossier = asked["dossier"]
        if dossier["demarche"]["number"] != config.demarche:
            return ""  # a case of ours from another démarche: another connector writes there
        if any((one["stringValue"] or "") == text for one in dossier["annotations"]):
            return ""
        given = {
            "dossierId": dossier["id"],
            "annotationId": config.annotation,
            "instructeurId": config.instructeur,
            "value": text,
        }
        told = (await self._graphql.ask(query("annotate"), input=given))["dossierModifierAnnotationText"] or {}
        errors = [str(error.get("message", "")) for error in told.get("errors") or ()]
        if any(_READ_ONLY in error for error in errors):
            raise ConfigError("this token can only read: make one that can write", "token")
        if errors:
            return "the platform refuses: the instructeur must be of the dossier's group, and the annotation a text of its form"
        return ""

    def _lines(self, content: Mapping[str, Any]) -> Iterator[str]:
        yield "Suivi du parcours par relais"
        for one in content["handoffs"]:
            due = f", attendu le {_day(one['due_on'])}" if one["due_on"] else ""
            state = HANDOFF_STATES.get(one["state"], one["state"])
            yield (
                f"- {_KINDS.get(one['kind'], one['kind'])} de {self._name(one['from'])} à {self._name(one['to'])} : "
                f"{state} depuis le {_day(one['since'])}{due}"
            )
        for case in content["cases"]:
            if case["body"] != self._config.body:
                yield f"- {self._name(case['body'])} : dossier {CASE_STATES.get(case['state'], case['state'])}"

    def _name(self, body: str) -> str:
        return self._config.names.get(body, body)


def _day(iso: str) -> str:
    return date.fromisoformat(iso).strftime("%d/%m/%Y")
