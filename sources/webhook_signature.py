"""Whether a webhook comes from who it should: tokens and signatures, checked in constant time. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from config.mapping_model import AuthenticationModel, Scheme
from sla.errors import UnitError
from sla.units import parse_instant

_MILLISECONDS_FROM = 10**11
"""Epoch numbers from here on are milliseconds: as seconds they would lie after the year 5000."""


def refusal(
    model: AuthenticationModel, secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_ms: int
) -> str | None:
    """Return why a request is not taken, or None if it is authentic.

    Parameters
    ----------
    secrets
        Any of them will do, so that a secret can be changed without losing a webhook. Not empty.
    headers
        Of the request; names in lower case.
    body
        As it was received, byte for byte.
    now_ms
        Instant of the request, UTC epoch ms.

    Returns
    -------
    str or None
        For the sender and the log; holds nothing of a secret and not what was expected.
    """
    match model.scheme:
        case Scheme.BEARER:
            usual = "" if model.header else "Bearer "
            before = (usual if model.prefix is None else model.prefix).encode()
            expected = [before + secret for secret in secrets]
            return _compared(headers, model.header or "Authorization", expected, "token")
        case Scheme.BASIC:
            expected = [b"Basic " + base64.b64encode(secret) for secret in secrets]
            return _compared(headers, "Authorization", expected, "user and password")
        case Scheme.HMAC:
            assert model.header is not None  # the model says so
            signed = body
            if model.timestamp_header is not None:
                text = headers.get(model.timestamp_header.lower(), "")
                if (fault := _stale(text, model, now_ms)) is not None:
                    return fault
                signed = text.encode(errors="surrogateescape") + body
            before = (model.prefix or "").encode()
            expected = [before + _signature(model, secret, signed) for secret in secrets]
            return _compared(headers, model.header, expected, "signature")


def _compared(headers: Mapping[str, str], header: str, expected: Sequence[bytes], what: str) -> str | None:
    given = headers.get(header.lower())
    if given is None:
        return f"the header {header} is missing"
    sent = given.strip().encode(errors="surrogateescape")
    # All are compared, so that the time taken does not tell which secret was near.
    matches = [hmac.compare_digest(sent, wanted) for wanted in expected]
    return None if any(matches) else f"the {what} in the header {header} is not right"


def _signature(model: AuthenticationModel, secret: bytes, signed: bytes) -> bytes:
    digest = hmac.new(secret, signed, getattr(hashlib, model.algorithm)).digest()
    return digest.hex().encode() if model.encoding == "hex" else base64.b64encode(digest)


def _stale(text: str, model: AuthenticationModel, now_ms: int) -> str | None:
    """Say why a request's timestamp is not near the present; an old request could be one sent again."""
    if not text:
        return f"the header {model.timestamp_header} is missing"
    try:
        if text.isascii() and text.isdigit():
            number = int(text[:20])
            at_ms = number if number >= _MILLISECONDS_FROM else number * 1000
        else:
            at_ms = parse_instant(text)
    except UnitError:
        return f"the header {model.timestamp_header} is no instant"
    if abs(now_ms - at_ms) > model.tolerance_seconds * 1000:
        return f"the instant in the header {model.timestamp_header} is more than {model.tolerance_seconds} s away"
    return None
