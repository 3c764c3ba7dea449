from __future__ import annotations

import pytest

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs, Recurrence, check_rule
from sla.errors import UnitError
from sla.units import DAY_MS, HOUR_MS, format_instant, parse_instant

YEAR_MS = 366 * DAY_MS


def maintenance(start: str, hours: float = 1, rule: str | None = None, zone: str = "Europe/Berlin") -> Adjustment:
    start_ms = parse_instant(start)
    return Adjustment(
        "CHG-1",
        AdjustmentKind.MAINTENANCE,
        "portal",
        start_ms,
        start_ms + round(hours * HOUR_MS),
        CountsAs.EXCLUDED,
        start_ms,
        "ops",
        "patches",
        recurrence=None if rule is None else Recurrence(rule, zone),
    )


def times(of: Adjustment, start: str, end: str) -> list[str]:
    return [format_instant(start_ms)[:16] for start_ms, _ in of.intervals(parse_instant(start), parse_instant(end))]


def test_a_recurring_adjustment_follows_local_time_when_clocks_change() -> None:
    weekly = maintenance("2026-03-22T02:30:00+01:00", rule="FREQ=WEEKLY;BYDAY=SU")
    # 29 March: 02:30 does not exist; it is the first instant after the gap, 03:00 = 01:00Z.
    assert times(weekly, "2026-03-20T00:00:00Z", "2026-04-06T00:00:00Z") == [
        "2026-03-22T01:30",
        "2026-03-29T01:00",
        "2026-04-05T00:30",
    ]


def test_the_first_time_is_the_start_also_where_the_rule_does_not_name_it() -> None:
    first_sundays = maintenance("2026-03-03T02:00:00+01:00", rule="FREQ=MONTHLY;BYDAY=1SU")
    assert times(first_sundays, "2026-03-01T00:00:00Z", "2026-05-10T00:00:00Z") == [
        "2026-03-03T01:00",
        "2026-04-05T00:00",
        "2026-05-03T00:00",
    ]


def test_a_rule_with_a_count_ends() -> None:
    twice = maintenance("2026-03-01T02:00:00Z", rule="FREQ=DAILY;COUNT=2", zone="UTC")
    assert times(twice, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z") == ["2026-03-01T02:00", "2026-03-02T02:00"]


def test_an_occurrence_that_has_begun_before_is_found() -> None:
    nightly = maintenance("2026-03-01T22:00:00Z", 8, "FREQ=DAILY", "UTC")
    assert times(nightly, "2026-03-10T05:00:00Z", "2026-03-10T06:00:00Z") == ["2026-03-09T22:00"]
    assert times(nightly, "2026-03-10T06:00:00Z", "2026-03-10T22:00:00Z") == []


def test_a_one_off_is_found_where_it_touches_and_a_revoked_one_never() -> None:
    import msgspec

    once = maintenance("2026-03-01T22:00:00Z", 2)
    assert times(once, "2026-03-01T23:59:00Z", "2026-03-03T00:00:00Z") == ["2026-03-01T22:00"]
    assert times(once, "2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z") == []
    revoked = msgspec.structs.replace(once, revoked=True)
    assert times(revoked, "2026-03-01T00:00:00Z", "2026-03-03T00:00:00Z") == []


def test_a_rule_that_nothing_fits_ends_too() -> None:
    never = maintenance("2026-03-01T22:00:00Z", rule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    assert times(never, "2026-03-02T00:00:00Z", "2027-03-01T00:00:00Z") == []


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("every sunday", "is no rule"),
        ("FREQ=MINUTELY", "more often than every hour"),
        ("DTSTART:20260101T000000\nFREQ=DAILY", "the first interval is the start"),
        ("BYDAY=SU", "is no rule"),
        ("", "is no rule"),
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(rule: str, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        check_rule(rule)
