"""A reader of the outputs, in any interleaving of their partitions."""

from __future__ import annotations

from schemas.codec import bus
from streams.engine.messages import split_keys

Output = tuple[str, bytes, bytes | None, dict[str, bytes]]
"""(topic, key, value, headers)."""


class ViolationError(AssertionError):
    """(name of the invariant, detail)."""


def references(value: bytes) -> list[bytes]:
    """Keys that a status lists."""
    return split_keys(bus().decode(value)[1]["references"])


class Reading:
    """A reader of the outputs, by the rule of the read model: a reference stays shown by the last row that listed it."""

    def __init__(self, out: list[list[Output]], gone: set[bytes]) -> None:
        """`out`: the output partitions. `gone`: references that a purge has ended; both are shared with the world."""
        self.out, self.gone = out, gone
        self.pos = [0] * len(out)
        self.live: dict[tuple[str, bytes], bytes] = {}
        self.last: dict[bytes, bytes] = {}

    def apply(self, i: int) -> None:
        topic, key, value, headers = self.out[i][self.pos[i]]
        self.pos[i] += 1
        if value is not None:
            self.live[topic, key] = value
            if topic == "statuses":
                self.last.update(dict.fromkeys(references(value), key))
            return
        self.live.pop((topic, key), None)
        if topic != "statuses":
            return
        keep = headers["reason"] == b"merged-into"
        for ref in [r for r, k in self.last.items() if k == key]:
            other = self.row(ref)
            if other or keep:
                self.last[ref] = other or key
                continue
            del self.last[ref]
            if ref not in self.gone:
                raise ViolationError("readable", f"{ref.hex()} lost by {headers['reason']!r}")

    def row(self, ref: bytes) -> bytes | None:
        return min((k for (t, k), v in self.live.items() if t == "statuses" and ref in references(v)), default=None)

    def resolve(self, ref: bytes) -> bytes | None:
        return self.row(ref) or self.last.get(ref)
