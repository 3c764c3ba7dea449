"""The ticket engine of one partition: events, the passing of time and a new register in; rows and effects out.

It is deterministic and has no clock, no I/O and no knowledge of Kafka: the same engine runs live, in replay and in
backtests. :class:`TicketEngine` holds the rows of a partition; each step changes them through
:meth:`~TicketEngine.apply`, :meth:`~TicketEngine.advance_to` and :meth:`~TicketEngine.set_register` and ends with
:meth:`~TicketEngine.finish`, which returns every row the step touched and every effect it had, to be stored and sent
together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sla import clock as clocks
from sla.attribution import attributed
from sla.buckets import BUCKET_PREFIX, Buckets
from sla.clock import AT_RISK_FIRING, Phase
from sla.contract import ContractType
from sla.events import Reason, Rejected, TicketEvent
from sla.fold import Added, add_event, insert_event, pass_time, refold
from sla.published_terms import TERMS_PREFIX, PublishedTerms
from sla.register import Register
from sla.row import (
    AT_RISK_BIT,
    BREACHED_BIT,
    LARGEST_ROW_BYTES,
    clock_section,
    clock_states,
    decode_row,
    due_of,
    encode_row,
)
from sla.step import Fault, Outcome
from sla.table import DueTable
from sla.telling import Telling
from sla.ticket import Ticket, new_ticket
from sla.units import DAY_MS, HOUR_MS, NEVER

TICKET_PREFIX: Final = b"t"

SWEEP_LIMIT: Final = 2_000
"""Most rows the sweeps of one step touch: a step must stay small enough for one record batch."""

SWEEP_BYTES: Final = 2_000_000
"""Most bytes of rows the sweeps of one step touch, whatever their number: a few tickets have long histories. What a row
becomes, its verdicts and alerts and their copy in the outbox come on top."""

_NEAR_FULL_BYTES: Final = LARGEST_ROW_BYTES - 8 * 1024
"""A history is full a little before its row is: clocks and verdicts grow, too."""

_SIZED_EVERY_EVENTS: Final = 16
"""How often the size of a ticket is looked at that one step brings many events for."""

_UNFOLDED: Final = 2**32 - 1
"""Register version of a row whose clocks are behind its history: a fold failed, the next one who touches it tries."""

FAULT_RETRY_MS: Final = HOUR_MS
"""How long a ticket that could not be computed is set aside; a new register and a new owner try it at once."""

# Members of an IntEnum are slow to get at.
_PAUSED: Final = int(Phase.PAUSED)


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
        self._buckets = Buckets(self.limits.bucket_retention_ms)
        self._terms = PublishedTerms()
        self._touched: dict[bytes, Ticket] = {}
        self._unjudged: dict[bytes, None] = {}
        self._refolded: set[bytes] = set()
        self._unfolded: set[bytes] = set()
        """Tickets of the step whose clocks are behind their history: folded once, before anyone looks at them."""
        self._due_of: dict[bytes, int] = {}
        self._next_due_ms: int = NEVER
        self._swept_rows = self._swept_bytes = self._step_bytes = 0
        self._faulty: dict[bytes, str] = {}
        self._outcome = Outcome()
        self._telling = Telling(self._buckets, self._terms, self._outcome, self.limits.settle_ms)

    def __len__(self) -> int:
        """Return the number of tickets kept."""
        return len(self._tickets)

    @property
    def open_counts(self) -> dict[str, tuple[int, int, int]]:
        """Clocks that run or are paused, by target of the register in force: (open, at risk, breached).

        A breached clock is past being at risk: no clock counts as both.
        """
        counts = {}
        for target_hash, (is_open, at_risk, breached) in self._open.items():
            target_id = self.register.target_id_of_hash(target_hash)
            if target_id is not None:
                counts[target_id] = (is_open, at_risk, breached)
        return counts

    @property
    def set_aside(self) -> list[str]:
        """Tickets that could not be computed and are tried again later: faults of our own."""
        return [key[1:].decode() for key in self._faulty]

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
                self._buckets.load(key, row)
            elif prefix == TERMS_PREFIX:
                self._terms.load(key, row)
        self._tickets.make_due(outdated)

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Return the state of a ticket (a copy of its row, or the one in the running step)."""
        key = TICKET_PREFIX + ticket_id.encode()
        if key in self._touched:
            self._fold(key, self._touched[key])
            return self._touched[key]
        row = self._tickets.get(key)
        return None if row is None else decode_row(row)

    def tickets(self) -> Iterable[tuple[str, Ticket]]:
        """Yield (id, state) of every ticket as of the last finished step."""
        for key, row in self._tickets.items():
            yield key[1:].decode(), decode_row(row)

    def knows(self, ticket_id: str) -> bool:
        """Whether a ticket is kept."""
        return self.holds(TICKET_PREFIX + ticket_id.encode())

    def holds(self, key: bytes) -> bool:
        """Whether the ticket of a row's key (:data:`TICKET_PREFIX` and its id) is kept."""
        return key in self._touched or key in self._tickets

    def row_bytes(self, ticket_id: str) -> int:
        """Return the size of a ticket's row as last written, 0 for a new one."""
        row = self._tickets.get(TICKET_PREFIX + ticket_id.encode())
        return 0 if row is None else len(row)

    @property
    def step_bytes(self) -> int:
        """Size of the rows that the running step has taken in so far, as they were last written."""
        return self._step_bytes

    # --- inputs ----------------------------------------------------------------------------------------------------

    def apply(self, ticket_id: str, event: TicketEvent, key: bytes | None = None) -> Rejected | None:
        """Apply one event.

        Parameters
        ----------
        key : bytes or None
            Of the ticket's row, where the caller has it at hand.

        Returns
        -------
        Rejected or None
            The reason if the event is refused: ``too-late`` or ``history-full``.
        """
        if key is None:
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
        if history and event.at_ms >= history.last_ms + self.limits.retention_ms:
            if not self._fold(key, ticket):
                return Rejected(Reason.INTERNAL_ERROR, self._faulty[key])
            if ticket.is_closed:
                # Forgotten by then, whether or not a sweep came between: that depends on where chunks end.
                if not self._judge(key, ticket):
                    return Rejected(Reason.INTERNAL_ERROR, self._faulty[key])
                ticket = self._touched[key] = new_ticket(self.register_version)
        try:
            if key in self._unfolded:
                added = insert_event(ticket, event)
            else:
                added = add_event(ticket, event, self.register, None)
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
            if added is Added.OUT_OF_ORDER:
                self._unfolded.add(key)
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
            try:
                ticket = self._touch(key, row)
            except Exception as error:  # noqa: BLE001 - a fault of ours must cost one ticket, not its partition
                self._set_aside(key, error)
            else:
                self._judge(key, ticket)
        self._buckets.expire(self.now_ms, self._outcome.rows)
        return more

    def set_register(self, register: Register, version: int) -> None:
        """Put a new register in force: every row is folded again, in the sweeps that follow or when it is touched."""
        self.register = register
        self.register_version = version
        for key in self._touched:
            self._unfolded.add(key)
            self._unjudged[key] = None
        self._tickets.make_all_due(but=self._touched)

    # --- outcome ---------------------------------------------------------------------------------------------------

    def finish(self) -> Outcome:
        """End the step: return the rows it touched and the effects it had, and start a new one."""
        outcome = self._outcome
        self._judge_touched()
        outcome.computed = len(self._touched)
        if self._faulty:
            faulty = {TICKET_PREFIX + fault.ticket.encode() for fault in outcome.faults}
            outcome.computed -= len(faulty & self._touched.keys())
            for key in self._faulty.keys() & self._touched.keys() - faulty:
                del self._faulty[key]
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
        outcome.rollups = self._buckets.finish(outcome.rows)
        self._terms.finish(outcome.rows)
        self._touched = {}
        self._refolded.clear()
        self._unfolded.clear()
        self._due_of = {}
        self._next_due_ms = NEVER
        self._swept_rows = self._swept_bytes = self._step_bytes = 0
        self._telling.outcome = self._outcome = Outcome()
        return outcome

    # --- inside ----------------------------------------------------------------------------------------------------

    def _touch(self, key: bytes, row: bytes) -> Ticket:
        """Take a row into the step, folded under the register in force."""
        ticket = decode_row(row)
        if ticket.register_version != self.register_version:
            self._refold(key, ticket)
        self._touched[key] = ticket
        self._step_bytes += len(row)
        # What the step holds is judged in the step; its row comes back with another due instant.
        self._tickets.postpone(key)
        return ticket

    def _refold(self, key: bytes, ticket: Ticket) -> None:
        self._refolded.add(key)
        dropped = refold(ticket, self.register)
        ticket.register_version = self.register_version
        if dropped:
            self._telling.retract(key[1:].decode(), dropped, self.now_ms)

    def _fold(self, key: bytes, ticket: Ticket) -> bool:
        """Bring the clocks of a ticket of the step up to date with its history; False if that failed."""
        if key in self._unfolded:
            try:
                self._refold(key, ticket)
            except Exception as error:  # noqa: BLE001 - a fault of ours must cost one ticket, not its partition
                ticket.register_version = _UNFOLDED
                self._set_aside(key, error)
                return False
            self._unfolded.remove(key)
        return True

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

    def _set_aside(self, key: bytes, error: Exception) -> None:
        """Try a ticket again later: a fault of ours costs one ticket, not its partition.

        Nothing of it is lost: a row that could not be read or folded stays as it is, byte by byte, and so does
        whatever the step has brought already.
        """
        text = f"{type(error).__name__}: {error}"
        is_new = self._faulty.get(key) != text
        self._faulty[key] = text
        self._outcome.faults.append(Fault(key[1:].decode(), error, is_new))
        retry_ms = self.now_ms + FAULT_RETRY_MS
        if key in self._touched:
            self._due_of[key] = retry_ms
            self._next_due_ms = min(self._next_due_ms, retry_ms)
        else:
            row = self._tickets.get(key)
            assert row is not None
            self._tickets.put(key, row, retry_ms)

    def _judge(self, key: bytes, ticket: Ticket) -> bool:
        """Compare what is true of a ticket as of now with what the outside was told, and tell the difference.

        Also notes when the ticket needs attention next without any event.

        Returns
        -------
        bool
            False if that failed: the ticket is set aside. What was told before that is noted at its clocks.
        """
        if self._unfolded and not self._fold(key, ticket):
            return False
        ticket_id = key[1:].decode()
        now_ms, settle_ms = self.now_ms, self.limits.settle_ms
        terms = self.register.terms
        telling = self._telling
        refolded = key in self._refolded
        due_ms: int = NEVER
        is_closed = True
        try:
            if self.register.lets_go:
                due_ms = pass_time(ticket, self.register, now_ms)
            for clock in ticket.clocks:
                # Most clocks an engine looks at have nothing to tell: they run or stand as the outside knows they do.
                if (
                    clock.phase <= _PAUSED
                    and clock.published is None
                    and not clock.breached
                    and clock.alerts == (AT_RISK_FIRING if clock.level else 0)
                    and clock.level <= clock.alerted_level
                ):
                    if clock.phase == _PAUSED:
                        is_closed = False
                        continue
                    change_ms = min(clock.warn_ms, clock.deadline_ms + settle_ms)
                    if now_ms < change_ms:
                        is_closed = False
                        due_ms = min(due_ms, change_ms)
                        continue
                target, calendar = terms[clock.target_id, clock.revision]
                decision = clocks.decision_of(clock, now_ms, settle_ms)
                if decision is None:
                    if clock.published is not None:
                        telling.take_back(clock, ticket_id, clock.published, now_ms)
                else:
                    told = clock.published if clocks.is_told(clock, target, decision) else None
                    # Who held a ticket changes only with its history; what an OLA endangers, with its other clocks.
                    may_differ = (
                        refolded
                        or target.contract_type is not ContractType.SLA
                        or (clock.ended_ms is None and ticket.history.last_ms < clock.deadline_ms)
                    )
                    if told is None or may_differ:
                        verdict = clocks.verdict_on(clock, ticket_id, target, decision)
                        verdict = attributed(verdict, ticket, clock, self.register)
                        if told is None or told.attribution != verdict.attribution:
                            telling.publish(clock, target, verdict, now_ms)
                if clock.is_active:
                    is_closed = False
                    telling.alert(clock, target, calendar, ticket_id, ticket, self.register, now_ms)
                    change_ms = clocks.next_change_ms(clock, now_ms, settle_ms, clock.warn_ms)
                    due_ms = min(due_ms, change_ms)
                elif clock.alerts:
                    telling.alert(clock, target, calendar, ticket_id, ticket, self.register, now_ms)
        except Exception as error:  # noqa: BLE001 - a fault of ours must cost one ticket, not its partition
            self._set_aside(key, error)
            return False
        if is_closed:
            due_ms = (ticket.history.last_ms if ticket.history else now_ms) + self.limits.retention_ms
        self._due_of[key] = due_ms
        self._next_due_ms = min(self._next_due_ms, due_ms)
        return True

    def _count(self, row: bytes, sign: int) -> None:
        # By hash, also of targets that this register does not know: what was counted in can always be counted out.
        for target_hash, state in clock_states(row):
            counts = self._open.get(target_hash)
            if counts is None:
                counts = self._open[target_hash] = [0, 0, 0]
            counts[0] += sign
            if state & BREACHED_BIT:
                counts[2] += sign
            elif state & AT_RISK_BIT:
                counts[1] += sign


def _full(ticket_id: str, size: int) -> Rejected:
    return Rejected(Reason.HISTORY_FULL, f"ticket {ticket_id!r} holds {size} bytes of history, its largest size")
