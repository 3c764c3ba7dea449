"""The main job: an incident log through a real Kafka and real worker processes, against an independent computation.

Whatever happens to the workers meanwhile, the final verdicts are the same bytes, none is missing and none counts twice.

The log is the one that ``SLAWATCH_TEST_INCIDENT_LOG`` names (BPI Challenge 2013, incidents), else a made-up one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.broker import Broker
from streams.child_process import ChildProcess
from streams.topics import DEAD_LETTERS
from tests.support.cluster import Cluster, Worker, counts_of
from tests.support.incident_log import DAY_MS, Expected, Open, Verdict, expect
from tests.support.synthetic_log import write_log

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PLAYED_IN_SECONDS = 15
DURABILITY_EXIT_CODE = 70


@dataclass(frozen=True)
class Part:
    """Events of a stretch of time, as a file for the player."""

    file: Path
    first_ms: int
    last_ms: int

    @property
    def pace(self) -> tuple[str, ...]:
        """Arguments of the player: all of it in ``PLAYED_IN_SECONDS``."""
        seconds = (self.last_ms - self.first_ms) / 1000 / PLAYED_IN_SECONDS
        return ("--speed", f"{seconds:.0f}", "--heartbeat-every", "1h")

    def instant(self, share: float) -> int:
        """Return the instant at which a share of its time is over."""
        return self.first_ms + round(share * (self.last_ms - self.first_ms))


@dataclass(frozen=True)
class Log:
    """A log and what is expected of it; the same as ticket events in three parts.

    The middle has eight tenths of the events: it is played at a pace, and what happens to workers happens there. (The
    real log has nearly all of its events in the last of its 26 months.)
    """

    xes: Path
    expected: Expected
    head: Part
    middle: Part
    tail: Part


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory, kafka: Broker) -> Log:
    folder = tmp_path_factory.mktemp("log")
    named = os.environ.get("SLAWATCH_TEST_INCIDENT_LOG")
    xes = Path(named) if named else write_log(folder / "log.xes.gz", seed=2, cases=5_000)
    events = folder / "events.jsonl"
    cluster = Cluster(kafka.bootstrap, "unused-", folder, partitions=1)
    cluster.run("events", "export", str(xes), "--out", str(events), "--set", "source=bpi2013")
    lines = events.read_bytes().splitlines(keepends=True)
    cuts = (0, len(lines) // 10, len(lines) * 9 // 10, len(lines))
    parts = []
    for number, (start, end) in enumerate(pairwise(cuts)):
        file = folder / f"part-{number}.jsonl"
        file.write_bytes(b"".join(lines[start:end]))
        first_ms, last_ms = (ms(json.loads(lines[at])["at"]) for at in (start, end - 1))
        parts.append(Part(file, first_ms, last_ms))
    return Log(xes, expect(xes), *parts)


@dataclass(frozen=True)
class Undisturbed:
    """What two workers leave whom nothing happens."""

    verdicts: bytes
    clocks: list[dict[str, Any]]


@pytest.fixture(scope="module")
def undisturbed(log: Log, kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    with Cluster(kafka.bootstrap, f"a{os.getpid()}-", tmp_path_factory.mktemp("undisturbed"), partitions=12) as cluster:
        workers = [cluster.start_worker() for _ in range(2)]
        cluster.wait_ready(*workers)
        player = cluster.start_playing(log.xes, "--speed", "max", "--set", "source=bpi2013")
        cluster.wait_finished(player, log.expected.now_ms)
        assert all(len(told) == 1 for told in cluster.verdicts_by_ordinal().values())
        lines = cluster.verdict_lines()
        assert_counted_once(cluster, log, lines)
        end_in_order(*workers)
        return Undisturbed(lines, cluster.clock_lines())


@pytest.fixture
def cluster(kafka: Broker, prefix: str, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(kafka.bootstrap, prefix, tmp_path, partitions=4) as cluster:
        yield cluster


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def verdicts_of(lines: bytes) -> dict[str, Verdict]:
    found = {}
    for line in lines.splitlines():
        document = json.loads(line)
        found[document["clock_id"]] = Verdict(
            document["outcome"],
            ms(document["start"]),
            ms(document["deadline"]),
            None if document["stop"] is None else ms(document["stop"]),
            round(document["consumed_seconds"] * 1000),
        )
    return found


def end_in_order(*workers: Worker) -> None:
    for worker in workers:
        assert worker.stop() == 0, worker.process.log_tail()


def assert_counted_once(cluster: Cluster, log: Log, lines: bytes) -> None:
    """Rollups as their consumers hold them, and the objectives' own state, are the sums of the verdicts in force."""
    wanted = counts_of(lines)
    assert sum(met + breached for met, breached in wanted.values()) > 1_000
    assert cluster.rollup_counts() == wanted
    counted = cluster.objective_counts()
    assert counted.items() <= wanted.items()
    kept_ms = log.expected.now_ms - 400 * DAY_MS  # what has left its window this long ago may be dropped
    assert {cell for cell in wanted if cell[1] >= kept_ms} <= set(counted)


def assert_same(cluster: Cluster, log: Log, undisturbed: Undisturbed) -> None:
    lines = cluster.verdict_lines()
    assert lines == undisturbed.verdicts
    assert cluster.clock_lines() == undisturbed.clocks
    for provenance, told in cluster.verdicts_by_ordinal().items():
        assert len(set(told)) == 1, f"{provenance}: told differently"
    assert_counted_once(cluster, log, lines)
    assert not cluster.outputs(DEAD_LETTERS)


def play_head(cluster: Cluster, log: Log) -> None:
    """Play the first part, so that there is something to lose."""
    cluster.wait_played(cluster.start_playing(log.head.file, "--speed", "max"))


def play_tail(cluster: Cluster, log: Log, middle: ChildProcess) -> None:
    """Play the last part after the middle, and wait for the end of everything."""
    cluster.wait_played(middle)
    player = cluster.start_playing(log.tail.file, "--speed", "max")
    cluster.wait_finished(player, log.expected.now_ms)


def test_every_clock_is_as_computed_from_the_file(log: Log, undisturbed: Undisturbed) -> None:
    found = verdicts_of(undisturbed.verdicts)
    assert len(found) > 1_000
    assert found == log.expected.verdicts
    still_open = {
        clock["clock_id"]: Open(
            clock["phase"],
            ms(clock["start"]),
            None if clock["deadline"] is None else ms(clock["deadline"]),
            round(clock["consumed_seconds"] * 1000),
        )
        for clock in undisturbed.clocks
        if clock["outcome"] == "open"
    }
    assert still_open == log.expected.open
    assert {clock["clock_id"] for clock in undisturbed.clocks} == {*found, *still_open}


def test_a_worker_killed_in_the_middle_and_restarted_changes_nothing(
    cluster: Cluster, log: Log, undisturbed: Undisturbed
) -> None:
    first, second = cluster.start_worker(), cluster.start_worker()
    play_head(cluster, log)
    cluster.wait_ready(first, second)
    player = cluster.start_playing(log.middle.file, *log.middle.pace)
    cluster.wait_until("a third is done", lambda: cluster.event_ms() >= log.middle.instant(0.3))
    first.kill()
    assert player.is_running, "the kill was to fall into the middle"
    again = cluster.start_worker()
    cluster.wait_ready(again)
    play_tail(cluster, log, player)
    assert_same(cluster, log, undisturbed)
    end_in_order(second, again)


def test_a_worker_that_joins_and_leaves_changes_nothing(cluster: Cluster, log: Log, undisturbed: Undisturbed) -> None:
    staying = cluster.start_worker()
    play_head(cluster, log)
    cluster.wait_ready(staying)
    passing = cluster.start_worker()
    cluster.wait_until("another one is about to join", lambda: passing.is_live)
    player = cluster.start_playing(log.middle.file, *log.middle.pace)
    cluster.wait_ready(passing)
    assert cluster.partitions_of(passing)
    joined_ms = cluster.event_ms()
    cluster.wait_until("they work together", lambda: cluster.event_ms() >= joined_ms + DAY_MS)
    assert player.is_running, "leaving was to fall into the middle"
    end_in_order(passing)
    play_tail(cluster, log, player)
    assert_same(cluster, log, undisturbed)
    end_in_order(staying)


def freeze_and_thaw(cluster: Cluster, log: Log, zombie: Worker, other: Worker) -> None:
    """Play; once ``zombie`` has frozen itself and ``other`` has its partitions, let it go on: it must end itself."""
    cluster.wait_ready(zombie, other)
    zombie.may_end = True
    player = cluster.start_playing(log.middle.file, *log.middle.pace)
    cluster.wait_until("some of it is done", lambda: cluster.event_ms() >= log.middle.instant(0.3))
    cluster.freeze()
    cluster.wait_until("the worker has frozen itself", lambda: zombie.is_frozen)
    assert player.is_running, "the freeze was to fall into the middle"
    frozen_ms = cluster.event_ms()
    cluster.wait_until("the other worker has taken over", lambda: cluster.event_ms() > frozen_ms + DAY_MS)
    zombie.thaw()
    cluster.wait_until("the former owner has ended", lambda: not zombie.process.is_running)
    assert zombie.process.exit_code == DURABILITY_EXIT_CODE
    assert "LostOwnershipError" in zombie.process.log_tail(200)
    play_tail(cluster, log, player)
    assert other.process.is_running


def test_the_write_of_a_worker_frozen_past_its_session_is_refused(
    cluster: Cluster, log: Log, undisturbed: Undisturbed
) -> None:
    zombie, other = cluster.start_freezing_worker("state-write"), cluster.start_worker()
    play_head(cluster, log)
    freeze_and_thaw(cluster, log, zombie, other)
    assert_same(cluster, log, undisturbed)
    end_in_order(other)


def test_outputs_of_a_worker_frozen_after_its_state_was_acknowledged_are_dropped(
    cluster: Cluster, log: Log, undisturbed: Undisturbed
) -> None:
    zombie, other = cluster.start_freezing_worker("outputs"), cluster.start_worker()
    play_head(cluster, log)
    freeze_and_thaw(cluster, log, zombie, other)
    assert any(len(told) > 1 for told in cluster.verdicts_by_ordinal().values()), "nothing was told twice"
    assert_same(cluster, log, undisturbed)
    end_in_order(other)


def test_a_worker_frozen_while_nothing_happened_comes_back_with_the_whole_state(
    cluster: Cluster, log: Log, undisturbed: Undisturbed
) -> None:
    # It is due to take its partitions again when it goes on: it must not, or it would fence who has them now.
    staying, soon = cluster.start_worker(), {"SLAWATCH_ENGINE__RETAKE_HOURS": "0.001"}
    play_head(cluster, log)
    cluster.wait_ready(staying)
    player = cluster.start_playing(log.middle.file, "--speed", "max")
    cluster.wait_finished(player, log.middle.last_ms)
    frozen = cluster.start_worker(**soon)
    cluster.wait_ready(frozen, staying)
    mine = cluster.partitions_of(frozen)
    assert mine
    cluster.wait_until_idle()
    frozen.process.pause()
    cluster.wait_until("the other worker has taken over", lambda: not cluster.partitions_of(frozen))
    frozen.process.resume()
    cluster.wait_until("it has one of its partitions again", lambda: bool(mine & cluster.partitions_of(frozen)))
    play_tail(cluster, log, player)
    assert_same(cluster, log, undisturbed)
    end_in_order(frozen, staying)


def test_a_former_owner_stays_fenced_when_the_broker_forgets_idle_producers_soon(
    make_broker: Any, prefix: str, tmp_path: Path, log: Log, undisturbed: Undisturbed
) -> None:
    # The id lives on because its owner takes the partition again, every 1.8 s; a session (6 s) fits into what is left.
    # Without that the id would be forgotten when the other worker takes over, and the former owner would not be fenced.
    broker = make_broker(
        properties={
            "transactional.id.expiration.ms": "12000",
            "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
        }
    )
    retake = {"SLAWATCH_ENGINE__RETAKE_HOURS": "0.0005"}
    with Cluster(broker.bootstrap, prefix, tmp_path, partitions=4, **retake) as cluster:
        zombie, other = cluster.start_freezing_worker("state-write"), cluster.start_worker()
        play_head(cluster, log)
        freeze_and_thaw(cluster, log, zombie, other)
        assert_same(cluster, log, undisturbed)
        end_in_order(other)
