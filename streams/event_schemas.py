"""JSON Schemas of everything public on Kafka, generated from the types that records are decoded into.

Written in the keywords that drafts 07 and 2020-12 of JSON Schema share, so that the same schema serves editors,
validators and AsyncAPI. Objects are open: unknown fields are tolerated, as decoding tolerates them.

What a schema can't say, and decoding judges beyond it: the record's key and size, days a month does not have, instants
that leave the years 1970 to 2299 by their zone, ``good`` above ``total``, a score outside its scale, an interval that
ends before it starts. And a schema takes ``1.0`` for a whole number; decoding does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sla.events import Reason
from sla.outcome import Result
from streams import dead_letters
from streams.adjustment_codec import AdjustmentWire
from streams.codecs import ALERT_WIRE, TICKET_WIRE
from streams.event_examples import EXAMPLES
from streams.event_fields import DESCRIPTIONS
from streams.topics import ADJUSTMENTS, ALERTS, DEAD_LETTERS, TICKETS, UPTIME, VERDICTS
from streams.uptime_codec import HeartbeatWire, SampleWire, ServiceFeedbackWire, StatusWire
from streams.wire import VERSION

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

INSTANT_PATTERN: Final = (
    "^(19[7-9][0-9]|2[0-2][0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    "[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
)
"""RFC 3339 with a zone, as decoding takes it. A pattern, because validators may pass over ``format``."""

WRITTEN_INSTANT_PATTERN: Final = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z$"
"""RFC 3339 as slawatch writes it; deadlines may lie after any event."""

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventKind:
    """One kind of public record.

    Attributes
    ----------
    name : str
        What commands and files call it.
    title, summary : str
        For people.
    topics : tuple of str
        Logical names of the topics it is on.
    key : str
        What the record's key is.
    is_input : bool
        Whether slawatch reads it (others write it) or writes it.
    example : mapping
        One document of the kind (of headers: the headers).
    """

    name: str
    title: str
    summary: str
    topics: tuple[str, ...]
    key: str
    is_input: bool
    _build: Callable[[], Schema]

    @property
    def example(self) -> Mapping[str, Any]:
        """One document of this kind; of dead letters, the headers."""
        return EXAMPLES[self.name]

    def schema(self) -> Schema:
        """Return its JSON Schema, without ``$schema`` and ``$id``."""
        built = self._build()
        explained = DESCRIPTIONS[self.name]
        properties = {
            name: {**part, "description": explained[name]} if name in explained else part
            for name, part in built["properties"].items()
        }
        return {
            "title": self.title,
            "description": self.summary,
            "type": "object",
            "properties": properties,
            **{
                name: part for name, part in built.items() if name not in ("title", "description", "type", "properties")
            },
            "examples": [dict(self.example)],
        }


def document(kind: str) -> Schema:
    """Return the JSON Schema (2020-12) of a kind as a document of its own.

    Raises
    ------
    KeyError
        If there is no such kind.
    """
    return {"$schema": DIALECT, "$id": f"urn:slawatch:event:{kind}:{VERSION}", **KINDS[kind].schema()}


def bundle() -> Schema:
    """Return one JSON Schema document that holds all kinds under ``$defs``."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:slawatch:events:{VERSION}",
        "title": "Public events of slawatch",
        "$defs": {name: kind.schema() for name, kind in KINDS.items()},
    }


def text_of(schema: Mapping[str, Any]) -> str:
    """Render a schema as it stands in ``docs/reference/events``: indented, with a final newline."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


# --- from types to schemas ---


def _of(struct: type[msgspec.Struct]) -> Schema:
    """Return the schema of a struct, with references written out."""
    (schema,), definitions = msgspec.json.schema_components([struct], ref_template="{name}")
    resolved: Schema = _resolved(schema, definitions)
    return resolved


def _resolved(part: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_resolved(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        target = {name: value for name, value in definitions[part["$ref"]].items() if name != "title"}
        return _resolved(target | {name: value for name, value in part.items() if name != "$ref"}, definitions)
    if part.get("format") == "date-time":
        # `format` asserts nothing by default; the pattern does, and allows what decoding allows.
        return {"type": "string", "format": "date-time", "pattern": INSTANT_PATTERN}
    walked = {name: _resolved(value, definitions) for name, value in part.items()}
    if len(values := walked.get("enum", ())) == 1:
        del walked["enum"]
        return {"const": values[0], **walked}
    options = walked.get("anyOf", [])
    if options and all(set(option) == {"type"} for option in options):
        del walked["anyOf"]
        types = [option["type"] for option in options]
        # Every integer is a number.
        return {"type": [name for name in types if not (name == "integer" and "number" in types)], **walked}
    return walked


def _ticket() -> Schema:
    schema = _of(TICKET_WIRE)
    properties = schema["properties"]
    properties["type"] = {"const": "ticket", "default": "ticket"}
    properties["event"] = next(option for option in properties["event"]["anyOf"] if option["type"] != "null")
    schema["required"] = [*schema["required"], "event"]
    return schema


def _feedback() -> Schema:
    schema = _of(TICKET_WIRE)
    schema["properties"]["type"] = {"const": "feedback"}
    schema["required"] = [*schema["required"], "type"]
    return schema


def _sample() -> Schema:
    schema = _of(SampleWire)
    given = {
        name: {"required": [name], "properties": {name: _without_null(schema["properties"][name])}} for name in _OK
    }
    absent = {name: {"properties": {name: {"type": "null"}}} for name in _OK}
    schema["oneOf"] = [
        {"allOf": [given["ok"], absent["good"], absent["total"]]},
        {"allOf": [absent["ok"], given["good"], given["total"]]},
    ]
    return schema


_OK: Final = ("ok", "good", "total")


def _without_null(part: Schema) -> Schema:
    if "anyOf" in part:
        (only,) = (option for option in part["anyOf"] if option.get("type") != "null")
        return dict(only)
    return {"type": next(name for name in part["type"] if name != "null")}


def _adjustment() -> Schema:
    schema = _of(AdjustmentWire)
    kinds, counts = schema["properties"]["kind"], _without_null(schema["properties"]["counts_as"])
    maintenance, correction = ("maintenance", "outage-correction")
    assert set(kinds["enum"]) == {maintenance, correction}
    schema["oneOf"] = [
        {"properties": {"kind": {"const": maintenance}, "counts_as": {"enum": ["excluded", None]}}},
        {
            "properties": {"kind": {"const": correction}, "counts_as": {"enum": counts["enum"]}},
            "required": ["counts_as"],
        },
    ]
    return schema


class _EndangeredClock(msgspec.Struct):
    contract: str
    clock_id: str


class _VerdictDocument(msgspec.Struct):
    """What ``Verdict.document`` says, with the types that JSON gives it. A test compares the two."""

    version: int
    clock_id: str
    ticket: str
    contract: str
    target: str
    metric: str
    revision: int
    cycle: int
    outcome: Result
    start: str
    deadline: str
    stop: str | None
    decided_at: str
    target_seconds: float
    consumed_seconds: float
    elapsed_seconds: float
    parties: dict[str, float]
    parties_counted: dict[str, float]
    parties_paused: dict[str, float]
    endangers: list[_EndangeredClock]


def _verdict() -> Schema:
    schema = _of(_VerdictDocument)
    properties = schema["properties"]
    properties["version"] = {"const": VERSION}
    instant = {"type": "string", "format": "date-time", "pattern": WRITTEN_INSTANT_PATTERN}
    for name in ("start", "deadline", "decided_at"):
        properties[name] = dict(instant)
    properties["stop"] = {"anyOf": [dict(instant), {"type": "null"}]}
    return schema


def _dead_letter() -> Schema:
    text, number = {"type": "string"}, {"type": "string", "pattern": "^[0-9]+$"}
    needed = {
        dead_letters.REASON: {"type": "string", "enum": [reason.value for reason in Reason]},
        dead_letters.DETAIL: text,
        dead_letters.TOPIC: text,
        dead_letters.PARTITION: number,
        dead_letters.OFFSET: number,
        dead_letters.TIMESTAMP: number,
    }
    at_times = {
        dead_letters.REPLAYS: number,
        dead_letters.REPLAYED_FROM: {"type": "string", "pattern": "^[0-9]+:[0-9]+$"},
        dead_letters.CUT: number,
    }
    return {"properties": needed | at_times, "required": list(needed)}


KINDS: Final[Mapping[str, EventKind]] = {
    kind.name: kind
    for kind in (
        EventKind("ticket", "Ticket event", "What happened to a ticket.", (TICKETS,), "ticket id", True, _ticket),
        EventKind(
            "feedback",
            "Ticket feedback",
            "What the requester said of a ticket, such as a CSAT score.",
            (TICKETS,),
            "ticket id",
            True,
            _feedback,
        ),
        EventKind(
            "sample",
            "Probe sample",
            "What one probe saw of a service: one check (`ok`), or the requests it counted (`good` of `total`).",
            (UPTIME,),
            "service id",
            True,
            _sample,
        ),
        EventKind(
            "status",
            "Status change",
            "A service was declared to be in a state; it lasts until the next declaration.",
            (UPTIME,),
            "service id",
            True,
            lambda: _of(StatusWire),
        ),
        EventKind(
            "service-feedback",
            "Service feedback",
            "What a user said of a service, on a scale from `worst` to `best`.",
            (UPTIME,),
            "service id",
            True,
            lambda: _of(ServiceFeedbackWire),
        ),
        EventKind(
            "heartbeat",
            "Heartbeat",
            "A player's word that every event up to `at` has been sent to this partition.",
            (TICKETS, UPTIME),
            "not looked at",
            True,
            lambda: _of(HeartbeatWire),
        ),
        EventKind(
            "adjustment",
            "Adjustment",
            "How an interval of a service counts, decided by somebody for a reason: maintenance, or a correction.",
            (ADJUSTMENTS,),
            "adjustment id",
            True,
            _adjustment,
        ),
        EventKind("verdict", "Verdict", "The outcome of one clock.", (VERDICTS,), "ticket id", False, _verdict),
        EventKind("alert", "Alert", "The state of one alert.", (ALERTS,), "alert id", False, lambda: _of(ALERT_WIRE)),
        EventKind(
            "dead-letter",
            "Headers of a dead letter",
            "What a record that could not be taken in carries beside its own headers; header values are text.",
            (DEAD_LETTERS,),
            "as received",
            False,
            _dead_letter,
        ),
    )
}
"""Every kind of public record, by name."""
