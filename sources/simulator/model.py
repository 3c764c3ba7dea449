"""The simulated organisation as data: regions, services, teams, priorities, and how long things take.

Everything here is invented. It is tuned so that a normal working day keeps most promises and breaks some (a few percent
of the clocks), and so that an outage or a short-staffed team shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from sources.simulator.draws import Choice

TICKETS_PER_WORKDAY: Final = 600
"""Tickets of a normal working day (Monday to Friday) at ``rate_scale`` 1, without those that outages cause."""

WEEKDAY_FACTORS: Final = (1.15, 1.05, 1.0, 0.95, 0.85, 0.12, 0.10)
"""Demand by weekday, Monday first, relative to the mean working day."""

HOURLY_WEIGHTS: Final = (
    *(0.5, 0.3, 0.2, 0.2, 0.3, 0.6, 1.5, 4.0, 9.0, 11.0, 10.5, 9.0),
    *(6.0, 9.0, 10.0, 9.0, 7.5, 5.0, 2.5, 1.2, 0.9, 0.7, 0.6, 0.5),
)
"""Demand by local hour of the day: a morning peak, a lunch dip, an afternoon hump, little at night."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where people work and report from."""

    name: str
    zone: ZoneInfo
    share: float
    desk: str


@dataclass(frozen=True, slots=True)
class Service:
    """What people report about."""

    name: str
    weight: float
    team: str
    priorities: Choice[str]


@dataclass(frozen=True, slots=True)
class Team:
    """A group with a queue.

    Attributes
    ----------
    staff : float
        People at work in full hours (08-18 local, Monday to Friday), at ``rate_scale`` 1. Early and late hours
        (07-08, 18-20) have a third of them.
    on_call : float
        People who take P1 and P2 at any other time.
    """

    name: str
    zone: ZoneInfo
    staff: float
    on_call: float


@dataclass(frozen=True, slots=True)
class PriorityProfile:
    """How tickets of one priority go.

    Attributes
    ----------
    rank : int
        Place in a queue: lower is served first.
    solved_at_desk : float
        Probability that the first line solves it.
    work_minutes : float
        Median of the second line's work in one sitting.
    overlooked_minutes : float
        Median time until somebody notices a ticket in the wrong mailbox.
    expected_hours : float
        How long customers find a solution acceptable: satisfaction falls beyond it. Trials of a solution take about
        half of it.
    """

    name: str
    rank: int
    solved_at_desk: float
    work_minutes: float
    overlooked_minutes: float
    expected_hours: float


_JAKARTA: Final = ZoneInfo("Asia/Jakarta")
_BERLIN: Final = ZoneInfo("Europe/Berlin")

REGIONS: Final = (
    Region("jakarta", _JAKARTA, 0.55, "desk-jakarta"),
    Region("berlin", _BERLIN, 0.45, "desk-berlin"),
)

TEAMS: Final = (
    Team("desk-jakarta", _JAKARTA, staff=13, on_call=2),
    Team("desk-berlin", _BERLIN, staff=10.5, on_call=2),
    Team("payments-ops", _BERLIN, staff=6, on_call=1.5),
    Team("portal-ops", _BERLIN, staff=7, on_call=1.5),
    Team("workplace", _JAKARTA, staff=12, on_call=1),
    Team("network", _JAKARTA, staff=7, on_call=1.5),
)

SERVICES: Final = (
    Service("portal", 0.24, "portal-ops", Choice([("P1", 0.03), ("P2", 0.15), ("P3", 0.52), ("P4", 0.30)])),
    Service("payments", 0.16, "payments-ops", Choice([("P1", 0.06), ("P2", 0.26), ("P3", 0.50), ("P4", 0.18)])),
    Service("printing", 0.18, "workplace", Choice([("P1", 0.00), ("P2", 0.08), ("P3", 0.47), ("P4", 0.45)])),
    Service("email", 0.24, "workplace", Choice([("P1", 0.02), ("P2", 0.12), ("P3", 0.51), ("P4", 0.35)])),
    Service("vpn", 0.18, "network", Choice([("P1", 0.03), ("P2", 0.17), ("P3", 0.55), ("P4", 0.25)])),
)

DESKS: Final = frozenset(region.desk for region in REGIONS)
REGION_OF_TEAM: Final = {team.name: region for team in TEAMS for region in REGIONS if region.zone == team.zone}

CUSTOMERS: Final = Choice([("acme", 0.45), ("globex", 0.35), ("initech", 0.20)])
CHANNELS: Final = Choice([("portal", 0.5), ("email", 0.3), ("phone", 0.2)])

PRIORITIES: Final = {
    profile.name: profile
    for profile in (
        PriorityProfile("P1", 1, solved_at_desk=0.15, work_minutes=50, overlooked_minutes=12, expected_hours=2.5),
        PriorityProfile("P2", 2, solved_at_desk=0.35, work_minutes=55, overlooked_minutes=90, expected_hours=8),
        PriorityProfile("P3", 3, solved_at_desk=0.60, work_minutes=50, overlooked_minutes=540, expected_hours=100),
        PriorityProfile("P4", 4, solved_at_desk=0.70, work_minutes=40, overlooked_minutes=1500, expected_hours=220),
    )
}
ON_CALL_RANK: Final = 2
"""Tickets of this rank and more urgent ones are worked on outside office hours."""

# --- one ticket's way; medians in minutes unless the name says otherwise ---
READING_MINUTES: Final = 2.0
"""An agent reads a ticket before answering it."""
TRIAGE_MINUTES: Final = 6.0
DESK_SOLUTION_MINUTES: Final = 14.0
ON_CALL_REACTION_MINUTES: Final = 6.0
CUSTOMER_WAIT_MINUTES: Final = 150.0
VENDOR_WAIT_MINUTES: Final = 240.0
REOPEN_MINUTES: Final = 300.0
CONFIRMATION_MINUTES: Final = 180.0
FEEDBACK_MINUTES: Final = 120.0
AUTO_CLOSE_HOURS: Final = 48.0
SIGMA: Final = 0.7
"""Spread of all log-normal durations."""

CANCELLED: Final = 0.015
PRIORITY_CHANGED: Final = 0.03
DESK_ASKS_CUSTOMER: Final = 0.12
SECOND_LINE_ASKS_CUSTOMER: Final = 0.18
SECOND_LINE_ASKS_VENDOR: Final = 0.08
HANDED_ON: Final = 0.08
OVERLOOKED: Final = 0.09
TRIED_OUT: Final = 0.2
"""Second line: the solution runs on trial before the ticket is resolved; nobody works on it, its clocks run."""
MOST_DETOURS: Final = 3
"""Waits and hand-overs of one ticket before it is solved in any case."""
REOPENED: Final = 0.04
CONFIRMED: Final = 0.40
RATED: Final = 0.22

ATTENDANCE: Final = (0.80, 1.08)
"""Range of the share of a team that is in, drawn per team and day."""

# --- outages ---
OUTAGE_MINUTES: Final = 50.0
OUTAGE_RANGE_MINUTES: Final = (20.0, 150.0)
OUTAGE_REPORTS_PER_HOUR: Final = 110.0
"""Reports of an outage at its start, at ``rate_scale`` 1; they halve every ``OUTAGE_HALVING_MINUTES``."""
OUTAGE_HALVING_MINUTES: Final = 35.0
OUTAGE_DEMAND: Final = 0.5
"""Outages begin when demand is at least this share of its peak: that is when systems are loaded, and noticed."""
OUTAGE_PRIORITIES: Final = Choice([("P2", 0.55), ("P3", 0.45)])
OUTAGE_KNOWN: Final = 0.5
"""Share of reporters who see the outage banner: their tickets name the outage from the start."""
LINKING_MINUTES: Final = 3.0
"""An agent links a report to the outage and is free again."""
OUTAGE_RESOLVE_MINUTES: Final = 15.0
"""Reports of an outage are resolved this long after its end."""
