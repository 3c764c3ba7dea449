"""Laws of counts, budgets and burn rates: exact sums in little memory, and no minute that is passed over wrongly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.burn_policy import load_burn_policy
from sla.budget import budget_at, closed_budget, expected_at, least_expected
from sla.burn_rate import NONE_FIRING, judge
from sla.burn_watch import Terms, judge_minutes
from sla.contract import Period, Window
from sla.minute_counts import MinuteColumn, MinuteRing, SlidingSums
from sla.units import DAY_MS, MINUTE_MS, NEVER, parse_instant
from sla.window import Span

pytestmark = pytest.mark.property

POLICY = load_burn_policy()
START_MS = parse_instant("2026-10-23T21:17:00Z")
"""A day before clocks change in Berlin, a week before the month ends, in the middle of an hour."""

MINUTES = st.integers(0, 4 * 1440)
COUNTS = st.one_of(st.integers(-3, 3), st.integers(0, 2**40))
WINDOWS = st.sampled_from(
    [
        Window(rolling_ms=3 * DAY_MS, period=None),
        Window(rolling_ms=30 * DAY_MS, period=None),
        Window(rolling_ms=DAY_MS // 2, period=None),
        Window(rolling_ms=None, period=Period.WEEK, timezone="Europe/Berlin"),
        Window(rolling_ms=None, period=Period.MONTH, timezone="Europe/Berlin"),
    ]
)
SHARES = st.sampled_from([Fraction(share) for share in ("0.999", "0.99", "0.95", "0.9", "0.8", "0.5", "1")])


def instant(minute: int) -> int:
    return START_MS + minute * MINUTE_MS


def recount(told: dict[int, tuple[int, int]], start: int, end: int) -> tuple[int, int, int]:
    found = [counts for minute, counts in told.items() if start <= minute < end]
    return sum(good for good, _ in found), sum(bad for _, bad in found), len(found)


class Kept:
    """A ring and the rows it has told of."""

    def __init__(self) -> None:
        self.ring = MinuteRing()
        self.rows: dict[tuple[bool, int], bytes] = {}

    def write(self) -> None:
        for is_day, number, piece in self.ring.changes():
            self.rows[is_day, number] = piece

    def seal(self, day: int) -> None:
        self.write()
        sealed = self.ring.seal(day)
        if sealed is not None:
            piece, hours = sealed
            self.rows[True, day] = piece
            for hour in hours:
                del self.rows[False, hour]

    def restart(self) -> None:
        self.write()
        self.ring = MinuteRing()
        for (is_day, number), piece in self.rows.items():
            (self.ring.load_day if is_day else self.ring.load_hour)(number, piece)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("put"), MINUTES, st.tuples(COUNTS, COUNTS)),
            st.tuples(st.just("run"), MINUTES, st.tuples(st.integers(0, 9), st.integers(0, 1))),
            st.tuples(st.just("seal"), st.integers(0, 4), st.none()),
            st.tuples(st.just("restart"), st.just(0), st.none()),
            st.tuples(st.just("write"), st.just(0), st.none()),
        ),
        max_size=25,
    ),
    spans=st.lists(st.tuples(MINUTES, MINUTES), min_size=1, max_size=5),
)
def test_a_ring_forgets_nothing_whatever_is_written_sealed_and_restored(
    steps: list[tuple[str, int, tuple[int, int] | None]], spans: list[tuple[int, int]]
) -> None:
    kept, told = Kept(), dict[int, tuple[int, int]]()
    first_day = START_MS // DAY_MS
    for step, number, counts in steps:
        match step, counts:
            case "put", (good, bad):
                kept.ring.put(instant(number), good, bad)
                told[number] = (good, bad)
            case "run", (good, bad):
                for minute in range(number, number + 90):
                    varying = (good * (minute % 3), bad)
                    kept.ring.put(instant(minute), *varying)
                    told[minute] = varying
            case "seal", _:
                kept.seal(first_day + number)
            case "restart", _:
                kept.restart()
            case _:
                kept.write()
        for start, end in spans:
            assert kept.ring.sums(instant(start), instant(end)) == recount(told, start, end)
    assert list(kept.ring.minutes(0, NEVER)) == [(instant(minute), *told[minute]) for minute in sorted(told)]
    assert kept.ring.everything == recount(told, 0, 10_000)
    assert kept.ring.bad_total == sum(bad for _, bad in told.values())
    assert kept.ring.oldest_ms == (instant(min(told)) if told else None)
    column = MinuteColumn(kept.ring.minutes(0, NEVER))
    for start, end in spans:
        assert column.sums(instant(start), instant(max(start, end))) == recount(told, start, max(start, end))


@given(told=st.dictionaries(MINUTES, st.tuples(COUNTS, COUNTS), max_size=20), at=st.integers(0, 6))
def test_what_is_dropped_is_whole_days_and_the_rest_stays(told: dict[int, tuple[int, int]], at: int) -> None:
    kept = Kept()
    for minute, counts in told.items():
        kept.ring.put(instant(minute), *counts)
    kept.write()
    day = START_MS // DAY_MS + at
    kept.seal(day - 1)
    hours, days = kept.ring.drop_before(day * DAY_MS + 5 * MINUTE_MS)
    for hour in hours:
        del kept.rows[False, hour]
    for number in days:
        del kept.rows[True, number]
    left = {minute: counts for minute, counts in told.items() if instant(minute) >= day * DAY_MS}
    assert kept.ring.everything == recount(left, 0, 10_000)
    kept.restart()
    assert kept.ring.everything == recount(left, 0, 10_000)


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1), MINUTES, st.tuples(st.integers(0, 5), st.integers(0, 5)), st.integers(0, 90)),
        min_size=1,
        max_size=30,
    ),
    lengths=st.lists(st.sampled_from([5, 60, 1440]), min_size=1, max_size=3),
)
def test_windows_that_slide_are_those_added_up_anew(
    steps: list[tuple[int, int, tuple[int, int], int]], lengths: list[int]
) -> None:
    rings = [MinuteRing(), MinuteRing()]
    sliding = SlidingSums(rings)
    now = 1440
    for which, minute, (good, bad), later in steps:
        before = rings[which].get(instant(minute))
        former = before or (0, 0)
        rings[which].put(instant(minute), good, bad)
        sliding.moved(instant(minute), good - former[0], bad - former[1], before is None)
        now += later
        for start in [*(now - length for length in lengths), 0]:
            added = [ring.sums(instant(start), instant(now)) for ring in rings]
            assert sliding.sums(instant(start), instant(now)) == tuple(map(sum, zip(*added, strict=True)))


TRAFFIC = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 60), st.sampled_from([0, 0, 0, 1, 3, 20, 60])),
    min_size=1,
    max_size=12,
)
"""Stretches of traffic: minutes, events a minute, bad ones at most."""


def column_of(traffic: list[tuple[int, int, int]]) -> tuple[MinuteColumn, int]:
    told, minute = [], 0
    for length, events, bad in traffic:
        for _ in range(length):
            told.append((instant(minute), events - min(bad, events), min(bad, events)))
            minute += 1
    return MinuteColumn(told), minute


@settings(max_examples=60)
@given(traffic=TRAFFIC, window=WINDOWS, attain=SHARES, cut=st.floats(0, 1))
def test_passing_over_healthy_hours_changes_nothing(
    traffic: list[tuple[int, int, int]], window: Window, attain: Fraction, cut: float
) -> None:
    counts, length = column_of(traffic)

    def naive() -> list[tuple[int, frozenset[str]]]:
        firing, found = NONE_FIRING, []
        for minute in range(1, length + 1):
            expected = expected_at(window, counts, instant(minute), START_MS)
            after = judge(POLICY, attain, expected, counts, instant(minute), firing)
            if after != firing:
                firing = after
                found.append((instant(minute), firing))
        return found

    terms = Terms(attain, window, 0, NEVER)
    middle = instant(round(cut * length))
    found = [
        (change.at_ms, change.firing) for change in judge_minutes(POLICY, terms, counts, START_MS, middle, START_MS)
    ]
    firing = found[-1][1] if found else NONE_FIRING
    rest = judge_minutes(POLICY, terms, counts, middle, instant(length), START_MS, firing)
    assert [*found, *((change.at_ms, change.firing) for change in rest)] == naive()


@settings(max_examples=60)
@given(traffic=TRAFFIC, window=WINDOWS, data=st.data())
def test_the_least_expected_is_never_more_than_what_is_expected(
    traffic: list[tuple[int, int, int]], window: Window, data: st.DataObject
) -> None:
    counts, length = column_of(traffic)
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, min(length, first + 60)))
    numerator, denominator = least_expected(window, counts, instant(first), instant(last), START_MS)
    for minute in range(first + 1, last + 1):
        expected = expected_at(window, counts, instant(minute), START_MS)
        assert Fraction(numerator, denominator) <= Fraction(expected.numerator, expected.denominator)


@settings(max_examples=60)
@given(traffic=TRAFFIC, window=WINDOWS, attain=SHARES, part=st.floats(0, 1))
def test_what_is_spent_and_what_is_left_are_the_budget(
    traffic: list[tuple[int, int, int]], window: Window, attain: Fraction, part: float
) -> None:
    counts, length = column_of(traffic)
    budget = budget_at(attain, window, counts, instant(round(part * length)), START_MS)
    assert budget.expected_events >= budget.events
    assert budget.remaining_events == budget.allowed_events - budget.bad
    spent, remaining = budget.spent_ratio, budget.remaining_ratio
    assert (spent is None) == (budget.allowed_events == 0)
    if spent is not None and remaining is not None and budget.spent_minutes is not None:
        assert spent + remaining == 1
        assert budget.remaining_minutes == budget.allowed_minutes - budget.spent_minutes
        assert (remaining < 0) == budget.is_overspent
    closed = closed_budget(attain, Span(START_MS, instant(length)), counts)
    assert closed.is_overspent == (closed.attained_ratio is not None and closed.attained_ratio < attain)
