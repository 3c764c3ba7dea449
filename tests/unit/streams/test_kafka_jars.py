import stat
import threading
from pathlib import Path

import pytest

from streams import kafka_jars
from streams.kafka_jars import KAFKA_VERSION, LocalKafkaError, obtain_jars, require_java, user_cache_dir


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH but for the system's own tools: only what a test puts there is installed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(
        kafka_jars.shutil, "which", lambda name: str(folder / name) if (folder / name).exists() else None
    )
    return folder


def _install(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text("#!/bin/bash\n" + script)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


# Stands in for Maven: does what `dependency:copy-dependencies -DoutputDirectory=...` would, and counts its runs.
MAVEN = f"""
for argument in "$@"; do case $argument in -DoutputDirectory=*) out=${{argument#*=}};; esac; done
echo run >> "$(dirname "$0")/runs"
sleep 0.2
for n in $(seq 1 30); do echo "Downloaded from somewhere: https://host.example/a/b-$n.jar (1 kB at 1 kB/s)"; done
touch "$out/kafka_2.13-{KAFKA_VERSION}.jar"
"""


def test_jars_are_fetched_once_and_then_taken_from_the_cache(programs: Path, tmp_path: Path):
    _install(programs, "mvn", MAVEN)
    said: list[str] = []

    folder = obtain_jars(tmp_path / "cache", said.append)
    assert obtain_jars(tmp_path / "cache", said.append) == folder

    assert folder == tmp_path / "cache" / f"kafka-{KAFKA_VERSION}"
    assert (folder / f"kafka_2.13-{KAFKA_VERSION}.jar").exists()
    assert (programs / "runs").read_text().count("run") == 1
    assert said[-1].endswith("30 files so far")
    assert "host.example" not in " ".join(said)


def test_two_at_once_fetch_once(programs: Path, tmp_path: Path):
    _install(programs, "mvn", MAVEN)
    said: list[str] = []
    threads = [threading.Thread(target=obtain_jars, args=(tmp_path / "cache", said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (programs / "runs").read_text().count("run") == 1
    assert any("waiting" in line for line in said)


def test_a_failed_fetch_leaves_nothing_and_shows_mavens_last_lines(programs: Path, tmp_path: Path):
    _install(programs, "mvn", "echo '[ERROR] no route to host'; exit 1")
    with pytest.raises(LocalKafkaError, match="no route to host"):
        obtain_jars(tmp_path / "cache", lambda _line: None)

    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [f"kafka-{KAFKA_VERSION}.lock"]


def test_jars_of_an_older_list_of_dependencies_are_fetched_anew(programs: Path, tmp_path: Path):
    _install(programs, "mvn", MAVEN)
    folder = obtain_jars(tmp_path / "cache", lambda _line: None)
    (folder / "pom.xml").write_text("<project/>")
    (folder / "left-over.jar").touch()

    obtain_jars(tmp_path / "cache", lambda _line: None)

    assert not (folder / "left-over.jar").exists()


def test_a_missing_maven_is_named_with_what_to_install(programs: Path, tmp_path: Path):
    with pytest.raises(LocalKafkaError, match=r"Maven is missing.*apt-get install openjdk-17-jre-headless maven"):
        obtain_jars(tmp_path, lambda _line: None)


def test_a_missing_java_is_named_with_what_to_install(programs: Path):
    with pytest.raises(LocalKafkaError, match=r"Java is missing.*apt-get install"):
        require_java()


@pytest.mark.parametrize("line", ['openjdk version "17.0.15" 2025-04-15', 'openjdk version "25" 2025-09-16'])
def test_java_17_and_newer_will_do(programs: Path, line: str):
    _install(programs, "java", f"echo '{line}' >&2")
    assert require_java() == str(programs / "java")


@pytest.mark.parametrize("line", ['openjdk version "11.0.2" 2019', 'java version "1.8.0_201"'])
def test_an_older_java_is_refused_with_both_versions(programs: Path, line: str):
    _install(programs, "java", f"echo '{line}' >&2")
    with pytest.raises(LocalKafkaError, match=r"is Java (11|8); Kafka needs 17"):
        require_java()


def test_a_java_that_is_only_a_stub_is_refused(programs: Path):
    _install(programs, "java", "echo 'no Java runtime is installed' >&2; exit 1")
    with pytest.raises(LocalKafkaError, match="does not tell its version: no Java runtime is installed"):
        require_java()


def test_the_cache_follows_the_xdg_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert user_cache_dir({"XDG_CACHE_HOME": "/var/cache/me"}) == Path("/var/cache/me/slawatch")
    assert user_cache_dir({}) == tmp_path / ".cache/slawatch"
    assert user_cache_dir({"XDG_CACHE_HOME": "not/absolute"}) == tmp_path / ".cache/slawatch"
