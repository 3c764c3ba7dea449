"""Calendars made of others: what they amount to, and why some can't be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.calendar_combinations import CombinationError, combine, parts_of
from config.calendar_files import load_calendar, load_calendars
from config.calendar_model import CalendarModel
from config.documents import DocumentError, calendar_document, calendar_of
from config.loader import AgreementFaults, load_agreements
from sla.calendar import Calendar
from sla.calendar_spec import Combination
from sla.errors import CalendarError
from sla.units import HOUR_MS, parse_instant

HOURS = "kind: Calendar\nid: {id}\ntimezone: {zone}\nhours: {{mon: [{hours}]}}\n"
MADE = "kind: Calendar\nid: {id}\n{how}: [{parts}]\n"


def hours(calendar_id: str, window: str, zone: str = "Europe/Berlin") -> str:
    return HOURS.format(id=calendar_id, hours=window, zone=zone)


def made(calendar_id: str, parts: str, how: str = "intersection_of") -> str:
    return MADE.format(id=calendar_id, parts=parts, how=how)


SLA, OLA = hours("sla", "08:00-18:00"), hours("ola", "06:00-14:00", "UTC")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.chdir(tmp_path)

    def write(**documents: str) -> Path:
        for name, text in documents.items():
            Path(f"{name}.yaml").write_text(text, encoding="utf-8")
        return Path()

    return write


def faults_of(read: Callable[..., Any], *arguments: Any) -> list[str]:
    with pytest.raises(AgreementFaults) as caught:
        read(*arguments)
    return [str(fault) for fault in caught.value.faults]


def worked_hours(model: CalendarModel, since: str = "2026-03-02T00:00Z", until: str = "2026-03-03T00:00Z") -> float:
    return Calendar(model.to_domain()).worked_between(parse_instant(since), parse_instant(until)) / HOUR_MS


def test_an_intersection_is_open_when_all_are_and_a_union_when_any_is(folder: Callable[..., Path]) -> None:
    calendars = load_calendars(
        [folder(a=SLA, b=OLA, c=made("both", "sla, ola"), d=made("any", "ola, sla", "union_of"))]
    )
    assert worked_hours(calendars["both"]) == 7  # 07:00 to 14:00 UTC
    assert worked_hours(calendars["any"]) == 11
    assert calendars["both"].to_domain().timezone == "Europe/Berlin"
    assert calendars["any"].to_domain().timezone == "UTC"
    assert calendars["any"].to_domain().combination is Combination.UNION


def test_a_combination_may_be_made_of_combinations_and_say_its_own_zone(folder: Callable[..., Path]) -> None:
    text = made("inner", "sla, ola") + "---\n" + made("outer", "inner, noon") + "timezone: Asia/Tokyo\n"
    folder(a=SLA, b=OLA, c=text, d=hours("noon", "11:00-13:00"))
    outer = load_agreements([Path()]).calendars["outer"]
    assert worked_hours(outer) == 2
    assert set(parts_of(outer)) == {"inner", "sla", "ola", "noon"}
    assert outer.to_domain().timezone == "Asia/Tokyo"


def test_a_calendar_read_from_its_file_finds_its_parts_in_the_folder(folder: Callable[..., Path]) -> None:
    folder(a=SLA, b=OLA, c=made("both", "sla, ola"), broken="kind: Calendar\nid: broken\nhours: nine to five\n")
    assert worked_hours(load_calendar(Path("c.yaml"))) == 7
    assert set(load_calendars([Path("c.yaml")])) == {"both", "sla", "ola"}


@pytest.mark.parametrize(
    ("documents", "faults"),
    [
        pytest.param(
            {"a": SLA, "c": made("both", "sla, olla"), "d": OLA},
            ["c.yaml: intersection_of[1]: unknown 'olla' (ola?)"],
            id="unknown",
        ),
        pytest.param(
            {"a": made("a", "b, sla"), "b": made("b", "c, sla"), "c": made("c", "sla, a"), "s": SLA},
            [
                "a.yaml: intersection_of[0]: is made of this calendar again: a > b > c > a",
                "b.yaml: intersection_of[0]: is made of this calendar again: b > c > a > b",
                "c.yaml: intersection_of[1]: is made of this calendar again: c > a > b > c",
            ],
            id="a circle",
        ),
        pytest.param(
            {"a": SLA, "b": made("b", "b, sla")}, ["b.yaml: intersection_of[0]: is this calendar itself"], id="self"
        ),
        pytest.param(
            {"a": SLA, "b": hours("late", "18:00-20:00"), "c": made("both", "sla, late")},
            ["c.yaml: intersection_of: never opens: 'sla' and 'late' are never open together"],
            id="never open",
        ),
        pytest.param(
            {"a": SLA, "b": made("b", "sla")}, ["b.yaml: intersection_of: names two calendars or more"], id="one part"
        ),
        pytest.param(
            {"a": SLA, "b": made("b", "sla, sla")}, ["b.yaml: intersection_of[1]: 'sla' stands there twice"], id="twice"
        ),
        pytest.param(
            {"a": SLA, "b": OLA, "c": made("c", "sla, ola") + "union_of: [sla, ola]\n"},
            ["c.yaml: union_of: stands beside intersection_of: write one of them"],
            id="both",
        ),
        pytest.param(
            {"a": SLA, "b": OLA, "c": made("c", "sla, ola", "union_of") + "hours: {mon: [08:00-09:00]}\n"},
            ["c.yaml: hours: stands beside union_of: hours and holidays are those of the calendars named there"],
            id="hours of its own",
        ),
        pytest.param(
            {"a": SLA, "b": "kind: Calendar\nid: b\nhours: {}\n"},
            ["b.yaml: timezone: missing"],
            id="neither hours nor parts",
        ),
        pytest.param(
            {"a": SLA, "b": hours("bad", "8-17"), "c": made("c", "sla, bad"), "d": made("d", "c, sla")},
            ["b.yaml: hours.mon[0]: '8-17' are no hours: write 08:00-17:00, or 22:00-06:00 for a window over midnight"],
            id="a fault of a part is told once",
        ),
    ],
)
def test_what_can_not_be_combined_is_told(
    folder: Callable[..., Path], documents: dict[str, str], faults: list[str]
) -> None:
    folder(**documents)
    assert faults_of(load_agreements, [Path()]) == faults
    assert faults_of(load_calendars, [Path()]) == faults


def test_a_combination_is_whole_in_its_document(folder: Callable[..., Path]) -> None:
    folder(
        a=SLA + "holidays: {yearly: [12-25], country: DE}\n", b=OLA, c=made("in", "sla, ola"), d=made("out", "in, sla")
    )
    calendars = load_calendars([Path()])
    for model in calendars.values():
        assert calendar_of(calendar_document(model)) == model.to_domain()
    document = json.loads(calendar_document(calendars["out"]))
    assert set(document) == {"format", "kind", "id", "intersection_of", "parts"}
    assert set(document["parts"]) == {"in", "sla", "ola"}
    assert "country" not in document["parts"]["sla"]["holidays"]


def test_a_document_whose_parts_are_not_there_or_not_theirs_is_an_error(folder: Callable[..., Path]) -> None:
    folder(a=SLA, b=OLA, c=made("both", "sla, ola"))
    whole = json.loads(calendar_document(load_calendars([Path()])["both"]))

    def faults(**parts: Any) -> list[str]:
        with pytest.raises(DocumentError) as caught:
            calendar_of(json.dumps({**whole, "parts": {**whole["parts"], **parts}}).encode())
        return caught.value.faults

    assert faults(ola={**whole["parts"]["ola"], "hours": 8}) == ["parts.ola.hours: must be a mapping of fields, not 8"]
    assert faults(ola=whole["parts"]["sla"]) == ["parts.ola: is calendar 'sla'"]
    assert faults(ola=None) == ["parts: must be a mapping of ids to calendars"]
    del whole["parts"]["ola"]
    assert faults() == ["calendar both is made of ola, which is not here"]


def test_a_combination_alone_can_not_be_compiled() -> None:
    model = CalendarModel.model_validate({"kind": "Calendar", "id": "both", "intersection_of": ["a", "b"]})
    with pytest.raises(CalendarError, match="made of a, b, which are not here"):
        model.to_domain()
    with pytest.raises(CombinationError, match="made of a, which is not here"):
        combine({"both": model})


def test_models_in_a_circle_are_refused() -> None:
    def model(calendar_id: str, *parts: str) -> CalendarModel:
        return CalendarModel.model_validate({"kind": "Calendar", "id": calendar_id, "union_of": list(parts)})

    with pytest.raises(CombinationError, match="made of itself: a > b > a"):
        combine({"a": model("a", "b", "c"), "b": model("b", "a", "c")})
