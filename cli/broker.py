"""``slawatch broker``: a Kafka on this machine, for trying things out."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from cli.console import console as make_console
from streams.local_broker import ScramUser

_WATCH_SECONDS = 0.5


def broker(
    *,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 takes a free one.")] = 9092,
    data: Annotated[
        Path | None,
        typer.Option(file_okay=False, help="Folder that keeps the data; without it they end with the broker."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Broker property; may be given several times."),
    ] = None,
    heap: Annotated[str, typer.Option(help="Java heap, as -Xmx takes it.")] = "1g",
    cpus: Annotated[str | None, typer.Option(help="Processors it may use, as taskset -c takes them, e.g. 0.")] = None,
    sasl_user: Annotated[
        str | None, typer.Option(help="Also listen with SASL_PLAINTEXT (SCRAM-SHA-512) and know this user.")
    ] = None,
    sasl_password_file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="File that holds the user's password.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for Kafka's jars.", show_default="~/.cache/slawatch")
    ] = None,
    docker: Annotated[bool, typer.Option(help="Use a container where a Docker engine answers.")] = True,
) -> None:
    """Run a single-node Kafka here until Ctrl-C. For trying things out, never for production.

    Takes the Kafka of SLAWATCH_KAFKA__BOOTSTRAP when that is set, else a container where a Docker engine answers, else
    Kafka's jars on this machine's Java (17 or newer), fetched once by Maven.
    """
    from config.settings import load_settings
    from streams.broker import obtain_broker
    from streams.kafka_jars import user_cache_dir
    from streams.local_broker import BrokerOptions

    console = make_console(stderr=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    kafka = load_settings().kafka
    options = BrokerOptions(
        port=port,
        data=data,
        properties=_properties(settings or []),
        heap=heap,
        cpus=cpus,
        scram_user=_scram_user(sasl_user, sasl_password_file),
    )
    try:
        with console.status("") as status, _sigterm_ends():
            begun = time.monotonic()

            def say(line: str) -> None:
                status.update(line)
                if not console.is_terminal:
                    console.print(line)

            with obtain_broker(
                options,
                cache_dir=cache or user_cache_dir(os.environ),
                bootstrap=kafka.bootstrap if "SLAWATCH_KAFKA__BOOTSTRAP" in os.environ else None,
                say=say,
                allow_docker=docker,
            ) as running:
                status.stop()
                if running.how == "external":
                    console.print(
                        f"Kafka at {running.bootstrap} answers; nothing was started. "
                        "Unset SLAWATCH_KAFKA__BOOTSTRAP to start one here."
                    )
                    return
                console.print(f"Kafka answers after {time.monotonic() - begun:.1f} s; Ctrl-C ends it.")
                console.print(
                    "Data are kept in " + str(data) if data else "Data are deleted at the end; --data DIR keeps them."
                )
                sasl = getattr(running, "sasl_bootstrap", None) if sasl_user else None
                if sasl:
                    console.print(f"SASL_PLAINTEXT for {sasl_user} at {sasl}")
                # The only line on standard output, so that a script can read it.
                print(f"SLAWATCH_KAFKA__BOOTSTRAP={running.bootstrap}", flush=True)
                while running.wait(_WATCH_SECONDS) is None:
                    pass
                console.print(f"Kafka has ended by itself; its last lines:\n{running.log_tail()}", markup=False)
                raise typer.Exit(1)
    except KeyboardInterrupt:
        console.print("Kafka stopped.")


def _properties(settings: list[str]) -> dict[str, str]:
    properties: dict[str, str] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--set")
        properties[name.strip()] = value.strip()
    return properties


def _scram_user(name: str | None, file: Path | None) -> ScramUser | None:
    if name is None and file is None:
        return None
    if name is None or file is None:
        raise typer.BadParameter("--sasl-user and --sasl-password-file belong together")
    password = file.read_text(encoding="utf-8").strip()
    if not password:
        raise typer.BadParameter(f"{file} is empty", param_hint="--sasl-password-file")
    return ScramUser(name, password)


@contextmanager
def _sigterm_ends() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C: what was started is stopped in order."""

    def end(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
