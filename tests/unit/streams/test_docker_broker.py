"""What is said to Docker, with a stand-in for its client: the real image is for machines that have an engine."""

import os
from pathlib import Path

import pytest

from streams.docker_broker import IMAGE, DockerBroker, docker_engine_answers, environment_name
from streams.kafka_jars import LocalKafkaError
from streams.local_broker import BrokerOptions, ScramUser


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a `docker` that notes how it is called and does what the given lines of shell say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def install(script: str) -> Path:
        calls = tmp_path / "calls"
        program = folder / "docker"
        program.write_text(f'#!/bin/bash\necho "$*" >> {calls}\n{script}\n')
        program.chmod(0o755)
        return calls

    return install


@pytest.mark.parametrize(
    ("script", "answers"),
    [("echo 28.2.2", True), ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", False), ("echo ''", False)],
    ids=["engine", "client only", "client that hides the error"],
)
def test_only_an_engine_counts_not_a_client(docker, script: str, answers: bool):
    docker(script)
    assert docker_engine_answers() is answers


def test_an_engine_that_hangs_is_not_waited_for(docker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streams.docker_broker._ENGINE_TIMEOUT_SECONDS", 0.2)
    docker("exec sleep 5")
    assert not docker_engine_answers()


def test_an_image_that_is_missing_is_pulled_and_a_container_that_ends_is_told_and_removed(docker):
    calls = docker('case $1 in image) exit 1;; run) echo "no space left"; exit 1;; esac')
    said: list[str] = []
    with pytest.raises(LocalKafkaError, match=rf"{IMAGE} ended.*\n.*no space left"), DockerBroker(say=said.append):
        pass

    verbs = [line.split()[0] for line in calls.read_text().splitlines()]
    assert verbs == ["image", "pull", "run", "rm"]
    assert said == [f"pulling {IMAGE} (about 200 MB, once)", f"starting {IMAGE} in Docker"]


def test_an_image_that_is_there_is_not_pulled(docker):
    calls = docker("case $1 in run) exit 1;; esac")
    with pytest.raises(LocalKafkaError), DockerBroker():
        pass

    assert "pull" not in calls.read_text()


def test_an_image_that_cannot_be_pulled_says_what_docker_says(docker):
    docker('case $1 in image) exit 1;; pull) echo "toomanyrequests" >&2; exit 1;; esac')
    with pytest.raises(LocalKafkaError, match=r"could not pull .*: toomanyrequests"), DockerBroker():
        pass


@pytest.mark.parametrize("options", [BrokerOptions(data=Path("kept")), BrokerOptions(scram_user=ScramUser("a", "b"))])
def test_what_the_image_does_not_serve_is_refused(options: BrokerOptions):
    with pytest.raises(ValueError, match="from jars"):
        DockerBroker(options)


def test_properties_become_the_variables_of_the_image():
    assert environment_name("log.retention.ms") == "KAFKA_LOG_RETENTION_MS"
    assert environment_name("a-b_c") == "KAFKA_A___B__C"
