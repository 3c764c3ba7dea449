"""Overview: what promise is about to be broken, and whether this board can be believed."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import (
    ANY_IS_BAD,
    ANY_IS_WARNING,
    CONTRACT,
    OF_TARGET,
    OVERVIEW,
    RELEASES,
    RULE_ALERTS,
    TARGET,
    TEAM,
    TO_OBJECTIVE,
    TO_PIPELINE,
    TO_TARGET,
    YES_IS_GOOD,
    objective_columns,
)
from grafana.model import Board, Colour, Kind, Panel, Query, Row
from grafana.promql import increase, once, total

_OF_CONTRACT = 'contract=~"$contract"'
_ATTAINED = f"max by (contract, objective) ({once(catalogue.OBJECTIVE_ATTAINMENT_RATIO, _OF_CONTRACT)})"
_PROMISED = f"max by (contract, objective) ({once(catalogue.OBJECTIVE_TARGET_RATIO, _OF_CONTRACT)})"
_LEFT = f"max by (contract, objective) ({once(catalogue.ERROR_BUDGET_REMAINING_RATIO, _OF_CONTRACT)})"


def _stat(title: str, description: str, expr: str, **options: object) -> Panel:
    return Panel(title, description, Kind.STAT, (Query(expr),), width=4, height=4, **options)  # type: ignore[arg-type]


_NOW = Row(
    "Now",
    (
        _stat("Open", "Clocks that run or are paused.", total(catalogue.CLOCKS_OPEN, match=OF_TARGET)),
        _stat(
            "At risk",
            "Open clocks that have used up a share of their target that the contract calls a warning. Nothing "
            "is broken yet.",
            total(catalogue.CLOCKS_AT_RISK, match=OF_TARGET),
            steps=ANY_IS_WARNING,
        ),
        _stat(
            "Breached, still open",
            "Open clocks past their deadline.",
            total(catalogue.CLOCKS_BREACHED_OPEN, match=OF_TARGET),
            steps=ANY_IS_BAD,
        ),
        _stat(
            "Objectives missed so far",
            "Objectives whose attainment in the current window is below what is promised.",
            f"sum({_ATTAINED} < bool {_PROMISED})",
            steps=ANY_IS_BAD,
        ),
        _stat(
            "Budgets spent",
            "Objectives with no error budget left in the current window.",
            f"sum({_LEFT} < bool 0)",
            steps=ANY_IS_BAD,
        ),
        _stat(
            "All workers well",
            "Whether every worker is scraped and ready. If not, the numbers beside this may be old: see "
            "pipeline health.",
            f"min({catalogue.READY.name})",
            words=YES_IS_GOOD,
            links=(TO_PIPELINE,),
            no_value="NO WORKER ANSWERS",
        ),
    ),
)

_PROMISES = Row(
    "Promises",
    (
        Panel(
            "Targets",
            "Open clocks per target. Those with something at risk or breached come first; a click on a target "
            "shows its detail.",
            Kind.TABLE,
            (
                Query(total(catalogue.CLOCKS_OPEN, "contract, target", OF_TARGET), "open"),
                Query(total(catalogue.CLOCKS_AT_RISK, "contract, target", OF_TARGET), "at risk", steps=ANY_IS_WARNING),
                Query(
                    total(catalogue.CLOCKS_BREACHED_OPEN, "contract, target", OF_TARGET),
                    "breached, open",
                    steps=ANY_IS_BAD,
                ),
            ),
            height=10,
            sort="at risk",
            links=(TO_TARGET,),
        ),
        Panel(
            "Objectives",
            "What was attained in the current window against what is promised. Budget left is negative when overspent.",
            Kind.TABLE,
            objective_columns(_OF_CONTRACT),
            height=10,
            links=(TO_OBJECTIVE,),
        ),
    ),
)

_TIME = Row(
    "Over time",
    (
        Panel(
            "At risk and breached, still open",
            "A rising first line is work for whoever plans the day; a rising second one is a promise broken already.",
            Kind.LINES,
            (
                Query(total(catalogue.CLOCKS_AT_RISK, match=OF_TARGET), "at risk"),
                Query(total(catalogue.CLOCKS_BREACHED_OPEN, match=OF_TARGET), "breached, open"),
            ),
            minimum=0,
        ),
        Panel(
            "Verdicts",
            "Clocks that ended, by outcome. Corrections by late events are counted again.",
            Kind.LINES,
            (Query(increase(catalogue.VERDICTS_TOTAL, "result", OF_TARGET), "{{result}}"),),
            stacked=True,
            minimum=0,
        ),
        Panel(
            "Alerts that fire, by kind",
            "Alerts that slawatch itself decided and pushes to Alertmanager.",
            Kind.LINES,
            (Query(f"{total(catalogue.ALERTS_FIRING, 'alert')} > 0", "{{alert}}"),),
            stacked=True,
            minimum=0,
            no_value="none fires",
        ),
        Panel(
            "Alerts about the monitor",
            "Rules that fire about slawatch itself. While one does, look at pipeline health before believing the rest.",
            Kind.TABLE,
            (
                Query(
                    'max by (alertname, severity) (ALERTS{alertname=~"SLAMonitor.*", alertstate="firing"})',
                    "state",
                    words={1: ("firing", Colour.BAD)},
                ),
            ),
            no_value="none fires",
            may_be_empty="no rule about the monitor fires while it is well",
        ),
    ),
)

BOARD = Board(
    OVERVIEW,
    "slawatch / Overview",
    "Is any promise about to be broken, which one, and is the monitor itself well?",
    (_NOW, _PROMISES, _TIME),
    (TEAM, CONTRACT, TARGET),
    (RULE_ALERTS, RELEASES),
)
