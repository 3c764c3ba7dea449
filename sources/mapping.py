"""Mapping files: which column or attribute of a source is which part of a ticket event."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sources.faults import SourceError
from sources.rules import EventRules

NonEmpty = Annotated[str, StringConstraints(min_length=1)]


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        near = difflib.get_close_matches(name, available_timezones(), n=1)
        raise ValueError(f"unknown time zone {name!r}" + (f" ({near[0]}?)" if near else ""))
    return name


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EventsMapping(_Document):
    """How words become events; see :class:`sources.rules.EventRules` for the order of the rules."""

    first: NonEmpty | None = None
    reopening: tuple[NonEmpty, ...] = ()
    words: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)
    otherwise: NonEmpty | None = None

    def rules(self) -> EventRules:
        """Return the rules the readers apply."""
        return EventRules(self.first, self.reopening, dict(self.words), self.otherwise)


class XesMapping(_Document):
    """Mapping of an XES log. The default fits the standard extensions and the logs of VINST (BPI Challenge 2013).

    Attributes
    ----------
    ticket : str
        Attribute of the trace that names the ticket.
    at : str
        Attribute of the event that dates it.
    status : tuple of str
        Attributes of the event that, joined by ``/``, are its status: the field ``status`` and the word the rules
        look at.
    fields : dict of str to str
        Ticket field -> attribute of the event.
    trace_fields : dict of str to str
        Ticket field -> attribute of the trace, set by the first event.
    """

    kind: Literal["XesMapping"] = "XesMapping"
    ticket: NonEmpty = "concept:name"
    at: NonEmpty = "time:timestamp"
    status: tuple[NonEmpty, ...] = Field(("concept:name", "lifecycle:transition"), min_length=1)
    events: EventsMapping = EventsMapping(
        first="created",
        reopening=("Accepted/*", "Queued/*"),
        words={
            "Completed/Resolved": "resolved",
            "Completed/Closed": "closed",
            "Completed/Cancelled": "cancelled",
        },
        otherwise="updated",
    )
    fields: dict[NonEmpty, NonEmpty] = Field(
        default_factory=lambda: {
            "impact": "impact",
            "product": "product",
            "team": "org:group",
            "org_line": "organization involved",
            "country": "organization country",
            "resource": "org:resource",
        }
    )
    trace_fields: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)


class CsvColumns(_Document):
    """Headings of the columns that make an event."""

    ticket: NonEmpty
    at: NonEmpty
    event: NonEmpty
    id: NonEmpty | None = None
    sequence: NonEmpty | None = None


class CsvMapping(_Document):
    """Mapping of a CSV file with a heading line.

    Attributes
    ----------
    columns : CsvColumns
        Headings of ticket, instant, event word and, optionally, id and sequence. Without an id column the id is a
        hash of the row's mapped cells, so the same row in two overlapping exports is one event.
    fields : dict of str to str
        Ticket field -> heading.
    timezone : str or None
        Zone of instants that carry none; without it they are faults. A local time that occurs twice (end of summer
        time) is the first of both; one that does not exist is a fault.
    at_format : str
        ``iso``, ``epoch_ms``, ``epoch_s`` or a pattern of ``strptime``.
    rows : {"snapshots", "changes"}
        snapshots (default): a row shows the whole ticket, an empty cell is no value, and what differs from the row
        before (in event time) is sent. changes: an empty cell says nothing, every filled one is sent.
    """

    kind: Literal["CsvMapping"] = "CsvMapping"
    columns: CsvColumns
    fields: dict[NonEmpty, NonEmpty] = Field(default_factory=dict)
    events: EventsMapping = EventsMapping()
    timezone: Annotated[str, AfterValidator(_known_zone)] | None = None
    at_format: NonEmpty = "iso"
    rows: Literal["snapshots", "changes"] = "snapshots"
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    encoding: NonEmpty = "utf-8-sig"

    def zone(self) -> ZoneInfo | None:
        """Return the zone of instants that carry none."""
        return None if self.timezone is None else ZoneInfo(self.timezone)


M = TypeVar("M", XesMapping, CsvMapping)

_PARTS = frozenset(CsvColumns.model_fields)


def load_document(path: Path) -> dict[str, Any]:
    """Read a mapping file as a plain document.

    Raises
    ------
    SourceError
        If it can't be read, is no YAML or no mapping.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SourceError(path, [error.strerror or str(error)]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SourceError(path, [f"no YAML: {error}"]) from error
    if not isinstance(document, dict):
        raise SourceError(
            path, ["a mapping file is a YAML mapping that starts with `kind: CsvMapping` or `kind: XesMapping`"]
        )
    return document


def parse_mapping(model: type[M], document: Mapping[str, Any], origin: Path) -> M:
    """Build a mapping from a document; ``origin`` is the file faults are reported against.

    Raises
    ------
    SourceError
        With every fault of the document at once, each with its path in the document.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SourceError(origin, list(_faults_of(error, model))) from error


def _faults_of(error: ValidationError, model: type[BaseModel]) -> Iterator[str]:
    for fault in error.errors():
        path = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(fault["loc"][-1]), _names_in(model), n=1)
            yield f"{path}: unknown key" + (f" ({near[0]}?)" if near else "")
        else:
            yield f"{path}: {fault['msg'].removeprefix('Value error, ')}"


def _names_in(model: type[BaseModel]) -> list[str]:
    names = list(model.model_fields)
    for info in model.model_fields.values():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            names += list(info.annotation.model_fields)
    return names


def with_columns(document: Mapping[str, Any], pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return a CSV mapping document with ``name=heading`` pairs of the command line laid over it.

    ``ticket``, ``at``, ``event``, ``id`` and ``sequence`` are columns; every other name is a ticket field.
    """
    columns = {name: heading for name, heading in pairs.items() if name in _PARTS}
    fields = {name: heading for name, heading in pairs.items() if name not in _PARTS}
    return {
        **document,
        "columns": {**document.get("columns", {}), **columns},
        "fields": {**document.get("fields", {}), **fields},
    }
