"""Statements: what one objective came to in one calendar period, and when that is final.

A statement is *provisional* until its period is over and the grace for late data has passed; then it is *final*. A
final one whose numbers change afterwards (a late event, an adjustment) is issued again under the next revision number;
the former one stays on record by what it said.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import msgspec

from sla.budget import Budget, budget_at, closed_budget
from sla.contract import Period, Window
from sla.credits import Credit, CreditTerms, credit_of
from sla.minute_counts import MinuteSums
from sla.period import CalendarPeriod
from sla.units import MINUTE_MS, format_instant
from sla.window import Span, window_name


class StatementState(StrEnum):
    """Whether a statement can still change without a new revision."""

    PROVISIONAL = "provisional"
    FINAL = "final"


class Counting(StrEnum):
    """What an objective counts."""

    CLOCKS = "clocks"
    """Clocks that were met or breached."""
    TIME_SLICES = "time_slices"
    """Slices of time in which a service was good or bad."""
    REQUEST_RATIO = "request_ratio"
    """Requests that went well or not."""


@dataclass(frozen=True, slots=True)
class StatementTerms:
    """What a statement is about: one objective as it was agreed for the period.

    Attributes
    ----------
    objective : str
        Its id.
    counted_as : str
        Id that its counts go by: of the target, or of the availability objective.
    subject : str
        What is measured: the metric, or the service.
    revision : int
        Revision of the contract that is in force at the end of the period, or was the last one in it.
    window : Window
        Over what the share is promised; a statement may be about another period.
    credits : CreditTerms or None
    """

    objective: str
    counted_as: str
    contract: str
    revision: int
    subject: str
    counting: Counting
    attain: Fraction
    window: Window
    credits: CreditTerms | None = None

    @property
    def timezone(self) -> str:
        """Zone in which its periods begin."""
        return self.window.timezone if self.window.period is not None or self.credits is None else self.credits.timezone

    @property
    def period_kind(self) -> Period:
        """The period statements of it are issued for: its own, that of its credits, or the month."""
        if self.window.period is not None:
            return self.window.period
        return self.credits.period if self.credits is not None else Period.MONTH


@dataclass(frozen=True, slots=True)
class Statement:
    """What one objective came to in one period, as of an instant.

    Attributes
    ----------
    as_of_ms : int
        Up to when events are counted.
    budget : Budget
        Of the period: good and bad events, what is allowed, spent and left.
    credit : Credit or None
        What falls due, or would if the period ended now; None if nothing was agreed, or for another kind of period.
    """

    terms: StatementTerms
    period: CalendarPeriod
    state: StatementState
    as_of_ms: int
    budget: Budget
    credit: Credit | None

    @property
    def span(self) -> Span:
        """The instants the period begins and ends at."""
        return self.budget.span

    @property
    def is_met(self) -> bool | None:
        """Whether as much was attained as promised; None without an event."""
        return None if not self.budget.events else self.budget.good >= self.terms.attain * self.budget.events

    @property
    def is_of_promised_period(self) -> bool:
        """Whether the share is promised over periods of this kind; else it is stated here for comparison."""
        return self.terms.window.period is self.period.kind

    def document(self) -> dict[str, Any]:
        """Return the public JSON document: instants in RFC 3339, shares as numbers, absent is null."""
        terms, budget = self.terms, self.budget
        return {
            "objective": terms.objective,
            "contract": terms.contract,
            "contract_revision": terms.revision,
            "subject": terms.subject,
            "counting": terms.counting.value,
            "counted_as": terms.counted_as,
            "period": self.period.name,
            "start": format_instant(self.span.start_ms),
            "end": format_instant(self.span.end_ms),
            "timezone": terms.timezone,
            "state": self.state.value,
            "as_of": format_instant(self.as_of_ms),
            "promised": float(terms.attain),
            "promised_over": window_name(terms.window),
            "good": budget.good,
            "bad": budget.bad,
            "attained": _float(budget.attained_ratio),
            "met": self.is_met,
            "budget": {
                "allowed_events": float(budget.allowed_events),
                "remaining_events": float(budget.remaining_events),
                "spent": _float(budget.spent_ratio),
                "remaining": _float(budget.remaining_ratio),
                "allowed_minutes": float(budget.allowed_minutes),
                "remaining_minutes": _float(budget.remaining_minutes),
                "estimated": budget.is_estimated,
            },
            "credit": None if self.credit is None else self.credit.document(),
        }


def statement_of(
    terms: StatementTerms,
    period: CalendarPeriod,
    counts: MinuteSums,
    as_of_ms: int,
    grace_ms: int,
    observed_from_ms: int = 0,
) -> Statement:
    """Return the statement of one objective for one period.

    Parameters
    ----------
    counts : MinuteSums
        Good and bad events by minute, of the period and, while it runs, of as much time before now as it is long.
    as_of_ms : int
        Up to when everything is known.
    grace_ms : int
        How long after its end a period stays open for late data.
    observed_from_ms : int
        Since when events are counted: what is expected of a running period is estimated from then on.
    """
    span = period.span(terms.timezone)
    if as_of_ms >= span.end_ms:
        budget = closed_budget(terms.attain, span, counts)
    else:
        now_ms = max(as_of_ms - as_of_ms % MINUTE_MS, span.start_ms)
        window = Window(None, period.kind, terms.timezone)
        # Up to the end of the minute that runs: an event of it is decided, and counts.
        budget = budget_at(terms.attain, window, counts, min(now_ms + MINUTE_MS, span.end_ms - 1), observed_from_ms)
    agreed = terms.credits
    credit = None
    if agreed is not None and agreed.period is period.kind:
        breached = budget.bad if terms.counting is Counting.CLOCKS else 0
        credit = credit_of(agreed, budget.good, budget.bad, breached)
    state = StatementState.FINAL if as_of_ms >= span.end_ms + grace_ms else StatementState.PROVISIONAL
    return Statement(terms, period, state, as_of_ms, budget, credit)


class Issue(msgspec.Struct, frozen=True, gc=False):
    """What was last published of a statement: enough to tell whether, and as what, it is published again.

    Attributes
    ----------
    revision : int
        0 while provisional; 1 for the first final one, then one more per change.
    numbers : dict
        What it said, see :func:`numbers_of`.
    """

    objective: str
    period: str
    state: StatementState
    revision: int
    at_ms: int
    numbers: dict[str, Any]


def numbers_of(statement: Statement) -> dict[str, Any]:
    """Return what must not change in silence: events, what was promised, what falls due."""
    credit = statement.credit
    return {
        "good": statement.budget.good,
        "bad": statement.budget.bad,
        "promised": str(statement.terms.attain),
        "credit": None if credit is None else str(credit.amount),
    }


def next_issue(last: Issue | None, statement: Statement, provisional_every_ms: int) -> Issue | None:
    """Return what has to be published now, or None if nothing has.

    Parameters
    ----------
    last : Issue or None
        What was published before.
    provisional_every_ms : int
        Provisional numbers are told at most this often.
    """
    numbers = numbers_of(statement)
    is_final = statement.state is StatementState.FINAL or (last is not None and last.state is StatementState.FINAL)
    if last is not None and last.numbers == numbers and (last.state is StatementState.FINAL) == is_final:
        return None
    if not is_final:
        if last is not None and statement.as_of_ms < last.at_ms + provisional_every_ms:
            return None
        revision = 0
    else:
        revision = 1 if last is None else last.revision + 1
    return Issue(
        statement.terms.objective,
        statement.period.name,
        StatementState.FINAL if is_final else StatementState.PROVISIONAL,
        revision,
        statement.as_of_ms,
        numbers,
    )


def issued_document(issue: Issue, last: Issue | None, statement: Statement) -> dict[str, Any]:
    """Return the document of a statement as it is published: with its revision, and what it changes in the last one."""
    changes: list[dict[str, Any]] = []
    if last is not None and last.state is StatementState.FINAL:
        changes = [
            {"field": name, "before": last.numbers.get(name), "after": after}
            for name, after in issue.numbers.items()
            if last.numbers.get(name) != after
        ]
    return {**statement.document(), "state": issue.state.value, "revision": issue.revision, "changes": changes}


def _float(ratio: Fraction | None) -> float | None:
    return None if ratio is None else float(ratio)
