"""Builders of the domain for tests, so that a test reads as a sentence.

The week of most tests is that of Monday 2 March 2026 in Berlin, where the office is open Mon-Fri 09:00-17:00::

    monitor = Monitor(register(target(within="8bh")))
    monitor.hears("INC-1", event("created", "mon 09:00"))
    monitor.passes("mon 17:00:30")
    assert monitor.result("INC-1:resolution:1") is Result.BREACHED
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fractions import Fraction
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

from sla.buckets import Rollup
from sla.calendar import Calendar, CalendarSpec, WorkCalendar, parse_hours
from sla.contract import (
    NEVER_HOLDS,
    Clause,
    Condition,
    Contract,
    ContractType,
    Level,
    Objective,
    Period,
    Target,
    Window,
)
from sla.duration import parse_within
from sla.engine import EngineLimits, TicketEngine
from sla.events import Rejected, TicketEvent, rank_of
from sla.outcome import Alert, AlertState, Result, Verdict
from sla.register import Register
from sla.step import Outcome
from sla.ticket import Ticket
from sla.units import NEVER, format_instant, ms_of

BERLIN: Final = ZoneInfo("Europe/Berlin")
MONDAY: Final = datetime(2026, 3, 2, tzinfo=BERLIN)
_DAYS: Final = {name: number for number, name in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))}
_INSTANT: Final = re.compile(r"^(\w{3}) (\d\d):(\d\d)(?::(\d\d)(?:\.(\d{3}))?)?(?: \+(\d+)w)?$")

OFFICE_HOURS: Final = (parse_hours("09:00-17:00"),)
OFFICE: Final = Calendar(CalendarSpec(id="office", timezone="Europe/Berlin", weekly=(OFFICE_HOURS,) * 5 + ((),) * 2))
"""Mon-Fri 09:00-17:00 in Berlin."""

SETTLE_MS: Final = 30_000


def at(text: str | int) -> int:
    """Return an instant of the week of the tests: ``mon 09:00``, ``sun 23:59:59.999``, ``tue 10:00 +2w``."""
    if isinstance(text, int):
        return text
    match = _INSTANT.match(text)
    assert match, f"{text!r} is no instant such as 'mon 09:00' or 'tue 10:00:30.500 +1w'"
    day, hour, minute, second, millisecond, weeks = match.groups()
    date = MONDAY.date() + timedelta(days=_DAYS[day], weeks=int(weeks or 0))
    local = datetime(
        *(date.year, date.month, date.day, int(hour), int(minute), int(second or 0), int(millisecond or 0) * 1000),
        tzinfo=BERLIN,
    )
    return ms_of(local)


def condition(*events: str, **fields: str | Iterable[str]) -> Condition:
    """Return "the event is one of ``events`` and every field has (one of) its value(s)"."""
    wanted = tuple(
        (name, frozenset((values,)) if isinstance(values, str) else frozenset(values))
        for name, values in sorted(fields.items())
    )
    return Condition((Clause(frozenset(events), wanted),))


def any_of(*conditions: Condition) -> Condition:
    """Return "any of these conditions holds"."""
    return Condition(tuple(clause for each in conditions for clause in each.clauses))


WAITING: Final = condition(waiting_for="customer")


def target(
    target_id: str = "resolution",
    *,
    within: str = "8bh",
    applies_to: Mapping[str, str | Iterable[str]] | None = None,
    start: Condition = condition("created"),  # noqa: B008 - frozen
    stop: Condition = condition("resolved"),  # noqa: B008 - frozen
    pause: Condition = WAITING,
    warn: Iterable[str] = (),
    since: str | int = 0,
    until: str | int = NEVER,
    attain: str | None = None,
    over: Window | None = None,
    **terms: Any,
) -> Target:
    """Return a target of the contract ``desk``; every ticket has it unless ``applies_to`` says otherwise."""
    scope = {name: (values,) if isinstance(values, str) else values for name, values in (applies_to or {}).items()}
    given: dict[str, Any] = {
        "contract": "desk",
        "contract_type": ContractType.SLA,
        "level": Level.CORPORATE,
        "revision": 1,
        "metric": "resolution",
        "calendar": "office",
        **terms,
    }
    if attain is not None:
        window = over or Window(rolling_ms=None, period=Period.MONTH, timezone="Europe/Berlin")
        given["objective"] = Objective(target_id, Fraction(attain), window)
    return Target(
        id=target_id,
        effective_from_ms=at(since),
        effective_until_ms=at(until),
        applies_to=tuple((name, frozenset(values)) for name, values in sorted(scope.items())),
        start=start,
        stop=stop,
        within=parse_within(within),
        pause=pause or NEVER_HOLDS,
        warn_consumed=tuple(map(Fraction, warn)),
        **given,
    )


def by_priority(**within: str) -> tuple[Target, ...]:
    """Return a resolution target for each priority: ``by_priority(P1="4bh", P2="8bh")``."""
    return tuple(
        target(f"resolution-{priority}", within=duration, applies_to={"priority": priority})
        for priority, duration in within.items()
    )


def register(*targets: Target, calendars: Mapping[str, WorkCalendar] | None = None) -> Register:
    """Return a register of these targets, grouped into their contracts, with the office calendar."""
    of_contract: dict[str, list[Target]] = defaultdict(list)
    for each in targets:
        of_contract[each.contract].append(each)
    contracts = [
        Contract(contract_id, own[0].contract_type, own[0].level, "provider", "owner", tuple(own))
        for contract_id, own in of_contract.items()
    ]
    return Register(contracts, {"office": OFFICE, **(calendars or {})})


def event(
    kind: str, when: str | int, *, uid: int | None = None, sequence: int = 0, **changes: str | None
) -> TicketEvent:
    """Return an event; without ``uid`` its content identifies it, as on the wire."""
    at_ms = at(when)
    if uid is None:
        content = repr((kind, at_ms, sequence, sorted(changes.items())))
        uid = int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "big") >> 1
    return TicketEvent(at_ms, sequence, rank_of(kind), uid, kind, changes)


class Monitor:
    """An engine with a memory: what the world outside knows from its effects.

    Attributes
    ----------
    published : list of (Verdict, bool)
        Everything published, in order; True marks a correction.
    last : dict
        By clock id: the last verdict, which is in force. A retracted clock is not in it.
    firing : dict
        By alert id: the alerts that fire.
    counted : dict
        By (target, minute): [met, breached], as told by rollups; empty minutes are left out.
    state : dict
        State rows by key, as a changelog would hold them.
    """

    def __init__(
        self, of: Register, *, version: int = 1, limits: EngineLimits | None = None, now: str | int = 0
    ) -> None:
        self.engine = TicketEngine(of, version, limits or EngineLimits(settle_ms=SETTLE_MS))
        self.engine.now_ms = at(now)
        self.published: list[tuple[Verdict, bool]] = []
        self.last: dict[str, Verdict] = {}
        self.alerts: list[Alert] = []
        self.firing: dict[str, Alert] = {}
        self.rollups: list[Rollup] = []
        self.counted: dict[tuple[str, int], list[int]] = {}
        self.counts: Counter[str] = Counter()
        self.state: dict[bytes, bytes] = {}
        self.rejected: list[Rejected] = []

    # --- inputs ----------------------------------------------------------------------------------------------------

    def hears(self, ticket: str, *events: TicketEvent) -> Outcome:
        """Let one step bring events of a ticket; time stands still."""
        for each in events:
            rejected = self.engine.apply(ticket, each)
            if rejected is not None:
                self.rejected.append(rejected)
        return self.take(self.engine.finish())

    def passes(self, now: str | int) -> None:
        """Let time pass up to an instant, in as many sweeps as it needs."""
        while self.engine.advance_to(at(now)):
            self.take(self.engine.finish())
        self.take(self.engine.finish())

    def knows(self, ticket: str, *events: TicketEvent, now: str | int) -> None:
        """Let the events of a ticket come in and then time pass."""
        self.hears(ticket, *events)
        self.passes(now)

    def is_governed_by(self, of: Register, version: int) -> None:
        """Put a new register in force, as a step of its own."""
        self.engine.set_register(of, version)
        self.take(self.engine.finish())

    def restarts(self) -> None:
        """Lose the memory and come back from the state rows alone."""
        self.engine, former = (
            TicketEngine(self.engine.register, self.engine.register_version, self.engine.limits),
            self.engine,
        )
        self.engine.load(self.state.items(), former.now_ms)

    def take(self, outcome: Outcome) -> Outcome:
        """Take in what a step did."""
        for key, row in outcome.rows.items():
            if row is None:
                self.state.pop(key, None)
            else:
                self.state[key] = row
        for verdict, is_correction in outcome.verdicts:
            self.published.append((verdict, is_correction))
            if verdict.result is Result.RETRACTED:
                self.last.pop(verdict.clock_id, None)
            else:
                self.last[verdict.clock_id] = verdict
        for alert in outcome.alerts:
            self.alerts.append(alert)
            if alert.state is AlertState.FIRING:
                self.firing[alert.id] = alert
            else:
                self.firing.pop(alert.id, None)
        for rollup in outcome.rollups:
            self.rollups.append(rollup)
            bucket = (rollup.target, rollup.minute_ms)
            before = self.counted.pop(bucket, [0, 0]) if rollup.is_delta else [0, 0]
            after = [before[0] + rollup.met, before[1] + rollup.breached]
            self.counted.pop(bucket, None)
            if any(after):
                self.counted[bucket] = after
        self.counts.update(outcome.counts)
        return outcome

    # --- what is known ---------------------------------------------------------------------------------------------

    def result(self, clock_id: str) -> Result | None:
        """Return how a clock ended; None while it is open and has not breached, or never was."""
        verdict = self.last.get(clock_id)
        return None if verdict is None else verdict.result

    def verdict(self, clock_id: str) -> Verdict:
        """Return the verdict in force of a clock."""
        assert clock_id in self.last, f"{clock_id} has no verdict, only {sorted(self.last)} have"
        return self.last[clock_id]

    def ticket(self, ticket: str) -> Ticket:
        """Return the state of a ticket."""
        found = self.engine.ticket(ticket)
        assert found is not None, f"{ticket} is not kept"
        return found

    def totals(self, target_id: str) -> tuple[int, int]:
        """Return (met, breached) of a target over all minutes."""
        mine = [counts for (of, _), counts in self.counted.items() if of == target_id]
        return sum(met for met, _ in mine), sum(breached for _, breached in mine)


def shown(instant_ms: int) -> str:
    """Return an instant as people write it, for messages of failed assertions."""
    return format_instant(instant_ms)
