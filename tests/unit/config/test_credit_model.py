"""Credits as contracts write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from config.contract_model import ContractModel
from config.documents import contract_document, contract_of
from config.faults import path_of, problems_of
from config.signed_revisions import changes_of_signed
from sla.contract import Period
from sla.credits import CreditTerms

TIERS = [{"below": "99.9%", "credit": "10%"}, {"below": "99%", "credit": "25%"}]


def contract(*entries: dict[str, Any], **revision: Any) -> dict[str, Any]:
    target = {
        "id": "response",
        "start": {"event": "created"},
        "stop": {"event": "responded"},
        "within": "4h",
        "objective": {"id": "responses", "attain": "95%", "over": "1 quarter", "timezone": "Asia/Jakarta"},
    }
    return {
        "kind": "Contract",
        "id": "acme",
        "type": "sla",
        "level": "corporate",
        "provider": "it",
        "owner": "slm",
        "revisions": [
            {
                "revision": 1,
                "status": "signed",
                "effective_from": "2026-01-01T00:00:00Z",
                "calendar": "always",
                "targets": [target],
                "availability": [{"id": "portal", "service": "portal", "attain": "99.9%", "over": "30d"}],
                "credits": list(entries),
                **revision,
            }
        ],
    }


def terms(*entries: dict[str, Any]) -> tuple[CreditTerms, ...]:
    return ContractModel.model_validate(contract(*entries)).to_domain().credits


def faults(*entries: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as error:
        ContractModel.model_validate(contract(*entries))
    found = problems_of(error.value, ContractModel)
    return [f"{path_of(loc).removeprefix('revisions[0].')}: {message}" for loc, message in found]


def test_tiers_of_a_rolling_objective_are_judged_per_month() -> None:
    [found] = terms({"for": "portal", "tiers": TIERS, "of": "12000 EUR", "cap": "50%"})
    assert (found.period, found.timezone, found.contract, found.revision) == (Period.MONTH, "UTC", "acme", 1)
    assert [tier.below for tier in found.tiers] == [Fraction("0.99"), Fraction("0.999")]
    assert found.cap is not None
    assert found.cap.amount == Decimal("6000.00")


def test_the_period_of_an_objective_is_that_of_its_credits() -> None:
    [found] = terms({"for": "responses", "tiers": TIERS, "of": "1000 JPY"})
    assert (found.period, found.timezone) == (Period.QUARTER, "Asia/Jakarta")
    [other] = terms({"for": "responses", "tiers": TIERS, "of": "1000 JPY", "per": "week", "timezone": "UTC"})
    assert (other.period, other.timezone) == (Period.WEEK, "UTC")


def test_a_breach_may_cost_a_fixed_amount() -> None:
    [found] = terms({"for": "response", "per_breach": "50 EUR", "cap": "1000 EUR", "minimum": "100 EUR"})
    assert (found.objective, found.tiers, found.of) == ("response", (), None)
    assert [str(amount) for amount in (found.per_breach, found.cap, found.minimum)] == [
        *("50.00 EUR", "1,000.00 EUR", "100.00 EUR"),
    ]


def test_a_share_of_an_odd_amount_is_exact() -> None:
    [found] = terms({"for": "responses", "tiers": TIERS, "of": "0.99 EUR", "cap": "33.3%"})
    assert str(found.cap) == "0.33 EUR"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"for": "portl", "tiers": TIERS, "of": "1 EUR"}, "credits[0].for: unknown objective 'portl' (portal?)"),
        ({"for": "portal", "per_breach": "1 EUR"}, "credits[0].per_breach: 'portal' has no clocks"),
        ({"for": "portal", "tiers": TIERS}, "credits[0].of: missing"),
        ({"for": "portal", "tiers": [], "of": "1 EUR"}, "credits[0].tiers: missing: nothing falls due"),
        ({"for": "portal", "tiers": TIERS, "of": 12}, "credits[0].of: 12 is no amount"),
        ({"for": "portal", "tiers": TIERS, "of": "1 EUR", "cap": "1 USD"}, "credits[0].cap: is in USD"),
        ({"for": "response", "per_breach": "1 EUR", "cap": "5%"}, "credits[0].cap: is a share of `of`"),
        ({"for": "response", "per_breach": "1 EUR", "min_events": 3}, "credits[0].min_events: is about tiers"),
        ({"for": "response", "tiers": TIERS, "of": "1 EUR"}, "credits[0].for: 'response' is a target"),
        (
            {"for": "portal", "tiers": TIERS, "of": "1 EUR", "minimun": "1 EUR"},
            "credits[0].minimun: unknown field (minimum?)",
        ),
    ],
)
def test_what_can_not_be_meant_is_told(entry: dict[str, Any], fault: str) -> None:
    assert any(found.startswith(fault) for found in faults(entry)), faults(entry)


def test_an_objective_has_credits_once() -> None:
    entry = {"for": "portal", "tiers": TIERS, "of": "1 EUR"}
    assert faults(entry, entry) == ["credits[1].for: 'portal' has credits in credits[0]"]


def test_a_contract_with_credits_is_the_same_after_the_register() -> None:
    model = ContractModel.model_validate(contract({"for": "portal", "tiers": TIERS, "of": "12000 EUR", "cap": "50%"}))
    document = contract_document(model)
    assert b'"for":"portal"' in document
    assert contract_of(document) == model.to_domain()


def test_signed_credits_do_not_change() -> None:
    before = ContractModel.model_validate(contract({"for": "portal", "tiers": TIERS, "of": "12000 EUR"}))
    same = ContractModel.model_validate(contract({"for": "portal", "tiers": TIERS[::-1], "of": "12000.00 EUR"}))
    less = ContractModel.model_validate(contract({"for": "portal", "tiers": TIERS, "of": "1000 EUR"}))
    none = ContractModel.model_validate(contract())
    assert list(changes_of_signed(before, same)) == []
    told = ["revision 1: the credits for 'portal' are signed and now differ; add a revision"]
    assert list(changes_of_signed(before, less)) == told
    assert list(changes_of_signed(before, none)) == told
    assert list(changes_of_signed(none, before)) == told
