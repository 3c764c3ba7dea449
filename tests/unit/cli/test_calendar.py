"""`slawatch calendar` as people type it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests" / "golden" / "calendar"

OFFICE = "office.yaml"
MONDAY_NINE = "2026-03-02T09:00:00+01:00"

run = CliRunner().invoke


def answers() -> list[Any]:
    lines = (GOLDEN / "answers.txt").read_text(encoding="utf-8").splitlines()
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [pytest.param(command, answer, id=command.partition("calendar ")[2]) for command, answer in pairs]


@pytest.fixture(autouse=True)
def _beside_the_calendars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)


def refused(*arguments: str) -> list[str]:
    result = run(app, ["calendar", *arguments])
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.splitlines()


def answer(*arguments: str) -> dict[str, Any]:
    result = run(app, ["calendar", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize(("command", "expected"), answers())
def test_an_answer_is_the_one_worked_out_by_hand(command: str, expected: str) -> None:
    words = shlex.split(command.removeprefix("$ slawatch "))
    result = run(app, words)
    assert (result.exit_code, result.stdout, result.stderr) == (0, expected + "\n", "")


def test_the_page_about_calendars_shows_what_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPOSITORY / "docs" / "calendars.md").read_text(encoding="utf-8")
    for document in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        name = re.search(r"^id: (.+)$", document, re.MULTILINE)
        assert name is not None
        (tmp_path / f"{name[1]}.yaml").write_text(document, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    asked = 0
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for command, shown in re.findall(r"^\$ slawatch calendar (.*)\n((?:[^$].*\n)+)", block, re.MULTILINE):
            assert answer(*shlex.split(command)) == json.loads(shown)
            asked += 1
    assert asked == 5


# --- what may be written ---


@pytest.mark.parametrize(
    "start",
    [
        "2026-03-02T09:00:00+01:00",
        "2026-03-02T08:00:00Z",
        "2026-03-02 09:00:00+01:00",
        "2026-03-02t08:00:00z",
        "2026-03-02T08:00Z",
        "2026-03-02T08:00:00.000Z",
        "2026-03-02T13:30:00+05:30",
        " 2026-03-02T08:00:00Z ",
    ],
)
def test_an_instant_may_be_written_in_any_zone_and_with_a_space(start: str) -> None:
    assert answer("deadline", OFFICE, start, "1bh")["deadline"] == "2026-03-02T09:00:00.000Z"


@pytest.mark.parametrize("given", [f"{MONDAY_NINE}/2026-03-02T09:00:00Z", f"{MONDAY_NINE} / 2026-03-02 10:00:00+01:00"])
def test_a_pause_is_two_instants_parted_by_a_slash(given: str) -> None:
    assert (
        answer("between", OFFICE, MONDAY_NINE, "2026-03-02T12:00:00+01:00", "--pause", given)["paused_seconds"] == 3600
    )


def test_a_calendar_may_stand_in_a_file_of_any_name(tmp_path: Path) -> None:
    copy = tmp_path / "any.name"
    copy.write_text((GOLDEN / "night.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    assert answer("deadline", str(copy), "2026-03-02T23:00:00-05:00", "1bh")["calendar"] == "night"


def test_the_file_of_holidays_is_beside_the_document_wherever_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    retreat = ("2026-09-07T00:00:00+02:00", "2026-09-09T00:00:00+02:00")
    assert answer("between", "tests/golden/calendar/office.yaml", *retreat)["consumed_seconds"] == 0


# --- pauses ---


@pytest.mark.parametrize(
    ("pauses", "deadline"),
    [
        pytest.param([], "11:00", id="none"),
        pytest.param(["10:00/10:30"], "11:30", id="inside"),
        pytest.param(["10:00/10:30", "10:15/10:45", "10:00/10:10"], "11:45", id="overlapping"),
        pytest.param(["10:20/10:40", "10:00/10:10"], "11:30", id="in any order"),
        pytest.param(["10:00/10:30", "10:30/11:00"], "12:00", id="touching"),
        pytest.param(["12:15/12:45"], "11:00", id="after it"),
        pytest.param(["07:00/08:00"], "11:00", id="before the start"),
        pytest.param(["07:00/09:30"], "11:30", id="over the start"),
        pytest.param(["10:30/13:30"], "14:00", id="over the deadline and the lunch break"),
        pytest.param(["11:00/12:00"], "11:00", id="from the deadline on"),
        pytest.param(["10:59/11:30"], "11:31", id="over the deadline"),
        pytest.param(["10:00/10:00"], "11:00", id="empty"),
    ],
)
def test_a_pause_moves_the_deadline_by_the_working_time_it_covers(pauses: list[str], deadline: str) -> None:
    options = []
    for pause in pauses:
        begin, _, end = pause.partition("/")
        options += ["--pause", f"2026-03-02T{begin}:00+01:00/2026-03-02T{end}:00+01:00"]
    given = answer("deadline", OFFICE, MONDAY_NINE, "2bh", *options)
    assert given["deadline_local"] == f"2026-03-02T{deadline}:00+01:00"
    assert given["consumed_seconds"] == 7200


def test_pauses_and_targets_agree_between_the_two_commands() -> None:
    pauses = [
        "--pause",
        "2026-03-02T10:00:00Z/2026-03-05T10:00:00Z",
        "--pause",
        "2026-03-06T00:00:00Z/2026-03-06T10:00:00Z",
    ]
    due = answer("deadline", OFFICE, MONDAY_NINE, "12.5bh", *pauses)
    counted = answer("between", OFFICE, MONDAY_NINE, due["deadline"], *pauses)
    assert due["consumed_seconds"] == counted["consumed_seconds"] == 45_000
    assert due["paused_seconds"] == counted["paused_seconds"]


# --- what is refused ---


def test_a_local_time_is_no_instant() -> None:
    assert refused("between", OFFICE, "2026-03-02T09:00:00", MONDAY_NINE) == [
        "START: 2026-03-02T09:00:00 has no time zone: write Z or an offset such as +02:00"
    ]


def test_everything_wrong_is_told_at_once() -> None:
    lines = refused(
        *("deadline", "missing.yaml", "monday", "4bx", "--pause", "x", "--pause", "a/b"),
        *("--pause", "2026-03-02T10:00:00Z/2026-03-02T09:00:00Z"),
    )
    assert [line.partition(": ")[0] for line in lines] == [
        *("START", "TARGET", "--pause", "--pause", "--pause", "--pause", "missing.yaml")
    ]
    assert "ends before it begins" in lines[5]


def test_an_end_before_the_start_is_refused() -> None:
    (line,) = refused("between", OFFICE, MONDAY_NINE, "2026-03-01T09:00:00Z")
    assert "is before START" in line


@pytest.mark.parametrize("start", ["1899-12-31T23:59:59Z", "2400-01-01T00:00:00Z"])
def test_an_instant_that_no_calendar_covers_is_refused(start: str) -> None:
    (line,) = refused("deadline", OFFICE, start, "4bh")
    assert "the years 1900 to 2399" in line


def test_a_date_that_a_ticket_carries_is_no_target_here() -> None:
    (line,) = refused("deadline", OFFICE, MONDAY_NINE, "by last_day at 17:00")
    assert "there is no ticket here" in line


def test_a_deadline_that_no_calendar_covers_is_refused() -> None:
    (line,) = refused("deadline", OFFICE, "2399-12-30T09:00:00Z", "400bh")
    assert "outside what calendars cover" in line


def test_every_fault_of_a_bad_calendar_is_told(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "kind: Calendar\nid: bad\ntimezone: Europe/Berln\n"
        "hours: {mon: [08:00-12:00, 11:00-13:00], tue: 8-17}\nholidays: {yearly: [13-01], country: XX}\n",
        encoding="utf-8",
    )
    for arguments in (("deadline", str(bad), MONDAY_NINE, "4bh"), ("between", str(bad), MONDAY_NINE, MONDAY_NINE)):
        places = [line.removeprefix(f"{bad}: ").partition(": ")[0] for line in refused(*arguments)]
        assert sorted(places) == ["holidays.country", "holidays.yearly[0]", "hours", "hours.tue[0]", "timezone"]
    result = run(app, ["calendar", "check", str(bad)])
    assert result.exit_code == 2
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr == "5 faults\n"


def test_one_calendar_of_several_is_named() -> None:
    (line,) = refused("deadline", "combined.yaml", MONDAY_NINE, "4bh")
    assert "say which one, supplier-inside-office or anybody" in line
    (line,) = refused("deadline", "combined.yaml", MONDAY_NINE, "4bh", "--id", "anybdy")
    assert "unknown 'anybdy' (anybody?)" in line


# --- check ---


def test_check_shows_calendars_without_faults() -> None:
    result = run(app, ["calendar", "check", "."])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "6 calendars: no faults" in result.stdout
    assert "and supplier" in result.stdout


def test_check_of_one_file_finds_what_its_calendars_are_made_of_beside_it() -> None:
    result = run(app, ["calendar", "check", "combined.yaml"])
    assert result.exit_code == 0
    assert "4 calendars: no faults" in result.stdout


def test_check_of_nothing_says_so(tmp_path: Path) -> None:
    result = run(app, ["calendar", "check", str(tmp_path)])
    assert result.exit_code == 2
    assert "no calendar here" in result.stdout
