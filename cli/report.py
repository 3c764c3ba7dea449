"""``slawatch report``: what every objective came to in a period, for the people who answer for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.console import console as make_console
from cli.events import Columns, Constants, Mapping, SkipFaults, Timezone, instant_of, read_events

if TYPE_CHECKING:
    from cli.report_data import ReportData
    from config.settings import Settings
    from sla.period import CalendarPeriod
    from sla.report import Report

_STDOUT: Final = Path("-")
_TOPIC: Final = Path("topic")


class ReportFormat(StrEnum):
    """Forms of a report."""

    HTML = "html"
    MARKDOWN = "md"
    CSV = "csv"
    JSON = "json"
    PDF = "pdf"


class Every(StrEnum):
    """Periods that reports are written for one after another."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


def report(
    *,
    period: Annotated[
        str | None, typer.Option(help="2026-10 (month), 2026-Q4 (quarter), 2026-W45 (week) or 2026 (year).")
    ] = None,
    every: Annotated[
        Every | None, typer.Option(help="In place of --period: one report for every such period; needs --to.")
    ] = None,
    contract: Annotated[list[str] | None, typer.Option(help="Only this contract; may be repeated.")] = None,
    form: Annotated[ReportFormat, typer.Option("--format", help="Form of the report.")] = ReportFormat.HTML,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="File to write; default, and -: standard output.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder to write to; files are named by their period.")
    ] = None,
    contracts: Annotated[
        list[Path] | None,
        typer.Option("--contracts", metavar="DIR", help="With --events or --uptime: contracts and calendars."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="A log in place of Kafka: XES, CSV or JSON lines, also .gz."),
    ] = None,
    uptime: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Minute counts of services in place of Kafka, as backtest --uptime has them."
        ),
    ] = None,
    feedback: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|topic",
            help="Feedback on services: JSON lines as on sla.uptime; topic reads sla.uptime itself.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="INSTANT", help="With a log: it is this instant.")] = None,
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
) -> None:
    """Report attainment, budgets, breaches with their parties, corrections, credits and trends of a period.

    From Kafka (sla.verdicts, sla.statements), or from a log under --contracts without Kafka. --format pdf is the HTML
    form printed by the Chromium that is installed; csv writes a second file with the breaches beside the first.
    With --every, files that already say the same stay as they are: run it as often as you like.
    """
    from cli.pdf_printer import PdfError
    from config.settings import load_settings
    from sla.report_building import ReportBuilder
    from sla.units import DAY_MS

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    wanted = _checked(period, every, form, out, to, contracts, events or uptime)
    settings = load_settings()
    data = _read(settings, contracts, events, uptime, until, (mapping, columns, timezone, constants, skip_faults))
    from cli.report_data import opinions_of, opinions_of_topic, unknown_contracts

    console = make_console(stderr=True)
    if faults := unknown_contracts(data.register, contract or ()):
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(2)
    for fault in data.faults:
        console.print(fault, markup=False, highlight=False)
    periods = [wanted] if wanted is not None else list(_periods(data, every))
    if not periods or not (data.facts.verdicts or data.facts.service_minutes or data.facts.issued):
        typer.echo("nothing was decided yet: no report to write", err=True)
        raise typer.Exit(1)
    # A day more on either side: periods begin at midnight of their own zones.
    spans = [each.span("UTC") for each in (periods[0], periods[-1])]
    facts = data.facts_of(spans[0].start_ms - DAY_MS, spans[1].end_ms + DAY_MS)
    if feedback is not None:
        opinions = opinions_of_topic(settings) if feedback == _TOPIC else opinions_of(feedback)
        facts = replace(facts, service_opinions=opinions)
    if wanted is not None and spans[0].start_ms - DAY_MS > facts.as_of_ms:
        typer.echo(
            f"--period: {wanted.name} has not begun: the newest that is known is {_told(facts.as_of_ms)}", err=True
        )
        raise typer.Exit(2)
    builder = ReportBuilder(data.register, facts, int(settings.engine.statement_grace_days * DAY_MS))
    try:
        written = [
            # Of a period that began before the oldest that is still kept, the file written earlier knows more.
            _deliver(
                builder.build(each, contract or ()),
                form,
                out,
                to,
                is_whole=len(periods) == 1 or each.span("UTC").start_ms >= facts.observed_from_ms - DAY_MS,
            )
            for each in periods
        ]
    except PdfError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for line in (line for lines in written for line in lines):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _checked(
    period: str | None,
    every: Every | None,
    form: ReportFormat,
    out: Path | None,
    to: Path | None,
    contracts: list[Path] | None,
    log: Path | None,
) -> CalendarPeriod | None:
    """Return the period asked for, None with --every; exit with 2 and every fault if the options don't fit."""
    from sla.errors import UnitError
    from sla.period import parse_period

    faults = []
    wanted = None
    if (period is None) == (every is None):
        faults.append("say which period: --period 2026-10, or --every month with --to DIR")
    elif period is not None:
        try:
            wanted = parse_period(period)
        except UnitError as error:
            faults.append(f"--period: {error}")
    elif to is None:
        faults.append("--every needs --to DIR: it writes a file per period")
    if out is not None and to is not None:
        faults.append("--out or --to, not both")
    if form is ReportFormat.PDF and to is None and out in (None, _STDOUT):
        faults.append("--format pdf needs --out FILE or --to DIR: it is no text")
    if (log is None) != (not contracts):
        faults.append("--contracts and --events (or --uptime) belong together; without them Kafka is read")
    if faults:
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(2)
    return wanted


def _read(
    settings: Settings,
    contracts: list[Path] | None,
    events: Path | None,
    uptime: Path | None,
    until: str | None,
    options: tuple[Path | None, list[str] | None, str | None, list[str] | None, bool],
) -> ReportData:
    from cli.backtest import register_of
    from cli.contracts import read_agreements
    from cli.report_data import from_log, from_topics, service_minutes_of
    from sla.backtest import BacktestError
    from sources.faults import SourceError

    if not contracts:
        if until is not None:
            raise typer.BadParameter("goes with --events or --uptime", param_hint="--until")
        return from_topics(settings)
    until_ms = None if until is None else instant_of(until, "--until")
    register = register_of(read_agreements(contracts))
    minutes = None
    if uptime is not None:
        from cli.backtest_uptime import UptimeCountsError

        try:
            minutes = service_minutes_of(uptime)
        except UptimeCountsError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from error
    mapping, columns, timezone, constants, skip_faults = options
    found = []
    if events is not None:
        found = read_events(events, mapping, columns, timezone, constants, skip_faults=skip_faults).events
    if events is not None and not found:
        raise SourceError(events, ["holds no events"])
    name = ", ".join(path.name for path in (events, uptime) if path is not None)
    try:
        return from_log(register, found, settings, name=name, until_ms=until_ms, service_minutes=minutes)
    except BacktestError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _periods(data: ReportData, every: Every | None) -> Iterator[CalendarPeriod]:
    """Yield the periods in which something was decided, up to the one that runs."""
    from sla.contract import Period
    from sla.period import period_at

    facts = data.facts
    instants = [verdict.decided_at_ms for verdict in facts.verdicts]
    instants += [min(told) for told in facts.service_minutes.values() if told]
    if every is None or not instants:
        return
    kind = Period(every.value)
    found, last = period_at(kind, "UTC", min(instants)), period_at(kind, "UTC", facts.as_of_ms)
    while found.first_day <= last.first_day:
        yield found
        found = found.shifted(1)


def _deliver(built: Report, form: ReportFormat, out: Path | None, to: Path | None, *, is_whole: bool) -> list[str]:
    """Write one report; return lines that say what became of it.

    Parameters
    ----------
    is_whole : bool
        Whether everything of its period is known; else a file that is there stays.
    """
    contents = rendered(built, form)
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        first = to / f"report-{built.period.name}.{form.value}"
    elif out is None or out == _STDOUT:
        typer.echo(b"\r\n".join(contents.values()).decode(), nl=False)
        return []
    else:
        first = out
    lines = []
    for suffix, content in contents.items():
        path = first.with_name(f"{first.stem}{suffix}{first.suffix}")
        if to is not None and path.exists() and (not is_whole or path.read_bytes() == content):
            continue
        partial = path.with_name(f"{path.name}.partial")
        partial.write_bytes(content)
        partial.replace(path)
        lines.append(f"{path}: {len(built.objectives):,} objectives, {len(content):,} bytes")
    return lines


def rendered(built: Report, form: ReportFormat) -> dict[str, bytes]:
    """Return the files of a report by what is added to their name; the first has nothing added."""
    import msgspec

    from cli.pdf_printer import print_pdf
    from export.report.html import html_of
    from export.report.markdown import markdown_of
    from export.report.table import breaches_csv, objectives_csv

    match form:
        case ReportFormat.HTML:
            return {"": html_of(built).encode()}
        case ReportFormat.MARKDOWN:
            return {"": markdown_of(built).encode()}
        case ReportFormat.JSON:
            return {"": msgspec.json.format(msgspec.json.encode(built.document()), indent=2) + b"\n"}
        case ReportFormat.CSV:
            return {"": objectives_csv(built).encode(), "-breaches": breaches_csv(built).encode()}
        case ReportFormat.PDF:
            return {"": print_pdf(html_of(built))}


def _told(at_ms: int) -> str:
    from sla.units import format_instant

    return format_instant(at_ms)
