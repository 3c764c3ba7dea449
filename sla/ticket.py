"""A ticket: its history, and the fold of that history into clocks.

The fold is a pure function of the *set* of events and of the register. Events in order advance it one by one
(:func:`advance`); an event that comes late or out of order folds the whole history again (:func:`refold`), so any
permutation and any duplication gives the same clocks.

Within one event the precedence is stop > cancel > target change > pause > start: one event may resolve a ticket and
set it to waiting, and then it is resolved.
"""

from __future__ import annotations

from bisect import bisect_right
from enum import Enum

import msgspec

from sla import clock as clocks
from sla.clock import Clock, Phase
from sla.contract import OnChange, Reopen, Target
from sla.events import TicketEvent
from sla.register import Register, Slot


class Ticket(msgspec.Struct, array_like=True, gc=False):
    """State of one ticket.

    Attributes
    ----------
    history : list of TicketEvent
        Every event, ascending by :attr:`~sla.events.TicketEvent.order`, each identity once.
    attributes : dict
        Current values of the fields the register watches (contracts' fields and those that label alerts).
    clocks : list of Clock
        All clocks, ended ones too, in the order they started.
    register_version : int
        Version of the register these clocks were folded under; another one means: fold again.
    """

    history: list[TicketEvent]
    attributes: dict[str, str]
    clocks: list[Clock]
    register_version: int

    @property
    def is_closed(self) -> bool:
        """Whether no clock is active any more (also true of a ticket that never had one)."""
        return not any(clock.is_active for clock in self.clocks)


def new_ticket(register_version: int) -> Ticket:
    """Return a ticket without any event."""
    return Ticket([], {}, [], register_version)


class Added(Enum):
    """What became of an event that was added to a ticket."""

    IN_ORDER = "in-order"
    OUT_OF_ORDER = "out-of-order"
    DUPLICATE = "duplicate"


def add_event(ticket: Ticket, event: TicketEvent, register: Register, dropped: list[Clock]) -> Added:
    """Add one event to a ticket and bring its clocks up to date.

    Parameters
    ----------
    dropped : list of Clock
        Receives the clocks that a refold showed never to have been, for the caller to retract.

    Notes
    -----
    Two events of one identity that differ (a publisher's correction without a new id) are settled without regard to
    arrival: the greater one by content stays. An event in order costs O(clocks), any other O(history).
    """
    history = ticket.history
    uid = event.uid
    for index, known in enumerate(history):
        if known.uid == uid:
            if known == event or _content(known) > _content(event):
                return Added.DUPLICATE
            del history[index]
            history.insert(bisect_right(history, event.order, key=_order), event)
            dropped += refold(ticket, register)
            return Added.OUT_OF_ORDER
    if not history or history[-1].order < event.order:
        history.append(event)
        advance(ticket, event, register)
        return Added.IN_ORDER
    history.insert(bisect_right(history, event.order, key=_order), event)
    dropped += refold(ticket, register)
    return Added.OUT_OF_ORDER


def refold(ticket: Ticket, register: Register) -> list[Clock]:
    """Fold the whole history again; what the outside was told about a clock is kept with the clock.

    Returns
    -------
    list of Clock
        Clocks of the former fold that the new one does not have: what was told about them has to be retracted.
    """
    told = {(clock.target_id, clock.cycle): clock for clock in ticket.clocks}
    ticket.clocks = []
    ticket.attributes = {}
    history, ticket.history = ticket.history, []
    for event in history:
        ticket.history.append(event)
        advance(ticket, event, register)
    for clock in ticket.clocks:
        before = told.pop((clock.target_id, clock.cycle), None)
        if before is not None:
            clock.published = before.published
            clock.alerts = before.alerts
            clock.alerted_level = before.alerted_level
    return list(told.values())


def advance(ticket: Ticket, event: TicketEvent, register: Register) -> None:
    """Advance the clocks by the newest event, which already stands last in the history."""
    attributes = ticket.attributes
    rematch = False
    if event.changes:
        watched = register.watched_fields
        for name, value in event.changes.items():
            if name in watched and attributes.get(name) != value:
                rematch = rematch or name in register.matched_fields
                if value is None:
                    del attributes[name]
                else:
                    attributes[name] = value
    at_ms = event.at_ms
    winners = None
    busy: set[Slot] = set()
    for clock in tuple(ticket.clocks):
        if clock.phase > Phase.PAUSED:
            continue
        target = register.target(clock.target_id, clock.revision)
        if target is None:  # can't be: a fold never outlives its register
            raise LookupError(f"target {clock.target_id} revision {clock.revision} is not in the register")
        busy.add((target.contract_type, target.metric))
        calendar = register.calendar_of(target)
        if target.stop.holds(event.event, attributes):
            clocks.end(clock, target, calendar, at_ms, Phase.STOPPED)
            continue
        if target.cancel.holds(event.event, attributes):
            clocks.end(clock, target, calendar, at_ms, Phase.CANCELLED)
            continue
        if target.merge.holds(event.event, attributes):
            clocks.end(clock, target, calendar, at_ms, Phase.MERGED)
            continue
        clocks.observe(clock, at_ms)
        if rematch:
            if winners is None:
                winners = register.winners(attributes, at_ms)
            winner = winners.get((target.contract_type, target.metric))
            successor = _successor(target, winner, attributes, at_ms)
            if successor is not target:
                clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
                if successor is None:
                    continue
                clock = _take_over(ticket, clock, successor, register, at_ms)  # noqa: PLW2901 - the clock that runs on
                target, calendar = successor, register.calendar_of(successor)
        if target.pause.clauses:
            if target.pause.holds(event.event, attributes):
                clocks.pause(clock, target, calendar, at_ms)
            else:
                clocks.resume(clock, target, calendar, at_ms)
    if winners is None:
        winners = register.winners(attributes, at_ms)
    for slot, target in winners.items():
        if slot not in busy:
            _maybe_start(ticket, slot, target, event, register, rematch=rematch)


def _successor(target: Target, winner: Target | None, attributes: dict[str, str], at_ms: int) -> Target | None:
    """Return the target a running clock goes on under after a change of the ticket's fields; None: under none.

    A clock keeps the revision it started under, and a contract that ended runs off, as long as the ticket still is
    what the target applies to.
    """
    if winner is not None and winner.id == target.id:
        return target
    still_applies = all(attributes.get(name) in values for name, values in target.applies_to)
    if still_applies and (winner is None or at_ms >= target.effective_until_ms):
        return target
    return winner


def _take_over(ticket: Ticket, old: Clock, target: Target, register: Register, at_ms: int) -> Clock:
    """Start the clock of the target that applies after a change, with the time consumed as its policy says."""
    calendar = register.calendar_of(target)
    cycle = _next_cycle(ticket, target.id)
    started: Clock | None = None
    match target.on_change:
        case OnChange.CARRY:
            started = clocks.start_clock(
                target, calendar, cycle, at_ms, start_ms=old.start_ms, consumed_ms=old.consumed_ms
            )
        case OnChange.RESTART:
            pass
        case OnChange.RETROACTIVE:
            started = _run_over_history(ticket, target, register, cycle, old.start_ms)
    if started is None:
        started = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0)
    ticket.clocks.append(started)
    return started


def _run_over_history(
    ticket: Ticket, target: Target, register: Register, cycle: int, start_ms: int | None
) -> Clock | None:
    """Run a target over the history with its own calendar and pauses, as if it had applied all along.

    Parameters
    ----------
    start_ms : int or None
        Where the clock starts; None: at the first event that satisfies the target's start.

    Returns
    -------
    Clock or None
        The running or paused clock; None if it never started or was stopped or cancelled on the way.
    """
    calendar = register.calendar_of(target)
    running: Clock | None = None
    attributes: dict[str, str] = {}
    for event in ticket.history:
        for name, value in event.changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        at_ms = event.at_ms
        if running is None:
            starts = at_ms >= start_ms if start_ms is not None else target.start.holds(event.event, attributes)
            if not starts:
                continue
            at_ms = start_ms if start_ms is not None else at_ms
            running = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0)
        clocks.observe(running, event.at_ms)
        if start_ms is None and any(
            condition.holds(event.event, attributes) for condition in (target.stop, target.cancel, target.merge)
        ):
            return None
        if target.pause.holds(event.event, attributes):
            clocks.pause(running, target, calendar, event.at_ms)
        else:
            clocks.resume(running, target, calendar, event.at_ms)
    return running


def _maybe_start(
    ticket: Ticket, slot: Slot, target: Target, event: TicketEvent, register: Register, *, rematch: bool
) -> None:
    """Start a first or a further cycle in a slot without an active clock, if the event says so."""
    attributes = ticket.attributes
    last = _last_of_slot(ticket, slot, register)
    calendar = register.calendar_of(target)
    at_ms = event.at_ms
    if last is None:
        if not target.start.holds(event.event, attributes):
            if rematch:
                _start_late(ticket, target, register, at_ms)
            return
    elif last.phase == Phase.SUPERSEDED:
        # The ticket left every target of this slot and comes back: its clock goes on.
        _take_over(ticket, last, target, register, at_ms)
        return
    elif last.ended_ms == at_ms and target.stop.holds(event.event, attributes):
        return  # stopped by this very event: stop wins over start
    else:
        if target.reopen is Reopen.IGNORE or not target.reopen_when.holds(event.event, attributes):
            return
        if target.reopen is Reopen.RESUME and last.phase == Phase.STOPPED:
            of_last = register.target(last.target_id, last.revision)
            assert of_last is not None
            clocks.reactivate(last, of_last, register.calendar_of(of_last), at_ms)
            if of_last.pause.holds(event.event, attributes):
                clocks.pause(last, of_last, register.calendar_of(of_last), at_ms)
            return
    clock = clocks.start_clock(
        target, calendar, _next_cycle(ticket, target.id), at_ms, start_ms=at_ms, consumed_ms=0
    )
    ticket.clocks.append(clock)
    if target.stop.holds(event.event, attributes):
        clocks.end(clock, target, calendar, at_ms, Phase.STOPPED)
    elif target.cancel.holds(event.event, attributes):
        clocks.end(clock, target, calendar, at_ms, Phase.CANCELLED)
    elif target.pause.holds(event.event, attributes):
        clocks.pause(clock, target, calendar, at_ms)


def _start_late(ticket: Ticket, target: Target, register: Register, at_ms: int) -> None:
    """Start the clock of a target that applies only since a change (a priority set at triage).

    The promise counts from the event that starts it, not from the change, unless the target says ``restart``.
    """
    clock = _run_over_history(ticket, target, register, _next_cycle(ticket, target.id), None)
    if clock is None:
        return
    if target.on_change is OnChange.RESTART:
        calendar = register.calendar_of(target)
        clock = clocks.start_clock(target, calendar, clock.cycle, at_ms, start_ms=at_ms, consumed_ms=0)
    ticket.clocks.append(clock)


def _last_of_slot(ticket: Ticket, slot: Slot, register: Register) -> Clock | None:
    for clock in reversed(ticket.clocks):
        target = register.target(clock.target_id, clock.revision)
        if target is not None and (target.contract_type, target.metric) == slot:
            return clock
    return None


def _next_cycle(ticket: Ticket, target_id: str) -> int:
    return 1 + sum(clock.target_id == target_id for clock in ticket.clocks)


def _order(event: TicketEvent) -> tuple[int, int, int, int]:
    return event.order


def _content(event: TicketEvent) -> bytes:
    return msgspec.msgpack.encode((event.order, event.event, sorted(event.changes.items(), key=str)))
