"""What the agreement `incident-log` makes of an incident log, computed a second time in the simplest way.

Shares no code with the product: it reads the XML itself, walks office days one by one, and follows each case once from
its first event to its last. It needs the whole file and knows nothing of streams, partitions, steps or state.

The rule, per case:

* the first event starts the clock of the case's impact; the first ``Completed/Resolved`` after it stops the clock, and
  so does ``Completed/In Call``, even as the first event; ``Completed/Cancelled`` cancels it;
* it stands while the status is one of three kinds of waiting;
* an ``Accepted/*`` or ``Queued/*`` after the case was resolved, closed or cancelled reopens it, and so does an
  ``Accepted/In Progress`` or ``Accepted/Assigned`` whenever no clock is active (after ``Completed/In Call``): the next
  cycle of the target that applies now starts;
* when the impact changes under an active clock, that clock ends as superseded, and the clock of the new impact goes on
  from there with what was consumed;
* a clock has breached once an event finds it running after its deadline, or once ``now`` is ``settle`` after it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Stockholm")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SETTLE_MS = 30_000

TARGET_HOURS = {"Major": 8, "High": 16, "Medium": 24, "Low": 40}
SOLVED_ON_THE_PHONE = "Completed/In Call"
WORK = {"Accepted/In Progress", "Accepted/Assigned"}
WAITING = {"Accepted/Wait - User", "Accepted/Wait - Customer", "Accepted/Wait - Vendor"}


@dataclass(frozen=True)
class Event:
    """One event of a case."""

    at_ms: int
    status: str
    impact: str


@dataclass(frozen=True)
class Verdict:
    """How a clock ended, or that it has breached."""

    outcome: str
    start_ms: int
    deadline_ms: int
    stop_ms: int | None
    consumed_ms: int


@dataclass(frozen=True)
class Open:
    """A clock that has no verdict."""

    phase: str
    start_ms: int
    deadline_ms: int | None
    consumed_ms: int


@dataclass(frozen=True)
class Expected:
    """Verdicts and clocks without one, by clock id, as of ``now_ms``.

    ``forgotten`` counts the cases that had events after they were forgotten.
    """

    verdicts: dict[str, Verdict]
    open: dict[str, Open]
    now_ms: int
    forgotten: int


# --- business time: Monday to Friday, 08:00 to 18:00 ---


@cache
def office_hours(day: date) -> tuple[int, int] | None:
    """Return (open, close) of a date in epoch ms, None at weekends."""
    if day.weekday() >= 5:
        return None
    opens, closes = (datetime.combine(day, time_of_day(hour), ZONE) for hour in (8, 18))
    return int(opens.timestamp()) * 1000, int(closes.timestamp()) * 1000


def days_from(at_ms: int) -> Iterator[tuple[int, int]]:
    """Yield the office hours of the date of an instant and of all later ones."""
    day = datetime.fromtimestamp(at_ms / 1000, ZONE).date()
    while True:
        hours = office_hours(day)
        if hours is not None:
            yield hours
        day += timedelta(days=1)


def worked(from_ms: int, until_ms: int) -> int:
    """Return the office time between two instants, in ms."""
    total = 0
    for opens, closes in days_from(from_ms):
        if opens >= until_ms:
            break
        total += max(0, min(closes, until_ms) - max(opens, from_ms))
    return total


def instant_after(from_ms: int, office_ms: int) -> int:
    """Return the first instant at which ``office_ms`` of office time have passed, and that lies in office hours."""
    for opens, closes in days_from(from_ms):
        begins = max(opens, from_ms)
        if begins >= closes:
            continue
        if office_ms <= closes - begins:
            return begins + office_ms
        office_ms -= closes - begins
    raise AssertionError("days never end")


# --- the file ---


def cases_of(path: Path) -> Iterator[tuple[str, list[Event]]]:
    """Yield (case, events in the order of time, then of the file)."""
    with gzip.open(path) as stream:
        for _, element in ET.iterparse(stream):
            if not element.tag.endswith("}trace"):
                continue
            case = next(child.get("value") for child in element if child.get("key") == "concept:name")
            events = []
            for child in element:
                if child.tag.endswith("}event"):
                    values = {attribute.get("key"): attribute.get("value", "") for attribute in child}
                    at = datetime.fromisoformat(values["time:timestamp"])
                    status = f"{values['concept:name']}/{values['lifecycle:transition']}"
                    events.append(Event(round(at.timestamp() * 1000), status, values["impact"]))
            assert case is not None
            yield case, sorted(events, key=lambda event: event.at_ms)
            element.clear()


# --- clocks ---


class _Clock:
    """One clock while its case is followed."""

    def __init__(self, target: str, cycle: int, start_ms: int, at_ms: int, consumed_ms: int) -> None:
        self.target = target
        self.cycle = cycle
        self.limit_ms = TARGET_HOURS[target] * HOUR_MS
        self.start_ms = start_ms
        self.consumed_ms = consumed_ms
        self.running_since: int | None = None
        self.breach_ms: int | None = None
        self.end: str | None = None
        self.end_ms: int | None = None
        self.end_deadline_ms: int | None = None
        if consumed_ms > self.limit_ms:
            self.breach_ms = at_ms  # it brings more than is allowed: missed at the change itself
        self.run(at_ms)

    @property
    def deadline_ms(self) -> int | None:
        """When it is due: fixed once it was missed, unknown while it stands."""
        if self.breach_ms is not None:
            return self.breach_ms
        if self.running_since is None:
            return None
        return instant_after(self.running_since, self.limit_ms - self.consumed_ms)

    def run(self, at_ms: int) -> None:
        self.running_since = at_ms

    def see(self, at_ms: int) -> None:
        """An event finds it: if it runs and its deadline is over, that was missed."""
        deadline_ms = self.deadline_ms
        if self.running_since is not None and deadline_ms is not None and at_ms > deadline_ms:
            self.breach_ms = deadline_ms

    def stand(self, at_ms: int) -> None:
        if self.running_since is not None:
            self.see(at_ms)
            self.consumed_ms += worked(self.running_since, at_ms)
            self.running_since = None

    def finish(self, at_ms: int, how: str) -> None:
        self.see(at_ms)
        # Of a clock that stood: the deadline it would have had, had it gone on at its end.
        deadline_ms = self.deadline_ms
        self.stand(at_ms)
        if deadline_ms is None:
            deadline_ms = instant_after(at_ms, self.limit_ms - self.consumed_ms)
        self.end, self.end_ms, self.end_deadline_ms = how, at_ms, deadline_ms

    def verdict(self, now_ms: int) -> Verdict | None:
        if self.end is not None:
            assert self.end_deadline_ms is not None
            outcome = "breached" if self.breach_ms is not None else self.end
            return Verdict(outcome, self.start_ms, self.end_deadline_ms, self.end_ms, self.consumed_ms)
        deadline_ms = self.deadline_ms
        if self.breach_ms is None and (deadline_ms is None or now_ms < deadline_ms + SETTLE_MS):
            return None
        assert deadline_ms is not None
        # Still open: what it has used up is its target, more would depend on when one looks.
        return Verdict("breached", self.start_ms, deadline_ms, None, self.limit_ms)

    def still_open(self, now_ms: int) -> Open:
        if self.running_since is None:
            return Open("paused", self.start_ms, self.deadline_ms, self.consumed_ms)
        consumed_ms = self.consumed_ms + worked(self.running_since, now_ms)
        return Open("running", self.start_ms, self.deadline_ms, consumed_ms)


def _clocks_of(events: list[Event], retention_ms: int | None) -> tuple[list[_Clock], bool]:
    """Follow one case; return its clocks, and whether it had events after it had been forgotten."""
    clocks: list[_Clock] = []
    active: _Clock | None = None
    is_over = forgotten = False
    impact: str | None = None
    for number, event in enumerate(events):
        is_idle = retention_ms is not None and number > 0 and active is None
        if is_idle and event.at_ms - events[number - 1].at_ms >= (retention_ms or 0):
            forgotten = True
        if forgotten:
            continue  # what comes now tells changes of a case that nobody knows any more
        reopens = number > 0 and is_over and event.status.startswith(("Accepted/", "Queued/"))
        was, impact = impact, event.impact
        if active is not None:
            if (number and event.status == "Completed/Resolved") or event.status == SOLVED_ON_THE_PHONE:
                active.finish(event.at_ms, "met")
                active = None
            elif number and event.status == "Completed/Cancelled":
                active.finish(event.at_ms, "cancelled")
                active = None
            else:
                active.see(event.at_ms)
                if impact != was:
                    old = active
                    old.finish(event.at_ms, "superseded")
                    cycle = 1 + sum(clock.target == impact for clock in clocks)
                    active = _Clock(impact, cycle, old.start_ms, event.at_ms, old.consumed_ms)
                    clocks.append(active)
        elif number == 0 or reopens or event.status in WORK:
            cycle = 1 + sum(clock.target == impact for clock in clocks)
            active = _Clock(impact, cycle, event.at_ms, event.at_ms, 0)
            clocks.append(active)
            if event.status == SOLVED_ON_THE_PHONE:
                active.finish(event.at_ms, "met")
                active = None
        if active is not None:
            if event.status in WAITING:
                active.stand(event.at_ms)
            elif active.running_since is None:
                active.run(event.at_ms)
        if number and event.status in {"Completed/Resolved", "Completed/Closed", "Completed/Cancelled"}:
            is_over = True
        elif reopens:
            is_over = False
    return clocks, forgotten


def expect(path: Path, *, until_ms: int | None = None, retention_ms: int | None = None) -> Expected:
    """Return what the agreement makes of a log.

    Parameters
    ----------
    until_ms
        Later events are left out, and it is this instant; None: that of the newest event.
    retention_ms
        A case without an active clock is forgotten when it had no event for this long; None: never.
    """
    cases = dict(cases_of(path))
    now_ms = until_ms if until_ms is not None else max(events[-1].at_ms for events in cases.values())
    verdicts: dict[str, Verdict] = {}
    still_open: dict[str, Open] = {}
    forgotten = 0
    for case, events in cases.items():
        clocks, was_forgotten = _clocks_of([event for event in events if event.at_ms <= now_ms], retention_ms)
        forgotten += was_forgotten
        for clock in clocks:
            clock_id = f"{case}:resolution-{clock.target.lower()}:{clock.cycle}"
            verdict = clock.verdict(now_ms)
            if verdict is not None:
                verdicts[clock_id] = verdict
            else:
                still_open[clock_id] = clock.still_open(now_ms)
    return Expected(verdicts, still_open, now_ms, forgotten)
