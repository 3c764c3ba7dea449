"""Buckets: where a verdict is counted, what goes out, what is stored and what is forgotten."""

from __future__ import annotations

import pytest

from sla.buckets import BUCKET_FORMAT, Buckets, Rollup
from sla.outcome import Result
from sla.row import RowFormatError
from sla.units import DAY_MS, MINUTE_MS

KEPT_MS = 10 * DAY_MS
NOON_MS = 20 * DAY_MS + DAY_MS // 2
MET, BREACHED = Result.MET.value, Result.BREACHED.value


@pytest.fixture
def buckets() -> Buckets:
    return Buckets(KEPT_MS)


def test_verdicts_of_one_minute_go_out_once_in_absolute_numbers(buckets: Buckets) -> None:
    for result, at_ms in ((MET, NOON_MS), (BREACHED, NOON_MS + MINUTE_MS - 1), (MET, NOON_MS + 1)):
        buckets.add("t", result, at_ms, 1, NOON_MS)
    rows: dict[bytes, bytes | None] = {}
    assert buckets.finish(rows) == [Rollup("t", NOON_MS, 2, 1)]
    assert len(rows) == 1
    buckets.add("t", MET, NOON_MS, 1, NOON_MS)
    assert buckets.finish(rows) == [Rollup("t", NOON_MS, 3, 1)]
    assert buckets.finish({}) == [], "nothing changed, nothing goes out"


@pytest.mark.parametrize("result", [result for result in Result if result.value not in {MET, BREACHED}])
def test_a_result_that_is_neither_met_nor_breached_counts_nowhere(buckets: Buckets, result: Result) -> None:
    buckets.add("t", result.value, NOON_MS, 1, NOON_MS)
    rows: dict[bytes, bytes | None] = {}
    assert buckets.finish(rows) == []
    assert rows == {}


def test_a_verdict_counted_out_leaves_an_empty_bucket_that_is_told(buckets: Buckets) -> None:
    buckets.add("t", BREACHED, NOON_MS, 1, NOON_MS)
    buckets.finish({})
    buckets.add("t", BREACHED, NOON_MS, -1, NOON_MS)
    assert buckets.finish({}) == [Rollup("t", NOON_MS, 0, 0)]


def test_what_goes_out_comes_in_the_order_of_targets_and_minutes(buckets: Buckets) -> None:
    for target_id, minute in (("b", 1), ("a", 2), ("a", 1)):
        buckets.add(target_id, MET, NOON_MS + minute * MINUTE_MS, 1, NOON_MS)
    told = [(rollup.target, (rollup.minute_ms - NOON_MS) // MINUTE_MS) for rollup in buckets.finish({})]
    assert told == [("a", 1), ("a", 2), ("b", 1)]


def test_buckets_go_on_from_their_rows(buckets: Buckets) -> None:
    buckets.add("größe:1", MET, NOON_MS, 1, NOON_MS)
    rows: dict[bytes, bytes | None] = {}
    buckets.finish(rows)
    restored = Buckets(KEPT_MS)
    for key, row in rows.items():
        assert row is not None
        restored.load(key, row)
    restored.add("größe:1", BREACHED, NOON_MS, 1, NOON_MS)
    assert restored.finish({}) == [Rollup("größe:1", NOON_MS, 1, 1)]


def test_a_row_of_a_newer_release_is_refused(buckets: Buckets) -> None:
    with pytest.raises(RowFormatError, match=f"bucket format {BUCKET_FORMAT + 1}, this release reads {BUCKET_FORMAT}"):
        buckets.load(b"b" + bytes(8) + b"t", bytes((BUCKET_FORMAT + 1,)) + bytes(8))


def test_a_change_to_a_minute_that_is_forgotten_goes_out_as_a_difference(buckets: Buckets) -> None:
    buckets.add("t", MET, NOON_MS, 1, NOON_MS)
    buckets.finish({})
    later_ms = NOON_MS + KEPT_MS + MINUTE_MS
    rows: dict[bytes, bytes | None] = {}
    buckets.expire(later_ms, rows)
    assert list(rows.values()) == [None]
    buckets.add("t", MET, NOON_MS, -1, later_ms)
    buckets.add("t", BREACHED, NOON_MS, 1, later_ms)
    assert buckets.finish({}) == [Rollup("t", NOON_MS, -1, 1, is_delta=True)]


def test_a_bucket_exactly_as_old_as_is_kept_stays(buckets: Buckets) -> None:
    buckets.add("t", MET, NOON_MS, 1, NOON_MS)
    buckets.finish({})
    rows: dict[bytes, bytes | None] = {}
    buckets.expire(NOON_MS + KEPT_MS, rows)
    assert rows == {}
    buckets.add("t", MET, NOON_MS, 1, NOON_MS + KEPT_MS)
    assert buckets.finish({}) == [Rollup("t", NOON_MS, 2, 0)]
