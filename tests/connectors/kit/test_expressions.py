"""Expressions: the short way says what the evaluator says, and errors repeat nothing of a record."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.kit.contract import Rejected
from connectors.kit.expressions import Expression, ExpressionError
from connectors.kit.tools import Tools, UnknownLabelError

TOOLS = Tools("viriat", "legacy", ZoneInfo("Europe/Paris"), {"t": {"A": "a", "B": None, "": "never"}})
LEAVES = ["a", "b", "a.b", "b.c", "nope", "`x y`", "'A'", "''", "3", "0", "true", "false"]
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "A", "B", "Z", "01/03/2026", "n"]),
    st.lists(st.sampled_from(["A", 1, None]), max_size=3), st.dictionaries(st.sampled_from("bc"), st.sampled_from(["A", 2, None])),
)  # fmt: skip
RECORDS = st.dictionaries(st.sampled_from(["a", "b", "x y"]), VALUES)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, st.sampled_from(["=", "!=", "&", "and", "or"]), inner)
    return st.one_of(
        two.map(lambda x: f"({x[0]}) {x[1]} ({x[2]})"),
        st.tuples(inner, inner, inner).map(lambda x: f"({x[0]}) ? ({x[1]}) : ({x[2]})"),
        inner.map(lambda x: f"$label('t', {x})"),
        inner.map(lambda x: f"$date({x})"),
        inner.map(lambda x: f"$case({x})"),
    )


def _bare(text: str) -> str:
    """Without the brackets that would make a block of every operand."""
    return text.replace("(", "").replace(")", "") if "$" not in text else text


def _told(evaluate: Any, record: dict[str, Any]) -> tuple[str, Any]:
    try:
        return "value", evaluate(record)
    except (ExpressionError, UnknownLabelError, Rejected) as error:
        return type(error).__name__, str(error)


@settings(max_examples=400, deadline=None)
@given(st.recursive(st.sampled_from(LEAVES), _grown, max_leaves=5).map(_bare), RECORDS)
def test_the_short_way_says_what_the_evaluator_says(text: str, record: dict[str, Any]) -> None:
    expression = Expression(text, TOOLS.functions())
    short, long = _told(expression, record), _told(expression.evaluate, record)
    assert short == long
    assert type(short[1]) is type(long[1])


def test_the_short_way_is_taken() -> None:
    for text in ("a", "a.b", "$date(a)", "$label('t', a) = 'a'", "a & '-' & b", "a ? b : 'x'", "a = 'x' and b != 'y'"):
        assert Expression(text, TOOLS.functions())._fast is not None, text
    for text in ("a[0]", "$sum(a)", "a.$date(b)", "[a]", "{'x': a}", "$x := 1"):
        assert Expression(text, TOOLS.functions())._fast is None, text


@pytest.mark.parametrize(
    ("value", "date", "instant"),
    [
        ("01/03/2026", "2026-03-01", "2026-03-01T00:00:00+01:00"),
        ("1.3.2026", "2026-03-01", "2026-03-01T00:00:00+01:00"),
        ("20260301", "2026-03-01", "2026-03-01T00:00:00+01:00"),
        ("01/07/2026 23:30", "2026-07-01", "2026-07-01T23:30:00+02:00"),
        ("2026-07-01T22:30:00Z", "2026-07-02", "2026-07-02T00:30:00+02:00"),
        ("2026-07-01T23:30:00.5", "2026-07-01", "2026-07-01T23:30:00.500+02:00"),
        ("", None, None),
        (None, None, None),
    ],
)
def test_dates_as_old_software_writes_them(value: Any, date: str | None, instant: str | None) -> None:
    assert (TOOLS.date(value), TOOLS.instant(value)) == (date, instant)


@pytest.mark.parametrize("text", ["31/02/2025", "hier", "1999", 20250732, "12/31/2025"])
def test_a_date_that_is_none_is_refused_and_not_repeated(text: Any) -> None:
    with pytest.raises(Rejected) as caught:
        TOOLS.date(text)
    assert str(text) not in str(caught.value)


@pytest.mark.parametrize("text", ["a &", "$nope(", "'x"])
def test_an_expression_that_cannot_be_read_says_where(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"JSONata error S\d+ at character \d+: (Unexpected|Expected|String)"):
        Expression(text, {})


def test_an_error_repeats_nothing_of_the_record() -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression("$number(a)", {})({"a": "DUPONT"})
    assert "DUPONT" not in str(caught.value)
    assert caught.value.code == "ValueError"
