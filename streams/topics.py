"""The catalogue of topics: name, what key and value mean, partitions, configuration, who writes, and the rights needed.

It is data. ``slawatch topics apply`` brings a cluster in line with it, ``slawatch topics check`` and every worker at
its start compare. How a cluster is asked and changed: ``topic_admin``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from config.settings import Settings
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS

APP: Final = "slawatch"
"""Id of the Faust app, after the prefix: the consumer group, and what internal topics begin with."""

_STATE_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_DEAD_LETTER_MESSAGE_BYTES: Final = 2 * 1024 * 1024
"""A dead letter is the whole record (1 MiB by the broker's default) and its headers."""


class Kind(StrEnum):
    """What a topic is for; it decides partitions and configuration."""

    EVENTS = "events"
    """Facts that upstream systems publish: deleted after days."""
    REGISTER = "register"
    """Documents, the newest per key: compacted, one partition, so that offsets order the whole register."""
    ROLLUPS = "rollups"
    """Between agents: deleted after days, never a source of restore."""
    OUTCOMES = "outcomes"
    """For people and other systems: kept long."""
    LATEST = "latest"
    """The newest state per key, for other systems: compacted."""
    DEAD_LETTERS = "dead-letters"
    """What could not be taken in: kept long, one partition."""
    STATE = "state"
    """An agent's own state: compacted, internal, written by the partition's owner only."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as the settings want it.

    Attributes
    ----------
    logical : str
        Name without the prefix.
    name : str
        Name on the cluster.
    key, value : str
        What they mean, for people.
    writer : str
        Who writes to it.
    partitions : int
        Fixed for the life of the topic.
    replication_factor : int
        Replicas of each partition.
    configs : mapping of str to str
        Kafka's topic configuration that must be in force; what is not named is the cluster's own affair.
    """

    logical: str
    name: str
    kind: Kind
    key: str
    value: str
    writer: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


TICKETS: Final = "sla.tickets"
UPTIME: Final = "sla.uptime"
CONTRACTS: Final = "sla.contracts"
CALENDARS: Final = "sla.calendars"
ADJUSTMENTS: Final = "sla.adjustments"
ROLLUPS: Final = "sla.rollups"
VERDICTS: Final = "sla.verdicts"
ALERTS: Final = "sla.alerts"
STATEMENTS: Final = "sla.statements"
DEAD_LETTERS: Final = "sla.dead-letters"
TICKETS_STATE: Final = "slawatch-tickets-state"
UPTIME_STATE: Final = "slawatch-uptime-state"
OBJECTIVES_STATE: Final = "slawatch-objectives-state"
ALERTS_STATE: Final = "slawatch-alerts-state"

_CATALOGUE: Final[tuple[tuple[str, Kind, str, str, str], ...]] = (
    (TICKETS, Kind.EVENTS, "ticket id", "ticket event, ticket feedback, heartbeat (JSON)", "upstream"),
    (UPTIME, Kind.EVENTS, "service id", "probe sample, status change, feedback, heartbeat (JSON)", "upstream"),
    (CONTRACTS, Kind.REGISTER, "contract id", "the contract with all revisions (JSON)", "slawatch contracts apply"),
    (CALENDARS, Kind.REGISTER, "calendar id", "the calendar (JSON)", "slawatch contracts apply"),
    (
        ADJUSTMENTS,
        Kind.REGISTER,
        "adjustment id",
        "maintenance window or outage correction: who, why, when (JSON)",
        "CLI, change-management tools",
    ),
    (
        ROLLUPS,
        Kind.ROLLUPS,
        "target or objective, minute, source topic and partition",
        "absolute counts; progress (msgpack)",
        "tickets and uptime agents",
    ),
    (VERDICTS, Kind.OUTCOMES, "ticket id", "outcome of one clock (JSON)", "tickets agent"),
    (
        ALERTS,
        Kind.LATEST,
        "alert id",
        "state of one alert (JSON); deleted when its resolve has been told",
        "tickets, uptime, objectives and alerts agents",
    ),
    (
        STATEMENTS,
        Kind.LATEST,
        "objective id, period",
        "provisional, then final statement, revisions (JSON)",
        "objectives agent",
    ),
    (DEAD_LETTERS, Kind.DEAD_LETTERS, "as received", "as received; reason and origin in headers", "any agent"),
    (TICKETS_STATE, Kind.STATE, "kind and id of a row", "one row of state (msgpack)", "tickets agent"),
    (UPTIME_STATE, Kind.STATE, "kind and id of a row", "one row of state (msgpack)", "uptime agent"),
    (OBJECTIVES_STATE, Kind.STATE, "kind and id of a row", "one row of state (msgpack)", "objectives agent"),
    (ALERTS_STATE, Kind.STATE, "kind and id of a row", "one row of state (msgpack)", "alerts agent"),
)

ONE_PARTITION: Final = frozenset({Kind.REGISTER, Kind.DEAD_LETTERS})
"""Kinds with one partition; every other topic has ``SLAWATCH_TOPICS__PARTITIONS``: an agent's state has one partition
per partition of its input."""


class Topics:
    """Names and shape of all topics under given settings.

    >>> from config.settings import Settings
    >>> Topics(Settings(topics={"prefix": "test."})).name("sla.tickets")
    'test.sla.tickets'
    """

    __slots__ = ("_by_logical", "_by_name", "group", "prefix")

    def __init__(self, settings: Settings) -> None:
        self.prefix = settings.topics.prefix
        self.group = f"{self.prefix}{APP}"
        """Consumer group of the workers, which is the id of the Faust app."""
        self._by_logical = {
            logical: Topic(
                logical=logical,
                name=f"{self.prefix}{logical}",
                kind=kind,
                key=key,
                value=value,
                writer=writer,
                partitions=1 if kind in ONE_PARTITION else settings.topics.partitions,
                replication_factor=settings.kafka.replication_factor,
                configs=_configs(kind, settings),
            )
            for logical, kind, key, value, writer in _CATALOGUE
        }
        self._by_name = {topic.name: topic for topic in self._by_logical.values()}

    @property
    def all(self) -> tuple[Topic, ...]:
        """Every topic, in the catalogue's order."""
        return tuple(self._by_logical.values())

    def __getitem__(self, logical: str) -> Topic:
        return self._by_logical[logical]

    def name(self, logical: str) -> str:
        """Return the name on the cluster of a topic of the catalogue; KeyError if it is not in it."""
        return self._by_logical[logical].name

    def of_name(self, name: str) -> Topic | None:
        """Return the topic that has this name on the cluster, None if it is not one of ours."""
        return self._by_name.get(name)

    def transactional_id(self, state: str, partition: int) -> str:
        """Return the transactional id of the owner of one state partition; ``state`` is a logical name."""
        return f"{self.name(state)}-{partition}"


def _configs(kind: Kind, settings: Settings) -> dict[str, str]:
    configs = {
        "min.insync.replicas": str(settings.kafka.min_insync_replicas),
        "unclean.leader.election.enable": "false",
        # The broker's clock, not the publishers': `now` and retention are judged by it, and a broker refuses a record
        # whose own timestamp is an hour ahead, which would stop a worker on a machine with a wrong clock.
        "message.timestamp.type": "LogAppendTime",
    }
    events_ms = round(settings.topics.events_retention_days * DAY_MS)
    outcomes_ms = round(settings.topics.verdicts_retention_days * DAY_MS)
    match kind:
        case Kind.EVENTS | Kind.ROLLUPS:
            configs |= {"cleanup.policy": "delete", "retention.ms": str(events_ms)}
        case Kind.OUTCOMES:
            configs |= {"cleanup.policy": "delete", "retention.ms": str(outcomes_ms)}
        case Kind.DEAD_LETTERS:
            configs |= {
                "cleanup.policy": "delete",
                "retention.ms": str(outcomes_ms),
                "max.message.bytes": str(_DEAD_LETTER_MESSAGE_BYTES),
            }
        case Kind.REGISTER | Kind.LATEST:
            configs |= {
                "cleanup.policy": "compact",
                "segment.ms": str(HOUR_MS),
                "min.cleanable.dirty.ratio": "0.1",
                "max.compaction.lag.ms": str(DAY_MS),
            }
        case Kind.STATE:
            # The tail that is not compacted yet decides how long a restore takes; a step is one batch of up to 8 MB.
            configs |= {
                "cleanup.policy": "compact",
                "segment.bytes": str(128 * 1024 * 1024),
                "segment.ms": str(10 * MINUTE_MS),
                "min.cleanable.dirty.ratio": "0.1",
                "max.compaction.lag.ms": str(HOUR_MS),
                "max.message.bytes": str(_STATE_MESSAGE_BYTES),
            }
    return configs


@dataclass(frozen=True, slots=True)
class Acl:
    """Rights that one role needs on one resource.

    Attributes
    ----------
    role : str
        ``worker``, ``operator`` (topics and contracts apply, dead letters) or ``publisher`` (upstream).
    resource : str
        ``topic``, ``group`` or ``transactional-id``, as ``kafka-acls`` spells its options.
    pattern : str
        ``literal`` or ``prefixed``; Kafka knows no wildcard within a name.
    why : str
        For the reader.
    """

    role: str
    resource: str
    pattern: str
    name: str
    operations: tuple[str, ...]
    why: str


_READ_BY_WORKER: Final = (TICKETS, UPTIME, ROLLUPS, ALERTS, CONTRACTS, CALENDARS, ADJUSTMENTS)
_WRITTEN_BY_WORKER: Final = (ROLLUPS, VERDICTS, ALERTS, STATEMENTS, DEAD_LETTERS)


def acls(settings: Settings) -> list[Acl]:
    """Return the rights that workers, operators and publishers need, least first.

    Notes
    -----
    Owners of state partitions write under the transactional ids ``<prefix>slawatch-*-state-<partition>``. Kafka matches
    a literal name or a prefix, so the rule covers ``<prefix>slawatch-``; give that prefix to nobody else: who may use
    these ids can fence a worker.
    """
    topics = Topics(settings)
    found: list[Acl] = []
    for topic in topics.all:
        operations: list[str] = []
        if topic.kind is Kind.STATE:
            operations = ["Read", "Write"]
        else:
            operations += ["Read"] if topic.logical in _READ_BY_WORKER else []
            operations += ["Write"] if topic.logical in _WRITTEN_BY_WORKER else []
        found.append(
            Acl("worker", "topic", "literal", topic.name, (*operations, "Describe", "DescribeConfigs"), topic.value)
        )
    internal = f"{topics.prefix}{APP}-"
    found.append(Acl("worker", "group", "literal", topics.group, ("Read", "Describe"), "the workers' consumer group"))
    found.append(
        Acl(
            "worker",
            "transactional-id",
            "prefixed",
            internal,
            ("Write", "Describe"),
            f"{internal}*-state-*: ownership of state partitions; a former owner is fenced by it",
        )
    )
    for topic in topics.all:
        operations = ["Create", "AlterConfigs", "Describe", "DescribeConfigs"]
        operations += ["Read"] if topic.kind not in {Kind.EVENTS, Kind.ROLLUPS} else []
        operations += ["Write"] if topic.kind in {Kind.REGISTER, Kind.EVENTS} else []
        why = "topics apply, contracts apply, dead-letters, verdicts, state clocks"
        found.append(Acl("operator", "topic", "literal", topic.name, tuple(operations), why))
    found.extend(
        Acl("publisher", "topic", "literal", topic.name, ("Write", "Describe"), topic.value)
        for topic in topics.all
        if topic.kind is Kind.EVENTS
    )
    return found


def acl_commands(acls: Iterable[Acl], bootstrap: str, principals: Mapping[str, str]) -> list[str]:
    """Return the ``kafka-acls`` commands that give rights, one for all resources of the same rights.

    Parameters
    ----------
    bootstrap
        Servers that the command talks to.
    principals
        Principal of each role, for example ``{"worker": "User:slawatch"}``; roles without one are left out.
    """
    names: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for acl in acls:
        if acl.role in principals:
            names.setdefault((acl.role, acl.resource, acl.pattern, acl.operations), []).append(acl.name)
    return [
        " ".join(
            [
                f"kafka-acls --bootstrap-server {bootstrap} --add --allow-principal {principals[role]}",
                *(f"--operation {operation}" for operation in operations),
                f"--resource-pattern-type {pattern}",
                *(f"--{resource} {name}" for name in resources),
            ]
        )
        for (role, resource, pattern, operations), resources in names.items()
    ]
