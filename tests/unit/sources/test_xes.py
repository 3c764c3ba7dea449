"""An XES log becomes tickets: each case one, in the order of time."""

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from sources.faults import FaultLog, SourceError
from sources.mapping import EventsMapping, XesMapping
from sources.reading import ReadOptions, read_source
from sources.xes import read_xes

HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n<log xes.version="1.0" xmlns="http://www.xes-standard.org/">\n'


def _event(minute: int, activity: str, lifecycle: str, **more: str) -> str:
    attributes = {"concept:name": activity, "lifecycle:transition": lifecycle, **more}
    strings = "".join(f'<string key="{key}" value="{value}"/>' for key, value in attributes.items())
    return f'<event><date key="time:timestamp" value="2012-05-01T10:{minute:02d}:00+02:00"/>{strings}</event>'


def _case(name: str, *events: str) -> str:
    return f'<trace><string key="concept:name" value="{name}"/>{"".join(events)}</trace>'


def _log(tmp_path: Path, *cases: str, head: str = HEAD, tail: str = "</log>") -> Path:
    path = tmp_path / "log.xes"
    path.write_text(head + "\n".join(cases) + tail, encoding="utf-8")
    return path


def _read(path: Path, mapping: XesMapping | None = None):
    faults = FaultLog(path)
    return list(read_xes(path, mapping or XesMapping(), faults)), faults


def test_a_case_runs_from_created_over_resolved_and_reopened_to_closed(tmp_path):
    events, faults = _read(
        _log(
            tmp_path,
            _case(
                "1-1",
                _event(0, "Accepted", "In Progress"),
                _event(1, "Accepted", "Wait - User"),
                _event(2, "Completed", "Resolved"),
                _event(3, "Unmatched", "Unmatched"),
                _event(4, "Queued", "Awaiting Assignment"),
                _event(5, "Completed", "Resolved"),
                _event(6, "Completed", "Closed"),
                _event(7, "Completed", "Cancelled"),
            ),
        )
    )

    assert faults.total == 0
    assert [event.event for event in events] == [
        "created", "updated", "resolved", "updated", "reopened", "resolved", "closed", "cancelled",
    ]  # fmt: skip
    assert [event.id for event in events] == [f"1-1/{index}" for index in range(8)]
    assert [event.sequence for event in events] == list(range(8))
    assert events[0].at_ms == 1_335_859_200_000
    assert events[1].fields == {"status": "Accepted/Wait - User"}


def test_the_first_event_carries_every_field_and_later_ones_what_changed(tmp_path):
    group, country = {"org:group": "V5 3rd"}, {"organization country": "se"}
    events, _ = _read(
        _log(
            tmp_path,
            _case(
                "1-1",
                _event(0, "Accepted", "In Progress", impact="High", **group, **country),
                _event(1, "Accepted", "In Progress", impact="High", **{"org:group": "V30"}, **country),
                _event(2, "Accepted", "In Progress", impact="High", **{"org:group": "V30"}),
            ),
        )
    )

    assert events[0].fields == {
        "status": "Accepted/In Progress",
        "impact": "High",
        "team": "V5 3rd",
        "country": "se",
    }
    assert events[1].fields == {"team": "V30"}
    assert events[2].fields == {"country": None}


def test_events_out_of_order_in_a_trace_are_put_in_order_and_keep_their_index(tmp_path):
    events, _ = _read(
        _log(tmp_path, _case("1-1", _event(5, "Completed", "Resolved"), _event(0, "Accepted", "In Progress")))
    )

    assert [(event.event, event.id, event.sequence) for event in events] == [
        ("created", "1-1/1", 1),
        ("resolved", "1-1/0", 0),
    ]


def test_events_of_one_instant_keep_the_order_of_the_trace(tmp_path):
    events, _ = _read(
        _log(
            tmp_path,
            _case(
                "1-1",
                _event(0, "Accepted", "In Progress"),
                _event(1, "Completed", "Resolved"),
                _event(1, "Accepted", "In Progress"),
            ),
        )
    )

    assert [event.event for event in events] == ["created", "resolved", "reopened"]


def test_typed_attributes_keep_their_types_and_nan_is_no_value(tmp_path):
    attributes = (
        '<int key="retries" value="3"/><float key="score" value="1.5"/><boolean key="vip" value="true"/>'
        '<float key="noise" value="NaN"/><int key="odd" value="three"/>'
    )
    event = _event(0, "Accepted", "In Progress").replace("</event>", attributes + "</event>")
    names = ("retries", "score", "vip", "noise", "odd")
    events, _ = _read(_log(tmp_path, _case("1-1", event)), XesMapping(fields={name: name for name in names}))

    fields = events[0].fields
    assert {name: fields.get(name) for name in names} == {
        "retries": 3,
        "score": 1.5,
        "vip": True,
        "noise": None,
        "odd": "three",
    }
    assert "noise" not in fields


def test_another_mapping_names_other_attributes(tmp_path):
    mapping = XesMapping(
        status=("concept:name",),
        events=EventsMapping(words={"Accepted": "responded", "Completed": "resolved"}),
        fields={},
        trace_fields={"case": "concept:name"},
    )
    events, _ = _read(
        _log(tmp_path, _case("1-1", _event(0, "Accepted", "x"), _event(1, "Completed", "x"))),
        mapping,
    )

    assert [event.event for event in events] == ["responded", "resolved"]
    assert events[0].fields == {"status": "Accepted", "case": "1-1"}


def test_a_log_without_the_standard_namespace_is_read_too(tmp_path):
    events, _ = _read(_log(tmp_path, _case("1-1", _event(0, "Accepted", "In Progress")), head="<log>"))

    assert len(events) == 1


def test_faults_name_ticket_and_event(tmp_path):
    undated = '<event><string key="concept:name" value="Accepted"/></event>'
    local = _event(1, "Accepted", "In Progress").replace("+02:00", "")
    path = _log(
        tmp_path,
        _case("1-1", undated, local, _event(2, "Accepted", "In Progress")),
        "<trace></trace>",
        _case("1-1", _event(0, "Accepted", "In Progress")),
    )
    events, faults = _read(path)

    assert [event.id for event in events] == ["1-1/2"]
    assert faults.total == 4
    assert faults.shown[0] == "ticket '1-1', event 0: has no attribute 'time:timestamp'"
    assert "no time zone" in faults.shown[1]
    assert "case 2: has no attribute 'concept:name'" in faults.shown[2]
    assert "case 3: ticket '1-1' has a trace already" in faults.shown[3]


def test_broken_xml_is_refused_with_its_place(tmp_path):
    with pytest.raises(SourceError, match=r"not well-formed XML: .*line \d+"):
        _read(_log(tmp_path, _case("1-1", _event(0, "Accepted", "In Progress")), tail="</lag>"))


def test_other_xml_is_refused(tmp_path):
    with pytest.raises(SourceError, match="its root is <html>"):
        _read(_log(tmp_path, head="<html>", tail="</html>"))


def test_a_truncated_gzip_file_is_refused(tmp_path):
    whole = gzip.compress((HEAD + _case("1-1", _event(0, "Accepted", "In Progress")) * 50 + "</log>").encode())
    path = tmp_path / "log.xes.gz"
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(SourceError, match="damaged or truncated gzip"):
        _read(path)


def test_a_gzipped_log_is_read(tmp_path):
    path = tmp_path / "log.xes.gz"
    path.write_bytes(gzip.compress((HEAD + _case("1-1", _event(0, "Accepted", "In Progress")) + "</log>").encode()))

    assert len(_read(path)[0]) == 1


@pytest.mark.skipif(
    "SLAWATCH_TEST_INCIDENT_LOG" not in os.environ,
    reason="SLAWATCH_TEST_INCIDENT_LOG names no copy of bpi2013_incidents.xes.gz (BPI Challenge 2013)",
)
def test_the_incident_log_of_2013_is_read_whole():
    path = Path(os.environ["SLAWATCH_TEST_INCIDENT_LOG"])
    events = read_source(path, ReadOptions(constants={"source": "bpi2013"})).events

    assert Counter(event.event for event in events) == {
        "updated": 45_708,
        "created": 7_554,
        "resolved": 6_112,
        "closed": 5_716,
        "reopened": 442,
        "cancelled": 1,
    }
    assert len({(event.ticket, event.at_ms) for event in events}) == 65_533  # no two of a case at one instant
    by_ticket: dict[str, list[int]] = {}
    for event in events:
        by_ticket.setdefault(event.ticket, []).append(event.sequence)
    assert all(indexes == sorted(indexes) for indexes in by_ticket.values())  # each trace was in order
    assert sum(event.fields.get("source") == "bpi2013" for event in events) == 7_554
