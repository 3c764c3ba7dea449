"""How one clock follows one event: it ends, stands, goes on, or begins its next cycle.

Within one event the precedence is stop > cancel > merge > change of the target > pause > start: one event may resolve a
ticket and set it to waiting, and then it is resolved.
"""

from __future__ import annotations

from typing import Final

from sla import clock as clocks
from sla.calendar import WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import Reaction, Reopen, Target
from sla.events import TicketEvent

# Members of an IntEnum are slow to get at, and the fold compares one per clock and event.
_PAUSED: Final = int(Phase.PAUSED)


def phase_after(reaction: Reaction, attributes: dict[str, str]) -> Phase | None:
    """Return how the first end that holds ends a clock, in their order of precedence; None: none holds."""
    if reaction.stop is not None and reaction.stop(attributes):
        return Phase.STOPPED
    if reaction.cancel is not None and reaction.cancel(attributes):
        return Phase.CANCELLED
    if reaction.merge is not None and reaction.merge(attributes):
        return Phase.MERGED
    return None


def end_of(target: Target, event: TicketEvent, attributes: dict[str, str]) -> Phase | None:
    """Return how a clock of the target ends at an event, or None if the event does not end it."""
    reaction = target.reaction_to(event.event)
    return phase_after(reaction, attributes) if reaction.may_end else None


def reopens(target: Target, event: TicketEvent, attributes: dict[str, str]) -> bool:
    """Tell whether an event lets an ended clock go on or a further cycle start; one that ends it as well does not."""
    reaction = target.reaction_to(event.event)
    return (
        reaction.reopen is not None
        and target.reopen is not Reopen.IGNORE
        and reaction.reopen(attributes)
        and phase_after(reaction, attributes) is None
    )


def pause_or_resume(
    clock: Clock, target: Target, calendar: WorkCalendar, reaction: Reaction, attributes: dict[str, str], at_ms: int
) -> None:
    """Pause an active clock while its pause holds, else let it run."""
    if reaction.pause is not None and reaction.pause(attributes):
        clocks.pause(clock, target, calendar, at_ms)
    elif clock.phase == _PAUSED:
        clocks.resume(clock, target, calendar, at_ms)


def end_or_pause(
    clock: Clock, target: Target, calendar: WorkCalendar, event: TicketEvent, attributes: dict[str, str]
) -> None:
    """End, pause or resume an active clock as the event says."""
    reaction = target.reaction_to(event.event)
    phase = phase_after(reaction, attributes) if reaction.may_end else None
    if phase is not None:
        clocks.end(clock, target, calendar, event.at_ms, phase)
        return
    clocks.observe(clock, event.at_ms)
    pause_or_resume(clock, target, calendar, reaction, attributes, event.at_ms)


def follow(
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
        if reaction.repeat is None or not reaction.repeat(attributes) or phase_after(reaction, attributes) is not None:
            end_or_pause(clock, target, calendar, event, attributes)
            return clock
    elif not reopens(target, event, attributes):
        return clock
    if target.reopen is Reopen.RESUME and clock.phase == Phase.STOPPED:
        clocks.reactivate(clock, target, calendar, event.at_ms)
    else:
        at_ms = event.at_ms
        clock = clocks.start_clock(target, calendar, clock.cycle, at_ms, start_ms=at_ms, consumed_ms=0)
    end_or_pause(clock, target, calendar, event, attributes)
    return clock
