"""Formats: what is sound is read as it was written, what is not is told with line and bytes, never turned into something else."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.files import reading
from connectors.files.formats.row import UnreadableError
from connectors.files.formats.unpack import Bounds, members
from connectors.files.source import FilesSource
from connectors.kit.contract import ConfigError, Record, Refused

PERMITS = "numero;objet\nA1;Véranda à l'arrière\nA2;Clôture œuvre\n"
XML = """<?xml version="1.0" encoding="{encoding}"?>
<e:export xmlns:e="urn:x"><entete/><dossiers>
 <dossier id="A1"><objet>Véranda</objet><piece>plan</piece><piece>photo</piece><demandeur><ville>Viriat</ville></demandeur></dossier>
 <dossier id="A2" note="a > b"/>
</dossiers></e:export>"""
CSV = {"kind": "csv"}
DOSSIERS = {"kind": "xml", "record": "export/dossiers/dossier"}


def read(content: bytes, form: dict[str, Any], name: str = "f", **config: Any) -> list[Record | Refused]:
    """All that a file gives."""
    given_ = {"place": {"folder": "/nowhere"}, "format": form, "key": ["numero"]} | config
    made = FilesSource.Config.model_validate(given_)
    return list(reading.records(io.BytesIO(content), name, len(content), made, reading.schema_of(made)))


def mends(found: list[Record | Refused]) -> list[str]:
    return [one.mend for one in found if isinstance(one, Refused)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "iso-8859-15"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_in_the_encodings_of_old_software(encoding: str, end: str) -> None:
    raw = PERMITS.replace("\n", end).encode(encoding)
    found = read(raw, CSV | {"encoding": encoding.removesuffix("-sig")})
    assert [one.content["objet"] for one in found if isinstance(one, Record)] == [
        "Véranda à l'arrière",
        "Clôture œuvre",
    ]
    assert found[1].raw == f"A2;Clôture œuvre{end}".encode(encoding.removesuffix("-sig"))


@pytest.mark.parametrize(
    ("written", "declared", "mend"),
    [
        ("windows-1252", "utf-8", "is no utf-8"),
        ("windows-1252", "iso-8859-1", "write encoding: windows-1252"),
        ("utf-8", "windows-1252", "write encoding: utf-8"),
        ("utf-8", "iso-8859-1", "write encoding: utf-8"),
    ],
)
def test_a_wrong_encoding_is_told_and_never_becomes_other_letters(written: str, declared: str, mend: str) -> None:
    raw = "numero;objet\nA0;rien\nA1;Véranda à l’arrière\nA2;rien\n".encode(written)
    found = read(raw, CSV | {"encoding": declared})
    assert [type(one) for one in found] == [Record, Refused, Record]
    assert mend in mends(found)[0] and "randa" not in mends(found)[0]
    assert (found[1].place, found[1].raw) == ("f, line 3", "A1;Véranda à l’arrière\n".encode(written))


def test_what_only_looks_like_utf_8_is_left_alone() -> None:
    text = "numero;objet\nA1;DÉCÉDÉ\u00a0: privé\nA2;PRIVÉ\u00a0:\n"
    assert mends(read(text.encode("windows-1252"), CSV | {"encoding": "windows-1252"})) == []


def test_a_mark_of_another_encoding_is_told() -> None:
    with pytest.raises(UnreadableError, match="write encoding: utf-8"):
        read(PERMITS.encode("utf-8-sig"), CSV | {"encoding": "windows-1252"})
    with pytest.raises(UnreadableError, match="UTF-16"):
        read(PERMITS.encode("utf-16"), CSV)


def test_dialects() -> None:
    assert read(b"numero,o\nA1,'x,''y\nz'\n", CSV | {"delimiter": ",", "quote": "'"})[0].content["o"] == "x,'y\nz"  # type: ignore[union-attr]
    assert read(b"Export du 12\nA1\t2\n", CSV | {"delimiter": "\t", "skip_lines": 1, "columns": ["numero", "n"]})[
        0
    ].content == {"numero": "A1", "n": "2"}  # type: ignore[union-attr]
    assert read(b"", CSV) == [] and read(b"numero;x\n", CSV) == []
    assert len(read(b"numero;x\n\nA1;2\n\n", CSV)) == 1


def test_broken_rows_are_refused_and_the_next_are_read() -> None:
    raw = b'numero;x\nA1;2;3\nA2;2\nA3\nA4;"a"b\nA5;\0\n;7\nA6;"2\n3"\n'
    found = read(raw, CSV)
    assert [one.key for one in found if isinstance(one, Record)] == ["A2", "A6"]
    assert [one.place for one in found if isinstance(one, Refused)] == [f"f, line {n}" for n in (2, 4, 5, 6, 7)]
    told = mends(found)
    assert "3 cells where 2" in told[0] and "quote" in told[2] and "zero bytes" in told[3] and "its key" in told[4]


@pytest.mark.parametrize(
    ("raw", "mend"),
    [
        (b"numero,x\nA1,2\n", "is the delimiter"),
        (b"numero;numero\n", "names a column twice"),
        (b"numero;\n", "not at all"),
        (b'numero;x\nA1;"2\nA2;3\n', "line 2: a quote opens here"),
        (b'numero;x\nA1;"' + b"x;\n" * 400_000, "line 2: a quote opens here"),
        (b"numero;x\nA1;" + b"x" * 1_100_000, "line 2: it is longer than"),
        ("num\xe9ro;x\n".encode("latin-1"), "in the header"),
    ],
)
def test_a_csv_file_that_cannot_be_read(raw: bytes, mend: str) -> None:
    with pytest.raises(UnreadableError, match=mend):
        read(raw, CSV)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5), st.sampled_from(";,\t|"))
def test_whatever_is_written_as_csv_is_read(rows: list[tuple[str, str]], delimiter: str) -> None:
    import csv  # noqa: PLC0415

    rows = [(a.replace("\0", ""), b.replace("\0", "")) for a, b in rows]
    rows = [(a.replace("\r", " "), b.replace("\r", " ")) for a, b in rows if a.strip()]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("numero", "x"), *rows])
    found = read(out.getvalue().encode(), CSV | {"delimiter": delimiter})
    assert [(one.content["numero"], one.content["x"]) for one in found if isinstance(one, Record)] == rows


def test_json_lines_and_json() -> None:
    raw = b'{"dossier": {"numero": "A1"}, "v": 3}\n\n[1]\n{"x": NaN}\n{\n' + b"[" * 100_000 + b"\n{}\n"
    found = read(raw, {"kind": "jsonl"}, key=["dossier.numero", "v"], version="v")
    assert isinstance(found[0], Record) and (found[0].key, found[0].version) == ('["A1", "3"]', "3")
    assert [one.place for one in found[1:]] == [f"f, line {n}" for n in (3, 4, 5, 6, 7)]
    whole = json.dumps([{"numero": 1}, 2, {"numero": "b"}]).encode()
    assert [getattr(one, "key", None) for one in read(whole, {"kind": "json"})] == ["1", None, "b"]
    assert len(read(b'{"numero": 1}', {"kind": "json"})) == 1
    for wrong, mend in ((b"3", "neither"), (b"{", "not JSON"), (b"\xff", "is no utf-8"), (b" " * 2_000_000, "larger")):
        with pytest.raises(UnreadableError, match=mend):
            read(wrong, {"kind": "json"})


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1252", "iso-8859-1"])
def test_xml(encoding: str) -> None:
    raw = XML.format(encoding=encoding).encode(encoding)
    first, second = read(raw, DOSSIERS, key=["@id"])
    assert isinstance(first, Record) and first.content == {
        "@id": "A1", "objet": "Véranda", "piece": ["plan", "photo"], "demandeur": {"ville": "Viriat"},
    }  # fmt: skip
    assert first.raw.startswith(b'<dossier id="A1">') and first.raw.endswith(b"</demandeur></dossier>")
    assert (second.raw, second.place) == (b'<dossier id="A2" note="a > b"/>', "f, line 4")


LAUGHS = """<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>
<export><dossiers><dossier id="&c;"/></dossiers></export>"""


@pytest.mark.parametrize(
    ("raw", "mend"),
    [
        (LAUGHS, "remove the document type"),
        ('<!DOCTYPE e SYSTEM "http://127.0.0.1:1/x.dtd"><export/>', "remove the document type"),
        ('<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]><export>&x;</export>', "remove the document type"),
        ("<a>" * 65 + "</a>" * 65, "more than 64 elements"),
        ("<export><dossiers>", "not well-formed"),
        ("<export/>", "there is no element export/dossiers/dossier; the root is export"),
        ("<export><dossiers><dossier>" + "<a/>" * 300_000 + "</dossier></dossiers></export>", "a record is larger"),
        ("", "not well-formed"),
    ],
)
def test_hostile_xml_is_refused(raw: str, mend: str) -> None:
    with pytest.raises(UnreadableError, match=mend):
        read(raw.encode(), DOSSIERS, key=["@id"])


def test_records_before_a_fault_are_read() -> None:
    raw = b'<export><dossiers><dossier id="A1"/><dossier id="A2"></dossiers></export>'
    found = []
    with pytest.raises(UnreadableError, match="line 1: this is not well-formed"):
        for one in reading.records(
            io.BytesIO(raw), "f", len(raw),
            FilesSource.Config.model_validate({"place": {"folder": "/x"}, "format": DOSSIERS, "key": ["@id"]}),
        ):  # fmt: skip
            found.append(one)
    assert len(found) == 1


def test_xml_against_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = tmp_path / "export.xsd"
    schema.write_text("""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="export"><xs:complexType>
      <xs:sequence><xs:element name="d" maxOccurs="unbounded"><xs:complexType><xs:attribute name="id" type="xs:int"/></xs:complexType>
      </xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>""")
    form = {"kind": "xml", "record": "export/d", "xsd": str(schema)}
    assert len(read(b'<export><d id="1"/><d id="2"/></export>', form, key=["@id"])) == 2
    packed = gzip.compress(b'<export><d id="1"/></export>')
    assert len(read(packed, form, "f.xml.gz", key=["@id"])) == 1
    with pytest.raises(UnreadableError, match="line 2: it does not satisfy its schema") as told:
        read(b'<export><d id="1"/>\n<d id="Dupont"/></export>', form, key=["@id"])
    assert "Dupont" not in str(told.value)
    with pytest.raises(UnreadableError, match=r"document type|schema"):
        read(LAUGHS.encode(), form, key=["@id"])
    monkeypatch.setattr("connectors.files.formats.xsd._TREE_BYTES", 1_000)  # from here on a file counts as large
    large = b"<export>" + b'<d id="1"/>' * 5_000
    assert len(read(large + b"</export>", form, key=["@id"])) == 5_000
    with pytest.raises(UnreadableError, match="it does not satisfy its schema"):
        read(large + b'<d id="x"/></export>', form, key=["@id"])
    schema.write_text("<xs:schema/>")
    with pytest.raises(ConfigError, match="is no XML schema"):
        read(b"<export/>", form)
    schema.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        read(b"<export/>", form)


def archive(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files:
            made.writestr(name, content)
    return out.getvalue()


def test_packed_files() -> None:
    raw = PERMITS.encode()
    assert len(read(gzip.compress(raw), CSV, "p.csv.gz")) == 2
    found = read(archive(("a.csv", raw), ("../../b.csv", raw)), CSV, "p.zip")
    assert [one.place for one in found] == [f"p.zip, file {f}, line {n}" for f in (1, 2) for n in (2, 3)]


@pytest.mark.parametrize(
    ("name", "raw", "mend"),
    [
        ("p.gz", gzip.compress(PERMITS.encode(), mtime=0)[:-12], "damaged or was cut"),
        ("p.gz", PERMITS.encode(), "damaged or was cut"),
        ("p.zip", archive(("a", PERMITS.encode()))[:-30], "no zip archive, or it was cut"),
        ("p.zip", b"", "no zip archive"),
        ("p.zip", archive(*((str(n), b"") for n in range(1_001))), "more than 1000 files"),
        ("p.zip", archive(("a", b"x")).replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"), "is encrypted"),
    ],
)
def test_damaged_archives(name: str, raw: bytes, mend: str) -> None:
    with pytest.raises(UnreadableError, match=mend):
        read(raw, CSV, name)


def test_a_bomb_is_refused_while_it_grows() -> None:
    bomb = archive(("a", b"\n" * 80_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError, match="unpacks to more than 200 times"):
            for _, stream in members(io.BytesIO(bomb), "b.zip", Bounds(1 << 40, 200, len(bomb))):
                while stream.read(1 << 16):
                    pass
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(UnreadableError, match="holds more than 1000 bytes"):
        for _, stream in members(io.BytesIO(bomb), "b.zip", Bounds(1000, 10**9, len(bomb))):
            stream.read(1 << 20)
