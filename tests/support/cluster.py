"""Workers of a test as real processes on a real Kafka: start, kill, freeze; and what Kafka holds of their work."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from config.settings import Settings
from sla.objective_rows import PROGRESS_PREFIX, counts_in
from streams.child_process import ChildProcess
from streams.connection import admin_client, consumer_client, read_to_end
from streams.rollups import Counted, decode_rollup
from streams.state_rows import OWNER_KEY, POSITION_KEY, Position, decode_marker, decode_position, provenance_of
from streams.topics import OBJECTIVES_STATE, ROLLUPS, TICKETS, TICKETS_STATE, VERDICTS, Topics

ROOT = Path(__file__).parents[2]
FREEZING_WORKER = Path(__file__).with_name("freezing_worker.py")
_POSITION_IS_WITHIN = 300
"""Records at the end of a state partition that hold a position: every step ends with one, but takeover markers don't."""

Counts = dict[tuple[str, int], tuple[int, int]]
"""(target, minute) to (met, breached)."""


class Worker:
    """One worker process."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.may_end = False
        """Whether the test expects it to end; any other worker that ends fails the test at once."""
        self._url: str | None = None
        self.process = ChildProcess(command, log_file=folder / f"{name}.log", environment=environment)
        self.process.start()

    @property
    def url(self) -> str:
        """Where it serves; LookupError while it has not said so."""
        if self._url is None:
            lines = self.process.log_file.read_text(encoding="utf-8").splitlines()
            said = [line for line in lines if '"web_started"' in line]
            if not said:
                raise LookupError(f"{self.name} does not listen yet")
            self._url = str(json.loads(said[-1])["url"])
        return self._url

    @property
    def is_live(self) -> bool:
        """Whether the process has come up; it joins the group next."""
        return self._answers("live")

    @property
    def is_ready(self) -> bool:
        """Whether it owns and has restored its partitions."""
        return self._answers("ready")

    def _answers(self, check: str) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health/{check}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (LookupError, urllib.error.URLError, OSError):
            return False

    @property
    def is_frozen(self) -> bool:
        """Whether the process is stopped by SIGSTOP, by whomever."""
        try:
            stat = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] == "T"

    def kill(self) -> None:
        """``kill -9``."""
        self.may_end = True
        self.process.kill()

    def stop(self) -> int | None:
        """End it in order (SIGTERM); return its exit code."""
        self.may_end = True
        self.process.stop()
        return self.process.exit_code

    def thaw(self) -> None:
        """Let a worker go on that froze itself."""
        self.process.pause()  # so that the child process knows
        self.process.resume()


class Cluster:
    """Topics under a prefix of their own, and the workers on them.

    Parameters
    ----------
    folder : Path
        For logs and files; the logs' ends are printed when the block is left.
    """

    def __init__(self, bootstrap: str, prefix: str, folder: Path, *, partitions: int, **settings: str) -> None:
        self.folder = folder
        self.partitions = partitions
        self.environment = {
            "SLAWATCH_KAFKA__BOOTSTRAP": bootstrap,
            "SLAWATCH_KAFKA__SESSION_TIMEOUT_SECONDS": "6",
            "SLAWATCH_TOPICS__PREFIX": prefix,
            "SLAWATCH_TOPICS__PARTITIONS": str(partitions),
            "SLAWATCH_ENGINE__CLOCK": "event",
            "SLAWATCH_ENGINE__RETENTION_DAYS": "400",
            "SLAWATCH_LOG__FORMAT": "json",
            **settings,
        }
        self.settings = Settings(
            kafka={"bootstrap": bootstrap},
            topics={"prefix": prefix, "partitions": partitions},
            engine={"clock": "event", "retention_days": 400},
        )
        self.topics = Topics(self.settings)
        self.workers: list[Worker] = []
        self._others: list[ChildProcess] = []

    def __enter__(self) -> Self:
        try:
            self.run("topics", "apply")
            self.run("contracts", "apply", str(ROOT / "config" / "contracts"))
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in (*self._others, *(worker.process for worker in self.workers)):
            code = process.exit_code
            process.kill()
            # Shown by pytest if the test failed.
            print(f"--- {process.log_file.name} (exit code {code}; None: ran until now)\n{process.log_tail(40)}")

    # --- processes -------------------------------------------------------------------------------------------------

    def run(self, *arguments: str) -> str:
        """Run a command of slawatch; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *arguments],
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"slawatch {' '.join(arguments)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start_worker(self, *, script: tuple[str, ...] = ("-m", "cli.main", "worker"), **settings: str) -> Worker:
        """Start a worker; see :meth:`wait_ready`."""
        environment = {**self._environment(), "SLAWATCH_WEB__PORT": "0", **settings}
        name = f"worker-{len(self.workers) + 1}"
        worker = Worker(name, [sys.executable, *script], environment, self.folder)
        self.workers.append(worker)
        return worker

    def start_freezing_worker(self, where: str, **settings: str) -> Worker:
        """Start a worker that freezes itself at a place named in ``freezing_worker.py``, once :meth:`freeze` is called."""
        return self.start_worker(script=(str(FREEZING_WORKER), where, str(self._freeze_file)), **settings)

    def freeze(self) -> None:
        """Let the freezing worker freeze when it next comes to its place."""
        self._freeze_file.touch()

    @property
    def _freeze_file(self) -> Path:
        return self.folder / "freeze"

    def start_playing(self, log: Path, *arguments: str) -> ChildProcess:
        """Play a log in the background."""
        return self._start_player("events", "play", str(log), *arguments)

    def start_simulating(self, *arguments: str) -> ChildProcess:
        """Play a simulated desk in the background."""
        return self._start_player("events", "simulate", *arguments)

    def _start_player(self, *arguments: str) -> ChildProcess:
        command = [sys.executable, "-m", "cli.main", *arguments]
        player = ChildProcess(
            command, log_file=self.folder / f"player-{len(self._others) + 1}.log", environment=self._environment()
        )
        self._others.append(player)
        player.start()
        return player

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), **self.environment}

    # --- waiting ---------------------------------------------------------------------------------------------------

    def wait_until(self, what: str, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Poll until a condition holds; a worker or player that ends with an error meanwhile fails the test at once."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            for player in self._others:
                assert player.exit_code in {None, 0}, player.log_tail()
            for worker in self.workers:
                assert worker.process.is_running or worker.may_end, f"{worker.name} has ended"
            time.sleep(0.2)

    def wait_ready(self, *workers: Worker) -> None:
        """Wait until workers own and have restored their partitions."""
        for worker in workers:
            self.wait_until(f"{worker.name} is ready", lambda worker=worker: worker.is_ready)  # type: ignore[misc]

    def wait_played(self, player: ChildProcess) -> None:
        """Wait until everything has been sent."""
        self.wait_until("the player has sent everything", lambda: player.exit_code == 0)

    def wait_finished(self, player: ChildProcess, now_ms: int, seconds: float = 90.0) -> None:
        """Wait until everything that was played is processed, told, acknowledged and counted, up to ``now_ms``."""
        self.wait_played(player)
        self.wait_until("every partition has come to the last instant", lambda: self._has_come_to(now_ms), seconds)
        self.wait_until("every output has been acknowledged", lambda: asyncio.run(self._is_committed()))
        self.wait_until("objectives have taken in everything", lambda: self._progress() == {now_ms})

    def wait_until_idle(self) -> None:
        """Wait until no ticket partition has made a step for a second."""
        seen: list[tuple[float, dict[int, int]]] = []

        def is_idle() -> bool:
            steps = {partition: position.seq for partition, position in self.positions().items()}
            if not seen or seen[-1][1] != steps:
                seen.append((time.monotonic(), steps))
            return time.monotonic() - seen[-1][0] > 1.0

        self.wait_until("no partition makes a step", is_idle)

    def positions(self) -> dict[int, Position]:
        """Return the newest position of each partition of the tickets' state that has one."""
        return asyncio.run(self._positions())

    def partitions_of(self, worker: Worker) -> set[int]:
        """Return the ticket partitions whose newest takeover marker a worker wrote."""
        markers = {at: decode_marker(row) for (at, key), row in self._rows(TICKETS_STATE).items() if key == OWNER_KEY}
        owner = f"{socket.gethostname()}:{worker.process.pid}"
        return {partition for partition, marker in markers.items() if marker.owner == owner}

    def event_ms(self) -> int:
        """Return the instant that the slowest partition has come to."""
        positions = self.positions()
        return min((position.now_ms for position in positions.values()), default=0) if self._all(positions) else 0

    def _all(self, positions: dict[int, Position]) -> bool:
        return len(positions) == self.partitions

    def _has_come_to(self, now_ms: int) -> bool:
        positions = self.positions()
        return self._all(positions) and all(position.now_ms == now_ms for position in positions.values())

    async def _positions(self) -> dict[int, Position]:
        topic = self.topics.name(TICKETS_STATE)
        found: dict[int, Position] = {}
        async with consumer_client(self.settings.kafka, fetch_max_wait_ms=50) as consumer:
            partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            pending = {partition for partition in partitions if ends[partition]}
            for partition in pending:
                consumer.seek(partition, max(0, ends[partition] - _POSITION_IS_WITHIN))
            while pending:
                for partition, records in (await consumer.getmany(*pending, timeout_ms=100)).items():
                    for record in records:
                        if record.key == POSITION_KEY:
                            found[partition.partition] = decode_position(record.value)
                pending = {at for at in pending if await consumer.position(at) < ends[at]}
        return found

    async def _is_committed(self) -> bool:
        topic = self.topics.name(TICKETS)
        partitions = [TopicPartition(topic, number) for number in range(self.partitions)]
        async with consumer_client(self.settings.kafka) as consumer:
            ends = await consumer.end_offsets(partitions)
        async with admin_client(self.settings.kafka) as admin:
            committed = await admin.list_consumer_group_offsets(self.topics.group, partitions=partitions)
        return all(committed[at].offset == ends[at] for at in partitions)

    def _progress(self) -> set[int]:
        rows = self._rows(OBJECTIVES_STATE)
        of_tickets = PROGRESS_PREFIX + f"{self.topics.name(TICKETS)}/".encode()
        told = [value for (_, key), value in rows.items() if key.startswith(of_tickets)]
        complete = len(told) == self.partitions * self.partitions
        return {int.from_bytes(value[1:9], "big") for value in told} if complete else set()

    # --- what Kafka holds ------------------------------------------------------------------------------------------

    def verdict_lines(self) -> bytes:
        """Return what ``slawatch verdicts`` writes."""
        out = self.folder / "verdicts.jsonl"
        self.run("verdicts", "--out", str(out))
        return out.read_bytes()

    def clock_lines(self) -> list[dict[str, Any]]:
        """Return what ``slawatch state clocks`` writes."""
        out = self.folder / "clocks.jsonl"
        self.run("state", "clocks", "--out", str(out))
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]

    def outputs(self, logical: str) -> list[Any]:
        """Return all records of a topic, in the order of each partition."""

        async def read() -> list[Any]:
            return [record async for record in read_to_end(self.settings.kafka, [self.topics.name(logical)])]

        deadline = time.monotonic() + 20
        while True:
            try:
                return asyncio.run(read())
            except KafkaError:
                # A broker that has just come back closes connections it had accepted.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def verdicts_by_ordinal(self) -> dict[tuple[str, int], list[bytes]]:
        """Return every record of ``sla.verdicts`` by the step and place that made it."""
        found: dict[tuple[str, int], list[bytes]] = defaultdict(list)
        for record in self.outputs(VERDICTS):
            provenance = provenance_of(record.headers)
            assert provenance is not None
            found[provenance].append(record.value)
        return found

    def rollup_counts(self) -> Counts:
        """Return the sums over source partitions of ``sla.rollups``, as a consumer holds them that drops repetitions."""
        newest: dict[tuple[int, str], int] = {}
        cells: dict[tuple[str, int, str], tuple[int, int]] = {}
        for record in self.outputs(ROLLUPS):
            provenance = provenance_of(record.headers)
            assert provenance is not None
            source, ordinal = provenance
            if ordinal <= newest.get((record.partition, source), -1):
                continue
            newest[record.partition, source] = ordinal
            rollup = decode_rollup(record.value)
            if isinstance(rollup, Counted):
                assert not rollup.is_delta
                cells[rollup.target, rollup.minute_ms, source] = (rollup.met, rollup.breached)
        return _summed((target, minute_ms, counts) for (target, minute_ms, _), counts in cells.items())

    def objective_counts(self) -> Counts:
        """Return the sums over source partitions that the objectives' state holds."""
        cells = []
        for (_, key), value in self._rows(OBJECTIVES_STATE).items():
            for target, minute_ms, _, good, bad in counts_in(key, value):
                cells.append((target, minute_ms, (good, bad)))
        return _summed(cells)

    def _rows(self, logical: str) -> dict[tuple[int, bytes], bytes]:
        rows: dict[tuple[int, bytes], bytes] = {}
        for record in self.outputs(logical):
            if record.value is None:
                rows.pop((record.partition, record.key), None)
            else:
                rows[record.partition, record.key] = record.value
        return rows


def _summed(cells: Iterable[tuple[str, int, tuple[int, int]]]) -> Counts:
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for target, minute_ms, (met, breached) in cells:
        sums[target, minute_ms][0] += met
        sums[target, minute_ms][1] += breached
    return {cell: (met, breached) for cell, (met, breached) in sums.items() if met or breached}


def counts_of(lines: bytes) -> Counts:
    """Group verdicts by target and minute of their decision."""
    from datetime import datetime

    cells = []
    for line in lines.splitlines():
        verdict = json.loads(line)
        if verdict["outcome"] in {"met", "breached"}:
            decided_ms = round(datetime.fromisoformat(verdict["decided_at"]).timestamp() * 1000)
            counts = (1, 0) if verdict["outcome"] == "met" else (0, 1)
            cells.append((verdict["target"], decided_ms - decided_ms % 60_000, counts))
    return _summed(cells)
