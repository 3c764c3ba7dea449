"""What requesters went through around a clock."""

from __future__ import annotations

import random

import pytest

from sla.contract import Reopen
from sla.events import TicketEvent
from sla.experience import Experience, experiences, satisfaction_of
from sla.register import Register
from sla.units import HOUR_MS
from tests.support.domain import at, event, register, target

OF = register(target(within="8bh"))


def around(*events: TicketEvent, until: str, of: Register = OF, cycle: int = 1, seed: int | None = None) -> Experience:
    given = list(events)
    if seed is not None:
        random.Random(seed).shuffle(given)
        given += given[:2]
    [(target_id, found, experience)] = experiences(given, of, [("resolution", cycle, at(until), 8 * HOUR_MS)])
    assert (target_id, found) == ("resolution", cycle)
    return experience


def test_an_ordinary_ticket_has_nothing_to_tell() -> None:
    found = around(event("created", "mon 09:00", team="desk"), event("resolved", "mon 11:00"), until="mon 11:00")
    assert (found.satisfaction, found.was_reopened, found.handovers, found.was_paused_late) == (None, False, 0, False)
    assert found.longest_silence_ms == 2 * HOUR_MS
    assert [share.party for share in found.parties] == ["team:desk"]


def test_silence_is_counted_in_the_time_of_the_target() -> None:
    found = around(
        *(event("created", "mon 15:00"), event("updated", "tue 12:00"), event("resolved", "tue 13:00")),
        until="tue 13:00",
    )
    assert found.longest_silence_ms == 5 * HOUR_MS  # mon 15-17, tue 9-12


def test_waiting_for_the_customer_is_no_silence() -> None:
    events = (
        event("created", "mon 09:00"),
        event("updated", "mon 10:00", waiting_for="customer"),
        event("updated", "wed 10:00", waiting_for=None),
        event("resolved", "wed 11:00"),
    )
    assert around(*events, until="wed 11:00").longest_silence_ms == HOUR_MS


@pytest.mark.parametrize(("paused_at", "is_late"), [("mon 16:11", False), ("mon 16:12", True), ("mon 16:59:59", True)])
def test_a_pause_just_before_the_deadline_is_told(paused_at: str, is_late: bool) -> None:
    events = (
        event("created", "mon 09:00"),
        event("updated", paused_at, waiting_for="customer"),
        event("resolved", "wed 11:00"),
    )
    assert around(*events, until="wed 11:00").was_paused_late is is_late


def test_a_pause_after_the_deadline_hides_nothing() -> None:
    events = (
        event("created", "mon 09:00"),
        event("updated", "tue 10:00", waiting_for="customer"),
        event("resolved", "wed 11:00"),
    )
    assert not around(*events, until="wed 11:00").was_paused_late


def test_hand_overs_between_teams_are_counted() -> None:
    events = (
        event("created", "mon 09:00"),
        event("updated", "mon 09:30", team="first"),
        event("updated", "mon 10:00", team="second"),
        event("updated", "mon 11:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None),
        event("updated", "mon 13:00", team="first"),
        event("resolved", "mon 14:00"),
    )
    assert around(*events, until="mon 14:00").handovers == 2


@pytest.mark.parametrize("policy", [Reopen.NEW_CYCLE, Reopen.IGNORE, Reopen.RESUME])
def test_a_ticket_that_comes_back_is_told_under_every_policy(policy: Reopen) -> None:
    of = register(target(within="8bh", reopen=policy))
    events = (event("created", "mon 09:00"), event("resolved", "mon 10:00"), event("reopened", "mon 12:00"))
    until = "mon 13:00" if policy is Reopen.RESUME else "mon 10:00"
    assert around(*events, until=until, of=of).was_reopened


def test_the_last_score_before_the_next_cycle_counts() -> None:
    events = (
        event("created", "mon 09:00"),
        event("resolved", "mon 10:00"),
        event("feedback", "mon 10:30", csat="5"),
        event("feedback", "mon 11:00", csat="2"),
        event("reopened", "mon 12:00"),
        event("resolved", "mon 13:00"),
        event("feedback", "mon 14:00", csat="4"),
    )
    assert around(*events, until="mon 10:00").satisfaction == 0.25
    assert around(*events, until="mon 13:00", cycle=2).satisfaction == 0.75


def test_order_and_repetition_of_events_change_nothing() -> None:
    events = (
        event("created", "mon 09:00", team="first"),
        event("updated", "mon 10:00", team="second"),
        event("updated", "mon 16:30", waiting_for="customer"),
        event("updated", "tue 09:00", waiting_for=None),
        event("resolved", "tue 09:10"),
        event("feedback", "tue 12:00", csat="1"),
    )
    straight = around(*events, until="tue 09:10")
    assert straight.was_paused_late
    assert all(around(*events, until="tue 09:10", seed=seed) == straight for seed in range(20))


@pytest.mark.parametrize(
    ("changes", "satisfaction"),
    [
        ({"csat": "1"}, 0.0),
        ({"csat": "5"}, 1.0),
        ({"score": "3", "csat": "1"}, 0.5),
        ({"score": "0", "worst": "0", "best": "10"}, 0.0),
        ({"score": "1", "worst": "6", "best": "1"}, 1.0),
        ({"score": "7"}, None),
        ({"score": "good"}, None),
        ({"score": "nan"}, None),
        ({"score": "3", "worst": "3", "best": "3"}, None),
        ({"comment": "fine"}, None),
    ],
)
def test_scores_are_read_on_their_scale(changes: dict[str, str], satisfaction: float | None) -> None:
    assert satisfaction_of(event("feedback", "mon 09:00", **changes)) == satisfaction


def test_a_score_is_an_opinion_only_in_feedback() -> None:
    assert satisfaction_of(event("updated", "mon 09:00", csat="1")) is None


def test_clocks_that_are_not_there_are_passed_over() -> None:
    assert list(experiences([event("created", "mon 09:00")], OF, [("other", 1, at("mon 10:00"), 1)])) == []


def test_a_complaint_is_an_opinion_without_a_score() -> None:
    assert satisfaction_of(event("complaint", "mon 09:00", score="5")) == 0.0
    events = (event("created", "mon 09:00"), event("complained", "mon 09:30"), event("resolved", "mon 10:00"))
    assert around(*events, until="mon 10:00").satisfaction == 0.0
