"""A question about one clock, as a person or a program writes it, and its answer. Pure; the command line and the API use it.

A question is an object: `rule` (the name of a clock, `procedure/clock`, or a rule written out), `facts` (objects with `type`,
`date` and payload fields), `territory` (INSEE code of the commune where the body has its seat, or the id of a
territory), and, if wanted, `zone`, `local`, `closures`, `received_first`, `received_competent`, `today`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from schemas.definitions import Definitions
from schemas.holidays import HolidayTable
from schemas.meaning import clock_problems, fact_problems
from schemas.rules import SILENCE, Clock, Trigger
from schemas.types import RANK
from streams.engine import clocks, readings, silence, words
from streams.engine.calendars import Calendar
from streams.engine.clocktypes import ClockContext, ClockRun, Line
from streams.engine.counting import to_date
from streams.engine.impact import Passing, Subject
from streams.engine.rules import ClockRule

_KEYS = frozenset(
    {"rule", "facts", "territory", "zone", "local", "closures", "received_first", "received_competent", "today", "id"}
)
_CASE_KEYS = (_KEYS - {"rule", "today", "id"}) | {"case", "procedure"}


class QuestionError(ValueError):
    """A question that cannot be answered; `problems` says everything that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class QuestionFact(NamedTuple):
    """A fact as a question states it; its key is its `id`, or its place in the list."""

    type: str
    date: int
    key: bytes
    data: Mapping[str, Any]
    body: str = ""


class Asked(NamedTuple):
    """A question that was understood."""

    rule: ClockRule
    facts: tuple[QuestionFact, ...]
    context: ClockContext
    today: int | None


class Desk:
    """Answers questions with one set of named clocks, journey definitions and holidays; keeps what it compiled."""

    def __init__(self, named: Mapping[str, Clock], definitions: Definitions, table: HolidayTable) -> None:
        self._named = named
        self._definitions = definitions
        self._table = table
        self._rules: dict[str, ClockRule] = {}
        self._calendars: dict[str, Calendar] = {}

    def read(self, question: Any) -> Asked:
        """Understand a question, or raise `QuestionError` with all that is wrong."""
        if not isinstance(question, Mapping):
            raise QuestionError(["a question is an object with `rule` and `facts`"])
        problems = [f"there is no key {key!r} in a question" for key in sorted(map(str, question)) if key not in _KEYS]
        facts = self._facts(question.get("facts"), problems)
        days = {
            name: readings.day(question[name], name, problems)
            for name in ("received_first", "received_competent", "today")
            if question.get(name) is not None
        }
        calendar = self._calendar(question, problems)
        start = to_date(facts[0].date) if facts else None
        rule = self._rule(question.get("rule"), start, problems)
        if problems or rule is None or calendar is None:
            raise QuestionError(problems)
        context = ClockContext(calendar, calendar.zone, days.get("received_first"), days.get("received_competent"))
        return Asked(rule, facts, context, days.get("today"))

    def answer(self, question: Any, *, explain: bool = True) -> dict[str, Any]:
        """The answer as plain data; dates as ISO 8601. Raises `QuestionError`."""
        asked = self.read(question)
        run = clocks.run(asked.rule, asked.facts, asked.context, explain=True)
        assert run is not None
        return as_data(run, asked, explain=explain)

    def subject(self, value: Any) -> Subject:
        """A case written like a question, with `case` and `procedure` in the place of `rule`; raises `QuestionError`."""
        if not isinstance(value, Mapping):
            raise QuestionError(["a case is an object with `case`, `procedure` and `facts`"])
        problems = [f"there is no key {key!r} in a case" for key in sorted(map(str, value)) if key not in _CASE_KEYS]
        facts = self._facts(value.get("facts"), problems)
        days = {
            name: readings.day(value[name], name, problems)
            for name in ("received_first", "received_competent")
            if value.get(name) is not None
        }
        problems += [f"`{name}` is a text" for name in ("case", "procedure") if not isinstance(value.get(name), str)]
        calendar = self._calendar(value, problems)
        if not facts and not problems:
            problems.append("a case has at least one fact")
        if problems or calendar is None:
            raise QuestionError(problems)
        passings: dict[str, list[QuestionFact]] = {}
        for fact in facts:
            if fact.type.startswith("handoff."):
                passings.setdefault(str(fact.data.get("handoff") or ""), []).append(fact)
        return Subject(
            value["case"],
            value["procedure"],
            facts[0].date,
            facts,
            calendar,
            days.get("received_first"),
            days.get("received_competent"),
            [Passing(name, str(told[0].data.get("kind")), told, calendar, calendar) for name, told in passings.items()],
        )

    def _rule(self, value: Any, start: date | None, problems: list[str]) -> ClockRule | None:
        if isinstance(value, Mapping):
            return _written_out(value, problems)
        if not isinstance(value, str):
            problems.append("`rule` is the name of a clock, `procedure/clock`, or a rule written out")
            return None
        procedure, slash, name = value.partition("/")
        if not slash:
            clock = self._named.get(value)
        else:
            journey = self._definitions.find(procedure, start) if start else None
            clock = next((clock for clock in journey.clocks if clock.id == name), None) if journey else None
            if journey is None and any(journey.procedure == procedure for journey in self._definitions):
                problems.append(f"no version of {procedure!r} is in force on {start or 'an unknown day: give a fact'}")
                return None
        if clock is None:
            problems.append(f"there is no clock named {value!r}: relais clock rules lists them")
            return None
        key = f"{value}@{start}" if slash else value
        return self._rules.get(key) or self._rules.setdefault(key, ClockRule(clock))

    def _facts(self, value: Any, problems: list[str]) -> tuple[QuestionFact, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            problems.append("`facts` is a list")
            return ()
        found = []
        for place, item in enumerate(value):
            where = f"facts.{place}"
            if not isinstance(item, Mapping) or not isinstance(item.get("type"), str) or "date" not in item:
                problems.append(f"{where}: a fact has at least a `type` and a `date`")
                continue
            day = readings.day(item["date"], f"{where}.date", problems)
            data = {
                str(name): readings.field(str(name), content, f"{where}.{name}", problems)
                for name, content in item.items()
                if name not in ("type", "date", "id")
            }
            if item["type"] != SILENCE:  # on no bus, but a clock may follow from it: the time to appeal
                problems += [f"{where}: {problem}" for problem in fact_problems(item["type"], data)]
            key = str(item.get("id", place + 1)).encode("utf-8", "backslashreplace")
            found.append(QuestionFact(item["type"], day or 0, key, data))
        return tuple(sorted(found, key=lambda fact: (fact.date, RANK.get(fact.type, 0))))

    def _calendar(self, question: Mapping[str, Any], problems: list[str]) -> Calendar | None:
        key = repr([question.get(name) for name in ("territory", "zone", "closures", "local")])
        found = self._calendars.get(key)
        if found is None:
            made: list[str] = []
            found = readings.calendar(question, self._table, made)
            problems += made
            if found is not None:
                self._calendars[key] = found
        return found


def _written_out(value: Mapping[str, Any], problems: list[str]) -> ClockRule | None:
    try:
        clock = Clock.model_validate({"id": "own", "title": {"fr": "Délai", "en": "Time limit"}, **value})
    except ValidationError as error:
        problems += [
            f"rule.{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)
        ]
        return None
    wrong = [f"rule: {problem}" for problem in clock_problems(clock)]
    problems += wrong
    return None if wrong else ClockRule(clock)


def _iso(day: int | None) -> str | None:
    return None if day is None else to_date(day).isoformat()


def _plain(value: Any, *, is_date: bool) -> Any:
    if isinstance(value, tuple):
        return [_plain(item, is_date=False) for item in value]
    return _iso(value) if is_date and isinstance(value, int) else value


def line_as_data(line: Line) -> dict[str, Any]:
    """One line of a derivation as plain data, with its words."""
    dates = {"day", "start", "end", "due", "born", "last", "first", "own", "limit", "until"}
    return {
        "op": line.op.value,
        "date": _iso(line.date) if line.op.value != "date-absurd" else None,
        "fact": line.key.decode("utf-8", "backslashreplace") if line.key is not None else None,
        "articles": list(line.articles),
        "params": {name: _plain(value, is_date=name in dates) for name, value in line.params},
        "words": {"fr": words.line_in_words(line, "fr"), "en": words.line_in_words(line, "en")},
    }


def as_data(run: ClockRun, asked: Asked, *, explain: bool) -> dict[str, Any]:
    """A run as plain data."""
    zone = ZoneInfo(asked.context.zone)
    due_at = None if run.due_at is None else datetime.fromtimestamp(run.due_at / 1000, UTC).astimezone(zone).isoformat()
    found: dict[str, Any] = {
        "rule": run.rule,
        "state": run.state.value,
        "started_on": _iso(run.started_on),
        "due_on": _iso(run.due_on),
        "due_at": due_at,
        "effect": run.effect.value,
        "born_on": _iso(run.born_on),
        "waiting_for": run.waiting_for,
        "stopped_on": _iso(run.stopped_on),
        "took_effect": run.took_effect.value if run.took_effect else None,
        "took_on": _iso(run.took_on),
        "pauses": [[_iso(first), _iso(last)] for first, last in run.pauses],
        "overdue": [[_iso(first), _iso(last)] for first, last in run.episodes],
        "summary": {"fr": words.summary(run, "fr"), "en": words.summary(run, "en")},
    }
    if asked.today is not None:
        had = silence.took_effect(run, asked.today)
        found["overdue"] = [[_iso(first), _iso(last)] for first, last in run.overdue(asked.today)]
        found["silence"] = {"effect": had.data["effect"], "on": _iso(had.date)} if had else None
    if explain:
        found["unverified"] = _unverified(run, asked.rule.clock)
        if run.start is None:
            found["started_by"] = [_trigger(trigger) for trigger in asked.rule.clock.starts]
        found["derivation"] = [line_as_data(line) for line in run.derivation]
    return found


def _unverified(run: ClockRun, clock: Clock) -> list[dict[str, str | None]]:
    """Articles that this answer rests on and that were not read in a version in force."""
    used = {article for line in run.derivation for article in line.articles}
    changes = [article for modifier in clock.modifiers for article in modifier.articles if article.ref in used]
    found = dict.fromkeys(article for article in (*clock.articles, *changes) if not article.verified)
    return [{"article": a.ref, "mark": a.mark.value, "version": a.on.isoformat() if a.on else None} for a in found]


def _trigger(trigger: Trigger) -> str:
    wanted = [f"{name}: {' | '.join(map(str, values))}" for name, values in sorted(trigger.where.items())]
    return f"{trigger.on} ({'; '.join(wanted)})" if wanted else trigger.on
