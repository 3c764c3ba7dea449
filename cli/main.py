"""The console script ``slawatch``: only puts the commands together.

To add a command: write ``cli/<name>.py`` and add one line below. A command's module imports at its top what its
signature needs; pydantic, Faust, aiokafka and the like are imported inside the function, so that ``slawatch --help``
stays quick.
"""

from __future__ import annotations

import sys

import typer

from cli import (
    adjust,
    backtest,
    broker,
    calendar,
    contracts,
    contracts_apply,
    contracts_feasible,
    contracts_history,
    contracts_plan,
    contracts_show,
    contracts_terminate,
    dead_letters,
    demo,
    events,
    events_map,
    events_probe,
    events_receive,
    events_schema,
    explain,
    report,
    settings,
    state,
    topics,
    verdicts,
    worker,
)

app = typer.Typer(
    name="slawatch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()  # without one Typer drops the name of an only command
def root() -> None:
    """Streaming SLA monitor on Kafka: warns before a promise is broken."""


# One line a command. A function: app.command("name")(module.function); a group: app.add_typer(module.app, name="name").
app.command("backtest")(backtest.backtest)
app.command("broker")(broker.broker)
app.command("demo")(demo.demo)
contracts.app.command("apply")(contracts_apply.apply)
contracts.app.command("plan")(contracts_plan.plan)
contracts.app.command("feasible")(contracts_feasible.feasible)
contracts.app.command("show")(contracts_show.show)
contracts.app.command("history")(contracts_history.history)
contracts.app.command("terminate")(contracts_terminate.terminate)
app.add_typer(contracts.app, name="contracts")
app.add_typer(calendar.app, name="calendar")
app.add_typer(adjust.app, name="adjust")
app.command("worker")(worker.worker)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
events.app.command("schema")(events_schema.schema)
events.app.command("asyncapi")(events_schema.asyncapi)
events.app.command("map")(events_map.map_files)
events.app.command("check")(events_map.check)
events.app.command("probe")(events_probe.probe)
events.app.command("receive")(events_receive.receive)
app.add_typer(events.app, name="events")
app.command("explain")(explain.explain)
app.command("report")(report.report)
app.command("verdicts")(verdicts.verdicts)
app.add_typer(state.app, name="state")
app.command("settings")(settings.settings)


def main() -> None:
    """Run the command line; exit code 0: fine, 1: failed, 2: wrong input."""
    try:
        app()
    except Exception as error:
        reported = _what_the_user_is_told(error)
        if reported is None:
            raise  # our own fault: with its traceback
        exit_code, lines = reported
        for line in lines:
            print(line, file=sys.stderr)
        sys.exit(exit_code)


def _what_the_user_is_told(error: Exception) -> tuple[int, list[str]] | None:
    """Return exit code and lines for a fault that is the user's or the surroundings'; None for one of our own."""
    from cli.player import DeliveryError
    from config.burn_policy import BurnPolicyError
    from config.mapping_model import MappingError
    from config.settings import SettingsError
    from export.alertmanager import AlertmanagerConfigError
    from export.web import WebConfigError
    from sources.faults import SourceError
    from streams.connection import KafkaFault
    from streams.dead_letters import DeadLetterError
    from streams.kafka_jars import LocalKafkaError

    match error:
        case MappingError() | BurnPolicyError():
            return 2, [str(fault) for fault in error.faults]
        case SettingsError():
            return 2, error.faults
        case SourceError() | AlertmanagerConfigError() | WebConfigError():
            return 2, str(error).splitlines()
        case LocalKafkaError() | KafkaFault() | DeadLetterError() | DeliveryError():
            return 1, str(error).splitlines()
        case _:
            return None


if __name__ == "__main__":
    main()
