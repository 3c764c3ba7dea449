"""Signed revisions are immutable: clocks pin them, and statements refer to them. A change is a new revision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Final

from config.contract_model import ContractModel
from sla.contract import Target
from sla.credits import CreditTerms
from sla.units import NEVER

_ADMINISTRATIVE: Final = frozenset({"effective_until_ms", "open_until_ms", "open_then", "owner", "team"})
"""What may change: who answers and who is told; and a later revision ends an earlier one, or takes its open clocks."""

_WRITTEN_AS: Final = {
    "contract_type": "type",
    "effective_from_ms": "effective_from",
    "warn_consumed": "warn",
    "warn_before_ms": "warn",
    "reopen_when": "reopen",
    "applies_to": "applies_to or customer",
}
"""How the author writes a field of a target, where the names differ."""


def changes_of_signed(published: ContractModel, proposed: ContractModel) -> Iterator[str]:
    """Yield what a proposed document changes in revisions that are signed and published, one line each.

    The terms are compared as the monitor understands them: another spelling of the same target (``4h``, ``240m``) is no
    change. Who answers (``owner``, ``team``) and ``review_by`` may change; drafts may change in everything.
    """
    after = {(target.revision, target.id): target for target in proposed.to_domain().targets}
    before = {(target.revision, target.id): target for target in published.to_domain().targets}
    signed_before = {revision.revision for revision, _ in published.monitored}
    signed_after = {revision.revision for revision, _ in proposed.monitored}
    for number in sorted(signed_before - signed_after):
        yield f"revision {number}: is signed and in force on the register; end it by a revision with status: terminated"
    for (number, target_id), target in sorted(before.items()):
        if number not in signed_after:
            continue
        if (number, target_id) not in after:
            yield f"revision {number}: target {target_id!r} is signed and now missing; add a revision without it"
            continue
        if changed := ", ".join(_changed_fields(target, after[number, target_id])):
            yield f"revision {number}: target {target_id!r} is signed and now differs in {changed}; add a revision"
    for number, target_id in sorted(after.keys() - before.keys()):
        if number in signed_before:
            yield f"revision {number}: is signed without target {target_id!r}; add a revision with it"
    yield from _changed_credits(published, proposed, signed_before & signed_after)


def _changed_credits(published: ContractModel, proposed: ContractModel, signed: set[int]) -> Iterator[str]:
    """Yield credits that differ in revisions signed before and after: they are owed as they were agreed."""

    def terms_of(model: ContractModel) -> dict[tuple[int, str], CreditTerms]:
        return {
            (terms.revision, terms.objective): replace(terms, effective_until_ms=NEVER)
            for terms in model.to_domain().credits
            if terms.revision in signed
        }

    before, after = terms_of(published), terms_of(proposed)
    for number, objective in sorted(before.keys() | after.keys()):
        if before.get((number, objective)) != after.get((number, objective)):
            yield f"revision {number}: the credits for {objective!r} are signed and now differ; add a revision"


def _changed_fields(before: Target, after: Target) -> list[str]:
    def comparable(target: Target) -> Target:
        return replace(target, effective_until_ms=NEVER, open_until_ms=NEVER, open_then=None, owner=None, team=None)

    if comparable(before) == comparable(after):
        return []
    return sorted(
        _WRITTEN_AS.get(field.name, field.name)
        for field in fields(Target)
        if field.name not in _ADMINISTRATIVE and getattr(before, field.name) != getattr(after, field.name)
    )
