"""Helpers of end-to-end tests: real Prometheus and Alertmanager, and patience with a deadline instead of sleeps."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

T = TypeVar("T")

ALERTMANAGER_CONFIG = """
route:
  receiver: nobody
  group_by: [team, service, sla_id]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: nobody
"""
"""Keeps alerts and tells nobody."""


def webhook_config(url: str) -> str:
    """Return an Alertmanager configuration that sends every notification to a webhook at once."""
    return f"""
route:
  receiver: hook
  group_by: [team, service, sla_id]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: {url}
        send_resolved: true
"""


def need(binary: Path | None, what: str) -> Path:
    """Return the binary or skip; in CI (``CI=true``) a missing one fails the test."""
    if binary is not None:
        return binary
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed, and CI skips nothing")
    pytest.skip(f"{what} is not installed")


async def eventually(
    look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], *, seconds: float = 20.0, every: float = 0.1
) -> T:
    """Look again and again until what is seen is wanted; fail with the last sight after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        seen = await look()
        if wanted(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s; last seen: {seen!r}")
        await asyncio.sleep(every)


async def get_json(url: str, **params: str) -> Any:
    """GET a JSON document."""
    async with aiohttp.ClientSession() as session, session.get(url, params=params) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def alerts_of(url: str, **params: str) -> list[dict[str, Any]]:
    """Return the alerts an Alertmanager holds."""
    return await get_json(f"{url}/api/v2/alerts", **params)
