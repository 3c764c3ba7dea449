"""A report as CSV: one row per objective, or one row per breach, for spreadsheets and BI."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from sla.report import Report

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

OBJECTIVE_COLUMNS: Final = (
    "period",
    "contract",
    "contract_revision",
    "objective",
    "counting",
    "subject",
    "state",
    "revision",
    "as_of",
    "start",
    "end",
    "timezone",
    "promised",
    "promised_over",
    "good",
    "bad",
    "attained",
    "met",
    "budget_allowed_events",
    "budget_remaining_events",
    "budget_remaining",
    "budget_estimated",
    "open_clocks",
    "corrections",
    "credit",
    "credit_currency",
    "watermelon_index",
    "green_and_unhappy",
)
BREACH_COLUMNS: Final = (
    "period",
    "contract",
    "objective",
    "clock_id",
    "ticket",
    "start",
    "deadline",
    "stop",
    "decided_at",
    "target_seconds",
    "consumed_seconds",
    "over_seconds",
    "cause",
    "cause_ratio",
)


def objectives_csv(report: Report) -> str:
    """Return one row per objective: shares as numbers with all their places, instants in UTC, absent is empty."""
    rows = []
    for contract in report.contracts:
        for objective in contract.objectives:
            document = objective.statement.document()
            budget, credit = document["budget"], document["credit"]
            watermelon = objective.watermelon
            rows.append(
                {
                    **document,
                    "revision": objective.issued_revision,
                    "budget_allowed_events": budget["allowed_events"],
                    "budget_remaining_events": budget["remaining_events"],
                    "budget_remaining": budget["remaining"],
                    "budget_estimated": budget["estimated"],
                    "open_clocks": objective.open_clocks,
                    "corrections": len(objective.corrections),
                    "credit": None if credit is None else credit["amount"]["amount"],
                    "credit_currency": None if credit is None else credit["amount"]["currency"],
                    "watermelon_index": None
                    if watermelon is None or watermelon.index is None
                    else float(watermelon.index),
                    "green_and_unhappy": objective.is_watermelon,
                }
            )
    return _csv(OBJECTIVE_COLUMNS, rows)


def breaches_csv(report: Report) -> str:
    """Return one row per breach of the period."""
    rows = [
        {
            "period": report.period.name,
            "contract": contract.id,
            "objective": objective.statement.terms.objective,
            **breach.document(),
        }
        for contract in report.contracts
        for objective in contract.objectives
        for breach in objective.breaches
    ]
    return _csv(BREACH_COLUMNS, rows)


def _csv(columns: Sequence[str], rows: Iterable[dict[str, object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # a ticket called =cmd|... must not run anything in a spreadsheet
    return "" if value is None else value
