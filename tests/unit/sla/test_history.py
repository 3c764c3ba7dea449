from __future__ import annotations

import msgspec
import pytest

from sla.events import TicketEvent
from sla.history import History
from tests.support.domain import event

CREATED, NOTED, RESOLVED = event("created", "mon 09:00"), event("note", "mon 10:00"), event("resolved", "mon 11:00")
EVENTS = [CREATED, NOTED, RESOLVED]


def encoded(history: History) -> History:
    """Return the same history as a row would give it back."""
    return History(encoded=history.encoded, count=len(history), last_ms=history.last_ms)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 70_000])
def test_a_history_is_the_same_encoded_and_decoded(count: int) -> None:
    events = [msgspec.structs.replace(CREATED, at_ms=CREATED.at_ms + number, uid=number) for number in range(count)]
    history = encoded(History(events))
    assert len(history) == count
    assert bool(history) == (count > 0)
    assert history == events
    assert history.last_ms == (events[-1].at_ms if events else -1)


@pytest.mark.parametrize("read_before", [False, True])
def test_an_event_added_to_an_encoded_history_is_in_both_representations(read_before: bool) -> None:
    history = encoded(History(EVENTS[:2]))
    if read_before:
        assert history.events == EVENTS[:2]
    history.append(RESOLVED)
    assert history == EVENTS
    assert encoded(history) == EVENTS
    assert history[-1] == RESOLVED
    assert history[:1] == [CREATED]


@pytest.mark.parametrize("was_encoded", [False, True])
def test_an_event_taken_out_again_leaves_no_trace(was_encoded: bool) -> None:
    history = encoded(History(EVENTS)) if was_encoded else History(EVENTS)
    assert history.pop() == RESOLVED
    assert history == EVENTS[:2]
    assert encoded(history) == EVENTS[:2]
    assert history.last_ms == NOTED.at_ms
    history.pop()
    history.pop()
    assert not history
    assert history.last_ms == -1


@pytest.mark.parametrize("was_encoded", [False, True])
def test_an_event_is_found_by_its_identity_and_by_nothing_else(was_encoded: bool) -> None:
    # The bytes of the second identity stand in the fields of the first event.
    look_alike = TicketEvent(1, 0, 0, 77, "note", {"note": msgspec.msgpack.encode(5_000_000_000).decode("latin-1")})
    of = History([look_alike, TicketEvent(2, 0, 0, 2**62, "note", {})])
    history = encoded(of) if was_encoded else of
    assert [history.index_of(uid) for uid in (77, 2**62, 5_000_000_000, 1)] == [0, 1, None, None]


@pytest.mark.parametrize(
    ("change", "is_later"),
    [({"at_ms": 2}, False), ({"at_ms": 0}, True), ({"uid": 8}, False), ({"uid": 6}, True), ({"sequence": 3}, False)],
)
def test_the_order_of_events_at_one_instant_decides_what_is_later(change: dict[str, int], is_later: bool) -> None:
    last = TicketEvent(1, 2, 1, 7, "note", {})
    history = encoded(History([last]))
    assert history.ends_after(msgspec.structs.replace(last, **change)) is is_later
    assert not History().ends_after(last)
