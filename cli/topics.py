"""``slawatch topics``: the topics slawatch works with, on the cluster of the settings."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer
from rich.table import Column, Table

from cli.console import console as make_console

app = typer.Typer(no_args_is_help=True)


@app.callback()
def topics() -> None:
    """Create, compare and list the topics; list the rights they need."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a command says itself what does not answer


@app.command("apply")
def apply_command() -> None:
    """Create the topics that are missing and set configurations that differ.

    Changes nothing if a topic differs in a way that can't be changed (partition count, replicas).
    """
    from config.settings import load_settings
    from streams.topic_admin import apply
    from streams.topics import Topics

    settings = load_settings()
    applied = asyncio.run(apply(settings))
    catalogue = Topics(settings).all
    table = Table(Column("topic", no_wrap=True), "partitions", "replicas", "done")
    for topic in catalogue:
        if topic.name in applied.created:
            done = "created"
        elif topic.name in applied.changed:
            done = ", ".join(f"{name}={value}" for name, value in applied.changed[topic.name].items())
        else:
            done = "as it should be"
        table.add_row(topic.name, str(topic.partitions), str(topic.replication_factor), done)
    console = make_console()
    console.print(table)
    created, changed = len(applied.created), len(applied.changed)
    unchanged = len(catalogue) - created - changed
    console.print(f"{settings.kafka.bootstrap}: {created} created, {changed} changed, {unchanged} unchanged")


@app.command("check")
def check_command() -> None:
    """Compare the cluster's topics with the settings; exit code 1 with every difference."""
    from config.settings import load_settings
    from streams.topic_admin import differences
    from streams.topics import Topics

    settings = load_settings()
    lines = asyncio.run(differences(settings))
    for line in lines:
        # Not through rich: a difference stays on one line, to be read by scripts.
        print(line)
    if lines:
        raise typer.Exit(1)
    print(f"{settings.kafka.bootstrap}: {len(Topics(settings).all)} topics are as they should be")


@app.command("list")
def list_command() -> None:
    """Print the catalogue of topics under these settings; asks no broker."""
    from config.settings import load_settings
    from streams.topics import Topics

    table = Table(Column("topic", no_wrap=True), "key", "value", "written by", "partitions", "kept")
    for topic in Topics(load_settings()).all:
        kept = "newest per key"
        if topic.configs["cleanup.policy"] == "delete":
            kept = f"{int(topic.configs['retention.ms']) / 86_400_000:g} d"
        table.add_row(topic.name, topic.key, topic.value, topic.writer, str(topic.partitions), kept)
    make_console().print(table)


@app.command("acls")
def acls_command(
    worker: Annotated[str, typer.Option(help="Principal of the workers.")] = "User:slawatch",
    operator: Annotated[
        str, typer.Option(help="Principal that applies topics and contracts.")
    ] = "User:slawatch-operator",
    publisher: Annotated[str, typer.Option(help="Principal of upstream publishers.")] = "User:slawatch-publisher",
) -> None:
    """Print the kafka-acls commands that give workers, operators and publishers their rights; asks no broker.

    The transactional ids <prefix>slawatch-*-state-* are among them: by them the owner of a state partition fences a
    former one, so give them to workers only.
    """
    from config.settings import load_settings
    from streams.topics import acl_commands, acls

    settings = load_settings()
    principals = {"worker": worker, "operator": operator, "publisher": publisher}
    for command in acl_commands(acls(settings), settings.kafka.bootstrap, principals):
        print(command)
