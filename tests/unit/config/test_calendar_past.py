"""Calendars that would change what has been counted: which changes do, since when, and what is said."""

from __future__ import annotations

from typing import Any

import pytest

from config.calendar_model import CalendarModel
from config.calendar_past import changes_of_the_past, first_difference_ms
from config.contract_model import ContractModel
from sla.calendar_spec import CalendarSpec
from sla.units import format_instant, parse_instant

NOW = parse_instant("2026-03-04T12:00:00Z")
"""A Wednesday."""

DAYS = ("mon", "tue", "wed", "thu", "fri")
OFFICE: dict[str, Any] = {
    "kind": "Calendar",
    "id": "office",
    "timezone": "Europe/Berlin",
    "hours": dict.fromkeys(DAYS, "09:00-17:00"),
}
LONGER = {"hours": dict.fromkeys(DAYS, "09:00-19:00")}


def calendar(**changes: Any) -> CalendarSpec:
    return CalendarModel.model_validate({**OFFICE, **changes}).to_domain()


def contract(since: str = "2026-01-01", within: str = "8bh", status: str = "signed", **more: Any) -> ContractModel:
    target = {"id": "t", "start": {"event": "created"}, "stop": {"event": "resolved"}, "within": within}
    return ContractModel.model_validate(
        {
            "kind": "Contract",
            "id": "desk",
            "type": "sla",
            "level": "corporate",
            "provider": "p",
            "owner": "o",
            "revisions": [
                {
                    "revision": 1,
                    "status": status,
                    "effective_from": f"{since}T00:00:00+01:00",
                    "calendar": "office",
                    "targets": [target],
                    **more,
                }
            ],
        }
    )


def told(after: CalendarSpec, *contracts: ContractModel, before: CalendarSpec | None = None) -> list[str]:
    published, proposed = {"office": before or calendar()}, {"office": after}
    return [line for _, line in changes_of_the_past(published, proposed, contracts or (contract(),), NOW)]


def test_other_hours_in_place_are_told_with_the_first_day_and_what_to_write() -> None:
    assert told(calendar(**LONGER)) == [
        (
            "changes its past, first on 2026-01-01: verdicts already told about desk would be corrected "
            "(`contracts plan` counts them). Leave its hours and holidays as they are and add the new ones: "
            "revisions: [{effective_from: 2026-03-05T00:00:00+01:00, hours: ..., holidays: ...}]"
        )
    ]


def test_what_is_advised_changes_no_past() -> None:
    later = {"effective_from": "2026-03-05T00:00:00+01:00", **LONGER}
    assert told(calendar(revisions=[later])) == []


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"holidays": {"dates": ["2026-03-03"]}}, "2026-03-03"),
        ({"holidays": {"dates": ["2026-03-05"]}}, None),
        ({"holidays": {"yearly": ["12-25"]}}, None),
        ({"holidays": {"yearly": ["01-01"]}}, "2026-01-01"),
        ({"holidays": {"dates": ["2025-12-31"]}}, None),
        ({"timezone": "Europe/Vienna"}, None),
        ({"timezone": "Europe/London"}, "2026-01-01"),
        ({"hours": {**OFFICE["hours"], "wed": "09:00-14:00"}}, "2026-01-07"),
        ({"revisions": [{"effective_from": "2026-03-02T00:00:00+01:00", **LONGER}]}, "2026-03-02"),
    ],
)
def test_only_what_differs_between_the_first_signed_revision_and_now_counts(
    changes: dict[str, Any], first: str | None
) -> None:
    lines = told(calendar(**changes))
    assert len(lines) == (first is not None)
    assert all(f"first on {first}" in line for line in lines)


@pytest.mark.parametrize(
    "user",
    [contract(status="draft"), contract(since="2026-03-05"), contract(within="8h"), contract(calendar="other")],
    ids=["draft", "later", "elapsed", "another-calendar"],
)
def test_a_calendar_that_no_signed_contract_has_counted_by_may_change(user: ContractModel) -> None:
    assert told(calendar(**LONGER), user) == []


def test_service_hours_count_too() -> None:
    availability = {"id": "a", "service": "portal", "attain": "99%", "over": "30d", "hours": "office"}
    user = contract(within="8h", availability=[availability])
    assert len(told(calendar(**LONGER), user)) == 1


def test_of_a_combined_calendar_the_one_to_revise_is_named() -> None:
    other = CalendarModel.model_validate({**OFFICE, "id": "week", **LONGER})

    def both(own: CalendarModel) -> CalendarSpec:
        model = CalendarModel.model_validate({"kind": "Calendar", "id": "office", "intersection_of": ["base", "week"]})
        return model.made_of([own, other]).to_domain()

    base = CalendarModel.model_validate({**OFFICE, "id": "base"})
    shorter = CalendarModel.model_validate({**OFFICE, "id": "base", "hours": {"mon": "09:00-12:00"}})
    (line,) = told(both(shorter), before=both(base))
    assert "Leave the calendars it is made of (base, week) as they are and add to one of them" in line


def test_the_first_difference_is_the_instant_at_which_only_one_is_open() -> None:
    from_ms, until_ms = parse_instant("2026-03-02T00:00:00+01:00"), NOW
    found = first_difference_ms(calendar(), calendar(**LONGER), from_ms, until_ms)
    assert found is not None
    assert format_instant(found) == "2026-03-02T16:00:00.000Z"
    assert first_difference_ms(calendar(), calendar(), from_ms, until_ms) is None
