"""Client of Alertmanager's API v2: every alert to every peer.

Alertmanagers of a cluster share notifications and silences but not alerts, so each alert goes to each of them, never
through a load balancer. A push has succeeded when one peer took it; the next resend reaches the others. Faults are
values in the report, for the caller to try again: a push never raises because of a peer.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
import msgspec
import structlog
from yarl import URL

from config.settings import AlertmanagerSettings
from export.catalogue import PushResult
from export.metrics import Metrics
from export.pushed_alert import PushedAlert

BATCH_ALERTS = 500
"""Most alerts of one POST."""

LARGEST_DECISION_AGE_SECONDS = 10.0
"""Older decisions are not sent: a process that was frozen must not repeat what its successor has changed."""

_PROBE_TIMEOUT_SECONDS = 1.0
"""Patience with a peer that timed out before, while another one answers: pages must not wait for a hung peer."""

_FAULT_OF_AN_ALERT = frozenset({400, 413, 422})
"""Answers that are about the content: the batch is split until the alert at fault stands alone."""

_ANSWER_CHARACTERS = 500

_log = structlog.get_logger(__name__)


class AlertmanagerConfigError(ValueError):
    """Settings of the client that can't work; the message lists all faults, one line each."""


@dataclass(frozen=True, slots=True)
class PeerReport:
    """What one peer did with the alerts of a push.

    Attributes
    ----------
    url : str
        Base URL, without credentials.
    results : tuple of PushResult
        One for each alert, in order.
    error : str or None
        Why the peer did not answer, or what it answered to everything.
    faults : mapping of int to str
        What the peer says about alerts it refused, by their place.
    """

    url: str
    results: tuple[PushResult, ...]
    error: str | None = None
    faults: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushReport:
    """What became of a push.

    Attributes
    ----------
    results : tuple of PushResult
        One for each alert, in order: accepted by any peer; else refused by those that answered; else failed.
    peers : tuple of PeerReport
        One for each peer, in the order of the settings.
    """

    results: tuple[PushResult, ...]
    peers: tuple[PeerReport, ...]

    def places(self, result: PushResult) -> list[int]:
        """Return the places of the alerts with this result."""
        return [place for place, found in enumerate(self.results) if found is result]

    @property
    def succeeded(self) -> bool:
        """Whether at least one peer took every alert."""
        return all(result is PushResult.ACCEPTED for result in self.results)


class _Peer:
    """One Alertmanager and what is known about it."""

    def __init__(self, base: URL) -> None:
        self.endpoint = base / "api/v2/alerts"
        self.has_credentials = base.user is not None
        self.url = str(base.with_user(None)).rstrip("/")
        self.timed_out = False
        self.skip_until_seconds = 0.0


def steady_seconds() -> float:
    """Return a clock that never goes back and, where the system has one, goes on while the machine is suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _always() -> bool:
    return True


class AlertmanagerClient:
    """Pushes alerts to all peers; one push at a time.

    Parameters
    ----------
    settings : AlertmanagerSettings
        Peers, token, certificate authorities, timeout. Without peers every push succeeds and does nothing.
    metrics : Metrics, optional
        Where pushes are counted.
    clock : callable
        Seconds of a clock that never goes back, the one ``decided_at_seconds`` is read from.

    Raises
    ------
    AlertmanagerConfigError
        If a URL or the file of certificate authorities can't be used.
    """

    def __init__(
        self,
        settings: AlertmanagerSettings,
        *,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._pushing = asyncio.Lock()
        faults: list[str] = []
        self._peers = [_Peer(base) for text in settings.urls if (base := _base_url(text, faults)) is not None]
        self._ssl = _ssl_context(settings, faults)
        if faults:
            raise AlertmanagerConfigError("\n".join(faults))

    @property
    def urls(self) -> tuple[str, ...]:
        """Base URLs of the peers, without credentials."""
        return tuple(peer.url for peer in self._peers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def push(
        self,
        alerts: Sequence[PushedAlert],
        *,
        decided_at_seconds: float | None = None,
        still_owner: Callable[[], bool] = _always,
    ) -> PushReport:
        """Send alerts to every peer.

        Parameters
        ----------
        alerts : sequence of PushedAlert
            What to send; sent in batches of at most ``BATCH_ALERTS``.
        decided_at_seconds : float, optional
            When the alerts were found to be due, by the client's clock; by default now.
        still_owner : callable
            Asked right before each POST. When it says no, or the decision is older than
            ``LARGEST_DECISION_AGE_SECONDS``, the rest is dropped: Alertmanager can't fence a former owner.

        Returns
        -------
        PushReport
            The result of each alert, and each peer's side of it.
        """
        if not alerts or not self._peers:
            return PushReport((PushResult.ACCEPTED,) * len(alerts), ())
        decided = self._clock() if decided_at_seconds is None else decided_at_seconds

        def may_send() -> bool:
            return self._clock() - decided <= LARGEST_DECISION_AGE_SECONDS and still_owner()

        async with self._pushing:
            started = time.perf_counter()
            reports = await self._push_to_all([msgspec.json.encode(alert.document()) for alert in alerts], may_send)
            seconds = time.perf_counter() - started
        report = PushReport(
            tuple(_best(results) for results in zip(*(r.results for r in reports), strict=True)), reports
        )
        self._note(report, seconds)
        return report

    async def _push_to_all(self, documents: list[bytes], may_send: Callable[[], bool]) -> tuple[PeerReport, ...]:
        try:
            token = self._settings.bearer_token()  # read each time: mounted tokens are renewed under way
        except OSError as error:
            fault = f"the file of the bearer token can't be read: {error.strerror}"
            return tuple(_failed(peer, documents, fault) for peer in self._peers)
        now = self._clock()
        somebody_answers = not all(peer.timed_out for peer in self._peers)

        async def push_to(peer: _Peer) -> PeerReport:
            patience = self._settings.timeout_seconds
            if peer.timed_out and somebody_answers:
                if now < peer.skip_until_seconds:
                    return _failed(peer, documents, "skipped: it timed out a moment ago")
                patience = min(patience, _PROBE_TIMEOUT_SECONDS)
            return await self._push_to_one(peer, documents, may_send, token, patience)

        return tuple(await asyncio.gather(*(push_to(peer) for peer in self._peers)))

    async def _push_to_one(
        self, peer: _Peer, documents: list[bytes], may_send: Callable[[], bool], token: str | None, patience: float
    ) -> PeerReport:
        results = [PushResult.FAILED] * len(documents)
        faults: dict[int, str] = {}
        error: str | None = None
        ranges = deque(
            (start, min(start + BATCH_ALERTS, len(documents))) for start in range(0, len(documents), BATCH_ALERTS)
        )
        while ranges:
            start, stop = ranges.popleft()
            body = b"[" + b",".join(documents[start:stop]) + b"]"
            if not may_send():
                for first, last in ((start, stop), *ranges):
                    results[first:last] = [PushResult.DROPPED] * (last - first)
                error = "dropped: the decision is too old, or the alerts may have another owner"
                break
            try:
                status, answer = await self._post(peer, body, token, patience)
            except (aiohttp.ClientError, OSError) as fault:
                self._note_fault(peer, fault)
                error = _describe(fault, patience)
                break
            peer.timed_out = False
            if 200 <= status < 300:
                results[start:stop] = [PushResult.ACCEPTED] * (stop - start)
            elif status not in _FAULT_OF_AN_ALERT:
                error = f"HTTP {status}: {answer}"
                break
            elif stop - start == 1:
                results[start] = PushResult.REJECTED
                faults[start] = f"HTTP {status}: {answer}"
            else:
                # The good alerts of a refused batch were taken, but the answer doesn't say which those are; taking
                # them again is harmless.
                middle = (start + stop) // 2
                ranges.extendleft(((middle, stop), (start, middle)))
        return PeerReport(peer.url, tuple(results), error, faults)

    async def _post(self, peer: _Peer, body: bytes, token: str | None, patience: float) -> tuple[int, str]:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._ssl))
        headers = {"Content-Type": "application/json"}
        if token and not peer.has_credentials:
            headers["Authorization"] = f"Bearer {token}"
        async with self._session.post(
            peer.endpoint,
            data=body,
            headers=headers,
            allow_redirects=False,  # a POST that is redirected arrives as a GET
            timeout=aiohttp.ClientTimeout(total=patience),
        ) as response:
            answer = await response.content.read(_ANSWER_CHARACTERS)
            return response.status, " ".join(answer.decode(errors="replace").split())

    def _note_fault(self, peer: _Peer, fault: BaseException) -> None:
        # Only a timeout makes others wait; a refused connection costs nothing and is tried every time.
        peer.timed_out = isinstance(fault, TimeoutError)
        peer.skip_until_seconds = self._clock() + self._settings.resend_seconds / 2

    def _note(self, report: PushReport, seconds: float) -> None:
        for peer in report.peers:
            if peer.error is not None or peer.faults:
                _log.warning(
                    "alert_push_incomplete",
                    alertmanager=peer.url,
                    error=peer.error,
                    refused=len(peer.faults),
                    first_fault=next(iter(peer.faults.values()), None),
                    alerts=len(peer.results),
                )
        if self._metrics is None:
            return
        self._metrics.alert_push_duration_seconds.observe(seconds)
        for result in PushResult:
            self._metrics.alerts_pushed_total.labels(result=result).inc(len(report.places(result)))
        for peer in report.peers:
            if PushResult.DROPPED not in peer.results:
                self._metrics.alertmanager_up.labels(url=peer.url).set(peer.error is None)


def _base_url(text: str, faults: list[str]) -> URL | None:
    try:
        url = URL(text)
    except ValueError as error:
        faults.append(f"alertmanager.urls: {error}")
        return None
    if url.scheme not in {"http", "https"} or not url.host:
        shown = url.with_user(None) if url.host else text
        faults.append(f"alertmanager.urls: {str(shown)!r} is no base URL such as http://alertmanager:9093")
        return None
    if url.path.endswith("/api/v2/alerts"):
        faults.append(f"alertmanager.urls: {str(url.with_user(None))!r} must end before /api/v2/alerts")
        return None
    return url


def _ssl_context(settings: AlertmanagerSettings, faults: list[str]) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # SSLError is one of them
        faults.append(f"alertmanager.ca_file: {settings.ca_file} can't be used: {error}")
        return True


def _failed(peer: _Peer, documents: Sequence[bytes], error: str) -> PeerReport:
    return PeerReport(peer.url, (PushResult.FAILED,) * len(documents), error)


def _describe(fault: BaseException, patience: float) -> str:
    if isinstance(fault, TimeoutError):
        return f"no answer within {patience:g} s"
    return str(fault) or type(fault).__name__


def _best(results: Sequence[PushResult]) -> PushResult:
    """Return the result of one alert from those of the peers."""
    for result in (PushResult.ACCEPTED, PushResult.REJECTED, PushResult.FAILED):
        if result in results:
            return result
    return PushResult.DROPPED
