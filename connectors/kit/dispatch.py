"""What a sink has to send: in order for each key, each state once, kept over a restart where the receiver does not take it now.

Pure but for the clock that it is given: it reads the store, and says what one transaction must write.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date

from connectors.kit import state
from connectors.kit.contract import Cursor, Item, Outcome, Reject, Retry, Sent
from connectors.kit.items import Brought
from connectors.kit.mapper import Said
from connectors.kit.state import View
from connectors.kit.stating import UNSOUND, Refusal, Stating, refusal_of
from streams.letters import dead_letter
from streams.reasons import Reason
from streams.runtime import processor
from streams.runtime.processor import Effects, Send
from streams.runtime.store import Store

SEEN = b"i"
"""State key of the last item of a key."""
QUEUED = b"q"
"""State key of what waits to be sent again."""
RETRY_S = 5.0
RETRY_MOST_S = 600.0


@dataclass(slots=True)
class Waiting:
    """One item to send."""

    item: Item
    receipt: Said | None
    number: int = 0
    """Place in the queue that is kept; 0: not kept, it was read in this turn."""
    tries: int = 0
    not_before: float = 0.0
    """By a monotonic clock."""

    def bytes(self) -> bytes:
        """As it is kept."""
        return json.dumps([asdict(self.item), self.receipt], ensure_ascii=False).encode()


def read_waiting(number: int, value: bytes) -> Waiting:
    """What waits, as it was kept."""
    item, receipt = json.loads(value)
    return Waiting(Item(**item), receipt, number)


def queued_key(number: int) -> bytes:
    """State key of what waits, in order."""
    return QUEUED + number.to_bytes(8, "big")


class Dispatch:
    """The items of one sink. After a transaction that failed: make another."""

    def __init__(self, topics: tuple[str, str, str], stating: Stating, store: Store) -> None:
        """`topics`: the prefix of the instance (`main.`), the state topic and the topic of dead letters."""
        self._prefix, self._state_topic, self._letters_topic = topics
        self._stating = stating
        self._store = store
        self._view = View(store)
        self._sends: list[Send] = []
        self.checkpoint = state.read_checkpoint(store.get(state.CHECKPOINT))
        self.lanes: dict[str, deque[Waiting]] = {}
        """What waits, by key, in order."""
        for key, value in store.items(QUEUED):
            self.put(read_waiting(int.from_bytes(key[len(QUEUED) :], "big"), value))

    def take(self, brought: Brought) -> bool:
        """An item from the bus; whether it is news to the receiver."""
        key = SEEN + brought.item.key.encode()
        last = self._view.get(key)
        if last == brought.item.id.encode() or (brought.item.gone and (last is None or last.endswith(b"-gone"))):
            return False
        self._view.put(key, brought.item.id.encode())
        self.put(Waiting(brought.item, brought.receipt))
        return True

    def due(self, now: float, most: int) -> list[Waiting]:
        """What may be sent now: the first of each key."""
        found = []
        for lane in self.lanes.values():
            if lane[0].not_before <= now:
                found.append(lane[0])
                if len(found) == most:
                    break
        return found

    def settle(
        self, sent: Sequence[Waiting], outcomes: Sequence[Outcome], now: float, today: date
    ) -> list[Refusal | None]:
        """What became of items that were sent; the refusals, each in its place."""
        refusals: list[Refusal | None] = []
        for one, outcome in zip(sent, outcomes, strict=True):
            refusal = Refusal(Reason.REJECTED, None, outcome.mend) if isinstance(outcome, Reject) else None
            refusals.append(refusal)
            if isinstance(outcome, Retry):
                one.tries += 1
                wait = min(RETRY_MOST_S, RETRY_S * 2.0 ** min(one.tries - 1, 20))
                one.not_before = now + (outcome.after_s if outcome.after_s is not None else wait)
                continue
            if refusal is None and isinstance(outcome, Sent) and outcome.receipt and one.receipt is not None:
                refusal = refusals[-1] = self._received(one.receipt, today)
            if refusal is not None:
                self._letter(one, refusal)
            self._leave(one)
        return refusals

    def done(self, cursor: Cursor) -> Effects:
        """What the transaction of this turn must write; what was not taken is kept."""
        for lane in self.lanes.values():
            for one in lane:
                if not one.number:
                    self.checkpoint.held += 1
                    one.number = self.checkpoint.held
                    self._view.put(queued_key(one.number), one.bytes())
        if self._view.changes or cursor != self.checkpoint.cursor:
            self.checkpoint.cursor = cursor
            self._view.put(state.CHECKPOINT, self.checkpoint.bytes())
        effects = Effects(state=self._view.drain(), sends=self._sends)
        self._view, self._sends = View(self._store), []
        return effects

    def waiting(self) -> int:
        """Items that wait to be sent again."""
        return sum(map(len, self.lanes.values()))

    def put(self, one: Waiting) -> None:
        """Let an item be sent after those of its key."""
        self.lanes.setdefault(one.item.key, deque()).append(one)

    def _leave(self, one: Waiting) -> None:
        lane = self.lanes[one.item.key]
        lane.popleft()
        if not lane:
            del self.lanes[one.item.key]
        if one.number:
            self._view.put(queued_key(one.number), None)

    def _received(self, receipt: Said, today: date) -> Refusal | None:
        """State that the body has received a handoff; why it cannot be stated."""
        self.checkpoint.sequence += 1
        id_ = f"received:{str(receipt['handoff']).rpartition(':')[2]}"
        try:
            fact = self._stating.fact({**receipt, "occurred_on": today.isoformat()}, id_, self.checkpoint.sequence)
        except UNSOUND as error:
            return refusal_of(error)
        self._sends.append(Send(self._prefix + fact.route.topic, fact.route.partition, fact.route.key, fact.value))
        return None

    def _letter(self, one: Waiting, why: Refusal) -> None:
        self.checkpoint.letters += 1
        value = json.dumps(asdict(one.item), ensure_ascii=False).encode()
        headers = [("receipt", json.dumps(one.receipt).encode())] if one.receipt is not None else []
        now = time.time_ns() // 1_000_000
        record = processor.Record(self.checkpoint.letters, now, one.item.key.encode(), value, headers)
        self._sends.append(
            dead_letter(self._letters_topic, self._state_topic, 0, record, why.reason, why.detail, why.field)
        )
