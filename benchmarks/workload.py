"""A service desk for benchmarks of the domain core: its agreement and its events, without Kafka."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from sla.calendar import Calendar, CalendarSpec, parse_hours
from sla.contract import Clause, Condition, Contract, ContractType, Level, Target
from sla.duration import parse_within
from sla.events import TicketEvent, rank_of
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS, NEVER, parse_instant

START_MS = parse_instant("2026-03-02T08:00:00+01:00")

_WITHIN = {"P1": ("1bh", "4bh"), "P2": ("2bh", "8bh"), "P3": ("6bh", "24bh"), "P4": ("10bh", "40bh")}


def desk_register(opens: str = "09:00-17:00") -> Register:
    """Return an agreement with a response and a resolution target per priority: two clocks per ticket."""
    office = (parse_hours(opens),)
    calendar = Calendar(CalendarSpec(id="office", timezone="Europe/Berlin", weekly=(office,) * 5 + ((),) * 2))
    targets = [
        Target(
            id=f"{metric}-{priority}",
            contract="desk",
            contract_type=ContractType.SLA,
            level=Level.CORPORATE,
            revision=1,
            effective_from_ms=0,
            effective_until_ms=NEVER,
            metric=metric,
            applies_to=(("priority", frozenset({priority})),),
            calendar="office",
            start=Condition((Clause(frozenset({"created"})),)),
            stop=Condition((Clause(stops),)),
            within=parse_within(within),
            pause=Condition((Clause(fields=(("waiting_for", frozenset({"customer"})),)),)),
            warn_consumed=(Fraction(1, 2), Fraction(3, 4), Fraction(9, 10)),
        )
        for priority, durations in _WITHIN.items()
        for metric, stops, within in zip(
            ("response", "resolution"),
            (frozenset({"responded", "resolved"}), frozenset({"resolved"})),
            durations,
            strict=True,
        )
    ]
    contract = Contract("desk", ContractType.SLA, Level.CORPORATE, "provider", "owner", tuple(targets))
    return Register([contract], {"office": calendar})


def created(draw: random.Random, at_ms: int) -> TicketEvent:
    """Return the first event of a ticket."""
    changes: dict[str, str | None] = {
        "priority": draw.choice(tuple(_WITHIN)),
        "service": "printing",
        "customer": "acme",
        "team": "desk",
    }
    return TicketEvent(at_ms, 0, rank_of("created"), draw.getrandbits(63), "created", changes)


def ticket_life(draw: random.Random, at_ms: int, mean_gap_ms: float) -> Iterator[TicketEvent]:
    """Yield five events of a ticket: created, responded, waiting, resumed, resolved."""
    yield created(draw, at_ms)
    later: tuple[tuple[str, dict[str, str | None]], ...] = (
        ("responded", {}),
        ("updated", {"waiting_for": "customer"}),
        ("updated", {"waiting_for": None}),
        ("resolved", {}),
    )
    for kind, changes in later:
        at_ms += int(draw.expovariate(1) * mean_gap_ms) + 1
        yield TicketEvent(at_ms, 0, rank_of(kind), draw.getrandbits(63), kind, changes)


def desk_events(
    tickets: int, *, days: float = 20.0, mean_gap_hours: float = 3.0, seed: int = 1
) -> list[tuple[str, TicketEvent]]:
    """Return the events of all tickets in the order of event time, each with its ticket's id."""
    draw = random.Random(seed)
    events = [
        (f"INC{number:07d}", event)
        for number in range(tickets)
        for event in ticket_life(draw, START_MS + int(draw.random() * days * DAY_MS), mean_gap_hours * HOUR_MS)
    ]
    events.sort(key=lambda item: item[1].order)
    return events
