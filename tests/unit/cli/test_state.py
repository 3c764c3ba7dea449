"""``slawatch state clocks``: the clocks of a partition's rows, as of its present."""

from __future__ import annotations

import pytest

from cli.state import ClockLine, clock_lines
from sla.engine import TicketEngine
from sla.events import TicketEvent
from sla.register import Register
from sla.row import RowFormatError
from sla.units import format_instant
from streams.state_rows import POSITION_KEY, Position, encode_position, outbox_key
from tests.support.domain import SETTLE_MS, at, by_priority, event, register, target

PLAIN = register(target(within="8bh"))


def lines(*events: TicketEvent, now: str, of: Register = PLAIN, seen_by: Register | None = None) -> list[ClockLine]:
    """Return the clocks of INC-1 after some events, with system rows beside its row."""
    engine = TicketEngine(of)
    for each in events:
        engine.apply("INC-1", each)
    rows = {key: row for key, row in engine.finish().rows.items() if row is not None}
    rows |= {POSITION_KEY: encode_position(Position(now_ms=at(now))), outbox_key(1): b"\x01"}
    return list(clock_lines(rows, of if seen_by is None else seen_by, SETTLE_MS))


def test_a_running_clock_has_consumed_what_its_calendar_says_until_now() -> None:
    (clock,) = lines(event("created", "mon 16:00"), now="tue 10:30")
    assert (clock.clock_id, clock.phase, clock.outcome) == ("INC-1:resolution:1", "running", "open")
    assert clock.consumed_seconds == 2.5 * 3600
    assert clock.deadline == format_instant(at("tue 16:00"))
    assert clock.now == format_instant(at("tue 10:30"))
    assert clock.stop is None


def test_a_paused_clock_has_no_deadline_and_consumes_nothing() -> None:
    waits = event("updated", "mon 10:00", waiting_for="customer")
    (clock,) = lines(event("created", "mon 09:00"), waits, now="fri 10:00")
    assert (clock.phase, clock.outcome, clock.deadline) == ("paused", "open", None)
    assert clock.consumed_seconds == 3600


@pytest.mark.parametrize(("now", "outcome"), [("mon 17:00:29.999", "open"), ("mon 17:00:30", "breached")])
def test_a_clock_nobody_judged_yet_is_shown_as_it_is_now(now: str, outcome: str) -> None:
    (clock,) = lines(event("created", "mon 09:00"), now=now)
    assert (clock.phase, clock.outcome) == ("running", outcome)


def test_ended_clocks_are_listed_with_their_verdict() -> None:
    targets = register(*by_priority(P1="4bh", P2="8bh"))
    found = lines(
        event("created", "mon 09:00", priority="P2"),
        event("updated", "mon 10:00", priority="P1"),
        event("resolved", "mon 12:00"),
        now="tue 10:00",
        of=targets,
    )
    assert [(clock.target, clock.phase, clock.outcome, clock.consumed_seconds) for clock in found] == [
        ("resolution-P2", "superseded", "superseded", 3600),
        ("resolution-P1", "stopped", "met", 3 * 3600),
    ]


def test_a_clock_whose_target_is_gone_from_the_register_is_marked() -> None:
    (clock,) = lines(event("created", "mon 09:00"), now="mon 12:00", seen_by=register())
    assert not clock.target_known
    assert (clock.outcome, clock.consumed_seconds) == ("open", 0)


def test_a_row_of_a_newer_release_is_refused() -> None:
    rows = {POSITION_KEY: encode_position(Position()), b"tINC-1": b"\xff" + bytes(40)}
    with pytest.raises(RowFormatError):
        list(clock_lines(rows, PLAIN, SETTLE_MS))
