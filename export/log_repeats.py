"""What libraries repeat is told once in a while: a broker that is away makes its clients log 200 lines a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from typing_extensions import override

QUIET_SECONDS = 30.0
"""How long a message that has been written is not written again."""

_MOST_MESSAGES = 1_000
"""Messages remembered; libraries have fewer, unless they put changing text into them."""


class RepeatFilter(logging.Filter):
    """Passes each message of some libraries once in ``quiet_seconds``, with the number that was left out.

    What makes messages the same is logger, level and the text before its arguments are put in. Records of other loggers
    all pass, as do critical ones and those with a traceback.

    Parameters
    ----------
    libraries : collection of str
        Names of the loggers it is about, their children included.
    quiet_seconds : float
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        libraries: Collection[str],
        quiet_seconds: float = QUIET_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._libraries = tuple(libraries)
        self._children = tuple(f"{name}." for name in libraries)
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._written: dict[tuple[str, int, str], list[float]] = {}
        """Message to the instant it was written and the number left out since."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is written; one that is says how many before it were not."""
        if record.exc_info or record.levelno >= logging.CRITICAL or not self._is_of_library(record.name):
            return True
        message = str(record.msg)
        key = (record.name, record.levelno, message)
        now = self._clock()
        written = self._written.get(key)
        if written is not None and now - written[0] < self._quiet_seconds:
            written[1] += 1
            return False
        if len(self._written) >= _MOST_MESSAGES:
            self._written.clear()
        self._written[key] = [now, 0]
        if written is not None and written[1]:
            # No percent sign: the arguments are put in later.
            record.msg = f"{message} (and {written[1]:.0f} more in {now - written[0]:.0f} s)"
        return True

    def _is_of_library(self, name: str) -> bool:
        return name in self._libraries or name.startswith(self._children)
