"""PromQL for boards: built from the catalogue, so that no partition is counted twice, and taken apart for checks."""

from __future__ import annotations

import re
from collections.abc import Iterable

import promql_parser

from export.catalogue import CATALOGUE, CounterSpec, GaugeSpec, HistogramSpec

RATE_INTERVAL = "$__rate_interval"

OUTSIDE_METRICS = frozenset(
    {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
    | {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds"}
)
"""Metrics that Prometheus itself or the Prometheus client makes."""

_PLACEHOLDERS = {
    "$__rate_interval": "5m",
    "$__interval": "1m",
    "$__range": "6h",
}
_VARIABLE = re.compile(r"\$\{(\w+)(?::\w+)?\}|\$(\w+)")


def once(spec: GaugeSpec, match: str = "") -> str:
    """Return a gauge counted once per partition: right after a move two workers may expose the same one.

    Parameters
    ----------
    match : str
        Label matchers, without braces.
    """
    selector = f"{spec.name}{{{match}}}" if match else spec.name
    return f"max by ({', '.join(spec.labels)}) ({selector})"


def total(spec: GaugeSpec, by: str = "", match: str = "") -> str:
    """Return the sum of a gauge over everything but the labels of ``by``."""
    return f"sum{f' by ({by})' if by else ''} ({once(spec, match)})"


def largest(spec: GaugeSpec, by: str = "", match: str = "") -> str:
    """Return the largest value of a gauge for each combination of the labels of ``by``."""
    selector = f"{spec.name}{{{match}}}" if match else spec.name
    return f"max{f' by ({by})' if by else ''} ({selector})"


def rate(spec: CounterSpec, by: str = "", match: str = "", over: str = RATE_INTERVAL) -> str:
    """Return the rate per second of a counter, summed over workers."""
    return f"sum{f' by ({by})' if by else ''} (rate({spec.name}{{{match}}}[{over}]))"


def increase(spec: CounterSpec, by: str = "", match: str = "", over: str = RATE_INTERVAL) -> str:
    """Return how much a counter grew, summed over workers."""
    return f"sum{f' by ({by})' if by else ''} (increase({spec.name}{{{match}}}[{over}]))"


def quantile(share: float, spec: HistogramSpec, by: str = "", match: str = "") -> str:
    """Return a quantile of a histogram over all workers."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({spec.name}_bucket{{{match}}}[{RATE_INTERVAL}])))"


# --- taken apart -----------------------------------------------------------------------------------------------------


def variables_in(text: str) -> set[str]:
    """Return the names of the dashboard variables in a text, Grafana's own (``__...``) left out."""
    names = {braced or plain for braced, plain in _VARIABLE.findall(text)}
    return {name for name in names if not name.startswith("__")}


def filled(expr: str) -> str:
    """Return an expression with intervals for Grafana's own variables, and ``.*`` for those of the board."""
    for name, value in _PLACEHOLDERS.items():
        expr = expr.replace(name, value)
    return _VARIABLE.sub(".*", expr)


def parse_fault(expr: str) -> str:
    """Return what is wrong with an expression as PromQL, types included; empty if nothing is."""
    try:
        promql_parser.parse(filled(expr))
    except ValueError as error:
        return str(error)
    return ""


def metrics_in(expr: str) -> set[str]:
    """Return the names of all metrics that an expression selects.

    Raises
    ------
    ValueError
        If it is no PromQL, or selects series by no name of a metric, or by a pattern that no metric has.
    """
    names: set[str] = set()
    for selector in _selectors(promql_parser.parse(filled(expr))):
        found = {selector.name} if selector.name else _by_pattern(selector)
        if not found:
            raise ValueError(f"it selects series by no name of a metric: {expr}")
        names |= found
    return names


def _by_pattern(selector: promql_parser.VectorSelector) -> set[str]:
    patterns = [matcher.value for matcher in selector.matchers.matchers if matcher.name == "__name__"]
    return {name for name in CATALOGUE if any(re.fullmatch(pattern, name) for pattern in patterns)}


def labels_in(expr: str) -> dict[str, set[str]]:
    """Return the labels that an expression matches, by metric."""
    found: dict[str, set[str]] = {}
    for selector in _selectors(promql_parser.parse(filled(expr))):
        found.setdefault(selector.name or "", set()).update(matcher.name for matcher in selector.matchers.matchers)
    return found


def _selectors(expr: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    match expr:
        case promql_parser.VectorSelector():
            return [expr]
        case promql_parser.MatrixSelector():
            return [expr.vector_selector]
        case promql_parser.BinaryExpr():
            return _selectors(expr.lhs) + _selectors(expr.rhs)
        case promql_parser.AggregateExpr():
            inside = [expr.expr] + ([] if expr.param is None else [expr.param])
        case promql_parser.Call():
            inside = list(expr.args)
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            inside = [expr.expr]
        case _:
            inside = []
    return [selector for part in inside for selector in _selectors(part)]


def unknown_metrics(names: Iterable[str], recorded: Iterable[str] = ()) -> set[str]:
    """Return the names that neither the catalogue, nor a recording rule, nor Prometheus itself makes."""
    known = set(OUTSIDE_METRICS) | set(recorded)
    for spec in CATALOGUE.values():
        if isinstance(spec, HistogramSpec):
            known |= {f"{spec.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
        else:
            known.add(spec.name)
    return set(names) - known
