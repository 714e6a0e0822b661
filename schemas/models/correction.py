"""Links made, undone, and facts taken back."""

from __future__ import annotations

from typing import Literal

from schemas.models.base import Text
from schemas.models.header import Event


class CorrectionLinked(Event):
    """The owner of the subject says that it belongs with the references named."""

    type: Literal["correction.linked"] = "correction.linked"


class CorrectionRetracted(Event):
    """The source takes back a fact of its own on this subject."""

    type: Literal["correction.retracted"] = "correction.retracted"
    fact: Text
    """Id of the fact that is taken back."""


class CorrectionUnlinked(Event):
    """The owner of the subject says that it has nothing to do with the references named."""

    type: Literal["correction.unlinked"] = "correction.unlinked"
