"""What is promised, as metrics: of each target and objective what it is about, for dashboards and rules to join with.

The register changes a few times a day, so these series are made anew with each view and never between.
"""

from __future__ import annotations

from agents.register_view import RegisterView
from export.metrics import Metrics
from export.series import Gauge
from sla.contract import Period, Target, Window
from sla.register import Register
from sla.units import DAY_MS

_MEAN_DAYS = {Period.WEEK: 7.0, Period.MONTH: 365.2425 / 12, Period.QUARTER: 365.2425 / 4, Period.YEAR: 365.2425}
_DAY_SECONDS = 86_400

_Key = tuple[Gauge, tuple[str, ...]]


class Promises:
    """Keeps the series of the newest register.

    Parameters
    ----------
    metrics : Metrics
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._view: RegisterView | None = None
        self._current: set[_Key] = set()

    def refresh(self, view: RegisterView) -> None:
        """Set the series of a view and drop those of the one before; nothing to do for the same view again."""
        if view is self._view:
            return
        self._view = view
        former, self._current = self._current, set()
        self._targets(view.register)
        self._availabilities(view.register)
        for gauge, values in former - self._current:
            gauge.discard(*values)

    def _targets(self, register: Register) -> None:
        newest: dict[str, Target] = {}
        for target in register.targets:
            known = newest.get(target.id)
            if known is None or known.effective_from_ms <= target.effective_from_ms:
                newest[target.id] = target
        for target in newest.values():
            of, service, team = target.contract_type.value, _service(target), target.team or ""
            labels = (target.contract, target.id, target.metric, of, service, team)
            self._set(self._metrics.target_info, labels, 1)
            if target.objective is not None:
                name = target.objective.id
                info = (target.contract, name, "occurrence", target.id, of, service, team)
                self._set(self._metrics.objective_info, info, 1)
                self._window(target.contract, name, target.objective.window)

    def _availabilities(self, register: Register) -> None:
        # By id, then by time of effect: the last of an id is its newest.
        for promised in {availability.id: availability for availability in register.availabilities}.values():
            info = (promised.contract, promised.id, "availability", "", promised.contract_type.value)
            self._set(self._metrics.objective_info, (*info, promised.service, promised.team or ""), 1)
            self._window(promised.contract, promised.id, promised.window)

    def _window(self, contract: str, objective: str, window: Window) -> None:
        self._set(self._metrics.objective_window_seconds, (contract, objective), window_seconds(window))

    def _set(self, gauge: Gauge, values: tuple[str, ...], value: float) -> None:
        gauge.labels(*values).set(value)
        self._current.add((gauge, values))


def window_seconds(window: Window) -> float:
    """Return the length of a window in seconds; of a calendar period its mean length in the Gregorian calendar."""
    if window.period is not None:
        return _MEAN_DAYS[window.period] * _DAY_SECONDS
    assert window.rolling_ms is not None
    return window.rolling_ms / DAY_MS * _DAY_SECONDS


def _service(target: Target) -> str:
    """Return the one service a target applies to; empty if it is for several or for all."""
    services = dict(target.applies_to).get("service", frozenset())
    return next(iter(services)) if len(services) == 1 else ""
