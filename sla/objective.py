"""Objectives over the counts of all source partitions: attainment and error budget per window, exact sums only.

Every source partition tells absolute counts per target and minute, so repeating one changes nothing; a correction is
the same minute with other counts. Ratios are never averaged: sums of events are divided once.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from sla.contract import Target
from sla.outcome import Alert, AlertKind, AlertState
from sla.register import Register
from sla.row import RowFormatError
from sla.units import DAY_MS, format_instant
from sla.window import window_name, window_start

CELL_PREFIX: Final = b"c"
ALERT_PREFIX: Final = b"a"
PROGRESS_PREFIX: Final = b"p"
_PREFIXES: Final = frozenset({CELL_PREFIX, ALERT_PREFIX, PROGRESS_PREFIX})
ROW_FORMAT: Final = 1

_CELL = struct.Struct(">Bii")
_MINUTE = struct.Struct(">q")
_PROGRESS = struct.Struct(">Bq")

MIN_BAD_EVENTS: Final = 3
"""A budget counts as spent from this many bad events on: one bad ticket among the first five of a month is no news."""

SPENT_CLEARS_AT: Final = Fraction(9, 10)
"""The alert resolves when at most this share of the budget is spent: hysteresis against flapping around the limit."""


REMOVAL_LIMIT: Final = 2_000
"""Most rows that one step removes: a day of many targets is too much for one record batch."""


@dataclass(frozen=True, slots=True)
class Attainment:
    """State of one objective in its current window.

    Attributes
    ----------
    met, breached : int
        Events in the window.
    attained_ratio : float or None
        met / (met + breached); None without events: no data is not good data.
    budget_remaining_ratio : float or None
        1 - spent, signed: negative when overspent. Estimated for a running calendar period, whose events are not all
        known: the budget of the events so far. None without events, or for a target of 100 % (no budget to divide).
    watermark_ms : int or None
        Event time up to which every source partition has reported; None before all have.
    coverage_ratio : float
        Share of the source partitions that have reported at all.
    """

    target: Target
    window: str
    window_start_ms: int
    met: int
    breached: int
    attained_ratio: float | None
    budget_remaining_ratio: float | None
    watermark_ms: int | None
    coverage_ratio: float


class _Series:
    """Counts of one target by minute, and their sum over the minutes of the current window."""

    def __init__(self) -> None:
        self.minutes: list[int] = []
        self.counts: dict[int, list[int]] = {}
        self.start_ms = 0
        self.total = [0, 0]

    def add(self, minute_ms: int, met: int, breached: int) -> None:
        counts = self.counts.get(minute_ms)
        if counts is None:
            counts = self.counts[minute_ms] = [0, 0]
            insort(self.minutes, minute_ms)
        counts[0] += met
        counts[1] += breached
        if minute_ms >= self.start_ms:
            self.total[0] += met
            self.total[1] += breached

    def move_to(self, start_ms: int) -> None:
        """Let the window start at ``start_ms``; it never starts earlier than before within one register."""
        if start_ms == self.start_ms:
            return
        low, high = sorted((bisect_left(self.minutes, self.start_ms), bisect_left(self.minutes, start_ms)))
        sign = -1 if start_ms > self.start_ms else 1
        for minute_ms in self.minutes[low:high]:
            counts = self.counts[minute_ms]
            self.total[0] += sign * counts[0]
            self.total[1] += sign * counts[1]
        self.start_ms = start_ms

    def drop_before(self, horizon_ms: int) -> list[int]:
        """Forget the minutes before an instant that lies before the window; return them."""
        cut = bisect_left(self.minutes, min(horizon_ms, self.start_ms))
        gone, self.minutes = self.minutes[:cut], self.minutes[cut:]
        for minute_ms in gone:
            del self.counts[minute_ms]
        return gone


@dataclass(slots=True)
class ObjectiveOutcome:
    """Rows and alerts of one step."""

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)


class ObjectiveEngine:
    """Objectives of one partition of the rollups.

    Parameters
    ----------
    sources : frozenset of str
        Source partitions (``topic/partition``) that feed the objectives; the watermark is the smallest over them.
    retention_ms : int
        Counts are kept this long after they have left their window, for late corrections.
    """

    def __init__(self, register: Register, sources: frozenset[str], retention_ms: int = 42 * DAY_MS) -> None:
        self.register = register
        self.sources = sources
        self.retention_ms = retention_ms
        self._cells: dict[tuple[str, int, str], tuple[int, int]] = {}
        self._series: dict[str, _Series] = {}
        self._progress: dict[str, int] = {}
        self._firing: dict[str, str] = {}
        """Ids of the objectives whose alerts fire, by target id."""
        self._outcome = ObjectiveOutcome()
        self._revisions = _revisions_of(register)
        self._next_expiry_ms = 0
        self._forgotten: list[tuple[str, int, str]] = []
        """Cells whose rows are still to be removed; after a restart they are forgotten anew."""

    @property
    def now_ms(self) -> int:
        """The watermark, 0 before every source has reported."""
        return self.watermark_ms or 0

    @property
    def watermark_ms(self) -> int | None:
        """Event time up to which every source has reported, or None."""
        if len(self._progress) < len(self.sources):
            return None
        return min(self._progress.values(), default=None)

    def __len__(self) -> int:
        return len(self._cells)

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take restored rows over.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        for key, row in rows:
            prefix = key[:1]
            if prefix not in _PREFIXES:
                continue
            if row[0] != ROW_FORMAT:
                raise RowFormatError(f"row format {row[0]}, this release reads {ROW_FORMAT}: a newer worker wrote it")
            if prefix == CELL_PREFIX:
                _, met, breached = _CELL.unpack(row)
                self._put(_cell_of(key), met, breached)
            elif prefix == PROGRESS_PREFIX:
                self._progress[key[1:].decode()] = _PROGRESS.unpack(row)[1]
            else:
                self._firing[key[1:].decode()] = row[1:].decode()

    def count(
        self, target_id: str, minute_ms: int, source: str, met: int, breached: int, *, is_delta: bool = False
    ) -> None:
        """Take in what one source partition counted for one target in one minute (absolute unless a delta)."""
        cell = (target_id, minute_ms, source)
        if is_delta:
            before = self._cells.get(cell, (0, 0))
            met, breached = before[0] + met, before[1] + breached
        self._put(cell, met, breached)
        self._outcome.rows[_cell_key(cell)] = _CELL.pack(ROW_FORMAT, met, breached)

    def progress(self, source: str, now_ms: int) -> None:
        """Take in that a source partition has reported everything up to ``now_ms``."""
        if source not in self.sources or now_ms <= self._progress.get(source, -1):
            return
        self._progress[source] = now_ms
        self._outcome.rows[PROGRESS_PREFIX + source.encode()] = _PROGRESS.pack(ROW_FORMAT, now_ms)

    def set_register(self, register: Register) -> None:
        """Put a new register in force."""
        self.register = register
        self._revisions = _revisions_of(register)

    def attainments(self) -> list[Attainment]:
        """Return the state of every objective that has counts here, by target id."""
        return [self._attainment(target) for target in self._in_force() if target.id in self._series]

    def finish(self) -> ObjectiveOutcome:
        """End the step: judge budgets at the watermark; return rows and alerts."""
        watermark_ms = self.watermark_ms
        if watermark_ms is not None:
            self._resolve_without_objective()
            for attainment in self.attainments():
                self._judge(attainment)
            if watermark_ms >= self._next_expiry_ms:
                self._expire(watermark_ms)
        for cell in self._forgotten[-REMOVAL_LIMIT:]:
            if cell not in self._cells:  # else it was told again meanwhile
                self._outcome.rows[_cell_key(cell)] = None
        del self._forgotten[-REMOVAL_LIMIT:]
        outcome, self._outcome = self._outcome, ObjectiveOutcome()
        return outcome

    def _put(self, cell: tuple[str, int, str], met: int, breached: int) -> None:
        before = self._cells.get(cell, (0, 0))
        self._cells[cell] = (met, breached)
        series = self._series.get(cell[0])
        if series is None:
            series = self._series[cell[0]] = _Series()
        series.add(cell[1], met - before[0], breached - before[1])

    def _attainment(self, target: Target) -> Attainment:
        assert target.objective is not None
        series = self._series[target.id]
        watermark_ms = self.watermark_ms
        if watermark_ms is not None:
            start_ms = window_start(target.objective.window, watermark_ms)
            # Buckets are minutes: the one the window starts in still belongs to it.
            series.move_to(start_ms - start_ms % 60_000)
        met, breached = series.total
        events = met + breached
        spent = _spent(target.objective.attain, events, breached)
        return Attainment(
            target=target,
            window=window_name(target.objective.window),
            window_start_ms=series.start_ms,
            met=met,
            breached=breached,
            attained_ratio=met / events if events else None,
            budget_remaining_ratio=None if spent is None else float(1 - spent),
            watermark_ms=watermark_ms,
            coverage_ratio=len(self._progress) / len(self.sources) if self.sources else 0.0,
        )

    def _judge(self, attainment: Attainment) -> None:
        target = attainment.target
        objective = target.objective
        assert objective is not None
        was_firing = target.id in self._firing
        limit = SPENT_CLEARS_AT if was_firing else Fraction(1)
        # Not divided by the budget: of a target of 100 % every breach overspends it.
        allowed = limit * (1 - objective.attain) * (attainment.met + attainment.breached)
        is_firing = attainment.breached >= MIN_BAD_EVENTS and attainment.breached > allowed
        if is_firing == was_firing:
            return
        key = ALERT_PREFIX + target.id.encode()
        if is_firing:
            self._firing[target.id] = objective.id
            self._outcome.rows[key] = bytes((ROW_FORMAT,)) + objective.id.encode()
        else:
            del self._firing[target.id]
            self._outcome.rows[key] = None
        self._outcome.alerts.append(_budget_alert(attainment, AlertState.FIRING if is_firing else AlertState.RESOLVED))

    def _in_force(self) -> list[Target]:
        """Return the targets that have an objective at the watermark, by id; of each the revision in force.

        The objective of a contract that ended stays: its clocks run off.
        """
        now_ms = self.now_ms
        found = []
        for revisions in self._revisions.values():
            started = [target for target in revisions if target.effective_from_ms <= now_ms] or revisions[:1]
            if started[-1].objective is not None:
                found.append(started[-1])
        return found

    def _resolve_without_objective(self) -> None:
        """Resolve the alerts of objectives that are not promised any more: switched off must stop escalating."""
        if not self._firing:
            return
        promised = {target.id: target.objective.id for target in self._in_force() if target.objective is not None}
        for target_id, objective_id in list(self._firing.items()):
            if promised.get(target_id) != objective_id:
                del self._firing[target_id]
                self._outcome.rows[ALERT_PREFIX + target_id.encode()] = None
                self._outcome.alerts.append(_withdrawn_alert(objective_id, self.now_ms))

    def _expire(self, watermark_ms: int) -> None:
        self._next_expiry_ms = watermark_ms + DAY_MS
        gone: set[tuple[str, int]] = set()
        promised = {target.id for target in self._in_force()}
        for target_id, series in self._series.items():
            if target_id not in promised:
                series.move_to(watermark_ms)  # nobody looks at a window of it
            dropped = series.drop_before(series.start_ms - self.retention_ms)
            gone |= {(target_id, minute_ms) for minute_ms in dropped}
        if gone:
            forgotten = [cell for cell in self._cells if cell[:2] in gone]
            self._forgotten += forgotten
            for cell in forgotten:
                del self._cells[cell]


def _revisions_of(register: Register) -> dict[str, list[Target]]:
    """Return the revisions of every target, by id, each in the order in which they take effect."""
    revisions: dict[str, list[Target]] = {}
    for target in sorted(register.targets, key=lambda target: (target.id, target.effective_from_ms, target.revision)):
        revisions.setdefault(target.id, []).append(target)
    return revisions


def _spent(attain: Fraction, events: int, breached: int) -> Fraction | None:
    """Return the share of the budget that is spent; None if there is no budget to divide (no events, or 100 %)."""
    budget = (1 - attain) * events
    return None if not budget else breached / budget


def _budget_alert(attainment: Attainment, state: AlertState) -> Alert:
    target = attainment.target
    assert target.objective is not None
    kind = AlertKind.OBJECTIVE_BUDGET_SPENT
    events = attainment.met + attainment.breached
    attained = attainment.attained_ratio if attainment.attained_ratio is not None else 0.0
    labels = {
        "alertname": kind.value,
        "alert_kind": "objective",
        "severity": "warning",
        "sla_id": target.contract,
        "objective": target.objective.id,
    }
    if target.team:
        labels["team"] = target.team
    return Alert(
        id=f"{kind.value}/{target.objective.id}",
        kind=kind,
        state=state,
        severity="warning",
        at_ms=attainment.watermark_ms or 0,
        labels=labels,
        annotations={
            "summary": f"{target.objective.id}: the error budget of the {attainment.window} is spent",
            "description": (
                f"{attained:.2%} of {events} met, {float(target.objective.attain):.2%} promised; {attainment.breached} "
                f"breached since {format_instant(attainment.window_start_ms)}."
            ),
        },
    )


def _withdrawn_alert(objective_id: str, at_ms: int) -> Alert:
    kind = AlertKind.OBJECTIVE_BUDGET_SPENT
    return Alert(
        id=f"{kind.value}/{objective_id}",
        kind=kind,
        state=AlertState.RESOLVED,
        severity="warning",
        at_ms=at_ms,
        labels={"alertname": kind.value, "objective": objective_id},
        annotations={"summary": f"{objective_id}: the objective is not promised any more"},
    )


def _cell_key(cell: tuple[str, int, str]) -> bytes:
    target_id, minute_ms, source = cell
    return CELL_PREFIX + _MINUTE.pack(minute_ms) + source.encode() + b"\x00" + target_id.encode()


def _cell_of(key: bytes) -> tuple[str, int, str]:
    (minute_ms,) = _MINUTE.unpack_from(key, 1)
    source, _, target_id = key[1 + _MINUTE.size :].partition(b"\x00")
    return target_id.decode(), minute_ms, source.decode()
