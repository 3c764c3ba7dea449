import os
import sys
import threading
import time
from pathlib import Path

import pytest

from streams.child_process import ChildProcess

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


def _wait_for(child: ChildProcess, text: str) -> None:
    deadline = time.monotonic() + 10
    while text not in child.log_tail():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_exit_code_and_the_last_lines_tell_why_a_child_ended(tmp_path: Path):
    program = "import sys; [print('line', n) for n in range(100)]; sys.exit(3)"
    child = ChildProcess([sys.executable, "-c", program], log_file=tmp_path / "log")
    child.start()

    assert child.wait(10) == 3
    assert not child.is_running
    assert child.log_tail(2) == "line 98\nline 99"


def test_stop_ends_a_child_in_order(tmp_path: Path):
    child = ChildProcess(SLEEP, log_file=tmp_path / "log")
    child.start()
    _wait_for(child, "up")
    child.stop()

    assert child.exit_code == -15
    child.stop()  # again: nothing to do


def test_stop_kills_a_child_that_does_not_listen(tmp_path: Path):
    child = ChildProcess(STUBBORN, log_file=tmp_path / "log")
    child.start()
    _wait_for(child, "up")
    child.stop(grace_seconds=0.2)

    assert child.exit_code == -9


def test_a_frozen_child_can_be_stopped(tmp_path: Path):
    child = ChildProcess(SLEEP, log_file=tmp_path / "log")
    child.start()
    _wait_for(child, "up")
    child.pause()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline  # the kernel stops it soon, not at once
    child.stop()

    assert child.exit_code == -15


def test_a_child_can_be_started_again_and_its_log_goes_on(tmp_path: Path):
    child = ChildProcess([sys.executable, "-c", "print('run')"], log_file=tmp_path / "log")
    child.start()
    child.wait(10)
    child.start()
    child.wait(10)

    assert child.log_tail() == "run\nrun"


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path):
    child = ChildProcess(SLEEP, log_file=tmp_path / "log")
    starter = threading.Thread(target=child.start)
    starter.start()
    starter.join()
    _wait_for(child, "up")

    assert child.wait(0.3) is None
    child.kill()


def test_a_running_child_is_not_started_twice(tmp_path: Path):
    child = ChildProcess(SLEEP, log_file=tmp_path / "log")
    child.start()
    with pytest.raises(RuntimeError, match="runs already"):
        child.start()
    child.kill()


def test_a_program_that_is_not_installed_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no-such-program is not installed"):
        ChildProcess(["no-such-program"], log_file=tmp_path / "log").start()


def test_a_child_is_kept_to_the_processors_it_was_given(tmp_path: Path):
    program = "import os; print(sorted(os.sched_getaffinity(0)))"
    processor = min(os.sched_getaffinity(0))
    child = ChildProcess([sys.executable, "-c", program], log_file=tmp_path / "log", cpus=str(processor))
    child.start()
    child.wait(10)

    assert child.log_tail() == f"[{processor}]"
