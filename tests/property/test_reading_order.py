"""The order in which a source is sent, and where its heartbeats stand."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.faults import FaultLog
from sources.jsonl import read_jsonl
from sources.mapping import XesMapping
from sources.reading import in_global_order
from sources.record import SourceEvent, to_wire
from sources.schedule import Beat, schedule
from sources.xes import read_xes

pytestmark = pytest.mark.property

INSTANTS = st.integers(0, 50) | st.integers(0, 10**12)
WORDS = st.sampled_from(["created", "updated", "responded", "resolved", "reopened", "feedback", "sent to lab"])
FIELDS = st.dictionaries(
    st.text(min_size=1, max_size=3), st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3), max_size=2
)


@st.composite
def _events(draw: st.DrawFn) -> list[SourceEvent]:
    rows = draw(
        st.lists(st.tuples(st.sampled_from("ABC"), INSTANTS, WORDS, st.none() | st.integers(0, 3), FIELDS), max_size=25)
    )
    return [
        SourceEvent(ticket, at_ms, f"{n}", word, sequence, fields)
        for n, (ticket, at_ms, word, sequence, fields) in enumerate(rows)
    ]


@given(_events(), st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_of_the_file(events, random):
    """Any permutation of the input gives the same output, constants included."""
    shuffled = events.copy()
    random.shuffle(shuffled)

    assert list(in_global_order(shuffled, {"source": "x"})) == list(in_global_order(events, {"source": "x"}))


@given(_events())
def test_the_order_is_that_of_event_time_and_loses_nothing(events):
    """Instants never fall, a ticket's events of one instant keep their sequence, and nothing is lost or made up."""
    ordered = list(in_global_order(events))

    assert sorted(event.id for event in ordered) == sorted(event.id for event in events)
    for before, after in pairwise(ordered):
        assert before.at_ms <= after.at_ms
        if before.at_ms == after.at_ms and before.ticket == after.ticket:
            assert (before.sequence or 0) <= (after.sequence or 0)


@given(_events(), st.integers(1, 10**10), st.none() | INSTANTS, st.none() | INSTANTS)
def test_a_heartbeat_is_true_when_it_is_sent(events, every_ms, from_ms, until_ms):
    """After a heartbeat T nothing at or before T follows; heartbeats rise; the last item is the last heartbeat."""
    ordered = list(in_global_order(events))
    # At least a thousandth of the span, else the heartbeats of a long silence fill the memory.
    span_ms = max([*(event.at_ms for event in events), until_ms or 0, from_ms or 0])
    every_ms = max(every_ms, span_ms // 1000, 1)
    items = list(schedule(ordered, heartbeat_every_ms=every_ms, from_ms=from_ms, until_ms=until_ms))

    now_ms = -1
    for item in items:
        assert item.at_ms > now_ms
        if isinstance(item, Beat):
            now_ms = item.at_ms
    sent = [item for item in items if isinstance(item, SourceEvent)]
    assert sent == [event for event in ordered if until_ms is None or event.at_ms <= until_ms]
    if items:
        assert isinstance(items[-1], Beat)
        assert items[-1].is_last
        assert items[-1].at_ms == (ordered[-1].at_ms if until_ms is None else until_ms)
        assert sum(isinstance(item, Beat) and item.is_last for item in items) == 1


@given(_events(), st.integers(1, 10**9))
def test_time_never_stands_still_longer_than_asked(events, every_ms):
    """Between the first event and the last, heartbeats are at most ``heartbeat_every_ms`` apart."""
    ordered = list(in_global_order(events))
    every_ms = max(every_ms, (ordered[-1].at_ms if ordered else 0) // 1000, 1)
    items = list(schedule(ordered, heartbeat_every_ms=every_ms))
    beats = [item.at_ms for item in items if isinstance(item, Beat)]

    assert all(after - before <= every_ms for before, after in pairwise(beats))
    if beats:
        assert beats[0] - ordered[0].at_ms <= every_ms


@given(_events())
def test_events_written_as_json_lines_come_back_as_they_were(tmp_path_factory, events):
    """Reading what was exported is the identity, whatever the fields hold."""
    path = tmp_path_factory.mktemp("lines") / "events.jsonl"
    path.write_bytes(b"".join(to_wire(event) + b"\n" for event in events))
    faults = FaultLog(path)

    assert list(read_jsonl(path, faults)) == events
    assert faults.total == 0


@given(
    st.permutations(range(4)),
    st.lists(st.lists(st.integers(0, 59), min_size=1, max_size=5), min_size=4, max_size=4),
)
def test_the_order_of_cases_in_a_log_does_not_matter(tmp_path_factory, order, minutes):
    """An XES log read with its traces in any order gives the same events in the same order."""
    cases = [
        f'<trace><string key="concept:name" value="case {number}"/>'
        + "".join(
            f'<event><date key="time:timestamp" value="2012-05-01T10:{minute:02d}:00Z"/>'
            f'<string key="lifecycle:transition" value="{minute % 3}"/></event>'
            for minute in minutes[number]
        )
        + "</trace>"
        for number in range(4)
    ]
    folder = tmp_path_factory.mktemp("logs")

    def read(name: str, numbers: range | list[int]) -> list[SourceEvent]:
        path: Path = folder / name
        path.write_text("<log>" + "".join(cases[number] for number in numbers) + "</log>")
        return list(in_global_order(read_xes(path, XesMapping(), FaultLog(path))))

    assert read("shuffled.xes", list(order)) == read("straight.xes", range(4))
