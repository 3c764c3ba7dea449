"""Laws of the alert book, against a model of Alertmanager, under failures, lost answers and restarts.

- An alert that fires without a break, once taken by Alertmanager, never has a gap there while at most two pushes in a
  row fail; it is never told to be resolved.
- Its start never moves, whatever restarts.
- After a push that succeeded, Alertmanager and the decisions agree about what fires.
- What is sent never lies in the future and never ends before it starts.
- When everything is resolved, the book and its stored rows become empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from export.alert_book import AlertBook, DueAlert
from export.pushed_alert import PushedAlert
from sla.outcome import Alert, AlertKind, AlertState

pytestmark = pytest.mark.property

SECOND = 1_000
RESEND = 30 * SECOND
RESOLVE_RESEND = 900 * SECOND
RETRY = 5 * SECOND
MOST_FAILURES = 2
IDS = ("a", "b", "c")


@dataclass
class ModelAlertmanager:
    """What Alertmanager 0.25 does with a POST: the merge of overlapping intervals, and expiry."""

    held: dict[tuple[tuple[str, str], ...], tuple[int, int]] = field(default_factory=dict)

    def post(self, alert: PushedAlert, now_ms: int) -> None:
        key = tuple(sorted(alert.labels.items()))
        start, end = alert.starts_at_ms, alert.ends_at_ms
        if key in self.held:
            old_start, old_end = self.held[key]
            if (old_start < end < old_end) or (old_start < start < old_end):
                # The latest end wins, but for a resolve of what fires: that one ends it.
                if end > now_ms or old_end <= now_ms:
                    end = max(end, old_end)
                start = min(start, old_start)
        self.held[key] = (start, end)

    def interval(self, alert_id: str) -> tuple[int, int] | None:
        found = [interval for key, interval in self.held.items() if ("ticket_id", alert_id) in key]
        assert len(found) <= 1, "an alert lives under one set of labels"
        return found[0] if found else None


class AlertBookMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_780_000_000_000
        self.book = self.new_book()
        self.stored: dict[str, bytes] = {}
        self.alertmanager = ModelAlertmanager()
        self.firing: dict[str, int] = {}
        """Alerts that fire by the decisions, with the instant their episode started."""
        self.taken_at: dict[str, int] = {}
        """When Alertmanager, in its present life, last took an alert as firing."""
        self.failures = 0

    @staticmethod
    def new_book() -> AlertBook:
        return AlertBook(resend_ms=RESEND, resolve_resend_ms=RESOLVE_RESEND, retry_ms=RETRY)

    def store(self) -> None:
        for alert_id, row in self.book.take_changes().items():
            if row is None:
                self.stored.pop(alert_id, None)
            else:
                self.stored[alert_id] = row

    def decide(self, alert_id: str, state: AlertState, summary: str = "") -> None:
        self.book.apply(
            Alert(
                id=alert_id,
                kind=AlertKind.TICKET_AT_RISK,
                state=state,
                severity="warning",
                at_ms=0,
                labels={"ticket_id": alert_id},
                annotations={"summary": summary},
            ),
            self.now_ms,
        )
        self.store()

    def arrive(self, due: list[DueAlert]) -> None:
        for item in due:
            self.alertmanager.post(item.alert, self.now_ms)
            if item.state is AlertState.FIRING:
                self.taken_at[item.id] = self.now_ms

    def checked_due(self) -> list[DueAlert]:
        due = self.book.due(self.now_ms)
        for item in due:
            assert item.alert.starts_at_ms <= self.now_ms
            assert item.alert.starts_at_ms <= item.alert.ends_at_ms
            if item.state is AlertState.RESOLVED:
                assert item.alert.ends_at_ms <= self.now_ms
                assert item.id not in self.firing, "told to be resolved while it fires"
            else:
                assert item.alert.ends_at_ms == self.now_ms + 4 * RESEND
                assert item.alert.starts_at_ms == self.firing[item.id], "its start moved"
        return due

    @initialize()
    def begin(self) -> None:
        self.fire("a", "")

    @rule(alert_id=st.sampled_from(IDS), summary=st.sampled_from(["", "half", "most"]))
    def fire(self, alert_id: str, summary: str) -> None:
        self.firing.setdefault(alert_id, self.now_ms)
        self.decide(alert_id, AlertState.FIRING, summary)

    @rule(alert_id=st.sampled_from(IDS))
    def resolve(self, alert_id: str) -> None:
        self.firing.pop(alert_id, None)
        self.taken_at.pop(alert_id, None)
        self.decide(alert_id, AlertState.RESOLVED)

    @rule(step_ms=st.integers(1, RESEND))
    def push(self, step_ms: int) -> None:
        """Time goes on and a push succeeds, after a failed one when it is tried again."""
        self.advance(max(step_ms, RETRY) if self.failures else step_ms)
        due = self.checked_due()
        self.arrive(due)
        self.book.pushed(due, self.now_ms)
        self.store()
        self.failures = 0
        for alert_id in IDS:
            interval = self.alertmanager.interval(alert_id)
            if alert_id in self.firing:
                assert self.taken_at[alert_id] > self.now_ms - RESEND, "not sent again in time"
                assert interval is not None
                assert interval[1] > self.now_ms
                assert interval[0] <= self.firing[alert_id]
            elif interval is not None:
                assert interval[1] <= self.now_ms, "fires at Alertmanager only"

    @precondition(lambda self: self.failures < MOST_FAILURES)
    @rule(step_ms=st.integers(1, RESEND), arrives=st.booleans())
    def push_without_answer(self, step_ms: int, arrives: bool) -> None:
        """Time goes on and a push fails, with or without having arrived."""
        self.advance(step_ms)
        due = self.checked_due()
        if arrives:
            self.arrive(due)
        self.store()
        self.failures += 1

    @precondition(lambda self: self.failures < MOST_FAILURES)
    @rule(arrives=st.booleans(), during=st.sampled_from(IDS), state=st.sampled_from(AlertState))
    def decision_during_a_push(self, arrives: bool, during: str, state: AlertState) -> None:
        """A decision comes while a push is under way; the push succeeds or not."""
        due = self.checked_due()
        if state is AlertState.FIRING:
            self.fire(during, "meanwhile")
        else:
            self.resolve(during)
        if arrives:
            for item in due:
                self.alertmanager.post(item.alert, self.now_ms)
                if item.state is AlertState.FIRING and item.id in self.firing:
                    self.taken_at[item.id] = self.now_ms
            self.book.pushed(due, self.now_ms)
        else:
            self.failures += 1
        self.store()

    @rule()
    def restart(self) -> None:
        """Another worker takes over from what was stored."""
        self.book = self.new_book()
        for alert_id, row in self.stored.items():
            self.book.load(alert_id, row)
            assert self.book.row(alert_id) == row

    @rule()
    def restart_alertmanager(self) -> None:
        """Alertmanager forgets all alerts and gets them again with the next resend."""
        self.alertmanager = ModelAlertmanager()
        self.taken_at.clear()
        self.failures = MOST_FAILURES  # the next push succeeds
        self.advance(RESEND - 1)
        self.push(1)

    def advance(self, step_ms: int) -> None:
        self.now_ms += step_ms
        for alert_id in self.taken_at:
            interval = self.alertmanager.interval(alert_id)
            assert interval is not None
            assert interval[1] > self.now_ms, "a gap at Alertmanager"

    @invariant()
    def what_fires_is_in_the_book_and_stored(self) -> None:
        for alert_id in self.firing:
            assert alert_id in self.book
            assert alert_id in self.stored
        assert self.book.firing_count() == len(self.firing)

    def teardown(self) -> None:
        for alert_id in IDS:
            self.resolve(alert_id)
        for _ in range(RESOLVE_RESEND // RESEND + 2):
            self.push(RESEND)
        assert len(self.book) == 0
        assert self.stored == {}
        assert self.book.next_due_ms() is None


TestAlertBook = AlertBookMachine.TestCase
TestAlertBook.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
