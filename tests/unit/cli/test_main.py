import subprocess
import sys

import pytest
from typer.testing import CliRunner

from cli import main as module
from cli.main import app
from config.burn_policy import BurnPolicyError
from config.faults import Fault
from config.settings import SettingsError
from streams.kafka_jars import LocalKafkaError


def test_help_names_every_command():
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    assert "broker" in result.output


@pytest.mark.parametrize(
    ("error", "exit_code", "lines"),
    [
        (BurnPolicyError([Fault("mine.yaml", "pairs[0]", "no")]), 2, ["mine.yaml: pairs[0]: no"]),
        (SettingsError(["SLAWATCH_A: no", "SLAWATCH_B: no"]), 2, ["SLAWATCH_A: no", "SLAWATCH_B: no"]),
        (LocalKafkaError("Java is missing"), 1, ["Java is missing"]),
    ],
    ids=["wrong burn policy", "wrong settings", "no Kafka"],
)
def test_a_fault_of_the_user_or_the_surroundings_is_told_without_a_traceback(
    monkeypatch, capsys, error, exit_code, lines
):
    def fail() -> None:
        raise error

    monkeypatch.setattr(module, "app", fail)
    with pytest.raises(SystemExit) as exited:
        module.main()

    assert exited.value.code == exit_code
    assert capsys.readouterr().err.splitlines() == lines


def test_a_fault_of_our_own_keeps_its_traceback(monkeypatch):
    def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "app", fail)
    with pytest.raises(ZeroDivisionError):
        module.main()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--set", "no-equals"], "KEY=VALUE"),
        (["--sasl-user", "alice"], "--sasl-password-file"),
        (["--port", "70000"], "65535"),
    ],
)
def test_wrong_options_of_the_broker_end_with_exit_code_2(arguments, told):
    result = CliRunner().invoke(app, ["broker", *arguments])

    assert result.exit_code == 2
    assert told in result.output


def test_help_does_not_import_the_engine():
    """`slawatch --help` answers at once: Faust, aiokafka and numpy are imported by the commands that need them."""
    heavy = "{'faust', 'aiokafka', 'numpy', 'pydantic'}"
    program = f"import sys, cli.main; sys.exit(', '.join({heavy} & sys.modules.keys()) or 0)"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stderr
