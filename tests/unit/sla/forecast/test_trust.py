"""When a model may page."""

from __future__ import annotations

from sla.forecast.trust import FEWEST_VERDICTS, TrustGate, TrustReason


def learn(gate: TrustGate, verdicts: int, *, every_page_true: int | None = None, paged_every: int = 5) -> None:
    """Let verdicts come in, every fifth of a paged clock; of its pages every n-th comes true (None: none does)."""
    pages = 0
    for number in range(verdicts):
        paged = number % paged_every == 0
        pages += paged
        breached = paged and every_page_true is not None and pages % every_page_true == 0
        gate.learn(paged_at=gate.verdicts if paged else None, breached=breached)


def test_a_cold_start_is_not_trusted_and_says_how_far_it_is() -> None:
    gate = TrustGate()
    learn(gate, FEWEST_VERDICTS - 1, every_page_true=1)
    assert gate.state().reason is TrustReason.COLD_START
    assert not gate.is_trusted
    assert "199 of 200 verdicts" in gate.state().in_words()
    learn(gate, 1, every_page_true=1)
    assert gate.is_trusted
    assert gate.state().is_trusted


def test_trust_is_lost_when_pages_stop_coming_true_and_returns_with_them() -> None:
    gate = TrustGate()
    learn(gate, 500, every_page_true=1)
    assert gate.is_trusted
    learn(gate, 300)
    state = gate.state()
    assert state.reason is TrustReason.IMPRECISE
    assert state.precision is not None
    assert state.precision < 0.5
    assert "of the forecast's recent pages came true" in state.in_words()
    learn(gate, 600, every_page_true=1)
    assert gate.is_trusted


def test_a_few_false_pages_are_chance() -> None:
    gate = TrustGate()
    learn(gate, 500, every_page_true=1)
    learn(gate, 25)
    assert gate.is_trusted


def test_two_thirds_true_are_enough_for_good() -> None:
    gate = TrustGate()
    for number in range(5_000):
        gate.learn(paged_at=gate.verdicts, breached=number % 3 != 0)
        assert gate.verdicts < FEWEST_VERDICTS or gate.is_trusted


def test_pages_of_long_ago_say_little_about_today() -> None:
    gate = TrustGate()
    learn(gate, 2_000, every_page_true=1)
    for _ in range(100):  # tickets paged before the drift come back from waiting, all at once
        gate.learn(paged_at=max(0, gate.verdicts - 2_000), breached=False)
    assert gate.is_trusted


def test_a_stored_gate_comes_back_as_it_was() -> None:
    gate = TrustGate()
    learn(gate, 700, every_page_true=2)
    assert TrustGate.restored(gate.document()).state() == gate.state()
