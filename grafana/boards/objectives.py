"""Objectives and budgets: what is left of what was promised, and how fast it goes."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import (
    BUDGET_STEPS,
    BUDGET_WORDS,
    CONTRACT_OF_OBJECTIVES,
    OBJECTIVE,
    OBJECTIVES,
    OF_OBJECTIVE,
    RELEASES,
    RULE_ALERTS,
    TO_CONTRACT,
    TO_OBJECTIVE,
    budget_state,
    objective_columns,
)
from grafana.model import Board, Colour, Kind, Panel, Query, Row
from grafana.promql import largest, once, total
from sla.outcome import AlertKind

_WINDOWS = ("1h", "6h", "1d", "3d")
"""Windows of the burn-rate alerts: the short ones tell that it began, the long ones that it matters."""


def _of(spec: catalogue.GaugeSpec) -> str:
    return f"max by (contract, objective) ({once(spec, OF_OBJECTIVE)})"


def _burn(window: str) -> str:
    return largest(catalogue.OBJECTIVE_BURN_RATE_RATIO, "contract, objective", f'{OF_OBJECTIVE}, window="{window}"')


_WINDOW_ROW = Row(
    "In the current window",
    (
        Panel(
            "Objectives",
            "Attained against promised, and the budget left, in each objective's own window. "
            "Observed: how much of the window has been seen; below 100 % the numbers may still change.",
            Kind.TABLE,
            objective_columns(OF_OBJECTIVE),
            width=24,
            height=10,
            links=(TO_OBJECTIVE, TO_CONTRACT),
        ),
        Panel(
            "State of the budget",
            "When each objective's budget was fine, low or spent.",
            Kind.STATES,
            (Query(budget_state(OF_OBJECTIVE), "{{objective}}"),),
            words=BUDGET_WORDS,
        ),
        Panel(
            "Error budget left",
            "Falls with every bad event. Steps up: bad events left the window, or a new period began.",
            Kind.LINES,
            (Query(_of(catalogue.ERROR_BUDGET_REMAINING_RATIO), "{{objective}}"),),
            unit="percentunit",
            steps=BUDGET_STEPS,
        ),
        Panel(
            "Attained less promised",
            "How far above (positive) or below (negative) its promise each objective is.",
            Kind.LINES,
            (
                Query(
                    f"{_of(catalogue.OBJECTIVE_ATTAINMENT_RATIO)} - {_of(catalogue.OBJECTIVE_TARGET_RATIO)}",
                    "{{objective}}",
                ),
            ),
            unit="percentunit",
            steps=((None, Colour.BAD), (0.0, Colour.GOOD)),
        ),
        Panel(
            "Events in the window",
            "What the shares are made of. Few events: one more bad one moves the share a lot.",
            Kind.LINES,
            (Query(total(catalogue.OBJECTIVE_EVENTS, "objective, result", OF_OBJECTIVE), "{{objective}}: {{result}}"),),
            minimum=0,
        ),
    ),
)

_SPEED_ROW = Row(
    "How fast it goes",
    (
        *(
            Panel(
                f"Burn rate over {window}",
                "Budget spent in it, in multiples of what would just use it up: at 1 the budget lasts exactly "
                "its window. "
                "Counted in event time, as the burn-rate alerts do.",
                Kind.LINES,
                (Query(_burn(window), "{{objective}}"),),
                width=6,
                steps=((None, Colour.GOOD), (1.0, Colour.WARNING)),
                minimum=0,
                decimals=1,
                no_value="no such window",
            )
            for window in _WINDOWS
        ),
        Panel(
            "Bad events still allowed",
            "The budget left, in events: below 0 there were more than allowed.",
            Kind.LINES,
            (Query(_of(catalogue.ERROR_BUDGET_REMAINING_EVENTS), "{{objective}}"),),
            steps=((None, Colour.BAD), (0.0, Colour.GOOD)),
        ),
        Panel(
            "Time left in which everything may fail",
            "The budget left, as time: how long a total outage may still last.",
            Kind.LINES,
            (Query(_of(catalogue.ERROR_BUDGET_REMAINING_SECONDS), "{{objective}}"),),
            unit="s",
            steps=((None, Colour.BAD), (0.0, Colour.GOOD)),
        ),
        Panel(
            "Alerts about budgets",
            "Budgets that are spent or burn fast, as slawatch decided it: these page.",
            Kind.LINES,
            (
                Query(
                    total(
                        catalogue.ALERTS_FIRING,
                        "alert",
                        f'alert=~"{AlertKind.OBJECTIVE_BUDGET_SPENT.value}|{AlertKind.OBJECTIVE_BURNING.value}"',
                    ),
                    "{{alert}}",
                ),
            ),
            minimum=0,
        ),
        Panel(
            "Behind the present",
            "Age of the instant up to which all sources of an objective have reported. It grows while a source "
            "is silent. "
            "In a replay it is the distance to the replayed time.",
            Kind.LINES,
            (Query(f"time() - {_of(catalogue.OBJECTIVE_WATERMARK_TIMESTAMP_SECONDS)}", "{{objective}}"),),
            unit="s",
        ),
        Panel(
            "What the objectives are about",
            "Kind, contract type, target or service, team, and the length of the window.",
            Kind.TABLE,
            (
                Query(
                    largest(
                        catalogue.OBJECTIVE_INFO, "contract, objective, kind, type, target, service, team", OF_OBJECTIVE
                    )
                    + " * on (contract, objective) group_left () "
                    + largest(catalogue.OBJECTIVE_WINDOW_SECONDS, "contract, objective", OF_OBJECTIVE),
                    "window",
                    unit="s",
                ),
            ),
            width=24,
            height=7,
            links=(TO_CONTRACT,),
        ),
    ),
)

BOARD = Board(
    OBJECTIVES,
    "slawatch / Objectives and budgets",
    "What is left of each error budget, how fast does it go, and what is it made of?",
    (_WINDOW_ROW, _SPEED_ROW),
    (CONTRACT_OF_OBJECTIVES, OBJECTIVE),
    (RULE_ALERTS, RELEASES),
    since="now-7d",
)
