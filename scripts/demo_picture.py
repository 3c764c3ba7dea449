"""Draw the picture of the README from a demo that is running: ``docs/images/demo.svg``.

While ``slawatch demo --port 6066`` plays, in another terminal, with the address that the demo prints for Kafka::

    SLAWATCH_KAFKA__BOOTSTRAP=127.0.0.1:PORT .venv/bin/python scripts/demo_picture.py docs/images/demo.svg

Everything in the picture is what the workers answer and what stands on sla.alerts at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
from collections import deque
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from cli.demo_view import AlertLine, Seen, render
from config.settings import load_settings
from sla.events import Rejected
from sla.outcome import AlertState
from sla.units import parse_instant
from streams.codecs import decode_alert
from streams.connection import read_to_end
from streams.topics import ALERTS, Topics

SHOWN_ALERTS = 10
WIDTH = 124

_REMOTE_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
"""Rich's template fetches its font from the network; a picture of a README must not."""


async def main() -> None:
    """Take the state of this moment and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="SVG file to write")
    parser.add_argument("--worker", action="append", help="URL of a worker; may be repeated")
    parser.add_argument("--alertmanager", help="URL of Alertmanager")
    parser.add_argument("--start", default="2026-11-02T06:00:00+07:00", help="first instant of the demo")
    parser.add_argument("--hours", type=float, default=24.0, help="hours the demo plays")
    options = parser.parse_args()
    start_ms = parse_instant(options.start)
    seen = Seen(start_ms, start_ms + round(options.hours * 3_600_000), await _newest_alerts())
    workers = options.worker or ["http://127.0.0.1:6066"]
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        clocks = [await _json(session, f"{worker}/v1/clocks") for worker in workers]
        objectives = [one for worker in workers for one in await _json(session, f"{worker}/v1/objectives")]
        if options.alertmanager:
            url = f"{options.alertmanager}/api/v2/alerts?active=true&inhibited=true"
            seen.at_alertmanager = len(await _json(session, url))
    seen.take(clocks, objectives)
    options.out.write_text(draw(seen), encoding="utf-8")


async def _json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as response:
        return await response.json()


async def _newest_alerts() -> deque[AlertLine]:
    """Return the newest alerts of sla.alerts, newest last; what partitions hold is put in the order of event time."""
    settings = load_settings()
    lines: list[AlertLine] = []
    async for record in read_to_end(settings.kafka, [Topics(settings).name(ALERTS)]):
        alert = decode_alert(record.value) if record.value is not None else None
        if alert is None or isinstance(alert, Rejected):
            continue
        summary = alert.annotations.get("summary", "")
        lines.append(AlertLine(alert.at_ms, alert.kind, alert.state is AlertState.FIRING, summary))
    return deque(sorted(lines, key=lambda line: line.at_ms), maxlen=SHOWN_ALERTS)


def draw(seen: Seen) -> str:
    """Return a state as SVG, the same one for the same state."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for part in render(seen):
        console.print(part)
    svg = console.export_svg(title="slawatch demo", unique_id="demo")
    return _REMOTE_FONT.sub("", svg)


if __name__ == "__main__":
    asyncio.run(main())
