"""How numbers, instants and outcomes of a report are written, the same in every format."""

from __future__ import annotations

from fractions import Fraction
from zoneinfo import ZoneInfo

from sla.report import Breach, ObjectiveReport
from sla.statement import Counting, Statement, StatementState
from sla.units import HOUR_MS, MINUTE_MS, datetime_of
from sla.watermelon import Signal, WatermelonIndex
from sla.window import window_name

SIGNAL_WORDS = {
    Signal.UNHAPPY: "unhappy feedback",
    Signal.REOPENED: "reopened",
    Signal.BOUNCED: "handed around between teams",
    Signal.SILENT: "long silence",
    Signal.PAUSED_LATE: "paused just before the deadline",
}
"""The signals of the watermelon index, for people."""

_PERCENT = "\N{NO-BREAK SPACE}%"

_EVENTS = {
    Counting.CLOCKS: ("clocks met", "clocks breached"),
    Counting.TIME_SLICES: ("good slices", "bad slices"),
    Counting.REQUEST_RATIO: ("good requests", "bad requests"),
}


def percent(ratio: Fraction | float | None, places: int = 2) -> str:
    """Return a share as ``99.95 %``; never rounded up to 100 %, or up to a promise that was missed."""
    if ratio is None:
        return "–"
    scale = 10 ** (places + 2)
    exact = Fraction(ratio)
    # Rounded towards zero: 99.996 % attained is no 100 %.
    scaled = abs(exact.numerator) * scale // exact.denominator
    sign = "-" if exact < 0 and scaled else ""
    whole, rest = divmod(scaled, 10**places)
    return f"{sign}{whole:,}.{rest:0{places}d}{_PERCENT}" if places else f"{sign}{whole:,}{_PERCENT}"


def promised(ratio: Fraction) -> str:
    """Return a promised share without needless zeros: ``95 %``, ``99.9 %``."""
    written = f"{float(ratio * 100):.10f}".rstrip("0").rstrip(".")
    return f"{written}{_PERCENT}"


def duration(ms: int | None) -> str:
    """Return a length of time as ``26 h 05 min``, rounded down to the minute; less in seconds, none as a dash."""
    if not ms:
        return "–"
    if abs(ms) < MINUTE_MS:
        return f"{ms // 1000} s"
    hours, rest = divmod(abs(ms), HOUR_MS)
    sign = "-" if ms < 0 else ""
    minutes = rest // MINUTE_MS
    return f"{sign}{hours:,} h {minutes:02d} min" if hours else f"{sign}{minutes} min"


def instant(at_ms: int | None, timezone: str) -> str:
    """Return an instant in a zone, to the minute: ``2026-10-05 17:37``."""
    return "–" if at_ms is None else f"{datetime_of(at_ms).astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"


def counted(number: int, word: str) -> str:
    """Return a number with its word: ``1 clock``, ``1,204 clocks``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def verdict_word(statement: Statement) -> str:
    """Return what became of the promise, in a word or two."""
    if statement.is_met is None:
        return "no data"
    # A month of a promise per quarter is neither met nor missed by itself.
    is_part = statement.period.kind is not statement.terms.period_kind
    if is_part or statement.state is StatementState.PROVISIONAL:
        return "on course" if statement.is_met else "below target"
    return "met" if statement.is_met else "missed"


def verdict_css(statement: Statement) -> str:
    """Return the class that colours the word."""
    return {None: "none", True: "good", False: "bad"}[statement.is_met]


def state_word(objective: ObjectiveReport) -> str:
    """Return whether the numbers can still change: ``provisional``, ``final``, ``final, revision 2``."""
    state = objective.statement.state.value
    return state if not objective.issued_revision else f"{state}, revision {objective.issued_revision}"


def events_words(statement: Statement) -> tuple[str, str]:
    """Return the names of good and bad events."""
    return _EVENTS[statement.terms.counting]


def promise_words(statement: Statement) -> str:
    """Return what was promised: ``95 % per month``, ``99.9 % over 30d, stated here per month``."""
    promise = statement.terms
    over = window_name(promise.window)
    said = f"per {over}" if promise.window.rolling_ms is None else f"over {over}"
    stated = "" if statement.is_of_promised_period else f", stated here per {statement.period.kind.value}"
    return f"{promised(promise.attain)} {said}{stated}"


def budget_words(statement: Statement) -> str:
    """Return what is left of the error budget: ``-12 of 40.5 left (-29.6 %)``."""
    budget = statement.budget
    if not budget.events:
        return "–"
    kind = "expected " if budget.is_estimated else ""
    if budget.remaining_ratio is None:
        return f"nothing allowed, {budget.bad:,} spent"
    left = f"{float(budget.remaining_events):,.1f} of {kind}{float(budget.allowed_events):,.1f} left"
    return f"{left} ({percent(budget.remaining_ratio, 1)})"


def cause_words(breach: Breach) -> str:
    """Return who held the ticket for most of the time: ``team:network (84 %)``."""
    if breach.cause is None:
        return "not known"
    return f"{breach.cause} ({percent(breach.cause_ratio, 0)})"


def index_words(found: WatermelonIndex) -> str:
    """Return a watermelon index and what it was taken over: ``21.5 % over 173 clocks``."""
    over = counted(found.clocks, "clock") if found.clocks else counted(found.opinions, "opinion")
    return f"{percent(found.index, 1)} over {over}"
