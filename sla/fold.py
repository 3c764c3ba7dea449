"""The fold of a ticket's history into clocks.

The fold is a pure function of the *set* of events and of the register. Events in order advance it one by one
(:func:`advance`); an event that comes late or out of order folds the whole history again (:func:`refold`), so any
permutation and any duplication gives the same clocks. How a clock follows an event: :mod:`sla.following`; where clocks
begin: :mod:`sla.starting`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from enum import Enum
from functools import partial
from typing import Final

import msgspec

from sla import clock as clocks
from sla.calendar import WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import Target
from sla.events import TicketEvent
from sla.following import follow, pause_or_resume, phase_after
from sla.handover import fields_after, hand_over
from sla.history import History
from sla.register import Register, Slot
from sla.starting import due_of_ticket, earlier_start, has_its_date, maybe_start, start_next, successor_of, take_over
from sla.ticket import Ticket, next_cycle_of, walk
from sla.units import NEVER

# Members of an IntEnum are slow to get at, and the fold compares one per clock and event.
_PAUSED: Final = int(Phase.PAUSED)


class Added(Enum):
    """What became of an event that was added to a ticket."""

    IN_ORDER = "in-order"
    OUT_OF_ORDER = "out-of-order"
    DUPLICATE = "duplicate"


def add_event(ticket: Ticket, event: TicketEvent, register: Register, dropped: list[Clock] | None) -> Added:
    """Add one event to a ticket and bring its clocks up to date.

    Parameters
    ----------
    dropped : list of Clock or None
        Receives the clocks that a refold showed never to have been, for the caller to retract. None leaves the fold to
        the caller: an event out of order is put into the history, the clocks stay as they were.

    Notes
    -----
    Two events of one identity that differ (a publisher's correction without a new id) are settled without regard to
    arrival: the greater one by content stays. An event in order costs O(clocks), any other O(history).

    If the fold fails, whatever is raised leaves the ticket as it was before the event.
    """
    history = ticket.history
    index = history.index_of(event.uid)
    if index is not None:
        known = history[index]
        if known == event or _content(known) > _content(event):
            return Added.DUPLICATE
    if index is not None or history.ends_after(event) or event.at_ms < ticket.passed_ms:
        ticket.history = _history_with(history, index, event)
        if dropped is not None:
            try:
                dropped += refold(ticket, register)
            except BaseException:
                ticket.history = history
                raise
        return Added.OUT_OF_ORDER
    history.append(event)
    try:
        advance(ticket, event, register)
    except BaseException:
        history.pop()
        refold(ticket, register)
        raise
    return Added.IN_ORDER


def insert_event(ticket: Ticket, event: TicketEvent) -> Added:
    """Add one event to the history of a ticket whose clocks are to be folded again anyhow."""
    history = ticket.history
    index = history.index_of(event.uid)
    if index is None and not history.ends_after(event):
        history.append(event)
        return Added.IN_ORDER
    if index is not None:
        known = history[index]
        if known == event or _content(known) > _content(event):
            return Added.DUPLICATE
    ticket.history = _history_with(history, index, event)
    return Added.OUT_OF_ORDER


def refold(ticket: Ticket, register: Register) -> list[Clock]:
    """Fold the whole history again; what the outside was told about a clock is kept with the clock.

    A fold that fails leaves the ticket as it was.

    Returns
    -------
    list of Clock
        Clocks of the former fold that the new one does not have: what was told about them has to be retracted.
    """
    # Folded aside: half a history, or clocks that forgot what was told about them, would be counted twice.
    fresh = Ticket(History(), {}, [], ticket.register_version)
    for event in ticket.history:
        fresh.history.append(event)
        advance(fresh, event, register)
    if ticket.passed_ms:
        # Clocks that time alone has brought are there again before anyone is told that they are gone.
        pass_time(fresh, register, ticket.passed_ms)
    told = {(clock.target_id, clock.cycle): clock for clock in ticket.clocks}
    for clock in fresh.clocks:
        before = told.pop((clock.target_id, clock.cycle), None)
        if before is not None:
            clock.published = before.published
            clock.alerts = before.alerts
            clock.alerted_level = before.alerted_level
    ticket.attributes, ticket.clocks, ticket.passed_ms = fresh.attributes, fresh.clocks, fresh.passed_ms
    return list(told.values())


def pass_time(ticket: Ticket, register: Register, now_ms: int) -> int:
    """Hand over the clocks whose revision has let go of them by ``now_ms``, without any event.

    An event that turns out to be earlier than that folds the ticket again.

    Returns
    -------
    int
        The next instant at which a revision lets go of a clock of this ticket; NEVER if none will.
    """
    next_ms: int = NEVER
    for clock in tuple(ticket.clocks):
        if clock.phase > _PAUSED:
            continue
        instant_ms = register.terms[clock.target_id, clock.revision][0].open_until_ms
        if instant_ms <= now_ms:
            ticket.passed_ms = max(ticket.passed_ms, instant_ms)
            present = _hand_over(ticket, clock, fields_after(ticket.history), register, now_ms)
            if present.phase > _PAUSED:
                continue
            instant_ms = register.terms[present.target_id, present.revision][0].open_until_ms
        next_ms = min(next_ms, instant_ms)
    return next_ms


def advance(ticket: Ticket, event: TicketEvent, register: Register) -> None:
    """Advance the clocks by the newest event, which already stands last in the history."""
    attributes = ticket.attributes
    changed = rematch = brings_date = False
    if event.changes:
        brings_date = not register.date_fields.isdisjoint(event.changes)
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
        if target.is_special and target.open_until_ms <= at_ms:
            clock = _hand_over(ticket, clock, fields_after(ticket.history[:-1]), register, at_ms)  # noqa: PLW2901
            if clock.phase > _PAUSED:
                continue
            target, calendar = register.terms[clock.target_id, clock.revision]
        busy.append(target.slot)
        reaction = target.reaction_to(kind)
        if reaction.may_end:
            phase = phase_after(reaction, attributes)
            if phase is not None:
                clocks.end(clock, target, calendar, at_ms, phase)
                continue
            if reaction.repeat is not None and reaction.repeat(attributes):
                clocks.end(clock, target, calendar, at_ms, Phase.STOPPED)
                start_next(ticket, target.slot, event, register)
                continue
        clocks.observe(clock, at_ms)
        if rematch:
            winner = register.winners(attributes, at_ms).get(target.slot)
            successor = successor_of(target, winner, attributes, at_ms, register)
            if successor is not target:
                clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
                if successor is not None and has_its_date(ticket, successor, register):
                    take_over(ticket, clock, successor, event, register)
                continue
        if target.is_special and not _follow_fields(ticket, clock, target, calendar, event):
            continue
        if changed or not target.pause_is_a_state:
            pause_or_resume(clock, target, calendar, reaction, attributes, at_ms)
    if rematch or brings_date or register.may_start_at(kind):
        for slot, target in register.winners(attributes, at_ms).items():
            if slot in busy:
                continue
            if target.date_field is None:
                maybe_start(ticket, target, event, register, rematch=rematch)
            elif has_its_date(ticket, target, register):
                is_new = rematch or target.date_field in event.changes
                maybe_start(ticket, target, event, register, rematch=is_new)


def _hand_over(ticket: Ticket, clock: Clock, fields: Mapping[str, str], register: Register, until_ms: int) -> Clock:
    """Hand an active clock over where its revision lets go of it; return the one that goes on, or that ended last."""
    heirs = hand_over(clock, fields, register, until_ms, partial(next_cycle_of, ticket))
    ticket.clocks += heirs
    return heirs[-1] if heirs else clock


def _follow_fields(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent) -> bool:
    """Let an active clock follow the date or the earlier start that an event brings.

    Returns
    -------
    bool
        False if there is nothing more to do about the clock at this event.
    """
    if target.date_field is not None and target.date_field in event.changes:
        due_ms = due_of_ticket(ticket, target, calendar)
        if due_ms is None:
            clocks.end(clock, target, calendar, event.at_ms, Phase.SUPERSEDED)
            return False
        clocks.redate(clock, target, calendar, event.at_ms, due_ms)
    if target.earliest_start is not None and target.earliest_start in event.changes:
        start_ms = earlier_start(ticket, target, clock.start_ms)
        if start_ms < clock.start_ms:
            _start_earlier(ticket, clock, target, calendar, start_ms)
            return False
    return True


def _start_earlier(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, start_ms: int) -> None:
    """Let an active clock count from an earlier instant, as if it had started there."""
    due_ms = due_of_ticket(ticket, target, calendar)
    earlier = clocks.start_clock(
        target, calendar, clock.cycle, start_ms, start_ms=start_ms, consumed_ms=0, due_ms=due_ms
    )
    for past, attributes in walk(ticket.history):
        if past.at_ms >= clock.start_ms:
            earlier = follow(earlier, target, calendar, past, attributes)
    earlier.published, earlier.alerts, earlier.alerted_level = clock.published, clock.alerts, clock.alerted_level
    ticket.clocks[ticket.clocks.index(clock)] = earlier


def _history_with(history: History, replaced: int | None, event: TicketEvent) -> History:
    """Return a history with an event in its place, without the one at index ``replaced``."""
    others = history.events if replaced is None else [*history[:replaced], *history[replaced + 1 :]]
    place = bisect_right(others, event.order, key=_order)
    return History((*others[:place], event, *others[place:]))


def _order(event: TicketEvent) -> tuple[int, int, int, int]:
    return event.order


def _content(event: TicketEvent) -> bytes:
    return msgspec.msgpack.encode((event.order, event.event, sorted(event.changes.items(), key=str)))
