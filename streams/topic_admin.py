"""Compare a cluster's topics with the catalogue, and bring them in line with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from config.settings import Settings
from streams.connection import KafkaFault, admin_client
from streams.topics import Topic, Topics

_IN_FORCE_SECONDS: Final = 30.0
"""Longest wait until the brokers show what was applied; it takes well under a second on one node."""
_IN_FORCE_POLL_SECONDS: Final = 0.05
_SET: Final = 0
"""Operation of an incremental change: set the value, leave every other configuration alone."""


class TopicsDiffer(KafkaFault):
    """Topics are not as the settings want them; ``lines`` names every difference."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a topic and the catalogue; ``config`` is None if the topic is missing or misshapen."""

    topic: Topic
    line: str
    config: str | None = None
    missing: bool = False

    @property
    def fixable(self) -> bool:
        """Whether ``topics apply`` can remove it."""
        return self.missing or self.config is not None


@dataclass(frozen=True, slots=True)
class Applied:
    """What ``apply`` did: topics created, and configurations set per topic."""

    created: tuple[str, ...] = ()
    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


async def differences(settings: Settings) -> list[str]:
    """Return every difference between the cluster's topics and the catalogue as a readable line.

    Raises
    ------
    KafkaFault
        If the cluster can't be asked.
    """
    async with admin_client(settings.kafka) as admin:
        return [difference.line for difference in await _differences(admin, Topics(settings))]


async def require_no_differences(settings: Settings) -> None:
    """Return if the cluster's topics are as the catalogue wants them; a worker's first step.

    Raises
    ------
    TopicsDiffer
        With every difference.
    """
    if lines := await differences(settings):
        raise TopicsDiffer([*lines, "bring them in line: slawatch topics apply"])


async def apply(settings: Settings) -> Applied:
    """Create the topics that are missing and set the configurations that differ.

    Idempotent. Changes nothing at all if a topic differs in a way that can't be changed: a partition count (keys would
    move, and tickets would be split in two) or a replication factor (that is a reassignment).

    Raises
    ------
    TopicsDiffer
        With the differences that can't be changed.
    KafkaFault
        If the cluster can't be asked or refuses a change.
    """
    topics = Topics(settings)
    async with admin_client(settings.kafka) as admin:
        found = await _differences(admin, topics)
        if fixed := [difference.line for difference in found if not difference.fixable]:
            raise TopicsDiffer(fixed)
        missing = [difference.topic for difference in found if difference.missing]
        changes: dict[str, dict[str, str]] = {}
        for difference in found:
            if difference.config is not None:
                value = difference.topic.configs[difference.config]
                changes.setdefault(difference.topic.name, {})[difference.config] = value
        created = await _create(admin, missing)
        await _alter(admin, changes)
        if created or changes:
            await _wait_until_in_force(admin, topics)
        return Applied(created=tuple(created), changed=changes)


async def _differences(admin: AIOKafkaAdminClient, topics: Topics) -> list[Difference]:
    # All topics, not ours by name: naming a missing topic makes a broker with automatic creation create it.
    on_cluster = {described["topic"]: described["partitions"] for described in await admin.describe_topics()}
    present = [topic for topic in topics.all if topic.name in on_cluster]
    configs = await _configs(admin, present)
    found: list[Difference] = []
    for topic in topics.all:
        if topic.name not in on_cluster:
            found.append(Difference(topic, f"{topic.name}: is missing", missing=True))
            continue
        partitions = on_cluster[topic.name]
        if len(partitions) != topic.partitions:
            found.append(
                Difference(
                    topic,
                    f"{topic.name}: has {len(partitions)} partitions, the settings want {topic.partitions}; "
                    "the number is fixed for the life of the topic: "
                    + (
                        f"set SLAWATCH_TOPICS__PARTITIONS={len(partitions)}"
                        if topic.partitions != 1
                        else "delete it, then slawatch topics apply"
                    ),
                )
            )
        replicas = min((len(partition["replicas"]) for partition in partitions), default=0)
        if replicas < topic.replication_factor:
            found.append(
                Difference(
                    topic,
                    f"{topic.name}: has {replicas} replicas, SLAWATCH_KAFKA__REPLICATION_FACTOR="
                    f"{topic.replication_factor}; add replicas with kafka-reassign-partitions",
                )
            )
        for name, wanted in topic.configs.items():
            actual = configs[topic.name].get(name)
            if not _equal(actual, wanted):
                found.append(Difference(topic, f"{topic.name}: {name} is {actual}, wanted {wanted}", config=name))
    return found


def _equal(actual: str | None, wanted: str) -> bool:
    """Compare configuration values; a broker may render 0.1 and lists in its own way."""
    if actual == wanted:
        return True
    try:
        return actual is not None and float(actual) == float(wanted)
    except ValueError:
        return False


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict.fromkeys(topic.configs)) for topic in topics
    ]
    values: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if code:
                raise KafkaFault(f"{name}: its configuration can't be read: {_refusal(code, message)}")
            values[name] = {entry[0]: entry[1] for entry in entries}
    return values


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[str]:
    if not topics:
        return []
    response = await admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, topic.replication_factor, topic_configs=dict(topic.configs))
            for topic in topics
        ]
    )
    refused: list[str] = []
    for name, code, *rest in response.topic_errors:
        # Someone else's apply at the same moment: the next check compares.
        if code and code != TopicAlreadyExistsError.errno:
            refused.append(f"{name}: can't be created: {_refusal(code, rest[0] if rest else None)}")
    if refused:
        raise KafkaFault("\n".join(refused))
    return [topic.name for topic in topics]


async def _wait_until_in_force(admin: AIOKafkaAdminClient, topics: Topics) -> None:
    """Return when the brokers show what was applied: they learn it from the controller a moment later."""
    deadline = asyncio.get_running_loop().time() + _IN_FORCE_SECONDS
    while True:
        described = await admin.describe_topics()
        leaderless = {topic["topic"] for topic in described if any(p["leader"] < 0 for p in topic["partitions"])}
        found = await _differences(admin, topics)
        lines = [difference.line for difference in found]
        lines += [f"{topic.name}: has partitions without a leader" for topic in topics.all if topic.name in leaderless]
        if not lines:
            return
        if fixed := [difference.line for difference in found if not difference.fixable]:
            raise TopicsDiffer(fixed)  # someone else created it meanwhile, and otherwise
        if asyncio.get_running_loop().time() > deadline:
            raise TopicsDiffer(
                [f"applied, but not in force after {_IN_FORCE_SECONDS:g} s; look at the brokers", *lines]
            )
        await asyncio.sleep(_IN_FORCE_POLL_SECONDS)


async def _alter(admin: AIOKafkaAdminClient, changes: Mapping[str, Mapping[str, str]]) -> None:
    if not changes:
        return
    request = IncrementalAlterConfigsRequest(
        [
            (ConfigResourceType.TOPIC, name, [(config, _SET, value) for config, value in configs.items()])
            for name, configs in changes.items()
        ]
    )
    # aiokafka offers no public way to send a request of one's own, nor this one.
    response = await admin._send_request(request)  # noqa: SLF001
    refused = [
        f"{name}: its configuration can't be changed: {_refusal(code, message)}"
        for code, message, _, name in response.resources
        if code
    ]
    if refused:
        raise KafkaFault("\n".join(refused))


def _refusal(code: int, message: str | None) -> str:
    error: type[KafkaError] = for_code(code)
    return f"{error.__name__}{f': {message}' if message else ''}"


class IncrementalAlterConfigsResponse_v0(Response):  # type: ignore[misc]  # noqa: N801  # aiokafka is untyped; its naming
    """Answer to :class:`IncrementalAlterConfigsRequest`."""

    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class IncrementalAlterConfigsRequest_v0(RequestStruct):  # type: ignore[misc]  # noqa: N801
    """Layout of :class:`IncrementalAlterConfigsRequest` on the wire."""

    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = IncrementalAlterConfigsResponse_v0
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("config_operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class IncrementalAlterConfigsRequest(Request[IncrementalAlterConfigsRequest_v0]):  # type: ignore[misc]
    """Change some configurations and leave the others alone (KIP-339).

    aiokafka has only AlterConfigs, which resets every configuration that it is not given: an operator's own settings
    would be lost with each ``topics apply``.
    """

    API_KEY = 44

    def __init__(self, resources: Sequence[tuple[int, str, Sequence[tuple[str, int, str]]]]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[Any]) -> Any:
        """Return the request in the version both sides know."""
        return request_struct_class(list(self._resources), False)
