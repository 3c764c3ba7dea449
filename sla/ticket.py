"""A ticket: its history, and the fold of that history into clocks.

The fold is a pure function of the *set* of events and of the register. Events in order advance it one by one
(:func:`advance`); an event that comes late or out of order folds the whole history again (:func:`refold`), so any
permutation and any duplication gives the same clocks.

Within one event the precedence is stop > cancel > merge > repeat > target change > pause > start: one event may resolve
a ticket and set it to waiting, and then it is resolved.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Final

import msgspec

from sla import clock as clocks
from sla.calendar import EARLIEST_MS, WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import OnChange, Reaction, Reopen, Target
from sla.errors import UnitError
from sla.events import TicketEvent
from sla.handover import due_on, fields_after, hand_over
from sla.history import History
from sla.register import Register, Slot
from sla.units import NEVER, parse_instant

# Members of an IntEnum are slow to get at, and the fold compares one per clock and event.
_PAUSED: Final = int(Phase.PAUSED)


class Ticket(msgspec.Struct, gc=False):
    """State of one ticket.

    Attributes
    ----------
    history : History
        Every event, ascending by :attr:`~sla.events.TicketEvent.order`, each identity once.
    attributes : dict
        Current values of the fields the register watches (contracts' fields and those that label alerts).
    clocks : list of Clock
        All clocks, ended ones too, in the order they started.
    register_version : int
        Version of the register these clocks were folded under; another one means: fold again.
    passed_ms : int
        Instant of the last hand-over that happened without an event (see :func:`pass_time`); 0 if none did.
    """

    history: History
    attributes: dict[str, str]
    clocks: list[Clock]
    register_version: int
    passed_ms: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether no clock is active any more (also true of a ticket that never had one)."""
        return not any(clock.is_active for clock in self.clocks)


def new_ticket(register_version: int) -> Ticket:
    """Return a ticket without any event."""
    return Ticket(History(), {}, [], register_version)


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


def _history_with(history: History, replaced: int | None, event: TicketEvent) -> History:
    """Return a history with an event in its place, without the one at index ``replaced``."""
    others = history.events if replaced is None else [*history[:replaced], *history[replaced + 1 :]]
    place = bisect_right(others, event.order, key=_order)
    return History((*others[:place], event, *others[place:]))


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
            present = _hand_over(ticket, clock, ticket.attributes, register, now_ms)
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
        brings_date = not _date_fields(register).isdisjoint(event.changes)
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
            phase = _phase_after(reaction, attributes)
            if phase is not None:
                clocks.end(clock, target, calendar, at_ms, phase)
                continue
            if reaction.repeat is not None and reaction.repeat(attributes):
                clocks.end(clock, target, calendar, at_ms, Phase.STOPPED)
                _start_next(ticket, target.slot, event, register)
                continue
        clocks.observe(clock, at_ms)
        if rematch:
            winner = register.winners(attributes, at_ms).get(target.slot)
            successor = _successor(target, winner, attributes, at_ms, register)
            if successor is not target:
                clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
                if successor is not None and _has_its_date(ticket, successor, register):
                    _take_over(ticket, clock, successor, event, register)
                continue
        if target.is_special and not _follow_fields(ticket, clock, target, calendar, event):
            continue
        if changed or not target.pause_is_a_state:
            _pause_or_resume(clock, target, calendar, reaction, attributes, at_ms)
    if rematch or brings_date or register.may_start_at(kind):
        for slot, target in register.winners(attributes, at_ms).items():
            if slot in busy:
                continue
            if target.date_field is None:
                _maybe_start(ticket, target, event, register, rematch=rematch)
            elif _has_its_date(ticket, target, register):
                is_new = rematch or target.date_field in event.changes
                _maybe_start(ticket, target, event, register, rematch=is_new)


def _hand_over(ticket: Ticket, clock: Clock, fields: Mapping[str, str], register: Register, until_ms: int) -> Clock:
    """Hand an active clock over where its revision lets go of it; return the one that goes on, or that ended last."""
    heirs = hand_over(clock, fields, register, until_ms, partial(_next_cycle, ticket))
    ticket.clocks += heirs
    return heirs[-1] if heirs else clock


def _due(ticket: Ticket, target: Target, calendar: WorkCalendar) -> int | None:
    """Return when a target is due on the date that the ticket carries now."""
    return due_on(target, calendar, fields_after(ticket.history)) if target.date_field is not None else None


def _has_its_date(ticket: Ticket, target: Target, register: Register) -> bool:
    """Tell whether a target that is due on a date of the ticket has one; any other target needs none."""
    return target.date_field is None or _due(ticket, target, register.calendar_of(target)) is not None


def _follow_fields(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent) -> bool:
    """Let an active clock follow the date or the earlier start that an event brings.

    Returns
    -------
    bool
        False if there is nothing more to do about the clock at this event.
    """
    if target.date_field is not None and target.date_field in event.changes:
        due_ms = _due(ticket, target, calendar)
        if due_ms is None:
            clocks.end(clock, target, calendar, event.at_ms, Phase.SUPERSEDED)
            return False
        clocks.redate(clock, target, calendar, event.at_ms, due_ms)
    if target.earliest_start is not None and target.earliest_start in event.changes:
        start_ms = _earlier_start(ticket, target, clock.start_ms)
        if start_ms < clock.start_ms:
            _start_earlier(ticket, clock, target, calendar, start_ms)
            return False
    return True


def _earlier_start(ticket: Ticket, target: Target, start_ms: int) -> int:
    """Return the instant from which a clock of the target counts: its start, or an earlier one the ticket names."""
    assert target.earliest_start is not None
    text = fields_after(ticket.history).get(target.earliest_start)
    try:
        instant_ms = start_ms if text is None else parse_instant(text)
    except UnitError:
        return start_ms
    return max(EARLIEST_MS, min(start_ms, instant_ms))


def _start_earlier(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, start_ms: int) -> None:
    """Let an active clock count from an earlier instant, as if it had started there."""
    due_ms = _due(ticket, target, calendar)
    earlier = clocks.start_clock(
        target, calendar, clock.cycle, start_ms, start_ms=start_ms, consumed_ms=0, due_ms=due_ms
    )
    for past, attributes in _walk(ticket.history):
        if past.at_ms >= clock.start_ms:
            earlier = _follow(earlier, target, calendar, past, attributes)
    earlier.published, earlier.alerts, earlier.alerted_level = clock.published, clock.alerts, clock.alerted_level
    ticket.clocks[ticket.clocks.index(clock)] = earlier


@lru_cache(maxsize=16)
def _date_fields(register: Register) -> frozenset[str]:
    """Return the ticket fields that hold dates on which targets are due."""
    return frozenset(target.date_field for target in register.targets if target.date_field is not None)


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
    due_ms = _due(ticket, target, calendar)
    # A date is what it is from when it is known, not from when the clock started.
    policy = OnChange.CARRY if due_ms is not None and target.on_change is OnChange.RETROACTIVE else target.on_change
    match policy:
        case OnChange.CARRY:
            clock = clocks.start_clock(
                target, calendar, cycle, at_ms, start_ms=old.start_ms, consumed_ms=old.consumed_ms, due_ms=due_ms
            )
            _end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RESTART:
            clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0, due_ms=due_ms)
            _end_or_pause(clock, target, calendar, event, ticket.attributes)
        case OnChange.RETROACTIVE:
            clock = clocks.start_clock(target, calendar, cycle, old.start_ms, start_ms=old.start_ms, consumed_ms=0)
            for past, attributes in _walk(ticket.history):
                if past.at_ms >= old.start_ms:
                    clock = _follow(clock, target, calendar, past, attributes)
    ticket.clocks.append(clock)


def _walk(history: Iterable[TicketEvent]) -> Iterator[tuple[TicketEvent, dict[str, str]]]:
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
        reaction = target.reaction_to(event.event)
        if reaction.repeat is None or not reaction.repeat(attributes) or _phase_after(reaction, attributes) is not None:
            _end_or_pause(clock, target, calendar, event, attributes)
            return clock
    elif not _reopens(target, event, attributes):
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
    due_ms = None
    if target.is_special:
        due_ms = _due(ticket, target, calendar)
        if target.earliest_start is not None and cycle == 1:
            at_ms = _earlier_start(ticket, target, at_ms)
    clock = clocks.start_clock(target, calendar, cycle, at_ms, start_ms=at_ms, consumed_ms=0, due_ms=due_ms)
    ticket.clocks.append(clock)
    _end_or_pause(clock, target, calendar, event, ticket.attributes)


def _start_next(ticket: Ticket, slot: Slot, event: TicketEvent, register: Register) -> None:
    """Start the cycle after one that an event has stopped and repeats, under the target that applies now."""
    target = register.winners(ticket.attributes, event.at_ms).get(slot)
    if target is not None and _has_its_date(ticket, target, register):
        _start(ticket, target, event, register)


def _resume(ticket: Ticket, last: Clock, target: Target, event: TicketEvent, register: Register) -> None:
    """Let a stopped clock go on; under the terms that apply now, if they changed while it was stopped."""
    of_last, calendar = register.terms[last.target_id, last.revision]
    at_ms = event.at_ms
    if not _has_its_date(ticket, of_last, register):
        return
    clocks.reactivate(last, of_last, calendar, at_ms, due_ms=_due(ticket, of_last, calendar))
    if of_last.open_until_ms <= at_ms:
        successor: Target | None = target  # its revision has let go of every open clock meanwhile
    else:
        successor = _successor(of_last, target, ticket.attributes, at_ms, register)
    assert successor is not None, "one applies: it is at hand"
    if successor.id == of_last.id:
        if successor is not of_last:
            after = (successor, register.calendar_of(successor))
            due_ms = _due(ticket, *after)
            clocks.change_terms(last, (of_last, calendar), after, at_ms, stands=False, due_ms=due_ms)
            of_last, calendar = after
        _end_or_pause(last, of_last, calendar, event, ticket.attributes)
        return
    clocks.end(last, of_last, calendar, at_ms, Phase.SUPERSEDED)
    _take_over(ticket, last, successor, event, register)


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
    next_cycle = partial(_next_cycle, ticket)
    for past, attributes in _walk(ticket.history):
        if clock is None:
            winner = register.winners(ticket.attributes, past.at_ms).get(target.slot)
            if winner is None or not winner.start.holds(past.event, attributes):
                continue
            of_start, calendar = winner, register.calendar_of(winner)
            start_ms = past.at_ms
            if winner.earliest_start is not None:
                start_ms = _earlier_start(ticket, winner, start_ms)
            cycle = next_cycle(winner.id)
            clock = clocks.start_clock(winner, calendar, cycle, start_ms, start_ms=start_ms, consumed_ms=0)
        if of_start.open_until_ms <= past.at_ms and clock.is_active:
            heirs = hand_over(clock, ticket.attributes, register, past.at_ms, next_cycle)
            clock = heirs[-1] if heirs else clock
            of_start, calendar = register.terms[clock.target_id, clock.revision]
        was_active = clock.is_active
        if past is event and was_active:
            _date(ticket, clock, of_start, calendar, event)
        clock = _follow(clock, of_start, calendar, past, attributes)
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


def _date(ticket: Ticket, clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent) -> None:
    """Give a clock that has not known its date so far the one that an event brought."""
    due_ms = _due(ticket, target, calendar)
    if due_ms is not None and clock.deadline_ms == NEVER:
        clocks.redate(clock, target, calendar, event.at_ms, due_ms)


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
