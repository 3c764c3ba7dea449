"""`slawatch events` says what is wrong before it does anything, and writes files whole."""

import gzip
import json
import re
from functools import partial

import pytest

from tests.support.commands import slawatch

CSV = ["examples/tickets.csv", "--mapping", "examples/tickets-mapping.yaml"]


_run = partial(slawatch, "events")


def test_a_file_is_exported_whole_and_in_order(tmp_path):
    out = tmp_path / "events.jsonl.gz"
    done = _run("export", *CSV, "--set", "source=example", "--out", out)

    assert (done.returncode, done.stdout) == (0, "")
    assert "13 events written to" in done.stderr
    documents = [json.loads(line) for line in gzip.decompress(out.read_bytes()).splitlines()]
    assert len(documents) == 13
    assert [document["at"] for document in documents] == sorted(document["at"] for document in documents)
    assert sum("source" in document["fields"] for document in documents) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl.gz"]


def test_what_was_exported_can_be_exported_again_unchanged(tmp_path):
    once, twice = tmp_path / "a.jsonl", tmp_path / "b.jsonl"

    assert _run("export", *CSV, "--out", once).returncode == 0
    assert _run("export", once, "--out", twice).returncode == 0
    assert twice.read_bytes() == once.read_bytes()


def test_a_simulated_hour_goes_to_standard_output_as_json_lines():
    arguments = ("simulate", "--seed", "3", "--hours", "1", "--start", "2026-11-02T08:00:00Z", "--out", "-")
    first, second = _run(*arguments), _run(*arguments)

    assert first.returncode == 0
    assert first.stdout == second.stdout
    documents = [json.loads(line) for line in first.stdout.splitlines()]
    assert len(documents) > 100
    assert all(document["ticket"].startswith("SIM-") for document in documents)
    assert max(document["at"] for document in documents) < "2026-11-02T09:00:00.000Z"


def test_faulty_rows_refuse_the_file_or_are_left_out(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("n,t,e\nA,2026-11-02T09:00:00Z,created\nB,never,created\n")
    columns = ("--map", "ticket=n,at=t", "--map", "event=e")

    refused = _run("export", file, *columns, "--out", tmp_path / "out.jsonl")
    assert refused.returncode == 2
    assert refused.stderr.strip() == f"{file}: line 3: 'never' is no ISO 8601 instant; see at_format"
    assert not (tmp_path / "out.jsonl").exists()

    done = _run("export", file, *columns, "--skip-faults", "--out", "-")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
    assert "1 faulty rows left out" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("play", *CSV, "--speed", "fast"), "neither a number nor max"),
        (("play", *CSV, "--speed", "0"), "must be positive"),
        (("play", *CSV, "--heartbeat-every", "soon"), "no duration such as 60s"),
        (("play", *CSV, "--until", "tomorrow"), "RFC 3339"),
        (("play", *CSV, "--until", "2001-01-01T00:00:00Z"), "the first event is later: 2026-11-02T01:31:10.000Z"),
        (("play", *CSV, "--set", "alone"), "is not NAME=VALUE"),
        (("play", "README.md"), "unknown kind of source"),
        (("play", "missing.jsonl"), "No such file"),
        (("simulate", "--hours", "0"), "must be positive"),
        (("simulate", "--tickets-per-day", "-1"), "must be positive"),
        (("simulate", "--start", "2026-11-02"), "time zone"),
    ],
)
def test_wrong_input_is_told_and_exits_with_2(arguments, said):
    done = _run(*arguments, SLAWATCH_KAFKA__BOOTSTRAP="127.0.0.1:1")

    assert done.returncode == 2
    assert said in re.sub(r"[│\s]+", " ", done.stderr)
    assert "Traceback" not in done.stderr


def test_a_file_without_events_is_refused(tmp_path):
    file = tmp_path / "empty.jsonl"
    file.write_text("\n")
    done = _run("play", file)

    assert (done.returncode, done.stderr.strip()) == (2, f"{file}: holds no events")


def test_without_kafka_the_player_says_so_and_exits_with_1():
    done = _run("play", *CSV, SLAWATCH_KAFKA__BOOTSTRAP="127.0.0.1:1")

    assert done.returncode == 1
    assert "no Kafka broker: 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
