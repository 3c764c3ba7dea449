"""Statements: numbers of a period, and when they are final."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from sla.contract import Period, Window
from sla.credits import CreditTerms, CreditTier
from sla.minute_counts import MinuteColumn
from sla.money import parse_money
from sla.period import parse_period
from sla.statement import (
    Counting,
    Issue,
    Statement,
    StatementState,
    StatementTerms,
    issued_document,
    next_issue,
    numbers_of,
    statement_of,
)
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER

BERLIN = Window(None, Period.MONTH, "Europe/Berlin")
TERMS = StatementTerms("resolution", "resolution", "desk", 1, "resolution", Counting.CLOCKS, Fraction("0.95"), BERLIN)
OCTOBER = parse_period("2026-10")
START_MS, END_MS = OCTOBER.span("Europe/Berlin")
GRACE_MS = 3 * DAY_MS


def stated(*minutes: tuple[int, int, int], as_of: int = END_MS, terms: StatementTerms = TERMS) -> Statement:
    """Return the statement of October over (minute since its start, good, bad)."""
    column = MinuteColumn(sorted((START_MS + minute * MINUTE_MS, good, bad) for minute, good, bad in minutes))
    return statement_of(terms, OCTOBER, column, as_of, GRACE_MS, START_MS)


def test_events_of_the_period_count_and_no_others() -> None:
    last = (END_MS - START_MS) // MINUTE_MS - 1
    found = stated((-1, 7, 7), (0, 1, 0), (last, 2, 1), (last + 1, 7, 7))
    assert (found.budget.good, found.budget.bad) == (3, 1)
    assert found.is_met is False


@pytest.mark.parametrize(("good", "bad", "is_met"), [(95, 5, True), (94, 6, False), (0, 0, None)])
def test_exactly_the_promised_share_is_enough(good: int, bad: int, is_met: bool | None) -> None:
    assert stated((0, good, bad)).is_met is is_met


@pytest.mark.parametrize(
    ("as_of", "state"),
    [
        (START_MS, StatementState.PROVISIONAL),
        (END_MS + GRACE_MS - 1, StatementState.PROVISIONAL),
        (END_MS + GRACE_MS, StatementState.FINAL),
    ],
)
def test_a_statement_is_final_once_the_grace_is_over(as_of: int, state: StatementState) -> None:
    assert stated((0, 1, 0), as_of=as_of).state is state


def test_the_minute_that_runs_counts_already() -> None:
    found = stated((10, 1, 0), (11, 0, 1), as_of=START_MS + 11 * MINUTE_MS + 5_000)
    assert (found.budget.good, found.budget.bad) == (1, 1)
    assert found.budget.is_estimated


def test_the_last_minute_of_a_running_period_counts_already() -> None:
    last = (END_MS - START_MS) // MINUTE_MS - 1
    assert stated((last, 1, 1), as_of=END_MS - 1).budget.events == 2


def test_credits_fall_due_for_their_own_kind_of_period() -> None:
    tier = CreditTier(Fraction("0.95"), Fraction("0.1"))
    credits_of = CreditTerms(
        "resolution", "desk", 1, 0, NEVER, Period.MONTH, "Europe/Berlin", (tier,), parse_money("100 EUR")
    )
    assert str(stated((0, 1, 1), terms=replace(TERMS, credits=credits_of)).credit.amount) == "10.00 EUR"  # type: ignore[union-attr]
    quarterly = replace(credits_of, period=Period.QUARTER)
    assert stated((0, 1, 1), terms=replace(TERMS, credits=quarterly)).credit is None


def test_credits_per_breach_count_clocks_only() -> None:
    per_breach = CreditTerms(
        "resolution", "desk", 1, 0, NEVER, Period.MONTH, "Europe/Berlin", per_breach=parse_money("7 EUR")
    )
    terms = replace(TERMS, credits=per_breach)
    assert str(stated((0, 5, 3), terms=terms).credit.amount) == "21.00 EUR"  # type: ignore[union-attr]


def test_a_rolling_objective_is_stated_per_month_or_as_its_credits_say() -> None:
    rolling = replace(TERMS, window=Window(30 * DAY_MS, None))
    assert (rolling.period_kind, rolling.timezone) == (Period.MONTH, "UTC")
    weekly = CreditTerms("resolution", "desk", 1, 0, NEVER, Period.WEEK, "Asia/Tokyo", per_breach=parse_money("7 EUR"))
    with_credits = replace(rolling, credits=weekly)
    assert (with_credits.period_kind, with_credits.timezone) == (Period.WEEK, "Asia/Tokyo")
    assert not stated((0, 1, 0), terms=rolling).is_of_promised_period


# --- issues ---


def issue_of(last: Issue | None, statement: Statement) -> Issue | None:
    return next_issue(last, statement, HOUR_MS)


def test_provisional_numbers_are_told_when_they_change_and_not_too_often() -> None:
    first = issue_of(None, stated((0, 1, 0), as_of=START_MS + MINUTE_MS))
    assert first is not None
    assert (first.state, first.revision) == (StatementState.PROVISIONAL, 0)
    assert issue_of(first, stated((0, 1, 0), as_of=START_MS + DAY_MS)) is None
    assert issue_of(first, stated((0, 2, 0), as_of=START_MS + 2 * MINUTE_MS)) is None
    later = issue_of(first, stated((0, 2, 0), as_of=START_MS + DAY_MS))
    assert later is not None
    assert later.revision == 0


def test_the_final_one_is_told_even_if_it_says_the_same() -> None:
    provisional = issue_of(None, stated((0, 1, 0)))
    final = issue_of(provisional, stated((0, 1, 0), as_of=END_MS + GRACE_MS))
    assert final is not None
    assert (final.state, final.revision) == (StatementState.FINAL, 1)
    assert issue_of(final, stated((0, 1, 0), as_of=END_MS + 2 * GRACE_MS)) is None


def test_a_final_one_that_changes_is_issued_under_the_next_number_with_what_changed() -> None:
    final = issue_of(None, stated((0, 19, 1), as_of=END_MS + GRACE_MS))
    assert final is not None
    corrected = stated((0, 20, 0), as_of=END_MS + 2 * GRACE_MS)
    second = issue_of(final, corrected)
    assert second is not None
    document = issued_document(second, final, corrected)
    assert (document["revision"], document["state"]) == (2, "final")
    assert document["changes"] == [
        {"field": "good", "before": 19, "after": 20},
        {"field": "bad", "before": 1, "after": 0},
    ]
    third = issue_of(second, stated((0, 19, 1), as_of=END_MS + 3 * GRACE_MS))
    assert third is not None
    assert third.revision == 3


def test_what_was_final_stays_final() -> None:
    final = issue_of(None, stated((0, 1, 0), as_of=END_MS + GRACE_MS))
    # As if the grace had been lengthened meanwhile.
    again = issue_of(final, stated((0, 2, 0), as_of=END_MS))
    assert again is not None
    assert (again.state, again.revision) == (StatementState.FINAL, 2)


def test_the_document_says_everything_in_plain_json() -> None:
    found = stated((0, 19, 1)).document()
    assert (found["attained"], found["met"], found["period"], found["promised"]) == (0.95, True, "2026-10", 0.95)
    assert found["budget"]["remaining"] == 0.0
    assert (found["start"], found["timezone"]) == ("2026-09-30T22:00:00.000Z", "Europe/Berlin")
    assert numbers_of(stated((0, 19, 1))) == {"good": 19, "bad": 1, "promised": "19/20", "credit": None}
