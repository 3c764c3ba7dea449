"""The catalogue of topics: names, partitions, configuration and rights follow the settings."""

import pytest

from config.settings import Settings
from streams.topics import (
    ALERTS_STATE,
    DEAD_LETTERS,
    OBJECTIVES_STATE,
    TICKETS,
    TICKETS_STATE,
    UPTIME,
    VERDICTS,
    Kind,
    Topics,
    acl_commands,
    acls,
)

STATES = (TICKETS_STATE, OBJECTIVES_STATE, ALERTS_STATE)
PRODUCTION = Settings(
    kafka={"replication_factor": 3, "min_insync_replicas": 2},
    topics={"prefix": "desk.", "partitions": 6, "events_retention_days": 2.5, "verdicts_retention_days": 30},
)


def test_every_topic_and_the_group_have_the_prefix():
    topics = Topics(PRODUCTION)

    assert topics.group == "desk.slawatch"
    assert {topic.name for topic in topics.all} == {f"desk.{topic.logical}" for topic in topics.all}
    assert topics.name(TICKETS) == "desk.sla.tickets"
    assert topics.name(TICKETS_STATE) == "desk.slawatch-tickets-state"


def test_a_topic_is_found_by_its_name_on_the_cluster():
    topics = Topics(PRODUCTION)

    assert topics.of_name("desk.sla.uptime") is topics[UPTIME]
    assert topics.of_name("sla.uptime") is None


def test_a_topic_that_is_not_in_the_catalogue_has_no_name():
    with pytest.raises(KeyError):
        Topics(PRODUCTION).name("sla.ticket")


def test_the_register_and_the_dead_letters_have_one_partition_and_the_others_those_of_the_settings():
    partitions = {topic.logical: topic.partitions for topic in Topics(PRODUCTION).all}

    assert partitions == {
        "sla.tickets": 6,
        "sla.uptime": 6,
        "sla.contracts": 1,
        "sla.calendars": 1,
        "sla.adjustments": 1,
        "sla.rollups": 6,
        "sla.verdicts": 6,
        "sla.alerts": 6,
        "sla.statements": 6,
        "sla.dead-letters": 1,
        "slawatch-tickets-state": 6,
        "slawatch-uptime-state": 6,
        "slawatch-objectives-state": 6,
        "slawatch-alerts-state": 6,
    }


def test_no_topic_can_lose_acknowledged_records_or_take_a_publishers_clock():
    for topic in Topics(PRODUCTION).all:
        assert topic.replication_factor == 3
        assert topic.configs["min.insync.replicas"] == "2"
        assert topic.configs["unclean.leader.election.enable"] == "false"
        assert topic.configs["message.timestamp.type"] == "LogAppendTime"


def test_state_is_compacted_soon_and_takes_a_whole_step_in_one_batch():
    for logical in STATES:
        configs = Topics(PRODUCTION)[logical].configs
        assert configs["cleanup.policy"] == "compact"
        assert configs["segment.bytes"] == "134217728"
        assert configs["segment.ms"] == "600000"
        assert configs["min.cleanable.dirty.ratio"] == "0.1"
        assert configs["max.compaction.lag.ms"] == "3600000"
        assert configs["max.message.bytes"] == "16777216"


def test_events_are_kept_for_days_and_outcomes_long():
    topics = Topics(PRODUCTION)

    for logical in (TICKETS, UPTIME):
        assert topics[logical].configs["cleanup.policy"] == "delete"
        assert topics[logical].configs["retention.ms"] == str(216_000_000)  # 2.5 d
    for logical in (VERDICTS, DEAD_LETTERS):
        assert topics[logical].configs["cleanup.policy"] == "delete"
        assert topics[logical].configs["retention.ms"] == str(30 * 86_400_000)


def test_a_dead_letter_has_room_for_the_largest_record_and_its_headers():
    default_of_kafka = 1_048_588

    assert int(Topics(PRODUCTION)[DEAD_LETTERS].configs["max.message.bytes"]) > default_of_kafka + 65_536


def test_documents_are_compacted():
    for topic in Topics(PRODUCTION).all:
        if topic.kind in {Kind.REGISTER, Kind.LATEST}:
            assert topic.configs["cleanup.policy"] == "compact"
            assert "retention.ms" not in topic.configs


def test_the_owner_of_a_state_partition_has_an_id_of_its_own():
    topics = Topics(PRODUCTION)
    ids = {topics.transactional_id(state, partition) for state in STATES for partition in range(6)}

    assert len(ids) == 18
    assert topics.transactional_id(TICKETS_STATE, 3) == "desk.slawatch-tickets-state-3"


def test_the_rights_on_transactional_ids_cover_every_owner_and_only_this_installation():
    (rule,) = [acl for acl in acls(PRODUCTION) if acl.resource == "transactional-id"]
    topics = Topics(PRODUCTION)

    assert (rule.role, rule.pattern, rule.operations) == ("worker", "prefixed", ("Write", "Describe"))
    for state in STATES:
        assert topics.transactional_id(state, 0).startswith(rule.name)
    assert not Topics(Settings()).transactional_id(TICKETS_STATE, 0).startswith(rule.name)


def test_rights_are_the_least_that_each_role_needs():
    rights = {(acl.role, acl.name): set(acl.operations) for acl in acls(Settings()) if acl.resource == "topic"}

    assert rights["publisher", "sla.tickets"] == {"Write", "Describe"}
    assert ("publisher", "sla.contracts") not in rights
    assert "Write" not in rights["worker", "sla.tickets"]
    assert "Write" not in rights["worker", "sla.contracts"]
    assert {"Read", "Write"} <= rights["worker", "slawatch-tickets-state"]
    assert {"Read", "Write"} <= rights["operator", "sla.contracts"]
    assert "Write" not in rights["operator", "slawatch-tickets-state"]
    assert all("Delete" not in operations and "Alter" not in operations for operations in rights.values())


def test_commands_give_each_right_to_the_principal_of_its_role():
    commands = acl_commands(acls(Settings()), "kafka:9092", {"worker": "User:w", "publisher": "User:p"})

    assert (
        "kafka-acls --bootstrap-server kafka:9092 --add --allow-principal User:w --operation Write --operation Describe "
        "--resource-pattern-type prefixed --transactional-id slawatch-"
    ) in commands
    assert (
        "kafka-acls --bootstrap-server kafka:9092 --add --allow-principal User:p --operation Write --operation Describe "
        "--resource-pattern-type literal --topic sla.tickets --topic sla.uptime"
    ) in commands
    assert len(commands) == 6
