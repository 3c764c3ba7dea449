"""What several boards have in common: uids, choices, marks, words for states."""

from __future__ import annotations

from export import catalogue
from grafana.model import Annotation, Colour, Link, Query, Variable
from grafana.promql import once

OVERVIEW = "slawatch-overview"
SLA_DETAIL = "slawatch-sla"
TEAM_QUEUE = "slawatch-team-queue"
OBJECTIVES = "slawatch-objectives"
AVAILABILITY = "slawatch-availability"
PIPELINE = "slawatch-pipeline"

# --- choices: each narrows the next -----------------------------------------------------------------------------------

TEAM = Variable(
    "team", "Team", "label_values(sla_target_info, team)", all_value=".*", description="Team that the contract names."
)
CONTRACT = Variable(
    "contract",
    "Contract",
    'label_values({__name__=~"sla_(target|objective)_info", team=~"$team"}, contract)',
    description="Contracts in which that team has a target or an objective.",
)
TARGET = Variable(
    "target",
    "Target",
    'label_values(sla_target_info{team=~"$team", contract=~"$contract"}, target)',
    description="Targets of those contracts.",
)
OBJECTIVE = Variable(
    "objective",
    "Objective",
    'label_values(sla_objective_info{contract=~"$contract"}, objective)',
    description="Objectives of those contracts, occurrence and availability.",
)
CONTRACT_OF_OBJECTIVES = Variable(
    "contract", "Contract", "label_values(sla_objective_info, contract)", description="Contracts that have objectives."
)
JOB = Variable(
    "job", "Job", "label_values(slawatch_ready, job)", all_value=".+", description="Scrape job of the workers."
)

OF_TARGET = 'contract=~"$contract", target=~"$target"'
OF_OBJECTIVE = 'contract=~"$contract", objective=~"$objective"'

# --- marks -----------------------------------------------------------------------------------------------------------

NO_RULE_FIRES = "no rule fires in a healthy installation but the watchdog, which is left out"

RULE_ALERTS = Annotation(
    "Monitor alerts",
    'ALERTS{alertname=~"SLAMonitor.*", alertstate="firing"}',
    "{{alertname}}",
    Colour.WARNING,
    tags="severity,team",
    may_be_empty=NO_RULE_FIRES,
)
RELEASES = Annotation(
    "Releases",
    "count by (version) (slawatch_build_info) unless count by (version) (slawatch_build_info offset 5m)",
    "slawatch {{version}}",
    Colour.INFO,
    may_be_empty="only within five minutes of a release",
)
BREACHES = Annotation(
    "Breaches",
    "sum by (contract, target) (increase(sla_verdicts_total{"
    + OF_TARGET
    + ', result="breached"}[$__rate_interval])) > 0',
    "Breached: {{target}}",
    Colour.BAD,
    tags="contract",
)

# --- states ----------------------------------------------------------------------------------------------------------

YES_IS_GOOD = {1: ("yes", Colour.GOOD), 0: ("NO", Colour.BAD)}
BUDGET_WORDS = {
    0: ("fine", Colour.GOOD),
    1: ("less than a quarter left", Colour.WARNING),
    2: ("spent", Colour.BAD),
}
BUDGET_STEPS: tuple[tuple[float | None, Colour], ...] = (
    (None, Colour.BAD),
    (0.0, Colour.WARNING),
    (0.25, Colour.GOOD),
)
ANY_IS_BAD: tuple[tuple[float | None, Colour], ...] = ((None, Colour.GOOD), (1, Colour.BAD))
ANY_IS_WARNING: tuple[tuple[float | None, Colour], ...] = ((None, Colour.GOOD), (1, Colour.WARNING))


def budget_state(match: str = "") -> str:
    """Return a query for the state of error budgets, as numbers of ``BUDGET_WORDS``."""
    left = f"max by (contract, objective) ({once(catalogue.ERROR_BUDGET_REMAINING_RATIO, match)})"
    return f"({left} < bool 0.25) + ({left} < bool 0)"


def objective_columns(match: str) -> tuple[Query, ...]:
    """Return the columns of a table of objectives."""

    def of(spec: catalogue.GaugeSpec) -> str:
        return f"max by (contract, objective) ({once(spec, match)})"

    return (
        Query(budget_state(match), "budget", words=BUDGET_WORDS),
        Query(of(catalogue.OBJECTIVE_ATTAINMENT_RATIO), "attained", "percentunit"),
        Query(of(catalogue.OBJECTIVE_TARGET_RATIO), "promised", "percentunit"),
        Query(of(catalogue.ERROR_BUDGET_REMAINING_RATIO), "budget left", "percentunit", steps=BUDGET_STEPS),
        Query(of(catalogue.OBJECTIVE_COVERAGE_RATIO), "observed", "percentunit"),
    )


# --- links -----------------------------------------------------------------------------------------------------------

TO_TARGET = Link(SLA_DETAIL, "This target", {"contract": "contract", "target": "target"})
TO_CONTRACT = Link(SLA_DETAIL, "This contract", {"contract": "contract"})
TO_OBJECTIVE = Link(OBJECTIVES, "This objective", {"contract": "contract", "objective": "objective"})
TO_TEAM = Link(TEAM_QUEUE, "This team's queue", {"team": "team"})
TO_PIPELINE = Link(PIPELINE, "Pipeline health")
