"""A simulated service desk: synthetic ticket events that behave like real ones.

Two regions with the rhythm of their days and weeks, five services, three customers, teams with queues and few people;
hand-overs, waits for customers and vendors, reopenings, satisfaction scores, and outages that cause bursts of tickets.
Everything is invented and says so: ticket ids begin with ``SIM-`` and every ``created`` event has ``synthetic: true``.
"""

from __future__ import annotations

from collections.abc import Iterator

from sla.units import DAY_MS
from sources.record import SourceEvent
from sources.simulator.desk import Desk
from sources.simulator.model import TICKETS_PER_WORKDAY

__all__ = ["TICKETS_PER_WORKDAY", "simulate"]

_WARM_UP_MS = 4 * DAY_MS
"""Long enough that a Monday starts with what was left on Friday."""


def simulate(seed: int, start_ms: int, duration_ms: int, rate_scale: float = 1.0) -> Iterator[SourceEvent]:
    """Yield the ticket events of a simulated service desk.

    Parameters
    ----------
    seed : int
        Same arguments, same events (for one version of numpy).
    start_ms, duration_ms : int
        The time simulated, half open. The first events are older: the histories of the tickets open at the start.
    rate_scale : float
        Demand and staff; 1 is ``TICKETS_PER_WORKDAY`` tickets on a working day, outages not counted.

    Yields
    ------
    SourceEvent
        In the global order of :attr:`SourceEvent.order`, lazily.
    """
    if duration_ms <= 0 or rate_scale <= 0 or seed < 0:
        raise ValueError("duration and rate must be positive, the seed not negative")
    end_ms = start_ms + duration_ms
    yield from Desk(seed, warm_up_ms=start_ms - _WARM_UP_MS, start_ms=start_ms, end_ms=end_ms, rate_scale=rate_scale)
