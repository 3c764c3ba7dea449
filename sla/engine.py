"""The ticket engine of one partition: events, the passing of time and a new register in; rows and effects out.

It is deterministic and has no clock, no I/O and no knowledge of Kafka: the same engine runs live, in replay and in
backtests. :class:`TicketEngine` holds the rows of a partition; each step changes them through :meth:`~TicketEngine.apply`,
:meth:`~TicketEngine.advance_to` and :meth:`~TicketEngine.set_register` and ends with :meth:`~TicketEngine.finish`, which
returns every row the step touched and every effect it had, to be stored and sent together.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final


from sla import clock as clocks
from sla.alerting import clock_alert
from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Clock, Published
from sla.contract import Target
from sla.events import Reason, Rejected, TicketEvent
from sla.outcome import Alert, AlertKind, AlertState, Result, Verdict
from sla.register import Register
from sla.row import (
    AT_RISK_BIT,
    BREACHED_BIT,
    LARGEST_ROW_BYTES,
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
"""Most rows one sweep touches: a step must stay small enough for one record batch."""

_NEAR_FULL_BYTES: Final = LARGEST_ROW_BYTES - 8 * 1024
"""A history is full a little before its row is: clocks and verdicts grow, too."""


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


@dataclass(frozen=True, slots=True)
class Rollup:
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
        self.open_counts: dict[str, list[int]] = {}
        self._tickets = DueTable()
        self._buckets: dict[tuple[str, int], list[int]] = {}
        self._touched: dict[bytes, Ticket] = {}
        self._unevaluated: set[bytes] = set()
        self._moved: set[tuple[str, int]] = set()
        self._deltas: dict[tuple[str, int], list[int]] = {}
        self._outcome = Outcome()
        self._next_bucket_expiry_ms = 0

    def __len__(self) -> int:
        """Return the number of tickets kept."""
        return len(self._tickets)

    # --- state -----------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
        """Take restored rows over; rows of another register version become due at once."""
        self.now_ms = now_ms
        for key, row in rows:
            prefix = key[:1]
            if prefix == TICKET_PREFIX:
                version, due_ms = due_of(row)
                self._tickets.put(key, row, due_ms if version == self.register_version else -1)
                self._count(row, 1)
            elif prefix == BUCKET_PREFIX:
                _, met, breached = _BUCKET.unpack(row)
                self._buckets[_bucket_of(key)] = [met, breached]

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
        counts = self._outcome.counts
        if ticket is None:
            row = self._tickets.get(key)
            if row is None:
                if event.at_ms < self.now_ms - self.limits.retention_ms:
                    return Rejected(
                        Reason.TOO_LATE,
                        f"ticket {ticket_id!r} is not kept any more: closed tickets are kept "
                        f"{self.limits.retention_ms // DAY_MS} days after their last event",
                    )
                ticket = new_ticket(self.register_version)
            else:
                if len(row) > _NEAR_FULL_BYTES:
                    return Rejected(
                        Reason.HISTORY_FULL, f"ticket {ticket_id!r} holds {len(row)} bytes of history, its largest size"
                    )
                ticket = decode_row(row)
                if ticket.register_version != self.register_version:
                    self._refold(key, ticket)
            self._touched[key] = ticket
        dropped: list[Clock] = []
        try:
            added = add_event(ticket, event, self.register, dropped)
        except Exception:
            # A fault of ours must not cost the ticket its other events: take this one out and fold what was there.
            ticket.history = [known for known in ticket.history if known is not event]
            refold(ticket, self.register)
            self._unevaluated.add(key)
            raise
        if added is not Added.IN_ORDER:
            counts[added.value] += 1
            if dropped:
                self._retract(ticket_id, ticket, dropped)
        elif not ticket.clocks:
            counts["unmatched"] += 1
        self._unevaluated.add(key)
        return None

    def advance_to(self, now_ms: int, limit: int = SWEEP_LIMIT) -> bool:
        """Let time pass: judge what the step touched and sweep the rows that are due.

        ``now`` never goes back: an earlier instant is taken as the present one.

        Returns
        -------
        bool
            True if more rows are due than ``limit``: the caller ends the step and makes another one.
        """
        self.now_ms = max(self.now_ms, now_ms)
        for key in self._unevaluated:
            self._evaluate(key, self._touched[key])
        self._unevaluated.clear()
        due = self._tickets.due(self.now_ms, limit + 1)
        more = len(due) > limit
        for key in due[:limit]:
            ticket = self._touched.get(key)
            if ticket is None:
                row = self._tickets.get(key)
                assert row is not None
                ticket = self._touched[key] = decode_row(row)
                if ticket.register_version != self.register_version:
                    self._refold(key, ticket)
            self._evaluate(key, ticket)
        if self.now_ms >= self._next_bucket_expiry_ms:
            self._expire_buckets()
        return more

    def set_register(self, register: Register, version: int) -> None:
        """Put a new register in force: every row is folded again, in the sweeps that follow or when it is touched."""
        self.register = register
        self.register_version = version
        self._tickets.make_all_due()

    # --- outcome ---------------------------------------------------------------------------------------------------

    def finish(self) -> Outcome:
        """End the step: return the rows it touched and the effects it had, and start a new one."""
        outcome = self._outcome
        for key in self._unevaluated:
            self._evaluate(key, self._touched[key])
        self._unevaluated.clear()
        for key, ticket in self._touched.items():
            before = self._tickets.get(key)
            if before is not None:
                self._count(before, -1)
            due_ms = self._due(ticket)
            if due_ms <= self.now_ms and ticket.is_closed:
                if before is not None:
                    self._tickets.remove(key)
                outcome.rows[key] = None
                continue
            row = encode_row(ticket, due_ms)
            self._tickets.put(key, row, due_ms)
            self._count(row, 1)
            outcome.rows[key] = row
        for bucket in sorted(self._moved):
            met, breached = self._buckets[bucket]
            outcome.rows[_bucket_key(bucket)] = _BUCKET.pack(BUCKET_FORMAT, met, breached)
            outcome.rollups.append(Rollup(bucket[0], bucket[1], met, breached))
        for bucket, (met, breached) in sorted(self._deltas.items()):
            outcome.rollups.append(Rollup(bucket[0], bucket[1], met, breached, is_delta=True))
        self._touched = {}
        self._moved = set()
        self._deltas = {}
        self._outcome = Outcome()
        return outcome

    # --- inside ----------------------------------------------------------------------------------------------------

    def _refold(self, key: bytes, ticket: Ticket) -> None:
        dropped = refold(ticket, self.register)
        ticket.register_version = self.register_version
        if dropped:
            self._retract(key[1:].decode(), ticket, dropped)

    def _evaluate(self, key: bytes, ticket: Ticket) -> None:
        """Compare what is true of a ticket as of now with what the outside was told, and tell the difference."""
        ticket_id = key[1:].decode()
        settle_ms = self.limits.settle_ms
        for clock in ticket.clocks:
            target = self.register.target(clock.target_id, clock.revision)
            assert target is not None
            verdict = clocks.verdict_of(clock, ticket_id, target, self.now_ms, settle_ms)
            self._publish(clock, target, ticket_id, verdict)
            self._alert(clock, target, ticket_id, ticket, settle_ms)

    def _publish(self, clock: Clock, target: Target, ticket_id: str, verdict: Verdict | None) -> None:
        before = clock.published
        if verdict is None:
            if before is not None:
                # A late event took the verdict back and the clock is open again.
                self._move(target.id, before, -1)
                self._outcome.verdicts.append((_retraction(ticket_id, clock, target, before), True))
                clock.published = None
            return
        after = Published(
            verdict.result.value, verdict.decided_at_ms, verdict.stop_ms, verdict.consumed_ms, verdict.start_ms
        )
        if before == after:
            return
        moved = before is None or (before.result, before.decided_at_ms) != (after.result, after.decided_at_ms)
        if moved:
            if before is not None:
                self._move(target.id, before, -1)
                self._outcome.counts["corrections"] += 1
            self._move(target.id, after, 1)
            self._outcome.counts[f"verdict:{target.contract}:{target.id}:{verdict.result.value}"] += 1
        self._outcome.verdicts.append((verdict, moved and before is not None))
        clock.published = after

    def _alert(self, clock: Clock, target: Target, ticket_id: str, ticket: Ticket, settle_ms: int) -> None:
        firing = 0
        level = 0
        if clock.is_active:
            calendar = self.register.calendar_of(target)
            level, clock_warn_ms = clocks.warn_level_at(clock, target, calendar, self.now_ms)
            if clock.phase == clocks.Phase.RUNNING:
                clock.level, clock.warn_ms = level, clock_warn_ms
            firing = (AT_RISK_FIRING if level else 0) | (
                BREACHED_FIRING if clocks.has_breached(clock, self.now_ms, settle_ms) else 0
            )
        elif not clock.alerts:
            return
        rises = level > clock.alerted_level
        if firing == clock.alerts and not rises:
            return
        before = clock.alerts
        clock.alerts = firing
        clock.alerted_level = max(level, clock.alerted_level) if firing else clock.alerted_level
        for bit, kind in ((AT_RISK_FIRING, AlertKind.TICKET_AT_RISK), (BREACHED_FIRING, AlertKind.TICKET_BREACHED)):
            is_firing, was_firing = bool(firing & bit), bool(before & bit)
            if is_firing != was_firing or (is_firing and rises and bit == AT_RISK_FIRING):
                state = AlertState.FIRING if is_firing else AlertState.RESOLVED
                self._outcome.alerts.append(
                    clock_alert(kind, state, clock, target, ticket_id, ticket.attributes, self.now_ms)
                )
        if not firing:
            clock.alerted_level = 0

    def _retract(self, ticket_id: str, ticket: Ticket, dropped: list[Clock]) -> None:
        for clock in dropped:
            target = self.register.target(clock.target_id, clock.revision)
            if clock.published is not None:
                self._move(clock.target_id, clock.published, -1)
                self._outcome.counts["corrections"] += 1
                self._outcome.verdicts.append((_retraction(ticket_id, clock, target, clock.published), True))
            for bit, kind in ((AT_RISK_FIRING, AlertKind.TICKET_AT_RISK), (BREACHED_FIRING, AlertKind.TICKET_BREACHED)):
                if clock.alerts & bit:
                    clock_id = f"{ticket_id}:{clock.target_id}:{clock.cycle}"
                    self._outcome.alerts.append(
                        Alert(
                            id=f"{kind.value}/{clock_id}",
                            kind=kind,
                            state=AlertState.RESOLVED,
                            severity="warning",
                            at_ms=self.now_ms,
                            labels={"alertname": kind.value, "ticket_id": ticket_id, "target": clock.target_id},
                            annotations={"clock_id": clock_id, "summary": f"{clock_id}: the clock does not apply any more"},
                        )
                    )

    def _move(self, target_id: str, published: Published, sign: int) -> None:
        column = {Result.MET: 0, Result.BREACHED: 1}.get(Result(published.result))
        if column is None:
            return
        bucket = (target_id, published.decided_at_ms - published.decided_at_ms % MINUTE_MS)
        if bucket[1] < self.now_ms - self.limits.bucket_retention_ms and bucket not in self._buckets:
            self._deltas.setdefault(bucket, [0, 0])[column] += sign
            return
        self._buckets.setdefault(bucket, [0, 0])[column] += sign
        self._moved.add(bucket)

    def _due(self, ticket: Ticket) -> int:
        """Return when the ticket needs attention next without any event."""
        if ticket.register_version != self.register_version:
            return -1
        due_ms: int = NEVER
        active = False
        for clock in ticket.clocks:
            if clock.is_active:
                active = True
                due_ms = min(due_ms, clocks.next_change_ms(clock, self.now_ms, self.limits.settle_ms, clock.warn_ms))
        if active:
            return due_ms
        return (ticket.history[-1].at_ms if ticket.history else self.now_ms) + self.limits.retention_ms

    def _count(self, row: bytes, sign: int) -> None:
        for target_hash, state in clock_states(row):
            target_id = self.register.target_id_of_hash(target_hash)
            if target_id is None:
                continue
            counts = self.open_counts.get(target_id)
            if counts is None:
                counts = self.open_counts[target_id] = [0, 0, 0]
            counts[0] += sign
            if state & AT_RISK_BIT:
                counts[1] += sign
            if state & BREACHED_BIT:
                counts[2] += sign

    def _expire_buckets(self) -> None:
        horizon_ms = self.now_ms - self.limits.bucket_retention_ms
        for bucket in [bucket for bucket in self._buckets if bucket[1] < horizon_ms and bucket not in self._moved]:
            del self._buckets[bucket]
            self._outcome.rows[_bucket_key(bucket)] = None
        self._next_bucket_expiry_ms = self.now_ms + DAY_MS


def _retraction(ticket_id: str, clock: Clock, target: Target | None, published: Published) -> Verdict:
    return Verdict(
        ticket=ticket_id,
        contract=target.contract if target else "",
        target=clock.target_id,
        metric=target.metric if target else "",
        revision=clock.revision,
        cycle=clock.cycle,
        result=Result.RETRACTED,
        start_ms=published.start_ms,
        deadline_ms=published.decided_at_ms,
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
