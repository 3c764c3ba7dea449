from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from config.contract_model import ContractModel
from config.faults import path_of, problems_of
from sla.availability import Availability, AvailabilityKind, IdlePolicy, MaintenancePolicy, ProbePolicy, StatusUse
from sla.contract import Period
from sla.units import DAY_MS, MINUTE_MS, NEVER, parse_instant
from sla.uptime_events import ServiceStatus


def contract(*availability: dict[str, Any], **fields: Any) -> dict[str, Any]:
    revision = {"revision": 1, "status": "signed", "effective_from": "2026-01-01T00:00:00Z"}
    return {
        "kind": "Contract",
        "id": "web",
        "type": "sla",
        "level": "corporate",
        "provider": "it",
        "owner": "slm",
        "team": "web-team",
        "revisions": [{**revision, "availability": list(availability)}],
        **fields,
    }


def portal(**terms: Any) -> dict[str, Any]:
    return {"id": "portal-availability", "service": "portal", "attain": "99.9%", "over": "30d", **terms}


def read(**terms: Any) -> Availability:
    return ContractModel.model_validate(contract(portal(**terms))).to_domain().availabilities[0]


def faults(*availability: dict[str, Any], **fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        ContractModel.model_validate(contract(*availability, **fields))
    found = problems_of(raised.value, ContractModel)
    return [(path_of(loc).removeprefix("revisions[0].availability"), message) for loc, message in found]


def test_the_defaults_are_minutes_judged_by_a_majority_at_all_hours() -> None:
    of = read()
    assert (of.contract, of.team, of.service) == ("web", "web-team", "portal")
    assert of.objective.attain == Fraction(999, 1000)
    assert of.window.rolling_ms == 30 * DAY_MS
    assert (of.kind, of.slice_ms, of.hours) == (AvailabilityKind.TIME_SLICES, MINUTE_MS, None)
    assert (of.probes, of.statuses, of.idle) == (ProbePolicy.MAJORITY, StatusUse.ALSO, IdlePolicy.NO_DATA)
    assert of.maintenance is MaintenancePolicy.EXCLUDE
    assert (of.bad_above, of.latency_below_ms) == (0, None)
    assert of.good_statuses == {ServiceStatus.UP}
    assert (of.effective_from_ms, of.effective_until_ms) == (parse_instant("2026-01-01T00:00:00Z"), NEVER)


def test_every_term_is_read() -> None:
    of = read(
        over="1 month",
        timezone="Asia/Jakarta",
        slice="5m",
        probe_interval="30s",
        good_when={"latency_ms": {"below": 800}, "status": ["up", "degraded"]},
        bad_above="50%",
        probes="any",
        statuses="only",
        hours="office",
        maintenance="count_good",
        idle="hold",
        team="db-team",
    )
    assert (of.window.period, of.window.timezone) == (Period.MONTH, "Asia/Jakarta")
    assert (of.slice_ms, of.probe_interval_ms, of.latency_below_ms) == (5 * MINUTE_MS, 30_000, 800.0)
    assert of.good_statuses == {ServiceStatus.UP, ServiceStatus.DEGRADED}
    assert (of.bad_above, of.probes, of.statuses) == (Fraction(1, 2), ProbePolicy.ANY, StatusUse.ONLY)
    assert (of.hours, of.maintenance, of.idle) == ("office", MaintenancePolicy.COUNT_GOOD, IdlePolicy.HOLD)
    assert of.team == "db-team"


def test_one_declared_state_needs_no_list() -> None:
    assert read(good_when={"status": "maintenance"}).good_statuses == {ServiceStatus.MAINTENANCE}


@pytest.mark.parametrize(
    ("terms", "path", "message"),
    [
        ({"slice": "90s"}, "slice", "is no slice: whole minutes that divide an hour"),
        ({"slice": "7m"}, "slice", "is no slice"),
        ({"slice": "1bh"}, "slice", "is no length of elapsed time"),
        ({"slice": 1}, "slice", "is no duration with its unit"),
        ({"probe_interval": "2m"}, "slice", "is shorter than the probe interval (2m)"),
        ({"slice": "1m", "probe_interval": "61s"}, "slice", "is shorter than the probe interval (61s)"),
        ({"attain": "0%"}, "attain", "0 % is no objective"),
        ({"attain": "999%"}, "attain", "outside 0..100 %"),
        ({"over": "1 month"}, "timezone", "missing: a calendar period begins at midnight"),
        ({"over": "1bd"}, "over", "objectives are measured over elapsed time"),
        ({"good_when": {"latency_ms": {"below": 0}}}, "good_when.latency_ms.below", "greater than 0"),
        ({"good_when": {"status": ["upp"]}}, "good_when.status[0]", "unknown 'upp' (up?)"),
        ({"probes": "most"}, "probes", "unknown 'most'"),
        ({"kind": "request_ratio", "slice": "1m"}, "slice", "requests are counted: leave it out"),
        ({"kind": "request_ratio", "statuses": "only"}, "statuses", "requests are counted: leave it out"),
        ({"slize": "1m"}, "slize", "unknown field (slice?)"),
    ],
)
def test_a_wrong_term_is_refused_at_its_place(terms: dict[str, Any], path: str, message: str) -> None:
    found = faults(portal(**terms))
    assert any(place == f"[0].{path}" and message in told for place, told in found), found


def test_an_id_is_taken_once() -> None:
    assert ("[1].id", "'portal-availability' is taken by availability[0]") in faults(portal(), portal())


def test_a_termination_promises_nothing() -> None:
    revision = {"revision": 1, "status": "signed", "effective_from": "2026-01-01T00:00:00Z", "availability": [portal()]}
    end = {"revision": 2, "status": "terminated", "effective_from": "2026-02-01T00:00:00Z", "availability": [portal()]}
    found = faults(revisions=[revision, end])
    assert found == [
        (
            "revisions[1].availability",
            "has none if it ends the contract: add a revision instead of changing the signed one",
        )
    ]


def test_documents_without_availability_stay_the_same_bytes() -> None:
    document = contract()
    del document["revisions"][0]["availability"]
    document["revisions"][0]["status"] = "draft"
    model = ContractModel.model_validate(document)
    assert "availability" not in model.model_dump(mode="json", exclude_none=True)["revisions"][0]
