"""The contracts that come with slawatch, played: a few events each, verdicts by instants worked out by hand.

Berlin is open Mon-Thu 08:00-17:00 and Fri 08:00-16:00, Jakarta Mon-Thu 08:00-12:00 and 13:00-17:00, Fri 08:00-11:30 and
13:30-17:30. The week is that of Monday 2 March 2026; Good Friday and Easter Monday are 3 and 6 April.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from config.loader import load_agreements
from sla.calendar import Calendar
from sla.events import TicketEvent
from sla.outcome import Result, Verdict
from sla.register import Register
from sla.units import HOUR_MS, parse_instant
from tests.support.domain import Monitor, event

CONFIG = Path(__file__).parents[3] / "config"


@cache
def shipped() -> Register:
    agreements = load_agreements([CONFIG / "contracts"])
    calendars = {name: Calendar(model.to_domain()) for name, model in agreements.calendars.items()}
    return Register([contract.to_domain() for contract in agreements.contracts.values()], calendars)


def happened(kind: str, when: str, **fields: str | None) -> TicketEvent:
    return event(kind, parse_instant(when), **fields)  # type: ignore[arg-type]


def play(*events: TicketEvent, now: str) -> dict[str, Verdict]:
    """Return the verdicts by target and cycle after a ticket's events, as of an instant."""
    desk = Monitor(shipped(), now=parse_instant("2026-01-01T00:00:00Z"))
    desk.knows("T", *events, now=parse_instant(now))
    return {clock_id.removeprefix("T:"): verdict for clock_id, verdict in desk.last.items()}


def deadlines(*events: TicketEvent, now: str) -> dict[str, int]:
    desk = Monitor(shipped(), now=parse_instant("2026-01-01T00:00:00Z"))
    desk.knows("T", *events, now=parse_instant(now))
    return {f"{clock.target_id}:{clock.cycle}": clock.deadline_ms for clock in desk.ticket("T").clocks}


# --- a new customer within a day of the application form -----------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-03-02T10:15:00+01:00", "2026-03-03T10:15:00+01:00"),
        ("2026-03-06T15:00:00+01:00", "2026-03-09T15:00:00+01:00"),  # Friday: over the weekend
        ("2026-03-06T17:30:00+01:00", "2026-03-10T08:00:00+01:00"),  # after hours: as if on Monday 08:00
        ("2026-03-05T16:30:00+01:00", "2026-03-09T08:00:00+01:00"),  # Friday 16:30 is closed: the next opening
        ("2026-04-02T11:00:00+02:00", "2026-04-07T11:00:00+02:00"),  # over Easter
    ],
)
def test_new_customer_is_set_up_within_one_day_of_the_application_form(received: str, due: str) -> None:
    form = happened("form_received", received, request="new-customer")
    at_the_deadline = play(form, happened("set_up", due), now="2026-04-30T00:00:00Z")["customer-set-up:1"]
    assert at_the_deadline.result is Result.MET
    assert at_the_deadline.deadline_ms == parse_instant(due)
    late = play(form, event("set_up", parse_instant(due) + 1), now="2026-04-30T00:00:00Z")["customer-set-up:1"]
    assert late.result is Result.BREACHED
    assert late.decided_at_ms == parse_instant(due)


def test_set_up_waits_for_the_applicant() -> None:
    due = deadlines(
        happened("form_received", "2026-03-02T10:00:00+01:00", request="new-customer"),
        happened("updated", "2026-03-02T11:00:00+01:00", waiting_for="applicant"),
        happened("updated", "2026-03-03T09:00:00+01:00", waiting_for=None),
        now="2026-03-03T09:30:00+01:00",
    )
    # 6 working hours on Monday and one on Tuesday were waited: due on Tuesday 17:00, which is closed.
    assert due == {"customer-set-up:1": parse_instant("2026-03-04T08:00:00+01:00")}


# --- off-boarding at once, or by the end of the last day -----------------------------------------------------------


def leaver(when: str = "2026-03-02T10:00:00+01:00", **fields: str | None) -> TicketEvent:
    return happened("created", when, request="off-boarding", **fields)


def test_off_boarding_is_done_by_the_end_of_the_last_day() -> None:
    friday = leaver(last_day="2026-03-06")
    done = play(friday, happened("accounts_closed", "2026-03-06T16:00:00+01:00"), now="2026-03-20T00:00:00Z")
    assert done["off-boarding-friendly:1"].result is Result.MET
    late = play(friday, now="2026-03-06T16:00:30+01:00")["off-boarding-friendly:1"]
    assert (late.result, late.deadline_ms) == (Result.BREACHED, parse_instant("2026-03-06T16:00:00+01:00"))
    assert late.target_ms == (7 + 9 + 9 + 9 + 8) * HOUR_MS


def test_off_boarding_of_a_last_day_on_a_sunday_is_done_by_friday() -> None:
    assert deadlines(leaver(last_day="2026-03-08"), now="2026-03-03T00:00:00Z") == {
        "off-boarding-friendly:1": parse_instant("2026-03-06T16:00:00+01:00")
    }


def test_off_boarding_has_no_clock_before_the_last_day_is_known_and_follows_it_when_it_moves() -> None:
    told = happened("updated", "2026-03-03T10:00:00+01:00", last_day="2026-03-06")
    moved = happened("updated", "2026-03-04T10:00:00+01:00", last_day="2026-03-13")
    assert deadlines(leaver(), now="2026-03-03T09:00:00+01:00") == {}
    assert deadlines(leaver(), told, now="2026-03-03T11:00:00+01:00") == {
        "off-boarding-friendly:1": parse_instant("2026-03-06T16:00:00+01:00")
    }
    assert deadlines(leaver(), told, moved, now="2026-03-04T11:00:00+01:00") == {
        "off-boarding-friendly:1": parse_instant("2026-03-13T16:00:00+01:00")
    }


def test_unfriendly_off_boarding_is_due_at_once_also_at_night() -> None:
    night = leaver("2026-03-07T23:00:00+01:00", unfriendly="true", last_day="2026-03-31")
    told = play(night, now="2026-03-07T23:00:30+01:00")
    assert told["off-boarding-unfriendly:1"].result is Result.BREACHED
    assert told["off-boarding-unfriendly:1"].deadline_ms == parse_instant("2026-03-07T23:00:00+01:00")
    automatic = play(night, happened("accounts_closed", "2026-03-07T23:00:00+01:00"), now="2026-03-08T00:00:00Z")
    assert automatic["off-boarding-unfriendly:1"].result is Result.MET


def test_off_boarding_that_turns_unfriendly_is_due_from_then_on() -> None:
    told = play(
        leaver(last_day="2026-03-31"),
        happened("updated", "2026-03-04T14:00:00+01:00", unfriendly="true"),
        now="2026-03-04T14:05:00+01:00",
    )
    assert told["off-boarding-friendly:1"].result is Result.SUPERSEDED
    unfriendly = told["off-boarding-unfriendly:1"]
    assert (unfriendly.start_ms, unfriendly.deadline_ms) == (parse_instant("2026-03-04T14:00:00+01:00"),) * 2


# --- a device within a week of the order ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ordered", "due"),
    [
        ("2026-03-02T09:30:00+01:00", "2026-03-09T09:30:00+01:00"),
        ("2026-03-07T20:00:00+01:00", "2026-03-14T20:00:00+01:00"),  # weeks have weekends
        ("2026-03-26T10:00:00+01:00", "2026-04-02T11:00:00+02:00"),  # 168 hours, one of them skipped by the clocks
    ],
)
def test_device_is_delivered_within_a_week_of_the_order(ordered: str, due: str) -> None:
    order = happened("ordered", ordered, request="device")
    in_time = play(order, happened("delivered", due), now="2026-04-30T00:00:00Z")["device-delivered:1"]
    assert (in_time.result, in_time.deadline_ms) == (Result.MET, parse_instant(due))
    late = play(order, event("delivered", parse_instant(due) + 1), now="2026-04-30T00:00:00Z")["device-delivered:1"]
    assert late.result is Result.BREACHED


def test_device_that_is_ordered_again_is_a_new_cycle() -> None:
    told = play(
        happened("ordered", "2026-03-02T09:30:00+01:00", request="device"),
        happened("delivered", "2026-03-05T12:00:00+01:00"),
        happened("ordered", "2026-03-06T12:00:00+01:00"),
        happened("delivered", "2026-03-13T12:00:01+01:00"),
        now="2026-03-20T00:00:00Z",
    )
    assert {clock: verdict.result for clock, verdict in told.items()} == {
        "device-delivered:1": Result.MET,
        "device-delivered:2": Result.BREACHED,
    }


# --- printing by region, below a customer level, below the corporate level ------------------------------------------


def printer(when: str, **fields: str | None) -> TicketEvent:
    given: dict[str, str | None] = {"service": "printing", "customer": "globex", "priority": "P2", **fields}
    return happened("created", when, **given)


@pytest.mark.parametrize(
    ("region", "created", "due"),
    [
        ("jakarta", "2026-03-05T15:00:00+07:00", "2026-03-06T10:00:00+07:00"),
        ("jakarta", "2026-03-05T11:00:00+07:00", "2026-03-05T16:00:00+07:00"),  # lunch
        ("jakarta", "2026-03-06T10:00:00+07:00", "2026-03-06T16:00:00+07:00"),  # Friday prayer
        ("berlin", "2026-03-05T15:00:00+01:00", "2026-03-06T10:00:00+01:00"),
        ("berlin", "2026-03-06T14:00:00+01:00", "2026-03-09T10:00:00+01:00"),  # Friday closes at four
    ],
)
def test_printer_is_answered_within_four_hours_of_its_own_region(region: str, created: str, due: str) -> None:
    broken = printer(created, region=region)
    answered = play(broken, happened("responded", due), now="2026-03-20T00:00:00Z")
    assert answered[f"printing-response-{region}:1"].result is Result.MET
    assert answered[f"printing-response-{region}:1"].deadline_ms == parse_instant(due)


def responses(**fields: str | None) -> list[str]:
    due = deadlines(printer("2026-03-05T15:00:00+01:00", **fields), now="2026-03-05T15:00:01+01:00")
    return sorted(clock.removesuffix(":1") for clock in due if "response" in clock or "resolution" in clock)


def test_most_specific_level_wins_per_metric_and_what_it_leaves_out_is_inherited() -> None:
    # Service level: printing, where the region has hours of its own; the resolution is nobody's but the corporation's.
    assert responses(region="berlin", priority="P1") == ["printing-response-berlin", "resolution-p1"]
    # Customer level: another service of the group.
    assert responses(region="berlin", priority="P1", service="e-mail") == ["key-response-p1", "resolution-p1"]
    # A region that the service level leaves out.
    assert responses(region="oslo", priority="P1") == ["key-response-p1", "resolution-p1"]
    # Corporate level: what neither says, and everybody else.
    assert responses(region="berlin", priority="P2", service="e-mail") == ["resolution-p2", "response-p2"]
    assert responses(region="berlin", priority="P1", customer="hooli") == ["resolution-p1", "response-p1"]
    assert responses(region="jakarta", priority="P3", customer="initech") == [
        "resolution-p3-jakarta",
        "response-p3-jakarta",
    ]


def test_toner_is_there_by_the_end_of_the_next_business_day() -> None:
    order = printer("2026-03-05T09:00:00+01:00", request="toner")
    assert deadlines(order, now="2026-03-05T09:30:00+01:00")["printing-toner:1"] == parse_instant(
        "2026-03-06T16:00:00+01:00"
    )


# --- clocks that repeat, and clocks that count in one state --------------------------------------------------------


def test_every_question_of_a_key_customer_has_a_clock_and_every_hour_of_a_p1_a_report() -> None:
    told = play(
        happened("created", "2026-03-03T09:00:00+01:00", customer="globex", priority="P1", service="e-mail"),
        happened("responded", "2026-03-03T09:04:00+01:00"),
        happened("progress_note", "2026-03-03T09:50:00+01:00"),
        happened("customer_message", "2026-03-03T10:00:00+01:00"),
        happened("progress_note", "2026-03-03T11:00:00+01:00"),
        happened("agent_reply", "2026-03-03T12:00:00+01:00"),
        happened("customer_message", "2026-03-03T16:00:00+01:00"),
        happened("resolved", "2026-03-04T09:30:00+01:00"),
        now="2026-03-05T00:00:00Z",
    )
    results = {clock: verdict.result.value for clock, verdict in told.items()}
    assert results == {
        "key-response-p1:1": "met",
        "key-next-reply:1": "met",  # at 12:00 exactly
        "key-next-reply:2": "breached",  # one hour before and one after closing: due at 09:00
        "key-progress:1": "met",  # 09:00 to 09:50
        "key-progress:2": "breached",  # due at 10:50
        "key-progress:3": "breached",  # due at 12:00, resolved on the next day
        "key-work-time:1": "met",
        "key-waiting-time:1": "met",
        "resolution-p1:1": "breached",
    }
    assert told["key-next-reply:2"].deadline_ms == parse_instant("2026-03-04T09:00:00+01:00")
    assert told["key-progress:2"].deadline_ms == parse_instant("2026-03-03T10:50:00+01:00")


def test_work_and_waiting_are_told_apart() -> None:
    told = play(
        happened("created", "2026-03-03T09:00:00+01:00", customer="globex", priority="P2", status="new"),
        happened("updated", "2026-03-03T10:00:00+01:00", status="in progress"),
        happened("updated", "2026-03-03T12:00:00+01:00", waiting_for="customer"),
        happened("updated", "2026-03-04T12:00:00+01:00", waiting_for=None),
        happened("resolved", "2026-03-04T13:00:00+01:00"),
        now="2026-03-05T00:00:00Z",
    )
    assert told["key-work-time:1"].consumed_ms == 3 * HOUR_MS
    assert told["key-waiting-time:1"].consumed_ms == 24 * HOUR_MS
