"""Pushes what the alert books of this worker say is due; the one place where alerts leave for Alertmanager."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agents.alert_processor import AlertProcessor
from export.alertmanager import AlertmanagerClient, steady_seconds
from export.catalogue import PushResult
from streams.stage import Stage
from streams.system_clock import now_ms

MOST_ALERTS_A_PUSH = 2_000


class Pusher:
    """Pushes the due alerts of every partition the worker owns.

    Parameters
    ----------
    stage : Stage
        The alerts stage.
    client : AlertmanagerClient
    heartbeat_age_seconds : callable
        Age of the last group heartbeat the broker answered.
    session_timeout_seconds : float
        Half of it without a heartbeat, and somebody else may own the alerts: nothing is sent.
    """

    def __init__(
        self,
        stage: Stage,
        client: AlertmanagerClient,
        heartbeat_age_seconds: Callable[[], float],
        session_timeout_seconds: float,
        interval_seconds: float = 0.5,
    ) -> None:
        self._stage = stage
        self._client = client
        self._heartbeat_age_seconds = heartbeat_age_seconds
        self._largest_age_seconds = session_timeout_seconds / 2
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Push for ever."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            for partition, runner in list(self._stage.runners.items()):
                processor = runner.processor
                assert isinstance(processor, AlertProcessor)
                await self._push(partition, processor)

    async def _push(self, partition: int, processor: AlertProcessor) -> None:
        def still_owner() -> bool:
            runner = self._stage.runners.get(partition)
            return (
                runner is not None
                and runner.processor is processor
                and self._stage.is_ready
                and self._heartbeat_age_seconds() <= self._largest_age_seconds
            )

        if not still_owner():
            return
        decided = steady_seconds()
        due = processor.book.due(now_ms(), MOST_ALERTS_A_PUSH)
        if not due:
            return
        report = await self._client.push([d.alert for d in due], decided_at_seconds=decided, still_owner=still_owner)
        taken = [d for d, result in zip(due, report.results, strict=True) if result is PushResult.ACCEPTED]
        refused = [d for d, result in zip(due, report.results, strict=True) if result is PushResult.REJECTED]
        processor.book.pushed(taken, now_ms())
        processor.book.refused(refused)
