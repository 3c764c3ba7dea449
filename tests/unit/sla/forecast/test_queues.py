"""Queues of teams and their pace."""

from __future__ import annotations

from math import inf

import pytest

from sla.forecast.queues import THROUGHPUT_HALF_LIFE_MS, TeamQueues
from sla.units import DAY_MS


def test_a_queue_is_what_came_and_did_not_leave() -> None:
    queues = TeamQueues()
    for _ in range(3):
        queues.enter("sla/resolution", "V30")
    queues.leave("sla/resolution", "V30")
    assert queues.state("sla/resolution", "V30", 0).open == 2
    assert queues.state("sla/response", "V30", 0).open == 0
    assert queues.state("sla/resolution", "D5", 0).open == 0


def test_a_team_that_stops_ten_a_day_has_that_pace() -> None:
    queues = TeamQueues()
    for number in range(1_000):
        queues.stop("s", "V30", number * DAY_MS // 10)
    assert queues.state("s", "V30", 100 * DAY_MS).stops_per_day == pytest.approx(10, rel=0.05)
    later = queues.state("s", "V30", 100 * DAY_MS + THROUGHPUT_HALF_LIFE_MS).stops_per_day
    assert later == pytest.approx(5, rel=0.05)


def test_load_is_the_queue_in_days_of_the_teams_pace() -> None:
    queues = TeamQueues()
    assert queues.state("s", "V30", 0).load_days == 0
    queues.enter("s", "V30")
    assert queues.state("s", "V30", 0).load_days == inf
    for number in range(100):
        queues.stop("s", "V30", number * DAY_MS)
    assert queues.state("s", "V30", 100 * DAY_MS).load_days == pytest.approx(1, rel=0.1)


def test_stored_queues_come_back_as_they_were() -> None:
    queues = TeamQueues()
    queues.enter("s", "V30")
    queues.stop("s", "V30", 5)
    queues.stop("s", "D5", DAY_MS)
    restored = TeamQueues.restored(queues.document())
    for team in ("V30", "D5"):
        assert restored.state("s", team, 2 * DAY_MS) == queues.state("s", team, 2 * DAY_MS)
