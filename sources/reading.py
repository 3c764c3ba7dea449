"""Reading any source: the reader by the file's name, and one global order of event time over all tickets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sources.csv_file import read_csv
from sources.faults import FaultLog, SourceError
from sources.jsonl import read_jsonl
from sources.mapping import CsvMapping, XesMapping, load_document, parse_mapping, with_columns
from sources.record import FieldValue, SourceEvent
from sources.xes import read_xes

_KINDS = {"xes": "xes", "csv": "csv", "jsonl": "jsonl", "ndjson": "jsonl"}


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says about a file.

    Attributes
    ----------
    mapping : Path or None
        Mapping file (XES, CSV); None: the built-in mapping for XES, the command line's columns for CSV.
    columns : mapping of str to str
        CSV: ``name=heading`` pairs laid over the mapping file.
    timezone : str or None
        CSV: zone of local times; wins over the mapping file.
    constants : mapping of str to value
        Fields set on every ticket by its first event; whatever the source says about them is left out.
    skip_faults : bool
        Leave faulty rows out and count them instead of refusing the file.
    """

    mapping: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    timezone: str | None = None
    constants: Mapping[str, FieldValue] = field(default_factory=dict)
    skip_faults: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """A source that was read: its events in global order, and the faults left out."""

    events: list[SourceEvent]
    faults: FaultLog


def read_source(path: Path, options: ReadOptions | None = None) -> Reading:
    """Read a file and order its events by event time over all tickets.

    The kind of source follows from the name: ``.xes``, ``.csv``, ``.jsonl`` or ``.ndjson``, each also with ``.gz``.
    All events are held in memory (roughly 1 kB each): a global order needs the last case before the first event.

    Raises
    ------
    SourceError
        If the file or its mapping can't be read, or holds faults and ``skip_faults`` is not set.
    """
    options = options or ReadOptions()
    faults = FaultLog(path)
    events = list(in_global_order(_reader(path, options)(faults), options.constants))
    if faults.total and not options.skip_faults:
        raise faults.error()
    return Reading(events, faults)


def in_global_order(
    events: Iterable[SourceEvent], constants: Mapping[str, FieldValue] | None = None
) -> Iterator[SourceEvent]:
    """Yield events by (instant, ticket, sequence, precedence of the kind, id), with constant fields laid over them.

    The order does not depend on the order of the input.
    """
    ordered = sorted(events, key=lambda event: event.order)
    if not constants:
        yield from ordered
        return
    opened: set[str] = set()
    for event in ordered:
        changes = {name: value for name, value in event.fields.items() if name not in constants}
        if event.ticket not in opened:
            opened.add(event.ticket)
            changes |= constants
        yield SourceEvent(event.ticket, event.at_ms, event.id, event.event, event.sequence, changes)


def _reader(path: Path, options: ReadOptions) -> Callable[[FaultLog], Iterator[SourceEvent]]:
    kind = _kind_of(path)
    if kind != "csv" and (options.columns or options.timezone):
        raise SourceError(path, ["--map and --timezone are for CSV files only"])
    document = {} if options.mapping is None else load_document(options.mapping)
    origin = options.mapping or path
    match kind:
        case "xes":
            xes = parse_mapping(XesMapping, document, origin)
            return lambda faults: read_xes(path, xes, faults)
        case "csv":
            if not document and not options.columns:
                raise SourceError(
                    path, ["a CSV file needs a mapping: --mapping FILE, or --map ticket=Number,at=Updated,event=State"]
                )
            document = with_columns(document, options.columns)
            if options.timezone is not None:
                document["timezone"] = options.timezone
            table = parse_mapping(CsvMapping, document, origin)
            return lambda faults: read_csv(path, table, faults)
        case _:
            if options.mapping is not None:
                raise SourceError(options.mapping, ["JSON lines are ticket events already: they take no mapping"])
            return lambda faults: read_jsonl(path, faults)


def _kind_of(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    kind = _KINDS.get(name.rpartition(".")[2])
    if kind is None:
        raise SourceError(
            path, ["unknown kind of source: the name has to end in .xes, .csv, .jsonl or .ndjson (or that and .gz)"]
        )
    return kind
