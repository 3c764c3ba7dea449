"""What the demo shows: the state of a moment, and how it is drawn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sla.outcome import AlertKind
from sla.units import parse_instant

_SETTLED_POLLS = 2
_WORDS = {
    AlertKind.TICKET_AT_RISK: ("at risk", "yellow"),
    AlertKind.TICKET_BREACHED: ("breached", "red"),
    AlertKind.OBJECTIVE_BUDGET_SPENT: ("budget", "magenta"),
    AlertKind.OBJECTIVE_BURNING: ("burning", "magenta"),
    AlertKind.SERVICE_DOWN: ("down", "red"),
    AlertKind.CONTRACT_REVIEW_DUE: ("review", "cyan"),
    AlertKind.CONTRACT_ENDING: ("ending", "cyan"),
}


@dataclass(frozen=True, slots=True)
class AlertLine:
    """One change of an alert."""

    at_ms: int
    kind: AlertKind
    firing: bool
    summary: str

    @property
    def text(self) -> Text:
        """The line, with the state as a word and not only a colour."""
        word, colour = _WORDS[self.kind]
        state = Text(f"{word:<8}", style=colour) if self.firing else Text(f"{word} over", style="green")
        summary = self.summary
        if not self.firing:
            for what in (" has breached", " is at risk", " is not down"):
                summary = summary.split(what)[0]
        return Text.assemble((_clock(self.at_ms), "dim"), "  ", state, " " * max(2, 16 - len(state)), summary)


@dataclass(slots=True)
class Seen:
    """What was seen last.

    Attributes
    ----------
    start_ms, end_ms : int
        The day that is played.
    now_ms : int
        Event time of the slowest partition.
    at_alertmanager : int or None
        Alerts active at Alertmanager; None without one.
    """

    start_ms: int
    end_ms: int
    alerts: deque[AlertLine]
    now_ms: int = 0
    alerts_told: int = 0
    at_alertmanager: int | None = None
    targets: dict[str, dict[str, Any]] = field(default_factory=dict)
    objectives: dict[str, dict[str, Any]] = field(default_factory=dict)
    tickets: int = 0
    _same: int = 0

    def take(self, clocks: list[dict[str, Any]], objectives: list[dict[str, Any]]) -> None:
        """Take in the answers of all workers."""
        presents = [parse_instant(answer["now"]) for answer in clocks if answer.get("now")]
        before = (self.now_ms, self.targets, self.objectives)
        self.now_ms = min(presents) if presents and len(presents) == len(clocks) else self.now_ms
        self.tickets = sum(answer["tickets_kept"] for answer in clocks)
        targets: dict[str, dict[str, Any]] = {}
        for answer in clocks:
            for target, counts in answer["targets"].items():
                sums = targets.setdefault(
                    target, {"contract": counts["contract"], "open": 0, "at_risk": 0, "breached_open": 0}
                )
                for name in ("open", "at_risk", "breached_open"):
                    sums[name] += counts[name]
        self.targets = targets
        self.objectives = {objective["objective"]: objective for objective in objectives}
        self._same = self._same + 1 if before == (self.now_ms, self.targets, self.objectives) else 0

    def settled(self) -> bool:
        """Whether nothing has changed for a few polls: everything played has been taken in."""
        return self._same >= _SETTLED_POLLS

    def total(self, name: str) -> int:
        """Sum of a count over all targets."""
        return sum(int(counts[name]) for counts in self.targets.values())


def summary_line(seen: Seen) -> str:
    """Return the state in one line, for a log."""
    met = sum(objective["met"] for objective in seen.objectives.values())
    breached = sum(objective["breached"] for objective in seen.objectives.values())
    parts = [
        f"clocks open {seen.total('open')}",
        f"at risk {seen.total('at_risk')}",
        f"breached and open {seen.total('breached_open')}",
        f"verdicts {met} met, {breached} breached",
    ]
    if seen.at_alertmanager is not None:
        parts.append(f"{seen.at_alertmanager} alerts at Alertmanager")
    return f"{_clock(max(seen.now_ms, seen.start_ms))}  {', '.join(parts)}"


def render(seen: Seen) -> Iterator[RenderableType]:
    """Yield what to draw: time, targets with their objectives, alerts as they come."""
    done = max(0, min(seen.now_ms, seen.end_ms) - seen.start_ms)
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(f"{_clock(max(seen.now_ms, seen.start_ms))} UTC", style="bold"),
        ProgressBar(total=seen.end_ms - seen.start_ms, completed=done, width=40),
        f"{seen.tickets} tickets",
        "no Alertmanager" if seen.at_alertmanager is None else f"{seen.at_alertmanager} alerts at Alertmanager",
    )
    yield head
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("target")
    for name in ("open", "at risk", "breached, open", "met", "breached", "attained", "promised", "budget left"):
        table.add_column(name, justify="right")
    for target in sorted(set(seen.targets) | set(seen.objectives)):
        counts = seen.targets.get(target, {"open": 0, "at_risk": 0, "breached_open": 0})
        objective = seen.objectives.get(target)
        if objective is None and not counts["open"]:
            continue
        table.add_row(
            target,
            str(counts["open"]),
            _coloured(counts["at_risk"], "yellow"),
            _coloured(counts["breached_open"], "red"),
            *(_objective_cells(objective) if objective else [""] * 5),
        )
    yield table
    if seen.alerts:
        yield Text("alerts, newest last", style="bold")
        for alert in seen.alerts:
            yield alert.text


def _objective_cells(objective: dict[str, Any]) -> list[RenderableType]:
    attained, budget = objective["attained_ratio"], objective["budget_remaining_ratio"]
    return [
        str(objective["met"]),
        _coloured(objective["breached"], "red"),
        "-"
        if attained is None
        else Text(f"{attained:.1%}", style="red" if attained < objective["attain"] else "green"),
        f"{objective['attain']:.1%}",
        "-" if budget is None else Text(f"{budget:.0%}", style="red" if budget < 0 else ""),
    ]


def _coloured(count: int, colour: str) -> Text:
    return Text(str(count), style=colour if count else "dim")


def _clock(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).strftime("%a %H:%M")
