"""The life of a contract on a real Kafka: planned against live tickets, shown, revised and terminated."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from agents.register_view import compile_register
from cli.main import app
from config.settings import Settings
from sla.engine import TicketEngine
from streams.broker import Broker
from streams.register_topics import read_register
from streams.state_rows import POSITION_KEY, Position, encode_position
from streams.topic_admin import apply
from streams.topics import TICKETS, TICKETS_STATE, Topics
from tests.support.domain import at, event

pytestmark = pytest.mark.broker

CALENDAR = """kind: Calendar
id: office
timezone: Europe/Berlin
hours: {mon: [09:00-17:00], tue: [09:00-17:00], wed: [09:00-17:00], thu: [09:00-17:00], fri: [09:00-17:00]}
"""
HEAD = """kind: Contract
id: desk
type: sla
level: corporate
provider: it-services
owner: slm@it.example
revisions:
"""


def revision(number: int, within: str, since: str, status: str = "signed") -> str:
    return f"""  - revision: {number}
    status: {status}
    effective_from: {since}
    calendar: office
    targets:
      - {{id: resolution, start: {{event: created}}, stop: {{event: resolved}}, pause: {{waiting_for: customer}}, within: {within}}}
"""


FIRST = revision(1, "8bh", "2026-01-01T00:00:00Z")


@pytest.fixture
def settings(kafka: Broker, prefix: str) -> Settings:
    return Settings(kafka={"bootstrap": kafka.bootstrap}, topics={"prefix": prefix, "partitions": 1})


@pytest.fixture
async def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    await apply(settings)
    monkeypatch.setenv("SLAWATCH_KAFKA__BOOTSTRAP", settings.kafka.bootstrap)
    monkeypatch.setenv("SLAWATCH_TOPICS__PREFIX", settings.topics.prefix)
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "1")
    monkeypatch.setenv("COLUMNS", "160")

    async def contracts(*arguments: object) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["contracts", *map(str, arguments)])

    return contracts


def write(folder: Path, *revisions: str) -> Path:
    (folder / "office.yaml").write_text(CALENDAR, encoding="utf-8")
    (folder / "desk.yaml").write_text(HEAD + "".join(revisions), encoding="utf-8")
    return folder


async def tickets_are_open(settings: Settings) -> None:
    """Write what a worker would have written: one running ticket, one waiting, one resolved in time."""
    engine = TicketEngine(compile_register(await read_register(settings)).register, 1)
    engine.apply("INC-1", event("created", "mon 09:00"))
    engine.apply("INC-2", event("created", "mon 10:00"))
    engine.apply("INC-2", event("updated", "mon 11:00", waiting_for="customer"))
    engine.apply("INC-3", event("created", "mon 09:00"))
    engine.apply("INC-3", event("resolved", "mon 16:00"))
    engine.advance_to(at("mon 16:30"))
    rows: dict[bytes, bytes | None] = {
        **engine.finish().rows,
        POSITION_KEY: encode_position(Position(now_ms=at("mon 16:30"), register_version=1)),
    }
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        for key, row in rows.items():
            await producer.send_and_wait(Topics(settings).name(TICKETS_STATE), row, key, partition=0)
    finally:
        await producer.stop()


async def test_a_contract_from_plan_to_termination(run: Any, settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path, FIRST)
    planned = await run("plan", folder, "--detailed-exitcode")
    assert planned.exit_code == 3, planned.output
    assert "contract desk: new" in planned.output
    assert "resolution: new: 8bh, every ticket" in planned.output
    assert (await run("apply", folder)).exit_code == 0
    assert (await run("plan", folder, "--detailed-exitcode")).exit_code == 0

    await tickets_are_open(settings)
    # In force since before the tickets began: as if the revision had been forgotten.
    write(tmp_path, FIRST, revision(2, "4bh", "2026-02-01T00:00:00Z"))
    planned = await run("plan", folder, "--json")
    assert planned.exit_code == 0, planned.output
    document = json.loads(planned.stdout)
    assert document["documents"] == [
        {
            "kind": "Contract",
            "id": "desk",
            "change": "changed",
            "changes": ["revision 2: signed, from 2026-02-01T00:00:00Z", "revision 2: resolution: within 8bh -> 4bh"],
        }
    ]
    assert "takes effect in the past" in document["warnings"][0]
    assert (document["tickets"], document["open_clocks"], document["verdicts_corrected"]) == (3, 2, 1)
    first, second = document["moved"]
    assert (first["ticket"], first["effect"], first["shift_seconds"]) == ("INC-1", "breaches", -4 * 3600)
    assert (first["before"]["deadline"], first["after"]["deadline"]) == (
        "2026-03-02T16:00:00.000Z",
        "2026-03-02T12:00:00.000Z",
    )
    assert (second["ticket"], second["effect"], second["before"]["paused"]) == ("INC-2", "earlier", True)
    table = await run("plan", folder, "--limit", 1)
    assert "2 of 2 open clocks would change: 1 breached by the change, 1 due earlier" in table.output
    assert "and 1 more" in table.output

    # A revision of the future moves no clock that runs.
    write(tmp_path, FIRST, revision(2, "4bh", "2126-01-01T00:00:00Z"))
    assert "0 of 2 open clocks would change" in (await run("plan", folder)).output
    assert (await run("apply", folder)).exit_code == 0

    shown = await run("show", "desk", "--at", "2126-01-02T00:00:00Z", "--json")
    assert json.loads(shown.stdout)["in_force"]["revision"] == 2
    assert "revision 1 since 2026-01-01T00:00:00Z" in (await run("show", "desk", "--at", "2026-03-01T00:00:00Z")).output
    history = json.loads((await run("history", "desk", "--json")).stdout)["revisions"]
    assert [(entry["revision"], entry["status"]) for entry in history] == [(1, "in force"), (2, "signed")]
    assert history[1]["changes"] == ["resolution: within 8bh -> 4bh"]

    refused = await run("terminate", "desk", "--at", "2026-06-01T00:00:00Z", "--reason", "moved away")
    assert refused.exit_code == 2
    assert "revision 2 is signed and takes effect at 2126" in refused.output
    end = ["terminate", "desk", "--at", "2127-01-01T00:00:00Z", "--reason", "moved away", "--by", "slm"]
    end += ["--on-end", "terminate"]
    ended = await run(*end)
    assert ended.exit_code == 0, ended.output
    assert "open clocks end with it as terminated" in ended.output
    assert "  - revision: 3\n    status: terminated\n" in ended.output
    assert "    effective_from: 2127-01-01T00:00:00Z\n    on_end: terminate\n" in ended.output
    before = await read_register(settings)
    assert "already; nothing to do" in (await run(*end)).output
    assert await read_register(settings) == before
    history = json.loads((await run("history", "desk", "--json")).stdout)["revisions"]
    assert (history[-1]["status"], history[-1]["reason"], history[-1]["by"]) == ("announced", "moved away", "slm")
    assert history[1]["until"] == "2127-01-01T00:00:00.000Z"


async def test_what_is_not_legal_is_told_and_changes_nothing(run: Any, settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path, FIRST)
    await run("apply", folder)
    past = ["terminate", "desk", "--at", "2026-03-01T00:00:00Z", "--reason", "gone"]
    refused = await run(*past)
    assert refused.exit_code == 2
    assert "is in the past" in refused.output
    assert (await run(*past, "--force")).exit_code == 0
    before = await read_register(settings)

    for command in ("apply", "plan"):
        refused = await run(command, folder)
        assert refused.exit_code == 2
        (line,) = refused.output.splitlines()
        assert "desk.yaml: desk: revision 2: has terminated the contract at 2026-03-01T00:00:00Z" in line
    unknown = await run("show", "dsk")
    assert (unknown.exit_code, unknown.output) == (2, "no contract 'dsk' on the register (desk?)\n")
    assert await read_register(settings) == before


async def test_what_the_topic_holds_says_what_would_have_been_attained(
    run: Any, settings: Settings, tmp_path: Path
) -> None:
    folder = write(tmp_path, revision(1, "4bh", "2030-01-01T00:00:00Z", "draft"))
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap)
    await producer.start()
    try:
        # Not in order: INC-2 is told before INC-1. Resolved after three and after five hours of business time.
        for ticket, kind, when in (
            ("INC-2", "created", "mon 09:00"),
            ("INC-2", "resolved", "mon 14:00"),
            ("INC-1", "created", "fri 16:00"),
            ("INC-1", "resolved", "mon 11:00 +1w"),
        ):
            value = {"version": 1, "ticket": ticket, "event": kind, "at": at(when)}
            await producer.send_and_wait(Topics(settings).name(TICKETS), json.dumps(value).encode(), ticket.encode())
    finally:
        await producer.stop()

    result = await run("feasible", folder / "desk.yaml", "--events", "topic", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    [target] = document["historical"]
    assert (target["outcomes"], target["attained"]) == ({"breached": 1, "met": 1}, 0.5)
    assert document["as_of"] == "2026-03-09T10:00:00.000Z"
