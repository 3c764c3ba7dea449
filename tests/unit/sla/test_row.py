"""Rows of tickets as bytes."""

from __future__ import annotations

from zlib import crc32

import pytest

from sla.clock import AT_RISK_FIRING, BREACHED_FIRING, Published
from sla.fold import add_event
from sla.history import History
from sla.row import (
    AT_RISK_BIT,
    BREACHED_BIT,
    PAUSED_BIT,
    ROW_FORMAT,
    RowFormatError,
    clock_section,
    clock_states,
    decode_row,
    due_of,
    encode_row,
)
from sla.ticket import Ticket, new_ticket
from sla.units import NEVER
from tests.support.domain import event, register, target

OF = register(target("response", metric="response", stop=target().stop), target("resolution", pause=target().pause))


def some_ticket() -> Ticket:
    ticket = new_ticket(7)
    add_event(ticket, event("created", "mon 09:00", priority="P1", other="ü"), OF, [])
    return ticket


def test_row_gives_back_the_ticket() -> None:
    ticket = some_ticket()
    ticket.clocks[0].published = Published("breached", 1, None, 2, 3, 4)
    row = encode_row(ticket, 12)
    assert decode_row(row) == ticket
    assert due_of(row) == (7, 12)


def test_every_field_of_a_ticket_is_in_its_row() -> None:
    ticket = some_ticket()
    ticket.passed_ms = 5
    unlike = Ticket(History(), {}, [], 0)
    for name in Ticket.__struct_fields__:
        assert getattr(ticket, name) != getattr(unlike, name), f"{name}: nothing would be told here"
    again = decode_row(encode_row(ticket, 12))
    assert {name: getattr(again, name) for name in Ticket.__struct_fields__} == {
        name: getattr(ticket, name) for name in Ticket.__struct_fields__
    }


def test_header_tells_of_every_active_clock_whether_it_is_paused_at_risk_or_breached() -> None:
    ticket = some_ticket()
    add_event(ticket, event("updated", "mon 10:00", waiting_for="customer"), OF, [])
    resolution, response = ticket.clocks
    resolution.alerts, response.alerts = AT_RISK_FIRING, AT_RISK_FIRING | BREACHED_FIRING
    assert list(clock_states(encode_row(ticket, NEVER))) == [
        (crc32(b"resolution"), PAUSED_BIT | AT_RISK_BIT),
        (crc32(b"response"), PAUSED_BIT | AT_RISK_BIT | BREACHED_BIT),
    ]


def test_ended_clocks_are_not_in_the_header() -> None:
    ticket = some_ticket()
    add_event(ticket, event("resolved", "mon 10:00"), OF, [])
    row = encode_row(ticket, NEVER)
    assert clock_states(row) == ()
    assert clock_section(row) == b""
    assert len(decode_row(row).clocks) == 2


def test_row_of_a_newer_format_is_refused() -> None:
    newer = bytes((ROW_FORMAT + 1,)) + encode_row(some_ticket(), 12)[1:]
    for read in (decode_row, due_of, clock_states):
        with pytest.raises(RowFormatError, match=f"row format {ROW_FORMAT + 1}.*a newer worker wrote it"):
            read(newer)
