"""Conditions, and what they leave to ask at an event of one kind."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from itertools import product

import pytest

from sla.contract import NEVER_HOLDS, Clause, Condition, ContractType
from sla.events import CANCELLED, MERGED, REOPENED
from tests.support.domain import any_of, condition, target

CONDITIONS = {
    "never": NEVER_HOLDS,
    "an event": condition("resolved"),
    "one of two events": condition("resolved", "closed"),
    "a field": condition(status="solved"),
    "one of two values": condition(status=["solved", "done"]),
    "two fields": condition(status="solved", team="desk"),
    "event and field": condition("resolved", status="solved"),
    "either": any_of(condition("closed"), condition("resolved", status="solved"), condition(team="desk")),
    "anything": Condition((Clause(),)),
}
EVENTS = ("resolved", "closed", "note")
FIELDS = [
    {name: value for name, value in (("status", status), ("team", team)) if value}
    for status, team in product((None, "solved", "done", "new"), (None, "desk", "network"))
]


def test_condition_holds_if_any_clause_does_and_a_clause_if_event_and_all_fields_do() -> None:
    either = CONDITIONS["either"]
    assert either.holds("closed", {})
    assert either.holds("resolved", {"status": "solved"})
    assert either.holds("note", {"team": "desk"})
    assert not either.holds("resolved", {"status": "new"})
    assert not either.holds("note", {"status": "solved", "team": "network"})
    assert not CONDITIONS["two fields"].holds("note", {"status": "solved"})
    assert not any(NEVER_HOLDS.holds(event, fields) for event, fields in product(EVENTS, FIELDS))


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_left_to_ask_at_an_event_gives_the_same_answer(name: str) -> None:
    of = CONDITIONS[name]
    for event, fields in product(EVENTS, FIELDS):
        left = of.at_event(event)
        assert (left is not None and left(fields)) == of.holds(event, fields)


def test_condition_that_can_not_hold_at_an_event_leaves_nothing_to_ask() -> None:
    assert condition("resolved", status="solved").at_event("note") is None
    assert NEVER_HOLDS.at_event("note") is None


def test_condition_names_its_events_and_fields() -> None:
    assert CONDITIONS["either"].event_names == {"closed", "resolved"}
    assert CONDITIONS["either"].field_names == {"status", "team"}


def test_target_ends_with_cancellation_and_merge_and_begins_anew_with_reopening_unless_it_says_otherwise() -> None:
    of = target()
    assert [c.event_names for c in (of.cancel, of.merge, of.reopen_when)] == [{CANCELLED}, {MERGED}, {REOPENED}]
    reaction = of.reaction_to(CANCELLED)
    assert (reaction.may_end, reaction.may_start, reaction.stop) == (True, False, None)
    assert reaction.cancel is not None
    reaction = of.reaction_to("a word of the publisher's own")
    assert (reaction.may_end, reaction.may_start) == (False, False)
    assert reaction.pause is not None
    assert reaction.pause({"waiting_for": "customer"})


def test_derived_terms_follow_the_terms() -> None:
    of = target(within="10bh", warn=("1/2",), metric="response")
    assert of.slot == (ContractType.SLA, "response")
    other = dataclasses.replace(of, metric="m", warn_consumed=(Fraction(1, 4), Fraction(3, 4)))
    assert other.slot == (ContractType.SLA, "m")
    assert other.warn_thresholds_ms == (9_000_000, 27_000_000)
    assert dataclasses.replace(other, metric="response", warn_consumed=of.warn_consumed) == of
    assert target(pause=condition("wait")).pause_is_a_state is False
    assert of.pause_is_a_state is True
