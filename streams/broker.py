"""Which Kafka a local run uses: one that is there already, a container, or one from Maven's jars."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streams.docker_broker import DockerBroker, docker_engine_answers
from streams.kafka_jars import LocalKafkaError, Say, obtain_jars, require_java
from streams.local_broker import BrokerOptions, LocalBroker, answers


class Broker(Protocol):
    """A Kafka that answers."""

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, host:port, separated by commas."""

    @property
    def how(self) -> str:
        """``external`` (it was there), ``docker`` or ``java``."""

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until the broker has ended; return its exit code, or None when the time is up or it is not ours."""

    def log_tail(self) -> str:
        """Return the last lines of its log; empty when it is not ours."""


@dataclass(frozen=True, slots=True)
class ExternalBroker:
    """A Kafka that somebody else runs: never started or stopped by us."""

    bootstrap: str
    how: str = "external"

    def wait(self, timeout_seconds: float | None = None) -> int | None:  # noqa: ARG002 - the protocol's
        """Return None: its life is not ours to watch."""
        return None

    def log_tail(self) -> str:
        """Return nothing: its log is elsewhere."""
        return ""


@contextmanager
def obtain_broker(
    options: BrokerOptions | None = None,
    *,
    cache_dir: Path,
    bootstrap: str | None = None,
    say: Say = lambda _line: None,
    allow_docker: bool = True,
) -> Iterator[Broker]:
    """Yield a Kafka for local use, and end it afterwards where it was started here.

    Taken is the first that applies: ``bootstrap``; a container, where a Docker engine answers (not for a kept data
    folder or a SASL user, which the image does not serve); Kafka's jars on this machine's Java.

    Parameters
    ----------
    options
        How to start it; without effect on a Kafka that is there already.
    cache_dir
        Where jars are kept, see `streams.kafka_jars.user_cache_dir`.
    bootstrap
        A Kafka that is there already (the setting ``SLAWATCH_KAFKA__BOOTSTRAP``); None: start one.
    say
        Called with what is being done and which Kafka was taken.
    allow_docker
        False: take the jars also where Docker would do.

    Raises
    ------
    LocalKafkaError
        It can't be had; the message says why and what to do.
    """
    options = options or BrokerOptions()
    if bootstrap is not None:
        _require_answer(bootstrap)
        say(f"using the Kafka at {bootstrap}")
        yield ExternalBroker(bootstrap)
        return
    broker: DockerBroker | LocalBroker
    if allow_docker and options.data is None and options.scram_user is None and docker_engine_answers():
        say("a Docker engine answers: using Kafka's image")
        broker = DockerBroker(options, say=say)
    else:
        java = require_java()
        broker = LocalBroker(obtain_jars(cache_dir, say), options, java=java, say=say)
    with broker:
        yield broker


def _require_answer(bootstrap: str) -> None:
    with ThreadPoolExecutor(1) as pool:  # there may be a running event loop in this thread
        if not pool.submit(asyncio.run, answers(bootstrap, timeout_seconds=10.0)).result():
            raise LocalKafkaError(
                f"the Kafka at {bootstrap} (SLAWATCH_KAFKA__BOOTSTRAP) does not answer: start it, or unset "
                "the variable to have one started here"
            )
