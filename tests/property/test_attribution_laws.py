"""Laws of attribution: the parties' times add up to the clock's own, whatever the events and in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sla import clock as clocks
from sla.attribution import Mode, _plain_shares, _summed_shares, shares_of, spans_of
from sla.events import TicketEvent
from sla.fold import add_event
from sla.register import Register
from sla.ticket import Ticket, new_ticket
from sla.units import DAY_MS
from tests.property.strategies import FIRST_MONDAY_MS, TICKET_DAYS, registers, ticket_histories

pytestmark = pytest.mark.property

THOROUGH = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
END_MS = FIRST_MONDAY_MS + (TICKET_DAYS + 2) * DAY_MS


def folded(events: list[TicketEvent], register: Register) -> Ticket:
    ticket = new_ticket(0)
    for event in events:
        add_event(ticket, event, register, [])
    return ticket


@THOROUGH
@given(events=ticket_histories(max_size=12), register=registers())
def test_parties_times_add_up_to_the_clocks(events: list[TicketEvent], register: Register) -> None:
    ticket = folded(events, register)
    for clock in ticket.clocks:
        target, calendar = register.terms[clock.target_id, clock.revision]
        until_ms = END_MS if clock.ended_ms is None else clock.ended_ms
        shares = shares_of(ticket, clock, register, until_ms)
        assert sum(share.elapsed_ms for share in shares) == until_ms - clock.start_ms
        if target.earliest_start is None:  # what began a clock that counts from an earlier instant is not always known
            assert sum(share.counted_ms for share in shares) == clocks.consumed_at(clock, calendar, until_ms)


@THOROUGH
@given(events=ticket_histories(max_size=12), register=registers(), cut_ms=st.integers(0, 3 * DAY_MS))
def test_the_short_way_to_the_shares_of_a_plain_clock_ends_where_the_long_one_does(
    events: list[TicketEvent], register: Register, cut_ms: int
) -> None:
    ticket = folded(events, register)
    for clock in ticket.clocks:
        end_ms = END_MS if clock.ended_ms is None else clock.ended_ms
        for until_ms in (end_ms, max(clock.start_ms, end_ms - cut_ms)):
            short = _plain_shares(ticket, clock, register, until_ms)
            if short is not None:
                assert short == _summed_shares(ticket, clock, register, until_ms)


@THOROUGH
@given(events=ticket_histories(), register=registers())
def test_spans_cover_a_clocks_life_without_gap_or_overlap(events: list[TicketEvent], register: Register) -> None:
    ticket = folded(events, register)
    for clock in ticket.clocks:
        until_ms = END_MS if clock.ended_ms is None else clock.ended_ms
        at_ms = clock.start_ms
        for span in spans_of(ticket, clock, register, until_ms):
            assert span.from_ms == at_ms < span.until_ms
            at_ms = span.until_ms
        assert at_ms == until_ms
        if clock.is_active and clock.start_ms < END_MS:
            assert span.mode is (Mode.PAUSED if clock.phase == clocks.Phase.PAUSED else Mode.RUNNING)


@THOROUGH
@given(events=ticket_histories(), register=registers(), data=st.data())
def test_attribution_does_not_depend_on_the_order_of_arrival(
    events: list[TicketEvent], register: Register, data: st.DataObject
) -> None:
    def all_shares(ticket: Ticket) -> list[object]:
        return [shares_of(ticket, clock, register, clock.ended_ms or END_MS) for clock in ticket.clocks]

    shuffled = data.draw(st.permutations(events + events[:2]))
    assert all_shares(folded(shuffled, register)) == all_shares(folded(events, register))
