"""How good predictions are, against numbers worked out by hand."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from sla.forecast.quality import LiveQuality, quality_of


def quality(*scored: tuple[float, int]):
    found = quality_of(np.array([p for p, _ in scored]), np.array([bool(b) for _, b in scored]))
    assert found is not None
    return found


def test_no_predictions_have_no_quality() -> None:
    assert quality_of(np.array([]), np.array([], bool)) is None


def test_log_loss_and_brier_are_means_over_predictions() -> None:
    found = quality((0.8, 1), (0.4, 0))
    assert found.log_loss == pytest.approx(-(log(0.8) + log(0.6)) / 2)
    assert found.brier == pytest.approx((0.04 + 0.16) / 2)
    assert (found.predictions, found.breached) == (2, 1)


def test_auc_is_the_share_of_pairs_in_the_right_order_and_ties_count_half() -> None:
    assert quality((0.9, 1), (0.1, 0)).auc == 1
    assert quality((0.1, 1), (0.9, 0)).auc == 0
    assert quality((0.5, 1), (0.5, 0)).auc == 0.5
    # pairs: .8>.3 yes, .8>.5 yes, .4>.3 yes, .4>.5 no
    assert quality((0.8, 1), (0.4, 1), (0.3, 0), (0.5, 0)).auc == 0.75
    assert quality((0.8, 1), (0.4, 1)).auc is None


def test_calibration_error_weighs_bins_by_their_predictions() -> None:
    found = quality((0.15, 0), (0.15, 0), (0.15, 1), (0.95, 1))
    assert found.bins[1] == (3, pytest.approx(0.15), pytest.approx(1 / 3))
    assert found.bins[9] == (1, pytest.approx(0.95), 1)
    assert found.ece == pytest.approx(3 / 4 * (1 / 3 - 0.15) + 1 / 4 * 0.05)


def test_certainty_that_was_wrong_costs_much_and_not_infinitely() -> None:
    assert 20 < quality((1.0, 0), (0.0, 1)).log_loss < 100


def test_live_quality_forgets() -> None:
    live = LiveQuality()
    assert live.brier is None
    for _ in range(5_000):
        live.take(0.9, breached=False)
    assert live.brier == pytest.approx(0.81)
    for _ in range(20_000):
        live.take(0.9, breached=True)
    assert live.brier == pytest.approx(0.01, abs=0.001)
    assert live.bins[9].predicted == pytest.approx(0.9)
    assert live.bins[9].observed == pytest.approx(1, abs=0.001)


def test_stored_live_quality_comes_back_as_it_was() -> None:
    live = LiveQuality()
    live.take(0.3, breached=True)
    live.take(0.7, breached=False)
    restored = LiveQuality.restored(live.document())
    assert (restored.brier, restored.bins) == (live.brier, live.bins)
