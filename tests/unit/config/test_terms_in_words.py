"""Terms as people say them, and what a revision changes."""

from __future__ import annotations

from typing import Any

import pytest

from config.contract_model import RevisionModel, TargetModel
from config.terms_in_words import changes_in_words, condition_in_words, scope_in_words, target_in_words

RESPONSE = {
    "id": "response",
    "applies_to": {"service": "printing", "priority": ["P1", "P2"]},
    "start": {"event": "created"},
    "stop": {"event": ["responded", "resolved"]},
    "pause": {"waiting_for": ["customer"]},
    "within": "4bh",
}


def revision(number: int = 1, *targets: dict[str, Any], **terms: Any) -> RevisionModel:
    given = {"status": "signed", "effective_from": "2026-01-01T00:00:00Z", "calendar": "office", **terms}
    return RevisionModel.model_validate({"revision": number, "targets": list(targets), **given})


def changed(**terms: Any) -> list[str]:
    return changes_in_words(revision(1, RESPONSE), revision(2, {**RESPONSE, **terms}))


def test_a_scope_names_every_field_with_its_values() -> None:
    assert scope_in_words({"service": ["printing"], "priority": ["P1", "P2"]}) == "priority P1 or P2, service printing"
    assert scope_in_words({}) == "every ticket"


def test_a_condition_names_events_bare_and_fields_with_their_names() -> None:
    clauses = [{"event": ["resolved"]}, {"event": ["updated"], "status": ["Completed"], "team": ["a", "b"]}]
    assert condition_in_words(clauses) == "resolved; or updated with status Completed and team a or b"
    assert condition_in_words([]) == "never"


def test_a_target_is_told_without_its_defaults() -> None:
    assert target_in_words(TargetModel.model_validate(RESPONSE)) == {
        "applies_to": "priority P1 or P2, service printing",
        "start": "created",
        "stop": "resolved or responded",
        "pause": "waiting_for customer",
        "within": "4bh",
    }


def test_a_target_for_all_tickets_says_so() -> None:
    assert target_in_words(TargetModel.model_validate({**RESPONSE, "applies_to": {}}))["applies_to"] == "every ticket"


def test_the_same_terms_are_no_change() -> None:
    assert changed() == []
    assert changed(stop={"event": ["resolved", "responded"]}) == []


@pytest.mark.parametrize(
    ("terms", "line"),
    [
        ({"within": "2bh"}, "response: within 4bh -> 2bh"),
        ({"pause": None}, "response: pause waiting_for customer -> none"),
        ({"calendar": "night"}, "response: calendar the revision's -> night"),
        ({"objective": {"attain": "95%", "over": "30d"}}, "response: objective none -> attain 95%, over 30d"),
        ({"warn": {"consumed": ["50%", "90%"]}}, "response: warn none -> consumed 50% 90%"),
        ({"reopen": "resume"}, "response: reopen policy new_cycle -> policy resume"),
    ],
)
def test_a_changed_term_is_told_with_before_and_after(terms: dict[str, Any], line: str) -> None:
    assert changed(**terms) == [line]


def test_targets_come_and_go() -> None:
    resolution = {**RESPONSE, "id": "resolution", "within": "8bh"}
    lines = changes_in_words(revision(1, RESPONSE), revision(2, resolution, calendar="night"))
    assert lines == [
        "calendar office -> night",
        "resolution: new: 8bh, priority P1 or P2, service printing",
        "response: dropped",
    ]


def test_the_first_revision_is_all_new() -> None:
    assert changes_in_words(None, revision(1, RESPONSE)) == ["response: new: 4bh, priority P1 or P2, service printing"]


def test_changed_credits_are_told_by_objective() -> None:
    tiers = [{"below": "95%", "credit": "5%"}, {"below": "90%", "credit": "15%"}]
    before = revision(1, RESPONSE, credits=[{"for": "response", "per_breach": "50 EUR", "cap": "1000 EUR"}])
    target = {**RESPONSE, "objective": {"attain": "95%", "over": "30d"}}
    after = revision(2, target, credits=[{"for": "response", "tiers": tiers, "of": "12000 EUR"}])
    told = "per_breach 50 EUR, cap 1000 EUR -> 5% below 95%, 15% below 90%, of 12000 EUR"
    assert f"credits for response: {told}" in changes_in_words(before, after)
    assert changes_in_words(after, after) == []
    assert changes_in_words(before, revision(3, RESPONSE)) == [
        "credits for response: per_breach 50 EUR, cap 1000 EUR -> none"
    ]
