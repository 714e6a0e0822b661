"""Sentences for the person: from where a request stands to what the page says, in plain French or English. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.gateway import words
from connectors.pages.standing import DECISIONS, Found, Standing
from connectors.pages.texts import Pair, of, pick
from schemas.rules import APPLICANT, Effect
from streams.engine.book import Book
from streams.engine.clocktypes import State
from streams.engine.counting import to_day
from streams.engine.words import Language, day_in_words, effect_in_words, to_do_in_words

Json = dict[str, Any]

_TITLES: dict[Standing, Pair] = {
    Standing.RECEIVED: ("{Body} a bien reçu votre demande", "{Body} has received your request"),
    Standing.PASSED_ON: ("Votre demande est transmise {to_body}", "Your request has been passed on to {body}"),
    Standing.TO_COMPLETE: ("{Body} attend des documents de votre part", "{Body} is waiting for documents from you"),
    Standing.IN_PROGRESS: ("{Body} étudie votre demande", "{Body} is looking at your request"),
    Standing.OPINION_AWAITED: (
        "{Body} attend l'avis d'un autre service",
        "{Body} is waiting for another body's opinion",
    ),
    Standing.SUSPENDED: ("Le délai de votre demande est suspendu", "The time limit of your request is suspended"),
    Standing.GRANTED: ("Votre demande est acceptée", "Your request is granted"),
    Standing.GRANTED_IN_PART: ("Votre demande est acceptée en partie", "Your request is granted in part"),
    Standing.REFUSED: ("Votre demande est refusée", "Your request is refused"),
    Standing.INADMISSIBLE: ("Votre demande n'a pas pu être examinée", "Your request could not be examined"),
    Standing.NO_FURTHER_ACTION: ("Votre demande est classée sans suite", "Your request was closed without a decision"),
    Standing.SILENCE_YES: (
        "Sans réponse, {effect}",
        "No answer came: {effect}",
    ),
    Standing.SILENCE_NO: ("Sans réponse, {effect}", "No answer came: {effect}"),
    Standing.WITHDRAWN: ("Vous avez retiré votre demande", "You have withdrawn your request"),
    Standing.CLOSED: ("Votre dossier est terminé", "Your file is closed"),
}
_ENDED = frozenset({*DECISIONS.values(), Standing.WITHDRAWN, Standing.CLOSED})
_FEMININE = frozenset({
    "mairie", "préfecture", "sous-préfecture", "métropole", "région", "ville", "commune", "communauté", "caisse", "caf", "cpam",
    "mdph", "msa", "carsat", "direction", "maison", "collectivité",
})  # fmt: skip
_MASCULINE = frozenset({"département", "ccas", "syndicat", "conseil", "centre", "sdis", "service", "rectorat", "cias"})
_ELIDED = frozenset(
    {"unité", "agence", "udap", "agglomération", "office", "urssaf", "insee", "association", "académie"}
)


def subject(name: str, language: Language) -> str:
    """A body as the subject of a sentence: "Le Département de l'Ain"."""
    first = name.partition(" ")[0].casefold()
    if language == "en":
        return f"The {name}" if first in _FEMININE | _MASCULINE | _ELIDED else name
    return (
        f"La {name}" if first in _FEMININE else f"Le {name}" if first in _MASCULINE
        else f"L'{name}" if first in _ELIDED else name
    )  # fmt: skip


def to_subject(name: str) -> str:
    """A body to whom something goes, in French: "au Département de l'Ain"."""
    first = name.partition(" ")[0].casefold()
    return (
        f"à la {name}" if first in _FEMININE else f"au {name}" if first in _MASCULINE
        else f"à l'{name}" if first in _ELIDED else f"à {name}"
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the page shows."""

    title: str
    filed_at: str | None
    """The door, as it follows "filed": "à la Mairie de Viriat"."""
    todo: str
    """Whether the person must do something, and what."""
    acts: bool
    """Whether the person must do something."""
    notes: tuple[str, ...]
    """Sentences below: what the state means, what comes next."""
    silence: str | None
    """What silence will mean, or has meant."""
    holder: Json
    since: str | None
    due_on: str | None
    legal: bool
    """Whether the date is a legal one rather than a target."""
    why: tuple[str, ...]
    """The derivation of the date, sentence by sentence."""
    steps: tuple[Json, ...]
    passages: tuple[Json, ...]
    rights: tuple[str, ...]
    contacts: tuple[Json, ...]


def _day(value: str, language: Language) -> str:
    return day_in_words(to_day(date.fromisoformat(value)), language)


def tell(journey: Json, found: Found, book: Book, language: Language, today: date) -> Told:
    """The sentences of a journey."""
    clock, ended = found.clock, found.standing in _ENDED
    name = found.holder.body["name"]
    running = clock is not None and clock["state"] == "running" and clock["due_on"] is not None
    due = clock["due_on"] if clock and running and not ended else None
    effect = effect_in_words(clock["effect"], language) if clock and "effect" in clock else ""
    title = pick(_TITLES[found.standing], language).format(
        Body=subject(name, language),
        body=subject(name, language).replace("The ", "the "),
        to_body=to_subject(name),
        effect=effect,
    )
    return Told(
        title=title,
        filed_at=_filed_at(journey, language),
        todo=_todo(found, language),
        acts=bool(found.asking),
        notes=tuple(_notes(journey, found, language)),
        silence=_unsupplied(found, effect, language) or _silence(found, due, effect, language, today),
        holder=found.holder.body,
        since=found.holder.since,
        due_on=due,
        legal=clock is not None and clock.get("kind") == "legal",
        why=tuple(line["sentence"][language] for line in clock["derivation"]) if clock and not ended else (),
        steps=tuple(_step(s, found, language) for s in journey["steps"] if _still_shown(s, found.standing)),
        passages=tuple(_passage(h, book, language) for h in journey["handoffs"]),
        rights=tuple(_rights(found, book, language)),
        contacts=tuple(_contacts(journey, found, book)),
    )


def _door(journey: Json) -> Json | None:
    return next((c for c in journey["cases"] if not c["neutral"] and c["case"] == journey["door"]), None)


def _filed_at(journey: Json, language: Language) -> str | None:
    door = _door(journey)
    if door is None:
        return None
    name = door["body"]["name"]
    return to_subject(name) if language == "fr" else subject(name, "en").replace("The ", "the ")


def _todo(found: Found, language: Language) -> str:
    if found.asking:
        parts = []
        for case in found.asking:
            pieces = ", ".join(case["asked"])
            by = case["asked_until"]
            if language == "fr":
                end = f", au plus tard le {_day(by, 'fr')}" if by else ", dès que possible"
                parts.append(f"Envoyez {to_subject(case['body']['name'])} : {pieces}{end}.")
            else:
                end = f", on {_day(by, 'en')} at the latest" if by else ", as soon as you can"
                parts.append(f"Send to {subject(case['body']['name'], 'en').replace('The ', 'the ')}: {pieces}{end}.")
        return " ".join(parts)
    if found.standing in _ENDED:
        return pick(("Vous n'avez rien à faire.", "You have nothing to do."), language)
    return pick(("Vous n'avez rien à faire pour le moment.", "You have nothing to do for now."), language)


def _notes(journey: Json, found: Found, language: Language) -> list[str]:
    notes: list[str] = []
    case = found.case
    if found.standing in DECISIONS.values() and case is not None:
        if case["decided_on"]:
            text = pick(("Décision du {day}.", "Decision of {day}."), language)
            notes.append(text.format(day=_day(case["decided_on"], language)))
        if case["notified_on"]:
            text = pick(("Elle vous a été notifiée le {day}.", "You were notified on {day}."), language)
            notes.append(text.format(day=_day(case["notified_on"], language)))
        else:
            notes.append(pick(("Vous allez la recevoir.", "You will receive it."), language))
        return notes
    if found.standing is Standing.PASSED_ON:
        notes.append(pick((
            "Ce service est compétent pour votre demande. Il doit maintenant la prendre en charge ; vous n'avez pas à la refaire.",
            "That body is the competent one. It now has to take your request on; you need not file it again.",
        ), language))  # fmt: skip
    if found.consulted:
        names = ", ".join(body["name"] for body in found.consulted)
        text = pick(("Avis attendu de : {names}.", "Opinion awaited from: {names}."), language)
        notes.append(text.format(names=names))
    if found.standing not in (Standing.TO_COMPLETE, *_ENDED):
        notes += _now_and_next(journey["steps"], language)
    if found.waits and found.standing not in _ENDED:
        notes.append(pick((
            "La date limite de la réponse sera connue quand votre dossier sera complet.",
            "The date by which you will have an answer will be known once your file is complete.",
        ), language))  # fmt: skip
    return notes


def _now_and_next(steps: list[Json], language: Language) -> list[str]:
    """The step that goes on, and the one after it."""
    going = next((i for i, s in enumerate(steps) if s["state"] == "current" and s["role"] != "applicant"), -1)
    after = next((s for s in steps[going + 1 :] if s["state"] == "to_come"), None)
    told: list[tuple[Pair, Json | None]] = [
        (("En ce moment : {step}.", "Going on now: {step}."), steps[going] if going >= 0 else None),
        (
            ("Ensuite : {step}.", "After that: {step}.")
            if going >= 0
            else ("Prochaine étape : {step}.", "Next: {step}."),
            after,
        ),
    ]
    return [pick(pair, language).format(step=_small(of(step["title"], language))) for pair, step in told if step]


def _small(text: str) -> str:
    """A title within a sentence; acronyms keep their capitals."""
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _unsupplied(found: Found, effect: str, language: Language) -> str | None:
    """What it will mean that the person has not sent all that was asked for."""
    clock = found.clock
    if (
        clock is None
        or clock["state"] != State.WAITING
        or not clock["due_on"]
        or clock.get("effect", Effect.NONE) == Effect.NONE
    ):
        return None
    text = pick((
        "Si vous n'avez pas tout envoyé au plus tard le {day}, {effect}.",
        "If you have not sent everything by {day}, {effect}.",
    ), language)  # fmt: skip
    return text.format(day=_day(clock["due_on"], language), effect=effect)


def _silence(found: Found, due: str | None, effect: str, language: Language, today: date) -> str | None:
    clock, rule = found.clock, found.rule
    if clock is None or "effect" not in clock or found.standing in _ENDED or due is None:
        return None
    usual = rule is not None and clock["effect"] == rule.effect  # the words of a rule are about its own effect only
    own = pick((rule.citizen.fr, rule.citizen.en), language) if usual and rule and rule.citizen else None
    then = to_do_in_words(clock["effect"], language)
    if found.standing in (Standing.SILENCE_YES, Standing.SILENCE_NO):
        text = pick(("La date limite était le {day}.", "The last day was {day}."), language)
        return " ".join(x for x in (text.format(day=_day(due, language)), own, then) if x)
    if clock["kind"] != "legal" or clock["effect"] in (Effect.SERVICE_TARGET, Effect.NONE):
        late = date.fromisoformat(due) < today
        return pick((
            "Cette date est passée : appelez le service qui a votre dossier." if late
            else "Si cette date passe, appelez le service qui a votre dossier : son silence ne vaut ici ni oui ni non.",
            "That date has passed: call the body that has your file." if late
            else "If that date passes, call the body that has your file: here its silence means neither yes nor no.",
        ), language)  # fmt: skip
    if own:
        text = pick(("Dernier jour pour répondre : {day}.", "Last day to answer: {day}."), language)
        return f"{text.format(day=_day(due, language))} {own}"
    text = pick(
        (
            "Si vous n'avez rien reçu à la fin du {day}, {effect}.",
            "If nothing has reached you by the end of {day}, {effect}.",
        ),
        language,
    )
    return " ".join(x for x in (text.format(day=_day(due, language), effect=effect), then) if x)


def _still_shown(step: Json, standing: Standing) -> bool:
    """What will not come any more is left out once a request has ended without success."""
    if standing not in _ENDED or standing in (Standing.GRANTED, Standing.GRANTED_IN_PART):
        return True
    return step["state"] in ("done", "current") or (step["state"] == "possible" and step["role"] == "applicant")


def _step(step: Json, found: Found, language: Language) -> Json:
    goal = None
    if step["state"] == "current" and found.case is not None:
        name = f"step.{step['step']}.promise"
        goal = next((c["due_on"] for c in found.case["clocks"] if c["rule"] == name and c["state"] == "running"), None)
    return {
        "title": of(step["title"], language),
        "state": step["state"],
        "since": step["since"],
        "trigger": of(step["trigger"], language),
        "citizen": of(step["citizen"], language),
        "goal": goal,
    }


_PASSAGES: dict[str, Pair] = {
    "sent": ("envoyé, pas encore lu", "sent, not read yet"),
    "received": ("lu, pas encore pris en charge", "read, not taken on yet"),
    "accepted": ("pris en charge", "taken on"),
    "refused": ("refusé : le dossier revient", "refused: the file comes back"),
    "returned": ("rendu : le dossier revient", "given back: the file comes back"),
    "completed": ("terminé", "done"),
    "cancelled": ("annulé", "cancelled"),
}
_KINDS: dict[str, Pair] = {
    "transfer": ("Transmission au service compétent", "Passed on to the competent body"),
    "consultation": ("Demande d'avis", "Opinion asked for"),
    "transmission": ("Transmission de documents", "Documents sent"),
    "execution": ("Exécution de la décision", "Carrying out of the decision"),
    "information": ("Information", "Information"),
}


def _passage(handoff: Json, book: Book, language: Language) -> Json:
    sent = to_day(date.fromisoformat(handoff["sent_on"]))
    known = book.body(handoff["to"]["id"])
    silent = known is not None and not any(
        c.until is None or c.until >= date.fromordinal(sent + 719_163) for c in known.connected
    )
    note = pick((
        "Ce service ne donne pas de nouvelles ici : appelez-le.", "This body sends no news here: call it.",
    ), language) if silent else ""  # fmt: skip
    return {
        "from": handoff["from"]["name"],
        "to": handoff["to"]["name"],
        "kind": pick(_KINDS.get(handoff["kind"], _KINDS["transmission"]), language),
        "state": handoff["state"],
        "words": pick(_PASSAGES[handoff["state"]], language),
        "sent_on": handoff["sent_on"],
        "since": handoff["since"],
        "note": note,
    }


def _appeals(case: Json | None, book: Book) -> list[Json]:
    """The times to contest that run for the person, the next to end first."""
    if case is None:
        return []
    on = date.fromisoformat(case["opened_on"] or case["since"])
    clocks = book.rules(case["procedure"] or "", to_day(on)).journey.clocks
    own = {clock.id for clock in clocks if clock.holder == APPLICANT and clock.effect is Effect.BARRED}
    running = (c for c in case["clocks"] if c["rule"] in own and c["state"] == State.RUNNING and c["due_on"])
    return sorted((c for c in running if "title" in c), key=lambda c: str(c["due_on"]))


def _rights(found: Found, book: Book, language: Language) -> list[str]:
    rights: list[str] = []
    if found.standing in (Standing.REFUSED, Standing.GRANTED_IN_PART, Standing.INADMISSIBLE, Standing.SILENCE_NO):
        text = pick(("Vous pouvez contester jusqu'au {day} ({way}).", "You can contest until {day} ({way})."), language)
        rights += [
            text.format(day=_day(c["due_on"], language), way=_small(of(c["title"], language)))
            for c in _appeals(found.case, book)
        ]
        rights.append(pick((
            "La décision que vous recevez dit comment la contester, devant qui et jusqu'à quand.",
            "The decision that you receive says how to contest it, before whom and until when.",
        ), language))  # fmt: skip
    if found.standing not in _ENDED:
        rights.append(pick((
            "Vous pouvez demander à tout moment où en est votre dossier, ou retirer votre demande.",
            "You can ask at any time where your file is, or withdraw your request.",
        ), language))  # fmt: skip
    rights.append(pick((
        "Vous pouvez voir les informations que l'administration détient sur vous et les faire corriger.",
        "You can see the information that the administration holds about you and have it corrected.",
    ), language))  # fmt: skip
    return rights


def _contacts(journey: Json, found: Found, book: Book) -> list[Json]:
    """Whom to ask: who has the file, then the door."""
    wanted = [(found.holder.body, found.case["procedure"] if found.case else None)]
    door = _door(journey)
    if door is not None and door["body"]["id"] != found.holder.body["id"]:
        wanted.append((door["body"], door["procedure"]))
    return [
        {"name": body["name"], **contact}
        for body, procedure in wanted
        if (contact := words.contact(book, body["id"], procedure))
    ]
