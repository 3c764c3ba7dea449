"""A Kafka with SASL/SCRAM-SHA-512: the right password works everywhere, a wrong one is told without a stack trace."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app, main
from config.settings import Settings
from streams.connection import BrokerUnreachable, CredentialsRefused, faust_credentials, producer_client, read_to_end
from streams.local_broker import BrokerOptions, LocalBroker, ScramUser
from streams.register_topics import DocumentKind, RegisterReader, publish
from streams.topic_admin import apply, differences
from streams.topics import TICKETS, Topics

pytestmark = pytest.mark.broker

USER = ScramUser("slawatch", "correct horse battery staple")


def _settings(bootstrap: str, prefix: str, **kafka) -> Settings:
    return Settings(
        kafka={
            "bootstrap": bootstrap,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_username": USER.name,
            "sasl_password": USER.password,
            **kafka,
        },
        topics={"prefix": prefix, "partitions": 1},
    )


@pytest.fixture(scope="module")
def broker(kafka_jars: Path) -> Iterator[LocalBroker]:
    with LocalBroker(kafka_jars, BrokerOptions(scram_user=USER, heap="512m")) as broker:
        yield broker


async def test_with_the_right_password_topics_are_applied_and_records_sent_and_read(broker, prefix, tmp_path):
    settings = _settings(broker.sasl_bootstrap, prefix)
    await apply(settings)
    assert await differences(settings) == []
    topic = Topics(settings).name(TICKETS)
    async with producer_client(settings.kafka) as producer:
        await producer.send_and_wait(topic, b"{}", key=b"INC-1")
    assert [record.key async for record in read_to_end(settings.kafka, [topic])] == [b"INC-1"]

    # The same password from a file, as orchestrators mount it.
    file = tmp_path / "password"
    file.write_text(f"{USER.password}\n")
    from_file = _settings(broker.sasl_bootstrap, prefix, sasl_password=None, sasl_password_file=file)
    await publish(from_file, {(DocumentKind.CONTRACT, "acme"): b"1"})
    reader = RegisterReader(from_file)
    await reader.start()
    assert len(reader.snapshot().documents) == 1
    await reader.stop()


async def test_refusals_and_mistaken_ports_are_told_with_the_setting_and_without_the_password(broker, prefix):
    refused = [
        (_settings(broker.sasl_bootstrap, prefix, sasl_password="wrong"), "SLAWATCH_KAFKA__SASL_USERNAME"),
        (_settings(broker.sasl_bootstrap, prefix, sasl_username="stranger"), "refuses user 'stranger'"),
        (
            _settings(broker.sasl_bootstrap, prefix, sasl_mechanism="SCRAM-SHA-256"),
            "the mechanism is not enabled there",
        ),
        (_settings(broker.bootstrap, prefix), "no SASL on that port"),
    ]
    for settings, message in refused:
        with pytest.raises(CredentialsRefused) as refusal:
            await differences(settings)
        assert message in str(refusal.value)
        assert "wrong" not in str(refusal.value)
        assert USER.password not in str(refusal.value)

    plaintext = Settings(kafka={"bootstrap": broker.sasl_bootstrap})
    with pytest.raises(BrokerUnreachable, match="is SLAWATCH_KAFKA__SECURITY_PROTOCOL=PLAINTEXT right"):
        await differences(plaintext)
    tls = Settings(kafka={"bootstrap": broker.bootstrap, "security_protocol": "SSL"})
    with pytest.raises(BrokerUnreachable, match="is SLAWATCH_KAFKA__SECURITY_PROTOCOL=SSL right"):
        await differences(tls)


async def test_a_faust_app_connects_with_the_same_settings(broker, prefix):
    from aiokafka import AIOKafkaProducer
    from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

    settings = _settings(broker.sasl_bootstrap, prefix)
    await apply(settings)
    producer = AIOKafkaProducer(
        bootstrap_servers=broker.sasl_bootstrap,
        **credentials_to_aiokafka_auth(faust_credentials(settings.kafka)),
    )
    await producer.start()
    try:
        await producer.send_and_wait(Topics(settings).name(TICKETS), b"{}")
    finally:
        await producer.stop()


async def test_the_command_line_ends_with_one_line_and_code_1(broker, prefix, monkeypatch, capsys):
    for name, value in {
        "BOOTSTRAP": broker.sasl_bootstrap,
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_USERNAME": USER.name,
        "SASL_PASSWORD": USER.password,
    }.items():
        monkeypatch.setenv(f"SLAWATCH_KAFKA__{name}", value)
    monkeypatch.setenv("SLAWATCH_TOPICS__PREFIX", prefix)
    assert (await asyncio.to_thread(CliRunner().invoke, app, ["topics", "apply"])).exit_code == 0

    monkeypatch.setenv("SLAWATCH_KAFKA__SASL_PASSWORD", "wrong")
    monkeypatch.setattr("sys.argv", ["slawatch", "topics", "check"])
    with pytest.raises(SystemExit) as end:
        await asyncio.to_thread(main)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "refuses user 'slawatch' (SCRAM-SHA-512)" in line
