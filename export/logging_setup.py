"""Logging of a process: structlog, with the records of the standard library (Faust, aiokafka) in the same form.

One JSON object per line, or coloured lines on a terminal. Values under names that sound like secrets are masked, and
so are credentials in URLs and bearer tokens inside texts: a library may log what we would not.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Mapping
from typing import IO, TextIO

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from config.settings import LogSettings
from export.log_repeats import RepeatFilter

MASK = "**********"

_SECRET_NAME = re.compile(r"passw|secret|token|authorization|api_?key|credential|private_?key", re.IGNORECASE)
_URL_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_BEARER = re.compile(r"(?<=bearer )[^\s'\"]+", re.IGNORECASE)
_ASSIGNED = re.compile(r"""((?:password|passwd|secret|token)["']?\s*[=:]\s*["']?)[^\s"',;)]+""", re.IGNORECASE)
_QUIET = ("aiokafka", "kafka", "faust", "mode", "asyncio", "aiohttp.access")
"""Libraries whose INFO is about themselves: kept at WARNING unless DEBUG is asked for."""


def mask_secrets(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask secrets in an event (a structlog processor)."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: object, value: object) -> object:
    if isinstance(value, SecretStr) or (
        isinstance(name, str) and _SECRET_NAME.search(name) and isinstance(value, str | bytes)
    ):
        return MASK
    match value:
        case str():
            return masked_text(value)
        case Mapping():
            return {key: _masked(key, item) for key, item in value.items()}
        case list() | tuple():
            return [_masked(name, item) for item in value]
        case _:
            return value


def masked_text(text: str) -> str:
    """Mask credentials in URLs, bearer tokens and assigned passwords inside a text."""
    if "://" in text:
        text = _URL_CREDENTIALS.sub(MASK, text)
    text = _BEARER.sub(MASK, text)
    return _ASSIGNED.sub(rf"\g<1>{MASK}", text)


def _write_masked_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)  # plain: the other formats show the values of variables
    out.write(masked_text(text.getvalue()))


class _ProcessHandler(logging.StreamHandler[IO[str]]):
    """The handler of :func:`configure_logging`, told from those of others (of a test, say)."""


def configure_logging(settings: LogSettings, stream: IO[str] | None = None) -> None:
    """Set up logging of the process; calling it again replaces what was set up.

    Parameters
    ----------
    settings : LogSettings
        Level and format.
    stream : text file, optional
        Where to write; standard error by default.
    """
    out = sys.stderr if stream is None else stream
    console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    rendering: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if console:
        # This renderer formats tracebacks itself, after the masking of the event.
        renderer = structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=_write_masked_traceback)
        rendering += [mask_secrets, renderer]
    else:
        rendering += [
            structlog.processors.format_exc_info,
            mask_secrets,
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _ProcessHandler(out)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=rendering))
    if settings.level != "DEBUG":
        handler.addFilter(RepeatFilter(_QUIET))
    root = logging.getLogger()
    for former in [*root.handlers]:
        if isinstance(former, _ProcessHandler):
            root.removeHandler(former)
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.level]
    root.setLevel(level)
    for library in _QUIET:
        logging.getLogger(library).setLevel(level if level in {logging.DEBUG, logging.ERROR} else logging.WARNING)
    logging.captureWarnings(capture=True)
