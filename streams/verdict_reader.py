"""Reads ``sla.verdicts`` and ``sla.statements`` back, as any consumer would: into the domain's own types."""

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


class _StatementWire(msgspec.Struct):
    objective: str
    period: str
    revision: int
    as_of: str
    good: int
    bad: int


_decode_verdict = msgspec.json.Decoder(_VerdictWire).decode
_decode_statement = msgspec.json.Decoder(_StatementWire).decode


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


class StatementHistory:
    """Folds the records of ``sla.statements`` into the newest statement of each objective and period.

    Attributes
    ----------
    issued : dict
        By (objective, period): (revision, good, bad).
    as_of_ms : int or None
        Up to when the newest of them counts, UTC epoch ms.
    """

    def __init__(self) -> None:
        self.issued: dict[tuple[str, str], tuple[int, int, int]] = {}
        self.as_of_ms: int | None = None

    def take(self, record: Any) -> None:
        """Take in the next record; what is no statement is passed over."""
        try:
            wire = _decode_statement(record.value or b"")
            as_of_ms = parse_instant(wire.as_of)
        except ValueError:
            return
        key = (wire.objective, wire.period)
        last = self.issued.get(key)
        if last is None or wire.revision >= last[0]:
            self.issued[key] = (wire.revision, wire.good, wire.bad)
        self.as_of_ms = as_of_ms if self.as_of_ms is None else max(self.as_of_ms, as_of_ms)
