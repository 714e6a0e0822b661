"""A recorded journey with every operator in it gives the same derivations, byte for byte.

The recording is `tests/data/clock_replay.json`: questions, and their answers as they were when it was made. After a
change that is meant, `python -m tests.streams.engine.test_clock_replay` writes it again; read the difference.
"""

import json
from pathlib import Path
from typing import Any

from schemas import definitions, holidays, library
from streams.engine.clocktypes import Op
from streams.engine.questions import Desk

RECORDING = Path(__file__).parents[2] / "data" / "clock_replay.json"
RARE = {Op.DATE_ABSURD, Op.ENDS_BEFORE_START}  # no question can hold them: see test_clock_bad_data


def dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def answers(questions: list[Any]) -> list[Any]:
    desk = Desk(library.load(), definitions.load(), holidays.load())
    return [desk.answer(question) for question in questions]


def test_the_recording_replays_byte_for_byte() -> None:
    text = RECORDING.read_text("utf-8")
    questions = json.loads(text)["questions"]
    assert dumped({"questions": questions, "answers": answers(questions)}) == text


def test_every_operator_is_in_the_recording() -> None:
    lines = [line for answer in json.loads(RECORDING.read_text("utf-8"))["answers"] for line in answer["derivation"]]
    assert {op.value for op in set(Op) - RARE} <= {line["op"] for line in lines}


if __name__ == "__main__":
    kept = json.loads(RECORDING.read_text("utf-8"))["questions"]
    RECORDING.write_text(dumped({"questions": kept, "answers": answers(kept)}), "utf-8")
