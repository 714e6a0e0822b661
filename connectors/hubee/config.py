"""What a person sets to join HubEE (folder API 1.2.7)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from connectors.kit.contract import ConnectorConfig
from connectors.kit.outgoing import Outgoing
from connectors.kit.secret import Secret
from schemas.references import BODY

SIRET = r"[0-9]{14}"


class Role(StrEnum):
    """Who we are to HubEE: OSL, an online service (opérateur de service en ligne), or SI, an instructing service."""

    OSL = "OSL"
    SI = "SI"


class Credentials(ConnectorConfig):
    """One pair of credentials; HubEE gives one for each procedure (démarche)."""

    client_id: str
    """As the portal shows it."""
    client_secret: Secret
    """As the portal shows it."""


class HubeeConfig(ConnectorConfig):
    """What source and sink share."""

    api: str
    """Address of the API without a path, such as `https://api.bas.hubee.numerique.gouv.fr`."""
    token: str
    """Address that gives tokens, such as `https://auth.bas.hubee.numerique.gouv.fr/oauth2/token`."""
    role: Role
    """OSL: we send folders and are told what becomes of them. SI: folders are sent to us."""
    processes: dict[Annotated[str, Field(min_length=1, max_length=30)], Credentials] = Field(min_length=1)
    """Credentials by process code (`EtatCivil`, `CERTDC`…)."""
    editor: str = Field("relais", max_length=50)
    """Told to HubEE as `editorName`."""
    override_patch: bool = False
    """PATCH as POST with `X-HTTP-Method-Override`, where a proxy on the way lets no PATCH pass."""
    out: Outgoing = Outgoing()
    """How calls go out."""

    @field_validator("api")
    @classmethod
    def _no_slash(cls, given: str) -> str:
        return given.rstrip("/")


class Relay(ConnectorConfig):
    """How documents of HubEE are given to bodies that have no credentials there: they stay at HubEE, and the gateway fetches them."""

    store: Path
    """The gateway's own file of its store of documents; there, `hubee` names the credentials by which it fetches them."""
    body: str = Field(pattern=BODY.pattern)
    """Body for which they are, where they do not belong to a handoff that another body sent: our own."""
    days: int = Field(90, ge=1, le=3660)
    """For how many days after they came they can be fetched."""


class SourceConfig(HubeeConfig):
    """What the source needs besides."""

    documents: Relay | None = None
    """Read each document once, so that its digest is known, and give it through the gateway: its entry then is one of a manifest (with
    `sha256`, `location`, `until`). Absent: entries name HubEE's own address, and have no digest, since HubEE tells none."""
    page: int = Field(25, ge=1, le=25)
    """Notifications in one page; HubEE asks for no more than 25."""
    tell_received: bool = True
    """As SI: whether a folder whose facts are committed is told to its sender as SI_RECEIVED."""
    refusal_attribute: str = "motif"
    """Name of the partner attribute that says why a case is REFUSED; HubEE has one word for "incomplete" and "not eligible"."""


class Recipient(ConnectorConfig):
    """A body as HubEE knows it."""

    siret: str = Field(pattern=f"^{SIRET}$")
    """14 digits (`companyRegister`)."""
    counter: str = Field(min_length=1, max_length=10)
    """Code guichet (`branchCode`), often the INSEE code of the commune."""


class SinkConfig(HubeeConfig):
    """What the sink needs besides. As OSL it brings handoffs as folders, as SI it tells statuses of cases that HubEE brought."""

    recipient: Recipient | None = None
    """Whom the folders are for; needed as OSL."""
    process: str = ""
    """Process code of the folders, one of `processes`; needed as OSL. Empty as SI: that of the case."""
    ledger: Path | None = None
    """File that remembers which folder a handoff became; needed as OSL, and to be kept: without it a handoff is sent again."""
    await_receipt: bool = True
    """Whether the sink waits for SI_RECEIVED and tells `handoff.received`; false where a source beside it reads the answers as OSL."""
    look_s: float = Field(60.0, gt=0)
    """A case that was not received yet is looked at again after this wait."""
    documents: bool = True
    """Whether documents are fetched from where the manifest says and handed over; false: the manifest alone."""
