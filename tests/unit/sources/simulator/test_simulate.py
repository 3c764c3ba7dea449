"""The simulated service desk behaves like one and says that it is none."""

from collections import Counter
from itertools import pairwise

import pytest

from sla.units import DAY_MS, HOUR_MS, parse_instant
from sources.record import SourceEvent
from sources.simulator import TICKETS_PER_WORKDAY, simulate

MONDAY = parse_instant("2026-11-02T00:00:00Z")
SATURDAY = parse_instant("2026-11-07T00:00:00Z")


@pytest.fixture(scope="module")
def day() -> list[SourceEvent]:
    return list(simulate(7, MONDAY, DAY_MS))


def _by_ticket(events: list[SourceEvent]) -> dict[str, list[SourceEvent]]:
    tickets: dict[str, list[SourceEvent]] = {}
    for event in events:
        tickets.setdefault(event.ticket, []).append(event)
    return tickets


def test_the_same_seed_tells_the_same_day_and_another_one_another(day):
    assert list(simulate(7, MONDAY, DAY_MS)) == day
    assert list(simulate(8, MONDAY, DAY_MS)) != day


def test_a_shorter_run_is_the_beginning_of_a_longer_one(day):
    half = list(simulate(7, MONDAY, DAY_MS // 2))

    assert half == [event for event in day if event.at_ms < MONDAY + DAY_MS // 2]


def test_events_come_in_the_global_order_and_ids_are_unique(day):
    assert all(before.order < after.order for before, after in pairwise(day))
    assert len({event.id for event in day}) == len(day)


def test_everything_says_that_it_is_synthetic(day):
    assert all(event.ticket.startswith("SIM-") for event in day)
    created = [event for event in day if event.event == "created"]
    assert len(created) == len(_by_ticket(day))
    assert all(event.fields["synthetic"] is True for event in created)


def test_each_ticket_is_told_from_its_creation_in_sequence(day):
    for events in _by_ticket(day).values():
        assert events[0].event == "created"
        assert [event.sequence for event in events] == list(range(len(events)))


def test_tickets_open_at_the_start_bring_their_history_and_no_others_do(day):
    old = [events for events in _by_ticket(day).values() if events[0].at_ms < MONDAY]

    assert len(old) > 20
    for events in old:
        assert all(event.event not in {"resolved", "cancelled"} for event in events if event.at_ms < MONDAY)


def test_a_monday_has_about_as_many_tickets_as_asked_for():
    created = [
        event
        for event in simulate(3, MONDAY, DAY_MS, rate_scale=10)
        if event.event == "created" and event.at_ms >= MONDAY and "caused_by" not in event.fields
    ]

    assert 0.95 < len(created) / (1.15 * 10 * TICKETS_PER_WORKDAY) < 1.2  # outages add some


def test_nights_and_weekends_are_quiet(day):
    by_hour = Counter((event.at_ms - MONDAY) // HOUR_MS for event in day if event.event == "created")
    saturday = [
        event for event in simulate(7, SATURDAY, DAY_MS) if event.event == "created" and event.at_ms >= SATURDAY
    ]

    assert sum(by_hour[hour] for hour in (18, 19, 20, 21)) < sum(by_hour[hour] for hour in (7, 8, 9, 10)) / 8
    assert len(saturday) < 0.25 * sum(by_hour.values())


@pytest.mark.parametrize("seed", range(4))
def test_a_working_day_has_an_outage_whose_reports_name_it(seed):
    tickets = _by_ticket(list(simulate(seed, MONDAY, DAY_MS)))
    reports = [events for events in tickets.values() if any("caused_by" in event.fields for event in events)]
    causes = {event.fields["caused_by"] for events in reports for event in events if "caused_by" in event.fields}
    of_today = [cause for cause in causes if tickets[cause][0].at_ms >= MONDAY]

    assert len(of_today) == 1
    (cause,) = of_today
    outage = tickets[cause]
    assert outage[0].fields["priority"] == "P1"
    mine = [events for events in reports if any(event.fields.get("caused_by") == cause for event in events)]
    assert len(mine) >= 10
    assert {events[0].fields["service"] for events in mine} == {outage[0].fields["service"]}
    assert all(events[0].at_ms >= outage[0].at_ms for events in mine)


def test_everything_a_service_desk_does_happens(day):
    week = list(simulate(7, MONDAY, 7 * DAY_MS))
    kinds = Counter(event.event for event in week)
    waits = Counter(event.fields["waiting_for"] for event in week if "waiting_for" in event.fields)

    assert set(kinds) == {
        "created", "responded", "updated", "resolved", "closed", "reopened", "cancelled", "feedback",
    }  # fmt: skip
    assert waits["customer"] > 50
    assert waits["vendor"] > 10
    assert waits[None] > 50
    teams = {event.fields["team"] for event in week if "team" in event.fields}
    assert len(teams) == 6
    scores = [event.fields["csat"] for event in week if event.event == "feedback"]
    assert set(scores) == {1, 2, 3, 4, 5}


def test_few_people_make_long_queues(monkeypatch):
    from dataclasses import replace

    from sources.simulator import model

    def responses(events: list[SourceEvent]) -> float:
        waits = [
            responded.at_ms - ticket[0].at_ms
            for ticket in _by_ticket(events).values()
            if ticket[0].at_ms >= MONDAY
            for responded in ticket
            if responded.event == "responded"
        ]
        return sum(waits) / len(waits)

    usual = responses(list(simulate(5, MONDAY, DAY_MS)))
    monkeypatch.setattr(model, "TEAMS", tuple(replace(team, staff=team.staff / 2) for team in model.TEAMS))

    assert responses(list(simulate(5, MONDAY, DAY_MS))) > 2 * usual


def test_a_ticket_that_waits_is_waited_for_until_that_is_cleared(day):
    for events in _by_ticket(day).values():
        waiting = False
        for event in events:
            if event.event == "resolved":
                assert not waiting
            if "waiting_for" in event.fields:
                waiting = event.fields["waiting_for"] is not None


@pytest.mark.parametrize(
    "arguments",
    [(-1, MONDAY, DAY_MS, 1.0), (1, MONDAY, 0, 1.0), (1, MONDAY, DAY_MS, 0.0)],
    ids=["seed", "duration", "rate"],
)
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        list(simulate(*arguments))
