"""The only reader of the real clock; everywhere else an instant is an argument."""

from __future__ import annotations

import time

from sla.units import EpochMs


def now_ms() -> EpochMs:
    """Return the present instant of this machine's clock in UTC epoch milliseconds, rounded down.

    Notes
    -----
    It follows the machine's clock, so it can step back when that is corrected; whoever needs an instant that never
    goes back keeps the largest one seen.
    """
    return EpochMs(time.time_ns() // 1_000_000)
