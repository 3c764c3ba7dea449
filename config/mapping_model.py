"""Model of mappings: how the body of a webhook becomes ticket events, by configuration.

Expressions are JMESPath over the body (https://jmespath.org). They are compiled when the document is read, so that a
typing mistake is found by ``slawatch events map`` and at the start of the receiver, not by the first webhook.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.lexer import Lexer
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError
from typing_extensions import override

from config.faults import Fault, Problem, StrictModel, path_of, problem, problems_of, suggestion
from config.fields import Identifier, TimezoneName
from config.loader import MAPPING_KIND
from config.yaml_reader import YamlSyntaxError, read_documents

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FUNCTIONS: Final[frozenset[str]] = frozenset(Functions.FUNCTION_TABLE)
_COMPARATORS: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})
_LONGEST_EXPRESSION: Final = 2_000
_HEADER: Final = re.compile(r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")


def _expression(text: str) -> str:
    """Check an expression, beyond its grammar for what is nearly always a mistake."""
    try:
        compiled = jmespath.compile(text)
        tokens = list(Lexer().tokenize(text))
    except (JMESPathError, RecursionError) as error:
        raise problem(f"no JMESPath: {_first_line(error)}") from error
    for before, token in itertools.pairwise(tokens):
        if before["type"] in _COMPARATORS and token["type"] == "quoted_identifier":
            word = token["value"]
            raise problem(f"\"{word}\" in double quotes is a field of the body; for the text write '{word}'")
    for name in _functions_in(compiled.parsed):
        if name not in _FUNCTIONS:
            raise problem(f"JMESPath has no function {name!r}{suggestion(name, _FUNCTIONS)}")
    return text


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0].removeprefix("Invalid jmespath expression: ") or type(error).__name__


def _functions_in(node: Mapping[str, Any]) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield str(node["value"])
    for child in node["children"]:
        if isinstance(child, dict) and "type" in child:
            yield from _functions_in(child)
        elif isinstance(child, list):
            for part in child:
                if isinstance(part, dict) and "type" in part:
                    yield from _functions_in(part)


def _header_name(name: str) -> str:
    if not _HEADER.match(name):
        raise problem(f"{name!r} is no name of an HTTP header")
    return name


def _spelled_out(value: Any) -> Any:
    """Let an expression stand alone where it needs nothing beside it."""
    return {"value": value} if isinstance(value, str) else value


Expression = Annotated[
    str, StringConstraints(min_length=1, max_length=_LONGEST_EXPRESSION), AfterValidator(_expression)
]
"""A JMESPath expression that compiles."""
Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]
HeaderName = Annotated[str, AfterValidator(_header_name)]


class Bodies(StrEnum):
    """What a body tells of its ticket."""

    SNAPSHOTS = "snapshots"
    """The whole ticket: an expression without a value says that the field has none."""
    CHANGES = "changes"
    """A part: an expression without a value says nothing about the field."""


class InstantModel(StrictModel):
    """Where an instant stands in a body, and how it is written.

    Attributes
    ----------
    value : str
        Expression.
    format : str
        ``iso`` (RFC 3339 and ISO 8601, also ``+0100`` and a space for the T), ``epoch_ms``, ``epoch_s`` or a pattern
        of ``strptime``.
    timezone : str or None
        Zone of instants that carry none; without it they are refused.
    """

    value: Expression
    format: Word = "iso"
    timezone: TimezoneName | None = None


class FieldModel(StrictModel):
    """Where a ticket field stands in a body, and what its values mean.

    Attributes
    ----------
    value : str
        Expression; it must give one value, not a list.
    words : dict of str to str
        Patterns (``*`` and ``?``) of the source's words and what they are in contracts, the first that fits.
    otherwise : str or None
        For every other value; None: as it is.
    """

    value: Expression
    words: dict[Word, Word] = Field(default_factory=dict)
    otherwise: Word | None = None


Instant = Annotated[InstantModel, BeforeValidator(_spelled_out, json_schema_input_type=str | InstantModel)]
TicketField = Annotated[FieldModel, BeforeValidator(_spelled_out, json_schema_input_type=str | FieldModel)]


class RuleModel(StrictModel):
    """When a body tells an event. Every rule that holds gives one, each word at most once a body.

    Attributes
    ----------
    event : str
        Word of the event.
    when : str
        Expression; it holds unless it gives null, false or something empty.
    at, event_id, bodies
        As of the mapping, for this event.
    fields : dict
        Ticket fields of this event only, beside or instead of those of the mapping.
    """

    event: Word
    when: Expression
    at: Instant | None = None
    event_id: Expression | None = None
    bodies: Bodies | None = None
    fields: dict[Word, TicketField] = Field(default_factory=dict)


class Scheme(StrEnum):
    """How a sender proves who it is."""

    BEARER = "bearer"
    """The secret after a prefix in a header; ``Authorization: Bearer <secret>`` unless said otherwise."""
    BASIC = "basic"
    """``Authorization: Basic``; the secret is ``user:password``."""
    HMAC = "hmac"
    """A keyed hash of the body in a header."""


class AuthenticationModel(StrictModel):
    """How webhooks of this mapping prove who sent them; the secret itself is never part of the document.

    Attributes
    ----------
    header : str or None
        Header of the token or of the signature.
    prefix : str or None
        What stands before it in the header, such as ``sha256=``.
    algorithm, encoding : str
        Of ``hmac``.
    timestamp_header : str or None
        Of ``hmac``: header whose text is signed before the body. Requests whose timestamp is off by more than
        ``tolerance_seconds`` are refused, so that none can be sent again later.
    """

    scheme: Scheme = Scheme.BEARER
    header: HeaderName | None = None
    prefix: str | None = None
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName | None = None
    tolerance_seconds: int = Field(300, ge=1, le=86_400)

    _OF_HMAC: ClassVar[tuple[str, ...]] = ("algorithm", "encoding", "timestamp_header", "tolerance_seconds")

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        if data.get("scheme") == Scheme.HMAC:
            if "header" not in data:
                yield ("header",), "missing: the header that holds the signature"
            if "tolerance_seconds" in data and "timestamp_header" not in data:
                yield ("tolerance_seconds",), "there is no timestamp_header it could apply to"
        else:
            for name in cls._OF_HMAC:
                if name in data:
                    yield (name,), "belongs to the scheme hmac"
        if data.get("scheme") == Scheme.BASIC:
            for name in ("header", "prefix"):
                if name in data:
                    yield (name,), "belongs to the schemes bearer and hmac"


class MappingModel(StrictModel):
    """How bodies of one kind of webhook become ticket events.

    Attributes
    ----------
    id : str
        The receiver takes them at ``/webhooks/<id>``.
    description : str or None
        For people.
    each : str or None
        Expression for the list of parts of a body that tells of several tickets. Expressions then see ``item`` (the
        part) and ``body``; else the body itself. Both see ``_request.headers`` (names in lower case) and
        ``_request.query``.
    ignore : tuple of str
        Bodies for which one of these holds are taken and tell nothing.
    ticket : str
        Expression for the ticket id: text or a whole number.
    at : InstantModel
        When it happened.
    event_id : str or None
        Expression for the identity of what happened, within the ticket. Without it, or without a value, an event is
        what it says: delivered twice it is one.
    sequence : str or None
        Expression for the source's own order among events of one instant.
    events : tuple of RuleModel
        When a body tells which event.
    otherwise : str or None
        Event of a body for which no rule holds; None: such a body is refused.
    fields : dict of str to FieldModel
        Ticket fields by name.
    """

    kind: Literal["Mapping"] = "Mapping"
    id: Identifier
    description: str | None = None
    authentication: AuthenticationModel = AuthenticationModel()
    each: Expression | None = None
    ignore: tuple[Expression, ...] = ()
    ticket: Expression
    at: Instant
    event_id: Expression | None = None
    sequence: Expression | None = None
    bodies: Bodies = Bodies.SNAPSHOTS
    events: tuple[RuleModel, ...] = ()
    otherwise: Word | None = None
    fields: dict[Word, TicketField] = Field(default_factory=dict)

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        if not data.get("events") and not data.get("otherwise"):
            yield ("events",), "missing: without events and otherwise no body tells anything"


def mapping_schema() -> str:
    """Return the JSON Schema of mappings for editors, indented, with a final newline; expressions are text there."""
    schema = {"$schema": DIALECT, **MappingModel.model_json_schema(mode="validation")}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


class MappingError(Exception):
    """A mapping that can't be used; ``faults`` lists everything that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def load_mapping(path: Path) -> MappingModel:
    """Read the mapping of a file.

    Raises
    ------
    MappingError
        With every fault of the file, in the order of its lines.
    """
    try:
        documents = list(read_documents(path.read_bytes().decode("utf-8-sig")))
    except OSError as error:
        raise MappingError([Fault(str(path), "", f"can't be read: {error.strerror or error}")]) from error
    except UnicodeDecodeError as error:
        raise MappingError([Fault(str(path), "", f"is not UTF-8: byte {error.start}")]) from error
    except YamlSyntaxError as error:
        raise MappingError([Fault(str(path), "", str(error), error.line)]) from error
    if len(documents) != 1 or not isinstance(documents[0].data, dict):
        raise MappingError([Fault(str(path), "", "a mapping is one YAML document that starts with `kind: Mapping`")])
    (document,) = documents
    if document.data.get("kind") != MAPPING_KIND:
        raise MappingError([Fault(str(path), "kind", f"must be {MAPPING_KIND}", document.line_of(("kind",)))])
    found = list(document.problems)
    try:
        model = MappingModel.model_validate(document.data)
    except ValidationError as error:
        spelt = {loc for loc, _ in found}
        found += [(loc, message) for loc, message in problems_of(error, MappingModel) if loc not in spelt]
    if found:
        faults = [Fault(str(path), path_of(loc), message, document.line_of(loc)) for loc, message in found]
        raise MappingError(sorted(faults, key=lambda fault: fault.line or 0))
    return model
