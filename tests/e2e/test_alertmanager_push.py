"""Alerts from the book through the client into real Alertmanagers, and what those hold and tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cli.local_servers import LocalServer, find_alertmanager, run_alertmanager
from config.settings import AlertmanagerSettings
from export.alert_book import AlertBook
from export.alertmanager import AlertmanagerClient, PushReport
from export.catalogue import PushResult
from export.pushed_alert import PushedAlert
from sla.outcome import Alert, AlertKind, AlertState
from sla.units import parse_instant
from tests.support.ports import free_port
from tests.support.servers import ALERTMANAGER_CONFIG, alerts_of, eventually, need, webhook_config

pytestmark = pytest.mark.e2e

RESEND_SECONDS = 1.0


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[LocalServer]:
    need(find_alertmanager(), "Alertmanager")
    with run_alertmanager(ALERTMANAGER_CONFIG, tmp_path / "alertmanager") as server:
        yield server


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def decision(ticket: str, state: AlertState = AlertState.FIRING, summary: str = "half used") -> Alert:
    return Alert(
        id=f"SLATicketAtRisk/{ticket}:response:1",
        kind=AlertKind.TICKET_AT_RISK,
        state=state,
        severity="warning",
        at_ms=0,
        labels={"ticket_id": ticket, "team": "v30", "sla_id": "acme"},
        annotations={"summary": summary},
    )


class Pager:
    """What an owner of alerts does: a book, a client, and rows in storage."""

    def __init__(self, *urls: str, resend_seconds: float = RESEND_SECONDS) -> None:
        self.settings = AlertmanagerSettings(urls=urls, resend_seconds=resend_seconds, timeout_seconds=5.0)
        self.stored: dict[str, bytes] = {}
        self.client = AlertmanagerClient(self.settings)
        self.book = self.new_book()

    def new_book(self) -> AlertBook:
        return AlertBook(resend_ms=round(self.settings.resend_seconds * 1000), resolve_resend_ms=900_000, retry_ms=200)

    def decide(self, alert: Alert) -> None:
        self.book.apply(alert, now_ms())
        self.store()

    def store(self) -> None:
        for alert_id, row in self.book.take_changes().items():
            if row is None:
                self.stored.pop(alert_id, None)
            else:
                self.stored[alert_id] = row

    async def push(self) -> PushReport:
        due = self.book.due(now_ms())
        report = await self.client.push([item.alert for item in due])
        self.book.pushed([due[place] for place in report.places(PushResult.ACCEPTED)], now_ms())
        self.store()
        return report

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Push what is due, all the time."""

        async def run() -> None:
            while True:
                await self.push()
                await asyncio.sleep(0.05)

        task = asyncio.create_task(run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def restart(self) -> None:
        """As another worker: nothing but the stored rows survives."""
        self.book = self.new_book()
        for alert_id, row in self.stored.items():
            self.book.load(alert_id, row)


@asynccontextmanager
async def pager(*urls: str, resend_seconds: float = RESEND_SECONDS) -> AsyncIterator[Pager]:
    made = Pager(*urls, resend_seconds=resend_seconds)
    async with made.client:
        yield made


@asynccontextmanager
async def webhook(port: int) -> AsyncIterator[list[tuple[str, str]]]:
    """Collect (status, ticket) of every notification, in order."""
    told: list[tuple[str, str]] = []

    async def hook(request: web.Request) -> web.Response:
        document = await request.json()
        told.extend((alert["status"], alert["labels"]["ticket_id"]) for alert in document["alerts"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", hook)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield told
    finally:
        await runner.cleanup()


async def test_alertmanager_holds_the_alert_with_its_start_labels_and_end(alertmanager: LocalServer) -> None:
    async with pager(alertmanager.url, resend_seconds=30) as owner:
        before = now_ms()
        owner.decide(decision("INC-1"))
        assert (await owner.push()).succeeded
        [alert] = await alerts_of(alertmanager.url)
    assert alert["labels"] == {
        "alertname": "SLATicketAtRisk",
        "severity": "warning",
        "ticket_id": "INC-1",
        "team": "v30",
        "sla_id": "acme",
    }
    assert alert["annotations"] == {"summary": "half used"}
    assert alert["status"]["state"] == "active"
    starts_at_ms = parse_instant(alert["startsAt"])
    assert before <= starts_at_ms <= now_ms()
    # Decided a moment after the start, valid for four resends.
    assert 120_000 <= parse_instant(alert["endsAt"]) - starts_at_ms < 125_000


async def test_it_stays_for_longer_than_its_validity_with_the_same_start(alertmanager: LocalServer) -> None:
    async with pager(alertmanager.url, resend_seconds=0.5) as owner, owner.running():
        owner.decide(decision("INC-1"))
        [first] = await eventually(lambda: alerts_of(alertmanager.url), bool)
        deadline = time.monotonic() + 4.5  # more than twice what one push is valid for
        while time.monotonic() < deadline:
            [alert] = await alerts_of(alertmanager.url)
            assert alert["startsAt"] == first["startsAt"]
            assert alert["status"]["state"] == "active"
            await asyncio.sleep(0.05)
    assert parse_instant(alert["endsAt"]) > parse_instant(first["endsAt"]) + 2_000


async def test_a_resolve_ends_it_at_once(alertmanager: LocalServer) -> None:
    async with pager(alertmanager.url, resend_seconds=30) as owner:
        owner.decide(decision("INC-1"))
        owner.decide(decision("INC-2"))
        await owner.push()
        owner.decide(decision("INC-1", AlertState.RESOLVED))
        assert (await owner.push()).succeeded
        [alert] = await eventually(lambda: alerts_of(alertmanager.url), lambda alerts: len(alerts) == 1)
    assert alert["labels"]["ticket_id"] == "INC-2"


async def test_an_alert_that_fires_and_ends_within_a_millisecond_is_accepted(alertmanager: LocalServer) -> None:
    now = now_ms()
    async with AlertmanagerClient(AlertmanagerSettings(urls=(alertmanager.url,))) as client:
        report = await client.push([PushedAlert({"alertname": "A"}, {}, now, now)])
    assert report.succeeded


async def test_new_annotations_arrive_under_the_same_alert(alertmanager: LocalServer) -> None:
    async with pager(alertmanager.url, resend_seconds=30) as owner:
        owner.decide(decision("INC-1"))
        await owner.push()
        [before] = await alerts_of(alertmanager.url)
        owner.decide(decision("INC-1", summary="90 % used"))
        await owner.push()
        [after] = await alerts_of(alertmanager.url)
    assert after["annotations"] == {"summary": "90 % used"}
    assert (after["fingerprint"], after["startsAt"]) == (before["fingerprint"], before["startsAt"])


async def test_an_alert_nobody_renews_runs_out(alertmanager: LocalServer) -> None:
    """The worker died: its alerts must not fire for ever."""
    async with pager(alertmanager.url, resend_seconds=0.25) as owner:
        owner.decide(decision("INC-1"))
        await owner.push()
        assert len(await alerts_of(alertmanager.url)) == 1
        await eventually(lambda: alerts_of(alertmanager.url), lambda alerts: alerts == [])


async def test_a_restart_of_the_owner_is_not_seen_by_the_one_who_is_paged(tmp_path: Path) -> None:
    """Firing is told once and resolved once, over restarts with and without a push between."""
    need(find_alertmanager(), "Alertmanager")
    port = free_port()
    async with webhook(port) as told:
        with run_alertmanager(webhook_config(f"http://127.0.0.1:{port}/"), tmp_path / "am") as server:
            async with pager(server.url) as owner:
                async with owner.running():
                    owner.decide(decision("INC-1"))
                    await eventually(lambda: asyncio.sleep(0, told), bool)
                    [first] = await alerts_of(server.url)
                for _ in range(3):
                    owner.restart()
                    await asyncio.sleep(1.5)  # nobody runs for longer than a resend
                    async with owner.running():
                        await asyncio.sleep(1.2)
                        owner.decide(decision("INC-1", summary="most used"))
                        await asyncio.sleep(0.3)
                        [alert] = await alerts_of(server.url)
                        assert alert["startsAt"] == first["startsAt"]
                owner.restart()
                owner.decide(decision("INC-1", AlertState.RESOLVED))
                async with owner.running():
                    await eventually(lambda: asyncio.sleep(0, told), lambda seen: len(seen) > 1)
                    await asyncio.sleep(2.5)  # resends of the resolve
    assert told == [("firing", "INC-1"), ("resolved", "INC-1")]


async def test_it_is_back_after_alertmanager_was_restarted_and_the_page_is_not_repeated(tmp_path: Path) -> None:
    need(find_alertmanager(), "Alertmanager")
    port = free_port()
    async with webhook(port) as told:
        with run_alertmanager(webhook_config(f"http://127.0.0.1:{port}/"), tmp_path / "am") as server:
            async with pager(server.url) as owner, owner.running():
                owner.decide(decision("INC-1"))
                await eventually(lambda: asyncio.sleep(0, told), bool)
                [first] = await alerts_of(server.url)
                await asyncio.to_thread(server.stop)
                await asyncio.sleep(0.5)  # pushes fail meanwhile
                await asyncio.to_thread(server.start)
                [again] = await eventually(lambda: alerts_of(server.url), bool, seconds=5 * RESEND_SECONDS)
                assert again["startsAt"] == first["startsAt"]
                await asyncio.sleep(2.5)
                assert told == [("firing", "INC-1")]
                owner.decide(decision("INC-1", AlertState.RESOLVED))
                await eventually(lambda: asyncio.sleep(0, told), lambda seen: len(seen) > 1)
    assert told == [("firing", "INC-1"), ("resolved", "INC-1")]


async def test_a_resolve_decided_while_alertmanager_is_away_is_delivered_when_it_is_back(tmp_path: Path) -> None:
    need(find_alertmanager(), "Alertmanager")
    port = free_port()
    async with webhook(port) as told:
        with run_alertmanager(webhook_config(f"http://127.0.0.1:{port}/"), tmp_path / "am") as server:
            async with pager(server.url, resend_seconds=30) as owner, owner.running():
                owner.decide(decision("INC-1"))
                await eventually(lambda: asyncio.sleep(0, told), bool)
                await asyncio.to_thread(server.stop)
                owner.decide(decision("INC-1", AlertState.RESOLVED))
                await asyncio.sleep(0.5)
                await asyncio.to_thread(server.start)
                await eventually(lambda: asyncio.sleep(0, told), lambda seen: len(seen) > 1)
    assert told == [("firing", "INC-1"), ("resolved", "INC-1")]


async def test_both_peers_hold_it_and_one_that_is_away_gets_it_with_the_next_resend(
    alertmanager: LocalServer, tmp_path: Path
) -> None:
    with run_alertmanager(ALERTMANAGER_CONFIG, tmp_path / "other") as other:
        async with pager(alertmanager.url, other.url) as owner, owner.running():
            owner.decide(decision("INC-1"))
            for url in (alertmanager.url, other.url):
                await eventually(lambda url=url: alerts_of(url), lambda alerts: len(alerts) == 1)
            await asyncio.to_thread(other.stop)
            owner.decide(decision("INC-2"))
            await eventually(lambda: alerts_of(alertmanager.url), lambda alerts: len(alerts) == 2)
            await asyncio.to_thread(other.start)
            await eventually(lambda: alerts_of(other.url), lambda alerts: len(alerts) == 2)


async def test_an_unreachable_peer_is_reported_and_does_not_keep_the_page_back(alertmanager: LocalServer) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    async with pager(gone, alertmanager.url, resend_seconds=30) as owner:
        owner.decide(decision("INC-1"))
        started = time.monotonic()
        report = await owner.push()
        assert time.monotonic() - started < 2.0
        assert report.succeeded
        assert [peer.error is None for peer in report.peers] == [False, True]
        assert len(await alerts_of(alertmanager.url)) == 1
        assert owner.book.due(now_ms()) == []


async def test_no_peer_reachable_keeps_it_due_until_one_is(tmp_path: Path) -> None:
    need(find_alertmanager(), "Alertmanager")
    port = free_port()
    async with pager(f"http://127.0.0.1:{port}", resend_seconds=30) as owner, owner.running():
        owner.decide(decision("INC-1"))
        began = now_ms()
        await asyncio.sleep(1.0)
        with run_alertmanager(ALERTMANAGER_CONFIG, tmp_path / "am", port=port) as server:
            [alert] = await eventually(lambda: alerts_of(server.url), bool)
    assert parse_instant(alert["startsAt"]) <= began, "it starts when it was first seen, not when it was delivered"


async def test_one_alert_alertmanager_refuses_does_not_keep_the_others_back(alertmanager: LocalServer) -> None:
    """The client refuses such names itself; a peer may still have reasons of its own."""

    class Refused(PushedAlert):
        def document(self) -> dict[str, Any]:
            return {**super().document(), "labels": {"alertname": "A", "bad-name": "x"}}

    now = now_ms()
    alerts = [PushedAlert({"alertname": f"A{number}"}, {}, now, now + 60_000) for number in range(20)]
    alerts.insert(7, Refused({"alertname": "A"}, {}, now, now + 60_000))
    async with AlertmanagerClient(AlertmanagerSettings(urls=(alertmanager.url,))) as client:
        report = await client.push(alerts)
    assert report.places(PushResult.REJECTED) in ([7], []), "0.25 refuses it, later releases take it"
    assert len(report.places(PushResult.ACCEPTED)) + len(report.places(PushResult.REJECTED)) == 21
    assert len([alert for alert in await alerts_of(alertmanager.url) if alert["labels"]["alertname"] != "A"]) == 20


async def test_five_thousand_alerts_arrive(alertmanager: LocalServer) -> None:
    now = now_ms()
    alerts = [
        PushedAlert({"alertname": "A", "ticket_id": f"INC-{number}"}, {"summary": "s" * 100}, now, now + 60_000)
        for number in range(5_000)
    ]
    async with AlertmanagerClient(AlertmanagerSettings(urls=(alertmanager.url,))) as client:
        report = await client.push(alerts)
    assert report.succeeded
    held = await alerts_of(alertmanager.url)
    assert len(held) == 5_000
    assert {parse_instant(alert["startsAt"]) for alert in held} == {now}
