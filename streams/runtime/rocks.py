"""The store on disk: one RocksDB for each partition, memory bounded over all of them."""

from __future__ import annotations

import logging
import shutil
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
)

from streams.runtime.config import RuntimeConfig, StoreKind
from streams.runtime.metrics import STORES_WIPED
from streams.runtime.store import Change, MemoryStore, Store, StoreDamaged, StoreFailed

log = logging.getLogger(__name__)

REFUSED = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Permission denied",
    "Read-only file system",
    "Too many open files",
)
"""What the system says when it will not write: the store itself may be sound."""
META = b"\xff\xffrelais.position"
"""Reserved key: the position and the time of the last write. Iterations leave it out."""
MARK = struct.Struct(">QQ")
MIB = 1024 * 1024


class RocksStore:
    """One partition on disk. A folder that cannot be opened is wiped: the changelog rebuilds it."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path = path
        self._options = options
        self.damaged = False
        self._db = self._open()
        try:
            self._mark = self._read_mark()
        except StoreDamaged:
            self._count_damage()
            self.wipe()

    def _open(self) -> Rdict:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Rdict(str(self._path), self._options)
        except Exception as error:
            if "lock" in str(error).lower() and "LOCK" in str(error):
                raise
            if _refused(error):
                raise _failed(error) from error
            self._count_damage()
            return self._anew()

    def _anew(self) -> Rdict:
        shutil.rmtree(self._path, ignore_errors=True)
        try:
            return Rdict(str(self._path), self._options)
        except Exception as error:
            raise _failed(error) from error

    def _count_damage(self) -> None:
        log.warning("store damaged, rebuilt from the changelog: %s", self._path.name)
        STORES_WIPED.labels("damaged").inc()

    def _damage(self, error: Exception) -> StoreDamaged:
        self.damaged = True
        return StoreDamaged(f"{self._path.name}: {str(error).partition(':')[0]}")

    def _read_mark(self) -> tuple[int, int]:
        raw = self.get(META)
        if raw is not None and len(raw) == MARK.size:
            position, written_at = MARK.unpack(raw)
            return position, written_at
        if raw is not None or next(iter(self.items()), None) is not None:
            log.warning("store without a position, rebuilt from the changelog: %s", self._path.name)
            STORES_WIPED.labels("damaged").inc()
            self.wipe()
        return 0, 0

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, or None."""
        try:
            value: bytes | None = self._db.get(key)
        except Exception as error:
            raise self._damage(error) from error
        return value

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of several keys, in their order."""
        try:
            values: list[bytes | None] = self._db.get(list(keys)) if keys else []
        except Exception as error:
            raise self._damage(error) from error
        return values

    def items(self, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the keys with this prefix, from `start` on, in the order of their bytes."""
        found = self._db.iter()
        found.seek(max(prefix, start))
        try:
            while found.valid():
                key = found.key()
                if not key.startswith(prefix):
                    return
                if key != META:
                    yield key, found.value()
                found.next()
            found.status()  # an iterator that meets damage ends as if there were no more
        except Exception as error:
            raise self._damage(error) from error
        finally:
            del found  # it keeps the files open, and an error keeps this frame

    def write(self, changes: Iterable[Change], position: int) -> None:
        """Apply changes in order and move to a position of the changelog, in one atomic write."""
        batch = WriteBatch(raw_mode=True)
        put, delete = batch.put, batch.delete
        for key, value in changes:
            if value is None:
                delete(key)
            else:
                put(key, value)
        mark = (position, time.time_ns() // 1_000_000)
        put(META, MARK.pack(*mark))
        try:
            self._db.write(batch)
        except Exception as error:
            if str(error).startswith("Corruption"):
                raise self._damage(error) from error
            raise _failed(error) from error
        self._mark = mark

    def position(self) -> int:
        """Offset of the next changelog record to apply."""
        return self._mark[0]

    def written_at(self) -> int:
        """When the store was last written, in milliseconds since the epoch; 0 if never."""
        return self._mark[1]

    def wipe(self) -> None:
        """Forget everything: the folder is removed and created anew."""
        self.close()
        self._db = self._anew()
        self._mark = (0, 0)
        self.damaged = False

    def close(self) -> None:
        """Close the files. What cannot be written to them any more is in the changelog."""
        try:
            self._db.close()
        except Exception as error:  # noqa: BLE001 - a store that is damaged or has no room says so here once more
            log.warning("store %s closed with an error: %s", self._path.name, str(error).partition(":")[0])


def _refused(error: Exception) -> str | None:
    return next((text for text in REFUSED if text in str(error)), None)


def _failed(error: Exception) -> StoreFailed:
    return StoreFailed(_refused(error) or str(error))


class Stores:
    """Opens the stores of a worker; cache and write buffers are shared by all of them."""

    def __init__(self, config: RuntimeConfig) -> None:
        self._config = config
        self._options = _options(config) if config.store is StoreKind.ROCKSDB else None

    def open(self, stage: str, partition: int) -> Store:
        """Open the store of a partition.

        Raises:
            Exception: another process holds it.
        """
        if self._options is None:
            return MemoryStore()
        return RocksStore(self._config.data_dir / self._config.instance / stage / str(partition), self._options)


def _options(config: RuntimeConfig) -> Options:
    table = BlockBasedOptions()
    cache = Cache(config.store_cache_mb * MIB)
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_format_version(5)
    table.set_block_size(8 * 1024)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(16 * MIB)
    options.set_max_write_buffer_number(3)
    options.set_write_buffer_manager(WriteBufferManager(config.store_buffer_mb * MIB, False))
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(1)
    options.set_max_total_wal_size(64 * MIB)
    options.set_level_compaction_dynamic_level_bytes(True)
    # A write is one transaction: what a power cut tore off is read again from the changelog.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_memtable_whole_key_filtering(True)
    options.set_memtable_prefix_bloom_ratio(0.05)
    return options
