"""A simulated team: who is at work when, and its queue."""

from __future__ import annotations

import heapq

from sources.simulator import model
from sources.simulator.demand import LocalTime
from sources.simulator.draws import Draws
from sources.simulator.ticket import SimulatedTicket

_FULL_HOURS = range(8, 18)
_EDGE_HOURS = range(7, 20)
_SATURDAY = 5


class TeamState:
    """A team's queue, by priority and then by arrival, and how many of its people are busy."""

    __slots__ = ("_arrivals", "_attendance", "_day", "_draws", "_local", "_queue", "_scale", "_team", "busy")

    def __init__(self, team: model.Team, rate_scale: float, draws: Draws) -> None:
        self.busy = 0
        self._team = team
        self._queue: list[tuple[int, int, SimulatedTicket]] = []
        self._arrivals = 0
        self._local = LocalTime(team.zone)
        self._scale = rate_scale
        self._draws = draws
        self._day = -1
        self._attendance = 1.0

    def put(self, ticket: SimulatedTicket) -> None:
        """Queue a ticket."""
        self._arrivals += 1
        heapq.heappush(self._queue, (ticket.priority.rank, self._arrivals, ticket))

    def take(self, at_ms: int) -> tuple[SimulatedTicket, bool] | None:
        """Hand the next ticket to a free person, who is busy from now on.

        Returns
        -------
        tuple of SimulatedTicket and bool
            The ticket, and whether the person is on call (and has to be woken first); None if nobody is free for the
            most urgent ticket.
        """
        if not self._queue:
            return None
        people, on_call = self._on_shift(at_ms)
        if self.busy >= people or (on_call and self._queue[0][0] > model.ON_CALL_RANK):
            return None
        self.busy += 1
        return heapq.heappop(self._queue)[2], on_call

    def _on_shift(self, at_ms: int) -> tuple[int, bool]:
        weekday, hour = self._local.at(at_ms)
        if weekday != self._day:
            self._day = weekday
            self._attendance = self._draws.between(*model.ATTENDANCE)
        staff = self._team.staff * self._scale * self._attendance
        if weekday < _SATURDAY and hour in _FULL_HOURS:
            return max(1, round(staff)), False
        if weekday < _SATURDAY and hour in _EDGE_HOURS:
            return max(1, round(staff / 3)), False
        return max(1, round(self._team.on_call * self._scale)), True
