"""Reports equal a plain group-by of the verdicts."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs
from sla.availability import Availability
from sla.contract import Contract, ContractType, Level, Period, Window
from sla.experience import Experience
from sla.outcome import Result, Share, Verdict
from sla.period import parse_period
from sla.register import Register
from sla.report import Correction, cause_of
from sla.report_building import Facts, ReportBuilder
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER, ms_of
from tests.support.domain import register, target

ZONE = ZoneInfo("America/New_York")
WINDOW = Window(None, Period.MONTH, "America/New_York")
OF = register(target("response", attain="0.8", over=WINDOW), target("resolution", attain="0.9", over=WINDOW))
FIRST = datetime(2026, 1, 1, tzinfo=ZONE)


def verdict(ticket: str, target_id: str, result: Result, decided_at_ms: int, **changes: object) -> Verdict:
    given = {
        "ticket": ticket,
        "contract": "desk",
        "target": target_id,
        "metric": target_id,
        "revision": 1,
        "cycle": 1,
        "result": result,
        "start_ms": decided_at_ms - HOUR_MS,
        "deadline_ms": decided_at_ms,
        "stop_ms": decided_at_ms,
        "decided_at_ms": decided_at_ms,
        "target_ms": HOUR_MS,
        "consumed_ms": HOUR_MS,
        "elapsed_ms": HOUR_MS,
    }
    return Verdict(**{**given, **changes})  # type: ignore[arg-type]


def random_verdicts(seed: int) -> list[Verdict]:
    draw = random.Random(seed)
    found = []
    for number in range(1500):
        at = FIRST + timedelta(seconds=draw.randrange(340 * 86_400))
        if draw.random() < 0.1:  # around midnights of the first of a month
            at = datetime(2026, draw.randint(1, 12), 1, tzinfo=ZONE) + timedelta(milliseconds=draw.randint(-3, 3))
        result = draw.choices(list(Result), [60, 20, 5, 5, 4, 4, 2])[0]
        target_id = draw.choice(("response", "resolution", "unknown"))
        found.append(verdict(f"T-{number}", target_id, result, ms_of(at)))
    draw.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(5))
def test_every_month_equals_a_plain_group_by_of_the_verdicts(seed: int) -> None:
    verdicts = random_verdicts(seed)
    by_hand: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for each in verdicts:
        local = datetime.fromtimestamp(each.decided_at_ms / 1000, ZONE)
        by_hand[each.target, f"{local:%Y-%m}"][each.result.value] += 1
    facts = Facts(verdicts, ms_of(datetime(2027, 2, 1, tzinfo=ZONE)), ms_of(FIRST))
    builder = ReportBuilder(OF, facts, DAY_MS)
    seen = 0
    for month in range(1, 13):
        name = f"2026-{month:02}"
        built = builder.build(parse_period(name))
        assert [objective.statement.terms.objective for objective in built.objectives] == ["resolution", "response"]
        for objective in built.objectives:
            expected = by_hand[objective.statement.terms.counted_as, name]
            budget = objective.statement.budget
            assert (budget.good, budget.bad) == (expected["met"], expected["breached"])
            assert len(objective.breaches) == expected["breached"]
            assert (sum(day.good for day in objective.days), sum(day.bad for day in objective.days)) == (
                *(expected["met"], expected["breached"]),
            )
            for point in objective.trend:
                told = by_hand[objective.statement.terms.counted_as, point.period.name]
                assert (point.good, point.bad) == (told["met"], told["breached"])
            seen += budget.events
    assert seen == sum(
        counts["met"] + counts["breached"]
        for (of, month), counts in by_hand.items()
        if of != "unknown" and month[:4] == "2026"
    )


def build(verdicts: list[Verdict], period: str = "2026-03", of: Register = OF, **facts: object) -> object:
    given = {"as_of_ms": ms_of(datetime(2026, 6, 1, tzinfo=ZONE)), "observed_from_ms": ms_of(FIRST), **facts}
    return ReportBuilder(of, Facts(verdicts, **given), DAY_MS).build(parse_period(period))  # type: ignore[arg-type]


MARCH_MS = ms_of(datetime(2026, 3, 10, 12, tzinfo=ZONE))


def test_the_cause_is_who_held_the_ticket_longest_while_time_counted() -> None:
    parties = (Share("customer", 50, 0, 50), Share("team:a", 10, 3, 0), Share("team:b", 9, 9, 0))
    assert cause_of(parties) == ("team:b", 0.75)
    assert cause_of((Share("customer", 50, 0, 50),)) == (None, None)
    assert cause_of((Share("team:b", 5, 5, 0), Share("team:a", 5, 5, 0)))[0] == "team:a"


def test_parties_of_breaches_add_up() -> None:
    first = verdict(
        "T-1", "response", Result.BREACHED, MARCH_MS, parties=(Share("team:a", 9, 6, 0), Share("team:b", 3, 3, 0))
    )
    second = verdict("T-2", "response", Result.BREACHED, MARCH_MS, parties=(Share("team:b", 4, 4, 7),))
    met = verdict("T-3", "response", Result.MET, MARCH_MS, parties=(Share("team:c", 9, 9, 0),))
    found = build([first, second, met]).objectives[1]  # type: ignore[attr-defined]
    assert [tuple(party) for party in found.parties] == [("team:b", 1, 7, 7), ("team:a", 1, 6, 0)]


def test_parties_come_from_the_events_where_verdicts_have_none() -> None:
    experience = Experience(
        None,
        was_reopened=False,
        handovers=0,
        longest_silence_ms=0,
        target_ms=1,
        was_paused_late=False,
        parties=(Share("team:a", 1, 1, 0),),
    )
    breached = verdict("T-1", "response", Result.BREACHED, MARCH_MS)
    found = build([breached], experiences={("T-1", "response", 1): experience}).objectives[1]  # type: ignore[attr-defined]
    assert found.breaches[0].cause == "team:a"
    assert found.watermelon.clocks == 1


def test_a_correction_is_told_in_both_periods_it_touches() -> None:
    before = verdict("T-1", "response", Result.BREACHED, MARCH_MS)
    after = verdict("T-1", "response", Result.MET, MARCH_MS - 20 * DAY_MS)
    facts = {"corrections": [Correction(before, after), Correction(before, None)]}
    assert len(build([after], **facts).objectives[1].corrections) == 2  # type: ignore[attr-defined]
    assert len(build([after], "2026-02", **facts).objectives[1].corrections) == 1  # type: ignore[attr-defined]
    assert len(build([after], "2026-04", **facts).objectives[1].corrections) == 0  # type: ignore[attr-defined]


def test_a_published_statement_with_other_numbers_is_noticed() -> None:
    met = verdict("T-1", "response", Result.MET, MARCH_MS)
    agrees = build([met], issued={("response", "2026-03"): (2, 1, 0)}).objectives[1]  # type: ignore[attr-defined]
    differs = build([met], issued={("response", "2026-03"): (2, 1, 1)}).objectives[1]  # type: ignore[attr-defined]
    assert (agrees.issued_revision, agrees.issued_matches, differs.issued_matches) == (2, True, False)
    an_hour_old = build([met], issued={("response", "2026-03"): (0, 0, 0)}).objectives[1]  # type: ignore[attr-defined]
    assert an_hour_old.issued_matches


def test_before_anything_was_observed_there_is_no_trend() -> None:
    met = verdict("T-1", "response", Result.MET, MARCH_MS)
    found = build([met], observed_from_ms=MARCH_MS - 20 * DAY_MS).objectives[1]  # type: ignore[attr-defined]
    assert [point.period.name for point in found.trend] == ["2026-02", "2026-03"]
    assert found.trend[0].attained is None


def service(*, attain: str = "0.999") -> Register:
    portal = Availability("portal", "desk", ContractType.SLA, 1, 0, NEVER, "portal", Fraction(attain), WINDOW)
    work = Adjustment(
        "CHG-1",
        AdjustmentKind.MAINTENANCE,
        "portal",
        MARCH_MS,
        MARCH_MS + HOUR_MS,
        CountsAs.EXCLUDED,
        MARCH_MS - DAY_MS,
        "ana",
        "patch",
        revoked=True,
    )
    contract = Contract("desk", ContractType.SLA, Level.CORPORATE, "it", "o", availabilities=(portal,))
    return Register([contract], {}, [work])


def test_service_minutes_are_added_up_by_period() -> None:
    minutes = {MARCH_MS + number * MINUTE_MS: (1, 0) for number in range(100)} | {MARCH_MS: (0, 1)}
    minutes[MARCH_MS - 20 * DAY_MS] = (5, 5)
    found = build([], of=service(), service_minutes={"portal": minutes})
    [objective] = found.objectives  # type: ignore[attr-defined]
    assert (objective.statement.budget.good, objective.statement.budget.bad) == (99, 1)
    assert sum(day.good for day in objective.days) == 99
    assert [adjustment.id for adjustment in found.adjustments] == ["CHG-1"]  # type: ignore[attr-defined]


def test_of_a_service_without_minutes_the_published_statements_count() -> None:
    issued = {("portal", "2026-03"): (1, 44_000, 40), ("portal", "2026-02"): (1, 40_000, 0)}
    found = build([], of=service(), issued=issued)
    [objective] = found.objectives  # type: ignore[attr-defined]
    assert (objective.statement.budget.good, objective.statement.budget.bad) == (44_000, 40)
    assert [(point.period.name, point.bad) for point in objective.trend][-2:] == [("2026-02", 0), ("2026-03", 40)]
    assert objective.days == ()


def test_only_the_contracts_asked_for_are_reported() -> None:
    met = verdict("T-1", "response", Result.MET, MARCH_MS)
    builder = ReportBuilder(OF, Facts([met], MARCH_MS, ms_of(FIRST)), DAY_MS)
    assert builder.build(parse_period("2026-03"), ["other"]).contracts == ()
    assert [contract.id for contract in builder.build(parse_period("2026-03"), ["desk"]).contracts] == ["desk"]


def test_opinions_on_a_service_count_in_the_period_they_were_given_in() -> None:
    opinions = {"portal": [(MARCH_MS, 0.0), (MARCH_MS + 60 * DAY_MS, 1.0)], "other": [(MARCH_MS, 1.0)]}
    [objective] = build([], of=service(), service_opinions=opinions).objectives  # type: ignore[attr-defined]
    assert (objective.watermelon.opinions, objective.watermelon.mean_satisfaction) == (1, 0.0)
    [later] = build([], "2026-04", of=service(), service_opinions=opinions).objectives  # type: ignore[attr-defined]
    assert later.watermelon is None
