"""Agreements as the domain sees them: frozen, validated, compiled from documents by ``config``.

A *contract* has *revisions*; a revision has *targets* ("P1 is answered within 4 business hours"); a target may carry an
*objective* ("95 % of them, per month"). Only signed revisions reach the domain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import NamedTuple

from sla.events import CANCELLED, MERGED, REOPENED


class ContractType(StrEnum):
    """Who promises to whom."""

    SLA = "sla"
    """To a customer."""
    OLA = "ola"
    """Between teams of one organisation."""
    UC = "uc"
    """By a supplier (underpinning contract)."""


class Level(StrEnum):
    """Levels of a multi-level agreement, least specific first."""

    CORPORATE = "corporate"
    CUSTOMER = "customer"
    SERVICE = "service"


FieldsTest = Callable[[dict[str, str]], bool]
"""A question about a ticket's fields."""


def _always(_attributes: dict[str, str]) -> bool:
    return True


LEVEL_RANK = {Level.CORPORATE: 0, Level.CUSTOMER: 1, Level.SERVICE: 2}
"""Specificity of a level: the most specific target wins per metric."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A conjunction: the event is one of ``events`` (if any are named) and every field has one of its values.

    Attributes
    ----------
    events : frozenset of str
        Kinds of event that satisfy the clause; empty: the clause does not look at the kind.
    fields : tuple of (name, values)
        Ticket fields after the event, each with the values that satisfy the clause.
    """

    events: frozenset[str] = frozenset()
    fields: tuple[tuple[str, frozenset[str]], ...] = ()

    def holds(self, event: str, attributes: dict[str, str]) -> bool:
        """Tell whether the clause holds at an event, with the ticket's fields as they are after it."""
        if self.events and event not in self.events:
            return False
        # Conditions are asked several times per event and clock: a generator in all() or any() costs as much again.
        for name, values in self.fields:  # noqa: SIM110
            if attributes.get(name) not in values:
                return False
        return True


@dataclass(frozen=True, slots=True)
class Condition:
    """A disjunction of clauses; one without clauses never holds."""

    clauses: tuple[Clause, ...] = ()

    def holds(self, event: str, attributes: dict[str, str]) -> bool:
        """Tell whether any clause holds."""
        for clause in self.clauses:  # noqa: SIM110 - see Clause.holds
            if clause.holds(event, attributes):
                return True
        return False

    def at_event(self, event: str) -> FieldsTest | None:
        """Return what is left to ask at an event of one kind: a test of the fields, or None if it can't hold."""
        left = [clause.fields for clause in self.clauses if not clause.events or event in clause.events]
        if not left:
            return None
        if not all(left):
            return _always
        if len(left) == 1 and len(left[0]) == 1:
            ((name, values),) = left[0]
            # Nearly every pause is this one: a loop over one clause and one field costs twice as much.
            return lambda attributes: attributes.get(name) in values
        return Condition(tuple(Clause(fields=fields) for fields in left)).of_fields

    def of_fields(self, attributes: dict[str, str]) -> bool:
        """Tell whether any clause holds, of a condition that names no event."""
        return self.holds("", attributes)

    @property
    def event_names(self) -> frozenset[str]:
        """Kinds of event the condition names."""
        return frozenset(event for clause in self.clauses for event in clause.events)

    @property
    def field_names(self) -> frozenset[str]:
        """Names of the ticket fields the condition looks at."""
        return frozenset(name for clause in self.clauses for name, _ in clause.fields)


NEVER_HOLDS = Condition()


class TimeBase(StrEnum):
    """What a target's duration counts."""

    BUSINESS = "business"
    """Time inside the calendar's windows."""
    ELAPSED = "elapsed"
    """All time."""


@dataclass(frozen=True, slots=True)
class Within:
    """How long a clock may run: ``4bh`` is (14_400_000, BUSINESS), ``24h`` is (86_400_000, ELAPSED)."""

    duration_ms: int
    base: TimeBase


class OnChange(StrEnum):
    """What happens to the time consumed when the matching target changes while a clock runs."""

    CARRY = "carry"
    """The time consumed so far counts against the new target (default)."""
    RESTART = "restart"
    """The new clock starts at the change with nothing consumed."""
    RETROACTIVE = "retroactive"
    """The new clock runs as if its target had applied from the start, with its own calendar and pauses."""


class Reopen(StrEnum):
    """What a reopening does to a stopped clock."""

    NEW_CYCLE = "new_cycle"
    """A new clock with the next cycle number starts (default); the closed one stays as it is."""
    RESUME = "resume"
    """The clock goes on; the time it was stopped is a pause."""
    IGNORE = "ignore"
    """Nothing."""


class DeadlineAt(StrEnum):
    """Which instant is shown when a target is used up exactly at close of business."""

    CLOSE = "close"
    NEXT_OPEN = "next_open"


class Period(StrEnum):
    """Calendar periods of objectives."""

    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Window:
    """Over what an objective is measured: rolling (``rolling_ms``) or a calendar period in a time zone.

    Exactly one of ``rolling_ms`` and ``period`` is set.
    """

    rolling_ms: int | None
    period: Period | None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Objective:
    """The share of clocks that must be met over a window; ``attain`` is exact (a Fraction in 0..1)."""

    id: str
    attain: Fraction
    window: Window


class Reaction(NamedTuple):
    """What events of one kind can do to the clocks of a target: the test the fields have to pass; None: nothing."""

    stop: FieldsTest | None
    cancel: FieldsTest | None
    merge: FieldsTest | None
    pause: FieldsTest | None
    start: FieldsTest | None
    reopen: FieldsTest | None
    may_end: bool
    """Whether any of stop, cancel and merge can hold."""
    may_start: bool
    """Whether any of start and reopen can hold."""


class _Derived:
    """What a target's terms amount to. Not fields of the dataclass: they say nothing that its terms do not."""

    __slots__ = ("_other_reaction", "_reactions", "pause_is_a_state", "slot", "warn_thresholds_ms")

    slot: tuple[ContractType, str]
    pause_is_a_state: bool
    warn_thresholds_ms: tuple[int, ...]
    _reactions: dict[str, Reaction]
    _other_reaction: Reaction


@dataclass(frozen=True, slots=True)
class Target(_Derived):
    """One promise about one clock.

    Attributes
    ----------
    id : str
        Unique over all contracts.
    metric : str
        What is measured (``response``, ``resolution``, ...). Of all targets of one contract type that match a ticket
        with the same metric the most specific wins.
    applies_to : tuple of (name, values)
        Fields a ticket must have, the contract's customer scope included.
    calendar : str
        Id of the calendar that counts; used for BUSINESS targets and for reporting.
    warn_consumed : tuple of Fraction
        Shares of the target, ascending, at which the clock is at risk.
    slot : (ContractType, str)
        Contract type and metric: one clock at a time runs per slot of a ticket. Derived.
    pause_is_a_state : bool
        Whether the pause looks at fields only: then it can't change without them. Derived.
    warn_thresholds_ms : tuple of int
        What has been consumed when each share is reached, rounded up to the millisecond. Derived.
    """

    id: str
    contract: str
    contract_type: ContractType
    level: Level
    revision: int
    effective_from_ms: int
    effective_until_ms: int
    metric: str
    applies_to: tuple[tuple[str, frozenset[str]], ...]
    calendar: str
    start: Condition
    stop: Condition
    within: Within
    pause: Condition = NEVER_HOLDS
    cancel: Condition = Condition((Clause(events=frozenset({CANCELLED})),))
    merge: Condition = Condition((Clause(events=frozenset({MERGED})),))
    reopen_when: Condition = Condition((Clause(events=frozenset({REOPENED})),))
    reopen: Reopen = Reopen.NEW_CYCLE
    on_change: OnChange = OnChange.CARRY
    deadline_at: DeadlineAt = DeadlineAt.CLOSE
    warn_consumed: tuple[Fraction, ...] = ()
    objective: Objective | None = None
    team: str | None = None
    owner: str | None = None

    def __post_init__(self) -> None:
        # Exact fractions are dear: worked out once here, they took a third of the time of every event.
        thresholds_ms = tuple(ceil(share * self.within.duration_ms) for share in self.warn_consumed)
        object.__setattr__(self, "slot", (self.contract_type, self.metric))
        object.__setattr__(self, "warn_thresholds_ms", thresholds_ms)
        object.__setattr__(self, "pause_is_a_state", not self.pause.event_names)
        named = frozenset[str]().union(*(condition.event_names for condition in self.conditions))
        object.__setattr__(self, "_reactions", {event: self._reaction_to(event) for event in named})
        object.__setattr__(self, "_other_reaction", self._reaction_to(""))

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions: stop, cancel, merge, pause, start, reopen."""
        return (self.stop, self.cancel, self.merge, self.pause, self.start, self.reopen_when)

    def reaction_to(self, event: str) -> Reaction:
        """Return what an event of a kind can do to this target's clocks.

        Most events can do little: with this an engine asks only what may hold, instead of six conditions per clock.
        """
        return self._reactions.get(event, self._other_reaction)

    def _reaction_to(self, event: str) -> Reaction:
        stop, cancel, merge, pause, start, reopen = (condition.at_event(event) for condition in self.conditions)
        may_end = not (stop is cancel is merge is None)
        return Reaction(stop, cancel, merge, pause, start, reopen, may_end, not (start is reopen is None))

    @property
    def specificity(self) -> tuple[int, int, str]:
        """Order of precedence among targets of one metric: level, number of fields, id as the last resort."""
        return (LEVEL_RANK[self.level], len(self.applies_to), self.id)


@dataclass(frozen=True, slots=True)
class Contract:
    """All signed revisions of one agreement, as targets with their times of effect."""

    id: str
    type: ContractType
    level: Level
    provider: str
    owner: str
    targets: tuple[Target, ...] = ()
    supports: tuple[str, ...] = field(default=())
