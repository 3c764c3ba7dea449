"""What one step of a ticket engine did: rows to store, effects to send, and what to count and to log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from sla.buckets import Rollup
from sla.outcome import Alert, Verdict


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of our own that a ticket met while time passed, so that there was no event to reject.

    Attributes
    ----------
    error : Exception
        What was raised, with its traceback.
    is_new : bool
        False if the ticket was set aside already and failed once more in the same way.
    """

    ticket: str
    error: Exception
    is_new: bool


@dataclass(slots=True)
class Outcome:
    """What one step did.

    Attributes
    ----------
    rows : dict
        State rows to write, by key; None deletes.
    verdicts : list of (Verdict, bool)
        In order; True marks the correction of a verdict published before with another result or bucket.
    counts : dict
        Counters for the metrics: duplicate, out-of-order, unmatched, corrections, ...
    faults : list of Fault
        Tickets that could not be computed: each is as it was, and is tried again later.
    computed : int
        Tickets that could.
    """

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    verdicts: list[tuple[Verdict, bool]] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    faults: list[Fault] = field(default_factory=list)
    computed: int = 0
