"""The register: every signed agreement and calendar in force, compiled and indexed.

Matching never scans all contracts: the winners for a combination of field values are computed once through an
inverted index and remembered, see :meth:`Register.winners`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from zlib import crc32

from sla.adjustment import Adjustment
from sla.availability import Availability
from sla.calendar import ElapsedCalendar, WorkCalendar
from sla.contract import Contract, ContractType, Target, TimeBase
from sla.errors import ContractError
from sla.units import NEVER

LABEL_FIELDS = frozenset({"customer", "priority", "region", "service", "team"})
"""Ticket fields that alerts and reports name, besides those that contracts look at."""

Slot = tuple[ContractType, str]
"""What is measured, by what kind of agreement: one clock at a time runs per slot of a ticket."""

Winners = Mapping[Slot, Target]

_REMEMBERED_COMBINATIONS = 50_000
"""Bound of the cache of winners: a field with endless values (a free text in a contract) must not fill the memory."""


class Register:
    """Signed targets and calendars, immutable once built; a change of the register is a new object.

    Parameters
    ----------
    contracts : iterable of Contract
    calendars : mapping of id to WorkCalendar
    adjustments : iterable of Adjustment
        Maintenance and corrections of the time of services.

    Raises
    ------
    ContractError
        If a calendar is not there, or the id of a target or of an availability objective is used by two contracts.
    """

    def __init__(
        self,
        contracts: Iterable[Contract] = (),
        calendars: Mapping[str, WorkCalendar] | None = None,
        adjustments: Iterable[Adjustment] = (),
    ) -> None:
        self.contracts = {contract.id: contract for contract in contracts}
        self.calendars = dict(calendars or {})
        self._elapsed = ElapsedCalendar()
        self.terms: dict[tuple[str, int], tuple[Target, WorkCalendar]] = {}
        """Every revision of a target with the calendar that counts for it, by (id, revision). A clock never outlives
        the register it was folded under, so its terms are here."""
        self._by_field: dict[tuple[str, str], set[int]] = defaultdict(set)
        self._number_of_fields: list[int] = []
        self._ordered: list[Target] = []
        owner_of: dict[str, str] = {}
        for contract in sorted(self.contracts.values(), key=lambda contract: contract.id):
            for target in contract.targets:
                if owner_of.setdefault(target.id, contract.id) != contract.id:
                    raise ContractError(f"target {target.id!r} stands in {owner_of[target.id]} and in {contract.id}")
                if target.calendar not in self.calendars:
                    raise ContractError(f"{contract.id}: target {target.id!r}: no calendar {target.calendar!r}")
                self._add(target)
        self._adjustments_of: dict[str, list[Adjustment]] = defaultdict(list)
        for adjustment in sorted(adjustments, key=lambda adjustment: adjustment.precedence):
            self._adjustments_of[adjustment.service].append(adjustment)
        self._availabilities = self._collected_availabilities(owner_of)
        self._of_service: dict[str, list[Availability]] = defaultdict(list)
        for availability in self._availabilities:
            self._of_service[availability.service].append(availability)
        instants = {target.effective_from_ms for target in self._ordered}
        instants |= {target.effective_until_ms for target in self._ordered}
        self._boundaries = sorted(instants)
        self.date_fields = frozenset(target.date_field for target in self._ordered if target.date_field is not None)
        """Ticket fields that hold dates on which targets are due."""
        self.lets_go = any(target.open_until_ms != NEVER for target in self._ordered)
        """Whether any revision lets go of open clocks at some instant: then time alone can change a ticket."""
        self.matched_fields = tuple(sorted({name for target in self._ordered for name, _ in target.applies_to}))
        watched = set(self.matched_fields) | LABEL_FIELDS
        for target in self._ordered:
            for condition in target.conditions:
                watched |= condition.field_names
        self.watched_fields = frozenset(watched)
        self._winners: dict[tuple[object, ...], Winners] = {}
        named = {
            event for target in self._ordered for condition in target.conditions for event in condition.event_names
        }
        self._starting = frozenset(event for event in named if self._may_start_at(event))
        self._others_start = self._may_start_at("")
        self._named = frozenset(named)
        self._by_hash = {crc32(target.id.encode()): target.id for target in self._ordered}

    def _add(self, target: Target) -> None:
        number = len(self._ordered)
        self._ordered.append(target)
        self.terms[target.id, target.revision] = (target, self.calendar_of(target))
        self._number_of_fields.append(len(target.applies_to))
        for name, values in target.applies_to:
            for value in values:
                self._by_field[name, value].add(number)

    def _collected_availabilities(self, owner_of: dict[str, str]) -> tuple[Availability, ...]:
        collected: list[Availability] = []
        target_ids = set(owner_of)
        for contract in sorted(self.contracts.values(), key=lambda contract: contract.id):
            for availability in contract.availabilities:
                if availability.id in target_ids or owner_of.setdefault(availability.id, contract.id) != contract.id:
                    owner = owner_of[availability.id]
                    raise ContractError(f"objective {availability.id!r} stands in {owner} and in {contract.id}")
                if availability.hours is not None and availability.hours not in self.calendars:
                    raise ContractError(f"{contract.id}: {availability.id!r}: no calendar {availability.hours!r}")
                collected.append(availability)
        return tuple(sorted(collected, key=lambda of: (of.id, of.effective_from_ms, of.revision)))

    def __len__(self) -> int:
        return len(self._ordered)

    @property
    def availabilities(self) -> tuple[Availability, ...]:
        """Availability objectives of all signed revisions, by id, then by their time of effect."""
        return self._availabilities

    @property
    def services(self) -> frozenset[str]:
        """Services that some availability objective is about."""
        return frozenset(self._of_service)

    def availabilities_of(self, service: str) -> tuple[Availability, ...]:
        """Return the availability objectives of a service, of all signed revisions, by id and time of effect."""
        return tuple(self._of_service.get(service, ()))

    @property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """All adjustments, revoked ones included, by service."""
        return tuple(adjustment for of in self._adjustments_of.values() for adjustment in of)

    def adjustments_of(self, service: str) -> tuple[Adjustment, ...]:
        """Return the adjustments of a service, revoked ones included, the one that counts last at the end."""
        return tuple(self._adjustments_of.get(service, ()))

    @property
    def targets(self) -> tuple[Target, ...]:
        """All targets of all signed revisions."""
        return tuple(self._ordered)

    def target(self, target_id: str, revision: int) -> Target | None:
        """Return one revision of a target, or None if the register no longer holds it."""
        terms = self.terms.get((target_id, revision))
        return None if terms is None else terms[0]

    def calendar_of(self, target: Target) -> WorkCalendar:
        """Return the calendar that counts for a target: its own, or elapsed time."""
        return self._elapsed if target.within.base is TimeBase.ELAPSED else self.calendars[target.calendar]

    def may_start_at(self, event: str) -> bool:
        """Tell whether an event of a kind can start or reopen a clock of any target, the fields permitting."""
        return event in self._starting if event in self._named else self._others_start

    def _may_start_at(self, event: str) -> bool:
        return any(target.reaction_to(event).may_start for target in self._ordered)

    def target_id_of_hash(self, target_hash: int) -> str | None:
        """Return the target whose id has this CRC-32 (row headers hold it), or None."""
        return self._by_hash.get(target_hash)

    def winners(self, attributes: Mapping[str, str], at_ms: int) -> Winners:
        """Return the target that applies to a ticket in each slot at an instant.

        The most specific one wins: level, then number of fields, then id. Targets of contracts of different types
        never compete: an OLA runs beside the SLA it underpins.

        Parameters
        ----------
        attributes : mapping
            The ticket's fields at the instant.
        at_ms : int
            The instant; only revisions in force then take part.
        """
        era = bisect_right(self._boundaries, at_ms)
        combination = (era, *map(attributes.get, self.matched_fields))
        winners = self._winners.get(combination)
        if winners is None:
            if len(self._winners) >= _REMEMBERED_COMBINATIONS:
                self._winners.clear()
            winners = self._winners[combination] = self._find_winners(attributes, at_ms)
        return winners

    def _find_winners(self, attributes: Mapping[str, str], at_ms: int) -> Winners:
        hits: dict[int, int] = defaultdict(int)
        for item in attributes.items():
            for number in self._by_field.get(item, ()):
                hits[number] += 1
        candidates = [n for n, count in hits.items() if count == self._number_of_fields[n]]
        candidates += [n for n, fields in enumerate(self._number_of_fields) if fields == 0]
        winners: dict[Slot, Target] = {}
        for number in candidates:
            target = self._ordered[number]
            if not target.effective_from_ms <= at_ms < target.effective_until_ms:
                continue
            best = winners.get(target.slot)
            if best is None or target.specificity > best.specificity:
                winners[target.slot] = target
        return dict(sorted(winners.items()))
