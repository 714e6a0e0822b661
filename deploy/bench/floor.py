"""Floors: what aiokafka reaches on this machine with the same bytes in the same transactions and no work at all."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


@dataclass(frozen=True, slots=True)
class Load:
    """What is written for each fact that is read."""

    records: float
    """Records written per fact."""
    size: float
    """Bytes written per fact, keys and values."""


async def run(
    brokers: str,
    source: str,
    starts: dict[int, int],
    count: int,
    load: Load,
    batch: int,
    outputs: tuple[str, int, str, int],
) -> float:
    """Facts per second of reading `count` records from `source` and writing `load` for each, one transaction per batch.

    `outputs`: a topic written at the partition read with its number of partitions, and one over whose partitions the rest goes.
    """
    state_topic, _, out_topic, out_partitions = outputs
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers, isolation_level="read_committed", enable_auto_commit=False, group_id=f"floor-{time.time_ns()}",
        max_partition_fetch_bytes=2 * 1024 * 1024, auto_offset_reset="earliest",
    )  # fmt: skip
    consumer.assign([TopicPartition(source, p) for p in starts])
    await consumer.start()
    producers: dict[int, AIOKafkaProducer] = {}
    for p, start in starts.items():
        consumer.seek(TopicPartition(source, p), start)
        producers[p] = AIOKafkaProducer(
            bootstrap_servers=brokers, transactional_id=f"floor-{time.time_ns()}-{p}", retry_backoff_ms=5,
            max_batch_size=512 * 1024, compression_type="lz4",
        )  # fmt: skip
    await asyncio.gather(*(p.start() for p in producers.values()))
    locks = {p: asyncio.Lock() for p in starts}
    seen = 0
    running: set[asyncio.Task[None]] = set()
    begun = time.perf_counter()
    try:
        while seen < count:
            for tp, records in (await consumer.getmany(timeout_ms=200, max_records=None)).items():
                seen += len(records)
                for i in range(0, len(records), batch):
                    part = records[i : i + batch]
                    work = _copy(
                        producers[tp.partition],
                        locks[tp.partition],
                        tp,
                        part,
                        load,
                        state_topic,
                        out_topic,
                        out_partitions,
                    )
                    running.add(task := asyncio.create_task(work))
                    task.add_done_callback(running.discard)
            while len(running) > 2 * len(starts):
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*running)
        return seen / (time.perf_counter() - begun)
    finally:
        await asyncio.gather(*(p.stop() for p in producers.values()), consumer.stop())


async def _copy(
    producer: AIOKafkaProducer, lock: asyncio.Lock, tp: TopicPartition, records: list[Any], load: Load, state_topic: str,
    out_topic: str, out_partitions: int,
) -> None:  # fmt: skip
    """One transaction: half of the records to the partition read, half spread out, as the bus does."""
    async with lock:
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({tp: records[-1].offset + 1}, "floor")
        many = max(1, round(load.records * len(records)))
        each = max(1, round(load.size * len(records) / many) - 16)
        spread = many // 2
        targets = [(state_topic, tp.partition, many - spread)]
        if spread:
            targets += [(out_topic, p, spread // out_partitions + 1) for p in range(out_partitions)]
        pending = []
        for topic, partition, number in targets:
            batch = producer.create_batch()
            for i in range(number):
                record = records[i % len(records)]
                value = (record.value * (each // max(1, len(record.value)) + 1))[:each]
                if batch.append(key=record.key, value=value, timestamp=None) is None:
                    pending.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    batch.append(key=record.key, value=value, timestamp=None)
            pending.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*pending)
        await producer.commit_transaction()
