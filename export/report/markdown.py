"""A report as Markdown, for wikis, merge requests and mail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from export.report.html import MOST_BREACHES, breaches_listed
from export.report.wording import (
    SIGNAL_WORDS,
    budget_words,
    cause_words,
    duration,
    index_words,
    instant,
    percent,
    promise_words,
    state_word,
    verdict_word,
)
from sla.report import ContractReport, ObjectiveReport, Report

_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>|~#!])")


def markdown_of(report: Report) -> str:
    """Return the report as GitHub-flavoured Markdown; names from outside are escaped."""
    lines = [f"# Service report {report.period.name}", ""]
    told = f"Numbers as of {instant(report.as_of_ms, 'UTC')} UTC"
    if report.source:
        told += f", {_escaped(report.source)}"
    lines += [f"{told}.", ""]
    rows = [
        [
            _escaped(objective.statement.terms.objective),
            _escaped(contract.id),
            promise_words(objective.statement),
            percent(objective.statement.budget.attained_ratio),
            f"{objective.statement.budget.bad:,} / {objective.statement.budget.events:,}",
            budget_words(objective.statement),
            "–" if objective.statement.credit is None else str(objective.statement.credit.amount),
            verdict_word(objective.statement) + (", unhappy" if objective.is_watermelon else ""),
        ]
        for contract in report.contracts
        for objective in contract.objectives
    ]
    names = ["objective", "contract", "promised", "attained", "bad / all", "error budget", "credit", "result"]
    lines += [*_table(names, rows), ""]
    for money in report.credits_due:
        lines += [f"Credits due: {money}", ""]
    for contract in report.contracts:
        lines += _contract(contract)
    if report.adjustments:
        lines += ["## Maintenance and outage corrections", ""]
        adjusted = [
            [
                _escaped(found.id) + (" (revoked)" if found.revoked else ""),
                _escaped(f"{found.service}: {found.kind.value}"),
                f"{instant(found.start_ms, 'UTC')} to {instant(found.end_ms, 'UTC')}",
                found.counts_as.value,
                _escaped(f"{found.recorded_by}, {instant(found.recorded_at_ms, 'UTC')}"),
                _escaped(found.reason),
            ]
            for found in report.adjustments
        ]
        lines += [*_table(["adjustment", "what", "when (UTC)", "counts as", "by", "why"], adjusted), ""]
    return "\n".join(lines).rstrip() + "\n"


def _contract(contract: ContractReport) -> Iterator[str]:
    yield f"## {_escaped(contract.id)}"
    yield ""
    yield f"{contract.type.value.upper()} of {_escaped(contract.provider)}; owner {_escaped(contract.owner)}."
    yield ""
    for objective in contract.with_news:
        yield from _objective(objective)
    if contract.silent:
        yield f"No data: {', '.join(map(_escaped, contract.silent))}."
        yield ""


def _objective(objective: ObjectiveReport) -> Iterator[str]:
    statement = objective.statement
    yield f"### {_escaped(statement.terms.objective)}"
    yield ""
    yield (
        f"{promise_words(statement)}; attained {percent(statement.budget.attained_ratio, 3)} of "
        f"{statement.budget.events:,}: {verdict_word(statement)} ({state_word(objective)})."
    )
    yield ""
    if not objective.issued_matches:
        yield "**The statement published last says other numbers than the verdicts in force now.**"
        yield ""
    trend = [
        [point.period.name, percent(point.attained), f"{point.bad:,} / {point.good + point.bad:,}"]
        for point in objective.trend
    ]
    yield from _table(["period", "attained", "bad / all"], trend)
    yield ""
    if objective.parties:
        parties = [
            [_escaped(of.party), f"{of.breaches:,}", duration(of.counted_ms), duration(of.paused_ms)]
            for of in objective.parties
        ]
        yield from _table(["party", "breaches it held longest", "time that counted", "time paused"], parties)
        yield ""
    if objective.breaches:
        number = len(objective.breaches)
        yield f"{number:,} breaches" + (f", the {MOST_BREACHES} that ran over most:" if number > MOST_BREACHES else ":")
        yield ""
        zone = statement.terms.timezone
        rows = [
            [
                _escaped(breach.verdict.ticket),
                instant(breach.verdict.deadline_ms, zone),
                "open" if breach.verdict.stop_ms is None else instant(breach.verdict.stop_ms, zone),
                duration(breach.over_ms),
                _escaped(cause_words(breach)),
            ]
            for breach in breaches_listed(objective)
        ]
        yield from _table(["ticket", f"deadline ({zone})", "stop", "over", "held longest by"], rows)
        yield ""
    if objective.watermelon is not None:
        found = objective.watermelon
        yield f"Watermelon index {index_words(found)}."
        yield ""
        signals = [
            [SIGNAL_WORDS[part.signal], f"{part.bad:,} of {part.of:,}", percent(part.share, 1), percent(part.weight, 0)]
            for part in found.signals
        ]
        yield from _table(["signal", "seen", "share", "weight"], signals)
        yield ""
    if objective.corrections:
        yield f"{len(objective.corrections):,} verdicts were corrected after they had been published."
        yield ""


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _escaped(words: str) -> str:
    """Return text of others so that it is only text: no markup, no new cell, no new line."""
    return _SPECIAL.sub(r"\\\1", " ".join(words.split()))
