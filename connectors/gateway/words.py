"""Values of the bus as JSON for people and programs: dates in ISO 8601, titles in both languages, bodies with their name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from schemas.directory import Contact
from schemas.rules import Text
from streams.engine.book import Book
from streams.engine.consequences import Standing, withdrawable_until
from streams.engine.counting import to_date
from streams.engine.silence import Opposability, observed_late
from streams.engine.words import (
    explained,
    line_in_words,
    opposability_in_words,
    silence_in_words,
    summary,
    to_do_in_words,
)

Json = dict[str, Any]


def day(value: int | None) -> str | None:
    """A day as ISO 8601."""
    return None if value is None else to_date(value).isoformat()


def text(words: Text | None) -> Json | None:
    """Words in both languages."""
    return None if words is None else {"fr": words.fr, "en": words.en}


def body(book: Book, id_: str) -> Json:
    """A body with the name that people know."""
    known = book.body(id_)
    return {"id": id_, "name": known.name if known else id_}


def contact(book: Book, id_: str, procedure: str | None) -> Json | None:
    """Whom to call at a body about a procedure."""
    known = book.body(id_)
    found: Contact | None = known.contact(procedure or "*") if known else None
    return found.model_dump(exclude_none=True) if found else None


def clock(
    one: Standing,
    standings: Iterable[Standing] = (),
    admitted: Mapping[bytes, int] = MappingProxyType({}),
    hidden: Iterable[bytes] = (),
) -> Json:
    """A time limit with its derivation; lines that rest on hidden facts are left out.

    `standings`: those of the same case, to tell until when what silence gave can be withdrawn. `admitted`: when each fact was received
    (ms), by key, to tell whether silence was learnt of late.
    """
    rule, run = one.rule, one.run
    secret = frozenset(hidden)
    lines = [line for line in run.derivation if line.key is None or line.key not in secret]
    shown = run._replace(derivation=tuple(lines))
    return {
        "rule": rule.id,
        "title": text(rule.clock.title),
        "kind": rule.kind,
        "state": run.state.value,
        "started_on": day(run.started_on),
        "due_on": day(run.due_on),
        "stopped_on": day(run.stopped_on),
        "effect": run.effect.value,
        "follows": one.follows,
        "silence": None if one.silence is None else silence(one, standings, admitted),
        "articles": list(rule.articles),
        "summary": {"fr": summary(run, "fr"), "en": summary(run, "en")},
        "derivation": [
            {
                "on": day(line.date),
                "op": line.op.value,
                "articles": list(line.articles),
                "text": {"fr": line_in_words(line, "fr"), "en": line_in_words(line, "en")},
                "sentence": {"fr": fr, "en": en},
            }
            for line, fr, en in zip(lines, explained(shown, "fr"), explained(shown, "en"), strict=True)
        ],
    }


def silence(one: Standing, standings: Iterable[Standing], admitted: Mapping[bytes, int]) -> Json:
    """The effect that silence has had under a time limit, dated as the law dates it."""
    assert one.silence is not None
    effect, on = str(one.silence.data["effect"]), one.silence.date
    received = admitted.get(one.run.start or b"")
    late = received is not None and observed_late(one.run, received)
    return {
        "effect": effect,
        "on": day(on),
        "observed_late": late,
        "withdrawable_until": day(withdrawable_until(standings, one.rule.id)),
        "words": {"fr": silence_in_words(effect, on, late, "fr"), "en": silence_in_words(effect, on, late, "en")},
        "to_do": {"fr": to_do_in_words(effect, "fr"), "en": to_do_in_words(effect, "en")}
        if to_do_in_words(effect, "fr")
        else None,
    }


def opposability(found: Opposability | None) -> Json | None:
    """Whether the time to appeal can be invoked against the person, and why not; None before there is anything to contest."""
    if found is None:
        return None
    why = found.reason.value if found.reason else None
    return {
        "can_be_invoked": found.opposable,
        "why": why,
        "articles": list(found.articles),
        "words": {
            "fr": opposability_in_words(found.opposable, why, "fr"),
            "en": opposability_in_words(found.opposable, why, "en"),
        },
    }


def handoff(record: Mapping[str, Any], viewer: str | None, book: Book) -> Json:
    """A handoff record; `viewer` is the body that asks: the contact is that of the other one."""
    other = record["from_body"] if viewer == record["to"] else record["to"]
    known = book.body(record["to"])
    return {
        "handoff": record["handoff"],
        "from": body(book, record["from_body"]),
        "to": body(book, record["to"]),
        "kind": record["kind"],
        "step": record["step"],
        "reason": record["reason"],
        "procedure": record["procedure"],
        "from_case": record["from_case"],
        "to_case": record["to_case"],
        "state": record["state"],
        "sent_on": day(record["sent_on"]),
        "received_on": day(record["received_on"]),
        "accepted_on": day(record["accepted_on"]),
        "ended_on": day(record["ended_on"]),
        "result": record["result"],
        "redirect_to": record["redirect_to"],
        "due_on": day(due_on(record)),
        "limits": [limit | {"due_on": day(limit["due_on"])} for limit in record["limits"]],
        "documents": [document | {"until": day(document["until"])} for document in record["documents"]],
        "loops": record["loops"],
        "connected": known is None or book.connected(record["to"], record["procedure"] or "", record["sent_on"]),
        "contact": contact(book, other, record["procedure"]),
    }


def due_on(record: Mapping[str, Any]) -> int | None:
    """Day by which the next thing is due: the first limit that runs, else what the sender asked for."""
    running = [x["due_on"] for x in record["limits"] if x["state"] == "running" and x["due_on"] is not None]
    asked: int | None = record["due_on"]
    return min(running, default=asked)


def alert(record: Mapping[str, Any], book: Book) -> Json:
    """An alert."""
    return {
        "alert": record["alert"].hex(),
        "rule": record["rule"],
        "reason": record["reason"],
        "severity": record["severity"],
        "procedure": record["procedure"],
        "body": body(book, record["body"]),
        "other": body(book, record["other"]) if record["other"] else None,
        "case": record["case"],
        "handoff": record["handoff"],
        "due_on": day(record["due_on"]),
        "episodes": [
            {"raised_on": day(e["raised_on"]), "resolved_on": day(e["resolved_on"])} for e in record["episodes"]
        ],
        "acknowledged_on": day(record["acknowledged_on"]),
        "silent_until": day(record["silent_until"]),
    }
