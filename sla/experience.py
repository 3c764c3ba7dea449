"""What a requester went through while a clock was on: what attainment does not show.

A clock can be met and its requester unhappy: because the ticket came back, was handed around, was silent for long, or
was set to waiting when its time was nearly up. These are read from the ticket's events; nothing here decides a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Final

import msgspec

from sla.attribution import Mode, Span, shares_of, spans_of
from sla.clock import Clock, Phase
from sla.events import FEEDBACK, REOPENED, TicketEvent
from sla.fold import insert_event, refold
from sla.outcome import Share
from sla.register import Register
from sla.ticket import Ticket, new_ticket

SCORE_FIELDS: Final = ("score", "csat")
"""Ticket fields of a feedback event that hold its score, the first one present counts."""

WORST_FIELD: Final = "worst"
BEST_FIELD: Final = "best"
"""Ticket fields of a feedback event that hold the scale; from 1 to 5 where it does not say."""

COMPLAINTS: Final = frozenset({"complaint", "complained"})
"""Kinds of event that say without a score that the requester is unhappy."""

LATE_PAUSE_FROM: Final = Fraction(9, 10)
"""A pause begins just before a deadline if at least this share of the target was consumed, and not all of it."""

_TEAM: Final = "team:"


class Experience(msgspec.Struct, frozen=True, gc=False):
    """What happened around one clock.

    Attributes
    ----------
    satisfaction : float or None
        The last score given for the ticket since the clock began and before its next cycle did: 0 worst, 1 best; None
        without one.
    was_reopened : bool
        Whether the work was taken up again after the clock had stopped.
    handovers : int
        How often another team got the ticket than had it before.
    longest_silence_ms : int
        Longest time in which the clock ran and nothing was told about the ticket, in the time the target counts.
    target_ms : int
        What the clock was allowed to consume.
    was_paused_late : bool
        Whether a pause began just before the deadline.
    parties : tuple of Share
        Who held the ticket while the clock was on.
    """

    satisfaction: float | None
    was_reopened: bool
    handovers: int
    longest_silence_ms: int
    target_ms: int
    was_paused_late: bool
    parties: tuple[Share, ...]


def experiences(
    events: Iterable[TicketEvent], register: Register, clocks: Iterable[tuple[str, int, int, int]]
) -> Iterator[tuple[str, int, Experience]]:
    """Yield (target id, cycle, experience) of some clocks of one ticket.

    Parameters
    ----------
    events : iterable of TicketEvent
        All of the ticket, in any order; repeated ones count once.
    clocks : iterable of (target id, cycle, until_ms, target_ms)
        The clocks to look at, each with the end of its life (UTC epoch ms) and what it may consume. Clocks that the
        ticket does not have under this register are passed over.
    """
    ticket = new_ticket(0)
    for event in events:
        insert_event(ticket, event)
    refold(ticket, register)
    of_ticket = {(clock.target_id, clock.cycle): clock for clock in ticket.clocks}
    for target_id, cycle, until_ms, target_ms in clocks:
        clock = of_ticket.get((target_id, cycle))
        if clock is not None:
            yield target_id, cycle, _experience(ticket, clock, register, until_ms, target_ms)


def satisfaction_of(event: TicketEvent) -> float | None:
    """Return the score of a feedback event, 0 worst and 1 best; None if it has none that can be read.

    A complaint is 0, whatever its fields.

    A score outside its scale, or a scale without extent, can't be read: it is no opinion.
    """
    if event.event in COMPLAINTS:
        return 0.0
    if event.event != FEEDBACK:
        return None
    changes = event.changes
    score = next((found for name in SCORE_FIELDS if (found := _number(changes.get(name))) is not None), None)
    if score is None:
        return None
    worst = _number(changes.get(WORST_FIELD, "1"))
    best = _number(changes.get(BEST_FIELD, "5"))
    if worst is None or best is None or worst == best:
        return None
    satisfaction = (score - worst) / (best - worst)
    return satisfaction if 0 <= satisfaction <= 1 else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _experience(ticket: Ticket, clock: Clock, register: Register, until_ms: int, target_ms: int) -> Experience:
    spans = list(spans_of(ticket, clock, register, until_ms, every_event=True))
    next_start_ms = min(
        (other.start_ms for other in ticket.clocks if other.target_id == clock.target_id and other.cycle > clock.cycle),
        default=None,
    )
    return Experience(
        satisfaction=_satisfaction(ticket, clock.start_ms, next_start_ms),
        was_reopened=_was_reopened(ticket, clock, spans, until_ms, next_start_ms),
        handovers=_handovers(spans),
        longest_silence_ms=max(
            (span.calendar.worked_between(span.from_ms, span.until_ms) for span in spans if span.mode is Mode.RUNNING),
            default=0,
        ),
        target_ms=target_ms,
        was_paused_late=_was_paused_late(spans, target_ms),
        parties=shares_of(ticket, clock, register, until_ms),
    )


def _satisfaction(ticket: Ticket, from_ms: int, until_ms: int | None) -> float | None:
    last: float | None = None
    for event in ticket.history:
        if event.at_ms >= from_ms and (until_ms is None or event.at_ms < until_ms):
            given = satisfaction_of(event)
            last = last if given is None else given
    return last


def _was_reopened(ticket: Ticket, clock: Clock, spans: list[Span], until_ms: int, next_start_ms: int | None) -> bool:
    if any(span.mode is Mode.STOPPED for span in spans):
        return True  # it was stopped and went on
    if clock.phase != Phase.STOPPED:
        return False
    if next_start_ms is not None:
        return True
    return any(event.event == REOPENED and event.at_ms >= until_ms for event in ticket.history)


def _handovers(spans: list[Span]) -> int:
    teams = [span.party for span in spans if span.party.startswith(_TEAM)]
    return sum(before != after for before, after in pairwise(teams))


def _was_paused_late(spans: list[Span], target_ms: int) -> bool:
    consumed_ms = 0
    was_running = False
    for span in spans:
        if span.mode is Mode.RUNNING:
            consumed_ms += span.calendar.worked_between(span.from_ms, span.until_ms)
            was_running = True
            continue
        if span.mode is Mode.PAUSED and was_running and LATE_PAUSE_FROM * target_ms <= consumed_ms < target_ms:
            return True
        was_running = False
    return False
