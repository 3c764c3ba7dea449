"""The Calendar document: business hours and holidays, and its translation into the domain."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, Self

import holidays
from pydantic import (
    BeforeValidator,
    ConfigDict,
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
from config.fields import DateText, Identifier, InstantText, TimezoneName
from config.icalendar_dates import ICalendarError, all_day_dates
from sla.calendar import Calendar
from sla.calendar_spec import NO_HOURS, WEEKDAYS, CalendarSpec, Combination, Minutes, faults_of, parse_hours
from sla.errors import CalendarError, UnitError
from sla.units import parse_instant

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


def _none_means(default: Any) -> BeforeValidator:
    """Return a validator for which null is a field left out: every part of the holidays is optional."""
    return BeforeValidator(lambda value: default if value is None else value)


class HolidaysModel(StrictModel):
    """Days on which the calendar is closed."""

    dates: Annotated[tuple[DateText, ...], _none_means(())] = Field((), description="Single days, 2026-03-19.")
    yearly: Annotated[tuple[_YearlyText, ...], _none_means(())] = Field((), description="Days of every year, 12-25.")
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


_COMBINATIONS: Final = {
    "intersection_of": Combination.INTERSECTION,
    "union_of": Combination.UNION,
}
"""Fields that make a calendar of others."""

_OWN_FIELDS: Final = ("timezone", "hours")


def _one_of(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": list(_OWN_FIELDS)}, *({"required": [name]} for name in _COMBINATIONS)]


class CalendarRevisionModel(StrictModel):
    """Hours and holidays of a calendar from an instant on, in place of those before."""

    effective_from: InstantText = Field(description="RFC 3339 with a zone.")
    timezone: TimezoneName | None = Field(None, description="Default: the calendar's.")
    hours: HoursModel
    holidays: HolidaysModel = Field(default_factory=HolidaysModel)

    def to_domain(self, calendar_id: str, timezone: str) -> CalendarSpec:
        """Return the domain's specification of the revision alone."""
        return _spec_of(calendar_id, self.timezone or timezone, self.hours, self.holidays)


def _spec_of(calendar_id: str, timezone: str, hours: HoursModel, given: HolidaysModel) -> CalendarSpec:
    return CalendarSpec(
        id=calendar_id,
        timezone=timezone,
        weekly=hours.weekly(),
        closed_dates=given.closed_dates,
        closed_yearly=frozenset(given.yearly),
    )


def _check_revisions(revisions: Any) -> Iterator[Problem]:
    """Revisions ascend in their effective instants."""
    before_ms: int | None = None
    for index, revision in enumerate(revisions if isinstance(revisions, (list, tuple)) else ()):
        written = revision.get("effective_from") if isinstance(revision, Mapping) else None
        with contextlib.suppress(UnitError):
            at_ms = parse_instant(str(written))
            if before_ms is not None and at_ms <= before_ms:
                yield ("revisions", index, "effective_from"), "must be later than that of the revision before"
            before_ms = at_ms


class CalendarModel(StrictModel):
    """One business calendar. Reading it resolves its holidays, see :data:`HOLIDAY_YEARS`."""

    model_config = ConfigDict(json_schema_extra=_one_of)

    unsupported: ClassVar[frozenset[str]] = frozenset()

    kind: Literal["Calendar"]
    id: Identifier = Field(description="Unique over all calendars.")
    timezone: TimezoneName | None = Field(
        None, description="IANA time zone of the hours and holidays. Of a combined calendar: the first part's."
    )
    hours: HoursModel | None = Field(
        None, description="08:00-17:00; 22:00-06:00 runs over midnight; 00:00-24:00 is a whole day."
    )
    holidays: Annotated[HolidaysModel, _none_means({})] = Field(default_factory=HolidaysModel)
    intersection_of: tuple[Identifier, ...] | None = Field(
        None, description="Instead of hours: open when all of these calendars are."
    )
    union_of: tuple[Identifier, ...] | None = Field(
        None, description="Instead of hours: open when any of these calendars is."
    )

    revisions: tuple[CalendarRevisionModel, ...] | None = Field(
        None,
        description="Later hours and holidays: each from its effective instant on, those before until then.",
    )

    _parts: tuple[CalendarModel, ...] = PrivateAttr(default=())

    @classmethod
    @override
    def check(cls, data: Mapping[str, Any]) -> Iterator[Problem]:
        """A calendar has hours of its own, or is made of two others or more."""
        given = [name for name in _COMBINATIONS if data.get(name) is not None]
        if not given:
            yield from (((name,), "missing") for name in _OWN_FIELDS if data.get(name) is None)
            yield from _check_revisions(data.get("revisions"))
            return
        if data.get("revisions"):
            yield ("revisions",), f"stands beside {given[0]}: revisions are those of the calendars named there"
        yield from (((name,), f"stands beside {given[0]}: write one of them") for name in given[1:])
        for name in ("hours", "holidays"):
            if data.get(name):
                yield (name,), f"stands beside {given[0]}: hours and holidays are those of the calendars named there"
        for name in given:
            parts = data[name]
            if not isinstance(parts, (list, tuple)):
                continue
            if len(parts) < 2:
                yield (name,), "names two calendars or more"
            for index, part in enumerate(parts):
                if part == data.get("id"):
                    yield (name, index), "is this calendar itself"
                elif part in parts[:index]:
                    yield (name, index), f"{shown(part)} stands there twice"

    @model_validator(mode="after")
    def _opens(self) -> Self:
        if self.combination is None and self.hours is not None and self.timezone is not None:
            try:
                Calendar(self.to_domain())
            except CalendarError as error:
                raise problems("hours", [(("hours",), self._without_name(error))]) from error
        return self

    @property
    def combination(self) -> Combination | None:
        """How the calendar is made of others; None if it has hours of its own."""
        return next((how for name, how in _COMBINATIONS.items() if getattr(self, name) is not None), None)

    @property
    def part_ids(self) -> tuple[str, ...]:
        """Ids of the calendars it is made of."""
        return self.intersection_of or self.union_of or ()

    @property
    def parts(self) -> tuple[CalendarModel, ...]:
        """The calendars it is made of, once they are brought together."""
        return self._parts

    def made_of(self, parts: Iterable[CalendarModel]) -> Self:
        """Return this combined calendar together with its parts, which are in the order of :attr:`part_ids`.

        A document only names them. Reading a folder, a file or a register document brings them together; before that
        the calendar can't be compiled.

        Raises
        ------
        CalendarError
            If it never opens.
        """
        combined = self.model_copy()
        combined._parts = tuple(parts)  # noqa: SLF001 - of the copy
        Calendar(combined.to_domain())
        return combined

    def to_domain(self) -> CalendarSpec:
        """Return the domain's specification, every holiday resolved.

        Raises
        ------
        CalendarError
            If the calendar is made of others that have not been brought together with it.
        """
        if self.combination is not None:
            if len(self._parts) != len(self.part_ids):
                raise CalendarError(f"calendar {self.id!r} is made of {', '.join(self.part_ids)}, which are not here")
            parts = tuple(part.to_domain() for part in self._parts)
            timezone = self.timezone or parts[0].timezone
            return CalendarSpec(self.id, timezone, NO_HOURS, combination=self.combination, parts=parts)
        assert self.hours is not None, "checked"
        assert self.timezone is not None, "checked"
        first = _spec_of(self.id, self.timezone, self.hours, self.holidays)
        if not self.revisions:
            return first
        parts = (first, *(revision.to_domain(self.id, self.timezone) for revision in self.revisions))
        since = tuple(parse_instant(revision.effective_from) for revision in self.revisions)
        return CalendarSpec(
            self.id, self.timezone, NO_HOURS, combination=Combination.SUCCESSION, parts=parts, since=since
        )

    def _without_name(self, error: CalendarError) -> str:
        return str(error).removeprefix(f"calendar {self.id!r} ")
