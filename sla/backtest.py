"""Runs the ticket engine over a whole log at once: the same clocks and verdicts as live, without partitions and steps.

Events and instants come in the order of event time; what is in force at the end is read from :meth:`Backtest.records`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from sla import clock as clocks
from sla.attribution import endangered, shares_of
from sla.clock import Clock
from sla.engine import EngineLimits, TicketEngine
from sla.events import Rejected, TicketEvent
from sla.outcome import Result, Share, Verdict, endangered_document, shares_document
from sla.register import Register
from sla.ticket import Ticket
from sla.units import NEVER, format_instant

OPEN = "open"
"""Outcome of a clock that has no verdict."""

ClockKey = tuple[str, str, int]
"""Ticket, target and cycle: what identifies a clock, in the order records come in."""


class OpenClock(msgspec.Struct, frozen=True):
    """A clock without a verdict, as of ``now_ms``; the fields are those of a verdict.

    Attributes
    ----------
    deadline_ms : int or None
        None while it is paused.
    consumed_ms, elapsed_ms : int
        Up to ``now_ms``.
    """

    ticket: str
    contract: str
    target: str
    metric: str
    revision: int
    cycle: int
    start_ms: int
    deadline_ms: int | None
    target_ms: int
    consumed_ms: int
    elapsed_ms: int
    parties: tuple[Share, ...]
    endangers: tuple[tuple[str, str, int], ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the document of the clock: that of a verdict, with the outcome ``open``."""
        return {
            "clock_id": f"{self.ticket}:{self.target}:{self.cycle}",
            "ticket": self.ticket,
            "contract": self.contract,
            "target": self.target,
            "metric": self.metric,
            "revision": self.revision,
            "cycle": self.cycle,
            "outcome": OPEN,
            "start": format_instant(self.start_ms),
            "deadline": None if self.deadline_ms is None else format_instant(self.deadline_ms),
            "stop": None,
            "decided_at": None,
            "target_seconds": self.target_ms / 1000,
            "consumed_seconds": self.consumed_ms / 1000,
            "elapsed_seconds": self.elapsed_ms / 1000,
            **shares_document(self.parties),
            "endangers": endangered_document(self.ticket, self.endangers),
        }


class BacktestObserver(Protocol):
    """Looks on while events are applied; what it asks about tickets is as of the last event announced to it."""

    def pass_until(self, at_ms: int) -> None:
        """Learn that every event before an instant has been applied."""

    def applied(self, ticket_id: str, event: TicketEvent) -> None:
        """Learn that an event has been applied to its ticket."""


class BacktestError(Exception):
    """A ticket that our own code could not compute."""


class Backtest:
    """One engine over a whole log.

    Parameters
    ----------
    register : Register
    limits : EngineLimits
        As the workers have them: closed tickets are forgotten after the same time.
    """

    def __init__(self, register: Register, limits: EngineLimits | None = None) -> None:
        self._engine = TicketEngine(register, 0, limits)
        self.observer: BacktestObserver | None = None
        self._verdicts: dict[ClockKey, Verdict] = {}
        self.rejected: Counter[str] = Counter()
        """Events refused, by reason."""
        self.first_rejected: Rejected | None = None
        self.corrections: list[tuple[Verdict, Verdict | None]] = []
        """Verdicts that changed after they had been told: what they were and became; None: the clock never was."""

    @property
    def now_ms(self) -> int:
        """The present: the latest instant that time was advanced to."""
        return self._engine.now_ms

    def apply(self, ticket_id: str, event: TicketEvent) -> None:
        """Apply the next event, in the order of event time.

        Raises
        ------
        BacktestError
            If our own code failed on it.
        """
        if self.observer is not None:
            self.observer.pass_until(event.at_ms)
        try:
            rejected = self._engine.apply(ticket_id, event)
        except Exception as error:
            raise _failed(ticket_id, error) from error
        if rejected is not None:
            self.reject(rejected)
        elif self.observer is not None:
            self.observer.applied(ticket_id, event)

    def ticket(self, ticket_id: str) -> Ticket | None:
        """Return a ticket in its present state; None if it is not kept."""
        return self._engine.ticket(ticket_id)

    def reject(self, rejected: Rejected) -> None:
        """Count an event that is refused."""
        self.rejected[rejected.reason.value] += 1
        self.first_rejected = self.first_rejected or rejected

    def advance_to(self, now_ms: int) -> None:
        """Let time pass.

        Raises
        ------
        BacktestError
            If our own code failed on a ticket.
        """
        while self._engine.advance_to(now_ms):
            self._end_step()
        self._end_step()

    def records(self) -> Iterator[Verdict | OpenClock]:
        """Yield the last verdict of every clock, and the open clocks, by ticket, target and cycle.

        Verdicts on clocks that turned out never to have been are left out.
        """
        found: dict[ClockKey, Verdict | OpenClock] = dict(self._verdicts)
        for ticket_id, ticket in self._engine.tickets():
            for clock in ticket.clocks:
                key = (ticket_id, clock.target_id, clock.cycle)
                if clock.is_active and key not in found:
                    found[key] = self._open(ticket_id, ticket, clock)
        for _, record in sorted(found.items()):
            yield record

    def _end_step(self) -> None:
        outcome = self._engine.finish()
        if outcome.faults:
            fault = outcome.faults[0]
            raise _failed(fault.ticket, fault.error) from fault.error
        for verdict, _ in outcome.verdicts:
            self._take(verdict)

    def open_runs(self) -> Iterator[tuple[str, int]]:
        """Yield (target, consumed so far) of every clock that is running or paused, whether it has breached or not."""
        register, now_ms = self._engine.register, self._engine.now_ms
        for _, ticket in self._engine.tickets():
            for clock in ticket.clocks:
                if clock.is_active:
                    _, calendar = register.terms[clock.target_id, clock.revision]
                    yield clock.target_id, clocks.consumed_at(clock, calendar, now_ms)

    def _take(self, verdict: Verdict) -> None:
        key = (verdict.ticket, verdict.target, verdict.cycle)
        before = self._verdicts.get(key)
        is_retracted = verdict.result is Result.RETRACTED
        if before is not None and (before.result, before.decided_at_ms) != (verdict.result, verdict.decided_at_ms):
            self.corrections.append((before, None if is_retracted else verdict))
        if is_retracted:
            self._verdicts.pop(key, None)
            return
        self._verdicts[key] = verdict

    def _open(self, ticket_id: str, ticket: Ticket, clock: Clock) -> OpenClock:
        register, now_ms = self._engine.register, self._engine.now_ms
        target, calendar = register.terms[clock.target_id, clock.revision]
        return OpenClock(
            ticket=ticket_id,
            contract=target.contract,
            target=target.id,
            metric=target.metric,
            revision=target.revision,
            cycle=clock.cycle,
            start_ms=clock.start_ms,
            deadline_ms=None if clock.deadline_ms == NEVER else clock.deadline_ms,
            target_ms=clocks.allowance_of(clock, target),
            consumed_ms=clocks.consumed_at(clock, calendar, now_ms),
            elapsed_ms=max(0, now_ms - clock.start_ms),
            parties=shares_of(ticket, clock, register, now_ms),
            endangers=endangered(ticket, clock, target, register),
        )


def _failed(ticket_id: str, error: Exception) -> BacktestError:
    return BacktestError(f"ticket {ticket_id!r}: {type(error).__name__}: {error}")
