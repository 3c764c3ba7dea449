"""The worker's HTTP port."""

import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from config.settings import WebSettings
from export.health import CheckResult, Health
from export.metrics import Metrics
from export.web import JsonHandler, WebConfigError, WebServer, create_web, is_loopback


async def show_ticket(request: web.Request) -> object:
    if request.match_info["id"] == "absent":
        raise web.HTTPNotFound(text="no such ticket")
    if request.match_info["id"] == "broken":
        raise RuntimeError("secret insides")
    return {"ticket": request.match_info["id"]}


async def list_objectives(_request: web.Request) -> object:
    return []


async def echo(request: web.Request) -> object:
    return {"got": await request.json()}


ROUTES: Mapping[str, JsonHandler] = {
    "/v1/tickets/{id}": show_ticket,
    "/v1/objectives": list_objectives,
    "POST /v1/adjustments": echo,
}


class Client:
    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, str], bytes]:
        async with self.session.get(self.url + path, headers=headers) as response:
            return response.status, response.headers, await response.read()


@asynccontextmanager
async def serving(
    settings: WebSettings | None = None, health: Health | None = None, metrics: Metrics | None = None
) -> AsyncIterator[Client]:
    settings = settings or WebSettings(port=0)
    app = create_web(metrics or Metrics(version="1"), health or Health(), ROUTES, settings=settings)
    server = WebServer(app, settings)
    await server.start()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield Client(session, server.url)
    finally:
        await server.stop()


async def test_metrics_name_their_format_and_come_packed_when_asked() -> None:
    async with serving() as client:
        status, headers, body = await client.get("/metrics", {"Accept-Encoding": "identity"})
        assert status == 200
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Content-Encoding" not in headers
        assert b"# TYPE slawatch_build_info gauge" in body
        _, headers, packed = await client.get(
            "/metrics", {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
        )
        assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert headers["Content-Encoding"] == "gzip"
        assert headers["Vary"] == "Accept, Accept-Encoding"
        assert gzip.decompress(packed).endswith(b"# EOF\n")


async def test_health_answers_200_or_503_with_the_reasons() -> None:
    health = Health()
    health.add("loop", lambda: CheckResult(ok=True, detail="fine"), live=True)
    health.add("kafka", lambda: CheckResult(ok=False, detail="no broker answers"))
    async with serving(health=health) as client:
        status, headers, body = await client.get("/health/live")
        assert status == 200
        assert json.loads(body)["checks"] == {"loop": {"ok": True, "detail": "fine"}}
        assert headers["Content-Type"] == "application/json"
        status, headers, body = await client.get("/health/ready")
        assert status == 503
        assert json.loads(body)["reasons"] == ["kafka: no broker answers"]
        assert headers["Cache-Control"] == "no-store"


async def test_the_first_page_links_to_what_can_be_clicked() -> None:
    async with serving() as client:
        status, headers, body = await client.get("/")
        assert status == 200
        assert headers["Content-Type"].startswith("text/html")
        links = {part.split('"')[0] for part in body.decode().split('href="')[1:]}
        assert links == {"/metrics", "/health/live", "/health/ready", "/v1/objectives"}
        for link in links:
            assert (await client.get(link))[0] == 200


async def test_routes_answer_json() -> None:
    async with serving() as client:
        status, headers, body = await client.get("/v1/tickets/INC-1")
        assert (status, headers["Content-Type"], json.loads(body)) == (200, "application/json", {"ticket": "INC-1"})
        assert json.loads((await client.get("/v1/objectives"))[2]) == []
        async with client.session.post(client.url + "/v1/adjustments", json={"a": 1}) as response:
            assert await response.json() == {"got": {"a": 1}}


async def test_errors_of_the_api_are_json_and_hide_the_insides() -> None:
    async with serving() as client:
        status, headers, body = await client.get("/v1/tickets/absent")
        assert (status, headers["Content-Type"], json.loads(body)) == (
            404,
            "application/json",
            {"error": "no such ticket"},
        )
        status, _, body = await client.get("/v1/tickets/broken")
        assert status == 500
        assert b"secret" not in body
        assert (await client.get("/v1/nothing"))[0] == 404
        status, headers, _ = await client.get("/v1/adjustments")
        assert (status, headers["Allow"]) == (405, "POST")
        assert (await client.get("/nothing"))[0] == 404


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_once_set_is_asked_for_everywhere_under_v1_and_nowhere_else() -> None:
    async with serving(WebSettings(port=0, token="s3cret")) as client:
        for headers in (
            {},
            bearer("wrong"),
            bearer(""),
            {"Authorization": "s3cret"},
            {"Authorization": "Basic s3cret"},
        ):
            for path in ("/v1/objectives", "/v1/nothing", "/%761/objectives"):
                status, answer, body = await client.get(path, headers)
                assert status == 401
                assert answer["WWW-Authenticate"].startswith("Bearer")
                assert b"s3cret" not in body
        assert (await client.get("/v1/objectives", bearer("s3cret")))[0] == 200
        for path in ("/", "/metrics", "/health/live", "/health/ready"):
            assert (await client.get(path))[0] == 200


async def test_the_token_may_come_from_a_file(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("from-file\n")
    async with serving(WebSettings(port=0, token_file=token_file)) as client:
        assert (await client.get("/v1/objectives"))[0] == 401
        assert (await client.get("/v1/objectives", bearer("from-file")))[0] == 200


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_token_file_that_holds_no_token_stops_the_start(tmp_path: Path, content: str | None) -> None:
    token_file = tmp_path / "token"
    if content is not None:
        token_file.write_text(content)
    with pytest.raises(WebConfigError, match="token_file"):
        create_web(Metrics(version="1"), Health(), settings=WebSettings(token_file=token_file))


async def test_beyond_loopback_the_api_is_closed_until_a_token_is_set() -> None:
    async with serving(WebSettings(host="0.0.0.0", port=0)) as client:
        status, _, body = await client.get("/v1/objectives")
        assert status == 403
        assert b"SLAWATCH_WEB__TOKEN" in body
        assert (await client.get("/metrics"))[0] == 200
    async with serving(WebSettings(host="0.0.0.0", port=0, token="t")) as client:
        assert (await client.get("/v1/objectives", bearer("t")))[0] == 200


async def test_a_foreign_name_that_points_at_loopback_reads_nothing() -> None:
    async with serving() as client:
        assert (await client.get("/v1/objectives", {"Host": "evil.example"}))[0] == 403
        assert (await client.get("/v1/objectives", {"Host": "localhost:1"}))[0] == 200


def test_routes_outside_v1_are_refused() -> None:
    with pytest.raises(WebConfigError, match="/admin"):
        create_web(Metrics(version="1"), Health(), {"/admin": list_objectives}, settings=WebSettings())


async def test_a_taken_port_is_told_with_the_setting_to_change() -> None:
    async with serving() as client:
        port = int(client.url.rsplit(":", 1)[1])
        settings = WebSettings(port=port)
        server = WebServer(create_web(Metrics(version="1"), Health(), settings=settings), settings)
        with pytest.raises(WebConfigError, match="SLAWATCH_WEB__PORT"):
            await server.start()
        with pytest.raises(RuntimeError):
            _ = server.port


async def test_the_server_stops_and_gives_its_port_free() -> None:
    async with serving() as client:
        url = client.url
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "worker", "")),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("host", "url"),
    [("0.0.0.0", "http://127.0.0.1:7"), ("::", "http://[::1]:7"), ("localhost", "http://localhost:7")],
)
def test_the_printed_url_can_be_opened_on_this_machine(host: str, url: str) -> None:
    server = WebServer(web.Application(), WebSettings(host=host))
    server._port = 7
    assert server.url == url


def test_only_one_way_to_give_the_token() -> None:
    with pytest.raises(ValueError, match="not both"):
        WebSettings(token="a", token_file=Path("b"))


def test_the_token_is_not_shown_with_the_settings() -> None:
    settings: Any = WebSettings(token="hush")
    assert "hush" not in repr(settings)
    assert "hush" not in settings.model_dump_json()
