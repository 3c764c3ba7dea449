"""One simulated ticket under way."""

from __future__ import annotations

from sources.record import SourceEvent
from sources.simulator import model


class SimulatedTicket:
    """What the desk knows of a ticket.

    Attributes
    ----------
    told : int
        Events so far: index and sequence of the next.
    detours : int
        Waits and hand-overs so far.
    is_triaged : bool
        Whether the first line has answered it and passed it on.
    cause : str or None
        Ticket id of the outage that it reports.
    cause_ends_ms : int
        When that outage ends.
    history : list of SourceEvent or None
        Its events while the desk warms up: told at the start, if the ticket is open then.
    is_forgotten : bool
        It was over before the start: nothing of it is ever told.
    """

    __slots__ = (
        "cause",
        "cause_ends_ms",
        "created_ms",
        "detours",
        "history",
        "id",
        "is_forgotten",
        "is_triaged",
        "priority",
        "reopenings",
        "service",
        "team",
        "told",
    )

    def __init__(self, ticket_id: str, service: model.Service, priority: str, team: str, created_ms: int) -> None:
        self.id = ticket_id
        self.service = service
        self.priority = model.PRIORITIES[priority]
        self.team = team
        self.created_ms = created_ms
        self.told = 0
        self.detours = 0
        self.reopenings = 0
        self.is_triaged = False
        self.cause: str | None = None
        self.cause_ends_ms = 0
        self.history: list[SourceEvent] | None = None
        self.is_forgotten = False
