"""Alert states become the book of what must be pushed; the book is what a partition of sla.alerts keeps."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from agents.alert_processor import ROW_PREFIX, AlertProcessor
from config.settings import AlertmanagerSettings, WebSettings
from export.alert_book import RowFormatError
from export.catalogue import EventResult
from sla.events import Reason
from sla.outcome import Alert, AlertState
from streams.codecs import decode_alert
from streams.dead_letters import DETAIL, REASON
from streams.processor import StepResult
from streams.state_rows import Output, Position
from tests.support.domain import at
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


# --- tombstones --------------------------------------------------------------------------------------------------------


def pushed(pages: Pages, **later: float) -> None:
    """Let a push of all that is due succeed, after some time."""
    pages.now_ms += int(timedelta(**later).total_seconds() * 1000)
    pages.processor.book.pushed(pages.processor.book.due(pages.now_ms), pages.now_ms)


def resolved_and_told(pages: Pages) -> None:
    pages.step(made_by(alert_record(alert()), SOURCE, 1))
    pushed(pages)
    pages.step(made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2))
    pushed(pages)
    assert pages.finish().outputs == []


def test_an_alert_leaves_its_topic_when_its_resolve_has_been_sent_again_for_its_time() -> None:
    pages = Pages()
    resolved_and_told(pages)
    pushed(pages, minutes=14, seconds=59)
    assert pages.finish().outputs == [], "15 minutes from the first push that told it"
    pushed(pages, minutes=1)
    result = pages.finish()
    assert result.outputs == [Output(ALERTS, 0, alert().id.encode(), None)]
    assert pages.rows == {}, "state and topic forget it in one step"
    assert not pages.finish(), "once"


def test_an_alert_leaves_its_topic_also_if_nobody_ran_meanwhile() -> None:
    pages = Pages()
    resolved_and_told(pages)
    pages.now_ms += 7 * 86_400_000
    pages.restart()
    assert pages.processor.book.due(pages.now_ms) == [], "nobody is told again after a week"
    assert pages.finish().outputs == [Output(ALERTS, 0, alert().id.encode(), None)]


def test_a_resolve_that_no_push_has_told_yet_keeps_its_alert() -> None:
    pages = Pages()
    pages.step(made_by(alert_record(alert()), SOURCE, 1))
    pushed(pages)
    pages.step(made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2))
    pages.now_ms += 86_400_000
    assert [due.state for due in pages.processor.book.due(pages.now_ms)] == [AlertState.RESOLVED]
    assert pages.finish().outputs == []


def test_an_alert_that_was_over_before_any_push_leaves_its_topic_at_once() -> None:
    pages = Pages()
    result = pages.step(
        made_by(alert_record(alert()), SOURCE, 1), made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2)
    )
    assert result.outputs == [Output(ALERTS, 0, alert().id.encode(), None)]


def test_the_resolve_of_an_alert_that_is_not_known_is_deleted() -> None:
    """Of an episode that was forgotten long ago, or that another program wrote: nobody will ever speak of it again."""
    pages = Pages()
    result = pages.step(alert_record(alert(state=AlertState.RESOLVED)))
    assert result.outputs == [Output(ALERTS, 0, alert().id.encode(), None)]
    assert result.rows == {}


def test_an_alert_that_fires_again_in_the_same_step_is_not_deleted() -> None:
    pages = Pages()
    result = pages.step(
        *(
            made_by(alert_record(alert(state=state)), SOURCE, seq)
            for seq, state in enumerate((*AlertState, *AlertState))
        ),
        made_by(alert_record(alert()), SOURCE, 9),
    )
    assert result.outputs == []
    assert pages.firing == {alert().id}


def test_an_alert_that_fires_is_published_again_after_a_tombstone() -> None:
    """It began to fire again before the tombstone of its former episode arrived; compaction would keep the latter."""
    pages = Pages()
    pages.step(made_by(alert_record(alert(when="mon 12:00")), SOURCE, 1))
    result = pages.step(made_by(Record(1, alert().id.encode(), None), f"{ALERTS}/0", 4))
    [again] = result.outputs
    assert (again.topic, again.partition, again.key) == (ALERTS, 0, alert().id.encode())
    assert again.value is not None
    told = decode_alert(again.value)
    assert isinstance(told, Alert)
    assert (told.id, told.kind, told.state, told.at_ms) == (alert().id, alert().kind, alert().state, at("mon 12:00"))
    assert told.labels.items() >= alert().labels.items()
    assert told.annotations.items() >= alert().annotations.items()
    again_record = made_by(Record(2, again.key, again.value), f"{ALERTS}/0", 5)
    assert not pages.step(again_record), "which changes nothing for us"
    assert pages.firing == {alert().id}


def test_what_was_published_again_is_no_decision() -> None:
    """The alert may have been resolved between the tombstone and this record."""
    pages = Pages()
    tombstone = made_by(Record(1, alert().id.encode(), None), f"{ALERTS}/0", 4)
    pages.step(made_by(alert_record(alert()), SOURCE, 1))
    [again] = pages.step(tombstone).outputs
    pages.step(made_by(alert_record(alert(state=AlertState.RESOLVED)), SOURCE, 2))
    assert not pages.step(made_by(Record(2, again.key, again.value), f"{ALERTS}/0", 5))
    assert pages.firing == set()


def test_a_tombstone_that_is_sent_again_after_a_takeover_is_answered_too() -> None:
    pages = Pages()
    tombstone = made_by(Record(1, alert().id.encode(), None), f"{ALERTS}/0", 4)
    pages.step(tombstone, made_by(alert_record(alert()), SOURCE, 1))
    assert len(pages.step(tombstone).outputs) == 1


@pytest.mark.parametrize("key", [alert().id.encode(), b"\xff", None])
def test_a_tombstone_of_an_alert_that_does_not_fire_changes_nothing(key: bytes | None) -> None:
    pages = Pages()
    resolved_and_told(pages)
    assert not pages.step(Record(1, key, None))


def test_what_was_stored_before_kinds_were_is_published_again_by_its_name() -> None:
    pages = Pages()
    pages.step(alert_record(alert()))
    [(key, row)] = pages.rows.items()
    fields = msgspec.msgpack.decode(row[1:])
    pages.rows = {key: row[:1] + msgspec.msgpack.encode(fields[:7])}
    pages.restart()
    again = pages.processor.book.firing(alert().id)
    assert again is not None
    assert again.kind is alert().kind


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
