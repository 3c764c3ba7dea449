"""The OpenAPI document of ``/v1/*``: what each route answers, field by field."""

from __future__ import annotations

from typing import Any, Final

from sla.contract import ContractType, Level, TimeBase
from sla.explanation import OPEN, Why
from sla.outcome import Result

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_WITHIN: Final[Schema] = {"type": "string", "description": "as contracts write it: 4bh, 2bd eod, by last_day at 17:00"}
_FLAG: Final[Schema] = {"type": "boolean"}
_INSTANT: Final[Schema] = {"type": "string", "format": "date-time", "description": "RFC 3339, UTC, milliseconds"}
_SECONDS_BY_PARTY: Final[Schema] = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
_FIELDS: Final[Schema] = {"type": "object", "additionalProperties": _TEXT}


def _nullable(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(description: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_WORD: Final = (OPEN, *(result.value for result in Result if result is not Result.RETRACTED))

SCHEMAS: Final[dict[str, Schema]] = {
    "Error": _object("Why there is no answer.", error=_TEXT),
    "Objective": _object(
        "An objective with counts on this worker.",
        objective=_TEXT,
        contract=_TEXT,
        attain=_NUMBER,
        window=_TEXT,
        window_start=_nullable(_INSTANT),
        met=_COUNT,
        breached=_COUNT,
        attained_ratio=_nullable(_NUMBER),
        budget_remaining_ratio=_nullable(_NUMBER),
        budget_remaining_events=_NUMBER,
        budget_remaining_minutes=_nullable(_NUMBER),
        budget_is_estimated={"type": "boolean"},
        burn_rates={"type": "object", "additionalProperties": _NUMBER},
        burning={"type": "array", "items": {"enum": ["page", "ticket"]}},
        coverage_ratio=_NUMBER,
        watermark=_nullable(_INSTANT),
    ),
    "TargetCounts": _object(
        "Open clocks of a target.", contract=_nullable(_TEXT), open=_COUNT, at_risk=_COUNT, breached_open=_COUNT
    ),
    "Clocks": _object(
        "Open clocks on this worker.",
        now=_nullable(_INSTANT),
        tickets_kept=_COUNT,
        targets={"type": "object", "additionalProperties": _ref("TargetCounts")},
    ),
    "Alert": _object(
        "An alert this worker keeps.",
        id=_TEXT,
        state=_one_of("firing", "resolved"),
        starts_at=_INSTANT,
        labels=_FIELDS,
        annotations=_FIELDS,
    ),
    "Target": _object(
        "One promise of one revision.",
        id=_TEXT,
        metric=_TEXT,
        revision=_COUNT,
        effective_from=_INSTANT,
        effective_until=_nullable(_INSTANT),
        applies_to={"type": "object", "additionalProperties": _list(_TEXT)},
        within=_WITHIN,
        target_seconds={
            **_nullable(_NUMBER),
            "description": "null where each clock has its own: business days, close of business, dates",
        },
        time=_one_of(*(base.value for base in TimeBase)),
        calendar=_TEXT,
        objective={"anyOf": [_object("Share that must be met.", id=_TEXT, attain=_NUMBER), {"type": "null"}]},
    ),
    "Contract": _object(
        "A contract as far as it is monitored.",
        id=_TEXT,
        type=_one_of(*(kind.value for kind in ContractType)),
        level=_one_of(*(level.value for level in Level)),
        provider=_TEXT,
        owner=_TEXT,
        supports=_list(_TEXT),
        targets=_list(_ref("Target")),
    ),
    "Interval": _object(
        "A part of a clock's life.",
        **{"from": _INSTANT},
        until=_INSTANT,
        counted=_FLAG,
        why=_one_of(*(why.value for why in Why)),
        detail=_TEXT,
        party=_TEXT,
        late=_FLAG,
        event=_TEXT,
        event_at=_INSTANT,
        changes={"type": "object", "additionalProperties": _nullable(_TEXT)},
        seconds=_NUMBER,
        counted_seconds=_NUMBER,
        consumed_seconds=_NUMBER,
        deadline=_nullable(_INSTANT),
        target=_TEXT,
        revision=_COUNT,
    ),
    "Endangered": _object("A clock of an SLA that this one supports.", contract=_TEXT, clock_id=_TEXT),
    "Clock": _object(
        "A clock with its timeline.",
        clock_id=_TEXT,
        contract=_TEXT,
        contract_type=_one_of(*(kind.value for kind in ContractType)),
        target=_TEXT,
        metric=_TEXT,
        revision=_COUNT,
        cycle=_COUNT,
        phase=_one_of("running", "paused", "stopped", "cancelled", "merged", "superseded", "terminated"),
        outcome=_one_of(*_WORD),
        start=_INSTANT,
        deadline=_nullable(_INSTANT),
        stop=_nullable(_INSTANT),
        time=_one_of(*(base.value for base in TimeBase)),
        calendar=_TEXT,
        within=_WITHIN,
        target_seconds=_NUMBER,
        consumed_seconds=_NUMBER,
        elapsed_seconds=_NUMBER,
        parties=_SECONDS_BY_PARTY,
        parties_counted=_SECONDS_BY_PARTY,
        parties_paused=_SECONDS_BY_PARTY,
        endangers=_list(_ref("Endangered")),
        timeline=_list(_ref("Interval")),
    ),
    "Explanation": _object(
        "A ticket's clocks, as known at an instant.",
        ticket=_TEXT,
        at=_INSTANT,
        events=_COUNT,
        fields=_FIELDS,
        clocks=_list(_ref("Clock")),
    ),
}

_AT: Final[Schema] = {
    "name": "at",
    "in": "query",
    "required": False,
    "schema": _INSTANT,
    "description": "As known at this instant, at most the present of the partition.",
}
_TICKET: Final[Schema] = {
    "name": "ticket",
    "in": "path",
    "required": True,
    "schema": _TEXT,
    "description": "Ticket id.",
}


def openapi_document() -> dict[str, Any]:
    """Return the document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "slawatch worker", "version": "1"},
        "paths": {
            "/v1/objectives": _get("Objectives with counts on this worker.", _list(_ref("Objective"))),
            "/v1/clocks": _get("Open clocks per target on this worker.", _ref("Clocks")),
            "/v1/alerts": _get("Alerts this worker keeps, those that fire first.", _list(_ref("Alert"))),
            "/v1/contracts": _get("Signed contracts of the register.", _list(_ref("Contract"))),
            "/v1/tickets/{ticket}": _get(
                "A ticket's clocks as timelines, from whichever worker owns it.",
                _ref("Explanation"),
                [_TICKET, _AT],
                ("400", "404", "502", "503"),
            ),
            "/v1/openapi.json": _get("This document.", {"type": "object"}),
        },
        "components": {"schemas": SCHEMAS, "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}, {}],
    }


def _get(summary: str, answer: Schema, parameters: list[Schema] | None = None, errors: tuple[str, ...] = ()) -> Schema:
    def response(description: str, schema: Schema) -> Schema:
        return {"description": description, "content": {"application/json": {"schema": schema}}}

    responses = {"200": response("The answer.", answer)}
    responses |= {
        status: response(text, _ref("Error")) for status, text in _ERRORS.items() if status in {*errors, "401", "403"}
    }
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": responses}}


_ERRORS: Final = {
    "400": "The question can't be read.",
    "401": "The bearer token is missing or wrong.",
    "403": "Closed: no token is set and the worker can be reached from outside.",
    "404": "No such ticket is kept.",
    "502": "The owner of the ticket gave an answer that can't be read.",
    "503": "The owner of the ticket is not known now, or does not answer: ask again.",
}
