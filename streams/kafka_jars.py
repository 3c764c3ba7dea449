"""Apache Kafka as a folder of jars, fetched once by Maven and kept in the user's cache."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.4.0"
"""Also the tag of the Docker image. 4.4.0 starts on Java 17 without a warning and gives aiokafka 0.14 no trouble."""
LOG4J_VERSION = "2.25.5"
"""The one Kafka 4.4.0 brings, without a binding from SLF4J 1.7: without ``log4j-slf4j-impl`` it logs nothing."""
OLDEST_JAVA = 17
_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
_FETCH_TIMEOUT_SECONDS = 900.0
_INSTALL_HINT = "apt-get install openjdk-17-jre-headless maven"

Say = Callable[[str], None]
"""Takes one line about what is being done, for a person who waits."""

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>slawatch</groupId>
  <artifactId>local-kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version>
    </dependency>
  </dependencies>
</project>
"""


class LocalKafkaError(Exception):
    """Kafka for local use can't be had; the message says why and what to do."""


def user_cache_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder for this program's caches: ``$XDG_CACHE_HOME/slawatch``, else ``~/.cache/slawatch``."""
    base = environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "slawatch"


def require_java() -> str:
    """Return the path of a Java that can run Kafka.

    Raises
    ------
    LocalKafkaError
        There is none, or an older one than Kafka needs.
    """
    java = shutil.which("java")
    if java is None:
        raise LocalKafkaError(f"Java is missing; Kafka needs Java {OLDEST_JAVA} or newer: {_INSTALL_HINT}")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    if found is None:
        raise LocalKafkaError(f"{java} does not tell its version: {answer.stderr.strip() or 'it prints nothing'}")
    if int(found[1]) < OLDEST_JAVA:
        raise LocalKafkaError(f"{java} is Java {found[1]}; Kafka needs {OLDEST_JAVA} or newer: {_INSTALL_HINT}")
    return java


def obtain_jars(cache_dir: Path, say: Say) -> Path:
    """Return the folder of Kafka's jars; fetch them by Maven where the cache has none.

    Parameters
    ----------
    cache_dir
        See `user_cache_dir`. The jars are in ``kafka-<version>`` in it.
    say
        Called with what is being done.

    Notes
    -----
    A folder in the cache is always whole: jars are fetched beside it and the folder is renamed. Two processes at once:
    one fetches, the other waits. Jars of another list of dependencies than today's are fetched anew.

    Raises
    ------
    LocalKafkaError
        Maven is missing or failed.
    """
    folder = cache_dir / f"kafka-{KAFKA_VERSION}"
    if _is_current(folder):
        return folder
    cache_dir.mkdir(parents=True, exist_ok=True)
    with _locked(cache_dir / f"{folder.name}.lock", say):
        if not _is_current(folder):  # another process may have fetched them while we waited
            _fetch(folder, say)
    return folder


def _is_current(folder: Path) -> bool:
    pom = folder / "pom.xml"
    return pom.is_file() and pom.read_text(encoding="utf-8") == _POM


@contextmanager
def _locked(lock_file: Path, say: Say) -> Iterator[None]:
    with lock_file.open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process fetches Kafka: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path, say: Say) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalKafkaError(
            f"Maven is missing; it fetches Kafka {KAFKA_VERSION} (about 45 MB, once): {_INSTALL_HINT}"
        )
    say(f"fetching Kafka {KAFKA_VERSION} (about 45 MB, once)")
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        fresh = Path(temporary) / folder.name
        fresh.mkdir()
        pom = fresh / "pom.xml"
        pom.write_text(_POM, encoding="utf-8")
        _run_maven(
            [
                maven,
                "--batch-mode",
                "--strict-checksums",
                f"--file={pom}",
                f"{_DEPENDENCY_PLUGIN}:copy-dependencies",
                f"-DoutputDirectory={fresh}",
                "-DincludeScope=runtime",
            ],
            say,
        )
        if not (fresh / f"kafka_2.13-{KAFKA_VERSION}.jar").is_file():
            raise LocalKafkaError("Maven ended without a fault, but Kafka's jar is not there")
        if folder.exists():
            folder.rename(Path(temporary) / "outdated")
        fresh.rename(folder)


def _run_maven(command: list[str], say: Say) -> None:
    tail: deque[str] = deque(maxlen=15)
    fetched = 0
    overdue = threading.Event()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as maven:
        assert maven.stdout is not None

        def give_up() -> None:  # Maven itself waits half an hour for a silent server
            overdue.set()
            maven.kill()

        alarm = threading.Timer(_FETCH_TIMEOUT_SECONDS, give_up)
        alarm.start()
        try:
            for line in maven.stdout:
                tail.append(line.rstrip())
                if "Downloaded from" in line and ".jar" in line:
                    fetched += 1
                    if fetched % 10 == 0:
                        say(f"fetching Kafka {KAFKA_VERSION} (about 45 MB, once): {fetched} files so far")
        finally:
            alarm.cancel()
    if overdue.is_set():
        raise LocalKafkaError(f"Maven has not fetched Kafka {KAFKA_VERSION} in {_FETCH_TIMEOUT_SECONDS:.0f} s")
    if maven.returncode != 0:
        raise LocalKafkaError("\n".join([f"Maven could not fetch Kafka {KAFKA_VERSION}; its last lines:", *tail]))
