"""What a worker tells over HTTP about the partitions it owns: ``/v1/objectives``, ``/v1/clocks``, ``/v1/alerts``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from agents.alert_processor import AlertProcessor
from agents.app import Application
from agents.objective_processor import ObjectiveProcessor
from agents.ticket_processor import TicketProcessor
from sla.units import format_instant

MOST_ALERTS: Final = 200


class Api:
    """Answers of one worker; a client that wants all asks every worker."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def routes(self) -> Mapping[str, Callable[[Any], Awaitable[Any]]]:
        """Return path to handler."""
        return {"/v1/objectives": self.objectives, "/v1/clocks": self.clocks, "/v1/alerts": self.alerts}

    async def objectives(self, _request: Any) -> list[dict[str, Any]]:
        """Objectives with counts on this worker: attainment and budget of the current window."""
        found = []
        for runner in self._application.objectives.runners.values():
            assert isinstance(runner.processor, ObjectiveProcessor)
            for state in runner.processor.engine.attainments():
                objective = state.target.objective
                assert objective is not None
                found.append(
                    {
                        "objective": objective.id,
                        "contract": state.target.contract,
                        "attain": float(objective.attain),
                        "window": state.window,
                        "window_start": format_instant(state.window_start_ms) if state.watermark_ms else None,
                        "met": state.met,
                        "breached": state.breached,
                        "attained_ratio": state.attained_ratio,
                        "budget_remaining_ratio": state.budget_remaining_ratio,
                        "coverage_ratio": state.coverage_ratio,
                        "watermark": None if state.watermark_ms is None else format_instant(state.watermark_ms),
                    }
                )
        return sorted(found, key=lambda objective: objective["objective"])

    async def clocks(self, _request: Any) -> dict[str, Any]:
        """Open clocks per target on this worker, and the present of its slowest partition."""
        targets: dict[str, dict[str, Any]] = {}
        presents: list[int] = []
        tickets = 0
        for runner in self._application.tickets.runners.values():
            assert isinstance(runner.processor, TicketProcessor)
            engine = runner.processor.engine
            presents.append(engine.now_ms)
            tickets += len(engine)
            contract_of = {target.id: target.contract for target in engine.register.targets}
            for target_id, (is_open, at_risk, breached) in engine.open_counts.items():
                counts = targets.setdefault(
                    target_id,
                    {"contract": contract_of.get(target_id), "open": 0, "at_risk": 0, "breached_open": 0},
                )
                counts["open"] += is_open
                counts["at_risk"] += max(0, at_risk - breached)
                counts["breached_open"] += breached
        return {
            "now": format_instant(min(presents)) if presents and min(presents) > 0 else None,
            "tickets_kept": tickets,
            "targets": dict(sorted(targets.items())),
        }

    async def alerts(self, _request: Any) -> list[dict[str, Any]]:
        """Alerts this worker keeps, at most 200, those that fire first."""
        found: list[dict[str, Any]] = []
        for runner in self._application.alerts.runners.values():
            assert isinstance(runner.processor, AlertProcessor)
            found += runner.processor.book.documents()
        found.sort(key=lambda alert: (alert["state"] != "firing", alert["id"]))
        return found[:MOST_ALERTS]
