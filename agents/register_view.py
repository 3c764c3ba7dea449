"""The register as a worker sees it: raw documents compiled into the domain, with the offsets they were read at."""

from __future__ import annotations

from dataclasses import dataclass

from config.documents import DocumentError, calendar_of, contract_of
from sla.adjustment import Adjustment
from sla.calendar import Calendar, WorkCalendar
from sla.contract import Contract
from sla.errors import SlaError
from sla.events import Rejected
from sla.register import Register
from streams.adjustment_codec import decode_adjustment
from streams.register_topics import DocumentKind, RegisterSnapshot


@dataclass(frozen=True, slots=True)
class RegisterView:
    """A compiled register.

    Attributes
    ----------
    offsets : dict
        Newest offset read per register topic: what tells one view from another.
    register : Register
    faults : tuple of str
        Documents left out because this release can't use them, each with the reason. Nobody who used
        ``slawatch contracts apply`` sees any.
    """

    offsets: dict[str, int]
    register: Register
    faults: tuple[str, ...] = ()


def compile_register(snapshot: RegisterSnapshot) -> RegisterView:
    """Compile the documents of a snapshot.

    A document that can't be used is left out with a fault and stops nobody else's agreement; contracts whose calendar
    is left out are left out, too.
    """
    faults: list[str] = []
    calendars: dict[str, WorkCalendar] = {}
    for name, document in sorted(snapshot.of_kind(DocumentKind.CALENDAR).items()):
        try:
            spec = calendar_of(document)
            _require_key(name, spec.id)
            calendars[name] = Calendar(spec)
        except (DocumentError, SlaError) as error:
            faults.append(f"calendar {name}: {error}")
    contracts: dict[str, Contract] = {}
    taken: dict[tuple[str, str], str] = {}
    for name, document in sorted(snapshot.of_kind(DocumentKind.CONTRACT).items()):
        try:
            contract = contract_of(document)
            _require_key(name, contract.id)
            _check(contract, calendars, taken)
        except (DocumentError, SlaError) as error:
            faults.append(f"contract {name}: {error}")
        else:
            contracts[name] = contract
            taken |= dict.fromkeys(_ids(contract), contract.id)
    adjustments: list[Adjustment] = []
    for name, document in sorted(snapshot.of_kind(DocumentKind.ADJUSTMENT).items()):
        adjustment = decode_adjustment(document, name.encode())
        if isinstance(adjustment, Rejected):
            faults.append(f"adjustment {name}: {adjustment.detail}")
        else:
            adjustments.append(adjustment)
    return RegisterView(dict(snapshot.offsets), Register(contracts.values(), calendars, adjustments), tuple(faults))


def _require_key(key: str, identity: str) -> None:
    """Raise if a document stands under a key that is not its id: two documents of one id would take turns."""
    if key != identity:
        raise SlaError(f"the document says that its id is {identity!r}")


def _ids(contract: Contract) -> set[tuple[str, str]]:
    """Return the ids that no other contract may have: they identify clocks, alerts and metrics."""
    targets = {("target", target.id) for target in contract.targets}
    targets |= {("objective", target.objective.id) for target in contract.targets if target.objective is not None}
    for availability in contract.availabilities:  # both: it may share its id with neither
        targets |= {("target", availability.id), ("objective", availability.id)}
    return targets


def _check(contract: Contract, calendars: dict[str, WorkCalendar], taken: dict[tuple[str, str], str]) -> None:
    for target in contract.targets:
        if target.calendar not in calendars:
            raise SlaError(f"target {target.id!r}: calendar {target.calendar!r} is not in the register")
    for availability in contract.availabilities:
        if availability.hours is not None and availability.hours not in calendars:
            raise SlaError(f"objective {availability.id!r}: calendar {availability.hours!r} is not in the register")
    for kind, identity in sorted(_ids(contract), reverse=True):  # an objective has its target's id unless it says else
        if (kind, identity) in taken:
            raise SlaError(f"{kind} {identity!r} stands in contract {taken[kind, identity]!r} already")
