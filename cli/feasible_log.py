"""What a revision would have come to on a log: attainment, missed periods, and the target it would have reached."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from config.settings import Settings
    from sla.backtest import Backtest
    from sla.contract import Objective, Target
    from sla.engine import EngineLimits
    from sla.events import Rejected, TicketEvent
    from sla.reachable_target import Reachable
    from sla.register import Register
    from sources.record import SourceEvent

TOPIC: Final = Path("topic")
"""In place of a file: read the topic sla.tickets."""


@dataclass(slots=True)
class Historical:
    """What one target would have come to.

    Attributes
    ----------
    counts : Counter of str
        Clocks by outcome: ``met``, ``breached``, ``open``, ``cancelled``, ...
    attained, low, high : float or None
        Share met, with its confidence interval; None without a clock that was decided.
    periods, missed : int
        Calendar periods with decided clocks, and those below the objective; 0 for a rolling window.
    starts : list of int
        Start instants of the clocks.
    """

    target: Target
    counts: Counter[str] = field(default_factory=Counter)
    attained: float | None = None
    low: float | None = None
    high: float | None = None
    periods: int = 0
    missed: int = 0
    reachable: Reachable | None = None
    starts: list[int] = field(default_factory=list)

    @property
    def falls_short(self) -> bool:
        """Whether less was attained than the objective promises."""
        objective = self.target.objective
        return objective is not None and self.attained is not None and self.attained < float(objective.attain)


def play_events(
    events: list[SourceEvent], register: Register, limits: EngineLimits, *, until_ms: int | None = None
) -> Backtest:
    """Run a log through the engine, as ``slawatch backtest`` does."""
    from cli.backtest import run_backtest

    return run_backtest(events, register, limits, until_ms=until_ms)


def play_topic(settings: Settings, register: Register, limits: EngineLimits, *, until_ms: int | None) -> Backtest:
    """Run what the topic sla.tickets holds through the engine, in the order of event time, up to its newest event.

    Raises
    ------
    KafkaFault
        If the topic can't be read.
    """
    from sla.backtest import Backtest
    from sla.units import HOUR_MS

    run = Backtest(register, limits)
    events, rejected = asyncio.run(_read_topic(settings))
    for refusal in rejected:
        run.reject(refusal)
    events.sort(key=lambda item: (item[1].at_ms, item[0], item[1].order))
    next_beat_ms = 0
    for ticket, event in events:
        if until_ms is not None and event.at_ms > until_ms:
            break
        if event.at_ms >= next_beat_ms:
            run.advance_to(event.at_ms)
            next_beat_ms = event.at_ms + HOUR_MS
        run.apply(ticket, event)
    run.advance_to(until_ms if until_ms is not None else max((event.at_ms for _, event in events), default=0))
    return run


async def _read_topic(settings: Settings) -> tuple[list[tuple[str, TicketEvent]], list[Rejected]]:
    from sla.events import Rejected
    from streams.codecs import decode_ticket
    from streams.connection import read_to_end
    from streams.topics import TICKETS, Topics

    found: list[tuple[str, TicketEvent]] = []
    rejected: list[Rejected] = []
    async for record in read_to_end(settings.kafka, [Topics(settings).name(TICKETS)]):
        decoded = decode_ticket(record.value, record.key, settings.engine.largest_event_bytes)
        if isinstance(decoded, tuple):
            found.append(decoded)
        elif isinstance(decoded, Rejected):
            rejected.append(decoded)
    return found, rejected


def historical(run: Backtest, targets: list[Target], confidence: float) -> list[Historical]:
    """Return what each target came to in a run, in the order given."""
    from sla.outcome import Verdict
    from sla.reachable_target import Run, reachable_within, wilson

    found = {target.id: Historical(target) for target in targets}
    decided: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    runs: dict[str, list[Run]] = defaultdict(list)
    for record in run.records():
        told = found.get(record.target)
        if told is None:
            continue
        outcome = record.result.value if isinstance(record, Verdict) else "open"
        told.counts[outcome] += 1
        told.starts.append(record.start_ms)
        if isinstance(record, Verdict) and outcome in {"met", "breached"}:
            decided[record.target].append((record.decided_at_ms, outcome == "met"))
            if record.stop_ms is not None:
                runs[record.target].append(Run(record.consumed_ms, stopped=True))
    for target_id, consumed_ms in run.open_runs():
        if target_id in found:
            runs[target_id].append(Run(consumed_ms, stopped=False))
    for told in found.values():
        number = told.counts["met"] + told.counts["breached"]
        if number:
            told.attained = told.counts["met"] / number
            told.low, told.high = wilson(told.attained, number, confidence)
        objective = told.target.objective
        if objective is not None:
            told.reachable = reachable_within(runs[told.target.id], objective.attain, confidence)
            missed = list(_periods(objective, decided[told.target.id]))
            told.periods, told.missed = len(missed), sum(missed)
    return list(found.values())


def _periods(objective: Objective, decided: list[tuple[int, bool]]) -> Iterator[bool]:
    """Yield for every calendar period whether it was missed."""
    from sla.window import window_start

    if objective.window.period is None:
        return
    counts: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for decided_at_ms, met in decided:
        of_period = counts[window_start(objective.window, decided_at_ms)]
        of_period[0] += met
        of_period[1] += 1
    for _, (met_count, number) in sorted(counts.items()):
        yield met_count < objective.attain * number
