"""Contracts as written, and as the domain sees them."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.contract_model import ContractModel
from config.documents import contract_document, contract_model_of
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
    TicketDate,
    TimeBase,
    Window,
    Within,
)
from sla.units import DAY_MS, HOUR_MS, NEVER, format_instant, parse_instant

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


def test_a_terminated_revision_ends_the_contract() -> None:
    contract = revisions((1, "signed", "2026-01-01"), (2, "terminated", "2026-01-11"))
    assert in_force(contract) == [(1, "day 0", "day 10")]
    assert contract.in_force(parse_instant("2026-01-10T23:59:59.999Z")) is contract.revisions[0]
    assert contract.in_force(parse_instant("2026-01-11T00:00:00Z")) is None


@pytest.mark.parametrize("status", ["signed", "draft", "terminated"])
def test_nothing_follows_a_termination(status: str) -> None:
    with pytest.raises(ValidationError, match="stands after revision 2, which ends the contract"):
        revisions((1, "signed", "2026-01-01"), (2, "terminated", "2026-01-11"), (4, status, "2026-02-01"))


def test_a_contract_without_a_signed_revision_monitors_nothing() -> None:
    assert revisions((1, "draft", "2026-01-01")).to_domain().targets == ()


def test_zero_is_due_at_once() -> None:
    assert target_of(within="0h").within == Within(0, TimeBase.ELAPSED)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"warn": {"probability": {"page": 0.7}}}, "warn.probability", "not supported by this release"),
        ({"availability": []}, "availability", "unknown field"),
        ({"by": {"at": "17:00"}}, "by.field", "missing: the ticket field that holds the date"),
        (
            {"by": {"field": "last_day", "at": "noon"}},
            "by.at",
            "must be close_of_business or a local time such as 17:00",
        ),
        ({"by": {"field": "last_day", "at": "25:00"}}, "by.at", "is no time of day"),
        ({"by": "last_day"}, "by", "must be a mapping such as {field: last_day, at: close_of_business}"),
        ({"within": {"by": {"field": "last day"}}}, "within.by.field", "must be the name of a ticket field"),
        ({"within": {"by": {"field": "d", "art": "17:00"}}}, "within.by.art", "unknown field (at?)"),
        ({"within": "1.5bd"}, "within", "business days are whole and stand alone"),
        ({"warn": {"before": ["30m"]}}, "warn.before[0]", "counts elapsed time and the target business time"),
        ({"warn": {"before": ["4bh"]}}, "warn.before[0]", "is as long as the target"),
        ({"warn": {"before": ["30bm", "1bh"]}}, "warn.before[1]", "must be shorter than the lead time before it"),
        ({"warn": {"before": [30]}}, "warn.before[0]", "is no lead time with its unit"),
        ({"by": {"field": "d"}, "pause": {"status": "hold"}}, "pause", "is due on a date, which no pause moves"),
        ({"by": {"field": "d"}, "only_while": {"status": "x"}}, "only_while", "is due on a date, which no pause moves"),
        ({"within": "2bd", "deadline_at": "next_open"}, "deadline_at", "next_open says where a duration ends"),
        ({"repeat": {"when": {"event": "resolved"}}}, "repeat.when", "is the same as stop, which comes first"),
        ({"only_while": {"event": "x"}}, "only_while.event", "a pause is a state and looks at ticket fields"),
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
    if "by" in fields and "within" not in fields:
        del data["revisions"][0]["targets"][0]["within"]
    found = refused(data)
    assert list(found) == [f"revisions[0].targets[0].{path}"]
    assert message in found[f"revisions[0].targets[0].{path}"]


def test_a_date_beside_a_duration_is_refused() -> None:
    data = deepcopy(MINIMAL)
    data["revisions"][0]["targets"][0]["by"] = {"field": "last_day"}
    assert refused(data) == {"revisions[0].targets[0].by": "stands beside within: write one of them"}


@pytest.mark.parametrize("given", [{"by": {"field": "last_day"}}, {"within": {"by": {"field": "last_day"}}}])
def test_a_date_of_the_ticket_is_one_term_however_it_is_written(given: dict[str, Any]) -> None:
    data = deepcopy(MINIMAL)
    del data["revisions"][0]["targets"][0]["within"]
    data["revisions"][0]["targets"][0].update(given)
    contract = ContractModel.model_validate(data)
    assert contract.to_domain().targets[0].within.rule == TicketDate("last_day")
    document = contract_document(contract)
    assert b'"within":"by last_day at close_of_business"' in document
    assert contract_model_of(document) == contract


def test_lead_times_repetition_and_what_only_counts_reach_the_domain() -> None:
    target = target_of(
        warn={"before": ["1bh before", "30bm"], "consumed": ["50%"]},
        repeat={"when": {"event": "updated"}},
        only_while={"status": "in progress"},
        earliest_start="first_created_at",
    )
    assert target.warn_before_ms == (HOUR_MS, HOUR_MS // 2)
    assert [level.lead_ms for level in target.risk_levels] == [None, HOUR_MS, HOUR_MS // 2]
    assert target.warn_thresholds_ms == (2 * HOUR_MS, 3 * HOUR_MS, HOUR_MS * 7 // 2)
    assert target.repeat == Condition((Clause(events=frozenset({"updated"})),))
    assert target.only_while == Condition((Clause(fields=(("status", frozenset({"in progress"})),)),))
    assert target.earliest_start == "first_created_at"


def handing_over(*terms: tuple[str, dict[str, Any]], **of_contract: Any) -> list[tuple[int, str | None, int | None]]:
    """Return (revision, day on which open clocks leave it, revision they go to) of signed revisions ten days apart."""
    data = {**deepcopy(MINIMAL), **of_contract}
    (first,) = data["revisions"]
    data["revisions"] = []
    for number, (status, more) in enumerate(terms, 1):
        revision = {**first, "revision": number, "status": status, "effective_from": f"2026-01-{number}1T00:00:00Z"}
        if status == "terminated":
            del revision["targets"], revision["calendar"]
        data["revisions"].append({**revision, **more})
    return [
        (t.revision, None if t.open_until_ms == NEVER else format_instant(t.open_until_ms)[:10], t.open_then)
        for t in ContractModel.model_validate(data).to_domain().targets
    ]


def test_open_clocks_keep_their_revision_unless_a_later_one_applies_to_them() -> None:
    signed: dict[str, Any] = {}
    assert handing_over(("signed", {}), ("signed", signed)) == [(1, None, None), (2, None, None)]
    assert handing_over(("signed", {}), ("signed", {}), ("signed", {"applies_to_open": True})) == [
        (1, "2026-01-31", 3),
        (2, "2026-01-31", 3),
        (3, None, None),
    ]
    assert handing_over(("signed", {}), ("draft", {"applies_to_open": True})) == [(1, None, None)]


def test_a_contract_that_ends_lets_open_clocks_run_off_or_terminates_them() -> None:
    terminates = {"on_end": "terminate"}
    assert handing_over(("signed", {}), ("terminated", {})) == [(1, None, None)]
    assert handing_over(("signed", {}), ("terminated", terminates)) == [(1, "2026-01-21", None)]
    assert handing_over(("signed", {}), ("terminated", {}), on_end="terminate") == [(1, "2026-01-21", None)]
    assert handing_over(("signed", {}), ("terminated", {"on_end": "run_off"}), on_end="terminate") == [(1, None, None)]


@pytest.mark.parametrize(
    ("status", "term", "path"),
    [
        ("signed", {"on_end": "terminate"}, "on_end"),
        ("terminated", {"applies_to_open": True}, "applies_to_open"),
        ("signed", {"applies_to_open": "yes"}, "applies_to_open"),
    ],
)
def test_a_term_of_the_wrong_revision_is_refused(status: str, term: dict[str, Any], path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        handing_over(("signed", {}), (status, term))
    assert [path_of(loc) for loc, _ in problems_of(caught.value, ContractModel)] == [f"revisions[1].{path}"]


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
