"""Availability: whether services were there as promised, and the minutes that may still be lost."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import (
    AVAILABILITY,
    BUDGET_STEPS,
    BUDGET_WORDS,
    RELEASES,
    RULE_ALERTS,
    TO_OBJECTIVE,
    budget_state,
)
from grafana.model import Board, Colour, Kind, Panel, Query, Row, Variable
from grafana.promql import largest, once, total
from sla.outcome import AlertKind

_DOWN = f'alert="{AlertKind.SERVICE_DOWN.value}"'
_SERVICE = Variable(
    "service",
    "Service",
    'label_values(sla_objective_info{kind="availability"}, service)',
    all_value=".*",
    description="Services whose availability is promised.",
)
_INFO = largest(catalogue.OBJECTIVE_INFO, "contract, objective, service", 'kind="availability", service=~"$service"')
_ONLY = f"* on (contract, objective) group_left (service) {_INFO}"


def _of(spec: catalogue.GaugeSpec) -> str:
    return f"max by (contract, objective) ({once(spec)}) {_ONLY}"


_TIME_LEFT = _of(catalogue.ERROR_BUDGET_REMAINING_SECONDS)
_UP = largest(catalogue.SERVICE_UP, "service, objective", 'service=~"$service"')

_NOW = Row(
    "Now",
    (
        Panel(
            "Services down",
            "Availability objectives whose service is down now, by its probes or as declared.",
            Kind.STAT,
            (Query(total(catalogue.ALERTS_FIRING, match=_DOWN)),),
            steps=((None, Colour.GOOD), (1, Colour.BAD)),
            width=6,
            height=4,
        ),
        Panel(
            "Lowest budget left",
            "Of the availability objective that has least. Negative: the promise is broken for the window.",
            Kind.STAT,
            (Query(f"min({_of(catalogue.ERROR_BUDGET_REMAINING_RATIO)})"),),
            unit="percentunit",
            decimals=0,
            steps=BUDGET_STEPS,
            width=6,
            height=4,
        ),
        Panel(
            "Least downtime left",
            "How long the service closest to its limit may still be down in the window (of a calendar period: about).",
            Kind.STAT,
            (Query(f"min({_TIME_LEFT})"),),
            unit="s",
            steps=((None, Colour.BAD), (0.0, Colour.GOOD)),
            width=6,
            height=4,
        ),
        Panel(
            "Lowest share observed",
            "No data is not good data: how much of the window was seen, of the service seen least.",
            Kind.STAT,
            (Query(f"min({_of(catalogue.OBJECTIVE_COVERAGE_RATIO)})"),),
            unit="percentunit",
            decimals=1,
            width=6,
            height=4,
        ),
    ),
)

_SERVICES = Row(
    "Services",
    (
        Panel(
            "Availability promised and kept",
            "In each objective's own window. Downtime left is negative when more was down than allowed.",
            Kind.TABLE,
            (
                Query(f"({budget_state()}) {_ONLY}", "budget", words=BUDGET_WORDS),
                Query(_of(catalogue.OBJECTIVE_ATTAINMENT_RATIO), "available", "percentunit"),
                Query(_of(catalogue.OBJECTIVE_TARGET_RATIO), "promised", "percentunit"),
                Query(_of(catalogue.ERROR_BUDGET_REMAINING_RATIO), "budget left", "percentunit", steps=BUDGET_STEPS),
                Query(_TIME_LEFT, "downtime left", "s"),
                Query(_of(catalogue.OBJECTIVE_COVERAGE_RATIO), "observed", "percentunit"),
            ),
            decimals=3,
            width=24,
            height=9,
            links=(TO_OBJECTIVE,),
            no_value="no availability is promised",
        ),
        Panel(
            "Up and down",
            "Whether each service's last slice of time was good. A gap: nobody knows, or nothing is promised "
            "for those hours.",
            Kind.STATES,
            (Query(_UP, "{{service}} ({{objective}})"),),
            words={1: ("up", Colour.GOOD), 0: ("DOWN", Colour.BAD)},
            width=24,
        ),
        Panel(
            "Availability in the window",
            "The share of good time, or of good requests, as it was at each moment for the window that ended there.",
            Kind.LINES,
            (
                Query(_of(catalogue.OBJECTIVE_ATTAINMENT_RATIO), "{{service}} ({{objective}}): available"),
                Query(_of(catalogue.OBJECTIVE_TARGET_RATIO), "{{service}} ({{objective}}): promised"),
            ),
            unit="percentunit",
            decimals=3,
            maximum=1,
        ),
        Panel(
            "Downtime left",
            "Falls while a service is down; rises when old downtime leaves a rolling window.",
            Kind.LINES,
            (Query(_TIME_LEFT, "{{service}} ({{objective}})"),),
            unit="s",
            steps=((None, Colour.BAD), (0.0, Colour.GOOD)),
        ),
        Panel(
            "Services down over time",
            "Number of availability objectives whose service is down.",
            Kind.LINES,
            (Query(total(catalogue.ALERTS_FIRING, "alert", _DOWN), "{{alert}}"),),
            minimum=0,
        ),
        Panel(
            "Share observed",
            "How much of the window was seen. A falling line: probes are silent, and alerts of that objective "
            "stand still.",
            Kind.LINES,
            (Query(_of(catalogue.OBJECTIVE_COVERAGE_RATIO), "{{service}} ({{objective}})"),),
            unit="percentunit",
            maximum=1,
        ),
    ),
)

BOARD = Board(
    AVAILABILITY,
    "slawatch / Availability",
    "Were the services there as promised, and how much downtime is left?",
    (_NOW, _SERVICES),
    (_SERVICE,),
    (RULE_ALERTS, RELEASES),
    since="now-24h",
)
