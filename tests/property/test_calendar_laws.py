"""Laws of business time, and a slow oracle that looks at every minute."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sla.calendar import EARLIEST_MS, LATEST_MS, Calendar, CalendarSpec, ElapsedCalendar, format_hours, parse_hours
from sla.contract import DeadlineAt, TimeBase, Within
from sla.duration import MAX_DURATION_MS, format_duration, parse_within
from sla.errors import CalendarError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, ms_of
from tests.property.strategies import HARD_WEEKS, calendar_specs, instants_ms

pytestmark = pytest.mark.property

DAYS = 9
MINUTES = DAYS * 1440
# Nothing is asked about the outer days: the oracle can't know windows that begin before its first minute.
FIRST, LAST = 1440 + 1, MINUTES - 1440 - 1


def _start(first_day: date) -> datetime:
    return datetime.combine(first_day - timedelta(days=1), time(), UTC)


class Shown:
    """What the zone's clocks show at every UTC minute from the day before ``first_day``."""

    def __init__(self, zone: str, first_day: date) -> None:
        tz, start = ZoneInfo(zone), _start(first_day)
        instants = [start + timedelta(minutes=n) for n in range(MINUTES)]
        self.local = [instant.astimezone(tz).replace(tzinfo=None, fold=0) for instant in instants]
        self.first: dict[datetime, int] = {}
        self.last: dict[datetime, int] = {}
        self.of_date: dict[date, list[int]] = defaultdict(list)
        for n, local in enumerate(self.local):
            self.first.setdefault(local, n)
            self.last[local] = n
            self.of_date[local.date()].append(n)
        first, last = min(self.of_date), max(self.of_date)
        self.dates = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        """Skipped dates included."""

    def first_after(self, local: datetime) -> int:
        return next((n for n, shown in enumerate(self.local) if shown > local), MINUTES)


_shown = cache(Shown)


@dataclass
class Oracle:
    """Business time by looking at every minute of a week, with what clocks show as its only knowledge of zones.

    The rules, said anew in terms of what clocks show:

    - a window of a civil date opens when clocks first show its opening (or, if they never do, when they first show
      something later) and closes when they last show its closing (or, if never, at that same first moment);
    - a window up to 24:00 closes after the last minute that shows its date;
    - hours after midnight belong to the next civil date;
    - no minute that shows a holiday's date is open.
    """

    spec: CalendarSpec
    shown: Shown

    def __post_init__(self) -> None:
        opened = bytearray(MINUTES)
        for day in self.shown.dates:
            for opens, closes in self._hours_on(day):
                for n in range(self._opening(day, opens), self._closing(day, closes)):
                    opened[n] = 1
        for day in filter(self._is_holiday, self.shown.dates):
            for n in self.shown.of_date.get(day, ()):
                opened[n] = 0
        self.opened = bytes(opened)
        self.worked = [0, *accumulate(opened)]
        """Minutes worked before each minute."""

    def _is_holiday(self, day: date) -> bool:
        return day in self.spec.closed_dates or (day.month, day.day) in self.spec.closed_yearly

    def _hours_on(self, day: date) -> list[tuple[int, int]]:
        if self._is_holiday(day):
            return []
        own = [(opens, min(closes, 1440)) for opens, closes in self.spec.weekly[day.weekday()]]
        night = [(0, closes - 1440) for _, closes in self.spec.weekly[day.weekday() - 1] if closes > 1440]
        return own + night

    def _opening(self, day: date, minute: int) -> int:
        local = datetime.combine(day, time()) + timedelta(minutes=minute)
        return self.shown.first[local] if local in self.shown.first else self.shown.first_after(local)

    def _closing(self, day: date, minute: int) -> int:
        if minute == 1440:
            return max(self.shown.of_date.get(day, ()), default=-1) + 1
        local = datetime.combine(day, time()) + timedelta(minutes=minute)
        return self.shown.last[local] if local in self.shown.last else self.shown.first_after(local)

    def used_up(self, start: int, minutes: int) -> int:
        """Return the first minute by which so many minutes have been worked."""
        return next(n for n in range(start, MINUTES) if self.worked[n] - self.worked[start] == minutes)

    def next_open(self, start: int) -> int | None:
        """Return the first open minute from ``start``, if there is one in the inner days."""
        return next((n for n in range(start, LAST) if self.opened[n]), None)


MOMENTS = st.lists(st.integers(FIRST, LAST), min_size=2, max_size=12).map(sorted)


@pytest.mark.parametrize(("zone", "first_day"), HARD_WEEKS, ids=[f"{zone} {day}" for zone, day in HARD_WEEKS])
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_every_answer_agrees_with_a_look_at_every_minute(zone: str, first_day: date, data: st.DataObject) -> None:
    spec, moments = data.draw(calendar_specs(zone, first_day)), data.draw(MOMENTS)
    oracle = Oracle(spec, _shown(zone, first_day))
    calendar = Calendar(spec)
    start_ms = ms_of(_start(first_day))
    for a, b in ((FIRST, LAST), *pairwise(moments)):
        shown = bytearray(MINUTES)
        for open_ms, close_ms in calendar.windows_between(start_ms + a * MINUTE_MS, start_ms + b * MINUTE_MS):
            for n in range((open_ms - start_ms) // MINUTE_MS, (close_ms - start_ms) // MINUTE_MS):
                shown[n] = 1
        assert shown[a:b] == oracle.opened[a:b]
        assert not any(shown[:a]), "clipped at the start"
        assert not any(shown[b:]), "clipped at the end"

        a_ms, b_ms = start_ms + a * MINUTE_MS, start_ms + b * MINUTE_MS
        worked = oracle.worked[b] - oracle.worked[a]
        assert calendar.worked_between(a_ms, b_ms) == worked * MINUTE_MS
        assert calendar.is_open(a_ms) == bool(oracle.opened[a])
        assert calendar.is_open(a_ms - 1) == bool(oracle.opened[a - 1])

        opening = oracle.next_open(a)
        if opening is None:
            assert calendar.next_open(a_ms) >= start_ms + LAST * MINUTE_MS
        else:
            assert calendar.next_open(a_ms) == calendar.deadline(a_ms, 0) == start_ms + opening * MINUTE_MS
        if worked:
            used_up = oracle.used_up(a, worked)
            assert calendar.deadline(a_ms, worked * MINUTE_MS) == start_ms + used_up * MINUTE_MS
            reopening = oracle.next_open(used_up)
            if reopening is not None:
                due_ms = calendar.deadline(a_ms, worked * MINUTE_MS, DeadlineAt.NEXT_OPEN)
                assert due_ms == start_ms + reopening * MINUTE_MS


ANY_CALENDAR = st.sampled_from(HARD_WEEKS).flatmap(lambda week: calendar_specs(*week))
TARGETS_MS = st.integers(0, 400 * HOUR_MS) | st.sampled_from([1, MINUTE_MS, HOUR_MS, 8 * HOUR_MS, 40 * HOUR_MS])


@settings(deadline=None, max_examples=60)
@given(ANY_CALENDAR, instants_ms(), TARGETS_MS, st.sampled_from(DeadlineAt))
def test_the_deadline_is_where_the_target_is_worked(
    spec: CalendarSpec, start_ms: int, target_ms: int, at: DeadlineAt
) -> None:
    """``worked_between(start, deadline(start, x)) == x``, whichever of the two instants is shown."""
    calendar = Calendar(spec)
    deadline_ms = calendar.deadline(start_ms, target_ms, at)
    assert deadline_ms >= start_ms
    assert calendar.worked_between(start_ms, deadline_ms) == target_ms
    if at is DeadlineAt.NEXT_OPEN or target_ms == 0:
        assert calendar.is_open(deadline_ms)
    else:
        assert calendar.is_open(deadline_ms - 1), "the earliest such instant"
        assert calendar.worked_between(start_ms, deadline_ms - 1) == target_ms - 1


@settings(deadline=None, max_examples=30)
@given(ANY_CALENDAR, st.lists(instants_ms(), min_size=3, max_size=3).map(sorted))
def test_worked_time_is_additive_monotone_and_within_elapsed_time(spec: CalendarSpec, instants: list[int]) -> None:
    """``W(a, c) == W(a, b) + W(b, c)``; ``0 <= W(a, b) <= b - a``; ``W(b, a) == -W(a, b)``."""
    calendar = Calendar(spec)
    a_ms, b_ms, c_ms = instants
    ab_ms, bc_ms = calendar.worked_between(a_ms, b_ms), calendar.worked_between(b_ms, c_ms)
    assert ab_ms + bc_ms == calendar.worked_between(a_ms, c_ms)
    assert 0 <= ab_ms <= b_ms - a_ms
    assert calendar.worked_between(b_ms, a_ms) == -ab_ms


@settings(deadline=None, max_examples=60)
@given(ANY_CALENDAR, instants_ms(), st.lists(TARGETS_MS, min_size=2, max_size=2).map(sorted), TARGETS_MS)
def test_deadlines_keep_the_order_of_targets_and_of_starts(
    spec: CalendarSpec, start_ms: int, targets_ms: list[int], later_ms: int
) -> None:
    """A longer target is due later; a later start is never due earlier."""
    calendar = Calendar(spec)
    shorter_ms, longer_ms = targets_ms
    assert calendar.deadline(start_ms, shorter_ms) <= calendar.deadline(start_ms, longer_ms)
    assert calendar.deadline(start_ms, longer_ms) <= calendar.deadline(start_ms + later_ms, longer_ms)


@settings(deadline=None, max_examples=60)
@given(ANY_CALENDAR, instants_ms(), st.lists(TARGETS_MS, max_size=5))
def test_pauses_split_a_target_without_losing_time(spec: CalendarSpec, start_ms: int, portions_ms: list[int]) -> None:
    """Working a target in portions ends where working it at once ends."""
    calendar = Calendar(spec)
    assume(sum(portions_ms) > 0)
    instant_ms = start_ms
    for portion_ms in portions_ms:
        if portion_ms:
            instant_ms = calendar.deadline(instant_ms, portion_ms)
    assert instant_ms == calendar.deadline(start_ms, sum(portions_ms))


@settings(deadline=None, max_examples=15)
@given(ANY_CALENDAR, st.lists(st.tuples(instants_ms(), instants_ms(), TARGETS_MS), min_size=1, max_size=4))
def test_answers_do_not_depend_on_what_was_asked_before(
    spec: CalendarSpec, questions: list[tuple[int, int, int]]
) -> None:
    """Years are compiled when needed, in both directions: that must never show, and the origin of W must not move."""

    def answers(calendar: Calendar, question: tuple[int, int, int]) -> tuple[object, ...]:
        a_ms, b_ms, target_ms = question
        near_ms = a_ms + 40 * DAY_MS
        return (
            calendar.worked_between(a_ms, b_ms),
            calendar.deadline(a_ms, target_ms),
            calendar.next_open(b_ms),
            calendar.is_open(a_ms),
            list(calendar.windows_between(a_ms, near_ms)),
        )

    used = Calendar(spec)
    origin_ms = [(a_ms, used.worked_before(a_ms)) for a_ms, _, _ in questions[:1]]
    for question in questions:
        assert answers(used, question) == answers(Calendar(spec), question)
    for a_ms, worked_ms in origin_ms:
        assert used.worked_before(a_ms) == worked_ms


@settings(deadline=None, max_examples=60)
@given(ANY_CALENDAR, instants_ms(), st.integers(0, 60 * DAY_MS))
def test_windows_add_up_to_the_time_worked(spec: CalendarSpec, from_ms: int, length_ms: int) -> None:
    calendar = Calendar(spec)
    windows = list(calendar.windows_between(from_ms, from_ms + length_ms))
    assert sum(close_ms - open_ms for open_ms, close_ms in windows) == calendar.worked_between(
        from_ms, from_ms + length_ms
    )
    bounds = [bound for window in windows for bound in window]
    assert bounds == sorted(set(bounds)), "ascending, none empty, none touching"


@settings(deadline=None, max_examples=20)
@given(st.sampled_from([zone for zone, _ in HARD_WEEKS]), instants_ms(), instants_ms())
def test_open_all_day_every_day_is_elapsed_time_in_every_zone(zone: str, a_ms: int, b_ms: int) -> None:
    calendar, elapsed = Calendar(CalendarSpec("always", zone, (((0, 1440),),) * 7)), ElapsedCalendar()
    assert calendar.worked_between(a_ms, b_ms) == elapsed.worked_between(a_ms, b_ms) == b_ms - a_ms
    assert calendar.deadline(a_ms, 7) == elapsed.deadline(a_ms, 7) == a_ms + 7
    assert list(calendar.windows_between(a_ms, b_ms)) == list(elapsed.windows_between(a_ms, b_ms))


@given(st.integers().filter(lambda ms: not EARLIEST_MS <= ms < LATEST_MS))
def test_an_instant_out_of_range_is_refused_at_once(instant_ms: int) -> None:
    calendar = Calendar(CalendarSpec("office", "Europe/Berlin", (((480, 1020),),) * 5 + ((),) * 2))
    for ask in (calendar.worked_before, calendar.is_open, calendar.next_open, lambda ms: calendar.deadline(ms, 1)):
        with pytest.raises(CalendarError, match="outside what calendars cover"):
            ask(instant_ms)


@given(st.integers(0, 1439), st.integers(1, 1439))
def test_hours_are_read_as_they_are_written(opens: int, length: int) -> None:
    assert parse_hours(format_hours(opens, opens + length)) == (opens, opens + length)


@given(st.integers(0, MAX_DURATION_MS) | st.integers(0, 10**6), st.sampled_from(TimeBase))
def test_durations_are_read_as_they_are_written(duration_ms: int, base: TimeBase) -> None:
    business = base is TimeBase.BUSINESS
    assert parse_within(format_duration(duration_ms, business)) == Within(duration_ms, base)
    if duration_ms:
        assert format_duration(-duration_ms, business) == "-" + format_duration(duration_ms, business)
