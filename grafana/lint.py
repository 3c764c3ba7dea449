"""What must hold for every dashboard: ``python -m grafana.lint`` prints all faults and ends with 1 if there are any.

It reads the files that Grafana reads, not the boards they are written from, so it sees what the rendering does, too.
Grafana's own SDK reads each file and writes it again: a key or a value of a type it does not know is seen there.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from export.catalogue import CATALOGUE, HistogramSpec, MetricSpec
from grafana.build import FOLDER, differences
from grafana.model import DATASOURCE, TAG
from grafana.promql import filled, labels_in, metrics_in, parse_fault, unknown_metrics, variables_in
from grafana.sdk import JSONEncoder, dashboard_model, register_default_plugins, units

RULES = FOLDER.parents[1] / "config" / "prometheus" / "rules"
GRID_WIDTH = 24
PANEL_TYPES = frozenset({"stat", "timeseries", "table", "bargauge", "heatmap", "state-timeline"})
UNITS = frozenset(value for name, value in vars(units).items() if isinstance(value, str) and not name.startswith("_"))
SCRAPE_LABELS = frozenset({"job", "instance", "le", "__name__"})
_LABEL_VALUES = re.compile(r"label_values\((?:(.+), *)?(\w+)\)")
_BOARD_LINK = re.compile(r"/d/([\w-]+)\?")

Document = Mapping[str, Any]


def recorded_names() -> set[str]:
    """Return the names that the recording rules make."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    return {rule["record"] for file in files for group in file["groups"] for rule in group["rules"] if "record" in rule}


def panels_of(document: Document) -> list[dict[str, Any]]:
    """Return all panels, those of collapsed rows and the rows themselves included."""
    return [inner for panel in document["panels"] for inner in (panel, *panel.get("panels", []))]


def queries_of(document: Document) -> Iterator[tuple[str, str]]:
    """Yield where it stands and the expression of every query: panels, annotations, variables."""
    for panel in panels_of(document):
        for target in panel.get("targets", []):
            yield f"panel {panel['title']!r} {target['refId']}", target["expr"]
    for annotation in document["annotations"]["list"]:
        yield f"annotation {annotation['name']!r}", annotation["expr"]
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
            yield f"variable {variable['name']!r}", (found[1] if found else "") or ""


def faults_of(document: Document, boards: Mapping[str, Document], recorded: set[str]) -> list[str]:
    """Return the faults of one board, each in one line.

    Parameters
    ----------
    boards : mapping of str to document
        All boards by uid, to which links may lead.
    recorded : set of str
        Names of recording rules.
    """
    return [
        *_head_faults(document),
        *_panel_faults(document),
        *_grid_faults(document),
        *_variable_faults(document),
        *_query_faults(document, recorded),
        *_link_faults(document, boards),
        *_round_trip_faults(document),
    ]


def _head_faults(document: Document) -> Iterator[str]:
    if not re.fullmatch(r"slawatch-[a-z-]{1,31}", document["uid"]):
        yield f"uid {document['uid']!r}: slawatch-<name>, at most 40 characters"
    for key in ("title", "description"):
        if not document.get(key):
            yield f"no {key}"
    if TAG not in document["tags"]:
        yield f"no tag {TAG!r}: the links of the other boards miss it"
    if document["editable"]:
        yield "editable: what is changed by hand is lost"
    if not document["annotations"]["list"]:
        yield "no annotations"
    for annotation in document["annotations"]["list"]:
        if annotation["datasource"]["uid"] != DATASOURCE:
            yield f"annotation {annotation['name']!r}: its data source is not the one chosen"


def _panel_faults(document: Document) -> Iterator[str]:
    panels = panels_of(document)
    for number, times in Counter(panel.get("id") for panel in panels).items():
        if not number or times > 1:
            yield f"id {number!r} of {times} panels"
    for title, times in Counter(panel["title"] for panel in panels).items():
        if not title or times > 1:
            yield f"title {title!r} of {times} panels"
    for panel in panels:
        if panel["type"] == "row":
            continue
        where = f"panel {panel['title']!r}"
        if panel["type"] not in PANEL_TYPES:
            yield f"{where}: unknown type {panel['type']!r}"
        if len(panel.get("description", "")) < len("Open clocks."):
            yield f"{where}: no description"
        if panel["datasource"]["uid"] != DATASOURCE:
            yield f"{where}: its data source is not the one chosen"
        if not panel.get("targets"):
            yield f"{where}: no query"
        yield from (f"{where}: {fault}" for fault in _field_faults(panel))


def _field_faults(panel: Document) -> Iterator[str]:
    defaults, overrides = panel["fieldConfig"]["defaults"], panel["fieldConfig"]["overrides"]
    named = [item["value"] for override in overrides for item in override["properties"] if item["id"] == "unit"]
    for unit in (defaults.get("unit"), *named):
        if unit not in UNITS:
            yield f"unknown unit {unit!r}"
    if not defaults.get("noValue"):
        yield "says nothing when there is no data"
    steps = defaults.get("thresholds", {}).get("steps", [])
    values = [step["value"] for step in steps]
    if values and (values[0] is not None or values[1:] != sorted(values[1:])):
        yield f"thresholds {values} don't begin with null and ascend"
    dashed = panel["fieldConfig"]["defaults"].get("custom", {}).get("thresholdsStyle", {}).get("mode", "off") != "off"
    if len(steps) > 1 and panel["type"] == "timeseries" and not dashed:
        yield "thresholds that are colours only"
    for mapping in defaults.get("mappings", []):
        if not all(result.get("text") for result in mapping["options"].values()):
            yield "a value is mapped to a colour without a word"
    references = [target["refId"] for target in panel.get("targets", [])]
    if len(set(references)) < len(references):
        yield "two queries of one name"


def _grid_faults(document: Document) -> Iterator[str]:
    places = [(panel["title"], panel["gridPos"]) for panel in panels_of(document)]
    for title, at in places:
        if at["x"] < 0 or at["w"] < 1 or at["x"] + at["w"] > GRID_WIDTH:
            yield f"panel {title!r} leaves the grid"
    for (one, a), (other, b) in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        if not beside and not below:
            yield f"panels {one!r} and {other!r} overlap"


def _variable_faults(document: Document) -> Iterator[str]:
    variables = document["templating"]["list"]
    names = [variable["name"] for variable in variables]
    if names[:1] != ["datasource"] or variables[0]["type"] != "datasource":
        yield "the first choice is not the data source"
    used = variables_in(json.dumps(document))
    for name in sorted(used - set(names)):
        yield f"variable {name!r} is used and not defined"
    for name in sorted(set(names) - used):
        yield f"variable {name!r} is defined and not used"
    for place, variable in enumerate(variables):
        if variable["type"] != "query":
            continue
        where = f"variable {variable['name']!r}"
        if not _LABEL_VALUES.fullmatch(variable["query"]["query"]):
            yield f"{where}: not of the form label_values(series, label)"
        if variable["refresh"] != 2:
            yield f"{where}: not read again when the time changes"
        if not variable.get("description") or not variable.get("label"):
            yield f"{where}: no label or no description"
        for later in sorted(variables_in(variable["query"]["query"]) - set(names[:place])):
            yield f"{where}: {later!r} is chosen after it"


def _query_faults(document: Document, recorded: set[str]) -> Iterator[str]:
    for where, expr in queries_of(document):
        fault = parse_fault(expr)
        if fault:
            yield f"{where}: {fault}: {filled(expr)}"
            continue
        try:
            for name in sorted(unknown_metrics(metrics_in(expr), recorded)):
                yield f"{where}: no metric {name}"
        except ValueError as error:
            yield f"{where}: {error}"
        for name, labels in labels_in(expr).items():
            spec = _spec_of(name)
            if spec is not None:
                for label in sorted(labels - set(spec.labels) - SCRAPE_LABELS):
                    yield f"{where}: {name} has no label {label}"
                if spec.type == "counter" and not re.search(rf"(?:rate|increase)\({name}\b", expr):
                    yield f"{where}: the counter {name} without rate or increase"


def _spec_of(name: str) -> MetricSpec | None:
    spec = CATALOGUE.get(name) or CATALOGUE.get(re.sub(r"_(bucket|sum|count)$", "", name))
    return spec if spec is None or spec.name == name or isinstance(spec, HistogramSpec) else None


def _link_faults(document: Document, boards: Mapping[str, Document]) -> Iterator[str]:
    listed = [link for link in document.get("links", []) if link["type"] == "dashboards"]
    if not any(TAG in link["tags"] and link["keepTime"] and link["includeVars"] for link in listed):
        yield "no links to the other boards that keep time and choices"
    text = json.dumps(document)
    for uid in sorted(set(_BOARD_LINK.findall(text))):
        board = boards.get(uid)
        if board is None:
            yield f"a link leads to {uid!r}, which is no board"
            continue
        names = {variable["name"] for variable in board["templating"]["list"]}
        for url in re.findall(rf'/d/{uid}\?[^"]*', text):
            for name in sorted(set(re.findall(r"&var-(\w+)=", url)) - names):
                yield f"a link chooses {name!r} on {uid!r}, which has no such choice"


def _round_trip_faults(document: Document) -> Iterator[str]:
    register_default_plugins()
    try:
        again = json.loads(JSONEncoder().encode(dashboard_model.Dashboard.from_json(dict(document))))
    except (KeyError, TypeError, ValueError) as error:
        yield f"Grafana's SDK can't read it: {error!r}"
        return
    yield from (f"Grafana's SDK does not know {path}" for path in _lost(document, again))


def _lost(before: Any, after: Any, path: str = "$") -> Iterator[str]:
    """Yield the places of what is in one document and not in another; what was added has defaults and is no fault."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key, value in before.items():
            if key in after:
                yield from _lost(value, after[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _lost(one, other, f"{path}[{place}]")
    elif before != after:
        yield f"{path} = {before!r}"


def lint(paths: Sequence[Path]) -> list[str]:
    """Return the faults of dashboard files, each with its file."""
    boards = {path: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    by_uid = {document["uid"]: document for document in boards.values()}
    faults = [f"{uid!r} is the uid of several files" for uid in by_uid if len(by_uid) < len(boards)][:1]
    recorded = recorded_names()
    for path, document in boards.items():
        faults += [f"{path.name}: {fault}" for fault in faults_of(document, by_uid, recorded)]
    return faults


def main() -> int:
    """Lint the dashboards of the tree; return the exit code."""
    faults = [f"{path.name}: differs from what its board says; make dashboards" for path in differences()]
    faults += lint(sorted(FOLDER.glob("*.json")))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    if not faults:
        sys.stdout.write(f"{len(list(FOLDER.glob('*.json')))} dashboards are in order\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
