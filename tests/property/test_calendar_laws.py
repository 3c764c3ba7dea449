"""Laws of business time, and every answer beside those of an oracle that looks at every minute."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sla.calendar import EARLIEST_MS, LATEST_MS, Calendar, CalendarSpec, ElapsedCalendar, format_hours, parse_hours
from sla.contract import DeadlineAt, TimeBase, Within
from sla.duration import MAX_DURATION_MS, format_duration, parse_within
from sla.errors import CalendarError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, ms_of
from tests.property.minute_oracle import FIRST, LAST, MINUTES, Oracle, shown_in, start_of
from tests.property.strategies import HARD_WEEKS, calendar_specs, instants_ms

pytestmark = pytest.mark.property

MOMENTS = st.lists(st.integers(FIRST, LAST), min_size=2, max_size=12).map(sorted)


@pytest.mark.parametrize(("zone", "first_day"), HARD_WEEKS, ids=[f"{zone} {day}" for zone, day in HARD_WEEKS])
@settings(deadline=None, max_examples=25)
@given(st.data())
def test_every_answer_agrees_with_a_look_at_every_minute(zone: str, first_day: date, data: st.DataObject) -> None:
    spec, moments = data.draw(calendar_specs(zone, first_day)), data.draw(MOMENTS)
    oracle = Oracle(spec, shown_in(zone, first_day))
    calendar = Calendar(spec)
    start_ms = ms_of(start_of(first_day))
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
