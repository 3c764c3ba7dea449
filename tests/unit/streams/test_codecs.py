"""Records of the public topics: what is taken in, what is refused and with which words."""

import json
from fractions import Fraction

import msgspec
import pytest

from sla.events import FEEDBACK, Heartbeat, Reason, Rejected, TicketEvent, rank_of
from sla.outcome import Alert, AlertKind, AlertState, Result, Verdict
from streams.codecs import (
    decode_alert,
    decode_ticket,
    encode_alert,
    encode_verdict,
    partition_of,
    uid_of,
)
from streams.wire import LATEST_AT_MS

MINIMAL = {"version": 1, "ticket": "INC-1", "event": "created", "at": 1_772_417_727_123}


def _value(**changes) -> bytes:
    event = {**MINIMAL, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def _event(value: bytes, key: bytes | None = b"INC-1") -> TicketEvent:
    decoded = decode_ticket(value, key)
    assert isinstance(decoded, tuple), decoded
    return decoded[1]


def _rejection(value: bytes | None, key: bytes | None = b"INC-1", **options) -> Rejected:
    decoded = decode_ticket(value, key, **options)
    assert isinstance(decoded, Rejected), decoded
    return decoded


def test_a_ticket_event_is_taken_in_with_everything_it_says():
    value = _value(
        type="ticket",
        id="7f3a",
        event="updated",
        at="2026-03-02T09:15:27.123+07:00",
        sequence=4,
        fields={"priority": "P2", "vip": True, "weight": 1.5, "count": 3, "group": None},
    )

    assert decode_ticket(value, b"INC-1") == (
        "INC-1",
        TicketEvent(
            at_ms=1_772_417_727_123,
            sequence=4,
            rank=rank_of("updated"),
            uid=uid_of(b"7f3a"),
            event="updated",
            changes={"priority": "P2", "vip": "true", "weight": "1.5", "count": "3", "group": None},
        ),
    )


@pytest.mark.parametrize(
    ("at", "at_ms"),
    [
        pytest.param(0, 0, id="the-epoch"),
        pytest.param(LATEST_AT_MS, LATEST_AT_MS, id="the-last-instant-as-integer"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="the-epoch-as-text"),
        pytest.param("2299-12-31T23:59:59.999Z", LATEST_AT_MS, id="the-last-instant-as-text"),
        pytest.param("2026-03-02T02:15:27Z", 1_772_417_727_000, id="utc"),
        pytest.param("2026-03-02T09:15:27+07:00", 1_772_417_727_000, id="east"),
        pytest.param("2026-03-01T21:15:27-05:00", 1_772_417_727_000, id="west-over-midnight"),
        pytest.param("2026-03-02T02:15:27.123999Z", 1_772_417_727_123, id="microseconds-round-down"),
    ],
)
def test_an_instant_is_read_to_the_millisecond(at, at_ms):
    assert _event(_value(at=at)).at_ms == at_ms


@pytest.mark.parametrize(
    ("at", "detail"),
    [
        pytest.param("2026-03-02T02:15:27", "timezone", id="local-time-is-no-instant"),
        pytest.param("2026-03-02", "RFC3339", id="a-day"),
        pytest.param("yesterday", "RFC3339", id="prose"),
        pytest.param(1.5, "Expected `int | datetime`, got `float` - at `$.at`", id="a-fraction"),
        pytest.param(True, "Expected `int | datetime`, got `bool`", id="a-boolean"),
        pytest.param(None, "Expected `int | datetime`, got `null`", id="null"),
        pytest.param(..., "missing required field `at`", id="absent"),
        pytest.param(-1, "1970..2299 - at `$.at`", id="before-the-epoch"),
        pytest.param(LATEST_AT_MS + 1, "1970..2299 - at `$.at`", id="after-2299"),
        pytest.param(2**63, "1970..2299 - at `$.at`", id="after-everything"),
        pytest.param("2300-01-01T00:00:00Z", "1970..2299", id="after-2299-as-text"),
        pytest.param("1969-12-31T23:59:59.999Z", "1970..2299 - at `$.at`", id="before-the-epoch-as-text"),
        pytest.param("0001-01-01T00:00:00+14:00", "1970..2299", id="before-year-one-in-utc"),
        pytest.param("9999-12-31T23:59:59-12:00", "1970..2299", id="no-date-as-some-systems-write-it"),
    ],
)
def test_what_is_no_instant_is_malformed(at, detail):
    rejected = _rejection(_value(at=at))

    assert rejected.reason is Reason.MALFORMED
    assert detail in rejected.detail


def test_an_event_without_id_is_identified_by_its_bytes():
    redelivered = _value(fields={"priority": "P1"})

    assert _event(redelivered).uid == _event(bytes(redelivered)).uid == uid_of(redelivered)
    assert _event(redelivered).uid != _event(_value(fields={"priority": "P2"})).uid


def test_an_event_with_id_is_identified_by_it_alone():
    assert _event(_value(id="a", fields={"x": "1"})).uid == _event(_value(id="a", fields={"x": "2"})).uid
    assert _event(_value(id="a")).uid != _event(_value(id="b")).uid


def test_an_identity_is_a_non_negative_63_bit_integer():
    uids = [uid_of(b"%d" % n) for n in range(1000)]

    assert all(0 <= uid < 2**63 for uid in uids)
    assert len(set(uids)) == 1000
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(max(uids))) == max(uids)


def test_unknown_fields_of_the_envelope_are_tolerated():
    assert _event(_value(source="remedy", trace={"deep": [1, 2]})) is not None


def test_feedback_is_an_event_of_its_own_kind_and_needs_no_name():
    event = _event(_value(type="feedback", event=..., fields={"csat": 2}))

    assert (event.event, event.rank, event.changes) == (FEEDBACK, rank_of(FEEDBACK), {"csat": "2"})
    assert _event(_value(type="feedback", event="rated")).event == FEEDBACK


def test_a_heartbeat_carries_its_instant_and_may_have_any_key():
    value = json.dumps({"version": 1, "type": "heartbeat", "at": "2026-03-02T02:15:27Z", "player": "p1"}).encode()

    for key in (None, b"", b"anything"):
        assert decode_ticket(value, key) == Heartbeat(1_772_417_727_000)


def test_a_heartbeat_without_an_instant_is_malformed():
    assert "`at`" in _rejection(b'{"version": 1, "type": "heartbeat"}').detail
    rejected = _rejection(b'{"version": 1, "type": "heartbeat", "at": "1960-01-01T00:00:00Z"}')
    assert (rejected.reason, rejected.detail) == (Reason.MALFORMED, "Expected an instant in 1970..2299 - at `$.at`")


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        pytest.param({"ticket": ...}, "missing required field `ticket`", id="no-ticket"),
        pytest.param({"ticket": ""}, "length >= 1 - at `$.ticket`", id="empty-ticket"),
        pytest.param({"ticket": 17}, "Expected `str`, got `int` - at `$.ticket`", id="number-as-ticket"),
        pytest.param({"event": ...}, "missing required field `event`", id="no-event"),
        pytest.param({"event": ""}, "length >= 1 - at `$.event`", id="empty-event"),
        pytest.param({"id": 7}, "Expected `str | null`, got `int` - at `$.id`", id="number-as-id"),
        pytest.param({"sequence": -1}, ">= 0 - at `$.sequence`", id="negative-sequence"),
        pytest.param({"sequence": 2**63}, "<= 9223372036854775807 - at `$.sequence`", id="sequence-beyond-64-bits"),
        pytest.param({"sequence": 1.0}, "Expected `int`, got `float` - at `$.sequence`", id="fractional-sequence"),
        pytest.param({"fields": []}, "Expected `object`, got `array` - at `$.fields`", id="fields-as-list"),
        pytest.param({"fields": {"tags": ["a"]}}, "got `array` - at `$.fields.tags`", id="list-in-a-field"),
        pytest.param({"fields": {"a": "x", "who": {}}}, "got `object` - at `$.fields.who`", id="object-in-a-field"),
        pytest.param({"version": ...}, "missing required field `version`", id="no-version"),
        pytest.param({"version": "1"}, "Expected `int`, got `str` - at `$.version`", id="version-as-text"),
        pytest.param({"version": True}, "Expected `int`, got `bool` - at `$.version`", id="version-as-boolean"),
        pytest.param({"type": 3}, "- at `$.type`", id="number-as-type"),
    ],
)
def test_a_wrong_type_is_malformed_and_the_detail_names_path_and_expectation(changes, detail):
    rejected = _rejection(_value(**changes))

    assert rejected.reason is Reason.MALFORMED
    assert detail in rejected.detail


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="tombstone"),
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="no-json"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"null", id="null"),
        pytest.param(_value()[:-1], id="cut-off"),
        pytest.param(b'{"a":' + b"[" * 30_000, id="nested-without-end"),
        pytest.param(_value(fields={"x": "?"}).replace(b'"?"', b"1" * 10_000), id="a-number-of-ten-thousand-digits"),
        pytest.param(_value(fields={"x": "?"}).replace(b'"?"', b"1e400"), id="a-number-out-of-range"),
        pytest.param(_value().replace(b"INC-1", b"\\ud800"), id="half-a-surrogate-pair"),
        pytest.param(_value().replace(b"INC-1", b"\xff"), id="text-that-is-no-utf-8"),
    ],
)
def test_what_is_no_event_at_all_is_malformed_and_never_raises(value):
    rejected = _rejection(value)

    assert rejected.reason is Reason.MALFORMED
    assert rejected.detail
    assert len(rejected.detail) < 400


def test_another_version_is_named_before_anything_else_is_judged():
    rejected = _rejection(_value(version=2, ticket=17, type="incident"))

    assert (rejected.reason, rejected.detail) == (Reason.UNKNOWN_VERSION, "version 2: this release reads version 1")


def test_a_type_of_another_topic_is_named_with_those_that_belong_here():
    rejected = _rejection(_value(type="probe", ticket=...))

    assert rejected.reason is Reason.UNKNOWN_TYPE
    assert "'probe'" in rejected.detail
    assert "ticket, feedback, heartbeat" in rejected.detail


def test_an_oversized_value_is_refused_unread():
    value = b"x" * 101

    rejected = _rejection(value, largest_bytes=100)
    assert (rejected.reason, rejected.detail) == (Reason.OVERSIZED, "101 bytes, an event may have 100")
    assert _rejection(value, largest_bytes=101).reason is Reason.MALFORMED


@pytest.mark.parametrize("key", [None, b"", b"INC-2", b'"INC-1"', b"\xff"])
def test_a_key_that_is_not_the_ticket_goes_back_with_the_producer_setting(key):
    rejected = _rejection(_value(), key)

    assert rejected.reason is Reason.KEY_MISMATCH
    assert "key" in rejected.detail
    assert "StringSerializer" in rejected.detail


def test_the_key_is_compared_in_utf_8():
    assert _event(_value(ticket="störung-1"), "störung-1".encode()) is not None


@pytest.mark.parametrize(
    ("key", "java_murmur2"),
    # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_a_key_has_the_partition_that_java_gives_it(key, java_murmur2):
    for partitions in (1, 2, 7, 12, 1000):
        assert partition_of(key, partitions) == (java_murmur2 & 0x7FFFFFFF) % partitions


def _verdict() -> Verdict:
    return Verdict(
        ticket="INC-1",
        contract="acme-support",
        target="printing-response",
        metric="response",
        revision=1,
        cycle=1,
        result=Result.BREACHED,
        start_ms=1_772_417_727_123,
        deadline_ms=1_772_432_127_123,
        stop_ms=None,
        decided_at_ms=1_772_432_127_123,
        target_ms=14_400_000,
        consumed_ms=14_400_000,
        elapsed_ms=14_400_000,
    )


def test_a_verdict_is_published_with_its_schema_version_and_absent_is_null():
    document = json.loads(encode_verdict(_verdict()))

    assert document["version"] == 1
    assert document["clock_id"] == "INC-1:printing-response:1"
    assert document["deadline"] == "2026-03-02T06:15:27.123Z"
    assert document["stop"] is None
    assert encode_verdict(_verdict()) == encode_verdict(_verdict())


def _alert() -> Alert:
    return Alert(
        id="SLATicketAtRisk/INC-1:printing-response:1",
        kind=AlertKind.TICKET_AT_RISK,
        state=AlertState.FIRING,
        severity="page",
        at_ms=1_772_417_727_123,
        labels={"team": "printing"},
        annotations={"summary": "75 % used", "share": str(Fraction(3, 4))},
    )


def test_an_alert_reads_as_it_was_written():
    assert decode_alert(encode_alert(_alert())) == _alert()
    assert json.loads(encode_alert(_alert()))["at"] == "2026-03-02T02:15:27.123Z"


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ((b'"version":1', b'"version":2'), Reason.UNKNOWN_VERSION, "version 2"),
        ((b'"firing"', b'"burning"'), Reason.MALFORMED, "`$.state`"),
        ((b'"at":"2026', b'"at":"1926'), Reason.MALFORMED, "1970..2299"),
        ((b"{", b""), Reason.MALFORMED, ""),
    ],
)
def test_a_strangers_alert_is_refused_with_the_reason(change, reason, detail):
    rejected = decode_alert(encode_alert(_alert()).replace(*change))

    assert isinstance(rejected, Rejected)
    assert rejected.reason is reason
    assert detail in rejected.detail
