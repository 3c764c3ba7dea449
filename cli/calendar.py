"""``slawatch calendar``: check calendars, and work out business time and deadlines on one of them."""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn
from zoneinfo import ZoneInfo

import typer

from cli.contracts import WRONG_INPUT
from sla.contract import DeadlineAt

if TYPE_CHECKING:
    from sla.business_time import Pause
    from sla.calendar import Calendar
    from sla.contract import Within

app = typer.Typer(
    name="calendar", help="Calendars: check them, work out business time and deadlines.", no_args_is_help=True
)

_File = Annotated[Path, typer.Argument(metavar="CAL.yaml", help="File of the calendar.", show_default=False)]
_Start = Annotated[
    str, typer.Argument(metavar="START", help="RFC 3339 with its zone: 2026-03-02T09:00:00+01:00.", show_default=False)
]
_Pauses = Annotated[
    list[str] | None,
    typer.Option(
        "--pause",
        metavar="A/B",
        help="The clock stands from A to B, two instants. Repeatable; pauses may overlap.",
        show_default=False,
    ),
]
_Id = Annotated[
    str | None,
    typer.Option("--id", metavar="ID", help="Which calendar, if the file holds several.", show_default=False),
]

_EXACT_MS: Final = 1000
_INSTANT: Final = re.compile(r"[0-9tz:.+\- ]+", re.IGNORECASE)


@app.command("check")
def check(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files or folders of calendars.", show_default=False)
    ],
) -> None:
    """Check calendars and print every fault: file, place, what is wrong, what was probably meant."""
    from cli.calendar_table import calendars_table, counted
    from cli.console import console as make_console
    from config.calendar_files import load_calendars
    from config.loader import AgreementFaults

    try:
        calendars = load_calendars(paths)
    except AgreementFaults as error:
        for fault in error.faults:
            typer.echo(str(fault))
        typer.echo(counted(len(error.faults), "fault"), err=True)
        raise typer.Exit(WRONG_INPUT) from error
    console = make_console()
    console.print(calendars_table(calendars))
    console.print(f"{counted(len(calendars), 'calendar')}: no faults", style="green")


@app.command("between")
def between(
    file: _File,
    start: _Start,
    end: Annotated[str, typer.Argument(metavar="END", help="As START; not before it.", show_default=False)],
    *,
    pause: _Pauses = None,
    calendar_id: _Id = None,
) -> None:
    """Print how much business time lies between two instants, as one JSON object.

    `consumed_seconds` counts the calendar's hours outside of pauses; `elapsed_seconds` counts all time.
    """
    from sla.business_time import consumed_between
    from sla.calendar import ElapsedCalendar

    given = _Given()
    start_ms, end_ms = given.instant("START", start), given.instant("END", end)
    if start_ms is not None and end_ms is not None and end_ms < start_ms:
        given.faults.append(f"END: {end} is before START, {start}")
    pauses = given.pauses(pause)
    calendar = given.calendar(file, calendar_id)
    if given.faults or calendar is None or start_ms is None or end_ms is None:
        given.refuse()
    consumed_ms = consumed_between(calendar, start_ms, end_ms, pauses)
    worked_ms = calendar.worked_between(start_ms, end_ms)
    _print(
        {
            **_named(calendar),
            "start": _shown(start_ms),
            "end": _shown(end_ms),
            "consumed_seconds": _seconds(consumed_ms),
            "paused_seconds": _seconds(worked_ms - consumed_ms),
            "elapsed_seconds": _seconds(ElapsedCalendar().worked_between(start_ms, end_ms)),
        }
    )


@app.command("deadline")
def deadline(
    file: _File,
    start: _Start,
    within: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="As in contracts: 4bh, 90bm, 2bd, '2bd eod', 24h, 15m, 1w.", show_default=False
        ),
    ],
    *,
    pause: _Pauses = None,
    deadline_at: Annotated[
        DeadlineAt,
        typer.Option("--deadline-at", help="When a target used up exactly at close of business is due."),
    ] = DeadlineAt.CLOSE,
    calendar_id: _Id = None,
) -> None:
    """Print when a target that starts at an instant is due, as one JSON object.

    A pause moves the deadline by the time it shares with what the target counts, and by nothing else.
    """
    from sla.business_time import calendar_for, consumed_between, deadline_of
    from sla.errors import CalendarError

    given = _Given()
    start_ms = given.instant("START", start)
    target = given.within(within)
    pauses = given.pauses(pause)
    calendar = given.calendar(file, calendar_id)
    if given.faults or calendar is None or start_ms is None or target is None:
        given.refuse()
    try:
        deadline_ms = deadline_of(target, calendar, start_ms, pauses, deadline_at)
    except CalendarError as error:  # beyond the years that calendars cover
        given.faults.append(str(error))
        given.refuse()
    counting = calendar_for(target, calendar)
    consumed_ms = consumed_between(counting, start_ms, deadline_ms, pauses)
    counted_ms = counting.worked_between(start_ms, deadline_ms)
    _print(
        {
            **_named(calendar),
            "start": _shown(start_ms),
            "target": within.strip(),
            "counts": target.base.value,
            "deadline_at": deadline_at.value,
            "deadline": _shown(deadline_ms),
            "deadline_local": _local(deadline_ms, calendar),
            "consumed_seconds": _seconds(consumed_ms),
            "paused_seconds": _seconds(counted_ms - consumed_ms),
            "elapsed_seconds": _seconds(deadline_ms - start_ms),
        }
    )


class _Given:
    """What was given on the command line; everything wrong with it is told at once."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def instant(self, name: str, text: str) -> int | None:
        from sla.calendar import EARLIEST_MS, LATEST_MS
        from sla.errors import UnitError
        from sla.units import parse_instant

        try:
            # RFC 3339 allows a small t and z, and spaces around an argument are nobody's intention.
            instant_ms = parse_instant(text.strip().upper() if _INSTANT.fullmatch(text) else text)
        except UnitError as error:
            self.faults.append(f"{name}: {error}")
            return None
        if not EARLIEST_MS <= instant_ms < LATEST_MS:
            self.faults.append(f"{name}: {text} is outside what calendars cover, the years 1900 to 2399")
            return None
        return instant_ms

    def pauses(self, texts: list[str] | None) -> list[Pause]:
        pauses = []
        for text in texts or ():
            begin, slash, end = text.partition("/")
            if not slash or not begin.strip() or not end.strip():
                self.faults.append(f"--pause: {text!r} is no interval: write two instants, A/B")
                continue
            begin_ms, end_ms = self.instant("--pause", begin), self.instant("--pause", end)
            if begin_ms is None or end_ms is None:
                continue
            if end_ms < begin_ms:
                self.faults.append(f"--pause: {text!r} ends before it begins")
            pauses.append((begin_ms, end_ms))
        return pauses

    def within(self, text: str) -> Within | None:
        from sla.contract import TicketDate
        from sla.duration import parse_within
        from sla.errors import UnitError

        try:
            within = parse_within(text)
        except UnitError as error:
            self.faults.append(f"TARGET: {error}")
            return None
        if isinstance(within.rule, TicketDate):
            self.faults.append(f"TARGET: {text!r} is a date that a ticket carries, and there is no ticket here")
            return None
        return within

    def calendar(self, file: Path, calendar_id: str | None) -> Calendar | None:
        from config.calendar_files import load_calendar
        from config.loader import AgreementFaults
        from sla.calendar import Calendar

        try:
            return Calendar(load_calendar(file, calendar_id).to_domain())
        except AgreementFaults as error:
            self.faults += map(str, error.faults)
            return None

    def refuse(self) -> NoReturn:
        """Print the faults to standard error, for standard output is for the answer, and exit with 2."""
        for fault in self.faults:
            typer.echo(fault, err=True)
        raise typer.Exit(WRONG_INPUT)


def _named(calendar: Calendar) -> dict[str, Any]:
    return {"calendar": calendar.id, "timezone": calendar.spec.timezone}


def _shown(instant_ms: int) -> str:
    from sla.units import format_instant

    return format_instant(instant_ms)


def _local(instant_ms: int, calendar: Calendar) -> str:
    from sla.units import datetime_of

    zone = UTC if calendar.spec.timezone == "UTC" else ZoneInfo(calendar.spec.timezone)
    local: datetime = datetime_of(instant_ms).astimezone(zone)
    return local.isoformat(timespec="milliseconds" if instant_ms % _EXACT_MS else "seconds")


def _seconds(duration_ms: int) -> int | float:
    """Return seconds as people read them: whole ones without a fraction."""
    return duration_ms / _EXACT_MS if duration_ms % _EXACT_MS else duration_ms // _EXACT_MS


def _print(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
