"""``slawatch worker``: one process that watches its share of the partitions."""

from __future__ import annotations

from typing import Annotated

import typer


def worker(
    accept_loss: Annotated[
        list[str] | None,
        typer.Option(help="TOPIC/PARTITION whose lost records are accepted; the worker's own message names it."),
    ] = None,
) -> None:
    """Run a worker until it is stopped. Settings come from the environment (SLAWATCH_...)."""
    import asyncio

    import uvloop

    from agents.worker import run_worker
    from config.settings import load_settings
    from export.logging_setup import configure_logging

    settings = load_settings()
    configure_logging(settings.log)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(run_worker(settings, frozenset(_topic_partition(text) for text in accept_loss or ())))
    raise typer.Exit(code)


def _topic_partition(text: str) -> tuple[str, int]:
    topic, slash, partition = text.rpartition("/")
    if not slash or not partition.isdigit():
        raise typer.BadParameter(f"{text!r} is not TOPIC/PARTITION, such as sla.tickets/3")
    return topic, int(partition)
