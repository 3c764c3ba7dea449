"""Clocks that change hands without an event: a revision applies to open tickets, or ends them with its contract.

Before the effective instant the terms of the old revision count, from it on those of the new one, and what was consumed
is carried. What had ended by then is left as it is. At one instant the hand-over comes before every event: terms are in
force from their effective instant on, that instant included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sla import clock as clocks
from sla.calendar import WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import OnChange, Target, TicketDate
from sla.due_dates import date_deadline, parse_ticket_date
from sla.events import TicketEvent
from sla.register import Register

_PAUSED: Final = int(Phase.PAUSED)


def fields_after(history: Iterable[TicketEvent]) -> dict[str, str]:
    """Return a ticket's fields after some events."""
    fields: dict[str, str] = {}
    for event in history:
        for name, value in event.changes.items():
            if value is None:
                fields.pop(name, None)
            else:
                fields[name] = value
    return fields


def due_on(target: Target, calendar: WorkCalendar, fields: Mapping[str, str]) -> int | None:
    """Return when a target is due on the date that the ticket carries; None without a date, or if it needs none."""
    rule = target.rule
    if not isinstance(rule, TicketDate):
        return None
    day = parse_ticket_date(fields.get(rule.field), calendar)
    return None if day is None else date_deadline(rule, calendar, day)


def hand_over(
    clock: Clock,
    fields: Mapping[str, str],
    register: Register,
    until_ms: int,
    next_cycle: Callable[[str], int],
) -> tuple[Clock, ...]:
    """Hand an active clock over at every instant up to ``until_ms`` at which its revision lets go of it.

    Parameters
    ----------
    clock : Clock
        Changed in place.
    fields : mapping
        The ticket's fields at these instants: nothing happened to it since the first of them.
    next_cycle : callable
        Gives the cycle of a further clock of a target, by the target's id.

    Returns
    -------
    tuple of Clock
        Clocks of other targets that took over, in order; only the last one can be active. Empty if the clock itself
        goes on, or was terminated.
    """
    heirs: list[Clock] = []
    while clock.phase <= _PAUSED:
        target, calendar = register.terms[clock.target_id, clock.revision]
        at_ms = target.open_until_ms
        if at_ms > until_ms:
            break
        heir = _heir_of(target, fields, register)
        if heir is None or heir.open_until_ms <= at_ms:
            clocks.end(clock, target, calendar, at_ms, Phase.TERMINATED)
            break
        of_heir = register.calendar_of(heir)
        due_ms = due_on(heir, of_heir, fields)
        if heir.date_field is not None and due_ms is None:
            clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
            break
        stands = heir.reaction_to("").pause
        is_paused = stands is not None and stands(dict(fields))
        if heir.id == target.id:
            clocks.change_terms(clock, (target, calendar), (heir, of_heir), at_ms, stands=is_paused, due_ms=due_ms)
            continue
        clocks.end(clock, target, calendar, at_ms, Phase.SUPERSEDED)
        restarts = heir.on_change is OnChange.RESTART
        clock = clocks.start_clock(
            heir,
            of_heir,
            next_cycle(heir.id) + sum(earlier.target_id == heir.id for earlier in heirs),
            at_ms,
            start_ms=at_ms if restarts else clock.start_ms,
            consumed_ms=0 if restarts else clock.consumed_ms,
            due_ms=due_ms,
        )
        if is_paused:
            clocks.pause(clock, heir, of_heir, at_ms)
        heirs.append(clock)
    return tuple(heirs)


def _heir_of(target: Target, fields: Mapping[str, str], register: Register) -> Target | None:
    """Return what a clock goes on under where its revision lets go of it; None: its promise ends there."""
    if target.open_then is None:
        return None
    same = register.terms.get((target.id, target.open_then))
    if same is not None and same[0].matches(fields):
        return same[0]
    # The new revision promises this in other words, to other tickets, or not at all.
    return register.winners(fields, target.open_until_ms).get(target.slot)
