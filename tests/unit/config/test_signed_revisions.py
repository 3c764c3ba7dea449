"""What is signed and published stays as it is; everything else about a contract may change."""

import copy

import pytest

from config.contract_model import ContractModel
from config.documents import contract_document, contract_model_of
from config.signed_revisions import changes_of_signed

TARGET = {
    "id": "printing-response",
    "metric": "response",
    "applies_to": {"service": "printing"},
    "start": {"event": "created"},
    "stop": {"event": ["responded", "resolved"]},
    "within": "4h",
    "objective": {"attain": "95%", "over": "1 month", "timezone": "Asia/Jakarta"},
}
PUBLISHED = {
    "kind": "Contract",
    "id": "acme-support",
    "type": "sla",
    "level": "service",
    "provider": "it-services",
    "customer": "acme",
    "owner": "slm@acme.example",
    "revisions": [
        {
            "revision": 1,
            "status": "signed",
            "effective_from": "2026-01-01T00:00:00+07:00",
            "calendar": "jakarta-office",
            "targets": [TARGET],
        },
        {
            "revision": 2,
            "status": "draft",
            "effective_from": "2027-01-01T00:00:00+07:00",
            "calendar": "jakarta-office",
            "targets": [{**TARGET, "within": "2h"}],
        },
    ],
}


def _changes(change) -> list[str]:
    proposed = copy.deepcopy(PUBLISHED)
    change(proposed)
    # The published one as it is read back from the register.
    published = contract_model_of(contract_document(ContractModel.model_validate(PUBLISHED)))
    return list(changes_of_signed(published, ContractModel.model_validate(proposed)))


def _target(proposed, revision=0):
    return proposed["revisions"][revision]["targets"][0]


def test_the_same_document_changes_nothing():
    assert _changes(lambda proposed: None) == []


@pytest.mark.parametrize(
    ("name", "value", "written_as"),
    [
        ("within", "5h", "within"),
        ("within", "4bh", "within"),
        ("metric", "resolution", "metric"),
        ("applies_to", {"service": ["printing", "network"]}, "applies_to or customer"),
        ("start", {"event": "reopened"}, "start"),
        ("stop", {"event": "resolved"}, "stop"),
        ("pause", {"waiting_for": ["customer"]}, "pause"),
        ("calendar", "always", "calendar"),
        ("warn", {"consumed": ["50%"]}, "warn"),
        ("objective", {"attain": "94%", "over": "1 month", "timezone": "Asia/Jakarta"}, "objective"),
    ],
)
def test_a_signed_target_that_differs_is_told_with_the_field(name, value, written_as):
    (line,) = _changes(lambda proposed: _target(proposed).update({name: value}))

    assert line == f"revision 1: target 'printing-response' is signed and now differs in {written_as}; add a revision"


@pytest.mark.parametrize(
    ("change", "written_as"),
    [
        (lambda proposed: proposed.update(customer="globex"), "applies_to or customer"),
        (lambda proposed: proposed["revisions"][0].update(calendar="always"), "calendar"),
        (
            lambda proposed: proposed["revisions"][0].update(effective_from="2026-02-01T00:00:00+07:00"),
            "effective_from",
        ),
    ],
)
def test_what_a_target_takes_from_its_contract_or_revision_is_signed_with_it(change, written_as):
    (line,) = _changes(change)
    assert f"differs in {written_as};" in line


def test_another_spelling_of_the_same_terms_is_no_change():
    assert (
        _changes(lambda proposed: _target(proposed).update(within="240m", applies_to={"service": ["printing"]})) == []
    )


def test_a_draft_may_change_in_everything_and_be_signed():
    assert _changes(lambda proposed: _target(proposed, 1).update(within="1h", metric="resolution")) == []
    assert _changes(lambda proposed: proposed["revisions"][1].update(status="signed")) == []
    assert _changes(lambda proposed: proposed["revisions"].pop()) == []


def test_who_answers_and_who_is_told_may_change():
    assert _changes(lambda proposed: proposed.update(owner="new@acme.example", team="printing")) == []
    assert _changes(lambda proposed: proposed["revisions"][0].update(review_by="2026-12-01")) == []


def test_a_contract_may_be_terminated():
    def terminate(proposed):
        proposed["revisions"][1] = {
            "revision": 2,
            "status": "terminated",
            "effective_from": "2027-01-01T00:00:00+07:00",
        }

    assert _changes(terminate) == []


@pytest.mark.parametrize("status", ["draft", "negotiation"])
def test_a_signature_can_not_be_withdrawn(status):
    (line,) = _changes(lambda proposed: proposed["revisions"][0].update(status=status))

    assert line.startswith("revision 1: is signed and in force on the register; end it by a revision with status: term")


def test_a_signed_revision_can_not_be_left_out():
    (line,) = _changes(lambda proposed: proposed["revisions"].pop(0))
    assert line.startswith("revision 1: is signed")


def test_a_signed_revision_neither_gains_nor_loses_targets():
    other = {**TARGET, "id": "network-response", "applies_to": {"service": "network"}}

    gained = _changes(lambda proposed: proposed["revisions"][0]["targets"].append(other))
    assert gained == ["revision 1: is signed without target 'network-response'; add a revision with it"]
    replaced = _changes(lambda proposed: proposed["revisions"][0].update(targets=[other]))
    assert replaced == [
        "revision 1: target 'printing-response' is signed and now missing; add a revision without it",
        "revision 1: is signed without target 'network-response'; add a revision with it",
    ]
