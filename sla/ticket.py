"""A ticket: its history, and the fold of that history into clocks.

The fold is a pure function of the *set* of events and of the register. Events in order advance it one by one
(:func:`advance`); an event that comes late or out of order folds the whole history again (:func:`refold`), so any
permutation and any duplication gives the same clocks.

Within one event the precedence is stop > cancel > target change > pause > start: one event may resolve a ticket and
set it to waiting, and then it is resolved.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from enum import Enum
from typing import Final

import msgspec

from sla import clock as clocks
from sla.calendar import WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import OnChange, Reaction, Reopen, Target
from sla.events import TicketEvent
from sla.register import Register, Slot

# Members of an IntEnum are slow to get at, and the fold compares one per clock and event.
_PAUSED: Final = int(Phase.PAUSED)


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

    If the fold fails, whatever is raised leaves the ticket as it was before the event.
    """
    history = ticket.history
    uid = event.uid
    for index, known in enumerate(history):
        if known.uid == uid:
            if known == event or _content(known) > _content(event):
                return Added.DUPLICATE
            dropped += _refold_with(ticket, [*history[:index], *history[index + 1 :]], event, register)
            return Added.OUT_OF_ORDER
    if history:
        last = history[-1]
        # The instants decide nearly always, and cost less than two tuples.
        if last.at_ms > event.at_ms or (last.at_ms == event.at_ms and last.order > event.order):
            dropped += _refold_with(ticket, history, event, register)
            return Added.OUT_OF_ORDER
    history.append(event)
    try:
        advance(ticket, event, register)
    except BaseException:
        history.pop()
        refold(ticket, register)
        raise
    return Added.IN_ORDER


def _refold_with(ticket: Ticket, others: list[TicketEvent], event: TicketEvent, register: Register) -> list[Clock]:
    before = ticket.history
    place = bisect_right(others, event.order, key=_order)
    ticket.history = [*others[:place], event, *others[place:]]
    try:
        return refold(ticket, register)
    except BaseException:
        ticket.history = before
        raise


def refold(ticket: Ticket, register: Register) -> list[Clock]:
    """Fold the whole history again; what the outside was told about a clock is kept with the clock.

    A fold that fails leaves the ticket as it was.

    Returns
    -------
    list of Clock
        Clocks of the former fold that the new one does not have: what was told about them has to be retracted.
    """
    # Folded aside: half a history, or clocks that forgot what was told about them, would be counted twice.
    fresh = Ticket([], {}, [], ticket.register_version)
    for event in ticket.history:
        fresh.history.append(event)
        advance(fresh, event, register)
    told = {(clock.target_id, clock.cycle): clock for clock in ticket.clocks}
    for clock in fresh.clocks:
        before = told.pop((clock.target_id, clock.cycle), None)
        if before is not None:
            clock.published = before.published
            clock.alerts = before.alerts
            clock.alerted_level = before.alerted_level
    ticket.attributes, ticket.clocks = fresh.attributes, fresh.clocks
    return list(told.values())


def advance(ticket: Ticket, event: TicketEvent, register: Register) -> None:
    """Advance the clocks by the newest event, which already stands last in the history."""
    attributes = ticket.attributes
    changed = rematch = False
    if event.changes:
        watched = register.watched_fields
        for name, value in event.changes.items():
            if name in watched and attributes.get(name) != value:
                changed = True
                rematch = rematch or name in register.matched_fields
                if value is None:
                    del attributes[name]
                else:
                    attributes[name] = value
    at_ms = event.at_ms
    kind = event.event
    busy: list[Slot] = []
    for clock in tuple(ticket.clocks):
        if clock.phase > _PAUSED:
            continue
        target, calendar = register.terms[clock.target_id, clock.revision]
        busy.append(target.slot)
        reaction = target.reaction_to(kind)
        if reaction.may_end:
            phase = _phase_after(reaction, attributes)
            if phase is not None:
                clocks.end(clock, target, calendar, at_ms, phase)
                continue
        clocks.observe(clock, at_ms)
        if rematch:
            winner = register.winners(attributes, at_ms).get(target.slot)
            successor = _successor(target, winner, attributes, at_ms, register)
            if successor is not target:
                clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
                if successor is not None:
                    _take_over(ticket, clock, successor, event, register)
                continue
        if changed or not target.pause_is_a_state:
            _pause_or_resume(clock, target, calendar, reaction, attributes, at_ms)
    if rematch or register.may_start_at(kind):
        for slot, target in register.winners(attributes, at_ms).items():
            if slot not in busy:
                _maybe_start(ticket, target, event, register, rematch=rematch)


def _end_of(target: Target, event: TicketEvent, attributes: dict[str, str]) -> Phase | None:
    """Return how a clock of the target ends at an event, or None if the event does not end it."""
    reaction = target.reaction_to(event.event)
    return _phase_after(reaction, attributes) if reaction.may_end else None


def _phase_after(reaction: Reaction, attributes: dict[str, str]) -> Phase | None:
    # This is the precedence among ends.
    if reaction.stop is not None and reaction.stop(attributes):
        return Phase.STOPPED
    if reaction.cancel is not None and reaction.cancel(attributes):
        return Phase.CANCELLED
    if reaction.merge is not None and reaction.merge(attributes):
        return Phase.MERGED
    return None


def _pause_or_resume(
    clock: Clock, target: Target, calendar: WorkCalendar, reaction: Reaction, attributes: dict[str, str], at_ms: int
) -> None:
    if reaction.pause is not None and reaction.pause(attributes):
        clocks.pause(clock, target, calendar, at_ms)
    elif clock.phase == _PAUSED:
        clocks.resume(clock, target, calendar, at_ms)


def _end_or_pause(
    clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent, attributes: dict[str, str]
) -> None:
    """End, pause or resume an active clock as the event says."""
    reaction = target.reaction_to(event.event)
    phase = _phase_after(reaction, attributes) if reaction.may_end else None
    if phase is not None:
        clocks.end(clock, target, calendar, event.at_ms, phase)
        return
    clocks.observe(clock, event.at_ms)
    _pause_or_resume(clock, target, calendar, reaction, attributes, event.at_ms)


def _successor(
    target: Target, winner: Target | None, attributes: dict[str, str], at_ms: int, register: Register
) -> Target | None:
    """Return the target an active clock goes on under after a change of the ticket's fields; None: under none.

    A clock keeps the revision it started under, and a contract that ended runs off: what such a clock is measured by
    is decided among the targets that were in force with its own. Only if another one of them applies now, the clock
    goes on under that, in the revision in force if its contract still has it.
    """
    if winner is not None and winner.id == target.id:
        return target
    if at_ms < target.effective_until_ms:
        return winner
    then = register.winners(attributes, target.effective_until_ms - 1).get(target.slot)
    if then is not None and then.id == target.id:
        return target
    if then is None or (winner is not None and winner.contract == then.contract):
        return winner
    return then


def _take_over(ticket: Ticket, old: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Start the clock of the target that applies after a change, with the time consumed as its policy says.

    The same event may resolve the ticket, or set it to waiting, as the new target sees it.
    """
    calendar = register.calendar_of(target)
    cycle = _next_cycle(ticket, target.id)
    at_ms = event.at_ms
    match target.on_change:
        case OnChange.CARRY:
            clock = clocks.start_clock(
                target, calendar, cycle, at_ms, start_ms=old.start_ms, consumed_ms=old.consumed_ms
            )
            _end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RESTART:
            clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0)
            _end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RETROACTIVE:
            clock = clocks.start_clock(target, calendar, cycle, old.start_ms, start_ms=old.start_ms, consumed_ms=0)
            for past, attributes in _walk(ticket.history):
                if past.at_ms >= old.start_ms:
                    clock = _follow(clock, target, calendar, past, attributes)
    ticket.clocks.append(clock)


def _walk(history: list[TicketEvent]) -> Iterator[tuple[TicketEvent, dict[str, str]]]:
    """Yield every event with the ticket's fields after it; the mapping is one and the same, and changes."""
    attributes: dict[str, str] = {}
    for event in history:
        for name, value in event.changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        yield event, attributes


def _follow(
    clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent, attributes: dict[str, str]
) -> Clock:
    """Advance the clock of a slot by an event, as if its target had applied all along.

    Returns
    -------
    Clock
        The same one, or that of the next cycle where the event reopens the ticket under the policy ``new_cycle``.
    """
    if clock.is_active:
        _end_or_pause(clock, target, calendar, event, attributes)
        return clock
    if not _reopens(target, event, attributes):
        return clock
    if target.reopen is Reopen.RESUME and clock.phase == Phase.STOPPED:
        clocks.reactivate(clock, target, calendar, event.at_ms)
    else:
        at_ms = event.at_ms
        clock = clocks.start_clock(target, calendar, clock.cycle, at_ms, start_ms=at_ms, consumed_ms=0)
    _end_or_pause(clock, target, calendar, event, attributes)
    return clock


def _reopens(target: Target, event: TicketEvent, attributes: dict[str, str]) -> bool:
    """Tell whether an event lets an ended clock go on or a further cycle start; one that ends it as well does not."""
    reaction = target.reaction_to(event.event)
    return (
        reaction.reopen is not None
        and target.reopen is not Reopen.IGNORE
        and reaction.reopen(attributes)
        and _phase_after(reaction, attributes) is None
    )


def _maybe_start(ticket: Ticket, target: Target, event: TicketEvent, register: Register, *, rematch: bool) -> None:
    """Start a first or a further cycle in a slot without an active clock, if the event says so."""
    attributes = ticket.attributes
    reaction = target.reaction_to(event.event)
    if not (rematch or reaction.may_start):
        return
    starts = reaction.start is not None and reaction.start(attributes)
    last = _last_of_slot(ticket, target.slot, register) if ticket.clocks else None
    if last is None:
        if starts:
            _start(ticket, target, event, register)
        elif rematch:
            _start_late(ticket, target, event, register)
    elif last.phase == Phase.SUPERSEDED:
        _come_back(ticket, last, target, event, register)
    elif _reopens(target, event, attributes):
        if target.reopen is Reopen.RESUME and last.phase == Phase.STOPPED:
            _resume(ticket, last, target, event, register)
        else:
            _start(ticket, target, event, register)


def _start(ticket: Ticket, target: Target, event: TicketEvent, register: Register) -> None:
    calendar = register.calendar_of(target)
    at_ms = event.at_ms
    cycle = _next_cycle(ticket, target.id)
    clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0)
    ticket.clocks.append(clock)
    _end_or_pause(clock, target, calendar, event, ticket.attributes)


def _resume(ticket: Ticket, last: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Let a stopped clock go on; under the target that applies now, if that changed while it was stopped."""
    of_last, calendar = register.terms[last.target_id, last.revision]
    at_ms = event.at_ms
    clocks.reactivate(last, of_last, calendar, at_ms)
    successor = _successor(of_last, target, ticket.attributes, at_ms, register)
    if successor is of_last:
        _end_or_pause(last, of_last, calendar, event, ticket.attributes)
        return
    assert successor is not None, "one applies: it is at hand"
    clocks.end(last, of_last, calendar, at_ms, Phase.SUPERSEDED)
    _take_over(ticket, last, successor, event, register)


def _start_late(ticket: Ticket, target: Target, event: TicketEvent, register: Register) -> None:
    """Start the clock of a target that applies only since a change (a priority set at triage).

    The promise counts from the event that starts it, in the revision in force then, as if the ticket had had its
    present fields from the beginning; under ``restart`` it counts from the change. There is no clock if no such
    promise was in force when the ticket began, or if the ticket had ended before the change.
    """
    clock: Clock | None = None
    ended_by: TicketEvent | None = None
    cycle = _next_cycle(ticket, target.id)
    of_start, calendar = target, register.calendar_of(target)
    for past, attributes in _walk(ticket.history):
        if clock is None:
            winner = register.winners(ticket.attributes, past.at_ms).get(target.slot)
            if winner is None or not winner.start.holds(past.event, attributes):
                continue
            of_start, calendar = winner, register.calendar_of(winner)
            cycle = _next_cycle(ticket, winner.id)
            clock = clocks.start_clock(winner, calendar, cycle, past.at_ms, start_ms=past.at_ms, consumed_ms=0)
        was_active = clock.is_active
        clock = _follow(clock, of_start, calendar, past, attributes)
        if was_active and not clock.is_active:
            ended_by = past
    if clock is None or (not clock.is_active and ended_by is not event):
        return
    if target.on_change is not OnChange.RESTART:
        ticket.clocks.append(clock)
    elif clock.is_active:
        _start(ticket, target, event, register)


def _come_back(ticket: Ticket, last: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Let the clock of a ticket that had left every target of a slot go on, unless the ticket ended meanwhile."""
    is_over = was_over = False
    for past, attributes in _walk(ticket.history[:-1]):
        if past.at_ms < _ended_ms(last):
            continue
        if _end_of(target, past, attributes) is not None:
            is_over = was_over = True
        elif is_over and _reopens(target, past, attributes):
            is_over = False
    if is_over and not _reopens(target, event, ticket.attributes):
        return
    if was_over and target.reopen is Reopen.NEW_CYCLE:
        _start(ticket, target, event, register)
    else:
        _take_over(ticket, last, target, event, register)


def _ended_ms(clock: Clock) -> int:
    assert clock.ended_ms is not None
    return clock.ended_ms


def _last_of_slot(ticket: Ticket, slot: Slot, register: Register) -> Clock | None:
    for clock in reversed(ticket.clocks):
        if register.terms[clock.target_id, clock.revision][0].slot == slot:
            return clock
    return None


def _next_cycle(ticket: Ticket, target_id: str) -> int:
    cycle = 1
    for clock in ticket.clocks:
        cycle += clock.target_id == target_id
    return cycle


def _order(event: TicketEvent) -> tuple[int, int, int, int]:
    return event.order


def _content(event: TicketEvent) -> bytes:
    return msgspec.msgpack.encode((event.order, event.event, sorted(event.changes.items(), key=str)))
