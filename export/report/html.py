"""A report as one HTML page: inline styles and plots, nothing to load, made to be printed as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from export.report.markup import Markup, element, joined
from export.report.page_style import STYLE
from export.report.plots import burn_plot, meter, trend_plot
from export.report.wording import (
    SIGNAL_WORDS,
    budget_words,
    cause_words,
    counted,
    duration,
    events_words,
    index_words,
    instant,
    percent,
    promise_words,
    state_word,
    verdict_css,
    verdict_word,
)
from sla.report import Breach, ContractReport, ObjectiveReport, Report
from sla.statement import Counting
from sla.watermelon import RED_FROM

MOST_BREACHES: Final = 40
"""Breaches listed per objective; every one of them stands in the CSV and JSON forms."""

MOST_PARTIES: Final = 12
"""Parties listed per objective, those with most breaches first."""

_SIGNS: Final = {"good": "✓", "bad": "✕", "none": "–"}


def html_of(report: Report) -> str:
    """Return the whole page."""
    title = f"Service report {report.period.name}"
    head = element(
        "head",
        element("meta", attributes={"charset": "utf-8"}),
        element("meta", attributes={"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("title", title),
        Markup(f"<style>{STYLE}</style>"),
    )
    body = element(
        "body",
        element("header", _heading(report, title)),
        element(
            "main", _summary(report), joined(_contract(contract) for contract in report.contracts), _adjustments(report)
        ),
        element("footer", _reading_help()),
    )
    return f"<!doctype html>\n{element('html', head, body, attributes={'lang': 'en'})}\n"


def _heading(report: Report, title: str) -> Markup:
    told = f"Numbers as of {instant(report.as_of_ms, 'UTC')} UTC"
    if report.source:
        told += f", {report.source}"
    return joined([element("h1", title), element("p", told, css="lead")])


# --- summary ---


def _summary(report: Report) -> Markup:
    objectives = report.objectives
    if not objectives:
        return element("p", "No contract has an objective in this period.")
    states = [objective.statement.is_met for objective in objectives]
    tiles = [
        _tile(str(states.count(True)), "attained", "good"),
        _tile(str(states.count(False)), "missed or below target", "bad"),
        _tile(str(states.count(None)), "without data", "none"),
        *(_tile(f"{money.amount:,f}", f"{money.currency} credits", "none") for money in report.credits_due),
    ]
    if watermelons := sum(objective.is_watermelon for objective in objectives):
        tiles.append(_tile(str(watermelons), "green and unhappy", "bad"))
    rows = [
        [
            _link(objective),
            contract.id,
            promise_words(objective.statement),
            percent(objective.statement.budget.attained_ratio),
            f"{objective.statement.budget.bad:,} / {objective.statement.budget.events:,}",
            budget_words(objective.statement),
            _credit_cell(objective),
            _badge(objective),
        ]
        for contract in report.contracts
        for objective in contract.objectives
    ]
    names = ["Objective", "Contract", "Promised", "#Attained", "#Bad / all", "Error budget", "#Credit", "Result"]
    return joined(
        [
            element("div", tiles, css="tiles"),
            element("h2", "Summary"),
            _table(names, rows, caption="Every objective of the period"),
        ]
    )


def _tile(number: str, words: str, css: str) -> Markup:
    return element("div", element("b", number), element("span", words), css=f"tile {css}")


def _badge(objective: ObjectiveReport) -> Markup:
    css = verdict_css(objective.statement)
    badge = element("span", f"{_SIGNS[css]} {verdict_word(objective.statement)}", css=f"badge {css}")
    unhappy = element("span", "◐ unhappy", css="badge bad") if objective.is_watermelon else None
    return joined([badge, unhappy], " ")


def _link(objective: ObjectiveReport) -> str | Markup:
    name = objective.statement.terms.objective
    return element("a", name, attributes={"href": f"#{_anchor(objective)}"}) if objective.has_news else name


def _credit_cell(objective: ObjectiveReport) -> str:
    credit = objective.statement.credit
    return "–" if credit is None else str(credit.amount)


# --- objectives ---


def _contract(contract: ContractReport) -> Markup:
    told = f"{contract.type.value.upper()} of {contract.provider}; owner {contract.owner}"
    return element(
        "section",
        element("h2", contract.id),
        element("p", told, css="lead"),
        joined(_objective(objective) for objective in contract.with_news),
        element("p", f"No data: {', '.join(contract.silent)}.", css="lead") if contract.silent else None,
    )


def _objective(objective: ObjectiveReport) -> Markup:
    statement = objective.statement
    promise, budget = statement.terms, statement.budget
    anchor = _anchor(objective)
    facts = [
        ("Promised", promise_words(statement)),
        ("Attained", f"{percent(budget.attained_ratio, 3)} of {budget.events:,}" if budget.events else "no data"),
        ("Error budget", budget_words(statement)),
        ("Statement", state_word(objective)),
        ("Contract revision", str(promise.revision)),
    ]
    if promise.counting is not Counting.CLOCKS and budget.remaining_minutes is not None:
        left = f"{float(budget.remaining_minutes):,.1f} of {float(budget.allowed_minutes):,.1f} min left"
        facts.append(("Budget as time", left))
    if objective.open_clocks:
        facts.append(("Still open", counted(objective.open_clocks, "clock")))
    facts += _credit_facts(objective)
    plots = []
    if any(point.attained is not None for point in objective.trend):
        plot = trend_plot(objective.trend, promise.attain, anchor)
        plots.append(element("figure", plot, _caption("Attained per period")))
    if objective.days and budget.events:
        bad_word = events_words(statement)[1]
        plot = burn_plot(objective.days, promise.attain, promise.timezone, anchor, bad_word)
        plots.append(element("figure", plot, _caption(f"{bad_word.capitalize()}, added up, and what is allowed")))
    return element(
        "article",
        element("h3", f"{promise.objective} ", element("small", promise.subject), " ", _badge(objective)),
        _warning(objective),
        element("dl", joined(_fact(*fact) for fact in facts), css="facts"),
        element("div", plots, css="plots") if plots else None,
        _breaches(objective),
        _watermelon(objective),
        _corrections(objective),
        attributes={"id": anchor},
    )


def _credit_facts(objective: ObjectiveReport) -> Iterator[tuple[str, str]]:
    credit = objective.statement.credit
    if credit is None:
        return
    name = "Credit" if objective.statement.state.value == "final" else "Credit so far"
    parts = [str(credit.amount)]
    if credit.tier is not None:
        parts.append(f"tier below {percent(credit.tier.below)}: {percent(credit.tier.credit, 0)}")
    if credit.of_breaches.amount:
        parts.append(f"{credit.of_breaches} for breaches")
    if credit.is_capped:
        parts.append("capped")
    if credit.is_below_minimum:
        parts.append("below the minimum that is paid")
    yield name, "; ".join(parts)
    if credit.bad_until_next_tier is not None and objective.statement.state.value != "final":
        yield "Next tier", f"{credit.bad_until_next_tier:,} more bad events away"


def _warning(objective: ObjectiveReport) -> Markup | None:
    if objective.issued_matches:
        return None
    told = "The statement published last says other numbers than the verdicts in force now."
    return element("p", told, css="warning")


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", value))


def _caption(words: str) -> Markup:
    return element("figcaption", words)


def _breaches(objective: ObjectiveReport) -> Markup | None:
    if not objective.breaches:
        return None
    timezone = objective.statement.terms.timezone
    listed = breaches_listed(objective)
    rows = [
        [
            breach.verdict.ticket,
            instant(breach.verdict.start_ms, timezone),
            instant(breach.verdict.deadline_ms, timezone),
            instant(breach.verdict.stop_ms, timezone) if breach.verdict.stop_ms is not None else "open",
            duration(breach.over_ms),
            cause_words(breach),
        ]
        for breach in listed
    ]
    number = len(objective.breaches)
    title = f"Breaches ({number:,})"
    told = None
    if len(listed) < number:
        told = element("p", f"The {len(listed)} that ran over most; all are in the CSV and JSON forms.", css="lead")
    names = ["Ticket", "Start", "Deadline", "Stop", "#Over", "Held longest by"]
    parties = [
        [party.party, f"{party.breaches:,}", duration(party.counted_ms), duration(party.paused_ms)]
        for party in objective.parties[:MOST_PARTIES]
    ]
    return joined(
        [
            element("h4", "Who held breached tickets") if parties else None,
            _table(
                ["Party", "#Breaches it held longest", "#Time that counted", "#Time paused"],
                parties,
                caption="Parties of all breaches of the period",
            )
            if parties
            else None,
            element("h4", title),
            told,
            _table(names, rows, caption=f"Breached clocks, times in {timezone}"),
        ]
    )


def breaches_listed(objective: ObjectiveReport) -> list[Breach]:
    """Return the breaches that a page lists: those that ran over most, clocks that still run first."""
    return sorted(objective.breaches, key=_by_overrun)[:MOST_BREACHES]


def _by_overrun(breach: Breach) -> tuple[int, int]:
    over_ms = breach.over_ms
    return (-(2**62) if over_ms is None else -over_ms, breach.verdict.deadline_ms)


def _watermelon(objective: ObjectiveReport) -> Markup | None:
    found = objective.watermelon
    if found is None or found.index is None:
        return None
    rows = [
        [
            SIGNAL_WORDS[part.signal],
            f"{part.bad:,} of {part.of:,}" if part.of else "no data",
            joined([meter(float(part.share), f"{percent(part.share, 1)}"), " ", percent(part.share, 1)])
            if part.share is not None
            else "–",
            percent(part.weight, 1),
        ]
        for part in found.signals
    ]
    told = f"Index {index_words(found)}: the weighted mean of these signals. "
    if found.mean_satisfaction is not None:
        told += f"Mean satisfaction {percent(found.mean_satisfaction, 1)}. "
    told += f"From {percent(RED_FROM, 0)} on an attained objective is green and unhappy."
    return joined(
        [
            element("h4", "Watermelon index"),
            element("p", told, css="lead"),
            _table(["Signal", "#Seen", "Share", "#Weight"], rows, caption="What the index is made of"),
        ]
    )


def _corrections(objective: ObjectiveReport) -> Markup | None:
    if not objective.corrections:
        return None
    timezone = objective.statement.terms.timezone
    rows = [
        [
            correction.before.clock_id,
            f"{correction.before.result.value}, {instant(correction.before.decided_at_ms, timezone)}",
            "never was"
            if correction.after is None
            else f"{correction.after.result.value}, {instant(correction.after.decided_at_ms, timezone)}",
        ]
        for correction in objective.corrections[:MOST_BREACHES]
    ]
    return joined(
        [
            element("h4", f"Corrections ({len(objective.corrections):,})"),
            _table(["Clock", "Was", "Is"], rows, caption="Verdicts that changed after they were published"),
        ]
    )


def _adjustments(report: Report) -> Markup | None:
    if not report.adjustments:
        return None
    rows = [
        [
            adjustment.id + (" (revoked)" if adjustment.revoked else ""),
            f"{adjustment.service}: {adjustment.kind.value}",
            f"{instant(adjustment.start_ms, 'UTC')} to {instant(adjustment.end_ms, 'UTC')}",
            adjustment.counts_as.value,
            f"{adjustment.recorded_by}, {instant(adjustment.recorded_at_ms, 'UTC')}",
            adjustment.reason + (f" ({adjustment.reference})" if adjustment.reference else ""),
        ]
        for adjustment in report.adjustments
    ]
    return element(
        "section",
        element("h2", "Maintenance and outage corrections"),
        _table(
            ["Adjustment", "What", "When (UTC)", "Counts as", "By", "Why"], rows, caption="Adjustments of the period"
        ),
    )


# --- parts ---


def _table(names: Sequence[str], rows: Iterable[Sequence[str | Markup]], caption: str) -> Markup:
    """Return a table; columns whose name begins with ``#`` hold numbers. The first cell of a row is its heading."""
    numeric = [name.startswith("#") for name in names]
    head = element(
        "tr",
        [
            element("th", name.removeprefix("#"), attributes={"scope": "col"}, css="number" if is_number else None)
            for name, is_number in zip(names, numeric, strict=True)
        ],
    )
    body = []
    for row in rows:
        cells = [element("th", row[0], attributes={"scope": "row"})]
        cells += [
            element("td", cell, css="number" if is_number else None)
            for cell, is_number in zip(row[1:], numeric[1:], strict=True)
        ]
        body.append(element("tr", cells))
    css = "short" if len(body) <= MOST_PARTIES else None  # a page break would tear it for nothing
    return element("table", element("caption", caption), element("thead", head), element("tbody", body), css=css)


def _anchor(objective: ObjectiveReport) -> str:
    return f"o-{objective.statement.terms.objective}"


def _reading_help() -> Markup:
    return element(
        "p",
        "A clock counts in the period in which it was decided: when it stopped if it was met, at its deadline if it "
        "was breached. Shares are sums of events divided once and rounded down. The error budget is what the promise "
        "allows to go wrong; it is negative when overspent. Provisional numbers may change until the grace for late "
        "data is over.",
    )
