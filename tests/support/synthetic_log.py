"""A made-up incident log in XES, for what the real one lacks: changes of impact, ties, reopenings in quick succession."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import quoteattr

IMPACTS = ("Major", "High", "Medium", "Low")
_ACTIVE = (
    "Accepted/In Progress",
    "Accepted/Assigned",
    "Queued/Awaiting Assignment",
    "Accepted/Wait - User",
    "Accepted/Wait - Customer",
    "Accepted/Wait - Vendor",
    "Accepted/Wait",
    "Completed/In Call",
)
_ENDS = ("Completed/Resolved", "Completed/Resolved", "Completed/Resolved", "Completed/Closed", "Completed/Cancelled")
# Whole hours and half hours are frequent: deadlines at close of business, changes exactly at a deadline.
_STEPS = (
    timedelta(0),
    timedelta(seconds=1),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=8),
    timedelta(hours=14),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=9),
    timedelta(days=40),
)
_WEIGHTS = (1, 3, 6, 8, 6, 4, 5, 3, 1, 0.4)
_FIRST = datetime(2012, 3, 19, 6, tzinfo=UTC)
"""A Monday, six days before the clocks go forward in Europe."""


def write_log(path: Path, *, seed: int, cases: int) -> Path:
    """Write a gzipped XES log; the same seed gives the same cases."""
    draw = random.Random(seed)
    with gzip.open(path, "wt", encoding="utf-8") as stream:
        stream.write('<?xml version="1.0" encoding="UTF-8" ?>\n<log xmlns="http://www.xes-standard.org/">\n')
        for number in range(cases):
            stream.write(f'<trace><string key="concept:name" value="S-{number:05}"/>\n')
            for event in _events(draw):
                stream.write(event)
            stream.write("</trace>\n")
        stream.write("</log>\n")
    return path


def _events(draw: random.Random) -> list[str]:
    at = _FIRST + timedelta(hours=draw.randrange(24 * 60)) + timedelta(minutes=draw.choice((0, 0, 30, 17)))
    impact = draw.choice(IMPACTS)
    events: list[str] = []
    for _ in range(draw.randint(1, 14)):
        if draw.random() < 0.15:
            impact = draw.choice(IMPACTS)
        status = draw.choice(_ENDS) if draw.random() < 0.25 else draw.choice(_ACTIVE)
        events.append(_event(at, status, impact))
        at += draw.choices(_STEPS, _WEIGHTS)[0]
    return events


def _event(at: datetime, status: str, impact: str) -> str:
    name, transition = status.split("/")
    attributes = {"concept:name": name, "lifecycle:transition": transition, "impact": impact, "org:group": "G1"}
    texts = "".join(f"<string key={quoteattr(key)} value={quoteattr(value)}/>" for key, value in attributes.items())
    return f'<event>{texts}<date key="time:timestamp" value="{at.isoformat()}"/></event>\n'
