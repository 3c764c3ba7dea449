"""What a worker answers about a ticket, its own or another worker's, and about its register."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from jsonschema import Draft202012Validator
from pydantic import SecretStr

from agents.api import Api
from agents.openapi import openapi_document
from agents.peers import Peers
from config.settings import WebSettings
from export.health import Health
from export.web import create_web
from sla.buckets import Rollup
from sla.register import Register
from streams.rollups import encode_rollup
from tests.support.application import NOW_MS, Bench
from tests.support.domain import at, register, target
from tests.support.fake_kafka import Record
from tests.support.records import alert, alert_record, event_record, heartbeat_record, made_by, ticket_on

REGISTER = register(
    target("resolution", within="8bh", warn=("0.5",), attain="0.9"),
    target("repair", contract="garage", applies_to={"service": "cars"}, until="fri 09:00"),
    target("inspection", contract="garage", metric="inspection", within="2bd eod", applies_to={"service": "cars"}),
)
TOKEN = "a-token"
MINE, OTHERS = ticket_on(0), ticket_on(1)


class Group:
    """Two workers of a group; partition 0 is the first one's, partition 1 the second one's."""

    def __init__(self, first: str, second: str) -> None:
        self.first, self.second = first, second


def serve(bench: Bench, distribution: Mapping[str, Any], own: list[str], token: str | None = TOKEN) -> TestServer:
    peers = Peers(lambda: distribution, lambda: own[0] if own else "http://127.0.0.1:1", token)
    settings = WebSettings(token=SecretStr(TOKEN))
    return TestServer(create_web(bench.metrics, Health(), Api(bench, peers=peers).routes(), settings=settings))  # type: ignore[arg-type]


def bench_with(partition: int, ticket: str, of: Register = REGISTER) -> Bench:
    bench = Bench(of)
    runner = bench.own_tickets(partition)
    runner.step(
        event_record(ticket, "created", "mon 09:00", team="desk"),
        event_record(ticket, "updated", "mon 10:00", waiting_for="customer"),
        heartbeat_record("mon 12:00"),
    )
    return bench


@asynccontextmanager
async def group(second_token: str | None = TOKEN) -> AsyncIterator[tuple[Group, dict[str, Any]]]:
    distribution: dict[str, Any] = {}
    first_url: list[str] = []
    second_url: list[str] = []
    first = serve(bench_with(0, MINE), distribution, first_url, second_token)
    second = serve(bench_with(1, OTHERS), distribution, second_url)
    async with first, second:
        first_url.append(str(first.make_url("")))
        second_url.append(str(second.make_url("")))
        distribution[first_url[0]] = {"sla.tickets": [0]}
        distribution[second_url[0]] = {"sla.tickets": [1]}
        yield Group(first_url[0].rstrip("/"), second_url[0].rstrip("/")), distribution


async def ask(url: str, path: str, **headers: str) -> tuple[int, Any]:
    async with (
        ClientSession(headers={"Authorization": f"Bearer {TOKEN}", **headers}) as session,
        session.get(url + path) as response,
    ):
        return response.status, json.loads(await response.read())


async def test_a_ticket_is_explained_by_its_owner() -> None:
    async with group() as (workers, _):
        status, found = await ask(workers.first, f"/v1/tickets/{MINE}")
    assert status == 200
    assert (found["ticket"], found["at"], found["events"]) == (MINE, "2026-03-02T11:00:00.000Z", 2)
    [clock] = found["clocks"]
    assert (clock["phase"], clock["consumed_seconds"]) == ("paused", 3600.0)
    assert [interval["why"] for interval in clock["timeline"]] == ["counted", "paused"]


async def test_any_worker_passes_the_question_on_to_the_owner() -> None:
    async with group() as (workers, _):
        for path in (f"/v1/tickets/{OTHERS}", f"/v1/tickets/{OTHERS}?at=2026-03-02T08:30:00Z"):
            assert await ask(workers.first, path) == await ask(workers.second, path)
        status, found = await ask(workers.first, f"/v1/tickets/{OTHERS}?at=2026-03-02T08:30:00Z")
    assert status == 200
    assert (found["at"], found["events"]) == ("2026-03-02T08:30:00.000Z", 1)


async def test_a_ticket_id_may_hold_anything() -> None:
    odd = next(f"A/B {n}?&#" for n in range(100) if ticket_partition(f"A/B {n}?&#") == 1)
    distribution: dict[str, Any] = {}
    own: list[str] = []
    first = serve(Bench(REGISTER), distribution, own)
    second = serve(bench_with(1, odd), distribution, ["http://127.0.0.1:1"])
    async with first, second:
        distribution[str(second.make_url(""))] = {"sla.tickets": [1]}
        from urllib.parse import quote

        status, found = await ask(str(first.make_url("")).rstrip("/"), f"/v1/tickets/{quote(odd, safe='')}")
    assert (status, found["ticket"]) == (200, odd)


def ticket_partition(ticket: str) -> int:
    from streams.codecs import partition_of
    from tests.support.records import PARTITIONS

    return partition_of(ticket.encode(), PARTITIONS)


@pytest.mark.parametrize("mine", [True, False])
async def test_a_ticket_that_is_not_kept_is_not_found(mine: bool) -> None:
    async with group() as (workers, _):
        status, found = await ask(workers.first, f"/v1/tickets/{ticket_on(0 if mine else 1, 7)}")
    assert status == 404
    assert "is kept" in found["error"]


@pytest.mark.parametrize("instant", ["yesterday", "2026-03-02T11:00:01Z"])
@pytest.mark.parametrize("ticket", [MINE, OTHERS])
async def test_an_instant_that_is_none_or_not_yet_is_a_bad_request(instant: str, ticket: str) -> None:
    async with group() as (workers, _):
        status, found = await ask(workers.first, f"/v1/tickets/{ticket}?at={instant}")
    assert status == 400
    assert found["error"].startswith("at: ")


async def test_a_question_is_passed_on_once_only() -> None:
    async with group() as (workers, distribution):
        distribution[f"{workers.second}/"] = {"sla.tickets": [1, 2]}  # it is told to own what it does not
        status, found = await ask(workers.first, f"/v1/tickets/{ticket_on(2)}")
    assert status == 503
    assert "partition 2 of sla.tickets is not on this worker" in found["error"]


async def test_without_a_known_owner_it_is_told_to_ask_again() -> None:
    async with group() as (workers, _):
        status, _ = await ask(workers.first, f"/v1/tickets/{ticket_on(3)}")
    assert status == 503


async def test_an_owner_that_does_not_answer_is_named() -> None:
    async with group() as (workers, distribution):
        distribution["http://127.0.0.1:1"] = {"sla.tickets": [3]}
        status, found = await ask(workers.first, f"/v1/tickets/{ticket_on(3)}")
    assert status == 503
    assert "the owner of partition 3 does not answer: http://127.0.0.1:1" in found["error"]


async def test_an_owner_with_another_token_is_a_bad_gateway() -> None:
    async with group(second_token="another") as (workers, _):
        status, _ = await ask(workers.first, f"/v1/tickets/{OTHERS}")
    assert status == 502


async def test_contracts_are_those_of_the_register() -> None:
    found = await Api(Bench(REGISTER)).contracts(None)  # type: ignore[arg-type]
    assert [contract["id"] for contract in found] == ["desk", "garage"]
    repair, _ = found[1]["targets"]
    assert (repair["applies_to"], repair["effective_until"]) == ({"service": ["cars"]}, "2026-03-06T08:00:00.000Z")
    assert found[0]["targets"][0]["objective"] == {"id": "resolution", "attain": 0.9}


# --- the description of all that ---


def validators() -> Iterator[tuple[str, Draft202012Validator]]:
    document = openapi_document()
    for path, methods in document["paths"].items():
        schema = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        yield path, Draft202012Validator({**schema, "components": document["components"]})


async def test_every_answer_is_what_the_openapi_document_says() -> None:
    bench = bench_with(0, MINE)
    bench.own_objectives(0).step(made_by(rolled_up(), "sla.tickets/0", 1))
    bench.own_alerts(0).step(alert_record(alert()))
    api = Api(bench)  # type: ignore[arg-type]
    routes = {path.replace(":.+", ""): handler for path, handler in api.routes().items()}
    described = dict(validators())
    assert routes.keys() == described.keys()
    for path, validator in described.items():
        Draft202012Validator.check_schema(validator.schema)
        answer = json.loads(json.dumps(await routes[path](Question(MINE))))
        assert answer, path
        validator.validate(answer)


async def test_targets_are_told_as_they_were_agreed_with_seconds_where_all_clocks_have_the_same() -> None:
    bench = bench_with(
        0, MINE, register(target("quick", within="4bh"), target("setup", metric="setup", within="2bd eod"))
    )
    [contract] = await Api(bench).contracts(Question(MINE))  # type: ignore[arg-type]
    told = {each["id"]: (each["within"], each["target_seconds"]) for each in contract["targets"]}
    assert told == {"quick": ("4bh", 4 * 3600), "setup": ("2bd eod", None)}


async def test_a_contract_that_ended_is_told_of_an_earlier_instant_as_it_was_then() -> None:
    of = register(target(within="24bh", until="mon 11:00", open_until_ms=at("mon 11:00")))
    api = Api(bench_with(0, MINE, of))  # type: ignore[arg-type]
    question = Question(MINE)
    [now] = (await api.ticket(question))["clocks"]  # type: ignore[arg-type]
    question.query["at"] = "2026-03-02T09:30:00Z"
    [then] = (await api.ticket(question))["clocks"]  # type: ignore[arg-type]
    assert (now["outcome"], now["stop"]) == ("terminated", "2026-03-02T10:00:00.000Z")
    assert (then["outcome"], then["phase"]) == ("open", "paused")


async def test_the_document_refuses_what_no_worker_answers() -> None:
    answer = await Api(bench_with(0, MINE)).ticket(Question(MINE))  # type: ignore[arg-type]
    validator = dict(validators())["/v1/tickets/{ticket}"]
    assert validator.is_valid(answer)
    assert not validator.is_valid({**answer, "more": 1})
    assert not validator.is_valid({**answer, "clocks": [{}]})


def rolled_up() -> Record:
    return Record(0, b"k", encode_rollup(Rollup("resolution", at("mon 09:00"), 1, 1)), NOW_MS)


class Question:
    """A request as far as the handlers look at it."""

    def __init__(self, ticket: str) -> None:
        self.match_info = {"ticket": ticket}
        self.query: dict[str, str] = {}
        self.headers: dict[str, str] = {}


def test_errors_are_described() -> None:
    answers = openapi_document()["paths"]["/v1/tickets/{ticket}"]["get"]["responses"]
    raised = {web.HTTPBadRequest, web.HTTPNotFound, web.HTTPBadGateway, web.HTTPServiceUnavailable}
    assert {str(error.status_code) for error in raised} <= answers.keys()
