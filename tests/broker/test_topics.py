"""A cluster's topics are brought in line with the catalogue, and differences are told, on a real Kafka."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner

from cli.main import app
from config.settings import Settings, load_settings
from streams.broker import Broker
from streams.codecs import partition_of
from streams.connection import BrokerUnreachable, KafkaFault, TopicMissing, consumer_client, read_to_end
from streams.topic_admin import (
    IncrementalAlterConfigsRequest,
    TopicsDiffer,
    apply,
    differences,
    require_no_differences,
)
from streams.topics import TICKETS, TICKETS_STATE, Topics

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(kafka: Broker, prefix: str) -> Settings:
    return Settings(kafka={"bootstrap": kafka.bootstrap}, topics={"prefix": prefix, "partitions": 2})


def _with(settings: Settings, section: str, **changes) -> Settings:
    values = settings.model_dump()
    return Settings(**{**values, section: {**values[section], **changes}})


async def _config(admin: AIOKafkaAdminClient, topic: str, name: str) -> str:
    (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    return {entry[0]: entry[1] for entry in response.resources[0][4]}[name]


async def test_apply_creates_every_topic_as_the_catalogue_has_it(settings, admin):
    topics = Topics(settings)
    assert await differences(settings) == [f"{topic.name}: is missing" for topic in topics.all]
    with pytest.raises(TopicsDiffer, match="slawatch topics apply"):
        await require_no_differences(settings)

    applied = await apply(settings)

    assert set(applied.created) == {topic.name for topic in topics.all}
    assert await differences(settings) == []
    await require_no_differences(settings)
    described = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    assert described[topics.name(TICKETS)] == 2
    assert await _config(admin, topics.name(TICKETS), "message.timestamp.type") == "LogAppendTime"
    assert await _config(admin, topics.name(TICKETS_STATE), "max.message.bytes") == "16777216"


async def test_apply_a_second_time_changes_nothing(settings):
    await apply(settings)

    applied = await apply(settings)
    assert (applied.created, dict(applied.changed)) == ((), {})


async def test_looking_for_differences_creates_nothing(make_broker, prefix):
    broker = make_broker(properties={"auto.create.topics.enable": "true"})
    settings = Settings(kafka={"bootstrap": broker.bootstrap}, topics={"prefix": prefix})

    before = await differences(settings)
    with pytest.raises(TopicMissing, match=f"{prefix}sla.tickets.*slawatch topics apply"):
        [record async for record in read_to_end(settings.kafka, [f"{prefix}sla.tickets"])]
    assert await differences(settings) == before
    assert len(before) == len(Topics(settings).all)


async def test_apply_sets_what_differs_and_leaves_an_operators_own_settings_alone(settings, admin, eventually):
    await apply(settings)
    tickets = Topics(settings).name(TICKETS)
    response = await admin._send_request(
        IncrementalAlterConfigsRequest(
            [(ConfigResourceType.TOPIC, tickets, [("retention.ms", 0, "1000"), ("retention.bytes", 0, "123456789")])]
        )
    )
    assert response.resources[0][0] == 0

    async def seen() -> bool:
        return await differences(settings) == [f"{tickets}: retention.ms is 1000, wanted 604800000"]

    await eventually(seen)

    applied = await apply(settings)
    assert applied.changed == {tickets: {"retention.ms": "604800000"}}
    assert await differences(settings) == []
    assert await _config(admin, tickets, "retention.bytes") == "123456789"


async def test_a_changed_setting_is_a_difference_until_it_is_applied(settings):
    await apply(settings)
    longer = _with(settings, "topics", verdicts_retention_days=500)

    lines = await differences(longer)
    prefix = settings.topics.prefix
    assert lines == [
        f"{prefix}sla.verdicts: retention.ms is 34560000000, wanted 43200000000",
        f"{prefix}sla.dead-letters: retention.ms is 34560000000, wanted 43200000000",
    ]
    await apply(longer)
    assert await differences(longer) == []


async def test_a_change_of_partition_counts_is_refused_and_nothing_is_changed(settings, admin):
    await apply(settings)
    other = Settings(
        kafka=settings.kafka.model_dump(),
        topics={"prefix": settings.topics.prefix, "partitions": 3, "events_retention_days": 1},
    )

    with pytest.raises(TopicsDiffer) as refusal:
        await apply(other)

    assert f"{settings.topics.prefix}sla.tickets: has 2 partitions, the settings want 3" in str(refusal.value)
    assert "SLAWATCH_TOPICS__PARTITIONS=2" in str(refusal.value)
    assert len(refusal.value.lines) == sum(topic.partitions == 2 for topic in Topics(settings).all)
    assert await differences(settings) == []
    assert await _config(admin, Topics(settings).name(TICKETS), "retention.ms") == "604800000"


async def test_a_register_topic_made_by_hand_with_more_partitions_is_refused(settings, admin, eventually):
    contracts = f"{settings.topics.prefix}sla.contracts"
    await admin.create_topics([NewTopic(contracts, 4, 1)])

    async def visible() -> bool:
        return contracts in await admin.list_topics()

    await eventually(visible)

    with pytest.raises(TopicsDiffer, match=r"sla\.contracts: has 4 partitions, the settings want 1.*delete it"):
        await apply(settings)
    assert f"{settings.topics.prefix}sla.tickets: is missing" in await differences(settings)


async def test_too_few_replicas_are_refused_with_the_way_out(settings):
    await apply(settings)

    with pytest.raises(TopicsDiffer, match=r"has 1 replicas, SLAWATCH_KAFKA__REPLICATION_FACTOR=3.*reassign"):
        await apply(_with(settings, "kafka", replication_factor=3))


async def test_more_replicas_than_brokers_are_refused_by_the_broker_in_its_words(settings):
    with pytest.raises(KafkaFault, match=r"sla\.tickets: can't be created: InvalidReplicationFactorError"):
        await apply(_with(settings, "kafka", replication_factor=3))


async def test_the_producers_partition_is_the_one_we_expect(settings):
    await apply(settings)
    topic = Topics(settings).name(TICKETS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        for number in range(50):
            key = f"INC-{number}".encode()
            assert (await producer.send_and_wait(topic, b"{}", key=key)).partition == partition_of(key, 2)
    finally:
        await producer.stop()


async def test_a_bounded_read_ends_at_the_end_behind_transaction_markers_and_without_aborted_records(settings):
    await apply(settings)
    topic = Topics(settings).name(TICKETS)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka.bootstrap, transactional_id=f"{settings.topics.prefix}upstream"
    )
    await producer.start()
    try:
        async with producer.transaction():
            for number in range(5):
                await producer.send(topic, b"committed %d" % number, partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted", partition=0)
        await producer.send_and_wait(topic, b"aborted", partition=1)
        await producer.abort_transaction()
    finally:
        await producer.stop()

    read = [record.value async for record in read_to_end(settings.kafka, [topic])]
    assert read == [b"committed %d" % number for number in range(5)]


async def test_a_consumer_is_closed_at_any_moment(settings):
    async with consumer_client(settings.kafka):
        pass
    async with consumer_client(settings.kafka) as consumer:
        await asyncio.sleep(0)
    assert consumer._closed


async def test_a_bounded_read_begins_at_an_instant(settings):
    await apply(settings)
    topic = Topics(settings).name(TICKETS)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        sent = [await producer.send_and_wait(topic, b"%d" % number, partition=number % 2) for number in range(6)]
    finally:
        await producer.stop()

    since = [record.value async for record in read_to_end(settings.kafka, [topic], since_ms=sent[4].timestamp)]
    assert {b"4", b"5"} <= set(since)
    later = [record.value async for record in read_to_end(settings.kafka, [topic], since_ms=sent[5].timestamp + 1)]
    assert later == []
    assert len([record async for record in read_to_end(settings.kafka, [topic])]) == 6


async def test_a_bounded_read_of_a_broker_that_stops_answering_ends_with_a_clear_error(make_broker, prefix):
    broker = make_broker()
    settings = Settings(
        kafka={"bootstrap": broker.bootstrap, "request_timeout_seconds": 3}, topics={"prefix": prefix, "partitions": 1}
    )
    await apply(settings)
    topic = Topics(settings).name(TICKETS)
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, max_batch_size=1_000_000)
    await producer.start()
    for _ in range(40):
        await producer.send_and_wait(topic, b"x" * 500_000)
    await producer.stop()

    async def read() -> None:
        async for _ in read_to_end(settings.kafka, [topic]):
            broker.kill()

    with pytest.raises(BrokerUnreachable, match="sent nothing"):
        await read()


async def test_a_worker_without_a_broker_is_told_host_and_setting():
    settings = Settings(kafka={"bootstrap": "127.0.0.1:1"})

    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1.*SLAWATCH_KAFKA__BOOTSTRAP"):
        await differences(settings)


def test_the_command_line_applies_checks_and_lists(kafka, prefix, monkeypatch):
    for name, value in {
        "KAFKA__BOOTSTRAP": kafka.bootstrap,
        "TOPICS__PREFIX": prefix,
        "TOPICS__PARTITIONS": "2",
    }.items():
        monkeypatch.setenv(f"SLAWATCH_{name}", value)
    runner = CliRunner()

    missing = runner.invoke(app, ["topics", "check"])
    assert missing.exit_code == 1
    assert missing.output.splitlines()[0] == f"{prefix}sla.tickets: is missing"
    applied = runner.invoke(app, ["topics", "apply"])
    assert applied.exit_code == 0
    count = len(Topics(load_settings()).all)
    assert f"{count} created, 0 changed, 0 unchanged" in applied.output
    assert runner.invoke(app, ["topics", "check"]).exit_code == 0

    monkeypatch.setenv("SLAWATCH_TOPICS__EVENTS_RETENTION_DAYS", "1")
    differing = runner.invoke(app, ["topics", "check"])
    assert differing.exit_code == 1
    assert [line.split(":")[0] for line in differing.output.splitlines()] == [
        f"{prefix}sla.tickets",
        f"{prefix}sla.uptime",
        f"{prefix}sla.rollups",
    ]
    assert f"{prefix}sla.tickets" in runner.invoke(app, ["topics", "list"]).output
    assert f"--transactional-id {prefix}slawatch-" in runner.invoke(app, ["topics", "acls"]).output
