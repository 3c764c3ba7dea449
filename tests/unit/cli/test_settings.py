"""``slawatch settings``."""

import pytest
from typer.testing import CliRunner

from cli import main as module
from cli.main import app


def test_settings_are_lines_that_an_environment_file_takes(monkeypatch):
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "24")
    lines = CliRunner().invoke(app, ["settings"]).output.splitlines()
    assert "SLAWATCH_TOPICS__PARTITIONS=24" in lines
    assert "# SLAWATCH_ENGINE__SETTLE_SECONDS=30" in lines


def test_only_those_that_are_not_at_their_default(monkeypatch):
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "24")
    monkeypatch.setenv("SLAWATCH_WEB__TOKEN", "geheim")
    result = CliRunner().invoke(app, ["settings", "--changed"])
    changed = result.output.splitlines()
    assert "SLAWATCH_TOPICS__PARTITIONS=24" in changed
    assert "SLAWATCH_WEB__TOKEN=********" in changed
    assert not any(line.startswith("#") for line in changed)
    assert "geheim" not in result.output


def test_the_reference_page_does_not_depend_on_the_environment(monkeypatch):
    plain = CliRunner().invoke(app, ["settings", "--markdown"]).output
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "24")
    assert CliRunner().invoke(app, ["settings", "--markdown"]).output == plain
    assert "| `SLAWATCH_TOPICS__PARTITIONS` | whole number >= 1, <= 1000 | `12` |" in plain


def test_all_faults_are_told_with_exit_code_2(monkeypatch, capsys):
    monkeypatch.setenv("SLAWATCH_KAFKA__BOOTSTRP", "broker:9092")
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "0")
    monkeypatch.setattr("sys.argv", ["slawatch", "settings"])
    with pytest.raises(SystemExit) as exited:
        module.main()
    assert exited.value.code == 2
    told = capsys.readouterr().err
    assert "SLAWATCH_KAFKA__BOOTSTRP: unknown setting (SLAWATCH_KAFKA__BOOTSTRAP?)" in told
    assert "SLAWATCH_TOPICS__PARTITIONS" in told
