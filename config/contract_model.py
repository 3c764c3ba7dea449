"""The Contract document: what service-level managers write and review, and its translation into the domain.

The names of the fields are a public interface. A document is checked as a whole: :meth:`ContractModel.check` and its
siblings look at what concerns several fields; what concerns several documents is checked by :mod:`config.loader`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, time
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, model_validator
from typing_extensions import override

from config.availability_model import AvailabilityModel, check_attained
from config.contract_checks import (
    ACTING,
    CUSTOMER,
    OnEnd,
    Status,
    check_order,
    check_parties,
    check_revision,
    check_shares,
    check_target,
)
from config.credit_model import CreditModel, check_credits
from config.faults import Problem, StrictModel
from config.fields import (
    ByText,
    ConditionField,
    DateText,
    Identifier,
    InstantText,
    LeadText,
    Scope,
    ShareText,
    StateField,
    Text,
    Texts,
    TimezoneName,
    WithinText,
    read_by,
)
from sla.contract import (
    NEVER_HOLDS,
    Contract,
    ContractType,
    DeadlineAt,
    Level,
    Objective,
    OnChange,
    PartyRules,
    Reopen,
    Target,
)
from sla.duration import parse_lead, parse_window, parse_within
from sla.units import NEVER, ms_of, parse_instant, parse_ratio


class WarnModel(StrictModel):
    """When a running clock is at risk."""

    unsupported: ClassVar[frozenset[str]] = frozenset({"probability"})

    consumed: tuple[ShareText, ...] = Field((), description="Shares of the target, ascending, such as [50%, 75%, 90%].")
    before: tuple[LeadText, ...] | None = Field(
        None, description="Times before the deadline, the longest first, such as [2bh, 30bm]; as the target counts."
    )

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Shares lie between 0 and 1 and ascend."""
        yield from check_shares(data)


class ObjectiveModel(StrictModel):
    """Which share of the clocks of a target must be met."""

    id: Identifier | None = Field(None, description="Unique over all contracts; default: the target's id.")
    attain: ShareText = Field(description="Share that must be met, such as 95%.")
    over: str = Field(
        description="Over what: rolling (30d) or a calendar period (1 month, 1 quarter).", examples=["1 month", "30d"]
    )
    timezone: TimezoneName | None = Field(None, description="Zone in which calendar periods begin; needed for them.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Something must be attained, over a window that is known, in a zone if its bounds depend on one."""
        yield from check_attained(data)

    def to_domain(self, target_id: str) -> Objective:
        """Return the domain's objective."""
        return Objective(
            self.id or target_id, parse_ratio(self.attain), parse_window(self.over, self.timezone or "UTC")
        )


class ReopenModel(StrictModel):
    """What a reopening does to a stopped clock, and what counts as one."""

    policy: Reopen = Field(Reopen.NEW_CYCLE, description="new_cycle, resume (the closed time is a pause) or ignore.")
    when: ConditionField | None = Field(None, description="What reopens; default {event: reopened}.")


class RepeatModel(StrictModel):
    """A promise that is made again and again while a ticket is open."""

    when: ConditionField = Field(description="What stops the running cycle and starts the next one.")


class TargetModel(StrictModel):
    """One promise about one clock."""

    id: Identifier = Field(description="Unique over all contracts.")
    metric: Text | None = Field(
        None,
        description="What is measured, such as response; the most specific target of a metric wins. Default: the id.",
    )
    applies_to: Scope = Field(default_factory=dict, description="Fields a ticket must have; a list: any of its values.")
    start: ConditionField = Field(description="What starts the clock.")
    stop: ConditionField = Field(description="What stops it.")
    pause: StateField | None = Field(None, description="While these fields hold the clock stands.")
    only_while: StateField | None = Field(None, description="While these fields don't hold the clock stands.")
    repeat: RepeatModel | None = Field(None, description="Cycles without an end: an update every 4 hours.")
    cancel: ConditionField | None = Field(None, description="What makes it void; default {event: cancelled}.")
    merge: ConditionField | None = Field(None, description="What ends it as merged; default {event: merged}.")
    reopen: Annotated[
        ReopenModel, BeforeValidator(lambda given: {"policy": given} if isinstance(given, str) else given)
    ] = Field(default_factory=ReopenModel, description="Policy, or {policy, when}.")
    on_change: OnChange = Field(OnChange.CARRY, description="Time consumed so far when another target comes to apply.")
    deadline_at: DeadlineAt = Field(DeadlineAt.CLOSE, description="Deadline shown when it falls on close of business.")
    within: WithinText = Field(
        description="4bh, 90bm: business time; 24h, 15m: elapsed time; 2bd, 2bd eod, eod: business days; or {by: ...}."
    )
    by: ByText | None = Field(None, description="In place of within: a date that the ticket carries.")
    earliest_start: Text | None = Field(
        None, description="Ticket field with an earlier instant to count from, such as that of a ticket merged into it."
    )
    calendar: Identifier | None = Field(None, description="Default: the revision's calendar.")
    objective: ObjectiveModel | None = None
    warn: WarnModel | None = None
    team: Text | None = Field(None, description="Who is told; default: the contract's team.")

    @model_validator(mode="before")
    @classmethod
    def _by_is_within(cls, data: Any) -> Any:
        """Take ``by`` for ``within``: documents that are published have one spelling."""
        if not isinstance(data, Mapping) or "by" not in data or "within" in data:
            return data
        try:
            within = read_by(data["by"])
        except ValueError:
            return data  # told where it stands
        return {**{name: value for name, value in data.items() if name != "by"}, "within": within}

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """A clock must be able to run, and its terms must fit what it counts."""
        yield from check_target(data)


class RevisionModel(StrictModel):
    """One version of the terms, in force from its effective instant to that of the next signed or terminated one."""

    revision: StrictInt = Field(ge=1, description="Number, ascending.")
    status: Status = Field(description="Only signed revisions are monitored; terminated ends the contract.")
    effective_from: InstantText = Field(description="RFC 3339 with a zone.")
    review_by: DateText | None = Field(None, description="When the parties look at it again.")
    reason: Text | None = Field(None, description="Why: for people; needed by `contracts terminate`.")
    by: Text | None = Field(None, description="Who agreed or decided it; for people.")
    applies_to_open: StrictBool | None = Field(
        None,
        description="Clocks that are open at the effective instant go on under this revision; default: false.",
    )
    on_end: OnEnd | None = Field(None, description="Of a termination: what becomes of open clocks.")
    calendar: Identifier | None = Field(None, description="Calendar of the targets that name none.")
    targets: tuple[TargetModel, ...] = ()
    availability: tuple[AvailabilityModel, ...] | None = Field(
        None, description="Promises about the availability of services."
    )
    credits: tuple[CreditModel, ...] | None = Field(
        None, description="What falls due when objectives are missed or clocks breached."
    )

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """A signed revision promises something, on a calendar; a terminated one promises nothing."""
        yield from check_revision(data)
        yield from check_credits(data)

    @property
    def effective_from_ms(self) -> int:
        """The effective instant, UTC epoch ms."""
        return parse_instant(self.effective_from)

    @property
    def objectives(self) -> dict[str, Objective]:
        """Every objective by id: those of targets, and those about the availability of services."""
        found = (target.objective.to_domain(target.id) for target in self.targets if target.objective is not None)
        return {objective.id: objective for objective in found} | {
            promise.id: Objective(
                promise.id, parse_ratio(promise.attain), parse_window(promise.over, promise.timezone or "UTC")
            )
            for promise in self.availability or ()
        }


class PartiesModel(StrictModel):
    """Which ticket fields say who holds a ticket: customer, supplier or team. Verdicts say how long each one did."""

    customer: StateField | None = Field(
        None, description="While it holds the customer holds the ticket; default: while the target's pause holds."
    )
    supplier: StateField | None = Field(
        None, description="While it holds a supplier does, also when the customer's holds; default: by supplier_field."
    )
    supplier_field: Text = Field("supplier", description="Ticket field that names the supplier.")
    team_field: Text = Field("team", description="Ticket field that names the team; unassigned while it is unset.")

    def to_domain(self) -> PartyRules:
        """Return the domain's rules."""
        return PartyRules(self.customer, self.supplier, self.team_field, self.supplier_field)


class ContractModel(StrictModel):
    """One agreement with all its revisions."""

    kind: Literal["Contract"]
    id: Identifier = Field(description="Unique over all contracts.")
    type: ContractType = Field(description="sla: to a customer; ola: between teams; uc: by a supplier.")
    level: Level = Field(description="corporate < customer < service: the most specific target of a metric wins.")
    provider: Text = Field(description="Who promises.")
    customer: Text | None = Field(None, description="To whom: value of the ticket field `customer`.")
    customer_group: Texts | None = Field(None, description="To whom: any of these customers.")
    supports: tuple[Identifier, ...] = Field((), description="Of an ola or uc: the SLA contracts it underpins.")
    owner: Text = Field(description="Who answers for it.")
    team: Text | None = Field(None, description="Who is told; targets can name another team.")
    on_end: OnEnd | None = Field(
        None, description="What becomes of open clocks when the contract ends: run_off (default) or terminate."
    )
    parties: PartiesModel | None = Field(None, description="Who holds a ticket, by its fields.")
    revisions: tuple[RevisionModel, ...] = Field(json_schema_extra={"minItems": 1})

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Parties, level and supports fit together; revisions follow each other."""
        yield from check_parties(data)
        yield from check_order(data)

    @property
    def customers(self) -> tuple[str, ...]:
        """The customers the contract is with; empty if it does not name them."""
        return (self.customer,) if self.customer is not None else self.customer_group or ()

    @property
    def monitored(self) -> tuple[tuple[RevisionModel, int], ...]:
        """Signed revisions, ascending, each with the UTC epoch ms at which it ends (NEVER if it is open)."""
        acting = [revision for revision in self.revisions if revision.status in ACTING]
        ends: list[int] = [revision.effective_from_ms for revision in acting[1:]]
        pairs = zip(acting, [*ends, NEVER], strict=True) if acting else ()
        return tuple((revision, end_ms) for revision, end_ms in pairs if revision.status is Status.SIGNED)

    @property
    def review_by_ms(self) -> int | None:
        """When the newest signed revision is to be reviewed, UTC epoch ms; None without a date.

        The start of the date, at the offset from UTC that ``effective_from`` is written with.
        """
        signed = [revision for revision, _ in self.monitored]
        if not signed or signed[-1].review_by is None:
            return None
        offset = datetime.fromisoformat(signed[-1].effective_from).tzinfo
        return ms_of(datetime.combine(signed[-1].review_by, time.min, offset))

    @property
    def ends_ms(self) -> int | None:
        """When a termination ends the contract, UTC epoch ms; None without one."""
        last = self.revisions[-1]
        return last.effective_from_ms if last.status is Status.TERMINATED else None

    def in_force(self, at_ms: int) -> RevisionModel | None:
        """Return the revision that is monitored at an instant, or None."""
        for revision, until_ms in self.monitored:
            if revision.effective_from_ms <= at_ms < until_ms:
                return revision
        return None

    def _lets_go(self, revision: RevisionModel) -> tuple[int, int | None]:
        """Return until when (UTC epoch ms) clocks stay open under a revision, and the number of the one they go to."""
        for later in self.revisions:
            if later.effective_from_ms <= revision.effective_from_ms:
                continue
            if later.status is Status.SIGNED and later.applies_to_open:
                return later.effective_from_ms, later.revision
            if later.status is Status.TERMINATED and (later.on_end or self.on_end) is OnEnd.TERMINATE:
                return later.effective_from_ms, None
        return NEVER, None

    def to_domain(self) -> Contract:
        """Return the domain's contract: the promises of every signed revision, with their times of effect."""
        targets = tuple(
            self._target(target, revision, until_ms)
            for revision, until_ms in self.monitored
            for target in revision.targets
        )
        availabilities = tuple(
            objective.to_domain(
                self.id,
                self.type,
                revision.revision,
                revision.effective_from_ms,
                until_ms,
                team=self.team,
                owner=self.owner,
            )
            for revision, until_ms in self.monitored
            for objective in revision.availability or ()
        )
        credit_terms = tuple(
            credit.to_domain(
                self.id, revision.revision, revision.effective_from_ms, until_ms, revision.objectives.get(credit.for_)
            )
            for revision, until_ms in self.monitored
            for credit in revision.credits or ()
        )
        parties = PartyRules() if self.parties is None else self.parties.to_domain()
        return Contract(
            self.id,
            self.type,
            self.level,
            self.provider,
            self.owner,
            targets,
            self.supports,
            parties,
            team=self.team,
            review_by_ms=self.review_by_ms,
            ends_ms=self.ends_ms,
            availabilities=availabilities,
            credits=credit_terms,
        )

    def _target(self, target: TargetModel, revision: RevisionModel, until_ms: int) -> Target:
        calendar = target.calendar or revision.calendar
        assert calendar is not None, "RevisionModel.check"
        scope = {name: frozenset(values) for name, values in target.applies_to.items()}
        if self.customers:
            scope[CUSTOMER] = scope.get(CUSTOMER, frozenset(self.customers)) & frozenset(self.customers)
        open_until_ms, open_then = self._lets_go(revision)
        within = parse_within(target.within)
        warn = target.warn or WarnModel()
        given = {
            "cancel": target.cancel,
            "merge": target.merge,
            "reopen_when": target.reopen.when,
            "repeat": target.repeat.when if target.repeat else None,
            "only_while": target.only_while,
        }
        return Target(
            id=target.id,
            contract=self.id,
            contract_type=self.type,
            level=self.level,
            revision=revision.revision,
            effective_from_ms=revision.effective_from_ms,
            effective_until_ms=until_ms,
            metric=target.metric or target.id,
            applies_to=tuple(sorted(scope.items())),
            calendar=calendar,
            start=target.start,
            stop=target.stop,
            within=within,
            pause=target.pause or NEVER_HOLDS,
            reopen=target.reopen.policy,
            on_change=target.on_change,
            deadline_at=target.deadline_at,
            warn_consumed=tuple(parse_ratio(share) for share in warn.consumed),
            warn_before_ms=tuple(parse_lead(lead, within.base) for lead in warn.before or ()),
            earliest_start=target.earliest_start,
            open_until_ms=open_until_ms,
            open_then=open_then,
            objective=target.objective.to_domain(target.id) if target.objective else None,
            team=target.team or self.team,
            owner=self.owner,
            **{name: condition for name, condition in given.items() if condition is not None},
        )
