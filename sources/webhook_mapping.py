"""Turns the bodies of webhooks into ticket events, as a mapping says. Pure: same body, same events, same ids.

A body that can't be mapped is an outcome, not an error: it is refused with everything that is wrong with it, for the
person who set the webhook up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

import jmespath
import msgspec
from jmespath.exceptions import JMESPathError
from typing_extensions import override

from config.mapping_model import Bodies, FieldModel, InstantModel, MappingModel, RuleModel
from sources.csv_file import instant_of
from sources.record import FieldValue, SourceEvent, to_wire

LARGEST_PARTS: Final = 1_000
"""Most parts of one body: what is more is no webhook but an import."""

REQUEST: Final = "_request"
"""Name under which expressions see headers and query of the request."""

_SHOWN_CHARS: Final = 60
_MOST_FAULTS: Final = 20
_FAILURES: Final = (JMESPathError, RecursionError, ArithmeticError, TypeError, ValueError, AttributeError)
"""What an expression over a foreign body can raise."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a body tells: its events, or why it tells none.

    Attributes
    ----------
    events : tuple of SourceEvent
        In the order of the mapping's rules; empty if the body is ignored.
    """

    events: tuple[SourceEvent, ...]


@dataclass(frozen=True, slots=True)
class BodyRefused:
    """A body that can't be mapped.

    Attributes
    ----------
    faults : tuple of str
        What is wrong, each with the part of the mapping that found it.
    """

    faults: tuple[str, ...]

    @override
    def __str__(self) -> str:
        return "; ".join(self.faults)


@dataclass(frozen=True, slots=True)
class Request:
    """What the request said beside its body.

    Attributes
    ----------
    headers : mapping of str to str
        Names in lower case.
    query : mapping of str to str
        Parameters of the URL.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


class _Fault(Exception):  # noqa: N818 - never leaves this module
    """One thing that is wrong with a body."""


class _Expression:
    """A compiled expression that knows its place in the mapping."""

    __slots__ = ("_parsed", "_place")

    def __init__(self, text: str, place: str) -> None:
        self._parsed = jmespath.compile(text)
        self._place = place

    def of(self, data: object) -> Any:
        """Return what the expression gives; an empty text is no value."""
        try:
            found = self._parsed.search(data)
        except _FAILURES as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise _Fault(f"{self._place}: {first}") from error
        return None if found == "" else found

    def text_of(self, data: object) -> str | None:
        """Return text; whole numbers are rendered, anything else is a fault."""
        found = self.of(data)
        if found is None or isinstance(found, str):
            return found
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        raise _Fault(f"{self._place}: gives {_shown(found)}, expected text")


class WebhookMapper:
    """Applies one mapping; expressions are compiled once.

    Parameters
    ----------
    model : MappingModel
        As it was read.
    """

    def __init__(self, model: MappingModel) -> None:
        self.model = model
        self._each = None if model.each is None else _Expression(model.each, "each")
        self._ignore = [_Expression(text, f"ignore[{index}]") for index, text in enumerate(model.ignore)]
        self._ticket = _Expression(model.ticket, "ticket")
        self._sequence = None if model.sequence is None else _Expression(model.sequence, "sequence")
        otherwise = [] if model.otherwise is None else [RuleModel(event=model.otherwise, when="`true`")]
        self._rules = [
            _Rule(rule, model, f"events[{index}]" if index < len(model.events) else "otherwise")
            for index, rule in enumerate((*model.events, *otherwise))
        ]

    def map_body(self, body: object, request: Request = Request()) -> Mapped | BodyRefused:
        """Return the ticket events of a body, or everything that is wrong with it.

        Parameters
        ----------
        body
            What JSON gives: dict, list, str, int, float, bool or None.
        request
            Headers and query, for expressions that look at them.
        """
        asked = {"headers": dict(request.headers), "query": dict(request.query)}
        try:
            if any(_holds(expression.of(_with_request(body, asked))) for expression in self._ignore):
                return Mapped(())
            parts = self._parts(body, asked)
        except _Fault as fault:
            return BodyRefused((str(fault),))
        events: list[SourceEvent] = []
        faults: list[str] = []
        for number, part in enumerate(parts):
            found = self._events_of(part)
            if isinstance(found, BodyRefused):
                where = f"part {number + 1}: " if self._each is not None else ""
                faults += [where + fault for fault in found.faults]
            else:
                events += found
        if faults:
            more = len(faults) - _MOST_FAULTS
            return BodyRefused((*faults[:_MOST_FAULTS], *([f"... and {more} more"] if more > 0 else [])))
        return Mapped(tuple(events))

    def _parts(self, body: object, asked: Mapping[str, object]) -> Sequence[object]:
        if self._each is None:
            return [_with_request(body, asked)]
        parts = self._each.of(_with_request(body, asked))
        if not isinstance(parts, list):
            raise _Fault(f"each: gives {_shown(parts)}, expected a list")
        if len(parts) > LARGEST_PARTS:
            raise _Fault(f"each: gives {len(parts)} parts, a body may have {LARGEST_PARTS}")
        return [{"item": part, "body": body, REQUEST: asked} for part in parts]

    def _events_of(self, part: object) -> list[SourceEvent] | BodyRefused:
        faults: list[str] = []
        ticket: str | None = None
        sequence: int | None = None
        try:
            ticket = self._ticket.text_of(part)
            if ticket is None:
                faults.append("ticket: gives nothing, expected the ticket id")
        except _Fault as fault:
            faults.append(str(fault))
        try:
            sequence = self._sequence_of(part)
        except _Fault as fault:
            faults.append(str(fault))
        told: dict[str, _Rule] = {}
        for rule in self._rules:
            if rule.is_otherwise and told:
                continue
            try:
                if rule.holds(part):
                    told.setdefault(rule.event, rule)
            except _Fault as fault:
                faults.append(str(fault))
        if not told and not faults:
            faults.append("events: no rule holds for this body; add one, or `ignore` such bodies, or say `otherwise`")
        events: list[SourceEvent] = []
        for rule in told.values():
            found = rule.event_of(part, ticket or "", sequence)
            if isinstance(found, BodyRefused):
                faults += [fault for fault in found.faults if fault not in faults]
            else:
                events.append(found)
        return BodyRefused(tuple(faults)) if faults else events

    def _sequence_of(self, part: object) -> int | None:
        found = None if self._sequence is None else self._sequence.of(part)
        if isinstance(found, str) and found.isascii() and found.isdigit():
            found = int(found)
        if found is None or (isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**63):
            return found
        raise _Fault(f"sequence: gives {_shown(found)}, expected a whole number of 0 or more")


class _Rule:
    """One rule, with what the mapping says for all of them filled in."""

    def __init__(self, rule: RuleModel, model: MappingModel, place: str) -> None:
        self.event = rule.event
        self.is_otherwise = place == "otherwise"
        self._when = _Expression(rule.when, f"{place}.when")
        self._at = _Instant(rule.at or model.at, f"{place}.at" if rule.at else "at")
        own_id = rule.event_id is not None
        identity = rule.event_id if own_id else model.event_id
        self._identity = (
            None if identity is None else _Expression(identity, f"{place}.event_id" if own_id else "event_id")
        )
        self._bodies = rule.bodies or model.bodies
        own = {name: _Field(name, value, f"{place}.fields") for name, value in rule.fields.items()}
        common = {name: _Field(name, value, "fields") for name, value in model.fields.items()}
        self._fields = list((common | own).values())

    def holds(self, part: object) -> bool:
        return _holds(self._when.of(part))

    def event_of(self, part: object, ticket: str, sequence: int | None) -> SourceEvent | BodyRefused:
        faults: list[str] = []
        at_ms = 0
        identity: str | None = None
        fields: dict[str, FieldValue | None] = {}
        try:
            at_ms = self._at.of(part)
        except _Fault as fault:
            faults.append(str(fault))
        try:
            identity = None if self._identity is None else self._identity.text_of(part)
        except _Fault as fault:
            faults.append(str(fault))
        for mapped in self._fields:
            try:
                value = mapped.of(part)
            except _Fault as fault:
                faults.append(str(fault))
                continue
            if value is not None or self._bodies is Bodies.SNAPSHOTS:
                fields[mapped.name] = value
        if faults:
            return BodyRefused(tuple(faults))
        if identity is not None:
            # One body may tell several events: they must not share an identity.
            return SourceEvent(ticket, at_ms, f"{identity}:{self.event}", self.event, sequence, fields)
        said = to_wire(SourceEvent(ticket, at_ms, "", self.event, sequence, fields))
        return SourceEvent(ticket, at_ms, blake2b(said, digest_size=12).hexdigest(), self.event, sequence, fields)


class _Instant:
    __slots__ = ("_format", "_place", "_value", "_zone")

    def __init__(self, model: InstantModel, place: str) -> None:
        self._value = _Expression(model.value, place)
        self._format = model.format
        self._zone = None if model.timezone is None else ZoneInfo(model.timezone)
        self._place = place

    def of(self, part: object) -> int:
        found = self._value.of(part)
        if found is None:
            raise _Fault(f"{self._place}: gives nothing, expected an instant")
        if isinstance(found, bool) or not isinstance(found, (str, int, float)):
            raise _Fault(f"{self._place}: gives {_shown(found)}, expected an instant")
        try:
            return instant_of(str(found), self._format, self._zone)
        except (ValueError, OverflowError) as error:
            message = str(error).replace("name the file's zone with `timezone` or --timezone", "say its `timezone`")
            raise _Fault(f"{self._place}: {message}") from error


class _Field:
    __slots__ = ("_otherwise", "_place", "_value", "_words", "name")

    def __init__(self, name: str, model: FieldModel, place: str) -> None:
        self.name = name
        self._place = f"{place}.{name}"
        self._value = _Expression(model.value, self._place)
        self._words = dict(model.words)
        self._otherwise = model.otherwise

    def of(self, part: object) -> FieldValue | None:
        found = self._value.of(part)
        if found is None:
            return None
        if not isinstance(found, (str, int, float, bool)):
            raise _Fault(f"{self._place}: gives {_shown(found)}, expected one value; join('/', ...) joins a list")
        word = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        for pattern, meaning in self._words.items():
            if fnmatchcase(word, pattern):
                return meaning
        return found if self._otherwise is None else self._otherwise


def _with_request(body: object, asked: Mapping[str, object]) -> object:
    return {**body, REQUEST: asked} if isinstance(body, dict) else body


def _holds(value: object) -> bool:
    """Tell whether JMESPath takes a value for true: everything but null, false and what is empty."""
    return not (value is None or value is False or (isinstance(value, (str, list, dict)) and not value))


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return f"a list of {len(value)}"
        case _:
            return repr(value)[:_SHOWN_CHARS]
