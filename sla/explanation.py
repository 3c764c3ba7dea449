"""Why a clock stands where it stands: its life as a timeline, from the ticket's history alone.

Each interval says whether its time counted and why, who held the ticket, what was consumed when it ended, and which
deadline was known while it lasted. The same history, register and instant give the same explanation, word for word.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

import msgspec

from sla import clock as clocks
from sla.attribution import Mode, Span, endangered, shares_of, spans_of
from sla.clock import Clock, Phase
from sla.contract import Clause, Condition, Target, TimeBase
from sla.duration import format_within
from sla.events import TicketEvent
from sla.fold import advance, pass_time
from sla.outcome import Share, endangered_document, shares_document
from sla.register import Register
from sla.ticket import Ticket, new_ticket
from sla.units import NEVER, format_instant

OPEN: Final = "open"
"""Outcome of a clock without a verdict."""


class Why(StrEnum):
    """Why the time of an interval counted, or did not."""

    COUNTED = "counted"
    OUTSIDE_HOURS = "outside-hours"
    """The calendar is closed."""
    PAUSED = "paused"
    """The target's pause holds."""
    SOLVED = "solved"
    """The ticket was solved and reopened, and the target lets its clock go on."""
    NO_TARGET = "no-target"
    """No target applied to the ticket; its clock was carried on when one did again."""


class Interval(msgspec.Struct, frozen=True):
    """A part of a clock's life.

    Attributes
    ----------
    detail : str
        The reason in words, with the calendar or the fields that decided it.
    late : bool
        Whether it lies after the deadline.
    event, event_ms, changes
        What happened last before it, with the fields it changed of those that contracts look at.
    counted_ms : int
        What of it counted: all or nothing.
    consumed_ms : int
        What the clock had consumed at its end.
    deadline_ms : int or None
        The deadline known while it lasted; None while there was none (paused, or the clock is known since later).
    target, revision
        Under which terms: others before a change of the ticket's fields.
    """

    from_ms: int
    until_ms: int
    why: Why
    detail: str
    party: str
    late: bool
    event: str
    event_ms: int
    changes: dict[str, str | None]
    counted_ms: int
    consumed_ms: int
    deadline_ms: int | None
    target: str
    revision: int

    def document(self) -> dict[str, Any]:
        """Return the public JSON document of the interval."""
        return {
            "from": format_instant(self.from_ms),
            "until": format_instant(self.until_ms),
            "counted": self.why is Why.COUNTED,
            "why": self.why.value,
            "detail": self.detail,
            "party": self.party,
            "late": self.late,
            "event": self.event,
            "event_at": format_instant(self.event_ms),
            "changes": self.changes,
            "seconds": (self.until_ms - self.from_ms) / 1000,
            "counted_seconds": self.counted_ms / 1000,
            "consumed_seconds": self.consumed_ms / 1000,
            "deadline": _instant(self.deadline_ms),
            "target": self.target,
            "revision": self.revision,
        }


class ClockExplanation(msgspec.Struct, frozen=True):
    """One clock with its timeline, as of an instant.

    Attributes
    ----------
    target_ms : int
        What the clock may consume in all: the target's duration, or of business days and dates the time up to them.
    """

    ticket: str
    target: Target
    cycle: int
    phase: Phase
    outcome: str
    start_ms: int
    deadline_ms: int | None
    stop_ms: int | None
    target_ms: int
    consumed_ms: int
    elapsed_ms: int
    calendar: str
    shares: tuple[Share, ...]
    endangers: tuple[tuple[str, str, int], ...]
    timeline: tuple[Interval, ...]

    @property
    def clock_id(self) -> str:
        """``ticket:target:cycle``."""
        return f"{self.ticket}:{self.target.id}:{self.cycle}"

    def document(self) -> dict[str, Any]:
        """Return the public JSON document of the clock."""
        target = self.target
        return {
            "clock_id": self.clock_id,
            "contract": target.contract,
            "contract_type": target.contract_type.value,
            "target": target.id,
            "metric": target.metric,
            "revision": target.revision,
            "cycle": self.cycle,
            "phase": self.phase.name.lower(),
            "outcome": self.outcome,
            "start": format_instant(self.start_ms),
            "deadline": _instant(self.deadline_ms),
            "stop": _instant(self.stop_ms),
            "time": target.within.base.value,
            "calendar": self.calendar,
            "within": format_within(target.within),
            "target_seconds": self.target_ms / 1000,
            "consumed_seconds": self.consumed_ms / 1000,
            "elapsed_seconds": self.elapsed_ms / 1000,
            **shares_document(self.shares),
            "endangers": endangered_document(self.ticket, self.endangers),
            "timeline": [interval.document() for interval in self.timeline],
        }


class Explanation(msgspec.Struct, frozen=True):
    """A ticket's clocks with their timelines, as known at an instant.

    Attributes
    ----------
    events : int
        Number of events known then.
    fields : dict
        The ticket's fields that contracts look at.
    """

    ticket: str
    at_ms: int
    events: int
    fields: dict[str, str]
    clocks: tuple[ClockExplanation, ...]

    def document(self) -> dict[str, Any]:
        """Return the public JSON document of the explanation."""
        return {
            "ticket": self.ticket,
            "at": format_instant(self.at_ms),
            "events": self.events,
            "fields": dict(sorted(self.fields.items())),
            "clocks": [clock.document() for clock in self.clocks],
        }


class _Snapshot(NamedTuple):
    """The deadlines of a ticket's clocks as they stood from an instant on."""

    at_ms: int
    deadlines_ms: Mapping[tuple[str, int], int]


def explain(
    ticket_id: str, history: Iterable[TicketEvent], register: Register, at_ms: int, settle_ms: int
) -> Explanation:
    """Explain the clocks of a ticket as they were known at an instant.

    Parameters
    ----------
    history : iterable of TicketEvent
        The ticket's events, ascending by their order; those later than ``at_ms`` are left out.
    at_ms : int
        The instant: running clocks are shown up to it.
    settle_ms : int
        A breach is declared this long after its deadline.
    """
    ticket = new_ticket(0)
    snapshots: list[_Snapshot] = []
    for event in history:
        if event.at_ms > at_ms:
            break
        _let_time_pass(ticket, register, event.at_ms, snapshots)
        ticket.history.append(event)
        advance(ticket, event, register)
        _take_snapshot(ticket, event.at_ms, snapshots)
    _let_time_pass(ticket, register, at_ms, snapshots)
    explained = (
        _explain_clock(ticket_id, ticket, clock, register, snapshots, at_ms, settle_ms) for clock in ticket.clocks
    )
    return Explanation(ticket_id, at_ms, len(ticket.history), dict(ticket.attributes), tuple(explained))


def _let_time_pass(ticket: Ticket, register: Register, until_ms: int, snapshots: list[_Snapshot]) -> None:
    """Hand clocks over, or terminate them, where a revision lets go of them: no event is needed for that."""
    if not register.lets_go:
        return
    next_ms = pass_time(ticket, register, 0)
    while next_ms <= until_ms:
        at_ms, next_ms = next_ms, pass_time(ticket, register, next_ms)
        _take_snapshot(ticket, at_ms, snapshots)


def _take_snapshot(ticket: Ticket, at_ms: int, snapshots: list[_Snapshot]) -> None:
    deadlines = {(clock.target_id, clock.cycle): clock.deadline_ms for clock in ticket.clocks}
    if snapshots and snapshots[-1].at_ms == at_ms:
        snapshots.pop()
    snapshots.append(_Snapshot(at_ms, deadlines))


def _explain_clock(
    ticket_id: str,
    ticket: Ticket,
    clock: Clock,
    register: Register,
    snapshots: list[_Snapshot],
    at_ms: int,
    settle_ms: int,
) -> ClockExplanation:
    target, calendar = register.terms[clock.target_id, clock.revision]
    until_ms = at_ms if clock.ended_ms is None else clock.ended_ms
    verdict = clocks.verdict_of(clock, ticket_id, target, at_ms, settle_ms)
    return ClockExplanation(
        ticket=ticket_id,
        target=target,
        cycle=clock.cycle,
        phase=Phase(clock.phase),
        outcome=OPEN if verdict is None else verdict.result.value,
        start_ms=clock.start_ms,
        deadline_ms=None if clock.deadline_ms == NEVER else clock.deadline_ms,
        stop_ms=clock.ended_ms,
        target_ms=clocks.allowance_of(clock, target),
        consumed_ms=clocks.consumed_at(clock, calendar, until_ms),
        elapsed_ms=until_ms - clock.start_ms,
        calendar=target.calendar,
        shares=shares_of(ticket, clock, register, until_ms),
        endangers=endangered(ticket, clock, target, register),
        timeline=tuple(_timeline(ticket, clock, register, snapshots, until_ms)),
    )


def _timeline(
    ticket: Ticket, clock: Clock, register: Register, snapshots: list[_Snapshot], until_ms: int
) -> Iterator[Interval]:
    consumed_ms = 0
    fields = _FieldsAt(ticket)
    watched = _watched_fields(register)
    for span in spans_of(ticket, clock, register, until_ms, every_event=True):
        deadline_ms = _deadline_known_at(snapshots, span)
        changes = {name: value for name, value in sorted(span.event.changes.items()) if name in watched}
        for from_ms, end_ms, why in _cut(span, deadline_ms):
            counted_ms = end_ms - from_ms if why is Why.COUNTED else 0
            consumed_ms += counted_ms
            yield Interval(
                from_ms=from_ms,
                until_ms=end_ms,
                why=why,
                detail=_detail(why, span, fields),
                party=span.party,
                late=deadline_ms is not None and from_ms >= deadline_ms,
                event=span.event.event,
                event_ms=span.event.at_ms,
                changes=changes,
                counted_ms=counted_ms,
                consumed_ms=consumed_ms,
                deadline_ms=deadline_ms,
                target=span.target.id,
                revision=span.target.revision,
            )


def _watched_fields(register: Register) -> frozenset[str]:
    """Return the fields that contracts look at: an explanation shows no others, they may be personal."""
    watched = set(register.watched_fields)
    for contract in register.contracts.values():
        rules = contract.parties
        watched |= {rules.team_field, rules.supplier_field}
        for condition in (rules.customer, rules.supplier):
            if condition is not None:
                watched |= condition.field_names
    return frozenset(watched)


def _cut(span: Span, deadline_ms: int | None) -> Iterator[tuple[int, int, Why]]:
    """Cut a span where the calendar opens and closes, and at the deadline."""
    for from_ms, until_ms, why in _by_hours(span):
        if deadline_ms is not None and from_ms < deadline_ms < until_ms:
            yield from_ms, deadline_ms, why
            yield deadline_ms, until_ms, why
        else:
            yield from_ms, until_ms, why


def _by_hours(span: Span) -> Iterator[tuple[int, int, Why]]:
    if span.mode is not Mode.RUNNING:
        yield span.from_ms, span.until_ms, _WHY_OF_MODE[span.mode]
        return
    at_ms = span.from_ms
    for open_ms, close_ms in span.calendar.windows_between(span.from_ms, span.until_ms):
        if at_ms < open_ms:
            yield at_ms, open_ms, Why.OUTSIDE_HOURS
        yield open_ms, close_ms, Why.COUNTED
        at_ms = close_ms
    if at_ms < span.until_ms:
        yield at_ms, span.until_ms, Why.OUTSIDE_HOURS


_WHY_OF_MODE: Final = {Mode.PAUSED: Why.PAUSED, Mode.STOPPED: Why.SOLVED, Mode.UNBOUND: Why.NO_TARGET}


def _deadline_known_at(snapshots: list[_Snapshot], span: Span) -> int | None:
    index = bisect_right(snapshots, span.from_ms, key=lambda snapshot: snapshot.at_ms) - 1
    deadline_ms = snapshots[index].deadlines_ms.get((span.target.id, span.cycle)) if index >= 0 else None
    return None if deadline_ms is None or deadline_ms == NEVER else deadline_ms


def _detail(why: Why, span: Span, fields: _FieldsAt) -> str:
    match why:
        case Why.COUNTED:
            if span.target.within.base is TimeBase.ELAPSED:
                return "elapsed time: all of it counts"
            return f"open hours of {span.calendar.id}"
        case Why.OUTSIDE_HOURS:
            return f"{span.calendar.id} is closed"
        case Why.PAUSED:
            return _why_paused(span, fields.after(span.event))
        case Why.SOLVED:
            return "solved, until it was reopened"
        case Why.NO_TARGET:
            return "no target applied to the ticket"


def _why_paused(span: Span, fields: dict[str, str]) -> str:
    pause, only_while = span.target.pause, span.target.only_while
    if only_while is None or pause.holds(span.event.event, fields):
        return f"paused while {_reason(pause, span.event.event, fields)}"
    alternatives = (
        " and ".join(f"{name} is {' or '.join(sorted(values))}" for name, values in clause.fields)
        for clause in only_while.clauses
    )
    return f"counts only while {', or '.join(alternatives)}"


def _reason(condition: Condition, event: str, fields: dict[str, str]) -> str:
    """Say what of a condition holds: the first clause that does, with the ticket's own values."""
    held = next((clause for clause in condition.clauses if clause.holds(event, fields)), Clause())
    words = [f"event is {event}"] if held.events else []
    words += [f"{name} is {fields.get(name)}" for name, _ in held.fields]
    return " and ".join(words)


class _FieldsAt:
    """The ticket's fields after an event; asked for events in order."""

    def __init__(self, ticket: Ticket) -> None:
        self._history = list(ticket.history)
        self._next = 0
        self._fields: dict[str, str] = {}

    def after(self, event: TicketEvent) -> dict[str, str]:
        """Return the fields after an event that is not before the one asked for last."""
        while self._next < len(self._history) and self._history[self._next].order <= event.order:
            for name, value in self._history[self._next].changes.items():
                if value is None:
                    self._fields.pop(name, None)
                else:
                    self._fields[name] = value
            self._next += 1
        return self._fields


def _instant(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else format_instant(instant_ms)
