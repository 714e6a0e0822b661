"""The table of holidays against the State's published list and a library, every difference argued."""

import json
from datetime import date, timedelta
from pathlib import Path

import holidays as library
import pytest

from schemas import holidays
from schemas.yamltext import InvalidFilesError
from streams.engine.calendars import calendar_of, calendars, easter

TABLE = holidays.load()
STATE = json.loads((Path(__file__).parents[2] / "data" / "state_holidays.json").read_text("utf-8"))
YEARS = range(2008, 2032)
TERRITORIES = [territory.id for territory in TABLE.territories]


def ours(territory: str, *local: str) -> set[str]:
    calendar = calendar_of(TABLE, None, territory=territory, local=local)
    return {day.isoformat() for year in YEARS for day in calendar.of_year(year)}


def every(month_day: str, first: int = 2008, last: int = 2031) -> set[str]:
    return {f"{year}-{month_day}" for year in range(first, last + 1)}


def good_fridays() -> set[str]:
    return {(easter(year) - timedelta(days=2)).isoformat() for year in YEARS}


# (in ours, not in the State's list), (in the State's list, not in ours)
STATE_DIFFERS: dict[str, tuple[set[str], set[str]]] = {
    # The list has the abolition of slavery in Saint-Barthélemy for all years; the decree is of 23 April 2012.
    "saint-barthelemy": (set(), every("10-09", 2008, 2011)),
    # The list has no local days for the Pacific at all: their own labour law is not in the code du travail.
    "nouvelle-caledonie": (every("09-24"), set()),
    "polynesie-francaise": (every("03-05") | good_fridays() | every("06-29", 2008, 2024) | every("11-20", 2025), set()),
    "wallis-et-futuna": (every("04-28") | every("07-29"), set()),
}


@pytest.mark.parametrize("territory", TERRITORIES)
def test_against_the_list_of_the_state(territory: str) -> None:
    """2008 to 2031. Good Friday is in the list for all of Alsace-Moselle; here, by commune."""
    kept = ours(territory, "good-friday") if territory == "alsace-moselle" else ours(territory)
    state = set(STATE["metropole"]) | (set(STATE[territory]) if territory != "metropole" else set())
    more, less = STATE_DIFFERS.get(territory, (set(), set()))
    assert kept - state == more - state
    assert state - kept == less - kept


SUBDIVISIONS = {
    "metropole": None,
    "alsace-moselle": "57",
    "guadeloupe": "971",
    "martinique": "972",
    "guyane": "973",
    "la-reunion": "974",
    "saint-pierre-et-miquelon": "PM",
    "mayotte": "976",
    "saint-barthelemy": "BL",
    "saint-martin": "MF",
    "wallis-et-futuna": "WF",
    "polynesie-francaise": "PF",
    "nouvelle-caledonie": "NC",
}
MI_CAREME = {(easter(year) - timedelta(days=24)).isoformat() for year in YEARS}
LIBRARY_DIFFERS: dict[str, tuple[set[str], set[str]]] = {
    # Custom, not law: C. trav. L3422-2 names one local day for each, neither Mi-Carême, Good Friday nor 21 July.
    "guadeloupe": (set(), MI_CAREME | good_fridays() | every("07-21")),
    "martinique": (set(), every("07-21")),
    # The library starts 28 May in 2013 and adds 21 July; the circular that allows 28 May is of 4 May 2018, and the
    # code said 27 May until then.
    "saint-martin": (every("05-27", 2008, 2017), every("05-28", 2013, 2017) | every("07-21", 2012)),
    # 29 June is Saint Peter and Paul in the library; no basis was found.
    "wallis-et-futuna": (set(), every("06-29")),
}


@pytest.mark.parametrize("territory", TERRITORIES)
def test_against_a_library(territory: str) -> None:
    kept = ours(territory, "good-friday") if territory == "alsace-moselle" else ours(territory)
    theirs = {day.isoformat() for day in library.France(years=YEARS, subdiv=SUBDIVISIONS[territory])}
    more, less = LIBRARY_DIFFERS.get(territory, (set(), set()))
    assert kept - theirs == more - theirs
    assert theirs - kept == less - kept


def test_good_friday_is_kept_by_commune() -> None:
    friday = date(2026, 4, 3)
    assert calendar_of(TABLE, "67482").is_holiday(friday)
    assert not calendar_of(TABLE, "67001").is_holiday(friday)
    assert calendar_of(TABLE, "67001", local=["good-friday"]).is_holiday(friday)
    assert not calendar_of(TABLE, "75056", local=["good-friday"]).is_holiday(friday)
    assert calendar_of(TABLE, "67001").is_holiday(date(2026, 12, 26))


def test_saint_martin_keeps_what_bodies_keep_and_the_text_if_asked() -> None:
    """C. trav. L3422-2 and décret 2012-553 say 27 May; the circulars since 2018, the list of the State and practice 28 May."""
    plain, text = (calendar_of(TABLE, "97801", local=local) for local in ((), ["abolition-of-slavery-by-code"]))
    assert [plain.is_holiday(date(2026, 5, d)) for d in (27, 28)] == [False, True]
    assert [text.is_holiday(date(2026, 5, d)) for d in (27, 28)] == [True, True]
    assert [plain.is_holiday(date(2017, 5, d)) for d in (27, 28)] == [True, False]


@pytest.mark.parametrize(
    ("commune", "territory", "zone"),
    [
        ("2A004", "metropole", "Europe/Paris"),
        ("68224", "alsace-moselle", "Europe/Paris"),
        ("97411", "la-reunion", "Indian/Reunion"),
        ("97127", "saint-martin", "America/Marigot"),
        ("97801", "saint-martin", "America/Marigot"),
        ("97105", "guadeloupe", "America/Guadeloupe"),
        ("974", "la-reunion", "Indian/Reunion"),
        (None, "metropole", "Europe/Paris"),
    ],
)
def test_the_commune_gives_territory_and_zone(commune: str | None, territory: str, zone: str) -> None:
    calendar = calendars(TABLE)("metropole", "Europe/Paris", commune)
    assert (calendar.id, calendar.zone) == (territory, zone)


def test_what_a_directory_says_wins() -> None:
    calendar = calendars(TABLE)("polynesie-francaise", "Pacific/Marquesas", None)
    assert (calendar.id, calendar.zone) == ("polynesie-francaise", "Pacific/Marquesas")


def test_two_holidays_on_one_day_are_one_day_off() -> None:
    calendar = calendar_of(TABLE, "75056")
    assert calendar.is_holiday(date(2008, 5, 1))
    assert len(calendar.of_year(2008)) == 10


@pytest.mark.parametrize(
    ("year", "day"), [(1818, "03-22"), (1943, "04-25"), (2000, "04-23"), (2026, "04-05"), (2038, "04-25")]
)
def test_easter(year: int, day: str) -> None:
    assert easter(year).isoformat() == f"{year}-{day}"


def test_every_line_says_its_basis_and_how_sure_it_is() -> None:
    assert {line.sure for line in TABLE.lines} == {"read", "secondary", "unverified"}
    assert all(line.basis for line in TABLE.lines)


def test_all_problems_of_the_files_are_reported_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "territories.yaml").write_text("- {id: a, title: {fr: A, en: A}, zone: Europe/Paris, communes: ['']}\n")
    (tmp_path / "holidays.yaml").write_text(
        "- {id: x, title: {fr: X, en: X}, on: 13-01, in: [a], basis: b, sure: read}\n"
        "- {id: y, title: {fr: Y, en: Y}, in: [a], basis: b, sure: maybe}\n"
    )
    with pytest.raises(InvalidFilesError) as caught:
        holidays.load(tmp_path)
    assert {(problem.file, problem.line) for problem in caught.value.problems} == {
        ("holidays.yaml", 1),
        ("holidays.yaml", 2),
    }
