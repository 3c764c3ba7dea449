"""``slawatch events schema`` and ``asyncapi``: what others publish and what slawatch tells, for machines."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Kind(StrEnum):
    """Kinds of public records; a test compares them with the schemas."""

    TICKET = "ticket"
    FEEDBACK = "feedback"
    SAMPLE = "sample"
    STATUS = "status"
    SERVICE_FEEDBACK = "service-feedback"
    HEARTBEAT = "heartbeat"
    ADJUSTMENT = "adjustment"
    VERDICT = "verdict"
    ALERT = "alert"
    DEAD_LETTER = "dead-letter"


def schema(
    kind: Annotated[Kind | None, typer.Argument(help="Which record; without it all of them, under $defs.")] = None,
) -> None:
    """Print the JSON Schema (2020-12) of a public record."""
    from streams.event_schemas import bundle, document, text_of

    typer.echo(text_of(bundle() if kind is None else document(kind.value)), nl=False)


def asyncapi() -> None:
    """Print the AsyncAPI (3.0) document of the public topics, named and shaped as the settings in force say."""
    from config.settings import load_settings
    from streams.asyncapi import asyncapi_text

    typer.echo(asyncapi_text(load_settings()), nl=False)
