"""One contract for every store, and what only the one on disk can suffer."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.runtime.config import RuntimeConfig, StoreKind
from streams.runtime.rocks import META, RocksStore, Stores
from streams.runtime.store import MemoryStore, Store, StoreDamaged

Open = Callable[[], Store]


def stores(folder: Path, kind: StoreKind = StoreKind.ROCKSDB) -> Stores:
    config = RuntimeConfig(
        brokers=("localhost:1",), group="g", data_dir=folder, store=kind, store_cache_mb=8, store_buffer_mb=8
    )
    return Stores(config)


@pytest.fixture(params=list(StoreKind))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return stores(tmp_path, request.param).open("stage", 3)


def test_an_empty_store(store: Store) -> None:
    assert (store.position(), store.written_at(), store.get(b"a"), list(store.items())) == (0, 0, None, [])
    assert store.get_many([]) == []


def test_what_is_written_is_read(store: Store) -> None:
    store.write([(b"b", b"1"), (b"a", b"2"), (b"ab", b""), (b"c", b"3"), (b"b", None), (b"b", b"4")], 17)
    store.write([(b"c", None), (b"never", None)], 18)
    assert store.position() == 18
    assert store.written_at() > 0
    assert store.get_many([b"a", b"c", b"ab", b"b"]) == [b"2", None, b"", b"4"]
    assert list(store.items()) == [(b"a", b"2"), (b"ab", b""), (b"b", b"4")]
    assert list(store.items(b"a")) == [(b"a", b"2"), (b"ab", b"")]
    assert list(store.items(b"a", start=b"aa")) == [(b"ab", b"")]
    assert list(store.items(start=b"b")) == [(b"b", b"4")]
    assert list(store.items(b"\xff\xff")) == []


def test_a_wiped_store_is_an_empty_one(store: Store) -> None:
    store.write([(b"a", b"1")], 5)
    store.wipe()
    assert (store.position(), store.written_at(), list(store.items())) == (0, 0, [])
    store.write([(b"a", b"2")], 1)
    assert store.get(b"a") == b"2"
    store.close()


keys = st.binary(min_size=1, max_size=3)
writes = st.lists(st.lists(st.tuples(keys, st.none() | st.binary(max_size=2)), max_size=6), max_size=6)


@settings(max_examples=40, deadline=None)
@given(writes, keys, keys)
def test_both_kinds_agree(tmp_path_factory: pytest.TempPathFactory, batches: list, prefix: bytes, start: bytes) -> None:
    disk: Store = stores(tmp_path_factory.mktemp("store")).open("s", 0)
    memory: Store = MemoryStore()
    for position, batch in enumerate(batches):
        disk.write(batch, position)
        memory.write(batch, position)
        assert list(disk.items(prefix, start)) == list(memory.items(prefix, start))
    assert list(disk.items()) == list(memory.items())
    assert disk.position() == memory.position()
    disk.close()


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    first = stores(tmp_path).open("stage", 3)
    first.write([(b"a", b"1")], 42)
    first.close()
    again = stores(tmp_path).open("stage", 3)
    assert (again.get(b"a"), again.position()) == (b"1", 42)
    again.close()


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT", "OPTIONS-*"])
def test_a_damaged_store_starts_anew(tmp_path: Path, pattern: str) -> None:
    first = stores(tmp_path).open("stage", 3)
    first.write([(b"a", b"1")], 42)
    first.close()
    for file in (tmp_path / "main" / "stage" / "3").glob(pattern):
        file.write_bytes(b"\xff" * 100)
    again = stores(tmp_path).open("stage", 3)
    assert (again.get(b"a"), again.position()) in {(b"1", 42), (None, 0)}
    again.write([(b"a", b"2")], 1)
    assert again.get(b"a") == b"2"
    again.close()


def test_a_store_without_its_position_starts_anew(tmp_path: Path) -> None:
    opened = stores(tmp_path).open("stage", 3)
    assert isinstance(opened, RocksStore)
    opened.write([(b"a", b"1")], 42)
    opened._db.delete(META)
    opened.close()
    again = stores(tmp_path).open("stage", 3)
    assert (again.get(b"a"), again.position()) == (None, 0)
    again.close()


def test_two_processes_do_not_share_a_store(tmp_path: Path) -> None:
    first = stores(tmp_path).open("stage", 3)
    first.write([(b"a", b"1")], 42)
    with pytest.raises(Exception, match=r"(?i)lock"):
        stores(tmp_path).open("stage", 3)
    assert first.get(b"a") == b"1"
    first.close()


def test_damage_that_a_compaction_meets_ends_with_a_wipe(tmp_path: Path) -> None:
    """From then on RocksDB refuses to write, and to close: the store is wiped all the same, else each start would fail alike."""
    rnd = random.Random(1)
    for n in range(6):
        store = stores(tmp_path).open("stage", 3)
        store.write([(rnd.randbytes(16), rnd.randbytes(100)) for _ in range(3_000)], n + 1)
        store.close()
    for table in tmp_path.rglob("*.sst"):
        content = bytearray(table.read_bytes())
        for at in range(100, len(content) // 3, 500):
            content[at] ^= 0x55
        table.write_bytes(content)
    store = stores(tmp_path).open("stage", 3)
    with pytest.raises(StoreDamaged):
        for n in range(1_000):
            store.write([(rnd.randbytes(16), rnd.randbytes(100)) for _ in range(2_000)], 100 + n)
    assert store.damaged
    store.wipe()
    assert list(store.items()) == [] and store.position() == 0
    store.write([(b"a", b"1")], 1)
    assert store.get(b"a") == b"1"
    store.close()
    store.close()


def test_damage_is_met_by_whoever_reads_and_never_shortens_an_answer(tmp_path: Path) -> None:
    """RocksDB ends an iteration at a damaged block as if there were no more: half of a journey would pass for the whole."""
    written = [(b"f%05d" % n, bytes(200)) for n in range(5_000)]
    store = stores(tmp_path).open("stage", 3)
    assert isinstance(store, RocksStore)
    store.write(written, 7)
    store._db.flush()
    store.close()
    (file,) = tmp_path.rglob("*.sst")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)
    again = stores(tmp_path).open("stage", 3)
    assert again.position() == 7 and not again.damaged
    with pytest.raises(StoreDamaged) as met:
        list(again.items())
    assert again.damaged
    with pytest.raises(StoreDamaged):
        again.get_many([key for key, _ in written])
    with pytest.raises(StoreDamaged):
        for key, _ in written:
            again.get(key)
    again.wipe()  # while whoever met it still holds the error, and with it the frames in which it was met
    assert met.value.args
    assert not again.damaged and list(again.items()) == [] and again.position() == 0
    again.close()
