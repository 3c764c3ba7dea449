"""Whatever a process dies of, and wherever: every effect happens once, in order, and the state is that of one long life.

A stage runs on a fake log that kills it right before the k-th thing that would happen: a takeover, a batch stored, its
answer lost, an output sent, an acknowledgement. The next process takes over from what the log holds. A consumer that
drops what is not newer, as every consumer of ours does, must see what it would have seen of a process that never died.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.state_rows import ORDINAL_BITS, POSITION_KEY, Position, decode_position
from tests.support.fake_kafka import Broker, Counting, Crashed, Process, Record, records

pytestmark = pytest.mark.property

_VALUES = st.one_of(
    st.sampled_from(["a", "b", "c"]),
    st.builds("{}+{}".format, st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 30)),
    st.builds("T{}".format, st.integers(1, 30)),
)
_SOURCES = st.lists(_VALUES, min_size=1, max_size=25)
_CRASHES = st.lists(st.integers(1, 120), max_size=4)


def reference(source: Sequence[Record]) -> tuple[dict[bytes, bytes], dict[tuple[str, int], list[tuple[bytes, bytes]]]]:
    """Return the rows and the outputs of a processor that reads everything in one go."""
    rows: dict[bytes, bytes] = {}
    outputs: dict[tuple[str, int], list[tuple[bytes, bytes]]] = defaultdict(list)
    processor, index = Counting(), 0
    processor.restore({}, Position(), None)
    while index < len(source):
        index = processor.read(source, index)
        while processor.advance(None):
            pass
        result = processor.finish()
        for key, row in result.rows.items():
            rows.pop(key, None) if row is None else rows.__setitem__(key, row)
        for output in result.outputs:
            outputs[output.topic, output.partition].append((output.key, output.value))
    return rows, dict(outputs)


async def live(broker: Broker, draw: random.Random, sizes: tuple[int, int], crash_at: int | None) -> bool:
    """Live one life of a worker; return whether it came to the end of the source."""
    broker.restart(crash_at)
    process = Process(
        broker,
        processor=lambda: Counting(records_a_step=sizes[0], timers_a_step=sizes[1]),
        draw=draw,
        tick_seconds=0.0005,
    )
    work = asyncio.create_task(_work(broker, process, draw))
    death = asyncio.create_task(broker.is_dead.wait())
    await asyncio.wait({work, death}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    assert work.done() or death.done(), f"stuck: {broker.done[-10:]}"
    lived = not broker.is_dead.is_set()
    for task in (work, death):
        task.cancel()
    ended = (await asyncio.gather(work, death, return_exceptions=True))[0]
    assert ended is None or isinstance(ended, Crashed | asyncio.CancelledError), ended
    await process.stage.stop()
    assert all(isinstance(error, Crashed) for error in process.halted), process.halted
    return lived


async def _work(broker: Broker, process: Process, draw: random.Random) -> None:
    await process.rebalance(chunk_records=draw.randint(1, 5))
    positions = process.stage.start_offsets()
    (offset,) = positions.values()
    # At worst everything that was not committed comes again.
    offset = draw.randint(min(offset, broker.committed), offset)
    while offset < len(broker.source):
        stop = min(len(broker.source), offset + draw.randint(1, 6))
        await process.feed(offset, stop)
        offset = stop
        if draw.random() < 0.1:
            await process.rebalance(chunk_records=draw.randint(1, 5))
        if draw.random() < 0.1:
            process.stage.retake()
            await asyncio.sleep(0.001)
    await process.settle()


def check_order(broker: Broker) -> None:
    """Nothing is told before its state is stored, and no chunk acknowledged before its steps are told."""
    stored: set[int] = set()
    for what in broker.done:
        kind, _, number = what.partition(" ")
        if kind == "state":
            stored.add(int(number))
        elif kind == "sent":
            assert int(number) in stored, what
    for outputs in broker.sent.values():
        assert all(output.headers for output in outputs)


@settings(max_examples=150, deadline=None)
@given(
    values=_SOURCES,
    crashes=_CRASHES,
    sizes=st.tuples(st.integers(1, 8), st.integers(1, 4)),
    seed=st.integers(0, 2**32),
)
def test_crashes_change_nothing_that_anybody_sees(
    values: list[str], crashes: list[int], sizes: tuple[int, int], seed: int
) -> None:
    broker = Broker(records(*values))
    draw = random.Random(seed)

    async def lives() -> None:
        for crash_at in crashes:
            if await live(broker, draw, sizes, crash_at):
                break
        assert await live(broker, draw, sizes, None)

    asyncio.run(lives())
    rows, outputs = reference(broker.source)
    assert broker.rows() == rows
    assert broker.seen() == outputs
    # A death between the last output and its ack leaves the commit behind the state, which alone decides.
    assert broker.committed == len(values) or crashes
    position = decode_position(broker.rows(system=True)[POSITION_KEY])
    assert position.offset == len(values) - 1
    check_order(broker)


@pytest.mark.parametrize("crash_at", range(1, 34))
def test_a_crash_at_every_single_point_of_a_short_life(crash_at: int) -> None:
    broker = Broker(records("a", "b+3", "c+9", "T5", "a", "T9"))
    draw = random.Random(crash_at)

    async def lives() -> bool:
        lived = await live(broker, draw, (2, 1), crash_at)
        assert await live(broker, draw, (2, 1), None)
        return lived

    lived = asyncio.run(lives())
    rows, outputs = reference(broker.source)
    assert broker.rows() == rows
    assert broker.seen() == outputs
    check_order(broker)
    if crash_at <= 20:
        assert not lived, "the crash was meant to come before the end"


def test_the_outbox_is_sent_again_before_anything_else_in_the_order_of_its_steps() -> None:
    """The first thing a new owner says is what the old one may not have said."""
    broker = Broker(records(*"abcdefghijkl"))
    draw = random.Random(1)

    async def lives() -> list[str]:
        # Eleven steps told, the twelfth stored, its outputs not sent.
        crash_at = 0
        while "stored 12" not in broker.done or "sent 12" in broker.done:
            crash_at += 1
            broker.__init__(records(*"abcdefghijkl"))  # type: ignore[misc]
            assert not await live(broker, random.Random(1), (1, 1), crash_at)
        broker.done.clear()
        assert await live(broker, draw, (1, 1), None)
        return broker.done

    told = [what for what in asyncio.run(lives()) if what.split()[0] in {"sent", "state", "ack"}]
    again = [int(what.split()[1]) for what in told if what.startswith("sent")]
    assert again[:8] == list(range(5, 13)), "the slots of the last eight steps"
    assert all(what.startswith("sent") for what in told[:8])
    ordinals = [int(dict(output.headers)["slawatch-ordinal"]) for outputs in broker.sent.values() for output in outputs]
    assert max(ordinals) >> ORDINAL_BITS == 12
