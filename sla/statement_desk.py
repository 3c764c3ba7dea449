"""Issues the statements of one partition of the objectives: what is published when, and as which revision.

What was issued last is kept as rows, so that a restart neither forgets a revision number nor tells a thing twice.
Work is done a little at a time: every objective is looked at once an hour of event time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from sla.contract import Contract
from sla.minute_counts import MinuteSums
from sla.period import CalendarPeriod, parse_period, period_at
from sla.register import Register
from sla.row import RowFormatError
from sla.statement import Counting, Issue, Statement, issued_document, next_issue, statement_of
from sla.statement_terms import Promised, newest_terms, objectives_of, terms_in
from sla.units import DAY_MS, HOUR_MS
from sla.window import window_span

STATEMENT_PREFIX: Final = b"s"
ROW_FORMAT: Final = 1

LOOK_EVERY_MS: Final = HOUR_MS
"""How often an objective is looked at, in event time; provisional numbers are told no more often."""

LOOK_LIMIT: Final = 50
"""Most objectives that one step looks at: a step must stay short."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Issue).decode


class _Seat(NamedTuple):
    """One objective of this partition."""

    contract: Contract
    revisions: tuple[Promised, ...]
    counted_as: str
    is_availability: bool


class IssuedStatement(NamedTuple):
    """One record of ``sla.statements``.

    Attributes
    ----------
    key : str
        ``objective|period``.
    document : dict
        Its JSON document.
    """

    key: str
    document: dict[str, Any]


class StatementDesk:
    """Statements of the objectives that one partition owns.

    Parameters
    ----------
    owns : callable
        Whether what is counted under an id is counted in this partition.
    grace_ms : int
        A period's statement becomes final this long after its end.
    retention_ms : int
        Counts are kept this long after they have left their window, as the objective engine keeps them. After that
        nothing is issued again.
    """

    def __init__(self, owns: Callable[[str], bool], grace_ms: int, retention_ms: int) -> None:
        self._owns = owns
        self._grace_ms = grace_ms
        self._retention_ms = retention_ms
        self._seats: dict[str, _Seat] = {}
        self._issued: dict[str, dict[str, Issue]] = {}
        self._queue: deque[str] = deque()
        self._next_round_ms = 0

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take restored rows over.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        for key, row in rows:
            if key[:1] != STATEMENT_PREFIX:
                continue
            if row[0] != ROW_FORMAT:
                raise RowFormatError(f"row format {row[0]}, this release reads {ROW_FORMAT}: a newer worker wrote it")
            issue = _decode(row[1:])
            self._issued.setdefault(issue.objective, {})[issue.period] = issue

    def set_register(self, register: Register) -> None:
        """Put a register in force; every objective is looked at anew."""
        self._seats = {}
        for contract in register.contracts.values():
            for objective_id, revisions in objectives_of(contract).items():
                newest = newest_terms(contract, revisions)
                if self._owns(newest.counted_as):
                    is_availability = newest.counting is not Counting.CLOCKS
                    self._seats[objective_id] = _Seat(contract, tuple(revisions), newest.counted_as, is_availability)
        self._queue.clear()
        self._next_round_ms = 0

    def judge(
        self, watermark_ms: int | None, uptime_watermark_ms: int | None, counts: Callable[[str], MinuteSums]
    ) -> tuple[dict[bytes, bytes | None], list[IssuedStatement]]:
        """Return rows and statements of a step.

        Parameters
        ----------
        watermark_ms, uptime_watermark_ms : int or None
            Event time up to which everything is counted, of clocks and of services; None: not known yet.
        counts : callable
            Good and bad events by minute of what is counted under an id.
        """
        rows: dict[bytes, bytes | None] = {}
        told: list[IssuedStatement] = []
        newest_ms = max(watermark_ms or 0, uptime_watermark_ms or 0)
        if not self._queue and newest_ms >= self._next_round_ms and newest_ms:
            self._queue.extend(sorted(self._seats))
            self._next_round_ms = newest_ms - newest_ms % LOOK_EVERY_MS + LOOK_EVERY_MS
        for _ in range(min(LOOK_LIMIT, len(self._queue))):
            objective_id = self._queue.popleft()
            seat = self._seats[objective_id]
            now_ms = uptime_watermark_ms if seat.is_availability else watermark_ms
            if now_ms is not None:
                self._look(objective_id, seat, now_ms, counts(seat.counted_as), rows, told)
        return rows, told

    def _look(
        self,
        objective_id: str,
        seat: _Seat,
        now_ms: int,
        counts: MinuteSums,
        rows: dict[bytes, bytes | None],
        told: list[IssuedStatement],
    ) -> None:
        issued = self._issued.setdefault(objective_id, {})
        kept_from_ms = self._kept_from(seat, now_ms)
        for period, statement in self._statements(seat, issued, now_ms, kept_from_ms, counts):
            last = issued.get(period.name)
            issue = next_issue(last, statement, LOOK_EVERY_MS)
            if issue is None:
                continue
            issued[period.name] = issue
            rows[_key(objective_id, period.name)] = bytes((ROW_FORMAT,)) + _encode(issue)
            told.append(IssuedStatement(f"{objective_id}|{period.name}", issued_document(issue, last, statement)))
        timezone = newest_terms(seat.contract, seat.revisions).timezone
        for name in [name for name in issued if parse_period(name).span(timezone).start_ms < kept_from_ms]:
            # Its counts are gone: it stands as it was issued last.
            del issued[name]
            rows[_key(objective_id, name)] = None

    def _statements(
        self, seat: _Seat, issued: dict[str, Issue], now_ms: int, kept_from_ms: int, counts: MinuteSums
    ) -> Iterator[tuple[CalendarPeriod, Statement]]:
        newest = newest_terms(seat.contract, seat.revisions)
        kind = newest.period_kind
        period = period_at(kind, newest.timezone, now_ms)
        first_ms = min(revision.effective_from_ms for revision in seat.revisions)
        while True:
            span = period.span(newest.timezone)
            if span.start_ms < kept_from_ms or span.end_ms <= first_ms:
                return
            if span.end_ms <= now_ms and period.name not in issued and not counts.sums(*span).events:
                return  # nothing was ever known of it, or of what lies before
            terms = terms_in(seat.contract, seat.revisions, period)
            if terms is not None:
                yield period, statement_of(terms, period, counts, now_ms, self._grace_ms, first_ms)
            period = period.shifted(-1)

    def _kept_from(self, seat: _Seat, now_ms: int) -> int:
        window = newest_terms(seat.contract, seat.revisions).window
        span = window_span(window, now_ms)
        # A day more: counts are dropped by whole days.
        return min(span.start_ms, now_ms - span.length_ms) - self._retention_ms + DAY_MS


def _key(objective_id: str, period: str) -> bytes:
    return STATEMENT_PREFIX + f"{objective_id}|{period}".encode()
