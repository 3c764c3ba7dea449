"""Outputs keep their order in each destination, share batches, and whoever is concerned learns of a failure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.sender import LARGEST_BATCH_BYTES, OutputSender
from streams.state_rows import Output


@dataclass
class Sent:
    """One request: to where, and what."""

    topic: str
    partition: int
    values: list[bytes]
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Builder(BatchBuilder):
    """aiokafka's own builder, and what was put into it."""

    def __init__(self, size: int) -> None:
        super().__init__(size, 0, is_transactional=False)
        self.values: list[bytes] = []

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Any = ()) -> Any:
        metadata = super().append(timestamp=timestamp, key=key, value=value, headers=headers)
        if metadata is not None:
            self.values.append(value)
        return metadata


class Producer:
    """Takes requests; the test acknowledges them."""

    def __init__(self, batch_bytes: int = LARGEST_BATCH_BYTES) -> None:
        self.batch_bytes = batch_bytes
        self.sent: list[Sent] = []
        self.fails: Exception | None = None

    def create_batch(self) -> Builder:
        return Builder(self.batch_bytes)

    async def send_batch(self, batch: Builder, topic: str, *, partition: int) -> asyncio.Future[Any]:
        assert batch.closed(), "a batch left open takes in single records of others"
        if self.fails is not None:
            raise self.fails
        self.sent.append(Sent(topic, partition, batch.values))
        return self.sent[-1].future

    def of(self, topic: str, partition: int = 0) -> list[list[bytes]]:
        return [sent.values for sent in self.sent if (sent.topic, sent.partition) == (topic, partition)]

    def acknowledge(self, *, topic: str | None = None) -> None:
        for sent in self.sent:
            if not sent.future.done() and topic in {None, sent.topic}:
                sent.future.set_result(None)

    async def stop(self) -> None: ...


def sender_on(producer: Producer) -> OutputSender:
    sender = OutputSender({})
    sender._producer = producer
    return sender


def out(value: str, topic: str = "verdicts", partition: int = 0) -> Output:
    return Output(topic, partition, b"key", value.encode(), (("slawatch-source", b"t/0"),))


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_call_is_done_when_every_destination_has_acknowledged() -> None:
    producer = Producer()
    sending = sender_on(producer).send([out("1"), out("2", "alerts"), out("3", partition=1)])
    await turns()
    assert producer.of("verdicts") == [[b"1"]]
    assert producer.of("verdicts", 1) == [[b"3"]]
    producer.acknowledge(topic="verdicts")
    await turns()
    assert not sending.done()
    producer.acknowledge(topic="alerts")
    await asyncio.wait_for(sending, 1)


async def test_nothing_to_send_is_done_at_once() -> None:
    sending = sender_on(Producer()).send([])
    assert sending.done()
    await sending


async def test_what_arrives_while_a_batch_is_under_way_goes_together_into_the_next_in_order() -> None:
    producer = Producer()
    sender = sender_on(producer)
    calls = [sender.send([out("1")])]
    await turns()
    calls += [sender.send([out("2"), out("3")]), sender.send([out("4")])]
    await turns()
    assert producer.of("verdicts") == [[b"1"]], "one batch on its way"
    producer.acknowledge()
    await turns()
    assert producer.of("verdicts") == [[b"1"], [b"2", b"3", b"4"]]
    assert [call.done() for call in calls] == [True, False, False]
    producer.acknowledge()
    await asyncio.wait_for(asyncio.gather(*calls), 1)


async def test_destinations_do_not_wait_for_each_other() -> None:
    producer = Producer()
    sender = sender_on(producer)
    sender.send([out("1", "slow")])
    await turns()
    quick = sender.send([out("2", "quick")])
    await turns()
    producer.acknowledge(topic="quick")
    await asyncio.wait_for(quick, 1)
    producer.acknowledge()


async def test_a_batch_ends_where_it_is_full_and_the_rest_follows_in_order() -> None:
    producer = Producer(batch_bytes=1_000)
    sending = sender_on(producer).send([out(f"{number}" + "x" * 300) for number in range(7)])
    seen: list[bytes] = []
    while not sending.done():
        await turns()
        producer.acknowledge()
    for values in producer.of("verdicts"):
        assert 1 <= len(values) <= 3
        seen += values
    assert [value[:1] for value in seen] == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]


async def test_a_record_larger_than_a_batch_is_sent_alone_in_its_place() -> None:
    producer = Producer(batch_bytes=1_000)
    sending = sender_on(producer).send([out("before"), out("x" * 2_000), out("after")])
    while not sending.done():
        await turns()
        producer.acknowledge()
    assert producer.of("verdicts") == [[b"before"], [b"x" * 2_000], [b"after"]]


async def test_a_failed_request_is_told_to_every_call_that_was_in_it_or_behind_it() -> None:
    producer = Producer()
    sender = sender_on(producer)
    first = sender.send([out("1")])
    await turns()
    behind = [sender.send([out("2")]), sender.send([out("3"), out("4", "alerts")])]
    other = sender.send([out("5", "alerts")])
    await turns()
    producer.sent[0].future.set_exception(OSError("no leader"))
    await turns()
    for call in (first, *behind):
        with pytest.raises(OSError, match="no leader"):
            await call
    producer.acknowledge(topic="alerts")
    await turns()
    producer.acknowledge(topic="alerts")
    await asyncio.wait_for(other, 1)
    assert producer.of("verdicts") == [[b"1"]], "what is behind a failure is not sent: it would overtake it"


async def test_a_request_that_can_not_be_made_is_told_as_well() -> None:
    producer = Producer()
    producer.fails = RuntimeError("closed")
    with pytest.raises(RuntimeError, match="closed"):
        await sender_on(producer).send([out("1"), out("2", "alerts")])
    await turns()


async def test_a_caller_that_is_gone_does_not_disturb_the_others() -> None:
    """The runner of a partition that went to another worker is stopped while it waits."""
    producer = Producer()
    sender = sender_on(producer)

    async def call() -> None:
        await sender.send([out("1")])

    gone = asyncio.create_task(call())
    await turns()
    stays = sender.send([out("2")])
    gone.cancel()
    await turns()
    producer.acknowledge()
    await turns()
    producer.acknowledge()
    await asyncio.wait_for(stays, 1)
    assert producer.of("verdicts") == [[b"1"], [b"2"]]


async def test_a_destination_at_rest_holds_no_task() -> None:
    producer = Producer()
    sender = sender_on(producer)
    sending = sender.send([out("1")])
    await turns()
    producer.acknowledge()
    await sending
    await turns()
    assert sender._pumps == {}
    assert all(not queue for queue in sender._queues.values())


async def test_stopping_waits_for_what_is_on_its_way() -> None:
    producer = Producer()
    sender = sender_on(producer)
    sending = sender.send([out("1")])
    await turns()
    stopping = asyncio.create_task(sender.stop())
    await turns()
    assert not stopping.done()
    producer.acknowledge()
    await asyncio.wait_for(stopping, 1)
    assert sending.done()
