"""Live, ready and the event loop's lag."""

import asyncio
import time

import pytest

from export.exposition import Exposition
from export.health import CheckResult, EventLoopProbe, Health
from export.metrics import Metrics


def passing() -> CheckResult:
    return CheckResult(ok=True, detail="connected")


def failing() -> CheckResult:
    return CheckResult(ok=False, detail="restoring partition 3")


def test_a_worker_that_restores_is_alive_and_not_ready() -> None:
    health = Health()
    health.add("loop", passing, live=True)
    health.add("state", failing)
    assert health.live().ok
    assert not health.ready().ok
    assert health.ready().document() == {
        "status": "failing",
        "reasons": ["state: restoring partition 3"],
        "checks": {
            "loop": {"ok": True, "detail": "connected"},
            "state": {"ok": False, "detail": "restoring partition 3"},
        },
    }


def test_a_failing_live_check_counts_for_readiness_too() -> None:
    health = Health()
    health.add("fatal", failing, live=True)
    assert not health.live().ok
    assert not health.ready().ok


def test_without_checks_all_is_well() -> None:
    assert Health().live().ok
    assert Health().ready().document()["status"] == "ok"


def test_a_check_that_raises_fails_and_says_so() -> None:
    def broken() -> CheckResult:
        raise KeyError("x")

    health = Health()
    health.add("kafka", broken)
    assert health.ready().checks["kafka"] == CheckResult(ok=False, detail="the check itself failed: KeyError: 'x'")


def test_names_are_unique_and_a_check_can_be_taken_away() -> None:
    health = Health()
    health.add("kafka", failing)
    with pytest.raises(ValueError, match="kafka"):
        health.add("kafka", passing)
    health.remove("kafka")
    health.remove("kafka")
    assert health.ready().ok


async def test_readiness_is_a_metric() -> None:
    metrics = Metrics(version="1")
    health = Health(metrics)
    health.add("kafka", passing)
    health.add("state", failing)
    pages = Exposition(metrics, max_age_seconds=0, process_metrics=False)
    body = (await pages.page()).body.decode()
    assert "slawatch_ready 0.0" in body
    assert 'slawatch_health_check_ok{check="kafka"} 1.0' in body
    assert 'slawatch_health_check_ok{check="state"} 0.0' in body
    health.remove("state")
    body = (await pages.page()).body.decode()
    assert "slawatch_ready 1.0" in body
    assert 'check="state"' not in body


async def test_a_blocked_event_loop_is_seen_for_the_length_of_the_window() -> None:
    metrics = Metrics(version="1")
    probe = EventLoopProbe(interval_seconds=0.01, window_seconds=0.05, limit_seconds=0.1, metrics=metrics)
    assert probe.check().ok
    probe.start()
    probe.start()  # once is enough
    await asyncio.sleep(0.03)
    time.sleep(0.2)  # noqa: ASYNC251 - the fault that is to be seen
    await asyncio.sleep(0.02)
    assert probe.lag_seconds() >= 0.15
    assert not probe.check().ok
    assert "limit 0.1 s" in probe.check().detail
    assert metrics.event_loop_lag_seconds.labels().value == pytest.approx(probe.lag_seconds(), abs=0.2)
    deadline = time.monotonic() + 5
    while not probe.check().ok:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await probe.stop()
    await probe.stop()
