"""What all models of the contract share: frozen, closed, strict about types, and the way to and from the codec's
datum."""

from __future__ import annotations

import re
import types
import typing
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

DATUM = {"datum": True}
"""Validation context: values come from the codec (dates are days since 1970-01-01, instants milliseconds since the
epoch)."""

_EPOCH = date(1970, 1, 1).toordinal()
_EPOCH_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
"""RFC 3339 date-time with its offset (section 5.6, upper-case letters only)."""


def _day(value: Any, info: ValidationInfo) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and info.context is DATUM:
        try:
            return date.fromordinal(_EPOCH + value)
        except (ValueError, OverflowError):
            raise ValueError("not a day of the years 1 to 9999") from None
    if isinstance(value, str) and _ISO_DATE.fullmatch(value):
        return date.fromisoformat(value)
    raise ValueError("write a date as YYYY-MM-DD")


def _instant(value: Any, info: ValidationInfo) -> datetime:
    if isinstance(value, int) and not isinstance(value, bool) and info.context is DATUM:
        try:
            return _EPOCH_INSTANT + timedelta(milliseconds=value)
        except OverflowError:
            raise ValueError("not an instant of the years 1 to 9999") from None
    if isinstance(value, str) and INSTANT.fullmatch(value):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.replace(microsecond=value.microsecond // 1000 * 1000).astimezone(UTC)
    raise ValueError("write an instant as RFC 3339 with its offset")


def _encodable(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("write a text of valid Unicode characters") from None
    return text


Text = Annotated[str, Field(strict=True), AfterValidator(_encodable)]
"""A text; what it may hold is checked by `schemas.checks`."""
Whole = Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)]
"""A whole number of 64 bits."""
Small = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
"""A whole number of 32 bits."""
Flag = Annotated[bool, Field(strict=True)]
"""True or false."""
Day = Annotated[date, BeforeValidator(_day)]
"""A local date; never a number or an instant."""
Instant = Annotated[datetime, BeforeValidator(_instant)]
"""An instant to the millisecond, kept in UTC."""


class Model(BaseModel):
    """A frozen, closed record."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


_AS_IT_IS = frozenset({str, int, bool, type(None)})


def plain(value: Any) -> Any:
    """The value as the codec writes it."""
    if type(value) in _AS_IT_IS:  # most of them
        return value
    if isinstance(value, Enum):
        return value._value_  # `value` asks Python, every time
    if isinstance(value, tuple):
        return [plain(v) for v in value]
    if isinstance(value, date):
        instant = isinstance(value, datetime)
        return (value - _EPOCH_INSTANT) // timedelta(milliseconds=1) if instant else value.toordinal() - _EPOCH
    if isinstance(value, Model):  # last: pydantic answers this slowly
        datum = dict(value.__dict__)
        for name in _changing(type(value)):
            if (item := datum[name]) is not None:
                datum[name] = plain(item)
        return datum
    return value


@cache
def _changing(model: type[Model]) -> tuple[str, ...]:
    """Fields of a model that the codec writes in another form."""
    return tuple(name for name, field in model.model_fields.items() if not _as_it_is(field.annotation))


def _as_it_is(hint: Any) -> bool:
    inner = get_args(hint)
    match get_origin(hint):
        case typing.Annotated:
            return _as_it_is(inner[0])
        case typing.Union | types.UnionType:
            return all(map(_as_it_is, inner))
        case typing.Literal:
            return True  # texts alone
    return hint in _AS_IT_IS
