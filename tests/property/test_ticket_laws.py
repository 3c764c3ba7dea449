"""Laws of the domain core: what is true of a ticket depends on its events, its register and now, on nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from sla import clock as clocks
from sla.calendar import Calendar, CalendarSpec
from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Clock, Phase
from sla.contract import Period, Target, Window
from sla.engine import EngineLimits
from sla.events import TicketEvent
from sla.objective import ObjectiveEngine
from sla.outcome import Result, Verdict
from sla.register import Register
from sla.row import decode_row
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER
from sla.window import window_start
from tests.property.strategies import FIRST_MONDAY_MS, TICKET_DAYS, registers, ticket_histories, ticket_instants_ms
from tests.support.domain import BERLIN, OFFICE_HOURS, SETTLE_MS, Monitor, event, register, target

pytestmark = pytest.mark.property

# Without a deadline: a machine under load is no fault of an example.
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(QUICK, max_examples=300)
LIMITS = EngineLimits(settle_ms=SETTLE_MS)
END_MS = FIRST_MONDAY_MS + (TICKET_DAYS + 2) * DAY_MS
"""After the last event; some clocks are still open then."""


@dataclass
class Known:
    """What the world knows at the end, and what the engine holds: everything the laws speak about."""

    verdicts: dict[str, Verdict]
    buckets: dict[tuple[str, int], list[int]]
    clocks: dict[str, list[tuple[Any, ...]]]
    firing: set[str]
    open_counts: dict[str, tuple[int, int, int]]


def known(monitor: Monitor) -> Known:
    return Known(
        monitor.last,
        monitor.counted,
        {name: [_without_memory(clock) for clock in ticket.clocks] for name, ticket in monitor.engine.tickets()},
        set(monitor.firing),
        {name: counts for name, counts in monitor.engine.open_counts.items() if any(counts)},
    )


def _without_memory(clock: Clock) -> tuple[Any, ...]:
    """Return a clock without the highest level it was ever told to be at: that depends on what came late."""
    return tuple(getattr(clock, name) for name in clock.__struct_fields__ if name != "alerted_level")


def in_order(of: Register, histories: dict[str, list[TicketEvent]], now_ms: int = END_MS) -> Known:
    """Return what is known when every event comes once, in order, in one step, and then time passes."""
    monitor = Monitor(of, limits=LIMITS)
    for ticket, events in histories.items():
        monitor.hears(ticket, *settled(events))
    monitor.passes(now_ms)
    return known(monitor)


def settled(events: Iterable[TicketEvent]) -> list[TicketEvent]:
    """Return the events in force in their order: of those with one identity the greatest by content."""
    in_force: dict[int, TicketEvent] = {}
    for each in events:
        before = in_force.get(each.uid)
        if before is None or _content(each) > _content(before):
            in_force[each.uid] = each
    return sorted(in_force.values(), key=lambda each: each.order)


def _content(of: TicketEvent) -> tuple[Any, ...]:
    return (of.order, of.event, sorted(of.changes.items(), key=str))


@THOROUGH
@given(of=registers(), events=ticket_histories(), data=st.data())
def test_verdicts_do_not_depend_on_order_duplicates_chunks_restarts_or_when_time_passed(
    of: Register, events: list[TicketEvent], data: st.DataObject
) -> None:
    """Any permutation and any duplication of a ticket's events gives the same final verdicts.

    Nor does it matter where steps end, where a worker starts anew from its rows, and at which instants it looked.
    """
    repeated = data.draw(st.lists(st.sampled_from(events), max_size=4))
    monitor = Monitor(of, limits=LIMITS)
    for each in data.draw(st.permutations(events + repeated)):
        assert monitor.engine.apply("INC-1", each) is None
        match data.draw(st.sampled_from(("go on", "step", "time", "time in the step", "restart"))):
            case "step":
                monitor.take(monitor.engine.finish())
            case "time":
                monitor.passes(data.draw(ticket_instants_ms()))
            case "time in the step":
                monitor.engine.advance_to(data.draw(ticket_instants_ms()))
            case "restart":
                monitor.take(monitor.engine.finish())
                monitor.restarts()
    monitor.passes(END_MS)
    assert known(monitor) == in_order(of, {"INC-1": events})


@THOROUGH
@given(before=registers(), after=registers(), events=ticket_histories(), data=st.data())
def test_new_register_gives_what_a_fresh_fold_under_it_gives(
    before: Register, after: Register, events: list[TicketEvent], data: st.DataObject
) -> None:
    """Same events, same register and same now: the same last verdicts, whatever was in force on the way."""
    change_after = data.draw(st.integers(0, len(events)))
    monitor = Monitor(before, limits=LIMITS)
    for number, each in enumerate(events):
        if number == change_after:
            monitor.is_governed_by(after, 2)
        monitor.knows("INC-1", each, now=data.draw(ticket_instants_ms()))
    if change_after == len(events):
        monitor.passes(END_MS)
        monitor.is_governed_by(after, 2)
    if data.draw(st.booleans()):
        monitor.restarts()
    monitor.passes(END_MS)
    assert known(monitor) == in_order(after, {"INC-1": events})


@THOROUGH
@given(of=registers(), histories=st.lists(ticket_histories(), min_size=1, max_size=4), data=st.data())
def test_rollups_are_the_counts_of_the_verdicts_in_force(
    of: Register, histories: list[list[TicketEvent]], data: st.DataObject
) -> None:
    """Sums of buckets equal counts of clocks met and breached, minute by minute, at every instant."""
    monitor = Monitor(of, limits=LIMITS)
    deliveries = [(f"INC-{n}", each) for n, events in enumerate(histories) for each in events]
    for ticket, each in data.draw(st.permutations(deliveries)):
        monitor.hears(ticket, each)
        monitor.passes(data.draw(ticket_instants_ms()))
        assert monitor.counted == recounted(monitor.last.values())


def recounted(verdicts: Iterable[Verdict]) -> dict[tuple[str, int], list[int]]:
    counts: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for verdict in verdicts:
        if verdict.result in {Result.MET, Result.BREACHED}:
            minute_ms = verdict.decided_at_ms // MINUTE_MS * MINUTE_MS
            counts[verdict.target, minute_ms][verdict.result is Result.BREACHED] += 1
    return dict(counts)


@QUICK
@given(of=registers(), events=ticket_histories(), now_ms=ticket_instants_ms())
def test_no_clock_is_due_for_longer_than_now(of: Register, events: list[TicketEvent], now_ms: int) -> None:
    """After time has passed nothing is left to be told: a second look at the same instant tells nothing."""
    monitor = Monitor(of, limits=LIMITS)
    monitor.knows("INC-1", *events, now=now_ms)
    assert not monitor.engine.advance_to(now_ms)
    outcome = monitor.engine.finish()
    assert (outcome.verdicts, outcome.alerts, outcome.rollups, outcome.rows) == ([], [], [], {})


# --- an oracle for one clock ---------------------------------------------------------------------------------------

WITHIN_HOURS = st.integers(0, 40)


@THOROUGH
@given(
    marks=st.lists(st.integers(0, TICKET_DAYS * 1440), min_size=1, max_size=9, unique=True),
    stopped=st.booleans(),
    hours=WITHIN_HOURS,
    now=st.integers(0, (TICKET_DAYS + 4) * 1440),
)
def test_consumption_is_what_a_walk_over_all_minutes_counts(
    marks: list[int], stopped: bool, hours: int, now: int
) -> None:
    """A clock consumes the office minutes in which its ticket is not waiting, and is due when its target is used up."""
    marks.sort()
    events = [event("created", _instant(marks[0]))]
    toggles = marks[1:-1] if stopped else marks[1:]
    events += [
        event("updated", _instant(mark), waiting_for="customer" if number % 2 == 0 else None)
        for number, mark in enumerate(toggles)
    ]
    stop = marks[-1] if stopped and len(marks) > 1 else None
    if stop is not None:
        events.append(event("resolved", _instant(stop)))
    now = max(now, marks[-1])

    until = now if stop is None else stop
    walk = _walk(marks[0], toggles, until, hours * 60, stops=stop is not None)

    monitor = Monitor(register(target(within=f"{hours}bh")), limits=LIMITS)
    monitor.knows("INC-1", *events, now=_instant(now) + SETTLE_MS)
    (clock,) = monitor.ticket("INC-1").clocks
    of = monitor.engine.register.calendars["office"]
    assert clocks.consumed_at(clock, of, _instant(until)) == walk.consumed * MINUTE_MS
    verdict = monitor.last.get("INC-1:resolution:1")
    if walk.breached or (stop is None and walk.deadline is not None and walk.deadline <= now):
        assert verdict is not None
        assert verdict.result is Result.BREACHED
        assert verdict.decided_at_ms == verdict.deadline_ms == _instant(walk.deadline or 0)
    elif stop is not None:
        assert verdict is not None
        assert verdict.result is Result.MET
        assert verdict.consumed_ms == walk.consumed * MINUTE_MS
        assert verdict.elapsed_ms == (stop - marks[0]) * MINUTE_MS
    else:
        assert verdict is None


@dataclass
class Walk:
    """A clock followed minute by minute; `deadline` is the minute at whose beginning its target is used up."""

    consumed: int = 0
    waiting: bool = False
    deadline: int | None = None
    breached: bool = False


def _walk(start: int, toggles: list[int], until: int, allowed: int, *, stops: bool) -> Walk:
    """Follow a clock up to the event or the look at `until`.

    An event that finds the clock running after its deadline finds it breached; before that waiting lifts the deadline.
    A clock with nothing left is due at the first office minute in which it runs.
    """
    walk = Walk()
    for minute in range(start, until + 1):
        finds_it_running = (minute in toggles or (stops and minute == until)) and not walk.waiting
        if finds_it_running and walk.deadline is not None and minute > walk.deadline:
            walk.breached = True
        if minute in toggles:
            walk.waiting = not walk.waiting
            if not walk.breached:
                walk.deadline = None
        if minute < until and not walk.waiting and _is_office(minute):
            if walk.consumed == allowed and walk.deadline is None:
                walk.deadline = minute
            walk.consumed += 1
            if walk.consumed == allowed and walk.deadline is None:
                walk.deadline = minute + 1
    # A clock that has nothing left and is looked at in an office minute is due then.
    if walk.deadline is None and not walk.waiting and walk.consumed == allowed and _is_office(until):
        walk.deadline = until
    return walk


def _instant(minute: int) -> int:
    return FIRST_MONDAY_MS + minute * MINUTE_MS


def _is_office(minute: int) -> bool:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=_instant(minute))).astimezone(BERLIN)
    return local.weekday() < 5 and 9 <= local.hour < 17


# --- objectives ----------------------------------------------------------------------------------------------------

SOURCES = ("sla.tickets/0", "sla.tickets/1")
WINDOWS = st.sampled_from(
    (
        Window(rolling_ms=3 * DAY_MS, period=None),
        Window(rolling_ms=36 * HOUR_MS, period=None),
        *(Window(rolling_ms=None, period=period, timezone="Europe/Berlin") for period in (Period.WEEK, Period.MONTH)),
    )
)


@QUICK
@given(
    told=st.dictionaries(
        st.tuples(st.integers(0, TICKET_DAYS * 24), st.sampled_from(SOURCES)),
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=3),
        max_size=12,
    ),
    windows=st.lists(WINDOWS, min_size=1, max_size=3),
    data=st.data(),
)
def test_totals_of_an_objective_equal_a_recount(
    told: dict[tuple[int, str], list[tuple[int, int]]], windows: list[Window], data: st.DataObject
) -> None:
    """Counts are absolute: repeats change nothing, the last one told of a cell is in force, wherever the window is.

    Counts of different minutes and sources may come in any order.
    """
    queues = {cell: counts + counts[-1:] for cell, counts in told.items()}
    turns = data.draw(st.permutations([cell for cell, counts in queues.items() for _ in counts]))
    in_force: dict[tuple[int, str], tuple[int, int]] = {}
    engine = ObjectiveEngine(register(target("r", attain="9/10", over=windows[0])), frozenset(SOURCES))
    window, now_ms = windows[0], 0
    rows: dict[bytes, bytes | None] = {}
    for cell in turns:
        in_force[cell] = counts = queues[cell].pop(0)
        engine.count("r", _instant(cell[0] * 60), cell[1], *counts)
        if data.draw(st.booleans()):
            now_ms = max(now_ms, data.draw(ticket_instants_ms()))
            for source in SOURCES:
                engine.progress(source, now_ms)
        if data.draw(st.booleans()):
            window = data.draw(st.sampled_from(windows))
            engine.set_register(register(target("r", attain="9/10", over=window)))
        rows |= engine.finish().rows
        if data.draw(st.integers(0, 4)) == 0:
            engine = ObjectiveEngine(engine.register, frozenset(SOURCES))
            engine.load((key, row) for key, row in rows.items() if row is not None)
        start_ms = window_start(window, now_ms) // MINUTE_MS * MINUTE_MS if now_ms else 0
        # Without a watermark all counts; else those of the window, the minute in progress included.
        end_ms = now_ms // MINUTE_MS * MINUTE_MS + MINUTE_MS if now_ms else NEVER
        current = [counts for (hour, _), counts in in_force.items() if start_ms <= _instant(hour * 60) < end_ms]
        (attainment,) = engine.attainments()
        assert attainment.met == sum(met for met, _ in current)
        assert attainment.breached == sum(breached for _, breached in current)


# --- an engine in operation ----------------------------------------------------------------------------------------

TICKETS = ("INC-1", "INC-2", "INC-3")


class EngineInOperation(RuleBasedStateMachine):
    """Several tickets, new registers, restarts and the passing of time in any order, against a recount from scratch."""

    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.register = register(target(within="8bh", warn=("1/2", "3/4")))
        self.version = 1
        self.monitor = Monitor(self.register, limits=LIMITS)
        self.heard: dict[str, list[TicketEvent]] = defaultdict(list)
        self.step_is_open = False

    @rule(target=deliveries, ticket=st.sampled_from(TICKETS), history=ticket_histories(max_size=4))
    def publish(self, ticket: str, history: list[TicketEvent]) -> list[tuple[str, TicketEvent]]:
        return [(ticket, each) for each in history]

    @rule(delivery=deliveries, data=st.data())
    def hear(self, delivery: list[tuple[str, TicketEvent]], data: st.DataObject) -> None:
        for ticket, each in data.draw(st.permutations(delivery)):
            assert self.monitor.engine.apply(ticket, each) is None
            self.heard[ticket].append(each)
        self.step_is_open = True

    @rule(now_ms=ticket_instants_ms())
    def look(self, now_ms: int) -> None:
        self.monitor.engine.advance_to(now_ms)
        self.step_is_open = True

    @rule()
    def end_step(self) -> None:
        self.monitor.take(self.monitor.engine.finish())
        self.step_is_open = False

    @precondition(lambda self: not self.step_is_open)
    @rule()
    def restart(self) -> None:
        self.monitor.restarts()

    @precondition(lambda self: not self.step_is_open)
    @rule(of=registers())
    def agree_anew(self, of: Register) -> None:
        self.register = of
        self.version += 1
        self.monitor.is_governed_by(of, self.version)

    @invariant()
    def what_is_open_is_counted(self) -> None:
        if self.step_is_open:
            return
        counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for key, row in self.monitor.state.items():
            if key[:1] != b"t":
                continue
            for clock in decode_row(row).clocks:
                if clock.phase in {Phase.RUNNING, Phase.PAUSED}:
                    counts[clock.target_id][0] += 1
                    # A breached clock is past being at risk.
                    counts[clock.target_id][1] += clock.alerts & (AT_RISK_FIRING | BREACHED_FIRING) == AT_RISK_FIRING
                    counts[clock.target_id][2] += bool(clock.alerts & BREACHED_FIRING)
        mine = {each.id for each in self.register.targets}
        assert {name: tuple(each) for name, each in counts.items() if name in mine} == {
            name: each for name, each in self.monitor.engine.open_counts.items() if any(each)
        }

    @invariant()
    def rollups_are_counts_of_verdicts(self) -> None:
        assert self.monitor.counted == recounted(self.monitor.last.values())

    @invariant()
    def alerts_that_fire_are_those_of_the_rows(self) -> None:
        if self.step_is_open:
            return
        firing = Counter(
            f"{kind}/{key[1:].decode()}:{clock.target_id}:{clock.cycle}"
            for key, row in self.monitor.state.items()
            if key[:1] == b"t"
            for clock in decode_row(row).clocks
            for bit, kind in ((AT_RISK_FIRING, "SLATicketAtRisk"), (BREACHED_FIRING, "SLATicketBreached"))
            if clock.alerts & bit
        )
        assert firing == Counter(self.monitor.firing.keys())

    def teardown(self) -> None:
        """At the end it is as if every event had come once and in order, under the last register."""
        self.monitor.take(self.monitor.engine.finish())
        self.monitor.passes(END_MS)
        assert known(self.monitor) == in_order(self.register, dict(self.heard))


EngineInOperation.TestCase.settings = settings(QUICK, max_examples=60, stateful_step_count=20)
TestEngineInOperation = EngineInOperation.TestCase


def test_office_of_the_oracle_is_that_of_the_builders() -> None:
    """The oracle above knows the office by its own words; here they are compared once."""
    office = Calendar(CalendarSpec(id="o", timezone="Europe/Berlin", weekly=(OFFICE_HOURS,) * 5 + ((),) * 2))
    for minute in range(0, TICKET_DAYS * 1440, 7):
        assert office.is_open(_instant(minute)) == _is_office(minute)
    assert isinstance(register(target()).targets[0], Target)
