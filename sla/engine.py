"""The ticket engine of one partition: events, the passing of time and a new register in; rows and effects out.

It is deterministic and has no clock, no I/O and no knowledge of Kafka: the same engine runs live, in replay and in
backtests. :class:`TicketEngine` holds the rows of a partition; each step changes them through
:meth:`~TicketEngine.apply`, :meth:`~TicketEngine.advance_to` and :meth:`~TicketEngine.set_register` and ends with
:meth:`~TicketEngine.finish`, which returns every row the step touched and every effect it had, to be stored and sent
together.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sla import clock as clocks
from sla.alerting import SEVERITY, clock_alert
from sla.calendar import WorkCalendar
from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Clock, Phase, Published
from sla.contract import Target
from sla.events import Reason, Rejected, TicketEvent
from sla.outcome import Alert, AlertKind, AlertState, Result, Verdict
from sla.register import Register
from sla.row import (
    AT_RISK_BIT,
    BREACHED_BIT,
    LARGEST_ROW_BYTES,
    RowFormatError,
    clock_section,
    clock_states,
    decode_row,
    due_of,
    encode_row,
)
from sla.table import DueTable
from sla.ticket import Added, Ticket, add_event, new_ticket, refold
from sla.units import DAY_MS, MINUTE_MS, NEVER

TICKET_PREFIX: Final = b"t"
BUCKET_PREFIX: Final = b"b"

BUCKET_FORMAT: Final = 1
_BUCKET = struct.Struct(">BII")
_BUCKET_MINUTE = struct.Struct(">q")

SWEEP_LIMIT: Final = 2_000
"""Most rows the sweeps of one step touch: a step must stay small enough for one record batch."""

SWEEP_BYTES: Final = 2_000_000
"""Most bytes of rows the sweeps of one step touch, whatever their number: a few tickets have long histories. What a row
becomes, its verdicts and alerts and their copy in the outbox come on top."""

_NEAR_FULL_BYTES: Final = LARGEST_ROW_BYTES - 8 * 1024
"""A history is full a little before its row is: clocks and verdicts grow, too."""

_SIZED_EVERY_EVENTS: Final = 16
"""How often the size of a ticket is looked at that one step brings many events for."""


_COLUMN: Final = {Result.MET.value: 0, Result.BREACHED.value: 1}
_ALERTS: Final = ((AT_RISK_FIRING, AlertKind.TICKET_AT_RISK), (BREACHED_FIRING, AlertKind.TICKET_BREACHED))


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Durations that shape the engine, all in milliseconds.

    Attributes
    ----------
    settle_ms : int
        A breach is declared this long after its deadline.
    retention_ms : int
        Closed tickets are kept this long after their last event.
    bucket_retention_ms : int
        Buckets are kept this long: the longest window, its grace and the retention of tickets.
    """

    settle_ms: int = 30_000
    retention_ms: int = 35 * DAY_MS
    bucket_retention_ms: int = (366 + 35 + 7) * DAY_MS


class Rollup(NamedTuple):
    """Counts of one target in one minute: absolute, or a change to a bucket that is no longer kept."""

    target: str
    minute_ms: int
    met: int
    breached: int
    is_delta: bool = False


@dataclass(slots=True)
class Outcome:
    """What one step did.

    Attributes
    ----------
    rows : dict
        State rows to write, by key; None deletes.
    verdicts : list of (Verdict, bool)
        In order; True marks the correction of a verdict published before with another result or bucket.
    counts : dict
        Counters for the metrics: duplicate, out-of-order, unmatched, corrections, ...
    """

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    verdicts: list[tuple[Verdict, bool]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class TicketEngine:
    """Clocks and buckets of one partition of tickets.

    Parameters
    ----------
    register : Register
    register_version : int
        Grows with every change of the register in this partition; rows of another version are folded again.
    limits : EngineLimits
    """

    def __init__(self, register: Register, register_version: int = 0, limits: EngineLimits | None = None) -> None:
        self.register = register
        self.register_version = register_version
        self.limits = limits or EngineLimits()
        self.now_ms = 0
        self._open: dict[int, list[int]] = {}
        self._tickets = DueTable()
        self._buckets: dict[tuple[str, int], list[int]] = {}
        self._touched: dict[bytes, Ticket] = {}
        self._unjudged: dict[bytes, None] = {}
        self._due_of: dict[bytes, int] = {}
        self._next_due_ms: int = NEVER
        self._swept_rows = self._swept_bytes = 0
        self._moved: set[tuple[str, int]] = set()
        self._deltas: dict[tuple[str, int], list[int]] = {}
        self._outcome = Outcome()
        self._next_bucket_expiry_ms = 0
        self._expired: list[tuple[str, int]] = []

    def __len__(self) -> int:
        """Return the number of tickets kept."""
        return len(self._tickets)

    @property
    def open_counts(self) -> dict[str, tuple[int, int, int]]:
        """Clocks that run or are paused, by target of the register in force: (open, at risk, breached).

        A breached clock counts as at risk, too, if its target has thresholds of risk.
        """
        counts = {}
        for target_hash, (is_open, at_risk, breached) in self._open.items():
            target_id = self.register.target_id_of_hash(target_hash)
            if target_id is not None:
                counts[target_id] = (is_open, at_risk, breached)
        return counts

    # --- state -----------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
        """Take restored rows over; rows of another register version become due at once.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        self.now_ms = now_ms
        outdated: list[bytes] = []
        for key, row in rows:
            prefix = key[:1]
            if prefix == TICKET_PREFIX:
                version, due_ms = due_of(row)
                self._tickets.put(key, row, due_ms)
                self._count(row, 1)
                if version != self.register_version:
                    outdated.append(key)
            elif prefix == BUCKET_PREFIX:
                if row[0] != BUCKET_FORMAT:
                    raise RowFormatError(f"bucket format {row[0]}, this release reads {BUCKET_FORMAT}")
                _, met, breached = _BUCKET.unpack(row)
                self._buckets[_bucket_of(key)] = [met, breached]
        self._tickets.make_due(outdated)

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Return the state of a ticket (a copy of its row, or the one in the running step)."""
        key = TICKET_PREFIX + ticket_id.encode()
        if key in self._touched:
            return self._touched[key]
        row = self._tickets.get(key)
        return None if row is None else decode_row(row)

    def tickets(self) -> Iterable[tuple[str, Ticket]]:
        """Yield (id, state) of every ticket as of the last finished step."""
        for key, row in self._tickets.items():
            yield key[1:].decode(), decode_row(row)

    def knows(self, ticket_id: str) -> bool:
        """Whether a ticket is kept."""
        key = TICKET_PREFIX + ticket_id.encode()
        return key in self._touched or key in self._tickets

    def row_bytes(self, ticket_id: str) -> int:
        """Return the size of a ticket's row as last written, 0 for a new one."""
        row = self._tickets.get(TICKET_PREFIX + ticket_id.encode())
        return 0 if row is None else len(row)

    # --- inputs ----------------------------------------------------------------------------------------------------

    def apply(self, ticket_id: str, event: TicketEvent) -> Rejected | None:
        """Apply one event.

        Returns
        -------
        Rejected or None
            The reason if the event is refused: ``too-late`` or ``history-full``.
        """
        key = TICKET_PREFIX + ticket_id.encode()
        ticket = self._touched.get(key)
        if ticket is None:
            row = self._tickets.get(key)
            if row is None:
                if event.at_ms < self.now_ms - self.limits.retention_ms:
                    return Rejected(
                        Reason.TOO_LATE,
                        f"ticket {ticket_id!r} is not kept any more: closed tickets are kept "
                        f"{self.limits.retention_ms // DAY_MS} days after their last event",
                    )
                ticket = self._touched[key] = new_ticket(self.register_version)
            elif len(row) > _NEAR_FULL_BYTES:
                return _full(ticket_id, len(row))
            else:
                ticket = self._touch(key, row)
        elif len(ticket.history) % _SIZED_EVERY_EVENTS == _SIZED_EVERY_EVENTS - 1:
            # The row tells nothing of what this step has brought already.
            size = len(encode_row(ticket, NEVER))
            if size > _NEAR_FULL_BYTES:
                return _full(ticket_id, size)
        former = ticket
        history = ticket.history
        if history and event.at_ms >= history[-1].at_ms + self.limits.retention_ms and ticket.is_closed:
            # Forgotten by then, whether or not a sweep came between: that depends on where chunks end.
            self._judge(key, ticket)
            ticket = self._touched[key] = new_ticket(self.register_version)
        dropped: list[Clock] = []
        try:
            added = add_event(ticket, event, self.register, dropped)
        except Exception:
            # A fault of ours must cost the ticket nothing but this event: it is as it was before.
            if former.history:
                self._touched[key] = former
                self._unjudged[key] = None
            else:
                del self._touched[key]
            raise
        if added is not Added.IN_ORDER:
            self._outcome.counts[added.value] += 1
            if dropped:
                self._retract(ticket_id, dropped)
        elif not ticket.clocks and len(ticket.history) == 1:
            self._outcome.counts["unmatched"] += 1
        self._unjudged[key] = None
        return None

    def advance_to(self, now_ms: int, limit: int = SWEEP_LIMIT) -> bool:
        """Let time pass: judge what the step touched and sweep the rows that are due.

        ``now`` never goes back: an earlier instant is taken as the present one.

        Parameters
        ----------
        limit : int
            Most rows that all sweeps of the step together may touch.

        Returns
        -------
        bool
            True if more rows are due than the step may touch: the caller ends the step and makes another one.
        """
        self.now_ms = max(self.now_ms, now_ms)
        self._judge_touched()
        more = False
        for key in self._tickets.due(self.now_ms, max(1, limit - self._swept_rows + 1)):
            if self._swept_rows >= limit or self._swept_bytes >= SWEEP_BYTES:
                more = True
                break
            row = self._tickets.get(key)
            assert row is not None
            self._swept_rows += 1
            self._swept_bytes += len(row)
            self._judge(key, self._touch(key, row))
        self._expire_buckets()
        return more

    def set_register(self, register: Register, version: int) -> None:
        """Put a new register in force: every row is folded again, in the sweeps that follow or when it is touched."""
        self.register = register
        self.register_version = version
        for key, ticket in self._touched.items():
            self._refold(key, ticket)
            self._unjudged[key] = None
        self._tickets.make_due(key for key, _ in self._tickets.items() if key not in self._touched)

    # --- outcome ---------------------------------------------------------------------------------------------------

    def finish(self) -> Outcome:
        """End the step: return the rows it touched and the effects it had, and start a new one."""
        outcome = self._outcome
        self._judge_touched()
        for key, ticket in self._touched.items():
            before = self._tickets.get(key)
            due_ms = self._due_of[key]
            if due_ms <= self.now_ms and ticket.is_closed:
                if before is not None:
                    self._count(before, -1)
                    self._tickets.remove(key)
                outcome.rows[key] = None
                continue
            row = encode_row(ticket, due_ms)
            self._tickets.put(key, row, due_ms)
            if before is None:
                self._count(row, 1)
            elif clock_section(before) != clock_section(row):
                self._count(before, -1)
                self._count(row, 1)
            outcome.rows[key] = row
        for bucket in sorted(self._moved):
            met, breached = self._buckets[bucket]
            outcome.rows[_bucket_key(bucket)] = _BUCKET.pack(BUCKET_FORMAT, met, breached)
            outcome.rollups.append(Rollup(bucket[0], bucket[1], met, breached))
        for bucket, (met, breached) in sorted(self._deltas.items()):
            outcome.rollups.append(Rollup(bucket[0], bucket[1], met, breached, is_delta=True))
        self._touched = {}
        self._due_of = {}
        self._next_due_ms = NEVER
        self._swept_rows = self._swept_bytes = 0
        self._moved = set()
        self._deltas = {}
        self._outcome = Outcome()
        return outcome

    # --- inside ----------------------------------------------------------------------------------------------------

    def _touch(self, key: bytes, row: bytes) -> Ticket:
        """Take a row into the step, folded under the register in force."""
        ticket = decode_row(row)
        if ticket.register_version != self.register_version:
            self._refold(key, ticket)
        self._touched[key] = ticket
        # What the step holds is judged in the step; its row comes back with another due instant.
        self._tickets.postpone(key)
        return ticket

    def _refold(self, key: bytes, ticket: Ticket) -> None:
        dropped = refold(ticket, self.register)
        ticket.register_version = self.register_version
        if dropped:
            self._retract(key[1:].decode(), dropped)

    def _judge_touched(self) -> None:
        """Judge the tickets of this step that have new events, or that became due since they were judged."""
        if self._unjudged:
            unjudged, self._unjudged = self._unjudged, {}
            for key in unjudged:
                self._judge(key, self._touched[key])
        if self.now_ms >= self._next_due_ms:
            for key in [key for key, due_ms in self._due_of.items() if due_ms <= self.now_ms]:
                self._judge(key, self._touched[key])
            self._next_due_ms = min(self._due_of.values(), default=NEVER)

    def _judge(self, key: bytes, ticket: Ticket) -> None:
        """Compare what is true of a ticket as of now with what the outside was told, and tell the difference.

        Also notes when the ticket needs attention next without any event.
        """
        ticket_id = key[1:].decode()
        now_ms, settle_ms = self.now_ms, self.limits.settle_ms
        terms = self.register.terms
        due_ms: int = NEVER
        is_closed = True
        for clock in ticket.clocks:
            target, calendar = terms[clock.target_id, clock.revision]
            decision = clocks.decision_of(clock, now_ms, settle_ms)
            if decision is None:
                if clock.published is not None:
                    self._take_back(clock, target, ticket_id, clock.published)
            elif not clocks.is_told(clock, target, decision):
                self._publish(clock, target, clocks.verdict_on(clock, ticket_id, target, decision))
            if clock.is_active:
                is_closed = False
                self._alert(clock, target, calendar, ticket_id, ticket)
                change_ms = clocks.next_change_ms(clock, now_ms, settle_ms, clock.warn_ms)
                due_ms = min(due_ms, change_ms)
            elif clock.alerts:
                self._alert(clock, target, calendar, ticket_id, ticket)
        if is_closed:
            due_ms = (ticket.history[-1].at_ms if ticket.history else now_ms) + self.limits.retention_ms
        self._due_of[key] = due_ms
        self._next_due_ms = min(self._next_due_ms, due_ms)

    def _publish(self, clock: Clock, target: Target, verdict: Verdict) -> None:
        """Tell a verdict that is new, or that differs from the one told before."""
        before = clock.published
        clock.published = after = Published(
            verdict.result.value,
            verdict.deadline_ms,
            verdict.stop_ms,
            verdict.consumed_ms,
            verdict.start_ms,
            verdict.revision,
        )
        moved = before is None or (before.result, before.decided_at_ms) != (after.result, after.decided_at_ms)
        if moved:
            if before is not None:
                self._move(target.id, before, -1)
                self._outcome.counts["corrections"] += 1
            self._move(target.id, after, 1)
            self._outcome.counts[f"verdict:{target.contract}:{target.id}:{verdict.result.value}"] += 1
        self._outcome.verdicts.append((verdict, moved and before is not None))

    def _take_back(self, clock: Clock, target: Target | None, ticket_id: str, told: Published) -> None:
        """Take a verdict back: the clock is open again, or never was."""
        clock.published = None
        self._move(clock.target_id, told, -1)
        self._outcome.counts["corrections"] += 1
        self._outcome.verdicts.append((_retraction(ticket_id, clock, target, told), True))

    def _alert(self, clock: Clock, target: Target, calendar: WorkCalendar, ticket_id: str, ticket: Ticket) -> None:
        firing = 0
        level = 0
        if clock.phase <= Phase.PAUSED:
            level, clock_warn_ms = clocks.warn_level_at(clock, target, calendar, self.now_ms)
            if clock.phase == Phase.RUNNING:
                clock.level, clock.warn_ms = level, clock_warn_ms
            firing = (AT_RISK_FIRING if level else 0) | (
                BREACHED_FIRING if clocks.has_breached(clock, self.now_ms, self.limits.settle_ms) else 0
            )
        rises = level > clock.alerted_level
        if firing == clock.alerts and not rises:
            return
        before = clock.alerts
        clock.alerts = firing
        if firing:
            clock.alerted_level = max(level, clock.alerted_level)
        for bit, kind in _ALERTS:
            is_firing, was_firing = bool(firing & bit), bool(before & bit)
            if is_firing != was_firing or (is_firing and rises and bit == AT_RISK_FIRING):
                state = AlertState.FIRING if is_firing else AlertState.RESOLVED
                self._outcome.alerts.append(
                    clock_alert(kind, state, clock, target, ticket_id, ticket.attributes, self.now_ms)
                )
        if not firing:
            clock.alerted_level = 0

    def _retract(self, ticket_id: str, dropped: list[Clock]) -> None:
        """Take back whatever was told about clocks that never were."""
        for clock in dropped:
            if clock.published is not None:
                target = self.register.target(clock.target_id, clock.published.revision)
                self._take_back(clock, target, ticket_id, clock.published)
            for bit, kind in _ALERTS:
                if clock.alerts & bit:
                    clock_id = f"{ticket_id}:{clock.target_id}:{clock.cycle}"
                    self._outcome.alerts.append(
                        Alert(
                            id=f"{kind.value}/{clock_id}",
                            kind=kind,
                            state=AlertState.RESOLVED,
                            severity=SEVERITY[kind],
                            at_ms=self.now_ms,
                            labels={"alertname": kind.value, "ticket_id": ticket_id, "target": clock.target_id},
                            annotations={
                                "clock_id": clock_id,
                                "summary": f"{clock_id}: the clock does not apply any more",
                            },
                        )
                    )

    def _move(self, target_id: str, published: Published, sign: int) -> None:
        column = _COLUMN.get(published.result)
        if column is None:
            return
        decided_at_ms = published.decided_at_ms
        bucket = (target_id, decided_at_ms - decided_at_ms % MINUTE_MS)
        if bucket[1] < self.now_ms - self.limits.bucket_retention_ms and bucket not in self._buckets:
            self._deltas.setdefault(bucket, [0, 0])[column] += sign
            return
        self._buckets.setdefault(bucket, [0, 0])[column] += sign
        self._moved.add(bucket)

    def _count(self, row: bytes, sign: int) -> None:
        # By hash, also of targets that this register does not know: what was counted in can always be counted out.
        for target_hash, state in clock_states(row):
            counts = self._open.get(target_hash)
            if counts is None:
                counts = self._open[target_hash] = [0, 0, 0]
            counts[0] += sign
            if state & AT_RISK_BIT:
                counts[1] += sign
            if state & BREACHED_BIT:
                counts[2] += sign

    def _expire_buckets(self) -> None:
        """Forget old buckets: looked for once a day, removed a few at a time, for a step is one record batch."""
        horizon_ms = self.now_ms - self.limits.bucket_retention_ms
        if self.now_ms >= self._next_bucket_expiry_ms:
            self._expired = [bucket for bucket in self._buckets if bucket[1] < horizon_ms]
            self._next_bucket_expiry_ms = self.now_ms + DAY_MS
        if not self._expired:
            return
        batch = self._expired[-SWEEP_LIMIT:]
        del self._expired[-SWEEP_LIMIT:]
        for bucket in batch:
            if bucket not in self._moved:  # else it is told in absolute numbers once more, and goes tomorrow
                del self._buckets[bucket]
                self._outcome.rows[_bucket_key(bucket)] = None


def _full(ticket_id: str, size: int) -> Rejected:
    return Rejected(Reason.HISTORY_FULL, f"ticket {ticket_id!r} holds {size} bytes of history, its largest size")


def _retraction(ticket_id: str, clock: Clock, target: Target | None, published: Published) -> Verdict:
    return Verdict(
        ticket=ticket_id,
        contract=target.contract if target else "",
        target=clock.target_id,
        metric=target.metric if target else "",
        revision=published.revision,
        cycle=clock.cycle,
        result=Result.RETRACTED,
        start_ms=published.start_ms,
        deadline_ms=published.deadline_ms,
        stop_ms=published.stop_ms,
        decided_at_ms=published.decided_at_ms,
        target_ms=target.within.duration_ms if target else 0,
        consumed_ms=published.consumed_ms,
        elapsed_ms=0,
    )


def _bucket_key(bucket: tuple[str, int]) -> bytes:
    return BUCKET_PREFIX + _BUCKET_MINUTE.pack(bucket[1]) + bucket[0].encode()


def _bucket_of(key: bytes) -> tuple[str, int]:
    (minute_ms,) = _BUCKET_MINUTE.unpack_from(key, 1)
    return key[1 + _BUCKET_MINUTE.size :].decode(), minute_ms
