"""Values of contracts and calendars: how they are written, checked, and rendered.

Documents keep what the author wrote (``4bh``, ``95%``, ``2026-01-01T00:00:00+07:00``) as text that is known to be good;
the domain's own parsers read it, once to check it and once to build the domain objects.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, WithJsonSchema

from config.faults import Problem, problem, problems, shown, suggestion
from sla.contract import Clause, Condition
from sla.duration import CLOSE_OF_BUSINESS, parse_within
from sla.errors import UnitError
from sla.units import parse_instant, parse_ratio

EVENT: Final = "event"
"""The key of a condition that means the kind of the event; every other key is a ticket field."""

_IDENTIFIER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_TIME_OF_DAY = re.compile(r"^\d{1,2}:\d{2}$")
_SHARE = re.compile(r"^\s*\d{1,3}(\.\d{1,12})?\s*%?\s*$")


def text_of(value: Any) -> str:
    """Return a value of YAML or JSON as the text that conditions compare.

    Numbers and booleans are rendered as JSON renders them, as they are in events.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise problem("must be a value: null never equals a field")
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise problem(f"must be a word or a number, not {shown(value)}")


def _values_of(value: Any) -> tuple[str, ...]:
    values, found = _read_values(value)
    if found:
        raise problems("values", found)
    return values


def _read_values(value: Any) -> tuple[tuple[str, ...], list[Problem]]:
    """Read one value or a list of values; return also what is wrong with them."""
    if not isinstance(value, (list, tuple)):
        try:
            return (text_of(value),), []
        except ValueError as error:
            return (), [((), str(error))]
    values: dict[str, None] = {}
    found: list[Problem] = []
    if not value:
        found.append(((), "an empty list: no value satisfies it"))
    for index, item in enumerate(value):
        try:
            values[text_of(item)] = None
        except ValueError as error:
            found.append(((index,), str(error)))
    return tuple(values), found


def _identifier(value: str) -> str:
    if not _IDENTIFIER.match(value):
        raise problem(f"{shown(value)} is no id: letters, digits, '.', '_' and '-', starting with a letter or digit")
    return value


def _instant(value: Any) -> str:
    text = value if isinstance(value, str) else shown(value)
    try:
        parse_instant(text)
    except UnitError as error:
        day = " (a day begins at another instant in every time zone)" if _DATE.match(text) else ""
        raise problem(f"{text} is no instant with its zone{day}: write it like 2026-01-31T08:00:00+07:00") from error
    return text


def parse_date(value: Any) -> date:
    """Read a date written ``2026-12-31``; nothing else is a date here."""
    if isinstance(value, str) and _DATE.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError as error:
            raise problem(f"{value} is no day of the calendar") from error
    raise problem(f"{shown(value)} is no date: write it like 2026-12-31")


def parse_share(value: Any) -> Fraction:
    """Read a share as written, ``95%`` or ``0.95``: exact, 0..1."""
    text = value if isinstance(value, str) else shown(value)
    # Fractions and exponents are no spellings of a share, and 1e999999999 would take forever to read.
    if not _SHARE.match(text):
        raise problem(f"{shown(value)} is no share: write 95% or 0.95")
    try:
        return parse_ratio(text)
    except UnitError as error:
        raise problem(str(error)) from error


def _share(value: Any) -> str:
    parse_share(value)
    return value if isinstance(value, str) else shown(value)


def _within(value: Any) -> str:
    if isinstance(value, Mapping) and "by" in value:
        found: list[Problem] = [((name,), "unknown field") for name in value if name != "by"]
        text, wrong = _read_by(value["by"])
        if found := [*found, *((("by", *loc), message) for loc, message in wrong)]:
            raise problems("within", found)
        return text
    if not isinstance(value, str):
        raise problem(f"{shown(value)} is no duration with its unit: write 4bh (business hours) or 24h (elapsed)")
    try:
        parse_within(value)
    except UnitError as error:
        raise problem(str(error)) from error
    return value


def read_by(value: Any) -> str:
    """Read a date that the ticket carries, ``{field: last_day, at: 17:00}``, into the text ``by last_day at 17:00``."""
    text, found = _read_by(value)
    if found:
        raise problems("by", found)
    return text


def _read_by(value: Any) -> tuple[str, list[Problem]]:
    if not isinstance(value, Mapping):
        how_to = f"{{field: last_day, at: {CLOSE_OF_BUSINESS}}}"
        return "", [((), f"must be a mapping such as {how_to}, not {shown(value)}")]
    found: list[Problem] = [
        ((name,), f"unknown field{suggestion(name, ('field', 'at'))}") for name in value if name not in {"field", "at"}
    ]
    field, at = value.get("field"), value.get("at", CLOSE_OF_BUSINESS)
    if field is None:
        found.append((("field",), "missing: the ticket field that holds the date"))
    elif not isinstance(field, str) or not field or re.search(r"\s", field):
        found.append((("field",), f"must be the name of a ticket field, not {shown(field)}"))
    if not isinstance(at, str) or (at != CLOSE_OF_BUSINESS and not _TIME_OF_DAY.match(at)):
        found.append((("at",), f"must be {CLOSE_OF_BUSINESS} or a local time such as 17:00, not {shown(at)}"))
    text = f"by {field} at {at}"
    if not found:
        try:
            parse_within(text)
        except UnitError as error:
            found.append((("at",), str(error)))
    return text, found


def _lead(value: Any) -> str:
    if not isinstance(value, str):
        raise problem(f"{shown(value)} is no lead time with its unit: write 30bm (business time) or 30m (elapsed)")
    return value.strip().removesuffix("before").rstrip()


@functools.cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(value: str) -> str:
    if value not in _zones():
        raise problem(f"unknown time zone {shown(value)}{_near_zone(value)}")
    return value


def _near_zone(value: str) -> str:
    near = suggestion(value, _zones())
    if near:
        return near
    # `Jakarta` is nearer to every short name than to Asia/Jakarta: compare the cities too.
    cities = {zone.rsplit("/", 1)[-1].casefold(): zone for zone in sorted(_zones())}
    zone = cities.get(value.rsplit("/", 1)[-1].casefold())
    return f" ({zone}?)" if zone else ""


def read_condition(value: Any) -> Condition:
    """Read a condition: a mapping (all of it must hold) or a list of mappings (any of them must hold).

    Raises
    ------
    pydantic.ValidationError
        With every problem at its place below the condition.
    """
    return _read_condition(value, states_only=False)


def read_state(value: Any) -> Condition:
    """Read a condition that is a state: it looks at ticket fields only, so it holds until a field changes."""
    return _read_condition(value, states_only=True)


def _read_condition(value: Any, *, states_only: bool) -> Condition:
    found: list[Problem] = []
    clauses: list[Clause] = []
    if isinstance(value, Mapping):
        clauses.append(_read_clause(value, found, (), states_only=states_only))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, Mapping):
                clauses.append(_read_clause(item, found, (index,), states_only=states_only))
            else:
                found.append(((index,), f"must be a mapping such as {{event: resolved}}, not {shown(item)}"))
    else:
        found.append(((), f"must be a mapping such as {{event: resolved}}, or a list of them, not {shown(value)}"))
    if found:
        raise problems("condition", found)
    return Condition(tuple(clauses))


def _read_clause(
    mapping: Mapping[str, Any], found: list[Problem], loc: tuple[int, ...], *, states_only: bool
) -> Clause:
    events: frozenset[str] = frozenset()
    fields: list[tuple[str, frozenset[str]]] = []
    if not mapping:
        found.append((loc, "an empty mapping holds always: name an event or a field"))
    for name, given in mapping.items():
        values, wrong = _read_values(given)
        found.extend(((*loc, name, *inner), message) for inner, message in wrong)
        if name == EVENT and states_only:
            found.append(((*loc, name), "a pause is a state and looks at ticket fields: use one, such as waiting_for"))
        elif name == EVENT:
            events = frozenset(values)
        else:
            fields.append((name, frozenset(values)))
    return Clause(events, tuple(sorted(fields)))


def _condition_document(condition: Condition) -> list[dict[str, list[str]]]:
    """Render a condition in the one spelling that registers hold: a list of mappings to sorted lists."""
    clauses = []
    for clause in condition.clauses:
        mapping = {name: sorted(values) for name, values in clause.fields}
        if clause.events:
            mapping[EVENT] = sorted(clause.events)
        clauses.append(mapping)
    return clauses


def read_scope(value: Any) -> dict[str, tuple[str, ...]]:
    """Read the ticket fields that a target applies to, each with one value or a list of values."""
    if not isinstance(value, Mapping):
        raise problem(f"must be a mapping of ticket fields to values, not {shown(value)}")
    found: list[Problem] = []
    scope = {}
    for name, given in value.items():
        values, wrong = _read_values(given)
        found.extend(((name, *inner), message) for inner, message in wrong)
        if name == EVENT:
            found.append(((name,), "applies_to looks at ticket fields; an event belongs in start or stop"))
        scope[name] = values
    if found:
        raise problems("applies_to", found)
    return scope


_VALUE_SCHEMA: Final = {"type": ["string", "number", "boolean"]}
_VALUES_SCHEMA: Final = {"anyOf": [_VALUE_SCHEMA, {"type": "array", "items": _VALUE_SCHEMA, "minItems": 1}]}
_FIELDS_SCHEMA: Final = {"type": "object", "minProperties": 1, "additionalProperties": _VALUES_SCHEMA}
_CLAUSE_SCHEMA: Final = {
    **_FIELDS_SCHEMA,
    "properties": {EVENT: {**_VALUES_SCHEMA, "description": "Kind of the event: created, resolved, ..."}},
}

Identifier = Annotated[
    str, AfterValidator(_identifier), WithJsonSchema({"type": "string", "pattern": _IDENTIFIER.pattern})
]
"""Id of a document, a target or an objective. Without ``:``, so that clock ids can be taken apart."""

Text = Annotated[str, BeforeValidator(text_of), WithJsonSchema(_VALUE_SCHEMA)]
"""One value of a ticket field, as text."""

Texts = Annotated[tuple[str, ...], BeforeValidator(_values_of), WithJsonSchema(_VALUES_SCHEMA)]
"""One or more values of a ticket field, as text; any of them."""

InstantText = Annotated[str, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""An instant with its zone, RFC 3339."""

DateText = Annotated[date, BeforeValidator(parse_date), WithJsonSchema({"type": "string", "pattern": _DATE.pattern})]
"""A day, ``2026-12-31``."""

ShareText = Annotated[
    str, BeforeValidator(_share), WithJsonSchema({"type": ["string", "number"], "examples": ["95%", 0.95]})
]
"""A share, ``95%`` or ``0.95``."""

_BY_SCHEMA: Final = {
    "type": "object",
    "required": ["field"],
    "additionalProperties": False,
    "properties": {
        "field": {"type": "string", "description": "Ticket field with the date."},
        "at": {"type": "string", "default": CLOSE_OF_BUSINESS, "examples": [CLOSE_OF_BUSINESS, "17:00"]},
    },
}

WithinText = Annotated[
    str,
    BeforeValidator(_within),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["4bh", "90bm", "24h", "15m", "2bd", "2bd eod", "eod"]},
                {"type": "object", "required": ["by"], "additionalProperties": False, "properties": {"by": _BY_SCHEMA}},
            ]
        }
    ),
]
"""How long a clock may run: business or elapsed time, business days, or until a date that the ticket carries."""

ByText = Annotated[str, BeforeValidator(read_by), WithJsonSchema(_BY_SCHEMA)]
"""A date that the ticket carries."""

LeadText = Annotated[str, BeforeValidator(_lead), WithJsonSchema({"type": "string", "examples": ["30bm", "2h"]})]
"""How long before the deadline, in the time the target counts."""

TimezoneName = Annotated[
    str, AfterValidator(_timezone), WithJsonSchema({"type": "string", "examples": ["Europe/Berlin", "UTC"]})
]
"""A zone of the IANA time zone database."""

Scope = Annotated[
    dict[str, tuple[str, ...]],
    BeforeValidator(read_scope),
    WithJsonSchema({"type": "object", "additionalProperties": _VALUES_SCHEMA}),
]
"""Ticket fields with the values a ticket must have."""

ConditionField = Annotated[
    Condition,
    PlainValidator(read_condition),
    PlainSerializer(_condition_document),
    WithJsonSchema({"anyOf": [_CLAUSE_SCHEMA, {"type": "array", "items": _CLAUSE_SCHEMA}]}),
]
"""When something holds, at an event: its kind and the ticket's fields after it."""

StateField = Annotated[
    Condition,
    PlainValidator(read_state),
    PlainSerializer(_condition_document),
    WithJsonSchema({"anyOf": [_FIELDS_SCHEMA, {"type": "array", "items": _FIELDS_SCHEMA}]}),
]
"""As ConditionField, but of ticket fields only: it holds from one event to the next."""
