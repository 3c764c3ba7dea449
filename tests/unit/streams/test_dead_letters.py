"""Dead letters keep what was received and say why and where from; a worker stops for faults of its own only."""

import pytest
from aiokafka.structs import ConsumerRecord

from sla.events import Reason, Rejected
from streams.dead_letters import (
    KEPT_OF_A_CUT_BYTES,
    LARGEST_KEPT_BYTES,
    OUR_FAULTS,
    DeadLetterError,
    Limit,
    dead_letter,
    dead_letter_headers,
    dead_letter_of,
    place_of,
    replay_headers,
    replays_of,
)


def _record(headers, *, key=b"INC-1", value=b"{}", partition=0, offset=17, timestamp=1_772_417_727_123):
    return ConsumerRecord(
        topic="sla.dead-letters",
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        timestamp_type=1,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=tuple(headers),
    )


def _headers(detail="Expected `str` - at `$.ticket`", headers=()):
    return dead_letter_headers(
        Reason.MALFORMED,
        detail,
        topic="sla.tickets",
        partition=3,
        offset=1234,
        timestamp_ms=1_772_417_700_000,
        headers=headers,
    )


def test_a_dead_letter_says_why_and_where_from_and_keeps_the_record():
    letter = dead_letter_of(_record(_headers(headers=[("traceparent", b"00-1")]), key=None, value=b"\xff"))

    assert letter.id == "0:17"
    assert (letter.reason, letter.detail) == ("malformed", "Expected `str` - at `$.ticket`")
    assert (letter.topic, letter.partition, letter.offset) == ("sla.tickets", 3, 1234)
    assert (letter.timestamp_ms, letter.dead_at_ms) == (1_772_417_700_000, 1_772_417_727_123)
    assert (letter.key, letter.value, letter.headers) == (None, b"\xff", (("traceparent", b"00-1"),))
    assert letter.replays == 0


def test_a_detail_that_is_no_text_can_still_be_written():
    letter = dead_letter_of(_record(_headers(detail="half a pair: \ud800")))

    assert letter.detail == "half a pair: ?"


def _output(record):
    return dead_letter(
        "sla.dead-letters", Rejected(Reason.OVERSIZED, "too large"), record, topic="sla.tickets", partition=3
    )


def test_a_record_is_kept_whole_up_to_the_largest_size():
    own = (("traceparent", b"00-1"), ("empty", None))
    overhead = len("traceparent") + len(b"00-1") + len("empty") + len(b"INC-1")
    record = _record(own, value=b"x" * (LARGEST_KEPT_BYTES - overhead))

    output = _output(record)
    assert (output.topic, output.partition, output.key, output.value) == ("sla.dead-letters", 0, b"INC-1", record.value)
    letter = dead_letter_of(_record(output.headers, value=output.value))
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == ("sla.tickets", 3, 17, "oversized")
    assert (letter.headers, letter.cut_from_bytes) == (own, None)


@pytest.mark.parametrize(
    ("key", "value", "own"),
    [
        pytest.param(b"INC-1", b"x" * LARGEST_KEPT_BYTES, (), id="value"),
        pytest.param(b"x" * (LARGEST_KEPT_BYTES + 1), None, (), id="key"),
        pytest.param(None, b"{}", (("trace", b"x" * LARGEST_KEPT_BYTES),), id="headers"),
    ],
)
def test_of_a_larger_record_the_beginning_and_the_size_are_kept(key, value, own):
    output = _output(_record(own, key=key, value=value))

    for kept, whole in ((output.key, key), (output.value, value)):
        assert kept == (whole and whole[:KEPT_OF_A_CUT_BYTES])
    letter = dead_letter_of(_record(output.headers, key=output.key, value=output.value))
    size = len(key or b"") + len(value or b"") + sum(len(name) + len(text) for name, text in own)
    assert (letter.cut_from_bytes, letter.headers) == (size, ())
    assert sum(len(name) + len(text or b"") for name, text in output.headers) < 1_000


def test_replays_are_counted_on_through_the_next_rejection():
    headers = _headers(headers=[("traceparent", b"00-1")])
    for replays in range(1, 5):
        replayed = replay_headers(dead_letter_of(_record(headers)))
        assert replays_of(replayed) == replays
        assert ("slawatch-replayed-from", b"0:17") in replayed
        headers = _headers(headers=replayed)
        letter = dead_letter_of(_record(headers))
        assert (letter.replays, letter.headers) == (replays, (("traceparent", b"00-1"),))


def test_a_record_keeps_headers_of_the_same_name_twice():
    kept = _headers(headers=[("tag", b"a"), ("tag", b"b")])

    assert dead_letter_of(_record(kept)).headers == (("tag", b"a"), ("tag", b"b"))


def test_a_publisher_can_not_forge_the_origin():
    forged = [("slawatch-topic", b"sla.contracts"), ("slawatch-reason", b"none")]

    letter = dead_letter_of(_record(_headers(headers=forged)))
    assert (letter.topic, letter.reason) == ("sla.tickets", "malformed")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param([], "0:17: no header slawatch-reason", id="none"),
        pytest.param(_headers()[:-1], "0:17: no header slawatch-timestamp", id="one-missing"),
        pytest.param([*_headers(), ("slawatch-offset", b"x")], "0:17: a header can't be read", id="no-number"),
        pytest.param([*_headers(), ("slawatch-topic", b"\xff")], "0:17: a header can't be read", id="no-utf-8"),
        pytest.param([*_headers(), ("slawatch-topic", None)], "0:17: a header can't be read", id="no-value"),
        pytest.param(
            [*_headers(), ("slawatch-partition", None)], "0:17: a header can't be read", id="no-number-at-all"
        ),
    ],
)
def test_a_record_that_slawatch_did_not_write_is_told_apart(headers, message):
    with pytest.raises(DeadLetterError, match=message):
        dead_letter_of(_record(headers))


@pytest.mark.parametrize("count", [b"", b"-1", b"many", None])
def test_a_count_of_replays_that_is_none_is_zero(count):
    assert replays_of([("slawatch-replays", count)]) == 0


def test_an_id_is_partition_and_offset():
    assert place_of("0:17") == (0, 17)


@pytest.mark.parametrize("identity", ["", "17", "0:", ":17", "a:b", "0:-1", "0:1:2", "0:²"])
def test_what_is_no_id_is_refused_with_an_example(identity):
    with pytest.raises(DeadLetterError, match="for example 0:17"):
        place_of(identity)


def test_a_worker_that_fails_on_most_records_is_over_the_limit():
    limit = Limit(0.5)
    for _ in range(500):
        limit.rejected(Reason.INTERNAL_ERROR)
    assert not limit.exceeded

    limit.rejected(Reason.UNKNOWN_VERSION)
    assert limit.exceeded


@pytest.mark.parametrize("reason", sorted(set(Reason) - OUR_FAULTS))
def test_one_publishers_garbage_never_stops_a_worker(reason):
    limit = Limit(0.01)
    for _ in range(5000):
        limit.rejected(reason)

    assert (limit.ratio, limit.exceeded) == (0.0, False)


def test_one_bad_record_at_the_start_stops_nobody():
    limit = Limit(0.5)
    limit.rejected(Reason.INTERNAL_ERROR)

    assert not limit.exceeded


def test_only_the_last_records_count():
    limit = Limit(0.5, window=10)
    for _ in range(10):
        limit.rejected(Reason.INTERNAL_ERROR)
    assert limit.ratio == 1.0

    limit.accepted(4)
    assert limit.ratio == 0.6
    limit.accepted()
    assert (limit.ratio, limit.exceeded) == (0.5, False)
    limit.accepted(1_000_000)
    assert limit.ratio == 0.0


def test_the_share_is_that_of_a_plain_list_of_the_last_records():
    limit = Limit(0.5, window=7)
    last: list[bool] = []
    for step in range(500):
        match step * 7919 % 5:
            case 0 | 1:
                limit.rejected(Reason.INTERNAL_ERROR)
                last.append(True)
            case 2:
                limit.rejected(Reason.MALFORMED)
                last.append(False)
            case count:
                limit.accepted(count)
                last.extend([False] * count)
        last = last[-7:]
        assert limit.ratio == sum(last) / 7, step
        assert limit.exceeded == (sum(last) > 3)


def test_counting_no_records_changes_nothing():
    limit = Limit(0.5, window=2)
    limit.rejected(Reason.INTERNAL_ERROR)
    limit.accepted(0)

    assert limit.ratio == 0.5
