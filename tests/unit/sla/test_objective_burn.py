"""Burn-rate alerts of the objective engine: the same as judging every minute at once, whatever restarts in between."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from fractions import Fraction

import pytest

from config.burn_policy import load_burn_policy
from sla.availability import Availability
from sla.burn_watch import Terms, replay
from sla.contract import Contract, ContractType, Level, Target, Window
from sla.minute_counts import MinuteColumn
from sla.objective import ObjectiveEngine
from sla.outcome import Alert, AlertKind
from sla.register import Register
from sla.units import DAY_MS, MINUTE_MS, NEVER, parse_instant
from tests.support.domain import register, target

POLICY = load_burn_policy()
START_MS = parse_instant("2026-03-02T00:00:00Z")
ROLLING = Window(rolling_ms=30 * DAY_MS, period=None)
TICKETS = frozenset({"sla.tickets/0", "sla.tickets/1"})
UPTIME = frozenset({"sla.uptime/0", "sla.uptime/1"})


def clocks(attain: str = "99/100", **terms: object) -> Register:
    return register(promise(attain, **terms))


def promise(attain: str = "99/100", **terms: object) -> Target:
    return target("r", attain=attain, over=ROLLING, team="desk", **terms)  # type: ignore[arg-type]


def portal(attain: str = "0.99", until_ms: int = NEVER) -> Register:
    availability = Availability(
        "portal-up", "acme", ContractType.SLA, 1, 0, until_ms, "portal", Fraction(attain), ROLLING, team="web"
    )
    of = Contract("acme", ContractType.SLA, Level.CUSTOMER, "it", "owner", availabilities=(availability,))
    return Register([of], {})


@dataclass
class Watch:
    """An engine with a memory of its rows and alerts."""

    of: Register
    settle_ms: int = 0
    rows: dict[bytes, bytes] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restarts()

    def restarts(self) -> None:
        self.engine = ObjectiveEngine(self.of, TICKETS, policy=POLICY, uptime_sources=UPTIME, settle_ms=self.settle_ms)
        self.engine.load(self.rows.items())

    def now(self, minute: int, *, ms: int = 0, sources: frozenset[str] = TICKETS | UPTIME) -> None:
        for source in sources:
            self.engine.progress(source, START_MS + minute * MINUTE_MS + ms)
        outcome = self.engine.finish()
        for key, row in outcome.rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        self.alerts += outcome.alerts

    @property
    def changes(self) -> list[tuple[str, str, int]]:
        burns = [alert for alert in self.alerts if alert.kind is AlertKind.OBJECTIVE_BURNING]
        return [(alert.labels["burn"], alert.state.value, (alert.at_ms - START_MS) // MINUTE_MS) for alert in burns]


def story(seed: int, days: int = 3) -> list[tuple[int, int]]:
    """Return good and bad by minute: calm, an incident a day, a little noise."""
    draw = random.Random(seed)
    traffic = []
    for minute in range(days * 1440):
        burns = minute % 1440 >= 700 and minute % 1440 < 700 + 60 * (minute // 1440 + 1)
        bad = draw.randrange(12) if burns else draw.random() < 0.01
        traffic.append((20 - int(bad), int(bad)))
    return traffic


def at_once(traffic: list[tuple[int, int]], attain: str = "0.99") -> list[tuple[str, str, int]]:
    column = MinuteColumn((START_MS + minute * MINUTE_MS, *counts) for minute, counts in enumerate(traffic))
    terms = [Terms(Fraction(attain), ROLLING, 0, NEVER)]
    events = replay(POLICY, terms, column, START_MS, START_MS + len(traffic) * MINUTE_MS)
    return [(each.severity.value, each.state.value, (each.at_ms - START_MS) // MINUTE_MS) for each in events]


def count(watch: Watch, minute: int, good: int, bad: int, source: str = "sla.tickets/0") -> None:
    watch.engine.count("r", START_MS + minute * MINUTE_MS, source, good, bad)


@pytest.mark.parametrize("every", [1, 3, 60, 700])
def test_alerts_are_those_of_judging_every_minute_however_far_time_jumps(every: int) -> None:
    traffic = story(1)
    expected = at_once(traffic)
    assert len(expected) >= 6
    watch = Watch(clocks())
    watch.now(0)
    for minute, (good, bad) in enumerate(traffic):
        # Two partitions tell parts of it.
        count(watch, minute, good, bad // 2)
        count(watch, minute, 0, bad - bad // 2, "sla.tickets/1")
        if (minute + 1) % every == 0:
            watch.now(minute + 1)
    watch.now(len(traffic))
    assert watch.changes == expected


def test_a_restart_changes_nothing_and_tells_nothing_again() -> None:
    traffic = story(2)
    expected = at_once(traffic)
    watch = Watch(clocks())
    watch.now(0)
    for minute, (good, bad) in enumerate(traffic):
        count(watch, minute, good, bad)
        if minute % 7 == 0:
            watch.now(minute + 1)
        if minute % 97 == 0 or minute in {720, 760}:
            watch.now(minute + 1)
            before = len(watch.alerts)
            watch.restarts()
            watch.now(minute + 1)
            assert len(watch.alerts) == before
    watch.now(len(traffic))
    assert watch.changes == expected


def test_what_came_before_the_first_watermark_pages_nobody() -> None:
    """A log is imported: its incidents are statistics, and what burns at the end of it is news."""
    traffic = story(3)
    watch = Watch(clocks())
    for minute, (good, bad) in enumerate(traffic):
        count(watch, minute, good, bad)
    watch.now(len(traffic) - 100)
    assert watch.changes == []


def test_clocks_are_judged_when_the_settle_time_has_passed() -> None:
    watch = Watch(clocks(), settle_ms=30_000)
    watch.now(0)
    for minute in range(60):
        count(watch, minute, 100, 0)
    count(watch, 60, 0, 100)
    count(watch, 61, 0, 6000)
    watch.now(62)
    assert watch.changes == [], "a breach of the last half minute may still be declared"
    watch.now(62, ms=30_000)
    assert ("page", "firing", 62) in watch.changes


def test_a_correction_is_seen_at_the_next_minute() -> None:
    watch = Watch(clocks())
    watch.now(0)
    for minute in range(1440):
        count(watch, minute, 100, 0)
    count(watch, 1440, 0, 30_000)
    watch.now(1441)
    assert [change[:2] for change in watch.changes] == [("page", "firing"), ("ticket", "firing")]
    count(watch, 1440, 30_000, 0)
    watch.now(1442)
    assert watch.changes[2:] == [("page", "resolved", 1442), ("ticket", "resolved", 1442)]


def tell_slice(watch: Watch, minute: int, good: int, bad: int, known: int = 1) -> None:
    instant_ms = START_MS + minute * MINUTE_MS
    watch.engine.count("portal-up", instant_ms, "sla.uptime/0", good, bad, known_minutes=known, expected_minutes=1)


def test_availability_burns_by_its_own_watermark() -> None:
    watch = Watch(portal())
    watch.now(0, sources=UPTIME)
    for minute in range(1440):
        tell_slice(watch, minute, 1, 0)
    for minute in range(1440, 1500):
        tell_slice(watch, minute, 0, 1)
    watch.now(1500, sources=UPTIME)
    assert watch.changes == [("page", "firing", 1449), ("ticket", "firing", 1484)]
    page = watch.alerts[0]
    assert page.id == "SLAObjectiveBurning/portal-up/page"
    assert page.labels == {
        "alertname": "SLAObjectiveBurning",
        "alert_kind": "objective",
        "severity": "critical",
        "burn": "page",
        "objective": "portal-up",
        "sla_id": "acme",
        "team": "web",
    }
    assert page.annotations["description"] == (
        "9 of 1449 bad since 2026-02-01T00:09:00.000Z: about 2.1% of the budget is spent, 423.0 minutes left at 0.99 "
        "promised."
    )
    (state,) = watch.engine.attainments()
    assert {severity.value for severity in state.burning} == {"page", "ticket"}
    assert state.burn_rates["1h"] == pytest.approx(100, rel=1e-3), "nothing works: 1 / (1 - 99 %)"
    assert state.coverage_ratio == pytest.approx(1500 / 43_200)


@pytest.mark.parametrize("restart", [True, False])
def test_while_a_service_is_unknown_nothing_fires_and_nothing_resolves(restart: bool) -> None:
    watch = Watch(portal())
    watch.now(0)
    for minute in range(1440):
        tell_slice(watch, minute, 1, 0)
    for minute in range(1440, 1460):
        tell_slice(watch, minute, 0, 1)
    watch.now(1460)
    assert watch.changes == [("page", "firing", 1449)]
    for minute in range(1460, 1600):
        tell_slice(watch, minute, 0, 0, known=0)
        watch.now(minute + 1)
    if restart:
        watch.restarts()
    watch.now(1601)
    assert watch.changes == [("page", "firing", 1449)]
    for minute in range(1600, 1640):
        tell_slice(watch, minute, 1, 0)
    watch.now(1640)
    assert watch.changes[1:] == [("page", "resolved", 1603)], "as soon as half of five minutes are known"


def test_alerts_of_availability_that_is_not_promised_any_more_resolve() -> None:
    watch = Watch(portal(until_ms=START_MS + 1470 * MINUTE_MS))
    watch.now(0)
    for minute in range(1440):
        tell_slice(watch, minute, 1, 0)
    for minute in range(1440, 1470):
        tell_slice(watch, minute, 0, 1)
    watch.now(1469)
    watch.now(1480)
    assert watch.changes == [("page", "firing", 1449), ("page", "resolved", 1480)]
    assert not any(key[:1] == b"u" for key in watch.rows)
    assert "not promised any more" in watch.alerts[-1].annotations["summary"]


@pytest.mark.parametrize("restart", [True, False])
def test_alerts_of_clocks_that_are_not_promised_any_more_resolve(restart: bool) -> None:
    watch = Watch(clocks())
    watch.now(0)
    for minute in range(1440):
        count(watch, minute, 10, 0)
    count(watch, 1440, 0, 9_000)
    watch.now(1441)
    watch.of = register(target("r"))
    if restart:
        watch.restarts()
    else:
        watch.engine.set_register(watch.of)
    watch.now(1442)
    assert [change[:2] for change in watch.changes[2:]] == [("page", "resolved"), ("ticket", "resolved")]


def test_stricter_terms_are_judged_from_their_minute_on_also_within_a_jump() -> None:
    easier = promise("1/2", since=0, until=START_MS + 1500 * MINUTE_MS)
    stricter = promise("99/100", revision=2, since=START_MS + 1500 * MINUTE_MS)
    watch = Watch(register(easier, stricter))
    watch.now(0)
    for minute in range(1600):
        count(watch, minute, 100, 30 if minute >= 1440 else 0)
    watch.now(1600)
    assert min(minute for _, _, minute in watch.changes) == 1501
