"""Calendars with revisions: old windows before the effective instant, new ones from it on. Berlin, March 2026."""

from __future__ import annotations

from datetime import date

import pytest

from sla.calendar import Calendar, CalendarSpec
from sla.calendar_spec import NO_HOURS, Combination
from sla.contract import BusinessDays, DeadlineAt
from sla.due_dates import days_deadline
from sla.errors import CalendarError
from sla.units import HOUR_MS
from tests.support.domain import Monitor as Desk
from tests.support.domain import at, event, register, target


def spec(*hours: tuple[int, int], zone: str = "Europe/Berlin", closed: tuple[str, ...] = ()) -> CalendarSpec:
    weekly = (tuple((opens * 60, closes * 60) for opens, closes in hours),) * 5 + ((),) * 2
    return CalendarSpec("office", zone, weekly, closed_dates=frozenset(map(date.fromisoformat, closed)))


def revised(*parts: CalendarSpec, since: tuple[str, ...]) -> Calendar:
    instants = tuple(map(at, since))
    return Calendar(
        CalendarSpec(
            "office", "Europe/Berlin", NO_HOURS, combination=Combination.SUCCESSION, parts=parts, since=instants
        )
    )


NINE_TO_FIVE, NINE_TO_SEVEN = spec((9, 17)), spec((9, 19))
LONGER = revised(NINE_TO_FIVE, NINE_TO_SEVEN, since=("wed 00:00",))


def test_each_revision_counts_while_it_is_in_force() -> None:
    assert LONGER.worked_between(at("mon 00:00"), at("wed 00:00")) == 16 * HOUR_MS
    assert LONGER.worked_between(at("wed 00:00"), at("fri 00:00")) == 20 * HOUR_MS
    assert LONGER.deadline(at("tue 09:00"), 18 * HOUR_MS) == at("wed 19:00")
    assert LONGER.deadline(at("tue 09:00"), 8 * HOUR_MS, DeadlineAt.NEXT_OPEN) == at("wed 09:00")
    assert not LONGER.is_open(at("tue 18:00"))
    assert LONGER.is_open(at("wed 18:00"))


def test_revision_that_takes_effect_within_hours_cuts_the_window_there() -> None:
    shorter = revised(NINE_TO_SEVEN, spec((10, 12)), since=("wed 11:00",))
    assert list(shorter.windows_between(at("wed 00:00"), at("thu 00:00"))) == [(at("wed 09:00"), at("wed 12:00"))]
    later = revised(NINE_TO_SEVEN, spec((14, 16)), since=("wed 11:00",))
    assert list(later.windows_between(at("wed 00:00"), at("thu 00:00"))) == [
        (at("wed 09:00"), at("wed 11:00")),
        (at("wed 14:00"), at("wed 16:00")),
    ]


def test_holiday_of_a_revision_does_not_close_the_day_before_it_takes_effect() -> None:
    both = ("2026-03-03", "2026-03-05")
    calendar = revised(NINE_TO_FIVE, spec((9, 17), closed=both), since=("wed 00:00",))
    assert calendar.is_open(at("tue 12:00"))
    assert not calendar.is_open(at("thu 12:00"))


def test_deadline_and_worked_time_stay_inverse_over_revisions() -> None:
    calendar = revised(NINE_TO_FIVE, spec((8, 12), (13, 18)), spec((22, 30)), since=("tue 12:00", "fri 00:00"))
    for start in ("mon 08:00", "tue 11:59", "tue 12:00", "wed 12:30", "thu 17:59", "sat 12:00"):
        for hours in range(0, 60, 7):
            due_ms = calendar.deadline(at(start), hours * HOUR_MS)
            assert calendar.worked_between(at(start), due_ms) == hours * HOUR_MS


def test_business_days_are_those_of_the_revision_in_force_and_of_its_time_zone() -> None:
    moved = revised(NINE_TO_FIVE, spec((9, 17), zone="Asia/Jakarta"), since=("wed 00:00",))
    assert moved.zone_at(at("tue 23:59")).name == "Europe/Berlin"
    assert moved.zone_at(at("wed 00:00")).name == "Asia/Jakarta"
    # 17:00 in Jakarta is 11:00 in Berlin.
    assert days_deadline(BusinessDays(2, end_of_day=True), moved, at("mon 10:00")) == at("wed 11:00")


def test_running_clock_is_stitched_over_a_revision_of_its_calendar() -> None:
    of = register(target(within="18bh"), calendars={"office": LONGER})
    desk = Desk(of)
    desk.hears("INC-1", event("created", "tue 09:00"))
    assert desk.ticket("INC-1").clocks[0].deadline_ms == at("wed 19:00"), "8 hours on Tuesday, 10 on Wednesday"


def test_new_revision_of_a_calendar_moves_open_deadlines_and_no_closed_cycle() -> None:
    desk = Desk(register(target(within="18bh"), calendars={"office": Calendar(NINE_TO_FIVE)}))
    desk.knows("closed", event("created", "mon 09:00"), event("resolved", "tue 12:00"), now="tue 13:00")
    desk.knows("open", event("created", "tue 09:00"), now="tue 13:00")
    before = desk.verdict("closed:resolution:1")
    assert desk.ticket("open").clocks[0].deadline_ms == at("thu 11:00")
    desk.is_governed_by(register(target(within="18bh"), calendars={"office": LONGER}), 2)
    desk.passes("tue 14:00")
    assert desk.ticket("open").clocks[0].deadline_ms == at("wed 19:00")
    assert desk.verdict("closed:resolution:1") == before


@pytest.mark.parametrize("since", [(), ("wed 00:00", "thu 00:00"), ("thu 00:00",) * 2])
def test_every_revision_but_the_first_has_its_instant(since: tuple[str, ...]) -> None:
    with pytest.raises(CalendarError, match="instants, ascending"):
        revised(NINE_TO_FIVE, NINE_TO_SEVEN, *([NINE_TO_FIVE] if len(set(since)) < len(since) else []), since=since)
