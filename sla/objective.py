"""Objectives over the counts of all source partitions: attainment, error budget and burn per window, exact sums only.

Every source partition tells absolute counts per minute of what is counted, so repeating one changes nothing; a
correction is the same minute with other counts. Ratios are never averaged: sums of events are divided once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

from sla.budget import Budget, budget_at
from sla.budget_alert import budget_alert, withdrawn_alert
from sla.burn_alert import burn_alert
from sla.burn_rate import NONE_FIRING, BurnPair, BurnPolicy, Coverage, Firing, Severity
from sla.burn_watch import Terms, judge_minutes, severity_changes
from sla.minute_counts import NOTHING, MinuteRing, MinuteSums, Sums
from sla.objective_rows import (
    ALERT_PREFIX,
    BURN_PREFIX,
    CELL_PREFIX,
    PROGRESS_PREFIX,
    WATCH_KEY,
    Piece,
    PieceKind,
    decode_cell,
    decode_firing,
    decode_instant,
    decode_watch,
    encode_firing,
    encode_instant,
    encode_text,
    encode_watch,
    piece_of,
    require_format,
)
from sla.outcome import Alert, AlertState
from sla.promise import Promise, Promises
from sla.register import Register
from sla.tally import LARGEST_COLUMN, Tally
from sla.units import DAY_MS, MINUTE_MS
from sla.window import window_name, window_span

MIN_BAD_EVENTS: Final = 3
"""A budget counts as spent from this many bad events on: one bad ticket among the first five of a month is no news."""

SPENT_CLEARS_AT: Final = Fraction(9, 10)
"""The alert resolves when at most this share of the budget is spent: hysteresis against flapping around the limit."""

REMOVAL_LIMIT: Final = 2_000
"""Most rows that one step removes: a day of many targets is too much for one record batch."""

SEALED_AFTER_MS: Final = 2 * DAY_MS
"""A day's hours become one row when the day is over for this long."""

_STEADY_MINUTES: Final = 5
"""Where time passes in steps of at most so many minutes, as it does live, no running sums are kept."""

_LONG_MINUTES: Final = 240
"""From so many minutes to judge on, running sums are made of all there is: each minute then costs look-ups only."""


@dataclass(frozen=True, slots=True)
class Attainment:
    """State of one objective in its current window.

    Attributes
    ----------
    met, breached : int
        Good and bad events in the window.
    attained_ratio : float or None
        met / (met + breached); None without events: no data is not good data.
    budget : Budget
        The window's error budget, exact.
    budget_remaining_ratio : float or None
        1 - spent, signed: negative when overspent. None without events, or for a target of 100 % (no budget to divide).
    watermark_ms : int or None
        Event time up to which every source partition has reported; None before all have.
    coverage_ratio : float
        Share of the window, as far as it has passed, that has been observed; before every source partition has
        reported, the share of those that have.
    burn_rates : dict
        By window of the burn-rate alerts (``1h``): budget spent in it, in multiples of what would just use it up.
        Empty without a budget, or without a watermark.
    burning : frozenset of Severity
        At which severities its budget is burning.
    """

    promise: Promise
    window: str
    window_start_ms: int
    met: int
    breached: int
    attained_ratio: float | None
    budget: Budget
    budget_remaining_ratio: float | None
    watermark_ms: int | None
    coverage_ratio: float
    burn_rates: dict[str, float]
    burning: frozenset[Severity]


@dataclass(slots=True)
class ObjectiveOutcome:
    """Rows and alerts of one step."""

    rows: dict[bytes, bytes | None] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)


class ObjectiveEngine:
    """Objectives of one partition of the rollups.

    Parameters
    ----------
    sources : frozenset of str
        Source partitions (``topic/partition``) that feed objectives over clocks; their watermark is the smallest.
    retention_ms : int
        Counts are kept this long after they have left their window, for late corrections.
    policy : BurnPolicy or None
        Of burn-rate alerts; None: there are none.
    uptime_sources : frozenset of str
        Source partitions that feed availability objectives.
    settle_ms : int
        Breaches are told this long after they are due; burn rates of clocks are judged so long after each minute.
    """

    def __init__(
        self,
        register: Register,
        sources: frozenset[str],
        retention_ms: int = 42 * DAY_MS,
        *,
        policy: BurnPolicy | None = None,
        uptime_sources: frozenset[str] = frozenset(),
        settle_ms: int = 0,
    ) -> None:
        self.register = register
        self.sources = sources
        self.uptime_sources = uptime_sources
        self.retention_ms = retention_ms
        self.policy = policy
        self.settle_ms = settle_ms
        self._tallies: dict[str, Tally] = {}
        self._progress: dict[str, int] = {}
        self._overspent: dict[str, str] = {}
        """Ids of the objectives whose budgets are told to be spent, by what they are counted as."""
        self._burning: dict[str, tuple[str, Firing]] = {}
        """Objective and the pairs that fire, by what it is counted as."""
        self._watch = [-1, -1, -1, -1]
        """Since when there is a watermark, and up to where burn rates are judged: of clocks, of availability."""
        self._attained: dict[str, tuple[object, Attainment]] = {}
        """What was last told of objectives, with the minute, the promise and the burning it is of."""
        self._outcome = ObjectiveOutcome()
        self._promises = Promises(register)
        self._dirty: set[str] = set()
        self._all_dirty = True
        self._judged_at = [-1, -1]
        self._next_expiry_ms = 0
        self._to_seal: deque[tuple[str, str, PieceKind, int]] = deque()
        self._gone: list[bytes] = []
        """Keys of rows that are still to be removed; after a restart they are forgotten anew."""

    # --- what is known ---------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The watermark of clocks, 0 before every source has reported."""
        return self.watermark_ms or 0

    @property
    def watermark_ms(self) -> int | None:
        """Event time up to which every source of clocks has reported, or None."""
        return self._watermark(is_availability=False)

    @property
    def uptime_watermark_ms(self) -> int | None:
        """Event time up to which every source of availability has reported, or None."""
        return self._watermark(is_availability=True)

    def _watermark(self, *, is_availability: bool) -> int | None:
        told = [self._progress.get(source) for source in self._sources_of(is_availability)]
        known = [now_ms for now_ms in told if now_ms is not None]
        return min(known, default=None) if len(known) == len(told) else None

    def _sources_of(self, is_availability: bool) -> frozenset[str]:
        return self.uptime_sources if is_availability else self.sources

    def __len__(self) -> int:
        """Return how many pieces of counts, hours and days, are kept over all objectives and sources."""
        return sum(ring.pieces for tally in self._tallies.values() for ring in (*tally.by_source.values(), tally.known))

    def attainments(self) -> list[Attainment]:
        """Return the state of every objective that has counts here, by what it is counted as."""
        found = []
        marks = (self.watermark_ms, self.uptime_watermark_ms)
        for counted_as in sorted(self._tallies):
            promise = self._in_force(counted_as, marks)
            if promise is not None:
                found.append(self._remembered(promise, marks[promise.is_availability]))
        return found

    def _remembered(self, promise: Promise, mark: int | None) -> Attainment:
        """Return the state of an objective; nothing is added up twice within a minute in which nothing changes."""
        minute = None if mark is None else mark // MINUTE_MS
        burning = self._burning.get(promise.counted_as)
        known = self._attained.get(promise.counted_as)
        if known is not None and known[0] == (minute, promise, burning):
            return replace(known[1], watermark_ms=mark)
        attainment = self._attainment(promise, mark)
        if mark is not None:
            self._attained[promise.counted_as] = ((minute, promise, burning), attainment)
        return attainment

    def counts(self, counted_as: str) -> MinuteSums:
        """Return the counts of an objective by minute, over all sources."""
        tally = self._tallies.get(counted_as)
        return MinuteRing() if tally is None else tally

    def _in_force(self, counted_as: str, marks: tuple[int | None, int | None]) -> Promise | None:
        mark = marks[self._promises.is_availability(counted_as)]
        return self._promises.of(counted_as, mark or 0)

    # --- inputs ----------------------------------------------------------------------------------------------------

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take restored rows over.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        former: list[tuple[str, int, str, int, int]] = []
        for key, row in rows:
            prefix = key[:1]
            piece = piece_of(key)
            if piece is not None:
                self._load_piece(piece, require_format(row))
            elif prefix == CELL_PREFIX:
                former.append(decode_cell(key, row))
                self._gone.append(key)
            elif prefix == PROGRESS_PREFIX:
                self._progress[key[1:].decode()] = decode_instant(row)
            elif prefix == ALERT_PREFIX:
                self._overspent[key[1:].decode()] = require_format(row).decode()
            elif prefix == BURN_PREFIX:
                self._burning[key[1:].decode()] = decode_firing(row)
            elif key == WATCH_KEY:
                self._watch = decode_watch(row)
        for counted_as, minute_ms, source, good, bad in former:
            self._tally(counted_as).put(source, minute_ms, good, bad, is_delta=False)
            self._dirty.add(counted_as)

    def count(
        self,
        counted_as: str,
        minute_ms: int,
        source: str,
        met: int,
        breached: int,
        *,
        is_delta: bool = False,
        known_minutes: int = 0,
        expected_minutes: int = 0,
    ) -> None:
        """Take in what one source partition counted in one minute (absolute unless a delta).

        Parameters
        ----------
        counted_as : str
            Id of a target, or of an availability objective.
        known_minutes, expected_minutes : int
            Of availability: how many minutes are known of those that should be, from this minute on.
        """
        tally = self._tally(counted_as)
        tally.put(source, minute_ms, met, breached, is_delta=is_delta)
        if expected_minutes or known_minutes:
            tally.put_known(minute_ms, known_minutes, expected_minutes)
        self._dirty.add(counted_as)
        self._attained.pop(counted_as, None)

    def progress(self, source: str, now_ms: int) -> None:
        """Take in that a source partition has reported everything up to ``now_ms``."""
        known = source in self.sources or source in self.uptime_sources
        if not known or now_ms <= self._progress.get(source, -1):
            return
        self._progress[source] = now_ms
        self._outcome.rows[PROGRESS_PREFIX + source.encode()] = encode_instant(now_ms)

    def set_register(self, register: Register) -> None:
        """Put a new register in force."""
        self.register = register
        self._promises = Promises(register)
        self._all_dirty = True
        for tally in self._tallies.values():
            tally.keep_no_column()

    # --- the end of a step -----------------------------------------------------------------------------------------

    def finish(self) -> ObjectiveOutcome:
        """End the step: judge budgets at the watermark; return rows and alerts."""
        marks = (self.watermark_ms, self.uptime_watermark_ms)
        for counted_as in self._dirty:
            self._write(counted_as)
        if marks != (None, None):
            self._withdraw(marks)
            self._judge_all(marks)
            newest_ms = max(mark for mark in marks if mark is not None)
            if newest_ms >= self._next_expiry_ms:
                self._next_expiry_ms = newest_ms + DAY_MS
                self._expire(marks)
            self._dirty = set()
        self._seal_some()
        self._remove_some()
        outcome, self._outcome = self._outcome, ObjectiveOutcome()
        return outcome

    def _write(self, counted_as: str) -> None:
        tally = self._tallies[counted_as]
        for source, ring in tally.by_source.items():
            self._rows_of(ring, PieceKind.COUNTS_HOUR, source, counted_as)
        self._rows_of(tally.known, PieceKind.KNOWN_HOUR, "", counted_as)

    def _rows_of(self, ring: MinuteRing, kind: PieceKind, source: str, counted_as: str) -> None:
        for is_day, number, piece in ring.changes():
            key = Piece(kind.day if is_day else kind, number, source, counted_as).key
            self._outcome.rows[key] = encode_text(piece)

    def _judge_all(self, marks: tuple[int | None, int | None]) -> None:
        minutes = [-1 if mark is None else mark // MINUTE_MS for mark in marks]
        is_later = [minute > judged for minute, judged in zip(minutes, self._judged_at, strict=True)]
        spans = self._spans_to_judge(marks)
        for counted_as, tally in self._tallies.items():
            promise = self._in_force(counted_as, marks)
            if promise is None:
                continue
            mark = marks[promise.is_availability]
            if mark is None:
                continue
            after_ms, until_ms = spans[promise.is_availability]
            is_due = is_later[promise.is_availability] or after_ms < until_ms
            if not (is_due or self._all_dirty or counted_as in self._dirty):
                continue
            if not tally.bad_total and counted_as not in self._overspent and counted_as not in self._burning:
                continue
            self._judge_budget(promise, mark)
            if after_ms < until_ms:
                self._judge_burn(promise, tally, after_ms, until_ms)
        self._judged_at = minutes
        self._all_dirty = False

    # --- budgets ---------------------------------------------------------------------------------------------------

    def _attainment(self, promise: Promise, mark: int | None) -> Attainment:
        tally = self._tallies[promise.counted_as]
        oldest_ms = tally.oldest_ms or 0
        now_ms = oldest_ms if mark is None else _whole_minute(mark)
        observed_from_ms = self._observed_from(promise, tally)
        if mark is None:
            # All that is there: where the window begins is not known before there is a watermark.
            span = window_span(promise.window, now_ms)
            rings = [ring.everything for ring in tally.by_source.values()]
            sums = Sums(*map(sum, zip(*rings, strict=True))) if rings else NOTHING
            budget = Budget(promise.attain, span, sums.good, sums.bad, Fraction(sums.events), is_estimated=True)
        else:
            budget = self._budget(promise, tally, now_ms)
        attained, remaining = budget.attained_ratio, budget.remaining_ratio
        firing = self._burning.get(promise.counted_as, ("", NONE_FIRING))[1]
        return Attainment(
            promise=promise,
            window=window_name(promise.window),
            window_start_ms=budget.span.start_ms,
            met=budget.good,
            breached=budget.bad,
            attained_ratio=None if attained is None else float(attained),
            budget=budget,
            budget_remaining_ratio=None if remaining is None else float(remaining),
            watermark_ms=mark,
            coverage_ratio=self._coverage_ratio(promise, tally, budget.span.start_ms, mark, observed_from_ms),
            burn_rates={} if mark is None else self._burn_rates(budget, tally, now_ms),
            burning=frozenset(pair.severity for pair in self._pairs() if pair.name in firing),
        )

    def _budget(self, promise: Promise, tally: Tally, now_ms: int) -> Budget:
        """Return the budget at a whole minute; the one that is not over yet counts as far as it is told."""
        observed_from_ms = self._observed_from(promise, tally)
        return budget_at(promise.attain, promise.window, tally, now_ms, observed_from_ms, now_ms + MINUTE_MS)

    def _burn_rates(self, budget: Budget, tally: Tally, now_ms: int) -> dict[str, float]:
        allowed, length_ms = budget.allowed_events, budget.span.length_ms
        if not allowed:
            return {}
        if not tally.bad_total:
            return {pair.name: 0.0 for pair in self._pairs() if pair.long_ms <= length_ms}
        worst = float(length_ms / allowed)
        return {
            pair.name: tally.sums(now_ms - pair.long_ms, now_ms).bad * worst / pair.long_ms
            for pair in self._pairs()
            if pair.long_ms <= length_ms
        }

    def _observed_from(self, promise: Promise, tally: Tally) -> int:
        """Return since when events are counted: of clocks since the first watermark or the promise, or the first event.

        A service is observed from its first minute on; of clocks it is known that there was none before their first.
        """
        oldest_ms = tally.oldest_ms
        if promise.is_availability:
            return oldest_ms or 0
        since_ms = max(self._watch[0], self._promises.first_from_ms(promise.counted_as))
        since_ms -= since_ms % MINUTE_MS
        return since_ms if oldest_ms is None else min(since_ms, oldest_ms)

    def _coverage_ratio(
        self, promise: Promise, tally: Tally, start_ms: int, mark: int | None, observed_from_ms: int
    ) -> float:
        if mark is None:
            sources = self._sources_of(promise.is_availability)
            reported = sum(source in self._progress for source in sources)
            return reported / len(sources) if sources else 0.0
        passed_ms = mark - start_ms
        unseen_ms = min(max(0, observed_from_ms - start_ms), passed_ms)
        if passed_ms <= 0:
            return 1.0
        seen = 1 - unseen_ms / passed_ms
        if not tally.known:
            return seen
        known, expected = tally.coverage(max(start_ms, observed_from_ms), mark)
        return seen * known / expected if expected else seen

    def _pairs(self) -> tuple[BurnPair, ...]:
        return () if self.policy is None else self.policy.pairs

    def _judge_budget(self, promise: Promise, mark: int) -> None:
        budget = self._budget(promise, self._tallies[promise.counted_as], _whole_minute(mark))
        was_firing = promise.counted_as in self._overspent
        limit = SPENT_CLEARS_AT if was_firing else Fraction(1)
        # Not divided by the budget: of a target of 100 % every breach overspends it.
        is_firing = budget.bad >= MIN_BAD_EVENTS and budget.bad > limit * budget.allowed_events
        if is_firing == was_firing:
            return
        key = ALERT_PREFIX + promise.counted_as.encode()
        if is_firing:
            self._overspent[promise.counted_as] = promise.id
            self._outcome.rows[key] = encode_text(promise.id.encode())
        else:
            del self._overspent[promise.counted_as]
            self._outcome.rows[key] = None
        state = AlertState.FIRING if is_firing else AlertState.RESOLVED
        self._outcome.alerts.append(budget_alert(promise, budget, state, mark))

    # --- burn rates ------------------------------------------------------------------------------------------------

    def _spans_to_judge(self, marks: tuple[int | None, int | None]) -> list[tuple[int, int]]:
        """Return which minutes are to be judged, ``(after, until]``, of clocks and of availability; take note of it."""
        spans = []
        before = list(self._watch)
        for index, mark in enumerate(marks):
            if mark is None:
                spans.append((0, 0))
                continue
            until_ms = _whole_minute(mark - (0 if index else self.settle_ms))
            if self._watch[2 * index] < 0:
                # What came before the first watermark pages nobody.
                self._watch[2 * index : 2 * index + 2] = [_whole_minute(mark), until_ms - MINUTE_MS]
            after_ms = self._watch[2 * index + 1]
            spans.append((after_ms, max(after_ms, until_ms)))
            self._watch[2 * index + 1] = max(after_ms, until_ms)
        if self._watch != before:
            self._outcome.rows[WATCH_KEY] = encode_watch(self._watch)
        return spans

    def _judge_burn(self, promise: Promise, tally: Tally, after_ms: int, until_ms: int) -> None:
        if self.policy is None:
            return
        counted_as = promise.counted_as
        observed_from_ms = self._observed_from(promise, tally)
        recent = tally.sums(after_ms - self.policy.longest_ms, until_ms)
        if counted_as not in self._burning and not recent.bad:
            return
        coverage = tally.coverage if promise.is_availability else None
        changes = self._promises.changes(counted_as, after_ms, until_ms - 1)
        bounds = [after_ms, *changes, until_ms]
        counts: MinuteSums = tally
        minutes = (until_ms - after_ms) // MINUTE_MS
        if minutes <= _STEADY_MINUTES or changes:
            tally.keep_no_column()
        longest_ms = self.policy.longest_ms
        back_ms = 2 * window_span(promise.window, until_ms).length_ms + longest_ms
        is_sparse = recent.minutes * back_ms <= LARGEST_COLUMN * longest_ms
        if minutes > _LONG_MINUTES or (minutes > _STEADY_MINUTES and is_sparse):
            counts = tally.running_sums(0 if changes else after_ms - back_ms, until_ms)
        for begin_ms, end_ms in pairwise(bounds):
            terms = self._promises.of(counted_as, begin_ms)
            if terms is None:
                self._stop_burning(counted_as, begin_ms)
                continue
            self._judge_minutes(terms, counts, begin_ms, end_ms, observed_from_ms, coverage)

    def _judge_minutes(
        self,
        promise: Promise,
        counts: MinuteSums,
        after_ms: int,
        until_ms: int,
        observed_from_ms: int,
        coverage: Coverage | None,
    ) -> None:
        assert self.policy is not None
        counted_as = promise.counted_as
        _, firing = self._burning.get(counted_as, ("", NONE_FIRING))
        terms = Terms(promise.attain, promise.window, promise.from_ms, promise.until_ms)
        changes = judge_minutes(self.policy, terms, counts, after_ms, until_ms, observed_from_ms, firing, coverage)
        for change in changes:
            for severity, state in severity_changes(self.policy, firing, change.firing):
                self._outcome.alerts.append(
                    burn_alert(
                        promise.id,
                        severity,
                        state,
                        change.at_ms,
                        contract=promise.contract,
                        team=promise.team,
                        window=window_name(promise.window),
                        budget=change.budget,
                    )
                )
            firing = change.firing
            self._note_burning(counted_as, promise.id, firing)

    def _note_burning(self, counted_as: str, objective: str, firing: Firing) -> None:
        key = BURN_PREFIX + counted_as.encode()
        if firing:
            self._burning[counted_as] = (objective, firing)
            self._outcome.rows[key] = encode_firing(objective, firing)
        else:
            self._burning.pop(counted_as, None)
            self._outcome.rows[key] = None

    def _stop_burning(self, counted_as: str, at_ms: int) -> None:
        """Resolve the alerts of an objective that is not promised any more: switched off must stop escalating."""
        found = self._burning.get(counted_as)
        if found is None:
            return
        objective, firing = found
        severities = {pair.severity for pair in self._pairs() if pair.name in firing} or set(Severity)
        for severity in sorted(severities):
            self._outcome.alerts.append(
                burn_alert(
                    objective,
                    severity,
                    AlertState.RESOLVED,
                    at_ms,
                    contract=None,
                    team=None,
                    window="",
                    budget=None,
                )
            )
        self._note_burning(counted_as, objective, NONE_FIRING)

    def _withdraw(self, marks: tuple[int | None, int | None]) -> None:
        if not self._overspent and not self._burning:
            return
        now_ms = max(mark for mark in marks if mark is not None)
        for counted_as, objective in list(self._overspent.items()):
            promise = self._in_force(counted_as, marks)
            if promise is None or promise.id != objective:
                del self._overspent[counted_as]
                self._outcome.rows[ALERT_PREFIX + counted_as.encode()] = None
                self._outcome.alerts.append(withdrawn_alert(objective, now_ms))
        for counted_as, (objective, _) in list(self._burning.items()):
            promise = self._in_force(counted_as, marks)
            if promise is None or promise.id != objective:
                self._stop_burning(counted_as, now_ms)

    # --- keeping little --------------------------------------------------------------------------------------------

    def _expire(self, marks: tuple[int | None, int | None]) -> None:
        newest_ms = max(mark for mark in marks if mark is not None)
        for counted_as, tally in self._tallies.items():
            promise = self._in_force(counted_as, marks)
            now_ms = (None if promise is None else marks[promise.is_availability]) or newest_ms
            horizon_ms = now_ms
            if promise is not None:
                span = window_span(promise.window, now_ms)
                # The expected events of a running period look back over its whole length.
                horizon_ms = min(span.start_ms, now_ms - span.length_ms)
            self._forget_before(counted_as, tally, horizon_ms - self.retention_ms)
            for source, ring in tally.by_source.items():
                days = ring.open_days(now_ms - SEALED_AFTER_MS)
                self._to_seal += [(counted_as, source, PieceKind.COUNTS_HOUR, day) for day in days]
            days = tally.known.open_days(now_ms - SEALED_AFTER_MS)
            self._to_seal += [(counted_as, "", PieceKind.KNOWN_HOUR, day) for day in days]
        for counted_as in [name for name, tally in self._tallies.items() if not tally]:
            del self._tallies[counted_as]
            self._attained.pop(counted_as, None)

    def _forget_before(self, counted_as: str, tally: Tally, horizon_ms: int) -> None:
        rings = [(PieceKind.COUNTS_HOUR, source, ring) for source, ring in tally.by_source.items()]
        for kind, source, ring in [*rings, (PieceKind.KNOWN_HOUR, "", tally.known)]:
            hours, days = ring.drop_before(horizon_ms)
            self._gone += [Piece(kind, hour, source, counted_as).key for hour in hours]
            self._gone += [Piece(kind.day, day, source, counted_as).key for day in days]
        tally.forget()

    def _seal_some(self) -> None:
        budget = REMOVAL_LIMIT
        while self._to_seal and budget > 0:
            counted_as, source, kind, day = self._to_seal.popleft()
            tally = self._tallies.get(counted_as)
            ring = None
            if tally is not None:
                ring = tally.known if kind is PieceKind.KNOWN_HOUR else tally.by_source.get(source)
            sealed = None if ring is None else ring.seal(day)
            if sealed is None:
                continue
            piece, hours = sealed
            self._outcome.rows[Piece(kind.day, day, source, counted_as).key] = encode_text(piece)
            for hour in hours:
                self._outcome.rows[Piece(kind, hour, source, counted_as).key] = None
            budget -= len(hours) + 1

    def _remove_some(self) -> None:
        for key in self._gone[-REMOVAL_LIMIT:]:
            if not self._keeps(key):  # else it was told again meanwhile
                self._outcome.rows[key] = None
        del self._gone[-REMOVAL_LIMIT:]

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _keeps(self, key: bytes) -> bool:
        piece = piece_of(key)
        tally = None if piece is None else self._tallies.get(piece.counted_as)
        if piece is None or tally is None:
            return False
        ring = tally.known if piece.kind.is_known else tally.by_source.get(piece.source)
        return ring is not None and ring.has_piece(piece.number, is_day=piece.kind.is_day)

    def _tally(self, counted_as: str) -> Tally:
        tally = self._tallies.get(counted_as)
        if tally is None:
            tally = self._tallies[counted_as] = Tally()
        return tally

    def _load_piece(self, piece: Piece, body: bytes) -> None:
        tally = self._tally(piece.counted_as)
        ring = tally.known if piece.kind.is_known else tally.ring(piece.source)
        if piece.kind.is_day:
            ring.load_day(piece.number, body)
        else:
            ring.load_hour(piece.number, body)


def _whole_minute(instant_ms: int) -> int:
    return instant_ms - instant_ms % MINUTE_MS
