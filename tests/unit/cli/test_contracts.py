"""`slawatch contracts` as people type it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.contracts import app

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests" / "golden" / "contracts"

run = CliRunner().invoke


def test_check_prints_every_fault_on_a_line_of_its_own_and_exits_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN / "bad" / "five-faults")
    result = run(app, ["check", "."])
    assert result.exit_code == 2
    assert result.stdout == Path("faults.txt").read_text(encoding="utf-8")
    assert result.stderr == "5 faults\n"


def test_check_of_good_agreements_shows_what_is_in_force_and_exits_with_0() -> None:
    result = run(app, ["check", str(GOLDEN / "good"), "--at", "2026-02-01T00:00:00Z"])
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert rows["acme-support"].split()[1:6] == ["sla", "service", "acme", "1", "since"]
    assert rows["default"].split()[1:6] == ["sla", "corporate", "all", "1", "since"]
    assert "3 contracts, 2 calendars: no faults" in result.stdout
    assert "passed over" in result.stderr


@pytest.mark.parametrize(("at", "shown"), [("2025-12-31T00:00:00Z", "none until"), ("2027-06-01T00:00:00Z", "none:")])
def test_check_tells_when_a_contract_is_not_in_force(at: str, shown: str) -> None:
    result = run(app, ["check", str(GOLDEN / "good"), "--at", at])
    (row,) = (line for line in result.stdout.splitlines() if line.startswith(" acme-support"))
    assert shown in row


def test_check_takes_several_folders() -> None:
    config = REPOSITORY / "config"
    assert run(app, ["check", str(config / "contracts"), str(config / "calendars")]).exit_code == 0


def test_an_instant_that_is_none_exits_with_2() -> None:
    result = run(app, ["check", str(GOLDEN / "good"), "--at", "yesterday"])
    assert result.exit_code == 2
    assert "--at: 'yesterday' is no RFC 3339 instant" in result.stderr


@pytest.mark.parametrize("kind", ["contract", "calendar"])
def test_schema_prints_a_json_schema(kind: str) -> None:
    result = run(app, ["schema", kind])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["properties"]["kind"]["const"] == kind.capitalize()
