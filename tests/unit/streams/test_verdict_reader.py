"""Verdicts and statements read back from their topics."""

from __future__ import annotations

from typing import Any

import pytest

from sla.outcome import Result, Share, Verdict
from sla.statement_desk import IssuedStatement
from streams.codecs import encode_verdict
from streams.statement_codec import StatementHistory, encode_statement
from streams.verdict_reader import VerdictHistory, decode_verdict
from tests.support.fake_kafka import Record
from tests.support.records import made_by

VERDICT = Verdict(
    ticket="INC:1",
    contract="desk",
    target="response",
    metric="response",
    revision=2,
    cycle=3,
    result=Result.BREACHED,
    start_ms=1_772_417_727_123,
    deadline_ms=1_772_417_828_456,
    stop_ms=1_772_417_929_001,
    decided_at_ms=1_772_417_828_456,
    target_ms=101_333,
    consumed_ms=201_878,
    elapsed_ms=201_878,
    parties=(Share("customer", 1, 0, 1), Share("team:a", 201_877, 201_878, 0)),
)


def changed(**changes: Any) -> Verdict:
    return Verdict(**{**{name: getattr(VERDICT, name) for name in VERDICT.__struct_fields__}, **changes})


@pytest.mark.parametrize("verdict", [VERDICT, changed(stop_ms=None, parties=()), changed(result=Result.MET)])
def test_a_verdict_is_read_as_it_was_written(verdict: Verdict) -> None:
    assert decode_verdict(encode_verdict(verdict)) == verdict


def history(*verdicts: tuple[Verdict, int]) -> VerdictHistory:
    found = VerdictHistory()
    for verdict, seq in verdicts:
        found.take(made_by(Record(0, b"INC:1", encode_verdict(verdict)), "sla.tickets/0", seq))
    return found


def test_the_last_verdict_is_in_force_and_the_change_is_a_correction() -> None:
    met = changed(result=Result.MET, decided_at_ms=VERDICT.deadline_ms - 5)
    found = history((VERDICT, 1), (met, 2))
    assert list(found.in_force.values()) == [met]
    assert found.corrections == [(VERDICT, met)]


def test_a_stop_after_the_breach_is_no_correction() -> None:
    assert history((changed(stop_ms=None), 1), (VERDICT, 2)).corrections == []


def test_a_retracted_clock_never_was() -> None:
    found = history((VERDICT, 1), (changed(result=Result.RETRACTED), 2))
    assert found.in_force == {}
    assert found.corrections == [(VERDICT, None)]


def test_what_was_sent_again_is_dropped() -> None:
    met = changed(result=Result.MET)
    found = history((VERDICT, 1), (met, 2), (VERDICT, 1))
    assert list(found.in_force.values()) == [met]
    assert len(found.corrections) == 1


def test_what_is_no_verdict_of_a_worker_is_counted() -> None:
    found = VerdictHistory()
    found.take(Record(0, b"k", b"{}"))
    found.take(Record(1, b"k", encode_verdict(VERDICT)))
    assert found.unreadable == 2
    assert found.in_force == {}


def statement(revision: int, good: int, as_of: str = "2026-11-04T00:00:00.000Z") -> Record:
    document = {"objective": "o", "period": "2026-10", "revision": revision, "as_of": as_of, "good": good, "bad": 1}
    return Record(0, b"o|2026-10", encode_statement(IssuedStatement("o|2026-10", document)))


def test_the_newest_statement_of_a_period_counts() -> None:
    found = StatementHistory()
    for record in (
        statement(0, 5),
        statement(1, 7),
        statement(0, 6, "2026-12-01T00:00:00.000Z"),
        Record(9, b"x", b"[]"),
    ):
        found.take(record)
    assert found.issued == {("o", "2026-10"): (1, 7, 1)}
    assert found.as_of_ms == 1_796_083_200_000
