"""By the wall clock: a breach needs no event, and what merely came late, or was not read yet, is never one.

What was published is judged by every record of ``sla.verdicts`` and ``sla.alerts``, not only by the last ones.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from sla.units import HOUR_MS, MINUTE_MS
from streams.broker import Broker
from streams.connection import admin_client
from streams.local_broker import BrokerOptions, LocalBroker
from streams.system_clock import now_ms
from streams.topics import TICKETS
from tests.support.cluster import Worker, counts_of
from tests.support.desk import NO_TICKET, QUICK_MS, Desk, Sent, Upstream, event, health, log_lines, metric

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SETTLE_MS = 3_000


@dataclass(frozen=True)
class Running:
    """A desk with one worker."""

    desk: Desk
    worker: Worker


@pytest.fixture(scope="module")
def running(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("desk")
    settings = {"SLAWATCH_ENGINE__SETTLE_SECONDS": str(SETTLE_MS / 1000)}
    with Desk(kafka.bootstrap, f"{folder.name}-{now_ms()}-", folder, **settings) as desk:
        worker = desk.start_worker()
        desk.wait_ready(worker)
        yield Running(desk, worker)
        assert worker.stop() == 0


def test_a_ticket_nobody_touches_is_told_as_breached_once_its_deadline_has_settled(running: Running) -> None:
    desk = running.desk
    created_ms = desk.tell("INC-A", "created", priority="P1")
    desk.wait_processed()
    ends = desk.ends()
    desk.wait_until("the breach is told", lambda: bool(desk.told("INC-A")))
    assert now_ms() >= created_ms + QUICK_MS + SETTLE_MS
    assert desk.ends() == ends, "an event has arrived"
    [told] = desk.told("INC-A")
    assert (told.outcome, told.is_correction) == ("breached", False)
    assert told.decided_at_ms == created_ms + QUICK_MS
    assert told.document["stop"] is None
    assert desk.alerts("INC-A") == [("SLATicketBreached", "firing")]

    resolved_ms = desk.tell("INC-A", "resolved")
    desk.wait_until("its end is told", lambda: len(desk.told("INC-A")) > 1)
    end = desk.told("INC-A")[-1]
    assert (end.outcome, end.is_correction, end.decided_at_ms) == ("breached", False, created_ms + QUICK_MS)
    assert end.document["elapsed_seconds"] == (resolved_ms - created_ms) / 1000
    desk.wait_until("nobody is paged any more", lambda: desk.alerts("INC-A")[-1] == ("SLATicketBreached", "resolved"))


def test_a_resolve_that_arrives_while_its_deadline_settles_leaves_no_trace_of_a_breach(running: Running) -> None:
    desk = running.desk
    deadline_ms = desk.tell("INC-E", "created", priority="P1") + QUICK_MS
    desk.wait_until("the deadline has passed", lambda: now_ms() > deadline_ms + 300)
    desk.tell("INC-E", "resolved", deadline_ms)  # exactly at the deadline is in time
    assert now_ms() < deadline_ms + SETTLE_MS, "too slow to tell anything"
    desk.wait_present(deadline_ms + SETTLE_MS + 500)
    assert desk.outcomes("INC-E") == ["met"]
    assert desk.alerts("INC-E") == []


def test_a_resolve_that_arrives_too_late_to_wait_for_corrects_the_breach_where_it_was_counted(running: Running) -> None:
    desk = running.desk
    minute_ms = (now_ms() - 3 * HOUR_MS) // MINUTE_MS * MINUTE_MS
    desk.tell("INC-L", "created", minute_ms - 2_000, priority="P1")
    desk.wait_until("the breach is told", lambda: bool(desk.told("INC-L")))
    breach = desk.told("INC-L")[0]
    assert (breach.outcome, breach.is_correction, breach.decided_at_ms) == ("breached", False, minute_ms + 2_000)
    assert desk.rollup_counts()["quick-resolution", minute_ms] == (0, 1)
    desk.wait_until(
        "objectives count it", lambda: desk.objective_counts().get(("quick-resolution", minute_ms)) == (0, 1)
    )

    desk.tell("INC-L", "resolved", minute_ms - 500)
    desk.wait_until("it is corrected", lambda: len(desk.told("INC-L")) > 1)
    correction = desk.told("INC-L")[1]
    assert (correction.outcome, correction.is_correction, correction.decided_at_ms) == ("met", True, minute_ms - 500)
    desk.wait_until(
        "objectives count it anew",
        lambda: desk.objective_counts().get(("quick-resolution", minute_ms - MINUTE_MS)) == (1, 0),
    )
    for counts in (desk.rollup_counts(), desk.objective_counts()):
        assert ("quick-resolution", minute_ms) not in counts, "the breach is still counted"
        assert counts["quick-resolution", minute_ms - MINUTE_MS] == (1, 0)
    assert desk.outcomes("INC-L") == ["breached", "met"]
    assert desk.alerts("INC-L") == [("SLATicketBreached", "firing"), ("SLATicketBreached", "resolved")]


def test_an_event_from_the_future_is_refused_and_none_moves_the_present(running: Running) -> None:
    desk, worker = running.desk, running.worker
    waiting = desk.ticket_on(0, "INC-W")
    soon, far = desk.ticket_on(0, "INC-S"), desk.ticket_on(0, "INC-F")
    desk.tell(waiting, "created", priority="P1")
    desk.tell(soon, "created", now_ms() + 4 * MINUTE_MS, priority="P1")
    at_ms = now_ms() + 6 * MINUTE_MS
    [where] = desk.publish(event(far, "created", at_ms, priority="P1"))
    desk.wait_processed()
    desk.wait_until("it is dead", lambda: any(letter.key == far.encode() for letter in desk.dead_letters()))
    [letter] = [
        letter for letter in desk.dead_letters() if letter.key in {waiting.encode(), soon.encode(), far.encode()}
    ]
    assert (letter.reason, letter.partition, letter.offset) == ("from-the-future", where.partition, where.offset)
    assert "check the publisher's clock and time zone" in letter.detail
    assert metric(worker, "slawatch_dead_letters_total", reason="from-the-future") == 1
    asked_ms = now_ms()
    assert desk.event_ms() <= now_ms()
    assert desk.outcomes(waiting) == [], "breached ahead of its time"
    desk.wait_until("its own deadline has come", lambda: bool(desk.told(waiting)))
    assert now_ms() >= asked_ms
    assert desk.outcomes(soon) == desk.outcomes(far) == []


def test_what_an_upstream_transaction_aborts_never_happened_and_its_markers_keep_no_deadline_waiting(
    running: Running,
) -> None:
    desk = running.desk
    never, late, done = (desk.ticket_on(0, f"TX-{name}") for name in ("never", "late", "done"))
    with Upstream(desk, transactional_id=f"{desk.topics.prefix}upstream-1") as upstream:
        created_ms = now_ms()
        upstream.begin()
        upstream.send(event(late, "created", created_ms, priority="P1")).result(10)
        upstream.send(event(done, "created", created_ms, priority="P1")).result(10)
        upstream.send(event(done, "resolved", created_ms + 1)).result(10)
        upstream.commit()
        upstream.begin()
        upstream.send(event(never, "created", created_ms, priority="P1")).result(10)
        upstream.send(event(late, "resolved", created_ms + 2)).result(10)
        upstream.abort()
    # The partition ends with an aborted batch and its marker: offsets that will never be processed.
    desk.wait_until("the breach is told", lambda: bool(desk.told(late)))
    [breach] = desk.told(late)
    assert (breach.outcome, breach.decided_at_ms) == ("breached", created_ms + QUICK_MS)
    assert desk.outcomes(done) == ["met"]
    assert desk.outcomes(never) == []
    assert desk.alerts(never) == []


def test_time_goes_on_beside_a_transaction_that_stays_open(running: Running) -> None:
    desk = running.desk
    waiting, held = desk.ticket_on(1, "TX-waiting"), desk.ticket_on(1, "TX-held")
    with Upstream(desk, transactional_id=f"{desk.topics.prefix}upstream-2") as upstream:
        created_ms = now_ms()
        for ticket in (waiting, held):
            desk.tell(ticket, "created", created_ms, priority="P1")
        upstream.begin()
        upstream.send(event(held, "resolved", created_ms + 1)).result(10)
        desk.wait_until("both are told", lambda: bool(desk.told(waiting)) and bool(desk.told(held)))
        assert desk.outcomes(waiting) == desk.outcomes(held) == ["breached"]
        upstream.commit()
    desk.wait_until("it is corrected", lambda: len(desk.told(held)) > 1)
    assert desk.outcomes(held) == ["breached", "met"]
    assert desk.outcomes(waiting) == ["breached"]


def test_a_worker_that_was_down_past_a_deadline_reads_the_resolve_before_it_judges(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    with Desk(kafka.bootstrap, prefix, tmp_path) as desk:
        first = desk.start_worker()
        desk.wait_ready(first)
        in_time, late, fresh = (desk.ticket_on(0, f"INC-{name}") for name in ("in-time", "late", "fresh"))
        created_ms = now_ms()
        desk.publish(*(event(ticket, "created", created_ms, priority="P1") for ticket in (in_time, late)))
        desk.wait_processed()
        first.kill()
        assert now_ms() < created_ms + QUICK_MS, "too slow to tell anything"
        assert desk.outcomes(in_time) == []
        desk.tell(in_time, "resolved")
        desk.tell(fresh, "created", priority="P1")
        desk.tell(fresh, "resolved")
        desk.wait_until("the deadline is long past", lambda: now_ms() > created_ms + QUICK_MS + 3_000)
        desk.tell(late, "updated")
        second = desk.start_worker()
        desk.wait_ready(second)
        desk.wait_present(now_ms())
        assert desk.outcomes(in_time) == ["met"]
        assert desk.outcomes(fresh) == ["met"]
        [breach] = desk.told(late)
        assert (breach.outcome, breach.decided_at_ms) == ("breached", created_ms + QUICK_MS)
        assert desk.alerts(in_time) == desk.alerts(fresh) == []
        assert desk.alerts(late) == [("SLATicketBreached", "firing")]
        assert second.stop() == 0


@dataclass(frozen=True)
class RunningAlone(Running):
    """A desk with one worker on a broker of their own."""

    broker: LocalBroker


@pytest.fixture(scope="module")
def alone(kafka_jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAlone]:
    with LocalBroker(kafka_jars, BrokerOptions(heap="512m", java_options=("-XX:TieredStopAtLevel=1",))) as broker:
        settings = {"SLAWATCH_ENGINE__SETTLE_SECONDS": "4"}
        with Desk(broker.bootstrap, "", tmp_path_factory.mktemp("alone"), **settings) as desk:
            worker = desk.start_worker()
            desk.wait_ready(worker)
            yield RunningAlone(desk, worker, broker)
            assert worker.stop() == 0


@pytest.mark.parametrize("how", ["frozen", "killed"])
def test_a_broker_that_is_away_past_a_deadline_makes_no_breach_of_what_was_resolved_in_time(
    how: str, alone: RunningAlone
) -> None:
    desk, worker, broker = alone.desk, alone.worker, alone.broker
    with Upstream(desk) as upstream:
        before, during, after, never = (
            desk.ticket_on(0, f"{how}-{name}") for name in ("before", "during", "after", "never")
        )
        created_ms = now_ms()
        for ticket in (before, during, after, never):
            upstream.send(event(ticket, "created", created_ms, priority="P1")).result(10)
        desk.wait_processed()
        upstream.send(event(before, "resolved", now_ms())).result(10)
        broker.kill() if how == "killed" else broker.pause()
        resolved_ms = now_ms()
        assert resolved_ms < created_ms + QUICK_MS, "too slow to tell anything"
        delivery = upstream.send(event(during, "resolved", resolved_ms))

        desk.wait_until("the worker says so", lambda: health(worker, "ready")[0] == 503)
        _, report = health(worker, "ready")
        assert any(reason.startswith("broker: last heartbeat answered") for reason in report["reasons"]), report
        assert health(worker, "live")[0] == 200, "a restart would not help"
        desk.wait_until("the deadline has settled", lambda: now_ms() > created_ms + QUICK_MS + 4_500)
        assert not delivery.done()

        broker.start() if how == "killed" else broker.resume()
        delivery.result(30)
        desk.wait_until("the worker hears it", lambda: health(worker, "ready")[1]["checks"]["broker"]["ok"])
        # As a publisher does that tries again only now.
        upstream.send(event(after, "resolved", resolved_ms)).result(10)
        desk.wait_ready(worker)
        desk.wait_until("what was not resolved is told", lambda: bool(desk.told(never)))
        desk.wait_processed()
    in_time = (before, during, after)
    assert {ticket: desk.outcomes(ticket) for ticket in in_time} == {ticket: ["met"] for ticket in in_time}
    assert {ticket: desk.alerts(ticket) for ticket in in_time} == {ticket: [] for ticket in in_time}
    [breach] = desk.told(never)
    assert (breach.outcome, breach.decided_at_ms) == ("breached", created_ms + QUICK_MS)
    complaints = [line for line in log_lines(worker) if line["level"] in {"warning", "error", "critical"}]
    assert not [line for line in complaints if line["level"] == "critical"]
    assert len(complaints) < 100, "nobody reads that"


# --- a backlog -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Old:
    """Tickets of some hours ago, and what is true of them."""

    records: list[Sent]
    outcomes: dict[str, tuple[str, int]]


def old_tickets(first_ms: int) -> Old:
    """Make 400 tickets of three hours: most resolved within seconds, some late, some never."""
    draw = random.Random(7)
    records: list[tuple[int, Sent]] = []
    outcomes: dict[str, tuple[str, int]] = {}
    for number in range(400):
        ticket, priority = f"OLD-{number}", draw.choice(("P1", "P2"))
        target_ms = {"P1": QUICK_MS, "P2": HOUR_MS}[priority]
        created_ms = first_ms + draw.randrange(3 * HOUR_MS)
        records.append((created_ms, event(ticket, "created", created_ms, priority=priority)))
        if draw.random() < 0.1:
            outcomes[ticket] = ("breached", created_ms + target_ms)
            continue
        stop_ms = created_ms + draw.choice((1_000, target_ms - 1, target_ms, target_ms + 1, 2 * target_ms))
        records.append((stop_ms, event(ticket, "resolved", stop_ms)))
        met = stop_ms <= created_ms + target_ms
        outcomes[ticket] = ("met", stop_ms) if met else ("breached", created_ms + target_ms)
    records.sort(key=lambda record: record[0])
    arrived = [
        Sent(record.value, record.key, timestamp_ms=at_ms + draw.randrange(100, 800)) for at_ms, record in records
    ]
    return Old(arrived, outcomes)


def assert_told_as_it_was(desk: Desk, old: Old) -> None:
    """The verdicts in force are true, and the objectives have counted them."""
    told = desk.all_told()
    assert {ticket: (of[-1].outcome, of[-1].decided_at_ms) for ticket, of in told.items()} == old.outcomes
    wanted = counts_of(desk.verdict_lines())
    assert desk.rollup_counts() == wanted
    desk.wait_until("objectives have counted everything", lambda: desk.objective_counts() == wanted)


def test_a_backlog_of_hours_is_judged_as_if_it_had_been_read_live(kafka: Broker, prefix: str, tmp_path: Path) -> None:
    """Nobody ran for three hours: what Kafka took in meanwhile is read in seconds, in many small chunks."""
    desk = Desk(kafka.bootstrap, prefix, tmp_path, SLAWATCH_ENGINE__CHUNK_RECORDS="5")
    old = old_tickets(now_ms() - 7 * HOUR_MS)

    async def fill_topic_with_old_timestamps() -> None:
        # Only a topic under the publishers' clock takes records of some hours ago; `topics apply` puts it right.
        async with admin_client(desk.settings.kafka) as admin:
            topic = NewTopic(desk.topics.name(TICKETS), 2, 1, topic_configs={"message.timestamp.type": "CreateTime"})
            await admin.create_topics([topic])

    asyncio.run(fill_topic_with_old_timestamps())
    desk.publish(*old.records)
    with desk:
        worker = desk.start_worker()
        desk.wait_ready(worker)
        desk.wait_present(now_ms())
        assert_told_as_it_was(desk, old)
        told = desk.all_told()
        assert not [ticket for ticket, of in told.items() if any(one.is_correction for one in of)]
        for ticket, (outcome, _) in old.outcomes.items():
            assert {one.outcome for one in told[ticket]} == {outcome}, ticket
        breached = {ticket for ticket, (outcome, _) in old.outcomes.items() if outcome == "breached"}
        assert desk.all_alerts().keys() - {NO_TICKET} <= breached
        assert worker.stop() == 0


def test_old_tickets_that_are_published_now_get_the_verdicts_they_had(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    """As an import does it: Kafka's own timestamps are of today, so a deadline may be judged before the resolve is read;
    what was told too early is corrected."""
    old = old_tickets(now_ms() - 7 * HOUR_MS)
    with Desk(kafka.bootstrap, prefix, tmp_path, SLAWATCH_ENGINE__CHUNK_RECORDS="5") as desk:
        worker = desk.start_worker()
        desk.wait_ready(worker)
        desk.publish(*old.records)
        desk.wait_processed()
        desk.wait_present(now_ms())
        assert_told_as_it_was(desk, old)
        for ticket, of in desk.all_told().items():
            for former, one in itertools.pairwise(of):
                changed = (former.outcome, former.decided_at_ms) != (one.outcome, one.decided_at_ms)
                assert one.is_correction == changed, ticket
        assert worker.stop() == 0
