"""The calendar of one body: public holidays of its territory, its own closures, its legal time zone. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import NamedTuple

from schemas.holidays import HolidayTable

SATURDAY, SUNDAY = 5, 6
METROPOLE, PARIS = "metropole", "Europe/Paris"


class Holiday(NamedTuple):
    """One dated line of the table of holidays: either (`month`, `day`) or `easter`, in days from Easter Sunday.

    `first` and `last` bound its validity.
    """

    id: str
    month: int = 0
    day: int = 0
    easter: int | None = None
    first: date | None = None
    last: date | None = None

    def on(self, year: int) -> date | None:
        """The date of this holiday in `year`, if it is one then."""
        when = (
            easter(year) + timedelta(days=self.easter) if self.easter is not None else date(year, self.month, self.day)
        )
        if (self.first and when < self.first) or (self.last and when > self.last):
            return None
        return when


class Closure(NamedTuple):
    """A period, both ends included, in which a body does not work (they are not public holidays)."""

    first: date
    last: date


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Gauss's method in the form of Meeus)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


class Calendar:
    """Working days of one body. Immutable in what it says; remembers each year it was asked for."""

    __slots__ = ("_years", "closures", "holidays", "id", "memo", "warned", "weekend", "zone")

    def __init__(
        self,
        id: str,  # noqa: A002
        zone: str,
        holidays: Iterable[Holiday],
        closures: Iterable[Closure] = (),
        weekend: frozenset[int] = frozenset({SATURDAY, SUNDAY}),
    ) -> None:
        """`zone`: IANA name. `weekend`: weekdays not worked (Monday is 0)."""
        self.id = id
        self.zone = zone
        self.holidays = tuple(holidays)
        self.closures = tuple(closures)
        self.weekend = weekend
        self._years: dict[int, dict[date, str]] = {}
        self.memo: dict[tuple[object, ...], int] = {}
        """Results of counting with this calendar, kept by those who count."""
        self.warned: dict[tuple[object, ...], tuple[tuple[int, int], ...]] = {}
        """Days and instants of warnings before an end, kept in the same way."""

    def _of(self, year: int) -> dict[date, str]:
        found = self._years.get(year)
        if found is None:
            found = {}
            for holiday in self.holidays:
                when = holiday.on(year)
                if when is not None:
                    found[when] = holiday.id
            self._years[year] = found
        return found

    def holiday(self, day: date) -> str | None:
        """Id of the public holiday on `day`, if any."""
        return self._of(day.year).get(day)

    def is_holiday(self, day: date) -> bool:
        """Whether `day` is a public holiday in the body's territory."""
        return day in self._of(day.year)

    def is_closed(self, day: date) -> bool:
        """Whether `day` lies in one of the body's own closures."""
        return any(closure.first <= day <= closure.last for closure in self.closures)

    def is_ouvrable(self, day: date) -> bool:
        """Monday to Saturday except public holidays."""
        return day.weekday() != SUNDAY and not self.is_holiday(day)

    def is_legally_working(self, day: date) -> bool:
        """Not a Saturday, a Sunday or a public holiday: where CPC 642 lets a limit end. Closures do not count."""
        return day.weekday() < SATURDAY and not self.is_holiday(day)

    def is_ouvre(self, day: date) -> bool:
        """A day actually worked: not a weekend day, a public holiday or a closure."""
        return day.weekday() not in self.weekend and not self.is_holiday(day) and not self.is_closed(day)

    def of_year(self, year: int) -> dict[date, str]:
        """Public holidays of a year, in order of date: date to id."""
        return dict(sorted(self._of(year).items()))


def calendar_of(
    table: HolidayTable,
    commune: str | None,
    *,
    territory: str | None = None,
    zone: str | None = None,
    closures: Iterable[Closure] = (),
    local: Iterable[str] = (),
) -> Calendar:
    """The calendar of a body whose seat is in `commune` (INSEE code; metropolitan France if unknown).

    `territory` and `zone` override what follows from the commune. `local` names holiday lines kept in that commune
    only, such as `good-friday`, beside those that the table lists; an unlisted commune does not keep them.
    """
    place = (table.named(territory) if territory else None) or table.territory(commune)
    kept = {*local, *(name for name, communes in place.listed.items() if commune in communes)}
    holidays = [
        Holiday(line.id, *_month_day(line.on), line.easter, line.first, line.last)
        for line in table.of(place.id)
        if line.communes is None or line.id in kept
    ]
    return Calendar(place.id, zone or place.zone, holidays, closures)


def calendars(table: HolidayTable) -> Callable[[str, str, str | None], Calendar]:
    """What makes a calendar of (territory, zone, INSEE code) as a directory of bodies gives them.

    A directory that says no more than its defaults (metropole, Europe/Paris) leaves the word to the INSEE code: a body
    in La Réunion entered without a territory still has its own holidays and its own midnight.
    """

    def make(territory: str, zone: str, commune: str | None) -> Calendar:
        own = territory if territory != METROPOLE else None
        return calendar_of(table, commune, territory=own, zone=zone if zone != PARIS else None)

    return make


def _month_day(text: str | None) -> tuple[int, int]:
    return (int(text[:2]), int(text[3:])) if text else (0, 0)
