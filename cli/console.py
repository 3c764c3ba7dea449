"""The console tables are printed on."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from rich.console import Console

PIPED_WIDTH: Final = 200
"""Columns where there is no terminal: rich would take 80 and cut cells that a log or a pager has room for."""


def console(*, stderr: bool = False, **options: Any) -> Console:
    """Return a console of the terminal's width; wide where the output is piped, unless ``COLUMNS`` says otherwise.

    Parameters
    ----------
    stderr : bool
        Write to standard error.
    **options
        As :class:`rich.console.Console` takes them.
    """
    stream = sys.stderr if stderr else sys.stdout
    if "width" not in options and not stream.isatty() and not os.environ.get("COLUMNS"):
        options["width"] = PIPED_WIDTH
    return Console(stderr=stderr, **options)
