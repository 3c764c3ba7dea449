"""Builds reports from what was decided: verdicts, minute counts of services, what requesters went through.

The same rules as everywhere: a verdict is placed by its ``decided_at``, only met and breached ones count, shares are
sums divided once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from sla.adjustment import Adjustment
from sla.errors import UnitError
from sla.experience import Experience
from sla.minute_counts import MinuteColumn
from sla.outcome import Result, Share, Verdict
from sla.period import CalendarPeriod, parse_period
from sla.register import Register
from sla.report import (
    Breach,
    ContractReport,
    Correction,
    DayCounts,
    ObjectiveReport,
    PartySum,
    Report,
    TrendPoint,
    cause_of,
)
from sla.statement import Counting, Statement, StatementTerms, statement_of
from sla.statement_terms import terms_of
from sla.units import MINUTE_MS, datetime_of, ms_of
from sla.watermelon import watermelon_index

TREND_PERIODS: Final = 6
"""Periods of the trend, this one included."""

ClockKey = tuple[str, str, int]
"""Ticket, target and cycle of a clock."""

_COUNTED: Final = frozenset({Result.MET, Result.BREACHED})


def key_of(verdict: Verdict) -> ClockKey:
    """Return what identifies the clock of a verdict."""
    return verdict.ticket, verdict.target, verdict.cycle


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is made of.

    Attributes
    ----------
    verdicts : sequence of Verdict
        Those in force, one per clock.
    as_of_ms : int
        Up to when everything is known.
    observed_from_ms : int
        Since when events are known at all.
    corrections : sequence of Correction
    experiences : mapping of ClockKey to Experience
        Of the clocks whose events are known.
    open_clocks : mapping of str to int, or None
        Clocks without a verdict, by target; None: not known.
    service_minutes : mapping of str to dict
        By service: good and bad counts by minute (UTC epoch ms).
    service_opinions : mapping of str to sequence of (at_ms, satisfaction)
        Feedback on services: when it was given (UTC epoch ms), and how content it says, 0..1.
    issued : mapping of (objective, period name) to (revision, good, bad)
        Statements as they were published last.
    source : str
        Where all this comes from, for people.
    """

    verdicts: Sequence[Verdict]
    as_of_ms: int
    observed_from_ms: int
    corrections: Sequence[Correction] = ()
    experiences: Mapping[ClockKey, Experience] = field(default_factory=dict)
    open_clocks: Mapping[str, int] | None = None
    service_minutes: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)
    service_opinions: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    issued: Mapping[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)
    source: str = ""


class ReportBuilder:
    """Builds reports over one set of facts; several periods share its sums.

    Parameters
    ----------
    register : Register
    facts : Facts
    grace_ms : int
        How long after its end a period stays provisional.
    """

    def __init__(self, register: Register, facts: Facts, grace_ms: int) -> None:
        self._register = register
        self._facts = facts
        self._grace_ms = grace_ms
        self._verdicts: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in facts.verdicts:
            if verdict.result in _COUNTED:
                self._verdicts[verdict.target].append(verdict)
        for of_target in self._verdicts.values():
            of_target.sort(key=lambda verdict: (verdict.decided_at_ms, verdict.ticket, verdict.cycle))
        self._columns: dict[str, MinuteColumn] = {}

    def build(self, period: CalendarPeriod, contract_ids: Sequence[str] = ()) -> Report:
        """Return the report on a period.

        Parameters
        ----------
        contract_ids : sequence of str
            Only these contracts; empty: all that have an objective in the period.
        """
        contracts = []
        for contract in sorted(self._register.contracts.values(), key=lambda contract: contract.id):
            if contract_ids and contract.id not in contract_ids:
                continue
            found = tuple(self._objective(promise, period) for promise in terms_of(contract, period))
            if found:
                contracts.append(ContractReport(contract.id, contract.type, contract.provider, contract.owner, found))
        return Report(
            period=period,
            as_of_ms=self._facts.as_of_ms,
            contracts=tuple(contracts),
            adjustments=tuple(self._adjustments(contracts)),
            source=self._facts.source,
        )

    def _objective(self, promise: StatementTerms, period: CalendarPeriod) -> ObjectiveReport:
        facts = self._facts
        statement = self._statement(promise, period)
        span = statement.span
        decided = [
            v for v in self._verdicts.get(promise.counted_as, ()) if span.start_ms <= v.decided_at_ms < span.end_ms
        ]
        if promise.counting is not Counting.CLOCKS:
            decided = []
        breaches = tuple(self._breach(verdict) for verdict in decided if verdict.result is Result.BREACHED)
        known = [facts.experiences[key] for verdict in decided if (key := key_of(verdict)) in facts.experiences]
        opinions: list[float] = []
        if promise.counting is not Counting.CLOCKS:
            given = facts.service_opinions.get(promise.subject, ())
            opinions = [satisfaction for at_ms, satisfaction in given if span.start_ms <= at_ms < span.end_ms]
        issued = facts.issued.get((promise.objective, period.name))
        budget = statement.budget
        return ObjectiveReport(
            statement=statement,
            issued_revision=None if issued is None else issued[0],
            issued_matches=issued is None or not issued[0] or issued[1:] == (budget.good, budget.bad),
            trend=tuple(self._trend(promise, period)),
            days=tuple(self._days(promise, statement)),
            breaches=breaches,
            parties=_parties(breaches),
            corrections=tuple(
                correction
                for correction in facts.corrections
                if correction.before.target == promise.counted_as
                and (_lies_in(correction.before, span) or _lies_in(correction.after, span))
            ),
            open_clocks=None if facts.open_clocks is None else facts.open_clocks.get(promise.counted_as, 0),
            watermelon=watermelon_index(known, opinions) if known or opinions else None,
        )

    def _statement(self, promise: StatementTerms, period: CalendarPeriod) -> Statement:
        return statement_of(
            promise,
            period,
            self._column(promise),
            self._facts.as_of_ms,
            self._grace_ms,
            self._facts.observed_from_ms,
        )

    def _column(self, promise: StatementTerms) -> MinuteColumn:
        column = self._columns.get(promise.objective)
        if column is None:
            column = self._columns[promise.objective] = MinuteColumn(self._minutes(promise))
        return column

    def _minutes(self, promise: StatementTerms) -> list[tuple[int, int, int]]:
        if promise.counting is not Counting.CLOCKS:
            told = self._facts.service_minutes.get(promise.subject)
            if told is None:
                return self._issued_minutes(promise)
            return [(minute_ms, good, bad) for minute_ms, (good, bad) in sorted(told.items())]
        counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for verdict in self._verdicts.get(promise.counted_as, ()):
            minute_ms = verdict.decided_at_ms - verdict.decided_at_ms % MINUTE_MS
            counts[minute_ms][verdict.result is Result.BREACHED] += 1
        return [(minute_ms, good, bad) for minute_ms, (good, bad) in sorted(counts.items())]

    def _issued_minutes(self, promise: StatementTerms) -> list[tuple[int, int, int]]:
        """Return what published statements say of a service, each at the first minute of its period."""
        return sorted(
            (parse_period(name).span(promise.timezone).start_ms, good, bad)
            for (objective, name), (_, good, bad) in self._facts.issued.items()
            if objective == promise.objective and parse_period(name).kind is promise.period_kind
        )

    def _trend(self, promise: StatementTerms, period: CalendarPeriod) -> Iterator[TrendPoint]:
        for back in range(TREND_PERIODS - 1, -1, -1):
            try:
                earlier = period.shifted(-back)
            except UnitError:
                continue
            span = earlier.span(promise.timezone)
            if span.end_ms <= self._facts.observed_from_ms and back:
                continue  # before anything was observed: nothing was missed there, and nothing attained
            found = self._column(promise).sums(span.start_ms, span.end_ms)
            attained = Fraction(found.good, found.events) if found.events else None
            yield TrendPoint(
                earlier, found.good, found.bad, attained, None if attained is None else attained >= promise.attain
            )

    def _days(self, promise: StatementTerms, statement: Statement) -> Iterator[DayCounts]:
        column, span = self._column(promise), statement.span
        if promise.counting is not Counting.CLOCKS and promise.subject not in self._facts.service_minutes:
            return  # only whole periods are known
        bounds = list(_midnights(span.start_ms, span.end_ms, promise.timezone))
        for start_ms, end_ms in zip(bounds, [*bounds[1:], span.end_ms], strict=True):
            found = column.sums(start_ms, end_ms)
            yield DayCounts(start_ms, found.good, found.bad, start_ms <= self._facts.as_of_ms)

    def _breach(self, verdict: Verdict) -> Breach:
        shares: tuple[Share, ...] = verdict.parties
        if not shares:
            experience = self._facts.experiences.get(key_of(verdict))
            shares = () if experience is None else experience.parties
        return Breach(verdict, shares, *cause_of(shares))

    def _adjustments(self, contracts: Iterable[ContractReport]) -> Iterator[Adjustment]:
        services = {
            objective.statement.terms.subject: objective.statement.span
            for contract in contracts
            for objective in contract.objectives
            if objective.statement.terms.counting is not Counting.CLOCKS
        }
        for service, span in sorted(services.items()):
            for adjustment in self._register.adjustments_of(service):
                # Revoked ones are shown, too: an audit asks what was taken back.
                told = msgspec.structs.replace(adjustment, revoked=False)
                if any(True for _ in told.intervals(span.start_ms, span.end_ms)):
                    yield adjustment


def _lies_in(verdict: Verdict | None, span: tuple[int, int]) -> bool:
    return verdict is not None and span[0] <= verdict.decided_at_ms < span[1]


def _midnights(start_ms: int, end_ms: int, timezone: str) -> Iterator[int]:
    """Yield the first instant of every local day of a span."""
    zone = ZoneInfo(timezone)
    day = datetime_of(start_ms).astimezone(zone).date()
    at_ms = start_ms
    while at_ms < end_ms:
        yield at_ms
        day += timedelta(days=1)
        at_ms = ms_of(datetime(day.year, day.month, day.day, tzinfo=zone))


def _parties(breaches: Iterable[Breach]) -> tuple[PartySum, ...]:
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for breach in breaches:
        if breach.cause is not None:
            sums[breach.cause][0] += 1
        for share in breach.shares:
            sums[share.party][1] += share.counted_ms
            sums[share.party][2] += share.paused_ms
    found = (PartySum(party, *counts) for party, counts in sums.items())
    return tuple(sorted(found, key=lambda of: (-of.breaches, -of.counted_ms, of.party)))
