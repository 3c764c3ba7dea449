"""``slawatch explain``: why the clocks of one ticket stand where they stand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer
from rich import box
from rich.markup import escape
from rich.table import Column, Table

from cli.console import console as make_console
from cli.events import Columns, Constants, Mapping, SkipFaults, Timezone, instant_of, read_events
from sla.events import UPDATED

if TYPE_CHECKING:
    from rich.console import Console

    from config.settings import Settings
    from sla.engine import EngineLimits
    from sla.explanation import Explanation
    from sla.register import Register
    from sources.record import SourceEvent

_RUNNING = frozenset({"counted", "outside-hours"})
_COLOURS = {"met": "green", "breached": "red", "open": "cyan"}
_REQUEST_SECONDS = 10.0


def explain(
    ticket: Annotated[str, typer.Argument(help="Ticket id.")],
    *,
    events: Annotated[
        Path | None,
        typer.Option("--events", dir_okay=False, help="Log that holds its events; without one a worker is asked."),
    ] = None,
    contracts: Annotated[
        list[Path] | None,
        typer.Option("--contracts", metavar="DIR", help="With --events: folder or file of contracts and calendars."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="INSTANT", help="As known at this instant. Default: the newest event, or now."),
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Any worker. Default: the address that the settings of this machine name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with every interval.")] = False,
    windows: Annotated[
        bool, typer.Option("--windows", help="A row for each opening and closing of a calendar.")
    ] = False,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Time zone of the table.")] = "UTC",
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
) -> None:
    """Show each clock of a ticket as a timeline: what counted and why, who held it, what was consumed, which deadline.

    From a log and contracts, or live from the worker that owns the ticket. The same events give the same bytes.
    """
    from config.settings import load_settings

    settings = load_settings()
    at_ms = None if at is None else instant_of(at, "--at")
    shown_in = _zone(zone)
    if events is None:
        if contracts:
            raise typer.BadParameter("goes with --events: workers have their own register", param_hint="--contracts")
        document = asyncio.run(_ask(settings, url, ticket, at))
    else:
        if not contracts:
            raise typer.BadParameter("is needed with --events", param_hint="--contracts")
        from cli.backtest import limits_of, register_of
        from cli.contracts import read_agreements

        limits = limits_of(settings.engine.settle_seconds, settings.engine.retention_days)
        register = register_of(read_agreements(contracts))
        reading = read_events(events, mapping, columns, timezone, constants, skip_faults=skip_faults)
        own = [event for event in reading.events if event.ticket == ticket]
        if not own:
            raise typer.BadParameter(f"{events} holds no event of {ticket!r}", param_hint="TICKET")
        end_ms = reading.events[-1].at_ms if at_ms is None else at_ms
        found = explain_events(own, register, limits, end_ms, settings.engine.largest_event_bytes)
        document = found.document()
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))
    else:
        show(make_console(), document, shown_in, windows=windows)


def explain_events(
    events: list[SourceEvent], register: Register, limits: EngineLimits, at_ms: int, largest_event_bytes: int = 65_536
) -> Explanation:
    """Explain one ticket from its events, as a worker that had got them would at an instant.

    Parameters
    ----------
    events : list of SourceEvent
        All of one ticket.
    """
    from sla.engine import TicketEngine
    from sla.explanation import explain as explain_history
    from sources.record import to_wire
    from streams.codecs import decode_ticket

    engine = TicketEngine(register, 0, limits)
    ticket_id = events[0].ticket
    for event in events:
        if event.at_ms <= at_ms:
            decoded = decode_ticket(to_wire(event), event.key, largest_event_bytes)
            if isinstance(decoded, tuple):
                engine.apply(*decoded)
    ticket = engine.ticket(ticket_id)
    history = [] if ticket is None else list(ticket.history)
    return explain_history(ticket_id, history, register, at_ms, limits.settle_ms)


async def _ask(settings: Settings, url: str | None, ticket: str, at: str | None) -> dict[str, Any]:
    """Ask a worker; it passes the question on to the owner of the ticket."""
    from aiohttp import ClientError, ClientSession, ClientTimeout
    from yarl import URL

    base = URL(url or f"http://{settings.web.host}:{settings.web.port}")
    token = settings.web.bearer_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    path = base / "v1" / "tickets" / ticket
    try:
        async with (
            ClientSession(headers=headers, timeout=ClientTimeout(_REQUEST_SECONDS)) as session,
            session.get(path, params={} if at is None else {"at": at}) as response,
        ):
            body = await response.read()
            status = response.status
    except (ClientError, TimeoutError, ValueError) as error:
        typer.echo(f"no worker answers at {base}: {str(error) or type(error).__name__}; see --url", err=True)
        raise typer.Exit(1) from error
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError as error:
        typer.echo(f"{base}: answered {status} and no JSON: is this a worker?", err=True)
        raise typer.Exit(1) from error
    if status != 200:
        typer.echo(str(document.get("error", f"{base} answered {status}")), err=True)
        raise typer.Exit(2 if status in {400, 404} else 1)
    return document


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"{name!r} is no time zone such as Europe/Berlin", param_hint="--zone") from error


# --- the table ---


def show(console: Console, document: dict[str, Any], zone: ZoneInfo, *, windows: bool = False) -> None:
    """Print an explanation document as a table per clock.

    Parameters
    ----------
    windows : bool
        A row for each opening and closing of a calendar, instead of one for all between two events.
    """
    at = _instant(document["at"], zone)
    console.print(f"[bold]{escape(document['ticket'])}[/] as of {at} {escape(str(zone))}, {document['events']} events")
    if not document["clocks"]:
        console.print("No clock: no target applied to it, or nothing has started one.")
    for clock in document["clocks"]:
        console.print()
        _show_clock(console, clock, zone, windows=windows)


def _show_clock(console: Console, clock: dict[str, Any], zone: ZoneInfo, *, windows: bool) -> None:
    colour = _COLOURS.get(clock["outcome"], "yellow")
    counts = "elapsed time" if clock["time"] == "elapsed" else f"hours of {clock['calendar']}"
    outcome = clock["outcome"] if clock["outcome"] != "open" else f"open, {clock['phase']}"
    instants = ", ".join(f"{name} {_instant(clock[name], zone)}" for name in ("start", "deadline", "stop"))
    allowed = _hms(clock["target_seconds"])
    agreement = f"{escape(clock['contract'])} ({clock['contract_type']}) revision {clock['revision']}"
    lines = [
        f"[bold]{escape(clock['clock_id'])}[/] [{colour}]{outcome}[/]",
        f"{escape(clock['metric'])} {escape(_promise(clock['within']))} ({escape(counts)}), {agreement}",
        f"{instants}; consumed {_hms(clock['consumed_seconds'])} of {allowed}",
    ]
    if clock["endangers"]:
        endangered = ", ".join(f"{sla['clock_id']} of {sla['contract']}" for sla in clock["endangers"])
        lines.append(f"supports {escape(endangered)}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    table = Table(
        Column("from", no_wrap=True),
        Column("until", no_wrap=True),
        Column("after", overflow="fold"),
        Column("counts", overflow="fold"),
        Column("held by"),
        Column("counted", justify="right", no_wrap=True),
        Column("consumed", justify="right", no_wrap=True),
        Column("deadline", no_wrap=True),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    terms: tuple[str, int] | None = None
    for row in clock["timeline"] if windows else _merged(clock["timeline"]):
        before, terms = terms, (row["target"], row["revision"])
        # Time alone brings a revision into force; an event that brings one is told as the event.
        is_handed_over = before not in {None, terms} and row["from"] != row["event_at"]
        table.add_row(
            _instant(row["from"], zone),
            _instant(row["until"], zone),
            f"revision {row['revision']} in force" if is_handed_over else escape(_event(row)),
            escape(row["detail"]),
            escape(row["party"]),
            _hms(row["counted_seconds"]) if row["why"] in _RUNNING else "-",
            _hms(row["consumed_seconds"]),
            _instant(row["deadline"], zone),
            style="red" if row["late"] else ("" if row["why"] == "counted" else "dim"),
        )
    console.print(table)
    console.print(_parties_line(clock), highlight=False, soft_wrap=True)


def _promise(within: str) -> str:
    return within if within.startswith("by ") else f"within {within}"


def _merged(timeline: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield one row for all intervals between two events that change something, cut at the deadline only."""
    row: dict[str, Any] | None = None
    for interval in timeline:
        if row is not None and _goes_on(row, interval):
            row["until"] = interval["until"]
            row["counted_seconds"] += interval["counted_seconds"]
            row["consumed_seconds"] = interval["consumed_seconds"]
            if interval["why"] == "counted":
                row["why"], row["detail"] = "counted", interval["detail"]
            continue
        if row is not None:
            yield row
        row = dict(interval)
    if row is not None:
        yield row


def _goes_on(row: dict[str, Any], interval: dict[str, Any]) -> bool:
    is_quiet = interval["event"] in {row["event"], UPDATED} and not interval["changes"]
    if not is_quiet and interval["event_at"] != row["event_at"]:
        return False
    if any(row[name] != interval[name] for name in ("target", "revision", "late", "party", "deadline")):
        return False
    return row["why"] == interval["why"] or {row["why"], interval["why"]} <= _RUNNING


def _event(row: dict[str, Any]) -> str:
    changes = ", ".join(f"{name} {'-' if value is None else value}" for name, value in row["changes"].items())
    return f"{row['event']}: {changes}" if changes else str(row["event"])


def _parties_line(clock: dict[str, Any]) -> str:
    parts = []
    for party, seconds in clock["parties"].items():
        counted, paused = clock["parties_counted"].get(party), clock["parties_paused"].get(party)
        told = [f"{_hms(counted)} counted"] if counted else []
        told += [f"{_hms(paused)} paused"] if paused else []
        parts.append(f"{escape(party)} {_hms(seconds)}" + (f" ({', '.join(told)})" if told else ""))
    return f"held by {'; '.join(parts)}" if parts else "held by nobody: it ended as it started"


def _instant(text: str | None, zone: ZoneInfo) -> str:
    if text is None:
        return "-"
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M:%S}"


def _hms(seconds: float) -> str:
    """Render seconds as hours, minutes and seconds: 38:45:09."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
