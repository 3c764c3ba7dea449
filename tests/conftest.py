"""What all tests share: one real Kafka for the session, brokers of a test's own, unique names."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis  # noqa: F401 - see below
import pytest

from streams.broker import Broker, obtain_broker
from streams.kafka_jars import LocalKafkaError, obtain_jars, require_java, user_cache_dir
from streams.local_broker import BrokerOptions, LocalBroker, ScramUser

if TYPE_CHECKING:
    from aiokafka.admin import AIOKafkaAdminClient

TEST_PROPERTIES: Mapping[str, str] = {
    # Compaction and deletion are looked at often, so that a test can wait for them.
    "log.cleaner.backoff.ms": "1000",
    "log.retention.check.interval.ms": "1000",
    # Workers of a test may ask for a short session, to be given up soon after they were frozen or killed.
    "group.min.session.timeout.ms": "1000",
}
"""Properties of every broker of the suite."""

QUICK_START = ("-XX:TieredStopAtLevel=1",)
"""A broker of a test lives for seconds: it is not worth compiling well."""

# Hypothesis' plugin imports it at the latest when the session ends, and pytest rewrites its modules as it does those of
# tests. Should the collection of garbage meet something unclosed just then, its warning is an error here, the traceback
# of that parses source, too, and up to CPython 3.11.7 (gh-106905) parsing is not reentrant: "SystemError: AST constructor
# recursion depth mismatch". So it is imported now, when there is no garbage yet.

LEFT_BY_AIOKAFKA: tuple[str, ...] = (
    "ignore:Unclosed AIOKafka:ResourceWarning",
    "ignore:unclosed <socket.socket:ResourceWarning",
    "ignore:unclosed transport:ResourceWarning",
    "ignore:loop is closed:ResourceWarning",
)
"""What the garbage collector says at some later moment of a client that was closed while it opened a connection: a
commit of offsets, a heartbeat or a start under way goes on and opens it once more, and nobody closes it (aiokafka 0.14:
``AIOKafkaClient.close`` does not stop ``_get_conn``). Only sessions with real Kafka clients pass over it."""

MakeBroker = Callable[..., LocalBroker]
MakeTopic = Callable[..., Awaitable[str]]
Eventually = Callable[..., Awaitable[None]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-broker",
        action="store_true",
        help="Fail instead of skipping when a test's Kafka can't be had (CI).",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if any(item.get_closest_marker(name) for item in items for name in ("broker", "e2e")):
        for line in LEFT_BY_AIOKAFKA:
            config.addinivalue_line("filterwarnings", line)


def _unavailable(request: pytest.FixtureRequest, reason: str) -> None:
    if request.config.getoption("--require-broker") or os.environ.get("CI") == "true":
        pytest.fail(f"a test needs Kafka: {reason}", pytrace=False)
    pytest.skip(f"needs Kafka: {reason}")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """One Kafka for all tests (`kafka.bootstrap`): never stop it or fill it; a test that does takes `make_broker`."""
    try:
        context = obtain_broker(
            BrokerOptions(properties=TEST_PROPERTIES, heap="768m", java_options=QUICK_START),
            cache_dir=user_cache_dir(os.environ),
            bootstrap=os.environ.get("SLAWATCH_KAFKA__BOOTSTRAP"),
        )
        broker = context.__enter__()
    except LocalKafkaError as error:
        _unavailable(request, str(error))
        raise
    yield broker
    context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def kafka_jars(request: pytest.FixtureRequest) -> Path:
    """Folder of Kafka's jars, for brokers of a test's own."""
    try:
        require_java()
        return obtain_jars(user_cache_dir(os.environ), lambda _line: None)
    except LocalKafkaError as error:
        _unavailable(request, str(error))
        raise


@pytest.fixture
def make_broker(kafka_jars: Path) -> Iterator[MakeBroker]:
    """Make brokers of the test's own, started, to stop, kill or pause: ``make_broker(properties=..., scram_user=..., data=...)``."""
    brokers: list[LocalBroker] = []

    def make(
        *,
        properties: Mapping[str, str] | None = None,
        scram_user: ScramUser | None = None,
        data: Path | None = None,
        cpus: str | None = None,
        start: bool = True,
    ) -> LocalBroker:
        options = BrokerOptions(
            properties={**TEST_PROPERTIES, **(properties or {})},
            scram_user=scram_user,
            data=data,
            cpus=cpus,
            heap="512m",
            java_options=QUICK_START,
        )
        broker = LocalBroker(kafka_jars, options)
        brokers.append(broker)
        if start:
            broker.start()
        return broker

    yield make
    for broker in brokers:
        broker.close()


@pytest.fixture
def prefix() -> str:
    """A unique prefix for topics, groups and transactional ids (`SLAWATCH_TOPICS__PREFIX`): tests share one broker."""
    return f"t{uuid.uuid4().hex[:10]}-"


@pytest.fixture
async def admin(kafka: Broker) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client on the session's Kafka."""
    from aiokafka.admin import AIOKafkaAdminClient

    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await client.start()
    yield client
    await client.close()


@pytest.fixture
def make_topic(admin: AIOKafkaAdminClient, prefix: str) -> MakeTopic:
    """Create a topic with a unique name: ``await make_topic("events", partitions=4, configs={...})`` returns the name."""
    from aiokafka.admin import NewTopic

    async def make(name: str = "events", *, partitions: int = 1, configs: Mapping[str, str] | None = None) -> str:
        topic = NewTopic(prefix + name, partitions, 1, topic_configs=dict(configs or {}))
        response = await admin.create_topics([topic])
        for _topic, error_code, message in response.topic_errors:
            assert error_code == 0, message
        return prefix + name

    return make


@pytest.fixture
def eventually() -> Eventually:
    """``await eventually(condition)``: poll a coroutine function until it returns true; fail after a deadline."""

    async def poll(
        condition: Callable[[], Awaitable[bool]], *, within_seconds: float = 20.0, every_seconds: float = 0.1
    ) -> None:
        deadline = time.monotonic() + within_seconds
        while not await condition():
            if time.monotonic() > deadline:
                pytest.fail(f"did not happen within {within_seconds} s")
            await asyncio.sleep(every_seconds)

    return poll
