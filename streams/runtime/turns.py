"""Work in pieces: a batch takes the interpreter for a second, and the event loop is let through after each piece of it.

Done at one go, a batch would keep the answers to all requests waiting, five times in each transaction of every other bundle, and the
worker's probes as well. Done by all partitions at once it would, too, since each of them takes a piece before the loop looks at the
network again: so partitions take turns, by a lock that they share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

Pieces = Generator[None, None, T]
"""Work that stops after each piece, which must be far shorter than `PIECE_S`; it returns its result."""

PIECE_S = 0.004
"""The event loop waits so long, at most."""


def whole(work: Pieces[T]) -> T:
    """Do all of it at one go."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


async def in_pieces(work: Pieces[T], spent: Callable[[float], None]) -> T:
    """Do it piece by piece; `spent` is told the seconds of each, without those of others in between."""
    while True:
        begun = time.perf_counter()
        until = begun + PIECE_S
        try:
            while time.perf_counter() < until:
                next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            spent(time.perf_counter() - begun)
        await asyncio.sleep(0)
