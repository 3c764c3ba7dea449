"""A CSV export becomes tickets, and every row that can't is named by its line."""

from pathlib import Path

import pytest

from sources.csv_file import read_csv
from sources.faults import FaultLog, SourceError
from sources.mapping import CsvColumns, CsvMapping, EventsMapping

COLUMNS = CsvColumns(ticket="Number", at="Updated", event="State")
PLAIN = CsvMapping(columns=COLUMNS, fields={"priority": "Priority"}, timezone="Asia/Jakarta")


def _read(tmp_path: Path, text: str, mapping: CsvMapping = PLAIN, encoding: str = "utf-8"):
    path = tmp_path / "tickets.csv"
    path.write_bytes(text.encode(encoding))
    faults = FaultLog(path)
    return list(read_csv(path, mapping, faults)), faults


def test_rows_become_events_with_local_times_in_the_files_zone(tmp_path):
    events, faults = _read(
        tmp_path,
        "Number,Updated,State,Priority\n"
        "INC-1,2026-11-02 09:00:00,Created,P1\n"
        "INC-1,2026-11-02T10:00:00+02:00,Resolved,P2\n",
    )

    assert faults.total == 0
    assert [(event.ticket, event.event, event.fields) for event in events] == [
        ("INC-1", "created", {"priority": "P1"}),
        ("INC-1", "resolved", {"priority": "P2"}),
    ]
    assert [event.at_ms for event in events] == [1_793_584_800_000, 1_793_606_400_000]


def test_a_snapshot_sends_what_differs_and_an_empty_cell_removes(tmp_path):
    events, _ = _read(
        tmp_path,
        "Number,Updated,State,Priority\n"
        "INC-1,2026-11-02 09:00:00,created,P1\n"
        "INC-1,2026-11-02 09:01:00,updated,P1\n"
        "INC-1,2026-11-02 09:02:00,updated,\n",
    )

    assert [event.fields for event in events] == [{"priority": "P1"}, {}, {"priority": None}]


def test_in_a_file_of_changes_an_empty_cell_says_nothing(tmp_path):
    events, _ = _read(
        tmp_path,
        "Number,Updated,State,Priority\nINC-1,2026-11-02 09:00:00,created,P1\nINC-1,2026-11-02 09:02:00,updated,\n",
        PLAIN.model_copy(update={"rows": "changes"}),
    )

    assert [event.fields for event in events] == [{"priority": "P1"}, {}]


def test_rows_that_run_from_newest_to_oldest_are_turned_round_also_within_a_second(tmp_path):
    rows = [
        "INC-1,2026-11-02 09:00:00,created,P4",
        "INC-1,2026-11-02 09:05:00,updated,P3",
        "INC-1,2026-11-02 09:05:00,updated,P2",
        "INC-1,2026-11-02 09:09:00,resolved,P2",
    ]
    forwards, _ = _read(tmp_path, "\n".join(["Number,Updated,State,Priority", *rows]))
    backwards, _ = _read(tmp_path, "\n".join(["Number,Updated,State,Priority", *reversed(rows)]))

    assert backwards == forwards
    assert [event.fields.get("priority") for event in forwards] == ["P4", "P3", "P2", None]
    assert [event.sequence for event in forwards] == [0, 0, 1, 0]


def test_a_row_keeps_its_id_in_a_longer_export_and_a_repeated_row_is_one_event(tmp_path):
    row = "INC-1,2026-11-02 09:00:00,created,P1\n"
    short, _ = _read(tmp_path, "Number,Updated,State,Priority\n" + row)
    long, faults = _read(tmp_path, "Number,Updated,State,Priority\nINC-0,2026-11-02 08:00:00,created,P1\n" + row + row)

    assert faults.total == 0
    assert [event for event in long if event.ticket == "INC-1"] == short


def test_an_id_used_twice_for_different_rows_is_a_fault(tmp_path):
    mapping = CsvMapping(columns=CsvColumns(ticket="n", at="t", event="e", id="id"), timezone="UTC")
    _, faults = _read(
        tmp_path, "n,t,e,id\nA,2026-11-02 09:00:00,created,1\nA,2026-11-02 09:01:00,resolved,1\n", mapping
    )

    assert faults.shown == ["line 3: id '1' is taken by line 2, which says something else"]


def test_words_are_mapped_and_reopenings_recognised(tmp_path):
    events = EventsMapping(
        first="created",
        reopening=("In Progress",),
        words={"In Progress": "responded", "Done": "resolved"},
        otherwise="updated",
    )
    read, _ = _read(
        tmp_path,
        "Number,Updated,State,Priority\n"
        "INC-1,2026-11-02 09:00:00,New,P1\n"
        "INC-1,2026-11-02 09:01:00,In Progress,P1\n"
        "INC-1,2026-11-02 09:02:00,Done,P1\n"
        "INC-1,2026-11-02 09:03:00,In Progress,P1\n"
        "INC-1,2026-11-02 09:04:00,Odd,P1\n",
        PLAIN.model_copy(update={"events": events}),
    )

    assert [event.event for event in read] == ["created", "responded", "resolved", "reopened", "updated"]


def test_every_faulty_row_is_named_by_the_line_it_begins_on(tmp_path):
    mapping = PLAIN.model_copy(
        update={
            "timezone": None,
            "events": EventsMapping(words={"Done": "resolved"}),
            "columns": CsvColumns(ticket="Number", at="Updated", event="State", sequence="Seq"),
        }
    )
    events, faults = _read(
        tmp_path,
        "Number,Updated,State,Priority,Seq\n"
        'INC-1,2026-11-02 09:00:00Z,created,"P1\nand a half",1\n'  # line 2 and 3
        "INC-1,2026-11-02 09:00:00,created,P1,1\n"  # line 4
        "INC-1,yesterday,created,P1,1\n"  # line 5
        ",2026-11-02 09:00:00Z,,P1,1\n"  # line 6
        "INC-1,2026-11-02\n"  # line 7
        "INC-1,2026-11-02 09:00:00Z,Dane,P1,1\n"  # line 8
        "INC-1,2026-11-02 09:00:00Z,Done,P1,first\n"  # line 9
        "\n"
        "INC-1,2026-11-02 09:00:00Z,Done,P1,-1\n",  # line 11
        mapping,
    )

    assert len(events) == 1
    assert sorted(faults.shown) == sorted(
        [
            "line 4: '2026-11-02 09:00:00' has no time zone: name the file's zone with `timezone` or --timezone",
            "line 5: 'yesterday' is no ISO 8601 instant; see at_format",
            "line 6: empty: Number, State",
            "line 7: has 2 cells where the heading has 5",
            "line 8: no rule says what 'Dane' means (Done?)",
            "line 9: sequence 'first' is no whole number",
            "line 11: sequence '-1' is negative or too large",
        ]
    )


def test_a_local_time_that_a_zone_skips_is_a_fault_and_one_that_occurs_twice_is_the_first(tmp_path):
    mapping = PLAIN.model_copy(update={"timezone": "Europe/Berlin"})
    events, faults = _read(
        tmp_path,
        "Number,Updated,State,Priority\nA,2026-03-29 02:30:00,created,P1\nB,2026-10-25 02:30:00,created,P1\n",
        mapping,
    )

    assert faults.shown == ["line 2: '2026-03-29 02:30:00' does not exist in Europe/Berlin: clocks were put forward"]
    assert [event.at_ms for event in events] == [1_792_888_200_000]  # 00:30Z, summer time


@pytest.mark.parametrize(
    ("at_format", "text"),
    [
        ("epoch_ms", "1793584800000"),
        ("epoch_s", "1793584800"),
        ("%d/%m/%Y %H.%M", "02/11/2026 09.00"),
        ("%d/%m/%Y %H:%M %z", "02/11/2026 03:00 +0100"),
    ],
)
def test_instants_are_read_in_the_format_that_is_named(tmp_path, at_format, text):
    events, faults = _read(
        tmp_path,
        f"Number,Updated,State,Priority\nA,{text},created,P1\n",
        PLAIN.model_copy(update={"at_format": at_format}),
    )

    assert faults.total == 0
    assert [event.at_ms for event in events] == [1_793_584_800_000]


def test_seconds_taken_for_milliseconds_and_the_reverse_are_noticed_where_they_can_be(tmp_path):
    _, faults = _read(
        tmp_path,
        "Number,Updated,State,Priority\nA,1793584800000,created,P1\n",
        PLAIN.model_copy(update={"at_format": "epoch_s"}),
    )

    assert "no instant of the years 1970 to 2299" in faults.shown[0]


def test_missing_columns_are_all_named_with_what_may_be_meant(tmp_path):
    with pytest.raises(SourceError) as caught:
        _read(tmp_path, "Number,Update,State\nA,2026-11-02,created\n")

    assert caught.value.faults == (
        "line 1: no column 'Priority'; the file has: Number, Update, State",
        "line 1: no column 'Updated' (Update?)",
    )


def test_an_empty_file_and_a_wrong_encoding_are_refused(tmp_path):
    with pytest.raises(SourceError, match="heading line"):
        _read(tmp_path, "")
    with pytest.raises(SourceError, match="not in the encoding"):
        _read(tmp_path, "Number,Updated,State,Priority\nä,2026-11-02 09:00:00,created,P1\n", encoding="latin-1")


def test_a_byte_order_mark_and_semicolons_are_read(tmp_path):
    events, _ = _read(
        tmp_path,
        "\ufeffNumber;Updated;State;Priority\nA;2026-11-02 09:00:00;created;P1\n",
        PLAIN.model_copy(update={"delimiter": ";"}),
    )

    assert [event.ticket for event in events] == ["A"]


def test_feedback_carries_its_own_fields_and_leaves_the_snapshot_alone(tmp_path):
    mapping = CsvMapping(columns=COLUMNS, fields={"priority": "Priority", "csat": "Score"}, timezone="UTC")
    events, _ = _read(
        tmp_path,
        "Number,Updated,State,Priority,Score\n"
        "A,2026-11-02 09:00:00,created,P1,\n"
        "A,2026-11-02 09:05:00,feedback,,4\n"
        "A,2026-11-02 09:06:00,closed,P1,\n",
        mapping,
    )

    assert [event.fields for event in events] == [{"priority": "P1"}, {"csat": "4"}, {}]
