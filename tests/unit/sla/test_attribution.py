"""Who held a ticket while its clocks were on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sla import clock as clocks
from sla.attribution import Mode, attributed, endangered, shares_of, spans_of
from sla.contract import ContractType, OnChange, PartyRules, Reopen, Target
from sla.events import TicketEvent
from sla.fold import add_event
from sla.outcome import Share
from sla.register import Register
from sla.ticket import Ticket, new_ticket
from sla.units import HOUR_MS, MINUTE_MS
from tests.support.domain import OFFICE, SETTLE_MS, at, by_priority, condition, event, register, target

H = HOUR_MS


def with_terms(of: Register, **terms: Any) -> Register:
    """Return the register with terms laid over every contract."""
    return Register([replace(contract, **terms) for contract in of.contracts.values()], of.calendars)


def fold(of: Register, *events: TicketEvent) -> Ticket:
    ticket = new_ticket(0)
    for each in events:
        add_event(ticket, each, of, [])
    return ticket


def shares(
    of: Register, events: Sequence[TicketEvent], until: str, clock: int = -1
) -> dict[str, tuple[float, float, float]]:
    """Return hours (elapsed, counted, waiting) by party."""
    ticket = fold(of, *events)
    found = shares_of(ticket, ticket.clocks[clock], of, at(until))
    return {share.party: (share.elapsed_ms / H, share.counted_ms / H, share.paused_ms / H) for share in found}


def test_a_team_holds_a_ticket_until_another_one_does() -> None:
    events = (event("created", "mon 09:00", team="first"), event("updated", "mon 12:00", team="second"))
    assert shares(register(target()), events, "mon 16:00") == {"team:first": (3, 3, 0), "team:second": (4, 4, 0)}


def test_without_a_team_there_is_a_gap() -> None:
    events = (
        event("created", "mon 09:00"),
        event("updated", "mon 11:00", team="first"),
        event("updated", "mon 15:00", team=None),
    )
    assert shares(register(target()), events, "mon 16:00") == {"team:first": (4, 4, 0), "unassigned": (3, 3, 0)}


def test_while_a_clock_is_paused_the_customer_holds_the_ticket() -> None:
    events = (
        event("created", "mon 09:00", team="desk"),
        event("updated", "mon 16:00", waiting_for="customer"),
        event("updated", "tue 10:00", waiting_for=None),
    )
    # Of the eighteen hours of waiting one of Monday and one of Tuesday would have counted.
    assert shares(register(target()), events, "tue 11:00") == {"customer": (18, 0, 2), "team:desk": (8, 8, 0)}


def test_time_outside_hours_is_held_and_does_not_count() -> None:
    events = (event("created", "fri 16:00", team="desk"),)
    assert shares(register(target()), events, "mon 10:00 +1w") == {"team:desk": (66, 2, 0)}


def test_the_contract_says_when_the_customer_holds_a_ticket() -> None:
    rules = PartyRules(customer=condition(status="asked"), team_field="group")
    of = with_terms(register(target()), parties=rules)
    events = (
        event("created", "mon 09:00", group="desk", waiting_for="customer"),
        event("updated", "mon 10:00", status="asked"),
        event("updated", "mon 12:00", waiting_for=None),
    )
    assert shares(of, events, "mon 13:00") == {"team:desk": (1, 0, 1), "customer": (3, 1, 2)}


@pytest.mark.parametrize(
    ("rules", "party"),
    [
        (PartyRules(), "supplier:acme"),
        (PartyRules(supplier_field="vendor"), "customer"),
        (PartyRules(supplier=condition(status="at vendor"), supplier_field="vendor"), "supplier"),
        (PartyRules(supplier=condition(status="at vendor")), "supplier:acme"),
        (PartyRules(supplier=condition(status="ordered")), "customer"),
    ],
)
def test_a_supplier_goes_before_the_customer(rules: PartyRules, party: str) -> None:
    of = with_terms(register(target()), parties=rules)
    fields = {"supplier": "acme", "status": "at vendor", "waiting_for": "customer", "team": "desk"}
    assert list(shares(of, [event("created", "mon 09:00", **fields)], "mon 10:00")) == [party]


def test_time_between_a_solution_and_a_reopening_that_resumes_is_nobodys() -> None:
    of = register(target(reopen=Reopen.RESUME))
    events = (
        event("created", "mon 09:00", team="desk"),
        event("resolved", "mon 11:00"),
        event("reopened", "mon 15:00"),
        event("resolved", "mon 16:00"),
    )
    assert shares(of, events, "mon 16:00") == {"solved": (4, 0, 0), "team:desk": (3, 3, 0)}


def test_a_carried_clock_holds_the_time_of_the_one_it_carries_on() -> None:
    of = register(*by_priority(P1="4bh", P2="8bh"))
    events = (
        event("created", "mon 09:00", priority="P2", team="first"),
        event("updated", "mon 10:00", waiting_for="customer"),
        event("updated", "mon 12:00", waiting_for=None, priority="P1", team="second"),
    )
    assert shares(of, events, "mon 13:00") == {"team:first": (1, 1, 0), "customer": (2, 0, 2), "team:second": (1, 1, 0)}
    assert shares(of, events, "mon 12:00", clock=0) == {"team:first": (1, 1, 0), "customer": (2, 0, 2)}


def test_each_part_of_a_carried_clock_counts_by_its_own_calendar() -> None:
    elapsed = target("resolution-P1", within="24h", applies_to={"priority": "P1"})
    business = target("resolution-P2", within="8bh", applies_to={"priority": "P2"})
    events = (event("created", "mon 16:00", priority="P2"), event("updated", "mon 20:00", priority="P1"))
    of = register(elapsed, business)
    assert shares(of, events, "mon 22:00") == {"unassigned": (6, 3, 0)}


def test_time_without_a_target_is_held_and_does_not_count() -> None:
    of = register(*by_priority(P1="4bh"))
    events = (
        event("created", "mon 09:00", priority="P1", team="desk"),
        event("updated", "mon 10:00", priority="P9"),
        event("updated", "mon 13:00", priority="P1"),
    )
    ticket = fold(of, *events)
    spans = list(spans_of(ticket, ticket.clocks[-1], of, at("mon 14:00")))
    assert [(span.mode, (span.until_ms - span.from_ms) // H) for span in spans] == [
        (Mode.RUNNING, 1),
        (Mode.UNBOUND, 3),
        (Mode.RUNNING, 1),
    ]
    assert shares(of, events, "mon 14:00") == {"team:desk": (5, 2, 0)}


@pytest.mark.parametrize(("policy", "counted"), [(OnChange.RESTART, 1), (OnChange.RETROACTIVE, 4)])
def test_a_clock_that_carries_nothing_on_holds_its_own_time_only(policy: OnChange, counted: int) -> None:
    of = register(*(replace(each, on_change=policy) for each in by_priority(P1="4bh", P2="8bh")))
    events = (event("created", "mon 09:00", priority="P2"), event("updated", "mon 12:00", priority="P1"))
    assert shares(of, events, "mon 13:00") == {"unassigned": (counted, counted, 0)}


def test_a_clock_that_ends_as_it_starts_was_held_by_nobody() -> None:
    of = register(target(stop=condition(status="done")))
    assert shares(of, [event("created", "mon 09:00", status="done")], "mon 09:00") == {}


def test_a_verdict_gets_the_shares_up_to_its_stop_or_its_deadline() -> None:
    of = register(target(within="2bh"))
    ticket = fold(of, event("created", "mon 09:00", team="first"), event("updated", "mon 10:30", team="second"))
    verdict = clocks.verdict_of(ticket.clocks[0], "INC-1", of.targets[0], at("mon 15:00"), SETTLE_MS)
    assert verdict is not None
    assert attributed(verdict, ticket, ticket.clocks[0], of).parties == (
        Share("team:first", 90 * MINUTE_MS, 90 * MINUTE_MS, 0),
        Share("team:second", 30 * MINUTE_MS, 30 * MINUTE_MS, 0),
    )


# --- OLAs and the SLAs they support ---


def supported() -> Register:
    """Return a register in which an OLA supports the SLA of the desk."""
    ola = target(
        "triage", metric="triage", contract="second-line", contract_type=ContractType.OLA, stop=condition("taken")
    )
    of = register(target(), target("response", metric="response", stop=condition("responded")), ola)
    contracts = [
        replace(contract, supports=("desk",) if contract.type is ContractType.OLA else ())
        for contract in of.contracts.values()
    ]
    return Register(contracts, {"office": OFFICE})


def clock_of(ticket: Ticket, of: Register, target_id: str) -> tuple[clocks.Clock, Target]:
    clock = next(clock for clock in ticket.clocks if clock.target_id == target_id)
    return clock, of.terms[clock.target_id, clock.revision][0]


def test_an_ola_endangers_the_clocks_of_the_sla_it_supports() -> None:
    of = supported()
    ticket = fold(of, event("created", "mon 09:00"))
    assert endangered(ticket, *clock_of(ticket, of, "triage"), of) == (
        ("desk", "resolution", 1),
        ("desk", "response", 1),
    )


def test_an_sla_endangers_none() -> None:
    of = supported()
    ticket = fold(of, event("created", "mon 09:00"))
    assert endangered(ticket, *clock_of(ticket, of, "resolution"), of) == ()


def test_a_clock_that_ended_before_the_olas_began_is_in_no_danger() -> None:
    of = supported()
    ticket = fold(
        of,
        event("created", "mon 09:00"),
        event("responded", "mon 09:30"),
        event("taken", "mon 10:00"),
        event("reopened", "mon 11:00"),
    )
    last = [clock for clock in ticket.clocks if clock.target_id == "triage"][-1]
    assert last.cycle == 2
    found = endangered(ticket, last, of.terms["triage", 1][0], of)
    assert [(target_id, cycle) for _, target_id, cycle in found] == [("resolution", 1), ("response", 2)]
