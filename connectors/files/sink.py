"""The sink `folder`: one file for each item, under a name that is the same when it is sent again, never seen half written."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from connectors.files.config import FolderFormat, FolderSinkConfig, Receipt
from connectors.files.place import place_of
from connectors.kit.contract import ConnectorError, Finding, Item, Outcome, Report, Sent

RECEIPTS = "recus"
"""Folder to which the body's software moves, or copies, what it has taken."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


class FolderSink:
    """Brings what is handed to a body into a folder."""

    Config: ClassVar[type[FolderSinkConfig]] = FolderSinkConfig

    def __init__(self, config: FolderSinkConfig) -> None:
        self._config = config
        self._place = place_of(config.place)
        self._ready = False

    async def check(self) -> Report:
        """Whether the folder is there and can be written."""
        try:
            await self._place.entries("")
            ok = await self._place.writable("")
        except ConnectorError as error:
            return Report([Finding(False, self._place.name, str(error))])
        return Report([Finding(ok, f"{self._place.name} can be written", "" if ok else "let this account write there")])

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Write each item. A name is made from the item's id, so a repeat writes the same file again."""
        if not self._ready:
            if self._config.receipt is Receipt.FILE:
                await self._place.make(RECEIPTS)
            self._ready = True
        for item in items:
            await self._place.put(self.name_of(item), self._text(item).encode("utf-8"))
        delivered = self._config.receipt is Receipt.DELIVERY
        return [Sent(receipt=delivered and item.kind == "handoff" and not item.gone) for item in items]

    def name_of(self, item: Item) -> str:
        """The name of an item's file; ids are opaque, so a digest stands for them."""
        digest = hashlib.sha256(item.id.encode()).hexdigest()[:32]
        return f"{item.kind}-{digest}.{self._config.format}"

    def _text(self, item: Item) -> str:
        whole = {
            "id": item.id, "kind": item.kind, "key": item.key, "gone": item.gone,
            "content": item.content, "documents": list(item.documents),
        }  # fmt: skip
        if self._config.format is FolderFormat.JSON:
            return json.dumps(whole, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
        cells = dict(_flat(whole))
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self._config.delimiter, lineterminator="\r\n")
        writer.writerow(cells)
        writer.writerow([neutral(v) if self._config.neutralise else v for v in cells.values()])
        return "\ufeff" + out.getvalue()  # the mark, without which a French spreadsheet takes it for windows-1252

    async def close(self) -> None:
        """Let go of the place."""
        await self._place.close()


def neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP, CSV injection): an apostrophe before one that would be."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Cells by name: objects as `content.state`, lists as JSON."""
    for name, one in value.items():
        if isinstance(one, Mapping) and one:
            yield from _flat(one, f"{before}{name}.")
        elif one is None or isinstance(one, str):
            yield before + name, one or ""
        else:
            yield before + name, json.dumps(one, ensure_ascii=False, sort_keys=True)
