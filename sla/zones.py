"""Civil time of one IANA time zone: from a date and a minute of the day to instants, DST included.

A local time may exist once, twice (clocks go back) or not at all (clocks go forward), and midnight is no exception:
Havana repeats 00:00-01:00, Sao Paulo skipped it, Samoa skipped a whole day.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from difflib import get_close_matches
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from sla.errors import CalendarError
from sla.units import DAY_MS, MINUTE_MS, SECOND_MS, EpochMs, datetime_of

_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_ONE_DAY: Final = timedelta(days=1)
# Names in a zone database that are no place: what they mean depends on the machine. ("right/" counts leap seconds.)
_NOT_ZONES: Final = frozenset({"Factory", "localtime", "posixrules"})


class CivilZone:
    """The civil time of one time zone.

    Parameters
    ----------
    name : str
        IANA name such as ``Asia/Jakarta``.

    Raises
    ------
    CalendarError
        If the time zone is unknown; the message suggests a name.
    """

    __slots__ = ("_zone", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._zone = _zone_of(name)

    def occurrences(self, day: date, minute: int) -> tuple[EpochMs, EpochMs]:
        """Return the first and the last instant at which the zone's clocks show a local time.

        Both are the same instant if the local time exists once. If it does not exist (clocks went forward over it)
        both are the first instant after the gap.

        Parameters
        ----------
        day : date
        minute : int
            Local minute of the day, 0..1439.
        """
        hour, minute_of_hour = divmod(minute, 60)
        wall_ms = (day.toordinal() - _EPOCH_ORDINAL) * DAY_MS + minute * MINUTE_MS
        # PEP 495: around an offset change, fold=0 reads the local time with the offset before it, fold=1 after it.
        before = datetime(day.year, day.month, day.day, hour, minute_of_hour, tzinfo=self._zone, fold=0)
        after = datetime(day.year, day.month, day.day, hour, minute_of_hour, tzinfo=self._zone, fold=1)
        first_ms = wall_ms - _offset_ms(before)
        last_ms = wall_ms - _offset_ms(after)
        if first_ms > last_ms:
            first_ms = last_ms = self._change_between(last_ms, first_ms)
        return EpochMs(first_ms), EpochMs(last_ms)

    def end_of(self, day: date) -> EpochMs:
        """Return the instant after the last one of a civil date: what 24:00 means.

        It is the start of the next date also where 00:00 happens twice within that next date (Havana): a date never
        reaches into its neighbour. A date that the zone skipped ends where it begins.
        """
        first_ms, last_ms = self.occurrences(day + _ONE_DAY, 0)
        if first_ms < last_ms and self.date_at(last_ms - 1) <= day:
            return last_ms
        return first_ms

    def spans_of(self, day: date) -> list[tuple[int, int]]:
        """Return the half-open intervals of instants with this local date, ascending.

        One interval as a rule; none for a date that was skipped; two where clocks went back over midnight
        (St. John's until 2011: 00:01 to 23:01 of the day before).
        """
        start_ms, end_ms = self.occurrences(day, 0)[0], self.end_of(day)
        offset_ms, last_offset_ms = self.offset_ms_at(start_ms), self.offset_ms_at(end_ms - 1)
        if offset_ms == last_offset_ms:
            return [(start_ms, end_ms)] if start_ms < end_ms else []
        change_ms = self._change_between(start_ms, end_ms - 1)
        wall_ms = (day.toordinal() - _EPOCH_ORDINAL) * DAY_MS
        spans = [
            (int(start_ms), min(change_ms, wall_ms + DAY_MS - offset_ms)),
            (max(change_ms, wall_ms - last_offset_ms), int(end_ms)),
        ]
        return [(from_ms, until_ms) for from_ms, until_ms in spans if from_ms < until_ms]

    def date_at(self, instant_ms: int) -> date:
        """Return the local date at an instant."""
        return datetime_of(instant_ms).astimezone(self._zone).date()

    def offset_ms_at(self, instant_ms: int) -> int:
        """Return local minus UTC time at an instant, in milliseconds."""
        return _offset_ms(datetime_of(instant_ms).astimezone(self._zone))

    def _change_between(self, before_ms: int, after_ms: int) -> int:
        """Return the instant in (before, after] at which the offset changes; the two offsets differ."""
        offset_ms = self.offset_ms_at(before_ms)
        while after_ms - before_ms > 1:
            middle_ms = (before_ms + after_ms) // 2
            if self.offset_ms_at(middle_ms) == offset_ms:
                before_ms = middle_ms
            else:
                after_ms = middle_ms
        return after_ms


def _offset_ms(aware: datetime) -> int:
    offset = aware.utcoffset()
    assert offset is not None, "the datetime has a zone"
    return offset.days * DAY_MS + offset.seconds * SECOND_MS


@cache
def _zone_of(name: str) -> ZoneInfo | timezone:
    if name == "UTC":
        return UTC  # needs no database
    try:
        if name in _NOT_ZONES or name.startswith(("posix/", "right/")):
            raise ValueError(name)  # noqa: TRY301
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        # A folder of the database ("Europe") is an OSError, an absolute path a ValueError.
        raise CalendarError(f"unknown time zone {name!r}{_suggestion(name)}") from error


def _suggestion(name: str) -> str:
    known = {zone.casefold(): zone for zone in sorted(available_timezones() - _NOT_ZONES)}
    # People write the city without its region, or with another region.
    cities = {zone.rpartition("/")[2]: known[zone] for zone in known if "/" in zone}
    wanted = name.strip().replace(" ", "_").casefold()
    city = wanted.rpartition("/")[2]
    meant = known.get(wanted) or cities.get(city)
    if not meant:
        whole, part = get_close_matches(wanted, known, 1, 0.75), get_close_matches(city, cities, 1, 0.75)
        meant = known[whole[0]] if whole else cities[part[0]] if part else None
    return f": did you mean {meant!r}?" if meant else ": write an IANA name such as 'Europe/Berlin'"
