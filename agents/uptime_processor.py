"""Uptime events in, rollups, alerts and dead letters out: the availability engine behind the stage's seam."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agents.observer import UptimeObserver
from agents.ticket_processor import OwnFaultsError
from config.settings import ClockMode, EngineSettings
from export.catalogue import EventResult
from sla.events import Heartbeat, Reason, Rejected
from sla.outcome import Alert
from sla.register import Register
from sla.units import DAY_MS, MINUTE_MS
from sla.uptime_engine import UptimeEngine, UptimeLimits
from sla.uptime_events import UptimeEvent
from streams.codecs import encode_alert, partition_of
from streams.dead_letters import Limit, dead_letter
from streams.processor import StepResult
from streams.rollups import encode_progress, encode_rollup
from streams.state_rows import Output, Position
from streams.topics import ALERTS, DEAD_LETTERS, ROLLUPS, UPTIME, Topics
from streams.uptime_codec import decode_uptime

STEP_BYTES: Final = 2_000_000
"""A step ends when the events it has read have this size; rows, counts and the outbox come on top."""

_REPEATED_KEYS: Final = 100_000


def uptime_limits(engine: EngineSettings) -> UptimeLimits:
    """Return the engine's durations as the settings say."""
    return UptimeLimits(
        settle_ms=int(engine.settle_seconds * 1000),
        lateness_ms=int(engine.uptime_lateness_minutes * MINUTE_MS),
        retention_ms=int(engine.uptime_retention_days * DAY_MS),
    )


class UptimeProcessor:
    """One partition of sla.uptime.

    Parameters
    ----------
    partition : int
    topics : Topics
        Names and partition counts.
    engine : EngineSettings
    observer : UptimeObserver

    Attributes
    ----------
    wants_newest_register : bool
        Set by :meth:`read` when it stopped before a record of a service that the register in force does not know: it
        is refused only after a look at the newest register, which :meth:`has_newest_register` answers.
    """

    def __init__(self, partition: int, topics: Topics, engine: EngineSettings, observer: UptimeObserver) -> None:
        self.partition = partition
        self._source = topics.name(UPTIME)
        self._partitions = topics[UPTIME].partitions
        self._alerts = topics.name(ALERTS)
        self._alert_partitions = topics[ALERTS].partitions
        self._rollups = topics.name(ROLLUPS)
        self._rollup_partitions = topics[ROLLUPS].partitions
        self._dead_letters = topics.name(DEAD_LETTERS)
        self._wall = engine.clock is ClockMode.WALL
        self._skew_ms = int(engine.future_skew_seconds * 1000)
        self._largest_bytes = engine.largest_event_bytes
        self._progress_ms = int(engine.progress_interval_seconds * 1000)
        self._limit = Limit(engine.dead_letter_limit_ratio)
        self._limits = uptime_limits(engine)
        self._observer = observer
        self._outputs: list[Output] = []
        self._applied = 0
        self._progress_told_ms = -1
        self._told_at_ms = 0
        self._partition_of_key: dict[str, int] = {}
        self._unknown: set[str] = set()
        """Services that the newest register does not know; forgotten with every chunk and every register."""
        self.wants_newest_register = False
        self.engine = self._new_engine(Register(), 0)

    # --- the stage's seam ------------------------------------------------------------------------------------------

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        """Take over restored rows; what was judged under other terms is judged again by the next sweeps."""
        self.engine = self._new_engine(view.register, position.register_version)
        self.engine.load(rows.items(), position.now_ms)

    @property
    def now_ms(self) -> int:
        """Present of the partition."""
        return self.engine.now_ms

    @property
    def ordinals(self) -> dict[str, int]:
        """Publishers give none; identity is the event's own."""
        return {}

    def put_register(self, snapshot: Any, version: int) -> None:
        """Put a compiled register in force."""
        self._unknown.clear()
        self.engine.set_register(snapshot.register, version)

    def has_newest_register(self) -> None:
        """Take note that the register in force is the newest one: what it does not know is unknown."""
        self.wants_newest_register = False

    def read(self, records: Sequence[Any], start: int) -> int:
        """Apply records until the step is full, more is due than it may hold, or a service is unknown.

        While :attr:`wants_newest_register` is set nothing is read.
        """
        if self.wants_newest_register:
            return start  # not before somebody has looked
        heartbeats = applied = size = 0
        index, count = start, len(records)
        engine = self.engine
        while index < count and size < STEP_BYTES:
            record = records[index]
            decoded = decode_uptime(record.value, record.key, self._largest_bytes)
            index += 1
            if isinstance(decoded, Heartbeat):
                heartbeats += 1
                if not self._wall and engine.advance_to(decoded.at_ms):
                    break
                continue
            size += len(record.value or b"")
            if isinstance(decoded, Rejected):
                self._reject(record, decoded)
                continue
            if not engine.knows(decoded.service) and decoded.service not in self._unknown:
                # The same record comes again, after a look at the newest register.
                self._unknown.add(decoded.service)
                self.wants_newest_register = True
                size -= len(record.value or b"")
                index -= 1
                break
            rejected = self._apply(decoded, record)
            if rejected is None:
                applied += 1
            else:
                self._reject(record, rejected)
        if applied:
            self._limit.accepted(applied)
            self._applied += applied
        if heartbeats:
            self._observer.events(self._source, EventResult.HEARTBEAT, heartbeats)
        if index == count:
            self._unknown.clear()  # a later chunk asks anew: contracts come
        if self._limit.exceeded:
            raise OwnFaultsError(
                f"{self._source}/{self.partition}: {self._limit.ratio:.0%} of the last 1,000 records failed in this "
                "release's own code or have a version it does not read; nothing was skipped: upgrade and start again"
            )
        return index

    def advance(self, now_ms: int | None) -> bool:
        """Let time pass."""
        return self.engine.advance_to(self.engine.now_ms if now_ms is None else now_ms)

    def finish(self) -> StepResult:
        """End the step."""
        outcome = self.engine.finish()
        outputs, self._outputs = self._outputs, []
        outputs += [self._alert(alert) for alert in outcome.alerts]
        for rollup in outcome.rollups:
            key = f"{rollup.target}|{rollup.minute_ms}|{self._source}/{self.partition}"
            place = self._place(rollup.target)
            outputs.append(Output(self._rollups, place, key.encode(), encode_rollup(rollup)))
        outputs += self._progress()
        self._count(outcome.counts)
        return StepResult(outcome.rows, outputs)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _new_engine(self, register: Register, version: int) -> UptimeEngine:
        return UptimeEngine(
            register,
            version,
            self._limits,
            owns=lambda service: partition_of(service.encode(), self._partitions) == self.partition,
        )

    def _apply(self, event: UptimeEvent, record: Any) -> Rejected | None:
        if self._wall and event.at_ms > record.timestamp + self._skew_ms:
            return Rejected(
                Reason.FROM_THE_FUTURE,
                f"dated {(event.at_ms - record.timestamp) / 1000:.0f} s after its arrival, "
                f"{self._skew_ms / 1000:.0f} s are allowed: check the probe's clock and time zone",
            )
        place = partition_of(record.key, self._partitions)
        if place != self.partition:
            return Rejected(
                Reason.WRONG_PARTITION,
                f"key {event.service!r} belongs on partition {place} of {self._partitions}: "
                "publish with the murmur2 partitioner (librdkafka: partitioner=murmur2_random)",
            )
        if not self.engine.knows(event.service):
            return self._unknown_service(event.service)
        try:
            return self.engine.apply(event)
        except Exception as error:  # noqa: BLE001 - one event must not stop all; a stream of these does (Limit)
            return Rejected(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _unknown_service(self, service: str) -> Rejected:
        known = sorted(self.engine.register.services)
        near = difflib.get_close_matches(service, known, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ": add `availability` for it to a signed contract"
        return Rejected(Reason.UNKNOWN_SERVICE, f"no availability objective names service {service!r}{hint}")

    def _reject(self, record: Any, rejected: Rejected) -> None:
        self._limit.rejected(rejected.reason)
        self._observer.events(self._source, EventResult.REJECTED, 1)
        self._observer.dead_letter(rejected.reason)
        self._outputs.append(
            dead_letter(self._dead_letters, rejected, record, topic=self._source, partition=self.partition)
        )

    def _progress(self) -> list[Output]:
        """Tell up to where every slice has been judged, at most once in a while."""
        judged_ms, now_ms = self.engine.judged_ms, self.engine.now_ms
        if judged_ms <= self._progress_told_ms or now_ms < self._told_at_ms + self._progress_ms:
            return []
        self._progress_told_ms, self._told_at_ms = judged_ms, now_ms
        key, value = f"progress|{self._source}/{self.partition}".encode(), encode_progress(judged_ms)
        return [Output(self._rollups, place, key, value) for place in range(self._rollup_partitions)]

    def _count(self, counts: dict[str, int]) -> None:
        applied, self._applied = self._applied, 0
        duplicates = counts.pop("duplicate", 0)
        if applied > duplicates:
            self._observer.events(self._source, EventResult.APPLIED, applied - duplicates)
        if duplicates:
            self._observer.events(self._source, EventResult.DUPLICATE, duplicates)
        if counts:
            self._observer.uptime_counts(counts)

    def _alert(self, alert: Alert) -> Output:
        return Output(self._alerts, self.partition % self._alert_partitions, alert.id.encode(), encode_alert(alert))

    def _place(self, key: str) -> int:
        place = self._partition_of_key.get(key)
        if place is None:
            if len(self._partition_of_key) > _REPEATED_KEYS:
                self._partition_of_key.clear()
            place = self._partition_of_key[key] = partition_of(key.encode(), self._rollup_partitions)
        return place
