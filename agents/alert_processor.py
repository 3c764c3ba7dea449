"""Alert states in, what must be pushed kept in the book: the alert book behind the stage's seam.

An alert that is over, and that nobody has to be told of any more, is deleted from its compacted topic by a tombstone.
Meanwhile it may have begun to fire again: the one who decides that does not know of the tombstone, which then comes
last and would hide an alert that fires from everybody who reads the topic later. So whoever reads a tombstone of an
alert that fires, by whomever, publishes it once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from agents.observer import RecordObserver
from config.settings import AlertmanagerSettings, WebSettings
from export.alert_book import AlertBook
from export.catalogue import EventResult
from export.pushed_alert import InvalidAlertError
from sla.events import Reason, Rejected
from sla.outcome import Alert, AlertState
from streams.codecs import decode_alert, encode_alert
from streams.dead_letters import dead_letter
from streams.processor import StepResult
from streams.state_rows import Output, Position, provenance_of
from streams.topics import ALERTS, DEAD_LETTERS, Topics

ROW_PREFIX: Final = b"e"


class AlertProcessor:
    """One partition of sla.alerts.

    Parameters
    ----------
    observer : RecordObserver
    now_ms : callable
        The wall clock: pages are about the present of those who are paged.
    """

    def __init__(
        self,
        partition: int,
        topics: Topics,
        settings: AlertmanagerSettings,
        observer: RecordObserver,
        now_ms: Callable[[], int],
        links: WebSettings,
    ) -> None:
        self.partition = partition
        self._source = topics.name(ALERTS)
        self._label = f"{self._source}/{partition}"
        self._dead_letters = topics.name(DEAD_LETTERS)
        self._observer = observer
        self._wall_ms = now_ms
        self._runbook_url = links.runbook_url
        self._ordinals: dict[str, int] = {}
        self._outputs: list[Output] = []
        self._resolved: set[str] = set()
        """Alerts the records of this step resolved."""
        self.book = AlertBook(
            resend_ms=int(settings.resend_seconds * 1000),
            resolve_resend_ms=int(settings.resolve_resend_seconds * 1000),
            generator_url=links.dashboard_url or "",
        )

    def restore(self, rows: Mapping[bytes, bytes], position: Position, view: Any) -> None:  # noqa: ARG002
        """Take over restored rows: every alert still open is due again at once."""
        for key, row in rows.items():
            self.book.load(key[len(ROW_PREFIX) :].decode(), row)
        self._ordinals = dict(position.ordinals)

    @property
    def now_ms(self) -> int:
        """The wall clock."""
        return self._wall_ms()

    @property
    def ordinals(self) -> dict[str, int]:
        """Highest ordinal taken in, per source partition."""
        return self._ordinals

    def put_register(self, snapshot: Any, version: int) -> None:
        """Alerts do not depend on the register."""

    def read(self, records: Sequence[Any], start: int) -> int:
        """Take in all records."""
        now_ms = self._wall_ms()
        applied = duplicates = 0
        for index in range(start, len(records)):
            record = records[index]
            if record.value is None:
                applied += 1
                self._publish_again(record.key)
                continue
            provenance = provenance_of(record.headers or ())
            if provenance is not None:
                source, ordinal = provenance
                if source == self._label:
                    continue  # published again by us: no decision, and by now it may be over
                if ordinal <= self._ordinals.get(source, -1):
                    duplicates += 1  # sent again
                    continue
                self._ordinals[source] = ordinal
            alert = decode_alert(record.value)
            if isinstance(alert, Rejected):
                self._to_dead_letters(record, alert)
                continue
            try:
                self.book.apply(self._with_runbook(alert), now_ms)
            except InvalidAlertError as error:
                self._to_dead_letters(record, Rejected(Reason.MALFORMED, str(error)))
            else:
                applied += 1
                if alert.state is AlertState.RESOLVED:
                    self._resolved.add(alert.id)
        if applied:
            self._observer.events(self._source, EventResult.APPLIED, applied)
        if duplicates:
            self._observer.events(self._source, EventResult.DUPLICATE, duplicates)
        return len(records)

    def advance(self, now_ms: int | None) -> bool:  # noqa: ARG002 - the pusher asks the book itself
        """Nothing to do: the pusher asks the book what is due."""
        return False

    def finish(self) -> StepResult:
        """End the step: rows of the book that changed, also by pushes since the last step, and tombstones."""
        changes = self.book.take_changes()
        rows: dict[bytes, bytes | None] = {ROW_PREFIX + alert_id.encode(): row for alert_id, row in changes.items()}
        outputs, self._outputs = self._outputs, []
        # Also of those the book never held or had forgotten: their resolve is the last word there is about them.
        over = {alert_id for alert_id, row in changes.items() if row is None}
        over.update(alert_id for alert_id in self._resolved if alert_id not in self.book)
        outputs += [Output(self._source, self.partition, alert_id.encode(), None) for alert_id in sorted(over)]
        self._resolved.clear()
        return StepResult(rows, outputs)

    def _publish_again(self, key: bytes | None) -> None:
        """Publish an alert that fires again, after a tombstone."""
        if key is not None and (alert := self.book.firing(key.decode(errors="replace"))) is not None:
            self._outputs.append(Output(self._source, self.partition, key, encode_alert(alert)))

    def _with_runbook(self, alert: Alert) -> Alert:
        runbook = {"runbook_url": f"{self._runbook_url}#{alert.kind.value.lower()}"}
        return msgspec.structs.replace(alert, annotations={**runbook, **alert.annotations})

    def _to_dead_letters(self, record: Any, rejected: Rejected) -> None:
        self._observer.events(self._source, EventResult.REJECTED, 1)
        self._observer.dead_letter(rejected.reason)
        self._outputs.append(
            dead_letter(self._dead_letters, rejected, record, topic=self._source, partition=self.partition)
        )
