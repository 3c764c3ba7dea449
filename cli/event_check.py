"""What a worker would say of public events, told before they are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from config.settings import ClockMode, Settings
from sla.adjustment import Adjustment
from sla.events import Heartbeat, Reason, Rejected
from sla.units import format_instant
from sources.record import SourceEvent, to_wire
from streams.adjustment_codec import decode_adjustment
from streams.codecs import decode_ticket
from streams.topics import ADJUSTMENTS, TICKETS, UPTIME
from streams.uptime_codec import decode_uptime

_Decode = Callable[[bytes, bytes, int], Any]
_DECODERS: Final[Mapping[str, tuple[str, _Decode]]] = {
    TICKETS: ("ticket", decode_ticket),
    UPTIME: ("service", decode_uptime),
    ADJUSTMENTS: ("id", decode_adjustment),
}

CHECKED_TOPICS: Final = tuple(_DECODERS)
"""Topics whose records can be judged, without the prefix."""


def fault_of_mapped(event: SourceEvent, largest_bytes: int) -> str | None:
    """Return why a worker would refuse a ticket event that is about to be sent, or None."""
    decoded = decode_ticket(to_wire(event), event.key, largest_bytes)
    return said(decoded) if isinstance(decoded, Rejected) else None


def said(rejected: Rejected) -> str:
    """Render a rejection in one line."""
    return f"{rejected.reason.value}: {rejected.detail}"


class EventCheck:
    """Judges records of one file, one after another; the record's key is taken to be right.

    Parameters
    ----------
    settings : Settings
        Limits, and whether the clock is the wall's: then events dated after the present are refused.
    now_ms : int
        The present, UTC epoch ms.
    topic : str or None
        Logical name of the topic the records are for; None: told by the fields of each.
    """

    def __init__(self, settings: Settings, now_ms: int, topic: str | None = None) -> None:
        engine = settings.engine
        self._largest_bytes = engine.largest_event_bytes
        self._topic = topic
        self._now_ms = now_ms
        self._latest_ms: float = now_ms + engine.future_skew_seconds * 1000
        if engine.clock is not ClockMode.WALL:
            self._latest_ms = float("inf")
        self._known: dict[tuple[str, str, int], tuple[str, Any]] = {}

    def fault_of(self, value: bytes, place: str) -> str | None:
        """Return why a record would be refused, or None.

        An event whose id an earlier one has with other content is a fault too: only one of the two would count.
        """
        named = _fields_of(value)
        topic = self._topic or _topic_of(named)
        owner_field, decode = _DECODERS[topic]
        owner = str(named.get(owner_field, ""))
        decoded = decode(value, owner.encode(errors="replace"), self._largest_bytes)
        if isinstance(decoded, Rejected):
            return said(decoded)
        if isinstance(decoded, Adjustment):
            return None
        event = decoded[1] if isinstance(decoded, tuple) else decoded
        if event.at_ms > self._latest_ms:
            detail = f"`at` is {format_instant(event.at_ms)}, it is now {format_instant(self._now_ms)} - at `$.at`"
            return said(Rejected(Reason.FROM_THE_FUTURE, detail))
        if isinstance(event, Heartbeat):
            return None
        first, same = self._known.setdefault((topic, owner, event.uid), (place, event))
        if same != event:
            return f"id {named.get('id')!r} is taken by {first}, which says something else: one of the two would count"
        return None


def _fields_of(value: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _topic_of(named: Mapping[str, Any]) -> str:
    if "ticket" in named or "service" not in named:
        return TICKETS
    return ADJUSTMENTS if "recorded_by" in named else UPTIME
