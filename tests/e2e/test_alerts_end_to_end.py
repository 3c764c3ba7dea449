"""From a ticket event to the page: real Kafka, real workers, a real Alertmanager with the rules that are shipped.

Whoever is paged sees one incident open and close, whatever happens to workers and to Alertmanager meanwhile.
"""

from __future__ import annotations

import json
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from cli.local_servers import LocalServer, find_alertmanager, run_alertmanager
from sla.units import MINUTE_MS, parse_instant
from streams.broker import Broker
from streams.system_clock import now_ms
from tests.support.cluster import ROOT, Worker
from tests.support.desk import Desk, log_lines, metric
from tests.support.servers import need
from tests.support.webhook import Webhook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

AT_RISK = "SLATicketAtRisk/{}:warned-resolution:1"
"""Id of the alert of a ticket of P3."""

RESEND_SECONDS = 8
"""A firing alert is valid for four of these: longer than any takeover here."""

RESOLVE_RESEND_SECONDS = 4
"""Alertmanager is told of a resolve only so long after the first push of it: short, so that a test can outlive it."""


def shipped_config(url: str) -> str:
    """Return the Alertmanager configuration that is shipped, with short waits and somebody to tell."""
    config = yaml.safe_load((ROOT / "config" / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
    config["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    [default] = [receiver for receiver in config["receivers"] if receiver["name"] == config["route"]["receiver"]]
    default["webhook_configs"] = [{"url": url, "send_resolved": True}]
    return yaml.safe_dump(config)


@dataclass(frozen=True)
class Pager:
    """A desk, its Alertmanager, and the one who is paged."""

    desk: Desk
    alertmanager: LocalServer
    hook: Webhook

    def alerts(self, ticket: str) -> dict[str, dict[str, Any]]:
        """Return what Alertmanager holds about a ticket, by name of the alert."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.alertmanager.url}/api/v2/alerts", timeout=5) as answer:
            held = json.load(answer)
        return {alert["labels"]["alertname"]: alert for alert in held if alert["labels"].get("ticket_id") == ticket}

    def fire(self, ticket: str, service: str) -> dict[str, Any]:
        """Let a ticket of a service be at risk; return the alert as Alertmanager holds it once somebody was paged."""
        self.desk.tell(ticket, "created", now_ms() - 40 * MINUTE_MS, priority="P3", service=service)
        self.desk.wait_until("somebody is paged", lambda: bool(self.hook.told(service=service)))
        return self.alerts(ticket)["SLATicketAtRisk"]

    def wait_pushed_again(self, ticket: str, before: dict[str, Any]) -> dict[str, Any]:
        """Wait until an alert is pushed once more; return it."""
        self.desk.wait_until(
            "the alert is pushed again",
            lambda: self.alerts(ticket).get("SLATicketAtRisk", before)["endsAt"] > before["endsAt"],
        )
        return self.alerts(ticket)["SLATicketAtRisk"]

    def statuses(self, service: str) -> list[str]:
        """Return the status of every notification about a service."""
        return [notification.status for notification in self.hook.told(service=service)]

    def resolve(self, ticket: str, service: str) -> None:
        """Resolve a ticket and wait until that is told."""
        self.desk.tell(ticket, "resolved")
        self.desk.wait_until("the incident is closed", lambda: self.statuses(service)[-1:] == ["resolved"])


@pytest.fixture(scope="module")
def pager(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pager]:
    need(find_alertmanager(), "Alertmanager")
    folder = tmp_path_factory.mktemp("pager")
    with Webhook() as hook, run_alertmanager(shipped_config(hook.url), folder / "alertmanager") as alertmanager:
        settings = {
            "SLAWATCH_ALERTMANAGER__URLS": json.dumps([alertmanager.url]),
            "SLAWATCH_ALERTMANAGER__RESEND_SECONDS": str(RESEND_SECONDS),
            "SLAWATCH_ALERTMANAGER__RESOLVE_RESEND_SECONDS": str(RESOLVE_RESEND_SECONDS),
        }
        with Desk(kafka.bootstrap, f"{folder.name}-{now_ms()}-", folder, **settings) as desk:
            yield Pager(desk, alertmanager, hook)
        groups = defaultdict(list)
        for notification in hook.told():
            groups[notification.group].append(notification.status)
        for group, statuses in groups.items():
            # Notifications may repeat that an incident is open, as it escalates; it ends once.
            assert statuses.index("resolved") == len(statuses) - 1, f"{group}: {statuses}"


def start(pager: Pager) -> Worker:
    worker = pager.desk.start_worker()
    pager.desk.wait_ready(worker)
    return worker


def one_worker(pager: Pager) -> Worker:
    """Return the only worker there is, started unless one is left from the test before."""
    running = [worker for worker in pager.desk.workers if worker.process.is_running]
    for worker in running[1:]:
        assert worker.stop() == 0
    return running[0] if running else start(pager)


def test_a_ticket_at_risk_is_paged_and_its_breach_escalates_the_same_incident_until_it_is_resolved(
    pager: Pager,
) -> None:
    desk, hook = pager.desk, pager.hook
    one_worker(pager)
    created_ms = desk.tell("INC-1", "created", priority="P4", service="mail")
    desk.wait_until("the risk is paged", lambda: bool(hook.told(service="mail")))
    paged_ms = now_ms()
    at_risk = hook.told(service="mail")[0]
    assert (at_risk.status, at_risk.names("firing")) == ("firing", {"SLATicketAtRisk"})
    assert at_risk.group_labels == {"team": "desk", "service": "mail", "sla_id": "quick"}
    [alert] = at_risk.alerts
    assert alert["labels"] == {
        "alertname": "SLATicketAtRisk",
        "alert_kind": "predicted",
        "severity": "warning",
        "sla_id": "quick",
        "target": "escalating-resolution",
        "ticket_id": "INC-1",
        "team": "desk",
        "service": "mail",
        "priority": "P4",
    }
    assert parse_instant(alert["annotations"]["deadline"]) == created_ms + 6_000
    assert created_ms + 1_200 <= parse_instant(alert["startsAt"]) <= paged_ms < created_ms + 6_000

    desk.wait_until("the breach is paged", lambda: len(hook.told(service="mail")) > 1)
    breached = hook.told(service="mail")[1]
    assert breached.status == "firing"
    assert breached.names("firing") == {"SLATicketBreached"}, "the warning is muted"
    held = pager.alerts("INC-1")
    assert held["SLATicketAtRisk"]["status"]["inhibitedBy"] == [held["SLATicketBreached"]["fingerprint"]]
    assert held["SLATicketBreached"]["status"]["state"] == "active"
    assert now_ms() >= created_ms + 6_000

    pager.resolve("INC-1", "mail")
    closed = hook.told(service="mail")
    assert [notification.status for notification in closed] == ["firing", "firing", "resolved"]
    assert len({notification.group for notification in closed}) == 1, "one incident"
    assert "SLATicketBreached" in closed[-1].names("resolved")
    assert not closed[-1].names("firing")
    desk.wait_until("nothing is held any more", lambda: not pager.alerts("INC-1"))
    assert sorted(desk.alerts("INC-1")) == [
        ("SLATicketAtRisk", "firing"),
        ("SLATicketAtRisk", "resolved"),
        ("SLATicketBreached", "firing"),
        ("SLATicketBreached", "resolved"),
    ]


def test_an_alert_is_back_after_alertmanager_was_restarted_and_one_that_began_meanwhile_is_paged(pager: Pager) -> None:
    desk = pager.desk
    worker = one_worker(pager)
    alert = pager.fire("INC-7", "print")
    pager.alertmanager.stop()
    began_ms = desk.tell("INC-8", "created", now_ms() - 40 * MINUTE_MS, priority="P3", service="scan") + 40 * MINUTE_MS
    desk.wait_until("the worker says so", lambda: metric(worker, "slawatch_alertmanager_up") == 0)
    stopped_ms = now_ms()
    pager.alertmanager.start()
    desk.wait_until("it is back", lambda: "SLATicketAtRisk" in pager.alerts("INC-7"))
    desk.wait_until("the other one is paged", lambda: pager.statuses("scan") == ["firing"])
    assert pager.alerts("INC-7")["SLATicketAtRisk"]["startsAt"] == alert["startsAt"]
    assert began_ms <= parse_instant(pager.alerts("INC-8")["SLATicketAtRisk"]["startsAt"]) <= stopped_ms
    assert metric(worker, "slawatch_alertmanager_up") == 1
    assert any(line["alertmanager"] == pager.alertmanager.url for line in log_lines(worker, "alert_push_incomplete"))
    assert pager.statuses("print") == ["firing"], "paged once"
    pager.resolve("INC-7", "print")
    pager.resolve("INC-8", "scan")
    assert pager.statuses("print") == pager.statuses("scan") == ["firing", "resolved"]


def test_restarts_of_the_worker_are_not_seen_by_the_one_who_is_paged(pager: Pager) -> None:
    first = one_worker(pager)
    alert = pager.fire("INC-2", "web")
    assert first.stop() == 0
    second = start(pager)
    again = pager.wait_pushed_again("INC-2", alert)
    assert again["startsAt"] == alert["startsAt"]
    second.kill()
    third = start(pager)
    again = pager.wait_pushed_again("INC-2", again)
    assert again["startsAt"] == alert["startsAt"]
    assert again["fingerprint"] == alert["fingerprint"]
    assert pager.statuses("web") == ["firing"]
    pager.resolve("INC-2", "web")
    assert pager.statuses("web") == ["firing", "resolved"]
    assert third.process.is_running


def test_a_worker_that_takes_over_the_alerts_pages_nobody_twice(pager: Pager) -> None:
    # One on each partition of the alerts.
    tickets = sorted(
        next(ticket for n in range(100) if pager.desk.partition(AT_RISK.format(ticket := f"INC-3-{n}")) == partition)
        for partition in range(pager.desk.partitions)
    )
    workers = [one_worker(pager)]
    fired = {ticket: pager.fire(ticket, f"shop-{ticket}") for ticket in tickets}
    workers.append(start(pager))
    spare = start(pager)  # gets no partition, and is ready to take one
    pager.desk.wait_ready(*workers)
    owners = {worker.name: kept_by(worker) & {*tickets} for worker in workers}
    assert sorted(ticket for of in owners.values() for ticket in of) == tickets, "each has one owner"
    leaving, staying = sorted(workers, key=lambda worker: -len(owners[worker.name]))
    moved = owners[leaving.name]
    assert moved
    leaving.kill()
    pushed_last = {ticket: pager.alerts(ticket)["SLATicketAtRisk"] for ticket in moved}
    for ticket in moved:
        again = pager.wait_pushed_again(ticket, pushed_last[ticket])
        assert again["startsAt"] == fired[ticket]["startsAt"]
    pager.desk.wait_until(
        "each has an owner again",
        lambda: sorted(ticket for worker in (staying, spare) for ticket in kept_by(worker) & {*tickets}) == tickets,
    )
    for ticket in tickets:
        pager.resolve(ticket, f"shop-{ticket}")
    for ticket in tickets:
        assert pager.statuses(f"shop-{ticket}") == ["firing", "resolved"]
    assert staying.stop() == spare.stop() == 0


def test_an_alert_leaves_its_topic_after_its_resolve_was_told_also_if_no_worker_ran_meanwhile(pager: Pager) -> None:
    desk = pager.desk
    worker = one_worker(pager)
    pager.fire("INC-9", "fax")
    assert desk.alerts_kept("INC-9") == {"SLATicketAtRisk"}
    pager.resolve("INC-9", "fax")
    assert worker.stop() == 0
    assert desk.alerts_kept("INC-9") == {"SLATicketAtRisk"}, "its resolve is still owed"
    time.sleep(RESOLVE_RESEND_SECONDS)
    notifications = len(pager.hook.told(service="fax"))
    start(pager)
    desk.wait_until("it is deleted", lambda: not desk.alerts_kept("INC-9"))
    assert len(pager.hook.told(service="fax")) == notifications, "nobody is told again"


def kept_by(worker: Worker) -> set[str]:
    """Return the tickets whose alerts a worker keeps."""
    with urllib.request.urlopen(f"{worker.url}/v1/alerts", timeout=5) as answer:
        return {alert["labels"]["ticket_id"] for alert in json.load(answer)}
