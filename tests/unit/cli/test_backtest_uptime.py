"""``slawatch backtest --uptime`` against simulations from scratch: plain loops over minutes, nothing taken from the domain."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest
from typer.testing import CliRunner

from cli.main import app

run = CliRunner().invoke

DAY = 24 * 60
SHARES = ("99.9%", "99%", "95%", "90%", "80%")
PAIRS = (
    # severity, share of the budget, long, short (minutes)
    ("page", Fraction(2, 100), 60, 5),
    ("page", Fraction(5, 100), 6 * 60, 30),
    ("ticket", Fraction(10, 100), DAY, 120),
    ("ticket", Fraction(10, 100), 3 * DAY, 6 * 60),
)
START = datetime(2026, 8, 20, tzinfo=UTC)
Column = npt.NDArray[Any]
Traffic = list[tuple[int, int] | None]
"""Good and bad events by minute from the start on; None: nothing was told."""


def contract(*objectives: str, effective_from: str = "2026-01-01T00:00:00Z") -> str:
    lines = "\n".join(f"      - {objective}" for objective in objectives)
    return f"""\
kind: Contract
id: portal
type: sla
level: customer
provider: it
customer: acme
owner: slm@acme.example
revisions:
  - revision: 1
    status: signed
    effective_from: {effective_from}
    availability:
{lines}
"""


def rolling(share: str) -> str:
    return f"{{id: rolling-{share.strip('%')}, service: portal, attain: {share}, over: 30d}}"


def monthly(share: str, timezone: str = "UTC") -> str:
    return f"{{id: monthly-{share.strip('%')}, service: portal, attain: {share}, over: 1 month, timezone: {timezone}}}"


@dataclass
class Backtest:
    folder: Path

    def __call__(self, agreement: str, traffic: Traffic, *more: str, start: datetime = START) -> list[dict[str, Any]]:
        contracts = self.folder / "contracts"
        contracts.mkdir(exist_ok=True)
        (contracts / "portal.yaml").write_text(agreement)
        counts = self.folder / "counts.jsonl"
        with counts.open("w") as file:
            for minute, told in enumerate(traffic):
                if told is not None:
                    at = (start + timedelta(minutes=minute)).isoformat()
                    file.write(json.dumps({"service": "portal", "at": at, "good": told[0], "bad": told[1]}) + "\n")
        return self.lines(contracts, counts, *more)

    def lines(self, contracts: Path, counts: Path, *more: str) -> list[dict[str, Any]]:
        alerts = self.folder / "alerts.jsonl"
        given = ["backtest", "--contracts", str(contracts), "--uptime", str(counts), "--alerts", str(alerts), *more]
        result = run(app, given)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in alerts.read_bytes().splitlines()]


@pytest.fixture
def backtest(tmp_path: Path) -> Backtest:
    return Backtest(tmp_path)


def at(minute: int, start: datetime = START) -> str:
    return (start + timedelta(minutes=minute)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def attained(share: str) -> Fraction:
    return Fraction(share.strip("%")) / 100


# --- the textbook: ratios of ratios ------------------------------------------------------------------------------------


def steady(days: int, rate: int, *incidents: tuple[int, int, int]) -> Traffic:
    """Constant traffic; incidents are (first minute, minutes, bad events a minute)."""
    traffic: Traffic = [(rate, 0)] * (days * DAY)
    for first, length, bad in incidents:
        traffic[first : first + length] = [(rate - bad, bad)] * length
    return traffic


def running(traffic: Traffic) -> tuple[Column, Column, Column]:
    """Return sums of good, bad and told minutes before each minute."""
    columns = np.array([(told[0], told[1], 1) if told else (0, 0, 0) for told in traffic], dtype=np.int64)
    good, bad, told = (np.concatenate([[0], np.cumsum(column)]) for column in columns.T)
    return good, bad, told


def within(column: Column, begin: Column | int) -> Column:
    """Return the sum from ``begin`` (a minute, or how many ago) up to each minute, 1 to the last."""
    now = np.arange(1, len(column))
    first = now - begin if isinstance(begin, int) else begin
    return column[now] - column[np.clip(first, 0, now)]


def changes(severity: str, fires: Column, begin: int = 0) -> Iterator[tuple[str, str, int]]:
    """Yield (severity, state, minute) where a column of "it fires" changes."""
    was = False
    for minute, is_on in enumerate(fires.tolist(), 1):
        if is_on != was and minute > begin:
            was = is_on
            yield severity, "firing" if is_on else "resolved", minute


def textbook(traffic: Traffic, share: str) -> list[tuple[str, str, int]]:
    """Return (severity, state, minute) as Prometheus rules with the workbook's burn rates would have it.

    ``error ratio over long > k x (1 - share) and error ratio over short > k x (1 - share)``, any pair of the severity.
    """
    tenths = {(60, 5): 144, (360, 30): 60, (DAY, 120): 30, (3 * DAY, 360): 10}
    allowed = 1 - attained(share)
    good, bad, _ = running(traffic)
    found = []
    for severity, windows in (("page", [(60, 5), (360, 30)]), ("ticket", [(DAY, 120), (3 * DAY, 360)])):
        fires = np.zeros(len(traffic), dtype=bool)
        for pair in windows:
            burns = np.ones(len(traffic), dtype=bool)
            for window in pair:
                failed = within(bad, window)
                events = failed + within(good, window)
                burns &= failed * 10 * allowed.denominator > tenths[pair] * allowed.numerator * events
            fires |= burns
        found += changes(severity, fires)
    return found


INCIDENTS = {
    "an outage of ten minutes": [(33 * DAY + 600, 10, 1000)],
    "an outage of ninety minutes": [(33 * DAY + 601, 90, 1000)],
    "an outage of eight hours": [(33 * DAY + 17, 480, 1000)],
    "an outage of a day": [(33 * DAY + 17, DAY, 1000)],
    "one in ten for three hours": [(33 * DAY + 5, 180, 100)],
    "twice the rate that would use the budget up, of 99.9 %": [(33 * DAY, 4 * DAY, 2)],
    "one in a hundred for two days": [(33 * DAY, 2 * DAY, 10)],
    "a second outage while the first one burns": [(33 * DAY, 20, 1000), (33 * DAY + 50, 30, 800)],
    "nothing": [],
}


@pytest.mark.parametrize("name", INCIDENTS)
def test_at_constant_traffic_it_is_the_textbook_to_the_minute(backtest: Backtest, name: str) -> None:
    traffic = steady(38, 1000, *INCIDENTS[name])
    lines = backtest(contract(*map(rolling, SHARES)), traffic)
    for share in SHARES:
        found = [
            (line["severity"], line["state"], line["at"])
            for line in lines
            if line["objective"] == f"rolling-{share.strip('%')}"
        ]
        expected = [(severity, state, at(minute)) for severity, state, minute in textbook(traffic, share)]
        assert sorted(found) == sorted(expected), share


def test_an_outage_fires_at_every_share_it_can_fire_at(backtest: Backtest) -> None:
    """By hand, of a day without service: when more than 2, 5 and 10 % of the budget of 30 days are gone."""
    outage = 33 * DAY
    lines = backtest(contract(*map(rolling, SHARES)), steady(35, 1000, (outage, DAY, 1000)))
    begun = {(line["objective"], line["severity"]): line["at"] for line in reversed(lines) if line["state"] == "firing"}
    assert begun == {
        ("rolling-99.9", "page"): at(outage + 1),  # 2 % of 43.2 minutes are 0.864 minutes
        ("rolling-99.9", "ticket"): at(outage + 5),  # 10 % are 4.32
        ("rolling-99", "page"): at(outage + 9),  # 2 % of 432
        ("rolling-99", "ticket"): at(outage + 44),
        ("rolling-95", "page"): at(outage + 44),  # 2 % of 2,160 are 43.2, within the hour
        ("rolling-95", "ticket"): at(outage + 217),  # exactly 216 are not more than 10 %
        ("rolling-90", "page"): at(outage + 217),  # 2 % of 4,320 are more than an hour; 5 % are 216, within six
        ("rolling-90", "ticket"): at(outage + 433),
        ("rolling-80", "ticket"): at(outage + 865),  # 2 % are 173 minutes, 5 % are 432: no page can see that
    }


# --- the whole rule: spending in absolute terms ------------------------------------------------------------------------


def quantile(share: float) -> float:
    """Return the normal quantile, by bisection of the error function."""
    from math import erf, sqrt

    low, high = -9.0, 9.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + erf(middle / sqrt(2))) / 2 < share else (low, middle)
    return low


Z = quantile(0.95)


def lower_bound(bad: int, events: int) -> float:
    """Return Wilson's lower bound as the root of (share - p)^2 = z^2 p (1 - p) / n."""
    z, share = Z, bad / events
    low, high = 0.0, share
    for _ in range(80):
        middle = (low + high) / 2
        outside = (share - middle) ** 2 > z * z * middle * (1 - middle) / events
        low, high = (middle, high) if outside else (low, middle)
    return low


def month_of(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    local = now.astimezone(zone)
    first = datetime(local.year, local.month, 1, tzinfo=zone)
    following = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=zone)
    return first.astimezone(UTC), following.astimezone(UTC)


@dataclass
class Simulated:
    """A simulation of one objective, minute by minute."""

    share: Fraction
    zone: ZoneInfo | None = None
    days: int = 30
    start: datetime = START
    is_open: Callable[[int], bool] = lambda _minute: True

    def budgets(self, traffic: Traffic) -> tuple[Column, Column, Column]:
        """Return by minute: the window's length, its bad events so far, and how many the whole window allows."""
        seen_from = next(minute for minute, told in enumerate(traffic) if told is not None)
        good, bad, _ = running(traffic)
        now = np.arange(1, len(good))
        if self.zone is None:
            length = np.full(len(now), self.days * DAY)
            first = now - length
        else:
            bounds = [self.month_at(minute) for minute in range(0, len(traffic) + 1, 60)]
            hours = np.array(bounds)[now // 60]
            first, length = hours[:, 0], hours[:, 1] - hours[:, 0]
        events = within(good, first) + within(bad, first)
        unseen = length - (now - np.maximum(first, seen_from))
        trailing = within(good, now - length) + within(bad, now - length)
        watched = now - np.maximum(now - length, seen_from)
        rate = np.divide(trailing, watched, out=np.zeros(len(now)), where=watched > 0)
        return length, within(bad, first), float(1 - self.share) * (events + unseen * rate)

    def month_at(self, minute: int) -> tuple[int, int]:
        assert self.zone is not None
        return tuple(  # type: ignore[return-value]
            (bound - self.start) // timedelta(minutes=1)
            for bound in month_of(self.start + timedelta(minutes=minute), self.zone)
        )

    def run(self, traffic: Traffic) -> Iterator[tuple[str, str, str, float | None]]:
        """Yield (severity, state, at, share of the budget spent)."""
        seen_from = next(minute for minute, told in enumerate(traffic) if told is not None)
        good, bad, told = running(traffic)
        length, spent, budget = self.budgets(traffic)
        now = np.arange(1, len(good))
        opened = np.concatenate([[0], np.cumsum([self.is_open(minute) for minute in range(len(traffic))])])
        fires = {severity: np.zeros(len(now), dtype=bool) for severity in SEVERITIES}
        for severity, spends, long, short in PAIRS:
            if long > length.min():
                continue
            limit = np.maximum(float(spends), long / length) * budget
            in_long, in_short = within(bad, long), within(bad, short)
            all_long = within(good, long) + in_long
            burns_on = in_short > limit * short / long
            begins = (in_long > limit) & burns_on
            if self.share < 1:
                begins &= (in_long >= 3) & (in_long > float(1 - self.share) * all_long)
                for minute in np.flatnonzero(begins & (in_long < 100)):
                    begins[minute] = lower_bound(in_long[minute], all_long[minute]) > 1 - self.share
            expected = within(opened, np.maximum(now - short, seen_from))
            frozen = (within(told, short) * 2 < expected) | (expected == 0)
            is_on = False
            for index, (stays, starts, stands) in enumerate(
                zip(burns_on.tolist(), begins.tolist(), frozen.tolist(), strict=True)
            ):
                if not stands:
                    is_on = stays if is_on else starts
                if is_on:
                    fires[severity][index] = True
        for severity in SEVERITIES:
            for _, state, minute in changes(severity, fires[severity]):
                allowed = budget[minute - 1]
                yield severity, state, at(minute, self.start), spent[minute - 1] / allowed if allowed else None


SEVERITIES = ("page", "ticket")


def assert_equal(lines: list[dict[str, Any]], objective: str, simulated: Iterator[tuple[str, str, str, Any]]) -> int:
    found = [line for line in lines if line["objective"] == objective]
    expected = sorted(simulated, key=lambda change: (change[2], change[0]))
    assert [(line["severity"], line["state"], line["at"]) for line in found] == [change[:3] for change in expected]
    for line, (*_, spent) in zip(found, expected, strict=True):
        if spent is None:
            assert line["budget_spent_ratio"] is None
            assert line["budget_remaining_ratio"] is None
        else:
            assert line["budget_spent_ratio"] == pytest.approx(spent, rel=1e-12)
            assert line["budget_remaining_ratio"] == pytest.approx(1 - spent, rel=1e-12, abs=1e-12)
            assert line["budget_spent_ratio"] + line["budget_remaining_ratio"] == pytest.approx(1)
    return len(found)


def by_day(minute: int) -> int:
    """Traffic of an office: twenty times as much at noon as at night."""
    hour = minute // 60 % 24
    return 400 if 9 <= hour < 17 else 20


def busy(days: int, seed: int, *incidents: tuple[int, int, float], level: float = 1.0, errors: float = 0.0) -> Traffic:
    """Traffic by the time of day; incidents are (first minute, minutes, share that fails)."""
    draw = random.Random(seed)
    traffic: Traffic = []
    for minute in range(days * DAY):
        events = draw.randrange(1 + int(2 * by_day(minute) * level))
        share = max([errors, *(share for first, length, share in incidents if first <= minute < first + length)])
        bad = sum(draw.random() < share for _ in range(events)) if share else 0
        traffic.append((events - bad, bad))
    return traffic


STORIES: dict[str, Callable[[], Traffic]] = {
    "an outage at night": lambda: busy(36, 1, (33 * DAY + 60, 300, 1.0)),
    "an outage at noon": lambda: busy(36, 2, (33 * DAY + 12 * 60, 200, 1.0)),
    "a slow burn with noise": lambda: busy(36, 3, (33 * DAY, 3 * DAY, 0.03), errors=0.0005),
    "errors as usual": lambda: busy(33, 4, errors=0.001),
    "little traffic": lambda: busy(34, 5, (32 * DAY + 12 * 60, 240, 0.5), level=0.002, errors=0.02),
    "the beginning is the incident": lambda: busy(4, 6, (0, 400, 0.3)),
    "over the end of a month": lambda: busy(14, 7, (11 * DAY + 20 * 60, 9 * 60, 0.4)),
}


@pytest.mark.parametrize("story", STORIES)
def test_numbers_of_a_simulation_from_scratch(backtest: Backtest, story: str) -> None:
    traffic = STORIES[story]()
    objectives = [rolling(share) for share in SHARES] + [monthly(share, "Europe/Berlin") for share in SHARES]
    lines = backtest(contract(*objectives), traffic)
    number = 0
    for share in SHARES:
        name = share.strip("%")
        number += assert_equal(lines, f"rolling-{name}", Simulated(attained(share)).run(traffic))
        berlin = Simulated(attained(share), ZoneInfo("Europe/Berlin"))
        number += assert_equal(lines, f"monthly-{name}", berlin.run(traffic))
    assert number or story == "errors as usual"


def test_the_month_in_which_clocks_change_is_an_hour_longer(backtest: Backtest) -> None:
    start = datetime(2026, 10, 20, tzinfo=UTC)
    traffic = steady(9, 100, (4 * DAY + 23 * 60, 3 * 60, 60))
    lines = backtest(contract(monthly("99%", "Europe/Berlin"), monthly("98%", "UTC")), traffic, start=start)
    for share, zone in (("99%", "Europe/Berlin"), ("98%", "UTC")):
        simulated = Simulated(attained(share), ZoneInfo(zone), start=start)
        assert assert_equal(lines, f"monthly-{share.strip('%')}", simulated.run(traffic)) >= 2
    first = next(line for line in lines if line["objective"] == "monthly-99")
    # 745 hours of 100 a minute: 44,700 may fail. Two percent are 894, 14.9 minutes of 60.
    assert first["at"] == at(4 * DAY + 23 * 60 + 15, start)
    assert first["budget_spent_ratio"] == 900 / 44_700


@pytest.mark.parametrize("days", [1, 2, 7, 28, 90])
def test_other_windows_keep_the_share_of_the_budget_and_never_ask_for_less_than_its_rate(
    backtest: Backtest, days: int
) -> None:
    traffic = steady(days + 6, 1000, (days * DAY, 3 * DAY, 15), ((days + 4) * DAY, 120, 500))
    lines = backtest(contract(f"{{id: p, service: portal, attain: 99%, over: {days}d}}"), traffic)
    assert assert_equal(lines, "p", Simulated(Fraction(99, 100), days=days).run(traffic)) >= 2


def test_promise_of_everything_is_counted_and_never_divided(backtest: Backtest) -> None:
    traffic = steady(4, 100, (DAY, 1, 1))
    lines = backtest(contract("{id: p, service: portal, attain: 100%, over: 30d}"), traffic)
    assert assert_equal(lines, "p", Simulated(Fraction(1)).run(traffic)) == 4
    assert [(line["severity"], line["state"], line["at"]) for line in lines] == [
        ("page", "firing", at(DAY + 1)),
        ("ticket", "firing", at(DAY + 1)),
        ("page", "resolved", at(DAY + 31)),
        ("ticket", "resolved", at(DAY + 361)),
    ]


# --- safeguards --------------------------------------------------------------------------------------------------------


def test_silence_neither_resolves_nor_fires(backtest: Backtest) -> None:
    incident = 33 * DAY
    traffic = steady(35, 1000, (incident, 60, 300))
    traffic[incident + 30 : incident + 200] = [None] * 170
    lines = backtest(contract(rolling("99%")), traffic)
    assert assert_equal(lines, "rolling-99", Simulated(Fraction(99, 100)).run(traffic)) >= 2
    pages = [(line["state"], line["at"]) for line in lines if line["severity"] == "page"]
    assert pages[0][0] == "firing"
    assert pages[1][0] == "resolved"
    assert pages[1][1] > at(incident + 200), "as long as nothing is told, nothing is over"


@pytest.mark.parametrize(("bad", "fires"), [(2, False), (3, True)])
def test_a_few_bad_events_are_no_news(backtest: Backtest, bad: int, fires: bool) -> None:
    """One event an hour: 7.2 of 30 days' 720 may fail, two percent are 0.144."""
    traffic: Traffic = [(1, 0) if minute % 60 == 0 else (0, 0) for minute in range(32 * DAY)]
    for number in range(bad):
        traffic[31 * DAY + number] = (0, 1)
    lines = backtest(contract(rolling("99%")), traffic)
    assert any(line["state"] == "firing" for line in lines) == fires


def test_burst_of_traffic_at_the_agreed_ratio_is_no_burn(backtest: Backtest) -> None:
    """Of 80 % a fifth may fail; in an hour of a hundred times the traffic it does, and much of the budget is gone."""
    calm: Traffic = [(9, 1)] * (40 * DAY)
    burst = 35 * DAY
    ordinary, failing = list(calm), list(calm)
    ordinary[burst : burst + 60] = [(810, 190)] * 60
    failing[burst : burst + 60] = [(600, 400)] * 60
    assert backtest(contract(rolling("80%")), ordinary) == []
    lines = backtest(contract(rolling("80%")), failing)
    assert [line["severity"] for line in lines if line["state"] == "firing"] == ["page", "ticket"]
    assert assert_equal(lines, "rolling-80", Simulated(Fraction(80, 100)).run(failing)) == 4


# --- terms -------------------------------------------------------------------------------------------------------------


def test_what_was_counted_before_the_promise_is_left_out(backtest: Backtest) -> None:
    traffic = steady(8, 100, (2 * DAY, 60, 100), (6 * DAY, 60, 100))
    agreement = contract(rolling("99%"), effective_from=at(4 * DAY))
    lines = backtest(agreement, traffic)
    promised: Traffic = [None] * (4 * DAY) + traffic[4 * DAY :]
    assert assert_equal(lines, "rolling-99", Simulated(Fraction(99, 100)).run(promised)) >= 2
    assert all(line["at"] > at(6 * DAY) for line in lines)


def test_minutes_outside_the_service_hours_do_not_count(backtest: Backtest, tmp_path: Path) -> None:
    calendars = tmp_path / "contracts"
    calendars.mkdir()
    hours = "{" + ", ".join(f"{day}: [08:00-18:00]" for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")) + "}"
    (calendars / "office.yaml").write_text(f"kind: Calendar\nid: office\ntimezone: UTC\nhours: {hours}\n")
    night, day = 33 * DAY + 60, 33 * DAY + 10 * 60
    # The last incident is there when the doors open, and when they close.
    opening, closing = 34 * DAY + 7 * 60, 34 * DAY + 17 * 60 + 50
    incidents = [(night, 120, 1000), (day, 30, 1000), (opening, 90, 1000), (closing, 30, 1000)]
    traffic = steady(36, 1000, *incidents)
    lines = backtest(contract("{id: p, service: portal, attain: 99%, over: 30d, hours: office}"), traffic)

    def is_open(minute: int) -> bool:
        return 8 * 60 <= minute % DAY < 18 * 60

    open_only: Traffic = [told if is_open(minute) else None for minute, told in enumerate(traffic)]
    assert assert_equal(lines, "p", Simulated(Fraction(99, 100), is_open=is_open).run(open_only)) >= 2
    assert all(line["at"] > at(day) for line in lines)


def test_stricter_terms_of_a_later_revision_are_judged_from_their_instant_on(backtest: Backtest) -> None:
    agreement = contract("{id: p, service: portal, attain: 90%, over: 30d}") + (
        "  - revision: 2\n    status: signed\n    effective_from: 2026-09-24T00:00:00Z\n"
        "    availability: [{id: p, service: portal, attain: 99.9%, over: 30d}]\n"
    )
    traffic = steady(37, 1000, (33 * DAY, 3 * DAY, 20))
    lines = backtest(agreement, traffic)
    assert [line["at"] for line in lines if line["state"] == "firing"] == ["2026-09-24T00:01:00.000Z"] * 2


def test_alerts_of_a_promise_that_ends_resolve(backtest: Backtest) -> None:
    agreement = contract(rolling("99%")) + (
        "  - revision: 2\n    status: terminated\n    effective_from: 2026-08-22T12:00:00Z\n    reason: over\n    by: us\n"
    )
    lines = backtest(agreement, steady(4, 100, (2 * DAY, DAY, 50)))
    assert [line["at"] for line in lines if line["state"] == "resolved"] == ["2026-08-22T12:00:00.000Z"] * 2


# --- input and output --------------------------------------------------------------------------------------------------


def test_lines_say_what_the_page_says_they_do(backtest: Backtest) -> None:
    lines = backtest(contract(rolling("99.9%")), steady(2, 1000, (DAY, 10, 1000)))
    assert lines[0] == {
        "alert": "SLAObjectiveBurning/rolling-99.9/page",
        "objective": "rolling-99.9",
        "severity": "page",
        "state": "firing",
        "at": at(DAY + 1),
        "budget_spent_ratio": 1000 / 43_200,
        "budget_remaining_ratio": 1 - 1000 / 43_200,
    }
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)


def test_order_instants_in_milliseconds_parts_of_a_minute_and_compression_change_nothing(
    backtest: Backtest, tmp_path: Path
) -> None:
    traffic = steady(3, 100, (2 * DAY, 45, 40))
    expected = backtest(contract(rolling("99%")), traffic)
    assert expected
    draw, start_ms = random.Random(1), int(START.timestamp() * 1000)
    halves = []
    for minute, told in enumerate(traffic):
        assert told is not None
        begin_ms = start_ms + minute * 60_000
        halves.append({"service": "portal", "at": begin_ms, "good": told[0] // 2, "bad": told[1] // 2, "from": "a"})
        rest = {"good": told[0] - told[0] // 2, "bad": told[1] - told[1] // 2}
        halves.append({"service": "portal", "at": begin_ms + 59_999.5, **rest})
    draw.shuffle(halves)
    packed = tmp_path / "counts.jsonl.gz"
    packed.write_bytes(gzip.compress("\n\n".join(map(json.dumps, halves)).encode()))
    assert backtest.lines(tmp_path / "contracts", packed) == expected


def test_the_end_can_be_told(backtest: Backtest) -> None:
    traffic = steady(3, 1000, (2 * DAY, 45, 1000))
    whole = backtest(contract(rolling("99%")), traffic)
    until = at(2 * DAY + 50)
    assert backtest(contract(rolling("99%")), traffic, "--until", until) == [
        line for line in whole if line["at"] <= until
    ]


def failed(*arguments: str) -> str:
    result = run(app, ["backtest", *arguments])
    assert result.exit_code == 2, result.output
    return result.stderr


def test_faults_are_told_with_their_lines(backtest: Backtest, tmp_path: Path) -> None:
    backtest(contract(rolling("99%")), steady(1, 10))
    given = ["--contracts", str(tmp_path / "contracts"), "--alerts", str(tmp_path / "a.jsonl")]
    counts = tmp_path / "wrong.jsonl"
    counts.write_text(
        '{"service":"portal","at":"2026-09-01T00:00:00Z","good":1,"bad":0}\n'
        '{"service":"portal","at":"2026-09-01T00:00:00","good":1,"bad":0}\n'
        '{"service":"portal","at":0,"good":-1,"bad":0}\n'
        "no json\n"
    )
    told = failed(*given, "--uptime", str(counts))
    assert "line 2: " in told
    assert "time zone" in told
    assert "line 3: " in told
    assert "line 4: " in told
    assert "line 1: " not in told
    counts.write_text("")
    assert "holds no counts" in failed(*given, "--uptime", str(counts))
    counts.write_text('{"service":"portl","at":0,"good":1,"bad":0}\n')
    assert "'portl' (portal?)" in failed(*given, "--uptime", str(counts))
    counts.write_text('{"service":"portal","at":0,"good":1,"bad":0}\n')
    assert "no objective was in force" in failed(*given, "--uptime", str(counts))
    counts.write_text('{"service":"portal","at":1790000000000,"good":1.5,"bad":0}\n')
    assert "Expected `int`, got `float` - at `$.good`" in failed(*given, "--uptime", str(counts))
    counts.write_text('{"service":"portal","at":1790000000000,"good":1.0,"bad":0}\n')
    elsewhere = ("--alerts", str(tmp_path / "absent" / "a.jsonl"))
    assert "can't be written" in failed(*given[:2], *elsewhere, "--uptime", str(counts))
    assert "No such file" in failed(*given, "--uptime", str(tmp_path / "absent.jsonl"))


def test_options_that_belong_together_are_asked_for(tmp_path: Path) -> None:
    given = ["--contracts", str(tmp_path)]
    assert "name --events (tickets) or --uptime" in failed(*given)
    assert "--uptime needs --alerts" in failed(*given, "--uptime", "x")
    assert "--events needs --out" in failed(*given, "--events", "x")
