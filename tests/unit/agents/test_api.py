"""What a worker answers on /v1: the partitions it owns, and no others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.api import MOST_ALERTS, Api
from sla.buckets import Rollup
from sla.outcome import AlertState
from streams.rollups import encode_progress, encode_rollup
from tests.support.application import NOW_MS, Bench
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import (
    PARTITIONS,
    alert,
    alert_record,
    event_record,
    heartbeat_record,
    made_by,
    ticket_on,
)

REGISTER = register(
    target("resolution", within="8bh", warn=("0.5",), attain="0.9"),
    target("repair", contract="garage", applies_to={"service": "cars"}, attain="0.5"),
)


@pytest.fixture
def bench() -> Bench:
    return Bench(REGISTER)


async def answer(bench: Bench, path: str) -> Any:
    """Ask as a client does: what is answered has to be JSON."""
    found = await Api(bench).routes()[path](None)  # type: ignore[arg-type]
    return json.loads(json.dumps(found))


def counted(target_id: str, met: int, breached: int, seq: int) -> Record:
    value = encode_rollup(Rollup(target_id, at("mon 09:00"), met, breached))
    return made_by(Record(0, b"k", value, NOW_MS), "sla.tickets/0", seq)


def everybody_reports(now: str) -> list[Record]:
    return [
        made_by(Record(0, b"k", encode_progress(at(now)), NOW_MS), f"sla.tickets/{number}", 9)
        for number in range(PARTITIONS)
    ]


async def test_a_worker_without_partitions_answers_with_nothing(bench: Bench) -> None:
    assert await answer(bench, "/v1/objectives") == []
    assert await answer(bench, "/v1/alerts") == []
    assert await answer(bench, "/v1/clocks") == {"now": None, "tickets_kept": 0, "targets": {}}


# --- objectives --------------------------------------------------------------------------------------------------------


async def test_objectives_come_with_attainment_and_budget_of_their_window(bench: Bench) -> None:
    bench.own_objectives(0).step(counted("resolution", 7, 3, 1), *everybody_reports("mon 10:00"))
    [objective] = await answer(bench, "/v1/objectives")
    assert objective == {
        "objective": "resolution",
        "contract": "desk",
        "attain": 0.9,
        "window": "month",
        "window_start": "2026-02-28T23:00:00.000Z",
        "met": 7,
        "breached": 3,
        "attained_ratio": 0.7,
        # Ten events in the one hour observed are 7,430 in the month's 743 (clocks go forward): 743 may be breached.
        "budget_remaining_ratio": pytest.approx(1 - 3 / 743),
        "budget_remaining_events": pytest.approx(740),
        "budget_remaining_minutes": pytest.approx(74.3 * 60 * (1 - 3 / 743)),
        "budget_is_estimated": True,
        "burn_rates": {
            "1h": pytest.approx(3.0),
            "6h": pytest.approx(3 / 6),
            "1d": pytest.approx(3 / 24),
            "3d": pytest.approx(3 / 72),
        },
        "burning": [],
        # Observed since 09:00 of the second day: one of 34 hours.
        "coverage_ratio": pytest.approx(1 / 34),
        "watermark": "2026-03-02T09:00:00.000Z",
    }


async def test_before_every_partition_has_reported_there_is_no_window(bench: Bench) -> None:
    bench.own_objectives(0).step(counted("resolution", 7, 3, 1), *everybody_reports("mon 10:00")[1:])
    [objective] = await answer(bench, "/v1/objectives")
    assert (objective["watermark"], objective["window_start"]) == (None, None)
    assert objective["coverage_ratio"] == (PARTITIONS - 1) / PARTITIONS


async def test_an_objective_without_events_has_no_attainment(bench: Bench) -> None:
    bench.own_objectives(0).step(counted("resolution", 0, 0, 1), *everybody_reports("mon 10:00"))
    [objective] = await answer(bench, "/v1/objectives")
    assert (objective["attained_ratio"], objective["budget_remaining_ratio"]) == (None, None)


async def test_objectives_of_all_owned_partitions_come_in_the_order_of_their_names(bench: Bench) -> None:
    bench.own_objectives(0).step(counted("resolution", 1, 0, 1))
    bench.own_objectives(3).step(counted("repair", 1, 1, 1))
    assert [found["objective"] for found in await answer(bench, "/v1/objectives")] == ["repair", "resolution"]


# --- clocks ------------------------------------------------------------------------------------------------------------


async def test_open_clocks_are_added_up_over_partitions_by_target(bench: Bench) -> None:
    for partition in (0, 1):
        runner = bench.own_tickets(partition)
        runner.step(event_record(ticket_on(partition)), heartbeat_record("mon 13:00"))
    bench.own_tickets(2).step(event_record(ticket_on(2)), heartbeat_record("mon 17:00:30"))
    found = await answer(bench, "/v1/clocks")
    assert found == {
        "now": "2026-03-02T12:00:00.000Z",
        "tickets_kept": 3,
        "targets": {"resolution": {"contract": "desk", "open": 3, "at_risk": 2, "breached_open": 1}},
    }


async def test_without_any_event_there_is_no_present(bench: Bench) -> None:
    bench.own_tickets(0)
    assert (await answer(bench, "/v1/clocks"))["now"] is None


async def test_targets_come_in_the_order_of_their_names(bench: Bench) -> None:
    bench.own_tickets(0).step(
        event_record(ticket_on(0)), event_record(ticket_on(0, 1), service="cars"), heartbeat_record("mon 10:00")
    )
    assert list((await answer(bench, "/v1/clocks"))["targets"]) == ["repair", "resolution"]


# --- alerts ------------------------------------------------------------------------------------------------------------


async def test_alerts_that_fire_come_first(bench: Bench) -> None:
    runner = bench.own_alerts(0)
    runner.step(*(alert_record(alert(number)) for number in (3, 1, 2)))
    book = runner.processor.book
    book.pushed(book.due(bench.now_ms), bench.now_ms)
    runner.step(alert_record(alert(1, AlertState.RESOLVED)))
    bench.own_alerts(1).step(alert_record(alert(0)))
    found = await answer(bench, "/v1/alerts")
    assert [(document["labels"]["ticket_id"], document["state"]) for document in found] == [
        ("INC-0", "firing"),
        ("INC-2", "firing"),
        ("INC-3", "firing"),
        ("INC-1", "resolved"),
    ]
    assert found[0]["starts_at"].endswith("Z")
    assert found[0]["annotations"]["summary"] == "INC-0 is at risk"


async def test_of_a_storm_only_the_first_are_told(bench: Bench) -> None:
    bench.own_alerts(0).step(*(alert_record(alert(number)) for number in range(MOST_ALERTS + 50)))
    assert len(await answer(bench, "/v1/alerts")) == MOST_ALERTS
