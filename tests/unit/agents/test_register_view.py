"""Documents of the register become what a worker judges by; one that can't be used costs nobody else anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.register_view import compile_register
from config.documents import calendar_document, contract_document
from config.loader import load_agreements
from streams.register_topics import DocumentKey, DocumentKind, RegisterSnapshot

CONTRACTS = Path(__file__).parents[3] / "config" / "contracts"
ACME: DocumentKey = (DocumentKind.CONTRACT, "acme-support")
DESK: DocumentKey = (DocumentKind.CONTRACT, "service-desk")
JAKARTA: DocumentKey = (DocumentKind.CALENDAR, "jakarta-office")


@pytest.fixture(scope="module")
def examples() -> dict[DocumentKey, bytes]:
    """The documents of the example contracts, as ``slawatch contracts apply`` publishes them."""
    agreements = load_agreements([CONTRACTS])
    documents = {(DocumentKind.CALENDAR, name): calendar_document(of) for name, of in agreements.calendars.items()}
    return documents | {
        (DocumentKind.CONTRACT, name): contract_document(of) for name, of in agreements.contracts.items()
    }


@pytest.fixture
def documents(examples: dict[DocumentKey, bytes]) -> dict[DocumentKey, bytes]:
    return dict(examples)


def edited(document: bytes, edit: Callable[[Any], None]) -> bytes:
    data = json.loads(document)
    edit(data)
    return json.dumps(data).encode()


def test_the_documents_that_are_published_are_all_in_force(documents: dict[DocumentKey, bytes]) -> None:
    view = compile_register(RegisterSnapshot(documents, {"sla.contracts": 4, "sla.calendars": 3}))
    assert view.faults == ()
    assert view.offsets == {"sla.contracts": 4, "sla.calendars": 3}
    assert set(view.register.contracts) == {name for kind, name in documents if kind is DocumentKind.CONTRACT}
    assert set(view.register.calendars) == {name for kind, name in documents if kind is DocumentKind.CALENDAR}
    assert len(view.register) > 10


def test_nothing_published_is_a_register_without_agreements() -> None:
    view = compile_register(RegisterSnapshot())
    assert (view.faults, len(view.register), view.offsets) == ((), 0, {})


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (b"{", "no JSON"),
        (b"[]", "must be a JSON object"),
        (b"{}", "format: missing"),
        (b'{"format": 99}', "format: 99 is not read by this release"),
    ],
)
def test_a_document_that_can_not_be_read_is_left_out_with_its_fault(
    documents: dict[DocumentKey, bytes], document: bytes, fault: str
) -> None:
    documents[ACME] = document
    view = compile_register(RegisterSnapshot(documents))
    [found] = view.faults
    assert found.startswith("contract acme-support: ")
    assert fault in found
    assert "acme-support" not in view.register.contracts
    assert "service-desk" in view.register.contracts, "nobody else is touched"


def test_a_document_with_a_field_this_release_does_not_know_is_left_out(documents: dict[DocumentKey, bytes]) -> None:
    """A promise that is not understood must not go unmonitored in silence."""
    documents[ACME] = edited(documents[ACME], lambda data: data["revisions"][0].update(surprise=1))
    [fault] = compile_register(RegisterSnapshot(documents)).faults
    assert "surprise" in fault


def test_contracts_whose_calendar_is_left_out_are_left_out_too(documents: dict[DocumentKey, bytes]) -> None:
    documents[JAKARTA] = edited(documents[JAKARTA], lambda data: data.update(timezone="Mars/Olympus"))
    view = compile_register(RegisterSnapshot(documents))
    calendar, *contracts = view.faults
    assert calendar.startswith("calendar jakarta-office: ")
    assert "Mars/Olympus" in calendar
    assert contracts
    assert all("calendar 'jakarta-office' is not in the register" in fault for fault in contracts)
    assert "jakarta-office" not in view.register.calendars
    assert "acme-support" not in view.register.contracts
    assert "incident-log" in view.register.contracts


def test_a_contract_that_came_before_its_calendar_waits_for_it(documents: dict[DocumentKey, bytes]) -> None:
    """They are on two topics: a worker may read one a moment earlier."""
    calendar = documents.pop(JAKARTA)
    early = compile_register(RegisterSnapshot(documents))
    assert any(fault.startswith("contract acme-support: ") for fault in early.faults)
    documents[JAKARTA] = calendar
    assert compile_register(RegisterSnapshot(documents)).faults == ()


@pytest.mark.parametrize("kind", ["target", "objective"])
def test_an_id_that_another_contract_has_leaves_the_later_contract_out(
    documents: dict[DocumentKey, bytes], kind: str
) -> None:
    """Ids name clocks, alerts and series: shared ones would be mixed up. The order of names decides, on every worker."""

    def copy(data: Any) -> None:
        data["id"] = "zz-copy"
        if kind == "objective":
            for revision in data["revisions"]:
                for number, target in enumerate(revision["targets"]):
                    if target.get("objective"):
                        target["objective"].setdefault("id", target["id"])
                    target["id"] = f"zz-{number}"

    documents[DocumentKind.CONTRACT, "zz-copy"] = edited(documents[ACME], copy)
    view = compile_register(RegisterSnapshot(documents))
    [fault] = view.faults
    assert fault.startswith("contract zz-copy: ")
    assert f"{kind} " in fault
    assert "stands in contract 'acme-support' already" in fault
    assert "acme-support" in view.register.contracts


def test_a_document_under_a_foreign_key_is_left_out(documents: dict[DocumentKey, bytes]) -> None:
    """Two documents that both say they are the desk's would take turns, from worker to worker."""
    documents[DocumentKind.CONTRACT, "another"] = documents[DESK]
    documents[DocumentKind.CALENDAR, "elsewhere"] = documents[JAKARTA]
    view = compile_register(RegisterSnapshot(documents))
    assert view.faults == (
        "calendar elsewhere: the document says that its id is 'jakarta-office'",
        "contract another: the document says that its id is 'service-desk'",
    )
    assert "service-desk" in view.register.contracts


def test_every_fault_is_told(documents: dict[DocumentKey, bytes]) -> None:
    documents[ACME] = b"{"
    documents[DESK] = b"{"
    assert [fault.split(":")[0] for fault in compile_register(RegisterSnapshot(documents)).faults] == [
        "contract acme-support",
        "contract service-desk",
    ]
