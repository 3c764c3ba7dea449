"""When a player sends what: events in event time, heartbeats between them, and how long real time has to wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sla.units import HOUR_MS, MINUTE_MS

HEARTBEAT_EVERY_MS = MINUTE_MS
"""Event time between heartbeats of a paced player: how finely warnings and breaches are placed in time."""

HEARTBEAT_EVERY_MS_AT_FULL_SPEED = HOUR_MS
"""The same at full speed, where nobody watches them come and heartbeats would outnumber the events."""


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat to every partition.

    Attributes
    ----------
    at_ms : int
        Every event up to and including this instant comes before it.
    is_last : bool
        Nothing comes after it: it may be sent only when every event has been acknowledged.
    """

    at_ms: int
    is_last: bool = False


class OutOfOrderError(ValueError):
    """Events given to a schedule out of the order of event time."""


class Timed(Protocol):
    """What a schedule can place: ticket events, samples of services."""

    @property
    def id(self) -> str:
        """Its identity, for messages."""

    @property
    def at_ms(self) -> int:
        """When it happened, UTC epoch ms."""


_Event = TypeVar("_Event", bound=Timed)


def schedule(
    events: Iterable[_Event], *, heartbeat_every_ms: int, from_ms: int | None = None, until_ms: int | None = None
) -> Iterator[_Event | Beat]:
    """Merge events with heartbeats.

    A heartbeat T says "every event up to and including T has been sent", so it comes after the last of those and before
    the first later one. Heartbeats fall on whole multiples of ``heartbeat_every_ms`` since the epoch; the last one is
    at ``until_ms``.

    Parameters
    ----------
    events : iterable
        In ascending order of ``at_ms``; read lazily.
    heartbeat_every_ms : int
        Event time between heartbeats, > 0.
    from_ms : int or None
        No heartbeat before this instant (events before it are history); default: the first event.
    until_ms : int or None
        Events later than this are left out, the last heartbeat is here; default: the newest event.

    Yields
    ------
    the events and Beat
        In the order of sending. Without events there is a heartbeat at ``until_ms`` only, if that is given.

    Raises
    ------
    OutOfOrderError
        If an event is earlier than the one before it.
    """
    if heartbeat_every_ms <= 0:
        raise ValueError("heartbeat_every_ms must be positive")
    beat_ms: int | None = None
    newest_ms: int | None = None
    if from_ms is not None:
        beat_ms = _next_multiple(from_ms, heartbeat_every_ms)
    for event in events:
        if newest_ms is not None and event.at_ms < newest_ms:
            raise OutOfOrderError(f"event {event.id} at {event.at_ms} comes after one at {newest_ms}")
        if until_ms is not None and event.at_ms > until_ms:
            break
        if beat_ms is None:
            beat_ms = _next_multiple(event.at_ms, heartbeat_every_ms)
        while beat_ms < event.at_ms:
            yield Beat(beat_ms)
            beat_ms += heartbeat_every_ms
        newest_ms = event.at_ms
        yield event
    last_ms = newest_ms if until_ms is None else until_ms
    if last_ms is None:
        return
    while beat_ms is not None and beat_ms < last_ms:
        yield Beat(beat_ms)
        beat_ms += heartbeat_every_ms
    yield Beat(last_ms, is_last=True)


def _next_multiple(instant_ms: int, step_ms: int) -> int:
    return -(-instant_ms // step_ms) * step_ms


@dataclass(frozen=True, slots=True)
class Pace:
    """How event time runs against real time.

    Attributes
    ----------
    origin_ms : int
        Event instant that is sent at once, at real second 0.
    speed : float or None
        Seconds of event time per second of real time; None: as fast as possible.
    """

    origin_ms: int
    speed: float | None

    def due_seconds(self, at_ms: int) -> float:
        """Return the real second since the start at which an event instant is due; 0 for history and at full speed."""
        if self.speed is None:
            return 0.0
        return max(0.0, (at_ms - self.origin_ms) / 1000 / self.speed)
