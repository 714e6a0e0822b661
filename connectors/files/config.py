"""Configuration of the source and the sink `files`."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, model_validator

from connectors.files.formats.objects import JsonFormat, JsonLinesFormat
from connectors.files.formats.table import CsvFormat
from connectors.files.formats.tree import XmlFormat
from connectors.files.place import Folder, Sftp
from connectors.kit.contract import ConnectorConfig

Format = Annotated[CsvFormat | JsonLinesFormat | JsonFormat | XmlFormat, Field(discriminator="kind")]
UNFINISHED = (".*", "~*", "*~", "*.tmp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.swp", "*.lock")
"""Names of files that somebody is still writing: never read, whatever the pattern."""


def _where(given: Any) -> str:
    """Which kind of place a configuration means: the one with a server is SFTP."""
    return "sftp" if isinstance(given, Sftp) or (isinstance(given, dict) and "sftp" in given) else "folder"


PlaceConfig = Annotated[Annotated[Folder, Tag("folder")] | Annotated[Sftp, Tag("sftp")], Discriminator(_where)]


class Ready(StrEnum):
    """How a file is known to be written to its end."""

    STABLE = "stable"
    """Its size and date do not change for `stable_s`."""
    MARKER = "marker"
    """A second, empty file with the same name and `marker` behind it has come: `permis.csv.done`."""
    RENAME = "rename"
    """Whoever writes it gives it its name when it is whole."""


class After(StrEnum):
    """What becomes of a file that was read."""

    MOVE = "move"
    """It goes to `done/` or `failed/` beside it."""
    KEEP = "keep"
    """Nothing: the account may only read. What was read is remembered as long as the file lies there."""


class FilesConfig(ConnectorConfig):
    """A folder, here or behind SFTP, in which files arrive."""

    place: PlaceConfig
    """`{folder: /srv/exports}`, or `{sftp: server, user: …, key: …, host_key: …, folder: …}`."""
    format: Format
    """`{kind: csv, delimiter: ";", encoding: windows-1252}`, `{kind: jsonl}`, `{kind: json}`, `{kind: xml, record: a/b/c}`."""
    pattern: str = Field("*", min_length=1, pattern=r"^[^/]+$")
    """Which names are read: `*.csv`, `permis_*.xml`. Of other files nothing is touched. A .gz or .zip is unpacked."""
    key: tuple[str, ...] = Field(min_length=1)
    """Where the record's own number stands: names of columns, or paths such as `dossier.numero`; several together are the key."""
    version: str | None = None
    """Where its version or transition number stands; none: changes of content are counted."""
    arrival: str = ""
    """Name of a field to add to each record: the instant at which its file was taken, with its offset; for receipts. Empty: none."""
    ready: Ready = Ready.STABLE
    """How a file is known to be whole: `stable`, `marker` or `rename`."""
    stable_s: float = Field(5.0, ge=0, le=3_600)
    """With `stable`: how long size and date may not change, in seconds."""
    marker: str = Field(".done", pattern=r"^\.[A-Za-z0-9_.-]+$")
    """With `marker`: what stands behind the name of the file whose coming says that it is whole."""
    after: After = After.MOVE
    """What becomes of a file: `move` (to done/ or failed/), or `keep` where the account may only read."""
    batch_records: int = Field(1_000, ge=1, le=20_000)
    """Records in one batch."""
    max_bytes: int = Field(8 * 1024**3, ge=1)
    """Bytes of one file, unpacked, at most."""
    max_ratio: int = Field(200, ge=1)
    """A packed file becomes at most so many times as large; beyond it is taken for a bomb."""
    max_record_bytes: int = Field(1024 * 1024, ge=1_000, le=64 * 1024**2)
    """Bytes of one record (of a whole file with `json`), at most."""

    @model_validator(mode="after")
    def _readable(self) -> FilesConfig:
        if self.arrival and self.after is After.KEEP:
            raise ValueError("arrival: files that stay are not taken: leave it out, or write after: move")
        if self.ready is Ready.MARKER and fnmatchcase(f"x{self.marker}", self.pattern) and self.pattern != "*":
            raise ValueError("marker: the pattern takes markers for files: change one")
        return self

    def wants(self, name: str) -> bool:
        """Whether a file of this name is read."""
        return (
            fnmatchcase(name, self.pattern)
            and not any(fnmatchcase(name, other) for other in UNFINISHED)
            and not (self.ready is Ready.MARKER and name.endswith(self.marker))
        )


class Receipt(StrEnum):
    """What tells that a body has received what was brought to it."""

    DELIVERY = "delivery"
    """That the file lies in its folder: for software that takes by itself whatever lies there."""
    FILE = "file"
    """The file that its software puts into `recus/`: read by a source `files` of its own."""


class FolderFormat(StrEnum):
    """How an item is written."""

    JSON = "json"
    CSV = "csv"


class FolderSinkConfig(ConnectorConfig):
    """A folder, here or behind SFTP, to which what is handed to a body is brought, one file an item."""

    place: PlaceConfig
    """`{folder: /srv/arrivee}`, or `{sftp: server, user: …, key: …, host_key: …, folder: …}`."""
    format: FolderFormat = FolderFormat.JSON
    """`json`, or `csv`: a header and one row."""
    delimiter: str = Field(";", min_length=1, max_length=1)
    """With `csv`: the character between two cells."""
    receipt: Receipt = Receipt.FILE
    """What is the receipt: `file` (the software puts the file into recus/), or `delivery`."""
    neutralise: bool = True
    """With `csv`: put an apostrophe before a cell that a spreadsheet would run as a formula (one that begins with = + - @, a tab or a
    carriage return). Only for a program that never opens it in a spreadsheet: false."""
