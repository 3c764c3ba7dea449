"""The simulated service desk: the way of each ticket through teams with limited people.

A discrete-event simulation: a heap of (instant, action). Nothing is told for another instant than that of the action
under way, so the events come out in the order of time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from sla import events as words
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, datetime_of
from sources.record import FieldValue, SourceEvent
from sources.simulator import model
from sources.simulator.demand import Demand, Outage, outage_of_day
from sources.simulator.draws import Choice, Draws
from sources.simulator.team import TeamState
from sources.simulator.ticket import SimulatedTicket

_SHIFT_TICK_MS = 15 * MINUTE_MS
_SERVICES = Choice([(service, service.weight) for service in model.SERVICES])
_SECOND_LINES = tuple(sorted({service.team for service in model.SERVICES}))
_OVER = frozenset({words.RESOLVED, words.CANCELLED})


class Desk:
    """The simulation; iterate it once.

    Parameters
    ----------
    seed : int
        Same seed and parameters, same events.
    warm_up_ms, start_ms, end_ms : int
        The desk works from ``warm_up_ms``; of the tickets before ``start_ms`` only those still open then are told, with
        their history; nothing at or after ``end_ms`` is.
    rate_scale : float
        Demand and staff relative to ``model.TICKETS_PER_WORKDAY``, > 0.
    """

    def __init__(self, seed: int, *, warm_up_ms: int, start_ms: int, end_ms: int, rate_scale: float) -> None:
        self._draws = Draws(seed)
        self._warm_up_ms = warm_up_ms
        self._start_ms = start_ms
        self._end_ms = end_ms
        self._now_ms = warm_up_ms
        self._rate_scale = rate_scale
        self._ticket_prefix = f"SIM-{datetime_of(start_ms):%y%m%d}-{seed}"
        self._tickets = 0
        self._actions: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._scheduled = 0
        self._teams = {team.name: TeamState(team, rate_scale, self._draws) for team in model.TEAMS}
        self._demands = {region.name: Demand(region, rate_scale) for region in model.REGIONS}
        self._open_at_start: dict[str, SimulatedTicket] = {}
        self._out: list[SourceEvent] = []

    def __iter__(self) -> Iterator[SourceEvent]:
        """Yield all events in the order of :attr:`SourceEvent.order`."""
        for region in model.REGIONS:
            self._await_arrival(region)
        self._at(self._warm_up_ms, self._tick_shifts, None)
        # Days are counted from the start: the first one told has its outage, however long the warm-up is.
        self._at(self._start_ms - (self._start_ms - self._warm_up_ms) // DAY_MS * DAY_MS, self._begin_day, None)
        is_warm = False
        while True:
            at_ms, _, act, subject = heapq.heappop(self._actions)  # never empty: the shifts tick on
            if at_ms > self._now_ms:
                yield from self._told()
            if not is_warm and at_ms >= self._start_ms:
                is_warm = True
                yield from self._histories()
            if at_ms >= self._end_ms:
                return
            self._now_ms = at_ms
            act(subject)

    def _told(self) -> list[SourceEvent]:
        """Return the events of the instant just done, in order, and forget them."""
        told, self._out = self._out, []
        told.sort(key=lambda event: event.order)
        return told

    def _histories(self) -> list[SourceEvent]:
        """Return the histories of the tickets open at the start, in order."""
        told = [event for ticket in self._open_at_start.values() for event in ticket.history or ()]
        for ticket in self._open_at_start.values():
            ticket.history = None
        self._open_at_start.clear()
        told.sort(key=lambda event: event.order)
        return told

    def _at(self, at_ms: int, act: Callable[[Any], None], subject: object) -> None:
        self._scheduled += 1
        heapq.heappush(self._actions, (at_ms, self._scheduled, act, subject))

    def _after(self, minutes: float, act: Callable[[Any], None], subject: object) -> None:
        self._at(self._now_ms + max(1, int(minutes * MINUTE_MS)), act, subject)

    def _tell(self, ticket: SimulatedTicket, event: str, **changes: FieldValue | None) -> None:
        told = SourceEvent(ticket.id, self._now_ms, f"{ticket.id}/{ticket.told}", event, ticket.told, changes)
        ticket.told += 1
        if ticket.is_forgotten:
            return
        if self._now_ms >= self._start_ms:
            self._out.append(told)
        elif event in _OVER:
            ticket.is_forgotten = True
            ticket.history = None
            self._open_at_start.pop(ticket.id, None)
        elif ticket.history is None:
            ticket.history = [told]
            self._open_at_start[ticket.id] = ticket
        else:
            ticket.history.append(told)

    # --- demand ---

    def _await_arrival(self, region: model.Region) -> None:
        self._at(self._demands[region.name].next_arrival_ms(self._now_ms, self._draws), self._arrive, region)

    def _arrive(self, region: model.Region) -> None:
        self._await_arrival(region)
        service = self._draws.choose(_SERVICES)
        priority, channel = self._draws.choose(service.priorities), self._draws.choose(model.CHANNELS)
        ticket = self._open(service, priority, region, region.desk, channel=channel)
        if self._draws.happens(model.OVERLOOKED):
            minutes = self._draws.lognormal(ticket.priority.overlooked_minutes, model.SIGMA)
            self._after(minutes, self._queue, ticket)
        else:
            self._queue(ticket)

    def _open(
        self, service: model.Service, priority: str, region: model.Region, team: str, **more: FieldValue
    ) -> SimulatedTicket:
        self._tickets += 1
        ticket = SimulatedTicket(f"{self._ticket_prefix}-{self._tickets:05d}", service, priority, team, self._now_ms)
        self._tell(
            ticket,
            words.CREATED,
            service=service.name,
            priority=priority,
            customer=self._draws.choose(model.CUSTOMERS),
            region=region.name,
            team=team,
            status="new",
            synthetic=True,
            **more,
        )
        return ticket

    def _begin_day(self, _: None) -> None:
        self._at(self._now_ms + DAY_MS, self._begin_day, None)
        outage = outage_of_day(self._now_ms, list(self._demands.values()), self._draws)
        if outage is not None:
            self._at(outage.start_ms, self._begin_outage, outage)

    def _begin_outage(self, outage: Outage) -> None:
        """Open the monitoring's own P1 for an outage; it is worked on at once, beside the queue."""
        region = model.REGION_OF_TEAM[outage.service.team]
        ticket = self._open(outage.service, "P1", region, outage.service.team, channel="monitoring", outage=True)
        self._after(self._draws.lognormal(model.ON_CALL_REACTION_MINUTES, 0.5), self._answer_outage, ticket)
        self._at(outage.end_ms, self._resolve, ticket)
        self._at_next_report(outage, ticket.id)

    def _answer_outage(self, ticket: SimulatedTicket) -> None:
        self._tell(ticket, words.RESPONDED, status="in_progress")

    def _at_next_report(self, outage: Outage, cause: str) -> None:
        """Schedule the next report of an outage: a Poisson process that fades, by thinning."""
        peak_per_hour = model.OUTAGE_REPORTS_PER_HOUR * self._rate_scale
        at_ms = float(self._now_ms)
        while True:
            at_ms += self._draws.exponential(HOUR_MS / peak_per_hour)
            if at_ms >= outage.end_ms:
                return
            age_minutes = (at_ms - outage.start_ms) / MINUTE_MS
            if self._draws.happens(2 ** (-age_minutes / model.OUTAGE_HALVING_MINUTES)):
                self._at(int(at_ms), self._report_outage, (outage, cause))
                return

    def _report_outage(self, subject: tuple[Outage, str]) -> None:
        outage, cause = subject
        self._at_next_report(outage, cause)
        # Reports come from where people are at work now.
        regions = Choice([(region, self._demands[region.name].per_hour(self._now_ms)) for region in model.REGIONS])
        region = self._draws.choose(regions)
        channel = self._draws.choose(model.CHANNELS)
        priority = self._draws.choose(model.OUTAGE_PRIORITIES)
        if self._draws.happens(model.OUTAGE_KNOWN):
            ticket = self._open(outage.service, priority, region, region.desk, channel=channel, caused_by=cause)
        else:
            ticket = self._open(outage.service, priority, region, region.desk, channel=channel)
        ticket.cause = cause
        ticket.cause_ends_ms = outage.end_ms
        self._queue(ticket)

    # --- people ---

    def _tick_shifts(self, _: None) -> None:
        """Let people who came to work take what has been waiting for them."""
        self._at(self._now_ms + _SHIFT_TICK_MS, self._tick_shifts, None)
        for team in self._teams:
            self._dispatch(team)

    def _queue(self, ticket: SimulatedTicket) -> None:
        self._teams[ticket.team].put(ticket)
        self._dispatch(ticket.team)

    def _dispatch(self, team: str) -> None:
        while (taken := self._teams[team].take(self._now_ms)) is not None:
            ticket, on_call = taken
            minutes = self._draws.lognormal(model.ON_CALL_REACTION_MINUTES, 0.5) if on_call else 0.0
            if ticket.is_triaged:
                self._after(minutes, self._begin_work, ticket)
            else:
                self._after(minutes + self._draws.lognormal(model.READING_MINUTES, 0.5), self._respond, ticket)

    def _release(self, team: str) -> None:
        """Free the person who worked on a ticket."""
        self._teams[team].busy -= 1
        self._dispatch(team)

    # --- the first line ---

    def _respond(self, ticket: SimulatedTicket) -> None:
        ticket.is_triaged = True
        if ticket.cause is None:
            self._tell(ticket, words.RESPONDED, status="in_progress")
            self._after(self._draws.lognormal(model.TRIAGE_MINUTES, model.SIGMA), self._triage, ticket)
        else:
            self._tell(ticket, words.RESPONDED, status="on_hold", caused_by=ticket.cause)
            self._after(self._draws.lognormal(model.LINKING_MINUTES, 0.5), self._link, ticket)

    def _link(self, ticket: SimulatedTicket) -> None:
        """Leave a report of an outage until that is over."""
        since_end = self._draws.lognormal(model.OUTAGE_RESOLVE_MINUTES, model.SIGMA) * MINUTE_MS
        self._at(max(self._now_ms, ticket.cause_ends_ms) + int(since_end), self._resolve, ticket)
        self._release(ticket.team)

    def _triage(self, ticket: SimulatedTicket) -> None:
        draws = self._draws
        if draws.happens(model.CANCELLED):
            self._tell(ticket, words.CANCELLED, status="cancelled")
            self._release(ticket.team)
            return
        if draws.happens(model.PRIORITY_CHANGED):
            self._change_priority(ticket)
        if draws.happens(model.DESK_ASKS_CUSTOMER):
            self._wait_for(ticket, "customer", model.CUSTOMER_WAIT_MINUTES)
        elif draws.happens(ticket.priority.solved_at_desk):
            self._after(draws.lognormal(model.DESK_SOLUTION_MINUTES, model.SIGMA), self._finish, ticket)
        else:
            self._hand_over(ticket, ticket.service.team)

    def _change_priority(self, ticket: SimulatedTicket) -> None:
        more_urgent = self._draws.happens(0.5)
        rank = min(4, max(1, ticket.priority.rank + (-1 if more_urgent else 1)))
        if rank != ticket.priority.rank:
            ticket.priority = model.PRIORITIES[f"P{rank}"]
            self._tell(ticket, words.UPDATED, priority=ticket.priority.name)

    # --- any line ---

    def _begin_work(self, ticket: SimulatedTicket) -> None:
        self._tell(ticket, words.UPDATED, status="in_progress")
        is_desk = ticket.team in model.DESKS
        median = model.DESK_SOLUTION_MINUTES if is_desk else ticket.priority.work_minutes
        self._after(self._draws.lognormal(median, model.SIGMA), self._finish, ticket)

    def _finish(self, ticket: SimulatedTicket) -> None:
        """End one sitting of work: solved, or something is missing."""
        draws = self._draws
        if ticket.detours < model.MOST_DETOURS and ticket.team not in model.DESKS:
            if draws.happens(model.SECOND_LINE_ASKS_CUSTOMER):
                self._wait_for(ticket, "customer", model.CUSTOMER_WAIT_MINUTES)
                return
            if draws.happens(model.SECOND_LINE_ASKS_VENDOR):
                self._wait_for(ticket, "vendor", model.VENDOR_WAIT_MINUTES)
                return
            if draws.happens(model.TRIED_OUT):
                self._try_out(ticket)
                return
            if draws.happens(model.HANDED_ON):
                others = [team for team in _SECOND_LINES if team != ticket.team]
                self._hand_over(ticket, others[int(draws.uniform() * len(others))])
                return
        self._resolve(ticket)
        self._release(ticket.team)

    def _wait_for(self, ticket: SimulatedTicket, party: str, median_minutes: float) -> None:
        ticket.detours += 1
        self._tell(ticket, words.UPDATED, status="waiting", waiting_for=party)
        self._after(self._draws.lognormal(median_minutes, model.SIGMA), self._come_back, ticket)
        self._release(ticket.team)

    def _try_out(self, ticket: SimulatedTicket) -> None:
        """Let a solution run for a while; whoever made it turns to other tickets."""
        self._tell(ticket, words.UPDATED, status="on_trial")
        self._after(self._draws.lognormal(ticket.priority.expected_hours * 30, model.SIGMA), self._resolve, ticket)
        self._release(ticket.team)

    def _come_back(self, ticket: SimulatedTicket) -> None:
        self._tell(ticket, words.UPDATED, status="assigned", waiting_for=None)
        self._queue(ticket)

    def _hand_over(self, ticket: SimulatedTicket, team: str) -> None:
        before = ticket.team
        ticket.detours += 1
        ticket.team = team
        self._tell(ticket, words.UPDATED, status="assigned", team=team)
        self._queue(ticket)
        self._release(before)

    # --- the end, and after ---

    def _resolve(self, ticket: SimulatedTicket) -> None:
        draws = self._draws
        self._tell(ticket, words.RESOLVED, status="resolved")
        if draws.happens(model.RATED):
            self._after(draws.lognormal(model.FEEDBACK_MINUTES, model.SIGMA), self._rate, self._rating(ticket))
        if ticket.cause is None and draws.happens(model.REOPENED):
            self._after(draws.lognormal(model.REOPEN_MINUTES, model.SIGMA), self._reopen, ticket)
        elif draws.happens(model.CONFIRMED):
            self._after(draws.lognormal(model.CONFIRMATION_MINUTES, model.SIGMA), self._close, ticket)
        else:
            self._after(model.AUTO_CLOSE_HOURS * 60, self._close, ticket)

    def _rating(self, ticket: SimulatedTicket) -> tuple[SimulatedTicket, int]:
        """Return the score a customer will give: it falls with time beyond the expected, detours and reopenings."""
        overdue = (self._now_ms - ticket.created_ms) / HOUR_MS / ticket.priority.expected_hours
        score = 4.7 - min(2.0, max(0.0, overdue - 0.5)) - 0.25 * ticket.detours - 0.8 * ticket.reopenings
        return ticket, min(5, max(1, round(score + self._draws.between(-1.2, 1.2))))

    def _rate(self, subject: tuple[SimulatedTicket, int]) -> None:
        ticket, csat = subject
        self._tell(ticket, words.FEEDBACK, csat=csat)

    def _reopen(self, ticket: SimulatedTicket) -> None:
        ticket.reopenings += 1
        self._tell(ticket, words.REOPENED, status="assigned")
        self._queue(ticket)

    def _close(self, ticket: SimulatedTicket) -> None:
        self._tell(ticket, words.CLOSED, status="closed")
