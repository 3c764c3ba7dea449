"""Where a clock begins: at its start event, at a reopening, late, or in the place of another one."""

from __future__ import annotations

from functools import partial

from sla import clock as clocks
from sla.calendar import EARLIEST_MS, WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import OnChange, Reopen, Target
from sla.errors import UnitError
from sla.events import TicketEvent
from sla.following import end_of, end_or_pause, follow, reopens
from sla.handover import due_on, fields_after, hand_over
from sla.register import Register, Slot
from sla.ticket import Ticket, last_of_slot, next_cycle_of, walk
from sla.units import NEVER, parse_instant


def maybe_start(ticket: Ticket, target: Target, event: TicketEvent, register: Register, *, rematch: bool) -> None:
    """Start a first or a further cycle in a slot without an active clock, if the event says so."""
    attributes = ticket.attributes
    reaction = target.reaction_to(event.event)
    if not (rematch or reaction.may_start):
        return
    starts = reaction.start is not None and reaction.start(attributes)
    last = last_of_slot(ticket, target.slot, register) if ticket.clocks else None
    if last is None:
        if starts:
            _start(ticket, target, event, register)
        elif rematch:
            _start_late(ticket, target, event, register)
    elif last.phase == Phase.SUPERSEDED:
        _come_back(ticket, last, target, event, register)
    elif reopens(target, event, attributes):
        if target.reopen is Reopen.RESUME and last.phase == Phase.STOPPED:
            _resume(ticket, last, target, event, register)
        else:
            _start(ticket, target, event, register)


def _start(ticket: Ticket, target: Target, event: TicketEvent, register: Register) -> None:
    calendar = register.calendar_of(target)
    at_ms = event.at_ms
    cycle = next_cycle_of(ticket, target.id)
    due_ms = None
    if target.is_special:
        due_ms = due_of_ticket(ticket, target, calendar)
        if target.earliest_start is not None and cycle == 1:
            at_ms = earlier_start(ticket, target, at_ms)
    clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0, due_ms=due_ms)
    ticket.clocks.append(clock)
    end_or_pause(clock, target, calendar, event, ticket.attributes)


def start_next(ticket: Ticket, slot: Slot, event: TicketEvent, register: Register) -> None:
    """Start the cycle after one that an event has stopped and repeats, under the target that applies now."""
    target = register.winners(ticket.attributes, event.at_ms).get(slot)
    if target is not None and has_its_date(ticket, target, register):
        _start(ticket, target, event, register)


def _start_late(ticket: Ticket, target: Target, event: TicketEvent, register: Register) -> None:
    """Start the clock of a target that applies only since a change (a priority set at triage, a date that came later).

    The promise counts from the event that starts it, in the revision in force then, as if the ticket had had its
    present fields from the beginning: also if what stops it has happened already (an answer before triage is an
    answer). Under ``restart`` it counts from the change, and what was stopped before that is not measured. There is no
    clock if no such promise was in force when the ticket began, if the ticket was cancelled or merged before the
    change, or if its date came after the stop.
    """
    clock: Clock | None = None
    ended_by: TicketEvent | None = None
    of_start, calendar = target, register.calendar_of(target)
    next_cycle = partial(next_cycle_of, ticket)
    for past, attributes in walk(ticket.history):
        if clock is None:
            winner = register.winners(ticket.attributes, past.at_ms).get(target.slot)
            if winner is None or not winner.start.holds(past.event, attributes):
                continue
            of_start, calendar = winner, register.calendar_of(winner)
            start_ms = past.at_ms
            if winner.earliest_start is not None:
                start_ms = earlier_start(ticket, winner, start_ms)
            cycle = next_cycle(winner.id)
            clock = clocks.start_clock(winner, calendar, cycle, start_ms, start_ms=start_ms, consumed_ms=0)
        if of_start.open_until_ms <= past.at_ms and clock.is_active:
            heirs = hand_over(clock, ticket.attributes, register, past.at_ms, next_cycle)
            clock = heirs[-1] if heirs else clock
            of_start, calendar = register.terms[clock.target_id, clock.revision]
        was_active = clock.is_active
        if past is event and was_active:
            _date(ticket, clock, of_start, calendar, event)
        clock = follow(clock, of_start, calendar, past, attributes)
        if was_active and not clock.is_active:
            ended_by = past
    if clock is None:
        return
    if clock.is_active:
        _date(ticket, clock, of_start, calendar, event)
    elif ended_by is not event and (
        clock.phase != Phase.STOPPED or target.on_change is OnChange.RESTART or of_start.date_field is not None
    ):
        return
    if target.on_change is not OnChange.RESTART:
        ticket.clocks.append(clock)
    elif clock.is_active:
        _start(ticket, target, event, register)


def _resume(ticket: Ticket, last: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Let a stopped clock go on; under the terms that apply now, if they changed while it was stopped."""
    of_last, calendar = register.terms[last.target_id, last.revision]
    at_ms = event.at_ms
    if not has_its_date(ticket, of_last, register):
        return
    clocks.reactivate(last, of_last, calendar, at_ms, due_ms=due_of_ticket(ticket, of_last, calendar))
    if of_last.open_until_ms <= at_ms:
        successor: Target | None = target  # its revision has let go of every open clock meanwhile
    else:
        successor = successor_of(of_last, target, ticket.attributes, at_ms, register)
    assert successor is not None, "one applies: it is at hand"
    if successor.id == of_last.id:
        if successor is not of_last:
            after = (successor, register.calendar_of(successor))
            due_ms = due_of_ticket(ticket, *after)
            clocks.change_terms(last, (of_last, calendar), after, at_ms, stands=False, due_ms=due_ms)
            of_last, calendar = after
        end_or_pause(last, of_last, calendar, event, ticket.attributes)
        return
    clocks.end(last, of_last, calendar, at_ms, Phase.SUPERSEDED)
    take_over(ticket, last, successor, event, register)


def _come_back(ticket: Ticket, last: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Let the clock of a ticket that had left every target of a slot go on, unless the ticket ended meanwhile."""
    is_over = was_over = False
    for past, attributes in walk(ticket.history[:-1]):
        if past.at_ms < _ended_ms(last):
            continue
        if end_of(target, past, attributes) is not None:
            is_over = was_over = True
        elif is_over and reopens(target, past, attributes):
            is_over = False
    if is_over and not reopens(target, event, ticket.attributes):
        return
    if was_over and target.reopen is Reopen.NEW_CYCLE:
        _start(ticket, target, event, register)
    else:
        take_over(ticket, last, target, event, register)


def take_over(ticket: Ticket, old: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Start the clock of the target that applies after a change, with the time consumed as its policy says.

    The same event may resolve the ticket, or set it to waiting, as the new target sees it.
    """
    calendar = register.calendar_of(target)
    cycle = next_cycle_of(ticket, target.id)
    at_ms = event.at_ms
    due_ms = due_of_ticket(ticket, target, calendar)
    # A date is what it is from when it is known, not from when the clock started.
    policy = OnChange.CARRY if due_ms is not None and target.on_change is OnChange.RETROACTIVE else target.on_change
    match policy:
        case OnChange.CARRY:
            clock = clocks.start_clock(
                target, calendar, cycle, at_ms, start_ms=old.start_ms, consumed_ms=old.consumed_ms, due_ms=due_ms
            )
            end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RESTART:
            clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0, due_ms=due_ms)
            end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RETROACTIVE:
            clock = clocks.start_clock(target, calendar, cycle, old.start_ms, start_ms=old.start_ms, consumed_ms=0)
            for past, attributes in walk(ticket.history):
                if past.at_ms >= old.start_ms:
                    clock = follow(clock, target, calendar, past, attributes)
    ticket.clocks.append(clock)


def successor_of(
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


def due_of_ticket(ticket: Ticket, target: Target, calendar: WorkCalendar) -> int | None:
    """Return when a target is due on the date that the ticket carries now."""
    return due_on(target, calendar, fields_after(ticket.history)) if target.date_field is not None else None


def has_its_date(ticket: Ticket, target: Target, register: Register) -> bool:
    """Tell whether a target that is due on a date of the ticket has one; any other target needs none."""
    return target.date_field is None or due_of_ticket(ticket, target, register.calendar_of(target)) is not None


def earlier_start(ticket: Ticket, target: Target, start_ms: int) -> int:
    """Return the instant from which a clock of the target counts: its start, or an earlier one the ticket names."""
    assert target.earliest_start is not None
    text = fields_after(ticket.history).get(target.earliest_start)
    try:
        instant_ms = start_ms if text is None else parse_instant(text)
    except UnitError:
        return start_ms
    return max(EARLIEST_MS, min(start_ms, instant_ms))


def _date(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent) -> None:
    """Give a clock that has not known its date so far the one that an event brought."""
    due_ms = due_of_ticket(ticket, target, calendar)
    if due_ms is not None and clock.deadline_ms == NEVER:
        clocks.redate(clock, target, calendar, event.at_ms, due_ms)


def _ended_ms(clock: Clock) -> int:
    assert clock.ended_ms is not None
    return clock.ended_ms
