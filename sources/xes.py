"""Reader of XES logs (IEEE 1849), plain or gzipped: each case is a ticket.

What the default mapping makes of an event, first rule first:

==============================================  ============
event                                           becomes
==============================================  ============
the first of its case                           ``created``
``Accepted/*`` or ``Queued/*`` while the ticket ``reopened``
is resolved, closed or cancelled
status ``Completed/Resolved``                   ``resolved``
status ``Completed/Closed``                     ``closed``
status ``Completed/Cancelled``                  ``cancelled``
any other                                       ``updated``
==============================================  ============

``status`` is ``concept:name/lifecycle:transition``. The first event carries every mapped field, later ones what
changed. ``sequence`` is the event's index in its trace and its id ``<ticket>/<index>``. The standard asks for the
events of a trace in the order of time but logs exist that break it, so a trace is put in the order of (instant, index)
first: its earliest event is the creation.

The incident log of the BPI Challenge 2013 keeps that order: of its 65,533 events in 7,554 cases none is earlier than
the one before it in its trace and no two of a trace share an instant (resolution: one second). Two things a contract
on it has to know: 1,882 cases end in ``Completed/In Call`` (solved on the phone), which the default mapping makes
``updated``, so name that status in the stop condition; 3 cases start with ``Completed/Resolved``, which makes them
``created``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

# Entity bombs are refused by expat itself (2.4 and later limit amplification), external entities are not loaded.
from xml.etree import ElementTree as ET

from sla.errors import UnitError
from sla.units import parse_instant
from sources.faults import FaultLog, SourceError
from sources.files import open_source
from sources.mapping import XesMapping
from sources.record import FieldValue, SourceEvent, changes_between, checked_instant
from sources.rules import is_over_after

Attributes = dict[str, FieldValue]

_TYPED = frozenset({"string", "date", "int", "float", "boolean", "id"})


def read_xes(path: Path, mapping: XesMapping, faults: FaultLog) -> Iterator[SourceEvent]:
    """Yield the events of a log, case by case in the file's order; memory is bounded by the largest trace.

    Parameters
    ----------
    path : Path
        ``.xes`` or ``.xes.gz``.
    mapping : XesMapping
        Which attribute is what.
    faults : FaultLog
        Takes faults of single events and cases; these are left out.

    Raises
    ------
    SourceError
        If the file is no XML, is damaged, or is not an XES log.
    """
    seen: set[str] = set()
    with open_source(path) as stream:
        for number, trace in enumerate(_traces(path, stream), start=1):
            trace_attributes = _attributes(trace)
            ticket = str(trace_attributes.get(mapping.ticket, ""))
            if not ticket:
                faults.add(f"case {number}", f"has no attribute {mapping.ticket!r} to name its ticket")
            elif ticket in seen:
                # Event ids are <ticket>/<index>: a second trace would silently replace the first.
                faults.add(f"case {number}", f"ticket {ticket!r} has a trace already; merge the traces of one case")
            else:
                seen.add(ticket)
                yield from _events(ticket, trace, trace_attributes, mapping, faults)


def _traces(path: Path, stream: BinaryIO) -> Iterator[ET.Element]:
    root: ET.Element | None = None
    try:
        for moment, element in ET.iterparse(stream, events=("start", "end")):  # noqa: S314
            if root is None:
                root = element
                if _local_name(element.tag) != "log":
                    raise SourceError(path, [f"not an XES log: its root is <{_local_name(element.tag)}>, not <log>"])
            elif moment == "end" and _local_name(element.tag) == "trace":
                yield element
                root.clear()  # drops the trace just read: memory stays at one trace
    except ET.ParseError as error:
        raise SourceError(path, [f"not well-formed XML: {error}"]) from error


def _events(
    ticket: str, trace: ET.Element, trace_attributes: Attributes, mapping: XesMapping, faults: FaultLog
) -> Iterator[SourceEvent]:
    rows: list[tuple[int, int, Attributes]] = []
    for index, element in enumerate(child for child in trace if _local_name(child.tag) == "event"):
        attributes = _attributes(element)
        text = attributes.get(mapping.at)
        if text is None:
            faults.add(f"ticket {ticket!r}, event {index}", f"has no attribute {mapping.at!r}")
            continue
        try:
            rows.append((checked_instant(parse_instant(str(text))), index, attributes))
        except UnitError as error:
            faults.add(f"ticket {ticket!r}, event {index}", str(error))
    rows.sort(key=lambda row: row[:2])

    rules = mapping.events.rules()
    current: Attributes = {}
    over = False
    for place, (at_ms, index, attributes) in enumerate(rows):
        status = "/".join(str(attributes[name]) for name in mapping.status if name in attributes)
        event = rules.event_of(status, is_first=place == 0, is_over=over)
        if event is None:
            faults.add(f"ticket {ticket!r}, event {index}", f"no rule says what status {status!r} means")
            continue
        over = is_over_after(event, was_over=over)
        after: Attributes = {field: attributes[name] for field, name in mapping.fields.items() if name in attributes}
        if status:
            after["status"] = status
        after |= {name: trace_attributes[key] for name, key in mapping.trace_fields.items() if key in trace_attributes}
        yield SourceEvent(ticket, at_ms, f"{ticket}/{index}", event, index, changes_between(current, after))
        current = after


def _attributes(element: ET.Element) -> Attributes:
    attributes: Attributes = {}
    for child in element:
        kind = _local_name(child.tag)
        key, text = child.get("key"), child.get("value")
        if kind in _TYPED and key is not None and text is not None:
            value = _value(kind, text)
            if value is not None:
                attributes[key] = value
    return attributes


def _value(kind: str, text: str) -> FieldValue | None:
    """Return the value of a typed attribute; text that does not fit it stays text, NaN and infinity are no value."""
    try:
        match kind:
            case "int":
                return int(text)
            case "float":
                number = float(text)
                return number if math.isfinite(number) else None
            case "boolean":
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            case _:
                return text
    except (ValueError, KeyError):
        return text


@lru_cache(64)  # a log has a dozen of them, asked for two million times
def _local_name(tag: str) -> str:
    return tag.rpartition("}")[2]
