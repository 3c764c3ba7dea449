"""Plays a log through the ticket processor without Kafka: the records, the steps and the outputs are the real ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.register_view import RegisterView, compile_register
from agents.ticket_processor import TicketProcessor
from cli.state import ClockLine, clock_lines
from cli.verdicts import VerdictBook
from config.documents import calendar_document, contract_document
from config.loader import load_agreements
from config.settings import EngineSettings, Settings
from export.catalogue import EventResult
from sla.events import Reason
from sources.reading import ReadOptions, read_source
from sources.record import heartbeat_to_wire, to_wire
from sources.schedule import Beat, schedule
from streams.codecs import partition_of
from streams.register_topics import DocumentKind, RegisterSnapshot
from streams.state_rows import Output, Position, provenance
from streams.topics import VERDICTS, Topics

CONTRACTS = Path(__file__).parents[2] / "config" / "contracts"


@dataclass
class Record:
    """A record as the lane hands it over."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "sla.tickets"
    partition: int = 0


class NoObserver:
    """Counts what was rejected, nothing else."""

    def __init__(self) -> None:
        self.rejected: list[Reason] = []

    def events(self, topic: str, result: EventResult, count: int) -> None: ...

    def dead_letter(self, reason: Reason) -> None:
        self.rejected.append(reason)

    def engine_counts(self, counts: Mapping[str, int]) -> None: ...


def example_register() -> RegisterView:
    """Return the register with the example contracts."""
    agreements = load_agreements([CONTRACTS])
    documents = {(DocumentKind.CALENDAR, name): calendar_document(of) for name, of in agreements.calendars.items()}
    documents |= {(DocumentKind.CONTRACT, name): contract_document(of) for name, of in agreements.contracts.items()}
    view = compile_register(RegisterSnapshot(documents))
    assert not view.faults
    return view


def records_of(log: Path, partitions: int, *, heartbeat_every_ms: int = 3_600_000) -> list[list[Record]]:
    """Return the records of each partition as the player would send them."""
    events = read_source(log, ReadOptions(constants={"source": "bpi2013"})).events
    records: list[list[Record]] = [[] for _ in range(partitions)]
    for item in schedule(events, heartbeat_every_ms=heartbeat_every_ms):
        if isinstance(item, Beat):
            for of_partition in records:
                of_partition.append(Record(len(of_partition), b"heartbeat", heartbeat_to_wire(item.at_ms)))
        else:
            of_partition = records[partition_of(item.key, partitions)]
            of_partition.append(Record(len(of_partition), item.key, to_wire(item)))
    return records


@dataclass
class Replayed:
    """What a replay leaves: verdicts in force, clocks kept, all outputs, and what was rejected."""

    verdicts: dict[str, bytes]
    clocks: dict[str, ClockLine]
    outputs: list[Output]
    rejected: list[Reason]


def replay(
    records: list[list[Record]], view: RegisterView, *, draw: random.Random, largest_chunk: int, **engine: Any
) -> Replayed:
    """Play records through one processor per partition, in chunks of random size, with a restart now and then."""
    settings = Settings(engine={"clock": "event", **engine}, topics={"partitions": len(records)})
    topics = Topics(settings)
    book, clocks, outputs, observer = VerdictBook(), {}, [], NoObserver()
    for number, of_partition in enumerate(records):
        rows: dict[bytes, bytes] = {}
        position = Position()
        processor = _processor(number, topics, settings.engine, observer, rows, position, view)
        start = 0
        while start < len(of_partition):
            chunk = of_partition[start : start + draw.randint(1, largest_chunk)]
            start += len(chunk)
            for step in _steps(processor, chunk):
                position.seq += 1
                position.now_ms = processor.now_ms
                for key, row in step.rows.items():
                    rows.pop(key, None) if row is None else rows.__setitem__(key, row)
                for index, output in enumerate(step.outputs):
                    headers = (*output.headers, *provenance(f"sla.tickets/{number}", position.seq, index))
                    outputs.append(output)
                    if output.topic == topics.name(VERDICTS):
                        book.take(Record(0, output.key, output.value, 0, headers))
            if draw.random() < 0.02:
                processor = _processor(number, topics, settings.engine, observer, rows, position, view)
        from streams.state_rows import POSITION_KEY, encode_position

        rows[POSITION_KEY] = encode_position(position)
        settle_ms = int(settings.engine.settle_seconds * 1000)
        clocks.update({line.clock_id: line for line in clock_lines(rows, view.register, settle_ms)})
    assert not book.unreadable
    return Replayed({v.clock_id: v.line for v in book.in_force()}, clocks, outputs, observer.rejected)


def _processor(
    number: int,
    topics: Topics,
    engine: EngineSettings,
    observer: NoObserver,
    rows: dict[bytes, bytes],
    position: Position,
    view: RegisterView,
) -> TicketProcessor:
    processor = TicketProcessor(number, topics, engine, observer)
    processor.restore(dict(rows), position, view)
    return processor


def _steps(processor: TicketProcessor, chunk: list[Record]) -> Iterator[Any]:
    index = 0
    while index < len(chunk):
        index = processor.read(chunk, index)
        more = processor.advance(None)
        yield processor.finish()
        while more:
            more = processor.advance(None)
            yield processor.finish()
