"""The availability engine of one partition: samples, declared states, time and a new register in; rows and effects out.

It is deterministic and has no clock and no I/O, as the ticket engine: a step changes it through
:meth:`UptimeEngine.apply`, :meth:`~UptimeEngine.advance_to` and :meth:`~UptimeEngine.set_register` and ends with
:meth:`~UptimeEngine.finish`. A slice is judged when the partition's present has passed its end by the settling time,
never by the next message. A late sample within the bound, a correction or other terms judge it again; what goes out is
always the absolute count of a minute, so that repeating it changes nothing.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from sla.adjustment import Adjustment
from sla.availability import Availability, IdlePolicy
from sla.buckets import Rollup
from sla.events import Reason, Rejected
from sla.outcome import Alert
from sla.register import Register
from sla.service_alert import decide, last_known, note, withdraw
from sla.service_state import MOST_STATUSES, ServiceState, Tail
from sla.slices import Counts, Evidence, Slice, SliceState, decree_at, judge
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS
from sla.uptime_cells import HourCells, Limit, MinuteSamples, check_format, counts_under, minute_of
from sla.uptime_events import ProbeSample, ServiceFeedback, StatusChange, UptimeEvent

SERVICE_PREFIX: Final = b"s"
MINUTE_PREFIX: Final = b"m"
HOUR_PREFIX: Final = b"h"

JUDGED_LIMIT: Final = 3_000
"""Most slices one step judges: what goes out of it must fit into one record batch."""

ROWS_LIMIT: Final = 2_000
"""Most rows of samples one step folds, and most rows of hours it forgets."""

MOST_SAMPLES: Final = 5_000
"""Most samples of one service in one minute; more are refused as ``history-full``."""

_INSTANT: Final = struct.Struct(">q")

Place = tuple[int, str]
"""Start of a minute or an hour, and a service."""


@dataclass(frozen=True, slots=True)
class UptimeLimits:
    """Durations that shape the engine, all in milliseconds.

    Attributes
    ----------
    settle_ms : int
        A slice is judged this long after its end: a sample may be on its way.
    lateness_ms : int
        Samples are taken this long after the end of their minute.
    retention_ms : int
        Sums and declared states are kept this long: how far back corrections reach.
    """

    settle_ms: int = 30_000
    lateness_ms: int = HOUR_MS
    retention_ms: int = 70 * DAY_MS


@dataclass(slots=True)
class UptimeOutcome:
    """What one step did.

    Attributes
    ----------
    counts : dict
        Counters for the metrics: ``duplicate``, ``late``, ``feedback``, ``rejudged``.
    """

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    rollups: list[Rollup] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """State of one availability objective as of the last slice.

    Attributes
    ----------
    state : SliceState or None
        GOOD or BAD; None while it is unknown or nothing is promised.
    is_down : bool
        Whether ``SLAServiceDown`` fires.
    """

    objective: Availability
    state: SliceState | None
    is_down: bool


class UptimeEngine:
    """Services of one partition.

    Parameters
    ----------
    register : Register
    register_version : int
        Grows with every change of the register in this partition.
    limits : UptimeLimits
    owns : callable
        Tells whether a service belongs to this partition: one that never sends anything is missing, too.
    """

    def __init__(
        self,
        register: Register,
        register_version: int = 0,
        limits: UptimeLimits | None = None,
        owns: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.register = register
        self.register_version = register_version
        self.limits = limits or UptimeLimits()
        self.now_ms = 0
        self._owns = owns
        self._services: dict[str, ServiceState] = {}
        self._minutes: dict[Place, bytes] = {}
        self._minutes_at: dict[int, set[str]] = {}
        self._hours: dict[Place, bytes] = {}
        self._open_minutes: dict[Place, MinuteSamples] = {}
        self._open_hours: dict[Place, HourCells] = {}
        self._read_hour: tuple[Place, HourCells] | None = None
        """The hour that was read last: its minutes are asked for one after another."""
        self._touched: set[str] = set()
        self._late: dict[str, set[int]] = {}
        """Minutes that were judged and have new samples, by service."""
        self._unwatched: set[str] = set()
        self._judged_floor_ms = 0
        self._next_expiry_ms = 0
        self._expired: list[Place] = []
        self._judged_in_step = self._folded_in_step = 0
        self._outcome = UptimeOutcome()
        self._watch_all()

    def __len__(self) -> int:
        """Return the number of rows kept."""
        return len(self._services) + len(self._minutes) + len(self._hours)

    @property
    def services(self) -> tuple[str, ...]:
        """Services that are watched, by name."""
        return tuple(sorted(self._services))

    @property
    def judged_ms(self) -> int:
        """Up to where every slice of every service has been judged and told: the partition's progress."""
        watched = [state.judged_ms for state in self._services.values() if state.begin_ms >= 0]
        return min(watched, default=self._horizon_ms)

    def states(self) -> Iterator[ServiceNow]:
        """Yield the state of every objective in force, by service and id."""
        for service, state in sorted(self._services.items()):
            for objective in self._in_force(service, max(state.judged_ms - MINUTE_MS, 0)):
                tail = state.tails.get(objective.id)
                if tail is not None:
                    yield ServiceNow(objective, last_known(tail), tail.firing_since_ms >= 0)

    # --- state -----------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[tuple[bytes, bytes]], now_ms: int) -> None:
        """Take restored rows over; services judged under other terms are judged again by the next sweeps.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        self.now_ms = now_ms
        for key, row in rows:
            prefix = key[:1]
            if prefix == SERVICE_PREFIX:
                self._services[key[1:].decode()] = ServiceState.decode(row)
            elif prefix == MINUTE_PREFIX:
                check_format(row)
                place = _place_of(key)
                self._minutes[place] = row
                self._minutes_at.setdefault(place[0], set()).add(place[1])
            elif prefix == HOUR_PREFIX:
                check_format(row)
                self._hours[_place_of(key)] = row
        self._judged_floor_ms = 0
        self._watch_all()

    def set_register(self, register: Register, version: int) -> None:
        """Put a new register in force: what its terms and adjustments change is judged again by the next sweeps."""
        self.register = register
        self.register_version = version
        self._watch_all()

    def _watch_all(self) -> None:
        """Compare the terms of every service with the register, and begin to watch those that are new here."""
        kept_from_ms = self.now_ms - self.limits.retention_ms
        for service in sorted(self._services.keys() | {name for name in self.register.services if self._owns(name)}):
            state = self._services.get(service)
            if state is None:
                if not self.now_ms:
                    self._unwatched.add(service)
                    continue  # what time it is comes with the first heartbeat
                state = self._begin(service, self.now_ms)
            if state.version != self.register_version:
                changed = state.take_terms(self.register, service, self.register_version, kept_from_ms)
                if changed:
                    self._touched.add(service)
                    self._judged_floor_ms = 0
            for objective, tail in list(state.tails.items()):
                if objective not in state.terms:
                    alert = withdraw(tail, objective, self.now_ms)
                    if alert is not None:
                        self._outcome.alerts.append(alert)
                    del state.tails[objective]
                    self._touched.add(service)

    def _begin(self, service: str, from_ms: int) -> ServiceState:
        """Watch a service from an instant on, but not from before samples would be taken."""
        from_ms = max(0, from_ms, self.now_ms - self.limits.lateness_ms)
        minute_ms = from_ms - from_ms % MINUTE_MS
        state = self._services.get(service)
        if state is None:
            state = self._services[service] = ServiceState()
            state.take_terms(self.register, service, self.register_version, 0)
        if state.begin_ms < 0:
            state.begin_ms = state.judged_ms = minute_ms
        elif minute_ms < state.begin_ms:
            before_ms, state.begin_ms = state.begin_ms, minute_ms
            state.judge_again(minute_ms, before_ms)
        self._unwatched.discard(service)
        self._touched.add(service)
        self._judged_floor_ms = 0
        return state

    def _forget_ancient(self) -> None:
        """Now that the time is known: a sample dated years ago must not have all these years judged."""
        first_ms = self.now_ms - self.limits.lateness_ms
        first_ms -= first_ms % MINUTE_MS
        for service, state in self._services.items():
            if 0 <= state.begin_ms < first_ms:
                state.begin_ms = state.judged_ms = first_ms
                self._touched.add(service)

    # --- inputs ----------------------------------------------------------------------------------------------------

    def knows(self, service: str) -> bool:
        """Tell whether some objective of the register in force is about a service."""
        return service in self.register.services

    def apply(self, event: UptimeEvent) -> Rejected | None:
        """Apply one event of a service that is known.

        Returns
        -------
        Rejected or None
            The reason if the event is refused: ``too-late`` or ``history-full``.
        """
        match event:
            case ProbeSample():
                return self._sample(event)
            case StatusChange():
                return self._declare(event)
            case ServiceFeedback():
                self._outcome.counts["feedback"] += 1
                return None

    def _sample(self, event: ProbeSample) -> Rejected | None:
        minute_ms = minute_of(event)
        if minute_ms + MINUTE_MS + self.limits.lateness_ms <= self.now_ms:
            minutes = self.limits.lateness_ms // MINUTE_MS
            return Rejected(Reason.TOO_LATE, f"samples are taken up to {minutes} min after the end of their minute")
        place = (minute_ms, event.service)
        samples = self._samples(place)
        if len(samples) >= MOST_SAMPLES:
            detail = f"service {event.service!r} has {MOST_SAMPLES} samples in one minute: let probes send counts"
            return Rejected(Reason.HISTORY_FULL, detail)
        if not samples.add(event):
            self._outcome.counts["duplicate"] += 1
            return None
        self._open_minutes[place] = samples
        self._minutes_at.setdefault(minute_ms, set()).add(event.service)
        state = self._services.get(event.service)
        if state is None or state.begin_ms < 0 or minute_ms < state.begin_ms:
            state = self._begin(event.service, minute_ms)
        if minute_ms < state.judged_ms:
            self._late.setdefault(event.service, set()).add(minute_ms)
            self._outcome.counts["late"] += 1
        return None

    def _declare(self, event: StatusChange) -> Rejected | None:
        if event.at_ms < self.now_ms - self.limits.retention_ms:
            days = self.limits.retention_ms // DAY_MS
            return Rejected(Reason.TOO_LATE, f"declared states are taken up to {days} days after their instant")
        state = self._services.get(event.service)
        if state is not None and len(state.statuses) >= MOST_STATUSES:
            return Rejected(Reason.HISTORY_FULL, f"service {event.service!r} has {MOST_STATUSES} declared states")
        if state is None or state.begin_ms < 0 or event.at_ms < state.begin_ms:
            state = self._begin(event.service, event.at_ms)
        changed = state.declare(event)
        if changed is None:
            self._outcome.counts["duplicate"] += 1
            return None
        if state.judge_again(*changed):
            self._outcome.counts["late"] += 1
        self._touched.add(event.service)
        return None

    # --- time ------------------------------------------------------------------------------------------------------

    @property
    def _horizon_ms(self) -> int:
        """Slices that end up to here are judged."""
        horizon_ms = max(0, self.now_ms - self.limits.settle_ms)
        return horizon_ms - horizon_ms % MINUTE_MS

    def advance_to(self, now_ms: int) -> bool:
        """Let time pass: judge what has closed, fold and forget what is old. ``now`` never goes back.

        Returns
        -------
        bool
            True if more is due than a step may hold: the caller ends the step and makes another one.
        """
        is_first, self.now_ms = not self.now_ms, max(self.now_ms, now_ms)
        if self.now_ms and is_first:
            self._forget_ancient()
        if self._unwatched and self.now_ms:
            self._watch_all()
        self._judge_late()
        more = self._judge_again()
        more |= self._judge_closed()
        more |= self._fold()
        more |= self._expire()
        return more

    def _judge_late(self) -> None:
        """Judge once more what late samples of this step belong to."""
        late, self._late = self._late, {}
        for service, minutes in late.items():
            state = self._services[service]
            for minute_ms in sorted(minutes):
                for objective in self._in_force_between(service, minute_ms, minute_ms + MINUTE_MS):
                    first_ms = minute_ms - minute_ms % objective.slice_ms
                    # An idle slice may hold what this one is, within its hour.
                    holds = objective.idle is IdlePolicy.HOLD
                    end_ms = first_ms - first_ms % HOUR_MS + HOUR_MS if holds else first_ms + objective.slice_ms
                    self._judge(service, state, objective, first_ms, min(end_ms, state.judged_ms), is_new=False)
            self._outcome.counts["rejudged"] += len(minutes)
            self._tell_alerts(service, state)

    def _judge_again(self) -> bool:
        """Judge what is pending of other terms, corrections and declared states, an hour at a time."""
        for service, state in self._services.items():
            while state.pending:
                if self._judged_in_step >= JUDGED_LIMIT:
                    return True
                from_ms, until_ms = state.pending[0]
                end_ms = min(until_ms, from_ms - from_ms % HOUR_MS + HOUR_MS)
                state.pending[:1] = [(end_ms, until_ms)] if end_ms < until_ms else []
                self._touched.add(service)
                self._rejudge(service, state, from_ms, end_ms)
                self._outcome.counts["rejudged"] += (end_ms - from_ms) // MINUTE_MS
                if not state.pending:
                    self._tell_alerts(service, state)
            if state.gone and not state.pending:
                state.gone = []
                self._touched.add(service)
        return False

    def _rejudge(self, service: str, state: ServiceState, from_ms: int, until_ms: int) -> None:
        """Tell every minute of an interval within an hour anew, also those that begin no slice any more."""
        for name in sorted({*state.terms, *state.gone}):
            told: set[int] = set()
            for objective in self._revisions(service, name):
                slice_ms = objective.slice_ms
                end_ms = _next_slice(until_ms, slice_ms)
                if objective.idle is IdlePolicy.HOLD:  # as far as a slice may be held
                    end_ms = from_ms - from_ms % HOUR_MS + HOUR_MS
                first_ms, end_ms = from_ms - from_ms % slice_ms, min(end_ms, state.judged_ms)
                told |= self._judge(service, state, objective, first_ms, end_ms, is_new=False)
            for minute_ms in range(from_ms, until_ms, MINUTE_MS):
                if minute_ms not in told:
                    self._outcome.rollups.append(Rollup(name, minute_ms, 0, 0))
            self._judged_in_step += (until_ms - from_ms) // MINUTE_MS

    def _judge_closed(self) -> bool:
        """Judge what has closed since, an hour of a service at a time, the one that is furthest behind first."""
        horizon_ms = self._horizon_ms
        if self._judged_floor_ms >= horizon_ms:
            return False
        behind = sorted(
            (state.judged_ms, service)
            for service, state in self._services.items()
            if state.begin_ms >= 0 and state.judged_ms < horizon_ms
        )
        while behind:
            following: list[tuple[int, str]] = []
            for judged_ms, service in behind:
                if self._judged_in_step >= JUDGED_LIMIT:
                    return True
                state = self._services[service]
                until_ms = min(horizon_ms, judged_ms - judged_ms % HOUR_MS + HOUR_MS)
                state.judged_ms = until_ms
                for objective in self._in_force_between(service, judged_ms, until_ms):
                    # The slices that end in (judged, until].
                    slice_ms = objective.slice_ms
                    self._judge(service, state, objective, judged_ms - judged_ms % slice_ms, until_ms, is_new=True)
                self._touched.add(service)
                self._tell_alerts(service, state)
                if until_ms < horizon_ms:
                    following.append((until_ms, service))
            behind = sorted(following)
        self._judged_floor_ms = horizon_ms
        return False

    def _fold(self) -> bool:
        """Sum up the minutes that no sample may come to any more."""
        closed_ms = self.now_ms - self.limits.lateness_ms - MINUTE_MS
        if not self._minutes_at or min(self._minutes_at) > closed_ms:
            return False
        for minute_ms in sorted(minute_ms for minute_ms in self._minutes_at if minute_ms <= closed_ms):
            services = self._minutes_at[minute_ms]
            for service in sorted(services):
                if self._folded_in_step >= ROWS_LIMIT:
                    return True
                self._folded_in_step += 1
                place = (minute_ms, service)
                samples = self._samples(place)
                hour_ms = minute_ms - minute_ms % HOUR_MS
                hour = self._hour((hour_ms, service))
                hour.fold((minute_ms - hour_ms) // MINUTE_MS, samples, self._limits_of(service))
                self._open_hours[hour_ms, service] = hour
                self._open_minutes.pop(place, None)
                self._minutes.pop(place, None)
                self._outcome.rows[_key_of(MINUTE_PREFIX, place)] = None
                services.discard(service)
            del self._minutes_at[minute_ms]
        return False

    def _expire(self) -> bool:
        if self.now_ms >= self._next_expiry_ms:
            self._next_expiry_ms = self.now_ms + DAY_MS
            horizon_ms = self.now_ms - self.limits.retention_ms
            self._expired = [place for place in self._hours if place[0] + HOUR_MS <= horizon_ms]
            kept = {service for _, service in self._hours} | {service for _, service in self._minutes}
            for service, state in list(self._services.items()):
                state.forget_before(horizon_ms)
                if service not in self.register.services and service not in kept and not state.pending:
                    del self._services[service]
                    self._touched.discard(service)
                    self._outcome.rows[SERVICE_PREFIX + service.encode()] = None
        batch, self._expired = self._expired[:ROWS_LIMIT], self._expired[ROWS_LIMIT:]
        for place in batch:
            if self._hours.pop(place, None) is not None:
                self._open_hours.pop(place, None)
                self._read_hour = None
                self._outcome.rows[_key_of(HOUR_PREFIX, place)] = None
        return bool(self._expired)

    # --- judging ---------------------------------------------------------------------------------------------------

    def _judge(
        self, service: str, state: ServiceState, objective: Availability, first_ms: int, end_ms: int, *, is_new: bool
    ) -> set[int]:
        """Judge the slices of a revision that begin at ``first_ms`` or later and end by ``end_ms``; return the starts.

        A slice belongs to the revision in force at its start. One that began before the service was watched is not
        judged.
        """
        slice_ms = objective.slice_ms
        first_ms = max(first_ms, _next_slice(max(state.begin_ms, objective.effective_from_ms), slice_ms))
        starts = range(first_ms, min(end_ms - slice_ms + 1, objective.effective_until_ms), slice_ms)
        if not starts:
            return set()
        evidence = self._evidence(service, state, objective, first_ms, end_ms)
        tail = state.tails.setdefault(objective.id, Tail())
        for start_ms in starts:
            judged = judge(objective, start_ms, evidence)
            self._outcome.rollups.append(_rollup(objective.id, judged))
            if note(tail, start_ms, judged.state, is_new=is_new):
                self._touched.add(service)
        self._judged_in_step += len(starts)
        return set(starts)

    def _evidence(
        self, service: str, state: ServiceState, objective: Availability, first_ms: int, end_ms: int
    ) -> Evidence:
        limit = objective.latency_below_ms
        from_ms = first_ms - first_ms % HOUR_MS  # as far back as an idle slice may look
        seen: dict[int, Counts] = {}

        def counts(minute_ms: int) -> Counts:
            found = seen.get(minute_ms)
            if found is None:
                found = seen[minute_ms] = self._counts(service, minute_ms, limit)
            return found

        adjustments: list[tuple[int, int, Adjustment]] = [
            (start_ms, until_ms, adjustment)
            for adjustment in self.register.adjustments_of(service)
            for start_ms, until_ms in adjustment.intervals(from_ms, end_ms)
        ]

        def decree(minute_ms: int) -> Adjustment | None:
            return decree_at(adjustments, minute_ms)

        if objective.hours is None:
            return Evidence(counts, state.declared, _always, decree)
        windows = list(self.register.calendars[objective.hours].windows_between(from_ms, end_ms))

        def is_open(minute_ms: int) -> bool:
            return any(open_ms <= minute_ms < close_ms for open_ms, close_ms in windows)

        return Evidence(counts, state.declared, is_open, decree)

    def _counts(self, service: str, minute_ms: int, limit: Limit) -> Counts:
        if service in self._minutes_at.get(minute_ms, ()):
            return counts_under(self._samples((minute_ms, service)).cells((limit,)), (limit,), limit)
        hour_ms = minute_ms - minute_ms % HOUR_MS
        hour = self._hour((hour_ms, service))
        return counts_under(hour.cells((minute_ms - hour_ms) // MINUTE_MS), hour.limits, limit)

    def _tell_alerts(self, service: str, state: ServiceState) -> None:
        for objective in self._in_force(service, max(state.judged_ms - MINUTE_MS, 0)):
            tail = state.tails.get(objective.id)
            if tail is None:
                continue
            declared = state.declared_at(state.judged_ms)
            cause = declared.cause if declared is not None and declared.status not in objective.good_statuses else ""
            alert = decide(tail, objective, cause, self.now_ms)
            if alert is not None:
                self._outcome.alerts.append(alert)

    def _revisions(self, service: str, objective_id: str) -> list[Availability]:
        return [objective for objective in self.register.availabilities_of(service) if objective.id == objective_id]

    def _in_force(self, service: str, at_ms: int) -> list[Availability]:
        return [objective for objective in self.register.availabilities_of(service) if objective.is_in_force(at_ms)]

    def _in_force_between(self, service: str, from_ms: int, until_ms: int) -> list[Availability]:
        """Return the revisions in force at some time of an interval, or of a slice that reaches into it."""
        return [
            objective
            for objective in self.register.availabilities_of(service)
            if objective.effective_from_ms < until_ms and objective.effective_until_ms > from_ms - objective.slice_ms
        ]

    def _limits_of(self, service: str) -> list[Limit]:
        limits = {objective.latency_below_ms for objective in self.register.availabilities_of(service)}
        return [None, *sorted(limit for limit in limits if limit is not None)]

    # --- rows ------------------------------------------------------------------------------------------------------

    def _samples(self, place: Place) -> MinuteSamples:
        samples = self._open_minutes.get(place)
        if samples is None:
            row = self._minutes.get(place)
            samples = MinuteSamples() if row is None else MinuteSamples.decode(row)
        return samples

    def _hour(self, place: Place) -> HourCells:
        hour = self._open_hours.get(place)
        if hour is None:
            if self._read_hour is not None and self._read_hour[0] == place:
                return self._read_hour[1]
            row = self._hours.get(place)
            hour = HourCells() if row is None else HourCells.decode(row)
            self._read_hour = (place, hour)
        return hour

    def finish(self) -> UptimeOutcome:
        """End the step: return the rows it touched and the effects it had, and start a new one."""
        self._judge_late()
        outcome = self._outcome
        for place, samples in self._open_minutes.items():
            row = self._minutes[place] = samples.encode()
            outcome.rows[_key_of(MINUTE_PREFIX, place)] = row
        for place, hour in self._open_hours.items():
            row = self._hours[place] = hour.encode()
            outcome.rows[_key_of(HOUR_PREFIX, place)] = row
        for service in self._touched:
            outcome.rows[SERVICE_PREFIX + service.encode()] = self._services[service].encode()
        last: dict[tuple[str, int], Rollup] = {(rollup.target, rollup.minute_ms): rollup for rollup in outcome.rollups}
        outcome.rollups = [last[key] for key in sorted(last)]
        self._open_minutes, self._open_hours, self._touched = {}, {}, set()
        self._judged_in_step = self._folded_in_step = 0
        self._outcome = UptimeOutcome()
        return outcome


def _next_slice(at_ms: int, slice_ms: int) -> int:
    """Return the start of the first slice at or after an instant."""
    return -(-at_ms // slice_ms) * slice_ms


def _rollup(objective_id: str, judged: Slice) -> Rollup:
    return Rollup(
        objective_id,
        judged.start_ms,
        judged.good,
        judged.bad,
        known_minutes=judged.known_minutes,
        expected_minutes=judged.expected_minutes,
    )


def _always(_minute_ms: int) -> bool:
    return True


def _key_of(prefix: bytes, place: Place) -> bytes:
    return prefix + _INSTANT.pack(place[0]) + place[1].encode()


def _place_of(key: bytes) -> Place:
    (at_ms,) = _INSTANT.unpack_from(key, 1)
    return at_ms, key[1 + _INSTANT.size :].decode()
