"""The Confluent framing, read by the ids of a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas import catalog, registry
from schemas.codec import Codec, CodecFault, DecodeError, reframed
from tests.support.facts import case, event

VALUE = event("case.opened", case("viriat", "PC1"), 20_000, 1)


def framed(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + VALUE[10:]


def test_both_framings_give_the_same(tmp_path: Path) -> None:
    file = tmp_path / "ids.json"
    file.write_text(json.dumps({"17": "case.opened.1"}))
    codec = Codec(catalog.events(), registry.load(file))
    assert codec.decode(framed(17)) == codec.decode(VALUE)
    assert reframed(codec.decode(framed(17))[0], framed(17)) == VALUE == reframed(codec.decode(VALUE)[0], VALUE)
    with pytest.raises(DecodeError) as error:
        codec.decode(framed(18))
    assert error.value.fault is CodecFault.UNKNOWN_SCHEMA


def test_without_ids_the_framing_is_unknown() -> None:
    with pytest.raises(DecodeError) as error:
        Codec(catalog.events()).decode(framed(17))
    assert error.value.fault is CodecFault.UNKNOWN_FRAMING


@pytest.mark.parametrize("text", ["[]", "{", '{"x": "case.opened.1"}', '{"1": "case.nothing.1"}'])
def test_an_unsound_file_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ids.json"
    file.write_text(text)
    with pytest.raises(registry.UnsoundIdsError, match=r"ids\.json"):
        registry.load(file)
