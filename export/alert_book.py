"""What must be pushed to Alertmanager, and when: a state machine without I/O and without a clock of its own.

Alertmanager keeps alerts in memory only and forgets one that is not sent again, so somebody has to remember. For each
alert the book holds the labels and the start pinned when it was first seen firing, and whether a resolve is still
owed. The owner of the book

1. hands it every decision with :meth:`AlertBook.apply`,
2. pushes what :meth:`AlertBook.due` returns and reports success with :meth:`AlertBook.pushed`,
3. stores what :meth:`AlertBook.take_changes` returns and gives it to the next owner's :meth:`AlertBook.load`.

::

    (none) --firing--> FIRING --resolved--> RESOLVED --15 min after its first delivery--> (none)
                         ^                      |
                         +------- firing -------+    a new episode with a new start

All instants here are wall-clock milliseconds: what Alertmanager is told is never in the future and never ends before
it starts. Everything is a function of the calls and their ``now_ms``.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

import msgspec

from export.pushed_alert import ALERT_NAME, InvalidAlertError, PushedAlert, name_faults, without_empty
from sla.outcome import Alert, AlertKind, AlertState
from sla.units import format_instant

ROW_FORMAT = 1
"""Leading byte of a stored row."""

VALIDITY_RESENDS = 4
"""A firing alert is valid for this many resend intervals: three pushes may fail before Alertmanager resolves it."""

_UNKNOWN = -1
"""``valid_until_ms`` of a loaded row: a former owner may have pushed it without living to note it."""


class RowFormatError(ValueError):
    """A stored row that this release can't read. Durability is at stake: the worker has to stop."""


class Applied(Enum):
    """What a decision changed."""

    STARTED = "started"
    """A new episode."""
    CHANGED = "changed"
    """The annotations of a firing alert."""
    RESOLVED = "resolved"
    """The episode ended; its resolve will be pushed."""
    DROPPED = "dropped"
    """The episode ended before any push was tried: there is nothing to resolve."""
    UNCHANGED = "unchanged"
    """Nothing: a repetition, or a resolve of an alert that is not known."""


class _Row(msgspec.Struct, array_like=True):
    """One alert as it is stored; new fields go to the end, with a default."""

    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at_ms: int
    state: AlertState = AlertState.FIRING
    resolved_at_ms: int = 0
    delivered: bool = False
    """Whether an Alertmanager took this as firing and none has been told yet that it ended."""
    resolve_delivered_at_ms: int | None = None
    """First successful push of the resolve."""
    kind: AlertKind | None = None
    decided_at_ms: int = 0
    """Event time of the last decision that changed something."""


class _Entry:
    """A row and what need not be stored: the schedule."""

    __slots__ = ("due_at_ms", "revision", "row", "valid_until_ms")

    def __init__(self, row: _Row, *, due_at_ms: int, valid_until_ms: int, revision: int) -> None:
        self.row = row
        self.revision = revision
        self.due_at_ms = due_at_ms
        self.valid_until_ms = valid_until_ms


@dataclass(frozen=True, slots=True)
class DueAlert:
    """An alert to push now; hand it back to :meth:`AlertBook.pushed` when a push took it.

    Attributes
    ----------
    id : str
        Id of the alert.
    alert : PushedAlert
        What to send.
    state : AlertState
        State that is sent.
    decided_at_ms : int
        When this was due; its ``ends_at_ms`` counts from here.
    revision : int
        Which version of the alert is sent: one that changed meanwhile is not marked as pushed.
    """

    id: str
    alert: PushedAlert
    state: AlertState
    decided_at_ms: int
    revision: int


_decode_row = msgspec.msgpack.Decoder(_Row).decode
_encode_row = msgspec.msgpack.Encoder().encode


class AlertBook:
    """All alerts of one owner.

    Parameters
    ----------
    resend_ms : int
        Firing and resolved alerts are sent again this often.
    resolve_resend_ms : int
        A resolve is sent again for this long after the first push that took it.
    retry_ms : int
        An alert whose push has not been reported as successful is due again after this long.
    generator_url : str
        Link to the source of the alerts; an annotation ``dashboard_url`` wins over it.
    """

    def __init__(
        self, *, resend_ms: int, resolve_resend_ms: int = 900_000, retry_ms: int = 5_000, generator_url: str = ""
    ) -> None:
        if resend_ms <= 0 or resolve_resend_ms <= 0 or retry_ms <= 0:
            raise ValueError("resend_ms, resolve_resend_ms and retry_ms must be positive")
        self._resend_ms = resend_ms
        self._resolve_resend_ms = resolve_resend_ms
        # A retry later than the resend would let a firing alert run out while its pushes fail.
        self._retry_ms = min(retry_ms, resend_ms)
        self._generator_url = generator_url
        self._entries: dict[str, _Entry] = {}
        self._schedule: list[tuple[int, str]] = []
        self._changed: set[str] = set()
        self._revisions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, alert_id: str) -> bool:
        return alert_id in self._entries

    def firing_count(self) -> int:
        """Return how many alerts fire."""
        return sum(entry.row.state is AlertState.FIRING for entry in self._entries.values())

    def firing_by_name(self) -> dict[str, int]:
        """Return how many alerts fire, by ``alertname``; 0 for a kind none of which fires, so that its gauge falls."""
        counts = {kind.value: 0 for kind in AlertKind}
        for entry in self._entries.values():
            if entry.row.state is AlertState.FIRING:
                name = entry.row.labels[ALERT_NAME]
                counts[name] = counts.get(name, 0) + 1
        return counts

    def firing_by_team(self, limit: int = 200) -> dict[tuple[str, str, str], int]:
        """Return how many alerts fire, by (``alertname``, contract, team), each empty where an alert has none.

        Parameters
        ----------
        limit : int
            Most triples to tell; all rarer ones are summed up under empty contract and team, by ``alertname``.
        """
        counts: Counter[tuple[str, str, str]] = Counter()
        for entry in self._entries.values():
            if entry.row.state is AlertState.FIRING:
                labels = entry.row.labels
                counts[labels[ALERT_NAME], labels.get("sla_id", ""), labels.get("team", "")] += 1
        told: Counter[tuple[str, str, str]] = Counter()
        # By name among equals: which ones are told must not change from one second to the next.
        for place, (of, count) in enumerate(sorted(counts.items(), key=lambda item: (-item[1], item[0]))):
            told[of if place < limit else (of[0], "", "")] += count
        return dict(told)

    def documents(self) -> list[dict[str, object]]:
        """Return what the book holds as JSON documents, by alert id."""
        return [
            {
                "id": alert_id,
                "state": entry.row.state.value,
                "starts_at": format_instant(entry.row.starts_at_ms),
                "labels": dict(entry.row.labels),
                "annotations": dict(entry.row.annotations),
            }
            for alert_id, entry in sorted(self._entries.items())
        ]

    def firing(self, alert_id: str) -> Alert | None:
        """Return the decision in force of an alert that fires, as it was published; None if it does not fire."""
        entry = self._entries.get(alert_id)
        if entry is None or entry.row.state is not AlertState.FIRING:
            return None
        row = entry.row
        return Alert(
            id=alert_id,
            kind=AlertKind(row.labels[ALERT_NAME]) if row.kind is None else row.kind,
            state=AlertState.FIRING,
            severity=row.labels["severity"],
            at_ms=row.decided_at_ms,
            labels=dict(row.labels),
            annotations=dict(row.annotations),
        )

    def apply(self, alert: Alert, now_ms: int) -> Applied:
        """Take in one decision; the last one of an alert id is in force. Repeating it changes nothing.

        Parameters
        ----------
        alert : Alert
            The decision. Its ``alertname`` and ``severity`` labels are added from its kind and severity if missing.
        now_ms : int
            Wall-clock instant at which it was seen.

        Raises
        ------
        InvalidAlertError
            If a label or annotation has a name Alertmanager may refuse; the book is as before.
        """
        entry = self._entries.get(alert.id)
        if alert.state is AlertState.RESOLVED:
            return self._resolve(alert, entry, now_ms)
        faults = name_faults("label", alert.labels) + name_faults("annotation", alert.annotations)
        if faults:
            raise InvalidAlertError(f"alert {alert.id}: " + "; ".join(faults))
        annotations = without_empty(alert.annotations)
        if entry is None or entry.row.state is AlertState.RESOLVED:
            self._start(alert, entry, annotations, now_ms)
            return Applied.STARTED
        # The labels stay those of the first firing: other labels would be another alert, and the old one an orphan.
        if entry.row.annotations == annotations:
            return Applied.UNCHANGED
        entry.row.annotations = annotations
        entry.row.decided_at_ms = alert.at_ms
        self._touch(alert.id, entry, now_ms)
        return Applied.CHANGED

    def _start(self, alert: Alert, former: _Entry | None, annotations: dict[str, str], now_ms: int) -> None:
        row = _Row(
            labels=without_empty(
                {ALERT_NAME: alert.kind.value, "severity": alert.severity} | without_empty(alert.labels)
            ),
            annotations=annotations,
            starts_at_ms=now_ms,
            kind=alert.kind,
            decided_at_ms=alert.at_ms,
        )
        valid_until_ms = 0
        if former is not None:
            row.starts_at_ms = max(now_ms, former.row.resolved_at_ms)
            if former.row.resolve_delivered_at_ms is None:
                # Nobody was told that the former episode ended: Alertmanager may still hold it, under its labels, and
                # will have to be told of the end of this one even if no push of it should succeed.
                row.labels, row.delivered = former.row.labels, former.row.delivered
                valid_until_ms = former.valid_until_ms
        self._entries[alert.id] = entry = _Entry(row, due_at_ms=now_ms, valid_until_ms=valid_until_ms, revision=0)
        self._touch(alert.id, entry, now_ms)

    def _resolve(self, alert: Alert, entry: _Entry | None, now_ms: int) -> Applied:
        if entry is None or entry.row.state is AlertState.RESOLVED:
            return Applied.UNCHANGED
        if not entry.row.delivered and entry.valid_until_ms == 0:
            self._drop(alert.id)
            return Applied.DROPPED
        entry.row.state = AlertState.RESOLVED
        entry.row.resolved_at_ms = max(now_ms, entry.row.starts_at_ms)
        self._touch(alert.id, entry, now_ms)
        return Applied.RESOLVED

    def due(self, now_ms: int, limit: int | None = None) -> list[DueAlert]:
        """Return what has to be pushed now: new and changed alerts at once, the others when their time has come.

        Alerts returned are due again after ``retry_ms`` unless :meth:`pushed` reports them before.

        Parameters
        ----------
        now_ms : int
            Wall-clock instant of the decision.
        limit : int, optional
            Most alerts to return and, beside them, to be done with; the rest stays due.
        """
        due: list[DueAlert] = []
        done = 0
        while self._schedule and self._schedule[0][0] <= now_ms and (limit is None or max(len(due), done) < limit):
            at_ms, alert_id = heapq.heappop(self._schedule)
            entry = self._entries.get(alert_id)
            if entry is None or entry.due_at_ms != at_ms:
                continue  # rescheduled or dropped since
            if self._is_done(entry, now_ms):
                done += 1
                self._drop(alert_id)
                continue
            due.append(self._send(alert_id, entry, now_ms))
            self._reschedule(alert_id, entry, now_ms + self._retry_ms)
        return due

    def _is_done(self, entry: _Entry, now_ms: int) -> bool:
        row = entry.row
        if row.state is AlertState.FIRING:
            return False
        if entry.valid_until_ms == _UNKNOWN:
            # No former owner can have pushed anything that is valid for longer than this.
            entry.valid_until_ms = now_ms + VALIDITY_RESENDS * self._resend_ms
        if row.resolve_delivered_at_ms is not None:
            return now_ms >= row.resolve_delivered_at_ms + self._resolve_resend_ms
        # No push as firing is known to have succeeded: what may have arrived all the same runs out by itself.
        return not row.delivered and now_ms >= entry.valid_until_ms

    def _send(self, alert_id: str, entry: _Entry, now_ms: int) -> DueAlert:
        row = entry.row
        if row.starts_at_ms > now_ms:
            # The wall clock was set back. Keep the earlier start from now on: a start that moves to and fro is worse.
            row.starts_at_ms = now_ms
            self._changed.add(alert_id)
        if row.state is AlertState.FIRING:
            ends_at_ms = now_ms + VALIDITY_RESENDS * self._resend_ms
            entry.valid_until_ms = max(entry.valid_until_ms, ends_at_ms)
        else:
            ends_at_ms = max(min(row.resolved_at_ms, now_ms), row.starts_at_ms)
        alert = PushedAlert(
            labels=row.labels,
            annotations=row.annotations,
            starts_at_ms=row.starts_at_ms,
            ends_at_ms=ends_at_ms,
            generator_url=row.annotations.get("dashboard_url", self._generator_url),
        )
        return DueAlert(alert_id, alert, row.state, now_ms, entry.revision)

    def next_due_ms(self) -> int | None:
        """Return the instant at which :meth:`due` has something to do; None when nothing is held."""
        while self._schedule:
            at_ms, alert_id = self._schedule[0]
            entry = self._entries.get(alert_id)
            if entry is not None and entry.due_at_ms == at_ms:
                return at_ms
            heapq.heappop(self._schedule)
        return None

    def pushed(self, alerts: Iterable[DueAlert], now_ms: int) -> None:
        """Note that at least one Alertmanager took these alerts.

        What has changed since it was due stays due: only the version that was sent counts as pushed. Pushes must not
        overlap: a firing that arrives after the resolve would page again.

        Parameters
        ----------
        alerts : iterable of DueAlert
            As :meth:`due` returned them, without those that failed.
        now_ms : int
            Wall-clock instant of the success.
        """
        for alert in alerts:
            entry = self._entries.get(alert.id)
            if entry is None:
                continue
            row = entry.row
            if alert.state is AlertState.FIRING and not row.delivered:
                row.delivered = True
                self._changed.add(alert.id)
            if alert.revision != entry.revision:
                continue
            if row.state is AlertState.RESOLVED and row.resolve_delivered_at_ms is None:
                row.resolve_delivered_at_ms = now_ms
                self._changed.add(alert.id)
            self._reschedule(alert.id, entry, alert.decided_at_ms + self._resend_ms)

    def refused(self, alerts: Iterable[DueAlert]) -> None:
        """Note that every Alertmanager refused these alerts: they are due again only after ``resend_ms``."""
        for alert in alerts:
            entry = self._entries.get(alert.id)
            if entry is not None and alert.revision == entry.revision:
                self._reschedule(alert.id, entry, alert.decided_at_ms + self._resend_ms)

    def row(self, alert_id: str) -> bytes:
        """Return the stored form of one alert: a format byte and msgpack.

        Raises
        ------
        KeyError
            If the book does not hold it.
        """
        return bytes([ROW_FORMAT]) + _encode_row(self._entries[alert_id].row)

    def load(self, alert_id: str, row: bytes) -> None:
        """Take over one alert from storage; it is due at once, which does no harm and covers whatever was missed.

        Raises
        ------
        RowFormatError
            If the row was written by a newer release or is damaged.
        """
        if not row or row[0] != ROW_FORMAT:
            raise RowFormatError(
                f"alert {alert_id}: row format {row[0] if row else 'missing'}, this release reads {ROW_FORMAT}"
            )
        try:
            stored = _decode_row(row[1:])
        except msgspec.DecodeError as error:
            raise RowFormatError(f"alert {alert_id}: damaged row: {error}") from error
        self._entries[alert_id] = entry = _Entry(stored, due_at_ms=0, valid_until_ms=_UNKNOWN, revision=0)
        self._touch(alert_id, entry, 0)
        self._changed.discard(alert_id)

    def take_changes(self) -> Mapping[str, bytes | None]:
        """Return the rows that changed since the last call, None for those that are gone (tombstones)."""
        changes = {
            alert_id: self.row(alert_id) if alert_id in self._entries else None for alert_id in sorted(self._changed)
        }
        self._changed.clear()
        return changes

    def _touch(self, alert_id: str, entry: _Entry, due_at_ms: int) -> None:
        # Revisions are unique in the book: those of an alert that was dropped and came back must not be mistaken.
        self._revisions += 1
        entry.revision = self._revisions
        self._changed.add(alert_id)
        self._reschedule(alert_id, entry, due_at_ms)

    def _reschedule(self, alert_id: str, entry: _Entry, due_at_ms: int) -> None:
        entry.due_at_ms = due_at_ms
        heapq.heappush(self._schedule, (due_at_ms, alert_id))

    def _drop(self, alert_id: str) -> None:
        del self._entries[alert_id]
        self._changed.add(alert_id)
