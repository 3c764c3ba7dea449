"""What the lane, the store and the ownership lean on is what the installed releases of Faust, mode and aiokafka do.

Nothing here is promised by their authors. When a pinned version moves, this file says what to look at again.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.producer.message_accumulator import MessageAccumulator
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from faust.stores import by_url
from faust.stores.base import Store
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.types import TP
from yarl import URL

from streams import lane
from streams.lane import PRIVATE_ATTRIBUTES, PRIVATE_NAMES, LaneApp
from streams.store import STORE_URL, StageStore

CHECK_ON_UPGRADE = {
    "faust-streaming": (
        "0.15.3",
        """faust/transport/consumer.py (perform_seek, on_partitions_revoked, _new_offset, getmany),
        faust/transport/drivers/aiokafka.py (the consumer's thread), faust/tables/recovery.py and faust/app/base.py
        (the order of a rebalance); then run tests/broker/test_lane.py and tests/e2e""",
    ),
    "mode-streaming": ("0.7.1", "mode/threads.py (ServiceThread.thread_loop, MethodQueue), mode/services.py (stop)"),
    "aiokafka": (
        "0.14.0",
        """aiokafka/producer/{transaction_manager,message_accumulator,sender}.py (InitProducerId, sequence numbers, what
        is retried), aiokafka/consumer/{fetcher,group_coordinator,subscription_state}.py; then run
        tests/broker/test_ownership.py""",
    ),
}
"""Distribution: pinned version, and what to read and run before another one is pinned."""


@pytest.mark.parametrize("distribution", CHECK_ON_UPGRADE)
def test_the_pinned_version_is_installed(distribution: str) -> None:
    pinned, check = CHECK_ON_UPGRADE[distribution]
    installed = version(distribution)
    assert installed == pinned, f"{distribution} {installed} is installed, {pinned} was examined. Check again: {check}"


def class_of(path: str) -> type:
    module, _, name = path.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in PRIVATE_NAMES.items() for name in names])
def test_every_method_of_the_list_exists(path: str, name: str) -> None:
    method = getattr(class_of(path), name, None)
    assert callable(method), f"{path} has no method {name} any more"


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in PRIVATE_ATTRIBUTES.items() for name in names]
)
def test_every_attribute_of_the_list_exists(path: str, name: str) -> None:
    of = class_of(path)
    declared = hasattr(of, name) or name in getattr(of, "__annotations__", {})
    assert declared or re.search(rf"\bself\.{name}\b", inspect.getsource(of)), (
        f"{path} has no attribute {name} any more"
    )


SIGNATURES = {
    "faust.transport.consumer:Consumer._new_offset": ["self", "tp"],
    "faust.transport.consumer:Consumer._add_gap": ["self", "tp", "offset_from", "offset_to"],
    "faust.transport.consumer:Consumer._to_message": ["self", "tp", "record"],
    "faust.transport.consumer:Consumer.on_partitions_revoked": ["self", "revoked"],
    "faust.transport.consumer:Consumer.perform_seek": ["self"],
    "faust.transport.consumer:Consumer.stop_flow": ["self"],
    "faust.transport.drivers.aiokafka:Consumer._new_consumer_thread": ["self"],
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._create_worker_consumer": ["self", "transport"],
    "faust.transport.drivers.aiokafka:AIOKafkaConsumerThread._fetch_records": [
        *("self", "consumer", "active_partitions", "timeout", "max_records"),
    ],
    "faust.app.base:App._new_transport": ["self"],
    "faust.app.base:App._create_directories": ["self"],
    "faust.app.base:App.on_rebalance_end": ["self"],
    "faust.app.base:App.on_stop": ["self"],
    "faust.transport.utils:DefaultSchedulingStrategy.iterate": ["self", "records"],
    "faust.tables.recovery:Recovery._add": ["self", "table", "tp", "offsets"],
    "aiokafka.consumer.fetcher:PartitionRecords._consumer_record": ["self", "tp", "record"],
    "aiokafka.consumer.group_coordinator:GroupCoordinator._do_heartbeat": ["self"],
    "aiokafka.consumer.subscription_state:Assignment.state_value": ["self", "tp"],
    "aiokafka.producer.transaction_manager:TransactionManager.wait_for_pid": ["self"],
    "aiokafka.producer.producer:AIOKafkaProducer.send_batch": ["self", "batch", "topic", "partition"],
}


@pytest.mark.parametrize("path", SIGNATURES)
def test_what_is_overridden_or_called_takes_the_same_arguments(path: str) -> None:
    of, _, name = path.rpartition(".")
    assert list(inspect.signature(getattr(class_of(of), name)).parameters) == SIGNATURES[path]


def test_the_list_is_complete() -> None:
    """Every private name of others that the three modules use is in it, and nothing that they don't use."""
    from streams import ownership, store

    source = "".join(inspect.getsource(module) for module in (lane, store, ownership))
    code = re.sub(r'"""(?s:.*?)"""|#.*', "", source)
    used = set(re.findall(r"\.(_[a-z]\w*)", code)) | set(re.findall(r"def (_[a-z]\w*)\(", code))
    used |= set(re.findall(r'getattr\(\w+, "(_\w+)"', code))
    ours = {name for owner in _OURS for name in (*vars(owner), *_instance_attributes(owner)) if name.startswith("_")}
    listed = {name for names in (PRIVATE_NAMES, PRIVATE_ATTRIBUTES) for found in names.values() for name in found}
    functions = {name for module in (lane, store, ownership) for name in vars(module)}
    # What we override is an attribute of our own classes, too.
    assert used - ours - functions - listed - {"__init__"} == set()
    not_code = {"_add", "_thread"}  # what Faust does with what we return; and see ThreadDelegateConsumer
    assert {name for name in listed if name.startswith("_")} - used - not_code == set()


def _instance_attributes(of: type) -> set[str]:
    return set(re.findall(r"self\.(_\w+)\s*(?::[^=\n]+)?=[^=]", inspect.getsource(of)))


def _classes() -> list[type]:
    from streams import ownership, store

    return [
        found
        for module in (lane, store, ownership)
        for found in vars(module).values()
        if inspect.isclass(found) and found.__module__ == module.__name__
    ]


_OURS = _classes()


# --- Faust -------------------------------------------------------------------------------------------------------------


def test_faust_forgets_acks_before_streams_finish_which_is_why_it_is_overridden() -> None:
    source = inspect.getsource(Consumer.on_partitions_revoked)
    assert source.index("_acked.pop") < source.index("self._on_partitions_revoked"), "fixed? then drop the override"


def test_faust_forgets_of_a_partition_what_the_lane_forgets() -> None:
    theirs = set(
        re.findall(r"self\.(_\w+)\.(?:pop|difference_update)\(", inspect.getsource(Consumer.on_partitions_revoked))
    )
    ours = set(re.findall(r"self\.(_\w+)", inspect.getsource(lane.Consumer.on_partitions_revoked)))
    assert theirs <= ours


def test_tables_are_rebalanced_before_recovery_asks_how_far_it_has_to_read() -> None:
    """Ownership is taken in the first, and the marker it writes lies below what the second finds."""
    source = inspect.getsource(TableManager.on_rebalance)
    assert source.index("table.on_rebalance") < source.index("self.recovery.on_rebalance")
    restart = inspect.getsource(Recovery._restart_recovery.fun)
    assert restart.index("_build_highwaters") < restart.index("_build_offsets") < restart.index("_seek_offsets")


def test_recovery_would_go_on_from_where_it_was_if_a_store_named_no_offset() -> None:
    """Why a stage answers -1, not None, for a partition whose memory it has dropped."""
    place = TP("state", 0)
    recovery = SimpleNamespace(tp_to_table={})
    offsets: Counter[TP] = Counter({place: 9_000})
    Recovery._add(recovery, SimpleNamespace(persisted_offset=lambda _tp: None), place, offsets)
    assert offsets[place] == 9_000
    Recovery._add(recovery, SimpleNamespace(persisted_offset=lambda _tp: -1), place, offsets)
    assert offsets[place] == -1


async def test_recovery_reads_from_the_first_record_when_the_offset_is_minus_one() -> None:
    place = TP("state", 0)
    sought: dict[TP, int] = {}

    class Kafka:
        async def earliest_offsets(self, *_: TP) -> dict[TP, int]:
            return {place: 0}

        async def seek_wait(self, offsets: dict[TP, int]) -> None:
            sought.update(offsets)

    offsets: Counter[TP] = Counter({place: -1})
    recovery = SimpleNamespace(log=SimpleNamespace(info=lambda *_: None), _start_offsets_logtable=lambda *_, **__: "")
    await Recovery._build_offsets(recovery, Kafka(), {place}, offsets, "active")
    await Recovery._seek_offsets(recovery, Kafka(), {place}, offsets, "active")
    assert sought == {place: 0}


def test_recovery_seeks_when_it_has_completed_and_streams_run_only_then() -> None:
    source = inspect.getsource(Recovery.on_recovery_completed)
    order = [source.index(text) for text in ("callback_coros", "perform_seek", "flow_control.resume", "resume_flow", "on_rebalance_end")]  # fmt: skip
    assert order == sorted(order)


def test_the_store_has_every_hook_and_takes_what_faust_gives() -> None:
    assert StageStore.__abstractmethods__ == frozenset()
    for name in ("apply_changelog_batch", "persisted_offset", "on_rebalance", "on_recovery_completed"):
        theirs = list(inspect.signature(getattr(Store, name)).parameters)
        ours = list(inspect.signature(getattr(StageStore, name)).parameters)
        assert ours == theirs, name


def test_the_store_is_found_by_its_url() -> None:
    assert by_url(STORE_URL) is StageStore
    assert URL(STORE_URL).host, "without a host the URL is false, and Faust would take the app's store"


async def test_the_app_uses_the_lanes_transport_and_makes_no_directories(tmp_path: Any) -> None:
    app = LaneApp("contract-test", broker="kafka://127.0.0.1:1", store="memory://", datadir=str(tmp_path / "data"))
    assert isinstance(app.transport, lane.Transport)
    assert app.transport.Consumer is lane.Consumer
    app._create_directories()
    assert list(tmp_path.iterdir()) == []


# --- aiokafka: consumer ------------------------------------------------------------------------------------------------


def test_settings_that_faust_does_not_pass_on_are_read_when_the_consumer_starts() -> None:
    source = inspect.getsource(AIOKafkaConsumer.start)
    assert "isolation_level=self._isolation_level" in source
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in source


def test_ends_of_logs_are_asked_for_under_the_isolation_of_the_reader() -> None:
    """An end that lies behind open transactions would never be reached, and time would stand still."""
    assert "OffsetRequest(-1, self._isolation_level" in inspect.getsource(Fetcher._proc_offset_request)


def test_records_can_be_handed_out_as_they_are() -> None:
    builder = MessageAccumulator(
        None, 100_000, 0, 1.0, loop=SimpleNamespace(create_future=lambda: None)
    ).create_builder()
    builder.append(timestamp=77, key=b"k", value=b"v", headers=[("h", b"1")])
    records = PartitionRecords(
        TP("t", 0), MemoryRecords(bytes(builder._build())), [], 0, None, None, True, 1
    )  # fmt: skip
    records._consumer_record = lane._as_is
    [record] = list(records)
    assert (record.offset, record.timestamp, record.key, record.value) == (0, 77, b"k", b"v")
    assert list(record.headers) == [("h", b"1")]
    assert record.timestamp_type == 0
    assert records.next_fetch_offset == 1


def test_what_is_fetched_is_kept_in_one_mapping_by_partition() -> None:
    """So that one of ours, put in its place before the first fetch, sees every result."""
    source = inspect.getsource(Fetcher)
    assert source.count("self._records = ") == 1
    assert "self._records = collections.OrderedDict()" in source
    assert "self._records[tp] = FetchResult(" in source
    kept = lane._FetchResults({"batched": 10}.get)
    for topic in ("batched", "other"):
        kept[TP(topic, 0)] = SimpleNamespace(_partition_records=SimpleNamespace(_consumer_record=None))
    kept[TP("batched", 1)] = SimpleNamespace(error="no records")
    assert kept[TP("batched", 0)]._partition_records._consumer_record is lane._as_is
    assert kept[TP("other", 0)]._partition_records._consumer_record is None


def test_a_fetch_result_is_dropped_if_the_position_has_moved_since() -> None:
    """So that a seek in the consumer's own thread can't be undone by a fetch."""
    state = SimpleNamespace(paused=False, position=5)
    assignment = SimpleNamespace(active=True, state_value=lambda _tp: state)
    result = FetchResult(
        TP("t", 0), assignment=assignment, partition_records=SimpleNamespace(next_fetch_offset=9), backoff=0
    )
    assert result.getall() == []
    assert not result.has_more()
    assert "for msg in self._partition_records" in inspect.getsource(FetchResult.getall), (
        "and it does so without an await"
    )
    assert not inspect.iscoroutinefunction(FetchResult.getall)


def test_fetched_data_waits_in_a_dict_by_partition() -> None:
    assert "self._records = collections.OrderedDict()" in inspect.getsource(Fetcher.__init__)


def test_the_answer_of_a_heartbeat_is_asked_of_the_instance() -> None:
    """A method put into the instance is then the one that is called."""
    assert "await self._do_heartbeat()" in inspect.getsource(GroupCoordinator._heartbeat_routine)
    source = inspect.getsource(GroupCoordinator._do_heartbeat)
    assert "return True" in source
    assert "return False" in source


# --- aiokafka: producer ------------------------------------------------------------------------------------------------


def transaction_manager() -> TransactionManager:
    manager = TransactionManager("state-0", 60_000)
    manager.set_pid_and_epoch(4_001, 7)
    return manager


async def test_without_its_transactional_id_a_producer_writes_plain_idempotent_batches() -> None:
    manager = transaction_manager()
    assert (manager.producer_id, manager.producer_epoch) == (4_001, 7)
    manager.transactional_id = None
    accumulator = MessageAccumulator(None, 100_000, 0, 1.0, txn_manager=manager)
    builder = accumulator.create_builder()
    builder.append(timestamp=1, key=b"k", value=b"v")
    batch = DefaultRecordBatch(bytes(builder._build()))
    assert not batch.is_transactional
    manager.maybe_add_partition_to_txn(TP("state", 0))
    assert manager.partitions_to_add() == set()


async def test_a_batch_uses_up_its_sequence_numbers_whatever_becomes_of_it() -> None:
    """A later step is refused as out of order then: no step is ever stored without the one before it."""
    manager = transaction_manager()
    manager.transactional_id = None
    place = TP("state", 0)
    accumulator = MessageAccumulator(None, 100_000, 0, 1.0, txn_manager=manager)
    builder = accumulator.create_builder()
    builder.append(timestamp=1, key=b"k", value=b"v")
    builder.close()
    await accumulator.add_batch(builder, place, 1)
    assert manager.sequence_number(place) == 0
    batch = accumulator._pop_batch(place)
    assert manager.sequence_number(place) == 1
    batch.failure(OSError("never sent"))
    assert isinstance(batch.future.exception(), OSError)
    assert manager.sequence_number(place) == 1


def test_an_idempotent_write_is_tried_again_for_as_long_as_the_error_may_pass() -> None:
    expired = SimpleNamespace(expired=lambda: True)
    handler = SimpleNamespace(_sender=SimpleNamespace(_txn_manager=object()))
    for retriable in (True, False):
        error = SimpleNamespace(retriable=retriable)
        assert SendProduceReqHandler._can_retry(handler, error, expired) is retriable
