"""The names of targets in verdicts: stored when first published, found when their contract is gone."""

from __future__ import annotations

import pytest

from sla.published_terms import TERMS_FORMAT, PublishedTerms, Terms
from sla.row import RowFormatError
from sla.units import HOUR_MS
from tests.support.domain import target


def stored(terms: PublishedTerms) -> dict[bytes, bytes]:
    rows: dict[bytes, bytes | None] = {}
    terms.finish(rows)
    return {key: row for key, row in rows.items() if row is not None}


def test_each_revision_of_a_target_has_its_own_terms() -> None:
    terms = PublishedTerms()
    terms.note(target("größe:x", within="8bh", revision=1))
    terms.note(target("größe:x", within="4bh", metric="response", contract="acme", revision=12))
    restored = PublishedTerms()
    for key, row in stored(terms).items():
        restored.load(key, row)
    assert restored.get("größe:x", 1) == Terms("desk", "resolution", 8 * HOUR_MS)
    assert restored.get("größe:x", 12) == Terms("acme", "response", 4 * HOUR_MS)
    assert restored.get("größe:x", 2) is None
    restored.note(target("größe:x", within="8bh", revision=1))
    assert stored(restored) == {}, "it is stored already"


def test_a_row_of_a_newer_release_is_refused() -> None:
    terms = PublishedTerms()
    terms.note(target())
    [(key, row)] = stored(terms).items()
    with pytest.raises(RowFormatError, match="format 2 of published terms, this release reads 1"):
        PublishedTerms().load(key, bytes((TERMS_FORMAT + 1,)) + row[1:])
