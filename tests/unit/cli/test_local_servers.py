"""Starting servers on this machine, shown with a small server of our own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli import local_servers
from cli.local_servers import LocalServer, LocalServerError, run_alertmanager, run_prometheus
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
READY = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/-/ready" else 404); self.end_headers()
print("listening", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def server(tmp_path: Path, program: str, *, port: int = 0, ready_seconds: float = 20.0) -> LocalServer:
    def command(on_port: int) -> Sequence[str]:
        return [sys.executable, "-c", program, str(on_port)]

    return LocalServer("small", command, tmp_path / "folder", port, ready_seconds)


def test_it_starts_on_a_free_port_and_stops_and_starts_again_on_the_same(tmp_path: Path) -> None:
    small = server(tmp_path, READY)
    assert small.pid is None
    small.start()
    try:
        port, first = small.port, small.pid
        assert port != 0
        assert first is not None
        with pytest.raises(LocalServerError, match="running already"):
            small.start()
        small.stop()
        assert small.pid is None
        small.start()
        assert (small.port, small.url) == (port, f"http://127.0.0.1:{port}")
        assert small.pid not in {None, first}
    finally:
        small.kill()
    assert small.pid is None
    small.close()
    assert small.log_tail().count("listening") == 2


def test_one_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    small = server(tmp_path, "print('no such option'); raise SystemExit(2)")
    with pytest.raises(LocalServerError, match="no such option"):
        small.start()
    assert small.pid is None


def test_one_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    small = server(tmp_path, "import time; time.sleep(60)", port=free_port(), ready_seconds=0.3)
    with pytest.raises(LocalServerError, match="did not start"):
        small.start()
    assert small.pid is None


def test_a_fixed_port_that_is_taken_is_a_failure(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(LocalServerError, match=r"in use"):
            server(tmp_path, READY, port=taken.getsockname()[1], ready_seconds=3).start()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Also when that is killed and can clean up nothing; else a demo that died would leave its Prometheus behind."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is missing")
    program = tmp_path / "starter.py"
    program.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from cli.local_servers import LocalServer\n"
        f"server = LocalServer('small', lambda port: [sys.executable, '-c', {READY!r}, str(port)], Path({str(tmp_path)!r}))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True, cwd=ROOT) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        os.kill(pid, 0)
        starter.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and is_alive(pid):
        time.sleep(0.02)
    assert not is_alive(pid)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_is_not_installed_is_told_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(LocalServerError, match="apt-get install prometheus"), run_prometheus("", tmp_path):
        pass
    with pytest.raises(LocalServerError, match="prometheus-alertmanager"), run_alertmanager("", tmp_path):
        pass


@pytest.mark.parametrize("installed", ["alertmanager", "prometheus-alertmanager"])
def test_alertmanager_is_found_under_either_name(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name == installed else None)
    assert local_servers.find_alertmanager() == Path("/usr/bin") / installed
    assert local_servers.find_prometheus() is None
