"""Counts per minute, kept small: good and bad events of one objective over months, exact to the minute.

Two forms of the same thing. :class:`MinuteRing` is for memory and state rows: an hour is a few runs of equal minutes in
bytes, a day that is over is one string of bytes. :class:`MinuteColumn` is for many questions in a row: running sums
over minutes, so that the sum of any span is two look-ups.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from sla.minute_codec import (
    HOURS_A_DAY,
    LENGTHS,
    MINUTES_AN_HOUR,
    SUMS,
    Minute,
    bodies_of,
    decode_minutes,
    encode_day,
    encode_hour,
    encode_minutes,
    lengths_of,
    sums_of,
)
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS

_FEW_HOURS: Final = 48
_REMEMBERED_WINDOWS: Final = 24
_SLIDES_MS: Final = 2 * HOUR_MS
"""Moves longer than this are no slide: adding up anew is as cheap."""


class Sums(NamedTuple):
    """What a span of time holds.

    Attributes
    ----------
    good, bad : int
        Events.
    minutes : int
        Minutes of which something was told, be it that nothing happened.
    """

    good: int
    bad: int
    minutes: int

    @property
    def events(self) -> int:
        """All events."""
        return self.good + self.bad


class MinuteSums(Protocol):
    """Anything that can add up minutes."""

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the sums of the minutes that begin in ``[start, end)``, UTC epoch ms."""


NOTHING: Final = Sums(0, 0, 0)


class MinuteRing:
    """Counts by minute over months, in few bytes.

    Hours stand alone until their day is sealed; then they are one piece. A correction of a sealed day rewrites that
    piece. Nothing is rounded: the sum of any span of minutes is that of what was put in.

    Attributes
    ----------
    bad_total : int
        Bad events of all minutes kept: most objectives have none, and nothing has to be judged.
    """

    __slots__ = ("_changed", "_days", "_first_day", "_hours", "_open", "bad_total")

    def __init__(self) -> None:
        self._hours: dict[int, bytes] = {}
        """Pieces of hours, by number of the hour since the epoch."""
        self._first_day = 0
        self._days: list[bytes | None] = []
        """Pieces of sealed days from the first on: a list, for a dictionary would cost as much as most pieces."""
        self._open: dict[int, list[Minute | None]] = {}
        """Hours that are being written."""
        self._changed: set[int] = set()
        self.bad_total = 0

    # --- writing ---------------------------------------------------------------------------------------------------

    def put(self, minute_ms: int, good: int, bad: int) -> None:
        """Set the counts of the minute that begins at ``minute_ms``; they replace what was there."""
        hour, place = divmod(minute_ms // MINUTE_MS, MINUTES_AN_HOUR)
        minutes = self._open.get(hour)
        if minutes is None:
            minutes = self._open[hour] = decode_minutes(self._body_of(hour))
        before = minutes[place]
        minutes[place] = (good, bad)
        self.bad_total += bad - (before[1] if before is not None else 0)
        self._changed.add(hour)

    def get(self, minute_ms: int) -> Minute | None:
        """Return (good, bad) of a minute, None if nothing was told of it."""
        hour, place = divmod(minute_ms // MINUTE_MS, MINUTES_AN_HOUR)
        minutes = self._open.get(hour)
        if minutes is not None:
            return minutes[place]
        body = self._body_of(hour)
        return decode_minutes(body)[place] if body else None

    def load_hour(self, hour: int, piece: bytes) -> None:
        """Take over the piece of an hour, as :meth:`changes` told it."""
        self._hours[hour] = piece
        self.bad_total += SUMS.unpack_from(piece)[1]

    def load_day(self, day: int, piece: bytes) -> None:
        """Take over the piece of a sealed day."""
        self._put_day(day, piece)
        self.bad_total += SUMS.unpack_from(piece)[1]

    def changes(self) -> Iterator[tuple[bool, int, bytes]]:
        """Yield what changed since the last call: (is a day, its number, its piece); hours are closed by this."""
        days: dict[int, dict[int, list[Minute | None]]] = {}
        for hour in sorted(self._changed):
            minutes = self._open[hour]
            day = hour // HOURS_A_DAY
            if self._day(day) is not None:
                days.setdefault(day, {})[hour % HOURS_A_DAY] = minutes
            else:
                piece = encode_hour(minutes)
                self._hours[hour] = piece
                yield False, hour, piece
        self._changed.clear()
        self._open.clear()
        for day, changed in days.items():
            bodies = bodies_of(self._day(day))
            for place, minutes in changed.items():
                bodies[place] = encode_minutes(minutes)
            piece = encode_day(bodies)
            self._put_day(day, piece)
            yield True, day, piece

    def seal(self, day: int) -> tuple[bytes, list[int]] | None:
        """Make one piece of a day's hours: return it and the hours that are gone; None if there is nothing to do."""
        first = day * HOURS_A_DAY
        gone = [hour for hour in range(first, first + HOURS_A_DAY) if hour in self._hours]
        if not gone or self._day(day) is not None:
            return None
        bodies = [b""] * HOURS_A_DAY
        for hour in gone:
            bodies[hour - first] = self._hours.pop(hour)[SUMS.size :]
        piece = encode_day(bodies)
        self._put_day(day, piece)
        return piece, gone

    def drop_before(self, minute_ms: int) -> tuple[list[int], list[int]]:
        """Forget the days that end at or before an instant; return the hours and the sealed days that are gone."""
        day = minute_ms // DAY_MS
        hours = [hour for hour in self._hours if hour < day * HOURS_A_DAY]
        for hour in hours:
            self.bad_total -= SUMS.unpack_from(self._hours.pop(hour))[1]
        count = min(len(self._days), max(0, day - self._first_day))
        days = []
        for offset in range(count):
            piece = self._days[offset]
            if piece is not None:
                self.bad_total -= SUMS.unpack_from(piece)[1]
                days.append(self._first_day + offset)
        del self._days[:count]
        self._first_day += count
        return hours, days

    # --- reading ---------------------------------------------------------------------------------------------------

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the sums of the minutes that begin in ``[start, end)``."""
        first, last = -(-start_ms // MINUTE_MS), -(-end_ms // MINUTE_MS)
        if last <= first:
            return NOTHING
        if last == first + 1:
            entry = self.get(first * MINUTE_MS)
            return NOTHING if entry is None else Sums(*entry, 1)
        # Whole hours first, then what is left of the hours at both ends.
        low, high = -(-first // MINUTES_AN_HOUR), last // MINUTES_AN_HOUR
        if low > high:
            return Sums(*sums_of(self._minutes(high)[first % MINUTES_AN_HOUR : last % MINUTES_AN_HOUR]))
        found = self._whole_hours(low, high) if low < high else []
        if first % MINUTES_AN_HOUR and self._has(low - 1):
            found.append(sums_of(self._minutes(low - 1)[first % MINUTES_AN_HOUR :]))
        if last % MINUTES_AN_HOUR and self._has(high):
            found.append(sums_of(self._minutes(high)[: last % MINUTES_AN_HOUR]))
        return _total(found)

    def _whole_hours(self, low: int, high: int) -> list[tuple[int, int, int]]:
        """Return sums that make up those of the hours in ``[low, high)``."""
        is_open = self._open
        found: list[tuple[int, int, int]] = [
            sums_of(minutes) for hour, minutes in is_open.items() if low <= hour < high
        ]
        found += [
            SUMS.unpack_from(piece) for hour, piece in self._hours.items() if low <= hour < high and hour not in is_open
        ]
        if not self._days:
            return found
        reopened = {hour // HOURS_A_DAY for hour in is_open}
        first_day, last_day = -(-low // HOURS_A_DAY), high // HOURS_A_DAY
        partial = {bound // HOURS_A_DAY for bound in (low, high) if bound % HOURS_A_DAY}
        begin = max(0, first_day - self._first_day)
        for offset in range(begin, min(len(self._days), last_day - self._first_day)):
            piece = self._days[offset]
            if piece is not None and self._first_day + offset in reopened:
                partial.add(self._first_day + offset)
            elif piece is not None:
                found.append(SUMS.unpack_from(piece))
        for day in partial:
            piece = self._day(day)
            if piece is None:
                continue
            bodies = enumerate(bodies_of(piece), day * HOURS_A_DAY)
            found += [
                sums_of(decode_minutes(body))
                for hour, body in bodies
                if body and low <= hour < high and hour not in is_open
            ]
        return found

    def minutes(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int, int]]:
        """Yield (minute_ms, good, bad) of the minutes told that begin in ``[start, end)``, ascending."""
        first, last = -(-start_ms // MINUTE_MS), -(-end_ms // MINUTE_MS)
        low, high = first // MINUTES_AN_HOUR, -(-last // MINUTES_AN_HOUR)
        hours = filter(self._has, range(low, high)) if high - low <= _FEW_HOURS else self._known_hours()
        for hour in hours:
            begin = hour * MINUTES_AN_HOUR
            if begin + MINUTES_AN_HOUR <= first or begin >= last:
                continue
            for place, entry in enumerate(self._minutes(hour)):
                if entry is not None and first <= begin + place < last:
                    yield (begin + place) * MINUTE_MS, *entry

    @property
    def everything(self) -> Sums:
        """The sums of all minutes kept."""
        return _total(self._whole_hours(-(2**40), 2**40))

    @property
    def oldest_ms(self) -> int | None:
        """The oldest minute told, UTC epoch ms."""
        return next((minute_ms for minute_ms, _, _ in self.minutes(-(2**62), 2**62)), None)

    @property
    def pieces(self) -> int:
        """How many pieces, of hours and of days, are kept."""
        return len(self._hours) + sum(piece is not None for piece in self._days)

    def has_piece(self, number: int, *, is_day: bool) -> bool:
        """Tell whether an hour, or a sealed day, is kept as a piece of its own."""
        return self._day(number) is not None if is_day else number in self._hours

    def __bool__(self) -> bool:
        return bool(self._hours or self._open or any(piece is not None for piece in self._days))

    def open_days(self, before_ms: int) -> list[int]:
        """Return the days that end at or before an instant and are not sealed yet."""
        day = before_ms // DAY_MS
        return sorted({hour // HOURS_A_DAY for hour in self._hours if hour // HOURS_A_DAY < day})

    # --- pieces ----------------------------------------------------------------------------------------------------

    def _known_hours(self) -> list[int]:
        hours = self._hours.keys() | self._open.keys()
        for offset, piece in enumerate(self._days):
            if piece is not None:
                first = (self._first_day + offset) * HOURS_A_DAY
                hours |= {first + place for place, length in enumerate(lengths_of(piece)) if length}
        return sorted(hours)

    def _has(self, hour: int) -> bool:
        return hour in self._open or hour in self._hours or self._day(hour // HOURS_A_DAY) is not None

    def _minutes(self, hour: int) -> list[Minute | None]:
        found = self._open.get(hour)
        return decode_minutes(self._body_of(hour)) if found is None else found

    def _body_of(self, hour: int) -> bytes:
        piece = self._hours.get(hour)
        if piece is not None:
            return piece[SUMS.size :]
        day, place = divmod(hour, HOURS_A_DAY)
        sealed = self._day(day)
        if sealed is None:
            return b""
        lengths = lengths_of(sealed)
        begin = SUMS.size + LENGTHS.size + sum(lengths[:place])
        return sealed[begin : begin + lengths[place]]

    def _day(self, day: int) -> bytes | None:
        offset = day - self._first_day
        return self._days[offset] if 0 <= offset < len(self._days) else None

    def _put_day(self, day: int, piece: bytes) -> None:
        if not self._days:
            self._first_day = day
        if day < self._first_day:
            self._days[:0] = [None] * (self._first_day - day)
            self._first_day = day
        offset = day - self._first_day
        if offset >= len(self._days):
            self._days += [None] * (offset + 1 - len(self._days))
        self._days[offset] = piece


class SlidingSums:
    """Sums over rings that are added up, for windows that move on a little from one question to the next.

    Parameters
    ----------
    rings : iterable of MinuteRing
        Read whenever something is asked; what is put into one of them must be told to :meth:`moved`.
    """

    __slots__ = ("_rings", "_windows")

    def __init__(self, rings: Iterable[MinuteRing]) -> None:
        self._rings = rings
        self._windows: deque[list[int]] = deque(maxlen=_REMEMBERED_WINDOWS)
        """Start, end, good, bad, minutes of windows that were asked for."""

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the sums of the minutes that begin in ``[start, end)``; a minute of two rings counts twice."""
        window = self._window(start_ms, end_ms)
        if window is None:
            window = [start_ms, end_ms, 0, 0, 0]
            self._add(window, start_ms, end_ms, 1)
            self._windows.append(window)
        else:
            self._add(window, window[1], end_ms, 1)
            self._add(window, window[0], start_ms, -1)
            window[:2] = start_ms, end_ms
        return Sums(*window[2:])

    def _window(self, start_ms: int, end_ms: int) -> list[int] | None:
        """Return a window from which this one is a small step; one of its length if there is any."""
        length_ms = end_ms - start_ms
        near = [
            window
            for window in self._windows
            if start_ms >= window[0] and 0 <= end_ms - window[1] <= _SLIDES_MS and start_ms - window[0] <= _SLIDES_MS
        ]
        for window in near:
            if window[1] - window[0] == length_ms:
                return window
        # A running period grows: its start stays.
        return next((window for window in near if window[0] == start_ms), None)

    def moved(self, minute_ms: int, good: int, bad: int, minutes: int) -> None:
        """Take note that the counts of a minute changed by so much."""
        for window in self._windows:
            if window[0] <= minute_ms < window[1]:
                window[2] += good
                window[3] += bad
                window[4] += minutes

    def forget(self) -> None:
        """Forget what was asked for."""
        self._windows.clear()

    def _add(self, window: list[int], start_ms: int, end_ms: int, sign: int) -> None:
        if end_ms > start_ms:
            for ring in self._rings:
                good, bad, minutes = ring.sums(start_ms, end_ms)
                window[2] += sign * good
                window[3] += sign * bad
                window[4] += sign * minutes


class MinuteColumn:
    """Running sums over minutes: built once, asked often.

    Parameters
    ----------
    minutes : iterable of (minute_ms, good, bad)
        Ascending; minutes that are left out were not told.
    """

    __slots__ = ("_bad", "_good", "_minutes")

    def __init__(self, minutes: Iterable[tuple[int, int, int]]) -> None:
        told = list(minutes)
        self._minutes = array("q", (minute_ms for minute_ms, _, _ in told))
        self._good = list(accumulate((good for _, good, _ in told), initial=0))
        self._bad = list(accumulate((bad for _, _, bad in told), initial=0))

    def sums(self, start_ms: int, end_ms: int) -> Sums:
        """Return the sums of the minutes that begin in ``[start, end)``."""
        low = bisect_left(self._minutes, start_ms)
        high = bisect_left(self._minutes, end_ms, low)
        return Sums(self._good[high] - self._good[low], self._bad[high] - self._bad[low], high - low)

    def __len__(self) -> int:
        return len(self._minutes)

    def extend(self, minutes: Iterable[tuple[int, int, int]]) -> None:
        """Add later minutes, ascending."""
        good, bad = self._good[-1], self._bad[-1]
        for minute_ms, of_good, of_bad in minutes:
            good += of_good
            bad += of_bad
            self._minutes.append(minute_ms)
            self._good.append(good)
            self._bad.append(bad)

    def adjust(self, minute_ms: int, good: int, bad: int) -> None:
        """Add to the counts of a minute; one that was not told becomes one that was."""
        place = bisect_left(self._minutes, minute_ms)
        if place == len(self._minutes) or self._minutes[place] != minute_ms:
            self._minutes.insert(place, minute_ms)
            self._good.insert(place, self._good[place])
            self._bad.insert(place, self._bad[place])
        for later in range(place + 1, len(self._good)):
            self._good[later] += good
            self._bad[later] += bad


def _total(parts: list[tuple[int, int, int]]) -> Sums:
    good = bad = told = 0
    for part in parts:
        good += part[0]
        bad += part[1]
        told += part[2]
    return Sums(good, bad, told)
