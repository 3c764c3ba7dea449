"""``slawatch adjust``: maintenance and corrections of the time of services, with who, why and when."""

from __future__ import annotations

import asyncio
import difflib
import getpass
import logging
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.table import Column, Table

from cli.console import console as make_console
from sla.units import DAY_MS, MINUTE_MS, format_instant, parse_instant

if TYPE_CHECKING:
    from config.settings import Settings
    from sla.adjustment import Adjustment
    from sla.availability import Availability
    from sla.register import Register

app = typer.Typer(no_args_is_help=True)

_SHOWN_OCCURRENCES = 5
_YEAR_MS = 366 * DAY_MS


class Kind(StrEnum):
    """Kinds of adjustments, as on the wire."""

    MAINTENANCE = "maintenance"
    OUTAGE_CORRECTION = "outage-correction"


class Counts(StrEnum):
    """How an interval counts."""

    UP = "up"
    DOWN = "down"
    EXCLUDED = "excluded"


AdjustmentId = Annotated[str, typer.Argument(metavar="ID", help="Id, such as that of the change request.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decided it. Default: the login name.")]
Reason = Annotated[str, typer.Option(help="Why; kept with it, and told in statements.")]


@app.callback()
def adjust() -> None:
    """Maintenance and corrections of services: add, list, show, withdraw."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a command says itself what does not answer


@app.command("add")
def add(
    adjustment_id: AdjustmentId,
    *,
    service: Annotated[str, typer.Option(help="Service that it is about.")],
    start: Annotated[str, typer.Option(metavar="INSTANT", help="First minute, RFC 3339 with a zone.")],
    reason: Reason,
    end: Annotated[str | None, typer.Option(metavar="INSTANT", help="End, not part of it.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="Or how long: 2h, 90m.")] = None,
    kind: Annotated[
        Kind, typer.Option(help="maintenance: agreed work; outage-correction: what was measured is not what happened.")
    ] = Kind.MAINTENANCE,
    counts_as: Annotated[
        Counts | None, typer.Option("--counts-as", help="Of a correction: how the interval counts.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="RRULE", help="Again and again: FREQ=WEEKLY;BYDAY=SU.")
    ] = None,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="Whose local time recurs.")] = "UTC",
    by: By = None,
    reference: Annotated[str | None, typer.Option(help="Where it was decided.")] = None,
    retroactive: Annotated[
        bool, typer.Option("--retroactive", help="It may begin in the past: what was told is judged again.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Change an adjustment that is there.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check it and say what it is about; publish nothing.")
    ] = False,
) -> None:
    """Publish an adjustment: at once in force at every worker.

    Maintenance is left out of availability or counts as good, as each objective says. A minute is what its first
    instant is. With --retroactive minutes that are already judged are judged again, as far back as they are kept.
    """
    from sla.adjustment import Adjustment, AdjustmentKind, CountsAs, Recurrence
    from sla.events import Rejected
    from streams.adjustment_codec import decode_adjustment, encode_adjustment
    from streams.system_clock import now_ms

    recorded_at_ms = now_ms()
    start_ms, end_ms = _interval(start, end, lasts)
    settings, register, known = _read()
    _require_known(service, register)
    before = known.get(adjustment_id)
    if before is not None and not replace:
        _refuse(f"{adjustment_id} is there already ({_state(before)}): --replace changes it, or take another id")
    adjustment = Adjustment(
        adjustment_id,
        AdjustmentKind(kind.value),
        service,
        start_ms,
        end_ms,
        CountsAs(counts_as.value) if counts_as is not None else CountsAs.EXCLUDED,
        recorded_at_ms,
        by or _login(),
        reason.strip(),
        reference,
        retroactive,
        recurrence=None if every is None else Recurrence(every, timezone),
    )
    if kind is Kind.OUTAGE_CORRECTION and counts_as is None:
        _refuse("--counts-as: say how the interval counts: up, down or excluded")
    if start_ms < recorded_at_ms and not retroactive:
        _refuse(
            f"--start: {format_instant(start_ms)} is in the past (it is now {format_instant(recorded_at_ms)}): "
            "maintenance is announced; --retroactive says that it may change what was told"
        )
    document = encode_adjustment(adjustment)
    checked = decode_adjustment(document, adjustment_id.encode())
    if isinstance(checked, Rejected):
        _refuse(checked.detail)
    _tell(adjustment, register, recorded_at_ms)
    if dry_run:
        typer.echo("nothing published (--dry-run)")
        return
    _publish(settings, adjustment_id, document)
    typer.echo("published")


@app.command("withdraw")
def withdraw(adjustment_id: AdjustmentId, *, reason: Reason, by: By = None) -> None:
    """Take an adjustment back: it counts no more, also in the past, and stays in the list."""
    import msgspec

    from streams.adjustment_codec import encode_adjustment
    from streams.system_clock import now_ms

    settings, _, known = _read()
    adjustment = _find(adjustment_id, known)
    if adjustment.revoked:
        typer.echo(f"{adjustment_id} is withdrawn already; nothing to do")
        return
    if not reason.strip():
        _refuse("--reason: say why, in a few words")
    withdrawn = msgspec.structs.replace(
        adjustment, revoked=True, revoked_at_ms=now_ms(), revoked_by=by or _login(), revoked_reason=reason.strip()
    )
    _publish(settings, adjustment_id, encode_adjustment(withdrawn))
    typer.echo(f"{adjustment_id} is withdrawn: minutes that it changed are judged again")


@app.command("list")
def list_command(
    *,
    service: Annotated[str | None, typer.Option(help="Only those of this service.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line, as on the topic.")] = False,
) -> None:
    """List all adjustments, withdrawn ones too, in the order in which they were recorded: the audit list."""
    from cli.lines import write_lines
    from streams.adjustment_codec import encode_adjustment

    _, _, known = _read()
    chosen = sorted(
        (of for of in known.values() if service is None or of.service == service), key=lambda of: of.precedence
    )
    if json:
        write_lines(None, map(encode_adjustment, chosen))
        return
    table = Table(
        Column("id", no_wrap=True),
        "service",
        "kind",
        "from",
        "to",
        "again",
        "counts as",
        "recorded",
        "by",
        "why",
        "state",
    )
    for of in chosen:
        table.add_row(
            of.id,
            of.service,
            of.kind.value,
            format_instant(of.start_ms),
            format_instant(of.end_ms),
            of.recurrence.rule if of.recurrence else "",
            of.counts_as.value,
            format_instant(of.recorded_at_ms),
            of.recorded_by,
            of.reason,
            _state(of),
        )
    console = make_console(markup=False)
    if chosen:
        console.print(table)
    console.print(f"{len(chosen)} adjustments")


@app.command("show")
def show(adjustment_id: AdjustmentId) -> None:
    """Show one adjustment: everything that is recorded, the next times, and the objectives it concerns."""
    from streams.system_clock import now_ms

    _, register, known = _read()
    _tell(_find(adjustment_id, known), register, now_ms())


def _interval(start: str, end: str | None, lasts: str | None) -> tuple[int, int]:
    from sla.contract import TimeBase
    from sla.duration import parse_within
    from sla.errors import UnitError

    faults: list[str] = []
    start_ms = end_ms = 0
    try:
        start_ms = parse_instant(start)
    except UnitError as error:
        faults.append(f"--start: {error}")
    if (end is None) == (lasts is None):
        faults.append("--end or --for: one of them says when it is over")
    try:
        if end is not None:
            end_ms = parse_instant(end)
        elif lasts is not None:
            within = parse_within(lasts)
            if within.base is not TimeBase.ELAPSED or within.rule is not None:
                faults.append(f"--for: {lasts} is no length of elapsed time: write 2h or 90m")
            end_ms = start_ms + within.duration_ms
    except UnitError as error:
        faults.append(f"{'--end' if end is not None else '--for'}: {error}")
    if not faults and end_ms <= start_ms:
        faults.append("--end: must be later than --start")
    faults += [
        f"{name}: {format_instant(instant_ms)} is no whole minute: availability is kept by the minute"
        for name, instant_ms in (("--start", start_ms), ("--end", end_ms))
        if not faults and instant_ms % MINUTE_MS
    ]
    if faults:
        _refuse(*faults)
    return start_ms, end_ms


def _read() -> tuple[Settings, Register, dict[str, Adjustment]]:
    """Return settings, the register in force and every adjustment on it, by id."""
    from agents.register_view import compile_register
    from config.settings import load_settings
    from streams.register_topics import read_register

    settings = load_settings()
    view = compile_register(asyncio.run(read_register(settings)))
    for fault in view.faults:
        print(f"left out: {fault}", file=sys.stderr)
    return settings, view.register, {adjustment.id: adjustment for adjustment in view.register.adjustments}


def _publish(settings: Settings, adjustment_id: str, document: bytes) -> None:
    from streams.register_topics import DocumentKind, publish

    asyncio.run(publish(settings, {(DocumentKind.ADJUSTMENT, adjustment_id): document}))


def _find(adjustment_id: str, known: dict[str, Adjustment]) -> Adjustment:
    found = known.get(adjustment_id)
    if found is None:
        near = difflib.get_close_matches(adjustment_id, known, n=1)
        _refuse(f"no adjustment {adjustment_id!r}" + (f": did you mean {near[0]!r}?" if near else ""))
    return found


def _require_known(service: str, register: Register) -> None:
    if service in register.services:
        return
    near = difflib.get_close_matches(service, register.services, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ": availability of it is promised by no signed contract"
    _refuse(f"--service: unknown service {service!r}{hint}")


def _tell(adjustment: Adjustment, register: Register, now_ms: int) -> None:
    lines = [
        f"{adjustment.id}: {adjustment.kind.value} of {adjustment.service}, {_state(adjustment)}",
        f"  from {format_instant(adjustment.start_ms)} to {format_instant(adjustment.end_ms)}",
        f"  recorded {format_instant(adjustment.recorded_at_ms)} by {adjustment.recorded_by}: {adjustment.reason}",
    ]
    if adjustment.reference:
        lines.append(f"  reference {adjustment.reference}")
    if adjustment.retroactive:
        lines.append("  retroactive")
    if adjustment.revoked:
        when = "" if adjustment.revoked_at_ms is None else f" {format_instant(adjustment.revoked_at_ms)}"
        lines.append(f"  withdrawn{when} by {adjustment.revoked_by or '?'}: {adjustment.revoked_reason or ''}")
    if adjustment.recurrence is not None:
        rule = adjustment.recurrence
        lines.append(f"  again: {rule.rule}, local time of {rule.timezone}; next:")
        coming = adjustment.intervals(max(now_ms, adjustment.start_ms), max(now_ms, adjustment.start_ms) + _YEAR_MS)
        for start_ms, end_ms in list(coming)[:_SHOWN_OCCURRENCES]:
            lines.append(f"    {format_instant(start_ms)} to {format_instant(end_ms)}")
    for line in lines:
        typer.echo(line)
    concerned = {of.id: of for of in register.availabilities_of(adjustment.service)}
    for objective in concerned.values():
        typer.echo(f"  {objective.id}: {_effect(adjustment, objective)}")
    if not concerned:
        typer.echo("  no objective is about this service")


def _effect(adjustment: Adjustment, objective: Availability) -> str:
    from sla.adjustment import AdjustmentKind
    from sla.availability import MaintenancePolicy

    if adjustment.kind is AdjustmentKind.MAINTENANCE:
        counts_good = objective.maintenance is MaintenancePolicy.COUNT_GOOD
        return "counts as good" if counts_good else "is left out"
    return {"up": "counts as good", "down": "counts as bad", "excluded": "is left out"}[adjustment.counts_as.value]


def _state(adjustment: Adjustment) -> str:
    return "withdrawn" if adjustment.revoked else "in force"


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        _refuse("--by: say who decided it")


def _refuse(*faults: str) -> NoReturn:
    for fault in faults:
        print(fault, file=sys.stderr)
    raise typer.Exit(2)
