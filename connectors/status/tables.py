"""Tables of the read model. All of one generation carry its number, so that a new one is built while the old one is read."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table

WITHDRAWN = "withdrawn"
"""State of a handoff whose tombstone said that it is no more; feeds still tell it."""

STATE = MetaData()
"""What is there once, whatever the generation."""

generations = Table(
    "relais_generations",
    STATE,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("serving", Boolean, nullable=False),  # exactly one serves once the first is ready
    Column("seq", BigInteger, nullable=False),  # number of the last change, the cursor of all feeds
    Column("updated", BigInteger, nullable=False),  # wall clock of the last write, ms since the epoch
)

dead_documents = Table(
    "relais_dead_documents",
    STATE,
    Column("handoff", String(160), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("sender", String(64), nullable=False, index=True),
    Column("fault", String(20), nullable=False),
    Column("since", Integer, nullable=False),  # day of the first check that found it so, days since the epoch
)
"""Documents that could not be fetched when that was last tried: no fact says so, and no generation rebuilds it."""


class Tables:
    """The tables of one generation."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.meta = meta = MetaData()

        def table(name: str, *columns: Column[object] | Index) -> Table:
            return Table(f"relais_{name}_{number}", meta, *columns)

        def index(name: str, *columns: str) -> Index:
            return Index(f"relais_{name}_{number}", *columns)

        self.positions = table(
            "positions",
            Column("topic", String(250), primary_key=True),
            Column("part", Integer, primary_key=True),
            Column("next", BigInteger, nullable=False),
        )
        """Offset of the next record to apply, of each partition."""
        self.rows = table(
            "rows",
            Column("key", LargeBinary(16), primary_key=True),
            Column("value", LargeBinary, nullable=False),
            Column("live", Boolean, nullable=False, index=True),
            Column("stamped", BigInteger, nullable=False),
        )
        """Statuses. A row that merged into another is kept, not live, while a reference is still shown by it."""
        self.listings = table(
            "listings",
            Column("ref", LargeBinary(16), primary_key=True),
            Column("row", LargeBinary(16), primary_key=True),
        )
        """Which live rows list which reference."""
        self.refs = table(
            "refs",
            Column("ref", LargeBinary(16), primary_key=True),
            Column("shown", LargeBinary(16), nullable=False, index=True),
        )
        """The row by which a reference is shown."""
        self.cases = table(
            "cases",
            Column("key", LargeBinary(16), primary_key=True),
            Column("row", LargeBinary(16), primary_key=True),
            Column("case", String(160), nullable=False),
            Column("body", String(64), nullable=False),
            Column("procedure", String(100)),
            Column("state", String(40), nullable=False),
            Column("since", Integer, nullable=False),
            Column("due_on", Integer),
            index("cases_body", "body", "due_on"),
            index("cases_row", "row"),
        )
        """Cases of live statuses; `due_on` is the first time limit that runs, in the file or in one handed over with the request."""
        self.handoffs = table(
            "handoffs",
            Column("key", LargeBinary(16), primary_key=True),
            Column("value", LargeBinary, nullable=False),
            Column("from_body", String(64), nullable=False),
            Column("to_body", String(64), nullable=False),
            Column("procedure", String(100)),
            Column("state", String(40), nullable=False),
            Column("sent_on", Integer, nullable=False),
            Column("due_on", Integer),
            Column("seq", BigInteger, nullable=False),
            index("handoffs_to", "to_body", "seq"),
            index("handoffs_from", "from_body", "seq"),
            index("handoffs_due", "state", "due_on"),
        )
        self.alerts = table(
            "alerts",
            Column("key", LargeBinary(16), primary_key=True),
            Column("value", LargeBinary, nullable=False),
            Column("case_key", LargeBinary(16), nullable=False, index=True),
            Column("body", String(64), nullable=False),
            Column("other", String(64)),
            Column("procedure", String(100)),
            Column("reason", String(40), nullable=False),
            Column("severity", String(20), nullable=False),
            Column("open", Boolean, nullable=False),
            Column("raised_on", Integer, nullable=False),
            Column("seq", BigInteger, nullable=False),
            index("alerts_open", "open", "body", "raised_on"),
        )
        self.facts = table(
            "facts",
            Column("root", LargeBinary(16), primary_key=True),
            Column("fact", LargeBinary(16), primary_key=True),
            Column("case_key", LargeBinary(16), nullable=False, index=True),
            Column("value", LargeBinary, nullable=False),
            index("facts_fact", "fact"),
        )
        """Facts as `journeys` has them (bus record `copy`); for a moment two roots may hold the same one."""
        self.claims = table(
            "claims",
            Column("root", LargeBinary(16), primary_key=True),
            Column("claim", LargeBinary(16), primary_key=True),
            Column("ref", LargeBinary(16), nullable=False),
            Column("case_key", LargeBinary(16), nullable=False),
            Column("body", String(64), nullable=False),
            Column("issuer", String(64), index=True),
            Column("procedure", String(100)),
            Column("claimed_on", Integer, nullable=False),
        )
        """References that a body named without owning them; waiting while both are shown by different rows."""
        self.letters = table(
            "letters",
            Column("part", Integer, primary_key=True),
            Column("place", BigInteger, primary_key=True),
            Column("value", LargeBinary, nullable=False),
            Column("reason", String(40), nullable=False),
            Column("topic", String(250), nullable=False),
            Column("stamped", BigInteger, nullable=False, index=True),
            index("letters_reason", "reason"),
        )
        """Dead letters, by partition and offset."""


@lru_cache(maxsize=8)
def tables(number: int) -> Tables:
    """The tables of a generation; the same object each time, so that compiled statements are kept."""
    return Tables(number)
