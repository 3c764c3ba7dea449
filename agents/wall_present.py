"""The present of a partition of tickets by the wall clock: never later than what has been read, or may still come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streams.lane import Watermark
from streams.state_rows import Position

LARGEST_SILENCE_MS: Final = 5_000
"""Watermarks are asked for several times a second. After a longer silence the broker was away, or we were: then
publishers may hold events that happened before."""


class WallPresent:
    """What time it is in a partition of the tickets.

    Caught up with the end of the log it is the instant at which that end was asked for, else the Kafka timestamp of the
    last record processed: a resolve that stands in the log is read before its deadline is judged.

    A resolve may also be on its way, which is what the settling time after a deadline is for. An outage of the broker
    keeps publishers waiting for as long as it takes, so deadlines settle after it anew: the present stands still from
    the silence on until the broker has been heard again for the settling time.

    Parameters
    ----------
    settle_ms : int
        How long a publisher may take to deliver.
    now_ms : callable
        The wall clock, the one watermarks are stamped with.
    """

    def __init__(self, settle_ms: int, now_ms: Callable[[], int]) -> None:
        self._settle_ms = settle_ms
        self._now_ms = now_ms
        self._heard_ms: int | None = None
        self._steady_from_ms: int | None = None

    def __call__(self, timestamp_ms: int, position: Position, watermark: Watermark | None) -> int | None:
        """Return the present, or None while nothing newer is known.

        Parameters
        ----------
        timestamp_ms : int
            Of the last record of a chunk; -1 without one.
        position : Position
            Of the partition; its ``offset`` is the last one processed.
        watermark : Watermark or None
            Newest one of the partition; None before the first.
        """
        if watermark is not None and not self._is_steady(watermark.asked_at_ms):
            return None
        caught_up_ms = watermark.caught_up_at(position.offset) if watermark is not None else None
        if caught_up_ms is not None:
            return caught_up_ms
        return timestamp_ms if timestamp_ms >= 0 else None

    def _is_steady(self, asked_at_ms: int) -> bool:
        """Tell whether the broker is heard, and has been for long enough after a silence."""
        now_ms = self._now_ms()
        if self._heard_ms is not None and asked_at_ms - self._heard_ms > LARGEST_SILENCE_MS:
            self._steady_from_ms = asked_at_ms + self._settle_ms
        # The last condition: the clock was set back.
        if self._heard_ms is None or asked_at_ms > self._heard_ms or self._heard_ms > now_ms:
            self._heard_ms = asked_at_ms
        if now_ms - self._heard_ms > LARGEST_SILENCE_MS:
            return False
        if self._steady_from_ms is not None:
            # Its lower end: the clock was set back.
            if self._steady_from_ms - self._settle_ms <= now_ms < self._steady_from_ms:
                return False
            self._steady_from_ms = None
        return True
