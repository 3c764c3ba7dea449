"""Reader of JSON lines: the public ticket event, one a line, as it is sent to Kafka."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from sla.errors import UnitError
from sla.events import FEEDBACK
from sla.units import parse_instant
from sources.faults import FaultLog
from sources.files import open_source
from sources.record import WIRE_VERSION, FieldValue, SourceEvent, checked_instant

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Line(msgspec.Struct):
    """The public event; ``event`` is needed in type ``ticket`` only."""

    version: int
    ticket: _Text
    at: str | int
    event: _Text | None = None
    fields: dict[_Text, FieldValue | None] = {}
    id: _Text | None = None
    sequence: _Sequence | None = None
    type: Literal["ticket", "feedback"] = "ticket"


class _Envelope(msgspec.Struct):
    """What is read first: it decides what the rest means."""

    version: int
    type: str = "ticket"


class _RefusedError(Exception):
    """A line that is well-formed but does not belong in a file."""


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_line = msgspec.json.Decoder(_Line).decode

# msgspec raises the first for JSON that does not fit; the last two are for text that is not UTF-8 and JSON nested
# deeper than the stack.
_BAD_LINE = (msgspec.MsgspecError, UnitError, _RefusedError, UnicodeDecodeError, RecursionError)


def read_jsonl(path: Path, faults: FaultLog) -> Iterator[SourceEvent]:
    """Yield the events of a file of JSON lines in its order; unknown fields are ignored, wrong types are faults.

    Parameters
    ----------
    path : Path
        The file; gzipped if its name ends in ``.gz``.
    faults : FaultLog
        Takes faults of single lines with their numbers; these lines are left out. A heartbeat is a fault: the player
        makes its own, one in the file would claim what it can't know.

    Raises
    ------
    SourceError
        If the file can't be read.
    """
    lines: dict[tuple[str, str], tuple[int, SourceEvent]] = {}
    with open_source(path) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                event = _event_of(line)
            except _BAD_LINE as error:
                faults.add(f"line {number}", str(error))
                continue
            first, same = lines.setdefault((event.ticket, event.id), (number, event))
            if first == number:
                yield event
            elif same != event:
                # The same event again is harmless; another one under its id would be dropped as a duplicate.
                faults.add(f"line {number}", f"id {event.id!r} is taken by line {first}, which says something else")


def _event_of(line: bytes) -> SourceEvent:
    envelope = _decode_envelope(line)
    if envelope.version != WIRE_VERSION:
        raise _RefusedError(f"version {envelope.version} is unknown: this release reads version {WIRE_VERSION}")
    if envelope.type == "heartbeat":
        raise _RefusedError("heartbeats don't belong in a file: the player makes them")
    document = _decode_line(line)
    event = FEEDBACK if document.type == "feedback" else document.event
    if event is None:
        raise _RefusedError("`event` is missing: say what happened (created, updated, resolved, ...)")
    at_ms = checked_instant(document.at if isinstance(document.at, int) else parse_instant(document.at))
    # Without an id an event is what it says: written twice, it is one.
    uid = document.id or hashlib.blake2b(line.strip(), digest_size=8).hexdigest()
    return SourceEvent(document.ticket, at_ms, uid, event, document.sequence, document.fields)
