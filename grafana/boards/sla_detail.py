"""SLA detail: how one target or contract does, now and in its window."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import (
    ANY_IS_BAD,
    ANY_IS_WARNING,
    BREACHES,
    BUDGET_STEPS,
    CONTRACT,
    OF_TARGET,
    RELEASES,
    RULE_ALERTS,
    SLA_DETAIL,
    TARGET,
    TEAM,
    TO_OBJECTIVE,
    TO_TEAM,
    objective_columns,
)
from grafana.model import Board, Colour, Kind, Panel, Query, Row
from grafana.promql import increase, largest, once, total
from sla.outcome import Result

# The objective of a target: the one that its info names.
_OBJECTIVES = (
    f"* on (contract, objective) group_left (target) max by (contract, objective, target) "
    f"({catalogue.OBJECTIVE_INFO.name}{{{OF_TARGET}}})"
)
_OF_CONTRACT = 'contract=~"$contract"'


def _of_targets(spec: catalogue.GaugeSpec) -> str:
    return f"max by (contract, objective) ({once(spec, _OF_CONTRACT)}) {_OBJECTIVES}"


def _verdicts(result: str, over: str) -> str:
    return increase(catalogue.VERDICTS_TOTAL, "", f'{OF_TARGET}, result=~"{result}"', over)


_DECIDED = f"{Result.MET.value}|{Result.BREACHED.value}"

_NOW = Row(
    "Now",
    (
        Panel(
            "Open",
            "Clocks of these targets that run or are paused.",
            Kind.STAT,
            (Query(total(catalogue.CLOCKS_OPEN, match=OF_TARGET)),),
            width=4,
            height=4,
        ),
        Panel(
            "At risk",
            "Open clocks past a share of their target that the contract calls a warning.",
            Kind.STAT,
            (Query(total(catalogue.CLOCKS_AT_RISK, match=OF_TARGET)),),
            steps=ANY_IS_WARNING,
            width=4,
            height=4,
        ),
        Panel(
            "Breached, still open",
            "Open clocks past their deadline.",
            Kind.STAT,
            (Query(total(catalogue.CLOCKS_BREACHED_OPEN, match=OF_TARGET)),),
            steps=ANY_IS_BAD,
            width=4,
            height=4,
        ),
        Panel(
            "Met in the time shown",
            "Share of the clocks that ended in the time shown at the top and were met. "
            "What counts for the contract is the objective's own window, below.",
            Kind.STAT,
            (Query(f"{_verdicts(Result.MET.value, '$__range')} / ({_verdicts(_DECIDED, '$__range')} > 0)", "met"),),
            unit="percentunit",
            decimals=1,
            width=4,
            height=4,
        ),
        Panel(
            "Lowest budget left",
            "Share of the error budget left in the current window, of the objective that has least. Negative: "
            "overspent.",
            Kind.STAT,
            (Query(f"min({_of_targets(catalogue.ERROR_BUDGET_REMAINING_RATIO)})"),),
            unit="percentunit",
            decimals=0,
            steps=BUDGET_STEPS,
            width=4,
            height=4,
        ),
        Panel(
            "Lowest share observed",
            "How much of the window has been observed, of the objective observed least. Less than all: numbers "
            "may change.",
            Kind.STAT,
            (Query(f"min({_of_targets(catalogue.OBJECTIVE_COVERAGE_RATIO)})"),),
            unit="percentunit",
            decimals=0,
            steps=((None, Colour.WARNING), (1.0, Colour.GOOD)),
            width=4,
            height=4,
        ),
    ),
)

_CLOCKS = Row(
    "Clocks",
    (
        Panel(
            "Open clocks by target",
            "The queue of each target. A queue that grows for days is a capacity question, not one of urgency.",
            Kind.LINES,
            (Query(total(catalogue.CLOCKS_OPEN, "target", OF_TARGET), "{{target}}"),),
            minimum=0,
            stacked=True,
            links=(TO_TEAM,),
        ),
        Panel(
            "At risk and breached by target",
            "Which target is in trouble, and since when.",
            Kind.LINES,
            (
                Query(f"{total(catalogue.CLOCKS_AT_RISK, 'target', OF_TARGET)} > 0", "{{target}}: at risk"),
                Query(f"{total(catalogue.CLOCKS_BREACHED_OPEN, 'target', OF_TARGET)} > 0", "{{target}}: breached"),
            ),
            minimum=0,
            no_value="nothing at risk",
        ),
        Panel(
            "Verdicts by outcome",
            "Clocks that ended. Merged, cancelled and terminated ones count for no objective.",
            Kind.LINES,
            (Query(increase(catalogue.VERDICTS_TOTAL, "result", OF_TARGET), "{{result}}"),),
            stacked=True,
            minimum=0,
        ),
        Panel(
            "Share breached by target",
            "Of the clocks that ended, interval by interval; gaps are intervals in which none ended.",
            Kind.LINES,
            (
                Query(
                    increase(catalogue.VERDICTS_TOTAL, "target", f'{OF_TARGET}, result="{Result.BREACHED.value}"')
                    + " / ("
                    + increase(catalogue.VERDICTS_TOTAL, "target", f'{OF_TARGET}, result=~"{_DECIDED}"')
                    + " > 0)",
                    "{{target}}",
                ),
            ),
            unit="percentunit",
            minimum=0,
            maximum=1,
        ),
    ),
)

_OBJECTIVE_ROW = Row(
    "Objectives",
    (
        Panel(
            "Attained and promised",
            "The share met in the current window, and the line it must not fall below.",
            Kind.LINES,
            (
                Query(_of_targets(catalogue.OBJECTIVE_ATTAINMENT_RATIO), "{{objective}}: attained"),
                Query(_of_targets(catalogue.OBJECTIVE_TARGET_RATIO), "{{objective}}: promised"),
            ),
            unit="percentunit",
            maximum=1,
            links=(TO_OBJECTIVE,),
        ),
        Panel(
            "Error budget left",
            "Falls with every breach, rises with every clock that is met. Below 0 the promise is broken for "
            "the window.",
            Kind.LINES,
            (Query(_of_targets(catalogue.ERROR_BUDGET_REMAINING_RATIO), "{{objective}}"),),
            unit="percentunit",
            steps=BUDGET_STEPS,
            links=(TO_OBJECTIVE,),
        ),
        Panel(
            "Objectives of the contract",
            "All objectives of the contracts chosen, whatever the target chosen.",
            Kind.TABLE,
            objective_columns(_OF_CONTRACT),
            width=24,
            links=(TO_OBJECTIVE,),
        ),
        Panel(
            "What the targets are about",
            "As the newest revision says: type of contract, metric, service and team where there is a single one.",
            Kind.TABLE,
            (Query(largest(catalogue.TARGET_INFO, "contract, target, type, metric, service, team", OF_TARGET)),),
            width=24,
            height=6,
            links=(TO_TEAM,),
        ),
    ),
)

BOARD = Board(
    SLA_DETAIL,
    "slawatch / SLA detail",
    "How does this target do: its queue, its verdicts, its objective and the budget that is left?",
    (_NOW, _CLOCKS, _OBJECTIVE_ROW),
    (TEAM, CONTRACT, TARGET),
    (BREACHES, RULE_ALERTS, RELEASES),
    since="now-24h",
)
