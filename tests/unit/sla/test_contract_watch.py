"""Reviews and ends of contracts, told ahead of time and taken back when they are dealt with."""

from __future__ import annotations

import pytest

from sla.contract import Contract, ContractType, Level
from sla.contract_watch import DUE_PREFIX, ContractWatch
from sla.outcome import Alert, AlertKind, AlertState
from sla.register import Register
from sla.row import RowFormatError
from sla.units import DAY_MS, parse_instant

DUE = parse_instant("2026-12-01T00:00:00Z")
NOTICE = 30 * DAY_MS


def contract(name: str = "acme", *, review_by: int | None = DUE, ends: int | None = None) -> Contract:
    return Contract(
        name,
        ContractType.SLA,
        Level.CUSTOMER,
        "desk",
        "slm@acme.example",
        team="workplace",
        review_by_ms=review_by,
        ends_ms=ends,
    )


class Watch:
    """A watch over all contracts, and the rows it has left."""

    def __init__(self, *contracts: Contract) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.register = Register(contracts)
        self.watch = self._restored()

    def _restored(self) -> ContractWatch:
        watch = ContractWatch(lambda _name: True, NOTICE)
        watch.load(self.rows.items())
        watch.set_register(self.register)
        return watch

    def restart(self) -> None:
        self.watch = self._restored()

    def is_governed_by(self, *contracts: Contract) -> None:
        self.register = Register(contracts)
        self.watch.set_register(self.register)

    def at(self, now_ms: int) -> list[Alert]:
        rows, alerts = self.watch.judge(now_ms)
        for key, row in rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        return alerts


def states(alerts: list[Alert]) -> list[tuple[AlertKind, AlertState]]:
    return [(alert.kind, alert.state) for alert in alerts]


REVIEW = (AlertKind.CONTRACT_REVIEW_DUE, AlertState.FIRING)
REVIEWED = (AlertKind.CONTRACT_REVIEW_DUE, AlertState.RESOLVED)
ENDING = (AlertKind.CONTRACT_ENDING, AlertState.FIRING)
ENDED = (AlertKind.CONTRACT_ENDING, AlertState.RESOLVED)


def test_a_review_is_told_once_from_the_notice_on() -> None:
    watch = Watch(contract())
    assert watch.at(DUE - NOTICE - 1) == []
    [alert] = watch.at(DUE - NOTICE)
    assert (alert.kind, alert.state) == REVIEW
    assert alert.id == "SLAContractReviewDue/acme"
    assert alert.labels == {
        "alertname": "SLAContractReviewDue",
        "alert_kind": "contract",
        "severity": "warning",
        "sla_id": "acme",
        "owner": "slm@acme.example",
        "team": "workplace",
    }
    assert alert.annotations["due"] == "2026-12-01T00:00:00.000Z"
    assert watch.at(DUE - NOTICE + 1) == []
    assert watch.at(DUE + 90 * DAY_MS) == [], "an overdue review goes on firing, without a word"


def test_a_restart_tells_nobody_again() -> None:
    watch = Watch(contract())
    watch.at(DUE)
    watch.restart()
    assert watch.at(DUE + 1) == []
    watch.is_governed_by(contract(review_by=DUE + 365 * DAY_MS))
    assert states(watch.at(DUE + 2)) == [REVIEWED]


def test_a_later_review_resolves_and_comes_due_again() -> None:
    watch = Watch(contract())
    watch.at(DUE)
    watch.is_governed_by(contract(review_by=DUE + 365 * DAY_MS))
    assert states(watch.at(DUE + 1)) == [REVIEWED]
    assert watch.rows == {}
    assert states(watch.at(DUE + 365 * DAY_MS)) == [REVIEW]


def test_a_review_that_moves_within_its_notice_is_told_anew() -> None:
    watch = Watch(contract())
    watch.at(DUE - DAY_MS)
    watch.is_governed_by(contract(review_by=DUE + DAY_MS))
    [alert] = watch.at(DUE)
    assert (alert.kind, alert.state) == REVIEW
    assert alert.annotations["due"] == "2026-12-02T00:00:00.000Z"


def test_an_end_is_told_ahead_and_resolves_when_it_is_there() -> None:
    watch = Watch(contract(review_by=None, ends=DUE))
    assert states(watch.at(DUE - NOTICE)) == [ENDING]
    [alert] = watch.at(DUE)
    assert (alert.kind, alert.state) == ENDED
    assert alert.annotations["summary"] == "acme: the contract has ended"


def test_an_end_that_is_taken_back_resolves() -> None:
    watch = Watch(contract(review_by=None, ends=DUE))
    watch.at(DUE - DAY_MS)
    watch.is_governed_by(contract(review_by=None))
    [alert] = watch.at(DUE - DAY_MS)
    assert (alert.kind, alert.state) == ENDED
    assert "taken back" in alert.annotations["summary"]


def test_what_ends_first_is_not_reviewed() -> None:
    watch = Watch(contract(review_by=DUE, ends=DUE - DAY_MS))
    assert states(watch.at(DUE - 2 * DAY_MS)) == [ENDING]
    assert states(watch.at(DUE)) == [ENDED]


def test_a_contract_that_leaves_the_register_takes_its_alerts_along() -> None:
    watch = Watch(contract())
    watch.at(DUE)
    watch.is_governed_by()
    [alert] = watch.at(DUE)
    assert (alert.kind, alert.state) == REVIEWED
    assert alert.labels["sla_id"] == "acme"


def test_only_contracts_of_the_partition_are_told() -> None:
    watch = ContractWatch(lambda name: name == "mine", NOTICE)
    watch.set_register(Register([contract("mine"), contract("other")]))
    _, alerts = watch.judge(DUE)
    assert [alert.labels["sla_id"] for alert in alerts] == ["mine"]


def test_a_row_of_a_newer_release_stops_the_partition() -> None:
    with pytest.raises(RowFormatError, match="row format 9"):
        ContractWatch(lambda _name: True, NOTICE).load([(DUE_PREFIX + b"x", b"\x09")])
