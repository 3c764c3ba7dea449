"""The agreement `incident-log` over whole logs: what the engine finds is what a second, simple computation finds."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from cli.state import ClockLine
from tests.support.incident_log import DAY_MS, Expected, Open, Verdict, expect
from tests.support.replay import Replayed, example_register, records_of, replay
from tests.support.synthetic_log import write_log

pytestmark = pytest.mark.property


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def found_verdicts(replayed: Replayed) -> dict[str, Verdict]:
    found = {}
    for clock_id, line in replayed.verdicts.items():
        document = json.loads(line)
        stop = document["stop"]
        found[clock_id] = Verdict(
            document["outcome"],
            ms(document["start"]),
            ms(document["deadline"]),
            None if stop is None else ms(stop),
            round(document["consumed_seconds"] * 1000),
        )
    return found


def open_clocks(lines: dict[str, ClockLine]) -> dict[str, Open]:
    return {
        clock_id: Open(
            line.phase,
            ms(line.start),
            None if line.deadline is None else ms(line.deadline),
            round(line.consumed_seconds * 1000),
        )
        for clock_id, line in lines.items()
        if line.outcome == "open"
    }


def assert_equal(replayed: Replayed, expected: Expected) -> None:
    assert found_verdicts(replayed) == expected.verdicts
    assert open_clocks(replayed.clocks) == expected.open
    assert not replayed.rejected


@pytest.mark.parametrize("seed", range(4))
def test_every_clock_of_a_made_up_log_is_as_computed_by_hand(tmp_path: Path, seed: int) -> None:
    log = write_log(tmp_path / "log.xes.gz", seed=seed, cases=800)
    expected = expect(log)
    kinds = Counter(verdict.outcome for verdict in expected.verdicts.values())
    assert min(kinds[outcome] for outcome in ("met", "breached", "cancelled", "superseded")) > 20
    assert len(expected.open) > 20
    replayed = replay(
        records_of(log, 3), example_register(), draw=random.Random(seed), largest_chunk=900, retention_days=400
    )
    assert_equal(replayed, expected)


@pytest.mark.parametrize("largest_chunk", [1, 60, 4_000, 60_000])
def test_what_is_forgotten_does_not_depend_on_chunks(tmp_path: Path, largest_chunk: int) -> None:
    log = write_log(tmp_path / "log.xes.gz", seed=17, cases=800)
    expected = expect(log, retention_ms=5 * DAY_MS)
    assert expected.forgotten > 20
    assert expected.verdicts != expect(log).verdicts
    replayed = replay(
        records_of(log, 2), example_register(), draw=random.Random(1), largest_chunk=largest_chunk, retention_days=5
    )
    assert found_verdicts(replayed) == expected.verdicts


@pytest.mark.skipif("SLAWATCH_TEST_INCIDENT_LOG" not in os.environ, reason="SLAWATCH_TEST_INCIDENT_LOG names no log")
def test_every_clock_of_the_real_log_is_as_computed_by_hand() -> None:
    log = Path(os.environ["SLAWATCH_TEST_INCIDENT_LOG"])
    expected = expect(log)
    assert len(expected.verdicts) > 7_000
    replayed = replay(
        records_of(log, 4), example_register(), draw=random.Random(3), largest_chunk=4096, retention_days=400
    )
    assert_equal(replayed, expected)
