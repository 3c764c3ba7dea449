from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web

from sources.prober import Blackbox, Checks, Look, ProbeTarget, TargetError, look, parse_target, read_blackbox

NOW_MS = 1_772_438_400_000


def seen(url: str, checks: Checks | None = None, app: web.Application | None = None) -> Look:
    async def run() -> Look:
        async with served(app) as base, ClientSession() as session:
            target = ProbeTarget("portal", url.replace("BASE", base).replace("HOST", base.partition("//")[2]))
            if checks is not None and checks.blackbox is not None:
                via = Checks(checks.timeout_seconds, blackbox=Blackbox(base, checks.blackbox.module))
                return await look(session, target, via, lambda: NOW_MS)
            return await look(session, target, checks or Checks(), lambda: NOW_MS)

    return asyncio.run(run())


@asynccontextmanager
async def served(app: web.Application | None) -> AsyncIterator[str]:
    if app is None:
        app = web.Application()
        app.router.add_get("/{status}", portal)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def portal(request: web.Request) -> web.Response:
    """Answer with the status asked for; 299 takes its time."""
    status = int(request.match_info["status"])
    return await answered(status, after=2.0 if status == 299 else 0.0)


async def answered(status: int, text: str = "", after: float = 0.0) -> web.Response:
    await asyncio.sleep(after)
    return web.Response(status=status, text=text)


def test_an_answer_with_a_good_status_is_good_and_has_a_latency():
    found = seen("BASE/200")
    assert (found.ok, found.detail) == (True, "status 200")
    assert found.latency_ms > 0
    sample = json.loads(found.sample("fra-1") or b"")
    assert sample["type"] == "sample"
    assert (sample["service"], sample["probe"], sample["ok"]) == ("portal", "fra-1", True)
    assert sample["at"] == "2026-03-02T08:00:00.000Z"


def test_a_bad_status_and_a_slow_answer_are_the_services_fault():
    assert seen("BASE/503").ok is False
    slow = seen("BASE/299", Checks(timeout_seconds=0.1))
    assert (slow.ok, slow.detail) == (False, "no answer within 0.1 s")


def test_other_status_codes_can_be_good():
    assert seen("BASE/503", Checks(good_statuses=range(503, 504))).ok is True


def test_a_tcp_port_is_good_when_it_takes_a_connection():
    assert seen("tcp://HOST").ok is True
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert seen(f"tcp://127.0.0.1:{port}").ok is False


@pytest.mark.parametrize("number", [errno.ENETUNREACH, errno.EMFILE])
def test_what_the_probing_machine_lacks_is_no_sample(monkeypatch: pytest.MonkeyPatch, number: int):
    async def fail(*_: Any) -> None:
        raise OSError(number, "own fault")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    found = seen("tcp://127.0.0.1:9")
    assert found.ok is None
    assert found.sample("fra-1") is None


@pytest.mark.parametrize(("number", "ok"), [(socket.EAI_AGAIN, None), (socket.EAI_NONAME, False)])
def test_a_resolver_that_is_away_is_the_probes_fault_and_an_unknown_name_the_services(
    monkeypatch: pytest.MonkeyPatch, number: int, ok: bool | None
):
    async def fail(*_: Any) -> None:
        raise socket.gaierror(number, "name")

    monkeypatch.setattr(asyncio, "open_connection", fail)
    assert seen("tcp://portal.example:443").ok is ok


def test_a_blackbox_exporter_looks_and_its_own_failure_is_no_sample():
    asked: list[dict[str, str]] = []
    answers = iter(
        [
            (200, "probe_duration_seconds 0.25\nprobe_success 1\n"),
            (200, "# HELP x\nprobe_success 0\n"),
            (500, "broken"),
        ]
    )

    async def exporter(request: web.Request) -> web.Response:
        asked.append(dict(request.query))
        return await answered(*next(answers))

    def via() -> Look:
        app = web.Application()
        app.router.add_get("/probe", exporter)
        return seen("https://portal.example/", Checks(blackbox=Blackbox("BASE", "http_2xx")), app)

    found = via()
    assert (found.ok, found.latency_ms) == (True, 250.0)
    assert asked == [{"target": "https://portal.example/", "module": "http_2xx"}]
    assert via().ok is False
    assert via().ok is None


def test_a_result_without_success_is_none():
    assert read_blackbox("")[0] is None
    assert read_blackbox("probe_success NaN") == (False, 0.0, "probe_success nan")


@pytest.mark.parametrize(
    ("text", "service", "url"),
    [
        ("https://portal.example/health?a=b", "portal.example", "https://portal.example/health?a=b"),
        ("portal=https://portal.example/?a=b", "portal", "https://portal.example/?a=b"),
        ("db=tcp://10.0.0.7:5432", "db", "tcp://10.0.0.7:5432"),
    ],
)
def test_a_target_is_a_url_with_or_without_its_service(text: str, service: str, url: str):
    assert parse_target(text) == ProbeTarget(service, url)


@pytest.mark.parametrize("text", ["portal", "ftp://x", "tcp://x", "https://u:p@x/", "http://x:99999/"])
def test_a_target_that_cannot_be_probed_is_refused(text: str):
    with pytest.raises(TargetError):
        parse_target(text)
