from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result
from typing_extensions import override

from cli.main import app


class Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503 if self.path == "/broken" else 200)
        self.end_headers()

    @override
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def portal() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Portal)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def probe(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["events", "probe", *arguments])


def test_one_look_is_printed_and_the_exit_code_says_whether_all_is_good(portal: str) -> None:
    done = probe("--once", "--out", "-", "--name", "fra-1", f"portal={portal}/")
    assert done.exit_code == 0
    sample = json.loads(done.stdout)
    assert (sample["service"], sample["probe"], sample["ok"]) == ("portal", "fra-1", True)
    assert probe("--once", "--out", "-", f"portal={portal}/", f"shop={portal}/broken").exit_code == 1


def test_what_a_status_means_can_be_said(portal: str) -> None:
    assert probe("--once", "--out", "-", "--status", "503", f"{portal}/broken").exit_code == 0


def test_all_faults_of_the_input_are_told_at_once() -> None:
    done = probe("--once", "--every", "10", "--timeout", "2bh", "--status", "ok", "ftp://x")
    assert done.exit_code == 2
    for word in ("--every", "--timeout", "--status", "ftp://x"):
        assert word in done.output


def test_without_a_broker_one_look_fails_and_its_history_is_kept(
    portal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SLAWATCH_KAFKA__BOOTSTRAP", f"127.0.0.1:{closed.getsockname()[1]}")
    done = probe("--once", "--out", str(tmp_path / "history.jsonl"), f"portal={portal}/")
    assert done.exit_code == 1
    assert json.loads((tmp_path / "history.jsonl").read_text())["ok"] is True
