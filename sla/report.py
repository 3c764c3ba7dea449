"""Reports: statements of a period with what stands behind them, for people who have to answer for an agreement."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from sla.adjustment import Adjustment
from sla.contract import ContractType
from sla.credits import totals
from sla.money import Money
from sla.outcome import Share, Verdict, shares_document
from sla.period import CalendarPeriod
from sla.statement import Statement
from sla.units import format_instant
from sla.watermelon import WatermelonIndex


class TrendPoint(NamedTuple):
    """One period in the course of several.

    Attributes
    ----------
    attained : Fraction or None
        None without an event: a gap, not a good period.
    """

    period: CalendarPeriod
    good: int
    bad: int
    attained: Fraction | None
    is_met: bool | None


class DayCounts(NamedTuple):
    """One day of a period.

    Attributes
    ----------
    start_ms : int
        Its first instant in the objective's zone, UTC epoch ms.
    is_seen : bool
        Whether it had begun when the report was made.
    """

    start_ms: int
    good: int
    bad: int
    is_seen: bool


class Breach(NamedTuple):
    """One breached clock.

    Attributes
    ----------
    cause : str or None
        The party that held the ticket for most of the time that counted; None where nobody knows who held it.
    cause_ratio : float or None
        Its share of the time that counted.
    """

    verdict: Verdict
    shares: tuple[Share, ...]
    cause: str | None
    cause_ratio: float | None

    @property
    def over_ms(self) -> int | None:
        """How much more was consumed than allowed; None of a clock that still runs."""
        return None if self.verdict.stop_ms is None else self.verdict.consumed_ms - self.verdict.target_ms

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        verdict = self.verdict
        return {
            "clock_id": verdict.clock_id,
            "ticket": verdict.ticket,
            "start": format_instant(verdict.start_ms),
            "deadline": format_instant(verdict.deadline_ms),
            "stop": None if verdict.stop_ms is None else format_instant(verdict.stop_ms),
            "decided_at": format_instant(verdict.decided_at_ms),
            "target_seconds": verdict.target_ms / 1000,
            "consumed_seconds": verdict.consumed_ms / 1000,
            "over_seconds": None if self.over_ms is None else self.over_ms / 1000,
            "cause": self.cause,
            "cause_ratio": self.cause_ratio,
            **shares_document(self.shares),
        }


class PartySum(NamedTuple):
    """What one party has to do with the breaches of a period.

    Attributes
    ----------
    breaches : int
        Of how many it is the cause.
    counted_ms, paused_ms : int
        How long it held the tickets of all breaches: time that counted, and time that would have, without pauses.
    """

    party: str
    breaches: int
    counted_ms: int
    paused_ms: int


class Correction(NamedTuple):
    """A verdict that was published and changed.

    Attributes
    ----------
    after : Verdict or None
        What holds now; None if the clock turned out never to have been.
    """

    before: Verdict
    after: Verdict | None

    def document(self) -> dict[str, Any]:
        """Return the JSON form."""
        after = self.after
        return {
            "clock_id": self.before.clock_id,
            "before": {"outcome": self.before.result.value, "decided_at": format_instant(self.before.decided_at_ms)},
            "after": None
            if after is None
            else {"outcome": after.result.value, "decided_at": format_instant(after.decided_at_ms)},
        }


@dataclass(frozen=True, slots=True)
class ObjectiveReport:
    """One objective in one period.

    Attributes
    ----------
    issued_revision : int or None
        Revision number under which the statement was published; None if none was, as in a backtest.
    issued_matches : bool
        Whether what was published as final says the same; provisional numbers may be an hour old.
    trend : tuple of TrendPoint
        Earlier periods and this one, the oldest first.
    days : tuple of DayCounts
        Of the period.
    breaches : tuple of Breach
        By deadline.
    open_clocks : int or None
        Clocks that run or are paused at the instant of the report; they can still be breached. None: not known.
    """

    statement: Statement
    issued_revision: int | None = None
    issued_matches: bool = True
    trend: tuple[TrendPoint, ...] = ()
    days: tuple[DayCounts, ...] = ()
    breaches: tuple[Breach, ...] = ()
    parties: tuple[PartySum, ...] = ()
    corrections: tuple[Correction, ...] = ()
    open_clocks: int | None = None
    watermelon: WatermelonIndex | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is more to say of it than that there is no data."""
        return (
            self.statement.budget.events > 0
            or bool(self.open_clocks)
            or any(point.good + point.bad for point in self.trend)
        )

    @property
    def is_watermelon(self) -> bool:
        """Whether it is attained and its requesters are not content."""
        return self.watermelon is not None and self.watermelon.is_watermelon(is_green=self.statement.is_met is True)

    def document(self) -> dict[str, Any]:
        """Return the JSON form: the statement's, with what stands behind it."""
        return {
            **self.statement.document(),
            "revision": self.issued_revision,
            "issued_matches": self.issued_matches,
            "open_clocks": self.open_clocks,
            "trend": [
                {
                    "period": point.period.name,
                    "good": point.good,
                    "bad": point.bad,
                    "attained": None if point.attained is None else float(point.attained),
                    "met": point.is_met,
                }
                for point in self.trend
            ],
            "breaches": [breach.document() for breach in self.breaches],
            "parties": [
                {
                    "party": party.party,
                    "breaches": party.breaches,
                    "counted_seconds": party.counted_ms / 1000,
                    "paused_seconds": party.paused_ms / 1000,
                }
                for party in self.parties
            ],
            "corrections": [correction.document() for correction in self.corrections],
            "watermelon": None
            if self.watermelon is None
            else {**self.watermelon.document(), "green_and_unhappy": self.is_watermelon},
        }


@dataclass(frozen=True, slots=True)
class ContractReport:
    """The objectives of one contract."""

    id: str
    type: ContractType
    provider: str
    owner: str
    objectives: tuple[ObjectiveReport, ...]

    @property
    def with_news(self) -> tuple[ObjectiveReport, ...]:
        """Those that there is something to say of."""
        return tuple(objective for objective in self.objectives if objective.has_news)

    @property
    def silent(self) -> tuple[str, ...]:
        """Ids of the others."""
        return tuple(objective.statement.terms.objective for objective in self.objectives if not objective.has_news)


@dataclass(frozen=True, slots=True)
class Report:
    """A report on one period.

    Attributes
    ----------
    as_of_ms : int
        Up to when events are counted.
    adjustments : tuple of Adjustment
        Maintenance and corrections of services that touch the period, revoked ones included.
    source : str
        Where the numbers come from, in a few words for people.
    """

    period: CalendarPeriod
    as_of_ms: int
    contracts: tuple[ContractReport, ...]
    adjustments: tuple[Adjustment, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def objectives(self) -> tuple[ObjectiveReport, ...]:
        """All objectives, by contract."""
        return tuple(objective for contract in self.contracts for objective in contract.objectives)

    @property
    def credits_due(self) -> list[Money]:
        """Sums of all credits, one per currency."""
        return totals(found.statement.credit for found in self.objectives if found.statement.credit is not None)

    def document(self) -> dict[str, Any]:
        """Return the JSON document of the report."""
        return {
            "version": 1,
            "period": self.period.name,
            "as_of": format_instant(self.as_of_ms),
            "source": self.source,
            "credits_due": [money.document() for money in self.credits_due],
            "contracts": [
                {
                    "contract": contract.id,
                    "type": contract.type.value,
                    "provider": contract.provider,
                    "owner": contract.owner,
                    "objectives": [objective.document() for objective in contract.objectives],
                }
                for contract in self.contracts
            ],
            "adjustments": [adjustment_document(adjustment) for adjustment in self.adjustments],
            "notes": list(self.notes),
        }


def adjustment_document(adjustment: Adjustment) -> dict[str, Any]:
    """Return what an audit asks of an adjustment: what it changed, who decided it, when and why."""
    return {
        "id": adjustment.id,
        "kind": adjustment.kind.value,
        "service": adjustment.service,
        "start": format_instant(adjustment.start_ms),
        "end": format_instant(adjustment.end_ms),
        "recurs": None if adjustment.recurrence is None else adjustment.recurrence.rule,
        "counts_as": adjustment.counts_as.value,
        "recorded_at": format_instant(adjustment.recorded_at_ms),
        "recorded_by": adjustment.recorded_by,
        "reason": adjustment.reason,
        "reference": adjustment.reference,
        "revoked": adjustment.revoked,
    }


def cause_of(shares: tuple[Share, ...]) -> tuple[str | None, float | None]:
    """Return the party that used up most of the time that counted, and its share; ties go by name."""
    total_ms = sum(share.counted_ms for share in shares)
    if not total_ms:
        return None, None
    most = min(shares, key=lambda share: (-share.counted_ms, share.party))
    return most.party, most.counted_ms / total_ms
