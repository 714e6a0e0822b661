"""Metrics of the stages: closed label sets, no case and no body in a label."""

from __future__ import annotations

from prometheus_client import Counter

from streams.reasons import Reason

DEAD_LETTERS = Counter("relais_dead_letters_total", "Records that could not be taken.", ["stage", "reason"])
ROOTS = Counter(
    "relais_roots_published_total", "Roots whose outputs were brought up to date: with records, how local a batch is."
)
VIEW_FAILURES = Counter(
    "relais_view_failures_total", "Views that failed: a bug; the outputs of that journey stay as they were."
)

for _stage in ("admit", "correlate"):
    for _reason in Reason:
        DEAD_LETTERS.labels(_stage, _reason.value)
