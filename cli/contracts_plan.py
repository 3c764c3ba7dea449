"""``slawatch contracts plan``: what publishing agreements would change, down to the deadlines of open tickets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.table import Column, Table

from cli.calendar_table import counted
from cli.console import console as make_console
from cli.contracts import read_agreements
from cli.contracts_apply import documents_of, faults_against, rewritten_past, warnings_against
from cli.contracts_lookup import AsJson, instant_ms, published_contracts, refuse

if TYPE_CHECKING:
    from rich.console import Console

    from config.loader import Agreements
    from config.settings import Settings
    from sla.change_impact import MovedClock
    from sla.register import Register
    from streams.register_topics import DocumentKey, Published, RegisterSnapshot

CHANGES = 3
"""Exit code of ``--detailed-exitcode`` if there is something to publish; 1 and 2 are taken."""


@dataclass(slots=True)
class Impact:
    """What a change of the register would do to the live tickets.

    Attributes
    ----------
    tickets, open_clocks : int
        Looked at.
    moved : list of MovedClock
        By new deadline, clocks that end last.
    corrected : int
        Verdicts on ended clocks that would change.
    unreadable : int
        Tickets that can't be folded under the proposed register.
    """

    tickets: int = 0
    open_clocks: int = 0
    moved: list[MovedClock] = field(default_factory=list)
    corrected: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What ``contracts apply`` would do: documents, their changes in words, and the impact on live tickets."""

    published: Published
    changes: dict[DocumentKey, list[str]]
    warnings: list[str]
    impact: Impact


def plan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="DIR...", help="Folders or files of contracts and calendars, as for `contracts apply`."),
    ],
    *,
    prune: Annotated[bool, typer.Option("--prune", help="As if applied with --prune.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="Most clocks in the table; the counts are of all.")] = 20,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help=f"Exit with {CHANGES} if there is something to publish.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what `contracts apply` would change: documents, terms, and the open tickets whose deadlines would move.

    Reads the register and the workers' state from Kafka and folds every kept ticket under the present and the proposed
    register. Publishes nothing; faults are told as by apply.
    """
    from config.settings import load_settings
    from sla.row import RowFormatError
    from streams.state_rows import NewerFormatError

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    agreements = read_agreements(paths)
    try:
        with make_console(stderr=True).status("reading the register and the tickets"):
            planned = asyncio.run(_plan(load_settings(), agreements, prune=prune))
    except (RowFormatError, NewerFormatError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps(plan_document(planned), ensure_ascii=False, indent=2))
    else:
        _show(planned, limit)
    if detailed_exitcode and planned.changes:
        raise typer.Exit(CHANGES)


async def _plan(settings: Settings, agreements: Agreements, *, prune: bool) -> Plan:
    from streams.register_topics import DocumentKind, compare, read_register

    documents, now_ms = documents_of(agreements), instant_ms(None)
    register = await read_register(settings)
    authored = {DocumentKind.CONTRACT, DocumentKind.CALENDAR}
    absent = [key for key in register.documents if key[0] in authored and key not in documents]
    kept = {} if prune else {key: register.documents[key] for key in absent}
    if faults := faults_against(register, agreements, kept, now_ms):
        refuse(faults)
    published = compare(register.documents, documents, remove=absent if prune else ())
    changes = _changes(register, agreements, documents, published)
    impact = Impact()
    if changes:
        proposed = {key: value for key, value in register.documents.items() if key not in published.removed}
        impact = await _impact(settings, register, {**proposed, **documents})
    warnings = [
        *warnings_against(register, agreements, now_ms),
        *(f"{line} (apply asks for --force)" for line in rewritten_past(register, agreements, documents, now_ms)),
    ]
    return Plan(published, changes, warnings, impact)


def _changes(
    register: RegisterSnapshot, agreements: Agreements, documents: Mapping[DocumentKey, bytes], published: Published
) -> dict[DocumentKey, list[str]]:
    from config.document_changes import calendar_changes, contract_changes
    from streams.register_topics import DocumentKind

    contracts = published_contracts(register)
    changes = {}
    for kind, identity in (*published.created, *published.changed, *published.removed):
        if kind is DocumentKind.CONTRACT:
            lines = contract_changes(contracts.get(identity), agreements.contracts.get(identity))
        else:
            lines = calendar_changes(register.documents.get((kind, identity)), documents.get((kind, identity)))
        changes[kind, identity] = lines
    return changes


async def _impact(settings: Settings, register: RegisterSnapshot, proposed: Mapping[DocumentKey, bytes]) -> Impact:
    from agents.register_view import compile_register
    from cli.ticket_rows import read_ticket_rows
    from streams.register_topics import RegisterSnapshot

    after = compile_register(RegisterSnapshot(proposed))
    if after.faults:
        refuse([f"with this change workers would leave out {fault}" for fault in after.faults])
    before = compile_register(register).register
    rows = await read_ticket_rows(settings)
    return impact_of(rows.values(), before, after.register, int(settings.engine.settle_seconds * 1000))


def impact_of(partitions: Iterable[Mapping[bytes, bytes]], before: Register, after: Register, settle_ms: int) -> Impact:
    """Return what another register would do to the tickets in the rows of some partitions.

    Raises
    ------
    RowFormatError, NewerFormatError
        If a newer release wrote a row.
    """
    from sla.change_impact import impact_on
    from sla.engine import TICKET_PREFIX
    from sla.errors import SlaError
    from sla.row import decode_row
    from sla.units import NEVER
    from streams.state_rows import POSITION_KEY, decode_position

    found = Impact()
    for rows in partitions:
        position = rows.get(POSITION_KEY)
        now_ms = decode_position(position).now_ms if position else 0
        for key, row in rows.items():
            if key[:1] != TICKET_PREFIX:
                continue
            found.tickets += 1
            try:
                impact = impact_on(key[1:].decode(), decode_row(row), before, after, now_ms, settle_ms)
            except SlaError:
                found.unreadable += 1
                continue
            found.open_clocks += impact.open_clocks
            found.moved += impact.moved
            found.corrected += impact.corrected

    def soonest(moved: MovedClock) -> tuple[int, str, str]:
        due_ms = moved.after.due_ms if moved.after is not None else None
        return (NEVER if due_ms is None else due_ms, moved.ticket, moved.metric)

    found.moved.sort(key=soonest)
    return found


# --- output ---


def plan_document(planned: Plan) -> dict[str, Any]:
    """Return a plan as a JSON object; instants RFC 3339, durations in seconds."""
    from sla.units import format_instant

    def clock_of(moved: MovedClock) -> dict[str, Any]:
        sides: dict[str, Any] = {}
        for name, side in (("before", moved.before), ("after", moved.after)):
            sides[name] = side and {
                "target": side.target,
                "contract": side.contract,
                "revision": side.revision,
                "deadline": None if side.due_ms is None else format_instant(side.due_ms),
                "paused": side.paused,
                "breached": side.breached,
            }
        shift_seconds = None if moved.shift_ms is None else moved.shift_ms / 1000
        at = None if moved.at_ms is None else format_instant(moved.at_ms)
        head = {"ticket": moved.ticket, "metric": moved.metric, "effect": moved.effect.value, "at": at}
        return {**head, "shift_seconds": shift_seconds, **sides}

    done = _done(planned.published)
    return {
        "documents": [
            {"kind": kind.value, "id": identity, "change": done[kind, identity], "changes": lines}
            for (kind, identity), lines in planned.changes.items()
        ],
        "warnings": planned.warnings,
        "tickets": planned.impact.tickets,
        "open_clocks": planned.impact.open_clocks,
        "verdicts_corrected": planned.impact.corrected,
        "tickets_not_computed": planned.impact.unreadable,
        "moved": [clock_of(moved) for moved in planned.impact.moved],
    }


def _show(planned: Plan, limit: int) -> None:
    console = make_console(highlight=False)
    for warning in planned.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if not planned.changes:
        console.print("The register holds all of this already: nothing to publish.")
        return
    done = _done(planned.published)
    kept = [identity for kind, identity in planned.published.kept if kind.value != "Adjustment"]
    for (kind, identity), lines in planned.changes.items():
        console.print(f"{kind.value.lower()} {identity}: {done[kind, identity]}", style="bold", markup=False)
        for line in lines:
            console.print(f"  {line}", markup=False, soft_wrap=True)
    if kept:
        console.print(f"not in DIR, stays on the register: {', '.join(kept)}", markup=False, soft_wrap=True)
    _show_impact(console, planned.impact, limit)


def _show_impact(console: Console, impact: Impact, limit: int) -> None:
    counts = Counter(moved.effect for moved in impact.moved)
    told = ", ".join(f"{count:,} {_WORDS[effect]}" for effect, count in sorted(counts.items()))
    console.print(
        f"\n{len(impact.moved):,} of {impact.open_clocks:,} open clocks would change"
        + (f": {told}" if told else "; open clocks keep the terms they started under"),
        markup=False,
        soft_wrap=True,
    )
    if impact.corrected:
        console.print(
            f"{counted(impact.corrected, 'verdict')} on ended clocks would be corrected", style="yellow", markup=False
        )
    elif impact.tickets:
        console.print("no verdict on an ended clock would be corrected", markup=False)
    if impact.unreadable:
        console.print(
            f"{counted(impact.unreadable, 'ticket')} could not be computed under it", style="red", markup=False
        )
    shown = impact.moved[:limit]
    if shown:
        console.print(_table(shown))
    if len(shown) < len(impact.moved):
        console.print(f"and {len(impact.moved) - len(shown):,} more (--limit, --json)", markup=False)


_WORDS: Mapping[str, str] = {
    "earlier": "due earlier",
    "later": "due later",
    "breaches": "breached by the change",
    "saves": "not breached any more",
    "terms": "under other terms, due at the same instant",
    "begins": "begin",
    "ends": "end",
}


def _table(shown: Iterable[MovedClock]) -> Table:
    from sla.units import format_instant

    table = Table(
        Column("ticket", overflow="fold"),
        Column("target", overflow="fold"),
        Column("due now (UTC)", no_wrap=True),
        Column("would be due", no_wrap=True),
        Column("moved by", justify="right", no_wrap=True),
        Column("effect", no_wrap=True),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )

    def minute_of(instant_ms: int) -> str:
        # Minutes are enough for a reader; --json is exact.
        return format_instant(instant_ms)[:16].replace("T", " ")

    def due(side: Any) -> str:
        if side is None:
            return "no clock"
        if side.due_ms is None:
            return "paused"
        return f"{minute_of(side.due_ms)}{' (paused)' if side.paused else ''}"

    for moved in shown:
        table.add_row(
            moved.ticket,
            _targets(moved),
            due(moved.before),
            due(moved.after),
            _shift(moved.shift_ms),
            moved.effect.value if moved.at_ms is None else f"{moved.effect.value}, at {minute_of(moved.at_ms)}",
        )
    return table


def _targets(moved: MovedClock) -> str:
    before, after = moved.before, moved.after
    if before is None or after is None or (before.target, before.revision) == (after.target, after.revision):
        side = after or before
        return f"{side.target} r{side.revision}" if side is not None else ""
    if before.target == after.target:
        return f"{before.target} r{before.revision} -> r{after.revision}"
    return f"{before.target} r{before.revision} ->\n{after.target} r{after.revision}"


def _shift(shift_ms: int | None) -> str:
    from sla.duration import format_duration

    if shift_ms is None:
        return ""
    return ("+" if shift_ms > 0 else "") + format_duration(shift_ms, business=False)


def _done(published: Published) -> dict[DocumentKey, str]:
    words = {"new": published.created, "changed": published.changed, "removed": published.removed}
    return {key: word for word, keys in words.items() for key in keys}
