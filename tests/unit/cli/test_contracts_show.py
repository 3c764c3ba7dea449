"""`slawatch contracts show` and `history` of a folder, without a broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app

GOOD = Path(__file__).parents[2] / "golden" / "contracts" / "good"


def contracts(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["contracts", *arguments, "--from", str(GOOD)])


def test_a_contract_is_shown_in_words_as_it_stands_at_an_instant() -> None:
    shown = contracts("show", "acme-support", "--at", "2026-02-01T00:00:00Z").stdout
    assert "in force     revision 1 since 2026-01-01T00:00:00+07:00" in shown
    assert "then         revision 3 from 2026-06-01T00:00:00+07:00" in shown
    assert "  applies_to  priority P1 or P2, region jakarta, service printing\n" in shown
    assert "  within      4bh\n" in shown


@pytest.mark.parametrize(
    ("at", "revision"), [("2025-01-01", None), ("2026-02-01", 1), ("2026-07-01", 3), ("2027-02-01", None)]
)
def test_the_revision_in_force_follows_the_instant(at: str, revision: int | None) -> None:
    document = json.loads(contracts("show", "acme-support", "--at", f"{at}T00:00:00Z", "--json").stdout)
    assert (document["in_force"] or {}).get("revision") == revision


def test_without_a_revision_in_force_it_is_said_that_nothing_is_monitored() -> None:
    shown = contracts("show", "acme-support", "--at", "2027-02-01T00:00:00Z")
    assert shown.exit_code == 0
    assert "No revision is in force: nothing is monitored." in shown.stdout
    assert "terminated   2027-01-01T00:00:00+07:00" in shown.stdout


def test_history_tells_every_revision_with_what_it_changed() -> None:
    entries = json.loads(contracts("history", "acme-support", "--json").stdout)["revisions"]
    assert [entry["revision"] for entry in entries] == [1, 2, 3, 4]
    assert entries[0]["changes"] == ["printing-response: new: 4bh, priority P1 or P2, region jakarta, service printing"]
    assert "printing-response: within 4bh -> 1bh" in entries[1]["changes"], "a draft is compared with what is signed"
    assert "printing-response: within 4bh -> 90m" in entries[2]["changes"]
    assert entries[3]["changes"] == ["ends the contract"]
    assert (entries[0]["until"], entries[1]["until"], entries[2]["until"]) == (
        entries[2]["from"],
        None,
        entries[3]["from"],
    )


def test_history_reads_as_text() -> None:
    text = contracts("history", "acme-support").stdout
    assert text.startswith("acme-support: sla of it-services\n")
    assert "   printing-response: within 4bh -> 90m\n" in text


@pytest.mark.parametrize("command", ["show", "history"])
def test_a_misspelt_id_is_told_with_the_likely_one(command: str) -> None:
    result = contracts(command, "acme-suport")
    assert result.exit_code == 2
    assert f"no contract 'acme-suport' in {GOOD} (acme-support?)\n" in result.stdout


def test_an_instant_that_is_none_is_told() -> None:
    result = contracts("show", "acme-support", "--at", "tomorrow")
    assert result.exit_code == 2
    assert "--at: 'tomorrow' is no RFC 3339 instant" in result.stdout
