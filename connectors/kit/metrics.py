"""Metrics of connectors: labels are the name of the connector's file and closed lists."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram

from connectors.kit.intake import Outcome
from streams.reasons import Reason


class State(StrEnum):
    """What a connector is doing."""

    STARTING = "starting"
    """Taking its state over."""
    READING = "reading"
    """At work."""
    IDLE = "idle"
    """Nothing more for now."""
    UNAVAILABLE = "unavailable"
    """Its system does not answer: it is waited for."""
    FAILING = "failing"
    """The bus does not take it, or relais failed: it starts again by itself."""
    STOPPED = "stopped"
    """A person has to change something."""


RECORDS = Counter("relais_connector_records_total", "Records by what became of them.", ["connector", "outcome"])
LETTERS = Counter("relais_connector_dead_letters_total", "Records that were not taken.", ["connector", "reason"])
BATCH_SECONDS = Histogram(
    "relais_connector_batch_duration_seconds",
    "Seconds from a batch in hand to its commit.",
    ["connector"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
LAST_SUCCESS = Gauge(
    "relais_connector_last_success_timestamp_seconds", "When the system was last read to its end.", ["connector"]
)
WAITING = Gauge(
    "relais_connector_waiting_records",
    "Records that wait: for a label to be mapped, or to be sent again.",
    ["connector"],
)
LAG = Gauge("relais_connector_lag_records", "Records of the bus that a sink has not read yet.", ["connector"])
STATE = Gauge("relais_connector_state", "1 for what the connector is doing now.", ["connector", "state"])
FAILURES = Counter("relais_connector_failures_total", "Rounds that failed.", ["connector", "reason"])


def begin(connector: str) -> None:
    """Let all counters of a connector start at 0."""
    for outcome in Outcome:
        RECORDS.labels(connector, outcome.value)
    for reason in Reason:
        LETTERS.labels(connector, reason.value)
    for failure in ("unavailable", "fenced", "bus", "bug", "configuration"):
        FAILURES.labels(connector, failure)
    show(connector, State.STARTING)


def show(connector: str, state: State) -> None:
    """Show what a connector is doing."""
    for one in State:
        STATE.labels(connector, one.value).set(one is state)
