"""Availability objectives as contracts write them, and their translation into the domain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, WithJsonSchema
from typing_extensions import override

from config.faults import Problem, StrictModel, problem, shown
from config.fields import Identifier, ShareText, Text, TimezoneName
from sla.availability import (
    Availability,
    AvailabilityKind,
    IdlePolicy,
    MaintenancePolicy,
    ProbePolicy,
    StatusUse,
)
from sla.contract import ContractType, TimeBase
from sla.duration import parse_window, parse_within
from sla.errors import SlaError, UnitError
from sla.units import HOUR_MS, MINUTE_MS, parse_ratio
from sla.uptime_events import ServiceStatus

_SLICE_MINUTES: Final = tuple(minutes for minutes in range(1, 61) if 60 % minutes == 0)


def _elapsed_ms(value: Any) -> int:
    """Read a length of elapsed time such as ``1m``; raise a problem otherwise."""
    if not isinstance(value, str):
        raise problem(f"{shown(value)} is no duration with its unit: write 1m or 30s")
    try:
        within = parse_within(value)
    except UnitError as error:
        raise problem(str(error)) from error
    if within.rule is not None or within.base is not TimeBase.ELAPSED or within.duration_ms <= 0:
        raise problem(f"{shown(value)} is no length of elapsed time: write 1m or 30s")
    return within.duration_ms


def _elapsed(value: Any) -> str:
    _elapsed_ms(value)
    return str(value)


def _slice(value: Any) -> str:
    slice_ms = _elapsed_ms(value)
    if slice_ms % MINUTE_MS or HOUR_MS % slice_ms:
        listed = ", ".join(f"{minutes}m" for minutes in _SLICE_MINUTES)
        raise problem(f"{value} is no slice: whole minutes that divide an hour ({listed})")
    return str(value)


def _statuses(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str) else value


ElapsedText = Annotated[
    str, BeforeValidator(_elapsed), WithJsonSchema({"type": "string", "examples": ["10s", "1m", "5m"]})
]
"""A length of elapsed time, ``30s``."""

SliceText = Annotated[str, BeforeValidator(_slice), WithJsonSchema({"type": "string", "examples": ["1m", "5m", "1h"]})]
"""Length of a slice: whole minutes that divide an hour."""


class LatencyModel(StrictModel):
    """A limit of latency."""

    below: float = Field(gt=0, strict=True, allow_inf_nan=False, description="In ms; at it or above it is bad.")


class GoodWhenModel(StrictModel):
    """What makes a sample, or a declared state, good."""

    latency_ms: LatencyModel | None = Field(None, description="{below: 800}: a slower sample is bad, also if it is ok.")
    status: Annotated[tuple[ServiceStatus, ...], BeforeValidator(_statuses)] | None = Field(
        None, description="Declared states that are good; default: [up]."
    )


class AvailabilityModel(StrictModel):
    """Which share of the time, or of the requests, a service must be good."""

    id: Identifier = Field(description="Unique over all contracts, among targets and objectives, too.")
    service: Text = Field(description="Service whose probes and states count: key of the records of sla.uptime.")
    attain: ShareText = Field(description="Share that must be good, such as 99.9%.")
    over: str = Field(
        description="Over what: rolling (30d) or a calendar period (1 month, 1 quarter).", examples=["30d", "1 month"]
    )
    timezone: TimezoneName | None = Field(None, description="Zone in which calendar periods begin; needed for them.")
    kind: AvailabilityKind = Field(
        AvailabilityKind.TIME_SLICES, description="time_slices (default) or request_ratio: good requests of all."
    )
    slice: SliceText | None = Field(None, description="Length of a slice of time; default: 1m.")
    good_when: GoodWhenModel | None = Field(None, description="What is good; default: the probe says so.")
    bad_above: ShareText | None = Field(
        None, description="To a probe a slice is bad if more than this share of it is bad; default: 0%."
    )
    probes: ProbePolicy | None = Field(
        None, description="How many of the probes must find a slice bad: any, majority (default) or all."
    )
    probe_interval: ElapsedText | None = Field(None, description="How often the probes look; checked against slice.")
    statuses: StatusUse | None = Field(
        None,
        description="Declared states: also (default; what is not good is bad), only (they are the measure), ignore.",
    )
    hours: Identifier | None = Field(None, description="Calendar of the service hours; default: always.")
    maintenance: MaintenancePolicy | None = Field(
        None, description="Agreed maintenance: exclude (default, left out) or count_good."
    )
    idle: IdlePolicy | None = Field(
        None, description="A slice in which probes report and nobody asks: hold, good or no_data (default)."
    )
    team: Text | None = Field(None, description="Who is told; default: the contract's team.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """The window is known; a slice holds at least one look of a probe; requests have no slices."""
        yield from check_attained(data)
        slice_ms, interval_ms = _or_none(data.get("slice", "1m")), _or_none(data.get("probe_interval"))
        if data.get("kind") == AvailabilityKind.REQUEST_RATIO:
            for name in ("slice", "bad_above", "probes", "idle", "statuses"):
                if data.get(name) is not None:
                    yield (name,), "is about slices of time, and requests are counted: leave it out"
        elif slice_ms is not None and interval_ms is not None and slice_ms < interval_ms:
            written, interval = data.get("slice", "1m"), data["probe_interval"]
            message = f"{written} is shorter than the probe interval ({interval}): slices without a sample are unknown"
            yield ("slice",), message

    def to_domain(
        self,
        contract: str,
        contract_type: ContractType,
        revision: int,
        effective_from_ms: int,
        effective_until_ms: int,
        *,
        team: str | None = None,
        owner: str | None = None,
    ) -> Availability:
        """Return the domain's objective.

        Parameters
        ----------
        team : str or None
            The contract's team.
        """
        good_when = self.good_when or GoodWhenModel()
        return Availability(
            id=self.id,
            contract=contract,
            contract_type=contract_type,
            revision=revision,
            effective_from_ms=effective_from_ms,
            effective_until_ms=effective_until_ms,
            service=self.service,
            attain=parse_ratio(self.attain),
            window=parse_window(self.over, self.timezone or "UTC"),
            kind=self.kind,
            slice_ms=_elapsed_ms(self.slice or "1m"),
            hours=self.hours,
            latency_below_ms=None if good_when.latency_ms is None else good_when.latency_ms.below,
            good_statuses=frozenset(good_when.status or (ServiceStatus.UP,)),
            bad_above=parse_ratio(self.bad_above or "0%"),
            probes=self.probes or ProbePolicy.MAJORITY,
            statuses=self.statuses or StatusUse.ALSO,
            maintenance=self.maintenance or MaintenancePolicy.EXCLUDE,
            idle=self.idle or IdlePolicy.NO_DATA,
            probe_interval_ms=None if self.probe_interval is None else _elapsed_ms(self.probe_interval),
            team=self.team or team,
            owner=owner,
        )


def check_attained(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Something must be attained, over a window that is known, in a zone if its bounds depend on one."""
    attain, over = data.get("attain"), data.get("over")
    try:
        if attain is not None and parse_ratio(attain) == 0:
            yield ("attain",), "0 % is no objective: leave the objective out"
    except (SlaError, TypeError):
        pass  # told where it stands
    if isinstance(over, str):
        try:
            window = parse_window(over, "UTC")
        except SlaError as error:
            yield ("over",), str(error)
        else:
            if window.period is not None and data.get("timezone") is None:
                yield ("timezone",), "missing: a calendar period begins at midnight of some zone"


def _or_none(value: Any) -> int | None:
    try:
        return _elapsed_ms(value)
    except ValueError:
        return None
