"""Plays to two topics at once: tickets to one, samples of services to the other, heartbeats to both."""

from __future__ import annotations

from cli.player import Taker
from sources.record import SourceEvent
from sources.simulator.probes import SimulatedSample


class RoutedPublisher:
    """A publisher of tickets with another one for samples beside it.

    Parameters
    ----------
    tickets, samples : Taker
        Of one producer; what is counted is the sum of both, of heartbeats those of the tickets.
    """

    def __init__(self, tickets: Taker, samples: Taker) -> None:
        self._tickets = tickets
        self._samples = samples
        self._both = (tickets, samples)

    @property
    def taken_events(self) -> int:
        """Events given so far."""
        return sum(publisher.taken_events for publisher in self._both)

    @property
    def acknowledged_events(self) -> int:
        """Events that Kafka has acknowledged."""
        return sum(publisher.acknowledged_events for publisher in self._both)

    @property
    def acknowledged_beats(self) -> int:
        """Heartbeats of single partitions of the tickets that Kafka has acknowledged."""
        return self._tickets.acknowledged_beats

    async def send(self, event: SourceEvent | SimulatedSample) -> None:
        """Take one event for its topic. Raises as those of one topic do."""
        await (self._samples if isinstance(event, SimulatedSample) else self._tickets).send(event)

    async def beat(self, at_ms: int) -> None:
        """Take a heartbeat for every partition of both topics."""
        for publisher in self._both:
            await publisher.beat(at_ms)

    async def submit_waiting(self) -> None:
        """Send what waits in partitions that have nothing under way, without waiting."""
        for publisher in self._both:
            await publisher.submit_waiting()

    async def drain(self) -> None:
        """Send all that waits and return when everything was acknowledged."""
        for publisher in self._both:
            await publisher.drain()

    async def settle(self) -> None:
        """After a failure: wait a little for what is under way and count what arrived."""
        for publisher in self._both:
            await publisher.settle()
