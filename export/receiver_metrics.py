"""Metrics of the receiver of webhooks: a process of its own, with a small registry of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest


class WebhookResult(StrEnum):
    """What became of a webhook (label ``result``)."""

    PUBLISHED = "published"
    """Kafka has acknowledged its events."""
    IGNORED = "ignored"
    """The mapping says that it tells nothing."""
    UNAUTHENTIC = "unauthentic"
    """Its token or signature is not right."""
    REFUSED = "refused"
    """It is no JSON, too large or slow, or the mapping can't be applied to it."""
    FAILED = "failed"
    """Kafka did not take its events, or too many were under way: the sender has to try again."""


RECEIVER_METRICS: Final[Mapping[str, str]] = {
    "slawatch_webhooks_total": "Webhooks received, by mapping and by what became of them.",
    "slawatch_webhook_events_total": "Ticket events that Kafka has acknowledged, by mapping.",
    "slawatch_webhook_duration_seconds": "From the first byte of a webhook to its answer, by mapping.",
}
"""Name and meaning of every metric."""

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class ReceiverMetrics:
    """Counts webhooks.

    Parameters
    ----------
    mappings : iterable of str
        Ids of the mappings served; their series start at zero.
    """

    def __init__(self, mappings: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        names = iter(RECEIVER_METRICS.items())
        self._webhooks = Counter(*next(names), ["mapping", "result"], registry=self._registry)
        self._events = Counter(*next(names), ["mapping"], registry=self._registry)
        self._seconds = Histogram(*next(names), ["mapping"], registry=self._registry, buckets=_BUCKETS)
        for mapping in mappings:
            for result in WebhookResult:
                self._webhooks.labels(mapping, result.value)
            self._events.labels(mapping)

    def count(self, mapping: str, result: WebhookResult, *, events: int, seconds: float) -> None:
        """Count one webhook, the events of it that were acknowledged, and how long it took in seconds."""
        self._webhooks.labels(mapping, result.value).inc()
        self._events.labels(mapping).inc(events)
        self._seconds.labels(mapping).observe(seconds)

    def page(self) -> bytes:
        """Return the page for Prometheus, of the content type :data:`CONTENT_TYPE`."""
        return generate_latest(self._registry)
