"""A ticket: its history, and the clocks that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sla.clock import Clock
from sla.events import TicketEvent
from sla.history import History
from sla.register import Register, Slot


class Ticket(msgspec.Struct, gc=False):
    """State of one ticket.

    Attributes
    ----------
    history : History
        Every event, ascending by :attr:`~sla.events.TicketEvent.order`, each identity once.
    attributes : dict
        Current values of the fields the register watches (contracts' fields and those that label alerts).
    clocks : list of Clock
        All clocks, ended ones too, in the order they started.
    register_version : int
        Version of the register these clocks were folded under; another one means: fold again.
    passed_ms : int
        Instant of the last hand-over that happened without an event (see :func:`pass_time`); 0 if none did.
    """

    history: History
    attributes: dict[str, str]
    clocks: list[Clock]
    register_version: int
    passed_ms: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether no clock is active any more (also true of a ticket that never had one)."""
        return not any(clock.is_active for clock in self.clocks)


def new_ticket(register_version: int) -> Ticket:
    """Return a ticket without any event."""
    return Ticket(History(), {}, [], register_version)


def walk(history: Iterable[TicketEvent]) -> Iterator[tuple[TicketEvent, dict[str, str]]]:
    """Yield every event with the ticket's fields after it; the mapping is one and the same, and changes."""
    attributes: dict[str, str] = {}
    for event in history:
        for name, value in event.changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        yield event, attributes


def last_of_slot(ticket: Ticket, slot: Slot, register: Register) -> Clock | None:
    """Return the newest clock of a slot, or None."""
    for clock in reversed(ticket.clocks):
        if register.terms[clock.target_id, clock.revision][0].slot == slot:
            return clock
    return None


def next_cycle_of(ticket: Ticket, target_id: str) -> int:
    """Return the number of the next cycle of a target."""
    cycle = 1
    for clock in ticket.clocks:
        cycle += clock.target_id == target_id
    return cycle
