"""Follows the clocks of a stream of events and has each scored at its events and at each 5 % of its target.

The order is that of event time. At one instant events go before steps: a stop exactly at the deadline is met, and what
an event says is known when a step at the same instant is scored.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, NamedTuple

from sla import clock as clocks
from sla.clock import Clock, Phase
from sla.events import TicketEvent
from sla.forecast.factors import TicketTrace, Viewpoint, situation_of
from sla.forecast.forecaster import Forecaster, Prediction
from sla.forecast.model import STEPS
from sla.outcome import Result
from sla.register import Register
from sla.ticket import Ticket
from sla.units import NEVER

_RUNNING: Final = int(Phase.RUNNING)

TicketOf = Callable[[str], Ticket | None]
"""Gives a ticket as its events have left it."""


class Decision(NamedTuple):
    """How a clock ended, or that it has breached.

    Attributes
    ----------
    breached : bool or None
        None: it ended without an outcome.
    """

    clock_id: str
    start_ms: int
    decided_at_ms: int
    breached: bool | None


class _Followed:
    """A clock without a verdict."""

    __slots__ = ("consumed_ms", "is_paused", "step", "turn", "waits")

    def __init__(self, step: int) -> None:
        self.step = step
        self.turn = 0
        """Grows with each event: what was scheduled before it is void."""
        self.is_paused = False
        self.waits = 0


class PredictionRun:
    """Scores clocks as their tickets' events come by.

    Parameters
    ----------
    register : Register
        In force during the whole run.
    forecaster : Forecaster
    ticket_of : callable
        Gives a ticket in its present state: with every event that was announced by :meth:`applied`.
    settle_ms : int
        A breach is known this long after its deadline.
    on_prediction, on_decision : callable
        Take what comes out, in the order of event time.
    """

    def __init__(
        self,
        register: Register,
        forecaster: Forecaster,
        ticket_of: TicketOf,
        *,
        settle_ms: int,
        on_prediction: Callable[[Prediction], None],
        on_decision: Callable[[Decision], None],
    ) -> None:
        self.forecaster = forecaster
        self._register = register
        self._ticket_of = ticket_of
        self._settle_ms = settle_ms
        self._on_prediction = on_prediction
        self._on_decision = on_decision
        self._traces: dict[str, TicketTrace] = {}
        self._followed: dict[tuple[str, str, int], _Followed] = {}
        self._decided: dict[str, set[tuple[str, int]]] = {}
        self._viewpoints: dict[tuple[str, int], Viewpoint] = {}
        # (instant, number, ticket, target, cycle, step, turn); numbers make it a total order.
        self._schedule: list[tuple[int, int, str, str, int, int, int]] = []
        self._number = 0

    def pass_until(self, at_ms: int) -> None:
        """Score every step that clocks reach strictly before an instant, and note the deadlines that pass."""
        schedule = self._schedule
        while schedule and schedule[0][0] < at_ms:
            instant_ms, _, ticket_id, target_id, cycle, step, turn = heapq.heappop(schedule)
            followed = self._followed.get((ticket_id, target_id, cycle))
            if followed is None or followed.turn != turn:
                continue
            clock = self._clock(ticket_id, target_id, cycle)
            if clock is None or not clock.is_active:
                # Its contract ended, or a revision let go of it, without an event of the ticket.
                self._end(ticket_id, target_id, cycle, clock, instant_ms)
            elif step == STEPS:
                self._conclude(ticket_id, clock, True, clock.deadline_ms, instant_ms)
            else:
                followed.step = step
                self._score(ticket_id, clock, followed, instant_ms, step=step)
                self._plan(ticket_id, clock, followed)

    def applied(self, ticket_id: str, event: TicketEvent) -> None:
        """Take an event that was applied to its ticket; :meth:`pass_until` its instant came before."""
        ticket = self._ticket_of(ticket_id)
        assert ticket is not None
        self._trace(ticket_id, ticket)
        at_ms = event.at_ms
        decided = self._decided.setdefault(ticket_id, set())
        for clock in ticket.clocks:
            if (clock.target_id, clock.cycle) in decided:
                continue
            if clock.breached:
                self._conclude(ticket_id, clock, True, clock.deadline_ms, at_ms)
            elif not clock.is_active:
                self._end(ticket_id, clock.target_id, clock.cycle, clock, at_ms)
            else:
                self._follow(ticket_id, clock, at_ms)

    def finish(self, at_ms: int) -> None:
        """Let time pass up to and including the last instant."""
        self.pass_until(at_ms + 1)
        self.forecaster.learn_until(at_ms)

    # --- inside ---

    def _trace(self, ticket_id: str, ticket: Ticket) -> None:
        """Bring the trace of a ticket up to date with its history."""
        history = ticket.history
        trace = self._traces.get(ticket_id)
        if trace is not None:
            known, newest_uid = trace.events, history[-1].uid
            if len(history) == known + 1 and newest_uid != trace.last_uid:
                trace.take(history[-1])
                return
            if len(history) < known or (len(history) == known == 1 and newest_uid != trace.last_uid):
                # Closed, forgotten after a time, and begun anew.
                self._decided.pop(ticket_id, None)
        self._traces[ticket_id] = TicketTrace.of(history)

    def _follow(self, ticket_id: str, clock: Clock, at_ms: int) -> None:
        key = (ticket_id, clock.target_id, clock.cycle)
        followed = self._followed.get(key)
        if followed is None:
            followed = self._followed[key] = _Followed(self._step_at(clock, at_ms))
        followed.turn += 1
        is_paused = clock.phase != _RUNNING
        if is_paused and not followed.is_paused:
            followed.waits += 1
        followed.is_paused = is_paused
        self._score(ticket_id, clock, followed, at_ms, step=None)
        self._plan(ticket_id, clock, followed)

    def _score(self, ticket_id: str, clock: Clock, followed: _Followed, at_ms: int, *, step: int | None) -> None:
        viewpoint = self._viewpoint(clock)
        situation = situation_of(
            self._traces[ticket_id], viewpoint, is_paused=clock.phase != _RUNNING, waits=followed.waits
        )
        share = self._share_at(clock, at_ms) if step is None else step / STEPS
        clock_id = f"{ticket_id}:{clock.target_id}:{clock.cycle}"
        self._on_prediction(self.forecaster.score(clock_id, situation, share, at_ms, step=step))

    def _plan(self, ticket_id: str, clock: Clock, followed: _Followed) -> None:
        """Note when a running clock reaches its next step, if nothing happens before."""
        if clock.phase != _RUNNING or clock.deadline_ms == NEVER:
            return
        target, calendar = self._register.terms[clock.target_id, clock.revision]
        allowance_ms = clocks.allowance_of(clock, target)
        step = followed.step + 1 if allowance_ms else STEPS
        while step < STEPS and (threshold_ms := -(-allowance_ms * step // STEPS)) < clock.consumed_ms:
            step += 1  # it brought that along, from the clock it carries on
        if step < STEPS:
            instant_ms: int = calendar.deadline(clock.resumed_ms, threshold_ms - clock.consumed_ms)
        else:
            instant_ms = clock.deadline_ms + self._settle_ms
        self._number += 1
        entry = (instant_ms, self._number, ticket_id, clock.target_id, clock.cycle, step, followed.turn)
        heapq.heappush(self._schedule, entry)

    def _end(self, ticket_id: str, target_id: str, cycle: int, clock: Clock | None, at_ms: int) -> None:
        decision = None if clock is None else clocks.decision_of(clock, at_ms, self._settle_ms)
        if clock is None or decision is None:
            self._drop(ticket_id, target_id, cycle)
            return
        result, decided_at_ms = decision
        outcome = {Result.MET: False, Result.BREACHED: True}.get(result)
        self._conclude(ticket_id, clock, outcome, decided_at_ms, at_ms)

    def _conclude(self, ticket_id: str, clock: Clock, breached: bool | None, decided_at_ms: int, known_ms: int) -> None:
        clock_id = self._drop(ticket_id, clock.target_id, clock.cycle)
        if breached:
            known_ms = decided_at_ms + self._settle_ms
        self.forecaster.decide(clock_id, known_ms, breached=breached, deadline_ms=clock.deadline_ms)
        self._on_decision(Decision(clock_id, clock.start_ms, decided_at_ms, breached))

    def _drop(self, ticket_id: str, target_id: str, cycle: int) -> str:
        self._decided.setdefault(ticket_id, set()).add((target_id, cycle))
        self._followed.pop((ticket_id, target_id, cycle), None)
        return f"{ticket_id}:{target_id}:{cycle}"

    def _clock(self, ticket_id: str, target_id: str, cycle: int) -> Clock | None:
        ticket = self._ticket_of(ticket_id)
        for clock in () if ticket is None else ticket.clocks:
            if clock.target_id == target_id and clock.cycle == cycle:
                return clock
        return None

    def _share_at(self, clock: Clock, at_ms: int) -> float:
        target, calendar = self._register.terms[clock.target_id, clock.revision]
        allowance_ms = clocks.allowance_of(clock, target)
        return min(1.0, clocks.consumed_at(clock, calendar, at_ms) / allowance_ms) if allowance_ms else 0.0

    def _step_at(self, clock: Clock, at_ms: int) -> int:
        return min(int(self._share_at(clock, at_ms) * STEPS + 1e-9), STEPS - 1)

    def _viewpoint(self, clock: Clock) -> Viewpoint:
        key = (clock.target_id, clock.revision)
        viewpoint = self._viewpoints.get(key)
        if viewpoint is None:
            viewpoint = self._viewpoints[key] = Viewpoint.of(self._register.terms[key][0], self._register)
        return viewpoint
