"""Free TCP ports on the loopback address for servers that we start ourselves."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import TextIO

HOST = "127.0.0.1"
_LOWEST = 20_000
_DEFAULT_EPHEMERAL_LOW = 32_768
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ATTEMPTS = 500


class PortReservation:
    """A loopback port that is free and that no other process of ours will choose until `release`.

    Asking the kernel for "any port" and closing it again, as is common, is a trap for a server that is stopped and
    started again on its port: such ports lie in the range of which outgoing connections get theirs, so that while the
    server is down a client that keeps trying to connect can be given exactly this port, connect to itself, and hold it.
    So ports are taken from below that range, and a lock file keeps two processes that look at the same time apart.
    """

    def __init__(self, port: int, lock: TextIO) -> None:
        self.port = port
        self._lock = lock

    def release(self) -> None:
        """Give the port back. Idempotent."""
        self._lock.close()


def reserve_port() -> PortReservation:
    """Reserve a free loopback port.

    Raises
    ------
    OSError
        No free port was found.
    """
    below = _ephemeral_low()
    folder = Path(tempfile.gettempdir()) / f"slawatch-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    chooser = random.SystemRandom()  # two processes forked from one must not draw the same numbers
    for _ in range(_ATTEMPTS):
        port = chooser.randrange(_LOWEST, below)
        lock = (folder / str(port)).open("w", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        if is_free(port):
            return PortReservation(port, lock)
        lock.close()
    raise OSError(f"no free port between {_LOWEST} and {below} on {HOST}")


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do: a port is free also while old connections of it are in TIME_WAIT.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Return whether a server accepts connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex((HOST, port)) == 0


def port_is_taken(port: int) -> str:
    """Return what a person is told when the port that was asked for is not free."""
    return f"port {port} on {HOST} is taken by another program: stop it, or choose another port (0 takes a free one)"


def _ephemeral_low() -> int:
    try:
        low = int(_EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        low = _DEFAULT_EPHEMERAL_LOW
    # A machine may give nearly all ports to outgoing connections; then any port is as good as another.
    return low if low > _LOWEST + 1000 else 60_000
