"""The register on a real Kafka: read whole before anyone looks, followed afterwards, published without noise."""

import asyncio

import pytest
from aiokafka.admin import NewTopic

from config.settings import Settings
from streams.broker import Broker
from streams.connection import BrokerUnreachable, KafkaFault, TopicMissing, producer_client, read_to_end
from streams.register_topics import DocumentKind, Published, RegisterReader, publish, read_register
from streams.topic_admin import apply
from streams.topics import CALENDARS, CONTRACTS, Topics

pytestmark = pytest.mark.broker

ACME = (DocumentKind.CONTRACT, "acme-support")
GLOBEX = (DocumentKind.CONTRACT, "globex-support")
JAKARTA = (DocumentKind.CALENDAR, "jakarta-office")
OUTAGE = (DocumentKind.ADJUSTMENT, "2026-03-outage")


@pytest.fixture
def settings(kafka: Broker, prefix: str) -> Settings:
    return Settings(kafka={"bootstrap": kafka.bootstrap}, topics={"prefix": prefix, "partitions": 1})


@pytest.fixture
async def topics(settings: Settings) -> Topics:
    await apply(settings)
    return Topics(settings)


@pytest.fixture
async def reader(settings, topics):
    reader = RegisterReader(settings)
    yield reader
    await reader.stop()


async def _within(seconds: float, awaitable):
    async with asyncio.timeout(seconds):
        return await awaitable


async def test_an_empty_register_is_read_at_once(reader):
    await reader.start()

    assert dict(reader.snapshot().documents) == {}
    assert reader.snapshot().offsets == {"sla.contracts": 0, "sla.calendars": 0, "sla.adjustments": 0}


async def test_start_returns_when_everything_published_so_far_is_read(settings, reader):
    documents = {(DocumentKind.CONTRACT, f"contract-{number}"): b"%d" % number * 2000 for number in range(500)}
    await publish(settings, {**documents, JAKARTA: b"hours"})

    await reader.start()
    assert dict(reader.snapshot().documents) == {**documents, JAKARTA: b"hours"}
    assert reader.snapshot().offsets["sla.contracts"] == 500
    assert sorted(reader.snapshot().document_offsets[key] for key in documents) == list(range(500))
    assert reader.snapshot().of_kind(DocumentKind.CALENDAR) == {"jakarta-office": b"hours"}


async def test_start_returns_behind_the_markers_of_a_transaction(settings, topics, reader):
    options = {"transactional_id": f"{settings.topics.prefix}publisher"}
    async with producer_client(settings.kafka, **options) as producer:
        async with producer.transaction():
            await producer.send(topics.name(CONTRACTS), b"committed", key=b"acme-support")
        await producer.begin_transaction()
        await producer.send_and_wait(topics.name(CONTRACTS), b"aborted", key=b"acme-support")
        await producer.abort_transaction()

    await _within(10, reader.start())
    assert dict(reader.snapshot().documents) == {ACME: b"committed"}


async def test_a_change_a_deletion_and_a_new_document_arrive_and_old_snapshots_stay(settings, reader):
    await publish(settings, {ACME: b"1", JAKARTA: b"hours"})
    await reader.start()
    before = reader.snapshot()

    await publish(settings, {ACME: b"2"})
    changed = await _within(10, reader.next_change(before))
    assert changed.documents[ACME] == b"2"
    assert changed.document_offsets[ACME] == 1

    await publish(settings, {}, remove=[ACME])
    deleted = await _within(10, reader.next_change(changed))
    assert ACME not in deleted.documents
    assert ACME not in deleted.document_offsets

    await publish(settings, {OUTAGE: b"router"})
    created = await _within(10, reader.next_change(deleted))
    assert dict(created.documents) == {JAKARTA: b"hours", OUTAGE: b"router"}
    assert created.offsets == {"sla.contracts": 3, "sla.calendars": 1, "sla.adjustments": 1}
    assert dict(before.documents) == {ACME: b"1", JAKARTA: b"hours"}


async def test_everyone_who_waits_learns_of_a_change(settings, reader):
    await reader.start()
    seen = reader.snapshot()
    waiting = [asyncio.create_task(reader.next_change(seen)) for _ in range(5)]
    await asyncio.sleep(0)

    await publish(settings, {ACME: b"1"})
    for snapshot in await _within(10, asyncio.gather(*waiting)):
        assert snapshot.documents[ACME] == b"1"


async def test_two_readers_agree_on_documents_and_offsets(settings, topics):
    await publish(settings, {ACME: b"1", JAKARTA: b"hours"})
    await publish(settings, {ACME: b"2"}, remove=[JAKARTA])
    snapshots = []
    for _ in range(2):
        reader = RegisterReader(settings)
        await reader.start()
        snapshots.append(reader.snapshot())
        await reader.stop()

    assert snapshots[0] == snapshots[1]
    assert dict(snapshots[0].documents) == {ACME: b"2"}
    assert dict((await read_register(settings)).documents) == {ACME: b"2"}


async def test_a_missing_register_topic_is_told_at_the_start(settings):
    reader = RegisterReader(settings)

    with pytest.raises(TopicMissing, match="slawatch topics apply"):
        await reader.start()
    with pytest.raises(TopicMissing):
        reader.snapshot()
    with pytest.raises(TopicMissing):
        await reader.join()


async def test_a_register_topic_with_several_partitions_is_refused(settings, admin, eventually):
    names = [f"{settings.topics.prefix}sla.{name}" for name in ("contracts", "calendars", "adjustments")]
    await admin.create_topics([NewTopic(name, 2, 1) for name in names])

    async def visible() -> bool:
        return set(names) <= set(await admin.list_topics())

    await eventually(visible)
    with pytest.raises(KafkaFault, match="has 2 partitions, a register topic has one"):
        await RegisterReader(settings).start()


async def test_a_reader_without_a_broker_says_so():
    reader = RegisterReader(Settings(kafka={"bootstrap": "127.0.0.1:1"}))

    with pytest.raises(BrokerUnreachable, match="SLAWATCH_KAFKA__BOOTSTRAP"):
        await reader.start()


async def test_stopping_wakes_who_waits(reader):
    await reader.start()
    waiting = asyncio.create_task(reader.next_change(reader.snapshot()))
    await asyncio.sleep(0)

    await reader.stop()
    with pytest.raises(RuntimeError, match="stopped"):
        await _within(5, waiting)


async def test_the_reader_goes_on_when_the_broker_comes_back(make_broker, prefix):
    broker = make_broker()
    settings = Settings(kafka={"bootstrap": broker.bootstrap}, topics={"prefix": prefix, "partitions": 1})
    await apply(settings)
    await publish(settings, {ACME: b"1"})
    reader = RegisterReader(settings)
    await reader.start()
    before = reader.snapshot()
    try:
        broker.kill()
        await asyncio.sleep(3)
        assert reader.snapshot() is before  # the newest there is stays in force
        await asyncio.to_thread(broker.start)
        await publish(settings, {ACME: b"2"})

        after = await _within(30, reader.next_change(before))
        assert after.documents[ACME] == b"2"
    finally:
        await reader.stop()


async def test_a_register_that_was_deleted_and_made_again_ends_the_reader(settings, topics, admin, eventually):
    await publish(settings, {ACME: b"1", GLOBEX: b"1"})
    reader = RegisterReader(settings)
    await reader.start()
    contracts = topics.name(CONTRACTS)
    try:
        await admin.delete_topics([contracts])

        async def gone() -> bool:
            return contracts not in await admin.list_topics()

        await eventually(gone)
        await apply(settings)
        with pytest.raises(KafkaFault, match=r"sla\.contracts: went back from offset 2 to 0"):
            await _within(60, reader.join())
        with pytest.raises(KafkaFault):
            await reader.next_change(await read_register(settings))
    finally:
        await reader.stop()


async def test_only_documents_that_differ_are_published(settings, topics):
    first = await publish(settings, {ACME: b"1", GLOBEX: b"1", JAKARTA: b"hours"})
    assert first == Published(created=(JAKARTA, ACME, GLOBEX))

    second = await publish(settings, {ACME: b"2", GLOBEX: b"1"})
    assert second == Published(changed=(ACME,), unchanged=(GLOBEX,), kept=(JAKARTA,))

    third = await publish(settings, {ACME: b"2", GLOBEX: b"1", JAKARTA: b"hours"})
    assert third == Published(unchanged=(JAKARTA, ACME, GLOBEX))

    written = [(r.topic, r.key, r.value) async for r in read_to_end(settings.kafka, [topics.name(CONTRACTS)])]
    assert [(key, value) for _, key, value in written] == [
        (b"acme-support", b"1"),
        (b"globex-support", b"1"),
        (b"acme-support", b"2"),
    ]


async def test_a_dry_run_publishes_nothing(settings, topics):
    await publish(settings, {ACME: b"1"})

    planned = await publish(settings, {ACME: b"2", JAKARTA: b"hours"}, remove=[ACME], dry_run=True)
    assert planned == Published(created=(JAKARTA,), changed=(ACME,))
    assert dict((await read_register(settings)).documents) == {ACME: b"1"}


async def test_what_is_removed_is_deleted_and_what_is_not_there_is_passed_over(settings, topics):
    await publish(settings, {ACME: b"1", GLOBEX: b"1"})

    done = await publish(settings, {GLOBEX: b"1"}, remove=[ACME, GLOBEX, OUTAGE])
    assert done == Published(unchanged=(GLOBEX,), removed=(ACME,))
    assert dict((await read_register(settings)).documents) == {GLOBEX: b"1"}


async def test_a_calendar_is_on_the_register_before_the_contract_that_refers_to_it(settings, topics):
    await publish(settings, {ACME: b"uses jakarta-office", JAKARTA: b"hours"})

    written = {
        record.topic: record.timestamp
        async for record in read_to_end(settings.kafka, [topics.name(CONTRACTS), topics.name(CALENDARS)])
    }
    assert written[topics.name(CALENDARS)] <= written[topics.name(CONTRACTS)]


async def test_a_document_that_kafka_refuses_is_named(settings, topics):
    with pytest.raises(KafkaFault, match=r"sla\.contracts: acme-support could not be published: MessageSizeTooLarge"):
        await publish(settings, {ACME: b"x" * 2_000_000})
