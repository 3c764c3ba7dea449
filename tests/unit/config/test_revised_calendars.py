"""Revisions of calendars as written, published and compiled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from config.calendar_model import CalendarModel
from config.documents import DocumentError, calendar_document, calendar_of
from config.faults import path_of, problems_of
from sla.calendar import Calendar
from sla.units import HOUR_MS, parse_instant

OFFICE: dict[str, Any] = {
    "kind": "Calendar",
    "id": "office",
    "timezone": "Europe/Berlin",
    "hours": {"mon": "09:00-17:00", "tue": "09:00-17:00"},
    "revisions": [
        {
            "effective_from": "2026-03-03T00:00:00+01:00",
            "hours": {"mon": "09:00-17:00", "tue": "09:00-19:00"},
            "holidays": {"country": "DE"},
        },
        {"effective_from": "2026-03-10T00:00:00+01:00", "timezone": "Asia/Jakarta", "hours": {"tue": "09:00-10:00"}},
    ],
}


def worked_hours(calendar: Calendar, day: str) -> int:
    start_ms = parse_instant(f"{day}T00:00:00+01:00")
    return calendar.worked_between(start_ms, start_ms + 24 * HOUR_MS) // HOUR_MS


def test_revisions_of_a_calendar_count_from_their_effective_instants() -> None:
    for calendar in (
        Calendar(CalendarModel.model_validate(OFFICE).to_domain()),
        Calendar(calendar_of(calendar_document(CalendarModel.model_validate(OFFICE)))),
    ):
        assert [worked_hours(calendar, day) for day in ("2026-02-24", "2026-03-02", "2026-03-03", "2026-03-10")] == [
            8,
            8,
            10,
            1,
        ]
        assert calendar.zone_at(parse_instant("2026-03-10T12:00:00Z")).name == "Asia/Jakarta"


def test_published_revisions_have_plain_dates() -> None:
    document = json.loads(calendar_document(CalendarModel.model_validate(OFFICE)))
    assert "2026-12-25" in document["revisions"][0]["holidays"]["dates"]
    assert "country" not in document["revisions"][0]["holidays"]
    document["revisions"][0]["holidays"]["country"] = "DE"
    with pytest.raises(DocumentError, match=r"holidays\.country: must be resolved to dates"):
        calendar_of(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("revisions", "path"),
    [
        ([{"effective_from": "2026-03-03", "hours": {"mon": "09:00-17:00"}}], "revisions[0].effective_from"),
        ([{"effective_from": "2026-03-03T00:00:00Z"}], "revisions[0].hours"),
        ([*reversed(OFFICE["revisions"])], "revisions[1].effective_from"),
        ([{**OFFICE["revisions"][0], "hours": {}}], "hours"),
    ],
)
def test_a_revision_that_can_not_be_used_is_refused_at_its_place(revisions: list[Any], path: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CalendarModel.model_validate({**OFFICE, "revisions": revisions})
    assert [path_of(loc) for loc, _ in problems_of(caught.value, CalendarModel)] == [path]
