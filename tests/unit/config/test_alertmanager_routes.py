"""Alerts about contracts go to who answers for them, by the route that is shipped."""

from __future__ import annotations

from pathlib import Path

import yaml

from sla.contract import Contract, ContractType, Level
from sla.contract_watch import ContractWatch
from sla.register import Register

CONFIG = Path(__file__).parents[3] / "config" / "alertmanager" / "alertmanager.yml"


def test_reviews_and_ends_take_the_route_of_their_own_and_are_grouped_by_owner() -> None:
    watch = ContractWatch(lambda _name: True)
    contract = Contract("acme", ContractType.SLA, Level.CUSTOMER, "desk", "slm@acme.example", review_by_ms=1, ends_ms=2)
    watch.set_register(Register([contract]))
    _, alerts = watch.judge(0)
    assert len(alerts) == 2
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (route,) = [route for route in config["route"]["routes"] if route["receiver"] == "service-level-management"]
    for alert in alerts:
        assert route["matchers"] == [f'alert_kind="{alert.labels["alert_kind"]}"']
        assert set(route["group_by"]) <= alert.labels.keys()
    assert route["receiver"] in {receiver["name"] for receiver in config["receivers"]}
