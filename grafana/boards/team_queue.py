"""Team queue: which team has work that will be late, and which one could take some."""

from __future__ import annotations

from export import catalogue
from grafana.boards.shared import (
    ANY_IS_BAD,
    ANY_IS_WARNING,
    CONTRACT,
    OF_TARGET,
    RELEASES,
    RULE_ALERTS,
    TARGET,
    TEAM,
    TEAM_QUEUE,
    TO_CONTRACT,
    TO_TARGET,
)
from grafana.model import Board, Colour, Kind, Panel, Query, Row
from grafana.promql import largest, total
from sla.outcome import AlertKind

_AT_RISK = AlertKind.TICKET_AT_RISK.value
_BREACHED = AlertKind.TICKET_BREACHED.value


def _alerts(kind: str, by: str) -> str:
    return total(catalogue.TEAM_ALERTS_FIRING, by, f'alert="{kind}", team=~"$team"')


# The team a target's contract names; a ticket may be with another one, which its alerts tell.
_TEAM_OF = "* on (contract, target) group_left (team, service) " + largest(
    catalogue.TARGET_INFO, "contract, target, team, service", f'{OF_TARGET}, team=~"$team"'
)


def _work(spec: catalogue.GaugeSpec, by: str) -> str:
    return f"sum by ({by}) ({total(spec, 'contract, target', OF_TARGET)} {_TEAM_OF})"


_HELP = Row(
    "Who needs help",
    (
        Panel(
            "Tickets at risk, by the team that holds them",
            "Counted by the `team` field of the ticket, else by the team its contract names. Longest bar: move "
            "people here. "
            "Tickets without a team stand under an empty name.",
            Kind.BARS,
            (Query(f"topk(20, {_alerts(_AT_RISK, 'team')})", "{{team}}"),),
            steps=ANY_IS_WARNING,
            minimum=0,
            no_value="nothing at risk",
        ),
        Panel(
            "Tickets breached and still open, by the team that holds them",
            "They can't be saved any more, but every further hour is seen by the customer.",
            Kind.BARS,
            (Query(f"topk(20, {_alerts(_BREACHED, 'team')})", "{{team}}"),),
            steps=ANY_IS_BAD,
            minimum=0,
            no_value="none",
        ),
        Panel(
            "Where exactly",
            "Alerts by team and contract. A click on a contract shows its targets.",
            Kind.TABLE,
            (
                Query(_alerts(_AT_RISK, "team, contract"), "at risk", steps=ANY_IS_WARNING),
                Query(_alerts(_BREACHED, "team, contract"), "breached, open", steps=ANY_IS_BAD),
            ),
            sort="at risk",
            height=9,
            links=(TO_CONTRACT,),
            no_value="nothing at risk",
        ),
        Panel(
            "At risk over time, by team",
            "A team whose line has risen for hours is short of hands; one whose line is flat at 0 may lend some.",
            Kind.LINES,
            (Query(f"topk(10, {_alerts(_AT_RISK, 'team')})", "{{team}}"),),
            minimum=0,
            height=9,
            no_value="nothing at risk",
        ),
    ),
)

_LOAD = Row(
    "Who has room",
    (
        Panel(
            "Open clocks, by the team that contracts name",
            "The whole queue, whether late or not. Few open clocks and nothing at risk: this team can take work.",
            Kind.LINES,
            (Query(f"topk(10, {_work(catalogue.CLOCKS_OPEN, 'team')})", "{{team}}"),),
            minimum=0,
        ),
        Panel(
            "Share of open clocks at risk or breached, by that team",
            "How much of a queue is late or nearly so: compares large teams with small ones.",
            Kind.LINES,
            (
                Query(
                    f"({_work(catalogue.CLOCKS_AT_RISK, 'team')} + {_work(catalogue.CLOCKS_BREACHED_OPEN, 'team')})"
                    f" / ({_work(catalogue.CLOCKS_OPEN, 'team')} > 0)",
                    "{{team}}",
                ),
            ),
            unit="percentunit",
            minimum=0,
            maximum=1,
        ),
        Panel(
            "Queue by target",
            "Which promise the open work is about. At risk first; a click on a target shows its detail.",
            Kind.TABLE,
            (
                Query(_work(catalogue.CLOCKS_OPEN, "team, service, contract, target"), "open"),
                Query(
                    _work(catalogue.CLOCKS_AT_RISK, "team, service, contract, target"), "at risk", steps=ANY_IS_WARNING
                ),
                Query(
                    _work(catalogue.CLOCKS_BREACHED_OPEN, "team, service, contract, target"),
                    "breached, open",
                    steps=((None, Colour.GOOD), (1, Colour.BAD)),
                ),
            ),
            width=24,
            height=10,
            sort="at risk",
            links=(TO_TARGET,),
        ),
    ),
)

BOARD = Board(
    TEAM_QUEUE,
    "slawatch / Team queue",
    "Which team has work that will be late, and which one has room: who to move where?",
    (_HELP, _LOAD),
    (TEAM, CONTRACT, TARGET),
    (RULE_ALERTS, RELEASES),
)
