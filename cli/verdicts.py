"""``slawatch verdicts``: the verdicts in force, as a consumer of ``sla.verdicts`` gets them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import typer
from rich.table import Column, Table

from cli.console import console as make_console
from cli.lines import write_lines

if TYPE_CHECKING:
    from config.settings import Settings

_OUTCOMES: Final = ("met", "breached", "cancelled", "merged", "superseded", "terminated")
_RETRACTED: Final = "retracted"


class VerdictLine(msgspec.Struct, frozen=True):
    """What has to be known of a verdict to list it; ``line`` is its document as it stands on the topic."""

    clock_id: str
    target: str
    outcome: str
    line: bytes


class _Wire(msgspec.Struct):
    clock_id: str
    target: str
    outcome: str


_decode = msgspec.json.Decoder(_Wire).decode


class VerdictBook:
    """Folds the records of ``sla.verdicts`` into the verdicts in force.

    A new owner of a partition sends the last outputs again, and a former one may still send what it had decided: both
    are recognised by source and ordinal and dropped.
    """

    def __init__(self) -> None:
        self._by_clock: dict[str, VerdictLine] = {}
        self._ordinals: dict[str, int] = {}
        self.repeated = 0
        """Records dropped because their source had told them, or newer ones, before."""
        self.unreadable: list[str] = []
        """Places (``topic/partition@offset``) of records that are no verdicts of a worker."""

    def take(self, record: Any) -> None:
        """Take in the next record of a partition, in the order of offsets."""
        from streams.state_rows import provenance_of

        provenance = provenance_of(record.headers)
        try:
            wire = _decode(record.value or b"")
        except (msgspec.MsgspecError, ValueError):
            wire = None
        if wire is None or provenance is None:
            self.unreadable.append(f"{record.topic}/{record.partition}@{record.offset}")
            return
        source, ordinal = provenance
        if ordinal <= self._ordinals.get(source, -1):
            self.repeated += 1
            return
        self._ordinals[source] = ordinal
        self._by_clock[wire.clock_id] = VerdictLine(wire.clock_id, wire.target, wire.outcome, record.value)

    def in_force(self) -> list[VerdictLine]:
        """Return the last verdict of every clock that still exists, by clock id."""
        return [verdict for _, verdict in sorted(self._by_clock.items()) if verdict.outcome != _RETRACTED]


def verdicts(
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write JSON lines here (.gz compresses); default: standard output."),
    ] = None,
    target: Annotated[list[str] | None, typer.Option(help="Only verdicts of this target; may be repeated.")] = None,
) -> None:
    """List the verdict in force of every clock, as JSON lines by clock id, and count them per target.

    Reads the topic sla.verdicts up to its present end. Retracted verdicts are left out.
    """
    from config.settings import load_settings

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    book = asyncio.run(_read(load_settings()))
    found = book.in_force()
    if target:
        known = {verdict.target for verdict in found}
        if missing := [name for name in target if name not in known]:
            known_names = ", ".join(sorted(known)) or "none"
            raise typer.BadParameter(
                f"no verdicts of {', '.join(missing)}; there are verdicts of: {known_names}", param_hint="--target"
            )
        found = [verdict for verdict in found if verdict.target in target]
    write_lines(out, (verdict.line for verdict in found))
    console = make_console(stderr=True)
    console.print(_table(found))
    told = f", {book.repeated:,} repeated records dropped" if book.repeated else ""
    console.print(f"{len(found):,} verdicts in force{told}", markup=False, highlight=False)
    if book.unreadable:
        console.print(
            f"{len(book.unreadable):,} records are no verdicts of a worker, first: {book.unreadable[0]}",
            markup=False,
            highlight=False,
        )
        raise typer.Exit(1)


async def _read(settings: Settings) -> VerdictBook:
    from streams.connection import read_to_end
    from streams.topics import VERDICTS, Topics

    book = VerdictBook()
    async for record in read_to_end(settings.kafka, [Topics(settings).name(VERDICTS)]):
        book.take(record)
    return book


def _table(found: Iterable[VerdictLine]) -> Table:
    counts = Counter((verdict.target, verdict.outcome) for verdict in found)
    targets = sorted({target for target, _ in counts})
    table = Table(Column("target", no_wrap=True), *(Column(outcome, justify="right") for outcome in _OUTCOMES))
    table.add_column("attained", justify="right")
    for name in targets:
        met, breached = counts[name, "met"], counts[name, "breached"]
        attained = f"{met / (met + breached):.1%}" if met + breached else ""
        table.add_row(name, *(f"{counts[name, outcome]:,}" for outcome in _OUTCOMES), attained)
    return table
