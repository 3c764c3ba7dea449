"""The dashboards are what their boards say, and the lint refuses what Grafana would show wrongly or not at all."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from export import catalogue
from grafana import build
from grafana.boards import ALL
from grafana.lint import FOLDER, faults_of, lint, panels_of, queries_of, recorded_names
from grafana.model import Board, Kind, Panel
from grafana.promql import increase, metrics_in, once, parse_fault, quantile, rate, total, unknown_metrics, variables_in
from grafana.render import document, render

ROOT = Path(__file__).parents[2]
FILES = sorted(FOLDER.glob("*.json"))
BOARDS = {board.uid: document(board) for board in ALL}
GOOD = BOARDS["slawatch-sla"]
EVERY_BOARD = pytest.mark.parametrize("board", ALL, ids=lambda board: board.uid)
EVERY_PANEL = pytest.mark.parametrize(
    "panel", [pytest.param(panel, id=f"{board.uid}: {panel.title}") for board in ALL for panel in board.panels]
)


# --- the tree ----------------------------------------------------------------------------------------------------------


def test_the_files_in_the_tree_are_what_their_boards_say() -> None:
    assert build.differences() == [], "make dashboards"


@EVERY_BOARD
def test_the_same_board_is_the_same_bytes(board: Board) -> None:
    assert render(board) == render(board)


def test_no_file_has_a_fault() -> None:
    assert len(FILES) == len(ALL)
    assert lint(FILES) == []


def test_a_file_that_is_missing_changed_or_superfluous_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    assert len(build.differences()) == len(ALL)
    build.write()
    assert build.differences() == []
    changed, other = tmp_path / f"{ALL[0].uid}.json", tmp_path / "old.json"
    changed.write_text(changed.read_text() + " ")
    other.write_text("{}")
    assert build.differences() == sorted([changed, other])
    build.write()
    assert build.differences() == []


def test_a_uid_is_told_when_two_files_have_it(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps(GOOD))
    assert any("of several files" in fault for fault in lint(sorted(tmp_path.glob("*.json"))))


# --- boards ------------------------------------------------------------------------------------------------------------


@EVERY_PANEL
def test_a_panel_says_how_to_read_it_and_a_colour_has_words(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert len(panel.description.split()) >= 3
    for words in (panel.words, *(query.words for query in panel.queries)):
        assert all(text for text, _ in words.values())


@EVERY_PANEL
def test_a_panel_can_be_read_on_a_wall_and_lines_have_names(panel: Panel) -> None:
    assert panel.width >= (4 if panel.kind is Kind.STAT else 6)
    assert panel.height >= 4
    if len(panel.queries) > 1:
        legends = [query.legend for query in panel.queries]
        assert all(legends)
        assert len(set(legends)) == len(legends)


def test_every_board_is_reached_from_another_and_leads_to_all() -> None:
    linked = {link.board for board in ALL for panel in board.panels for link in panel.links if link.board != board.uid}
    assert linked <= BOARDS.keys()
    assert {"slawatch-sla", "slawatch-objectives", "slawatch-team-queue", "slawatch-pipeline"} <= linked
    for board in BOARDS.values():
        assert [(link["tags"], link["keepTime"], link["includeVars"]) for link in board["links"]] == [
            (["slawatch"], True, True)
        ]


def test_a_gauge_of_a_partition_is_never_summed_over_workers() -> None:
    owned = {name for name, spec in catalogue.CATALOGUE.items() if spec.partition_owned}
    for board in BOARDS.values():
        for where, expr in queries_of(board):
            for name in owned & metrics_in(expr):
                assert f"sum ({name}" not in expr, where
                assert not any(f"sum by ({by}) ({name}" in expr for by in ("contract", "topic", "team")), where


def test_most_of_the_catalogue_is_on_some_board() -> None:
    shown = {name for board in BOARDS.values() for _, expr in queries_of(board) for name in metrics_in(expr)}
    suffixes = ("_bucket", "_sum", "_count")
    shown |= {name.removesuffix(suffix) for name in shown for suffix in suffixes}
    missing = catalogue.CATALOGUE.keys() - shown
    assert len(missing) <= len(catalogue.CATALOGUE) / 10, f"no board shows {sorted(missing)}"


def test_grafana_finds_the_boards_and_their_data_source() -> None:
    provider = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/slawatch.yml").read_text(encoding="utf-8"))
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    [only] = provider["providers"]
    grafana = compose["services"]["grafana"]
    assert f"./grafana/dashboards:{only['options']['path']}:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (FOLDER / home.removeprefix(f"{only['options']['path']}/")).exists()


# --- what the lint refuses ---------------------------------------------------------------------------------------------


def first(board: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(panel for panel in panels_of(board) if panel["type"] == kind)


def titled(board: dict[str, Any], title: str) -> dict[str, Any]:
    [panel] = [panel for panel in panels_of(board) if panel["title"] == title]
    return panel


def field(panel: dict[str, Any]) -> dict[str, Any]:
    return panel["fieldConfig"]["defaults"]


def with_expr(expr: str) -> Callable[[dict[str, Any]], object]:
    return lambda board: first(board, "stat")["targets"][0].update(expr=expr)


MUTATIONS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "an unknown key of the board": (lambda b: b.update(colour="red"), r"does not know \$.colour"),
    "an unknown key of a panel's options": (
        lambda b: first(b, "timeseries")["options"].update(legnd={}),
        "does not know",
    ),
    "a uid of another kind": (lambda b: b.update(uid="Overview"), "uid 'Overview'"),
    "a board without a description": (lambda b: b.update(description=""), "no description"),
    "a board that can be edited": (lambda b: b.update(editable=True), "editable"),
    "a board without its tag": (lambda b: b.update(tags=[]), "no tag"),
    "two panels of one id": (lambda b: first(b, "stat").update(id=1), "id 1 of 2 panels"),
    "a panel without an id": (lambda b: first(b, "stat").pop("id"), "id None"),
    "two panels of one title": (lambda b: first(b, "stat").update(title="Verdicts by outcome"), "of 2 panels"),
    "a panel without a description": (lambda b: first(b, "stat").update(description=""), "no description"),
    "panels that overlap": (lambda b: first(b, "table")["gridPos"].update(y=1), "overlap"),
    "a panel outside of the grid": (lambda b: first(b, "stat")["gridPos"].update(x=23), "leaves the grid"),
    "a panel of an unknown type": (lambda b: first(b, "stat").update(type="singlestat"), "unknown type"),
    "an unknown unit": (lambda b: field(first(b, "stat")).update(unit="percents"), "unknown unit"),
    "a fixed data source": (
        lambda b: first(b, "stat").update(datasource={"type": "prometheus", "uid": "P1"}),
        "not the one chosen",
    ),
    "nothing said without data": (lambda b: field(first(b, "stat")).pop("noValue"), "says nothing"),
    "thresholds out of order": (
        lambda b: field(first(b, "stat")).update(
            thresholds={"mode": "absolute", "steps": [{"value": 1, "color": "red"}, {"value": None, "color": "green"}]}
        ),
        "don't begin with null",
    ),
    "a limit that is a colour only": (
        lambda b: field(titled(b, "Error budget left"))["custom"].update(thresholdsStyle={"mode": "off"}),
        "colours only",
    ),
    "a variable that is not defined": (with_expr("up{job=~'$nothing'}"), "'nothing' is used and not defined"),
    "a variable that is not used": (
        lambda b: b["templating"]["list"].append({**b["templating"]["list"][1], "name": "spare"}),
        "'spare' is defined and not used",
    ),
    "a choice that comes after its use": (
        lambda b: b["templating"]["list"].append(b["templating"]["list"].pop(1)),
        "'team' is chosen after it",
    ),
    "PromQL that does not parse": (with_expr("sum(up"), "unclosed"),
    "PromQL of a wrong type": (with_expr("rate(up)"), "expected type"),
    "an unknown metric": (with_expr("slawatch_nothing"), "no metric slawatch_nothing"),
    "an unknown label": (with_expr('sla_clocks_open{colour="red"}'), "has no label colour"),
    "a counter without a rate": (with_expr("sum(slawatch_events_total)"), "without rate or increase"),
    "series without a name": (with_expr('{job="slawatch"}'), "by no name of a metric"),
    "a link to nowhere": (
        lambda b: field(first(b, "stat")).update(links=[{"title": "x", "url": "/d/slawatch-none?a"}]),
        "'slawatch-none', which is no board",
    ),
    "a link that chooses what is not there": (
        lambda b: field(first(b, "stat")).update(links=[{"title": "x", "url": "/d/slawatch-pipeline?&var-team=A"}]),
        "chooses 'team'",
    ),
    "no links to the others": (lambda b: b.update(links=[]), "no links to the other boards"),
    "no annotations": (lambda b: b["annotations"].update(list=[]), "no annotations"),
}


@pytest.mark.parametrize("what", MUTATIONS)
def test_the_lint_tells(what: str) -> None:
    mutate, expected = MUTATIONS[what]
    assert faults_of(GOOD, BOARDS, recorded_names()) == []
    board = copy.deepcopy(GOOD)
    mutate(board)
    faults = faults_of(board, BOARDS, recorded_names())
    assert any(re.search(expected, fault) for fault in faults), faults


# --- PromQL ------------------------------------------------------------------------------------------------------------


def test_queries_are_built_from_the_catalogue() -> None:
    place = "contract, target, topic, partition"
    assert once(catalogue.CLOCKS_OPEN) == f"max by ({place}) (sla_clocks_open)"
    assert total(catalogue.CLOCKS_OPEN, "contract", 'target="t"') == (
        f'sum by (contract) (max by ({place}) (sla_clocks_open{{target="t"}}))'
    )
    assert rate(catalogue.EVENTS_TOTAL, "topic") == "sum by (topic) (rate(slawatch_events_total{}[$__rate_interval]))"
    for expr in (
        increase(catalogue.EVENTS_TOTAL, over="1h"),
        quantile(0.9, catalogue.STATE_WRITE_SECONDS),
        quantile(0.9, catalogue.STEP_DURATION_SECONDS, "kind"),
    ):
        assert parse_fault(expr) == ""


def test_metrics_are_found_wherever_they_stand() -> None:
    expr = (
        'label_replace(topk(3, -max_over_time(a[1h:1m])) / on (x) group_left () (b{k="v"} > bool 0) or '
        'absent(c) unless quantile_over_time(0.5, d[5m]), "n", "$1", "k", "(.*)") + ({__name__=~"sla_(target|objective)_info"})'
    )
    assert metrics_in(expr) == {"a", "b", "c", "d", "sla_target_info", "sla_objective_info"}
    assert unknown_metrics({"a", "up", "sla_clocks_open", "slawatch_state_write_seconds_bucket"}, {"a"}) == set()
    assert unknown_metrics({"slawatch_state_write_seconds", "sla_clocks"}) == {
        "slawatch_state_write_seconds",
        "sla_clocks",
    }


def test_variables_are_found_in_both_spellings_and_grafanas_own_left_out() -> None:
    assert variables_in("$a ${b} ${c:regex} ${__url_time_range} $__rate_interval {{d}}") == {"a", "b", "c"}
