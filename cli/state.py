"""``slawatch state``: what the workers' state topics hold, read without a worker."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Column, Table

from cli.console import console as make_console
from cli.lines import write_lines
from cli.ticket_rows import read_ticket_rows

if TYPE_CHECKING:
    from config.settings import Settings
    from sla.clock import Clock
    from sla.register import Register

app = typer.Typer(no_args_is_help=True)


@app.callback()
def state() -> None:
    """Look into the state of the workers; no worker needs to run."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a command says itself what does not answer


class ClockLine(msgspec.Struct, frozen=True):
    """One clock as of its partition's present.

    Attributes
    ----------
    outcome : str
        ``open`` without a verdict, else the verdict.
    consumed_seconds : float
        As the target counts (business or elapsed time), up to ``now`` while the clock runs.
    deadline : str or None
        None while the clock is paused within its target.
    target_known : bool
        False if the register does not hold the clock's target any more: then ``consumed_seconds`` and ``outcome`` are
        as of the last event.
    """

    clock_id: str
    ticket: str
    target: str
    revision: int
    cycle: int
    phase: str
    outcome: str
    start: str
    stop: str | None
    deadline: str | None
    consumed_seconds: float
    now: str
    target_known: bool = True


@app.command("clocks")
def clocks_command(
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write JSON lines here (.gz compresses); default: standard output."),
    ] = None,
) -> None:
    """List every clock that is kept, running, paused or ended, as JSON lines by clock id, as of its partition's now."""
    from config.settings import load_settings
    from sla.row import RowFormatError
    from streams.state_rows import NewerFormatError

    try:
        found = sorted(asyncio.run(_read_clocks(load_settings())), key=lambda line: line.clock_id)
    except (RowFormatError, NewerFormatError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    write_lines(out, map(msgspec.json.encode, found))
    console = make_console(stderr=True)
    console.print(_table(found))
    console.print(f"{len(found):,} clocks", markup=False, highlight=False)
    if unknown := sum(not line.target_known for line in found):
        console.print(f"{unknown:,} of targets that the register does not hold any more", markup=False, highlight=False)


async def _read_clocks(settings: Settings) -> list[ClockLine]:
    from agents.register_view import compile_register
    from streams.register_topics import read_register

    register = compile_register(await read_register(settings)).register
    rows = await read_ticket_rows(settings)
    settle_ms = int(settings.engine.settle_seconds * 1000)
    return [line for _, of_partition in sorted(rows.items()) for line in clock_lines(of_partition, register, settle_ms)]


def clock_lines(rows: dict[bytes, bytes], register: Register, settle_ms: int) -> Iterator[ClockLine]:
    """Yield the clocks of one partition's rows (newest value by key) as of the ``now`` of its position row.

    Raises
    ------
    RowFormatError, NewerFormatError
        If a newer release wrote a row.
    """
    from sla.engine import TICKET_PREFIX
    from sla.row import decode_row
    from streams.state_rows import POSITION_KEY, decode_position

    position = rows.get(POSITION_KEY)
    now_ms = decode_position(position).now_ms if position else 0
    for key, row in rows.items():
        if key[:1] == TICKET_PREFIX:
            ticket = key[1:].decode()
            for clock in decode_row(row).clocks:
                yield _line(clock, ticket, register, now_ms, settle_ms)


def _line(clock: Clock, ticket: str, register: Register, now_ms: int, settle_ms: int) -> ClockLine:
    from sla.clock import Phase, consumed_at, verdict_of
    from sla.units import NEVER, format_instant

    target = register.target(clock.target_id, clock.revision)
    consumed_ms, outcome = clock.consumed_ms, clock.published.result if clock.published else "open"
    if target is not None:
        verdict = verdict_of(clock, ticket, target, now_ms, settle_ms)
        outcome = "open" if verdict is None else verdict.result.value
        consumed_ms = consumed_at(clock, register.calendar_of(target), now_ms)
    return ClockLine(
        clock_id=f"{ticket}:{clock.target_id}:{clock.cycle}",
        ticket=ticket,
        target=clock.target_id,
        revision=clock.revision,
        cycle=clock.cycle,
        phase=Phase(clock.phase).name.lower(),
        outcome=outcome,
        start=format_instant(clock.start_ms),
        stop=None if clock.ended_ms is None else format_instant(clock.ended_ms),
        deadline=None if clock.deadline_ms == NEVER else format_instant(clock.deadline_ms),
        consumed_seconds=consumed_ms / 1000,
        now=format_instant(now_ms),
        target_known=target is not None,
    )


def _table(found: Iterable[ClockLine]) -> Table:
    counts: Counter[tuple[str, str]] = Counter()
    for line in found:
        counts[line.target, line.phase if line.stop is None else "ended"] += 1
        if line.stop is None and line.outcome == "breached":
            counts[line.target, "breached"] += 1
    columns = ("running", "paused", "breached", "ended")
    heads = ("running", "paused", "of these breached", "ended")
    table = Table(Column("target", no_wrap=True), *(Column(head, justify="right") for head in heads))
    for name in sorted({target for target, _ in counts}):
        table.add_row(name, *(f"{counts[name, column]:,}" for column in columns))
    return table
