"""``slawatch contracts``: check agreements without a broker, and show the schemas of their documents."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from config.contract_model import ContractModel
    from config.loader import Agreements

app = typer.Typer(name="contracts", help="Agreements: check, plan, publish, show, end them.", no_args_is_help=True)

WRONG_INPUT = 2
"""Exit code for input that its author has to change."""


class Kind(StrEnum):
    """Documents that have a schema."""

    CONTRACT = "contract"
    CALENDAR = "calendar"


@app.command("check")
def check(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders or files of contracts and calendars. Beside `contracts`, `calendars` is read too.",
        ),
    ],
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="INSTANT", help="Show revisions in force at this instant (RFC 3339). Default: now."
        ),
    ] = None,
) -> None:
    """Check contracts and calendars, and print every fault: file, place, what is wrong, what was probably meant."""
    from sla.errors import UnitError
    from sla.units import ms_of, parse_instant

    try:
        at_ms = ms_of(datetime.now(UTC)) if at is None else parse_instant(at)
    except UnitError as error:
        typer.echo(f"--at: {error}", err=True)
        raise typer.Exit(WRONG_INPUT) from error
    from config.burn_checks import burn_notes

    agreements = read_agreements(paths)
    show_agreements(agreements, at_ms)
    for note in burn_notes(agreements.contracts.values()):
        typer.echo(f"note: {note}", err=True)


@app.command("schema")
def schema(kind: Annotated[Kind, typer.Argument(help="Which document.")] = Kind.CONTRACT) -> None:
    """Print the JSON Schema of a document, for editors."""
    from config.schema import schema_text

    typer.echo(schema_text(kind.value), nl=False)


def read_agreements(paths: list[Path], *, proposal: Path | None = None) -> Agreements:
    """Read agreements; on faults print all of them, one a line, and exit with 2.

    What the file ``proposal`` says stands in for what the others say under the same ids.
    """
    from cli.calendar_table import counted
    from config.loader import AgreementFaults, load_agreements

    try:
        agreements = load_agreements(paths, proposal=proposal)
    except AgreementFaults as error:
        for fault in error.faults:
            typer.echo(str(fault))
        typer.echo(counted(len(error.faults), "fault"), err=True)
        raise typer.Exit(WRONG_INPUT) from error
    for warning in agreements.warnings:
        typer.echo(f"warning: {warning}", err=True)
    for file in agreements.skipped:
        typer.echo(f"not ours, passed over: {file}", err=True)
    return agreements


def show_agreements(agreements: Agreements, at_ms: int) -> None:
    """Print tables of contracts and calendars as they stand at an instant."""
    from cli.calendar_table import calendars_table, counted
    from cli.console import console as make_console

    console = make_console()
    if agreements.contracts:
        console.print(_contracts_table(agreements, at_ms))
    if agreements.calendars:
        console.print(calendars_table(agreements.calendars))
    found = f"{counted(len(agreements.contracts), 'contract')}, {counted(len(agreements.calendars), 'calendar')}"
    console.print(f"{found}: no faults", style="green")


def _contracts_table(agreements: Agreements, at_ms: int) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Contracts at {datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M} UTC",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for name in ("id", "type", "level", "customer", "in force", "targets", "services", "calendar"):
        table.add_column(
            name,
            justify="right" if name in ("targets", "services") else "left",
            no_wrap=name in ("id", "calendar", "timezone"),
            overflow="fold",
        )
    for contract_id, contract in sorted(agreements.contracts.items()):
        revision = contract.in_force(at_ms)
        calendars = {target.calendar or revision.calendar or "" for target in revision.targets} if revision else set()
        promised = (revision.availability or ()) if revision else ()
        calendars |= {of.hours for of in promised if of.hours is not None}
        table.add_row(
            contract_id,
            contract.type.value,
            contract.level.value,
            ", ".join(contract.customers) or ("all" if contract.level == "corporate" else "by fields"),
            f"{revision.revision} since\n{revision.effective_from[:10]}"
            if revision
            else _not_in_force(contract, at_ms),
            str(len(revision.targets)) if revision else "0",
            str(len({of.service for of in promised})),
            "\n".join(sorted(calendars)),
        )
    return table


def _not_in_force(contract: ContractModel, at_ms: int) -> str:
    for revision, _ in contract.monitored:
        if revision.effective_from_ms > at_ms:
            return f"none until\n{revision.effective_from[:10]}"
    return "none: terminated" if contract.monitored else f"none: {contract.revisions[-1].status.value}"
