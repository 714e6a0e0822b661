"""What a database says went wrong: is it to be waited for, or has a person to change something?"""

from __future__ import annotations

import re

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NoSuchTableError, ProgrammingError, SQLAlchemyError

from connectors.kit.contract import ConfigError, ConnectorError, Unavailable

_CONFIG_STATES = ("25", "28", "3D", "3F", "42", "0A")
"""Classes of SQLSTATE that a person has to mend: a base that cannot be written, login, name of the base, names and rights, what
it cannot do."""
_CONFIG_MYSQL = {1044, 1045, 1049, 1054, 1064, 1142, 1143, 1146, 1227, 1290, 1698, 1792, 4151}
"""Login refused, no such base, column, syntax, rights, table, a base that cannot be written."""
_VALUE_MYSQL = {1264, 1292, 1366, 1406}
"""Out of range, no date, no such character in this column, too long."""
_CONFIG_ORACLE = re.compile(r"ORA-(00904|00942|01017|01031|12514|28000)\b")
_CONFIG_CLIENT = re.compile(
    r"no password supplied|does not support SSL|root certificate|certificate verify failed|certificate file|private key file"
)
"""What the client of PostgreSQL itself has against a connection, which no waiting mends."""
_BUSY = re.compile(
    r"starting up|shutting down|recovery|too many|remaining connection|démarr|arrêt|trop de|redémarrage|restauration",
    re.I,
)
"""PostgreSQL refuses a connection for now: at the connection no SQLSTATE comes through, and the text may be French."""


_MENDS = tuple(
    (re.compile(known, re.IGNORECASE), field, mend)
    for known, field, mend in (
        (r"password authentication|no password supplied|\(using password|ORA-01017|Login failed|par mot de passe", "password",
         "correct it, or the user in `url`"),
        (r"FATAL: +(role .* does not exist|le r.le .* n'existe pas)", "url", "correct its user"),
        (r"database .* does not exist|Unknown database|base de donn.*n'existe pas|ORA-12514", "url", "correct the name of the base"),
        (r"pg_hba\.conf|Host .* is not allowed", "url", "have the administrator of the database let this machine in"),
        (r"does not support SSL|certificate", "url", "correct sslmode and sslrootcert, or have the server's certificate mended"),
        (r"permission denied|command denied|droit refus", "", "ask for a user who may do this"),
    )
)  # fmt: skip
"""What a person has to change, and which field says it, by what the database tells."""


class ValueRefused(ConfigError):  # noqa: N818 - it says what is the case
    """A value and a column do not fit."""


def translate(error: SQLAlchemyError, secret: str = "") -> ConnectorError:
    """The error in the kit's terms; its text holds no value of a row and no secret."""
    if isinstance(error, NoSuchTableError):
        return ConfigError(f"there is no table {error}, or this user may not see it", "table")
    if not isinstance(error, DBAPIError):
        return Unavailable(f"the database gave no answer ({type(error).__name__})")
    if isinstance(error, DataError) or _code(error) in _VALUE_MYSQL:
        return ValueRefused("a value and its column do not fit: cast it in a `query`, or make the column wider")
    if isinstance(error, IntegrityError):
        mend = "only one connector may write to a table, and columns of your own need a default"
        return Unavailable(f"the table's constraints refuse a row: {mend}")
    said = _told(error, secret)
    if _mendable(error):
        field, mend = next(((field, mend) for known, field, mend in _MENDS if known.search(said)), ("", ""))
        return ConfigError(f"the database refuses: {said}" + (f": {mend}" if mend else ""), field)
    return Unavailable(f"the database is not there for now: {said}")


def _code(error: DBAPIError) -> object:
    """The number or state that the driver gives first."""
    return next(iter(getattr(error.orig, "args", ())), None)


def _mendable(error: DBAPIError) -> bool:
    """Whether a person has to change something."""
    raw = error.orig
    text = str(raw)
    state: str | None = getattr(raw, "sqlstate", None)
    first = _code(error)
    if isinstance(first, int):
        return first in _CONFIG_MYSQL or (isinstance(error, ProgrammingError) and first < 2_000)
    if state is None and isinstance(first, str) and re.fullmatch(r"[0-9A-Z]{5}", first):
        state = first  # ODBC
    if state is not None:
        return state.startswith(_CONFIG_STATES)
    if _CONFIG_ORACLE.search(text) or _CONFIG_CLIENT.search(text):
        return True
    if "FATAL:" in text:
        return not _BUSY.search(text)
    if "no such" in text or "unable to open" in text or "readonly" in text:
        return True  # SQLite
    return isinstance(error, ProgrammingError)


def _told(error: DBAPIError, secret: str) -> str:
    """What the driver says, if it is about names and rights and not about values."""
    args: tuple[object, ...] = getattr(error.orig, "args", ())
    text = str(args[1] if len(args) > 1 and isinstance(args[0], int) else error.orig)
    line = next((one for one in reversed(text.splitlines()) if "FATAL:" in one), text.partition("\n")[0])[:300]
    return line.replace(secret, "…") if secret else line
