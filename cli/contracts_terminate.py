"""``slawatch contracts terminate``: end an agreement at an instant, with who decided it and why."""

from __future__ import annotations

import asyncio
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.contracts_lookup import ContractId, find_contract, instant_ms, refuse

if TYPE_CHECKING:
    from config.contract_model import ContractModel


class OpenClocks(StrEnum):
    """What becomes of open clocks; the words of a contract's ``on_end``."""

    RUN_OFF = "run_off"
    TERMINATE = "terminate"


_OPEN_CLOCKS: Final[dict[str, str]] = {
    OpenClocks.RUN_OFF: "run off: they go on under the revision they have",
    OpenClocks.TERMINATE: "end with it as terminated, neither met nor breached",
}


def terminate(
    contract_id: ContractId,
    *,
    at: Annotated[str, typer.Option("--at", metavar="INSTANT", help="When it ends, RFC 3339 with a zone.")],
    reason: Annotated[str, typer.Option(help="Why it ends; kept with the contract.")],
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decided it.")] = None,
    on_end: Annotated[
        OpenClocks | None,
        typer.Option(
            help="What becomes of open clocks: they run off under their revision, or end as terminated. "
            "Default: the contract's `on_end`."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also at an instant in the past, or otherwise than the contract has been told to end."
        ),
    ] = False,
) -> None:
    """Terminate a contract on the register: from that instant on no ticket gets a clock of it.

    Adds a revision with status terminated and publishes the contract; a second run changes nothing. Prints
    the revision for the contract's file: one that lacks it is refused by `contracts apply`.
    """
    from config.contract_checks import OnEnd
    from config.contract_life import TerminationError, illegal_transitions, with_termination
    from config.documents import contract_document
    from config.settings import load_settings
    from sla.units import format_instant
    from streams.register_topics import DocumentKind, publish

    at_ms, now_ms = instant_ms(at), instant_ms(None)
    if not reason.strip():
        refuse(["--reason: say why, in a few words"])
    contract = find_contract(contract_id, None)
    ending = None if on_end is None else OnEnd(on_end.value)
    try:
        terminated = with_termination(contract, at, reason=reason.strip(), by=by, on_end=ending, move=force)
    except TerminationError as error:
        refuse([str(error)])
    if terminated is contract:
        typer.echo(f"{contract.id} is terminated at {contract.revisions[-1].effective_from} already; nothing to do")
        return
    if at_ms < now_ms and not force:
        told = f"--at: {at} is in the past (it is now {format_instant(now_ms)})"
        refuse([f"{told}: clocks that began since, and their verdicts, would be taken back; --force does it"])
    if faults := [f"{contract.id}: {line}" for line in illegal_transitions(contract, terminated, now_ms) if not force]:
        refuse(faults)
    documents = {(DocumentKind.CONTRACT, contract.id): contract_document(terminated)}
    asyncio.run(publish(load_settings(), documents))
    for line in _told(contract, terminated):
        typer.echo(line)


def _told(before: ContractModel, after: ContractModel) -> list[str]:
    """Return what was done, with the lines for the contract's file."""
    from config.contract_checks import ACTING
    from config.contract_life import on_end_of

    termination = after.revisions[-1]
    lines = [
        f"{after.id}: terminated at {termination.effective_from} (revision {termination.revision}), published",
        f"open clocks {_OPEN_CLOCKS[on_end_of(after).value]}",
    ]
    lines += [
        f"revision {revision.revision} ({revision.status.value}) left out: nothing follows the end"
        for revision in before.revisions
        if revision.status not in ACTING
    ]
    lines += ["", "For the contract's file, as its last revision:", ""]
    lines += [f"  - revision: {termination.revision}", "    status: terminated"]
    lines += [f"    effective_from: {termination.effective_from}"]
    lines += [f"    on_end: {termination.on_end}"] if termination.on_end else []
    lines += [f"    {name}: {_quoted(value)}" for name, value in _people(termination.reason, termination.by).items()]
    return lines


def _people(reason: str | None, by: str | None) -> dict[str, str]:
    return {name: value for name, value in (("reason", reason), ("by", by)) if value}


def _quoted(text: str) -> str:
    # JSON text is YAML text: no word of a reason can turn into something else.
    return json.dumps(text, ensure_ascii=False)
