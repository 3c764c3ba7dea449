"""The receiver of webhooks: an HTTP application that answers 2xx only once Kafka has the events.

``POST /webhooks/<mapping>`` takes a body, checks who sent it, maps it and publishes its events. A sender that gets no
2xx sends again; events carry their identity, so what arrives twice counts once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
import structlog
from aiohttp import hdrs, web
from aiokafka.errors import KafkaError

from cli.event_check import fault_of_mapped
from export.receiver_metrics import CONTENT_TYPE, ReceiverMetrics, WebhookResult
from export.web import is_loopback
from sources.record import SourceEvent
from sources.webhook_mapping import BodyRefused, Mapped, Request, WebhookMapper
from sources.webhook_signature import refusal

LARGEST_BODY_BYTES: Final = 1024 * 1024
"""Usual limit of a body; a Jira issue with a long history has some hundred kB."""

MOST_UNDER_WAY: Final = 128
"""Webhooks worked on at once; each may hold a body of the largest size. Others are told to come again."""

_BODY_SECONDS: Final = 10.0
"""A body has to arrive within this time: a connection that sends slowly would hold its place for ever."""

_RETRY_AFTER_SECONDS: Final = 5

Publish = Callable[[Sequence[SourceEvent]], Awaitable[None]]
"""Sends events and returns once Kafka has acknowledged all; raises KafkaError or TimeoutError."""

KeepRefused = Callable[[str, object, Mapping[str, str]], Awaitable[bool]]
"""Keeps a body that is refused (mapping, body, query) and returns whether it could."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One mapping and the secrets of its senders; without secrets only this machine may send."""

    mapper: WebhookMapper
    secrets: tuple[bytes, ...]


@dataclass(slots=True)
class ReceiverState:
    """What the health of a receiver is judged by.

    Attributes
    ----------
    failing : str or None
        Why Kafka did not take the last webhook's events; None once it has taken some again.
    is_leaving : bool
        Set at shutdown: no new webhooks, those under way are finished.
    under_way : int
        Webhooks being worked on.
    """

    failing: str | None = None
    is_leaving: bool = False
    under_way: int = 0


class _Answer(Exception):  # noqa: N818 - an answer other than 200
    def __init__(
        self, status: HTTPStatus, result: WebhookResult, error: str, faults: Sequence[str] = (), *, retry: bool = False
    ) -> None:
        super().__init__(error)
        self.status = status
        self.result = result
        self.error = error
        self.faults = faults
        self.retry = retry


def create_receiver(
    endpoints: Mapping[str, Endpoint],
    publish: Publish,
    *,
    now_ms: Callable[[], int],
    metrics: ReceiverMetrics,
    state: ReceiverState,
    keep_refused: KeepRefused | None = None,
    largest_body_bytes: int = LARGEST_BODY_BYTES,
    largest_event_bytes: int = 65_536,
    most_under_way: int = MOST_UNDER_WAY,
) -> web.Application:
    """Build the application.

    Parameters
    ----------
    endpoints
        By mapping id: what ``/webhooks/<id>`` takes.
    publish
        See :data:`Publish`.
    now_ms
        The present as UTC epoch ms; signed timestamps are compared with it.
    state
        Kept by the application, shared with who runs it.
    keep_refused
        Takes bodies to which the mapping can't be applied; None: they are told and gone.
    largest_body_bytes, most_under_way
        Bounds; more is answered with 413 and 503.
    largest_event_bytes
        What workers take; a body that gives a larger event is answered with 422.
    """
    # The application's own limit would answer in HTML; one byte above ours it never does.
    app = web.Application(client_max_size=largest_body_bytes + 1)

    async def take(request: web.Request) -> web.Response:
        began = asyncio.get_running_loop().time()
        name = request.match_info["mapping"]
        endpoint = endpoints.get(name)
        if endpoint is None:
            return _json(HTTPStatus.NOT_FOUND, {"error": f"no mapping {name!r} here"})
        state.under_way += 1
        published = 0
        try:
            published = await _take(request, endpoint)
        except _Answer as answer:
            result = answer.result
            document: dict[str, Any] = {"error": answer.error}
            if answer.faults:
                document["faults"] = list(answer.faults)
            response = _json(answer.status, document, retry=answer.retry)
            _log.warning("webhook_not_taken", mapping=name, status=answer.status.value, **document)
        else:
            result = WebhookResult.PUBLISHED if published else WebhookResult.IGNORED
            response = _json(HTTPStatus.OK, {"events": published})
        finally:
            state.under_way -= 1
        seconds = asyncio.get_running_loop().time() - began
        metrics.count(name, result, events=published, seconds=seconds)
        return response

    async def _take(request: web.Request, endpoint: Endpoint) -> int:
        if state.is_leaving or state.under_way > most_under_way:
            why = "the receiver is shutting down" if state.is_leaving else "too many webhooks under way"
            raise _Answer(HTTPStatus.SERVICE_UNAVAILABLE, WebhookResult.FAILED, why, retry=True)
        body = await _body_of(request, largest_body_bytes)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not endpoint.secrets and ("origin" in headers or not is_loopback(request.url.host or "")):
            # Any web page can make a browser on this machine send requests here, under a name of its own as well.
            why = "without a secret, send as localhost or 127.0.0.1, and not from a web page"
            raise _Answer(HTTPStatus.FORBIDDEN, WebhookResult.UNAUTHENTIC, why)
        if endpoint.secrets:
            model = endpoint.mapper.model.authentication
            if (doubt := refusal(model, endpoint.secrets, headers, body, now_ms())) is not None:
                raise _Answer(HTTPStatus.UNAUTHORIZED, WebhookResult.UNAUTHENTIC, doubt)
        try:
            value = _decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            detail = str(error) or "nested too deeply"
            raise _Answer(HTTPStatus.BAD_REQUEST, WebhookResult.REFUSED, f"no JSON: {detail}") from error
        query = dict(request.query)
        found = endpoint.mapper.map_body(value, Request(headers, query))
        faults = _faults_of(found, largest_event_bytes)
        if isinstance(found, BodyRefused) or faults:
            kept = keep_refused is not None and await keep_refused(endpoint.mapper.model.id, value, query)
            why = "the mapping can't be applied to this body" + ("; it is kept" if kept else "")
            raise _Answer(HTTPStatus.UNPROCESSABLE_ENTITY, WebhookResult.REFUSED, why, faults)
        if found.events:
            try:
                await publish(found.events)
            except (KafkaError, TimeoutError) as error:
                state.failing = str(error) or type(error).__name__
                why = "Kafka did not take the events; send the webhook again"
                raise _Answer(HTTPStatus.SERVICE_UNAVAILABLE, WebhookResult.FAILED, why, retry=True) from error
            state.failing = None
        return len(found.events)

    async def serve_live(_request: web.Request) -> web.Response:
        return _json(HTTPStatus.OK, {"status": "ok"})

    async def serve_ready(_request: web.Request) -> web.Response:
        reasons = ["leaving: the receiver is shutting down"] if state.is_leaving else []
        if state.failing is not None:
            reasons.append(f"kafka: {state.failing}")
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return _json(status, {"status": "failing" if reasons else "ok", "reasons": reasons})

    async def serve_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    app.router.add_post("/webhooks/{mapping}", take)
    app.router.add_get("/health/live", serve_live)
    app.router.add_get("/health/ready", serve_ready)
    app.router.add_get("/metrics", serve_metrics)
    return app


def _faults_of(found: Mapped | BodyRefused, largest_event_bytes: int) -> Sequence[str]:
    """Return why a body can't be used: what the mapping says, or what a worker would say of its events."""
    if isinstance(found, BodyRefused):
        return found.faults
    judged = [fault_of_mapped(event, largest_event_bytes) for event in found.events]
    return [fault for fault in judged if fault is not None]


async def _body_of(request: web.Request, largest_bytes: int) -> bytes:
    too_large = _Answer(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        WebhookResult.REFUSED,
        f"a body may have {largest_bytes} bytes",
    )
    if request.content_length is not None and request.content_length > largest_bytes:
        raise too_large
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large from error
    except TimeoutError as error:
        raise _Answer(HTTPStatus.REQUEST_TIMEOUT, WebhookResult.REFUSED, "the body did not arrive in time") from error
    if len(body) > largest_bytes:
        raise too_large
    return body


def _json(status: HTTPStatus, document: Mapping[str, Any], *, retry: bool = False) -> web.Response:
    headers = {hdrs.CACHE_CONTROL: "no-store"}
    if retry:
        headers[hdrs.RETRY_AFTER] = str(_RETRY_AFTER_SECONDS)
    return web.Response(body=_encode(document), status=status, content_type="application/json", headers=headers)
