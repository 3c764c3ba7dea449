"""Dead letters on a real Kafka: listed, shown, and replayed to where they came from, never in a loop."""

import asyncio

import pytest
from aiokafka.structs import ConsumerRecord
from typer.testing import CliRunner

from cli.main import app
from config.settings import Settings
from sla.events import Reason
from streams.broker import Broker
from streams.codecs import partition_of
from streams.connection import producer_client, read_to_end
from streams.dead_letters import (
    DeadLetter,
    DeadLetterError,
    dead_letter_headers,
    find_dead_letters,
    read_dead_letters,
    replay,
    replayable,
    replays_of,
)
from streams.topic_admin import apply
from streams.topics import CONTRACTS, DEAD_LETTERS, TICKETS, Topics

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(kafka: Broker, prefix: str) -> Settings:
    return Settings(kafka={"bootstrap": kafka.bootstrap}, topics={"prefix": prefix, "partitions": 3})


@pytest.fixture
async def topics(settings: Settings) -> Topics:
    await apply(settings)
    return Topics(settings)


async def _bury(
    settings: Settings, *records: tuple[Reason, bytes | None, bytes | None], topic: str = TICKETS, headers=()
) -> list[str]:
    """Write dead letters as an agent does; return their ids."""
    topics = Topics(settings)
    ids = []
    async with producer_client(settings.kafka) as producer:
        for number, (reason, key, value) in enumerate(records):
            sent = await producer.send_and_wait(
                topics.name(DEAD_LETTERS),
                key=key,
                value=value,
                headers=dead_letter_headers(
                    reason,
                    f"detail {number}",
                    topic=topics.name(topic),
                    partition=1,
                    offset=100 + number,
                    timestamp_ms=1_772_417_727_000,
                    headers=headers,
                ),
            )
            ids.append(f"{sent.partition}:{sent.offset}")
    return ids


async def _letters(settings: Settings, **choice) -> list[DeadLetter | DeadLetterError]:
    return [letter async for letter in read_dead_letters(settings, **choice)]


async def _tickets(settings: Settings) -> list[ConsumerRecord]:
    return [record async for record in read_to_end(settings.kafka, [Topics(settings).name(TICKETS)])]


async def test_letters_are_read_in_order_by_reason_and_by_instant(settings, topics):
    ids = await _bury(
        settings,
        (Reason.MALFORMED, b"INC-1", b"not json"),
        (Reason.KEY_MISMATCH, None, b"{}"),
        (Reason.MALFORMED, b"INC-2", b"\xff"),
    )

    letters = await _letters(settings)
    assert [letter.id for letter in letters] == ids
    assert [(letter.key, letter.value) for letter in letters] == [
        (b"INC-1", b"not json"),
        (None, b"{}"),
        (b"INC-2", b"\xff"),
    ]
    assert [letter.id for letter in await _letters(settings, reason="malformed")] == [ids[0], ids[2]]
    assert [letter.id for letter in await _letters(settings, since_ms=letters[2].dead_at_ms)][-1] == ids[2]
    assert await _letters(settings, since_ms=letters[2].dead_at_ms + 1) == []


async def test_a_letter_is_found_by_its_id(settings, topics):
    ids = await _bury(settings, *[(Reason.MALFORMED, b"INC-%d" % number, b"x") for number in range(5)])

    found = await find_dead_letters(settings, [ids[3], ids[0]])
    assert [(letter.id, letter.key) for letter in found] == [(ids[3], b"INC-3"), (ids[0], b"INC-0")]


@pytest.mark.parametrize(
    ("identity", "message"),
    [("0:5", "0:5: not there; partition 0 holds 0:0 to 0:0"), ("1:0", "1:0: the topic has 1 partition")],
)
async def test_an_id_that_is_not_there_is_told_with_what_is(settings, topics, identity, message):
    await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"))

    with pytest.raises(DeadLetterError, match=message):
        await find_dead_letters(settings, [identity])


async def test_a_strangers_record_does_not_hide_the_letters_behind_it(settings, topics):
    async with producer_client(settings.kafka) as producer:
        await producer.send_and_wait(topics.name(DEAD_LETTERS), b"who am I")
    ids = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"))

    stranger, letter = await _letters(settings)
    assert isinstance(stranger, DeadLetterError)
    assert "not written by slawatch" in str(stranger)
    assert letter.id == ids[0]


async def test_a_replay_sends_the_record_as_it_was_to_the_partition_of_its_key(settings, topics):
    # It came from partition 1; the key decides again where it belongs.
    key = next(b"INC-%d" % number for number in range(100) if partition_of(b"INC-%d" % number, 3) != 1)
    (identity,) = await _bury(settings, (Reason.WRONG_PARTITION, key, b"{}"), headers=[("traceparent", b"00-1")])

    (outcome,) = await replay(settings, await find_dead_letters(settings, [identity]))

    (record,) = await _tickets(settings)
    assert (record.key, record.value, record.partition) == (key, b"{}", partition_of(key, 3))
    assert record.headers == (
        ("traceparent", b"00-1"),
        ("slawatch-replayed-from", b"0:0"),
        ("slawatch-replays", b"1"),
    )
    assert outcome.to == f"{topics.name(TICKETS)}/{record.partition}@{record.offset}"


async def test_a_record_without_a_key_is_replayed_to_the_partition_it_came_from(settings, topics):
    (identity,) = await _bury(settings, (Reason.KEY_MISMATCH, None, b"{}"))

    await replay(settings, await find_dead_letters(settings, [identity]))
    (record,) = await _tickets(settings)
    assert (record.key, record.partition) == (None, 1)


async def test_a_dry_run_sends_nothing(settings, topics):
    ids = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"))

    (outcome,) = await replay(settings, await find_dead_letters(settings, ids), dry_run=True)
    assert (outcome.to, outcome.refused) == (None, None)
    assert await _tickets(settings) == []


async def test_a_record_that_fails_each_time_is_replayed_three_times_and_not_again(settings, topics):
    (identity,) = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"))
    for replays in range(1, 4):
        (outcome,) = await replay(settings, await find_dead_letters(settings, [identity]))
        assert outcome.refused is None
        record = (await _tickets(settings))[-1]
        assert replays_of(record.headers) == replays
        # The agent refuses it again.
        (identity,) = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"), headers=record.headers)

    letters = await find_dead_letters(settings, [identity])
    (refused,) = await replay(settings, letters)
    assert refused.to is None
    assert "3 times" in refused.refused
    assert len(await _tickets(settings)) == 3

    (forced,) = await replay(settings, letters, force=True)
    assert forced.to is not None
    assert replays_of((await _tickets(settings))[-1].headers) == 4


async def test_of_a_record_whose_replay_failed_again_only_the_newest_letter_is_replayed(settings, topics):
    first, other = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"x"), (Reason.MALFORMED, b"INC-2", b"y"))
    await replay(settings, await find_dead_letters(settings, [first]))
    (record,) = await _tickets(settings)
    (again,) = await _bury(settings, (Reason.UNKNOWN_TYPE, b"INC-1", b"x"), headers=record.headers)

    assert [letter.id for letter in await replayable(settings, "malformed")] == [other]
    assert [letter.id for letter in await replayable(settings, "unknown-type")] == [again]


async def test_a_letter_can_not_be_replayed_to_a_topic_that_is_no_input(settings, topics):
    (identity,) = await _bury(settings, (Reason.MALFORMED, b"acme", b"x"), topic=CONTRACTS)

    (outcome,) = await replay(settings, await find_dead_letters(settings, [identity]), force=True)
    assert "is no input topic" in outcome.refused
    contracts = [record async for record in read_to_end(settings.kafka, [topics.name(CONTRACTS)])]
    assert contracts == []


async def test_the_largest_record_fits_with_its_headers(settings, topics):
    value = b"x" * 1_000_000
    async with producer_client(settings.kafka, max_request_size=2_000_000) as producer:
        sent = await producer.send_and_wait(topics.name(TICKETS), value, key=b"INC-1")
        await producer.send_and_wait(
            topics.name(DEAD_LETTERS),
            value,
            key=b"INC-1",
            headers=dead_letter_headers(
                Reason.OVERSIZED,
                "y" * 60_000,
                topic=sent.topic,
                partition=sent.partition,
                offset=sent.offset,
                timestamp_ms=sent.timestamp,
            ),
        )

    (letter,) = await _letters(settings)
    assert letter.value == value
    (outcome,) = await replay(settings, [letter])
    assert outcome.to is not None


@pytest.fixture
def command_line(settings, topics, monkeypatch):
    environment = {
        "KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "TOPICS__PREFIX": settings.topics.prefix,
        "TOPICS__PARTITIONS": str(settings.topics.partitions),
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"SLAWATCH_{name}", value)
    monkeypatch.setenv("COLUMNS", "250")

    async def run(*arguments: str):
        # Commands start a loop of their own.
        return await asyncio.to_thread(CliRunner().invoke, app, ["dead-letters", *arguments])

    return run


async def test_the_command_line_lists_the_newest(settings, command_line):
    ids = await _bury(
        settings, *[(Reason.MALFORMED, b"INC-%d" % n, b"x") for n in range(4)], (Reason.TOO_LATE, b"K", b"")
    )

    listed = await command_line("list", "--limit", "2", "--since", "1h")
    assert listed.exit_code == 0
    assert "5 dead letters, the newest 2 shown" in listed.output
    assert ids[4] in listed.output
    assert "INC-3" in listed.output
    assert "INC-2" not in listed.output

    assert "1 dead letters" in (await command_line("list", "--reason", "too-late")).output
    assert "0 dead letters" in (await command_line("list", "--since", "2099-01-01T00:00:00Z")).output
    for wrong in (["--reason", "too_late"], ["--since", "yesterday"]):
        assert (await command_line("list", *wrong)).exit_code == 2


async def test_the_command_line_shows_a_letter_whole_and_no_control_characters(settings, command_line):
    (identity,) = await _bury(settings, (Reason.MALFORMED, b"INC-1", b'{"evil": "\x1b[31m"}\xff'))

    shown = (await command_line("show", identity)).output
    assert "reason     malformed" in shown
    assert f"{settings.topics.prefix}sla.tickets/1@100" in shown
    assert "\x1b" not in shown
    assert r"\x1b[31m" in shown
    assert (await command_line("show", "17")).exit_code == 2
    assert isinstance((await command_line("show", "0:99")).exception, DeadLetterError)


async def test_the_command_line_replays_by_id_and_by_reason(settings, command_line):
    ids = await _bury(
        settings,
        (Reason.MALFORMED, b"INC-1", b"1"),
        (Reason.UNKNOWN_VERSION, b"INC-2", b"2"),
        (Reason.UNKNOWN_VERSION, b"INC-3", b"3"),
    )

    dry = await command_line("replay", ids[0], "--dry-run")
    assert (dry.exit_code, "1 would be sent, 0 refused" in dry.output) == (0, True)
    one = await command_line("replay", ids[0])
    assert f"{ids[0]}  sent to {settings.topics.prefix}sla.tickets/" in one.output
    of_reason = await command_line("replay", "--reason", "unknown-version")
    assert "2 sent, 0 refused" in of_reason.output
    assert sorted(record.value for record in await _tickets(settings)) == [b"1", b"2", b"3"]
    for wrong in ([], [ids[0], "--reason", "malformed"], ["0-1"]):
        assert (await command_line("replay", *wrong)).exit_code == 2


async def test_the_command_line_fails_when_a_replay_was_refused(settings, command_line):
    (identity,) = await _bury(settings, (Reason.MALFORMED, b"INC-1", b"1"), headers=[("slawatch-replays", b"3")])

    refused = await command_line("replay", identity)
    assert refused.exit_code == 1
    assert "0 sent, 1 refused" in refused.output
    assert (await command_line("replay", identity, "--force")).exit_code == 0
