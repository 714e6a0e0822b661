"""What is written in the topic of established time: rounds, reports, and time itself.

JSON, a few records a second whatever the load. Keys let the topic be compacted: the last round, the last W, the last
report of each worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from streams.runtime.time import Established, Open, Participant, Step, Word

OPEN_KEY = b"open"
ESTABLISHED_KEY = b"established"
REPORT_KEY = b"report/"


def dump_open(record: Open) -> bytes:
    """Encode the opening of a round."""
    return json.dumps({"round": record.round, "step": int(record.step), "bound": record.bound}).encode()


def load_open(value: bytes) -> Open:
    """Decode the opening of a round.

    Raises:
        ValueError, KeyError, TypeError: not an opening.
    """
    found = json.loads(value)
    bound = found["bound"]
    return Open(int(found["round"]), Step(found["step"]), None if bound is None else int(bound))


def dump_established(record: Established) -> bytes:
    """Encode established time."""
    return json.dumps({"at": record.at}).encode()


def load_established(value: bytes) -> Established:
    """Decode established time; also for readers that only want to know it.

    Raises:
        ValueError, KeyError, TypeError: not an established time.
    """
    return Established(int(json.loads(value)["at"]))


def dump_report(round_: int, words: Mapping[Participant, Word]) -> bytes:
    """Encode what the partitions of one worker report in a round."""
    parts = [[at.topic, at.partition, int(word.dirty), word.least, word.progress] for at, word in words.items()]
    return json.dumps({"round": round_, "parts": parts}, separators=(",", ":")).encode()


def load_report(value: bytes) -> tuple[int, dict[Participant, Word]]:
    """Decode a report.

    Raises:
        ValueError, KeyError, TypeError: not a report.
    """
    found = json.loads(value)
    words = {
        Participant(topic, int(partition)): Word(bool(dirty), least, progress)
        for topic, partition, dirty, least, progress in found["parts"]
    }
    return int(found["round"]), words
