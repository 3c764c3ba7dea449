"""Numbers as reports write them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from export.report.wording import counted, duration, percent, promised, verdict_word
from sla.contract import Period, Window
from tests.support.report_facts import report

NBSP = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("ratio", "places", "written"),
    [
        (Fraction(99_996, 100_000), 2, "99.99 %"),
        (Fraction(1), 2, "100.00 %"),
        (Fraction(2, 3), 1, "66.6 %"),
        (Fraction(-1, 3), 1, "-33.3 %"),
        (Fraction(-1, 100_000), 1, "0.0 %"),
        (0.5, 0, "50 %"),
        (None, 2, "–"),
    ],
)
def test_shares_are_never_rounded_up(ratio: Fraction | float | None, places: int, written: str) -> None:
    assert percent(ratio, places).replace(NBSP, " ") == written


@pytest.mark.parametrize(
    ("ratio", "written"), [("0.95", "95 %"), ("0.999", "99.9 %"), ("1", "100 %"), ("0.99995", "99.995 %")]
)
def test_promises_are_written_as_they_are_agreed(ratio: str, written: str) -> None:
    assert promised(Fraction(ratio)).replace(NBSP, " ") == written


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (None, "–"),
        (0, "–"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_599_999, "59 min"),
        (3_600_000, "1 h 00 min"),
        (4_000_000_000, "1,111 h 06 min"),
        (-60_000, "-1 min"),
    ],
)
def test_durations_are_rounded_down(ms: int | None, written: str) -> None:
    assert duration(ms) == written


def test_one_is_singular() -> None:
    assert (counted(1, "clock"), counted(0, "clock"), counted(1200, "clock")) == ("1 clock", "0 clocks", "1,200 clocks")


def test_a_part_of_the_promised_period_is_neither_met_nor_missed() -> None:
    [objective] = report(good=80, bad=20).objectives
    statement = objective.statement
    assert verdict_word(statement) == "missed"
    quarterly = replace(statement.terms, window=Window(None, Period.QUARTER, "Europe/Berlin"))
    assert verdict_word(replace(statement, terms=quarterly)) == "below target"
    rolling = replace(statement.terms, window=Window(30 * 86_400_000, None))
    assert verdict_word(replace(statement, terms=rolling)) == "missed"
