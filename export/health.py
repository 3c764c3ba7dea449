"""Health of a worker: named checks, what counts as alive and what as ready, and how late the event loop is.

*Live* means that a restart would not help; a worker that is restoring or that can't reach Kafka is alive. *Ready*
means that it does its work: every check passes. Checks are plain functions that look at what the worker knows anyway;
they do no I/O, so a probe is cheap and can't hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from export.metrics import Metrics


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Outcome of one check; ``detail`` says in prose what was found."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Outcome of all checks of a kind."""

    checks: dict[str, CheckResult]

    @property
    def ok(self) -> bool:
        """Whether every check passes."""
        return all(check.ok for check in self.checks.values())

    def document(self) -> dict[str, object]:
        """Return the JSON document of ``/health/*``."""
        return {
            "status": "ok" if self.ok else "failing",
            "reasons": [f"{name}: {check.detail}" for name, check in self.checks.items() if not check.ok],
            "checks": {name: {"ok": check.ok, "detail": check.detail} for name, check in self.checks.items()},
        }


Check = Callable[[], CheckResult]


class Health:
    """The checks of a process.

    Parameters
    ----------
    metrics : Metrics, optional
        Where ``slawatch_ready`` and ``slawatch_health_check_ok`` are kept; they follow at each exposition.
    """

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self._checks: dict[str, tuple[Check, bool]] = {}
        if metrics is not None:
            metrics.before_exposition(self._export)

    def add(self, name: str, check: Check, *, live: bool = False) -> None:
        """Add a check.

        Parameters
        ----------
        name : str
            Short word, shown to people and used as a label.
        check : callable
            Looks at what is known; must be quick and do no I/O. An exception counts as a failure.
        live : bool
            Whether its failure means the process should be restarted. All checks count for readiness.

        Raises
        ------
        ValueError
            If there is a check of this name.
        """
        if name in self._checks:
            raise ValueError(f"there is a health check {name!r} already")
        self._checks[name] = (check, live)

    def remove(self, name: str) -> None:
        """Remove a check, if it is there."""
        self._checks.pop(name, None)
        if self._metrics is not None:
            self._metrics.health_check_ok.remove(check=name)

    def live(self) -> HealthReport:
        """Run the checks that tell whether a restart would help."""
        return HealthReport({name: _run(check) for name, (check, live) in self._checks.items() if live})

    def ready(self) -> HealthReport:
        """Run all checks."""
        return HealthReport({name: _run(check) for name, (check, _) in self._checks.items()})

    def _export(self) -> None:
        if self._metrics is None:
            return
        report = self.ready()
        self._metrics.ready.set(report.ok)
        for name, check in report.checks.items():
            self._metrics.health_check_ok.labels(check=name).set(check.ok)


def _run(check: Check) -> CheckResult:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - a check that can't tell is a check that fails
        return CheckResult(ok=False, detail=f"the check itself failed: {type(error).__name__}: {error}")


class EventLoopProbe:
    """Measures how late the event loop wakes up: what heartbeats and fetches of the worker suffer.

    Parameters
    ----------
    interval_seconds : float
        How often it is measured.
    window_seconds : float
        The longest lag of this last stretch is told.
    limit_seconds : float
        Lag from which :meth:`check` fails.
    metrics : Metrics, optional
        Where ``slawatch_event_loop_lag_seconds`` is kept.
    """

    def __init__(
        self,
        *,
        interval_seconds: float = 0.5,
        window_seconds: float = 30.0,
        limit_seconds: float = 5.0,
        metrics: Metrics | None = None,
    ) -> None:
        self._interval_seconds = interval_seconds
        self._limit_seconds = limit_seconds
        self._lags: deque[float] = deque(maxlen=max(1, round(window_seconds / interval_seconds)))
        self._metrics = metrics
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start to measure, in the running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._measure(), name="event-loop-probe")

    async def stop(self) -> None:
        """Stop to measure."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def lag_seconds(self) -> float:
        """Return the longest lag of the window; 0 before the first measurement."""
        return max(self._lags, default=0.0)

    def check(self) -> CheckResult:
        """Health check: the event loop is not late by more than the limit."""
        lag = self.lag_seconds()
        return CheckResult(
            ok=lag <= self._limit_seconds, detail=f"late by {lag:.3f} s at most, limit {self._limit_seconds:g} s"
        )

    async def _measure(self) -> None:
        while True:
            started = time.monotonic()
            await asyncio.sleep(self._interval_seconds)
            self._lags.append(max(0.0, time.monotonic() - started - self._interval_seconds))
            if self._metrics is not None:
                self._metrics.event_loop_lag_seconds.set(self.lag_seconds())
