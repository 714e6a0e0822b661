"""What the last check of documents found, on both databases: replaced by the next, since when it is so kept."""

from __future__ import annotations

from datetime import date

from connectors.status.database import Database
from connectors.status.documents import DeadDocument, dead, keep

ONE = DeadDocument("handoff:gba:" + "1" * 32, "a" * 64, "gba", "gone")
TWO = DeadDocument("handoff:viriat:" + "2" * 32, "b" * 64, "viriat", "altered")


def days(database: Database, **of: str) -> list[tuple[str, int]]:
    with database.read() as connection:
        return [(one.sender, since) for one, since in dead(connection, **of)]


def test_a_check_takes_the_place_of_the_one_before(database: Database) -> None:
    keep(database, [ONE, TWO, ONE], date(1970, 1, 11))
    assert days(database) == [("gba", 10), ("viriat", 10)]
    keep(database, [TWO._replace(fault="gone")], date(1970, 1, 12))
    assert days(database) == [("viriat", 10)]
    assert (days(database, sender="gba"), days(database, handoff=TWO.handoff)) == ([], [("viriat", 10)])
    keep(database, [ONE, TWO], date(1970, 1, 13))
    assert days(database, sender="gba") == [("gba", 12)], "it was well in between"
    keep(database, [], date(1970, 1, 14))
    assert days(database) == []
