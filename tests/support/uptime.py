"""Availability for tests: objectives, samples, and a slow oracle that looks at every minute of every sample anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs
from sla.availability import Availability, AvailabilityKind, IdlePolicy, MaintenancePolicy, ProbePolicy, StatusUse
from sla.buckets import Rollup
from sla.calendar import Calendar
from sla.calendar_spec import CalendarSpec
from sla.contract import Contract, ContractType, Level, Window
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER
from sla.uptime_engine import UptimeEngine, UptimeLimits
from sla.uptime_events import ProbeSample, ServiceStatus, StatusChange, UptimeEvent

T0 = 1_772_438_400_000
"""Monday, 2026-03-02T08:00:00Z."""

SETTLE_MS = 30_000
LIMITS = UptimeLimits(settle_ms=SETTLE_MS, lateness_ms=2 * HOUR_MS, retention_ms=10 * DAY_MS)

Counts = tuple[int, int, int, int]
"""good, bad, known minutes, expected minutes."""


def objective(objective_id: str = "portal-availability", service: str = "portal", **terms: Any) -> Availability:
    """Return an objective in force always."""
    given: dict[str, Any] = {
        "id": objective_id,
        "contract": "acme",
        "contract_type": ContractType.SLA,
        "revision": 1,
        "effective_from_ms": 0,
        "effective_until_ms": NEVER,
        "service": service,
        "attain": Fraction(999, 1000),
        "window": Window(30 * DAY_MS, None),
        "team": "web",
    }
    return Availability(**{**given, **terms})


def register_of(*objectives: Availability, adjustments: Iterable[Adjustment] = ()) -> Register:
    """Return a register with one contract and the calendar ``short`` (08:00-08:30 and 08:45-12:00 UTC on weekdays)."""
    weekly = tuple(((480, 510), (525, 720)) if day < 5 else () for day in range(7))
    contract = Contract("acme", ContractType.SLA, Level.SERVICE, "it", "slm", availabilities=objectives)
    return Register([contract], {"short": Calendar(CalendarSpec("short", "UTC", weekly))}, adjustments)


def sample(minute: float, uid: int, **fields: Any) -> ProbeSample:
    """Return a good check of the portal, ``minute`` minutes after T0."""
    given: dict[str, Any] = {"service": "portal", "at_ms": T0 + round(minute * MINUTE_MS), "sequence": 0, "uid": uid}
    return ProbeSample(**{**given, "probe": "fra", "good": 1, "total": 1, **fields})


def status(minute: float, uid: int, state: str, cause: str | None = None) -> StatusChange:
    """Return a declared state of the portal, ``minute`` minutes after T0."""
    return StatusChange("portal", T0 + round(minute * MINUTE_MS), 0, uid, ServiceStatus(state), cause)


def adjustment(start: float, end: float, counts_as: CountsAs | None = None, **fields: Any) -> Adjustment:
    """Return maintenance of the portal, or a correction where it is said how it counts; minutes after T0."""
    kind = AdjustmentKind.MAINTENANCE if counts_as is None else AdjustmentKind.OUTAGE_CORRECTION
    given: dict[str, Any] = {
        "id": "CHG-1",
        "kind": kind,
        "service": "portal",
        "start_ms": T0 + round(start * MINUTE_MS),
        "end_ms": T0 + round(end * MINUTE_MS),
        "counts_as": counts_as or CountsAs.EXCLUDED,
        "recorded_at_ms": T0,
        "recorded_by": "ops",
        "reason": "database",
    }
    return Adjustment(**{**given, **fields})


class Buckets:
    """What readers of the rollups hold: the newest absolute counts by objective and minute."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], Counts] = {}

    def take(self, rollups: Iterable[Rollup]) -> None:
        """Take in rollups, in order."""
        for of in rollups:
            assert not of.is_delta
            self._counts[of.target, of.minute_ms] = (of.met, of.breached, of.known_minutes, of.expected_minutes)

    @property
    def counts(self) -> dict[tuple[str, int], Counts]:
        """The counts that say something."""
        return {key: counts for key, counts in self._counts.items() if any(counts)}

    def sums(self, objective_id: str = "portal-availability") -> Counts:
        """Return the sums of an objective."""
        columns = [counts for (name, _), counts in self._counts.items() if name == objective_id]
        good, bad, known, expected = (sum(column) for column in zip(*columns, strict=True)) if columns else (0,) * 4
        return good, bad, known, expected


def drain(engine: UptimeEngine, now_ms: int, buckets: Buckets, rows: dict[bytes, bytes] | None = None) -> list[Any]:
    """Let time pass in as many steps as it takes; return the alerts."""
    alerts: list[Any] = []
    more = True
    while more:
        more = engine.advance_to(now_ms)
        alerts += finish(engine, buckets, rows)
    return alerts


def finish(engine: UptimeEngine, buckets: Buckets, rows: dict[bytes, bytes] | None = None) -> list[Any]:
    """End a step; keep its rows and counts, return its alerts."""
    outcome = engine.finish()
    buckets.take(outcome.rollups)
    if rows is not None:
        for key, row in outcome.rows.items():
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    return outcome.alerts


# --- the oracle ---


def oracle(
    objectives: Sequence[Availability],
    events: Iterable[UptimeEvent],
    adjustments: Sequence[Adjustment],
    begin_ms: int,
    now_ms: int,
    register: Register,
) -> dict[tuple[str, int], Counts]:
    """Return the counts of every slice, from the definition: slow, one slice at a time, no state."""
    distinct = {event.uid: event for event in events}
    samples = [event for event in distinct.values() if isinstance(event, ProbeSample)]
    states = sorted((event for event in distinct.values() if isinstance(event, StatusChange)), key=lambda of: of.order)
    found: dict[tuple[str, int], Counts] = {}
    for of in objectives:
        start_ms = -(-begin_ms // of.slice_ms) * of.slice_ms
        judged_until_ms = (now_ms - SETTLE_MS) // MINUTE_MS * MINUTE_MS
        states_by_hour: dict[int, list[str]] = {}
        while start_ms + of.slice_ms <= judged_until_ms:
            if of.effective_from_ms <= start_ms < of.effective_until_ms:
                counts = _slice(of, start_ms, samples, states, adjustments, register, states_by_hour)
                if any(counts):
                    found[of.id, start_ms] = counts
            start_ms += of.slice_ms
    return found


def _slice(
    of: Availability,
    start_ms: int,
    samples: list[ProbeSample],
    states: list[StatusChange],
    adjustments: Sequence[Adjustment],
    register: Register,
    history: dict[int, list[str]],
) -> Counts:
    before = history.setdefault(start_ms // HOUR_MS, [])
    expected = up = down = 0
    measured: list[int] = []
    for minute_ms in range(start_ms, start_ms + of.slice_ms, MINUTE_MS):
        if of.hours is not None and not register.calendars[of.hours].is_open(minute_ms):
            continue
        word = _word(of, minute_ms, adjustments)
        if word == "out":
            continue
        expected += 1
        up += word == "up"
        down += word == "down"
        if not word:
            measured.append(minute_ms)
    seen = {minute_ms: [s for s in samples if _minute(s) == minute_ms] for minute_ms in measured}
    if of.kind is AvailabilityKind.REQUEST_RATIO:
        if not expected:
            return (0, 0, 0, 0)
        here = [s for s in samples if _minute(s) == start_ms]
        total = sum(s.total for s in here)
        good = total if up else 0 if down else sum(_good(of, s) for s in here)
        return (good, total - good, int(bool(here)), 1)
    if not expected:
        before.append("out")
        return (0, 0, 0, 0)
    known = sum(bool(here) for here in seen.values())
    declared = [_declared_ms(of, minute_ms, states) for minute_ms in measured]
    bad_ms, told_ms = sum(bad for bad, _ in declared), sum(told for _, told in declared)
    declared_bad = bad_ms > 0 and bad_ms > of.bad_above * len(measured) * MINUTE_MS
    word = ""
    if measured:
        if of.statuses is StatusUse.ONLY:
            word = "bad" if declared_bad else "good" if told_ms else ""
            known = sum(told > 0 for _, told in declared)
        elif declared_bad and of.statuses is StatusUse.ALSO:
            word = "bad"
            known = max(known, sum(told > 0 for _, told in declared))
        else:
            word = _vote(of, [s for here in seen.values() for s in here])
            if word == "idle" and of.idle is IdlePolicy.GOOD:
                word = "good"
            elif word == "idle" and of.idle is IdlePolicy.NO_DATA:
                word, known = "", 0
    if down:
        word = "bad"
    elif up and word in {"", "idle"}:
        word = "good"
    if word == "idle":
        held = next((state for state in reversed(before) if state != "idle"), "")
        before.append("idle")
        word = held if held in {"good", "bad"} else ""
    else:
        before.append(word)
    known = known + up + down if word else 0
    return (int(word == "good"), int(word == "bad"), known, expected)


def _word(of: Availability, minute_ms: int, adjustments: Sequence[Adjustment]) -> str:
    word = ""
    for given in sorted(adjustments, key=lambda adjustment: (adjustment.recorded_at_ms, adjustment.id)):
        if given.revoked or not given.start_ms <= minute_ms < given.end_ms:
            continue
        if given.kind is AdjustmentKind.MAINTENANCE:
            word = "up" if of.maintenance is MaintenancePolicy.COUNT_GOOD else "out"
        else:
            word = {CountsAs.UP: "up", CountsAs.DOWN: "down", CountsAs.EXCLUDED: "out"}[given.counts_as]
    return word


def _minute(of: ProbeSample) -> int:
    at_ms = of.at_ms - 1 if of.is_count else of.at_ms
    return at_ms // MINUTE_MS * MINUTE_MS


def _good(of: Availability, seen: ProbeSample) -> int:
    slow = of.latency_below_ms is not None and seen.latency_ms is not None and seen.latency_ms >= of.latency_below_ms
    return 0 if slow else seen.good


def _declared_ms(of: Availability, minute_ms: int, states: list[StatusChange]) -> tuple[int, int]:
    """Return for how many milliseconds of a minute a bad state was declared, and for how many any."""
    bad = told = 0
    for index, state in enumerate(states):
        until_ms = states[index + 1].at_ms if index + 1 < len(states) else NEVER
        held = max(0, min(until_ms, minute_ms + MINUTE_MS) - max(state.at_ms, minute_ms))
        told += held
        bad += held if state.status not in of.good_statuses else 0
    return bad, told


def _vote(of: Availability, seen: list[ProbeSample]) -> str:
    votes = []
    for probe in {s.probe for s in seen}:
        total = sum(s.total for s in seen if s.probe == probe)
        good = sum(_good(of, s) for s in seen if s.probe == probe)
        if total:
            votes.append(Fraction(total - good, total) > of.bad_above)
    if not votes:
        return "idle" if seen else ""
    bad = sum(votes)
    is_bad = {
        ProbePolicy.ANY: bad >= 1,
        ProbePolicy.MAJORITY: bad > len(votes) - bad,
        ProbePolicy.ALL: bad == len(votes),
    }[of.probes]
    return "bad" if is_bad else "good"
