"""CSV of a report: rows that spreadsheets and programs read alike."""

from __future__ import annotations

import csv
import io

from export.report.table import BREACH_COLUMNS, OBJECTIVE_COLUMNS, breaches_csv, objectives_csv
from tests.support.report_facts import EVIL, report


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_one_row_per_objective() -> None:
    [row] = rows(objectives_csv(report(good=80, bad=20, owes=True)))
    assert tuple(row) == OBJECTIVE_COLUMNS
    assert (row["good"], row["bad"], row["attained"], row["met"]) == ("80", "20", "0.8", "false")
    assert (row["budget_allowed_events"], row["budget_remaining_events"]) == ("5.0", "-15.0")
    assert (row["credit"], row["credit_currency"], row["revision"]) == ("100.00", "EUR", "")


def test_one_row_per_breach_all_of_them() -> None:
    found = rows(breaches_csv(report(good=1, bad=120)))
    assert len(found) == 120
    assert tuple(found[0]) == BREACH_COLUMNS
    assert {row["cause"] for row in found} == {"team:desk"}
    assert [row["stop"] == "" for row in found].count(True) == 1


def test_names_survive_and_run_nothing_in_a_spreadsheet() -> None:
    found = rows(breaches_csv(report(name=EVIL)))
    assert {row["ticket"] for row in found} == {EVIL}
    assert {row["ticket"] for row in rows(breaches_csv(report(name="=1+1")))} == {"'=1+1"}


def test_negative_numbers_stay_numbers() -> None:
    assert float(rows(objectives_csv(report(good=0, bad=1)))[0]["budget_remaining_events"]) < 0


def test_lines_end_as_the_standard_says() -> None:
    assert objectives_csv(report()).count("\r\n") == objectives_csv(report()).count("\n") == 2
