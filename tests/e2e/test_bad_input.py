"""What a publisher, a contract's author or an operator does wrong: refused with a reason, and nobody else suffers."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiokafka.structs import RecordMetadata

from config.settings import load_settings
from sla.units import DAY_MS, MINUTE_MS
from streams.broker import Broker
from streams.dead_letters import KEPT_OF_A_CUT_BYTES, DeadLetter
from streams.loopback_ports import reserve_port
from streams.system_clock import now_ms
from streams.topics import DEAD_LETTERS, TICKETS, Topics
from tests.support.cluster import ROOT, Worker
from tests.support.desk import Desk, Sent, Upstream, event, log_lines, metric, slawatch

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OWN_FAULT_EXIT_CODE = 70

HEADERS = (("trace", b"4711"), ("tags", None))
"""Of a bad record: Kafka allows a header without a value."""


@dataclass
class Publisher:
    """Publishes good and bad events in turn and remembers what must become of the bad ones."""

    desk: Desk
    partition: int
    good: list[str] = field(default_factory=list)
    expected: dict[tuple[int, int], tuple[str, Sent]] = field(default_factory=dict)

    def good_one(self) -> list[Sent]:
        """Return the events of a ticket that is created and resolved."""
        ticket = self.desk.ticket_on(self.partition, f"GOOD-{len(self.good)}")
        self.good.append(ticket)
        at_ms = now_ms()
        return [event(ticket, "created", at_ms - 1_000, priority="P2"), event(ticket, "resolved", at_ms)]

    def send(self, bad: list[tuple[str, Sent]]) -> None:
        """Publish bad events, each between the two events of a good ticket."""
        records: list[Sent] = []
        reasons: list[tuple[str, Sent] | None] = []
        for reason, record in bad:
            first, last = self.good_one()
            records += [first, record, last]
            reasons += [None, (reason, record), None]
        for place, reason in zip(self.desk.publish(*records), reasons, strict=True):
            if reason is not None:
                self.expected[place.partition, place.offset] = reason


def wire(ticket: str, **changes: object) -> bytes:
    """Return an event as JSON, with fields changed, or left out where the value is None."""
    document = {
        "version": 1,
        "ticket": ticket,
        "event": "created",
        "at": now_ms(),
        "fields": {"priority": "P2"},
    } | changes
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def bad_events(desk: Desk, partition: int) -> list[tuple[str, Sent]]:
    """Return every kind of bad event, with the reason it must be refused for; all of them for one partition."""
    ticket = desk.ticket_on(partition, "BAD")
    key = ticket.encode()

    def keyed(value: bytes | None) -> Sent:
        return Sent(value, key)

    elsewhere = desk.ticket_on(1 - partition, "STRAY")
    return [
        ("malformed", keyed(b'{"version": 1, "ticket": ')),
        ("malformed", keyed(b"")),
        ("malformed", keyed(None)),
        ("malformed", keyed(b"\xff\xfe\x00")),
        ("malformed", keyed(b"[" * 50_000)),
        ("malformed", keyed(wire(ticket, at="yesterday"))),
        ("malformed", keyed(wire(ticket, at="2026-03-02T09:15:27"))),
        ("malformed", keyed(wire(ticket, event=None))),
        ("malformed", keyed(wire(ticket, fields={"priority": ["P1"]}))),
        ("oversized", keyed(wire(ticket, note="x" * 70_000))),
        ("unknown-version", keyed(wire(ticket, version=2))),
        ("unknown-type", keyed(wire(ticket, type="probe"))),
        ("key-mismatch", keyed(wire(f"{ticket}-other"))),
        ("key-mismatch", Sent(wire(ticket), None, partition)),
        ("wrong-partition", Sent(wire(elsewhere), elsewhere.encode(), partition)),
        ("too-late", keyed(wire(ticket, at=now_ms() - 40 * DAY_MS))),
        ("from-the-future", keyed(wire(ticket, at=now_ms() + 10 * MINUTE_MS))),
    ]


@pytest.fixture(scope="module")
def desk(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("bad")
    with Desk(kafka.bootstrap, f"{folder.name}-{now_ms()}-", folder) as desk:
        yield desk


@pytest.fixture(scope="module")
def worker(desk: Desk) -> Iterator[Worker]:
    worker = desk.start_worker()
    desk.wait_ready(worker)
    yield worker
    assert worker.stop() == 0


@pytest.fixture(scope="module")
def publisher(desk: Desk, worker: Worker) -> Publisher:
    """Everything bad is published, and processed."""
    publisher = Publisher(desk, 0)
    publisher.send(
        [(reason, Sent(bad.value, bad.key, bad.partition, headers=HEADERS)) for reason, bad in bad_events(desk, 0)]
    )
    desk.wait_processed()
    return publisher


def of_publisher(desk: Desk, publisher: Publisher) -> list[DeadLetter]:
    return [letter for letter in desk.dead_letters() if (letter.partition, letter.offset) in publisher.expected]


def test_every_bad_event_is_a_dead_letter_exactly_once_as_it_was_received(desk: Desk, publisher: Publisher) -> None:
    letters = of_publisher(desk, publisher)
    assert len(letters) == len(publisher.expected)
    assert len(desk.outputs(DEAD_LETTERS)) == len(desk.dead_letters()), "one was sent twice"
    found = {(letter.partition, letter.offset): letter for letter in letters}
    assert {place: letter.reason for place, letter in found.items()} == {
        place: reason for place, (reason, _) in publisher.expected.items()
    }
    for place, letter in found.items():
        sent = publisher.expected[place][1]
        assert letter.topic == desk.topics.name(TICKETS)
        assert (letter.key, letter.value, letter.headers) == (sent.key, sent.value, HEADERS)
        assert letter.detail
        assert letter.replays == 0


def test_the_good_events_around_them_are_all_processed(desk: Desk, publisher: Publisher, worker: Worker) -> None:
    assert {ticket: desk.outcomes(ticket) for ticket in publisher.good} == {
        ticket: ["met"] for ticket in publisher.good
    }
    reasons = Counter(reason for reason, _ in publisher.expected.values())
    counted = {reason: metric(worker, "slawatch_dead_letters_total", reason=reason) for reason in reasons}
    assert all(counted[reason] >= count for reason, count in reasons.items())
    assert not [line for line in log_lines(worker) if line["level"] == "critical"]


def test_details_tell_the_publisher_what_to_change(desk: Desk, publisher: Publisher) -> None:
    details = {letter.reason: letter.detail for letter in of_publisher(desk, publisher)}
    assert "partitioner=murmur2_random" in details["wrong-partition"]
    assert "the producer must set the key to the ticket id" in details["key-mismatch"]
    assert "this release reads version 1" in details["unknown-version"]
    assert "expected one of ticket, feedback, heartbeat" in details["unknown-type"]
    assert "an event may have 65536" in details["oversized"]
    assert "closed tickets are kept 35 days" in details["too-late"]


def test_dead_letters_are_listed_with_reason_and_origin(desk: Desk, publisher: Publisher) -> None:
    listed = desk.ask("dead-letters", "list")
    assert listed.returncode == 0, listed.stderr
    text = "".join(listed.stdout.split())  # a table folds what is too wide
    for letter in of_publisher(desk, publisher):
        assert letter.reason in text
        assert f"{letter.topic}/{letter.partition}@{letter.offset}" in text
    some = desk.ask("dead-letters", "list", "--reason", "oversized")
    assert "1 dead letters" in some.stdout
    assert "malformed" not in some.stdout
    wrong = desk.ask("dead-letters", "list", "--reason", "oversize")
    assert wrong.returncode == 2
    assert "none of malformed" in " ".join(wrong.stderr.split())


def test_one_dead_letter_is_shown_whole(desk: Desk, publisher: Publisher) -> None:
    letter = next(letter for letter in of_publisher(desk, publisher) if letter.reason == "key-mismatch")
    shown = desk.ask("dead-letters", "show", letter.id)
    assert shown.returncode == 0, shown.stderr
    assert letter.value is not None
    for text in (letter.reason, letter.detail, f"@{letter.offset}", "trace: 4711", letter.value.decode()):
        assert text in shown.stdout
    absent = desk.ask("dead-letters", "show", "0:999999")
    assert absent.returncode == 1
    assert "not there; partition 0 holds 0:0 to" in absent.stderr


def test_a_replayed_dead_letter_is_processed_or_dead_again_with_the_count_of_its_replays(
    desk: Desk, publisher: Publisher
) -> None:
    letters = of_publisher(desk, publisher)
    stray = next(letter for letter in letters if letter.reason == "wrong-partition")
    assert stray.key is not None
    ticket = stray.key.decode()
    dry = desk.ask("dead-letters", "replay", "--dry-run", stray.id)
    assert (dry.returncode, "1 would be sent" in dry.stdout) == (0, True), dry.stderr
    replayed = desk.ask("dead-letters", "replay", stray.id)
    assert (replayed.returncode, "1 sent, 0 refused" in replayed.stdout) == (0, True), replayed.stderr
    desk.tell(ticket, "resolved")
    desk.wait_until("its ticket is known", lambda: desk.outcomes(ticket) == ["met"])

    again = desk.ask("dead-letters", "replay", "--reason", "unknown-type")
    assert (again.returncode, "1 sent, 0 refused" in again.stdout) == (0, True), again.stderr
    desk.wait_until(
        "it is dead again",
        lambda: [letter.replays for letter in desk.dead_letters() if letter.reason == "unknown-type"] == [0, 1],
    )
    first, second = (letter for letter in desk.dead_letters() if letter.reason == "unknown-type")
    assert (second.key, second.value, second.headers) == (first.key, first.value, first.headers)
    assert second.offset > first.offset


@pytest.mark.parametrize("size", [900_000, 13_000_000])
def test_a_record_of_megabytes_stops_nobody(desk: Desk, worker: Worker, size: int) -> None:
    """Kafka's limit is about what is compressed; a publisher may send far more in one record."""
    ticket = desk.ticket_on(1, f"HUGE-{size}")
    value = wire(ticket, note="x" * size)
    options = {"compression_type": "gzip", "max_request_size": 20_000_000, "max_batch_size": 20_000_000}
    with Upstream(desk, **options) as upstream:
        place: RecordMetadata = upstream.send(Sent(value, ticket.encode())).result(30)
    desk.tell(ticket, "created", priority="P2")
    desk.tell(ticket, "resolved")
    desk.wait_until("the ticket is judged", lambda: desk.outcomes(ticket) == ["met"])
    letters = [letter for letter in desk.dead_letters() if (letter.partition, letter.offset) == (1, place.offset)]
    assert [letter.reason for letter in letters] == ["oversized"]
    assert worker.process.is_running
    [letter] = letters
    if size < 1_000_000:
        assert (letter.value, letter.cut_from_bytes) == (value, None)
        return
    assert letter.cut_from_bytes == len(value) + len(ticket.encode())
    assert letter.value is not None
    assert value.startswith(letter.value)
    assert len(letter.value) == KEPT_OF_A_CUT_BYTES
    refused = desk.ask("dead-letters", "replay", letter.id)
    assert refused.returncode == 1
    assert f"it had {letter.cut_from_bytes} bytes; its publisher has to send it again" in refused.stdout


def test_a_worker_killed_right_after_a_bad_event_starts_again_and_tells_it_once(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    """The outputs of its last steps stand in its state, whatever a publisher has put into them."""
    with Desk(kafka.bootstrap, prefix, tmp_path, SLAWATCH_ENGINE__PROGRESS_INTERVAL_SECONDS="600") as desk:
        publisher = Publisher(desk, 0)
        first = desk.start_worker()
        desk.wait_ready(first)
        publisher.send([("malformed", Sent(b"\xff", b"\xfe\x00", 0, headers=HEADERS))])
        desk.wait_processed()
        first.kill()
        second = desk.start_worker()
        desk.wait_ready(second)
        desk.wait_until("its last outputs are told again", lambda: len(desk.outputs(DEAD_LETTERS)) == 2)
        [letter] = desk.dead_letters()
        assert ((letter.partition, letter.offset) in publisher.expected, letter.key) == (True, b"\xfe\x00")
        listed = desk.ask("dead-letters", "list")
        assert "1 dead letters" in listed.stdout
        assert desk.outcomes(publisher.good[0])[-1] == "met"
        assert second.stop() == 0


def test_a_worker_stops_when_most_records_fail_in_its_own_release_and_goes_on_where_it_stopped(
    kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    with Desk(kafka.bootstrap, prefix, tmp_path) as desk:
        publisher = Publisher(desk, 0)
        tickets = [desk.ticket_on(0, f"NEW-{number}") for number in range(800)]
        desk.publish(*publisher.good_one())
        newer = desk.publish(*(Sent(wire(ticket, version=2), ticket.encode()) for ticket in tickets))
        desk.publish(*publisher.good_one())
        positions = []
        for _ in range(2):
            worker = desk.start_worker()
            worker.may_end = True
            desk.wait_until("it has stopped", lambda worker=worker: not worker.process.is_running)
            assert worker.process.exit_code == OWN_FAULT_EXIT_CODE
            [end] = [line for line in log_lines(worker) if line["level"] == "critical"]
            assert "have a version it does not read; nothing was skipped: upgrade and start again" in end["reason"]
            position = desk.positions().get(0)
            positions.append(-1 if position is None else position.offset)
            assert not [letter for letter in desk.dead_letters() if letter.offset > positions[-1]]
            assert not desk.outcomes(publisher.good[1])
        assert positions[0] == positions[1], "a restart has skipped something"

        # What an operator does who knows that these are lost on this release.
        worker = desk.start_worker(SLAWATCH_ENGINE__DEAD_LETTER_LIMIT_RATIO="1")
        desk.wait_ready(worker)
        desk.wait_processed()
        desk.wait_until("both are judged", lambda: all(desk.outcomes(ticket) == ["met"] for ticket in publisher.good))
        letters = desk.dead_letters()
        assert [letter.offset for letter in letters] == [place.offset for place in newer]
        assert {letter.reason for letter in letters} == {"unknown-version"}
        assert worker.stop() == 0


# --- an author of contracts, an operator ---------------------------------------------------------------------------


def test_a_contract_with_five_faults_gets_five_lines() -> None:
    folder = ROOT / "tests" / "golden" / "contracts" / "bad" / "five-faults"
    checked = slawatch("contracts", "check", ".", folder=folder)
    assert checked.returncode == 2
    assert checked.stdout == (folder / "faults.txt").read_text(encoding="utf-8")
    assert len(checked.stdout.splitlines()) == 5
    assert checked.stderr == "5 faults\n"


def test_a_worker_without_a_broker_says_where_it_looked() -> None:
    port = reserve_port()
    try:
        environment = {"SLAWATCH_KAFKA__BOOTSTRAP": f"127.0.0.1:{port.port}", "SLAWATCH_WEB__PORT": "0"}
        ended = slawatch("worker", environment=environment)
    finally:
        port.release()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("no Kafka broker: 127.0.0.1")
    assert f"SLAWATCH_KAFKA__BOOTSTRAP=127.0.0.1:{port.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_worker_without_topics_names_all_of_them_and_the_command(kafka: Broker, prefix: str) -> None:
    environment = {
        "SLAWATCH_KAFKA__BOOTSTRAP": kafka.bootstrap,
        "SLAWATCH_TOPICS__PREFIX": prefix,
        "SLAWATCH_WEB__PORT": "0",
    }
    ended = slawatch("worker", environment=environment)
    assert ended.returncode == 1
    lines = ended.stderr.splitlines()
    assert f"{prefix}sla.tickets: is missing" in lines
    assert [line for line in lines if line.endswith(": is missing")] == [
        f"{prefix}{topic.logical}: is missing" for topic in Topics(load_settings({})).all
    ]
    assert lines[-1] == "bring them in line: slawatch topics apply"


def test_a_worker_whose_topics_have_other_partitions_does_not_start(desk: Desk) -> None:
    ended = desk.ask("worker", SLAWATCH_TOPICS__PARTITIONS="3", SLAWATCH_WEB__PORT="0")
    assert ended.returncode == 1
    name = desk.topics.name(TICKETS)
    assert f"{name}: has 2 partitions, the settings want 3" in ended.stderr
    assert "set SLAWATCH_TOPICS__PARTITIONS=2" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_wrong_settings_are_told_all_at_once() -> None:
    environment = {
        "SLAWATCH_KAFKA__SESION_TIMEOUT_SECONDS": "10",
        "SLAWATCH_ENGINE__CLOCK": "walls",
        "SLAWATCH_TOPICS__PARTITIONS": "many",
    }
    ended = slawatch("worker", environment=environment)
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 3
    assert "SLAWATCH_KAFKA__SESSION_TIMEOUT_SECONDS?" in lines[0]
    assert any(line.startswith("SLAWATCH_ENGINE__CLOCK: ") for line in lines)
    assert any(line.startswith("SLAWATCH_TOPICS__PARTITIONS: ") for line in lines)


def test_a_port_that_is_taken_is_named(desk: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = desk.ask("worker", SLAWATCH_WEB__PORT=str(port))
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"can't listen on 127.0.0.1:{port}")
    assert line.endswith("set SLAWATCH_WEB__PORT (0 takes a free port) or SLAWATCH_WEB__HOST")


def test_an_alertmanager_that_is_no_url_is_named(desk: Desk) -> None:
    urls = '["alertmanager:9093", "http://a/api/v2/alerts"]'
    ended = desk.ask("worker", SLAWATCH_ALERTMANAGER__URLS=urls, SLAWATCH_WEB__PORT="0")
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("alertmanager.urls: ") for line in lines)
