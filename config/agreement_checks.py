"""Checks between documents: ids are unique, what is referred to exists, contracts don't compete by accident."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any

from config.burn_checks import burn_problems
from config.calendar_model import CalendarModel
from config.contract_checks import equally_specific, mappings, sequence
from config.contract_model import ContractModel
from config.faults import Fault, Loc, StrictModel, path_of, shown, suggestion, unknown
from config.yaml_reader import YamlDocument
from sla import events
from sla.calendar import Calendar
from sla.contract import BusinessDays, Condition, ContractType, Target, TimeBase, Within
from sla.due_dates import days_deadline
from sla.duration import parse_within
from sla.errors import CalendarError
from sla.events import LATEST_EVENT_MS

KNOWN_EVENTS = (
    events.CREATED,
    events.UPDATED,
    events.RESPONDED,
    events.RESOLVED,
    events.CLOSED,
    events.REOPENED,
    events.CANCELLED,
    events.MERGED,
    events.FEEDBACK,
)
_MISSPELT = 0.8
"""From this similarity on a word is taken for a misspelt one: `resolve`, `canceled`, but not `repaired`."""


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One document of one file, checked by itself.

    Attributes
    ----------
    file : str
        The file as named by the user, with the number of the document if it is not the first.
    kind : str
        ``Contract`` or ``Calendar``.
    source : YamlDocument
        As written: checks between documents look at faulty ones too.
    model : StrictModel or None
        None if the document has faults.
    faults : tuple of Fault
    """

    file: str
    kind: str
    source: YamlDocument
    model: StrictModel | None
    faults: tuple[Fault, ...]

    @property
    def data(self) -> dict[str, Any]:
        """The document as written."""
        data: dict[str, Any] = self.source.data
        return data

    @property
    def id(self) -> str:
        """The id as written; empty if there is none."""
        written = self.data.get("id")
        return written if isinstance(written, str) else ""

    def fault(self, loc: Loc, message: str) -> Fault:
        """Return a fault at a place of this document."""
        return Fault(self.file, path_of(loc), message, self.source.line_of(loc))


def check_references(documents: Sequence[SourceDocument]) -> Iterator[Fault]:
    """Yield faults between documents.

    They are found in the documents as written, so a document with other faults takes part: it defines its ids, and
    what it refers to is checked.
    """
    contracts = [document for document in documents if document.kind == "Contract"]
    calendars = [document for document in documents if document.kind == "Calendar"]
    yield from _repeated_ids(contracts)
    yield from _repeated_ids(calendars)
    yield from _repeated_targets(contracts)
    calendar_ids = sorted({calendar.id for calendar in calendars})
    types = {contract.id: contract.data.get("type") for contract in contracts}
    for contract in contracts:
        for loc, calendar in _calendars_named_by(contract):
            if calendar not in calendar_ids:
                yield contract.fault(loc, unknown(calendar, calendar_ids))
        for index, supported in enumerate(sequence(contract.data, "supports")):
            if not isinstance(supported, str):
                continue
            if supported not in types:
                yield contract.fault(
                    ("supports", index), f"unknown contract {shown(supported)}{suggestion(supported, types)}"
                )
            elif types[supported] != ContractType.SLA and supported != contract.id:
                yield contract.fault(("supports", index), f"{shown(supported)} is no sla, but an {types[supported]}")


def check_allowances(documents: Sequence[SourceDocument], calendars: Mapping[str, CalendarModel]) -> Iterator[Fault]:
    """Yield targets in business time that are longer than their calendar works: no clock could have a deadline.

    Every event up to the last instant an event may name must give one, see :data:`~sla.events.LATEST_EVENT_MS`.
    """
    compiled: dict[str, Calendar] = {}
    for document in documents:
        if not isinstance(document.model, ContractModel):
            continue
        for i, revision in enumerate(document.model.revisions):
            for j, target in enumerate(revision.targets):
                within, name = parse_within(target.within), target.calendar or revision.calendar
                model = calendars.get(name or "")
                if name is None or model is None or within.base is TimeBase.ELAPSED:
                    continue
                if name not in compiled:
                    compiled[name] = Calendar(model.to_domain())
                if not _is_reached(within, compiled[name]):
                    yield document.fault(
                        ("revisions", i, "targets", j, "within"),
                        f"{target.within} is more than calendar {shown(name)} is open in a hundred years, so there may "
                        "be no deadline: write a shorter target or longer hours",
                    )


def _is_reached(within: Within, calendar: Calendar) -> bool:
    try:
        if isinstance(within.rule, BusinessDays):
            days_deadline(within.rule, calendar, LATEST_EVENT_MS)
        elif within.rule is None:
            calendar.deadline(LATEST_EVENT_MS, within.duration_ms)
    except CalendarError:
        return False
    return True


def _repeated_ids(documents: Sequence[SourceDocument]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for document in documents:
        if document.id and document.id in first:
            yield document.fault(("id",), f"{shown(document.id)} is taken by {first[document.id]}")
        first.setdefault(document.id, document.file)


def _repeated_targets(contracts: Sequence[SourceDocument]) -> Iterator[Fault]:
    """Ids of targets and of objectives are unique over all contracts; revisions of one contract share them.

    An availability objective has an id of both kinds: its counts go by it, as those of a target go by the target's.
    """
    targets: dict[str, SourceDocument] = {}
    objectives: dict[str, SourceDocument] = {}
    for contract in contracts:
        for i, revision in mappings(contract.data, "revisions"):
            for j, target in mappings(revision, "targets"):
                loc: Loc = ("revisions", i, "targets", j)
                target_id = target.get("id")
                if not isinstance(target_id, str):
                    continue
                owner = targets.setdefault(target_id, contract)
                if owner.id != contract.id:
                    yield contract.fault((*loc, "id"), f"{shown(target_id)} is taken by a target in {owner.file}")
                    continue
                objective = target.get("objective")
                objective_id = objective.get("id", target_id) if isinstance(objective, dict) else None
                if isinstance(objective_id, str):
                    owner = objectives.setdefault(objective_id, contract)
                    if owner.id != contract.id:
                        message = f"{shown(objective_id)} is taken by an objective in {owner.file}"
                        yield contract.fault((*loc, "objective", "id"), message)
    yield from _repeated_availabilities(contracts, targets, objectives)


def _repeated_availabilities(
    contracts: Sequence[SourceDocument], targets: dict[str, SourceDocument], objectives: dict[str, SourceDocument]
) -> Iterator[Fault]:
    taken = {**{name: (owner, "an objective") for name, owner in objectives.items()}}
    taken |= {name: (owner, "a target") for name, owner in targets.items()}
    first: dict[str, SourceDocument] = {}
    for contract in contracts:
        for i, revision in mappings(contract.data, "revisions"):
            for j, availability in mappings(revision, "availability"):
                availability_id = availability.get("id")
                if not isinstance(availability_id, str):
                    continue
                loc: Loc = ("revisions", i, "availability", j, "id")
                if availability_id in taken:
                    owner, kind = taken[availability_id]
                    yield contract.fault(loc, f"{shown(availability_id)} is taken by {kind} in {owner.file}")
                elif first.setdefault(availability_id, contract).id != contract.id:
                    message = f"{shown(availability_id)} is taken by an objective in {first[availability_id].file}"
                    yield contract.fault(loc, message)


def _calendars_named_by(contract: SourceDocument) -> Iterator[tuple[Loc, str]]:
    for i, revision in mappings(contract.data, "revisions"):
        places: list[tuple[Loc, Mapping[str, Any]]] = [(("revisions", i), revision)]
        places += [(("revisions", i, "targets", j), target) for j, target in mappings(revision, "targets")]
        for loc, holder in places:
            calendar = holder.get("calendar")
            if isinstance(calendar, str):
                yield (*loc, "calendar"), calendar
        for j, availability in mappings(revision, "availability"):
            hours = availability.get("hours")
            if isinstance(hours, str):
                yield ("revisions", i, "availability", j, "hours"), hours


def warnings_of(documents: Sequence[SourceDocument]) -> Iterator[Fault]:
    """Yield what is allowed and probably not meant; the documents have no faults."""
    contracts = [(document, document.model) for document in documents if isinstance(document.model, ContractModel)]
    for document, contract in contracts:
        yield from _unusual_events(document, contract)
        yield from (document.fault(loc, message) for loc, message in burn_problems(contract))
    targets = [(document, target) for document, contract in contracts for target in contract.to_domain().targets]
    yield from _competing(targets)


def _unusual_events(document: SourceDocument, contract: ContractModel) -> Iterator[Fault]:
    for i, revision in enumerate(contract.revisions):
        for j, target in enumerate(revision.targets):
            conditions: dict[Loc, Condition | None] = {
                ("start",): target.start,
                ("stop",): target.stop,
                ("cancel",): target.cancel,
                ("merge",): target.merge,
                ("reopen", "when"): target.reopen.when,
            }
            for place, condition in conditions.items():
                named = {event for clause in condition.clauses for event in clause.events} if condition else set()
                for event in sorted(named.difference(KNOWN_EVENTS)):
                    if near := suggestion(event, KNOWN_EVENTS, _MISSPELT):
                        loc = ("revisions", i, "targets", j, *place)
                        yield document.fault(loc, f"event {shown(event)} is a word of your own, is it meant?{near}")


def _competing(targets: list[tuple[SourceDocument, Target]]) -> Iterator[Fault]:
    """Two contracts of one type and level promise the same metric to one ticket: the id decides, by accident."""

    def slot(item: tuple[SourceDocument, Target]) -> tuple[str, str, str, int]:
        target = item[1]
        return (target.contract_type, target.level, target.metric, len(target.applies_to))

    for _, group in groupby(sorted(targets, key=slot), key=slot):
        told: set[tuple[str, str]] = set()
        for (_, first), (document, second) in combinations(group, 2):
            if first.contract == second.contract or (first.id, second.id) in told:
                continue
            at_one_time = (
                first.effective_from_ms < second.effective_until_ms
                and second.effective_from_ms < first.effective_until_ms
            )
            if at_one_time and equally_specific(dict(first.applies_to), dict(second.applies_to)):
                told.add((first.id, second.id))
                winner = shown(max(first.id, second.id))
                message = (
                    f"target {shown(second.id)} and {shown(first.id)} of {shown(first.contract)} are of one metric and "
                    f"equally specific, and a ticket can match both: {winner} wins, only by its name"
                )
                yield document.fault(("revisions",), message)
