"""Records of sla.tickets become steps: what is applied, what is refused and why, where steps end, what they send."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import structlog

from agents import ticket_processor as module
from agents.ticket_processor import OwnFaultsError, TicketProcessor
from export.catalogue import EventResult
from sla.alerting import clock_alert
from sla.engine import SWEEP_LIMIT
from sla.events import Reason
from sla.units import MINUTE_MS
from streams.dead_letters import DETAIL, OFFSET, PARTITION, REASON, TIMESTAMP, TOPIC
from streams.processor import StepResult
from streams.rollups import Counted, Progress, decode_rollup
from streams.state_rows import Output, Position
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import (
    PARTITIONS,
    TOPICS,
    CountingObserver,
    event_record,
    heartbeat_record,
    settings,
    ticket_on,
    tickets_on,
    view,
)

TICKETS = "sla.tickets"
EIGHT_HOURS = register(target(within="8bh", warn=("0.5",), attain="0.9"))
INC = ticket_on(0)


def fail_alerts_of(tickets: str | frozenset[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the alerts of these tickets fail in our own code; of all tickets if none is named."""

    def faulty(*given: Any) -> Any:
        if not tickets or given[4] in tickets:
            raise ZeroDivisionError("division by zero")
        return clock_alert(*given)

    monkeypatch.setattr("sla.telling.clock_alert", faulty)


class Desk:
    """A processor of partition 0, its observer, and the rows its steps have left."""

    def __init__(self, of: Any = EIGHT_HOURS, **engine: Any) -> None:
        self.observer = CountingObserver()
        self.settings = settings(engine=engine)
        self.rows: dict[bytes, bytes] = {}
        self.position = Position(register_version=1)
        self.view = view(of)
        self.processor = self._restored()

    def _restored(self) -> TicketProcessor:
        processor = TicketProcessor(0, TOPICS, self.settings.engine, self.observer)
        processor.restore(self.rows, self.position, self.view)
        return processor

    def restart(self) -> None:
        self.position.now_ms = self.processor.now_ms
        self.processor = self._restored()

    def finish(self) -> StepResult:
        result = self.processor.finish()
        for key, row in result.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        return result

    def step(self, *records: Record) -> StepResult:
        """Let one step read all of these."""
        assert self.processor.read(records, 0) == len(records)
        self.processor.advance(None)
        return self.finish()


def to(result: StepResult, topic: str) -> list[Output]:
    return [output for output in result.outputs if output.topic == topic]


def letters(result: StepResult) -> list[dict[str, bytes]]:
    return [dict(output.headers) for output in to(result, "sla.dead-letters")]


# --- rejections --------------------------------------------------------------------------------------------------------

REJECTED = [
    (Record(0, INC.encode(), b"{", 0), Reason.MALFORMED, ""),
    (Record(0, INC.encode(), None, 0), Reason.MALFORMED, "no value"),
    (Record(0, INC.encode(), b'{"version": 1, "ticket": 7}', 0), Reason.MALFORMED, "$.ticket"),
    (event_record(INC, version=2), Reason.UNKNOWN_VERSION, "version 2"),
    (Record(0, b"k", b'{"version": 1, "type": "probe", "at": 1}', 0), Reason.UNKNOWN_TYPE, "'probe'"),
    (Record(0, INC.encode(), b"x" * 70_000, 0), Reason.OVERSIZED, "70000 bytes"),
    (event_record(INC, key="INC-9999"), Reason.KEY_MISMATCH, "INC-9999"),
    (event_record(ticket_on(1)), Reason.WRONG_PARTITION, "murmur2"),
]


@pytest.mark.parametrize(("record", "reason", "detail"), REJECTED, ids=lambda value: getattr(value, "value", None))
def test_what_can_not_be_taken_in_goes_to_the_dead_letters_as_it_was_received(
    record: Record, reason: Reason, detail: str
) -> None:
    desk = Desk()
    record.offset, record.timestamp, record.headers = 41, 77, (("traceparent", b"00-1"),)
    result = desk.step(record)
    [letter] = to(result, "sla.dead-letters")
    assert (letter.key, letter.value, letter.partition) == (record.key, record.value, 0)
    headers = dict(letter.headers)
    assert headers[REASON].decode() == reason
    assert detail in headers[DETAIL].decode()
    assert (headers[TOPIC], headers[PARTITION], headers[OFFSET]) == (b"sla.tickets", b"0", b"41")
    assert headers[TIMESTAMP] == b"77"
    assert headers["traceparent"] == b"00-1"
    assert result.rows == {}, "it leaves no trace in the state"
    assert desk.observer.results == {(TICKETS, EventResult.REJECTED): 1}
    assert desk.observer.dead_letters == {reason: 1}


def test_with_the_wall_clock_an_event_dated_after_its_arrival_is_from_the_future() -> None:
    desk = Desk(clock="wall", future_skew_seconds=300)
    accepted = event_record(INC, when="mon 09:05", arrived="mon 09:00", offset=1)
    early = event_record(INC, "responded", when="mon 09:05:00.001", arrived="mon 09:00", offset=2)
    result = desk.step(accepted, early)
    [headers] = letters(result)
    assert headers[REASON].decode() == Reason.FROM_THE_FUTURE
    assert "300 s after its arrival, 300 s are allowed" in headers[DETAIL].decode()
    assert desk.observer.results[TICKETS, EventResult.APPLIED] == 1


def test_with_the_clock_of_events_arrival_is_nothing_to_go_by() -> None:
    result = Desk().step(event_record(INC, when="fri 09:00", arrived="mon 09:00"))
    assert letters(result) == []


def test_an_event_of_a_ticket_that_is_forgotten_is_too_late() -> None:
    desk = Desk(retention_days=1)
    result = desk.step(heartbeat_record("fri 09:00"), event_record(INC, when="mon 09:00"))
    [headers] = letters(result)
    assert headers[REASON].decode() == Reason.TOO_LATE


def test_a_ticket_that_is_kept_is_on_its_partition_whatever_the_key_says_now() -> None:
    """A ticket may have come before partitions were checked, or under a key that hashes otherwise."""
    desk = Desk()
    desk.step(event_record(INC))
    assert letters(desk.step(event_record(INC, "resolved", "mon 10:00"))) == []


def test_one_event_that_our_own_code_fails_on_is_diverted_and_its_ticket_is_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    desk.step(event_record(INC))
    apply = desk.processor.engine.apply

    def faulty(ticket: str, event: Any, key: bytes) -> Any:
        if event.event == "cursed":
            raise ZeroDivisionError("division by zero")
        return apply(ticket, event, key)

    monkeypatch.setattr(desk.processor.engine, "apply", faulty)
    result = desk.step(event_record(INC, "cursed", "mon 10:00"), event_record(INC, "resolved", "mon 11:00"))
    [headers] = letters(result)
    assert headers[REASON].decode() == Reason.INTERNAL_ERROR
    assert headers[DETAIL] == b"ZeroDivisionError: division by zero"
    ticket = desk.processor.engine.ticket(INC)
    assert ticket is not None
    assert [entry.event for entry in ticket.history] == ["created", "resolved"]


def test_a_stream_of_faults_of_our_own_stops_the_worker_before_the_step_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(dead_letter_limit_ratio=0.5)

    def faulty(_ticket: str, _event: Any, _key: bytes) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(desk.processor.engine, "apply", faulty)
    records = [event_record(INC, "updated", at("mon 09:00") + number) for number in range(501)]
    assert desk.processor.read(records[:500], 0) == 500
    with pytest.raises(OwnFaultsError, match=r"sla.tickets/0: 50% of the last 1,000 records.*upgrade"):
        desk.processor.read(records, 500)


def test_events_of_a_version_we_do_not_read_count_as_our_own_fault() -> None:
    desk = Desk(dead_letter_limit_ratio=0.1)
    with pytest.raises(OwnFaultsError):
        desk.step(*[event_record(INC, version=9) for _ in range(101)])


def test_the_garbage_of_one_publisher_never_stops_the_worker() -> None:
    desk = Desk(dead_letter_limit_ratio=0.01)
    result = desk.step(*[Record(offset, b"k", b"garbage", 0) for offset in range(2_000)])
    assert len(letters(result)) == 2_000


def test_a_ticket_that_our_own_code_fails_on_as_time_passes_is_logged_once_and_costs_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    bad, good = ticket_on(0, 1), ticket_on(0, 2)
    desk.step(event_record(bad), event_record(good))
    fail_alerts_of(bad, monkeypatch)
    with structlog.testing.capture_logs() as logs:
        result = desk.step(heartbeat_record("mon 13:00"))
        assert [output.key for output in to(result, "sla.alerts")] == [f"SLATicketAtRisk/{good}:resolution:1".encode()]
        desk.step(heartbeat_record("mon 15:00"))
    [entry] = logs
    assert (entry["event"], entry["ticket"], entry["partition"]) == ("ticket set aside", bad, 0)
    assert isinstance(entry["exc_info"], ZeroDivisionError)
    assert desk.processor.engine.set_aside == [bad]


def test_many_tickets_of_one_fault_make_a_short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(dead_letter_limit_ratio=0.5)
    desk.step(*map(event_record, tickets_on(0, 40)))
    fail_alerts_of("", monkeypatch)
    with structlog.testing.capture_logs() as logs:
        desk.step(heartbeat_record("mon 13:00"))
    assert [entry["event"] for entry in logs] == ["ticket set aside"] * 10 + ["more tickets set aside"]
    assert logs[-1]["tickets"] == 30


@pytest.mark.parametrize("bad", [400, 600])
def test_a_stream_of_tickets_that_fail_stops_the_worker_before_the_step_is_written(
    bad: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(dead_letter_limit_ratio=0.5)
    names = tickets_on(0, 1_000)
    desk.step(*[event_record(name) for name in names])
    fail_alerts_of(frozenset(name for number, name in enumerate(names) if number < bad), monkeypatch)
    desk.processor.read([heartbeat_record("mon 13:00")], 0)
    with structlog.testing.capture_logs():
        if bad < 500:
            assert len(desk.finish().rows) > 1
        else:
            with pytest.raises(OwnFaultsError, match=r"sla.tickets/0: 60% of the last 1,000 tickets.*ZeroDivision"):
                desk.finish()


def test_tickets_that_fail_one_in_each_step_stop_the_worker_too(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(dead_letter_limit_ratio=0.01)
    fail_alerts_of("", monkeypatch)

    def work() -> None:
        for number, name in enumerate(tickets_on(0, 20)):
            desk.step(event_record(name))
            desk.step(heartbeat_record(at("mon 13:00") + number))

    with pytest.raises(OwnFaultsError), structlog.testing.capture_logs():
        work()


# --- what is counted ---------------------------------------------------------------------------------------------------


def test_every_record_is_counted_once_by_what_became_of_it() -> None:
    desk = Desk()
    created, updated = event_record(INC), event_record(INC, "updated", "mon 09:30")
    desk.step(created, event_record(INC, "responded", "mon 10:00"), updated, created, updated)
    desk.step(heartbeat_record("mon 10:00"), Record(9, b"k", b"?", 0), created)
    assert desk.observer.results == {
        (TICKETS, EventResult.APPLIED): 3,
        (TICKETS, EventResult.DUPLICATE): 3,
        (TICKETS, EventResult.HEARTBEAT): 1,
        (TICKETS, EventResult.REJECTED): 1,
    }
    assert desk.observer.counts == {"out-of-order": 1}


def test_verdicts_are_counted_by_contract_target_and_result() -> None:
    desk = Desk()
    desk.step(event_record(INC), event_record(INC, "resolved", "mon 10:00"), heartbeat_record("mon 10:00"))
    assert desk.observer.counts == {"verdict:desk:resolution:met": 1}


# --- where steps end ---------------------------------------------------------------------------------------------------


def test_a_step_ends_when_its_rows_may_have_become_too_large_for_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP_BYTES", 70_000)
    desk = Desk()
    records = [
        event_record(INC, "updated", at("mon 09:00") + number, offset=number, note=str(number)) for number in range(250)
    ]
    index, ends = 0, []
    while index < len(records):
        index = desk.processor.read(records, index)
        ends.append(index)
        desk.finish()
    size = 700 + len(records[0].value)
    assert ends[0] == -(-70_000 // size), "700 bytes an event beside its own, and no row yet"
    steps = [end - start for start, end in pairwise([0, *ends])]
    assert all(later <= earlier for earlier, later in pairwise(steps)), "the row grows"
    assert ends[-1] == 250
    ticket = desk.processor.engine.ticket(INC)
    assert ticket is not None
    assert len(ticket.history) == 250


def test_large_rejected_records_fill_a_step_too() -> None:
    """Each is in the batch twice: as an output in the outbox, and in its dead letter."""
    desk = Desk()
    garbage = [Record(offset, b"k", b"x" * 60_000, 0) for offset in range(100)]
    index = desk.processor.read(garbage, 0)
    assert 25 < index < 35
    assert sum(len(output.value or b"") for output in desk.finish().outputs) < module.STEP_BYTES


def test_a_record_larger_than_a_step_is_a_step_of_its_own() -> None:
    desk = Desk()
    huge = Record(0, b"k", b"x" * 5_000_000, 0)
    assert desk.processor.read([huge, event_record(INC)], 0) == 1


def test_a_heartbeat_that_leaves_more_rows_due_than_a_step_may_touch_stops_the_reading_there() -> None:
    """What comes after it happened later: it must find the rows as they were judged at the heartbeat."""
    desk = Desk()
    tickets = [f"T{number}" for number in range(PARTITIONS * (SWEEP_LIMIT + 300))]
    from streams.codecs import partition_of

    mine = [ticket for ticket in tickets if partition_of(ticket.encode(), PARTITIONS) == 0]
    assert len(mine) > SWEEP_LIMIT
    records = [event_record(ticket) for ticket in mine]
    index = 0
    while index < len(records):
        index = desk.processor.read(records, index)
        desk.finish()
    chunk = [heartbeat_record("tue 12:00"), event_record(mine[0], "resolved", "tue 13:00")]
    assert desk.processor.read(chunk, 0) == 1
    breached = []
    more, steps = True, 0
    while more:
        if steps:
            more = desk.processor.advance(None)
        else:
            more = desk.processor.advance(None)
            assert more
        result = desk.finish()
        assert len([key for key in result.rows if key[:1] == b"t"]) <= SWEEP_LIMIT
        breached += to(result, "sla.verdicts")
        steps += 1
    assert steps == 2
    assert len(breached) == len(mine)
    assert desk.processor.read(chunk, 1) == 2


# --- time --------------------------------------------------------------------------------------------------------------


def test_the_present_moves_by_heartbeats_in_replay_and_by_the_caller_with_the_wall_clock() -> None:
    replay, live = Desk(), Desk(clock="wall")
    for desk in (replay, live):
        desk.step(event_record(INC), heartbeat_record("mon 12:00"))
    assert replay.processor.now_ms == at("mon 12:00")
    assert live.processor.now_ms == 0
    assert not live.processor.advance(at("mon 13:00"))
    assert live.processor.now_ms == at("mon 13:00")
    live.processor.advance(at("mon 11:00"))
    assert live.processor.now_ms == at("mon 13:00"), "it never goes back"


def test_progress_is_told_to_every_partition_of_the_rollups_once_an_interval() -> None:
    desk = Desk(progress_interval_seconds=60)

    def told(now_ms: int) -> list[tuple[int, int]]:
        result = desk.step(heartbeat_record(now_ms))
        found = []
        for output in to(result, "sla.rollups"):
            progress = decode_rollup(output.value)
            assert isinstance(progress, Progress)
            assert output.key == b"progress|sla.tickets/0"
            found.append((output.partition, progress.now_ms))
        return found

    start = at("mon 09:00")
    assert told(start) == [(partition, start) for partition in range(PARTITIONS)]
    assert told(start + MINUTE_MS - 1) == []
    assert told(start + MINUTE_MS) == [(partition, start + MINUTE_MS) for partition in range(PARTITIONS)]


# --- outputs -----------------------------------------------------------------------------------------------------------


def test_a_verdict_its_count_and_its_alerts_leave_together() -> None:
    desk = Desk()
    desk.step(event_record(INC))
    desk.processor.advance(at("mon 13:00"))
    at_risk = desk.finish()
    desk.processor.advance(at("mon 17:00:30"))
    breached = desk.finish()

    [alert] = to(at_risk, "sla.alerts")
    assert alert.key == f"SLATicketAtRisk/{INC}:resolution:1".encode()
    [verdict] = to(breached, "sla.verdicts")
    assert (verdict.key, verdict.partition, verdict.headers) == (INC.encode(), 0, ())
    assert len({output.partition for output in to(breached, "sla.alerts") if output.key == alert.key}) <= 1
    counts = [decode_rollup(output.value) for output in to(breached, "sla.rollups")]
    assert Counted("resolution", at("mon 17:00"), 0, 1, False) in counts
    # A correction says that it is one.
    result = desk.step(event_record(INC, "resolved", "mon 16:59"))
    [correction] = to(result, "sla.verdicts")
    assert dict(correction.headers) == {"slawatch-correction": b"1"}


def test_outputs_of_one_alert_and_of_one_target_keep_to_one_partition() -> None:
    """A consumer drops what is not newer per partition: another one would start anew."""
    desk = Desk()
    desk.step(event_record(INC))
    partitions: dict[bytes | None, set[int]] = {}
    for when in ("mon 13:00", "mon 17:00:30"):
        desk.processor.advance(at(when))
        for output in to(desk.finish(), "sla.alerts"):
            partitions.setdefault(output.key, set()).add(output.partition)
    resolved = desk.step(event_record(INC, "resolved", "tue 09:00"))
    for output in to(resolved, "sla.alerts"):
        partitions.setdefault(output.key, set()).add(output.partition)
    assert len(partitions) == 2
    assert all(len(places) == 1 for places in partitions.values())


# --- restore and register ----------------------------------------------------------------------------------------------


def test_a_restored_processor_goes_on_where_the_rows_say() -> None:
    straight, restarted = Desk(), Desk()
    script: list[Record | None] = [
        event_record(INC),
        heartbeat_record("mon 12:00"),
        None,
        event_record(INC, "updated", "mon 12:30", waiting_for="customer"),
        None,
        event_record(INC, "updated", "mon 14:30", waiting_for=None),
        heartbeat_record("tue 12:00"),
    ]
    for record in script:
        if record is None:
            restarted.restart()
            continue
        for desk in (straight, restarted):
            desk.step(record)
    assert straight.rows == restarted.rows
    assert straight.processor.now_ms == restarted.processor.now_ms


def test_rows_of_another_register_version_are_judged_anew_after_a_restore() -> None:
    desk = Desk()
    desk.step(event_record(INC), heartbeat_record("mon 12:00"))
    desk.position.register_version = 2
    desk.view = view(register(target(within="1bh")), version=2)
    desk.restart()
    desk.processor.advance(None)
    [verdict] = to(desk.finish(), "sla.verdicts")
    assert b'"breached"' in (verdict.value or b"")


def test_a_new_register_is_in_force_from_its_own_step_on() -> None:
    desk = Desk()
    desk.step(event_record(INC), heartbeat_record("mon 12:00"))
    desk.processor.put_register(view(register(target(within="1bh"))), 2)
    desk.processor.advance(None)
    [verdict] = to(desk.finish(), "sla.verdicts")
    assert b'"breached"' in (verdict.value or b"")


def test_publishers_number_nothing() -> None:
    assert Desk().processor.ordinals == {}
