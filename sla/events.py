"""Facts that come in: what happened to a ticket, and why an event can be refused.

A verdict is a pure function of the *set* of a ticket's events, so an event needs an identity (``id``) and a total
order (:attr:`TicketEvent.order`): any permutation and any duplication of them gives the same verdicts.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

# The vocabulary of `event` that slawatch itself gives a meaning to. Publishers may send any other word; contracts
# can name it in their conditions.
CREATED: Final = "created"
UPDATED: Final = "updated"
RESPONDED: Final = "responded"
RESOLVED: Final = "resolved"
CLOSED: Final = "closed"
REOPENED: Final = "reopened"
CANCELLED: Final = "cancelled"
MERGED: Final = "merged"
FEEDBACK: Final = "feedback"

_RANK: Final = {CREATED: 0, RESPONDED: 2, RESOLVED: 3, CLOSED: 4, CANCELLED: 5, MERGED: 6, REOPENED: 7, FEEDBACK: 8}
_RANK_OF_OTHERS: Final = 1


LATEST_EVENT_MS: Final = 10_413_791_999_999
"""2299-12-31T23:59:59.999Z: no event may say that it happened later; the first instant is the epoch. Deadlines must lie
within what calendars cover, and they end a century after this."""


def rank_of(event: str) -> int:
    """Return the place of an event kind among events of one ticket at one instant without a sequence."""
    return _RANK.get(event, _RANK_OF_OTHERS)


class TicketEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One fact about one ticket.

    Attributes
    ----------
    at_ms : int
        When it happened in the source system (event time).
    sequence : int
        The source system's own order among events of one instant; 0 where it gives none.
    rank : int
        Precedence of the kind of event among events of one instant and sequence, see :func:`rank_of`.
    uid : int
        63-bit hash of the event's id: its identity. Two events of one uid are one event.
    event : str
        What happened: ``created``, ``resolved``, ... or a word of the publisher's own.
    changes : dict of str to str or None
        Ticket fields set by the event; None removes a field. Values are text: numbers and booleans of the wire are
        rendered as JSON renders them.
    """

    at_ms: int
    sequence: int
    rank: int
    uid: int
    event: str
    changes: dict[str, str | None]

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Total order of the events of one ticket: instant, sequence, precedence of the kind, identity."""
        return (self.at_ms, self.sequence, self.rank, self.uid)


class Heartbeat(msgspec.Struct, frozen=True, gc=False):
    """A player's word that every event up to ``at_ms`` has been sent to this partition (event-time mode)."""

    at_ms: int


class Reason(StrEnum):
    """Why an event goes to the dead-letter topic. The words are public: they are a metric label and a header."""

    MALFORMED = "malformed"
    """Not JSON, or a field of the wrong type; the detail says which."""
    UNKNOWN_VERSION = "unknown-version"
    """A schema version this release does not read."""
    UNKNOWN_TYPE = "unknown-type"
    """An envelope type that does not belong on this topic."""
    UNKNOWN_SERVICE = "unknown-service"
    """An uptime event of a service that no contract names."""
    OVERSIZED = "oversized"
    """Larger than an event may be."""
    KEY_MISMATCH = "key-mismatch"
    """The record's key is not the ticket id of the value."""
    WRONG_PARTITION = "wrong-partition"
    """The key does not belong on this partition: the publisher's partitioner is not murmur2."""
    FROM_THE_FUTURE = "from-the-future"
    """Dated later than its arrival by more than the allowed skew (wall clock only)."""
    TOO_LATE = "too-late"
    """Of a ticket that is no longer kept, and older than the retention."""
    HISTORY_FULL = "history-full"
    """The ticket's history has reached its largest size."""
    INTERNAL_ERROR = "internal-error"
    """Our own code failed on it; a stream of these stops the worker."""


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """An event refused, with the reason as a closed word and the detail in prose for its publisher."""

    reason: Reason
    detail: str
