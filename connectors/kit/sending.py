"""For a sink whose receiver takes one item at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from connectors.kit.contract import Item, Outcome, Retry


async def one_by_one(items: Sequence[Item], send: Callable[[Item], Awaitable[Outcome]]) -> list[Outcome]:
    """Send items in order; behind one that has to wait, those of its key wait too."""
    outcomes: list[Outcome] = []
    waiting: set[str] = set()
    for item in items:
        outcome = Retry() if item.key in waiting else await send(item)
        if isinstance(outcome, Retry):
            waiting.add(item.key)
        outcomes.append(outcome)
    return outcomes
