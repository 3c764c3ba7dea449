"""JSON lines are the public event; what the worker would refuse is refused here, by line."""

import json
from pathlib import Path

import pytest

from sources.faults import FaultLog
from sources.jsonl import read_jsonl
from sources.record import SourceEvent, to_wire
from streams.codecs import decode_ticket


def _read(tmp_path: Path, *lines: str | bytes):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(line.encode() if isinstance(line, str) else line for line in lines) + b"\n")
    faults = FaultLog(path)
    return list(read_jsonl(path, faults)), faults


def _line(**changes: object) -> str:
    document = {"version": 1, "type": "ticket", "id": "a", "ticket": "INC-1", "event": "created"}
    return json.dumps({**document, "at": "2026-11-02T09:00:00+07:00", **changes})


def test_an_event_is_read_and_unknown_names_are_ignored(tmp_path):
    events, faults = _read(tmp_path, _line(sequence=2, fields={"p": "P1", "n": 3, "b": False, "t": None}, more=[1]))

    assert faults.total == 0
    assert events == [
        SourceEvent("INC-1", 1_793_584_800_000, "a", "created", 2, {"p": "P1", "n": 3, "b": False, "t": None})
    ]


def test_epoch_milliseconds_blank_lines_and_feedback_are_read(tmp_path):
    feedback = '{"version":1,"type":"feedback","id":"f","ticket":"INC-1","at":1793584800001,"fields":{"csat":4}}'
    events, faults = _read(tmp_path, _line(at=1_793_584_800_000), "", feedback)

    assert faults.total == 0
    assert [(event.event, event.at_ms) for event in events] == [
        ("created", 1_793_584_800_000),
        ("feedback", 1_793_584_800_001),
    ]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{", "truncated"),
        (b'{"version":1,"ticket":"\xff"}', "utf-8"),
        ("[1]", "Expected `object`"),
        (_line(version=2), "version 2 is unknown"),
        (_line(type="heartbeat"), "heartbeats don't belong in a file"),
        (_line(type="uptime"), "Invalid enum value 'uptime'"),
        (_line(event=None), "`event` is missing"),
        (_line(ticket=""), "`$.ticket`"),
        (_line(ticket=7), "`$.ticket`"),
        (_line(at="2026-11-02T09:00:00"), "no time zone"),
        (_line(at="soon"), "RFC 3339"),
        (_line(at=-5), "1970"),
        (_line(at=1.5), "`$.at`"),
        (_line(sequence=-1), "`$.sequence`"),
        (_line(fields={"a": [1]}), "`$.fields"),
        ('{"version":1,"x":' + "[" * 100_000, "recursion"),
    ],
)
def test_a_line_that_is_no_event_is_a_fault_with_its_number(tmp_path, line, fault):
    events, faults = _read(tmp_path, _line(id="fine"), line)

    assert [event.id for event in events] == ["fine"]
    assert faults.total == 1
    assert faults.shown[0].startswith("line 2: ")
    assert fault.lower() in faults.shown[0].lower()


def test_an_event_written_twice_is_one_and_another_under_its_id_is_a_fault(tmp_path):
    events, faults = _read(tmp_path, _line(), _line(), _line(event="resolved"), _line(ticket="INC-2"))

    assert [event.ticket for event in events] == ["INC-1", "INC-2"]
    assert faults.shown == ["line 3: id 'a' is taken by line 1, which says something else"]


def test_a_line_without_an_id_gets_one_from_what_it_says(tmp_path):
    document = json.loads(_line())
    del document["id"]
    first, _ = _read(tmp_path, json.dumps(document), json.dumps(document), json.dumps({**document, "event": "x"}))

    assert len(first) == 2
    assert len({event.id for event in first}) == 2


def test_what_is_read_goes_out_as_the_worker_reads_it(tmp_path):
    events, _ = _read(tmp_path, _line(sequence=2, fields={"priority": "P1"}), _line(id="b", event="resolved"))

    for event in events:
        ticket, decoded = decode_ticket(to_wire(event), event.key)
        assert ticket == event.ticket
        assert (decoded.at_ms, decoded.event, decoded.changes) == (event.at_ms, event.event, event.fields)
        assert decoded.sequence == (event.sequence or 0)
