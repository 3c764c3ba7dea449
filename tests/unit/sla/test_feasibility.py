"""Can the agreements below an SLA hold it up: worked examples with calendars that differ."""

from __future__ import annotations

import pytest

from sla.calendar import Calendar, CalendarSpec, WorkCalendar, parse_hours
from sla.contract import Contract, ContractType, Level, Target
from sla.feasibility import Trial, Underpinning, can_meet, in_series, stands_while, start_grid, supporting
from sla.units import HOUR_MS
from tests.support.domain import OFFICE, any_of, at, condition, register, target

ALWAYS = Calendar(CalendarSpec(id="always", timezone="UTC", weekly=((parse_hours("00:00-24:00"),),) * 7))
MORNINGS = Calendar(
    CalendarSpec(id="mornings", timezone="Europe/Berlin", weekly=((parse_hours("09:00-13:00"),),) * 5 + ((),) * 2)
)
CALENDARS: dict[str, WorkCalendar] = {"office": OFFICE, "always": ALWAYS, "mornings": MORNINGS}
WEEK = start_grid(at("mon 00:00"), at("mon 00:00 +1w"))


def supplier(within: str, **terms: object) -> Target:
    given = {"contract": "vendor", "contract_type": ContractType.UC, "calendar": "office", **terms}
    return target("vendor-resolution", within=within, **given)  # type: ignore[arg-type]


def tried(sla: Target, *chain: Target, starts: range | list[int] = WEEK) -> Underpinning:
    of = register(sla, *chain, calendars=CALENDARS)

    def term(each: Target) -> tuple[Target, WorkCalendar]:
        return each, of.calendar_of(each)

    return Trial(starts, OFFICE).underpin(term(sla), [term(link) for link in chain])


def test_the_same_hours_and_less_time_hold_at_every_start() -> None:
    told = tried(target(within="8bh"), supplier("6bh"))
    assert told.holds
    assert told.starts == 7 * 24 * 4
    assert told.worst is not None
    assert told.worst.late_ms == -2 * HOUR_MS
    assert told.worst_counted_ms == 6 * HOUR_MS


def test_exactly_as_much_time_holds() -> None:
    assert tried(target(within="8bh"), supplier("8bh")).holds


def test_office_hours_can_not_hold_up_elapsed_time() -> None:
    """4 h around the clock, supplier with 2 business hours: from 15:00 on Friday its work ends on Monday at 9 or later."""
    told = tried(target(within="4h", calendar="always"), supplier("2bh"))
    assert not told.holds
    assert told.worst is not None
    # From Friday 15:15 on: the rest of the two hours is worked on Monday from 09:00. The worst start is the first.
    assert told.worst.start_ms == at("fri 15:15")
    assert told.worst.due_ms == at("fri 19:15")
    assert told.worst.done_ms == at("mon 09:15 +1w")
    assert told.worst_counted_ms == 66 * HOUR_MS
    friday = told.by_weekday[4]
    # In time: from 07:00 (11:00 is 2 h after opening) to 15:00 inclusive, every quarter of an hour.
    assert friday == (96, 96 - 33)
    assert told.by_weekday[5] == told.by_weekday[6] == (96, 96)
    assert told.failing == sum(failing for _, failing in told.by_weekday)


def test_starts_are_weighted_as_they_are_given() -> None:
    told = tried(
        target(within="4h", calendar="always"), supplier("2bh"), starts=[at("mon 10:00")] * 3 + [at("sat 10:00")]
    )
    assert (told.starts, told.failing, told.failing_share) == (4, 1, 0.25)


def test_links_follow_each_other() -> None:
    team = target("team-resolution", within="4bh", contract="team", contract_type=ContractType.OLA)
    assert tried(target(within="8bh"), team).holds
    assert tried(target(within="8bh"), supplier("4bh")).holds
    assert tried(target(within="8bh"), team, supplier("4bh")).holds
    told = tried(target(within="8bh"), team, supplier("5bh"))
    assert told.failing == told.starts
    assert told.worst_counted_ms == 9 * HOUR_MS


def test_other_hours_take_more_of_the_time_that_the_sla_counts() -> None:
    told = tried(target(within="8bh"), supplier("4bh", calendar="mornings"), starts=[at("mon 13:00")])
    assert told.worst is not None
    assert (told.worst.due_ms, told.worst.done_ms) == (at("tue 13:00"), at("tue 13:00"))
    assert told.worst_counted_ms == 8 * HOUR_MS


def test_a_clock_that_stands_meanwhile_is_not_endangered() -> None:
    waits = target(within="1bh", pause=condition(waiting_for=["customer", "vendor"]))
    while_waiting = supplier("40bh", start=condition("updated", waiting_for="vendor"))
    assert tried(waits, while_waiting) == Underpinning(waits, (while_waiting,), stands=True)
    assert tried(waits, while_waiting).holds
    assert not stands_while(target(within="1bh"), while_waiting), "only the customer's wait is not counted"
    assert not stands_while(
        waits, supplier("40bh", start=any_of(condition(waiting_for="vendor"), condition("created")))
    )
    assert not stands_while(target(within="1bh", pause=None), while_waiting)


def test_only_targets_that_can_meet_on_a_ticket_are_held_against_each_other() -> None:
    urgent = target(applies_to={"priority": ["P1", "P2"], "region": "berlin"})
    assert can_meet(urgent, target(applies_to={"priority": ["P2", "P3"], "team": "x"}))
    assert not can_meet(urgent, target(applies_to={"priority": "P3"}))
    assert can_meet(urgent, target())


def contract(*targets: Target) -> Contract:
    return Contract("vendor", ContractType.UC, Level.CORPORATE, "vendor", "owner", targets, ("desk",))


METRICS = frozenset({"response", "resolution"})


def test_a_metric_of_the_same_name_underpins() -> None:
    of = contract(supplier("4bh"), target("vendor-response", within="1bh", metric="response", contract="vendor"))
    assert [each.id for each in supporting(target(), METRICS, of, at("mon 09:00"))] == ["vendor-resolution"]


def test_a_hold_time_underpins_what_ends_with_the_work_and_no_answer() -> None:
    of = contract(supplier("4bh", metric="hold-time"))
    response = target("response", metric="response", stop=condition("responded", "resolved"))
    assert supporting(response, METRICS, of, at("mon 09:00")) == []
    assert [each.id for each in supporting(target(), METRICS, of, at("mon 09:00"))] == ["vendor-resolution"]


def test_the_revision_in_force_counts_or_the_newest() -> None:
    of = contract(supplier("4bh", until="tue 00:00"), supplier("2bh", revision=2, since="tue 00:00", until="thu 00:00"))
    for when, revision in (("mon 09:00", 1), ("wed 09:00", 2), ("fri 09:00", 2)):
        assert [each.revision for each in supporting(target(), METRICS, of, at(when))] == [revision]


def test_the_series_takes_the_worst_of_each_contract_teams_first() -> None:
    sla = target(within="8bh")
    team = {"contract": "team", "contract_type": ContractType.OLA}
    quick, slow = target("quick", within="1bh", **team), target("slow", within="3bh", **team)
    alone = [tried(sla, link) for link in (supplier("2bh"), quick, slow)]
    assert [link.id for link in in_series(alone)] == ["slow", "vendor-resolution"]
    assert in_series(alone[:1]) == ()


@pytest.mark.parametrize("within", ["2bd", "1bd eod"])
def test_business_days_are_held_against_too(within: str) -> None:
    told = tried(target(within="8bh"), supplier(within), starts=[at("fri 16:00")])
    assert told.worst is not None
    assert told.worst.done_ms == {"2bd": at("tue 16:00 +1w"), "1bd eod": at("mon 17:00 +1w")}[within]
