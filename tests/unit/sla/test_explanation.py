"""A clock's life as a timeline."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sla.contract import NEVER_HOLDS, Reopen
from sla.events import TicketEvent
from sla.explanation import Explanation, Interval, Why, explain
from sla.register import Register
from sla.units import HOUR_MS
from tests.support.domain import SETTLE_MS, at, by_priority, event, register, target


def explained(of: Register, *events: TicketEvent, now: str) -> Explanation:
    return explain("INC-1", events, of, at(now), SETTLE_MS)


def timeline(of: Register, *events: TicketEvent, now: str, clock: int = -1) -> tuple[Interval, ...]:
    return explained(of, *events, now=now).clocks[clock].timeline


def told(intervals: tuple[Interval, ...]) -> list[tuple[str, float, float]]:
    """Return (why, hours, hours consumed at its end) of each interval."""
    return [
        (interval.why.value, (interval.until_ms - interval.from_ms) / HOUR_MS, interval.consumed_ms / HOUR_MS)
        for interval in intervals
    ]


def test_nights_are_told_as_closed_hours_of_the_calendar() -> None:
    intervals = timeline(register(target()), event("created", "mon 16:00"), now="tue 10:00")
    assert told(intervals) == [("counted", 1, 1), ("outside-hours", 16, 1), ("counted", 1, 2)]
    assert [interval.detail for interval in intervals] == [
        "open hours of office",
        "office is closed",
        "open hours of office",
    ]


def test_elapsed_time_always_counts() -> None:
    intervals = timeline(register(target(within="24h")), event("created", "fri 16:00"), now="sat 10:00")
    assert told(intervals) == [("counted", 18, 18)]


def test_a_pause_names_the_fields_that_make_it_and_has_no_deadline() -> None:
    intervals = timeline(
        register(target()),
        event("created", "mon 09:00", team="desk"),
        event("updated", "mon 10:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None),
        now="mon 13:00",
    )
    assert told(intervals) == [("counted", 1, 1), ("paused", 2, 1), ("counted", 1, 2)]
    assert intervals[1].detail == "paused while waiting_for is customer"
    assert [interval.party for interval in intervals] == ["team:desk", "customer", "team:desk"]
    assert [interval.deadline_ms for interval in intervals] == [at("mon 17:00"), None, at("tue 11:00")]


def test_every_event_begins_an_interval_that_tells_what_it_changed() -> None:
    intervals = timeline(
        register(*by_priority(P1="4bh")),
        event("created", "mon 09:00", priority="P1", title="private", team="desk"),
        event("note", "mon 10:00"),
        now="mon 11:00",
    )
    assert [(interval.event, interval.changes) for interval in intervals] == [
        ("created", {"priority": "P1", "team": "desk"}),
        ("note", {}),
    ]


def test_what_comes_after_the_deadline_is_late() -> None:
    of = register(target(within="2bh"))
    intervals = timeline(of, event("created", "mon 09:00"), now="mon 13:00")
    assert told(intervals) == [("counted", 2, 2), ("counted", 2, 4)]
    assert [interval.late for interval in intervals] == [False, True]
    [clock] = explained(of, event("created", "mon 09:00"), now="mon 13:00").clocks
    assert (clock.outcome, clock.consumed_ms) == ("breached", 4 * HOUR_MS)


def test_a_change_of_target_goes_on_with_what_was_consumed_under_the_former() -> None:
    of = register(*by_priority(P1="4bh", P2="8bh"))
    events = (event("created", "mon 09:00", priority="P2"), event("updated", "mon 12:00", priority="P1"))
    intervals = timeline(of, *events, now="mon 12:30")
    assert [(interval.target, interval.deadline_ms) for interval in intervals] == [
        ("resolution-P2", at("mon 17:00")),
        ("resolution-P1", at("mon 13:00")),
    ]
    assert told(intervals) == [("counted", 3, 3), ("counted", 0.5, 3.5)]


def test_time_in_which_a_resumed_clock_was_stopped_is_told_as_solved() -> None:
    intervals = timeline(
        register(target(reopen=Reopen.RESUME)),
        event("created", "mon 09:00"),
        event("resolved", "mon 10:00"),
        event("reopened", "mon 15:00"),
        now="mon 16:00",
    )
    assert told(intervals) == [("counted", 1, 1), ("solved", 5, 1), ("counted", 1, 2)]


def test_later_events_are_not_known_yet() -> None:
    events = (event("created", "mon 09:00", team="desk"), event("resolved", "mon 12:00", team="other"))
    found = explained(register(target()), *events, now="mon 11:00")
    assert (found.events, found.fields) == (1, {"team": "desk"})
    [clock] = found.clocks
    assert (clock.outcome, clock.stop_ms, clock.consumed_ms) == ("open", None, 2 * HOUR_MS)


def test_a_ticket_without_a_target_has_no_clocks() -> None:
    assert explained(register(*by_priority(P1="4bh")), event("created", "mon 09:00"), now="mon 10:00").clocks == ()


def test_the_document_says_everything_as_text_and_seconds() -> None:
    of = register(target())
    document: dict[str, Any] = explained(of, event("created", "mon 09:00", team="desk"), now="mon 10:00").document()
    assert document["at"] == "2026-03-02T09:00:00.000Z"
    [clock] = document["clocks"]
    assert (clock["clock_id"], clock["outcome"], clock["phase"]) == ("INC-1:resolution:1", "open", "running")
    assert clock["parties"] == clock["parties_counted"] == {"team:desk": 3600.0}
    assert clock["timeline"] == [
        {
            "from": "2026-03-02T08:00:00.000Z",
            "until": "2026-03-02T09:00:00.000Z",
            "counted": True,
            "why": "counted",
            "detail": "open hours of office",
            "party": "team:desk",
            "late": False,
            "event": "created",
            "event_at": "2026-03-02T08:00:00.000Z",
            "changes": {"team": "desk"},
            "seconds": 3600.0,
            "counted_seconds": 3600.0,
            "consumed_seconds": 3600.0,
            "deadline": "2026-03-02T16:00:00.000Z",
            "target": "resolution",
            "revision": 1,
        }
    ]


def test_the_same_events_are_explained_with_the_same_bytes() -> None:
    of = register(target())
    events = (
        event("created", "mon 09:00", team="a", region="b"),
        event("updated", "mon 10:00", waiting_for="customer"),
    )
    first, second = (msgspec.json.encode(explained(of, *events, now="wed 10:00").document()) for _ in range(2))
    assert first == second
    assert Why.PAUSED.value.encode() in first


# --- targets whose deadline is no duration ---


@pytest.mark.parametrize(
    ("within", "start", "promise", "hours"),
    [
        ("2bd", "mon 12:00", "2bd", 16),
        ("eod", "mon 12:00", "eod", 5),
        ("by last_day", "mon 09:00", "by last_day at close_of_business", 32),
        ("by last_day at 12:00", "mon 09:00", "by last_day at 12:00", 27),
        ("4bh", "mon 12:00", "4bh", 4),
    ],
)
def test_the_target_is_told_as_it_was_agreed_and_with_the_time_it_gives_this_clock(
    within: str, start: str, promise: str, hours: float
) -> None:
    of = register(target(within=within, pause=NEVER_HOLDS))
    [clock] = explained(of, event("created", start, last_day="2026-03-05"), now="mon 13:00").clocks
    document = clock.document()
    assert (document["within"], document["target_seconds"]) == (promise, hours * 3600)


# --- time passes without events ---

WED = "wed 09:00"
OF_MONDAY = event("created", "mon 09:00")


def revised(**terms: Any) -> Register:
    """Return a target whose second revision takes the open clocks on Wednesday 09:00."""
    return register(
        target(within="24bh", until=WED, open_until_ms=at(WED), open_then=2),
        target(within="40bh", revision=2, since=WED, **terms),
    )


def test_a_revision_takes_over_without_an_event() -> None:
    [clock] = explained(revised(), OF_MONDAY, now="wed 10:00").clocks
    assert (clock.target.revision, clock.deadline_ms, clock.consumed_ms) == (2, at("fri 17:00"), 17 * HOUR_MS)
    under_each = {(interval.revision, interval.deadline_ms) for interval in clock.timeline}
    assert under_each == {(1, at("wed 17:00")), (2, at("fri 17:00"))}
    [before] = explained(revised(), OF_MONDAY, now="wed 08:59").clocks
    assert (before.target.revision, before.deadline_ms) == (1, at("wed 17:00"))


def test_the_deadline_of_a_revision_is_known_from_its_effective_instant_not_from_the_next_event() -> None:
    intervals = timeline(revised(), OF_MONDAY, event("note", "thu 12:00"), now="fri 10:00")
    from_wednesday = [interval for interval in intervals if interval.from_ms >= at(WED)]
    assert from_wednesday[0].from_ms == at(WED)
    assert {(interval.revision, interval.deadline_ms) for interval in from_wednesday} == {(2, at("fri 17:00"))}


def test_a_contract_that_ends_with_its_open_tickets_terminates_the_clock_without_an_event() -> None:
    of = register(target(within="24bh", until=WED, open_until_ms=at(WED)))
    [clock] = explained(of, OF_MONDAY, now="fri 12:00").clocks
    assert (clock.outcome, clock.stop_ms, clock.consumed_ms) == ("terminated", at(WED), 16 * HOUR_MS)
    assert clock.timeline[-1].until_ms == at(WED)
    [before] = explained(of, OF_MONDAY, now="tue 12:00").clocks
    assert before.outcome == "open"


def test_an_event_after_a_hand_over_is_explained_as_if_no_time_had_passed_before_it() -> None:
    events = (OF_MONDAY, event("resolved", "thu 12:00"))
    [clock] = explained(revised(), *events, now="fri 12:00").clocks
    assert (clock.outcome, clock.target.revision, clock.consumed_ms) == ("met", 2, 27 * HOUR_MS)
