"""What one dossier has gone through, as records: each transition, each correction, each date is a record of its own that never changes.

Nothing of the applicant is asked for: no name, no address, no message text, no motivation, no e-mail; of the form only fields that the
configuration names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.kit.contract import Json, Record

DEPOSIT = "depose"
Binned = list[str]
"""A dossier in the bin: since when, in what state, why."""


def life(dossier: Mapping[str, Any], fields: Mapping[str, Json]) -> list[Record]:
    """The records of a dossier, in the order of their dates. `fields`: values of the form that were asked for."""
    number = str(dossier["number"])
    base = {"demarche": dossier["demarche"]["number"], "dossier": dossier["number"]}
    place = f"dossier {number}"
    dated = [
        (str(content["date"]), Record(number, base | content, version=version, place=place))
        for version, content in (*_transitions(dossier), *_corrections(dossier))
    ]
    found = [record for _, record in sorted(dated, key=lambda pair: pair[0])]
    if dossier["archived"]:
        content = {"kind": "archivage", "date": dossier["dateTraitement"] or dossier["dateDepot"]}
        found.append(Record(number, base | content, version="archivage", place=place))
    if (due := dossier["datePrevisionnelleDecisionSVASVR"]) is not None:
        decided = dossier["dateTraitementSVASVR"]
        content = {"kind": "sva-svr", "decision": due, "traitement": decided}
        found.append(Record(f"{number}/sva-svr", base | content, place=place))
    if any(value is not None for value in fields.values()):
        content = {"kind": "champs", "champs": dict(fields), "date": dossier["dateDepot"]}
        found.append(Record(f"{number}/champs", base | content, place=place))
    return found


def _transitions(dossier: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Json]]]:
    """The deposit, which old dossiers have without a transition, and every other transition."""
    yield "depot", {"kind": "traitement", "event": DEPOSIT, "date": dossier["dateDepot"]}
    for one in dossier["traitements"]:
        if one["event"] != DEPOSIT:
            yield one["id"], {"kind": "traitement", "event": one["event"], "date": one["dateTraitement"]}


def _corrections(dossier: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Json]]]:
    """Corrections asked for, and those that ended; each hangs on the message that asked."""
    for message in dossier["messages"]:
        correction = message["correction"]
        if correction is None:
            continue
        reason = {"reason": correction["reason"]}
        yield f"{message['id']}/correction", {"kind": "correction", **reason, "date": message["createdAt"]}
        if (ended := correction["dateResolution"]) is not None:
            yield f"{message['id']}/resolution", {"kind": "correction-resolue", **reason, "date": ended}


def deletion(demarche: int, listing: str, node: Mapping[str, Any]) -> Record:
    """A dossier that was put into the bin (`corbeille`), or is no more (`suppression`)."""
    kind = "corbeille" if listing.startswith("pending") else "suppression"
    content = {
        "demarche": demarche,
        "dossier": node["number"],
        "kind": kind,
        "state": node["state"],
        "reason": node["reason"],
        "date": node["dateSupression"],
    }
    return Record(
        str(node["number"]), content, version=f"{kind}/{node['dateSupression']}", place=f"dossier {node['number']}"
    )


def restored(demarche: int, node: Mapping[str, Any], binned: Binned) -> Record:
    """A dossier that was told as put into the bin, and is among the living again: at its last change, since the platform says no more."""
    since, state, reason = binned
    number, changed = node["number"], node["dateDerniereModification"]
    content = {
        "demarche": demarche,
        "dossier": number,
        "kind": "restauration",
        "state": state,
        "reason": reason,
        "date": changed,
    }
    return Record(str(number), content, version=f"restauration/{since}", place=f"dossier {number}")
