"""Reads ``sla.verdicts`` back, as any consumer would: into the domain's own type."""

from __future__ import annotations

from typing import Any

import msgspec

from sla.outcome import Result, Share, Verdict
from sla.units import parse_instant
from streams.state_rows import provenance_of


class _VerdictWire(msgspec.Struct):
    clock_id: str
    ticket: str
    contract: str
    target: str
    metric: str
    revision: int
    cycle: int
    outcome: Result
    start: str
    deadline: str
    decided_at: str
    target_seconds: float
    consumed_seconds: float
    elapsed_seconds: float
    stop: str | None = None
    parties: dict[str, float] = {}
    parties_counted: dict[str, float] = {}
    parties_paused: dict[str, float] = {}


_decode_verdict = msgspec.json.Decoder(_VerdictWire).decode


def decode_verdict(value: bytes) -> Verdict:
    """Return the verdict of a record of ``sla.verdicts``, without the clocks it endangers.

    Raises
    ------
    ValueError
        If it is no such record.
    """
    wire = _decode_verdict(value)
    return Verdict(
        ticket=wire.ticket,
        contract=wire.contract,
        target=wire.target,
        metric=wire.metric,
        revision=wire.revision,
        cycle=wire.cycle,
        result=wire.outcome,
        start_ms=parse_instant(wire.start),
        deadline_ms=parse_instant(wire.deadline),
        stop_ms=None if wire.stop is None else parse_instant(wire.stop),
        decided_at_ms=parse_instant(wire.decided_at),
        target_ms=_ms(wire.target_seconds),
        consumed_ms=_ms(wire.consumed_seconds),
        elapsed_ms=_ms(wire.elapsed_seconds),
        parties=tuple(
            Share(
                party,
                _ms(seconds),
                _ms(wire.parties_counted.get(party, 0.0)),
                _ms(wire.parties_paused.get(party, 0.0)),
            )
            for party, seconds in sorted(wire.parties.items())
        ),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


class VerdictHistory:
    """Folds the records of ``sla.verdicts`` into the verdicts in force, and remembers what was corrected.

    Attributes
    ----------
    in_force : dict
        By (ticket, target, cycle).
    corrections : list
        Verdicts that changed, in the order of their records: what was told before, and what holds since; None: nothing.
    unreadable : int
        Records that are no verdicts of a worker.
    """

    def __init__(self) -> None:
        self.in_force: dict[tuple[str, str, int], Verdict] = {}
        self.corrections: list[tuple[Verdict, Verdict | None]] = []
        self.unreadable = 0
        self._ordinals: dict[str, int] = {}

    def take(self, record: Any) -> None:
        """Take in the next record of a partition, in the order of offsets; repeated ones are dropped."""
        provenance = provenance_of(record.headers)
        try:
            verdict = decode_verdict(record.value or b"")
        except ValueError:
            provenance = None
        if provenance is None:
            self.unreadable += 1
            return
        source, ordinal = provenance
        if ordinal <= self._ordinals.get(source, -1):
            return  # a new owner of the partition sends its last outputs again
        self._ordinals[source] = ordinal
        key = (verdict.ticket, verdict.target, verdict.cycle)
        before = self.in_force.get(key)
        is_retracted = verdict.result is Result.RETRACTED
        if before is not None and (before.result, before.decided_at_ms) != (verdict.result, verdict.decided_at_ms):
            self.corrections.append((before, None if is_retracted else verdict))
        if is_retracted:
            self.in_force.pop(key, None)
        else:
            self.in_force[key] = verdict
