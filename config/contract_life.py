"""The life of a contract: which step from what is on the register to what is proposed is legal.

::

    negotiation <-> draft --> signed --> signed (revised) ... --> terminated
         |            |
         +-- left out-+

What is not signed may change in everything and be left out. A signed revision stays; a change of the terms is a further
revision with a greater number. A termination is the last word; until its instant it may be moved or taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from config.contract_checks import ACTING, OnEnd, Status
from config.contract_model import ContractModel, RevisionModel
from sla.units import format_instant, parse_instant

_UNSIGNED = frozenset({Status.NEGOTIATION, Status.DRAFT})


def illegal_transitions(published: ContractModel, proposed: ContractModel, now_ms: int) -> Iterator[str]:
    """Yield every step of a revision's life that is not legal, one line each, with what to do instead.

    Whether the terms of a signed revision stay the same is compared by
    :func:`~config.signed_revisions.changes_of_signed`.

    Parameters
    ----------
    published
        The contract as it stands on the register.
    proposed
        The same contract as its author wants it.
    now_ms : int
        A termination that has taken effect by then can't be taken back.
    """
    after = {revision.revision: revision for revision in proposed.revisions}
    if _is_signed(published) and published.provider != proposed.provider:
        yield (
            f"provider: {published.provider!r} has signed, not {proposed.provider!r}: another provider is another "
            "contract; terminate this one and agree one with an id of its own"
        )
    yield from _numbers(published, proposed)
    for revision in published.revisions:
        if revision.status is Status.TERMINATED:
            yield from _termination(revision, after.get(revision.revision), now_ms)
            if revision.effective_from_ms <= now_ms and _is_terminated(proposed):
                yield from _open_clocks(published, proposed)


def retroactive_revisions(published: ContractModel, proposed: ContractModel, now_ms: int) -> Iterator[str]:
    """Yield what a proposed contract would put in force or end in the past; legal, and seldom meant.

    Tickets that began since are judged again under other terms, so verdicts that were told may be corrected. A contract
    of which nothing is signed on the register has told none.
    """
    if not _is_signed(published):
        return
    known = {revision.revision for revision in published.revisions if revision.status in ACTING}
    for revision in proposed.revisions:
        if revision.status in ACTING and revision.revision not in known and revision.effective_from_ms < now_ms:
            yield (
                f"revision {revision.revision}: takes effect in the past, at {revision.effective_from}: tickets that "
                "began since are judged again, and verdicts may be corrected"
            )


class TerminationError(Exception):
    """A termination that is not possible; the message says why and what to do."""


def with_termination(
    contract: ContractModel,
    effective_from: str,
    *,
    reason: str,
    by: str | None,
    on_end: OnEnd | None = None,
    move: bool = False,
) -> ContractModel:
    """Return a contract with a termination as its last revision.

    Parameters
    ----------
    effective_from : str
        RFC 3339; the contract ends then.
    reason, by : str
        Why, and who decided it.
    on_end : OnEnd or None
        What becomes of open clocks; None: what the contract says.
    move : bool
        Replace a termination that the contract has at another instant, or with another word about open clocks.

    Returns
    -------
    ContractModel
        The same object if it is terminated at that instant, with that word about open clocks, already. What is
        not signed is left out: nothing can follow a termination.

    Raises
    ------
    TerminationError
        If nothing is signed, or a revision takes effect at that instant or later, or the contract is terminated at
        another instant, or with another word about open clocks, and ``move`` is not set.
    """
    at_ms = parse_instant(effective_from)
    acting = [revision for revision in contract.revisions if revision.status in ACTING]
    signed = [revision for revision in acting if revision.status is Status.SIGNED]
    if not signed:
        raise TerminationError(f"{contract.id}: nothing is signed: there is nothing to terminate")
    ended = acting[-1] if acting[-1].status is Status.TERMINATED else None
    if ended is not None:
        is_there = ended.effective_from_ms == at_ms
        if is_there and on_end in {None, on_end_of(contract)}:
            return contract
        if not move:
            already = f"{contract.id}: revision {ended.revision} terminates it at {ended.effective_from}"
            raise TerminationError(
                f"{already} with on_end: {on_end_of(contract)}; --force changes that"
                if is_there
                else f"{already} already; --force moves that to another instant"
            )
        on_end = on_end or ended.on_end
    if signed[-1].effective_from_ms >= at_ms:
        raise TerminationError(
            f"{contract.id}: revision {signed[-1].revision} is signed and takes effect at {signed[-1].effective_from}: "
            "a contract can't end before or when its newest revision begins"
        )
    number = ended.revision if ended else max(revision.revision for revision in contract.revisions) + 1
    termination = RevisionModel(
        revision=number, status=Status.TERMINATED, effective_from=effective_from, reason=reason, by=by, on_end=on_end
    )
    return contract.model_copy(update={"revisions": (*signed, termination)})


def on_end_of(contract: ContractModel) -> OnEnd:
    """Return what becomes of open clocks when a contract ends: the termination's word, or the contract's."""
    last = contract.revisions[-1]
    told = last.on_end if last.status is Status.TERMINATED else None
    return told or contract.on_end or OnEnd.RUN_OFF


def status_at(contract: ContractModel, revision: RevisionModel, at_ms: int) -> str:
    """Return where a revision stands at an instant, in a word.

    Returns
    -------
    str
        ``negotiation`` or ``draft``; of a signed one ``signed`` (takes effect later), ``in force`` or ``revised``
        (another one has replaced it) or ``ended`` (by a termination); of a termination ``announced`` or ``terminated``.
    """
    if revision.status in _UNSIGNED:
        return revision.status.value
    if revision.status is Status.TERMINATED:
        return "terminated" if revision.effective_from_ms <= at_ms else "announced"
    if at_ms < revision.effective_from_ms:
        return Status.SIGNED.value
    if contract.in_force(at_ms) is revision:
        return "in force"
    later = [other for other in contract.revisions if other.effective_from_ms > revision.effective_from_ms]
    next_acting = next(other for other in later if other.status in ACTING)
    return "ended" if next_acting.status is Status.TERMINATED else "revised"


def _is_signed(contract: ContractModel) -> bool:
    return any(revision.status in ACTING for revision in contract.revisions)


def _numbers(published: ContractModel, proposed: ContractModel) -> Iterator[str]:
    """What is signed anew comes after all that was signed before: else it would change what was agreed meanwhile."""
    acting = {revision.revision for revision in published.revisions if revision.status is Status.SIGNED}
    if not acting:
        return
    newest = max(acting)
    for revision in proposed.revisions:
        if revision.status in ACTING and revision.revision < newest and revision.revision not in acting:
            was = _status_of(published, revision.revision)
            yield (
                f"revision {revision.revision}: was {was} when revision {newest} was signed and can't be "
                f"{revision.status.value} any more: give it a number above {newest}"
            )


def _status_of(contract: ContractModel, number: int) -> str:
    statuses: Mapping[int, Status] = {revision.revision: revision.status for revision in contract.revisions}
    return statuses[number].value if number in statuses else "not there"


def _is_terminated(contract: ContractModel) -> bool:
    return contract.revisions[-1].status is Status.TERMINATED


def _open_clocks(published: ContractModel, proposed: ContractModel) -> Iterator[str]:
    was, now = on_end_of(published), on_end_of(proposed)
    if was is not now:
        yield f"on_end: was {was} when the contract ended, what became of its open clocks can't be {now} any more"


def _termination(published: RevisionModel, proposed: RevisionModel | None, now_ms: int) -> Iterator[str]:
    number = published.revision
    ended = published.effective_from_ms <= now_ms
    if proposed is None or proposed.status is not Status.TERMINATED:
        if ended:
            yield (
                f"revision {number}: has terminated the contract at {published.effective_from}; a contract that ended "
                "stays ended: agree a new one with an id of its own"
            )
    elif proposed.effective_from_ms != published.effective_from_ms:
        if ended:
            yield (
                f"revision {number}: has terminated the contract at {published.effective_from}, not at "
                f"{proposed.effective_from}: that can't be moved any more"
            )
        elif proposed.effective_from_ms < now_ms:
            yield (
                f"revision {number}: can't be moved into the past, to {proposed.effective_from}; "
                f"it is now {format_instant(now_ms)}"
            )
