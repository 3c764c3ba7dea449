"""Calendars as a table: hours, and how many holidays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from sla.calendar_spec import WEEKDAYS, CalendarSpec, Combination, format_hours

if TYPE_CHECKING:
    from config.calendar_model import CalendarModel

_JOINED_BY = {Combination.INTERSECTION: "\nand ", Combination.UNION: "\nor "}


def calendars_table(calendars: Mapping[str, CalendarModel]) -> Table:
    """Return a table of calendars; days with the same hours share a line."""
    table = Table(title="Calendars", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("id", "timezone", "hours", "holidays"):
        table.add_column(name, no_wrap=name in ("id", "timezone"), overflow="fold")
    for calendar_id, calendar in sorted(calendars.items()):
        spec = calendar.to_domain()
        table.add_row(calendar_id, spec.timezone, _hours(spec), _holidays(spec))
    return table


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the plural where it belongs."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _hours(spec: CalendarSpec) -> str:
    if spec.combination is not None:
        return _JOINED_BY[spec.combination].join(part.id for part in spec.parts)
    days: dict[str, list[str]] = {}
    for day, windows in zip(WEEKDAYS, spec.weekly, strict=True):
        if windows:
            days.setdefault(" ".join(format_hours(*window) for window in windows), []).append(day)
    return "\n".join(f"{' '.join(names)} {text}" for text, names in days.items())


def _holidays(spec: CalendarSpec) -> str:
    if spec.combination is not None:
        return "theirs"
    closed = counted(len(spec.closed_dates), "date") if spec.closed_dates else ""
    yearly = f"{len(spec.closed_yearly)} every year" if spec.closed_yearly else ""
    return ", ".join(filter(None, (closed, yearly))) or "none"
