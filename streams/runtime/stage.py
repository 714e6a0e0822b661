"""A stage of the stream."""

from __future__ import annotations

from dataclasses import dataclass

from streams.runtime.processor import ProcessorFactory


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage of the stream: which topics it reads, and what works on each of their partitions.

    A stage whose processors must know their topic is given once for each topic, under the same name.
    """

    name: str
    topics: tuple[str, ...]
    changelog: str | None
    """Topic that holds the state; partition p belongs to partition p of the one input topic. None: no state."""
    factory: ProcessorFactory
    """Makes the processor of a partition. It must not read the store yet: `reset` follows once it is restored."""
    label: str = ""
    """Label in metrics, if the name is not unique; empty: the name."""

    def __post_init__(self) -> None:
        if self.changelog is not None and len(self.topics) != 1:
            raise ValueError(f"stage {self.name}: a changelog needs exactly one input topic")
