"""A single-node Kafka from its Docker image, where a Docker engine answers."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.child_process import ChildProcess
from streams.kafka_jars import KAFKA_VERSION, LocalKafkaError, Say
from streams.local_broker import LOCAL_PROPERTIES, BrokerOptions, answers
from streams.loopback_ports import HOST, is_free, is_listening, port_is_taken, reserve_port

IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_ENGINE_TIMEOUT_SECONDS = 4.0
_PULL_TIMEOUT_SECONDS = 900.0
_POLL_SECONDS = 0.2


def docker_engine_answers() -> bool:
    """Return whether a Docker client is installed and its engine answers in a few seconds."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        answer = subprocess.run(
            [docker, "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_ENGINE_TIMEOUT_SECONDS,
        )
    except (subprocess.TimeoutExpired, OSError):
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def environment_name(broker_property: str) -> str:
    """Return the variable by which Kafka's image takes a broker property.

    Examples
    --------
    >>> environment_name("log.retention.ms"), environment_name("a-b_c")
    ('KAFKA_LOG_RETENTION_MS', 'KAFKA_A___B__C')
    """
    return "KAFKA_" + broker_property.replace("_", "__").replace("-", "___").replace(".", "_").upper()


class DockerBroker:
    """Kafka in a container that ends with this process; a context manager like `streams.local_broker.LocalBroker`.

    The client stays in the foreground and passes SIGTERM on; ``--rm`` deletes the container with its data.
    `BrokerOptions.data` and `BrokerOptions.scram_user` are not for containers: `streams.broker.obtain_broker` takes the
    jars for those.
    """

    how = "docker"

    def __init__(self, options: BrokerOptions | None = None, *, say: Say = lambda _line: None) -> None:
        self.options = options or BrokerOptions()
        if self.options.data is not None or self.options.scram_user is not None:
            raise ValueError("a kept data folder and a SASL user need the broker from jars")
        self._say = say
        self._reservation = None if self.options.port else reserve_port()
        self.port = self._reservation.port if self._reservation else self.options.port
        self._container = f"slawatch-kafka-{uuid.uuid4().hex[:12]}"
        self._folder = Path(tempfile.gettempdir()) / self._container  # made with the log when it starts
        self._process = ChildProcess(self.command(), log_file=self._folder / "broker.log")

    @property
    def bootstrap(self) -> str:
        """``host:port`` of the broker."""
        return f"{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Return the command that runs the container."""
        properties = {
            # One variable switches the image's whole default configuration off, so everything is said here.
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://:{self.port},CONTROLLER://localhost:9093",
            # Clients are sent to the advertised address: inside and outside must have the same port.
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            **LOCAL_PROPERTIES,
            **self.options.properties,
        }
        command = ["docker", "run", "--rm", "--name", self._container, "--publish", f"{HOST}:{self.port}:{self.port}"]
        if self.options.cpus is not None:
            command += ["--cpuset-cpus", self.options.cpus]
        for name, value in properties.items():
            command += ["--env", f"{environment_name(name)}={value}"]
        java = " ".join([f"-Xmx{self.options.heap}", *self.options.java_options])
        return [*command, "--env", f"KAFKA_HEAP_OPTS={java}", IMAGE]

    def start(self) -> None:
        """Pull the image where it is missing, run it, and wait until the broker answers.

        Raises
        ------
        LocalKafkaError
            The image can't be had, or the broker ended or did not answer in time.
        """
        if self.options.port and not is_free(self.port):
            raise LocalKafkaError(port_is_taken(self.port))
        self._pull()
        self._say(f"starting {IMAGE} in Docker")
        self._process.start()
        deadline = time.monotonic() + self.options.start_timeout_seconds
        with ThreadPoolExecutor(1) as pool:
            while not is_listening(self.port) or not pool.submit(asyncio.run, answers(self.bootstrap)).result():
                if not self._process.is_running or time.monotonic() > deadline:
                    state = "does not answer" if self._process.is_running else "ended"
                    raise LocalKafkaError(f"{IMAGE} {state}; its last lines:\n{self.log_tail()}")
                time.sleep(_POLL_SECONDS)

    def _pull(self) -> None:
        known = subprocess.run(
            ["docker", "image", "inspect", IMAGE], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        if known.returncode == 0:
            return
        self._say(f"pulling {IMAGE} (about 200 MB, once)")
        try:
            pulled = subprocess.run(
                ["docker", "pull", "--quiet", IMAGE],
                capture_output=True,
                text=True,
                check=False,
                stdin=subprocess.DEVNULL,
                timeout=_PULL_TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise LocalKafkaError(f"{IMAGE} was not pulled in {_PULL_TIMEOUT_SECONDS:.0f} s") from error
        if pulled.returncode != 0:
            raise LocalKafkaError(f"Docker could not pull {IMAGE}: {pulled.stderr.strip()}")

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until the container has ended; return its exit code, or None when the time is up."""
        return self._process.wait(timeout_seconds)

    def log_tail(self) -> str:
        """Return the last lines of the broker's log."""
        return self._process.log_tail()

    def close(self) -> None:
        """Stop and delete the container. Idempotent."""
        self._process.stop(grace_seconds=20.0)
        # Also when the client had to be killed: the engine would let the container run on.
        subprocess.run(
            ["docker", "rm", "--force", self._container], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._reservation:
            self._reservation.release()

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
