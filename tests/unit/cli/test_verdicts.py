"""``slawatch verdicts``: which records of the topic are in force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.lines import write_lines
from cli.verdicts import VerdictBook, VerdictLine
from streams.state_rows import provenance
from tests.support.replay import Record


def verdict(clock_id: str, outcome: str, seq: int, *, source: str = "sla.tickets/0", **fields: Any) -> Record:
    value = json.dumps({"clock_id": clock_id, "target": "t", "outcome": outcome, **fields}).encode()
    return Record(seq, clock_id.encode(), value, 0, provenance(source, seq, 0), "sla.verdicts", 0)


def in_force(*records: Record) -> list[tuple[str, str]]:
    book = VerdictBook()
    for record in records:
        book.take(record)
    return [(line.clock_id, line.outcome) for line in book.in_force()]


def test_the_last_verdict_of_a_clock_is_in_force() -> None:
    assert in_force(verdict("B:t:1", "breached", 1), verdict("A:t:1", "met", 2), verdict("B:t:1", "met", 3)) == [
        ("A:t:1", "met"),
        ("B:t:1", "met"),
    ]


def test_a_retracted_verdict_is_left_out_until_the_clock_has_another_one() -> None:
    retracted = [verdict("A:t:1", "met", 1), verdict("A:t:1", "retracted", 2)]
    assert in_force(*retracted) == []
    assert in_force(*retracted, verdict("A:t:1", "breached", 3)) == [("A:t:1", "breached")]


def test_what_a_former_owner_tells_late_changes_nothing() -> None:
    told = [verdict("A:t:1", "breached", 1), verdict("A:t:1", "met", 2)]
    book = VerdictBook()
    for record in (*told, *told, told[0]):
        book.take(record)
    assert [line.outcome for line in book.in_force()] == ["met"]
    assert book.repeated == 3


def test_sources_number_their_outputs_independently() -> None:
    assert in_force(verdict("A:t:1", "met", 9), verdict("B:t:1", "met", 2, source="sla.tickets/1")) == [
        ("A:t:1", "met"),
        ("B:t:1", "met"),
    ]


@pytest.mark.parametrize("value", [None, b"", b"{", b"\xff", b'{"clock_id": 1}'])
def test_a_record_that_is_no_verdict_is_named(value: bytes | None) -> None:
    book = VerdictBook()
    book.take(Record(7, b"A", value, 0, provenance("sla.tickets/0", 1, 0), "sla.verdicts", 3))
    assert book.unreadable == ["sla.verdicts/3@7"]


def test_a_verdict_that_no_step_made_is_named() -> None:
    book = VerdictBook()
    record = verdict("A:t:1", "met", 1)
    record.headers = ()
    book.take(record)
    assert book.unreadable == ["sla.verdicts/0@1"]
    assert book.in_force() == []


def test_lines_keep_the_bytes_of_the_topic() -> None:
    book = VerdictBook()
    record = verdict("A:t:1", "met", 1, unknown="kept")
    book.take(record)
    assert book.in_force() == [VerdictLine("A:t:1", "t", "met", record.value or b"")]


@pytest.mark.parametrize("name", ["lines.jsonl", "lines.jsonl.gz"])
def test_equal_lines_are_equal_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        assert write_lines(tmp_path / folder / name, [b"1", b"2"]) == 2
    first, second = ((tmp_path / folder / name).read_bytes() for folder in ("a", "b"))
    assert first == second
    assert [path.name for path in (tmp_path / "a").iterdir()] == [name]


def test_a_file_that_could_not_be_completed_does_not_appear(tmp_path: Path) -> None:
    def lines() -> Any:
        yield b"1"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_lines(tmp_path / "lines.jsonl", lines())
    assert list(tmp_path.iterdir()) == []
