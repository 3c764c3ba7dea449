"""The Kafka for local use keeps what a real one promises: records, ports and users survive what a test does to it."""

import asyncio
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError

from streams.broker import Broker
from streams.kafka_jars import LocalKafkaError
from streams.local_broker import LocalBroker, ScramUser, answers
from streams.loopback_ports import is_listening

pytestmark = pytest.mark.broker


async def _create(broker: LocalBroker, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def _send(bootstrap: str, topic: str, values: list[bytes], **client) -> list[int]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", **client)
    await producer.start()
    try:
        return [(await producer.send_and_wait(topic, value)).offset for value in values]
    finally:
        await producer.stop()


async def _read(bootstrap: str, topic: str, count: int, **client) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", **client)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_what_is_produced_is_consumed_in_order(kafka: Broker, make_topic):
    topic = await make_topic()
    values = [f"record {n}".encode() for n in range(20)]

    assert await _send(kafka.bootstrap, topic, values) == list(range(20))
    assert await _read(kafka.bootstrap, topic, 20) == values


async def test_a_topic_with_a_mistyped_name_is_not_created_on_the_way(kafka: Broker, prefix: str, admin):
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, request_timeout_ms=1500)
    await producer.start()
    with pytest.raises(KafkaError):
        await producer.send_and_wait(prefix + "no-such-topic", b"lost?")
    await producer.stop()

    assert prefix + "no-such-topic" not in await admin.list_topics()


async def test_records_and_address_survive_stop_kill_and_pause(make_broker):
    broker = make_broker()
    address = broker.bootstrap
    await _create(broker, "kept")
    await _send(address, "kept", [b"before the stop"])

    await asyncio.to_thread(broker.stop)
    assert not is_listening(broker.port)
    await asyncio.to_thread(broker.start)
    assert broker.bootstrap == address
    # Acknowledged, and the process is gone the next instant: the record is in the operating system's cache.
    await _send(address, "kept", [b"before kill -9"])
    broker.kill()
    assert not broker.is_running
    await asyncio.to_thread(broker.start)
    assert await _read(address, "kept", 2) == [b"before the stop", b"before kill -9"]

    broker.pause()
    assert broker.is_running
    assert not await answers(address, timeout_seconds=1)
    broker.resume()
    assert await answers(address, timeout_seconds=10)
    assert await _read(address, "kept", 2) == [b"before the stop", b"before kill -9"]


async def test_a_kept_data_folder_serves_the_next_broker_and_a_temporary_one_is_deleted(make_broker, tmp_path: Path):
    first = make_broker(data=tmp_path / "kept")
    await _create(first, "kept")
    await _send(first.bootstrap, "kept", [b"over the end of its broker"])
    await asyncio.to_thread(first.close)

    second = make_broker(data=tmp_path / "kept")
    assert await _read(second.bootstrap, "kept", 1) == [b"over the end of its broker"]

    temporary = make_broker(start=False)
    assert temporary.folder.is_dir()
    temporary.close()
    assert not temporary.folder.exists()


async def test_the_sasl_user_gets_in_and_a_wrong_password_is_refused(make_broker, caplog):
    caplog.set_level("INFO", logger="aiokafka")  # a command run before in this process may have silenced it
    broker = make_broker(scram_user=ScramUser("alice", 'long, "odd" pass=word'))
    await _create(broker, "secured")
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "alice",
        "sasl_plain_password": 'long, "odd" pass=word',
    }

    await _send(broker.sasl_bootstrap, "secured", [b"let in"], **login)
    assert await _read(broker.sasl_bootstrap, "secured", 1, **login) == [b"let in"]

    producer = AIOKafkaProducer(bootstrap_servers=broker.sasl_bootstrap, **{**login, "sasl_plain_password": "wrong"})
    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()
    # aiokafka raises only "unable to bootstrap"; the reason is in its log.
    assert "invalid credentials" in caplog.text
    assert "wrong" not in caplog.text


def test_a_broker_property_that_is_wrong_fails_with_the_reason(make_broker):
    with pytest.raises(LocalKafkaError, match=r"num\.partitions"):
        make_broker(properties={"num.partitions": "many"})


def test_the_broker_goes_when_its_owner_is_killed(kafka_jars: Path):
    owner_program = textwrap.dedent(
        """
        import sys, threading, time
        from pathlib import Path
        from streams.local_broker import LocalBroker

        broker = LocalBroker(Path(sys.argv[1]))
        # From a thread that ends at once: the broker's life hangs on the process, not on the thread.
        starter = threading.Thread(target=broker.start)
        starter.start()
        starter.join()
        print(broker.pid, broker.folder, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", owner_program, str(kafka_jars)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        assert _runs(int(pid))
        owner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _runs(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _runs(int(pid))

    # Nobody could delete its data; the next broker does.
    assert Path(folder).is_dir()
    LocalBroker(kafka_jars).close()
    assert not Path(folder).exists()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # nobody may be there to collect a dead process in a container
