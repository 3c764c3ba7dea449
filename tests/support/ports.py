"""Ports for tests that start a server, or that need one where none listens."""

from __future__ import annotations

from streams.loopback_ports import reserve_port


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    reservation = reserve_port()
    reservation.release()
    return reservation.port
