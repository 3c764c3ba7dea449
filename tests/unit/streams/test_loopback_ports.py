import socket
from pathlib import Path

from streams.loopback_ports import HOST, is_free, is_listening, reserve_port


def test_reserved_ports_differ_and_can_be_listened_on():
    reservations = [reserve_port() for _ in range(20)]

    assert len({reservation.port for reservation in reservations}) == 20
    assert all(is_free(reservation.port) for reservation in reservations)
    for reservation in reservations:
        reservation.release()


def test_a_port_is_never_one_that_the_kernel_hands_to_outgoing_connections():
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    reservation = reserve_port()

    assert not low <= reservation.port <= high
    reservation.release()


def test_a_port_that_is_listened_on_is_not_free():
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        assert is_listening(port)
    assert not is_listening(port)
