"""A small report for tests of its forms."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from sla.contract import Period, Window
from sla.credits import CreditTerms, CreditTier
from sla.money import parse_money
from sla.outcome import Result, Share, Verdict
from sla.period import parse_period
from sla.register import Register
from sla.report import Report
from sla.report_building import Facts, ReportBuilder
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER
from tests.support.domain import OFFICE, register, target

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>|`\"' & =cmd"
"""A name that would do harm in HTML, Markdown and spreadsheets."""

OCTOBER = parse_period("2026-10")
START_MS, END_MS = OCTOBER.span("Europe/Berlin")


def report(
    *, good: int = 9, bad: int = 3, name: str | None = None, owes: bool = False, is_final: bool = True
) -> Report:
    """Return the report of October 2026 on one objective of 95 %.

    Parameters
    ----------
    name : str or None
        Ticket, party and source are called so; default: T-0, T-1, ..., each breach running over more than the one
        before it, the last one without a stop.
    """
    verdicts = [_verdict(f"M-{number}", number, Result.MET, ()) for number in range(good)]
    for number in range(bad):
        found = _verdict(
            name or f"T-{number}", number, Result.BREACHED, (Share(name or "team:desk", HOUR_MS, HOUR_MS, 0),)
        )
        changes = {"consumed_ms": HOUR_MS + number * MINUTE_MS, "cycle": number + 1}
        if number == bad - 1:
            changes["stop_ms"] = None
        verdicts.append(
            Verdict(**{**{field: getattr(found, field) for field in found.__struct_fields__}, **changes})  # type: ignore[arg-type]
        )
    window = Window(None, Period.MONTH, "Europe/Berlin")
    of = register(target("response", attain="0.95", over=window))
    if owes:
        tier = CreditTier(Fraction("0.95"), Fraction("0.1"))
        terms = CreditTerms(
            "response", "desk", 1, 0, NEVER, Period.MONTH, "Europe/Berlin", (tier,), parse_money("1000 EUR")
        )
        of = Register([replace(of.contracts["desk"], credits=(terms,))], {"office": OFFICE})
    as_of_ms = END_MS + 10 * DAY_MS if is_final else END_MS - DAY_MS
    facts = Facts(verdicts, as_of_ms, START_MS - 40 * DAY_MS, source=name or "from a test")
    return ReportBuilder(of, facts, DAY_MS).build(OCTOBER)


def _verdict(ticket: str, number: int, result: Result, parties: tuple[Share, ...]) -> Verdict:
    decided_at_ms = START_MS + (number % 25) * DAY_MS + 12 * HOUR_MS + number
    return Verdict(
        ticket=ticket,
        contract="desk",
        target="response",
        metric="response",
        revision=1,
        cycle=1,
        result=result,
        start_ms=decided_at_ms - HOUR_MS,
        deadline_ms=decided_at_ms,
        stop_ms=decided_at_ms + number * MINUTE_MS,
        decided_at_ms=decided_at_ms,
        target_ms=HOUR_MS,
        consumed_ms=HOUR_MS,
        elapsed_ms=HOUR_MS,
        parties=parties,
    )
