"""From negotiation to termination: which steps are legal, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from config.contract_checks import OnEnd
from config.contract_life import (
    TerminationError,
    illegal_transitions,
    on_end_of,
    retroactive_revisions,
    status_at,
    with_termination,
)
from config.contract_model import ContractModel
from sla.units import parse_instant

NOW = parse_instant("2026-06-15T12:00:00Z")
TARGET = {"id": "t", "start": {"event": "created"}, "stop": {"event": "resolved"}, "within": "4h"}

Revision = tuple[int, str, str]


def contract(*revisions: Revision, provider: str = "desk") -> ContractModel:
    def document(number: int, status: str, effective: str) -> dict[str, Any]:
        terms = {} if status == "terminated" else {"calendar": "always", "targets": [TARGET]}
        return {"revision": number, "status": status, "effective_from": f"{effective}T00:00:00Z", **terms}

    return ContractModel.model_validate(
        {
            "kind": "Contract",
            "id": "c",
            "type": "sla",
            "level": "corporate",
            "provider": provider,
            "owner": "o",
            "revisions": [document(*revision) for revision in revisions],
        }
    )


SIGNED = (1, "signed", "2026-01-01")


def faults(published: ContractModel, proposed: ContractModel) -> list[str]:
    return list(illegal_transitions(published, proposed, NOW))


@pytest.mark.parametrize("before", ["negotiation", "draft"])
@pytest.mark.parametrize("after", ["negotiation", "draft", "signed", None])
def test_what_is_not_signed_may_become_anything_or_go(before: str, after: str | None) -> None:
    published = contract(SIGNED, (2, before, "2027-01-01"))
    proposed = contract(SIGNED, (2, after, "2027-01-01")) if after else contract(SIGNED)
    assert faults(published, proposed) == []


def test_a_contract_is_revised_and_terminated() -> None:
    revised = contract(SIGNED, (2, "signed", "2026-07-01"))
    assert faults(contract(SIGNED), revised) == []
    assert faults(revised, contract(SIGNED, (2, "signed", "2026-07-01"), (3, "terminated", "2027-01-01"))) == []


@pytest.mark.parametrize(
    ("published", "was"), [((2, "draft", "2026-02-01"), "draft"), ((2, "negotiation", "2026-02-01"), "negotiation")]
)
def test_what_was_not_signed_in_time_can_not_be_signed_before_what_was(published: Revision, was: str) -> None:
    newer = (3, "signed", "2026-03-01")
    (line,) = faults(contract(SIGNED, published, newer), contract(SIGNED, (2, "signed", "2026-02-01"), newer))
    assert line.startswith(f"revision 2: was {was} when revision 3 was signed and can't be signed any more")


def test_nothing_is_signed_in_between() -> None:
    newer = (3, "signed", "2026-03-01")
    (line,) = faults(contract(SIGNED, newer), contract(SIGNED, (2, "signed", "2026-02-01"), newer))
    assert "was not there when revision 3 was signed" in line
    assert line.endswith("give it a number above 3")


def test_a_draft_between_signed_revisions_is_no_fault() -> None:
    newer = (3, "signed", "2026-03-01")
    assert faults(contract(SIGNED, newer), contract(SIGNED, (2, "draft", "2026-02-01"), newer)) == []


def test_an_announced_termination_may_be_moved_and_taken_back() -> None:
    published = contract(SIGNED, (2, "terminated", "2026-12-31"))
    assert faults(published, contract(SIGNED, (2, "terminated", "2027-06-30"))) == []
    assert faults(published, contract(SIGNED)) == []
    assert faults(published, contract(SIGNED, (2, "signed", "2027-01-01"))) == []


def test_an_announced_termination_is_not_moved_into_the_past() -> None:
    (line,) = faults(
        contract(SIGNED, (2, "terminated", "2026-12-31")), contract(SIGNED, (2, "terminated", "2026-03-01"))
    )
    assert line.startswith("revision 2: can't be moved into the past")


@pytest.mark.parametrize(
    "revisions", [(SIGNED,), (SIGNED, (2, "signed", "2026-03-01")), (SIGNED, (2, "terminated", "2026-12-31"))]
)
def test_a_contract_that_ended_stays_ended(revisions: tuple[Revision, ...]) -> None:
    (line,) = faults(contract(SIGNED, (2, "terminated", "2026-03-01")), contract(*revisions))
    assert line.startswith("revision 2: has terminated the contract at 2026-03-01T00:00:00Z")


def test_another_provider_is_another_contract_once_it_is_signed() -> None:
    (line,) = faults(contract(SIGNED), contract(SIGNED, provider="vendor"))
    assert line.startswith("provider: 'desk' has signed, not 'vendor'")
    draft = (1, "draft", "2026-01-01")
    assert faults(contract(draft), contract(draft, provider="vendor")) == []


def test_terms_in_force_since_the_past_are_told() -> None:
    past, future = (2, "signed", "2026-06-01"), (2, "signed", "2026-07-01")
    (line,) = retroactive_revisions(contract(SIGNED), contract(SIGNED, past), NOW)
    assert line.startswith("revision 2: takes effect in the past")
    assert list(retroactive_revisions(contract(SIGNED), contract(SIGNED, future), NOW)) == []
    assert list(retroactive_revisions(contract(SIGNED, past), contract(SIGNED, past), NOW)) == []


def test_a_first_signature_may_lie_in_the_past() -> None:
    assert list(retroactive_revisions(contract((1, "draft", "2026-01-01")), contract(SIGNED), NOW)) == []


def test_every_revision_has_a_status_in_a_word() -> None:
    of = contract(
        (1, "negotiation", "2025-12-01"),
        (2, "signed", "2026-01-01"),
        (3, "signed", "2026-03-01"),
        (4, "draft", "2026-05-01"),
        (5, "signed", "2026-07-01"),
        (6, "terminated", "2027-01-01"),
    )

    def statuses(at: str) -> list[str]:
        return [status_at(of, revision, parse_instant(at)) for revision in of.revisions]

    assert statuses("2026-06-15T00:00:00Z") == ["negotiation", "revised", "in force", "draft", "signed", "announced"]
    assert statuses("2027-01-01T00:00:00Z") == ["negotiation", "revised", "revised", "draft", "ended", "terminated"]


def terminated(of: ContractModel, at: str = "2027-01-01T00:00:00Z", **more: Any) -> ContractModel:
    return with_termination(of, at, reason="moved away", by="slm", **more)


def test_a_termination_is_the_next_revision_with_its_reason() -> None:
    last = terminated(contract(SIGNED, (2, "draft", "2026-05-01"))).revisions
    assert [(each.revision, each.status.value) for each in last] == [(1, "signed"), (3, "terminated")]
    assert (last[-1].reason, last[-1].by) == ("moved away", "slm")
    ContractModel.model_validate(terminated(contract(SIGNED)).model_dump(mode="json", exclude_none=True))


def test_a_termination_at_the_same_instant_is_there_already() -> None:
    ended = contract(SIGNED, (2, "terminated", "2027-01-01"))
    assert terminated(ended, "2027-01-01T01:00:00+01:00") is ended


def test_a_termination_at_another_instant_moves_only_if_that_is_meant() -> None:
    ended = contract(SIGNED, (2, "terminated", "2026-12-01"))
    with pytest.raises(TerminationError, match="revision 2 terminates it at 2026-12-01T00:00:00Z already; --force"):
        terminated(ended)
    moved = terminated(ended, move=True)
    assert (moved.revisions[-1].revision, moved.ends_ms) == (2, parse_instant("2027-01-01T00:00:00Z"))


def test_what_can_not_be_terminated_is_told() -> None:
    with pytest.raises(TerminationError, match="nothing is signed"):
        terminated(contract((1, "draft", "2026-01-01")))
    with pytest.raises(TerminationError, match="revision 2 is signed and takes effect at 2027-01-01"):
        terminated(contract(SIGNED, (2, "signed", "2027-01-01")))


def test_a_review_is_due_at_the_start_of_its_date_where_the_revision_was_dated() -> None:
    def of(*revisions: dict[str, Any]) -> ContractModel:
        document = contract(SIGNED).model_dump(mode="json", exclude_none=True)
        return ContractModel.model_validate({**document, "revisions": list(revisions)})

    first = {
        "revision": 1,
        "status": "signed",
        "effective_from": "2026-01-01T00:00:00+07:00",
        "review_by": "2026-12-01",
        "calendar": "always",
        "targets": [TARGET],
    }
    assert of(first).review_by_ms == parse_instant("2026-12-01T00:00:00+07:00")
    assert of(first).to_domain().review_by_ms == of(first).review_by_ms
    revised = {**first, "revision": 2, "effective_from": "2027-01-01T00:00:00+07:00", "review_by": "2027-12-01"}
    assert of(first, revised).review_by_ms == parse_instant("2027-12-01T00:00:00+07:00"), "a signature is a review"
    assert of(first, {**revised, "status": "draft"}).review_by_ms == of(first).review_by_ms
    assert contract(SIGNED).review_by_ms is None
    assert contract(SIGNED).ends_ms is None


def test_a_termination_says_what_becomes_of_open_clocks_where_the_contract_says_otherwise() -> None:
    assert on_end_of(terminated(contract(SIGNED))) == "run_off"
    ended = terminated(contract(SIGNED), on_end=OnEnd.TERMINATE)
    assert (on_end_of(ended), ended.to_domain().targets[0].open_until_ms) == ("terminate", ended.ends_ms)
    assert terminated(ended) is ended, "no word about it leaves it as it is"
    with pytest.raises(TerminationError, match="with on_end: terminate; --force changes that"):
        terminated(ended, on_end=OnEnd.RUN_OFF)
    assert on_end_of(terminated(ended, on_end=OnEnd.RUN_OFF, move=True)) == "run_off"
    assert on_end_of(terminated(ended, "2027-02-01T00:00:00Z", move=True)) == "terminate", "moved, not changed"


def test_what_became_of_open_clocks_can_not_be_changed_after_the_end() -> None:
    ended = contract(SIGNED, (2, "terminated", "2026-03-01"))
    changed = ended.model_copy(update={"on_end": OnEnd.TERMINATE})
    (line,) = faults(ended, changed)
    assert (
        line
        == "on_end: was run_off when the contract ended, what became of its open clocks can't be terminate any more"
    )
    announced = contract(SIGNED, (2, "terminated", "2027-03-01"))
    assert faults(announced, announced.model_copy(update={"on_end": OnEnd.TERMINATE})) == []
