"""What time it is in a partition: never later than what was read, or may still come."""

from __future__ import annotations

from agents.wall_present import LARGEST_SILENCE_MS, WallPresent
from streams.lane import Watermark
from streams.state_rows import Position

SETTLE_MS = 30_000
START_MS = 1_800_000_000_000


class Clock:
    """The wall clock of a test, and a broker that is asked by it."""

    def __init__(self, settle_ms: int = SETTLE_MS) -> None:
        self.now_ms = START_MS
        self.present = WallPresent(settle_ms, lambda: self.now_ms)

    def asked(self, *, end: int = 10) -> Watermark:
        return Watermark(asked_at_ms=self.now_ms, end=end, position=0, handed_out=-1)


def at(offset: int) -> Position:
    return Position(offset=offset)


def test_before_the_end_is_known_it_is_the_time_of_the_last_record() -> None:
    present = Clock().present
    assert present(START_MS - 5, at(3), None) == START_MS - 5
    assert present(-1, at(3), None) is None


def test_behind_the_end_it_is_the_time_of_the_last_record() -> None:
    clock = Clock()
    assert clock.present(START_MS - 5, at(8), clock.asked(end=10)) == START_MS - 5
    assert clock.present(-1, at(8), clock.asked(end=10)) is None


def test_at_the_end_it_is_the_instant_the_end_was_asked_for() -> None:
    clock = Clock()
    watermark = clock.asked(end=10)
    clock.now_ms += 200
    assert clock.present(-1, at(9), watermark) == START_MS
    assert clock.present(START_MS - 5, at(9), watermark) == START_MS


def test_it_stands_still_while_the_broker_is_silent_whatever_is_still_processed() -> None:
    clock = Clock()
    watermark = clock.asked(end=10)
    assert clock.present(-1, at(9), watermark) == START_MS
    clock.now_ms += LARGEST_SILENCE_MS + 1
    assert clock.present(-1, at(9), watermark) is None
    assert clock.present(clock.now_ms, at(10), watermark) is None


def test_after_a_silence_deadlines_settle_anew() -> None:
    clock = Clock()
    clock.present(-1, at(9), clock.asked())
    clock.now_ms += 3_600_000
    back_ms = clock.now_ms
    while clock.now_ms < back_ms + SETTLE_MS:
        assert clock.present(-1, at(9), clock.asked()) is None
        assert clock.present(clock.now_ms, at(8), clock.asked()) is None
        clock.now_ms += 250
    assert clock.present(-1, at(9), clock.asked()) == back_ms + SETTLE_MS


def test_a_silence_is_noticed_also_when_nobody_asked_for_the_time_meanwhile_but_partitions_asked_together_are_none() -> (
    None
):
    clock = Clock()
    before = clock.asked()
    clock.now_ms += 1_000
    newer = clock.asked()
    assert clock.present(-1, at(9), newer) == START_MS + 1_000
    assert clock.present(-1, at(9), before) == START_MS
    assert clock.present(-1, at(9), newer) == START_MS + 1_000
    clock.now_ms += LARGEST_SILENCE_MS + 1
    assert clock.present(-1, at(9), clock.asked()) is None


def test_a_pause_shorter_than_a_silence_holds_nothing_up() -> None:
    clock = Clock()
    clock.present(-1, at(9), clock.asked())
    clock.now_ms += LARGEST_SILENCE_MS
    assert clock.present(-1, at(9), clock.asked()) == clock.now_ms


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    clock = Clock()
    clock.present(-1, at(9), clock.asked())
    clock.now_ms += 60_000
    assert clock.present(-1, at(9), clock.asked()) is None
    clock.now_ms -= 7_200_000
    assert clock.present(-1, at(9), clock.asked()) == clock.now_ms
    clock.now_ms += 1_000
    assert clock.present(-1, at(9), clock.asked()) == clock.now_ms
    watermark = clock.asked()
    clock.now_ms += LARGEST_SILENCE_MS + 1
    assert clock.present(-1, at(9), watermark) is None, "a silence is noticed by the clock as it is now"


def test_without_a_settling_time_a_silence_ends_at_once() -> None:
    clock = Clock(settle_ms=0)
    clock.present(-1, at(9), clock.asked())
    clock.now_ms += 60_000
    assert clock.present(-1, at(9), clock.asked()) == clock.now_ms
