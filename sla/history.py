"""The history of one ticket: every event, in order, kept encoded until someone wants to read it.

Most events come in order and only lengthen their ticket's history. What they need of it is its last instant (is this
one later?), its identities (is this one known?) and its end: none of that decodes an event. A fold from the start does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, overload

import msgspec
from typing_extensions import override

from sla.events import TicketEvent

_encode = msgspec.msgpack.Encoder().encode
_decode_all = msgspec.msgpack.Decoder(list[TicketEvent]).decode

_NO_INSTANT_MS: Final = -1
_SHORT_ARRAY: Final = 0x90
_ARRAY_16: Final = b"\xdc"
_ARRAY_32: Final = b"\xdd"
_LARGEST_SHORT: Final = 15
_LARGEST_16: Final = 0xFFFF


class History(Sequence[TicketEvent]):
    """Events of one ticket, ascending by :attr:`~sla.events.TicketEvent.order`, each identity once.

    Parameters
    ----------
    events : iterable of TicketEvent
        In order.
    encoded, count, last_ms
        Or, instead of them, what :attr:`encoded`, ``len`` and :attr:`last_ms` gave.
    """

    __slots__ = ("_count", "_encoded", "_events", "last_ms")

    last_ms: int
    """Instant of the newest event; -1 while there is none."""

    def __init__(
        self,
        events: Iterable[TicketEvent] = (),
        *,
        encoded: bytes | None = None,
        count: int = 0,
        last_ms: int = _NO_INSTANT_MS,
    ) -> None:
        # At least one of the two representations is there at any time.
        self._encoded = encoded
        self._events: list[TicketEvent] | None
        if encoded is None:
            self._events = list(events)
            self._count = len(self._events)
            self.last_ms = self._events[-1].at_ms if self._events else _NO_INSTANT_MS
        else:
            self._events = None
            self._count = count
            self.last_ms = last_ms

    @property
    def encoded(self) -> bytes:
        """The events as MessagePack, one after another."""
        encoded = self._encoded
        if encoded is None:
            assert self._events is not None
            encoded = self._encoded = b"".join(map(_encode, self._events))
        return encoded

    @property
    def events(self) -> list[TicketEvent]:
        """The events, decoded; not to be changed."""
        events = self._events
        if events is None:
            assert self._encoded is not None
            events = self._events = _decode_all(_array_head(self._count) + self._encoded)
        return events

    def ends_after(self, event: TicketEvent) -> bool:
        """Tell whether the newest event is later, in their order, than a given one."""
        # The instants decide nearly always.
        return self.last_ms > event.at_ms or (self.last_ms == event.at_ms and self.events[-1].order > event.order)

    def append(self, event: TicketEvent) -> None:
        """Add an event that is later than all others."""
        if self._events is not None:
            self._events.append(event)
        if self._encoded is not None:
            self._encoded += _encode(event)
        self._count += 1
        self.last_ms = event.at_ms

    def pop(self) -> TicketEvent:
        """Take the newest event out again."""
        event = self.events.pop()
        self._encoded = None
        self._count -= 1
        self.last_ms = self.events[-1].at_ms if self._count else _NO_INSTANT_MS
        return event

    def index_of(self, uid: int) -> int | None:
        """Return the place of the event with this identity, or None."""
        # Bytes of an identity that turn up anywhere else are no more than a reason to look.
        if self._encoded is not None and _encode(uid) not in self._encoded:
            return None
        for index, event in enumerate(self.events):
            if event.uid == uid:
                return index
        return None

    @overload
    def __getitem__(self, index: int) -> TicketEvent: ...

    @overload
    def __getitem__(self, index: slice) -> list[TicketEvent]: ...

    @override
    def __getitem__(self, index: int | slice) -> TicketEvent | list[TicketEvent]:
        return self.events[index]

    @override
    def __iter__(self) -> Iterator[TicketEvent]:
        return iter(self.events)

    @override
    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count > 0

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, History):
            return self.events == other.events
        return self.events == other

    __hash__ = None  # type: ignore[assignment]

    @override
    def __repr__(self) -> str:
        return f"History({self.events!r})"


def _array_head(count: int) -> bytes:
    """Return what makes ``count`` MessagePack values one array."""
    if count <= _LARGEST_SHORT:
        return bytes((_SHORT_ARRAY | count,))
    if count <= _LARGEST_16:
        return _ARRAY_16 + count.to_bytes(2, "big")
    return _ARRAY_32 + count.to_bytes(4, "big")
