"""Facts about services that come in: what probes saw, which state a service was put in, what its users said of it.

As with tickets, what is computed from them is a pure function of their *set*: every event has an identity (``uid``) and
a total order (``order``), so that order of arrival and repetition don't matter.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ServiceStatus(StrEnum):
    """State of a service as somebody declares it; it lasts until the next one."""

    UP = "up"
    DOWN = "down"
    DEGRADED = "degraded"
    """It answers, and not as promised; contracts say whether that counts as available."""
    MAINTENANCE = "maintenance"
    """It is being worked on. Time counts as maintenance only where an adjustment or a contract agrees to it."""


class ProbeSample(msgspec.Struct, frozen=True, tag="sample", gc=False):
    """What one probe saw: one check, or the requests it counted.

    Attributes
    ----------
    service : str
        Service id; the key of the record.
    at_ms : int
        When it was seen; of a count, the end of the time counted (UTC epoch ms).
    sequence : int
        The source's own order among events of one instant; 0 where it gives none.
    uid : int
        63-bit hash of the event's id: its identity. Two events of one uid are one event.
    probe : str
        Who looked; one service may have several probes.
    good, total : int
        Requests that went well, and all of them; a single check is 1 of 1 or 0 of 1. 0 <= good <= total.
    latency_ms : float or None
        How long the check took, or what the probe says of its requests; at least 0. None: not measured.
    is_count : bool
        Whether requests were counted over a time that ends at ``at_ms``.
    """

    service: str
    at_ms: int
    sequence: int
    uid: int
    probe: str
    good: int
    total: int
    latency_ms: float | None = None
    is_count: bool = False

    @property
    def order(self) -> tuple[int, int, int]:
        """Total order of the events of one service: instant, sequence, identity."""
        return (self.at_ms, self.sequence, self.uid)


class StatusChange(msgspec.Struct, frozen=True, tag="status", gc=False):
    """A service was declared to be in a state from an instant on; attributes as :class:`ProbeSample` has them.

    Attributes
    ----------
    cause : str or None
        Prose for people: why.
    """

    service: str
    at_ms: int
    sequence: int
    uid: int
    status: ServiceStatus
    cause: str | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """Total order of the events of one service: instant, sequence, identity."""
        return (self.at_ms, self.sequence, self.uid)


class ServiceFeedback(msgspec.Struct, frozen=True, tag="feedback", gc=False):
    """What a user said of a service; attributes as :class:`ProbeSample` has them.

    Attributes
    ----------
    satisfaction : float
        Share of the scale that was given, 0 (worst) to 1 (best): comparable between scales.
    """

    service: str
    at_ms: int
    sequence: int
    uid: int
    satisfaction: float

    @property
    def order(self) -> tuple[int, int, int]:
        """Total order of the events of one service: instant, sequence, identity."""
        return (self.at_ms, self.sequence, self.uid)


UptimeEvent = ProbeSample | StatusChange | ServiceFeedback
"""Everything that ``sla.uptime`` tells of a service."""
