"""Webhooks are taken from their senders only: tokens, Jira's, Zammad's and Zendesk's signatures."""

import base64
import hashlib
import hmac

import pytest

from config.mapping_model import AuthenticationModel
from sources.webhook_signature import refusal

NOW_MS = 1_616_648_967_000  # 2021-03-25T05:09:27Z
SECRET = b"s3cret"


def model(**fields: object) -> AuthenticationModel:
    return AuthenticationModel.model_validate(fields)


def judged(fields: dict[str, object], headers: dict[str, str], body: bytes = b"{}", secrets=(SECRET,)) -> str | None:
    return refusal(model(**fields), secrets, headers, body, NOW_MS)


def test_a_bearer_token_is_taken_and_another_one_is_not():
    assert judged({}, {"authorization": "Bearer s3cret"}) is None
    assert judged({}, {"authorization": "Bearer secret"}) == "the token in the header Authorization is not right"
    assert judged({}, {"authorization": "s3cret"}) == "the token in the header Authorization is not right"
    assert judged({}, {}) == "the header Authorization is missing"


def test_a_token_may_be_in_a_header_of_its_own():
    assert judged({"header": "X-Token"}, {"x-token": "s3cret"}) is None
    assert judged({"header": "X-Token", "prefix": "t="}, {"x-token": "t=s3cret"}) is None


def test_user_and_password_are_taken():
    given = "Basic " + base64.b64encode(b"desk:pa:ss").decode()
    assert judged({"scheme": "basic"}, {"authorization": given}, secrets=(b"desk:pa:ss",)) is None
    assert judged({"scheme": "basic"}, {"authorization": given}) is not None


def test_any_of_several_secrets_will_do_so_that_they_can_be_changed():
    assert judged({}, {"authorization": "Bearer s3cret"}, secrets=(b"new", SECRET)) is None


@pytest.mark.parametrize(("algorithm", "prefix"), [("sha256", "sha256="), ("sha1", "sha1=")])
def test_a_signature_of_the_body_as_jira_and_zammad_send_it(algorithm, prefix):
    fields = {"scheme": "hmac", "header": "X-Hub-Signature", "algorithm": algorithm, "prefix": prefix}
    body = b'{"a": 1}'
    signature = prefix + hmac.new(SECRET, body, getattr(hashlib, algorithm)).hexdigest()
    assert judged(fields, {"x-hub-signature": signature}, body) is None
    assert judged(fields, {"x-hub-signature": signature}, body + b" ") is not None
    assert judged(fields, {"x-hub-signature": signature.removeprefix(prefix)}, body) is not None
    assert judged(fields, {}, body) == "the header X-Hub-Signature is missing"


ZENDESK = {
    "scheme": "hmac", "header": "X-Zendesk-Webhook-Signature", "encoding": "base64",
    "timestamp_header": "X-Zendesk-Webhook-Signature-Timestamp",
}  # fmt: skip


def zendesk(timestamp: str, body: bytes = b"{}") -> dict[str, str]:
    signature = base64.b64encode(hmac.new(SECRET, timestamp.encode() + body, hashlib.sha256).digest()).decode()
    return {"x-zendesk-webhook-signature": signature, "x-zendesk-webhook-signature-timestamp": timestamp}


@pytest.mark.parametrize("timestamp", ["2021-03-25T05:09:27Z", "2021-03-25T05:05:00Z", "1616648967", "1616648967000"])
def test_a_signature_over_timestamp_and_body_as_zendesk_sends_it(timestamp):
    assert judged(ZENDESK, zendesk(timestamp)) is None


@pytest.mark.parametrize(
    ("timestamp", "why"),
    [
        ("2021-03-25T05:04:26Z", "is more than 300 s away"),
        ("2021-03-25T05:15:00Z", "is more than 300 s away"),
        ("9" * 5_000, "is more than 300 s away"),
        ("yesterday", "is no instant"),
        ("", "is missing"),
    ],
)
def test_a_signed_webhook_that_is_sent_again_later_is_refused(timestamp, why):
    assert why in str(judged(ZENDESK, zendesk(timestamp)))


def test_what_a_sender_is_told_holds_no_secret():
    for fields in ({}, ZENDESK, {"scheme": "basic"}):
        told = judged(fields, {"authorization": "x", **zendesk("2021-03-25T05:09:27Z", b"other")})
        assert told is not None
        assert "s3cret" not in told


@pytest.mark.parametrize("value", ["\udcff", "é", "\x00", "x" * 100_000])
def test_headers_of_any_text_are_refused_and_never_fail(value):
    assert judged({}, {"authorization": value}) is not None
