"""Which Kafka is taken, decided without starting one."""

from contextlib import contextmanager
from pathlib import Path

import pytest

from streams import broker as module
from streams.broker import obtain_broker
from streams.docker_broker import DockerBroker
from streams.kafka_jars import LocalKafkaError
from streams.local_broker import BrokerOptions, LocalBroker, ScramUser, scram_credential

USER = ScramUser("alice", "secret")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take note of what would be started instead of starting it."""
    kinds: list[str] = []

    def fake(kind: str):
        @contextmanager
        def broker(*_args, **_kwargs):
            kinds.append(kind)
            yield None

        return broker

    monkeypatch.setattr(module, "DockerBroker", fake("docker"))
    monkeypatch.setattr(module, "LocalBroker", fake("java"))
    monkeypatch.setattr(module, "obtain_jars", lambda _cache, _say: Path())
    monkeypatch.setattr(module, "require_java", lambda: "java")
    return kinds


@pytest.mark.parametrize(
    ("engine_answers", "options", "allow_docker", "taken"),
    [
        (True, BrokerOptions(), True, "docker"),
        (False, BrokerOptions(), True, "java"),
        (True, BrokerOptions(), False, "java"),
        (True, BrokerOptions(data=Path("kept")), True, "java"),
        (True, BrokerOptions(scram_user=USER), True, "java"),
    ],
    ids=["engine", "no engine", "engine not wanted", "kept data", "SASL user"],
)
def test_a_container_is_taken_where_it_can_serve(started, monkeypatch, *, engine_answers, options, allow_docker, taken):
    monkeypatch.setattr(module, "docker_engine_answers", lambda: engine_answers)
    with obtain_broker(options, cache_dir=Path(), allow_docker=allow_docker):
        pass
    assert started == [taken]


def test_a_kafka_that_is_named_is_used_and_nothing_is_started(started, monkeypatch):
    async def yes(*_args, **_kwargs):
        return True

    monkeypatch.setattr(module, "answers", yes)
    with obtain_broker(cache_dir=Path(), bootstrap="kafka.example:9092") as broker:
        assert (broker.bootstrap, broker.how) == ("kafka.example:9092", "external")
    assert started == []


def test_a_kafka_that_is_named_but_does_not_answer_is_an_error_and_nothing_else_is_started(started, monkeypatch):
    async def no(*_args, **_kwargs):
        return False

    monkeypatch.setattr(module, "answers", no)
    with (
        pytest.raises(LocalKafkaError, match=r"kafka\.example:9092 \(SLAWATCH_KAFKA__BOOTSTRAP\) does not answer"),
        obtain_broker(cache_dir=Path(), bootstrap="kafka.example:9092"),
    ):
        pass
    assert started == []


def test_the_container_is_published_on_loopback_under_the_port_it_advertises():
    broker = DockerBroker(BrokerOptions(port=19092, cpus="0", properties={"log.retention.ms": "5"}))
    command = broker.command()

    assert command[:3] == ["docker", "run", "--rm"]
    assert command[command.index("--publish") + 1] == "127.0.0.1:19092:19092"
    assert command[command.index("--cpuset-cpus") + 1] == "0"
    assert "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:19092" in command
    assert "KAFKA_LOG_RETENTION_MS=5" in command
    assert "KAFKA_AUTO_CREATE_TOPICS_ENABLE=false" in command


def test_given_properties_win_and_only_clients_listeners_are_advertised():
    broker = LocalBroker(Path("jars"), BrokerOptions(scram_user=USER, properties={"num.io.threads": "7"}))
    properties = broker.properties()
    broker.close()

    assert properties["num.io.threads"] == "7"
    assert properties["auto.create.topics.enable"] == "false"
    assert (
        properties["advertised.listeners"] == f"PLAINTEXT://{broker.bootstrap},SASL_PLAINTEXT://{broker.sasl_bootstrap}"
    )


def test_a_broker_without_a_user_has_no_sasl_listener():
    broker = LocalBroker(Path("jars"))
    broker.close()
    with pytest.raises(LookupError, match="scram_user"):
        _ = broker.sasl_bootstrap


def test_the_password_is_neither_in_the_credential_nor_in_the_options_text():
    assert "secret" not in scram_credential(USER, salt=b"salt")
    assert "secret" not in repr(BrokerOptions(scram_user=USER))


def test_the_credential_is_the_one_of_rfc_5802():
    """The salted password is what ``openssl kdf ... PBKDF2`` makes of these after 8,192 rounds of SHA-512."""
    salted = "UhbOkZvFcE+6BdZrsy/mXS7WLLViku2FntVN/c/AYTbPbDoxDoJDah5KvpEV/NMHCUbKUnSmr5SAYLkvwiz1ew=="

    assert (
        scram_credential(ScramUser("alice", "password"), salt=b"salt")
        == f'SCRAM-SHA-512=[name="alice",iterations=8192,salt="c2FsdA==",saltedpassword="{salted}"]'
    )
