"""``slawatch report`` over logs: its numbers against an independent computation, its forms, its files."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from cli import pdf_printer
from cli.main import app
from cli.pdf_printer import find_browser, print_pdf
from sources.faults import SourceError
from tests.support.incident_log import DAY_MS, expect
from tests.support.synthetic_log import write_log

CONTRACTS = Path(__file__).parents[3] / "config" / "contracts"
STOCKHOLM = ZoneInfo("Europe/Stockholm")
MONTHS = ("2012-03", "2012-04", "2012-05", "2012-06")

run = CliRunner().invoke


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("log") / "log.xes.gz", seed=5, cases=300)


def arguments(log: Path, *more: str) -> list[str]:
    return [
        *("report", "--contracts", str(CONTRACTS), "--events", str(log), "--set", "source=bpi2013"),
        *("--contract", "incident-log", *more),
    ]


@pytest.fixture(scope="module")
def reports(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON reports of all months by name."""
    folder = tmp_path_factory.mktemp("reports")
    result = run(app, arguments(log, "--every", "month", "--format", "json", "--to", str(folder)))
    assert result.exit_code == 0, result.output
    return {path.stem.removeprefix("report-"): json.loads(path.read_text()) for path in folder.iterdir()}


def by_hand(log: Path) -> dict[tuple[str, str], Counter[str]]:
    """Group the verdicts of the independent computation by target and local month of the decision."""
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for clock_id, verdict in expect(log, retention_ms=35 * DAY_MS).verdicts.items():
        if verdict.outcome in ("met", "breached"):
            decided_ms = verdict.stop_ms if verdict.outcome == "met" else verdict.deadline_ms
            assert decided_ms is not None
            local = datetime.fromtimestamp(decided_ms / 1000, STOCKHOLM)
            found[clock_id.rsplit(":", 2)[1], f"{local:%Y-%m}"][verdict.outcome] += 1
    return found


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def objectives(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["objective"]: found for contract in report["contracts"] for found in contract["objectives"]}


def test_every_month_equals_a_group_by_of_an_independent_computation(log: Path, reports: dict[str, Any]) -> None:
    expected = by_hand(log)
    months = {month for _, month in expected}
    assert set(MONTHS) <= months <= reports.keys()
    told: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for month, report in reports.items():
        for name, objective in objectives(report).items():
            if objective["good"] + objective["bad"]:
                counts = Counter({"met": objective["good"], "breached": objective["bad"]})
                told[name, month] = +counts
                assert len(objective["breaches"]) == objective["bad"]
                assert objective["attained"] == objective["good"] / (objective["good"] + objective["bad"])
    assert told == expected
    assert sum(counts.total() for counts in told.values()) > 200


def test_breaches_say_who_held_the_ticket(reports: dict[str, Any]) -> None:
    breaches = [breach for objective in objectives(reports["2012-04"]).values() for breach in objective["breaches"]]
    assert breaches
    for breach in breaches:
        if breach["stop"] is not None:
            assert sum(breach["parties_counted"].values()) == pytest.approx(breach["consumed_seconds"], abs=1e-6)
        if breach["cause"] is not None:
            assert breach["parties_counted"][breach["cause"]] == max(breach["parties_counted"].values())


def test_what_the_index_is_made_of_is_told(reports: dict[str, Any]) -> None:
    for objective in objectives(reports["2012-04"]).values():
        found = objective["watermelon"]
        if found is None:
            continue
        assert found["clocks"] == objective["good"] + objective["bad"]
        parts = found["signals"].values()
        assert found["index"] == pytest.approx(sum(part["weight"] * (part["share"] or 0) for part in parts))
        assert found["signals"]["unhappy"]["of"] == 0  # the log has no feedback


def test_periods_are_final_when_the_grace_is_over(reports: dict[str, Any]) -> None:
    assert objectives(reports["2012-03"])["resolution-low"]["state"] == "final"
    last = max(reports)
    assert objectives(reports[last])["resolution-low"]["state"] == "provisional"


def test_a_month_seen_earlier_is_provisional(log: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    result = run(
        app,
        arguments(log, "--period", "2012-04", "--until", "2012-04-20T00:00:00Z", "--format", "json", "--out", str(out)),
    )
    assert result.exit_code == 0, result.output
    found = objectives(json.loads(out.read_text()))["resolution-low"]
    assert (found["state"], found["budget"]["estimated"]) == ("provisional", True)
    assert found["open_clocks"] > 0


def test_a_second_run_leaves_files_that_say_the_same(log: Path, tmp_path: Path) -> None:
    run(app, arguments(log, "--every", "quarter", "--format", "html", "--to", str(tmp_path)))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.name for path in before} >= {"report-2012-Q1.html", "report-2012-Q2.html"}
    result = run(app, arguments(log, "--every", "quarter", "--format", "html", "--to", str(tmp_path)))
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_csv_has_a_file_of_objectives_and_one_of_breaches(log: Path, reports: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "april.csv"
    result = run(app, arguments(log, "--period", "2012-04", "--format", "csv", "--out", str(out)))
    assert result.exit_code == 0, result.output
    found = {row["objective"]: row for row in read_csv(out)}
    expected = objectives(reports["2012-04"])
    assert {name: (int(row["good"]), int(row["bad"])) for name, row in found.items()} == {
        name: (objective["good"], objective["bad"]) for name, objective in expected.items()
    }
    breaches = read_csv(tmp_path / "april-breaches.csv")
    assert len(breaches) == sum(objective["bad"] for objective in expected.values())


def test_standard_output_takes_text(log: Path) -> None:
    result = run(app, arguments(log, "--period", "2012-04", "--format", "md"))
    assert result.exit_code == 0
    assert result.stdout.startswith("# Service report 2012-04\n")
    sections = run(app, arguments(log, "--period", "2012-04", "--format", "csv")).stdout.split("\n\n")
    assert [next(csv.reader(io.StringIO(section)))[0] for section in sections] == ["period", "period"]


PORTAL = """
kind: Contract
id: portal
type: sla
level: corporate
provider: it
owner: slm@acme.example
revisions:
  - revision: 1
    status: signed
    effective_from: 2026-01-01T00:00:00Z
    availability:
      - {id: portal-availability, service: portal, attain: 99.9%, over: 30d}
    credits:
      - {for: portal-availability, tiers: [{below: 99.9%, credit: 10%}, {below: 99%, credit: 25%}], of: 12000 EUR, cap: 50%}
"""


def test_minutes_of_a_service_become_a_statement_with_its_credit(tmp_path: Path) -> None:
    (tmp_path / "portal.yaml").write_text(PORTAL)
    lines = [
        json.dumps(
            {"service": "portal", "at": f"2026-10-{day:02}T12:00:00Z", "good": 999 - (day == 7), "bad": day == 7}
        )
        for day in range(1, 32)
    ]
    lines.append(json.dumps({"service": "portal", "at": "2026-11-02T00:00:00Z", "good": 0, "bad": 9}))
    # 1 of 30,969 bad, then 40: 99.997 % and 99.87 %.
    for bad, due, is_met in ((0, "0.00", True), (40, "1200.00", False)):
        extra = json.dumps({"service": "portal", "at": "2026-10-08T12:00:00Z", "good": 0, "bad": bad})
        (tmp_path / "up.jsonl").write_text(
            "\n".join([*(line.replace("true", "1").replace("false", "0") for line in lines), extra])
        )
        result = run(
            app,
            [
                *(
                    "report",
                    "--period",
                    "2026-10",
                    "--contracts",
                    str(tmp_path),
                    "--uptime",
                    str(tmp_path / "up.jsonl"),
                ),
                *("--format", "json"),
            ],
        )
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        found = objectives(document)["portal-availability"]
        assert (found["bad"], found["met"], found["credit"]["amount"]) == (
            *(1 + bad, is_met, {"amount": due, "currency": "EUR"}),
        )
        assert document["credits_due"] == [{"amount": due, "currency": "EUR"}]


def opinion(number: int, score: int, **changes: object) -> str:
    document = {"version": 1, "type": "feedback", "id": f"f{number}", "service": "portal", "at": "2026-10-08T12:00:00Z"}
    return json.dumps({**document, "score": score, **changes})


def test_a_green_service_whose_users_are_unhappy_is_marked(tmp_path: Path) -> None:
    (tmp_path / "portal.yaml").write_text(PORTAL)
    (tmp_path / "up.jsonl").write_text(
        json.dumps({"service": "portal", "at": "2026-10-08T12:00:00Z", "good": 9, "bad": 0})
    )
    lines = [opinion(number, 1 if number < 5 else 5) for number in range(12)]
    (tmp_path / "feedback.jsonl").write_text("\n".join([*lines, lines[0], ""]))
    command = [
        *("report", "--period", "2026-10", "--contracts", str(tmp_path), "--uptime", str(tmp_path / "up.jsonl")),
        *("--feedback", str(tmp_path / "feedback.jsonl")),
    ]
    found = objectives(json.loads(run(app, [*command, "--format", "json"]).stdout))["portal-availability"]["watermelon"]
    assert (found["signals"]["unhappy"]["bad"], found["signals"]["unhappy"]["of"]) == (5, 12)
    assert found["green_and_unhappy"]
    assert "over 12 opinions" in run(app, [*command, "--format", "md"]).stdout
    assert "◐ unhappy" in run(app, command).stdout


def test_feedback_that_can_not_be_read_is_told(log: Path, tmp_path: Path) -> None:
    (tmp_path / "feedback.jsonl").write_text(f"{opinion(1, 9)}\n{opinion(2, 5)}\n")
    with pytest.raises(SourceError, match="line 1"):
        run(
            app,
            arguments(log, "--period", "2012-04", "--feedback", str(tmp_path / "feedback.jsonl")),
            catch_exceptions=False,
        )


# --- what is wrong is told ---


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say which period"),
        (["--period", "2012-04", "--every", "month"], "say which period"),
        (["--period", "April"], "is no period"),
        (["--every", "month"], "--every needs --to"),
        (["--period", "2012-04", "--format", "pdf"], "--format pdf needs --out"),
        (["--period", "2012-04", "--out", "x", "--to", "y"], "--out or --to"),
        (["--period", "2112-04"], "has not begun"),
        (["--period", "2012-04", "--contract", "incident-lgo"], "(incident-log?)"),
    ],
)
def test_options_that_do_not_fit_are_told_and_end_with_2(log: Path, options: list[str], told: str) -> None:
    result = run(app, arguments(log, *options))
    assert result.exit_code == 2
    assert told in result.output


def test_a_log_needs_contracts(log: Path) -> None:
    result = run(app, ["report", "--period", "2012-04", "--events", str(log)])
    assert result.exit_code == 2
    assert "belong together" in result.output


def test_without_a_browser_pdf_says_what_to_install(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_printer, "find_browser", lambda: None)
    out = tmp_path / "r.pdf"
    result = run(app, arguments(log, "--period", "2012-04", "--format", "pdf", "--out", str(out)))
    assert result.exit_code == 1
    assert "install chromium" in result.output
    assert not out.exists()


def test_a_browser_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "chromium"
    broken.write_text("#!/bin/sh\necho 'no display' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(pdf_printer, "find_browser", lambda: str(broken))
    with pytest.raises(pdf_printer.PdfError, match="no display"):
        print_pdf("<p>")


@pytest.mark.skipif(find_browser() is None, reason="no Chromium here")
def test_the_installed_browser_prints_a_pdf() -> None:
    assert print_pdf("<!doctype html><title>t</title><p>a page").startswith(b"%PDF-")
