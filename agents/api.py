"""What a worker tells over HTTP: about the partitions it owns, about its register, and about any ticket.

A ticket's clocks are explained by the worker that owns its partition; any other one passes the question on to it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web

from agents.alert_processor import AlertProcessor
from agents.app import Application
from agents.objective_processor import ObjectiveProcessor
from agents.openapi import openapi_document
from agents.peers import FORWARDED, PeerError, Peers
from agents.ticket_processor import TicketProcessor
from config.settings import EngineSettings
from sla.contract import Contract, Target
from sla.duration import format_within
from sla.errors import UnitError
from sla.explanation import explain
from sla.units import NEVER, format_instant, parse_instant
from streams.codecs import partition_of
from streams.topics import TICKETS

MOST_ALERTS: Final = 200


class Api:
    """Answers of one worker. Of objectives, clocks and alerts a client that wants all asks every worker.

    Parameters
    ----------
    application : Application
    engine : EngineSettings, optional
    peers : Peers, optional
        The other workers; without them only tickets of this one are known.
    """

    def __init__(
        self, application: Application, engine: EngineSettings | None = None, peers: Peers | None = None
    ) -> None:
        self._application = application
        self._settle_ms = int((engine or EngineSettings()).settle_seconds * 1000)
        self._peers = peers

    def routes(self) -> Mapping[str, Callable[[Any], Awaitable[Any]]]:
        """Return path to handler."""
        return {
            "/v1/objectives": self.objectives,
            "/v1/clocks": self.clocks,
            "/v1/alerts": self.alerts,
            "/v1/contracts": self.contracts,
            "/v1/tickets/{ticket:.+}": self.ticket,
            "/v1/openapi.json": self.openapi,
        }

    async def objectives(self, _request: Any) -> list[dict[str, Any]]:
        """Objectives with counts on this worker: attainment and budget of the current window."""
        found = []
        for runner in self._application.objectives.runners.values():
            assert isinstance(runner.processor, ObjectiveProcessor)
            for state in runner.processor.engine.attainments():
                promise, budget = state.promise, state.budget
                minutes = budget.remaining_minutes
                found.append(
                    {
                        "objective": promise.id,
                        "contract": promise.contract,
                        "attain": float(promise.attain),
                        "window": state.window,
                        "window_start": format_instant(state.window_start_ms) if state.watermark_ms else None,
                        "met": state.met,
                        "breached": state.breached,
                        "attained_ratio": state.attained_ratio,
                        "budget_remaining_ratio": state.budget_remaining_ratio,
                        "budget_remaining_events": float(budget.remaining_events),
                        "budget_remaining_minutes": None if minutes is None else float(minutes),
                        "budget_is_estimated": budget.is_estimated,
                        "burn_rates": state.burn_rates,
                        "burning": sorted(severity.value for severity in state.burning),
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
                counts["at_risk"] += at_risk
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

    async def contracts(self, _request: Any) -> list[dict[str, Any]]:
        """Signed contracts of the register with the targets of all their revisions; the same on every worker."""
        view = self._application.register.view
        contracts = [] if view is None else view.register.contracts.values()
        return [_contract_document(contract) for contract in sorted(contracts, key=lambda contract: contract.id)]

    async def ticket(self, request: web.Request) -> dict[str, Any]:
        """Explain the clocks of a ticket, from here or from the worker that owns it."""
        ticket_id = request.match_info["ticket"]
        topic = self._application.topics[TICKETS]
        partition = partition_of(ticket_id.encode(), topic.partitions)
        runner = self._application.tickets.runners.get(partition)
        if runner is None:
            return await self._from_owner(request, self._application.topics.name(TICKETS), partition)
        assert isinstance(runner.processor, TicketProcessor)
        engine = runner.processor.engine
        ticket = engine.ticket(ticket_id)
        if ticket is None:
            raise web.HTTPNotFound(text=f"no ticket {ticket_id!r} is kept (partition {partition})")
        at_ms = _instant_of(request.query.get("at"), engine.now_ms)
        return explain(ticket_id, ticket.history, engine.register, at_ms, self._settle_ms).document()

    async def openapi(self, _request: Any) -> dict[str, Any]:
        """Describe these routes as OpenAPI 3.1."""
        return openapi_document()

    async def _from_owner(self, request: web.Request, topic: str, partition: int) -> dict[str, Any]:
        """Pass a question on to the owner of a partition, once: owners may have changed on the way."""
        address = None
        if self._peers is not None and FORWARDED not in request.headers:
            address = self._peers.owner_of(topic, partition)
        if self._peers is None or address is None:
            raise web.HTTPServiceUnavailable(
                text=f"partition {partition} of {topic} is not on this worker, and its owner is not known now"
            )
        try:
            status, body = await self._peers.ask(address, request.raw_path)
        except PeerError as error:
            raise web.HTTPServiceUnavailable(
                text=f"the owner of partition {partition} does not answer: {error}"
            ) from error
        try:
            document: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise web.HTTPBadGateway(text=f"{address} answered {status} and no JSON") from error
        if status == web.HTTPOk.status_code:
            return document
        text = str(document.get("error", f"{address} answered {status}"))
        for kind in (web.HTTPNotFound, web.HTTPBadRequest, web.HTTPServiceUnavailable):
            if status == kind.status_code:
                raise kind(text=text)
        raise web.HTTPBadGateway(text=text)


def _instant_of(text: str | None, now_ms: int) -> int:
    if text is None:
        return now_ms
    try:
        at_ms = parse_instant(text)
    except UnitError as error:
        raise web.HTTPBadRequest(text=f"at: {error}") from error
    if at_ms > now_ms:
        raise web.HTTPBadRequest(text=f"at: it is {format_instant(now_ms)}, later is not known")
    return at_ms


def _contract_document(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "type": contract.type.value,
        "level": contract.level.value,
        "provider": contract.provider,
        "owner": contract.owner,
        "supports": list(contract.supports),
        "targets": [_target_document(target) for target in contract.targets],
    }


def _target_document(target: Target) -> dict[str, Any]:
    objective = target.objective
    return {
        "id": target.id,
        "metric": target.metric,
        "revision": target.revision,
        "effective_from": format_instant(target.effective_from_ms),
        "effective_until": None if target.effective_until_ms == NEVER else format_instant(target.effective_until_ms),
        "applies_to": {name: sorted(values) for name, values in target.applies_to},
        "within": format_within(target.within),
        "target_seconds": target.within.duration_ms / 1000 if target.rule is None else None,
        "time": target.within.base.value,
        "calendar": target.calendar,
        "objective": None if objective is None else {"id": objective.id, "attain": float(objective.attain)},
    }
