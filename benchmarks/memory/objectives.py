"""Memory of objectives over 90 days: resident bytes per objective, how fast they are restored, what a minute costs.

Run with ``.venv/bin/python -m benchmarks.memory.objectives [OBJECTIVES] [KIND]`` (default 10,000, every kind):

* ``slices``: availability by slices of a minute, all of them told, with what is known of them;
* ``tickets``: 60 decided clocks a working day, from 12 source partitions;
* ``requests``: around 1,000 requests a minute, another number each minute, nearly every minute with failures: the most
  that an objective can need.

State rows go in as a restore brings them: the rows themselves are not kept by this command.
"""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

from benchmarks.memory.open_tickets import resident_bytes
from config.burn_policy import load_burn_policy
from sla.availability import Availability
from sla.contract import Contract, ContractType, Level, Window
from sla.minute_counts import MinuteRing
from sla.objective import SEALED_AFTER_MS, ObjectiveEngine
from sla.objective_rows import Piece, PieceKind, encode_instant, encode_text, encode_watch
from sla.register import Register
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, NEVER

DAYS = 90
END_MS = 20_000 * DAY_MS + 12 * HOUR_MS
TEMPLATES = 8
SOURCES = 12
KINDS = ("slices", "tickets", "requests")
MINUTES = 5
EVENTS = {"slices": 1, "tickets": 1, "requests": 1_000}
"""Events of a minute."""

Rows = list[tuple[bytes, bytes]]


def pieces(ring: MinuteRing, kind: PieceKind) -> Iterator[tuple[PieceKind, int, bytes]]:
    """Yield a ring's rows as they are at its end: sealed days, and hours of the last ones."""
    hours = {number: piece for _, number, piece in ring.changes()}
    for day in ring.open_days(END_MS - SEALED_AFTER_MS):
        sealed = ring.seal(day)
        assert sealed is not None
        yield kind.day, day, sealed[0]
        for hour in sealed[1]:
            del hours[hour]
    for hour, piece in hours.items():
        yield kind, hour, piece


def template(kind: str, seed: int) -> list[tuple[PieceKind, int, int, bytes]]:
    """Return the rows of one objective: (kind of piece, source, number, piece)."""
    draw = random.Random(seed)
    rings = [MinuteRing() for _ in range(SOURCES if kind == "tickets" else 1)]
    known = MinuteRing()
    for minute_ms in range(END_MS - DAYS * DAY_MS, END_MS, MINUTE_MS):
        match kind:
            case "slices":
                bad = int(draw.random() < 0.0005)
                rings[0].put(minute_ms, 1 - bad, bad)
                known.put(minute_ms, 1, 0)
            case "requests":
                rings[0].put(minute_ms, draw.randrange(900, 1100), draw.choice((0, 1, 1, 2, 3)))
                known.put(minute_ms, 1, 0)
            case _:
                is_open = minute_ms // DAY_MS % 7 < 5 and 8 <= minute_ms // HOUR_MS % 24 < 17
                if is_open and draw.random() < 60 / 540:
                    bad = int(draw.random() < 0.05)
                    rings[draw.randrange(SOURCES)].put(minute_ms, 1 - bad, bad)
    found = [
        (piece_kind, source, number, piece)
        for source, ring in enumerate(rings)
        for piece_kind, number, piece in pieces(ring, PieceKind.COUNTS_HOUR)
    ]
    found += [(piece_kind, 0, number, piece) for piece_kind, number, piece in pieces(known, PieceKind.KNOWN_HOUR)]
    return found


def register(objectives: int) -> Register:
    """Return a register of availability objectives; what is counted does not depend on what it is called."""
    window = Window(rolling_ms=DAYS * DAY_MS, period=None)
    promised = tuple(
        Availability(f"o{n:05d}", "c", ContractType.SLA, 1, 0, NEVER, f"s{n}", Fraction(999, 1000), window)
        for n in range(objectives)
    )
    return Register([Contract("c", ContractType.SLA, Level.CUSTOMER, "it", "owner", availabilities=promised)], {})


def rows_of(kind: str, objectives: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows of all objectives, every value a string of bytes of its own."""
    templates = [[(*head, encode_text(piece)) for *head, piece in template(kind, seed)] for seed in range(TEMPLATES)]
    for number in range(objectives):
        for piece_kind, source, piece_number, row in templates[number % TEMPLATES]:
            name = "" if piece_kind.is_known else f"sla.uptime/{source}"
            yield Piece(piece_kind, piece_number, name, f"o{number:05d}").key, row[:1] + row[1:]
    for source in range(SOURCES):
        yield b"p" + f"sla.uptime/{source}".encode(), encode_instant(END_MS)
    yield b"w", encode_watch([-1, -1, END_MS - DAYS * DAY_MS, END_MS])


def minute(engine: ObjectiveEngine, objectives: int, now_ms: int, bad: int, events: int = 1) -> float:
    """Tell every objective its minute, in which all events are bad or none is, and the time; return CPU seconds."""
    began = time.process_time()
    for number in range(objectives):
        counts = (events * (1 - bad), events * bad)
        source = f"sla.uptime/{number % SOURCES}"
        engine.count(f"o{number:05d}", now_ms, source, *counts, known_minutes=1, expected_minutes=1)
    for source in range(SOURCES):
        engine.progress(f"sla.uptime/{source}", now_ms + MINUTE_MS)
    engine.finish()
    return time.process_time() - began


def measure(kind: str, objectives: int) -> None:
    """Print the figures of one kind."""
    sources = frozenset(f"sla.uptime/{source}" for source in range(SOURCES))
    of = register(objectives)
    engine = ObjectiveEngine(of, frozenset(), policy=load_burn_policy(), uptime_sources=sources)
    gc.collect()
    before = resident_bytes()
    count = size = 0
    seconds = 0.0
    rows = rows_of(kind, objectives)
    next_rows: Rows = []
    for row in rows:
        next_rows.append(row)
        count += 1
        size += len(row[0]) + len(row[1])
        if len(next_rows) == 10_000:
            began = time.process_time()
            engine.load(next_rows)
            seconds += time.process_time() - began
            next_rows = []
    engine.load(next_rows)
    del next_rows
    gc.collect()
    resident = resident_bytes() - before
    print(
        f"{kind}: {objectives} objectives over {DAYS} days: {resident / 1e6:.0f} MB, {resident / objectives:.0f} B each"
    )
    print(f"  {count} rows, {size / 1e6:.0f} MB; taken over in {seconds:.1f} s of CPU")
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as in a worker
    events = EVENTS[kind]
    first = minute(engine, objectives, END_MS, 0, events)
    steady = [minute(engine, objectives, END_MS + (1 + n) * MINUTE_MS, 0, events) for n in range(MINUTES)]
    mean = sum(steady) / MINUTES
    print(f"  the first minute {first:.2f} s of CPU, then {mean:.2f} s: {mean / 60:.1%} of a core")


def main() -> None:
    """Print the figures."""
    objectives = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for kind in sys.argv[2:] or KINDS:
        measure(kind, objectives)


if __name__ == "__main__":
    main()
