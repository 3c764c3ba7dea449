"""The engine over a whole log at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sla import engine as engine_module
from sla.backtest import Backtest, BacktestError, OpenClock
from sla.contract import ContractType
from sla.engine import EngineLimits
from sla.events import Reason, Rejected, TicketEvent
from sla.outcome import Result, Share, Verdict
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS
from tests.support.domain import SETTLE_MS, at, condition, event, register, target

LIMITS = EngineLimits(settle_ms=SETTLE_MS)


def run(of: Register, *events: tuple[str, TicketEvent], until: str, limits: EngineLimits = LIMITS) -> Backtest:
    backtest = Backtest(of, limits)
    for ticket, each in events:
        backtest.advance_to(each.at_ms)
        backtest.apply(ticket, each)
    backtest.advance_to(at(until))
    return backtest


def test_records_come_by_ticket_target_and_cycle() -> None:
    of = register(target(), target("response", metric="response", stop=condition("responded")))
    backtest = run(
        of,
        ("INC-2", event("created", "mon 09:00")),
        ("INC-1", event("created", "mon 09:00")),
        ("INC-2", event("resolved", "mon 10:00")),
        ("INC-2", event("reopened", "mon 11:00")),
        until="mon 12:00",
    )
    assert [(record.ticket, record.target, record.cycle) for record in backtest.records()] == [
        ("INC-1", "resolution", 1),
        ("INC-1", "response", 1),
        ("INC-2", "resolution", 1),
        ("INC-2", "resolution", 2),
        ("INC-2", "response", 1),
    ]


def test_an_open_clock_is_told_as_of_the_end() -> None:
    backtest = run(
        register(target()),
        ("INC-1", event("created", "mon 09:00", team="desk")),
        ("INC-1", event("updated", "mon 10:00", waiting_for="customer")),
        until="mon 13:00",
    )
    [record] = backtest.records()
    assert isinstance(record, OpenClock)
    assert (record.deadline_ms, record.consumed_ms, record.elapsed_ms) == (None, HOUR_MS, 4 * HOUR_MS)
    assert record.parties == (Share("customer", 3 * HOUR_MS, 0, 3 * HOUR_MS), Share("team:desk", HOUR_MS, HOUR_MS, 0))
    document = record.document()
    assert (document["outcome"], document["decided_at"], document["stop"], document["deadline"]) == (
        *("open", None, None),
        None,
    )


def test_a_document_of_an_open_clock_has_the_fields_of_a_verdicts() -> None:
    backtest = run(
        register(target()),
        ("INC-1", event("created", "mon 09:00")),
        ("INC-2", event("created", "mon 09:00")),
        ("INC-2", event("resolved", "mon 10:00")),
        until="mon 13:00",
    )
    is_open, met = backtest.records()
    assert isinstance(met, Verdict)
    assert list(is_open.document()) == list(met.document())


def test_a_breached_clock_that_still_runs_is_a_verdict_with_shares_up_to_its_deadline() -> None:
    backtest = run(
        register(target(within="2bh")), ("INC-1", event("created", "mon 09:00", team="a")), until="tue 09:00"
    )
    [record] = backtest.records()
    assert isinstance(record, Verdict)
    assert (record.result, record.stop_ms) == (Result.BREACHED, None)
    assert record.parties == (Share("team:a", 2 * HOUR_MS, 2 * HOUR_MS, 0),)


def test_a_verdict_outlives_its_ticket() -> None:
    limits = replace(LIMITS, retention_ms=2 * DAY_MS)
    backtest = run(
        register(target()),
        ("INC-1", event("created", "mon 09:00")),
        ("INC-1", event("resolved", "mon 10:00")),
        until="mon 10:00 +1w",
        limits=limits,
    )
    [record] = backtest.records()
    assert isinstance(record, Verdict)
    assert record.result is Result.MET
    assert record.parties


def test_a_verdict_of_an_ola_names_the_sla_it_endangers() -> None:
    ola = target(
        "triage", contract="second-line", contract_type=ContractType.OLA, within="1bh", stop=condition("taken")
    )
    of = register(target(), ola)
    contracts = [
        replace(contract, supports=("desk",) if contract.type is ContractType.OLA else ())
        for contract in of.contracts.values()
    ]
    backtest = run(Register(contracts, of.calendars), ("INC-1", event("created", "mon 09:00")), until="mon 12:00")
    [_, breached] = backtest.records()
    assert breached.document()["endangers"] == [{"contract": "desk", "clock_id": "INC-1:resolution:1"}]


def test_refused_events_are_counted_and_the_first_is_kept() -> None:
    limits = replace(LIMITS, retention_ms=DAY_MS)
    backtest = Backtest(register(target()), limits)
    backtest.advance_to(at("fri 09:00"))
    backtest.reject(Rejected(Reason.MALFORMED, "no JSON"))
    backtest.apply("INC-1", event("created", "mon 09:00"))
    assert backtest.rejected == {"malformed": 1, "too-late": 1}
    assert backtest.first_rejected == Rejected(Reason.MALFORMED, "no JSON")


def test_a_fault_of_our_own_is_raised_with_the_ticket(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    backtest = Backtest(register(target()), LIMITS)
    monkeypatch.setattr(engine_module, "add_event", fails)
    with pytest.raises(BacktestError, match=r"ticket 'INC-1': ZeroDivisionError: by zero"):
        backtest.apply("INC-1", event("created", "mon 09:00"))


def test_so_is_one_that_a_ticket_meets_as_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    backtest = Backtest(register(target(within="1bh")), LIMITS)
    backtest.apply("INC-1", event("created", "mon 09:00"))
    backtest.advance_to(at("mon 09:00"))
    monkeypatch.setattr(engine_module, "decode_row", fails)
    with pytest.raises(BacktestError, match=r"ticket 'INC-1': ZeroDivisionError: by zero"):
        backtest.advance_to(at("tue 10:00"))
