"""The Calendar document: business hours and holidays, and its translation into the domain."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import holidays
from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PrivateAttr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import override

from config.faults import Problem, StrictModel, problem, problems, shown, suggestion
from config.fields import DateText, Identifier, TimezoneName
from config.icalendar_dates import ICalendarError, all_day_dates
from sla.calendar import Calendar
from sla.calendar_spec import WEEKDAYS, CalendarSpec, Minutes, faults_of, parse_hours
from sla.errors import CalendarError

HOLIDAY_YEARS: Final = range(2000, 2051)
"""Years for which holidays of a country or an iCalendar file are turned into plain dates.

They are resolved when a document is read by `contracts check` or `apply`, never on a worker: a verdict must not depend
on which version of a library of holidays a worker has, and two workers must not disagree. A fixed span, because one
that moves with the current year would change the published document every January. Fifty years cover the life of any
ticket; the dates of holidays that follow the moon are forecasts beyond the next years in any source.
"""

FOLDER: Final = "folder"
"""Key of the validation context: folder that paths in the document are relative to."""

_YEARLY = re.compile(r"^\d{2}-\d{2}$")
_HOURS_SCHEMA: Final = {"type": "string", "pattern": r"^\s*\d{1,2}:\d{2}\s*[-–]\s*\d{1,2}:\d{2}\s*$"}


def _yearly(value: Any) -> tuple[int, int]:
    if isinstance(value, str) and _YEARLY.match(value):
        month, day = map(int, value.split("-"))
        try:
            date(2000, month, day)  # a leap year: 29 February is a holiday of leap years
        except ValueError as error:
            raise problem(f"{value} is no day of the year (month-day)") from error
        return month, day
    raise problem(f"{shown(value)} is no day of every year: write it like 12-25 (month-day)")


def _windows(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _hours(value: Any) -> str:
    if not isinstance(value, str):
        raise problem(f"{shown(value)} are no hours: write 08:00-17:00")
    try:
        parse_hours(value)
    except CalendarError as error:
        raise problem(str(error)) from error
    return value


_YearlyText = Annotated[
    tuple[int, int],
    BeforeValidator(_yearly),
    PlainSerializer(lambda yearly: f"{yearly[0]:02d}-{yearly[1]:02d}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": _YEARLY.pattern}),
]
_Hours = Annotated[str, BeforeValidator(_hours), WithJsonSchema(_HOURS_SCHEMA)]
_Day = Annotated[
    tuple[_Hours, ...],
    BeforeValidator(_windows),
    WithJsonSchema({"anyOf": [_HOURS_SCHEMA, {"type": "array", "items": _HOURS_SCHEMA}]}),
]


class HoursModel(StrictModel):
    """Windows of each day of the week in local time; a day left out is closed."""

    mon: _Day = ()
    tue: _Day = ()
    wed: _Day = ()
    thu: _Day = ()
    fri: _Day = ()
    sat: _Day = ()
    sun: _Day = ()

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """Windows don't overlap, also over midnight; those that can't be read are passed over."""
        spec = CalendarSpec("hours", "UTC", tuple(tuple(_readable(data.get(day))) for day in WEEKDAYS))
        yield from (((), fault) for fault in faults_of(spec))

    def weekly(self) -> tuple[tuple[Minutes, ...], ...]:
        """Return the windows of Monday to Sunday in minutes of the day."""
        return tuple(tuple(parse_hours(text) for text in getattr(self, day)) for day in WEEKDAYS)


def _readable(day: Any) -> Iterator[Minutes]:
    for text in day if isinstance(day, (list, tuple)) else [day]:
        if isinstance(text, str):
            with contextlib.suppress(CalendarError):
                yield parse_hours(text)


class HolidaysModel(StrictModel):
    """Days on which the calendar is closed."""

    dates: tuple[DateText, ...] = Field((), description="Single days, 2026-03-19.")
    yearly: tuple[_YearlyText, ...] = Field((), description="Days of every year, 12-25.")
    country: str | None = Field(None, description="Public holidays of a country, ISO 3166 code such as ID.")
    subdivision: str | None = Field(None, description="And of its state or province, such as BE.")
    ics: str | None = Field(None, description="All-day events of an iCalendar file, relative to this one.")

    _resolved: frozenset[date] = PrivateAttr(default=frozenset())

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """The country is known, and the subdivision is one of it."""
        country, subdivision = data.get("country"), data.get("subdivision")
        known = _subdivisions_by_country()
        if country is None:
            if subdivision is not None:
                yield ("country",), "missing: the subdivision of which country?"
        elif isinstance(country, str) and country not in known:
            yield ("country",), f"unknown country {shown(country)}: write its ISO 3166 code, such as ID or DE"
        elif isinstance(country, str) and isinstance(subdivision, str) and subdivision not in known[country]:
            hint = suggestion(subdivision, known[country]) or f": known are {', '.join(known[country]) or 'none'}"
            yield ("subdivision",), f"unknown subdivision {shown(subdivision)} of {country}{hint}"

    @field_validator("ics")
    @classmethod
    def _ics_is_readable(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None:
            _of_file(name, info)
        return name

    @model_validator(mode="after")
    def _resolve(self, info: ValidationInfo) -> Self:
        dates = set(self.dates)
        # `check` tells what is wrong with them.
        known = _subdivisions_by_country().get(self.country or "")
        if self.country is not None and known is not None and self.subdivision in (None, *known):
            dates |= _of_country(self.country, self.subdivision)
        if self.ics is not None:
            dates |= _of_file(self.ics, info)
        self._resolved = frozenset(dates)
        return self

    @property
    def closed_dates(self) -> frozenset[date]:
        """All single days, those of the country and of the iCalendar file included."""
        return self._resolved


@functools.cache
def _subdivisions_by_country() -> Mapping[str, list[str]]:
    return holidays.list_supported_countries(include_aliases=True)


@functools.cache  # fifty years of a lunar calendar take half a second
def _of_country(country: str, subdivision: str | None) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=HOLIDAY_YEARS))


def _of_file(name: str, info: ValidationInfo) -> frozenset[date]:
    folder: Path | None = (info.context or {}).get(FOLDER)
    if folder is None:
        raise problem("can't be read here: the document does not come from a folder")
    try:
        return all_day_dates((folder / name).read_bytes(), HOLIDAY_YEARS)
    except OSError as error:
        raise problem(f"can't read {name}: {error.strerror or error}") from error
    except ICalendarError as error:
        raise problem(f"{name}: {error}") from error


class CalendarModel(StrictModel):
    """One business calendar. Reading it resolves its holidays, see :data:`HOLIDAY_YEARS`."""

    unsupported: ClassVar[frozenset[str]] = frozenset()

    kind: Literal["Calendar"]
    id: Identifier = Field(description="Unique over all calendars.")
    timezone: TimezoneName = Field(description="IANA time zone of the hours and holidays.")
    hours: HoursModel = Field(description="08:00-17:00; 22:00-06:00 runs over midnight; 00:00-24:00 is a whole day.")
    holidays: HolidaysModel = Field(default_factory=HolidaysModel)

    @model_validator(mode="after")
    def _opens(self) -> Self:
        try:
            Calendar(self.to_domain())
        except CalendarError as error:
            fault = str(error).removeprefix(f"calendar {self.id!r} ")
            raise problems("hours", [(("hours",), fault)]) from error
        return self

    def to_domain(self) -> CalendarSpec:
        """Return the domain's specification, every holiday resolved."""
        return CalendarSpec(
            id=self.id,
            timezone=self.timezone,
            weekly=self.hours.weekly(),
            closed_dates=self.holidays.closed_dates,
            closed_yearly=frozenset(self.holidays.yearly),
        )
