"""Service credits as contracts write them: what falls due for a missed objective or a breached clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, StrictInt, WithJsonSchema
from typing_extensions import override

from config.contract_checks import mappings, ratio
from config.faults import Loc, Problem, StrictModel, problem, shown, suggestion
from config.fields import Identifier, ShareText, TimezoneName
from sla.contract import Objective, Period
from sla.credits import CreditTerms, CreditTier
from sla.errors import UnitError
from sla.money import Money, money_of, parse_money
from sla.units import parse_ratio


def _money(value: Any) -> str:
    if not isinstance(value, str):
        raise problem(f"{shown(value)} is no amount with its currency: write 12000 EUR")
    try:
        parse_money(value)
    except UnitError as error:
        raise problem(str(error)) from error
    return value


def _money_or_share(value: Any) -> str:
    if _share_of(value) is not None:
        return value if isinstance(value, str) else shown(value)
    if isinstance(value, str) and "%" in value:
        raise problem(f"{shown(value)} is no share: write 50%")
    return _money(value)


def _share_of(value: Any) -> Fraction | None:
    """Return a share as written, or None if it is none; without ``%`` it may be an amount."""
    return ratio(value) if isinstance(value, float) or (isinstance(value, str) and "%" in value) else None


MoneyText = Annotated[
    str, BeforeValidator(_money), WithJsonSchema({"type": "string", "examples": ["12000 EUR", "99.50 USD"]})
]
"""An amount with its ISO 4217 currency."""

CapText = Annotated[
    str, BeforeValidator(_money_or_share), WithJsonSchema({"type": "string", "examples": ["50%", "6000 EUR"]})
]
"""An amount, or a share of what credits are of."""


class TierModel(StrictModel):
    """What falls due below a share attained."""

    below: ShareText = Field(description="Less than this share was attained, such as 99.9%.")
    credit: ShareText = Field(description="Share of `of` that falls due.")


class CreditModel(StrictModel):
    """What falls due for one calendar period of one objective."""

    # `for` is no name in Python; documents have no other spelling of it.
    model_config = ConfigDict(serialize_by_alias=True)

    for_: Identifier = Field(alias="for", description="Id of an objective; with per_breach alone also of a target.")
    tiers: tuple[TierModel, ...] = Field((), description="By share attained; the lowest that it lies below counts.")
    of: MoneyText | None = Field(None, description="What tiers are shares of: the charge of one period, 12000 EUR.")
    per_breach: MoneyText | None = Field(None, description="Falls due for every breached clock.")
    cap: CapText | None = Field(None, description="Most that falls due for one period: an amount, or a share of `of`.")
    minimum: MoneyText | None = Field(None, description="Less than this does not fall due.")
    min_events: StrictInt | None = Field(
        None, ge=1, description="With fewer events in the period no tier applies; default: 1."
    )
    per: Period | None = Field(
        None, description="week, month, quarter or year; default: the objective's, or month where it is rolling."
    )
    timezone: TimezoneName | None = Field(None, description="Zone in which it begins; default: the objective's.")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Something falls due; tiers fall with the share; amounts are of one currency."""
        yield from _check_tiers(data)
        if not data.get("tiers") and data.get("per_breach") is None:
            yield ("tiers",), "missing: nothing falls due; write tiers or per_breach"
        if data.get("of") is None:
            if data.get("tiers"):
                yield ("of",), "missing: tiers are shares of an amount, such as 12000 EUR"
            elif _share_of(data.get("cap")) is not None:
                yield ("cap",), "is a share of `of`, which is missing: write an amount"
        if not data.get("tiers") and data.get("min_events") is not None:
            yield ("min_events",), "is about tiers, and there are none: leave it out"
        amounts = {name: _amount(data.get(name)) for name in ("of", "per_breach", "cap", "minimum")}
        currencies = {name: amount.currency for name, amount in amounts.items() if amount is not None}
        first = next(iter(currencies), None)
        for name, currency in currencies.items():
            if first is not None and currency != currencies[first]:
                yield (name,), f"is in {currency}, and {first} in {currencies[first]}: one currency for all amounts"

    def to_domain(
        self,
        contract: str,
        revision: int,
        effective_from_ms: int,
        effective_until_ms: int,
        objective: Objective | None,
    ) -> CreditTerms:
        """Return the domain's terms.

        Parameters
        ----------
        objective : Objective or None
            The one they are for; None of a target without one.
        """
        of = None if self.of is None else parse_money(self.of)
        window = None if objective is None else objective.window
        return CreditTerms(
            objective=self.for_,
            contract=contract,
            revision=revision,
            effective_from_ms=effective_from_ms,
            effective_until_ms=effective_until_ms,
            period=self.per or (window and window.period) or Period.MONTH,
            timezone=self.timezone or (window.timezone if window else "UTC"),
            tiers=tuple(
                sorted(
                    (CreditTier(parse_ratio(tier.below), parse_ratio(tier.credit)) for tier in self.tiers),
                    key=lambda tier: tier.below,
                )
            ),
            of=of,
            per_breach=None if self.per_breach is None else parse_money(self.per_breach),
            cap=_cap(self.cap, of),
            minimum=None if self.minimum is None else parse_money(self.minimum),
            min_events=self.min_events or 1,
        )


def _cap(written: str | None, of: Money | None) -> Money | None:
    if written is None:
        return None
    share = _share_of(written)
    if share is None:
        return parse_money(written)
    assert of is not None, "CreditModel.check"
    return money_of(Fraction(of.amount) * share, of.currency)


def _amount(value: Any) -> Money | None:
    """Return an amount as written, or None if it is none."""
    try:
        return parse_money(value) if isinstance(value, str) else None
    except UnitError:
        return None


def _check_tiers(data: Mapping[str, Any]) -> Iterator[Problem]:
    read = [(index, ratio(tier.get("below")), ratio(tier.get("credit"))) for index, tier in mappings(data, "tiers")]
    known = sorted((below, credit, index) for index, below, credit in read if below is not None and credit is not None)
    for (below, credit, index), (next_below, next_credit, next_index) in pairwise(known):
        if below == next_below:
            at = max(index, next_index)
            yield ("tiers", at, "below"), f"is that of tiers[{min(index, next_index)}], too"
        elif credit < next_credit:
            yield (
                ("tiers", index, "credit"),
                f"is less than that of tiers[{next_index}], though less was attained",
            )
    for index, limit, _ in read:
        if limit == 0:
            yield ("tiers", index, "below"), "nothing lies below 0 %"


def check_credits(revision: Mapping[str, Any]) -> Iterator[Problem]:
    """Credits are for objectives of their revision, each once, and for what such an objective counts."""
    entries = mappings(revision, "credits")
    if not entries:
        return
    targets: dict[str, bool] = {}
    objectives: set[str] = set()
    for _, target in mappings(revision, "targets"):
        target_id, objective = target.get("id"), target.get("objective")
        if isinstance(target_id, str):
            targets[target_id] = isinstance(objective, Mapping)
            if isinstance(objective, Mapping):
                objectives.add(str(objective.get("id") or target_id))
    services = {str(found.get("id")) for _, found in mappings(revision, "availability")}
    known = sorted({*targets, *objectives, *services})
    first: dict[str, int] = {}
    for index, entry in entries:
        named = entry.get("for")
        if not isinstance(named, str):
            continue
        loc: Loc = ("credits", index)
        if named not in known:
            yield (*loc, "for"), f"unknown objective {shown(named)}{suggestion(named, known)}"
        elif first.setdefault(named, index) != index:
            yield (*loc, "for"), f"{shown(named)} has credits in credits[{first[named]}]"
        elif named in services and entry.get("per_breach") is not None:
            yield (*loc, "per_breach"), f"{shown(named)} has no clocks that could be breached: write tiers"
        elif named not in objectives and named not in services and entry.get("tiers"):
            has = "its objective has another id" if targets[named] else "it has no objective"
            yield (*loc, "for"), f"{shown(named)} is a target, and tiers are about an objective: {has}"
