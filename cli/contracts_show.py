"""``slawatch contracts show``: one agreement as it stands at an instant, in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer

from cli.console import console as make_console
from cli.contracts_lookup import AsJson, ContractId, Folders, Instant, find_contract, instant_ms

if TYPE_CHECKING:
    from rich.console import Console

    from config.contract_model import ContractModel, RevisionModel


def show(contract_id: ContractId, *, at: Instant = None, folders: Folders = None, as_json: AsJson = False) -> None:
    """Show a contract of the register as it stands at an instant: parties, revision in force, targets in words."""
    from config.terms_in_words import target_in_words
    from sla.units import format_instant

    at_ms = instant_ms(at)
    contract = find_contract(contract_id, folders)
    revision = contract.in_force(at_ms)
    if as_json:
        typer.echo(json.dumps(_document(contract, revision, at_ms), ensure_ascii=False, indent=2))
        return
    console = make_console(highlight=False)
    console.print(f"{contract.id} at {format_instant(at_ms)}", style="bold", markup=False)
    _print_pairs(console, _facts(contract, revision, at_ms), indent=2)
    if revision is None:
        console.print("\nNo revision is in force: nothing is monitored.", style="yellow")
        return
    for target in revision.targets:
        terms = target_in_words(target)
        terms.setdefault("calendar", revision.calendar or "")
        console.print(f"\n{target.id}", style="bold", markup=False)
        _print_pairs(console, terms, indent=2)
    for objective in revision.availability or ():
        console.print(f"\n{objective.id}", style="bold", markup=False)
        _print_pairs(console, target_in_words(objective), indent=2)


def _print_pairs(console: Console, pairs: dict[str, str], *, indent: int) -> None:
    width = max(map(len, pairs))
    for name, value in pairs.items():
        console.print(f"{'':{indent}}{name:<{width}}  {value}", markup=False, soft_wrap=True)


def _facts(contract: ContractModel, revision: RevisionModel | None, at_ms: int) -> dict[str, str]:
    from config.contract_checks import Status
    from config.contract_life import status_at

    customers = ", ".join(contract.customers) or ("all customers" if contract.level == "corporate" else "by fields")
    facts = {
        "type, level": f"{contract.type.value}, {contract.level.value}",
        "provider": contract.provider,
        "customer": customers,
        "supports": ", ".join(contract.supports),
        "owner": contract.owner,
        "team": contract.team or "",
    }
    if revision is not None:
        facts["in force"] = f"revision {revision.revision} since {revision.effective_from}"
        facts["review by"] = revision.review_by.isoformat() if revision.review_by else ""
    for other in contract.revisions:
        if other.effective_from_ms > at_ms and other.status is Status.SIGNED:
            facts["then"] = f"revision {other.revision} from {other.effective_from}"
            break
    for other in contract.revisions:
        if other.status is Status.TERMINATED:
            facts[status_at(contract, other, at_ms)] = " ".join(filter(None, (other.effective_from, other.reason)))
    return {name: value for name, value in facts.items() if value}


def _document(contract: ContractModel, revision: RevisionModel | None, at_ms: int) -> dict[str, object]:
    from config.contract_life import status_at
    from sla.units import format_instant

    document = contract.model_dump(mode="json", exclude_none=True, exclude={"revisions", "kind"})
    return {
        **document,
        "at": format_instant(at_ms),
        "in_force": None if revision is None else revision.model_dump(mode="json", exclude_none=True),
        "revisions": [
            {
                "revision": other.revision,
                "status": status_at(contract, other, at_ms),
                "effective_from": format_instant(other.effective_from_ms),
            }
            for other in contract.revisions
        ],
    }
