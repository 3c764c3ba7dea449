"""A worker that freezes itself (SIGSTOP) at one exact place: ``freezing_worker.py outputs|state-write FILE``.

``outputs``: a step's state is acknowledged, and its outputs, verdicts among them, are about to be sent.
``state-write``: a step of the tickets is computed and about to be written.

It freezes once, the first time it comes there and FILE exists, and does from then on what every worker does. The place
can't be met from outside.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from cli.worker import worker
from streams.ownership import Owner
from streams.sender import OutputSender
from streams.state_rows import POSITION_KEY
from streams.topics import TICKETS_STATE, VERDICTS


class _Freeze:
    def __init__(self, file: Path) -> None:
        self._file: Path | None = file

    def here(self) -> None:
        if self._file is not None and self._file.exists():
            self._file = None
            # To this very thread: it does not get one instruction further.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def freeze_before_outputs(freeze: _Freeze) -> None:
    send: Callable[..., Any] = OutputSender.send

    def freezing(self: OutputSender, outputs: Any) -> Any:
        outputs = list(outputs)
        if any(output.topic.endswith(VERDICTS) for output in outputs):
            freeze.here()
        return send(self, outputs)

    OutputSender.send = freezing  # type: ignore[method-assign]


def freeze_before_state_write(freeze: _Freeze) -> None:
    write: Callable[..., Any] = Owner.write

    async def freezing(self: Owner, rows: Any) -> Any:
        if self.topic.endswith(TICKETS_STATE) and POSITION_KEY in rows:
            freeze.here()
        return await write(self, rows)

    Owner.write = freezing  # type: ignore[method-assign]


if __name__ == "__main__":
    place, freeze = sys.argv[1], _Freeze(Path(sys.argv[2]))
    {"outputs": freeze_before_outputs, "state-write": freeze_before_state_write}[place](freeze)
    try:
        worker()
    except typer.Exit as end:
        sys.exit(end.exit_code)
