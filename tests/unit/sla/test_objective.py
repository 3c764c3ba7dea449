"""Objectives over the counts of all source partitions."""

from __future__ import annotations

import struct
from fractions import Fraction

import pytest

from sla.contract import Period, Target, Window
from sla.objective import MIN_BAD_EVENTS, Attainment, ObjectiveEngine
from sla.objective_rows import ROW_FORMAT
from sla.outcome import Alert, AlertState
from sla.register import Register
from sla.row import RowFormatError
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, parse_instant
from tests.support.domain import register, target

A, B = "sla.tickets/0", "sla.tickets/1"
ROLLING = Window(rolling_ms=30 * DAY_MS, period=None)
MARCH_MS = parse_instant("2026-03-01T00:00:00+01:00")
NOW_MS = parse_instant("2026-03-15T12:00:00+01:00")
DAY = [MARCH_MS + n * DAY_MS for n in range(31)]


IN_FULL = {"over": ROLLING}
"""A window that is observed from its start on, see :meth:`Book.begins`: then its events are no estimate."""


def promise(attain: str = "9/10", over: Window | None = None, **terms: object) -> Target:
    return target("r", attain=attain, over=over, team="desk", **terms)  # type: ignore[arg-type]


class Book:
    """An objective engine with a memory of its rows and alerts."""

    def __init__(
        self, of: Register | None = None, sources: frozenset[str] = frozenset({A, B}), retention_days: int = 42
    ):
        self.engine = ObjectiveEngine(of or register(promise()), sources, retention_days * DAY_MS)
        self.rows: dict[bytes, bytes] = {}
        self.alerts: list[Alert] = []

    def begins(self, before_ms: int = NOW_MS) -> None:
        """Let the first thing told be as old as the rolling window."""
        self.counts(before_ms - 30 * DAY_MS, 0, 0)

    def counts(
        self, minute_ms: int, met: int, breached: int, source: str = A, target_id: str = "r", **how: bool
    ) -> None:
        self.engine.count(target_id, minute_ms, source, met, breached, **how)

    def now(self, now_ms: int = NOW_MS) -> None:
        for source in self.engine.sources:
            self.engine.progress(source, now_ms)
        outcome = self.engine.finish()
        for key, row in outcome.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        self.alerts += outcome.alerts

    def restarts(self, of: Register | None = None) -> None:
        former = self.engine
        self.engine = ObjectiveEngine(of or former.register, former.sources, former.retention_ms)
        self.engine.load(self.rows.items())

    @property
    def attainment(self) -> Attainment:
        (found,) = self.engine.attainments()
        return found

    @property
    def states(self) -> list[AlertState]:
        return [alert.state for alert in self.alerts]


# --- sums ----------------------------------------------------------------------------------------------------------


def test_events_are_summed_over_minutes_and_sources_and_divided_once() -> None:
    book = Book(register(promise(**IN_FULL)))
    book.begins()
    book.counts(DAY[1], 90, 0)
    book.counts(DAY[1], 0, 2, source=B)
    book.counts(DAY[2], 7, 1, source=B)
    book.now()
    assert (book.attainment.met, book.attainment.breached) == (97, 3)
    assert book.attainment.attained_ratio == 0.97
    assert book.attainment.budget_remaining_ratio == pytest.approx(0.7), "ten may fail of a hundred, three have"
    assert not book.attainment.budget.is_estimated
    assert book.attainment.window == "30d"


def test_the_events_of_a_running_month_are_estimated_from_those_of_the_time_observed() -> None:
    book = Book()
    book.counts(MARCH_MS, 90, 10)
    book.counts(DAY[1], 0, 0)
    book.now()
    # A hundred in 14.5 days; the month has 743 hours, for the clocks go forward.
    budget = book.attainment.budget
    assert budget.is_estimated
    assert budget.expected_events == Fraction(100 * 743, 348)
    assert budget.remaining_ratio == 1 - 10 / (Fraction(1, 10) * Fraction(74_300, 348))
    assert book.attainment.coverage_ratio == 1.0


def test_count_told_again_changes_nothing_and_a_correction_replaces_it() -> None:
    book = Book()
    book.counts(DAY[1], 5, 1)
    book.counts(DAY[1], 5, 1)
    assert (book.attainment.met, book.attainment.breached) == (5, 1)
    book.counts(DAY[1], 6, 0)
    assert (book.attainment.met, book.attainment.breached) == (6, 0)


def test_change_of_a_bucket_that_its_source_does_not_keep_is_added() -> None:
    book = Book()
    book.counts(DAY[1], 5, 1)
    book.counts(DAY[1], 1, -1, is_delta=True)
    book.counts(DAY[2], 0, 1, is_delta=True)
    assert (book.attainment.met, book.attainment.breached) == (6, 1)


def test_what_came_before_the_window_does_not_count() -> None:
    book = Book()
    book.counts(MARCH_MS - MINUTE_MS, 0, 9)
    book.counts(MARCH_MS, 1, 0)
    book.now()
    assert (book.attainment.met, book.attainment.breached) == (1, 0)
    assert book.attainment.window_start_ms == MARCH_MS


def test_first_minute_of_the_window_belongs_to_it_also_when_it_is_told_later() -> None:
    book = Book()
    book.counts(DAY[1], 1, 0)
    book.now()
    assert book.attainment.met == 1
    book.counts(MARCH_MS, 1, 0)
    book.counts(MARCH_MS - MINUTE_MS, 1, 0)
    assert book.attainment.met == 2


def test_new_month_begins_at_zero_and_a_late_count_goes_to_the_old_one() -> None:
    book = Book()
    book.counts(DAY[30], 3, 1)
    book.now()
    assert book.attainment.breached == 0, "told ahead of the slowest source"
    book.now(DAY[30])
    assert book.attainment.breached == 1, "the minute that is not over counts as far as it is told"
    book.now(parse_instant("2026-04-01T00:00:00+02:00"))
    assert (book.attainment.met, book.attainment.breached) == (0, 0)
    assert book.attainment.attained_ratio is None, "no data is not good data"
    assert book.attainment.budget_remaining_ratio == 1.0, "as much as the month before is expected"
    book.counts(DAY[30], 4, 1)
    assert (book.attainment.met, book.attainment.breached) == (0, 0)


def test_rolling_window_rolls_by_the_minute() -> None:
    book = Book(register(promise(over=ROLLING)))
    book.counts(DAY[0], 1, 0)
    book.counts(DAY[0] + MINUTE_MS, 1, 0)
    for after_ms, expected in ((0, 2), (MINUTE_MS - 1, 2), (MINUTE_MS, 1), (2 * MINUTE_MS, 0)):
        book.now(DAY[0] + 30 * DAY_MS + after_ms)
        assert book.attainment.met == expected
    assert book.attainment.window == "30d"


def test_target_without_counts_here_has_no_attainment() -> None:
    assert Book().engine.attainments() == []


# --- watermark -----------------------------------------------------------------------------------------------------


def test_watermark_is_the_smallest_progress_once_every_source_has_told() -> None:
    book = Book()
    assert book.engine.watermark_ms is None
    assert book.engine.now_ms == 0
    book.engine.progress(A, 50)
    book.counts(DAY[1], 1, 0)
    assert book.engine.watermark_ms is None
    assert book.attainment.coverage_ratio == 0.5
    assert book.attainment.watermark_ms is None
    book.engine.progress(B, 40)
    assert book.engine.watermark_ms == 40
    book.engine.progress(B, 30)
    book.engine.progress("sla.tickets/99", 10)
    assert book.engine.watermark_ms == 40, "progress never goes back, and strangers don't count"


def test_nothing_is_judged_before_every_source_has_told() -> None:
    book = Book()
    book.counts(DAY[1], 0, 100)
    book.engine.progress(A, NOW_MS)
    assert book.engine.finish().alerts == []


# --- alerts --------------------------------------------------------------------------------------------------------


def test_budget_is_spent_when_more_have_failed_than_may() -> None:
    book = Book(register(promise(**IN_FULL)))
    book.begins()
    book.counts(DAY[1], 27, 3)
    book.now()
    assert book.states == [], "three of thirty: exactly what is allowed"
    book.counts(DAY[1], 26, 3)
    book.now()
    assert book.states == [AlertState.FIRING]
    (alert,) = book.alerts
    assert alert.id == "SLAObjectiveBudgetSpent/r"
    assert alert.labels["team"] == "desk"
    assert alert.annotations["description"].startswith(
        "89.66% of 29 met, 90.00% promised; 3 breached since 2026-02-13T11"
    )


def test_alert_of_an_agreement_without_a_team_names_none() -> None:
    book = Book(register(target("r", attain="9/10")))
    book.counts(DAY[1], 0, 10)
    book.now()
    assert "team" not in book.alerts[0].labels


def test_a_few_bad_events_are_no_news() -> None:
    book = Book()
    book.counts(DAY[1], 0, MIN_BAD_EVENTS - 1)
    book.now()
    assert book.states == []


def test_alert_stays_until_the_budget_is_clearly_not_spent() -> None:
    book = Book(register(promise(**IN_FULL)))
    book.begins()
    book.counts(DAY[1], 50, 10)
    book.now()
    book.counts(DAY[1], 95, 10)
    book.now()
    assert book.states == [AlertState.FIRING], "95 % of the budget is spent"
    book.counts(DAY[1], 102, 10)
    book.now()
    assert book.states == [AlertState.FIRING, AlertState.RESOLVED]


def test_promise_of_everything_alerts_as_soon_as_enough_have_failed() -> None:
    book = Book(register(promise("1")))
    book.counts(DAY[1], 1_000, MIN_BAD_EVENTS - 1)
    book.now()
    assert book.states == []
    book.counts(DAY[1], 1_000, MIN_BAD_EVENTS)
    book.now()
    assert book.states == [AlertState.FIRING]
    assert book.attainment.budget_remaining_ratio is None, "there is no budget to divide"


def test_alert_resolves_with_the_new_period() -> None:
    book = Book()
    book.counts(DAY[1], 0, 10)
    book.now()
    book.now(parse_instant("2026-04-01T00:00:00+02:00"))
    assert book.states == [AlertState.FIRING, AlertState.RESOLVED]


def test_alert_does_not_fire_again_after_a_restart() -> None:
    book = Book()
    book.counts(DAY[1], 0, 10)
    book.now()
    book.restarts()
    book.now(NOW_MS + 1)
    assert book.states == [AlertState.FIRING]


@pytest.mark.parametrize("restart", [True, False])
def test_alert_of_an_objective_that_is_not_promised_any_more_resolves(restart: bool) -> None:
    book = Book()
    book.counts(DAY[1], 0, 10)
    book.now()
    without = register(target("r"))
    if restart:
        book.restarts(without)
    else:
        book.engine.set_register(without)
    book.now(NOW_MS + 1)
    assert book.states == [AlertState.FIRING, AlertState.RESOLVED]
    assert book.alerts[1].id == book.alerts[0].id
    assert not any(key[:1] == b"a" for key in book.rows)


# --- revisions -----------------------------------------------------------------------------------------------------


def test_objective_is_that_of_the_revision_in_force() -> None:
    easier = promise("1/2", since=0, until=DAY[20])
    stricter = promise("9/10", revision=2, since=DAY[20])
    book = Book(register(easier, stricter))
    book.counts(DAY[1], 6, 4)
    book.now(DAY[20] - 1)
    assert book.states == [], "announced terms are not in force yet"
    book.now(DAY[20])
    assert book.states == [AlertState.FIRING]


def test_revision_without_an_objective_ends_it() -> None:
    book = Book(register(promise(until=DAY[20]), target("r", revision=2, since=DAY[20])))
    book.counts(DAY[1], 2, 8)
    book.now(DAY[10])
    book.now(DAY[20])
    assert book.states == [AlertState.FIRING, AlertState.RESOLVED]
    assert book.engine.attainments() == []


def test_objective_over_another_window_counts_anew() -> None:
    book = Book()
    book.counts(MARCH_MS - MINUTE_MS, 1, 0)
    book.counts(DAY[1], 1, 0)
    book.now()
    assert book.attainment.met == 1
    book.engine.set_register(register(promise(over=ROLLING)))
    assert book.attainment.met == 2
    book.engine.set_register(register(promise(over=Window(rolling_ms=None, period=Period.WEEK))))
    assert book.attainment.met == 0


# --- rows ----------------------------------------------------------------------------------------------------------


def test_counts_come_back_after_a_restart() -> None:
    book = Book()
    book.counts(DAY[1], 5, 1)
    book.counts(DAY[1], 3, 0, source=B)
    book.now()
    before = book.attainment
    book.restarts()
    assert book.attainment == before
    assert len(book.engine) == 2


def test_row_of_another_kind_is_left_alone_and_one_of_a_newer_format_is_refused() -> None:
    book = Book()
    book.counts(DAY[1], 5, 1)
    book.now()
    book.engine.load([(b"x", b"")])
    for key, row in book.rows.items():
        with pytest.raises(RowFormatError, match="a newer worker wrote it"):
            book.engine.load([(key, bytes((ROW_FORMAT + 1,)) + row[1:])])


def test_counts_are_forgotten_when_they_have_left_the_window_for_long_enough() -> None:
    book = Book(register(promise(over=ROLLING)), retention_days=10)
    book.counts(DAY[0], 5, 1)
    book.counts(DAY[5], 5, 1)
    book.now(DAY[0] + 40 * DAY_MS)
    assert len(book.engine) == 2
    book.now(DAY[0] + 41 * DAY_MS)
    assert len(book.engine) == 1
    assert sum(key[:1] in (b"h", b"y") for key in book.rows) == 1


def test_counts_of_a_target_without_an_objective_are_forgotten_too() -> None:
    book = Book(register(promise(), target("silent")), retention_days=10)
    book.counts(DAY[0], 5, 1, target_id="silent")
    book.counts(DAY[0], 5, 1, target_id="of a contract that is gone")
    book.now(DAY[9])
    assert len(book.engine) == 2
    book.now(DAY[11])
    assert len(book.engine) == 0
    assert not any(key[:1] in (b"h", b"y") for key in book.rows)


def test_rows_of_forgotten_counts_are_removed_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sla.objective.REMOVAL_LIMIT", 2)
    book = Book(register(promise(over=ROLLING)), retention_days=0)
    for number in range(5):
        book.counts(DAY[0] + number * HOUR_MS + HOUR_MS, 1, 0)
    book.now(DAY[1])
    assert kept(book) == 5
    book.now(DAY[0] + 32 * DAY_MS)
    assert len(book.engine) == 0
    assert kept(book) == 3
    book.counts(DAY[0] + HOUR_MS, 2, 0)  # told again: one whose row is not gone yet
    for _ in range(3):
        book.now(DAY[0] + 32 * DAY_MS)
    assert kept(book) == 1
    before = len(book.engine)
    book.restarts()
    assert len(book.engine) == before == 1


def kept(book: Book) -> int:
    return sum(key[:1] in (b"h", b"y") for key in book.rows)


def test_hours_of_a_day_that_is_over_become_one_row_and_can_still_be_corrected() -> None:
    book = Book(register(promise(over=ROLLING)))
    for number in range(30):
        book.counts(DAY[2] + HOUR_MS * number, 10, number % 3)
    book.now(DAY[3])
    assert kept(book) == 30
    book.now(DAY[6])
    book.now(DAY[6] + DAY_MS)
    assert kept(book) == 3, "days of UTC"
    before = (book.attainment.met, book.attainment.breached)
    assert before == (300, 30)
    book.restarts()
    assert (book.attainment.met, book.attainment.breached) == before
    book.counts(DAY[2] + HOUR_MS * 2, 12, 0)
    book.now(DAY[7] + MINUTE_MS)
    assert (book.attainment.met, book.attainment.breached) == (302, 28)
    book.restarts()
    assert (book.attainment.met, book.attainment.breached) == (302, 28)
    assert kept(book) == 3


def test_minutes_as_a_former_release_kept_them_are_taken_over() -> None:
    book = Book()
    for source, met, breached in ((A, 5, 1), (B, 3, 2)):
        key = b"c" + struct.pack(">q", DAY[1]) + source.encode() + b"\x00r"
        book.rows[key] = struct.pack(">Bii", 1, met, breached)
    book.restarts()
    book.now()
    assert (book.attainment.met, book.attainment.breached) == (8, 3)
    assert kept(book) == 2
    assert not any(key[:1] == b"c" for key in book.rows)
    book.counts(DAY[1], 6, 0)
    assert (book.attainment.met, book.attainment.breached) == (9, 2), "and they can still be corrected"


def test_engine_without_sources_has_no_coverage() -> None:
    book = Book(sources=frozenset())
    book.counts(DAY[1], 1, 0)
    assert book.attainment.coverage_ratio == 0.0
    assert book.engine.watermark_ms is None
