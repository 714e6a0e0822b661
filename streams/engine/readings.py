"""Values of a question as people write them: days, closures, a place. What is wrong goes into a list; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from schemas.holidays import HolidayTable
from streams.engine.calendars import Calendar, Closure, calendar_of
from streams.engine.counting import FIRST_DAY, LAST_DAY, sane, to_date, to_day

DATE_FIELDS = frozenset({"received_on", "due_on", "notified_on", "available_on", "signed_on", "until"})
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_COMMUNE = re.compile(r"(?:0[1-9]|1\d|2[1-9AB]|[3-8]\d|9[0-5]|97[1-8]|98[46-9])[0-9]{0,3}")
"""An INSEE code, or its beginning: a département or a collectivity overseas that exists."""


def day(value: Any, where: str, problems: list[str]) -> int | None:
    """Days since 1970-01-01 of a date, which is written 2026-03-02 and nothing else."""
    try:
        if not isinstance(value, date):
            value = date.fromisoformat(value if _DAY.fullmatch(value) else "")
        elif isinstance(value, datetime):
            raise TypeError
    except (TypeError, ValueError):
        problems.append(f"{where}: a date reads 2026-03-02")
        return None
    found = to_day(value)
    if not sane(found):
        problems.append(f"{where}: a date lies between {to_date(FIRST_DAY)} and {to_date(LAST_DAY)}")
        return None
    return found


def field(name: str, value: Any, where: str, problems: list[str]) -> Any:
    """A field of a fact: a day if it holds one."""
    return (
        day(value, where, problems) if value is not None and (name in DATE_FIELDS or isinstance(value, date)) else value
    )


def calendar(question: Mapping[str, Any], table: HolidayTable, problems: list[str]) -> Calendar | None:
    """The calendar of `territory`, `zone`, `closures` and `local`; `None` if something is wrong with them or before them."""
    place, zone = question.get("territory"), question.get("zone")
    if zone is not None and not _is_zone(zone):
        problems.append(f"there is no time zone {zone!r}")
    named = table.named(place) if isinstance(place, str) else None
    if place is not None and named is None:
        if not isinstance(place, str):  # YAML reads 01004 as the number 516
            problems.append("`territory` is a text, in quotes: an INSEE code or the id of a territory")
        elif not _COMMUNE.fullmatch(place):
            problems.append(f"there is no territory {place!r}: give an INSEE code or the id of a territory")
    local = _local(question.get("local"), table, problems)
    closures = _closures(question.get("closures"), problems)
    if problems:
        return None
    return calendar_of(table, place, territory=named.id if named else None, zone=zone, closures=closures, local=local)


def _is_zone(name: Any) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        return False
    return True


def _local(value: Any, table: HolidayTable, problems: list[str]) -> Sequence[str]:
    known = sorted({line.id for line in table.lines if line.communes == "listed"})
    if value is None or (isinstance(value, list | tuple) and all(name in known for name in value)):
        return value or ()
    problems.append(f"`local` is a list of holidays kept in some communes only: {', '.join(known)}")
    return ()


def _closures(value: Any, problems: list[str]) -> list[Closure]:
    found: list[Closure] = []
    if value is not None and not isinstance(value, list | tuple):
        problems.append("`closures` is a list of pairs: first and last day")
        return found
    for place, pair in enumerate(value or ()):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            problems.append(f"closures.{place}: first and last day")
            continue
        first, last = (day(item, f"closures.{place}", problems) for item in pair)
        if first is not None and last is not None:
            if last < first:
                problems.append(f"closures.{place}: the last day lies before the first")
            found.append(Closure(to_date(first), to_date(last)))
    return found
