"""Memory of open tickets: resident bytes per ticket of one engine, and what they are spent on; then a new register.

Run with ``.venv/bin/python -m benchmarks.memory.open_tickets [TICKETS]`` (default 1,000,000; two clocks each, two
events: created and one update).
"""

from __future__ import annotations

import gc
import random
import sys
import time
from pathlib import Path

from benchmarks.workload import START_MS, created, desk_register
from sla.engine import TicketEngine
from sla.events import TicketEvent, rank_of
from sla.units import MINUTE_MS

CHUNK_TICKETS = 2_048


def resident_bytes() -> int:
    """Return the resident set of this process (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("no VmRSS in /proc/self/status")


def fill(engine: TicketEngine, tickets: int) -> None:
    """Create the tickets and update each once; all stay open."""
    draw = random.Random(1)
    for first in range(0, tickets, CHUNK_TICKETS):
        for number in range(first, min(first + CHUNK_TICKETS, tickets)):
            ticket, at_ms = f"INC{number:07d}", START_MS + number % 600_000
            engine.apply(ticket, created(draw, at_ms))
            changes: dict[str, str | None] = {"waiting_for": "customer"}
            uid = draw.getrandbits(63)
            engine.apply(ticket, TicketEvent(at_ms + MINUTE_MS, 0, rank_of("updated"), uid, "updated", changes))
        engine.finish()


def main() -> None:
    """Print the figures."""
    tickets = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    engine = TicketEngine(desk_register(), 1)
    fill(engine, CHUNK_TICKETS)
    engine = TicketEngine(engine.register, 1)
    gc.collect()
    before = resident_bytes()
    fill(engine, tickets)
    gc.collect()
    resident = resident_bytes() - before
    row_bytes = sum(engine.row_bytes(f"INC{number:07d}") for number in range(tickets))
    print(f"{tickets} open tickets, {2 * tickets} clocks: {resident / 1e9:.2f} GB, {resident / tickets:.0f} bytes each")
    rest = (resident - row_bytes) / tickets
    print(f"  rows {row_bytes / tickets:.0f} bytes each; objects, keys, index and due column {rest:.0f}")
    revise(engine, tickets)


def revise(engine: TicketEngine, tickets: int) -> None:
    """Put a register with another calendar in force and print how long it takes until it counts for every ticket.

    The due column is put in order at once; rows are folded again by the sweeps that follow, what is due next first.
    """
    began = time.perf_counter()
    engine.set_register(desk_register(opens="08:00-18:00"), 2)
    in_order = time.perf_counter() - began
    sweeps, longest, more = 0, 0.0, True
    while more:
        sweep_began = time.perf_counter()
        more = engine.advance_to(engine.now_ms)
        engine.finish()
        longest = max(longest, time.perf_counter() - sweep_began)
        sweeps += 1
    seconds = time.perf_counter() - began
    print(
        f"a new register: due column in order after {in_order:.2f} s, all rows folded again after {seconds:.1f} s "
        f"({tickets / seconds:,.0f} tickets/s in {sweeps} sweeps, the longest {longest * 1000:.0f} ms)"
    )


if __name__ == "__main__":
    main()
