"""Can the agreements below an SLA hold it up? Computed from targets and calendars alone, before anything is signed.

A supplier that has until its own deadline may use it: the SLA is underpinned at a start instant if work that starts
then and takes as long as the OLA or UC allows ends by the SLA's deadline. Calendars differ, so the answer depends on
the start: next business day is four hours on no Friday afternoon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sla.calendar import WorkCalendar
from sla.clock import start_clock
from sla.contract import Clause, Contract, ContractType, Target
from sla.events import RESPONDED
from sla.units import MINUTE_MS, NEVER
from sla.zones import CivilZone

STEP_MS: Final = 15 * MINUTE_MS
"""Distance of the start instants that are tried."""

Term = tuple[Target, WorkCalendar]
"""A target with the calendar that counts for it."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start instant: when the SLA is due, and when what underpins it is done at the latest."""

    start_ms: int
    due_ms: int
    done_ms: int

    @property
    def late_ms(self) -> int:
        """How long after the deadline; negative: the time that is left."""
        return self.done_ms - self.due_ms


@dataclass(frozen=True, slots=True)
class Underpinning:
    """Whether a chain of targets holds up a target of an SLA.

    Attributes
    ----------
    sla : Target
    chain : tuple of Target
        One after the other.
    stands : bool
        The SLA's clock is paused while the chain runs: it can take as long as it likes. Nothing else is computed then.
    undated : bool
        A deadline is a date that only a ticket carries: nothing else is computed then.
    starts : int
        Start instants tried.
    failing : int
        Those at which the chain may end after the SLA's deadline.
    worst : Start or None
        The latest end after the deadline (or the least time left).
    worst_counted_ms : int
        What the chain takes at the worst start, in the time the SLA counts.
    by_weekday : tuple of (starts, failing)
        Monday first, by the date of the start.
    zone : CivilZone or None
        In which weekdays are told; None where nothing was computed.
    """

    sla: Target
    chain: tuple[Target, ...]
    stands: bool = False
    undated: bool = False
    starts: int = 0
    failing: int = 0
    worst: Start | None = None
    worst_counted_ms: int = 0
    by_weekday: tuple[tuple[int, int], ...] = ()
    zone: CivilZone | None = field(default=None, compare=False)

    @property
    def holds(self) -> bool:
        """Whether the SLA is underpinned at every start."""
        return not self.failing

    @property
    def failing_share(self) -> float:
        """Share of the start instants at which it is not; 0 if there are none."""
        return self.failing / self.starts if self.starts else 0.0


def start_grid(from_ms: int, until_ms: int, step_ms: int = STEP_MS) -> range:
    """Return start instants spread evenly over ``[from, until)``."""
    return range(from_ms, until_ms, step_ms)


class Trial:
    """Start instants at which chains are tried; the deadlines of a target at them are computed once.

    Parameters
    ----------
    starts : sequence of int
        Start instants; one that stands there twice counts twice.
    civil : WorkCalendar
        Whose time zone weekdays are told in.
    """

    def __init__(self, starts: Sequence[int], civil: WorkCalendar) -> None:
        self._starts = starts
        self._civil = civil
        self._weekdays = [civil.zone_at(start_ms).date_at(start_ms).weekday() for start_ms in starts]
        self._deadlines: dict[tuple[str, int], list[int]] = {}

    def underpin(self, sla: Term, chain: Sequence[Term]) -> Underpinning:
        """Try a chain.

        Parameters
        ----------
        sla : (Target, WorkCalendar)
        chain : sequence of (Target, WorkCalendar)
            What underpins it, one after the other: the second begins when the first has used up its time.

        Raises
        ------
        CalendarError
            If a calendar does not open for as long as is needed.
        """
        target, calendar = sla
        links = tuple(link for link, _ in chain)
        counting = [term for term in chain if not stands_while(target, term[0])]
        if not counting:
            return Underpinning(target, links, stands=True)
        dues, dones = self._deadlines_of(sla), self._deadlines_of(counting[0])
        for term in counting[1:]:
            dones = [NEVER if done_ms == NEVER else _deadline(term, done_ms) for done_ms in dones]
        if NEVER in dues or NEVER in dones:
            return Underpinning(target, links, undated=True)
        by_weekday = [[0, 0] for _ in range(7)]
        worst: Start | None = None
        for start_ms, due_ms, done_ms, weekday in zip(self._starts, dues, dones, self._weekdays, strict=True):
            of_day = by_weekday[weekday]
            of_day[0] += 1
            of_day[1] += done_ms > due_ms
            if worst is None or done_ms - due_ms > worst.late_ms:
                worst = Start(start_ms, due_ms, done_ms)
        return Underpinning(
            target,
            links,
            starts=len(self._starts),
            failing=sum(late for _, late in by_weekday),
            worst=worst,
            worst_counted_ms=calendar.worked_between(worst.start_ms, worst.done_ms) if worst is not None else 0,
            by_weekday=tuple((number, late) for number, late in by_weekday),
            zone=self._civil.zone_at(worst.start_ms) if worst is not None else None,
        )

    def _deadlines_of(self, term: Term) -> list[int]:
        key = (term[0].id, term[0].revision)
        found = self._deadlines.get(key)
        if found is None:
            found = self._deadlines[key] = [_deadline(term, start_ms) for start_ms in self._starts]
        return found


def _deadline(term: Term, start_ms: int) -> int:
    target, calendar = term
    return start_clock(target, calendar, 1, start_ms, start_ms=start_ms, consumed_ms=0).deadline_ms


def stands_while(sla: Target, link: Target) -> bool:
    """Tell whether the SLA's clock is paused whenever the clock of a supporting target has just started.

    So it is if every way to start the one is a way to pause the other: a UC that starts at ``waiting_for: vendor``
    under an SLA that does not count that wait.
    """
    if not link.start.clauses or not sla.pause.clauses:
        return False
    return all(any(_implies(start, pause) for pause in sla.pause.clauses) for start in link.start.clauses)


def _implies(start: Clause, pause: Clause) -> bool:
    if pause.events or not pause.fields:
        return False
    given = dict(start.fields)
    return all(name in given and given[name] <= values for name, values in pause.fields)


def can_meet(first: Target, second: Target) -> bool:
    """Tell whether one ticket can match both targets."""
    other = dict(second.applies_to)
    return all(name not in other or values & other[name] for name, values in first.applies_to)


def supporting(sla: Target, metrics: frozenset[str], contract: Contract, at_ms: int) -> list[Target]:
    """Return the targets of a contract that hold up a target of an SLA, in the revision in force or the newest one.

    Those of the same metric. One of a metric that the SLA does not have (a team's hold time) is held against what ends
    with the work: a target that an answer (``responded``) does not stop.

    Parameters
    ----------
    metrics : frozenset of str
        All metrics of the SLA's contract.
    contract : Contract
        An OLA or UC.
    at_ms : int
        Which revision counts.
    """
    ends_with_work = RESPONDED not in sla.stop.event_names
    found = []
    for target in revision_at(contract.targets, at_ms):
        same = target.metric == sla.metric or (target.metric not in metrics and ends_with_work)
        if same and can_meet(sla, target):
            found.append(target)
    return found


def revision_at(targets: Sequence[Target], at_ms: int) -> list[Target]:
    """Return the targets that are in force at an instant; those of the newest revision if none is."""
    in_force = [target for target in targets if target.effective_from_ms <= at_ms < target.effective_until_ms]
    if in_force or not targets:
        return in_force
    newest = max(target.revision for target in targets)
    return [target for target in targets if target.revision == newest]


_ORDER: Final = {ContractType.OLA: 0, ContractType.UC: 1}


def in_series(alone: Sequence[Underpinning]) -> tuple[Target, ...]:
    """Return the worst chain over several contracts, teams before suppliers: of each contract its worst target.

    Empty if fewer than two contracts take part: then nothing comes after anything.
    """
    worst: dict[str, Underpinning] = {}
    for each in alone:
        (link,) = each.chain
        if each.worst is None:
            continue
        known = worst.get(link.contract)
        if known is None or known.worst is None or each.worst.late_ms > known.worst.late_ms:
            worst[link.contract] = each
    if len(worst) < 2:
        return ()
    links = [each.chain[0] for each in worst.values()]
    return tuple(sorted(links, key=lambda link: (_ORDER.get(link.contract_type, 0), link.contract)))
