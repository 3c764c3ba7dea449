"""Prometheus and Alertmanager on this machine, for the demo and the tests: found, started on free ports, stopped.

The binaries are those of the distribution's packages (Debian: ``prometheus`` and ``prometheus-alertmanager``) or the
upstream ones on the PATH. All they write goes into the folder they are given, all they listen on is loopback. They end
with the process that started them, however it ends.
"""

from __future__ import annotations

import contextlib
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.child_process import ChildProcess
from streams.loopback_ports import HOST, PortReservation, reserve_port

_TAIL_LINES = 15


class LocalServerError(RuntimeError):
    """A server is missing or did not start; the message says what to do or shows the end of its log."""


def find_prometheus() -> Path | None:
    """Return the Prometheus binary, None if there is none."""
    return _find("prometheus")


def find_alertmanager() -> Path | None:
    """Return the Alertmanager binary under Debian's or its upstream name, None if there is none."""
    return _find("prometheus-alertmanager", "alertmanager")


def find_promtool() -> Path | None:
    """Return ``promtool``, None if there is none."""
    return _find("promtool")


def find_amtool() -> Path | None:
    """Return ``amtool``, None if there is none."""
    return _find("amtool")


def _find(*names: str) -> Path | None:
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


@dataclass
class LocalServer:
    """One server process; it can be stopped and started again on the same port with the same data.

    Attributes
    ----------
    name : str
        For messages.
    command : callable
        Port to command line.
    folder : Path
        Holds data and ``<name>.log``.
    port : int
        0 until the first start takes a free one.
    ready_seconds : float
        Longest wait for ``/-/ready``.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    folder: Path
    port: int = 0
    ready_seconds: float = 30.0
    _process: ChildProcess | None = field(default=None, init=False, repr=False)
    _reservation: PortReservation | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        """What the server printed, over all its starts."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Id of the process; None while it is not running."""
        return self._process.pid if self._process is not None and self._process.is_running else None

    def start(self) -> None:
        """Start and wait until it is ready.

        Raises
        ------
        LocalServerError
            If it ends or is not ready in time.
        """
        if self.pid is not None:
            raise LocalServerError(f"{self.name} is running already on {self.url}")
        if self.port == 0:
            # Ours until we are closed: the server may be stopped and started again on it.
            self._reservation = reserve_port()
            self.port = self._reservation.port
        self._process = ChildProcess(self.command(self.port), log_file=self.log_file)
        self._process.start()
        if not self._is_ready(self._process):
            self.kill()
            self._release()
            raise LocalServerError(f"{self.name} did not start on port {self.port}:\n{self.log_tail()}")

    def _is_ready(self, process: ChildProcess) -> bool:
        deadline = time.monotonic() + self.ready_seconds
        while process.is_running and time.monotonic() < deadline:
            if _answers(f"{self.url}/-/ready"):
                # Whoever answers must be ours: a process that lost its port to another ends a moment later.
                return process.is_running
            time.sleep(0.05)
        return False

    def stop(self, *, timeout_seconds: float = 10.0) -> None:
        """Stop in order (SIGTERM), by force when that takes too long."""
        if self._process is not None:
            self._process.stop(timeout_seconds)

    def kill(self) -> None:
        """End at once (SIGKILL), as a power cut would."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """Stop, and give back the port."""
        self.stop()
        self._release()

    def _release(self) -> None:
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None

    def log_tail(self) -> str:
        """Return the last lines of the log."""
        return (self._process.log_tail(_TAIL_LINES) if self._process is not None else "") or "(no log)"


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy
    try:
        with opener.open(url, timeout=1.0) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def run_prometheus(
    config: str,
    folder: Path,
    *,
    port: int = 0,
    retention: str = "1d",
    resend_delay: str = "30s",
    options: Sequence[str] = (),
) -> Iterator[LocalServer]:
    """Run Prometheus for the length of the ``with`` block.

    Parameters
    ----------
    config : str
        Text of ``prometheus.yml``; written into the folder, so relative paths in it are relative to the folder.
    folder : Path
        Where configuration, data and log go.
    port : int
        0 takes a free one.
    retention : str
        How long samples are kept.
    resend_delay : str
        How often firing alerts are sent again.
    options : sequence of str
        More of Prometheus' options.

    Raises
    ------
    LocalServerError
        If it is not installed or does not start.
    """
    binary = find_prometheus()
    if binary is None:
        raise LocalServerError("prometheus is not installed; on Debian: apt-get install prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "prometheus.yml"
    config_file.write_text(config, encoding="utf-8")

    def command(on_port: int) -> list[str]:
        return [
            str(binary),
            f"--config.file={config_file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--storage.tsdb.retention.time={retention}",
            f"--rules.alert.resend-delay={resend_delay}",
            f"--web.listen-address={HOST}:{on_port}",
            "--web.enable-lifecycle",
            *options,
        ]

    with _running(LocalServer("prometheus", command, folder, port)) as server:
        yield server


@contextlib.contextmanager
def run_alertmanager(config: str, folder: Path, *, port: int = 0, options: Sequence[str] = ()) -> Iterator[LocalServer]:
    """Run an Alertmanager without a cluster for the length of the ``with`` block; parameters as of Prometheus.

    Raises
    ------
    LocalServerError
        If it is not installed or does not start.
    """
    binary = find_alertmanager()
    if binary is None:
        raise LocalServerError("Alertmanager is not installed; on Debian: apt-get install prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    config_file = folder / "alertmanager.yml"
    config_file.write_text(config, encoding="utf-8")

    def command(on_port: int) -> list[str]:
        return [
            str(binary),
            f"--config.file={config_file}",
            f"--storage.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{on_port}",
            "--cluster.listen-address=",  # else it listens on 0.0.0.0:9094
            *options,
        ]

    with _running(LocalServer("alertmanager", command, folder, port)) as server:
        yield server


@contextlib.contextmanager
def _running(server: LocalServer) -> Iterator[LocalServer]:
    try:
        server.start()
        yield server
    finally:
        server.close()
