"""Checks that concern several fields of one contract.

They read the document as written, before or beside the validation of its single fields, so everything may be missing or
of a wrong type here: such parts are passed over, their own faults are reported where they stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import StrEnum
from fractions import Fraction
from itertools import combinations
from typing import Any

from config.faults import Loc, Problem, shown
from config.fields import parse_date, parse_share, read_by, read_scope, text_of
from sla.contract import ContractType, DeadlineAt, Level, TicketDate, Within
from sla.duration import parse_lead, parse_within
from sla.errors import UnitError
from sla.units import parse_instant

CUSTOMER = "customer"
"""The ticket field that names the customer; a contract's customer scope is a condition on it."""


class Status(StrEnum):
    """Where a revision stands in the life of its contract."""

    NEGOTIATION = "negotiation"
    DRAFT = "draft"
    SIGNED = "signed"
    """In force from its effective instant; only signed revisions are monitored."""
    TERMINATED = "terminated"
    """Ends the contract at its effective instant."""


class OnEnd(StrEnum):
    """What becomes of open clocks when their contract ends."""

    RUN_OFF = "run_off"
    """They go on under the revision they have (default)."""
    TERMINATE = "terminate"
    """They end as ``terminated``, neither met nor breached."""


ACTING = frozenset({Status.SIGNED, Status.TERMINATED})
"""Revisions that begin, replace or end what is monitored."""

Indexed = list[tuple[int, Mapping[str, Any]]]


def sequence(data: Mapping[str, Any], name: str) -> Sequence[Any]:
    """Return a field that should be a list, or an empty one."""
    value = data.get(name)
    return value if isinstance(value, (list, tuple)) else ()


def mappings(data: Mapping[str, Any], name: str) -> Indexed:
    """Return the items of a field that should be a list of mappings, each with its position."""
    return [(index, item) for index, item in enumerate(sequence(data, name)) if isinstance(item, Mapping)]


def ratio(value: Any) -> Fraction | None:
    """Return a share as written, or None if it is none."""
    try:
        return parse_share(value)
    except ValueError:
        return None


def check_shares(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Warning shares lie between 0 and 1 and ascend."""
    before = None
    for index, written in enumerate(sequence(data, "consumed")):
        share = ratio(written)
        if share is None:
            continue
        if not 0 < share < 1:
            yield ("consumed", index), "must lie between 0 and 100 %, both excluded: at 100 % it is a breach"
        elif before is not None and share <= before:
            yield ("consumed", index), "must be larger than the share before it"
        before = share


def check_target(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A clock must be able to run, and its terms must fit what it counts."""
    for name in ("start", "stop"):
        if data.get(name) in ([], ()):
            yield (name,), "an empty list never holds"
    if data.get("start") and data.get("start") == data.get("stop"):
        yield ("stop",), "is the same as start: the clock would stop as it starts"
    repeat = data.get("repeat")
    if isinstance(repeat, Mapping) and repeat.get("when") and repeat["when"] == data.get("stop"):
        yield ("repeat", "when"), "is the same as stop, which comes first: no cycle would follow"
    if "within" in data and "by" in data:
        yield ("by",), "stands beside within: write one of them"
    within = _within_of(data)
    if within is None:
        return
    if isinstance(within.rule, TicketDate):
        for name in ("pause", "only_while"):
            if data.get(name) is not None:
                yield (name,), "the target is due on a date, which no pause moves: leave it out"
    if within.rule is not None and data.get("deadline_at") == DeadlineAt.NEXT_OPEN:
        yield ("deadline_at",), "next_open says where a duration ends, and this target is none: leave it out"
    warn = data.get("warn")
    if isinstance(warn, Mapping):
        yield from _check_leads(warn, within)


def _within_of(data: Mapping[str, Any]) -> Within | None:
    """Return how long the clock may run, or None if that can't be read."""
    within = data.get("within")
    by = data.get("by") if within is None else within.get("by") if isinstance(within, Mapping) else None
    try:
        return parse_within(within if isinstance(within, str) else read_by(by))
    except ValueError:
        return None


def _check_leads(warn: Mapping[str, Any], within: Within) -> Iterator[Problem]:
    before_ms: int | None = None
    for index, written in enumerate(sequence(warn, "before")):
        if not isinstance(written, str):
            continue
        try:
            lead_ms = parse_lead(written.strip().removesuffix("before"), within.base)
        except UnitError as error:
            yield ("warn", "before", index), str(error)
            continue
        if within.rule is None and lead_ms >= within.duration_ms:
            yield ("warn", "before", index), "is as long as the target: the clock would be at risk as it starts"
        elif before_ms is not None and lead_ms >= before_ms:
            yield ("warn", "before", index), "must be shorter than the lead time before it"
        before_ms = lead_ms


def check_revision(data: Mapping[str, Any]) -> Iterator[Problem]:
    """A signed revision promises something, on a calendar; a terminated one ends the contract and promises nothing."""
    targets = mappings(data, "targets")
    status = data.get("status")
    if status == Status.TERMINATED and data.get("applies_to_open"):
        yield (
            ("applies_to_open",),
            "a termination has no terms to apply: on_end says what becomes of open clocks",
        )
    if status in (Status.SIGNED, Status.DRAFT, Status.NEGOTIATION) and data.get("on_end") is not None:
        yield ("on_end",), "stands at the contract, or at the revision that ends it (status: terminated)"
    if status == Status.TERMINATED:
        if targets:
            yield (
                ("targets",),
                "has no targets if it ends the contract: add a revision instead of changing the signed one",
            )
        if data.get("availability"):
            yield (
                ("availability",),
                "has none if it ends the contract: add a revision instead of changing the signed one",
            )
    elif data.get("calendar") is None and any(target.get("calendar") is None for _, target in targets):
        yield ("calendar",), "missing"
    if status == Status.SIGNED and data.get("targets", ()) in ([], ()) and not data.get("availability"):
        yield ("targets",), "missing: a signed revision promises something"
    yield from _check_review(data)
    yield from _check_repeated(targets, mappings(data, "availability"))
    yield from _check_ambiguous(targets)


def _check_review(data: Mapping[str, Any]) -> Iterator[Problem]:
    effective_from, review_by = data.get("effective_from"), data.get("review_by")
    if isinstance(effective_from, str) and isinstance(review_by, str):
        try:
            effective_on, reviewed_on = date.fromisoformat(effective_from[:10]), parse_date(review_by)
        except ValueError:
            return
        if reviewed_on < effective_on:
            yield ("review_by",), f"{review_by} is before effective_from"


def _check_repeated(targets: Indexed, availabilities: Indexed) -> Iterator[Problem]:
    ids: dict[object, int] = {}
    objectives: dict[object, int] = {}
    for index, target in targets:
        target_id = target.get("id")
        if not isinstance(target_id, str):
            continue
        if ids.setdefault(target_id, index) != index:
            yield ("targets", index, "id"), f"{shown(target_id)} is taken by targets[{ids[target_id]}]"
            continue
        objective = target.get("objective")
        if isinstance(objective, Mapping):
            objective_id = objective.get("id", target_id)
            if isinstance(objective_id, str) and objectives.setdefault(objective_id, index) != index:
                loc = ("targets", index, "objective", "id")
                yield loc, f"{shown(objective_id)} is taken by the objective of targets[{objectives[objective_id]}]"
    first: dict[object, int] = {}
    for index, availability in availabilities:
        availability_id = availability.get("id")
        if not isinstance(availability_id, str):
            continue
        place = ("availability", index, "id")
        if availability_id in ids or availability_id in objectives:
            owner = ids.get(availability_id, objectives.get(availability_id))
            yield place, f"{shown(availability_id)} is taken by targets[{owner}]"
        elif first.setdefault(availability_id, index) != index:
            yield place, f"{shown(availability_id)} is taken by availability[{first[availability_id]}]"


def _check_ambiguous(targets: Indexed) -> Iterator[Problem]:
    """Two targets of one metric that match one ticket must differ in how specific they are."""
    scopes = []
    for index, target in targets:
        try:
            scope = read_scope(target.get("applies_to", {}))
            metric = text_of(target.get("metric", target.get("id")))
        except ValueError:
            continue
        scopes.append((index, target.get("id"), metric, scope))
    for (_, first_id, first_metric, first), (index, target_id, metric, scope) in combinations(scopes, 2):
        if metric == first_metric and target_id != first_id and equally_specific(first, scope):
            message = (
                f"a ticket can match {shown(target_id)} and {shown(first_id)}, both of metric {shown(metric)} and "
                "equally specific: let applies_to tell them apart, or add a field to the one that should win"
            )
            yield ("targets", index), message


def equally_specific(first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Tell whether one ticket can match both scopes and neither names more fields than the other."""
    return len(first) == len(second) and all(
        set(values) & set(second[name]) for name, values in first.items() if name in second
    )


def check_parties(data: Mapping[str, Any]) -> Iterator[Problem]:
    """The customer scope fits the level; what supports something is no SLA."""
    named = [name for name in (CUSTOMER, "customer_group") if data.get(name) is not None]
    level = data.get("level")
    if len(named) == 2:
        yield ("customer_group",), "stands beside customer: name one or the other"
    targets: list[tuple[Loc, Mapping[str, Any]]] = [
        (("revisions", i, "targets", j), target)
        for i, revision in mappings(data, "revisions")
        for j, target in mappings(revision, "targets")
    ]
    if level == Level.CORPORATE and named:
        yield (named[0],), "a corporate contract is with all customers: level must be customer or service"
    if (
        level in (Level.CUSTOMER, Level.SERVICE)
        and not named
        and any(not target.get("applies_to") for _, target in targets)
    ):
        yield (
            (CUSTOMER,),
            f"missing: a contract of level {level} names customer, customer_group, or applies_to in every target",
        )
    if len(named) == 1:
        yield from _check_customers(data[named[0]], targets)
    supported = sequence(data, "supports")
    if supported and data.get("type") == ContractType.SLA:
        yield ("supports",), "an sla supports nothing: type must be ola or uc"
    for index, contract in enumerate(supported):
        if contract == data.get("id"):
            yield ("supports", index), "is this contract itself"


def _check_customers(named: Any, targets: Sequence[tuple[Loc, Mapping[str, Any]]]) -> Iterator[Problem]:
    try:
        customers = set(read_scope({CUSTOMER: named})[CUSTOMER])
    except ValueError:
        return
    for loc, target in targets:
        try:
            scope = read_scope(target.get("applies_to", {}))
        except ValueError:
            continue
        if CUSTOMER in scope and not customers & set(scope[CUSTOMER]):
            yield (*loc, "applies_to", CUSTOMER), "is none of the contract's customers: no ticket could match"


def check_order(data: Mapping[str, Any]) -> Iterator[Problem]:
    """Revisions ascend in number and effective instant; a termination comes after a signature, and nothing after it."""
    if data.get("revisions") in ([], ()):
        yield ("revisions",), "missing: a contract has at least one"
    number: int | None = None
    effective_ms: int | None = None
    signed = False
    terminated: str | None = None
    for index, revision in mappings(data, "revisions"):
        here = revision.get("revision")
        if isinstance(here, int) and not isinstance(here, bool):
            if number is not None and here <= number:
                yield ("revisions", index, "revision"), f"{here} must be larger than {number}, the one before"
            number = here
        try:
            instant_ms = parse_instant(str(revision.get("effective_from")))
        except UnitError:
            pass
        else:
            if effective_ms is not None and instant_ms <= effective_ms:
                yield ("revisions", index, "effective_from"), "must be later than that of the revision before"
            effective_ms = instant_ms
        status = revision.get("status")
        if status == Status.TERMINATED and not signed:
            yield ("revisions", index, "status"), "nothing was signed before: there is nothing to terminate"
        if terminated is not None:
            message = f"stands after revision {terminated}, which ends the contract: what follows is a new contract"
            yield ("revisions", index), message
        elif status == Status.TERMINATED and signed:
            terminated = shown(here)
        signed = signed or status == Status.SIGNED
