"""Adjustments: what people agree on afterwards or beforehand about the time of a service, with who, why and when.

An adjustment never changes what was measured. It says how an interval counts, and stays: it can be revoked, not erased,
so that a statement can name everything that moved its numbers.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class AdjustmentKind(StrEnum):
    """What an adjustment is about."""

    MAINTENANCE = "maintenance"
    """Agreed work on a service: the interval is left out of its availability."""
    OUTAGE_CORRECTION = "outage-correction"
    """What was measured is not what happened: the interval counts as ``counts_as`` says."""


class CountsAs(StrEnum):
    """How an interval counts towards availability."""

    UP = "up"
    DOWN = "down"
    EXCLUDED = "excluded"
    """Neither: it is left out, from the good time and from all time."""


class Adjustment(msgspec.Struct, frozen=True, gc=False):
    """One adjustment; the newest document of an id is in force.

    Attributes
    ----------
    id : str
        The key of the record on ``sla.adjustments``, for example the id of the change request.
    start_ms, end_ms : int
        The interval, half-open: start <= t < end (UTC epoch ms).
    counts_as : CountsAs
        ``excluded`` for maintenance.
    recorded_at_ms : int
        When it was decided, UTC epoch ms.
    recorded_by, reason : str
        Who decided it, and why.
    reference : str or None
        Where it was decided: change request, minutes of a meeting.
    retroactive : bool
        Whether it may concern time before it was recorded. Without it maintenance has to be announced.
    revoked : bool
        Taken back: it counts no more, and is still shown.
    """

    id: str
    kind: AdjustmentKind
    service: str
    start_ms: int
    end_ms: int
    counts_as: CountsAs
    recorded_at_ms: int
    recorded_by: str
    reason: str
    reference: str | None = None
    retroactive: bool = False
    revoked: bool = False
