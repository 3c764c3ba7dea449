"""System rows of a state partition: what is written is read, and what a newer release wrote is refused."""

from __future__ import annotations

import pytest

from streams import state_rows
from streams.state_rows import (
    ORDINAL_BITS,
    OUTBOX_SLOTS,
    OWNER_KEY,
    POSITION_KEY,
    STATE_FORMAT,
    SYSTEM_PREFIX,
    Marker,
    NewerFormatError,
    Output,
    Position,
    decode_marker,
    decode_outbox,
    decode_position,
    encode_marker,
    encode_outbox,
    encode_position,
    outbox_key,
    provenance,
    provenance_of,
    stamp,
)

POSITION = Position(
    offset=2**40,
    seq=7,
    now_ms=1_772_400_000_000,
    register_offsets={"sla.contracts": 3},
    register_version=2,
    ordinals={"sla.tickets/3": 7 << ORDINAL_BITS | 5},
)
OUTPUTS = [
    Output("sla.verdicts", 3, b"INC-1", b"{}", (("slawatch-correction", b"1"),)),
    Output("sla.dead-letters", 0, None, None),
]


def test_a_position_is_read_as_it_was_written() -> None:
    assert decode_position(encode_position(POSITION)) == POSITION


def test_a_position_of_a_release_that_knew_fewer_fields_is_read_with_their_defaults() -> None:
    """Fields are added at the end: a row is an array."""
    import msgspec

    former = bytes((STATE_FORMAT,)) + msgspec.msgpack.encode([41, 6, 1_000])
    assert decode_position(former) == Position(offset=41, seq=6, now_ms=1_000)


def test_a_fresh_position_is_before_the_first_record() -> None:
    assert Position() == Position(-1, 0, 0, {}, 0, {})
    first, second = Position(), Position()
    first.register_offsets["sla.contracts"] = 1
    assert second.register_offsets == {}, "every partition has its own"


def test_an_outbox_slot_keeps_the_exact_outputs() -> None:
    assert decode_outbox(encode_outbox(2**39, OUTPUTS)) == (2**39, OUTPUTS)


def test_a_marker_is_read_as_it_was_written() -> None:
    marker = Marker("worker-1:42", 4_001, 7)
    assert decode_marker(encode_marker(marker)) == marker


@pytest.mark.parametrize(
    ("row", "decode"),
    [
        (encode_position(POSITION), decode_position),
        (encode_outbox(1, OUTPUTS), decode_outbox),
        (encode_marker(Marker("w", 1, 1)), decode_marker),
    ],
    ids=["position", "outbox", "marker"],
)
def test_a_row_of_a_newer_release_is_refused_and_says_what_to_do(row: bytes, decode: object) -> None:
    assert row[0] == STATE_FORMAT
    newer = bytes((STATE_FORMAT + 1,)) + row[1:]
    with pytest.raises(NewerFormatError, match=rf"state format {STATE_FORMAT + 1}.*upgrade"):
        decode(newer)  # type: ignore[operator]


def test_system_rows_have_a_prefix_of_their_own_and_outbox_slots_go_round() -> None:
    slots = [outbox_key(seq) for seq in range(1, 2 * OUTBOX_SLOTS + 1)]
    assert len(set(slots)) == OUTBOX_SLOTS
    assert slots[:OUTBOX_SLOTS] == slots[OUTBOX_SLOTS:]
    assert all(key[:1] == SYSTEM_PREFIX for key in (*slots, POSITION_KEY, OWNER_KEY))
    assert len({*slots, POSITION_KEY, OWNER_KEY}) == OUTBOX_SLOTS + 2


def test_ordinals_grow_within_a_step_and_from_step_to_step() -> None:
    largest = 2**ORDINAL_BITS - 1
    places = [(1, 0), (1, 1), (1, largest), (2, 0), (2**39 - 1, 0), (2**39 - 1, largest)]
    ordinals = []
    for seq, index in places:
        found = provenance_of(provenance("sla.tickets/0", seq, index))
        assert found is not None
        assert found[0] == "sla.tickets/0"
        ordinals.append(found[1])
    assert ordinals == sorted(set(ordinals))
    assert ordinals[-1] < 2**63, "fits the integers of every consumer"


def test_stamping_adds_the_provenance_behind_an_outputs_own_headers() -> None:
    outputs = [Output("t", 0, b"k", b"v", (("slawatch-correction", b"1"),)), Output("t", 0, b"k", b"v")]
    stamp(outputs, "sla.tickets/3", 9)
    assert outputs[0].headers == (("slawatch-correction", b"1"), *provenance("sla.tickets/3", 9, 0))
    assert outputs[1].headers == provenance("sla.tickets/3", 9, 1)


@pytest.mark.parametrize(
    "headers",
    [(), [("slawatch-source", b"t/0")], [("slawatch-ordinal", b"7")], [("traceparent", b"00")]],
)
def test_a_record_that_something_else_wrote_has_no_provenance(headers: list[tuple[str, bytes]]) -> None:
    assert provenance_of(headers) is None


@pytest.mark.parametrize("value", [b"", b"x", b"-", b"-1", b"1.5", b"\xff", b"9" * 30])
def test_a_header_that_is_no_ordinal_is_no_provenance_and_no_fault(value: bytes) -> None:
    """Anybody may write to a topic: a strange header must not stop the worker that reads it."""
    assert provenance_of([("slawatch-source", b"t/0"), ("slawatch-ordinal", value)]) is None


@pytest.mark.parametrize("source", [b"\xff\xfe", None])
def test_a_header_that_names_no_source_is_no_provenance_and_no_fault(source: bytes | None) -> None:
    assert provenance_of([("slawatch-source", source), ("slawatch-ordinal", b"7")]) is None  # type: ignore[list-item]


def test_every_row_names_its_format() -> None:
    assert state_rows.STATE_FORMAT == 1
