"""What the outside is told about clocks, and what it was told last: verdicts, their buckets, alerts.

A clock remembers what was told about it, so that each step tells the difference and nothing twice; what fails has not
been told.
"""

from __future__ import annotations

from typing import Final

from sla import clock as clocks
from sla.alerting import SEVERITY, clock_alert
from sla.attribution import endangered
from sla.buckets import Buckets
from sla.calendar import WorkCalendar
from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Clock, Phase, Published
from sla.contract import Target
from sla.outcome import Alert, AlertKind, AlertState, Result, Verdict
from sla.published_terms import PublishedTerms, Terms
from sla.register import Register
from sla.step import Outcome
from sla.ticket import Ticket

# Members of an IntEnum are slow to get at.
_PAUSED: Final = int(Phase.PAUSED)

_ALERTS: Final = ((AT_RISK_FIRING, AlertKind.TICKET_AT_RISK), (BREACHED_FIRING, AlertKind.TICKET_BREACHED))


class Telling:
    """Tells what changed about the clocks of one partition.

    Parameters
    ----------
    outcome : Outcome
        Of the running step: receives what is told.
    settle_ms : int
        A breach is declared this long after its deadline.
    """

    def __init__(self, buckets: Buckets, terms: PublishedTerms, outcome: Outcome, settle_ms: int) -> None:
        self.outcome = outcome
        self._buckets = buckets
        self._terms = terms
        self._settle_ms = settle_ms

    def publish(self, clock: Clock, target: Target, verdict: Verdict, now_ms: int) -> None:
        """Tell a verdict that is new, or that differs from the one told before."""
        before = clock.published
        clock.published = after = Published(
            verdict.result.value,
            verdict.deadline_ms,
            verdict.stop_ms,
            verdict.consumed_ms,
            verdict.start_ms,
            verdict.revision,
            verdict.attribution,
        )
        moved = before is None or (before.result, before.decided_at_ms) != (after.result, after.decided_at_ms)
        if moved:
            if before is not None:
                self._buckets.add(target.id, before.result, before.decided_at_ms, -1, now_ms)
                self.outcome.counts["corrections"] += 1
            self._buckets.add(target.id, after.result, after.decided_at_ms, 1, now_ms)
            self.outcome.counts[f"verdict:{target.contract}:{target.id}:{verdict.result.value}"] += 1
        self._terms.note(target)
        self.outcome.verdicts.append((verdict, moved and before is not None))

    def take_back(self, clock: Clock, ticket_id: str, told: Published, now_ms: int) -> None:
        """Take a verdict back: the clock is open again, or never was."""
        clock.published = None
        self._buckets.add(clock.target_id, told.result, told.decided_at_ms, -1, now_ms)
        self.outcome.counts["corrections"] += 1
        terms = self._terms.get(clock.target_id, told.revision)
        self.outcome.verdicts.append((_retraction(ticket_id, clock, terms, told), True))

    def alert(
        self,
        clock: Clock,
        target: Target,
        calendar: WorkCalendar,
        ticket_id: str,
        ticket: Ticket,
        register: Register,
        now_ms: int,
    ) -> None:
        """Tell which alerts about a clock fire and which are over, where that differs from what was told."""
        firing = 0
        level = 0
        if clock.phase <= _PAUSED:
            level, clock_warn_ms = clocks.warn_level_at(clock, target, calendar, now_ms)
            if clock.phase != _PAUSED:
                clock.level, clock.warn_ms = level, clock_warn_ms
            firing = (AT_RISK_FIRING if level else 0) | (
                BREACHED_FIRING if clocks.has_breached(clock, now_ms, self._settle_ms) else 0
            )
        rises = level > clock.alerted_level
        if firing == clock.alerts and not rises:
            return
        before = clock.alerts
        endangers = endangered(ticket, clock, target, register) if firing else ()
        if firing:
            clock.alerted_level = max(level, clock.alerted_level)
        alerts: list[Alert] = []
        for bit, kind in _ALERTS:
            is_firing, was_firing = bool(firing & bit), bool(before & bit)
            if is_firing != was_firing or (is_firing and rises and bit == AT_RISK_FIRING):
                state = AlertState.FIRING if is_firing else AlertState.RESOLVED
                alerts.append(clock_alert(kind, state, clock, target, ticket_id, ticket.attributes, now_ms, endangers))
        # Not before every one of them stands: what fails has not been told.
        self.outcome.alerts += alerts
        clock.alerts = firing
        if not firing:
            clock.alerted_level = 0

    def retract(self, ticket_id: str, dropped: list[Clock], now_ms: int) -> None:
        """Take back whatever was told about clocks that never were."""
        for clock in dropped:
            if clock.published is not None:
                self.take_back(clock, ticket_id, clock.published, now_ms)
            for bit, kind in _ALERTS:
                if clock.alerts & bit:
                    clock_id = f"{ticket_id}:{clock.target_id}:{clock.cycle}"
                    self.outcome.alerts.append(
                        Alert(
                            id=f"{kind.value}/{clock_id}",
                            kind=kind,
                            state=AlertState.RESOLVED,
                            severity=SEVERITY[kind],
                            at_ms=now_ms,
                            labels={"alertname": kind.value, "ticket_id": ticket_id, "target": clock.target_id},
                            annotations={
                                "clock_id": clock_id,
                                "summary": f"{clock_id}: the clock does not apply any more",
                            },
                        )
                    )


def _retraction(ticket_id: str, clock: Clock, terms: Terms | None, published: Published) -> Verdict:
    return Verdict(
        ticket=ticket_id,
        contract=terms.contract if terms else "",
        target=clock.target_id,
        metric=terms.metric if terms else "",
        revision=published.revision,
        cycle=clock.cycle,
        result=Result.RETRACTED,
        start_ms=published.start_ms,
        deadline_ms=published.deadline_ms,
        stop_ms=published.stop_ms,
        decided_at_ms=published.decided_at_ms,
        target_ms=_allowance_of(clock, terms, published),
        consumed_ms=published.consumed_ms,
        elapsed_ms=0,
    )


def _allowance_of(clock: Clock, terms: Terms | None, published: Published) -> int:
    """Return what the clock of a verdict that is taken back might consume: its own allowance, or its target's."""
    if clock.allowance_ms is not None and clock.revision == published.revision:
        return clock.allowance_ms
    return terms.target_ms if terms else 0
