"""What one partition keeps of one service beside its samples: declared states, how far it is judged, what was told."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right, insort
from collections.abc import Iterator
from enum import Enum
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import msgspec

from sla.adjustment import Adjustment
from sla.availability import Availability
from sla.register import Register
from sla.row import RowFormatError
from sla.units import MINUTE_MS, NEVER
from sla.uptime_events import ServiceStatus, StatusChange

SERVICE_FORMAT: Final = 1

LONGEST_CAUSE_CHARS: Final = 200
MOST_STATUSES: Final = 2_000
"""Most declared states kept of one service; more are refused as ``history-full``."""


class Declared(msgspec.Struct, array_like=True, frozen=True, gc=False, order=True):
    """One declared state, as it is kept; they order as their events do."""

    at_ms: int
    sequence: int
    uid: int
    status: str
    cause: str


class Term(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Under which terms time was judged: a revision of an objective by its digest."""

    from_ms: int
    until_ms: int
    digest: str


class Tail(msgspec.Struct, array_like=True, gc=False):
    """The last slices of one objective, and whether its alert fires.

    Attributes
    ----------
    slices : list of (start_ms, state)
        Ascending.
    firing_since_ms : int
        Start of the first bad slice of the outage that is told; -1 while no alert fires.
    labels : dict of str to str
        Of the alert that fires: it is resolved under them, whatever became of its contract.
    """

    slices: list[tuple[int, int]] = []
    firing_since_ms: int = -1
    labels: dict[str, str] = {}


class ServiceState(msgspec.Struct, array_like=True, gc=False):
    """State of one service.

    Attributes
    ----------
    begin_ms : int
        From when on it is watched: the minute in which an objective of it came in force here, or of its first sample.
        -1: not yet.
    judged_ms : int
        Slices that ended up to here have been judged.
    version : int
        Register version its terms were last compared with.
    terms : dict of str to list of Term
        By objective.
    adjustments : dict of str to Adjustment
        As they were applied.
    pending : list of (from_ms, until_ms)
        Minutes to judge again; those of every objective that it has or had.
    gone : list of str
        Objectives that it had.
    """

    begin_ms: int = -1
    judged_ms: int = -1
    version: int = -1
    statuses: list[Declared] = []
    terms: dict[str, list[Term]] = {}
    adjustments: dict[str, Adjustment] = {}
    pending: list[tuple[int, int]] = []
    gone: list[str] = []
    tails: dict[str, Tail] = {}

    def declare(self, event: StatusChange) -> tuple[int, int] | None:
        """Add a declared state; return the interval it changes (until the next one, or NEVER), or None if none.

        Of two with one identity the smaller one counts, whichever comes first.
        """
        cause = (event.cause or "")[:LONGEST_CAUSE_CHARS]
        declared = Declared(event.at_ms, event.sequence, event.uid, event.status.value, cause)
        known = next((known for known in self.statuses if known.uid == event.uid), None)
        if known is not None:
            if known <= declared:
                return None
            self.statuses.remove(known)
            insort(self.statuses, declared)
            return declared.at_ms, NEVER
        insort(self.statuses, declared)
        place = self.statuses.index(declared) + 1
        until_ms = self.statuses[place].at_ms if place < len(self.statuses) else NEVER
        return event.at_ms, until_ms

    def declared(self, from_ms: int, until_ms: int) -> Iterator[tuple[ServiceStatus, int]]:
        """Yield the declared states in ``[from, until)``, each with how long it held there (ms)."""
        statuses = self.statuses
        place = bisect_right(statuses, from_ms, key=lambda declared: declared.at_ms) - 1
        for index in range(max(place, 0), len(statuses)):
            start_ms = max(from_ms, statuses[index].at_ms)
            if start_ms >= until_ms:
                return
            end_ms = min(until_ms, statuses[index + 1].at_ms if index + 1 < len(statuses) else NEVER)
            if end_ms > start_ms:
                yield ServiceStatus(statuses[index].status), end_ms - start_ms

    def declared_at(self, at_ms: int) -> Declared | None:
        """Return the declared state that holds at an instant."""
        place = bisect_right(self.statuses, at_ms, key=lambda declared: declared.at_ms)
        return self.statuses[place - 1] if place else None

    def forget_before(self, horizon_ms: int) -> None:
        """Forget declared states that ended before an instant."""
        while len(self.statuses) > 1 and self.statuses[1].at_ms <= horizon_ms:
            del self.statuses[0]

    def judge_again(self, from_ms: int, until_ms: int) -> bool:
        """Note minutes to judge again, as far as they were judged; return False if there are none."""
        from_ms = max(from_ms, self.begin_ms)
        from_ms -= from_ms % MINUTE_MS
        until_ms = min(until_ms, self.judged_ms)
        if from_ms >= until_ms or self.begin_ms < 0:
            return False
        self.pending = merged([*self.pending, (from_ms, until_ms)])
        return True

    def take_terms(self, register: Register, service: str, version: int, kept_from_ms: int) -> bool:
        """Compare the terms with those the service was judged under; note what has to be judged again.

        Parameters
        ----------
        kept_from_ms : int
            What lies before is not kept and stays as it was told.

        Returns
        -------
        bool
            Whether anything about the row changed.
        """
        self.version = version
        terms = terms_of(register, service)
        adjustments = {adjustment.id: adjustment for adjustment in register.adjustments_of(service)}
        changed = terms != self.terms or adjustments != self.adjustments
        if terms != self.terms:
            for objective in self.terms.keys() | terms.keys():
                for from_ms, until_ms in _differences(self.terms.get(objective, []), terms.get(objective, [])):
                    self.judge_again(max(from_ms, kept_from_ms), until_ms)
            self.gone = sorted({*self.gone, *self.terms} - terms.keys())
            self.terms = terms
        if adjustments != self.adjustments:
            for name in self.adjustments.keys() | adjustments.keys():
                before, after = self.adjustments.get(name), adjustments.get(name)
                if before == after:
                    continue
                for adjustment in filter(None, (before, after)):
                    for from_ms, until_ms in adjustment.intervals(kept_from_ms, max(self.judged_ms, 0)):
                        self.judge_again(max(from_ms, kept_from_ms), until_ms)
            self.adjustments = adjustments
        return changed

    def encode(self) -> bytes:
        """Return the row."""
        return bytes((SERVICE_FORMAT,)) + _encode(self)

    @classmethod
    def decode(cls, row: bytes) -> ServiceState:
        """Read a row.

        Raises
        ------
        RowFormatError
            If a newer release wrote it.
        """
        if row[0] != SERVICE_FORMAT:
            raise RowFormatError(f"row format {row[0]}, this release reads {SERVICE_FORMAT}: a newer worker wrote it")
        return _decode(row[1:])


def merged(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals that touch or overlap as one, ascending."""
    found: list[tuple[int, int]] = []
    for from_ms, until_ms in sorted(intervals):
        if found and from_ms <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until_ms))
        else:
            found.append((from_ms, until_ms))
    return found


def terms_of(register: Register, service: str) -> dict[str, list[Term]]:
    """Return the terms of every objective of a service."""
    terms: dict[str, list[Term]] = {}
    for objective in register.availabilities_of(service):
        term = Term(objective.effective_from_ms, objective.effective_until_ms, _digest(objective, register))
        terms.setdefault(objective.id, []).append(term)
    return terms


def _differences(before: list[Term], after: list[Term]) -> Iterator[tuple[int, int]]:
    """Yield the intervals in which two lists of terms differ."""
    bounds = sorted({bound for term in (*before, *after) for bound in (term.from_ms, term.until_ms)})
    for from_ms, until_ms in pairwise(bounds):
        if _digest_at(before, from_ms) != _digest_at(after, from_ms):
            yield from_ms, until_ms


def _digest_at(terms: list[Term], at_ms: int) -> str | None:
    return next((term.digest for term in terms if term.from_ms <= at_ms < term.until_ms), None)


def _digest(objective: Availability, register: Register) -> str:
    """Return what tells terms from others: all that a verdict on a slice depends on, the hours included."""
    hours = None if objective.hours is None else getattr(register.calendars[objective.hours], "spec", objective.hours)
    of = (
        *(objective.kind, objective.slice_ms, objective.latency_below_ms, objective.good_statuses),
        *(str(objective.bad_above), objective.probes, objective.statuses, objective.maintenance, objective.idle),
        hours,
    )
    return blake2b(repr(_plain(of)).encode(), digest_size=8).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value whose text is the same in every process: sets are not."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field.name)) for field in dataclasses.fields(value)]
    if isinstance(value, (set, frozenset)):
        return sorted(repr(_plain(item)) for item in value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ServiceState).decode
