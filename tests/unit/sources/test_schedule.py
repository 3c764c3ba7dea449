"""Heartbeats stand where they are true, and real time waits as long as the pace says."""

import pytest

from sources.record import SourceEvent
from sources.schedule import Beat, OutOfOrderError, Pace, schedule


def _at(*instants: int) -> list[SourceEvent]:
    return [SourceEvent("A", at_ms, f"A/{n}", "updated") for n, at_ms in enumerate(instants)]


def _shown(items) -> list[int | str]:
    return [f"beat {item.at_ms}" if isinstance(item, Beat) else item.at_ms for item in items]


def test_a_heartbeat_comes_after_the_events_of_its_own_instant_and_before_later_ones():
    items = schedule(_at(50, 100, 100, 101), heartbeat_every_ms=100)

    assert _shown(items) == [50, 100, 100, "beat 100", 101, "beat 101"]


def test_a_silence_is_filled_with_heartbeats():
    items = list(schedule(_at(5, 35), heartbeat_every_ms=10))

    assert _shown(items) == [5, "beat 10", "beat 20", "beat 30", 35, "beat 35"]
    assert [item.is_last for item in items if isinstance(item, Beat)] == [False, False, False, True]


def test_until_leaves_later_events_out_and_ends_with_its_own_heartbeat():
    assert _shown(schedule(_at(5, 25, 26), heartbeat_every_ms=10, until_ms=25)) == [
        5, "beat 10", "beat 20", 25, "beat 25",
    ]  # fmt: skip


def test_until_after_the_newest_event_lets_time_pass():
    assert _shown(schedule(_at(5), heartbeat_every_ms=10, until_ms=30)) == [5, "beat 10", "beat 20", "beat 30"]


def test_history_has_no_heartbeats():
    assert _shown(schedule(_at(1, 12, 31, 38), heartbeat_every_ms=10, from_ms=30)) == [
        1, 12, "beat 30", 31, 38, "beat 38",
    ]  # fmt: skip


def test_without_events_there_is_a_heartbeat_only_where_until_asks_for_it():
    assert _shown(schedule([], heartbeat_every_ms=10)) == []
    assert _shown(schedule([], heartbeat_every_ms=10, until_ms=15)) == ["beat 15"]


def test_events_out_of_order_are_refused():
    with pytest.raises(OutOfOrderError, match="A/1 at 4 comes after one at 5"):
        list(schedule(_at(5, 4), heartbeat_every_ms=10))


def test_events_are_taken_one_by_one():
    def endless():
        at_ms = 0
        while True:
            at_ms += 1
            yield SourceEvent("A", at_ms, f"A/{at_ms}", "updated")

    items = schedule(endless(), heartbeat_every_ms=10)

    assert [next(items).at_ms for _ in range(12)] == [*range(1, 11), 10, 11]


def test_at_sixty_an_hour_of_events_takes_a_minute():
    assert Pace(1_000_000, 60).due_seconds(1_000_000 + 3_600_000) == 60


def test_history_and_full_speed_are_due_at_once():
    assert Pace(1_000_000, 60).due_seconds(5) == 0
    assert Pace(0, None).due_seconds(10**12) == 0
