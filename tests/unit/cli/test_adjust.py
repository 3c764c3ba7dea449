from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import adjust as module
from config.settings import Settings
from sla.adjustment import Adjustment
from sla.availability import MaintenancePolicy
from streams import system_clock
from streams.adjustment_codec import decode_adjustment
from tests.support.uptime import adjustment, objective, register_of

NOW_MS = 1_772_445_600_000
"""2026-03-02T10:00:00Z."""


class Register:
    """A register in memory."""

    def __init__(self) -> None:
        self.known: dict[str, Adjustment] = {}
        self.objectives = [objective(), objective("second", maintenance=MaintenancePolicy.COUNT_GOOD)]

    def read(self) -> Any:
        return Settings(), register_of(*self.objectives, adjustments=self.known.values()), self.known

    def publish(self, _settings: Settings, adjustment_id: str, document: bytes) -> None:
        published = decode_adjustment(document, adjustment_id.encode())
        assert isinstance(published, Adjustment)
        self.known[adjustment_id] = published


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    register = Register()
    monkeypatch.setattr(module, "_read", register.read)
    monkeypatch.setattr(module, "_publish", register.publish)
    monkeypatch.setattr(system_clock, "now_ms", lambda: NOW_MS)
    return register


def run(*arguments: str) -> Result:
    return CliRunner().invoke(module.app, arguments)


def add(*arguments: str, start: str = "2026-03-07T22:00:00+01:00") -> Result:
    return run(
        "add", "CHG-1", "--service", "portal", "--start", start, "--reason", "upgrade", "--by", "cab", *arguments
    )


def test_maintenance_is_published_with_who_why_and_when(register: Register) -> None:
    done = add("--for", "4h", "--reference", "minutes 12")
    assert done.exit_code == 0, done.output
    of = register.known["CHG-1"]
    assert (of.recorded_by, of.reason, of.recorded_at_ms, of.reference) == ("cab", "upgrade", NOW_MS, "minutes 12")
    assert of.end_ms - of.start_ms == 4 * 3_600_000
    assert not of.retroactive
    assert "portal-availability: is left out" in done.output
    assert "second: counts as good" in done.output


def test_a_recurring_one_shows_its_next_times(register: Register) -> None:
    done = add("--for", "1h", "--every", "FREQ=WEEKLY;BYDAY=SA", "--timezone", "Europe/Berlin")
    assert done.exit_code == 0, done.output
    assert "2026-03-14T21:00:00.000Z to 2026-03-14T22:00:00.000Z" in done.output
    assert "2026-04-04T20:00:00.000Z" in done.output


def test_a_dry_run_publishes_nothing(register: Register) -> None:
    assert add("--for", "1h", "--dry-run").exit_code == 0
    assert register.known == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "1h", "--end", "2026-03-08T00:00:00Z"), "--end or --for: one of them"),
        ((), "--end or --for: one of them"),
        (("--end", "2026-03-07T21:00:00Z"), "--end: must be later than --start"),
        (("--end", "2026-03-07T21:10:30Z"), "is no whole minute"),
        (("--for", "2bh"), "is no length of elapsed time"),
        (("--for", "1h", "--kind", "outage-correction"), "--counts-as: say how"),
        (("--for", "1h", "--counts-as", "up"), "maintenance is left out"),
        (("--for", "1h", "--every", "FREQ=SECONDLY"), "more often than every hour"),
        (("--for", "1h", "--every", "FREQ=DAILY", "--timezone", "Berlin"), "unknown time zone 'Berlin'"),
    ],
)
def test_wrong_input_is_refused_with_what_to_write(
    register: Register, arguments: tuple[str, ...], message: str
) -> None:
    done = add(*arguments)
    assert (done.exit_code, register.known) == (2, {})
    assert message in done.output


def test_the_past_is_changed_only_by_those_who_say_so(register: Register) -> None:
    refused = add("--for", "1h", start="2026-03-02T08:00:00Z")
    assert refused.exit_code == 2
    assert "--retroactive" in refused.output
    assert add("--for", "1h", "--retroactive", start="2026-03-02T08:00:00Z").exit_code == 0
    assert register.known["CHG-1"].retroactive


def test_an_unknown_service_is_refused_with_the_likely_one(register: Register) -> None:
    done = run("add", "CHG-1", "--service", "portl", "--start", "2026-03-07T22:00:00Z", "--for", "1h", "--reason", "x")
    assert done.exit_code == 2
    assert "did you mean 'portal'" in done.output


def test_an_id_is_used_again_only_to_replace(register: Register) -> None:
    add("--for", "1h")
    assert "is there already (in force)" in add("--for", "2h").output
    assert add("--for", "2h", "--replace").exit_code == 0
    assert register.known["CHG-1"].end_ms - register.known["CHG-1"].start_ms == 2 * 3_600_000


def test_a_withdrawn_one_stays_with_who_and_why(register: Register) -> None:
    add("--for", "1h")
    assert run("withdraw", "CHG-1", "--reason", "did not happen", "--by", "ops").exit_code == 0
    of = register.known["CHG-1"]
    assert (of.revoked, of.revoked_by, of.revoked_reason, of.revoked_at_ms) == (True, "ops", "did not happen", NOW_MS)
    assert of.reason == "upgrade"
    assert "nothing to do" in run("withdraw", "CHG-1", "--reason", "again").output
    shown = run("show", "CHG-1").output
    assert "withdrawn 2026-03-02T10:00:00.000Z by ops: did not happen" in shown


def test_the_list_has_all_of_them_in_the_order_in_which_they_were_recorded(register: Register) -> None:
    register.known = {of.id: of for of in (adjustment(5, 9, id="B"), adjustment(0, 9, id="A", recorded_at_ms=NOW_MS))}
    lines = run("list", "--json").output.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["B", "A"]
    assert run("list", "--service", "shop").output.strip() == "0 adjustments"
    assert "database" in run("list").output


def test_an_adjustment_that_is_not_there_is_told_with_the_likely_one(register: Register) -> None:
    add("--for", "1h")
    done = run("show", "CHG-2")
    assert done.exit_code == 2
    assert "did you mean 'CHG-1'" in done.output
