"""Ticket events in, verdicts, alerts, rollups and dead letters out: the ticket engine behind the stage's seam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from agents.observer import TicketObserver
from config.settings import ClockMode, EngineSettings
from export.catalogue import EventResult
from sla.engine import TICKET_PREFIX, EngineLimits, TicketEngine
from sla.events import Heartbeat, Reason, Rejected, TicketEvent
from sla.fold import Added
from sla.outcome import Alert
from sla.register import Register
from sla.step import Outcome
from sla.units import DAY_MS
from streams.codecs import decode_ticket, encode_alert, encode_verdict, partition_of
from streams.dead_letters import Limit, dead_letter
from streams.processor import StepResult
from streams.rollups import encode_progress, encode_rollup
from streams.state_rows import Output, Position
from streams.topics import ALERTS, DEAD_LETTERS, ROLLUPS, TICKETS, VERDICTS, Topics

STEP_BYTES: Final = 3_500_000
"""A step ends when its rows may reach this size; with verdicts and the outbox it stays below 8 MB."""

_BYTES_PER_EVENT: Final = 700
"""Allowance for what one event may add beside its own bytes: a verdict, an alert and their copies in the outbox."""

_REPEATED_KEYS: Final = 100_000

_LIMIT_WINDOW: Final = 1_000
"""Tickets looked back on for the share of them that failed in our own code."""

_LOGGED_FAULTS: Final = 10
"""Most tickets set aside that one step logs with a traceback: nearly always they have one cause."""

log = structlog.get_logger(__name__)


class OwnFaultsError(Exception):
    """Most of the last records failed in our own code: going on would divert the whole topic to the dead letters."""


def engine_limits(engine: EngineSettings) -> EngineLimits:
    """Return the engine's durations as the settings say."""
    retention_ms = int(engine.retention_days * DAY_MS)
    return EngineLimits(
        settle_ms=int(engine.settle_seconds * 1000),
        retention_ms=retention_ms,
        bucket_retention_ms=366 * DAY_MS + retention_ms + 7 * DAY_MS,
    )


class TicketProcessor:
    """One partition of sla.tickets.

    Parameters
    ----------
    partition : int
    topics : Topics
        Names and partition counts.
    engine : EngineSettings
    observer : TicketObserver
    """

    def __init__(self, partition: int, topics: Topics, engine: EngineSettings, observer: TicketObserver) -> None:
        self.partition = partition
        self._source = topics.name(TICKETS)
        self._partitions = topics[TICKETS].partitions
        self._verdicts = topics.name(VERDICTS)
        self._verdict_partitions = topics[VERDICTS].partitions
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
        self._ticket_limit = Limit(engine.dead_letter_limit_ratio, _LIMIT_WINDOW)
        self._limits = engine_limits(engine)
        self._observer = observer
        self._outputs: list[Output] = []
        self._applied = 0
        self._progress_told_ms = 0
        self._partition_of_key: dict[str, int] = {}
        self.engine = TicketEngine(Register(), 0, self._limits)

    # --- the stage's seam ------------------------------------------------------------------------------------------

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:
        """Take over restored rows; those folded under another register version are folded again by the next sweeps."""
        self.engine = TicketEngine(view.register, position.register_version, self._limits)
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
        self.engine.set_register(snapshot.register, version)

    def read(self, records: Sequence[Any], start: int) -> int:
        """Apply records until the step is full or a heartbeat leaves more rows due than one step may touch."""
        applied = heartbeats = 0
        size = 0  # of what the events add; the rows they touch are counted by the engine
        index = start
        count = len(records)
        engine = self.engine
        largest = self._largest_bytes
        while index < count and size + engine.step_bytes < STEP_BYTES:
            record = records[index]
            index += 1
            decoded = decode_ticket(record.value, record.key, largest)
            if type(decoded) is tuple:
                ticket, event = decoded
                rejected = self._apply(engine, ticket, event, record)
                if rejected is None:
                    applied += 1
                    size += _BYTES_PER_EVENT + len(record.value)
                else:
                    self._reject(record, rejected)
                    size += 2 * len(record.value)
            elif type(decoded) is Heartbeat:
                heartbeats += 1
                if not self._wall and engine.advance_to(decoded.at_ms):
                    break
            else:
                assert isinstance(decoded, Rejected)
                self._reject(record, decoded)
                size += 2 * len(record.value or b"")
        if applied:
            self._limit.accepted(applied)
            self._applied += applied
        if heartbeats:
            self._observer.events(self._source, EventResult.HEARTBEAT, heartbeats)
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
        self._tell_faults(outcome)
        outputs, self._outputs = self._outputs, []
        for verdict, is_correction in outcome.verdicts:
            headers = (("slawatch-correction", b"1"),) if is_correction else ()
            outputs.append(
                Output(
                    self._verdicts,
                    self.partition % self._verdict_partitions,
                    verdict.ticket.encode(),
                    encode_verdict(verdict),
                    headers,
                )
            )
        outputs += [self._alert(alert) for alert in outcome.alerts]
        for rollup in outcome.rollups:
            key = f"{rollup.target}|{rollup.minute_ms}|{self._source}/{self.partition}"
            partition = self._place(rollup.target, self._rollup_partitions)
            outputs.append(Output(self._rollups, partition, key.encode(), encode_rollup(rollup)))
        now_ms = self.engine.now_ms
        if now_ms >= self._progress_told_ms + self._progress_ms:
            self._progress_told_ms = now_ms
            key_bytes = f"progress|{self._source}/{self.partition}".encode()
            value = encode_progress(now_ms)
            outputs += [Output(self._rollups, place, key_bytes, value) for place in range(self._rollup_partitions)]
        self._count(outcome.counts)
        return StepResult(outcome.rows, outputs)

    # --- inside ----------------------------------------------------------------------------------------------------

    def _apply(self, engine: TicketEngine, ticket: str, event: TicketEvent, record: Any) -> Rejected | None:
        if self._wall and event.at_ms > record.timestamp + self._skew_ms:
            return Rejected(
                Reason.FROM_THE_FUTURE,
                f"dated {(event.at_ms - record.timestamp) / 1000:.0f} s after its arrival, "
                f"{self._skew_ms / 1000:.0f} s are allowed: check the publisher's clock and time zone",
            )
        key = TICKET_PREFIX + record.key
        if not engine.holds(key):
            place = partition_of(record.key, self._partitions)
            if place != self.partition:
                return Rejected(
                    Reason.WRONG_PARTITION,
                    f"key {ticket!r} belongs on partition {place} of {self._partitions}: "
                    "publish with the murmur2 partitioner (librdkafka: partitioner=murmur2_random)",
                )
        try:
            return engine.apply(ticket, event, key)
        except Exception as error:  # noqa: BLE001 - one event must not stop all; a stream of these does (Limit)
            return Rejected(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")

    def _reject(self, record: Any, rejected: Rejected) -> None:
        self._limit.rejected(rejected.reason)
        self._observer.events(self._source, EventResult.REJECTED, 1)
        self._observer.dead_letter(rejected.reason)
        self._outputs.append(
            dead_letter(self._dead_letters, rejected, record, topic=self._source, partition=self.partition)
        )

    def _tell_faults(self, outcome: Outcome) -> None:
        """Say which tickets our own code could not compute; a stream of them stops the worker before it stores that."""
        faults, computed = outcome.faults, outcome.computed
        if not faults:
            self._ticket_limit.accepted(computed)
            return
        fresh = [fault for fault in faults if fault.is_new]
        for fault in fresh[:_LOGGED_FAULTS]:
            log.error(
                "ticket set aside",
                topic=self._source,
                partition=self.partition,
                ticket=fault.ticket,
                reason=Reason.INTERNAL_ERROR.value,
                exc_info=fault.error,
            )
        if len(fresh) > _LOGGED_FAULTS:
            more = len(fresh) - _LOGGED_FAULTS
            log.error("more tickets set aside", topic=self._source, partition=self.partition, tickets=more)
        # A large step in proportion: else what is counted last of it would be all that the limit sees.
        scale = min(1.0, _LIMIT_WINDOW / (computed + len(faults)))
        self._ticket_limit.accepted(round(computed * scale))
        for _ in range(round(len(faults) * scale)):
            self._ticket_limit.rejected(Reason.INTERNAL_ERROR)
        if self._ticket_limit.exceeded:
            last = faults[-1]
            raise OwnFaultsError(
                f"{self._source}/{self.partition}: {self._ticket_limit.ratio:.0%} of the last 1,000 tickets "
                f"failed in this release's own code, the last one with {type(last.error).__name__}: {last.error} "
                f"(ticket {last.ticket!r}); nothing was lost: upgrade and start again"
            ) from last.error

    def _count(self, counts: dict[str, int]) -> None:
        applied, self._applied = self._applied, 0
        duplicates = counts.pop(Added.DUPLICATE.value, 0)
        if applied > duplicates:
            self._observer.events(self._source, EventResult.APPLIED, applied - duplicates)
        if duplicates:
            self._observer.events(self._source, EventResult.DUPLICATE, duplicates)
        if counts:
            self._observer.engine_counts(counts)

    def _alert(self, alert: Alert) -> Output:
        # All alerts of a ticket go where its partition's go: the same place for every state of one alert, and the hash
        # of an id this long costs as much as the rest.
        return Output(self._alerts, self.partition % self._alert_partitions, alert.id.encode(), encode_alert(alert))

    def _place(self, key: str, partitions: int) -> int:
        place = self._partition_of_key.get(key)
        if place is None:
            if len(self._partition_of_key) > _REPEATED_KEYS:
                self._partition_of_key.clear()
            place = self._partition_of_key[key] = partition_of(key.encode(), partitions)
        return place
