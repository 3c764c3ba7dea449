"""What is known about a running clock that may say whether it will breach, as named factors with values.

There is no list of fields: every attribute a ticket carries is a factor, alone and together with the state of the
ticket. The *state* is what the agreement itself looks at: whether the clock runs or waits, and the fields its
conditions name. The rest is told by the history: hand-overs, waits, how long nothing has happened, and the queue of the
team that holds the ticket.

Durations and counts are taken in classes that grow geometrically: an hour more matters after one hour, not after a
week.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from sla.calendar import WorkCalendar
from sla.contract import PartyRules, Target
from sla.events import TicketEvent
from sla.forecast.queues import QueueState
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS

MOST_ATTRIBUTES: Final = 32
"""Attributes of one ticket that are looked at, by name: a source that sends hundreds must not cost hundreds."""

LONGEST_VALUE: Final = 64
"""Longer values are prose: no other ticket has the same."""

_MOST_HANDOVERS: Final = 4
_MOST_WAITS: Final = 5
_HOURS_TOGETHER: Final = 3
_OFFSETS_PER: Final = HOUR_MS // 4
"""Zones change their offset on quarters of an hour."""

QUEUE_BOUNDS: Final = tuple(1.6**power for power in range(20))
LOAD_BOUNDS: Final = tuple(2.0**power for power in range(-4, 8))
_DEFAULT_RULES: Final = PartyRules()


class Factor(NamedTuple):
    """One thing that is known about a clock.

    Attributes
    ----------
    name : str
        What: the name of an attribute, or of a measure such as ``waits``.
    value : str
        Its value or class.
    """

    name: str
    value: str


class TicketTrace:
    """What a ticket's events tell beyond its fields. A function of its history alone: it is never stored.

    Attributes
    ----------
    fields : dict
        Every field of the ticket, whether an agreement looks at it or not.
    changed_ms : dict
        When each field last changed.
    changes : dict
        How often each field has changed after it was first set.
    word : str
        Kind of the last event.
    """

    __slots__ = ("changed_ms", "changes", "events", "fields", "first_ms", "last_ms", "last_uid", "word")

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.changed_ms: dict[str, int] = {}
        self.changes: dict[str, int] = {}
        self.events = 0
        self.first_ms = 0
        self.last_ms = 0
        self.last_uid = -1
        self.word = ""

    @classmethod
    def of(cls, history: Iterable[TicketEvent]) -> TicketTrace:
        """Return the trace of a whole history."""
        trace = cls()
        for event in history:
            trace.take(event)
        return trace

    def take(self, event: TicketEvent) -> None:
        """Take the next event, in order."""
        if not self.events:
            self.first_ms = event.at_ms
        self.events += 1
        self.last_ms = event.at_ms
        self.last_uid = event.uid
        self.word = event.event
        for name, value in event.changes.items():
            before = self.fields.get(name)
            if before == value:
                continue
            if value is None:
                del self.fields[name]
            else:
                self.fields[name] = value
            if name in self.changed_ms:
                self.changes[name] = self.changes.get(name, 0) + 1
            self.changed_ms[name] = event.at_ms


class Viewpoint(NamedTuple):
    """How the clocks of one target are looked at.

    Attributes
    ----------
    stratum : str
        Clocks of one stratum are learned from each other: type of agreement and metric (``sla/resolution``).
    state_fields : tuple of str
        Fields that the target's conditions name.
    """

    stratum: str
    target: str
    state_fields: tuple[str, ...]
    team_field: str
    civil: WorkCalendar

    @classmethod
    def of(cls, target: Target, register: Register) -> Viewpoint:
        """Return the viewpoint of a target's clocks."""
        named = frozenset[str]().union(*(condition.field_names for condition in target.conditions))
        contract = register.contracts.get(target.contract)
        rules = _DEFAULT_RULES if contract is None else contract.parties
        return cls(
            f"{target.contract_type.value}/{target.metric}",
            target.id,
            tuple(sorted(named)),
            rules.team_field,
            register.calendars[target.calendar],
        )


class Situation(NamedTuple):
    """A clock and its ticket as they stand after the ticket's last event; time passes over it.

    Attributes
    ----------
    settled : tuple of Factor
        Factors that only an event changes.
    state : str
    team : str
        Who holds the ticket; empty: nobody.
    state_since_ms, last_ms, first_ms : int
        When the state last changed, when anything last happened, and when the ticket began.
    """

    viewpoint: Viewpoint
    settled: tuple[Factor, ...]
    state: str
    team: str
    state_since_ms: int
    last_ms: int
    first_ms: int


def situation_of(trace: TicketTrace, viewpoint: Viewpoint, *, is_paused: bool, waits: int) -> Situation:
    """Return the situation of a clock.

    Parameters
    ----------
    waits : int
        How often the clock has been paused.
    """
    fields = trace.fields
    state = "waiting" if is_paused else "running"
    since_ms = trace.first_ms
    for name in viewpoint.state_fields:
        state += f"/{fields.get(name, '')}"
        since_ms = max(since_ms, trace.changed_ms.get(name, since_ms))
    team = fields.get(viewpoint.team_field, "")
    handovers = trace.changes.get(viewpoint.team_field, 0)
    settled = [
        Factor("target", viewpoint.target),
        Factor("state, hand-overs", f"{state}, {min(handovers, _MOST_HANDOVERS)}"),
        Factor("last event", trace.word),
        Factor("waits", str(min(waits, _MOST_WAITS))),
    ]
    for name, value in _attributes(fields, viewpoint.state_fields):
        settled.append(Factor(name, value))
        settled.append(Factor(f"{name}, state", f"{value}, {state}"))
    return Situation(viewpoint, tuple(settled), state, team, since_ms, trace.last_ms, trace.first_ms)


def _attributes(fields: Mapping[str, str], state_fields: tuple[str, ...]) -> list[tuple[str, str]]:
    names = sorted(name for name in fields if name not in state_fields and len(fields[name]) <= LONGEST_VALUE)
    return [(name, fields[name]) for name in names[:MOST_ATTRIBUTES]]


def factors_at(situation: Situation, at_ms: int, queue: QueueState) -> tuple[Factor, ...]:
    """Return all factors of a clock at an instant: the settled ones, and those that time and the queue change."""
    hour = _hour_of_week(situation.viewpoint.civil, at_ms // _OFFSETS_PER)
    queued = str(bisect_right(QUEUE_BOUNDS, queue.open))
    return (
        *situation.settled,
        Factor("time in state", f"{minutes_class(at_ms - situation.state_since_ms)}, {situation.state}"),
        Factor("idle", str(minutes_class(at_ms - situation.last_ms))),
        Factor("age", str(minutes_class(at_ms - situation.first_ms))),
        Factor("weekday", str(hour // 24)),
        Factor("hour of day", str(hour % 24)),
        Factor("hour of week", str(hour // _HOURS_TOGETHER)),
        Factor("queue", queued),
        Factor("queue of team", f"{situation.team}, {queued}"),
        Factor("days of work queued", str(bisect_right(LOAD_BOUNDS, queue.load_days))),
        Factor("hours", "open" if situation.viewpoint.civil.is_open(at_ms) else "closed"),
    )


def minutes_class(duration_ms: int) -> int:
    """Return the class of a duration: 0 below a minute, then one more for each doubling."""
    return max(0, duration_ms // MINUTE_MS).bit_length()


@lru_cache(maxsize=100_000)
def _hour_of_week(civil: WorkCalendar, quarter: int) -> int:
    """Return the local hour of the week, 0 on Monday 00:00."""
    at_ms = quarter * _OFFSETS_PER
    local_ms = at_ms + civil.zone_at(at_ms).offset_ms_at(at_ms)
    return (local_ms // DAY_MS + 3) % 7 * 24 + local_ms % DAY_MS // HOUR_MS  # 1970 began on a Thursday
