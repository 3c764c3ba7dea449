"""Availability objectives as the domain sees them: which share of the time, or of the requests, a service must be good.

Time is judged in *slices* of whole minutes, aligned to the hour; a slice is good, bad or unknown. Requests are counted
per minute. Missing data is missing: it is neither good nor bad, and lowers the coverage.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from sla.contract import ContractType, Objective, Window
from sla.uptime_events import ServiceStatus


class AvailabilityKind(StrEnum):
    """What is counted."""

    TIME_SLICES = "time_slices"
    """Slices of time in which the service was good, of all slices."""
    REQUEST_RATIO = "request_ratio"
    """Requests that went well, of all requests."""


class ProbePolicy(StrEnum):
    """How many of the probes that saw a slice must find it bad for the service to be bad in it."""

    ANY = "any"
    MAJORITY = "majority"
    """More than half of them."""
    ALL = "all"


class MaintenancePolicy(StrEnum):
    """What agreed maintenance does to the time it takes."""

    EXCLUDE = "exclude"
    """It is left out of good time and of all time."""
    COUNT_GOOD = "count_good"
    """It counts as good."""


class IdlePolicy(StrEnum):
    """What a slice is in which probes reported and no request was made."""

    HOLD = "hold"
    """What the slice before it is (of the same hour at the earliest; unknown if that has none)."""
    GOOD = "good"
    NO_DATA = "no_data"


class StatusUse(StrEnum):
    """What declared states of the service (status changes) count for."""

    ALSO = "also"
    """A declared state that is not good makes time bad; a good one says nothing: what is good, probes tell."""
    ONLY = "only"
    """They are the measurement; samples don't count."""
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Availability:
    """One revision of an availability objective of one service.

    Attributes
    ----------
    id : str
        Unique over all contracts, also against the ids of targets and of their objectives.
    effective_from_ms, effective_until_ms : int
        When the revision is in force, half-open; NEVER if it is open.
    slice_ms : int
        Length of a slice: whole minutes that divide an hour. One minute for requests.
    hours : str or None
        Calendar whose windows are the service hours; None: always.
    latency_below_ms : float or None
        A sample with a latency that is not below this is bad, whatever it says besides.
    good_statuses : frozenset of ServiceStatus
        Declared states that are good.
    bad_above : Fraction
        Share (0..1): to a probe a slice is bad if more than this share of what it saw in it is bad.
    probe_interval_ms : int or None
        How often the probes look, as the author says; for checks of the contract.
    """

    id: str
    contract: str
    contract_type: ContractType
    revision: int
    effective_from_ms: int
    effective_until_ms: int
    service: str
    attain: Fraction
    window: Window
    kind: AvailabilityKind = AvailabilityKind.TIME_SLICES
    slice_ms: int = 60_000
    hours: str | None = None
    latency_below_ms: float | None = None
    good_statuses: frozenset[ServiceStatus] = frozenset({ServiceStatus.UP})
    bad_above: Fraction = Fraction(0)
    probes: ProbePolicy = ProbePolicy.MAJORITY
    statuses: StatusUse = StatusUse.ALSO
    maintenance: MaintenancePolicy = MaintenancePolicy.EXCLUDE
    idle: IdlePolicy = IdlePolicy.NO_DATA
    probe_interval_ms: int | None = None
    team: str | None = None
    owner: str | None = None

    @property
    def objective(self) -> Objective:
        """The share to attain over the window, as targets carry it."""
        return Objective(self.id, self.attain, self.window)

    def is_in_force(self, at_ms: int) -> bool:
        """Tell whether this revision applies at an instant."""
        return self.effective_from_ms <= at_ms < self.effective_until_ms
