"""The client of Alertmanager, against a small server that misbehaves on demand."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from config.settings import AlertmanagerSettings
from export.alertmanager import AlertmanagerClient, AlertmanagerConfigError, PushReport, steady_seconds
from export.catalogue import PushResult
from export.metrics import Metrics
from export.pushed_alert import PushedAlert
from tests.support.ports import free_port

NOW = 1_780_000_000_000


def make_alert(name: str) -> PushedAlert:
    return PushedAlert({"alertname": name}, {"summary": "s"}, NOW, NOW + 120_000)


class FakeAlertmanager:
    """Takes alerts; ``answer`` decides the status from the names in a batch."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.requests: list[web.Request] = []
        self.documents: list[dict[str, Any]] = []
        self.answer: Callable[[list[str]], int] = lambda _names: 200
        self.delay_seconds = 0.0
        self.url = ""

    async def post(self, request: web.Request) -> web.Response:
        documents = await request.json()
        self.requests.append(request)
        self.documents += documents
        names = [document["labels"]["alertname"] for document in documents]
        self.batches.append(names)
        await asyncio.sleep(self.delay_seconds)
        status = self.answer(names)
        headers = {"Location": "/elsewhere"} if status == 302 else None
        return web.Response(status=status, text=f"status {status}\n  for {len(names)}", headers=headers)


@asynccontextmanager
async def running(path: str = "") -> AsyncIterator[FakeAlertmanager]:
    fake = FakeAlertmanager()
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post(f"{path}/api/v2/alerts", fake.post)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def settings_for(*urls: str, **more: Any) -> AlertmanagerSettings:
    return AlertmanagerSettings(urls=urls, timeout_seconds=more.pop("timeout_seconds", 2.0), **more)


async def push(alerts: list[PushedAlert], *urls: str, **more: Any) -> PushReport:
    async with AlertmanagerClient(settings_for(*urls, **more)) as client:
        return await client.push(alerts)


async def test_every_peer_gets_every_alert() -> None:
    async with running() as one, running() as other:
        report = await push([make_alert("A"), make_alert("B")], one.url, other.url)
    assert one.batches == other.batches == [["A", "B"]]
    assert report.succeeded
    assert report.results == (PushResult.ACCEPTED, PushResult.ACCEPTED)
    assert [peer.url for peer in report.peers] == [one.url, other.url]
    assert [peer.error for peer in report.peers] == [None, None]


async def test_what_is_sent_is_the_document_of_the_api() -> None:
    async with running("/prefix") as fake:
        await push([make_alert("A")], fake.url + "/")
    assert fake.documents == [make_alert("A").document()]
    assert fake.requests[0].headers["Content-Type"] == "application/json"
    assert "Authorization" not in fake.requests[0].headers


async def test_batches_hold_at_most_500() -> None:
    async with running() as fake:
        report = await push([make_alert(f"A{number}") for number in range(1001)], fake.url)
    assert [len(batch) for batch in fake.batches] == [500, 500, 1]
    assert report.succeeded


async def test_one_peer_is_enough_and_the_other_is_reported() -> None:
    async with running() as fake:
        gone = f"http://127.0.0.1:{free_port()}"
        report = await push([make_alert("A")], gone, fake.url)
    assert report.succeeded
    assert report.peers[0].results == (PushResult.FAILED,)
    assert "Cannot connect" in (report.peers[0].error or "")


async def test_no_peer_at_all_is_a_failure_told_as_a_value() -> None:
    report = await push([make_alert("A"), make_alert("B")], f"http://127.0.0.1:{free_port()}")
    assert not report.succeeded
    assert report.results == (PushResult.FAILED, PushResult.FAILED)


async def test_without_peers_or_alerts_nothing_is_to_do() -> None:
    assert (await push([make_alert("A")])).results == (PushResult.ACCEPTED,)
    assert (await push([], "http://127.0.0.1:1")).succeeded


@pytest.mark.parametrize("status", [400, 413, 422])
@pytest.mark.parametrize("bad", [{"A0"}, {"A3", "A6"}, {"A6"}])
async def test_a_refused_batch_is_split_until_the_alert_at_fault_stands_alone(status: int, bad: set[str]) -> None:
    async with running() as fake:
        fake.answer = lambda names: status if bad & set(names) else 200
        report = await push([make_alert(f"A{number}") for number in range(7)], fake.url)
    assert {f"A{place}" for place in report.places(PushResult.REJECTED)} == bad
    assert len(report.places(PushResult.ACCEPTED)) == 7 - len(bad)
    assert set(report.peers[0].faults.values()) == {f"HTTP {status}: status {status} for 1"}
    assert report.peers[0].error is None


async def test_an_alert_refused_by_one_peer_and_taken_by_another_is_taken() -> None:
    async with running() as old, running() as new:
        old.answer = lambda names: 400 if "A" in names else 200
        report = await push([make_alert("A"), make_alert("B")], old.url, new.url)
    assert report.succeeded
    assert list(report.peers[0].faults) == [0]


@pytest.mark.parametrize("status", [302, 401, 404, 429, 500, 503])
async def test_any_other_answer_is_about_the_peer_and_ends_its_part(status: int) -> None:
    async with running() as fake:
        fake.answer = lambda _names: status
        report = await push([make_alert(f"A{number}") for number in range(501)], fake.url)
    assert len(fake.batches) == 1
    assert report.peers[0].error == f"HTTP {status}: status {status} for 500"
    assert set(report.results) == {PushResult.FAILED}


async def test_what_was_taken_before_the_peer_went_away_stays_taken() -> None:
    async with running() as fake:
        fake.answer = lambda names: 200 if "A0" in names else 500
        report = await push([make_alert(f"A{number}") for number in range(501)], fake.url)
    assert report.places(PushResult.FAILED) == [500]


async def test_a_former_owner_sends_nothing() -> None:
    async with running() as fake, AlertmanagerClient(settings_for(fake.url)) as client:
        report = await client.push([make_alert("A")], still_owner=lambda: False)
    assert fake.batches == []
    assert report.results == (PushResult.DROPPED,)
    assert not report.succeeded


async def test_ownership_is_asked_before_every_post() -> None:
    answers = iter([True, False])
    async with running() as fake, AlertmanagerClient(settings_for(fake.url)) as client:
        report = await client.push(
            [make_alert(f"A{number}") for number in range(1200)], still_owner=lambda: next(answers)
        )
    assert [len(batch) for batch in fake.batches] == [500]
    assert len(report.places(PushResult.ACCEPTED)) == 500
    assert len(report.places(PushResult.DROPPED)) == 700


@pytest.mark.parametrize(("age_seconds", "sent"), [(0.0, True), (10.0, True), (10.1, False), (3600.0, False)])
async def test_an_old_decision_is_not_sent(age_seconds: float, sent: bool) -> None:
    now = 5000.0
    async with running() as fake, AlertmanagerClient(settings_for(fake.url), clock=lambda: now) as client:
        report = await client.push([make_alert("A")], decided_at_seconds=now - age_seconds)
    assert (fake.batches != []) == sent
    assert report.results == ((PushResult.ACCEPTED if sent else PushResult.DROPPED),)


async def test_a_hung_peer_is_waited_for_once_then_left_out_and_probed_briefly_while_another_answers() -> None:
    now = 5000.0
    async with running() as hung, running() as good:
        hung.delay_seconds = 30
        settings = settings_for(hung.url, good.url, timeout_seconds=0.2, resend_seconds=30.0)
        async with AlertmanagerClient(settings, clock=lambda: now) as client:
            first = await client.push([make_alert("A")])
            assert first.peers[0].error == "no answer within 0.2 s"
            second = await client.push([make_alert("A")])
            assert second.peers[0].error == "skipped: it timed out a moment ago"
            assert len(hung.batches) == 1
            now += 15.1
            hung.delay_seconds = 0
            third = await client.push([make_alert("A")])
            assert third.peers[0].error is None
            assert (await client.push([make_alert("A")])).peers[0].error is None
    assert first.succeeded
    assert second.succeeded


async def test_a_hung_peer_is_tried_every_time_while_there_is_no_other() -> None:
    async with running() as hung:
        hung.delay_seconds = 30
        async with AlertmanagerClient(settings_for(hung.url, timeout_seconds=0.1)) as client:
            await client.push([make_alert("A")])
            hung.delay_seconds = 0
            assert (await client.push([make_alert("A")])).succeeded


async def test_the_token_is_sent_and_read_anew_for_each_push(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    async with running() as fake, AlertmanagerClient(settings_for(fake.url, token_file=token_file)) as client:
        await client.push([make_alert("A")])
        token_file.write_text("second\n")
        await client.push([make_alert("A")])
    assert [request.headers["Authorization"] for request in fake.requests] == ["Bearer first", "Bearer second"]


async def test_a_missing_token_file_is_a_failure_of_the_push_that_names_no_secret(tmp_path: Path) -> None:
    async with running() as fake:
        report = await push([make_alert("A")], fake.url, token_file=tmp_path / "absent")
    assert fake.batches == []
    assert report.peers[0].error == "the file of the bearer token can't be read: No such file or directory"


async def test_credentials_in_a_url_are_used_and_never_shown() -> None:
    async with running() as fake:
        url = fake.url.replace("http://", "http://user:hush@")
        async with AlertmanagerClient(settings_for(url, token="unused")) as client:
            report = await client.push([make_alert("A")])
            assert client.urls == (fake.url,)
    assert fake.requests[0].headers["Authorization"].startswith("Basic ")
    assert "hush" not in repr(report)


def test_settings_that_cannot_work_are_told_all_at_once(tmp_path: Path) -> None:
    bad = AlertmanagerSettings(
        urls=("alertmanager:9093", "ftp://am", "http://am:9093/api/v2/alerts", "http://am:99999"),
        ca_file=tmp_path / "absent.pem",
    )
    with pytest.raises(AlertmanagerConfigError) as caught:
        AlertmanagerClient(bad)
    assert str(caught.value).count("alertmanager.urls") == 4
    assert "absent.pem" in str(caught.value)


async def test_pushes_are_counted() -> None:
    metrics = Metrics(version="1")
    async with running() as fake:
        gone = f"http://127.0.0.1:{free_port()}"
        fake.answer = lambda names: 400 if "bad" in names else 200
        async with AlertmanagerClient(settings_for(fake.url, gone), metrics=metrics) as client:
            await client.push([make_alert("A"), make_alert("bad"), make_alert("B")])
    counted = {labels["result"]: series.value for labels, series in metrics.alerts_pushed_total.series()}
    assert counted == {"accepted": 2, "rejected": 1, "failed": 0, "dropped": 0}
    assert metrics.alertmanager_up.labels(url=fake.url).value == 1
    assert metrics.alertmanager_up.labels(url=gone).value == 0
    assert metrics.alert_push_duration_seconds.labels().count == 1


async def test_pushes_of_one_client_do_not_overlap() -> None:
    """A firing that overtakes the resolve behind it would page again."""
    under_way = most = 0

    async with running() as fake:
        post = fake.post

        async def watched(request: web.Request) -> web.Response:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
            return await post(request)

        app = web.Application()
        app.router.add_post("/api/v2/alerts", watched)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with AlertmanagerClient(settings_for(f"http://127.0.0.1:{runner.addresses[0][1]}")) as client:
            await asyncio.gather(*(client.push([make_alert("A")]) for _ in range(5)))
        await runner.cleanup()
    assert most == 1


def test_the_steady_clock_never_goes_back() -> None:
    assert steady_seconds() <= steady_seconds()


async def test_the_report_survives_as_plain_values() -> None:
    report = await push([make_alert("A")], f"http://127.0.0.1:{free_port()}")
    assert json.dumps([result.value for result in report.results]) == '["failed"]'
