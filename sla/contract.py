"""Agreements as the domain sees them: frozen, validated, compiled from documents by ``config``.

A *contract* has *revisions*; a revision has *targets* ("P1 is answered within 4 business hours"); a target may carry an
*objective* ("95 % of them, per month"). Only signed revisions reach the domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from sla.errors import ContractError
from sla.events import CANCELLED, MERGED, REOPENED
from sla.units import NEVER

if TYPE_CHECKING:
    from sla.availability import Availability
    from sla.credits import CreditTerms


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


def _unless(runs: FieldsTest, pause: FieldsTest | None) -> FieldsTest:
    """Return the pause of a clock that counts only while ``runs`` holds."""
    if pause is None:
        return lambda attributes: not runs(attributes)
    return lambda attributes: not runs(attributes) or pause(attributes)


class TimeBase(StrEnum):
    """What a target's duration counts."""

    BUSINESS = "business"
    """Time inside the calendar's windows."""
    ELAPSED = "elapsed"
    """All time."""


@dataclass(frozen=True, slots=True)
class BusinessDays:
    """Due some business days after the start: ``2bd``, ``eod`` (0 days, end of day), ``2bd eod``.

    Attributes
    ----------
    days : int
        0 or more.
    end_of_day : bool
        Due at close of business of that day; else at the local time of the start, or the next opening if closed then.
    """

    days: int
    end_of_day: bool = False


@dataclass(frozen=True, slots=True)
class TicketDate:
    """Due on a date that the ticket carries.

    Attributes
    ----------
    field : str
        Ticket field that holds the date.
    at_minute : int or None
        Local minute of that date, 0..1440; None: close of business.
    """

    field: str
    at_minute: int | None = None


DueRule = BusinessDays | TicketDate
"""Where a deadline comes from that is no duration: each clock has an allowance of its own."""


@dataclass(frozen=True, slots=True)
class Within:
    """How long a clock may run: ``4bh`` is (14_400_000, BUSINESS), ``24h`` is (86_400_000, ELAPSED).

    Attributes
    ----------
    duration_ms : int
        0 if there is a rule.
    base : TimeBase
        What is counted; BUSINESS if there is a rule.
    rule : DueRule or None
        Given if the deadline is no duration of counted time.
    """

    duration_ms: int
    base: TimeBase
    rule: DueRule | None = None


class RiskLevel(NamedTuple):
    """One level of risk: a share of the target that is used up, or a lead time that is left. One of them is set."""

    share: Fraction | None
    lead_ms: int | None

    def threshold_ms(self, allowance_ms: int) -> int:
        """Return what has been consumed when the level is reached, rounded up to the millisecond, 0 or more."""
        if self.lead_ms is not None:
            return max(0, allowance_ms - self.lead_ms)
        assert self.share is not None, "one of them is set"
        return ceil(self.share * allowance_ms)


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
    """Whether any of stop, cancel, merge and repeat can hold."""
    may_start: bool
    """Whether any of start and reopen can hold."""
    repeat: FieldsTest | None = None


class _Derived:
    """What a target's terms amount to. Not fields of the dataclass: they say nothing that its terms do not."""

    __slots__ = (
        "_other_reaction",
        "_reactions",
        "date_field",
        "is_special",
        "pause_is_a_state",
        "risk_levels",
        "rule",
        "slot",
        "warn_thresholds_ms",
    )

    slot: tuple[ContractType, str]
    pause_is_a_state: bool
    warn_thresholds_ms: tuple[int, ...]
    risk_levels: tuple[RiskLevel, ...]
    rule: DueRule | None
    date_field: str | None
    is_special: bool
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
    repeat : Condition
        What stops the running cycle and starts the next one at the same instant ("an update every 4 hours").
    only_while : Condition or None
        The clock stands unless it holds; None: it runs unless it is paused.
    warn_consumed : tuple of Fraction
        Shares of the target, ascending, at which the clock is at risk.
    warn_before_ms : tuple of int
        Lead times at which it is, in the time the target counts.
    earliest_start : str or None
        Ticket field with an instant from which the clock counts, if that is before its start: that of the oldest of
        the tickets merged into this one.
    open_until_ms : int
        Until when clocks of this revision stay under it: the effective instant of the first later revision that applies
        to open tickets, or that terminates the contract with them. NEVER: they run off.
    open_then : int or None
        Number of the revision they go on under; None: they are terminated.
    slot : (ContractType, str)
        Contract type and metric: one clock at a time runs per slot of a ticket. Derived.
    pause_is_a_state : bool
        Whether the pause looks at fields only: then it can't change without them. Derived.
    risk_levels : tuple of RiskLevel
        Shares and lead times, the first to be reached first (with a rule: shares, then lead times). Derived.
    warn_thresholds_ms : tuple of int
        What has been consumed when each level is reached, ascending, rounded up to the millisecond; empty if there is a
        rule, see :meth:`risk_levels_of`. Derived.
    rule : DueRule or None
        Where the deadline comes from if it is no duration. Derived.
    date_field : str or None
        Ticket field that holds the date the target is due on. Derived.
    is_special : bool
        Whether its clocks do more at an event than plain ones: they follow a ticket's date or an earlier start, or go
        on under another revision at some instant. Derived.
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
    repeat: Condition = NEVER_HOLDS
    only_while: Condition | None = None
    warn_before_ms: tuple[int, ...] = ()
    earliest_start: str | None = None
    open_until_ms: int = NEVER
    open_then: int | None = None

    def __post_init__(self) -> None:
        rule = self.within.rule
        date_field = rule.field if isinstance(rule, TicketDate) else None
        if date_field is not None and (self.pause.clauses or self.only_while is not None):
            raise ContractError(f"target {self.id!r} is due on a date, which no pause moves: it can't be paused")
        levels = [RiskLevel(share, None) for share in self.warn_consumed]
        levels += [RiskLevel(None, lead_ms) for lead_ms in self.warn_before_ms]
        thresholds_ms: tuple[int, ...] = ()
        if rule is None:
            # Exact fractions are dear: worked out once here, they took a third of the time of every event.
            levels = list(self._ascending(levels, self.within.duration_ms))
            thresholds_ms = tuple(level.threshold_ms(self.within.duration_ms) for level in levels)
        is_special = date_field is not None or self.earliest_start is not None or self.open_until_ms != NEVER
        object.__setattr__(self, "slot", (self.contract_type, self.metric))
        object.__setattr__(self, "risk_levels", tuple(levels))
        object.__setattr__(self, "warn_thresholds_ms", thresholds_ms)
        object.__setattr__(self, "rule", rule)
        object.__setattr__(self, "date_field", date_field)
        object.__setattr__(self, "is_special", is_special)
        object.__setattr__(self, "pause_is_a_state", not self.pause.event_names)
        named = frozenset[str]().union(*(condition.event_names for condition in self.conditions))
        object.__setattr__(self, "_reactions", {event: self._reaction_to(event) for event in named})
        object.__setattr__(self, "_other_reaction", self._reaction_to(""))

    @staticmethod
    def _ascending(levels: Iterable[RiskLevel], allowance_ms: int) -> tuple[RiskLevel, ...]:
        return tuple(sorted(levels, key=lambda level: level.threshold_ms(allowance_ms)))

    def risk_levels_of(self, allowance_ms: int) -> tuple[RiskLevel, ...]:
        """Return the levels of risk of a clock that may consume ``allowance_ms``, the first to be reached first."""
        return self.risk_levels if self.rule is None else self._ascending(self.risk_levels, allowance_ms)

    def matches(self, attributes: Mapping[str, str]) -> bool:
        """Tell whether a ticket with these fields has all that the target applies to."""
        return all(attributes.get(name) in values for name, values in self.applies_to)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions: stop, cancel, merge, pause, start, reopen, repeat, and while it counts (if that is said)."""
        always = (self.stop, self.cancel, self.merge, self.pause, self.start, self.reopen_when, self.repeat)
        return always if self.only_while is None else (*always, self.only_while)

    def reaction_to(self, event: str) -> Reaction:
        """Return what an event of a kind can do to this target's clocks.

        Most events can do little: with this an engine asks only what may hold, instead of six conditions per clock.
        """
        return self._reactions.get(event, self._other_reaction)

    def _reaction_to(self, event: str) -> Reaction:
        stop, cancel, merge, pause, start, reopen, repeat = (
            condition.at_event(event) for condition in self.conditions[:7]
        )
        if self.only_while is not None:
            pause = _unless(self.only_while.of_fields, pause)
        may_end = not (stop is cancel is merge is repeat is None)
        return Reaction(stop, cancel, merge, pause, start, reopen, may_end, not (start is reopen is None), repeat)

    @property
    def specificity(self) -> tuple[int, int, str]:
        """Order of precedence among targets of one metric: level, number of fields, id as the last resort."""
        return (LEVEL_RANK[self.level], len(self.applies_to), self.id)


@dataclass(frozen=True, slots=True)
class PartyRules:
    """Who holds a ticket, by its fields: for attribution only, no clock depends on it.

    Attributes
    ----------
    customer : Condition or None
        While it holds the customer holds the ticket; None: while the target's pause holds.
    supplier : Condition or None
        While it holds a supplier does; None: while ``supplier_field`` is set.
    team_field, supplier_field : str
        Ticket fields that name the team and the supplier.
    """

    customer: Condition | None = None
    supplier: Condition | None = None
    team_field: str = "team"
    supplier_field: str = "supplier"


@dataclass(frozen=True, slots=True)
class Contract:
    """All signed revisions of one agreement, as targets and availability objectives with their times of effect."""

    id: str
    type: ContractType
    level: Level
    provider: str
    owner: str
    targets: tuple[Target, ...] = ()
    supports: tuple[str, ...] = field(default=())
    parties: PartyRules = PartyRules()
    team: str | None = None
    """Who is told about the contract itself."""
    review_by_ms: int | None = None
    """When the newest signed revision is to be reviewed: the start of that date where the revision was dated."""
    ends_ms: int | None = None
    """When a termination ends it."""
    availabilities: tuple[Availability, ...] = ()
    """The availability objectives of every signed revision."""
    credits: tuple[CreditTerms, ...] = ()
    """What falls due when objectives are missed or clocks breached, under every signed revision."""
