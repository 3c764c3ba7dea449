"""A source's words become events by the first rule that applies."""

import pytest

from sources.rules import EventRules, is_over_after

RULES = EventRules(
    first="created",
    reopening=("Accepted/*", "Queued/*"),
    words={"Completed/Resolved": "resolved", "Completed/*": "closed"},
    otherwise="updated",
)


@pytest.mark.parametrize(
    ("word", "is_first", "is_over", "event"),
    [
        ("Completed/Resolved", True, False, "created"),
        ("Completed/Resolved", False, False, "resolved"),
        ("Completed/Closed", False, False, "closed"),
        ("Accepted/In Progress", False, False, "updated"),
        ("Accepted/In Progress", False, True, "reopened"),
        ("Queued/Awaiting Assignment", False, True, "reopened"),
        ("Completed/Resolved", False, True, "resolved"),
        ("Unmatched/Unmatched", False, True, "updated"),
    ],
)
def test_the_first_rule_that_applies_wins(word, is_first, is_over, event):
    assert RULES.event_of(word, is_first=is_first, is_over=is_over) == event


def test_without_rules_known_words_are_recognised_in_any_case_and_others_pass():
    rules = EventRules()

    assert rules.event_of("Resolved", is_first=False, is_over=False) == "resolved"
    assert rules.event_of("sent to lab", is_first=False, is_over=False) == "sent to lab"


def test_with_words_but_no_otherwise_an_unknown_word_is_not_guessed():
    rules = EventRules(words={"Done": "resolved"})

    assert rules.event_of("Finished", is_first=False, is_over=False) is None
    assert rules.event_of("Closed", is_first=False, is_over=False) == "closed"


def test_a_ticket_stays_over_until_it_is_reopened():
    assert is_over_after("resolved", was_over=False)
    assert is_over_after("updated", was_over=True)
    assert not is_over_after("reopened", was_over=True)
    assert not is_over_after("updated", was_over=False)
