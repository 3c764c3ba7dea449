"""Business time beside the libraries people would take otherwise: businesstimedelta and pandas, in one run.

Run with ``.venv/bin/python -m benchmarks.micro.beside_libraries``; the libraries are the dependency group ``bench``.

Every library gets the same agreement (Mon-Fri 08:00-17:00 in Berlin, the same holidays), the same starts, and its own
type of instant, made beforehand. Before anything is timed the answers are compared, to the second. A library is asked
from as many starts as fit into its share of time; a time is that of one call, and the calendars are warm: compiling
has a line of its own. pandas has no business time between two instants: the nearest is to count the hours of a range.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as day_time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sla.calendar import Calendar, CalendarSpec, parse_hours
from sla.units import HOUR_MS, MINUTE_MS, datetime_of, parse_instant

ZONE = "Europe/Berlin"
OPENS, CLOSES = 8, 17
HOLIDAYS = [
    date(year, month, day)
    for year in range(2024, 2046)
    for month, day in ((1, 1), (5, 1), (10, 3), (12, 24), (12, 25), (12, 26), (12, 31))
]
START_MS = parse_instant("2026-03-02T09:00:00+01:00")
STARTS = 1_000
# Open at all minutes of the day and week: neither the branch predictor nor a cache may live on one instant.
STARTS_MS = [START_MS + n * 37 * MINUTE_MS for n in range(STARTS)]
DISTANCES = {"4 h": 4, "40 h (a week)": 40, "2,000 h (a year)": 2_000, "20,000 h (ten years)": 20_000}
"""Business hours."""

SECONDS_PER_CELL = 0.2
COMPARED = 3
OURS = "slawatch"


@dataclass(frozen=True)
class Library:
    """How one library is asked: both functions take and return its own instants; ``between`` returns seconds."""

    name: str
    instants: Sequence[Any]
    deadline: Callable[[Any, int], Any]
    between: Callable[[Any, Any], float]
    as_ms: Callable[[Any], int]
    resolution_seconds: int = 1


@dataclass(frozen=True)
class Cell:
    """Seconds of one call: the median of all, and what nine in ten took more than, and less than."""

    median: float
    low: float
    high: float


def slawatch() -> Library:
    weekly = ((parse_hours(f"{OPENS:02d}:00-{CLOSES:02d}:00"),),) * 5 + ((),) * 2
    calendar = Calendar(CalendarSpec("bench", ZONE, weekly, frozenset(HOLIDAYS)))
    calendar.deadline(START_MS, 25_000 * HOUR_MS)
    return Library(
        OURS,
        STARTS_MS,
        lambda start_ms, hours: calendar.deadline(start_ms, hours * HOUR_MS),
        lambda from_ms, until_ms: calendar.worked_between(from_ms, until_ms) / 1000,
        int,
    )


def businesstimedelta() -> Library:
    import businesstimedelta as library
    import pytz

    zone = pytz.timezone(ZONE)
    work = library.WorkDayRule(day_time(OPENS), day_time(CLOSES), [0, 1, 2, 3, 4], tz=zone)
    rules = library.Rules([work, library.HolidayRule(set(HOLIDAYS), tz=zone)])

    def seconds_between(start: datetime, end: datetime) -> float:
        between: timedelta = rules.difference(start, end).timedelta
        return between.total_seconds()

    return Library(
        "businesstimedelta",
        [datetime_of(start_ms).astimezone(zone) for start_ms in STARTS_MS],
        lambda start, hours: start + library.BusinessTimeDelta(rules, hours=hours),
        seconds_between,
        lambda instant: round(instant.timestamp() * 1000),
    )


def pandas() -> Library:
    import pandas as pd

    hours_of_work = pd.offsets.CustomBusinessHour(
        start=f"{OPENS:02d}:00", end=f"{CLOSES:02d}:00", weekmask="Mon Tue Wed Thu Fri", holidays=HOLIDAYS
    )
    return Library(
        "pandas",
        [pd.Timestamp(start_ms, unit="ms", tz="UTC").tz_convert(ZONE) for start_ms in STARTS_MS],
        lambda start, hours: start + hours * hours_of_work,
        lambda start, end: (len(pd.date_range(start, end, freq=hours_of_work)) - 1) * 3600.0,
        lambda instant: round(instant.timestamp() * 1000),
        resolution_seconds=3600,
    )


def libraries() -> list[Library]:
    found = [slawatch()]
    for build in (businesstimedelta, pandas):
        try:
            found.append(build())
        except ImportError:
            print(f"{build.__name__} is not installed: uv pip install --group bench", file=sys.stderr)
    return found


def differences(ours: Library, theirs: Library, hours: int) -> list[str]:
    """Return where answers differ; deadlines to the second, time between to what the library can tell."""
    found = []
    for n in range(0, STARTS, STARTS // COMPARED + 1):
        due, their_due = ours.deadline(ours.instants[n], hours), theirs.deadline(theirs.instants[n], hours)
        if abs(ours.as_ms(due) - theirs.as_ms(their_due)) >= 1000:
            found.append(f"{theirs.name}: {hours} h after {datetime_of(STARTS_MS[n])} is {their_due}")
        seconds = theirs.between(theirs.instants[n], their_due)
        if abs(seconds - ours.between(ours.instants[n], due)) > theirs.resolution_seconds:
            found.append(f"{theirs.name}: {seconds / 3600} h are between {datetime_of(STARTS_MS[n])} and {their_due}")
    return found


def timed(call: Callable[[int], object]) -> Cell:
    """Time single calls from start after start for a while; calls too short for the timer are timed by the hundred."""
    call(0)
    begun = time.perf_counter()
    call(1)
    batch = 1 if time.perf_counter() - begun > 50e-6 else 100
    calls: list[float] = []
    n, until = 0, time.perf_counter() + SECONDS_PER_CELL
    while len(calls) < 3 or time.perf_counter() < until:
        begun = time.perf_counter()
        for _ in range(batch):
            call(n)
            n = n + 1 if n + 1 < STARTS else 0
        calls.append((time.perf_counter() - begun) / batch)
    tenths = statistics.quantiles(calls, n=10) if len(calls) > 10 else [min(calls), max(calls)]
    return Cell(statistics.median(calls), tenths[0], tenths[-1])


def shown(seconds: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e6:.2f} µs"


def main() -> None:
    """Print the table as Markdown, and what it was measured on."""
    found = libraries()
    ours = found[0]
    rows = []
    unequal = []
    for label, hours in DISTANCES.items():
        cells: dict[tuple[str, str], Cell] = {}
        for library in found:
            if library is not ours:
                unequal += differences(ours, library, hours)
            # Working out a thousand ends takes the slow ones minutes.
            asked = STARTS if library is ours or hours <= 40 else COMPARED
            ends = [library.deadline(start, hours) for start in library.instants[:asked]]

            def deadline(n: int, library: Library = library, hours: int = hours) -> object:
                return library.deadline(library.instants[n], hours)

            def between(n: int, library: Library = library, ends: list[Any] = ends) -> object:
                n %= len(ends)
                return library.between(library.instants[n], ends[n])

            cells["deadline", library.name] = timed(deadline)
            cells["between", library.name] = timed(between)
        for operation in ("deadline", "between"):
            base = cells[operation, OURS].median
            for library in found:
                cell = cells[operation, library.name]
                rows.append(
                    f"| {operation}, {label} | {library.name} | {shown(cell.median)} | {shown(cell.low)} to "
                    f"{shown(cell.high)} | {_rounded(cell.median / base)} |"
                )
    compiling = timed(lambda _n: slawatch())
    rows.append(
        f"| compiling, ten years and a bit | {OURS} | {shown(compiling.median)} | {shown(compiling.low)} to "
        f"{shown(compiling.high)} | |"
    )
    print("| operation, distance | library | median | 10 % to 90 % of calls | times slawatch |")
    print("|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{_machine()}")
    for line in unequal:
        print(f"differs: {line}")


def _rounded(ratio: float) -> str:
    return f"{float(f'{ratio:.2g}'):,.0f}"


def _machine() -> str:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    versions = []
    for name in ("businesstimedelta", "pandas", "numpy"):
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    versions = [f"Python {platform.python_version()}", *versions]
    return f"{os.cpu_count()} x {cpu}, {', '.join(versions)}, {time.strftime('%Y-%m-%d')}"


if __name__ == "__main__":
    main()
