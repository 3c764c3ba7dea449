"""Register documents: the same agreement before and after Kafka, and nothing unknown passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.contract_model import ContractModel
from config.documents import (
    DocumentError,
    calendar_document,
    calendar_of,
    contract_document,
    contract_model_of,
    contract_of,
)
from config.loader import Agreements, load_agreements

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=["config", "tests/golden/contracts/good"])
def agreements(request: pytest.FixtureRequest) -> Agreements:
    return load_agreements([REPOSITORY / request.param])


def changed(document: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(document), **fields}).encode()


def a_contract() -> bytes:
    return contract_document(load_agreements([REPOSITORY / "config"]).contracts["incident-log"])


def a_calendar() -> bytes:
    return calendar_document(load_agreements([REPOSITORY / "config"]).calendars["berlin-office"])


def test_a_contract_is_the_same_after_its_document(agreements: Agreements) -> None:
    for model in agreements.contracts.values():
        document = contract_document(model)
        assert contract_of(document) == model.to_domain()
        assert contract_document(contract_model_of(document)) == document


def test_a_calendar_is_the_same_after_its_document(agreements: Agreements) -> None:
    for model in agreements.calendars.values():
        assert calendar_of(calendar_document(model)) == model.to_domain()


def test_a_document_keeps_revisions_that_are_not_signed() -> None:
    contract = load_agreements([REPOSITORY / "tests" / "golden" / "contracts" / "good"]).contracts["acme-support"]
    statuses = [revision.status.value for revision in contract_model_of(contract_document(contract)).revisions]
    assert statuses == ["signed", "draft", "signed", "terminated"]


def test_a_calendar_document_needs_neither_a_library_nor_a_file() -> None:
    good = load_agreements([REPOSITORY / "tests" / "golden" / "contracts" / "good"])
    document = json.loads(calendar_document(good.calendars["jakarta-office"]))
    assert set(document["holidays"]) == {"dates", "yearly"}
    assert {"2026-10-03", "2026-09-08", "2026-03-20"} <= set(document["holidays"]["dates"])
    assert document["resolved_from"] == {"country": "DE", "subdivision": "BE", "ics": "holidays/company.ics"}


def test_two_spellings_of_one_condition_are_one_document() -> None:
    base = json.loads(a_contract())
    base.pop("format")
    spelt = json.loads(json.dumps(base))
    spelt["revisions"][0]["targets"][0]["start"] = {"event": "created"}
    spelt["revisions"][0]["targets"][0]["pause"][0]["status"].reverse()
    assert contract_document(ContractModel.model_validate(spelt)) == a_contract()


def test_documents_are_canonical_json() -> None:
    for document in (a_contract(), a_calendar()):
        assert (
            document
            == json.dumps(json.loads(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"\xff", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "format: missing"),
        (b'{"format": 2}', r"format: 2 is not read by this release \(it reads 1\): upgrade"),
        (b'{"format": true}', "format: true is not read"),
        (b'{"format": [1]}', r"format: \[1\] is not read"),
    ],
)
def test_what_is_no_document_of_a_known_format_is_an_error(document: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        contract_of(document)
    with pytest.raises(DocumentError, match=message):
        calendar_of(document)


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(DocumentError, match="promise: unknown field"):
        contract_of(changed(a_contract(), promise="more"))
    with pytest.raises(DocumentError, match="promise: unknown field"):
        calendar_of(changed(a_calendar(), promise="more"))


def test_every_fault_of_a_document_is_listed() -> None:
    with pytest.raises(DocumentError) as caught:
        contract_of(changed(a_contract(), type="slo", level=None, promise="more"))
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["type", "level", "promise"]


def test_a_contract_is_no_calendar() -> None:
    with pytest.raises(DocumentError, match="kind: unknown 'Contract'"):
        calendar_of(a_contract())
    with pytest.raises(DocumentError, match="kind: unknown 'Calendar'"):
        contract_of(a_calendar())


def test_a_calendar_whose_holidays_are_not_resolved_is_an_error() -> None:
    with pytest.raises(DocumentError, match=r"holidays.country: must be resolved"):
        calendar_of(changed(a_calendar(), holidays={"country": "DE"}))
    with pytest.raises(DocumentError, match="resolved_from: must be a mapping"):
        calendar_of(changed(a_calendar(), resolved_from="DE"))
