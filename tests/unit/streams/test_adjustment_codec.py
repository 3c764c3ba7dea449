"""Records of sla.adjustments: who, why and when are needed, and nothing is moved back in time by accident."""

import json

import pytest

from sla.adjustment import Adjustment, AdjustmentKind, CountsAs
from sla.events import Rejected
from streams.adjustment_codec import decode_adjustment, encode_adjustment

MAINTENANCE = {
    "version": 1, "id": "CHG-1", "kind": "maintenance", "service": "portal", "start": "2026-03-07T22:00:00+01:00",
    "end": "2026-03-08T02:00:00+01:00", "recorded_at": "2026-03-01T09:00:00Z", "recorded_by": "cab", "reason": "upgrade",
}  # fmt: skip


def adjustment(key: bytes | None = b"CHG-1", **fields: object) -> object:
    return decode_adjustment(json.dumps({**MAINTENANCE, **fields}).encode(), key)


def detail_of(outcome: object) -> str:
    assert isinstance(outcome, Rejected), outcome
    return outcome.detail


def test_maintenance_is_left_out():
    found = adjustment()
    assert isinstance(found, Adjustment)
    assert (found.kind, found.counts_as) == (AdjustmentKind.MAINTENANCE, CountsAs.EXCLUDED)
    assert found.end_ms - found.start_ms == 4 * 3_600_000
    assert not found.retroactive
    assert not found.revoked


def test_a_correction_says_how_its_interval_counts():
    found = adjustment(kind="outage-correction", counts_as="down", retroactive=True, recorded_at="2026-03-09T09:00:00Z")
    assert isinstance(found, Adjustment)
    assert found.counts_as is CountsAs.DOWN


def test_what_is_written_is_read_again():
    for found in (adjustment(), adjustment(reference="minutes 7", revoked=True)):
        assert isinstance(found, Adjustment)
        assert decode_adjustment(encode_adjustment(found), b"CHG-1") == found


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"counts_as": "up"}, "Expected `excluded` or nothing: maintenance is left out - at `$.counts_as`"),
        ({"kind": "outage-correction"}, "Object missing required field `counts_as` (up, down or excluded) - at `$`"),
        ({"end": "2026-03-07T22:00:00+01:00"}, "Expected an instant after `start` - at `$.end`"),
        ({"end": "0001-03-07T22:00:00Z"}, "Expected an instant in 1970..2299 - at `$.end`"),
        (
            {"recorded_at": "2026-03-07T23:00:00+01:00"},
            "Expected an instant not before `recorded_at`, or `retroactive`: true - at `$.start`",
        ),
        ({"recorded_by": ""}, "Expected `str` of length >= 1 - at `$.recorded_by`"),
        ({"version": "1"}, "Expected `int` - at `$.version`"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(fields, detail):
    assert detail_of(adjustment(**fields)) == detail


def test_other_faults_of_a_record_are_told():
    assert "take an adjustment back with `revoked`" in detail_of(decode_adjustment(None, b"CHG-1"))
    assert detail_of(decode_adjustment(b"x" * 11, None, largest_bytes=10)) == "11 bytes, an adjustment may have 10"
    assert "the record has no key" in detail_of(adjustment(key=None))
    assert "version 2" in detail_of(adjustment(version=2))
