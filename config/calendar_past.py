"""Calendars that change their past: clocks that ended are not rewritten, so new hours begin at an instant of their own.

A calendar counts for every clock that was ever under it. Hours or holidays that are edited in place would change what
ended clocks consumed, and their verdicts with it; written as a revision they count from its effective instant on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from itertools import zip_longest
from zoneinfo import ZoneInfo

from config.contract_model import ContractModel, RevisionModel
from sla.calendar import EARLIEST_MS, Calendar
from sla.calendar_spec import CalendarSpec, Combination
from sla.contract import TimeBase
from sla.duration import parse_within
from sla.units import datetime_of


def changes_of_the_past(
    published: Mapping[str, CalendarSpec],
    proposed: Mapping[str, CalendarSpec],
    contracts: Iterable[ContractModel],
    now_ms: int,
) -> Iterator[tuple[str, str]]:
    """Yield (id, what changes and what to write instead) of every calendar whose past a proposal changes.

    Parameters
    ----------
    published, proposed : mapping of id to CalendarSpec
        As on the register, and as their author wants them.
    contracts : iterable of ContractModel
        Those on the register: the past of a calendar begins with the first signed revision that counts by it.
    now_ms : int
        What is before it is the past.
    """
    users = _users_of_calendars(contracts)
    for calendar_id in sorted(published.keys() & proposed.keys() & users.keys()):
        before, after = published[calendar_id], proposed[calendar_id]
        since_ms = min(users[calendar_id].values())
        first_ms = first_difference_ms(before, after, since_ms, now_ms) if before != after else None
        if first_ms is not None:
            affected = ", ".join(sorted(name for name, from_ms in users[calendar_id].items() if from_ms < now_ms))
            first_day = f"{datetime_of(first_ms).astimezone(ZoneInfo(before.timezone)):%Y-%m-%d}"
            told = (
                f"changes its past, first on {first_day}: verdicts already told about {affected} would be corrected "
                "(`contracts plan` counts them)"
            )
            yield calendar_id, f"{told}. {_instead(before, now_ms)}"


def first_difference_ms(before: CalendarSpec, after: CalendarSpec, from_ms: int, until_ms: int) -> int | None:
    """Return the first instant of ``[from, until)`` at which one of two calendars is open and the other is not."""
    windows = [Calendar(spec).windows_between(max(from_ms, EARLIEST_MS), until_ms) for spec in (before, after)]
    for one, other in zip_longest(*windows):
        if one != other:
            if one is None or other is None:
                return int((one or other)[0])
            return int(min(one[0], other[0]) if one[0] != other[0] else min(one[1], other[1]))
    return None


def _users_of_calendars(contracts: Iterable[ContractModel]) -> dict[str, dict[str, int]]:
    """Return by calendar id: the signed contracts that count by it, each with the UTC epoch ms since when it does."""
    users: dict[str, dict[str, int]] = defaultdict(dict)
    for contract in contracts:
        for revision, _ in contract.monitored:  # ascending: the first one stays
            for calendar_id in _calendars_of(revision):
                users[calendar_id].setdefault(contract.id, revision.effective_from_ms)
    return users


def _calendars_of(revision: RevisionModel) -> Iterator[str]:
    for target in revision.targets:
        calendar_id = target.calendar or revision.calendar
        if calendar_id is not None and parse_within(target.within).base is TimeBase.BUSINESS:
            yield calendar_id
    for availability in revision.availability or ():
        if availability.hours is not None:
            yield availability.hours


def _instead(calendar: CalendarSpec, now_ms: int) -> str:
    today = datetime_of(now_ms).astimezone(ZoneInfo(calendar.timezone)).date()
    begin = datetime.combine(today + timedelta(days=1), time(), ZoneInfo(calendar.timezone)).isoformat()
    revision = f"revisions: [{{effective_from: {begin}, hours: ..., holidays: ...}}]"
    if calendar.combination in {None, Combination.SUCCESSION}:
        return f"Leave its hours and holidays as they are and add the new ones: {revision}"
    made_of = ", ".join(part.id for part in calendar.parts)
    return f"Leave the calendars it is made of ({made_of}) as they are and add to one of them: {revision}"
