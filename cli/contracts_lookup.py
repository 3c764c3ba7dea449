"""What the commands about contracts share: finding a contract on the register or in folders, instants, faults."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli.contracts import WRONG_INPUT, read_agreements

if TYPE_CHECKING:
    from config.contract_model import ContractModel
    from streams.register_topics import RegisterSnapshot

ContractId = Annotated[str, typer.Argument(metavar="ID", help="Id of the contract.")]
Folders = Annotated[
    list[Path] | None,
    typer.Option("--from", metavar="DIR", help="Read these folders or files, not the register; may be repeated."),
]
Instant = Annotated[str | None, typer.Option("--at", metavar="INSTANT", help="RFC 3339. Default: now.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def find_contract(contract_id: str, folders: list[Path] | None) -> ContractModel:
    """Return a contract from folders, or from the register if there are none; exit with 2 if it is not there."""
    found = read_agreements(folders).contracts if folders else published_contracts(asyncio.run(register_snapshot()))
    if contract_id not in found:
        from config.faults import shown, suggestion

        where = "in " + ", ".join(map(str, folders)) if folders else "on the register"
        refuse([f"no contract {shown(contract_id)} {where}{suggestion(contract_id, found)}"])
    return found[contract_id]


async def register_snapshot() -> RegisterSnapshot:
    """Return the register as it is now."""
    from config.settings import load_settings
    from streams.register_topics import read_register

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the command says itself what does not answer
    return await read_register(load_settings())


def published_contracts(register: RegisterSnapshot) -> dict[str, ContractModel]:
    """Return the contracts of the register by id.

    Raises
    ------
    KafkaFault
        If one can't be read by this release.
    """
    from config.documents import DocumentError, contract_model_of
    from streams.connection import KafkaFault
    from streams.register_topics import DocumentKind

    models = {}
    for identity, document in sorted(register.of_kind(DocumentKind.CONTRACT).items()):
        try:
            models[identity] = contract_model_of(document)
        except DocumentError as error:
            raise KafkaFault(f"contract {identity} on the register can't be read: {error}") from error
    return models


def instant_ms(text: str | None) -> int:
    """Return an instant given as RFC 3339, or the present; exit with 2 if it is none."""
    from sla.errors import UnitError
    from sla.units import ms_of, parse_instant

    if text is None:
        return ms_of(datetime.now(UTC))
    try:
        return parse_instant(text)
    except UnitError as error:
        refuse([f"--at: {error}"])


def refuse(faults: Iterable[str]) -> NoReturn:
    """Print faults, one a line, and exit with 2."""
    for fault in faults:
        typer.echo(fault)
    raise typer.Exit(WRONG_INPUT)
