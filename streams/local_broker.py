"""A single-node Kafka (KRaft) on this machine, for the demo, tests and trying things out. Never for production."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from streams.child_process import ChildProcess
from streams.kafka_jars import KAFKA_VERSION, LocalKafkaError, Say
from streams.loopback_ports import HOST, PortReservation, is_free, is_listening, port_is_taken, reserve_port

_SCRAM_ITERATIONS = 8192
_POLL_SECONDS = 0.05
_FORMAT_TIMEOUT_SECONDS = 60.0
_FOLDER_PREFIX = "slawatch-kafka-"

LOCAL_PROPERTIES: Mapping[str, str] = {
    # Topics are created by `slawatch topics apply`, with their fixed partition counts; one made by a typo would have
    # another count.
    "auto.create.topics.enable": "false",
    # One node: every replicated thing of Kafka's own has one replica, and a group need not wait for members that start
    # together.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # After `kill -9` the controller takes the same node again only when the killed one's session has run out (9 s by
    # default).
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
    # Sized for a laptop instead of a server: fewer threads, and 8 MB instead of 128 MB for the compaction's table of
    # keys.
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "8388608",
}
"""What a local broker sets beside its listeners and folders; `BrokerOptions.properties` override them."""

# The dump of all settings, several hundred lines a start, would push the reason of a failure out of the log's end.
_LOG4J = """status=error
rootLogger.level=info
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m (%c{1})%n
logger.config.name=org.apache.kafka.common.config.AbstractConfig
logger.config.level=warn
logger.kafkaconfig.name=kafka.server.KafkaConfig
logger.kafkaconfig.level=warn
"""


@dataclass(frozen=True, slots=True)
class ScramUser:
    """The user that the broker knows on its SASL listener (SCRAM-SHA-512)."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """How a local broker is started.

    Attributes
    ----------
    port
        Port of the plain listener on 127.0.0.1; 0: a free one.
    data
        Folder that keeps the broker's data over its end; None: a temporary one, deleted at the end.
    properties
        Broker properties, over `LOCAL_PROPERTIES`.
    heap
        Java heap, as ``-Xmx`` takes it.
    java_options
        More options of Java. ``-XX:TieredStopAtLevel=1`` nearly halves the processor time of a start (6.1 to 3.5 s) and
        costs throughput: for tests, not for benchmarks.
    cpus
        Processors the broker may use, as ``taskset -c`` takes them; None: all.
    scram_user
        Also listen with SASL_PLAINTEXT and SCRAM-SHA-512 and know this user. Users are written when a data folder is
        made.
    start_timeout_seconds
        A broker that does not answer after this long has failed.
    """

    port: int = 0
    data: Path | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    heap: str = "1g"
    java_options: tuple[str, ...] = ()
    cpus: str | None = None
    scram_user: ScramUser | None = None
    start_timeout_seconds: float = 90.0


class LocalBroker:
    """Kafka's own broker as a child process, made from its jars.

    A context manager: it starts on entry, and on exit it is stopped and its temporary data is deleted.

    Parameters
    ----------
    jars
        Folder of Kafka's jars, see `streams.kafka_jars.obtain_jars`.
    options
        How to start it.
    java
        Path of the Java to run it with.
    say
        Called with what is being done.

    Notes
    -----
    Blocking: from a coroutine call `start` and `stop` by ``asyncio.to_thread``. `start` after `stop` or `kill` uses the
    same data and the same ports, so that clients find it again.
    """

    how = "java"

    def __init__(
        self, jars: Path, options: BrokerOptions | None = None, *, java: str = "java", say: Say = lambda _line: None
    ) -> None:
        self.options = options or BrokerOptions()
        self._jars = jars
        self._java = java
        self._say = say
        self._reserved: list[PortReservation] = []
        self._owner_lock: TextIO | None = None
        self.port = self.options.port or self._reserve()
        self._controller_port = self._reserve()
        self._sasl_port = self._reserve() if self.options.scram_user else None
        self.folder = self._make_folder()
        self._process = ChildProcess(
            [
                java,
                f"-Xmx{self.options.heap}",
                *self.options.java_options,
                "-XX:+ExitOnOutOfMemoryError",
                f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}",
                "-cp",
                f"{jars}/*",
                "kafka.Kafka",
                str(self.folder / "server.properties"),
            ],
            log_file=self.folder / "broker.log",
            cpus=self.options.cpus,
        )

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the plain listener."""
        return f"{HOST}:{self.port}"

    @property
    def sasl_bootstrap(self) -> str:
        """``host:port`` of the SASL_PLAINTEXT listener.

        Raises
        ------
        LookupError
            The broker was made without a SCRAM user.
        """
        if self._sasl_port is None:
            raise LookupError("this broker has no SASL listener: give it a scram_user")
        return f"{HOST}:{self._sasl_port}"

    @property
    def pid(self) -> int | None:
        """Process id of the broker's JVM; None before the first start."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the JVM exists; true also while it is paused."""
        return self._process.is_running

    @property
    def log_file(self) -> Path:
        """The broker's own log."""
        return self._process.log_file

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises
        ------
        LocalKafkaError
            It ended, or did not answer in time; the message has the last lines of its log.
        """
        if self.options.port and not is_free(self.port):
            raise LocalKafkaError(port_is_taken(self.port))
        self._write_files()
        if not self._is_formatted():
            self._say("preparing its data folder")
            self._format()
        self._say(f"starting Kafka {KAFKA_VERSION}")
        self._process.start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._process.kill()
            raise

    def stop(self) -> None:
        """Stop the broker in order. Idempotent."""
        self._process.stop()

    def kill(self) -> None:
        """End the broker at once, like ``kill -9``. Idempotent."""
        self._process.kill()

    def pause(self) -> None:
        """Freeze the broker (SIGSTOP): connections stay open, nothing answers."""
        self._process.pause()

    def resume(self) -> None:
        """Let a frozen broker go on."""
        self._process.resume()

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until the broker has ended; return its exit code, or None when the time is up."""
        return self._process.wait(timeout_seconds)

    def log_tail(self) -> str:
        """Return the last lines of the broker's log."""
        return self._process.log_tail()

    def close(self) -> None:
        """Stop the broker, give its ports back, and delete its data where they are temporary. Idempotent."""
        self.stop()
        if self.options.data is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._owner_lock is not None:
            self._owner_lock.close()
        for reservation in self._reserved:
            reservation.release()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _reserve(self) -> int:
        reservation = reserve_port()
        self._reserved.append(reservation)
        return reservation.port

    def _make_folder(self) -> Path:
        if self.options.data is not None:
            folder = self.options.data.absolute()
            folder.mkdir(parents=True, exist_ok=True)
            return folder
        _delete_abandoned_folders()
        folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
        self._owner_lock = (folder / "owner.lock").open("w", encoding="utf-8")
        fcntl.flock(self._owner_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return folder

    def _write_files(self) -> None:
        (self.folder / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
        lines = [f"{name}={value}" for name, value in self.properties().items()]
        (self.folder / "server.properties").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def properties(self) -> dict[str, str]:
        """Return all properties the broker is started with."""
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self._controller_port}
        if self._sasl_port is not None:
            listeners["SASL_PLAINTEXT"] = self._sasl_port
        addresses = {name: f"{name}://{HOST}:{port}" for name, port in listeners.items()}
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join(addresses.values()),
            "advertised.listeners": ",".join(address for name, address in addresses.items() if name != "CONTROLLER"),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            **LOCAL_PROPERTIES,
        }
        if self._sasl_port is not None:
            properties["sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
            properties["listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config"] = (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            )
        return properties | dict(self.options.properties)

    def _is_formatted(self) -> bool:
        return (self.folder / "data" / "meta.properties").exists()

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        command = [self._java, "-cp", f"{self._jars}/*", "kafka.tools.StorageTool", "format"]
        # "--cluster-id=..." in one argument: an id may begin with a dash
        command += [f"--cluster-id={cluster_id}", "--config", str(self.folder / "server.properties")]
        if self.options.scram_user:
            command += ["--add-scram", scram_credential(self.options.scram_user, salt=os.urandom(24))]
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_FORMAT_TIMEOUT_SECONDS,
        )
        if answer.returncode != 0:
            raise LocalKafkaError(
                f"Kafka could not prepare {self.folder / 'data'}:\n{(answer.stderr or answer.stdout).strip()}"
            )

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + self.options.start_timeout_seconds
        while not is_listening(self.port):  # asking earlier would only make aiokafka log refused connections
            self._raise_if_failed(deadline)
            time.sleep(_POLL_SECONDS)
        # Its own thread: there may be a running event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            while not pool.submit(asyncio.run, answers(self.bootstrap)).result():
                self._raise_if_failed(deadline)
                time.sleep(_POLL_SECONDS)

    def _raise_if_failed(self, deadline: float) -> None:
        if not self._process.is_running:
            code = self._process.exit_code
            raise LocalKafkaError(
                f"Kafka ended (exit code {code}) instead of starting; its last lines:\n{self.log_tail()}"
            )
        if time.monotonic() > deadline:
            seconds = self.options.start_timeout_seconds
            raise LocalKafkaError(f"Kafka does not answer after {seconds:.0f} s; its last lines:\n{self.log_tail()}")


async def answers(bootstrap: str, *, timeout_seconds: float = 5.0) -> bool:
    """Return whether a broker behind ``bootstrap`` (no security protocol) answers API versions and metadata."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    # The client's own time limit, for each request: it leaves its connection open when it is cancelled from outside.
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_seconds * 1000))
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        with contextlib.suppress(KafkaError, OSError):
            await admin.close()
    return bool(cluster["brokers"])


def scram_credential(user: ScramUser, *, salt: bytes) -> str:
    """Return the SCRAM-SHA-512 credential as Kafka's storage tool takes it.

    The password itself is not in it: command lines can be read by every user of the machine.

    References
    ----------
    RFC 5802 section 3: SaltedPassword = Hi(Normalize(password), salt, i), which is PBKDF2 with HMAC.
    """
    salted = hashlib.pbkdf2_hmac("sha512", user.password.encode("utf-8"), salt, _SCRAM_ITERATIONS)
    fields = {
        "name": user.name,
        "iterations": _SCRAM_ITERATIONS,
        "salt": base64.b64encode(salt).decode("ascii"),
        "saltedpassword": base64.b64encode(salted).decode("ascii"),
    }
    quoted = ",".join(f"{name}={json.dumps(value)}" for name, value in fields.items())
    return f"SCRAM-SHA-512=[{quoted}]"


def _delete_abandoned_folders() -> None:
    """Delete data of brokers whose owner was killed before it could: nobody holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        try:
            with (folder / "owner.lock").open("r+", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # in use, another user's, just being made, or just deleted by another process
            continue
