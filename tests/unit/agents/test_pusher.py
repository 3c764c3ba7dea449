"""Pages leave only while this worker surely owns them, and what became of them is noted in the book."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agents import pusher as module
from agents.pusher import MOST_ALERTS_A_PUSH, Pusher
from export.alertmanager import PeerReport, PushReport
from export.catalogue import PushResult
from export.pushed_alert import PushedAlert
from sla.outcome import AlertState
from tests.support.application import Bench
from tests.support.domain import register
from tests.support.records import alert, alert_record

SESSION_SECONDS = 30.0


class Client:
    """An Alertmanager client that remembers, and that a test can let fail or change things while it works."""

    def __init__(self) -> None:
        self.pushed: list[list[PushedAlert]] = []
        self.owned: list[bool] = []
        self.result: Callable[[PushedAlert], PushResult] = lambda _alert: PushResult.ACCEPTED
        self.meanwhile: Callable[[], None] = lambda: None

    async def push(
        self, alerts: Sequence[PushedAlert], *, decided_at_seconds: float, still_owner: Callable[[], bool]
    ) -> PushReport:
        await asyncio.sleep(0)
        self.meanwhile()
        self.owned.append(still_owner())
        if not self.owned[-1]:
            return self._report([PushResult.DROPPED] * len(alerts))
        self.pushed.append(list(alerts))
        return self._report([self.result(alert) for alert in alerts])

    @staticmethod
    def _report(results: list[PushResult]) -> PushReport:
        return PushReport(tuple(results), (PeerReport("http://am", tuple(results)),))

    @property
    def tickets(self) -> list[list[str]]:
        return [[alert.labels["ticket_id"] for alert in alerts] for alerts in self.pushed]


class Pages:
    """A pusher on one partition of alerts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Bench(register())
        self.runner = self.bench.own_alerts(0, resend_seconds=30)
        self.client = Client()
        self.heartbeat_age = 1.0
        monkeypatch.setattr(module, "now_ms", lambda: self.bench.now_ms)
        self.pusher = Pusher(
            self.bench.alerts,  # type: ignore[arg-type]
            self.client,  # type: ignore[arg-type]
            lambda: self.heartbeat_age,
            SESSION_SECONDS,
            interval_seconds=0.001,
        )

    async def push(self) -> None:
        """Let the pusher look once at every partition."""
        for partition, runner in list(self.bench.alerts.runners.items()):
            await self.pusher._push(partition, runner.processor)

    def passes(self, seconds: float) -> None:
        self.bench.now_ms += int(seconds * 1000)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> Pages:
    return Pages(monkeypatch)


async def test_what_fires_is_pushed_and_not_again_before_the_resend(pages: Pages) -> None:
    pages.runner.step(alert_record(alert(1)), alert_record(alert(2)))
    await pages.push()
    assert pages.client.tickets == [["INC-1", "INC-2"]]
    pages.passes(29)
    await pages.push()
    assert len(pages.client.pushed) == 1
    pages.passes(1)
    await pages.push()
    assert pages.client.tickets[1:] == [["INC-1", "INC-2"]]


async def test_with_nothing_due_nobody_is_asked(pages: Pages) -> None:
    await pages.push()
    assert pages.client.owned == []


async def test_a_push_that_failed_is_tried_again_soon_and_one_that_was_refused_only_at_the_resend(
    pages: Pages,
) -> None:
    pages.runner.step(alert_record(alert(1)), alert_record(alert(2)), alert_record(alert(3)))
    results = {"INC-1": PushResult.ACCEPTED, "INC-2": PushResult.FAILED, "INC-3": PushResult.REJECTED}
    pages.client.result = lambda pushed: results[pushed.labels["ticket_id"]]
    await pages.push()
    pages.passes(5)
    await pages.push()
    assert pages.client.tickets[1:] == [["INC-2"]]
    pages.passes(25)
    await pages.push()
    assert sorted(pages.client.tickets[2]) == ["INC-1", "INC-2", "INC-3"]


async def test_the_end_of_an_alert_is_pushed_at_once_and_again(pages: Pages) -> None:
    pages.runner.step(alert_record(alert(1)))
    await pages.push()
    pages.passes(10)
    pages.runner.step(alert_record(alert(1, AlertState.RESOLVED)))
    await pages.push()
    pages.passes(30)
    await pages.push()
    [firing], *ends = pages.client.pushed
    assert firing.ends_at_ms > pages.bench.now_ms
    assert [end.ends_at_ms for [end] in ends] == [firing.starts_at_ms + 10_000] * 2


# --- the guard ---------------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_once_half_a_session_has_passed_without_a_heartbeat(pages: Pages) -> None:
    """By the end of the session somebody else has the alerts, and Alertmanager can't tell us apart."""
    pages.runner.step(alert_record(alert()))
    pages.heartbeat_age = SESSION_SECONDS / 2 + 0.1
    await pages.push()
    assert pages.client.owned == []
    pages.heartbeat_age = SESSION_SECONDS / 2
    await pages.push()
    assert pages.client.tickets == [["INC-1"]], "nothing was lost meanwhile"


async def test_nothing_is_sent_by_a_worker_that_never_joined(pages: Pages) -> None:
    pages.runner.step(alert_record(alert()))
    pages.heartbeat_age = float("inf")
    await pages.push()
    assert pages.client.owned == []


async def test_nothing_is_sent_while_the_stage_is_suspended(pages: Pages) -> None:
    """A rebalance has begun: whose the alerts will be is being decided."""
    pages.runner.step(alert_record(alert()))
    pages.bench.alerts.is_ready = False
    await pages.push()
    assert pages.client.owned == []


async def test_nothing_is_sent_of_a_partition_that_was_given_up(pages: Pages) -> None:
    pages.runner.step(alert_record(alert()))
    processor = pages.runner.processor
    pages.bench.alerts.runners.clear()
    await pages.pusher._push(0, processor)
    assert pages.client.owned == []


async def test_nothing_is_sent_from_the_memory_of_a_former_ownership(pages: Pages) -> None:
    """Given up and taken back: what the old memory says may have been changed by the owner in between."""
    pages.runner.step(alert_record(alert()))
    former = pages.runner.processor
    pages.bench.own_alerts(0)
    await pages.pusher._push(0, former)
    assert pages.client.owned == []


Change = Callable[[Pages], Any]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pages: setattr(pages, "heartbeat_age", 16.0), id="no heartbeat"),
        pytest.param(lambda pages: setattr(pages.bench.alerts, "is_ready", False), id="suspended"),
        pytest.param(lambda pages: pages.bench.alerts.runners.clear(), id="given up"),
        pytest.param(lambda pages: pages.bench.own_alerts(0), id="taken back"),
    ],
)
async def test_what_is_lost_between_decision_and_request_is_asked_right_before_the_request(
    pages: Pages, change: Change
) -> None:
    pages.runner.step(alert_record(alert()))
    pages.client.meanwhile = lambda: change(pages)
    await pages.push()
    assert pages.client.owned == [False]
    assert pages.client.pushed == []
    assert pages.runner.step().rows == {}, "and nothing is noted as delivered"


async def test_a_dropped_push_is_made_up_for_when_ownership_was_confirmed(pages: Pages) -> None:
    pages.runner.step(alert_record(alert()))
    pages.client.meanwhile = lambda: setattr(pages, "heartbeat_age", 16.0)
    await pages.push()
    pages.client.meanwhile = lambda: None
    pages.heartbeat_age = 1.0
    pages.passes(5)
    await pages.push()
    assert pages.client.tickets == [["INC-1"]]


# --- for ever ----------------------------------------------------------------------------------------------------------


async def test_a_storm_is_pushed_in_parts(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ALERTS_A_PUSH >= 1_000
    monkeypatch.setattr(module, "MOST_ALERTS_A_PUSH", 3)
    pages.runner.step(*(alert_record(alert(number)) for number in range(7)))
    for _ in range(3):
        await pages.push()
    assert [len(alerts) for alerts in pages.client.pushed] == [3, 3, 1]


async def test_every_partition_that_is_owned_is_looked_at_again_and_again(pages: Pages) -> None:
    running = asyncio.create_task(pages.pusher.run())
    pages.runner.step(alert_record(alert(1)))
    other = pages.bench.own_alerts(3)
    other.step(alert_record(alert(2)))
    async with asyncio.timeout(5):
        while len(pages.client.pushed) < 2:  # noqa: ASYNC110 - the pusher tells nobody
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert sorted(pages.client.tickets) == [["INC-1"], ["INC-2"]]
