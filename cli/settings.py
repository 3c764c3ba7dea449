"""``slawatch settings``: the settings in force, secrets masked, and the reference page of all of them."""

from __future__ import annotations

from typing import Annotated

import typer


def settings(
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the reference page of all settings instead; reads nothing.")
    ] = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not at their default.")] = False,
) -> None:
    """Print the settings in force as NAME=VALUE lines, secrets masked; wrong or unknown ones are told, exit code 2.

    A line that starts with # is at its default.
    """
    from config.settings import load_settings
    from config.settings_reference import in_force
    from config.settings_reference import markdown as reference

    if markdown:
        typer.echo(reference(), nl=False)
        return
    for setting, value, differs in in_force(load_settings()):
        if differs:
            typer.echo(f"{setting.name}={value}")
        elif not changed:
            typer.echo(f"# {setting.name}={value}")
