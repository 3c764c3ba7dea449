"""``slawatch contracts history``: every revision of an agreement, and what each one changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from cli.console import console as make_console
from cli.contracts_lookup import AsJson, ContractId, Folders, find_contract, instant_ms

if TYPE_CHECKING:
    from config.contract_model import ContractModel


def history(contract_id: ContractId, *, folders: Folders = None, as_json: AsJson = False) -> None:
    """List all revisions of a contract: status, from when to when, and what each changed against the signed one before.

    A draft is compared with the signed revision before it, so its line says what its signature would change.
    """
    contract = find_contract(contract_id, folders)
    entries = revision_entries(contract, instant_ms(None))
    if as_json:
        typer.echo(json.dumps({"id": contract.id, "revisions": entries}, ensure_ascii=False, indent=2))
        return
    console = make_console(highlight=False)
    console.print(f"{contract.id}: {contract.type.value} of {contract.provider}", style="bold", markup=False)
    for entry in entries:
        until = f" until {entry['until']}" if entry["until"] else ""
        console.print(f"\n{entry['revision']}  {entry['status']}, from {entry['from']}{until}", markup=False)
        people = [f"{name}: {entry[name]}" for name in ("reason", "by") if entry[name]]
        for line in [*people, *(entry["changes"] or ["changes nothing"])]:
            console.print(f"   {line}", markup=False, soft_wrap=True)


def revision_entries(contract: ContractModel, now_ms: int) -> list[dict[str, Any]]:
    """Return the revisions of a contract as JSON objects.

    Returns
    -------
    list of dict
        ``revision``, ``status`` (a word, as of now), ``from`` and ``until`` (RFC 3339, UTC; until is None while nothing
        ends it, and for what is not signed), ``changes`` (lines), ``reason`` and ``by``.
    """
    from config.contract_checks import Status
    from config.contract_life import status_at
    from config.terms_in_words import changes_in_words
    from sla.units import NEVER, format_instant

    ends = {revision.revision: until_ms for revision, until_ms in contract.monitored}
    entries = []
    signed = None
    for revision in contract.revisions:
        until_ms = ends.get(revision.revision, NEVER)
        ended = revision.status is Status.TERMINATED
        entries.append(
            {
                "revision": revision.revision,
                "status": status_at(contract, revision, now_ms),
                "from": format_instant(revision.effective_from_ms),
                "until": None if until_ms == NEVER else format_instant(until_ms),
                "changes": ["ends the contract"] if ended else changes_in_words(signed, revision),
                "reason": revision.reason,
                "by": revision.by,
            }
        )
        if revision.status is Status.SIGNED:
            signed = revision
    return entries
