"""A real broker refuses the former owner of a state partition, and stores a step whole or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, OutOfOrderSequenceNumber, ProducerFenced

from streams.broker import Broker
from streams.ownership import LARGEST_BATCH_BYTES, BatchTooLargeError, Owner
from streams.state_rows import OWNER_KEY, decode_marker

pytestmark = pytest.mark.broker

MakeOwner = Callable[..., Awaitable[Owner]]


@pytest.fixture
async def state(make_topic: Callable[..., Awaitable[str]]) -> str:
    """A state topic, as `topics apply` makes it as far as it matters here."""
    return await make_topic("state", configs={"cleanup.policy": "compact", "max.message.bytes": str(16 * 1024 * 1024)})


@pytest.fixture
async def make_owner(kafka: Broker, state: str) -> AsyncIterator[MakeOwner]:
    owners: list[Owner] = []

    async def make(name: str = "worker", bootstrap: str | None = None, topic: str | None = None) -> Owner:
        owner = Owner({"bootstrap_servers": bootstrap or kafka.bootstrap}, topic or state, 0, name)
        owners.append(owner)
        await owner.take()
        return owner

    yield make
    for owner in owners:
        await owner.close()


async def written(owner: Owner, *keys: str, value: bytes = b"row") -> int:
    """Write a batch; return the offset of its first record once the broker has it."""
    future = await owner.write({key.encode(): value for key in keys})
    metadata = await asyncio.wait_for(future, 20)
    offset: int = metadata.offset
    return offset


async def log_of(bootstrap: str, topic: str) -> list[tuple[int, bytes, bytes | None]]:
    """Return (offset, key, value) of everything a reader of committed records sees."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        end = (await consumer.end_offsets([place]))[place]
        found: list[tuple[int, bytes, bytes | None]] = []
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [(record.offset, record.key, record.value) for record in records]
        return found
    finally:
        await consumer.stop()


async def test_the_marker_of_a_new_owner_is_in_the_log_and_says_who_it_is(
    kafka: Broker, state: str, make_owner: MakeOwner
) -> None:
    first, second = await make_owner("first"), await make_owner("second")
    markers = [(offset, decode_marker(value)) for offset, key, value in await log_of(kafka.bootstrap, state) if value]
    assert [(offset, marker.owner) for offset, marker in markers] == [(0, "first"), (1, "second")]
    assert (first.marker_offset, second.marker_offset) == (0, 1)
    assert markers[0][1].producer_id == markers[1][1].producer_id == second.producer_id
    assert markers[1][1].epoch == markers[0][1].epoch + 1


async def test_there_are_no_control_records_in_the_log(kafka: Broker, state: str, make_owner: MakeOwner) -> None:
    """Faust's recovery would wait for ever for an offset that is no record."""
    owner = await make_owner()
    await written(owner, "a")
    await owner.take()
    await written(owner, "b")
    offsets = [offset for offset, _, _ in await log_of(kafka.bootstrap, state)]
    assert offsets == list(range(len(offsets))) == [0, 1, 2, 3]


async def test_a_former_owner_is_refused_after_the_marker_and_what_it_wrote_before_is_kept_whole(
    kafka: Broker, state: str, make_owner: MakeOwner
) -> None:
    former = await make_owner("former")
    await written(former, "a", "b")
    successor = await make_owner("successor")
    with pytest.raises(ProducerFenced):
        await written(former, "c", "d")
    with pytest.raises(ProducerFenced):
        await written(former, "e")
    await written(successor, "f")
    keys = [key for _, key, _ in await log_of(kafka.bootstrap, state)]
    assert keys == [OWNER_KEY, b"a", b"b", OWNER_KEY, b"f"]


async def test_what_a_former_owner_had_queued_is_refused_as_well(
    kafka: Broker, state: str, make_owner: MakeOwner
) -> None:
    former = await make_owner("former")
    await make_owner("successor")
    futures = [await former.write({b"%d" % number: b"row"}) for number in range(5)]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert all(isinstance(result, ProducerFenced | OutOfOrderSequenceNumber) for result in results), results
    assert isinstance(results[0], ProducerFenced)
    assert [key for _, key, _ in await log_of(kafka.bootstrap, state)] == [OWNER_KEY, OWNER_KEY]


async def test_offsets_of_writes_follow_each_other_until_somebody_else_writes(make_owner: MakeOwner) -> None:
    """Memory is current after a rebalance exactly if the marker follows the last write."""
    owner = await make_owner()
    assert owner.last_offset == owner.marker_offset == 0
    assert await written(owner, "a", "b", "c") == 1
    assert owner.last_offset == 3
    assert await owner.take() == 4
    assert await written(owner, "a") == 5
    await make_owner("other")
    assert await owner.take() == owner.last_offset == 7


async def test_an_owner_that_takes_again_goes_on_writing_and_fences_its_own_former_epoch(
    kafka: Broker, state: str, make_owner: MakeOwner
) -> None:
    owner = await make_owner()
    former_id = owner.producer_id
    for number in range(3):
        await written(owner, f"{number}")
        await owner.take()
    assert owner.producer_id == former_id
    await written(owner, "last")
    assert len(await log_of(kafka.bootstrap, state)) == 8


async def test_a_step_of_many_megabytes_is_one_batch(kafka: Broker, state: str, make_owner: MakeOwner) -> None:
    import random

    owner = await make_owner()
    noise = random.Random(5)
    rows = {b"%04d" % number: noise.randbytes(8_000) for number in range(1_000)}
    future = await owner.write(rows)
    assert (await future).offset == 1
    assert owner.last_offset == 1_000
    assert 8_000_000 < owner.last_batch_bytes < LARGEST_BATCH_BYTES
    log = await log_of(kafka.bootstrap, state)
    assert {key: value for _, key, value in log if key != OWNER_KEY} == rows


async def test_a_step_larger_than_a_batch_is_refused_here_and_leaves_nothing(
    kafka: Broker, state: str, make_owner: MakeOwner
) -> None:
    owner = await make_owner()
    with pytest.raises(BatchTooLargeError, match=r"a step of 3 rows is over 12000000 bytes"):
        await owner.write({b"a": b"x" * 5_000_000, b"b": b"y" * 5_000_000, b"c": b"z" * 5_000_000})
    await written(owner, "after")
    assert [key for _, key, _ in await log_of(kafka.bootstrap, state)] == [OWNER_KEY, b"after"]


async def test_a_batch_that_the_broker_refuses_leaves_nothing_and_nothing_after_it_gets_in(
    kafka: Broker, make_topic: Callable[..., Awaitable[str]], make_owner: MakeOwner
) -> None:
    """A step that failed must leave a gap that no later step can jump: rows would be missing below a position."""
    import random

    narrow = await make_topic("narrow", configs={"cleanup.policy": "compact", "max.message.bytes": "50000"})
    owner = await make_owner(topic=narrow)
    await written(owner, "a")
    noise = random.Random(5)
    too_large = await owner.write({b"%03d" % number: noise.randbytes(1_000) for number in range(100)})
    behind = [await owner.write({b"behind": b"row"}) for _ in range(3)]
    results = await asyncio.gather(too_large, *behind, return_exceptions=True)
    assert isinstance(results[0], MessageSizeTooLargeError)
    assert all(isinstance(result, OutOfOrderSequenceNumber) for result in results[1:]), results
    assert [key for _, key, _ in await log_of(kafka.bootstrap, narrow)] == [OWNER_KEY, b"a"]


async def test_tombstones_delete(kafka: Broker, state: str, make_owner: MakeOwner) -> None:
    owner = await make_owner()
    await (await owner.write({b"a": b"row", b"b": None}))
    assert await log_of(kafka.bootstrap, state) == [
        (0, OWNER_KEY, (await log_of(kafka.bootstrap, state))[0][2]),
        (1, b"a", b"row"),
        (2, b"b", None),
    ]


async def test_closing_a_fenced_owner_does_not_hang(make_owner: MakeOwner) -> None:
    former = await make_owner("former")
    await make_owner("successor")
    future = await former.write({b"a": b"row"})
    async with asyncio.timeout(10):
        await former.close()
    assert isinstance(future.exception(), ProducerFenced)


async def test_partitions_of_one_topic_have_owners_of_their_own(
    kafka: Broker, make_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await make_topic("two", partitions=2)
    first, second = (Owner({"bootstrap_servers": kafka.bootstrap}, topic, number, "w") for number in range(2))
    await first.take()
    await second.take()
    await written(first, "a")
    await written(second, "a")
    assert first.producer_id != second.producer_id
    await first.close()
    await second.close()


@pytest.mark.timeout(180)
async def test_a_fence_that_is_renewed_in_time_does_not_lapse(make_broker: Callable[..., object]) -> None:
    """The broker forgets an idle transactional id; then the next owner gets another id and fences nobody."""
    broker = make_broker(
        properties={
            "transactional.id.expiration.ms": "8000",
            "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
        }
    )
    bootstrap: str = broker.bootstrap  # type: ignore[attr-defined]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    lapsing, renewed = f"lapsing-{uuid.uuid4().hex[:6]}", f"renewed-{uuid.uuid4().hex[:6]}"
    await admin.create_topics([NewTopic(lapsing, 1, 1), NewTopic(renewed, 1, 1)])
    await admin.close()
    client = {"bootstrap_servers": bootstrap}
    idle, keen = Owner(client, lapsing, 0, "idle"), Owner(client, renewed, 0, "keen")
    successors = [Owner(client, lapsing, 0, "next"), Owner(client, renewed, 0, "next")]
    try:
        await idle.take()
        await keen.take()
        for _ in range(4):  # 14 s altogether: longer than the broker remembers
            await asyncio.sleep(3.5)
            await keen.take()
        for successor in successors:
            await successor.take()
        with pytest.raises(ProducerFenced):
            await written(keen, "late")
        assert successors[1].producer_id == keen.producer_id
        # What the renewal is for: without it the id is another one, and the former owner writes on.
        assert successors[0].producer_id != idle.producer_id
        await written(idle, "late")
    finally:
        for owner in (idle, keen, *successors):
            await owner.close()
