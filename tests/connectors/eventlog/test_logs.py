"""Reading logs: XES and CSV, plain and gzipped, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from connectors.eventlog import tables, xes
from connectors.eventlog.log import LogError, Trace, is_xes

XES = """\ufeff<?xml version="1.0" encoding="UTF-8"?>
<log xmlns="http://www.xes-standard.org/">
  <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
  <string key="of the log" value="x"><int key="nested" value="1"/></string>
  <trace>
    <string key="concept:name" value="A-1"><string key="concept:name" value="nested"/></string>
    <list key="parts"><string key="concept:name" value="in a list"/></list>
    <event>
      <string key="concept:name" value="é &amp; &#233;"/>
      <date key="time:timestamp" value="2014-04-11T00:00:00+02:00"/>
      <container key="c"><string key="concept:name" value="nested"/></container>
    </event>
    <event/>
  </trace>
  <trace><event><int key="n" value="3"/></event></trace>
</log>
"""
EXPECTED = [
    Trace(
        "A-1", {"concept:name": "A-1"}, [{"concept:name": "é & é", "time:timestamp": "2014-04-11T00:00:00+02:00"}, {}]
    ),
    Trace("", {}, [{"n": "3"}]),
]


@pytest.mark.parametrize("packed", [False, True])
def test_xes_gives_its_traces(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("log.xes.gz" if packed else "log.xes")
    path.write_bytes(gzip.compress(XES.encode()) if packed else XES.encode())
    assert is_xes(path)
    assert list(xes.read(path)) == EXPECTED


def test_xes_is_read_trace_by_trace(tmp_path: Path) -> None:
    """What stands before an error, far enough, is given before it."""
    path = tmp_path / "log.xes"
    row = '<event><string key="concept:name" value="step"/></event>'
    path.write_text("<log>" + f"<trace>{row * 50}</trace>" * 100 + "</lag>")
    found = []
    with pytest.raises(LogError, match="not well-formed"):
        for trace in xes.read(path):
            found.append(len(trace.rows))
    assert len(found) > 50 and set(found) == {50}


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        ("<log><trace></log>", 1, "not well-formed XML"),
        ("", 1, "not well-formed XML"),
        ("<log>\n<event/></log>", 2, "in the trace of its case"),
        ('<!DOCTYPE log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<log><trace>&b;</trace></log>', 1, "document type"),
        ('<!DOCTYPE log SYSTEM "https://example.org/x.dtd"><log/>', 1, "document type"),
    ],
)
def test_xes_that_cannot_be_read_says_where(tmp_path: Path, text: str, line: int, mend: str) -> None:
    path = tmp_path / "log.xes"
    path.write_text(text)
    with pytest.raises(LogError, match=mend) as caught:
        list(xes.read(path))
    assert caught.value.line == line


def test_a_log_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.xes.gz"
    path.write_bytes(gzip.compress(XES.encode())[:-20])
    with pytest.raises(LogError, match="to its end"):
        list(xes.read(path))


def test_a_trace_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xes, "MAX_ROWS", 1)
    path = tmp_path / "log.xes"
    path.write_text(XES.removeprefix("\ufeff"))
    with pytest.raises(LogError, match="at most 1 events"):
        list(xes.read(path))


def test_csv_gathers_the_rows_of_a_case(tmp_path: Path) -> None:
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress('\ufeffcase;what\n2;"a\nb"\n1;c\n2;é\n'.encode()))
    assert not is_xes(path)
    assert list(tables.read(path, number="case", delimiter=";")) == [
        Trace("2", {}, [{"case": "2", "what": "a\nb"}, {"case": "2", "what": "é"}]),
        Trace("1", {}, [{"case": "1", "what": "c"}]),
    ]


@pytest.mark.parametrize(
    ("content", "line", "mend"),
    [
        (b"number,what\n1,a\n", 1, "no column 'case'"),
        (b"", 1, "no column 'case'"),
        (b"case,what\n1,a\n1\n", 3, "as many cells"),
        (b"case,what\n1,a,b\n", 2, "as many cells"),
        (b'case,what\n1,"a"b\n', 2, "not CSV"),
        (b"case,what\n1,\xe9\n", 0, "not in utf-8-sig"),
    ],
)
def test_csv_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, line: int, mend: str) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    with pytest.raises(LogError, match=mend) as caught:
        list(tables.read(path, number="case"))
    assert caught.value.line == line
