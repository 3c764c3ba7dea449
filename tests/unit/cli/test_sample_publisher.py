from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cli import sample_publisher
from cli.sample_publisher import SamplePublisher
from config.settings import Settings
from streams import connection
from streams.connection import BrokerUnreachable


class Broker:
    """Takes records while it is up."""

    def __init__(self) -> None:
        self.up = True
        self.taken: list[tuple[bytes, bytes]] = []

    async def send(self, _topic: str, *, key: bytes, value: bytes) -> asyncio.Future[None]:
        if not self.up:
            raise BrokerUnreachable("away")
        self.taken.append((key, value))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    @asynccontextmanager
    async def client(self, *_: Any) -> AsyncIterator[Broker]:
        if not self.up:
            raise BrokerUnreachable("away")
        yield self


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(connection, "producer_client", broker.client)
    monkeypatch.setattr(sample_publisher, "_RETRY_SECONDS", 0.01)
    return broker


async def stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_samples_wait_while_the_broker_is_away_and_go_in_order_when_it_is_back(broker: Broker):
    async def run() -> None:
        publisher = SamplePublisher(Settings(), "sla.uptime")
        running = asyncio.create_task(publisher.run())
        publisher.put("portal", b"1")
        assert await publisher.drain(1)
        broker.up = False
        for number in range(2, 6):
            publisher.put("portal", b"%d" % number)
        assert not await publisher.drain(0.05)
        assert len(publisher) == 4
        broker.up = True
        assert await publisher.drain(1)
        assert (publisher.delivered, publisher.dropped) == (5, 0)
        await stopped(running)

    asyncio.run(run())
    assert [value for _, value in broker.taken] == [b"1", b"2", b"3", b"4", b"5"]


def test_beyond_the_bound_the_oldest_samples_go_and_are_counted(broker: Broker):
    async def run() -> SamplePublisher:
        publisher = SamplePublisher(Settings(), "sla.uptime", most_waiting=3)
        broker.up = False
        for number in range(5):
            publisher.put("portal", b"%d" % number)
        broker.up = True
        running = asyncio.create_task(publisher.run())
        assert await publisher.drain(1)
        await stopped(running)
        return publisher

    assert asyncio.run(run()).dropped == 2
    assert [value for _, value in broker.taken] == [b"2", b"3", b"4"]
