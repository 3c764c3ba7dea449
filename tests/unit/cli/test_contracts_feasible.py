"""`slawatch contracts feasible`: against OLAs and UCs, against a log, and what would have been reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

CALENDARS = """kind: Calendar
id: office
timezone: Europe/Berlin
hours: {mon: [09:00-17:00], tue: [09:00-17:00], wed: [09:00-17:00], thu: [09:00-17:00], fri: [09:00-17:00]}
---
kind: Calendar
id: always
timezone: Europe/Berlin
hours: {mon: [00:00-24:00], tue: [00:00-24:00], wed: [00:00-24:00], thu: [00:00-24:00], fri: [00:00-24:00], sat: [00:00-24:00], sun: [00:00-24:00]}
"""


def contract(
    name: str, within: str, *, kind: str = "sla", status: str = "signed", calendar: str = "office", **more: str
) -> str:
    extra = "".join(f"{key}: {value}\n" for key, value in more.items())
    return f"""kind: Contract
id: {name}
type: {kind}
level: corporate
provider: {name}
owner: slm@it.example
{extra}revisions:
  - revision: 1
    status: {status}
    effective_from: 2030-01-01T00:00:00Z
    calendar: {calendar}
    targets:
      - id: {name}-resolution
        metric: resolution
        start: {{event: created}}
        stop: {{event: resolved}}
        within: {within}
        objective: {{attain: 80%, over: 1 month, timezone: Europe/Berlin}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "calendars.yaml").write_text(CALENDARS, encoding="utf-8")
    return tmp_path


def write(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def feasible(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["contracts", "feasible", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(feasible(*arguments, "--json", "--year", 2026).stdout)
    return document


def test_a_supplier_with_office_hours_can_not_hold_up_four_hours_on_fridays(folder: Path) -> None:
    write(folder, "vendor", contract("vendor", "2bh", kind="uc", supports="[desk]"))
    file = write(folder, "desk", contract("desk", "4h", status="draft"))
    document = told(file)
    [chain] = document["technical"]
    assert (document["feasible"], chain["chain"], chain["holds"]) == (False, ["vendor-resolution"], False)
    by_day = chain["failing_share_by_weekday"]
    assert by_day["Sun"] == 1.0
    assert by_day["Fri"] > by_day["Tue"]
    assert chain["worst"]["late_seconds"] >= 62 * 3600
    result = feasible(file, "--year", 2026)
    assert result.exit_code == 1
    assert "desk-resolution (4h): vendor-resolution (2bh) can't hold it up at" in result.output
    assert "Not feasible as it is: 1 reason" in result.output


def test_what_fails_always_is_said_in_a_word(folder: Path) -> None:
    write(folder, "vendor", contract("vendor", "5bh", kind="uc", supports="[desk]"))
    result = feasible(write(folder, "desk", contract("desk", "4bh")), "--year", 2026)
    assert "vendor-resolution (5bh) can't hold it up at any start; worst: start" in result.output


def test_a_date_of_the_ticket_can_not_be_tried(folder: Path) -> None:
    write(folder, "vendor", contract("vendor", "{by: {field: last_day}}", kind="uc", supports="[desk]"))
    result = feasible(write(folder, "desk", contract("desk", "4bh")), "--year", 2026)
    assert result.exit_code == 0, result.output
    assert "due on a date that only a ticket has" in result.output


def test_terms_that_hold_exit_with_0(folder: Path) -> None:
    write(folder, "vendor", contract("vendor", "2bh", kind="uc", supports="[desk]"))
    result = feasible(write(folder, "desk", contract("desk", "4bh", status="negotiation")), "--year", 2026)
    assert result.exit_code == 0
    assert "holds it up at every start" in result.output


def test_of_an_ola_it_is_asked_whether_it_holds_up_what_it_supports(folder: Path) -> None:
    write(folder, "desk", contract("desk", "4bh"))
    [chain] = told(write(folder, "team", contract("team", "5bh", kind="ola", status="draft", supports="[desk]")))[
        "technical"
    ]
    assert (chain["target"], chain["holds"], chain["failing_share"]) == ("desk-resolution", False, 1.0)


def test_teams_and_suppliers_are_also_tried_one_after_the_other(folder: Path) -> None:
    write(folder, "team", contract("team", "3bh", kind="ola", supports="[desk]"))
    write(folder, "vendor", contract("vendor", "3bh", kind="uc", supports="[desk]"))
    technical = told(write(folder, "desk", contract("desk", "4bh", status="draft")))["technical"]
    assert [(chain["chain"], chain["holds"]) for chain in technical] == [
        (["team-resolution"], True),
        (["vendor-resolution"], True),
        (["team-resolution", "vendor-resolution"], False),
    ]


def test_a_proposal_stands_in_for_the_signed_contract_of_its_id(folder: Path, tmp_path: Path) -> None:
    write(folder, "desk", contract("desk", "4bh"))
    elsewhere = tmp_path / "proposals"
    elsewhere.mkdir()
    proposal = write(elsewhere, "new", contract("desk", "2bh", status="draft"))
    assert told(proposal, "--with", folder / "calendars.yaml")["contract"] == "desk"
    assert feasible(proposal, "--with", folder).exit_code == 0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Ten tickets of one Monday: resolved after 1 to 8 hours, two still open at five in the afternoon."""
    lines = []
    for number in range(1, 11):
        at = "2026-03-02T08:00:00Z"
        lines.append({"version": 1, "ticket": f"T{number}", "id": f"{number}a", "event": "created", "at": at})
        if number <= 8:
            at = f"2026-03-02T{8 + number:02d}:00:00Z"
            lines.append({"version": 1, "ticket": f"T{number}", "id": f"{number}b", "event": "resolved", "at": at})
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return file


def test_a_log_says_what_would_have_been_attained_and_what_was_within_reach(folder: Path, log: Path) -> None:
    file = write(folder, "desk", contract("desk", "6bh", status="draft"))
    document = told(file, "--events", log)
    [target] = document["historical"]
    # At 16:00Z, the newest event, the two open ones have run for 8 hours and are breached like those of 7 and 8 hours.
    assert target["outcomes"] == {"breached": 4, "met": 6}
    assert (target["attained"], target["promised"], target["periods"], target["periods_missed"]) == (0.6, 0.8, 1, 1)
    assert target["attained_low"] < 0.6 < target["attained_high"]
    assert target["reachable"]["within_seconds"] == 8 * 3600
    assert (target["reachable"]["stopped"], target["reachable"]["open"]) == (8, 2)
    assert not document["feasible"]
    result = feasible(file, "--events", log)
    assert result.exit_code == 1
    assert "8bh" in result.output


def test_what_is_said_to_be_within_reach_is_reached(folder: Path, log: Path) -> None:
    file = write(folder, "desk", contract("desk", "8bh", status="draft"))
    [target] = told(file, "--events", log, "--until", "2026-03-02T17:00:00Z")["historical"]
    assert target["attained"] == 0.8
    assert feasible(file, "--events", log, "--until", "2026-03-02T17:00:00Z").exit_code == 0


def test_the_starts_of_the_log_weigh_the_technical_answer(folder: Path, log: Path) -> None:
    write(folder, "vendor", contract("vendor", "2bh", kind="uc", supports="[desk]"))
    [chain] = told(write(folder, "desk", contract("desk", "4h", status="draft")), "--events", log)["technical"]
    assert chain["failing_share"] > 0.5
    assert chain["failing_share_on_log"] == 0.0


def test_what_can_not_be_asked_is_told(folder: Path) -> None:
    ended = contract("desk", "4bh")
    file = write(folder, "desk", ended)
    assert feasible(file, "--revision", 7).output == "desk: no revision 7 with targets; there are: 1\n"
    unknown = feasible(file, "--contract", "dsk")
    assert unknown.exit_code == 2
    assert "no contract 'dsk'; it holds: desk" in unknown.output
