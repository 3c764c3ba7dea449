"""The player sends in order, counts what was acknowledged, and never passes over a loss."""

import asyncio
import json

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from cli.player import DeliveryError, Publisher, play
from sources.record import SourceEvent
from sources.schedule import Beat, Pace, schedule
from streams.codecs import partition_of

TOPIC, PARTITIONS = "sla.tickets", 3
AT_ONCE = Pace(0, None)


class FakeBatch:
    """Takes ``size`` records, and always one, as aiokafka's builder does."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.records: list[tuple[bytes, dict[str, object]]] = []

    def append(self, *, timestamp: int | None, key: bytes, value: bytes) -> object | None:
        assert timestamp is None
        if self.records and len(self.records) >= self.size:
            return None
        self.records.append((key, json.loads(value)))
        return object()


class FakeProducer:
    """Acknowledges a batch ``delay`` loop turns after it was sent; refuses those named, answers none when mute."""

    def __init__(self, size: int = 2, delay: int = 3) -> None:
        self.size = size
        self.delay = delay
        self.log: list[tuple[int, bytes, dict[str, object]]] = []
        self.under_way = [0] * PARTITIONS
        self.events_under_way = 0
        self.refuse_after: int | None = None
        self.mute = False
        self.sent = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def create_batch(self) -> FakeBatch:
        return FakeBatch(self.size)

    async def send_batch(self, batch: FakeBatch, topic: str, *, partition: int) -> asyncio.Future[object]:
        assert topic == TOPIC
        self.under_way[partition] += 1
        assert self.under_way[partition] == 1, "a batch went before the one before it was acknowledged"
        self.sent += 1
        refused = self.refuse_after is not None and self.sent > self.refuse_after
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._answer(batch, partition, future, refused=refused))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return future

    async def _answer(self, batch: FakeBatch, partition: int, future: asyncio.Future[object], *, refused: bool) -> None:
        for _ in range(self.delay):
            await asyncio.sleep(0)
        if self.mute:
            return
        self.under_way[partition] -= 1
        if refused:
            future.set_exception(MessageSizeTooLargeError())
            return
        self.log += [(partition, key, value) for key, value in batch.records]
        future.set_result(object())


def _events(count: int) -> list[SourceEvent]:
    return [SourceEvent(f"INC-{n % 7}", n * 10, f"{n}", "updated", None, {"n": n}) for n in range(count)]


def _publisher(producer: FakeProducer, timeout_seconds: float = 5.0) -> Publisher:
    return Publisher(producer, TOPIC, PARTITIONS, timeout_seconds=timeout_seconds)


async def _play(items, publisher: Publisher, pace: Pace = AT_ONCE, stop: asyncio.Event | None = None) -> bool:
    return await play(items, publisher, pace, stop=stop or asyncio.Event(), tell=lambda _taken, _at_ms: None)


async def test_every_event_arrives_on_its_partition_in_order_and_heartbeats_on_all():
    producer = FakeProducer()
    publisher = _publisher(producer)

    assert await _play(schedule(_events(50), heartbeat_every_ms=100), publisher)

    assert publisher.acknowledged_events == publisher.taken_events == 50
    for partition in range(PARTITIONS):
        mine = [(key, value) for number, key, value in producer.log if number == partition]
        instants = [value["at"] for _, value in mine]
        assert instants == sorted(instants)
        beats = [value["at"] for key, value in mine if key == b"heartbeat"]
        assert len(beats) == 6
        assert mine[-1][0] == b"heartbeat"
        for key, value in mine:
            if value["type"] == "ticket":
                assert key == value["ticket"].encode()
                assert partition_of(key, PARTITIONS) == partition
    assert publisher.acknowledged_beats == 6 * PARTITIONS


async def test_the_last_heartbeat_goes_when_every_event_has_been_acknowledged():
    producer = FakeProducer(size=1000, delay=20)
    publisher = _publisher(producer)
    acknowledged_when_sent: list[int] = []
    beat = publisher.beat

    async def watched(at_ms: int) -> None:
        acknowledged_when_sent.append(publisher.acknowledged_events)
        await beat(at_ms)

    publisher.beat = watched
    await _play(schedule(_events(50), heartbeat_every_ms=100), publisher)

    assert acknowledged_when_sent[-1] == 50
    assert acknowledged_when_sent[0] < 50


async def test_a_refused_batch_ends_the_playing_with_the_counts():
    producer = FakeProducer()
    producer.refuse_after = 5
    publisher = _publisher(producer)

    with pytest.raises(DeliveryError, match=r"acknowledged are \d+ of the \d+ events sent so far"):
        await _play(schedule(_events(100), heartbeat_every_ms=100), publisher)

    arrived = sum(value["type"] == "ticket" for _, _, value in producer.log)
    assert publisher.acknowledged_events == arrived
    assert arrived < publisher.taken_events <= 100


async def test_nothing_follows_a_lost_batch_on_its_partition():
    producer = FakeProducer(size=1)
    producer.refuse_after = 3
    with pytest.raises(DeliveryError):
        await _play(schedule(_events(100), heartbeat_every_ms=50), _publisher(producer))

    newest_event = {number: value["at"] for number, _, value in producer.log if value["type"] == "ticket"}
    for number, _, value in producer.log:
        if value["type"] == "heartbeat":
            due = [e for e in _events(100) if partition_of(e.key, PARTITIONS) == number and _at(e) <= value["at"]]
            assert not due or _at(due[-1]) <= newest_event[number]


def _at(event: SourceEvent) -> str:
    from sla.units import format_instant

    return format_instant(event.at_ms)


async def test_a_kafka_that_does_not_answer_ends_the_playing(monkeypatch):
    monkeypatch.setattr("cli.player._SETTLE_SECONDS", 0.01)
    producer = FakeProducer()
    producer.mute = True

    with pytest.raises(DeliveryError, match="no answer in time; acknowledged are 0 of"):
        await _play(schedule(_events(50), heartbeat_every_ms=100), _publisher(producer, timeout_seconds=0.02))


async def test_a_kafka_that_does_not_answer_is_noticed_while_the_player_waits(monkeypatch):
    monkeypatch.setattr("cli.player._SETTLE_SECONDS", 0.01)
    producer = FakeProducer()
    producer.mute = True
    an_hour_apart = [SourceEvent("A", 0, "1", "created"), SourceEvent("A", 3_600_000, "2", "resolved")]

    async with asyncio.timeout(5):
        with pytest.raises(DeliveryError, match="no answer in time"):
            await _play(an_hour_apart, _publisher(producer, timeout_seconds=0.05), Pace(0, 1))


async def test_the_pace_is_kept_and_events_do_not_wait_for_their_batch_to_fill():
    producer = FakeProducer(size=1000, delay=0)
    publisher = _publisher(producer)
    loop = asyncio.get_running_loop()
    began = loop.time()
    items = [SourceEvent("A", 0, "1", "created"), SourceEvent("A", 30_000, "2", "resolved"), Beat(30_000, is_last=True)]
    playing = asyncio.create_task(_play(items, publisher, Pace(0, 100)))
    await asyncio.sleep(0.15)

    assert [value["id"] for _, _, value in producer.log] == ["1"]
    assert await playing
    assert 0.3 <= loop.time() - began < 2


async def test_a_stop_ends_the_playing_without_the_last_heartbeat_and_with_all_counted():
    producer = FakeProducer(size=1000, delay=0)
    publisher = _publisher(producer)
    stop = asyncio.Event()
    items = [SourceEvent("A", 0, "1", "created"), SourceEvent("A", 3_600_000, "2", "x"), Beat(3_600_000, is_last=True)]
    playing = asyncio.create_task(_play(items, publisher, Pace(0, 1), stop))
    await asyncio.sleep(0.05)
    stop.set()

    assert await playing is False
    assert publisher.acknowledged_events == publisher.taken_events == 1
    assert publisher.acknowledged_beats == 0
