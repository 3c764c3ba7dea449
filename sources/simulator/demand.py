"""Demand: how many tickets come when, by the local hour and weekday of each region."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sla.units import DAY_MS, HOUR_MS, MINUTE_MS
from sources.simulator import model
from sources.simulator.draws import Draws

_QUARTER_MS = 15 * MINUTE_MS
"""No zone has an offset finer than this, so the local hour is constant within."""

_OUTAGE_TRIES = 60


class LocalTime:
    """Weekday and hour of instants in one zone; remembered by quarter of an hour, zone arithmetic is slow."""

    __slots__ = ("_quarter", "_value", "_zone")

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._quarter = -1
        self._value = (0, 0)

    def at(self, instant_ms: int) -> tuple[int, int]:
        """Return (weekday with Monday 0, hour) of an instant."""
        quarter = instant_ms // _QUARTER_MS
        if quarter != self._quarter:
            local = datetime.fromtimestamp(quarter * _QUARTER_MS / 1000, self._zone)
            self._quarter = quarter
            self._value = (local.weekday(), local.hour)
        return self._value


class Demand:
    """Tickets per hour of one region.

    Attributes
    ----------
    peak_per_hour : float
        Upper bound of :meth:`per_hour`, for thinning.
    """

    __slots__ = ("_local", "_per_day", "peak_per_hour")

    def __init__(self, region: model.Region, rate_scale: float) -> None:
        self._local = LocalTime(region.zone)
        self._per_day = model.TICKETS_PER_WORKDAY * region.share * rate_scale / sum(model.HOURLY_WEIGHTS)
        self.peak_per_hour = self._per_day * max(model.HOURLY_WEIGHTS) * max(model.WEEKDAY_FACTORS)

    def per_hour(self, at_ms: int) -> float:
        """Return the expected number of tickets per hour at an instant."""
        weekday, hour = self._local.at(at_ms)
        return self._per_day * model.HOURLY_WEIGHTS[hour] * model.WEEKDAY_FACTORS[weekday]

    def next_arrival_ms(self, after_ms: int, draws: Draws) -> int:
        """Return the instant of the next ticket: an inhomogeneous Poisson process by thinning."""
        at_ms = float(after_ms)
        while True:
            at_ms += draws.exponential(HOUR_MS / self.peak_per_hour)
            if draws.happens(self.per_hour(int(at_ms)) / self.peak_per_hour):
                return int(at_ms)


@dataclass(frozen=True, slots=True)
class Outage:
    """A service that is down for a while."""

    service: model.Service
    start_ms: int
    end_ms: int


def outage_of_day(day_start_ms: int, demands: list[Demand], draws: Draws) -> Outage | None:
    """Return the outage of the 24 h from an instant, or None if demand stays low all day (a weekend)."""
    peak = sum(demand.peak_per_hour for demand in demands)
    for _ in range(_OUTAGE_TRIES):
        start_ms = day_start_ms + int(draws.uniform() * DAY_MS)
        if sum(demand.per_hour(start_ms) for demand in demands) >= model.OUTAGE_DEMAND * peak:
            break
    else:
        return None
    low, high = model.OUTAGE_RANGE_MINUTES
    minutes = min(high, max(low, draws.lognormal(model.OUTAGE_MINUTES, model.SIGMA)))
    service = model.SERVICES[int(draws.uniform() * len(model.SERVICES))]
    return Outage(service, start_ms, start_ms + int(minutes * MINUTE_MS))
