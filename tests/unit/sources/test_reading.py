"""Any source is read by its name and comes out in one order of event time."""

from pathlib import Path

import pytest

from sources.faults import SHOWN_FAULTS, SourceError
from sources.mapping import XesMapping, load_document, parse_mapping
from sources.reading import ReadOptions, in_global_order, read_source
from sources.record import SourceEvent

ROOT = Path(__file__).resolve().parents[3]
COLUMNS = {"ticket": "n", "at": "t", "event": "e"}


def _csv(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["n,t,e,p", *rows]) + "\n", encoding="utf-8")
    return path


def test_the_example_file_is_read_with_its_mapping():
    events = read_source(
        ROOT / "examples/tickets.csv", ReadOptions(mapping=ROOT / "examples/tickets-mapping.yaml")
    ).events

    assert [event.event for event in events if event.ticket == "INC-1002"] == [
        "created", "responded", "resolved", "reopened",
    ]  # fmt: skip
    waiting = [event.fields["waiting_for"] for event in events if "waiting_for" in event.fields]
    assert waiting == ["customer", None]
    assert [event.at_ms for event in events] == sorted(event.at_ms for event in events)


def test_columns_of_the_command_line_suffice_and_win_over_the_file(tmp_path):
    mapping = tmp_path / "m.yaml"
    mapping.write_text("kind: CsvMapping\ncolumns: {ticket: n, at: t, event: wrong}\ntimezone: Asia/Tokyo\n")
    path = _csv(tmp_path, "A,2026-11-02 09:00:00,created,P1")
    options = ReadOptions(mapping=mapping, columns={"event": "e", "priority": "p"}, timezone="UTC")

    from_both = read_source(path, options).events
    from_options = read_source(path, ReadOptions(columns={**COLUMNS, "priority": "p"}, timezone="UTC")).events

    assert from_both == from_options
    assert from_options[0].fields == {"priority": "P1"}
    assert from_options[0].at_ms == 1_793_610_000_000


def test_constants_are_set_once_per_ticket_and_nothing_overrides_them():
    events = [
        SourceEvent("A", 2, "a2", "updated", None, {"source": "theirs", "x": "1"}),
        SourceEvent("A", 1, "a1", "created", None, {"source": "theirs"}),
        SourceEvent("B", 3, "b1", "created"),
    ]

    assert [event.fields for event in in_global_order(events, {"source": "ours"})] == [
        {"source": "ours"},
        {"x": "1"},
        {"source": "ours"},
    ]


def test_one_instant_is_ordered_by_ticket_then_sequence_then_precedence():
    events = [
        SourceEvent("B", 5, "1", "created", 1),
        SourceEvent("A", 5, "3", "resolved"),
        SourceEvent("A", 5, "2", "created"),
        SourceEvent("A", 5, "1", "reopened", 1),
    ]

    assert [(event.ticket, event.event) for event in in_global_order(events)] == [
        ("A", "created"),
        ("A", "resolved"),
        ("A", "reopened"),
        ("B", "created"),
    ]


def test_faulty_rows_refuse_the_file_and_the_first_ones_are_listed(tmp_path):
    path = _csv(tmp_path, "A,2026-11-02 09:00:00,created,P1", *(["B,never,created,P1"] * 30))
    options = ReadOptions(columns=COLUMNS, timezone="UTC")

    with pytest.raises(SourceError) as caught:
        read_source(path, options)

    assert caught.value.total == 30
    assert len(caught.value.faults) == SHOWN_FAULTS
    assert caught.value.faults[0].startswith("line 3: ")
    assert "... and 10 more" in str(caught.value)


def test_faulty_rows_are_left_out_and_counted_when_the_user_says_so(tmp_path):
    path = _csv(tmp_path, "A,2026-11-02 09:00:00,created,P1", "B,never,created,P1")
    reading = read_source(path, ReadOptions(columns=COLUMNS, timezone="UTC", skip_faults=True))

    assert [event.ticket for event in reading.events] == ["A"]
    assert reading.faults.total == 1


@pytest.mark.parametrize(
    ("name", "options", "fault"),
    [
        ("t.xlsx", ReadOptions(), "unknown kind of source"),
        ("t.csv", ReadOptions(), "a CSV file needs a mapping"),
        ("t.csv", ReadOptions(columns={"ticket": "n"}), "columns.at: Field required"),
        (
            "t.csv",
            ReadOptions(columns=COLUMNS, timezone="Asia/Jakata"),
            r"unknown time zone 'Asia/Jakata' \(Asia/Jakarta",
        ),
        ("t.jsonl", ReadOptions(columns=COLUMNS), "for CSV files only"),
        ("missing.jsonl", ReadOptions(), "No such file"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_read(tmp_path, name, options, fault):
    _csv(tmp_path)
    (tmp_path / "t.jsonl").write_text("")

    with pytest.raises(SourceError, match=fault):
        read_source(tmp_path / name, options)


def test_a_mapping_file_shows_all_its_faults_at_once(tmp_path):
    mapping = tmp_path / "m.yaml"
    mapping.write_text("kind: CsvMapping\ncolums: {ticket: n}\nrows: pictures\ndelimiter: ';;'\n")

    with pytest.raises(SourceError) as caught:
        read_source(_csv(tmp_path), ReadOptions(mapping=mapping))

    text = str(caught.value)
    assert text.startswith(f"{mapping}: ")
    assert "colums: unknown key (columns?)" in text
    assert "rows: " in text
    assert "delimiter: " in text
    assert "columns.ticket: Field required" in text


@pytest.mark.parametrize("text", ["- a list", "a: [unclosed", ""], ids=["list", "no YAML", "empty"])
def test_a_mapping_file_that_is_no_mapping_is_refused(tmp_path, text):
    mapping = tmp_path / "m.yaml"
    mapping.write_text(text)

    with pytest.raises(SourceError, match=r"m\.yaml"):
        read_source(_csv(tmp_path), ReadOptions(mapping=mapping))


def test_the_example_mapping_of_logs_is_the_built_in_one():
    path = ROOT / "examples/incident-log-mapping.yaml"

    assert parse_mapping(XesMapping, load_document(path), path) == XesMapping()
