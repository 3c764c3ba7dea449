"""What a change of the register would do to a ticket: deadlines moved, clocks begun or ended, verdicts changed.

It is computed by folding the ticket's history under both registers, which is exactly what a worker does when the change
is published; so nothing here knows which changes of terms move which clocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from enum import StrEnum

from sla import clock as clocks
from sla.clock import Clock, Phase
from sla.contract import ContractType
from sla.fold import pass_time, refold
from sla.register import Register
from sla.ticket import Ticket
from sla.units import NEVER

Slot = tuple[ContractType, str]


class Effect(StrEnum):
    """What a change does to an open clock."""

    EARLIER = "earlier"
    LATER = "later"
    BREACHES = "breaches"
    """The deadline moves into the past: the change itself breaches the clock."""
    SAVES = "saves"
    """A clock that has breached has not, under the changed terms."""
    TERMS = "terms"
    """Another target or revision counts; the deadline is the same."""
    BEGINS = "begins"
    """A clock that is not there now."""
    ENDS = "ends"
    """The clock is not open any more."""


@dataclass(frozen=True, slots=True)
class OpenClock:
    """An open clock as one register sees it.

    Attributes
    ----------
    due_ms : int or None
        Deadline; of a clock that is paused within its target: what it would be, were the clock resumed at ``now``. None
        if there is none that can be told.
    paused, breached : bool
    """

    target: str
    contract: str
    revision: int
    due_ms: int | None
    paused: bool
    breached: bool


@dataclass(frozen=True, slots=True)
class MovedClock:
    """One open clock of a ticket that a change would move; ``before`` or ``after`` is None where there is none.

    Attributes
    ----------
    at_ms : int or None
        When a revision that takes open clocks, or ends them, does so, if that is to come and the clock is open until
        then; None: at once.
    """

    ticket: str
    metric: str
    effect: Effect
    before: OpenClock | None
    after: OpenClock | None
    at_ms: int | None = None

    @property
    def shift_ms(self) -> int | None:
        """By how much the deadline moves, positive: later; None if one of them is not known."""
        if self.before is None or self.after is None or self.before.due_ms is None or self.after.due_ms is None:
            return None
        return self.after.due_ms - self.before.due_ms


@dataclass(frozen=True, slots=True)
class TicketImpact:
    """What a change would do to one ticket.

    Attributes
    ----------
    open_clocks : int
        Clocks that are open now.
    moved : tuple of MovedClock
    corrected : int
        Verdicts on ended clocks that would change, come or go.
    """

    open_clocks: int
    moved: tuple[MovedClock, ...] = ()
    corrected: int = 0


def impact_on(
    ticket_id: str, ticket: Ticket, before: Register, after: Register, now_ms: int, settle_ms: int
) -> TicketImpact:
    """Return what putting another register in force would do to a ticket.

    Parameters
    ----------
    ticket : Ticket
        As decoded from its row; it is folded anew twice and belongs to ``after`` then.
    before, after : Register
        In force, and proposed.
    now_ms, settle_ms : int
        Present of the ticket's partition; a breach is declared ``settle_ms`` after its deadline.

    Raises
    ------
    SlaError
        If the ticket can't be folded under one of the registers.
    """
    instants = (now_ms, *sorted(_hand_overs(before, now_ms) | _hand_overs(after, now_ms)))
    passed_ms = ticket.passed_ms
    open_before, ended_before = _seen_at(ticket, before, instants, settle_ms)
    ticket.passed_ms = passed_ms  # what has not happened yet is not carried into the other register
    open_after, ended_after = _seen_at(ticket, after, instants, settle_ms)
    moved: dict[Slot, MovedClock] = {}
    for at_ms, seen_before, seen_after in zip(instants, open_before, open_after, strict=True):
        for slot in sorted(seen_before.keys() | seen_after.keys()):
            old, new = seen_before.get(slot), seen_after.get(slot)
            if old != new and slot not in moved:
                when_ms = None if at_ms == now_ms else at_ms
                moved[slot] = MovedClock(ticket_id, slot[1], _effect(old, new), old, new, when_ms)
    clock_ids = ended_before.keys() | ended_after.keys()
    corrected = sum(ended_before.get(clock_id) != ended_after.get(clock_id) for clock_id in clock_ids)
    return TicketImpact(len(open_before[0]), tuple(moved[slot] for slot in sorted(moved)), corrected)


def _hand_overs(register: Register, now_ms: int) -> set[int]:
    """Return the instants to come at which revisions let go of open clocks."""
    return {target.open_until_ms for target in register.targets if now_ms < target.open_until_ms < NEVER}


def _seen_at(
    ticket: Ticket, register: Register, instants: Sequence[int], settle_ms: int
) -> tuple[list[dict[Slot, OpenClock]], dict[tuple[str, int], object]]:
    """Return a ticket's open clocks at each instant, if nothing happens to it, and what is decided at the first one."""
    refold(ticket, register)
    seen: list[dict[Slot, OpenClock]] = []
    ended: dict[tuple[str, int], object] = {}
    for at_ms in instants:
        if register.lets_go:
            pass_time(ticket, register, at_ms)
        ended = ended if seen else _verdicts(ticket, at_ms, settle_ms)
        seen.append(dict(_open_clocks(ticket, register, at_ms, settle_ms)))
    return seen, ended


def _effect(before: OpenClock | None, after: OpenClock | None) -> Effect:
    if before is None:
        return Effect.BEGINS
    if after is None:
        return Effect.ENDS
    if before.breached != after.breached:
        return Effect.BREACHES if after.breached else Effect.SAVES
    if before.due_ms == after.due_ms or before.due_ms is None or after.due_ms is None:
        return Effect.TERMS
    return Effect.EARLIER if after.due_ms < before.due_ms else Effect.LATER


def _open_clocks(ticket: Ticket, register: Register, now_ms: int, settle_ms: int) -> Iterator[tuple[Slot, OpenClock]]:
    for clock in ticket.clocks:
        if clock.is_active:
            target, calendar = register.terms[clock.target_id, clock.revision]
            due_ms, paused = clock.deadline_ms, clock.phase == Phase.PAUSED
            if due_ms == NEVER and paused:
                resumed = copy(clock)
                clocks.resume(resumed, target, calendar, max(now_ms, clock.resumed_ms))
                due_ms = resumed.deadline_ms
            yield (
                target.slot,
                OpenClock(
                    target.id,
                    target.contract,
                    target.revision,
                    None if due_ms == NEVER else due_ms,
                    paused,
                    clocks.has_breached(clock, now_ms, settle_ms),
                ),
            )


def _verdicts(ticket: Ticket, now_ms: int, settle_ms: int) -> dict[tuple[str, int], object]:
    """Return what is decided about ended clocks; what is only due to another revision's number is no other verdict."""
    return {
        (clock.target_id, clock.cycle): _decided(clock, now_ms, settle_ms)
        for clock in ticket.clocks
        if not clock.is_active
    }


def _decided(clock: Clock, now_ms: int, settle_ms: int) -> object:
    return clocks.decision_of(clock, now_ms, settle_ms), clock.deadline_ms, clock.consumed_ms
