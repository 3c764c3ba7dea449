"""The worker's HTTP port: ``/metrics``, ``/health/*`` and the routes under ``/v1/`` that its owner adds.

``/metrics`` and ``/health/*`` are open, as scrapers and orchestrators expect. ``/v1/*`` shows tickets, so it wants a
bearer token as soon as one is set, and is closed on an address other machines can reach as long as none is.
"""

from __future__ import annotations

import hmac
import html
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from config.settings import WebSettings
from export.exposition import Exposition
from export.health import Health, HealthReport
from export.metrics import Metrics

API_PREFIX = "/v1/"

JsonHandler = Callable[[web.Request], Awaitable[object]]
"""Answers a request with something JSON can hold; raises aiohttp's HTTP exceptions for what it can't answer."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode
_log = structlog.get_logger(__name__)


class WebConfigError(ValueError):
    """The web server can't be started as it is configured."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def create_web(
    metrics: Metrics,
    health: Health,
    routes: Mapping[str, JsonHandler] | None = None,
    *,
    settings: WebSettings,
    exposition: Exposition | None = None,
) -> web.Application:
    """Build the application.

    Parameters
    ----------
    metrics : Metrics
        Served on ``/metrics``.
    health : Health
        Served on ``/health/live`` and ``/health/ready``: 200, or 503 with the reasons.
    routes : mapping of str to handler
        ``/v1/...`` (GET) or ``METHOD /v1/...`` to a coroutine function that gets aiohttp's request and returns what
        the JSON body shall hold.
    settings : WebSettings
        Address and token.
    exposition : Exposition, optional
        Renders the metrics; by default one with the usual settings.

    Raises
    ------
    WebConfigError
        If a route is not under ``/v1/``, or the file of the token can't be read or is empty.
    """
    try:
        token = settings.bearer_token()
    except OSError as error:
        raise WebConfigError(f"web.token_file: {settings.token_file} can't be read: {error.strerror}") from error
    if settings.token_file and not token:
        raise WebConfigError(f"web.token_file: {settings.token_file} is empty")
    app = web.Application(middlewares=[_json_errors, _guard(token, loopback=is_loopback(settings.host))])
    pages = exposition or Exposition(metrics)

    async def serve_metrics(request: web.Request) -> web.Response:
        page = await pages.page(request.headers.get(hdrs.ACCEPT), request.headers.get(hdrs.ACCEPT_ENCODING))
        headers = {hdrs.CONTENT_TYPE: page.content_type, hdrs.VARY: "Accept, Accept-Encoding"}
        if page.encoding:
            headers[hdrs.CONTENT_ENCODING] = page.encoding
        return web.Response(body=page.body, headers=headers)

    async def serve_live(_request: web.Request) -> web.Response:
        return _health_response(health.live())

    async def serve_ready(_request: web.Request) -> web.Response:
        return _health_response(health.ready())

    app.router.add_get("/metrics", serve_metrics)
    app.router.add_get("/health/live", serve_live)
    app.router.add_get("/health/ready", serve_ready)
    links = ["/metrics", "/health/live", "/health/ready"]
    for name, handler in (routes or {}).items():
        method, path = name.split(" ", 1) if " " in name else ("GET", name)
        if not path.startswith(API_PREFIX):
            raise WebConfigError(f"route {path!r} is not under {API_PREFIX}: it would be served without a token")
        app.router.add_route(method, path, _json_route(handler))
        if method == "GET" and "{" not in path:
            links.append(path)
    index = _index_page(links)

    async def serve_index(_request: web.Request) -> web.Response:
        return web.Response(text=index, content_type="text/html")

    app.router.add_get("/", serve_index)
    return app


def _json_route(handler: JsonHandler) -> _Handler:
    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=_encode(await handler(request)), content_type=_JSON)

    return serve


def _health_response(report: HealthReport) -> web.Response:
    status = HTTPStatus.OK if report.ok else HTTPStatus.SERVICE_UNAVAILABLE
    return web.Response(
        body=_encode(report.document()), status=status, content_type=_JSON, headers={hdrs.CACHE_CONTROL: "no-store"}
    )


@web.middleware
async def _json_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer errors under ``/v1/`` as JSON, and keep the insides of a failure in the log."""
    if not request.path.startswith(API_PREFIX):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        status, message, headers = error.status, error.text or error.reason, error.headers.copy()
        headers.popall(hdrs.CONTENT_TYPE, None)
    except Exception:  # noqa: BLE001 - one bad request must not show a traceback to its sender
        _log.exception("request_failed", method=request.method, path=request.path)
        status, message, headers = 500, "internal error; the worker's log has the details", None
    return web.Response(body=_encode({"error": message}), status=status, content_type=_JSON, headers=headers)


def _guard(token: str | None, *, loopback: bool) -> Middleware:
    expected = f"Bearer {token}".encode() if token else None

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if not request.path.startswith(API_PREFIX):
            return await handler(request)
        if expected is not None:
            given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, expected):
                raise web.HTTPUnauthorized(
                    text="send the header `Authorization: Bearer <token>`",
                    headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="slawatch"'},
                )
        elif not loopback:
            raise web.HTTPForbidden(
                text="closed: this worker listens beyond loopback; set SLAWATCH_WEB__TOKEN or SLAWATCH_WEB__TOKEN_FILE"
            )
        elif not is_loopback(request.url.host or ""):
            # A web page elsewhere can point its own name at 127.0.0.1 and read answers through the user's browser.
            raise web.HTTPForbidden(text="without a token, ask as localhost or 127.0.0.1")
        return await handler(request)

    return guard


def _index_page(links: list[str]) -> str:
    items = "\n".join(f'<li><a href="{html.escape(link)}">{html.escape(link)}</a></li>' for link in links)
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>slawatch</title></head>\n'
        f"<body>\n<h1>slawatch</h1>\n<ul>\n{items}\n</ul>\n</body>\n</html>\n"
    )


class WebServer:
    """Runs an application on the address of the settings.

    Examples
    --------
    ::

        server = WebServer(app, settings.web)
        await server.start()
        print(server.url)
        ...
        await server.stop()
    """

    def __init__(self, app: web.Application, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, also when the settings say 0.

        Raises
        ------
        RuntimeError
            If the server has not been started.
        """
        if self._port is None:
            raise RuntimeError("the web server has not been started")
        return self._port

    @property
    def url(self) -> str:
        """Base URL for a client on this machine."""
        host = self._settings.host
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return f"http://{host}:{self.port}"
        if address.is_unspecified:
            address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
        return f"http://[{address}]:{self.port}" if address.version == 6 else f"http://{address}:{self.port}"

    async def start(self) -> None:
        """Listen, and log the URL.

        Raises
        ------
        WebConfigError
            If the address is taken or not this machine's.
        """
        runner = web.AppRunner(self._app, access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await runner.setup()
        site = web.TCPSite(runner, self._settings.host, self._settings.port)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise WebConfigError(
                f"can't listen on {self._settings.host}:{self._settings.port} ({error.strerror}); "
                "set SLAWATCH_WEB__PORT (0 takes a free port) or SLAWATCH_WEB__HOST"
            ) from error
        self._runner = runner
        self._port = int(runner.addresses[0][1])
        _log.info("web_started", url=self.url)
        if not is_loopback(self._settings.host) and self._settings.bearer_token() is None:
            _log.warning("web_api_closed", reason="no token is set and the address can be reached by others")

    async def stop(self) -> None:
        """Stop listening; requests under way get two seconds."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._port = None
