"""Which targets apply to a ticket."""

from __future__ import annotations

import pytest

from sla.calendar import ElapsedCalendar
from sla.contract import Contract, ContractType, Level
from sla.errors import ContractError
from sla.register import Register
from tests.support.domain import OFFICE, at, condition, register, target

SLA_RESOLUTION = (ContractType.SLA, "resolution")
MONDAY_MS = at("mon 09:00")


def winner(of: Register, at_ms: int = MONDAY_MS, **fields: str) -> str | None:
    found = of.winners(fields, at_ms).get(SLA_RESOLUTION)
    return None if found is None else found.id


def test_target_applies_to_tickets_that_have_all_its_fields() -> None:
    of = register(target("p1-printing", applies_to={"priority": "P1", "service": ["printing", "scanning"]}))
    assert winner(of, priority="P1", service="scanning") == "p1-printing"
    assert winner(of, priority="P1") is None
    assert winner(of, priority="P2", service="printing") is None
    assert winner(of) is None


def test_target_without_fields_applies_to_every_ticket() -> None:
    assert winner(register(target("any")), priority="P1") == "any"


def test_higher_level_loses_against_the_more_specific_one_however_many_fields_it_names() -> None:
    of = register(
        target("corporate", applies_to={"priority": "P1", "region": "emea"}, contract="a", level=Level.CORPORATE),
        target("customer", applies_to={"customer": "acme"}, contract="b", level=Level.CUSTOMER),
        target("service", applies_to={"service": "printing"}, contract="c", level=Level.SERVICE),
    )
    everything = {"priority": "P1", "region": "emea", "customer": "acme", "service": "printing"}
    assert winner(of, **everything) == "service"
    del everything["service"]
    assert winner(of, **everything) == "customer"
    del everything["customer"]
    assert winner(of, **everything) == "corporate"


def test_at_one_level_the_target_with_more_fields_wins_and_then_the_id() -> None:
    of = register(target("a"), target("b", applies_to={"priority": "P1"}), target("c", applies_to={"region": "emea"}))
    assert winner(of, priority="P1") == "b"
    assert winner(of, priority="P1", region="emea") == "c", "as specific as b: the id decides"


def test_level_that_leaves_a_metric_out_inherits_it() -> None:
    of = register(
        target("resolution-corporate", contract="corporate"),
        target(
            "response-acme", metric="response", contract="acme", level=Level.CUSTOMER, applies_to={"customer": "acme"}
        ),
    )
    winners = of.winners({"customer": "acme"}, MONDAY_MS)
    assert [found.id for found in winners.values()] == ["resolution-corporate", "response-acme"]


def test_agreements_of_different_types_do_not_compete() -> None:
    of = register(
        target("promised", contract="sla"),
        target("underpinned", contract="ola", contract_type=ContractType.OLA, level=Level.SERVICE),
    )
    assert {slot: found.id for slot, found in of.winners({}, MONDAY_MS).items()} == {
        (ContractType.OLA, "resolution"): "underpinned",
        (ContractType.SLA, "resolution"): "promised",
    }


def test_revision_is_in_force_from_its_effective_instant_until_that_of_the_next() -> None:
    of = register(
        target("r", revision=1, since="mon 09:00", until="wed 09:00"),
        target("r", revision=2, since="wed 09:00", until="fri 09:00"),
    )
    revision_at = {
        when: (found := of.winners({}, at(when)).get(SLA_RESOLUTION)) and found.revision
        for when in ("mon 08:59:59.999", "mon 09:00", "wed 08:59:59.999", "wed 09:00", "fri 08:59:59.999", "fri 09:00")
    }
    assert list(revision_at.values()) == [None, 1, 1, 2, 2, None]


def test_answer_does_not_depend_on_what_was_asked_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sla.register._REMEMBERED_COMBINATIONS", 3)
    of = register(*(target(f"t{n}", applies_to={"priority": f"P{n}"}) for n in range(10)))
    for _ in range(2):
        assert [winner(of, priority=f"P{n}") for n in range(11)] == [*(f"t{n}" for n in range(10)), None]


def test_revision_of_a_target_comes_with_its_calendar() -> None:
    business, elapsed = target("b", within="4bh"), target("e", within="4h")
    of = register(business, elapsed)
    assert of.terms["b", 1] == (business, OFFICE)
    assert of.terms["e", 1][1] == ElapsedCalendar() == of.calendar_of(elapsed)
    assert of.target("b", 1) is business
    assert of.target("b", 2) is None


def test_fields_that_any_condition_looks_at_are_watched() -> None:
    of = register(
        target(
            applies_to={"priority": "P1"},
            start=condition("created", a="1"),
            stop=condition(b="1"),
            pause=condition(c="1"),
            cancel=condition(d="1"),
            merge=condition(e="1"),
            reopen_when=condition(f="1"),
        )
    )
    assert {*"abcdef", "priority"} < of.watched_fields
    assert of.matched_fields == ("priority",), "only these can change what applies"


def test_target_is_found_by_the_hash_that_rows_hold() -> None:
    of = register(target("r"))
    assert len(of) == 1
    assert [each.id for each in of.targets] == ["r"]
    assert of.target_id_of_hash(0) is None


def test_target_id_stands_in_one_contract_only() -> None:
    with pytest.raises(ContractError, match="'r' stands in a and in b"):
        register(target("r", contract="a"), target("r", contract="b"))


def test_calendar_of_a_target_has_to_be_there() -> None:
    contract = Contract("a", ContractType.SLA, Level.CORPORATE, "p", "o", (target("r", contract="a"),))
    with pytest.raises(ContractError, match="a: target 'r': no calendar 'office'"):
        Register([contract])
