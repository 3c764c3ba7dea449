"""What a stage does with its records: the seam between the Kafka side and the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from streams.state_rows import Output, Position


@dataclass(slots=True)
class StepResult:
    """Rows a step changes (None deletes) and the outputs it has; both may be empty."""

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.rows or self.outputs)


class Processor(Protocol):
    """State of one partition of a stage. Not thread-safe; called by the partition's one runner, between awaits."""

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        """Take over the rows of the partition (without system rows), their position, and the register in force.

        ``position.register_version`` is the version of ``view``; rows may have been made under an older one.
        """

    def read(self, records: Sequence[Any], start: int) -> int:
        """Process records from index ``start`` on until the step is full; return the index of the first unread one."""

    def advance(self, now_ms: int | None) -> bool:
        """Let time pass (None: no newer instant is known); True if there is more to do at this instant."""

    def put_register(self, snapshot: Any, version: int) -> None:
        """Put a newer register in force."""

    def finish(self) -> StepResult:
        """End the step."""

    @property
    def now_ms(self) -> int:
        """Present of the partition."""

    @property
    def ordinals(self) -> dict[str, int]:
        """Highest ordinal taken in, per source; {} if the inputs carry none."""
