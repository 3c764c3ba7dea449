"""Records of sla.uptime: what is taken in, and what a publisher is told otherwise."""

import json

import pytest

from sla.events import Heartbeat, Reason, Rejected
from sla.uptime_events import ProbeSample, ServiceFeedback, ServiceStatus, StatusChange
from streams.uptime_codec import decode_uptime

AT_MS = 1_772_442_900_000
AT = "2026-03-02T09:15:00Z"


def uptime(key: bytes | None = b"portal", **fields: object) -> object:
    value = {"version": 1, "type": "sample", "service": "portal", "at": AT, "probe": "fra-1", **fields}
    return decode_uptime(json.dumps(value).encode(), key)


def rejected(outcome: object) -> tuple[str, str]:
    assert isinstance(outcome, Rejected), outcome
    return outcome.reason.value, outcome.detail


@pytest.mark.parametrize(("ok", "good"), [(True, 1), (False, 0)])
def test_a_check_is_one_request_that_went_well_or_not(ok, good):
    sample = uptime(ok=ok, latency_ms=182.5, id="a")
    assert isinstance(sample, ProbeSample)
    assert (sample.service, sample.at_ms, sample.probe) == ("portal", AT_MS, "fra-1")
    assert (sample.good, sample.total, sample.latency_ms) == (good, 1, 182.5)


@pytest.mark.parametrize(("good", "total"), [(9_981, 10_000), (0, 0)])
def test_counted_requests_are_taken_as_they_are_also_none(good, total):
    sample = uptime(good=good, total=total)
    assert isinstance(sample, ProbeSample)
    assert (sample.good, sample.total, sample.latency_ms) == (good, total, None)


def test_a_status_change_holds_its_state_and_cause():
    change = uptime(type="status", status="degraded", cause="slow disks")
    assert isinstance(change, StatusChange)
    assert (change.status, change.cause) == (ServiceStatus.DEGRADED, "slow disks")


@pytest.mark.parametrize(
    ("score", "worst", "best", "satisfaction"), [(4, 1, 5, 0.75), (10, 0, 10, 1.0), (1, 6, 1, 1.0), (0.5, 0, 1, 0.5)]
)
def test_feedback_is_the_share_of_its_scale(score, worst, best, satisfaction):
    feedback = uptime(type="feedback", score=score, worst=worst, best=best)
    assert isinstance(feedback, ServiceFeedback)
    assert feedback.satisfaction == satisfaction


def test_the_usual_scale_is_one_to_five():
    feedback = uptime(type="feedback", score=2)
    assert isinstance(feedback, ServiceFeedback)
    assert feedback.satisfaction == 0.25


def test_a_heartbeat_may_have_any_key():
    assert uptime(key=None, type="heartbeat") == Heartbeat(AT_MS)


def test_the_same_record_is_the_same_event_and_an_id_makes_one_of_two():
    assert uptime(ok=True) == uptime(ok=True)
    assert uptime(ok=True).uid != uptime(ok=False).uid
    assert uptime(ok=True, id="x").uid == uptime(ok=False, id="x").uid


def test_events_of_one_instant_are_ordered_by_their_sequence():
    first, second = uptime(ok=True, sequence=1), uptime(ok=False, sequence=2)
    assert first.order < second.order


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({}, "Expected either `ok`, or `good` and `total` - at `$`"),
        ({"ok": True, "good": 1, "total": 1}, "Expected either `ok`, or `good` and `total` - at `$`"),
        ({"good": 1}, "Object missing required field `total` - at `$`"),
        ({"total": 1}, "Object missing required field `good` - at `$`"),
        ({"good": 2, "total": 1}, "Expected at most `total` - at `$.good`"),
        ({"ok": "yes"}, "Expected `bool | null`, got `str` - at `$.ok`"),
        ({"ok": True, "latency_ms": -1}, "Expected `float` >= 0.0 - at `$.latency_ms`"),
        ({"ok": True, "at": "2026-03-02T09:15:00"}, "Expected `datetime` with a timezone component - at `$.at`"),
        ({"ok": True, "at": "0001-01-01T00:00:00Z"}, "Expected an instant in 1970..2299 - at `$.at`"),
        ({"ok": True, "probe": None}, "Expected `str`, got `null` - at `$.probe`"),
        ({"type": "status", "status": "sick"}, "Invalid enum value 'sick' - at `$.status`"),
        ({"type": "feedback", "score": 6}, "Expected a number from `worst` to `best` - at `$.score`"),
        ({"type": "feedback", "score": 1, "worst": 3, "best": 3}, "Expected another number than `worst` - at `$.best`"),
        ({"type": "feedback", "score": 0, "worst": -1e308, "best": 1e308}, "Expected another number than `worst` - at `$.best`"),
        ({"type": None}, "Object missing required field `type` - at `$`"),
        ({"type": 3}, "Expected `str` - at `$.type`"),
        ({"version": None}, "Object missing required field `version` - at `$`"),
        ({"version": True}, "Expected `int` - at `$.version`"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_told_with_its_place(fields, detail):
    assert rejected(uptime(**fields)) == ("malformed", detail)


def test_other_versions_and_types_are_told_apart_from_mistakes():
    assert rejected(uptime(version=2, type="probe"))[0] == "unknown-version"
    reason, detail = rejected(uptime(type="ticket"))
    assert reason == "unknown-type"
    assert "sample, status, feedback, heartbeat" in detail


@pytest.mark.parametrize("key", [None, b"", b'"portal"', b"\xff"])
def test_the_key_must_be_the_service(key):
    reason, detail = rejected(uptime(key=key, ok=True))
    assert reason == "key-mismatch"
    assert "`service` is 'portal'" in detail


@pytest.mark.parametrize("value", [None, b"", b"[", b"[]", b"null", b"1", b"\xff", b"[" * 60_000, b'{"version":1e999}'])
def test_what_is_no_json_object_is_malformed(value):
    assert rejected(decode_uptime(value, b"portal"))[0] == Reason.MALFORMED.value


def test_what_is_too_large_is_not_read():
    assert rejected(decode_uptime(b"x" * 101, b"", largest_bytes=100)) == (
        "oversized",
        "101 bytes, an event may have 100",
    )
