"""What an event costs inside the ticket engine: fold, judge, encode; no Kafka, no JSON.

Run with ``.venv/bin/python -m benchmarks.micro.bench_engine`` (or collect it: ``pytest benchmarks/micro``). Two
streams of 20,000 tickets with five events each on two clocks per ticket: of a quiet desk, where a chunk holds most of a
ticket's life, and of a busy one, where it holds little more than one event of a ticket and most events read a row.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.workload import desk_events, desk_register
from sla.engine import TicketEngine
from sla.events import TicketEvent
from sla.register import Register

CHUNK = 4096
TICKETS = 20_000
RUNS = 7

STREAMS = {"quiet desk": 20.0, "busy desk": 2.0}
"""Days over which the tickets are created."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[str, TicketEvent]).decode


@dataclass
class Cost:
    """CPU seconds by part, and what they bought."""

    events: int
    apply: float = 0.0
    advance: float = 0.0
    finish: float = 0.0
    ticket_rows: int = 0
    bucket_rows: int = 0
    verdicts: int = 0
    alerts: int = 0
    row_bytes: float = 0.0

    @property
    def us_per_event(self) -> float:
        """CPU microseconds per event, all parts."""
        return (self.apply + self.advance + self.finish) / self.events * 1e6


def encoded(stream: str, tickets: int = TICKETS) -> list[bytes]:
    return [_encode(item) for item in desk_events(tickets, days=STREAMS[stream] * tickets / TICKETS)]


def run(register: Register, records: list[bytes]) -> Cost:
    """Feed a stream chunk by chunk; events are decoded outside the measurement, but just before, as in a worker."""
    engine = TicketEngine(register, 1)
    cost = Cost(len(records))
    clock = time.process_time
    for start in range(0, len(records), CHUNK):
        chunk = [_decode(record) for record in records[start : start + CHUNK]]
        began = clock()
        for ticket, event in chunk:
            engine.apply(ticket, event)
        applied = clock()
        more = engine.advance_to(chunk[-1][1].at_ms)
        advanced = clock()
        cost.apply += applied - began
        cost.advance += advanced - applied
        outcomes = [engine.finish()]
        while more:
            more = engine.advance_to(engine.now_ms)
            outcomes.append(engine.finish())
        cost.finish += clock() - advanced
        for outcome in outcomes:
            tickets = sum(key[:1] == b"t" for key in outcome.rows)
            cost.ticket_rows += tickets
            cost.bucket_rows += len(outcome.rows) - tickets
            cost.verdicts += len(outcome.verdicts)
            cost.alerts += len(outcome.alerts)
    cost.row_bytes = sum(engine.row_bytes(ticket) for ticket, _ in engine.tickets()) / len(engine)
    return cost


@pytest.mark.parametrize("stream", STREAMS)
def test_cost_of_an_event(benchmark: BenchmarkFixture, stream: str) -> None:
    register, records = desk_register(), encoded(stream, tickets=2_000)
    cost = benchmark(run, register, records)
    assert cost.verdicts >= 4_000, "every ticket is resolved"


def main() -> None:
    """Print microseconds per event: the least of some runs, for other load only adds, and the median."""
    register = desk_register()
    streams = {name: encoded(name) for name in STREAMS}
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as in a worker
    for name, records in streams.items():
        costs = sorted((run(register, records) for _ in range(RUNS)), key=lambda cost: cost.us_per_event)
        best, median = costs[0], costs[RUNS // 2]
        per_event = 1e6 / best.events
        print(f"{name}: {best.us_per_event:.1f} us/event (median of {RUNS}: {median.us_per_event:.1f})")
        print(
            f"  apply {best.apply * per_event:.1f}, advance {best.advance * per_event:.1f}, "
            f"finish {best.finish * per_event:.1f}; chunks of {CHUNK}"
        )
        print(
            f"  {best.events} events: {best.ticket_rows} ticket rows of {best.row_bytes:.0f} bytes, "
            f"{best.bucket_rows} bucket rows, {best.verdicts} verdicts, {best.alerts} alerts"
        )


if __name__ == "__main__":
    main()
