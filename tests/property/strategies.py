"""Strategies that property tests share, and the pool of values that broke such code before."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from sla.calendar import CalendarSpec
from sla.contract import NEVER_HOLDS, ContractType, DeadlineAt, OnChange, Reopen, Target
from sla.events import TicketEvent, rank_of
from sla.register import Register
from sla.units import NEVER, EpochMs, parse_instant
from tests.support.domain import condition, register, target

# Weeks in which a rule about local time is hard: (zone, a date a few days before the difficulty).
HARD_WEEKS = (
    ("Europe/Berlin", date(2026, 3, 26)),  # 02:00 -> 03:00
    ("Europe/Berlin", date(2026, 10, 22)),  # 03:00 -> 02:00
    ("America/New_York", date(2026, 3, 5)),
    ("America/New_York", date(2026, 10, 29)),
    ("America/Sao_Paulo", date(2017, 10, 12)),  # 00:00 does not exist
    ("America/Sao_Paulo", date(2018, 2, 14)),  # 24:00 -> 23:00
    ("Australia/Sydney", date(2026, 4, 2)),
    ("Australia/Sydney", date(2026, 10, 1)),
    ("Asia/Tehran", date(2021, 9, 18)),  # +03:30, 24:00 -> 23:00
    ("Asia/Tehran", date(2022, 3, 18)),  # 00:00 does not exist; the last summer time
    ("Asia/Tehran", date(2022, 9, 18)),
    ("America/Havana", date(2026, 3, 5)),  # 00:00 does not exist
    ("America/Havana", date(2025, 10, 30)),  # 01:00 -> 00:00: midnight twice, both on the new date
    ("Australia/Lord_Howe", date(2026, 4, 2)),  # half an hour back
    ("Australia/Lord_Howe", date(2026, 10, 1)),
    ("America/St_Johns", date(2006, 3, 30)),
    ("America/St_Johns", date(2006, 10, 26)),  # 00:01 -> 23:01: back into the day before
    ("Pacific/Apia", date(2011, 12, 27)),  # 30 December was skipped
    ("Pacific/Kwajalein", date(1993, 8, 18)),  # 21 August was skipped
    ("Africa/Casablanca", date(2026, 2, 12)),  # summer time ends for Ramadan
    ("Asia/Pyongyang", date(2015, 8, 12)),  # half an hour back for good, at midnight
    ("America/Caracas", date(2007, 12, 6)),
    ("Asia/Kathmandu", date(2026, 5, 1)),  # +05:45
    ("UTC", date(2025, 12, 29)),  # New Year: two compiled years
    ("Asia/Jakarta", date(2024, 2, 26)),  # leap day
)

NASTY_MINUTES = (
    *(0, 1, 15, 30, 59, 60, 61, 75, 90, 105, 119, 120, 121, 135, 150, 165, 179, 180, 181, 210, 240),
    *(480, 540, 720, 1020, 1320, 1380, 1381, 1410, 1439, 1440),
)
"""Local minutes at and around the changes of :data:`HARD_WEEKS`, and usual hours."""

NASTY_INSTANTS_MS: tuple[EpochMs, ...] = tuple(
    parse_instant(text)
    for text in (
        "2011-12-30T10:00:00Z",
        "2024-02-29T23:59:59.999Z",
        "2025-12-31T23:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-03-29T00:59:59.999Z",
        "2026-03-29T01:00:00Z",
        "2026-10-25T00:00:00Z",
        "2026-10-25T01:00:00Z",
    )
)


def instants_ms(since: str = "2010-01-01T00:00:00Z", until: str = "2035-01-01T00:00:00Z") -> st.SearchStrategy[int]:
    """Instants of some decades, nasty ones among them."""
    return st.sampled_from(NASTY_INSTANTS_MS) | st.integers(parse_instant(since), parse_instant(until))


@st.composite
def weekly_hours(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Seven days of windows that are valid together; at least one opens."""
    marks_of_day = st.lists(st.sampled_from(NASTY_MINUTES) | st.integers(0, 1440), unique=True, max_size=8)
    # Half of them keep the same hours every day, so that the hard hours meet the hard date.
    different_days = draw(st.sampled_from((1, 7)))
    marks_of_days = [sorted(draw(marks_of_day)) for _ in range(different_days)] * (7 // different_days)
    days = [list(zip(marks[0::2], marks[1::2], strict=False)) for marks in marks_of_days]
    if not any(days):
        days[draw(st.integers(0, 6))] = [(480, 1020)]
    for number, windows in enumerate(days):
        if windows and draw(st.sampled_from((False, True))):
            # Over midnight, at most up to the next day's first opening.
            following = days[(number + 1) % 7]
            latest = following[0][0] if following else 1440
            windows[-1] = (windows[-1][0], 1440 + draw(st.sampled_from([m for m in NASTY_MINUTES if m <= latest])))
    return tuple(map(tuple, days))


@st.composite
def calendar_specs(draw: st.DrawFn, zone: str, first_day: date, days: int = 9) -> CalendarSpec:
    """Calendars of a zone with hard hours and with holidays among some dates."""
    dates = st.sampled_from([first_day + timedelta(days=n) for n in range(days)])
    yearly = dates.map(lambda day: (day.month, day.day))
    return CalendarSpec(
        id="any",
        timezone=zone,
        weekly=draw(weekly_hours()),
        closed_dates=draw(st.frozensets(dates, max_size=5)),
        closed_yearly=draw(st.frozensets(yearly, max_size=2)),
    )


# --- tickets -------------------------------------------------------------------------------------------------------

FIRST_MONDAY_MS = parse_instant("2026-03-23T00:00:00+01:00")
"""Ticket histories lie in the two weeks from here: clocks go forward in Berlin on the Sunday between them."""

TICKET_DAYS = 12
_OFFICE_MINUTES = (0, 1, 539, 540, 541, 600, 720, 780, 840, 960, 1019, 1020, 1021, 1080, 1439)

_DUE_DATES = ("2026-03-24", "2026-03-27", "2026-03-28", "2026-03-30", "2026-03-31T23:30:00Z")

TICKET_EVENTS = (
    *("created", "updated", "updated", "updated", "responded", "resolved", "closed", "reopened", "cancelled", "merged"),
    "note",
)


def ticket_instants_ms() -> st.SearchStrategy[int]:
    """Instants that crowd around office hours and their bounds, some a millisecond off."""
    minute = st.sampled_from(_OFFICE_MINUTES) | st.integers(0, 1439)
    return st.builds(
        lambda day, minute, off: FIRST_MONDAY_MS + (day * 1440 + minute) * 60_000 + off,
        st.integers(0, TICKET_DAYS - 1),
        minute,
        st.sampled_from((0, 0, 0, 0, 1, -1)),
    )


def ticket_changes() -> st.SearchStrategy[dict[str, str | None]]:
    """Fields set by an event; what contracts of :func:`registers` look at, and one nobody looks at."""
    return st.fixed_dictionaries(
        {},
        optional={
            "priority": st.sampled_from(("P1", "P2", "P3", None)),
            "waiting_for": st.sampled_from(("customer", None)),
            "status": st.sampled_from(("open", "resolved", None)),
            "title": st.sampled_from(("a", "b")),
            "due_date": st.sampled_from((*_DUE_DATES, "soon", None)),
            "first_at": st.sampled_from(("2026-03-23T09:30:00+01:00", "2026-03-20T16:00:00+01:00", "long ago", None)),
        },
    )


@st.composite
def ticket_histories(draw: st.DrawFn, max_size: int = 9) -> list[TicketEvent]:
    """Events of one ticket: mostly created first, some at one instant, some with the identity of another."""
    count = draw(st.integers(1, max_size))
    events = []
    for number in range(count):
        kind = "created" if number == 0 else draw(st.sampled_from(TICKET_EVENTS))
        uid = number if draw(st.integers(0, 9)) else draw(st.integers(0, count))
        sequence = draw(st.sampled_from((0, 0, 0, 1)))
        changes = draw(ticket_changes())
        events.append(TicketEvent(draw(ticket_instants_ms()), sequence, rank_of(kind), uid, kind, changes))
    if draw(st.integers(0, 3)):
        # Mostly a story in a plausible order: what is created last ends nothing.
        earliest_ms = min(event.at_ms for event in events)
        events[0] = msgspec.structs.replace(events[0], at_ms=earliest_ms - draw(st.sampled_from((0, 1, 60_000))))
    return events


@st.composite
def registers(draw: st.DrawFn) -> Register:
    """Registers with targets by priority, a fallback or none, an OLA, and terms revised in the middle of the story.

    Some are due on business days or on a date of the ticket, are repeated, count in one state only, or hand their open
    clocks over to another revision, or end them.
    """
    durations = ("0bh", "1bh", "4bh", "8bh", "16bh", "30h")
    hours = st.sampled_from(
        (*durations, *durations, "1bd", "2bd", "eod", "1bd eod", "by due_date", "by due_date at 10:30")
    )
    warn = st.sampled_from(((), ("1/2",), ("1/2", "3/4", "1")))
    stop = st.sampled_from((condition("resolved"), condition("resolved", "closed"), condition(status="resolved")))
    revised_ms = FIRST_MONDAY_MS + draw(st.integers(1, TICKET_DAYS)) * 86_400_000
    targets: list[Target] = []

    def add(target_id: str, **fixed: Any) -> None:
        drawn = {
            "reopen": draw(st.sampled_from(Reopen)),
            "on_change": draw(st.sampled_from(OnChange)),
            "deadline_at": draw(st.sampled_from(DeadlineAt)),
            "stop": draw(stop),
            "repeat": draw(st.sampled_from((NEVER_HOLDS, NEVER_HOLDS, condition("note"), condition(status="open")))),
            "earliest_start": draw(st.sampled_from((None, None, "first_at"))),
        }
        # 0: one revision; 1: revised; 2: ended; 3: begun later; 4: revised for open tickets, too; 5: ended with them
        life = draw(st.sampled_from((0, 0, 1, 2, 3, 4, 5)))
        for revision in (1, 2):
            if revision == 2 and life not in {1, 4}:
                continue
            since = revised_ms if revision == 2 or life == 3 else 0
            until = NEVER if revision == 2 or life in {0, 3} else revised_ms
            within = draw(hours)
            terms: dict[str, Any] = {"within": within, "warn": draw(warn), **drawn, **fixed}
            if within.startswith("by"):
                terms["pause"] = NEVER_HOLDS
            else:
                terms["only_while"] = draw(st.sampled_from((None, None, condition(priority=["P1", "P2"]))))
                terms["warn_before_ms"] = draw(st.sampled_from(((), (), (3_600_000,))))
            if revision == 1 and life in {4, 5}:
                terms.update(open_until_ms=revised_ms, open_then=2 if life == 4 else None)
            targets.append(target(target_id, revision=revision, since=since, until=until, **terms))

    for priority in draw(st.lists(st.sampled_from(("P1", "P2", "P3")), unique=True, max_size=3)):
        add(f"resolution-{priority}", applies_to={"priority": priority})
    if draw(st.booleans()) or not targets:
        add("resolution-any", contract="corporate")
    if draw(st.booleans()):
        add("response", metric="response", stop=condition("responded", "resolved"))
    if draw(st.booleans()):
        add("ola", contract="ola", contract_type=ContractType.OLA, applies_to={"priority": ["P1", "P2"]})
    return register(*targets)
