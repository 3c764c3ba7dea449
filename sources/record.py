"""One ticket event as every source yields it, and its form on the topic ``sla.tickets``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sla.errors import UnitError
from sla.events import FEEDBACK, LATEST_EVENT_MS, rank_of
from sla.units import format_instant

WIRE_VERSION: Final = 1
"""Version of the public ticket event that this release writes."""

HEARTBEAT_KEY: Final = b"heartbeat"
"""Record key of a heartbeat. It goes to a partition named by number: the key does not choose it."""

FieldValue = str | int | float | bool
"""What a ticket field may hold on the wire; None in a change removes the field."""


class SourceEvent(msgspec.Struct, frozen=True, gc=False):
    """One fact about one ticket, as a source tells it.

    Attributes
    ----------
    ticket : str
        Ticket id; the key of the record on Kafka.
    at_ms : int
        When it happened in the source system (event time, UTC epoch ms).
    id : str
        Identity within the ticket: two events of one ticket with one id are one event.
    event : str
        What happened: a word of :mod:`sla.events` or of the publisher's own. ``feedback`` is sent as the wire type
        ``feedback``.
    sequence : int or None
        The source's own order among events of one instant; None where it gives none.
    fields : dict
        *Changes* of ticket fields by this event; None removes a field.
    """

    ticket: str
    at_ms: int
    id: str
    event: str
    sequence: int | None = None
    fields: dict[str, FieldValue | None] = {}

    @property
    def order(self) -> tuple[int, str, int, int, str]:
        """Total order over all tickets: instant, ticket, sequence, precedence of the kind, id.

        It holds nothing of where the event stood in its file, so the order of cases in a file does not matter.
        """
        return (self.at_ms, self.ticket, self.sequence or 0, rank_of(self.event), self.id)

    @property
    def key(self) -> bytes:
        """Record key on Kafka."""
        return self.ticket.encode()


def changes_between(before: Mapping[str, FieldValue], after: Mapping[str, FieldValue]) -> dict[str, FieldValue | None]:
    """Return what has to be set (or removed: None) to turn the fields ``before`` into the fields ``after``."""
    changes: dict[str, FieldValue | None] = {name: None for name in before if name not in after}
    changes |= {name: value for name, value in after.items() if name not in before or before[name] != value}
    return changes


def checked_instant(at_ms: int) -> int:
    """Return an instant that an event may have.

    Raises
    ------
    UnitError
        If it lies before 1970 or after 2299: seconds taken for milliseconds, or the reverse.
    """
    if not 0 <= at_ms <= LATEST_EVENT_MS:
        raise UnitError(f"{at_ms} ms since 1970 is no instant of the years 1970 to 2299")
    return at_ms


_encode = msgspec.json.Encoder().encode


def to_wire(event: SourceEvent) -> bytes:
    """Return the public JSON document of an event, one line without a line end.

    Instants are RFC 3339 in UTC with milliseconds. ``sequence`` is left out where the source gives none.
    """
    document: dict[str, object] = {"version": WIRE_VERSION, "type": "ticket", "id": event.id, "ticket": event.ticket}
    if event.event == FEEDBACK:
        document["type"] = "feedback"
    else:
        document["event"] = event.event
    document["at"] = format_instant(event.at_ms)
    if event.sequence is not None:
        document["sequence"] = event.sequence
    document["fields"] = event.fields
    return _encode(document)


def heartbeat_to_wire(at_ms: int) -> bytes:
    """Return the JSON document of a heartbeat: "every event up to ``at_ms`` has been sent to this partition"."""
    return _encode({"version": WIRE_VERSION, "type": "heartbeat", "at": format_instant(at_ms)})
