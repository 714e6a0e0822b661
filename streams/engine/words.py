"""Derivations, dates, lengths and effects in plain words, French or English. Pure: codes in, sentences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal

from streams.engine.clocktypes import ClockRun, Line, Op, State
from streams.engine.counting import to_date, to_day
from streams.engine.sentences import (
    EFFECTS,
    LEARNT_LATE,
    MARKS,
    NOT_OPPOSABLE,
    NOT_RUNNING,
    OPPOSABLE,
    SENTENCES,
    TO_DO,
    TOOK_EFFECT,
    WHOSE,
)

Language = Literal["fr", "en"]
_DAYS = {
    "fr": ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_MONTHS = {
    "fr": (
        "janvier", "février", "mars", "avril", "mai", "juin",
        "juillet", "août", "septembre", "octobre", "novembre", "décembre",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip
_UNITS: dict[str, dict[str, tuple[str, str]]] = {
    "fr": {
        "days": ("jour", "jours"),
        "ouvres": ("jour ouvré", "jours ouvrés"),
        "ouvrables": ("jour ouvrable", "jours ouvrables"),
        "francs": ("jour franc", "jours francs"),
        "weeks": ("semaine", "semaines"),
        "months": ("mois", "mois"),
        "years": ("an", "ans"),
    },
    "en": {
        "days": ("day", "days"),
        "ouvres": ("working day", "working days"),
        "ouvrables": ("working day (Monday to Saturday)", "working days (Monday to Saturday)"),
        "francs": ("clear day", "clear days"),
        "weeks": ("week", "weeks"),
        "months": ("month", "months"),
        "years": ("year", "years"),
    },
}
_DATES = frozenset({"day", "start", "end", "due", "born", "last", "first", "own"})


def _pick(pair: tuple[str, str], language: Language) -> str:
    return pair[0] if language == "fr" else pair[1]


def day_in_words(day: int, language: Language) -> str:
    """A day (since 1970-01-01) as "lundi 1er juin 2026" or "Monday 1 June 2026"."""
    value = to_date(day)
    number = "1er" if value.day == 1 and language == "fr" else str(value.day)
    return f"{_DAYS[language][value.weekday()]} {number} {_MONTHS[language][value.month - 1]} {value.year}"


def length_in_words(parts: Sequence[tuple[int, str]], language: Language) -> str:
    """A length as "2 mois" or "1 month and 15 days"."""
    words = [f"{count} {_UNITS[language][unit][count > 1]}" for count, unit in parts]
    return (" et " if language == "fr" else " and ").join(words)


def _nth_weekday(nth: int, weekday: int, language: Language) -> str:
    """The nth such weekday: "6e vendredi", "6th Friday"."""
    if language == "fr":
        return f"{nth}{'er' if nth == 1 else 'e'} {_DAYS['fr'][weekday]}"
    ending = "th" if 10 < nth % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(nth % 10, "th")
    return f"{nth}{ending} {_DAYS['en'][weekday]}"


def effect_in_words(effect: str, language: Language) -> str:
    """What it means that a clock ran out, as a clause."""
    return _pick(EFFECTS[effect], language)


def to_do_in_words(effect: str, language: Language) -> str | None:
    """What a person can do then, if there is something."""
    return _pick(TO_DO[effect], language) if effect in TO_DO else None


def mark_in_words(mark: str, version: str | None, language: Language) -> str:
    """How surely an article was read that was not read in force; `version`: ISO date of the version read."""
    told = _pick(MARKS[mark], language)
    return told if version is None else f"{told}, {day_in_words(to_day(date.fromisoformat(version)), language)}"


def silence_in_words(effect: str, on: int, late: bool, language: Language) -> str:
    """That silence had an effect, on the day that the law names; `late`: it was learnt afterwards."""
    told = _pick(TOOK_EFFECT, language).format(day=day_in_words(on, language), effect=effect_in_words(effect, language))
    return f"{told} {_pick(LEARNT_LATE, language)}" if late else told


def opposability_in_words(opposable: bool | None, reason: str | None, language: Language) -> str:
    """Whether the time to appeal can be held against the person, and why not."""
    told = _pick(OPPOSABLE[opposable], language)
    return f"{told} {_pick(NOT_OPPOSABLE[reason], language)}" if reason else told


def _until(day: int | None, language: Language) -> str:
    if day is None:
        return ""
    return f", jusqu'au {day_in_words(day, language)}" if language == "fr" else f", until {day_in_words(day, language)}"


def _supply(limit: int | None, effect: str | None, language: Language) -> str:
    """By when to supply what is asked for, and what it means not to."""
    if limit is None:
        return ""
    day = day_in_words(limit, language)
    told = f", à fournir au plus tard le {day}" if language == "fr" else f", to be supplied by {day}"
    if effect is None:
        return told
    return told + (
        f" ; sinon, {effect_in_words(effect, 'fr')}"
        if language == "fr"
        else f"; otherwise {effect_in_words(effect, 'en')}"
    )


def _change(params: Mapping[str, Any], language: Language) -> str:
    if "length" in params:
        length = length_in_words(params["length"], language)
        if params.get("sets"):
            return f" : il est porté à {length}" if language == "fr" else f": it is set to {length}"
        return f" de {length}" if language == "fr" else f" by {length}"
    if params.get("due") is not None:
        return (
            f" jusqu'au {day_in_words(params['due'], language)}"
            if language == "fr"
            else f" until {day_in_words(params['due'], language)}"
        )
    return ""


def _dated(params: Mapping[str, Any], language: Language) -> str:
    born = params.get("born")
    if not isinstance(born, int):
        return ""
    day = day_in_words(born, language)
    return f" ; la loi date cet effet du {day}" if language == "fr" else f"; the law dates this {day}"


def line_in_words(line: Line, language: Language) -> str:
    """One line of a derivation as a sentence."""
    params = dict(line.params)
    if line.op is Op.DUE and params.get("due") is None:
        return _pick(NOT_RUNNING, language)
    words: dict[str, str] = {"change": _change(params, language), "holiday": "", "dated": _dated(params, language)}
    for name, value in params.items():
        if name == "limit" and line.op is Op.ASKED:
            words[name] = _supply(value, params.get("effect"), language)
        elif name == "until" and line.op is Op.SUSPENDED:
            words[name] = _until(value, language)
        elif name in _DATES or name == "limit":
            words[name] = day_in_words(value, language) if isinstance(value, int) else "—"
        elif name == "length":
            weekday = params.get("weekday")
            if isinstance(weekday, int):
                words[name] = _nth_weekday(value[0][0], weekday, language)
            else:
                words[name] = length_in_words(value, language)
        elif name == "effect":
            words[name] = effect_in_words(value, language) if value else "—"
        elif name == "whose":
            words[name] = _pick(WHOSE[value], language)
        elif name == "holiday" and value:
            words[name] = " (jour férié)" if language == "fr" else " (public holiday)"
    return _capital(_pick(SENTENCES[line.op], language).format_map(words))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def explained(run: ClockRun, language: Language) -> list[str]:
    """Every line of a derivation as a sentence with its date and its articles."""
    found = []
    for line in run.derivation:
        date = (
            f"{day_in_words(line.date, language)} – "
            if line.date is not None and line.op.value != "date-absurd"
            else ""
        )
        basis = f" [{', '.join(line.articles)}]" if line.articles else ""
        found.append(f"{date}{line_in_words(line, language)}{basis}")
    return found


def summary(run: ClockRun, language: Language) -> str:
    """Where the clock is, in one sentence."""
    french = language == "fr"
    due = day_in_words(run.due_on, language) if run.due_on is not None else None
    if run.state is State.NOT_STARTED:
        return "Le délai n'est pas parti." if french else "The time has not started."
    if run.state is State.STOPPED and run.stopped_on is not None:
        day = day_in_words(run.stopped_on, language)
        text = f"Le délai s'est arrêté le {day}." if french else f"The time stopped on {day}."
        if run.took_effect is not None and run.took_on is not None:
            effect, born = effect_in_words(run.took_effect.value, language), day_in_words(run.took_on, language)
            text += (
                f" Le silence avait produit son effet le {born} : {effect}."
                if french
                else f" Silence had taken effect on {born}: {effect}."
            )
        return text
    if due is None:
        return _pick(NOT_RUNNING, language)
    effect = effect_in_words(run.effect.value, language)
    return (
        f"Dernier jour : {due}, jusqu'à minuit. Ensuite, {effect}."
        if french
        else f"Last day: {due}, until midnight. Then {effect}."
    )
