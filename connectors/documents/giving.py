"""A document as an answer: always a file to be saved, never a page, whatever its sender says of its type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import quote

import structlog
from starlette.responses import Response, StreamingResponse

from connectors.documents.shelf import Given
from connectors.kit.contract import ConnectorError

log = structlog.get_logger()
_ATTACHED = {
    "Content-Type": "application/octet-stream",  # what a sender says of a type is not believed: nothing is ever shown here
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_ENDINGS = {
    "application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png", "image/tiff": ".tif", "text/plain": ".txt", "text/csv": ".csv",
    "application/vnd.oasis.opendocument.text": ".odt", "application/vnd.oasis.opendocument.spreadsheet": ".ods",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
}  # fmt: skip
"""Of documents alone: a name that ends otherwise would make a program of it on somebody's machine."""


def given(found: Given, *, head: bool = False, name: str = "") -> Response:
    """The document. `name`: under which it is saved; else the browser's own."""
    named = f"; filename*=UTF-8''{quote(name, safe='')}" if name else ""
    headers = _ATTACHED | {"Content-Length": str(found.size), "Content-Disposition": f"attachment{named}"}
    return Response(headers=headers) if head else StreamingResponse(_until_it_fails(found.parts), headers=headers)


def file_name(label: str, type_: str) -> str:
    """A name for a document, from what its sender calls it."""
    plain = "".join(c if c.isalnum() or c in " -_'" else " " for c in label)
    return (" ".join(plain.split())[:80] or "document") + _ENDINGS.get(type_.partition(";")[0].strip().lower(), "")


async def _until_it_fails(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The parts; where they fail the answer is shorter than it said, by which the receiver knows."""
    try:
        async for part in parts:
            yield part
    except ConnectorError as error:
        log.error("a document could not be given whole", error=error.code)
