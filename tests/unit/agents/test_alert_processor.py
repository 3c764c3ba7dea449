"""Alert states become the book of what must be pushed; the book is what a partition of sla.alerts keeps."""

from __future__ import annotations

from typing import Any

import pytest

from agents.alert_processor import ROW_PREFIX, AlertProcessor
from config.settings import AlertmanagerSettings, WebSettings
from export.alert_book import RowFormatError
from export.catalogue import EventResult
from sla.events import Reason
from sla.outcome import AlertState
from streams.dead_letters import DETAIL, REASON
from streams.processor import StepResult
from streams.state_rows import Position
from tests.support.fake_kafka import Record
from tests.support.records import TOPICS, CountingObserver, alert, alert_record, made_by

ALERTS = "sla.alerts"
SOURCE = "sla.tickets/0"
NOW_MS = 1_772_500_000_000


class Pages:
    """A processor of partition 0, its wall clock, and the rows its steps have left."""

    def __init__(self) -> None:
        self.observer = CountingObserver()
        self.now_ms = NOW_MS
        self.rows: dict[bytes, bytes] = {}
        self.ordinals: dict[str, int] = {}
        self.processor = self._restored()

    def _restored(self) -> AlertProcessor:
        links = WebSettings(dashboard_url="https://grafana.example", runbook_url="https://runbooks.example/slawatch")
        processor = AlertProcessor(0, TOPICS, AlertmanagerSettings(), self.observer, lambda: self.now_ms, links)
        processor.restore(self.rows, Position(ordinals=dict(self.ordinals)), None)
        return processor

    def restart(self) -> None:
        self.ordinals = dict(self.processor.ordinals)
        self.processor = self._restored()

    def step(self, *records: Record) -> StepResult:
        assert self.processor.read(records, 0) == len(records)
        return self.finish()

    def finish(self) -> StepResult:
        assert not self.processor.advance(None)
        result = self.processor.finish()
        for key, row in result.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        return result

    @property
    def firing(self) -> set[str]:
        return {document["id"] for document in self.processor.book.documents() if document["state"] == "firing"}  # type: ignore[misc]


def test_an_alert_that_fires_is_kept_and_due_at_once() -> None:
    pages = Pages()
    result = pages.step(made_by(alert_record(alert()), SOURCE, 1))
    assert list(result.rows) == [ROW_PREFIX + alert().id.encode()]
    assert result.outputs == []
    [due] = pages.processor.book.due(NOW_MS)
    assert due.alert.labels["ticket_id"] == "INC-1"
    assert due.alert.starts_at_ms == NOW_MS, "the wall clock of those who are paged, not the event's"
    assert due.alert.generator_url == "https://grafana.example"
    assert pages.processor.now_ms == NOW_MS


def test_every_page_links_the_part_of_the_runbook_that_is_about_its_kind() -> None:
    pages = Pages()
    pages.step(alert_record(alert()))
    [due] = pages.processor.book.due(NOW_MS)
    assert due.alert.annotations["runbook_url"] == "https://runbooks.example/slawatch#slaticketatrisk"


def test_what_is_sent_again_starts_no_alert_that_was_resolved_since() -> None:
    pages = Pages()
    firing = made_by(alert_record(alert()), SOURCE, 1)
    resolved = made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2)
    pages.step(firing, resolved)
    assert pages.firing == set()
    pages.step(made_by(alert_record(alert()), SOURCE, 1))
    assert pages.firing == set()
    assert pages.observer.results == {(ALERTS, EventResult.APPLIED): 2, (ALERTS, EventResult.DUPLICATE): 1}


def test_ordinals_are_kept_over_a_restart() -> None:
    pages = Pages()
    pages.step(made_by(alert_record(alert(1)), SOURCE, 7))
    pages.restart()
    pages.step(made_by(alert_record(alert(2)), SOURCE, 6), made_by(alert_record(alert(3)), "sla.rollups/0", 1))
    assert pages.firing == {alert(1).id, alert(3).id}


def test_an_alert_that_some_other_program_wrote_is_taken_as_it_is() -> None:
    """sla.alerts is a public topic: without ordinals nothing is known to be older."""
    pages = Pages()
    pages.step(alert_record(alert()), alert_record(alert()))
    assert pages.firing == {alert().id}


def test_open_alerts_are_due_again_at_once_after_a_restart() -> None:
    pages = Pages()
    pages.step(made_by(alert_record(alert()), SOURCE, 1))
    pages.processor.book.pushed(pages.processor.book.due(NOW_MS), NOW_MS)
    pages.finish()
    assert pages.processor.book.due(NOW_MS + 1_000) == []
    pages.restart()
    assert [due.id for due in pages.processor.book.due(NOW_MS + 1_000)] == [alert().id]


def test_what_a_push_has_changed_is_written_by_the_next_step() -> None:
    """That an alert was delivered decides whether its resolve is owed: it must survive the process."""
    pages = Pages()
    before = pages.step(made_by(alert_record(alert()), SOURCE, 1)).rows
    pages.processor.book.pushed(pages.processor.book.due(NOW_MS), NOW_MS)
    after = pages.finish().rows
    assert after.keys() == before.keys()
    assert after != before
    assert not pages.finish(), "and only once"


def test_an_alert_that_is_done_leaves_a_tombstone() -> None:
    pages = Pages()
    pages.step(
        made_by(alert_record(alert()), SOURCE, 1), made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2)
    )
    assert pages.rows == {}, "it was never pushed, so nobody has to be told that it is over"


BAD = [
    (Record(3, b"k", b"{"), Reason.MALFORMED, ""),
    (Record(3, b"k", b'{"version": 4}'), Reason.UNKNOWN_VERSION, "version 4"),
    (alert_record(alert(1, **{"bad-name": "x"})), Reason.MALFORMED, "bad-name"),
]


@pytest.mark.parametrize(("record", "reason", "detail"), BAD)
def test_what_is_no_alert_goes_to_the_dead_letters_and_stops_nobody(
    record: Record, reason: Reason, detail: str
) -> None:
    pages = Pages()
    result = pages.step(record, alert_record(alert(2)))
    [letter] = result.outputs
    headers = dict(letter.headers)
    assert headers[REASON].decode() == reason  # type: ignore[union-attr]
    assert detail in headers[DETAIL].decode()  # type: ignore[union-attr]
    assert pages.firing == {alert(2).id}
    assert pages.observer.dead_letters == {reason: 1}


def test_a_tombstone_on_the_topic_changes_nothing() -> None:
    pages = Pages()
    pages.step(alert_record(alert()))
    assert not pages.step(Record(1, alert().id.encode(), None))
    assert pages.firing == {alert().id}


def test_rows_of_a_newer_release_are_refused() -> None:
    pages = Pages()
    pages.rows = {ROW_PREFIX + b"x": b"\x63"}
    with pytest.raises(RowFormatError, match="row format 99"):
        pages.restart()


def test_alerts_do_not_depend_on_the_register() -> None:
    pages = Pages()
    register: Any = object()
    pages.processor.put_register(register, 2)
    assert not pages.finish()
