"""Reader of CSV exports with a heading line: each row is an event of a ticket."""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sla.events import FEEDBACK
from sla.units import ms_of
from sources.faults import FaultLog, SourceError
from sources.files import open_source
from sources.mapping import CsvMapping
from sources.record import FieldValue, SourceEvent, changes_between, checked_instant
from sources.rules import VOCABULARY, is_over_after


@dataclass(slots=True)
class _Row:
    """One row of a ticket, not yet classified: that needs the order of its ticket's rows in event time."""

    line: int
    at_ms: int
    sequence: int | None
    id: str
    word: str
    cells: dict[str, FieldValue] = field(default_factory=dict)


def read_csv(path: Path, mapping: CsvMapping, faults: FaultLog) -> Iterator[SourceEvent]:
    """Yield the events of a CSV file, ticket by ticket in the order of their first rows.

    Parameters
    ----------
    path : Path
        The file; gzipped if its name ends in ``.gz``.
    mapping : CsvMapping
        Which column is what.
    faults : FaultLog
        Takes faults of single rows with their line numbers (the first line of a row that runs over several); these
        rows are left out.

    Raises
    ------
    SourceError
        If the file can't be read or a mapped column is missing.

    Notes
    -----
    Without a sequence column, ``sequence`` counts a ticket's rows of one instant, in the order they happened.
    """
    tickets: dict[str, list[_Row]] = {}
    with open_source(path) as stream, io.TextIOWrapper(stream, encoding=mapping.encoding, newline="") as text:
        try:
            for ticket, row in _rows(path, text, mapping, faults):
                tickets.setdefault(ticket, []).append(row)
        except (UnicodeDecodeError, LookupError) as error:
            raise SourceError(path, [f"not in the encoding {mapping.encoding}: {error}"]) from error
        except csv.Error as error:
            raise SourceError(path, [f"no CSV: {error}"]) from error
    for ticket, rows in tickets.items():
        yield from _classified(ticket, rows, mapping, faults)


def _rows(path: Path, text: io.TextIOWrapper, mapping: CsvMapping, faults: FaultLog) -> Iterator[tuple[str, _Row]]:
    reader = csv.reader(text, delimiter=mapping.delimiter, strict=True)
    headings = next(reader, None)
    if headings is None:
        raise SourceError(path, ["is empty: a heading line is needed"])
    place = _places(path, [heading.strip() for heading in headings], mapping)
    zone = mapping.zone()
    columns = mapping.columns
    ends_at = reader.line_num
    for cells in reader:
        line, ends_at = ends_at + 1, reader.line_num
        if not cells:
            continue  # a blank line
        where = f"line {line}"
        if len(cells) != len(headings):
            faults.add(where, f"has {len(cells)} cells where the heading has {len(headings)}")
            continue

        def cell(heading: str, cells: list[str] = cells) -> str:
            return cells[place[heading]].strip()

        ticket, word = cell(columns.ticket), cell(columns.event)
        missing = [heading for heading in (columns.ticket, columns.at, columns.event) if not cell(heading)]
        if missing:
            faults.add(where, "empty: " + ", ".join(missing))
            continue
        try:
            at_ms = instant_of(cell(columns.at), mapping.at_format, zone)
            sequence = _sequence(cell(columns.sequence)) if columns.sequence else None
        except ValueError as error:
            faults.add(where, str(error))
            continue
        filled: dict[str, FieldValue] = {
            name: value for name, heading in mapping.fields.items() if (value := cell(heading))
        }
        uid = cell(columns.id) if columns.id else ""
        if columns.id and not uid:
            faults.add(where, f"empty: {columns.id}")
            continue
        yield (
            ticket,
            _Row(line, at_ms, sequence, uid or _content_id(ticket, at_ms, sequence, word, filled), word, filled),
        )


def _places(path: Path, headings: list[str], mapping: CsvMapping) -> dict[str, int]:
    place = {heading: index for index, heading in enumerate(headings)}
    columns = mapping.columns
    wanted = [columns.ticket, columns.at, columns.event, columns.id, columns.sequence, *mapping.fields.values()]
    missing = sorted({heading for heading in wanted if heading is not None and heading not in place})
    if missing:
        faults = []
        for heading in missing:
            near = difflib.get_close_matches(heading, headings, n=1)
            hint = f" ({near[0]}?)" if near else f"; the file has: {', '.join(headings)}"
            faults.append(f"line 1: no column {heading!r}{hint}")
        raise SourceError(path, faults)
    return place


def _sequence(text: str) -> int | None:
    if not text:
        return None
    try:
        sequence = int(text)
    except ValueError as error:
        raise ValueError(f"sequence {text!r} is no whole number") from error
    if not 0 <= sequence < 2**63:
        raise ValueError(f"sequence {text!r} is negative or too large")
    return sequence


def instant_of(text: str, at_format: str, zone: ZoneInfo | None) -> int:
    """Return the instant (UTC epoch ms) that a cell writes.

    Parameters
    ----------
    text : str
        The cell.
    at_format : str
        ``iso``, ``epoch_ms``, ``epoch_s`` or a pattern of ``strptime``.
    zone : ZoneInfo or None
        Zone of local times.

    Raises
    ------
    ValueError
        If the text does not fit, is a local time and there is no zone, or names a local time that the zone skips.

    Notes
    -----
    Of a local time that occurs twice the first is taken.
    """
    match at_format:
        case "epoch_ms":
            return checked_instant(int(text))
        case "epoch_s":
            return checked_instant(round(float(text) * 1000))
        case "iso":
            try:
                local = datetime.fromisoformat(text)
            except ValueError as error:
                raise ValueError(f"{text!r} is no ISO 8601 instant; see at_format") from error
        case _:
            # The zone follows below, from the text itself (%z) or from the mapping.
            local = datetime.strptime(text, at_format)  # noqa: DTZ007
    if local.tzinfo is not None:
        return checked_instant(ms_of(local))
    if zone is None:
        raise ValueError(f"{text!r} has no time zone: name the file's zone with `timezone` or --timezone")
    aware = local.replace(tzinfo=zone)
    if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise ValueError(f"{text!r} does not exist in {zone.key}: clocks were put forward")
    return checked_instant(ms_of(aware))


def _content_id(ticket: str, at_ms: int, sequence: int | None, word: str, cells: dict[str, FieldValue]) -> str:
    """Name a row by what it says, so that it keeps its id in another export, at another line."""
    content = repr((at_ms, sequence, word, sorted(cells.items())))
    return f"{ticket}/{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"


def _classified(ticket: str, rows: list[_Row], mapping: CsvMapping, faults: FaultLog) -> Iterator[SourceEvent]:
    rules = mapping.events.rules()
    snapshots = mapping.rows == "snapshots"
    current: dict[str, FieldValue] = {}
    lines: dict[str, tuple[int, tuple[object, ...]]] = {}
    over = False
    is_first = True
    last_ms, tie = -1, 0
    for row in _in_time_order(rows):
        said = (row.at_ms, row.sequence, row.word, row.cells)
        if (earlier := lines.setdefault(row.id, (row.line, said)))[0] != row.line:
            # The same row again is one event; another one under its id would be dropped as a duplicate.
            if earlier[1] != said:
                faults.add(
                    f"line {row.line}", f"id {row.id!r} is taken by line {earlier[0]}, which says something else"
                )
            continue
        event = rules.event_of(row.word, is_first=is_first, is_over=over)
        if event is None:
            known = [*rules.words, *VOCABULARY]
            near = difflib.get_close_matches(row.word, known, n=1)
            hint = f"({near[0]}?)" if near else "; add it to events.words or say events.otherwise"
            faults.add(f"line {row.line}", f"no rule says what {row.word!r} means {hint}")
            continue
        if event == FEEDBACK or not snapshots:
            changes: dict[str, FieldValue | None] = dict(row.cells)
        else:
            changes = changes_between(current, row.cells)
            current = row.cells
        over = is_over_after(event, was_over=over)
        is_first = False
        tie = tie + 1 if row.at_ms == last_ms else 0
        last_ms = row.at_ms
        sequence = row.sequence if mapping.columns.sequence else tie
        yield SourceEvent(ticket, row.at_ms, row.id, event, sequence, changes)


def _in_time_order(rows: list[_Row]) -> list[_Row]:
    """Order the rows of one ticket by event time.

    Rows of one instant (exports have whole seconds) stand in the order of their lines, and in the reverse order where
    the ticket's rows run from newest to oldest, as many exports do.
    """
    step = -1 if rows[0].at_ms > rows[-1].at_ms else 1
    return sorted(rows, key=lambda row: (row.at_ms, row.sequence or 0, step * row.line))
