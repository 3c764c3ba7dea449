"""What changes between the register and what is proposed, in words."""

from __future__ import annotations

import json
from typing import Any

from config.calendar_model import CalendarModel
from config.contract_model import ContractModel
from config.document_changes import calendar_changes, contract_changes
from config.documents import calendar_document

TARGET = {"id": "t", "start": {"event": "created"}, "stop": {"event": "resolved"}, "within": "4h"}


def revision(number: int, effective: str = "2026-01-01", status: str = "signed", **terms: Any) -> dict[str, Any]:
    given = {"calendar": "always", "targets": [{**TARGET, **terms}]} if status != "terminated" else terms
    return {"revision": number, "status": status, "effective_from": f"{effective}T00:00:00Z", **given}


def contract(*revisions: dict[str, Any], **more: Any) -> ContractModel:
    head = {"kind": "Contract", "id": "c", "type": "sla", "level": "corporate", "provider": "desk", "owner": "o"}
    return ContractModel.model_validate({**head, "revisions": list(revisions), **more})


def calendar(**more: Any) -> bytes:
    given = {"kind": "Calendar", "id": "office", "timezone": "Europe/Berlin", "hours": {"mon": ["09:00-17:00"]}, **more}
    return calendar_document(CalendarModel.model_validate(given))


SIGNED = revision(1)


def test_the_same_contract_changes_nothing() -> None:
    assert contract_changes(contract(SIGNED), contract(SIGNED)) == []


def test_a_new_contract_tells_its_targets() -> None:
    assert contract_changes(None, contract(SIGNED)) == [
        "revision 1: signed, from 2026-01-01T00:00:00Z",
        "revision 1: t: new: 4h, every ticket",
    ]


def test_a_revision_is_told_against_the_signed_one_before_it() -> None:
    after = contract(SIGNED, revision(2, "2026-02-01", "draft", within="1h"), revision(3, "2026-03-01", within="2h"))
    assert contract_changes(contract(SIGNED), after) == [
        "revision 2: draft, from 2026-02-01T00:00:00Z",
        "revision 2: t: within 4h -> 1h",
        "revision 3: signed, from 2026-03-01T00:00:00Z",
        "revision 3: t: within 4h -> 2h",
    ]


def test_a_draft_that_is_signed_is_told_by_its_status() -> None:
    before = contract(SIGNED, revision(2, "2026-02-01", "draft", within="2h"))
    after = contract(SIGNED, revision(2, "2026-03-01", within="2h"))
    assert contract_changes(before, after) == [
        "revision 2: status draft -> signed",
        "revision 2: effective_from 2026-02-01T00:00:00Z -> 2026-03-01T00:00:00Z",
    ]


def test_a_draft_that_is_left_out_and_a_termination_are_told() -> None:
    before = contract(SIGNED, revision(2, "2026-02-01", "draft"))
    after = contract(SIGNED, revision(3, "2026-12-31", "terminated", reason="moved away"))
    assert contract_changes(before, after) == [
        "revision 3: terminated, from 2026-12-31T00:00:00Z",
        "revision 2: left out (draft)",
    ]


def test_who_answers_is_told() -> None:
    after = contract({**SIGNED, "review_by": "2026-12-01"}, owner="new@it.example", team="desk")
    assert contract_changes(contract(SIGNED), after) == [
        "owner o -> new@it.example",
        "team none -> desk",
        "revision 1: review_by none -> 2026-12-01",
    ]


def test_a_contract_that_goes_is_told() -> None:
    assert contract_changes(contract(SIGNED), None) == [
        "removed from the register: nothing of it is monitored any more"
    ]


def test_hours_and_holidays_of_a_calendar_are_told_apart() -> None:
    before = calendar(holidays={"dates": ["2026-05-01", "2026-12-25"], "yearly": ["01-01"]})
    after = calendar(
        hours={"mon": ["08:00-17:00"], "sat": ["09:00-12:00"]},
        holidays={"dates": ["2026-12-25", "2026-12-26"], "yearly": ["01-01"]},
        timezone="Europe/Vienna",
    )
    assert calendar_changes(before, after) == [
        "holidays: no more 2026-05-01",
        "holidays: also 2026-12-26",
        "hours.mon 09:00-17:00 -> 08:00-17:00",
        "hours.sat none -> 09:00-12:00",
        "timezone Europe/Berlin -> Europe/Vienna",
    ]


def test_revisions_of_a_calendar_are_told_by_what_they_change_in_the_hours_before() -> None:
    first = {"effective_from": "2027-01-01T00:00:00+01:00", "hours": {"mon": ["09:00-18:00"], "tue": ["09:00-17:00"]}}
    second = {**first, "effective_from": "2027-06-01T00:00:00+02:00", "timezone": "Europe/Rome"}
    second["holidays"] = {"dates": ["2027-10-03"]}
    lines = calendar_changes(calendar(), calendar(revisions=[first, second]))
    assert lines[:3] == [
        "from 2027-01-01T00:00:00+01:00: hours.mon 09:00-17:00 -> 09:00-18:00",
        "from 2027-01-01T00:00:00+01:00: hours.tue none -> 09:00-17:00",
        "from 2027-06-01T00:00:00+02:00: holidays: also 2027-10-03",
    ]
    assert lines[3:] == ["from 2027-06-01T00:00:00+02:00: timezone Europe/Berlin -> Europe/Rome"]
    changed = {**first, "hours": {"mon": ["09:00-19:00"], "tue": ["09:00-17:00"]}}
    assert calendar_changes(calendar(revisions=[first, second]), calendar(revisions=[changed])) == [
        "from 2027-01-01T00:00:00+01:00: hours.mon 09:00-18:00 -> 09:00-19:00",
        "from 2027-06-01T00:00:00+02:00: left out",
    ]
    assert calendar_changes(calendar(), calendar(revisions=[{**first, "hours": {"mon": ["09:00-17:00"]}}])) == [
        "from 2027-01-01T00:00:00+01:00: changes nothing"
    ]


def test_a_calendar_comes_stays_and_goes() -> None:
    assert calendar_changes(None, calendar()) == ["timezone Europe/Berlin, open mon"]
    week = {"wed": ["09:00-17:00"], "fri": ["09:00-12:00"], "mon": ["09:00-17:00"]}
    assert calendar_changes(None, calendar(hours=week)) == ["timezone Europe/Berlin, open mon, wed, fri"]
    assert calendar_changes(calendar(), calendar()) == []
    assert calendar_changes(calendar(), None) == ["removed from the register"]


def test_many_holidays_are_told_in_short() -> None:
    days = [f"2026-07-{day:02d}" for day in range(1, 13)]
    (line,) = calendar_changes(calendar(), calendar(holidays={"dates": days}))
    assert line.endswith("2026-07-08 and 4 more")


def combined(parts: dict[str, Any]) -> bytes:
    """Return a document as the register has it: what a combined calendar is made of stands in it."""
    return json.dumps({"format": 1, "id": "both", "intersection_of": list(parts), "parts": parts}).encode()


def test_a_combined_calendar_is_told_by_its_parts() -> None:
    before = combined({"a": json.loads(calendar()), "b": json.loads(calendar())})
    later = json.loads(calendar(hours={"mon": ["10:00-17:00"]}))
    assert calendar_changes(None, before) == ["open when all of a, b are"]
    assert calendar_changes(before, combined({"a": json.loads(calendar()), "b": later})) == [
        "b: hours.mon 09:00-17:00 -> 10:00-17:00"
    ]
    assert calendar_changes(before, combined({"a": json.loads(calendar()), "c": later})) == [
        "intersection_of a, b -> a, c"
    ]
