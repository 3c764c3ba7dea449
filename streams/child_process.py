"""A server that we start, watch and end: Kafka's JVM, Prometheus, Alertmanager, workers of a test.

The child can't outlive us: the kernel kills it when we go, also when we go by ``kill -9`` and can't clean up any more.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

LOG_TAIL_LINES = 25
_TAIL_BYTES = 64_000
"""Enough for the last lines of a log, also when they are long."""


class ChildProcess:
    """One command, started and ended by this process; its output goes to a file.

    Parameters
    ----------
    command
        Program and arguments; the program is looked up in PATH.
    log_file
        Takes standard output and standard error, appended, so that the log of a restarted child stays whole.
    environment
        The child's whole environment; None: ours.
    cpus
        List of processors as ``taskset -c`` takes it, such as ``0`` or ``0-3``; None: all.

    Notes
    -----
    "Dies with its parent" is ``PR_SET_PDEATHSIG``, set by ``setpriv`` (util-linux) before it becomes the command. The
    kernel means the parent *thread*: a child started from a pool thread would be killed when the pool ends. So each
    child has a thread of its own that starts it and then waits for it. Where ``setpriv`` is missing (macOS) the child
    is ended by `stop` only.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        environment: Mapping[str, str] | None = None,
        cpus: str | None = None,
    ) -> None:
        self.command = tuple(command)
        self.log_file = log_file
        self.environment = None if environment is None else dict(environment)
        self.cpus = cpus
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._paused = False

    @property
    def pid(self) -> int | None:
        """Process id of the command itself (the wrappers have become it); None before the first start."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the process exists; true also while it is paused."""
        return self._process is not None and not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last run, negative for a signal; None while it runs or before the first start."""
        return self._process.returncode if self._process and self._ended.is_set() else None

    def start(self) -> None:
        """Start the command.

        Raises
        ------
        RuntimeError
            It runs already.
        OSError
            The program can't be started.
        """
        if self.is_running:
            raise RuntimeError(f"{self.command[0]} runs already (process {self.pid})")
        self._ended.clear()
        self._paused = False
        started = threading.Event()
        failures: list[OSError] = []
        threading.Thread(
            target=self._run, args=(started, failures), name=f"keeper of {self.command[0]}", daemon=True
        ).start()
        started.wait()
        if failures:
            raise failures[0]

    def _run(self, started: threading.Event, failures: list[OSError]) -> None:
        try:
            with self._open_log() as log:
                self._process = subprocess.Popen(
                    self._wrapped(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=self.environment,
                    start_new_session=True,  # Ctrl-C in a terminal reaches us only: we end the child, in order
                )
        except OSError as error:
            failures.append(error)
            self._ended.set()
            return
        finally:
            started.set()
        self._process.wait()
        self._ended.set()

    def _open_log(self) -> TextIO:
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        return self.log_file.open("a", encoding="utf-8")

    def _wrapped(self) -> list[str]:
        wrapped = list(self.command)
        program = shutil.which(wrapped[0])
        if program is None:
            raise FileNotFoundError(f"{wrapped[0]} is not installed (not in PATH)")
        wrapped[0] = program
        if self.cpus is not None:
            wrapped = ["taskset", "-c", self.cpus, *wrapped]
        if setpriv := shutil.which("setpriv"):
            wrapped = [setpriv, "--pdeathsig", "KILL", "--", *wrapped]
        return wrapped

    def stop(self, grace_seconds: float = 15.0) -> None:
        """End the child in order: SIGTERM, then SIGKILL when ``grace_seconds`` have passed. Idempotent."""
        if not self.is_running:
            return
        self._signal(signal.SIGTERM)
        self.resume()  # a stopped process gets its SIGTERM only when it goes on
        if not self._ended.wait(grace_seconds):
            self.kill()

    def kill(self) -> None:
        """End the child at once, like ``kill -9``, and wait until it is gone. Idempotent."""
        if self.is_running:
            self._signal(signal.SIGKILL)
            self._ended.wait()

    def pause(self) -> None:
        """Freeze the child (SIGSTOP): its connections stay open, nothing answers."""
        self._signal(signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """Let a frozen child go on (SIGCONT)."""
        if self._paused:
            self._signal(signal.SIGCONT)
            self._paused = False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself in between
                os.kill(self._process.pid, number)

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait until the child has ended; return its exit code, or None when the time is up."""
        self._ended.wait(timeout_seconds)
        return self.exit_code

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """Return the last lines of the child's output."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - _TAIL_BYTES))
                text = log.read().decode("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
