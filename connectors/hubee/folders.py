"""A handoff as a HubEE folder with one case: what it says, and the bytes that go with it."""

from __future__ import annotations

import json
import mimetypes
import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha256
from typing import NamedTuple

from connectors.hubee.client import Json
from connectors.hubee.config import Recipient
from connectors.kit.contract import Item, Rejected
from connectors.kit.outgoing import Client

_DEAD = frozenset({401, 403, 404, 410})
"""Answers to a right that has expired, or to a dead link: a matter of this document, not of the configuration."""


class File(NamedTuple):
    """One attachment."""

    name: str
    type: str
    mime: str
    content: bytes

    def described(self, recipients: Sequence[str]) -> Json:
        """What the folder says of it; `recipients`: external ids of cases."""
        return {
            "fileName": self.name,
            "type": self.type,
            "size": len(self.content),
            "mimeType": self.mime,
            "recipients": list(recipients),
        }


def external_id(key: str) -> str:
    """Our number of the folder: HubEE takes 30 characters."""
    return "relais-" + blake2b(key.encode(), digest_size=10).hexdigest()


def folder(item: Item, process: str, recipient: Recipient, files: Sequence[File]) -> Json:
    """The folder of a handoff. HubEE wants an applicant: relais knows none, so the sending body stands there."""
    number = external_id(item.key)
    case = f"{number}-1"
    return {
        "processCode": process,
        "externalId": number,
        "applicant": {"firstName": "relais", "lastName": _name(item.content.get("from"))},
        "cases": [
            {
                "externalId": case,
                "recipient": {
                    "type": "SI",
                    "companyRegister": recipient.siret,
                    "branchCode": recipient.counter,
                },
                "partnerAttributes": f"relais={item.content['handoff']}",
            }
        ],
        "attachments": [one.described([case]) for one in files],
    }


async def files(item: Item, http: Client | None) -> list[File]:
    """The handoff itself as `relais.json`, and its documents if there is a client to fetch them with.

    Raises:
        Rejected: a document is not what the manifest says.
        ConfigError: its address must not be called.
        Unavailable: it cannot be fetched now.
    """
    told = json.dumps(item.content, ensure_ascii=False, sort_keys=True, indent=1).encode()
    found = [File("relais.json", "relais", "application/json", told)]
    if http is not None:
        found += [await _fetched(document, n, http) for n, document in enumerate(item.documents, 1)]
    return found


async def _fetched(document: Mapping[str, object], n: int, http: Client) -> File:
    answer = await http.request("GET", str(document["location"]))
    if answer.status in _DEAD:
        raise Rejected(
            f"document {n} is not at its address any more ({answer.status}): the sender has to hand it over again"
        )
    answer.good("the store of the document")
    if len(answer.body) != document["size"] or sha256(answer.body).hexdigest() != document["sha256"]:
        raise Rejected(f"document {n} is not the one of the manifest: the sender has to hand it over again")
    label, mime = str(document["label"]), str(document["type"])
    slug = re.sub(r"[^\w-]+", "-", label).strip("-")[:80]
    return File(f"{n:02d}-{slug}{mimetypes.guess_extension(mime) or ''}", label[:100], mime[:255], answer.body)


def _name(body: object) -> str:
    name = body.get("name") or body.get("id") if isinstance(body, dict) else body
    return str(name or "relais")[:255]
