"""The garbage collector of a process that makes many small objects, hardly any of them in circles."""

from __future__ import annotations

import gc

THRESHOLDS = (100_000, 50, 50)
"""Of the three generations; Python's own, 700, 10 and 10, look at the records of a batch again and again."""


def settled() -> None:
    """What is there now is there to stay: the collector need not look at it again, and looks at the rest more rarely."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
