"""A source's event on the wire is what the worker reads back."""

import json

import pytest

from sla.errors import UnitError
from sla.events import CREATED, FEEDBACK
from sources.record import SourceEvent, changes_between, checked_instant, heartbeat_to_wire, to_wire

NINE_IN_JAKARTA_MS = 1_793_584_800_000
"""2026-11-02T09:00:00+07:00."""


def test_an_event_becomes_the_public_document_with_its_instant_in_utc():
    event = SourceEvent("INC-1", NINE_IN_JAKARTA_MS, "a", CREATED, 3, {"priority": "P1", "vip": True, "team": None})

    assert json.loads(to_wire(event)) == {
        "version": 1,
        "type": "ticket",
        "id": "a",
        "ticket": "INC-1",
        "event": "created",
        "at": "2026-11-02T02:00:00.000Z",
        "sequence": 3,
        "fields": {"priority": "P1", "vip": True, "team": None},
    }


def test_feedback_is_a_type_of_its_own_and_has_no_event():
    document = json.loads(to_wire(SourceEvent("INC-1", NINE_IN_JAKARTA_MS, "b", FEEDBACK, None, {"csat": 4})))

    assert document["type"] == "feedback"
    assert "event" not in document
    assert "sequence" not in document
    assert document["fields"] == {"csat": 4}


def test_a_heartbeat_names_an_instant_and_nothing_else():
    assert json.loads(heartbeat_to_wire(NINE_IN_JAKARTA_MS)) == {
        "version": 1,
        "type": "heartbeat",
        "at": "2026-11-02T02:00:00.000Z",
    }


def test_the_key_is_the_ticket_id_in_utf_8():
    assert SourceEvent("INC-ü", 0, "a", CREATED).key == "INC-ü".encode()


def test_changes_set_what_differs_and_remove_what_is_gone():
    assert changes_between({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "9", "d": "4"}) == {
        "c": None,
        "b": "9",
        "d": "4",
    }


@pytest.mark.parametrize("at_ms", [-1, 10_413_792_000_000], ids=["1969", "the year 2300"])
def test_an_instant_outside_the_years_1970_to_2299_is_refused(at_ms):
    with pytest.raises(UnitError, match="1970 to 2299"):
        checked_instant(at_ms)
