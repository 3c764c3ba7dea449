"""Laws of the compacted topic of alerts, against a log that several write to, crashes and outboxes sent again.

Whatever the interleaving: once everything is read and told, the last record of an alert says that it fires if it does,
and there is none, or a tombstone, if it does not.
"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.alert_processor import AlertProcessor
from config.settings import AlertmanagerSettings, WebSettings
from sla.outcome import Alert, AlertState
from streams.codecs import decode_alert
from streams.state_rows import OUTBOX_SLOTS, Output, Position, stamp
from tests.support.fake_kafka import Record
from tests.support.records import TOPICS, CountingObserver, alert, alert_record, made_by

pytestmark = pytest.mark.property

ALERTS = "sla.alerts/0"
TICKETS = "sla.tickets/0"
NUMBERS = (1, 2)
RESEND = 30_000
RESOLVE_RESEND = 900_000


class AlertsTopic(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.log: list[Record] = []
        self.decided: dict[str, AlertState] = {}
        self.decisions = 0
        self.now_ms = 1_780_000_000_000
        self.rows: dict[bytes, bytes] = {}
        self.position = Position()
        self.outbox: dict[int, list[Output]] = {}
        self.under_way: list[list[Output]] = []
        self.processor = self.restored()

    def restored(self) -> AlertProcessor:
        processor = AlertProcessor(
            0, TOPICS, AlertmanagerSettings(), CountingObserver(), lambda: self.now_ms, WebSettings()
        )
        processor.restore(self.rows, self.position, None)
        return processor

    @rule(number=st.sampled_from(NUMBERS), state=st.sampled_from(AlertState))
    def decide(self, number: int, state: AlertState) -> None:
        """The agent of tickets tells a state."""
        decision = alert(number, state)
        self.decided[decision.id] = state
        self.decisions += 1
        self.log.append(made_by(alert_record(decision), TICKETS, self.decisions))

    @precondition(lambda self: len(self.under_way) < OUTBOX_SLOTS)
    @rule(records=st.integers(0, 3))
    def step(self, records: int) -> None:
        """The agent of alerts takes records in and stores what they change; its outputs are on their way."""
        position = self.position
        chunk = self.log[position.offset + 1 : position.offset + 1 + records]
        self.processor.read(chunk, 0)
        result = self.processor.finish()
        if not result and not chunk:
            return
        position.offset += len(chunk)
        position.seq += 1
        position.ordinals = dict(self.processor.ordinals)
        for key, row in result.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        stamp(result.outputs, ALERTS, position.seq)
        self.outbox[position.seq] = result.outputs
        self.outbox.pop(position.seq - OUTBOX_SLOTS, None)
        self.under_way.append(result.outputs)

    @precondition(lambda self: self.under_way)
    @rule()
    def arrive(self) -> None:
        """The outputs of the oldest step under way are appended."""
        self.append(self.under_way.pop(0))

    @rule(seconds=st.sampled_from([1, 31, 901]), succeeds=st.booleans())
    def push(self, seconds: int, succeeds: bool) -> None:
        self.now_ms += seconds * 1000
        due = self.processor.book.due(self.now_ms)
        if succeeds:
            self.processor.book.pushed(due, self.now_ms)

    @rule()
    def take_over(self) -> None:
        """The agent dies; another one restores and sends the outbox again, whether or not it had arrived."""
        self.under_way.clear()
        self.processor = self.restored()
        for _, outputs in sorted(self.outbox.items()):
            self.append(outputs)

    def append(self, outputs: list[Output]) -> None:
        for output in outputs:
            self.log.append(Record(len(self.log), output.key, output.value, self.now_ms, 1, output.headers))

    @invariant()
    def every_alert_that_is_told_is_one(self) -> None:
        for record in self.log[-3:]:
            assert record.value is None or isinstance(decode_alert(record.value), Alert)

    def teardown(self) -> None:
        for _ in range(2 * RESOLVE_RESEND // RESEND):
            self.push(RESEND // 1000, succeeds=True)
            self.step(len(self.log))
            while self.under_way:
                self.arrive()
            if not self.processor.book.documents() and self.position.offset == len(self.log) - 1:
                break
        last = {record.key: record for record in self.log}
        for alert_id, state in self.decided.items():
            value = last[alert_id.encode()].value
            if state is AlertState.RESOLVED:
                assert value is None, "an alert that is over stays for ever"
            else:
                assert value is not None, "a tombstone hides an alert that fires"
                decoded = decode_alert(value)
                assert isinstance(decoded, Alert)
                assert decoded.state is AlertState.FIRING


TestAlertsTopic = AlertsTopic.TestCase
TestAlertsTopic.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
