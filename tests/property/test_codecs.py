"""Laws of decoding, whatever publishers send."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from sla.events import Heartbeat, Reason, Rejected, TicketEvent
from sla.units import ms_of
from streams.codecs import decode_alert, decode_ticket, partition_of

pytestmark = pytest.mark.property

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)

# Fields of an envelope, each right or anything at all: most examples get past the first check and fail at a later one.
ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(1) | ANYTHING,
        "type": st.sampled_from(["ticket", "feedback", "heartbeat", "probe"]) | ANYTHING,
        "id": st.text() | ANYTHING,
        "ticket": st.just("INC-1") | ANYTHING,
        "event": st.just("created") | ANYTHING,
        "at": st.integers(0, 10**13) | st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | ANYTHING,
        "sequence": st.integers(0, 2**70) | ANYTHING,
        "fields": st.dictionaries(st.text(), SCALARS) | ANYTHING,
        "unknown": ANYTHING,
    },
)
BYTES = st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()) | st.text().map(lambda text: text.encode())


def _holds(outcome: object) -> None:
    match outcome:
        case (str(), TicketEvent() as event):
            assert 0 <= event.at_ms <= 253_402_300_799_999
            assert 0 <= event.sequence < 2**63
            assert 0 <= event.uid < 2**63
            assert all(isinstance(name, str) for name in event.changes)
            assert all(value is None or isinstance(value, str) for value in event.changes.values())
            "".join(value or "" for value in event.changes.values()).encode()
        case Heartbeat(at_ms=at_ms):
            assert 0 <= at_ms <= 253_402_300_799_999
        case Rejected(reason=reason, detail=detail):
            assert reason in Reason
            assert detail
            detail.encode()
        case _:
            pytest.fail(f"neither event nor rejection: {outcome!r}")


@given(envelope=ENVELOPES, key=st.none() | st.just(b"INC-1") | st.binary(max_size=8))
def test_decoding_never_raises_whatever_the_envelope_holds(envelope, key):
    """Bad input is an outcome, never an error."""
    _holds(decode_ticket(json.dumps(envelope).encode(), key))


@given(value=st.none() | BYTES, key=st.none() | st.binary())
def test_decoding_never_raises_whatever_the_bytes(value, key):
    """Bad input is an outcome, never an error."""
    _holds(decode_ticket(value, key))
    if value is not None:
        decode_alert(value)


@given(envelope=ENVELOPES, cut=st.integers(0, 200), flip=st.integers(0, 255))
def test_decoding_never_raises_on_damaged_records(envelope, cut, flip):
    """Bad input is an outcome, never an error."""
    damaged = bytearray(json.dumps({"version": 1, "ticket": "INC-1", "event": "e", "at": 0, **envelope}).encode())
    damaged[cut % len(damaged)] = flip
    _holds(decode_ticket(bytes(damaged), b"INC-1"))
    _holds(decode_ticket(bytes(damaged[:cut]), b"INC-1"))


@given(
    instant=st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2299, 12, 30)),  # noqa: DTZ001
    offset_minutes=st.integers(-14 * 60, 14 * 60),
)
def test_an_instant_is_the_same_in_every_zone(instant, offset_minutes):
    """RFC 3339 with any offset names the instant that its UTC rendering names, rounded down to the millisecond."""
    utc = instant.replace(tzinfo=UTC)
    local = utc.astimezone(timezone(timedelta(minutes=offset_minutes)))

    for at in (utc, local):
        value = json.dumps({"version": 1, "ticket": "t", "event": "e", "at": at.isoformat()}).encode()
        decoded = decode_ticket(value, b"t")
        assert isinstance(decoded, tuple), decoded
        assert decoded[1].at_ms == ms_of(utc)


@given(fields=st.dictionaries(st.text(), st.text() | st.none()))
def test_fields_of_text_are_taken_over_as_they_are(fields):
    """Values are text; None removes a field."""
    value = json.dumps({"version": 1, "ticket": "t", "event": "e", "at": 0, "fields": fields}).encode()
    decoded = decode_ticket(value, b"t")

    assert isinstance(decoded, tuple), decoded
    assert decoded[1].changes == fields


@given(key=st.binary(max_size=300), partitions=st.integers(1, 10_000))
def test_a_key_has_the_partition_that_the_publishers_library_gives_it(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (murmur2(key) & 0x7FFF_FFFF) % partitions
