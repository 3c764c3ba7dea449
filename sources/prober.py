"""Looks at services over HTTP and TCP, or asks a blackbox_exporter to, and says what it saw as uptime samples.

A check has three outcomes: it went well, the service failed, or the probe itself failed (no network, no file
descriptors, a frozen process). The last one is not the service's: no sample is made of it.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from aiohttp import ClientConnectorDNSError, ClientError, ClientOSError, ClientSession, ClientTimeout
from yarl import URL

from sla.units import format_instant

_OWN_ERRNOS: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.ENETDOWN, errno.ENETUNREACH}
)
"""Errors of the machine that probes."""

_FROZEN_SECONDS: Final = 1.0
"""A check that took so much longer than its timeout says that this process did not run."""

_METRIC: Final = re.compile(r"^(probe_success|probe_duration_seconds)(?:\{[^}]*\})?\s+(\S+)", re.MULTILINE)
_SCHEMES: Final = ("http", "https", "tcp")


class TargetError(ValueError):
    """A target that can't be probed; the message says how to write it."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """What to look at.

    Attributes
    ----------
    service : str
        Service id of the samples.
    url : str
        ``http://``, ``https://`` or ``tcp://host:port``.
    """

    service: str
    url: str


@dataclass(frozen=True, slots=True)
class Look:
    """Outcome of one check.

    Attributes
    ----------
    at_ms : int
        When it began, UTC epoch ms.
    ok : bool or None
        None: the probe itself failed.
    latency_ms : float
    detail : str
        For people: status code, or what went wrong.
    """

    target: ProbeTarget
    at_ms: int
    ok: bool | None
    latency_ms: float
    detail: str

    def sample(self, probe: str) -> bytes | None:
        """Return the uptime event, or None if the probe itself failed."""
        if self.ok is None:
            return None
        return msgspec.json.encode(
            {
                "version": 1,
                "type": "sample",
                "id": f"{probe}|{self.target.url}|{self.at_ms}",
                "service": self.target.service,
                "at": format_instant(self.at_ms),
                "probe": probe,
                "ok": self.ok,
                "latency_ms": round(self.latency_ms, 3),
            }
        )


@dataclass(frozen=True, slots=True)
class Blackbox:
    """A blackbox_exporter that makes the checks.

    Attributes
    ----------
    url : str
        Base URL.
    module : str
        One of its modules.
    """

    url: str
    module: str


@dataclass(frozen=True, slots=True)
class Checks:
    """How to look.

    Attributes
    ----------
    timeout_seconds : float
    good_statuses : range
        HTTP status codes that are good.
    blackbox : Blackbox or None
        Who looks; None: this process.
    """

    timeout_seconds: float = 5.0
    good_statuses: range = range(200, 400)
    blackbox: Blackbox | None = None


def parse_target(text: str) -> ProbeTarget:
    """Parse ``SERVICE=URL``, or a URL whose host is the service id.

    Raises
    ------
    TargetError
        If it is neither.
    """
    service, equals, url = text.partition("=")
    if not equals or "://" in service:
        service, url = "", text
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetError(f"{text!r} is no URL: {error}") from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise TargetError(f"{text!r}: write https://host/path, tcp://host:port, or SERVICE=URL")
    if parts.scheme == "tcp" and port is None:
        raise TargetError(f"{text!r}: tcp needs a port: tcp://{parts.hostname}:443")
    if "@" in parts.netloc:
        raise TargetError(f"{parts.hostname}: no user and password in a URL: it is told in samples")
    return ProbeTarget(service or parts.hostname, url)


async def look(session: ClientSession, target: ProbeTarget, checks: Checks, now_ms: Callable[[], int]) -> Look:
    """Make one check. Never raises but for cancellation.

    Parameters
    ----------
    now_ms : callable
        The wall clock.
    """
    at_ms, started = now_ms(), time.perf_counter()
    ok: bool | None
    try:
        async with asyncio.timeout(checks.timeout_seconds):
            if checks.blackbox is not None:
                return await _via_blackbox(session, target, checks.blackbox, at_ms)
            parts = urlsplit(target.url)
            if parts.scheme == "tcp":
                await _connect(parts)
                ok, detail = True, "connected"
            else:
                ok, detail = await _request(session, target.url, checks)
    except (ClientError, OSError, TimeoutError, ValueError) as error:
        ok, detail = None if _is_own(error) or checks.blackbox is not None else False, _told(error, checks)
    seconds = time.perf_counter() - started
    if seconds > checks.timeout_seconds + _FROZEN_SECONDS:
        ok, detail = None, f"this process stood still for {seconds - checks.timeout_seconds:.1f} s"
    return Look(target, at_ms, ok, seconds * 1000, detail)


async def _request(session: ClientSession, url: str, checks: Checks) -> tuple[bool, str]:
    async with session.get(url, timeout=ClientTimeout(total=None)) as response:
        await response.read()
        return response.status in checks.good_statuses, f"status {response.status}"


async def _connect(parts: SplitResult) -> None:
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.close()


async def _via_blackbox(session: ClientSession, target: ProbeTarget, blackbox: Blackbox, at_ms: int) -> Look:
    url = URL(blackbox.url.rstrip("/") + "/probe").with_query(target=target.url, module=blackbox.module)
    async with session.get(url, timeout=ClientTimeout(total=None)) as response:
        text = await response.text()
        status = response.status
    ok, seconds, detail = read_blackbox(text)
    if status != 200:
        ok, detail = None, f"blackbox_exporter answered with status {status}"
    return Look(target, at_ms, ok, seconds * 1000, detail)


def read_blackbox(text: str) -> tuple[bool | None, float, str]:
    """Read a result of blackbox_exporter: (ok or None if it tells none, seconds, detail for people)."""
    found = {match[1]: match[2] for match in _METRIC.finditer(text)}
    try:
        success = float(found["probe_success"])
        seconds = max(0.0, float(found.get("probe_duration_seconds", "0")))
    except (KeyError, ValueError):
        return None, 0.0, "blackbox_exporter told no probe_success"
    return success == 1, seconds, f"probe_success {success:g}"


def _is_own(error: BaseException) -> bool:
    """Tell whether an error is the probing machine's, not the service's."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            # "Try again" is the resolver that does not answer; a name that is not there is not there for users either.
            return cause.errno == socket.EAI_AGAIN
        if isinstance(cause, OSError) and cause.errno in _OWN_ERRNOS:
            return True
        if isinstance(cause, ClientConnectorDNSError) and isinstance(cause.os_error, socket.gaierror):
            return cause.os_error.errno == socket.EAI_AGAIN
        if isinstance(cause, ClientOSError) and getattr(cause, "os_error", None) is not None:
            os_error = cause.os_error  # type: ignore[attr-defined]
            if os_error.errno in _OWN_ERRNOS:
                return True
        cause = cause.__cause__
    return False


def _told(error: BaseException, checks: Checks) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {checks.timeout_seconds:g} s"
    return f"{type(error).__name__}: {error}"[:200]
