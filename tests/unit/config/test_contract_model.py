"""Contracts as written, and as the domain sees them."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.contract_model import ContractModel
from config.faults import path_of, problems_of
from config.loader import load_agreements
from sla.contract import (
    NEVER_HOLDS,
    Clause,
    Condition,
    ContractType,
    DeadlineAt,
    Level,
    Objective,
    OnChange,
    Period,
    Reopen,
    Target,
    TimeBase,
    Window,
    Within,
)
from sla.units import DAY_MS, HOUR_MS, NEVER, parse_instant

REPOSITORY = Path(__file__).parents[3]
GOOD = REPOSITORY / "tests" / "golden" / "contracts" / "good"

TARGET: dict[str, Any] = {"id": "t", "start": {"event": "created"}, "stop": {"event": "resolved"}, "within": "4bh"}
MINIMAL: dict[str, Any] = {
    "kind": "Contract",
    "id": "c",
    "type": "sla",
    "level": "corporate",
    "provider": "desk",
    "owner": "me",
    "revisions": [
        {
            "revision": 1,
            "status": "signed",
            "effective_from": "2026-01-01T00:00:00Z",
            "calendar": "office",
            "targets": [TARGET],
        }
    ],
}


@pytest.fixture(scope="module")
def acme() -> ContractModel:
    return load_agreements([GOOD]).contracts["acme-support"]


def the(contract: ContractModel, target_id: str, revision: int) -> Target:
    (target,) = (t for t in contract.to_domain().targets if (t.id, t.revision) == (target_id, revision))
    return target


def with_target(**fields: Any) -> ContractModel:
    data = deepcopy(MINIMAL)
    data["revisions"][0]["targets"][0].update(fields)
    return ContractModel.model_validate(data)


def target_of(**fields: Any) -> Target:
    (target,) = with_target(**fields).to_domain().targets
    return target


def refused(data: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        ContractModel.model_validate(data)
    return {path_of(loc): message for loc, message in problems_of(caught.value, ContractModel)}


def revisions(*terms: tuple[int, str, str]) -> ContractModel:
    data = deepcopy(MINIMAL)
    (first,) = data["revisions"]
    data["revisions"] = [
        {**first, "revision": number, "status": status, "effective_from": f"{day}T00:00:00Z"}
        for number, status, day in terms
    ]
    for revision in data["revisions"]:
        if revision["status"] == "terminated":
            del revision["targets"], revision["calendar"]
    return ContractModel.model_validate(data)


def in_force(contract: ContractModel) -> list[tuple[int, str, str | None]]:
    def day(instant_ms: int) -> str | None:
        return None if instant_ms == NEVER else f"day {(instant_ms - parse_instant('2026-01-01T00:00:00Z')) // DAY_MS}"

    return [
        (t.revision, str(day(t.effective_from_ms)), day(t.effective_until_ms)) for t in contract.to_domain().targets
    ]


def test_the_printing_example_becomes_a_target_with_its_customer_scope(acme: ContractModel) -> None:
    assert the(acme, "printing-response", 1) == Target(
        id="printing-response",
        contract="acme-support",
        contract_type=ContractType.SLA,
        level=Level.SERVICE,
        revision=1,
        effective_from_ms=parse_instant("2026-01-01T00:00:00+07:00"),
        effective_until_ms=parse_instant("2026-06-01T00:00:00+07:00"),
        metric="printing-response",
        applies_to=(
            ("customer", frozenset({"acme"})),
            ("priority", frozenset({"P1", "P2"})),
            ("region", frozenset({"jakarta"})),
            ("service", frozenset({"printing"})),
        ),
        calendar="jakarta-office",
        start=Condition((Clause(events=frozenset({"created"})),)),
        stop=Condition((Clause(events=frozenset({"responded", "resolved"})),)),
        within=Within(4 * HOUR_MS, TimeBase.BUSINESS),
        pause=Condition((Clause(fields=(("waiting_for", frozenset({"customer"})),)),)),
        warn_consumed=(Fraction(1, 2), Fraction(3, 4), Fraction(9, 10)),
        objective=Objective("printing-response", Fraction(95, 100), Window(None, Period.MONTH, "Asia/Jakarta")),
        team="workplace",
        owner="slm@acme.example",
    )


def test_every_option_of_a_target_reaches_the_domain(acme: ContractModel) -> None:
    target = the(acme, "printing-resolution", 3)
    assert target.start == Condition(
        (
            Clause(events=frozenset({"created"})),
            Clause(fields=(("status", frozenset({"open"})), ("team", frozenset({"desk", "network"})))),
        )
    )
    assert target.pause.holds("updated", {"on_hold": "true"})
    assert target.cancel == Condition((Clause(frozenset({"cancelled"}), (("reason", frozenset({"duplicate"})),)),))
    assert target.merge == Condition((Clause(events=frozenset({"joined"})),))
    assert target.reopen is Reopen.RESUME
    assert target.reopen_when.holds("updated", {"status": "open"})
    assert target.on_change is OnChange.RETROACTIVE
    assert target.deadline_at is DeadlineAt.NEXT_OPEN
    assert target.team == "printing"
    assert target.calendar == "always"
    assert target.warn_consumed == ()
    assert target.objective == Objective("printing-resolved", Fraction(9, 10), Window(30 * DAY_MS, None))
    assert the(acme, "printing-response", 3).calendar == "jakarta-office"
    assert the(acme, "printing-response", 3).metric == "response"


def test_what_a_target_leaves_out_is_the_domains_default() -> None:
    target, default = (
        target_of(),
        {field: Target.__dataclass_fields__[field].default for field in Target.__dataclass_fields__},
    )
    for name in ("cancel", "merge", "reopen_when", "reopen", "on_change", "deadline_at"):
        assert getattr(target, name) == default[name]
    assert target.pause == NEVER_HOLDS
    assert target.metric == "t"
    assert target.applies_to == ()


def test_numbers_and_booleans_are_compared_as_json_renders_them(acme: ContractModel) -> None:
    scope = dict(the(acme, "printing-resolution", 3).applies_to)
    assert scope["floor"] == frozenset({"12"})
    assert scope["escalated"] == frozenset({"false"})
    assert dict(target_of(applies_to={"load": 1.5}).applies_to)["load"] == frozenset({"1.5"})


def test_a_mapping_means_all_a_list_of_values_any_and_a_list_of_mappings_any() -> None:
    start = target_of(start=[{"event": ["a", "b"], "x": 1}, {"y": [2, 3]}]).start
    cases = [("a", {"x": "1"}), ("b", {"x": "1"}), ("c", {"x": "1"}), ("a", {}), ("c", {"y": "3"}), ("c", {"y": "4"})]
    assert [start.holds(event, fields) for event, fields in cases] == [True, True, False, False, True, False]


def test_a_customer_group_narrows_what_a_target_names_itself() -> None:
    vendor = load_agreements([GOOD]).contracts["vendor"]
    (target,) = vendor.to_domain().targets
    assert dict(target.applies_to)["customer"] == frozenset({"acme"})
    assert vendor.to_domain().supports == ("acme-support", "default")


def test_a_corporate_contract_has_no_customer_scope() -> None:
    assert target_of(applies_to={"priority": "P1"}).applies_to == (("priority", frozenset({"P1"})),)


def test_drafts_and_negotiations_are_not_monitored_and_end_nothing() -> None:
    contract = revisions((1, "negotiation", "2026-01-01"), (2, "signed", "2026-01-11"), (3, "draft", "2026-01-21"))
    assert in_force(contract) == [(2, "day 10", None)]


def test_a_signed_revision_ends_where_the_next_signed_one_begins() -> None:
    contract = revisions((1, "signed", "2026-01-01"), (2, "draft", "2026-01-11"), (3, "signed", "2026-01-21"))
    assert in_force(contract) == [(1, "day 0", "day 20"), (3, "day 20", None)]


def test_a_terminated_revision_ends_the_contract_and_a_signed_one_can_begin_it_again() -> None:
    contract = revisions((1, "signed", "2026-01-01"), (2, "terminated", "2026-01-11"), (4, "signed", "2026-02-01"))
    assert in_force(contract) == [(1, "day 0", "day 10"), (4, "day 31", None)]
    assert contract.in_force(parse_instant("2026-01-10T23:59:59.999Z")) is contract.revisions[0]
    assert contract.in_force(parse_instant("2026-01-11T00:00:00Z")) is None
    assert contract.in_force(parse_instant("2026-02-01T00:00:00Z")) is contract.revisions[2]


def test_a_contract_without_a_signed_revision_monitors_nothing() -> None:
    assert revisions((1, "draft", "2026-01-01")).to_domain().targets == ()


def test_zero_is_due_at_once() -> None:
    assert target_of(within="0h").within == Within(0, TimeBase.ELAPSED)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"warn": {"probability": {"page": 0.7}}}, "warn.probability", "not supported by this release"),
        ({"availability": []}, "availability", "not supported by this release"),
        ({"by": {"field": "last_day"}}, "by", "not supported by this release"),
        ({"within": {"by": {"field": "last_day"}}}, "within.by", "not supported by this release"),
        ({"warn": {"consumed": ["100%"]}}, "warn.consumed[0]", "must lie between"),
        ({"warn": {"consumed": ["0%"]}}, "warn.consumed[0]", "must lie between"),
        ({"objective": {"attain": "101%", "over": "30d"}}, "objective.attain", "outside 0..100 %"),
        ({"objective": {"attain": "1/0", "over": "30d"}}, "objective.attain", "is no share"),
        ({"objective": {"attain": "1e999999999", "over": "30d"}}, "objective.attain", "is no share"),
        ({"objective": {"attain": "95%", "over": 30}}, "objective.over", "must be text"),
        ({"id": "a:b"}, "id", "is no id"),
        ({"within": True}, "within", "is no duration with its unit"),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(fields: dict[str, Any], path: str, message: str) -> None:
    data = deepcopy(MINIMAL)
    data["revisions"][0]["targets"][0].update(fields)
    if "by" in fields:
        del data["revisions"][0]["targets"][0]["within"]
    found = refused(data)
    assert list(found) == [f"revisions[0].targets[0].{path}"]
    assert message in found[f"revisions[0].targets[0].{path}"]


@pytest.mark.parametrize(
    "data", [None, [], "text", {}, {"kind": "Contract", "revisions": "none"}, {"revisions": [None, 3]}]
)
def test_any_nonsense_is_refused_and_nothing_else_happens(data: Any) -> None:
    assert refused(data)


def test_a_shared_field_of_two_targets_only_makes_them_ambiguous_if_its_values_meet() -> None:
    data = deepcopy(MINIMAL)
    first = {**TARGET, "metric": "m", "applies_to": {"priority": ["P1", "P2"]}}
    for scope, ambiguous in ({"priority": "P3"}, False), ({"priority": ["P2", "P3"]}, True), ({"region": "x"}, True):
        data["revisions"][0]["targets"] = [first, {**TARGET, "id": "u", "metric": "m", "applies_to": scope}]
        if ambiguous:
            assert "equally specific" in refused(data)["revisions[0].targets[1]"]
        else:
            assert len(ContractModel.model_validate(data).to_domain().targets) == 2


@pytest.mark.parametrize(("impact", "hours"), [("Major", 8), ("High", 16), ("Medium", 24), ("Low", 40)])
def test_the_contract_of_the_incident_log_has_one_target_per_impact(impact: str, hours: int) -> None:
    contract = load_agreements([REPOSITORY / "config"]).contracts["incident-log"].to_domain()
    (target,) = (t for t in contract.targets if t.id == f"resolution-{impact.lower()}")
    assert target.applies_to == (("impact", frozenset({impact})), ("source", frozenset({"bpi2013"})))
    assert target.within == Within(hours * HOUR_MS, TimeBase.BUSINESS)
    assert target.metric == "resolution"
    assert target.objective is not None
    assert target.objective.window == Window(None, Period.MONTH, "Europe/Stockholm")
    for party in ("User", "Customer", "Vendor"):
        assert target.pause.holds("updated", {"status": f"Accepted/Wait - {party}"})
    assert not target.pause.holds("updated", {"status": "Accepted/Wait"})
