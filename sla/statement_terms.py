"""Which terms a statement goes by: those of the last revision that is in force in its period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sla.availability import Availability
from sla.contract import Contract, Target
from sla.credits import in_force
from sla.period import CalendarPeriod
from sla.statement import Counting, StatementTerms

Promised = Target | Availability
"""What carries an objective."""


def objectives_of(contract: Contract) -> Mapping[str, Sequence[Promised]]:
    """Return the objectives of a contract by id, each with its revisions in the order in which they take effect."""
    found: dict[str, list[Promised]] = defaultdict(list)
    promised: list[Promised] = [*contract.targets, *contract.availabilities]
    for each in sorted(promised, key=lambda of: (of.effective_from_ms, of.revision)):
        if each.objective is not None:
            found[each.objective.id].append(each)
    return dict(sorted(found.items()))


def terms_of(contract: Contract, period: CalendarPeriod) -> Iterator[StatementTerms]:
    """Yield the terms of every objective of a contract that is promised in a period, by id."""
    for revisions in objectives_of(contract).values():
        terms = terms_in(contract, revisions, period)
        if terms is not None:
            yield terms


def terms_in(contract: Contract, revisions: Sequence[Promised], period: CalendarPeriod) -> StatementTerms | None:
    """Return the terms of one objective in a period; None if no revision is in force in it.

    Parameters
    ----------
    revisions : sequence
        Those of the objective, as :func:`objectives_of` has them.
    """
    for promised in reversed(revisions):
        terms = _terms(contract, promised, period)
        span = period.span(terms.timezone)
        if promised.effective_from_ms < span.end_ms and promised.effective_until_ms > span.start_ms:
            return terms
    return None


def newest_terms(contract: Contract, revisions: Sequence[Promised]) -> StatementTerms:
    """Return the terms of the newest revision, with the newest credits: they say for which periods there are any."""
    return _terms(contract, revisions[-1], None)


def _terms(contract: Contract, promised: Promised, period: CalendarPeriod | None) -> StatementTerms:
    objective = promised.objective
    assert objective is not None
    if isinstance(promised, Target):
        subject, counting = promised.metric, Counting.CLOCKS
    else:
        subject, counting = promised.service, Counting(promised.kind.value)
    span = (promised.effective_from_ms, promised.effective_until_ms)
    if period is not None:
        span = period.span(objective.window.timezone)
    return StatementTerms(
        objective=objective.id,
        counted_as=promised.id,
        contract=contract.id,
        revision=promised.revision,
        subject=subject,
        counting=counting,
        attain=objective.attain,
        window=objective.window,
        # Credits per breach may be agreed for the target itself.
        credits=in_force(contract.credits, objective.id, *span) or in_force(contract.credits, promised.id, *span),
    )
