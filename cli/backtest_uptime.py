"""``slawatch backtest --uptime``: which burn-rate alerts minute counts would have raised, computed without Kafka."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from msgspec import Meta

from sla.units import MINUTE_MS, EpochMs

if TYPE_CHECKING:
    from rich.table import Table

    from sla.availability import Availability
    from sla.budget import Budget
    from sla.burn_rate import BurnPolicy
    from sla.burn_watch import BurnEvent
    from sla.calendar import WorkCalendar
    from sla.minute_counts import MinuteColumn
    from sla.register import Register

_MOST_FAULTS: Final = 20

_Count = Annotated[int, Meta(ge=0)]


class _Line(msgspec.Struct):
    """One line of counts; unknown fields are passed over."""

    service: Annotated[str, Meta(min_length=1)]
    at: float | str
    good: _Count
    bad: _Count


class UptimeCountsError(Exception):
    """A file of counts that can't be read; the text lists the first faults, one a line."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Minute counts of services.

    Attributes
    ----------
    of_service : dict
        Per service, good and bad events by the minute (UTC epoch ms) that they fall in.
    """

    of_service: dict[str, dict[int, tuple[int, int]]]

    @property
    def until_ms(self) -> int:
        """The end of the newest minute."""
        return max(max(minutes) for minutes in self.of_service.values()) + MINUTE_MS


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective and what became of it.

    Attributes
    ----------
    availability : Availability
        Its last terms.
    events : tuple of BurnEvent
        Its alerts' changes, in time.
    budget : Budget
        At the end.
    """

    availability: Availability
    events: tuple[BurnEvent, ...]
    budget: Budget


def read_counts(path: Path) -> Counts:
    """Read lines ``{"service", "at", "good", "bad"}``; lines of one service and minute are added up.

    Raises
    ------
    UptimeCountsError
        With the first faults, each with its line.
    """
    from sources.faults import SourceError
    from sources.files import open_source

    of_service: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    faults: list[str] = []
    # Not strict: what data frames write is 100.0 as often as 100.
    decode = msgspec.json.Decoder(_Line, strict=False).decode
    try:
        with open_source(path) as lines:
            for number, text in enumerate(lines, 1):
                if not text.strip():
                    continue
                try:
                    line = decode(text)
                    at_ms = _instant_ms(line.at)
                except ValueError as error:  # msgspec's and those of instants alike
                    faults.append(f"{path}: line {number}: {error}")
                    if len(faults) > _MOST_FAULTS:
                        break
                    continue
                minutes = of_service[line.service]
                minute_ms = at_ms - at_ms % MINUTE_MS
                good, bad = minutes.get(minute_ms, (0, 0))
                minutes[minute_ms] = (good + line.good, bad + line.bad)
    except SourceError as error:
        raise UptimeCountsError(str(error)) from error
    if not of_service and not faults:
        faults.append(f'{path}: holds no counts: write lines {{"service","at","good","bad"}}')
    if faults:
        if len(faults) > _MOST_FAULTS:
            faults[_MOST_FAULTS:] = ["... and more"]
        raise UptimeCountsError("\n".join(faults))
    return Counts(dict(of_service))


def _instant_ms(at: float | str) -> EpochMs:
    from sla.units import parse_instant

    # Below 2**53 every whole number is a float of its own: instants until the year 287,396.
    return parse_instant(at) if isinstance(at, str) else EpochMs(floor(at))


def judge_counts(
    counts: Counts, register: Register, policy: BurnPolicy, until_ms: int | None = None
) -> tuple[list[Judged], list[str]]:
    """Judge every availability objective of the services counted, minute by minute, by the counts as they are.

    Parameters
    ----------
    until_ms : int or None
        The end; later minutes are left out. None: the end of the newest minute.

    Returns
    -------
    list of Judged, list of str
        By objective; and the services that no objective is about.
    """
    end_ms = counts.until_ms if until_ms is None else until_ms - until_ms % MINUTE_MS
    judged: list[Judged] = []
    strangers = [service for service in counts.of_service if service not in register.services]
    for service, minutes in counts.of_service.items():
        revisions: dict[str, list[Availability]] = defaultdict(list)
        for availability in register.availabilities_of(service):
            revisions[availability.id].append(availability)
        for of_one in revisions.values():
            found = _judge(of_one, minutes, register, policy, end_ms)
            if found is not None:
                judged.append(found)
    return sorted(judged, key=lambda each: each.availability.id), sorted(strangers)


def _judge(
    revisions: Sequence[Availability],
    minutes: dict[int, tuple[int, int]],
    register: Register,
    policy: BurnPolicy,
    end_ms: int,
) -> Judged | None:
    from sla.budget import budget_at
    from sla.burn_watch import Terms, replay
    from sla.calendar import ElapsedCalendar

    column, first_ms = _column(revisions, minutes, register, end_ms)
    if column is None:
        return None
    last = [each for each in revisions if each.effective_from_ms < end_ms][-1]
    hours: WorkCalendar = ElapsedCalendar() if last.hours is None else register.calendars[last.hours]
    terms = [Terms(each.attain, each.window, each.effective_from_ms, each.effective_until_ms) for each in revisions]

    def coverage(start_ms: int, until_ms: int) -> tuple[int, int]:
        # Time before the first minute is not missing: there was nobody to miss it. Nor is time out of hours.
        return column.sums(start_ms, until_ms).minutes, hours.worked_between(
            max(start_ms, first_ms), until_ms
        ) // MINUTE_MS

    events = tuple(replay(policy, terms, column, first_ms, end_ms, coverage))
    at_ms = min(end_ms, last.effective_until_ms)
    return Judged(last, events, budget_at(last.attain, last.window, column, at_ms, first_ms))


def _column(
    revisions: Sequence[Availability], minutes: dict[int, tuple[int, int]], register: Register, end_ms: int
) -> tuple[MinuteColumn | None, int]:
    """Return the counts of the minutes in which the objective is promised, within its service hours; and the first."""
    from sla.minute_counts import MinuteColumn

    kept: list[tuple[int, int, int]] = []
    for each in revisions:
        hours = None if each.hours is None else register.calendars[each.hours]
        kept += [
            (minute_ms, good, bad)
            for minute_ms, (good, bad) in minutes.items()
            if each.is_in_force(minute_ms) and minute_ms < end_ms and (hours is None or hours.is_open(minute_ms))
        ]
    if not kept:
        return None, 0
    kept.sort()
    return MinuteColumn(kept), kept[0][0]


def alert_lines(judged: Iterable[Judged]) -> Iterator[bytes]:
    """Yield one JSON line per change of an alert, by instant and alert."""
    from sla.burn_alert import burn_alert_id
    from sla.units import format_instant

    found: list[tuple[int, str, dict[str, Any]]] = []
    for each in judged:
        objective = each.availability.id
        for event in each.events:
            spent, remaining = event.budget.spent_ratio, event.budget.remaining_ratio
            alert_id = burn_alert_id(objective, event.severity)
            line = {
                "alert": alert_id,
                "objective": objective,
                "severity": event.severity.value,
                "state": event.state.value,
                "at": format_instant(event.at_ms),
                "budget_spent_ratio": None if spent is None else float(spent),
                "budget_remaining_ratio": None if remaining is None else float(remaining),
            }
            found.append((event.at_ms, alert_id, line))
    for _, _, line in sorted(found, key=lambda item: item[:2]):
        yield msgspec.json.encode(line)


def budgets_table(judged: Iterable[Judged]) -> Table:
    """Return a table of the objectives at the end: attained, budget, alerts."""
    from rich.table import Column, Table

    from sla.window import window_name

    names = ("promised", "attained", "budget spent", "events left", "minutes left", "pages", "tickets")
    table = Table(Column("objective", no_wrap=True), Column("over"), *(Column(name, justify="right") for name in names))
    for each in judged:
        budget, availability = each.budget, each.availability
        fired = [event.severity.value for event in each.events if event.state.value == "firing"]
        spent, attained, minutes = budget.spent_ratio, budget.attained_ratio, budget.remaining_minutes
        table.add_row(
            availability.id,
            window_name(availability.window) + (" (estimated)" if budget.is_estimated else ""),
            f"{float(availability.attain) * 100:g}%",
            "" if attained is None else f"{float(attained):.4%}",
            "none allowed" if spent is None else f"{float(spent):.2%}",
            f"{float(budget.remaining_events):,.1f}",
            "" if minutes is None else f"{float(minutes):,.1f}",
            str(fired.count("page")),
            str(fired.count("ticket")),
        )
    return table


def backtest_uptime(counts_file: Path, register: Register, alerts: Path | None, until_ms: int | None) -> None:
    """Read counts, judge them, write the alerts, print the budgets.

    Raises
    ------
    typer.Exit
        With 2 if the counts can't be read, no objective is about any of their services, or the file of the alerts
        can't be written.
    """
    from cli.console import console
    from cli.lines import write_lines
    from config.burn_policy import load_burn_policy
    from config.faults import suggestion
    from config.settings import load_settings

    err = console(stderr=True)
    try:
        counts = read_counts(counts_file)
    except UptimeCountsError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    policy = load_burn_policy(load_settings().engine.burn_policy_file)
    judged, strangers = judge_counts(counts, register, policy, until_ms)
    for service in strangers:
        near = suggestion(service, register.services)
        typer.echo(f"{counts_file}: no availability objective is about service {service!r}{near}", err=True)
    if not judged:
        if not strangers:
            typer.echo(f"{counts_file}: no objective was in force at any of these minutes", err=True)
        raise typer.Exit(2)
    try:
        number = write_lines(alerts, alert_lines(judged))
    except OSError as error:
        typer.echo(f"{alerts}: can't be written: {error.strerror or error}", err=True)
        raise typer.Exit(2) from error
    to_file = alerts is not None and str(alerts) != "-"
    (console() if to_file else err).print(budgets_table(judged))
    err.print(f"{number:,} changes of alerts, policy {policy.id}", markup=False, highlight=False)
