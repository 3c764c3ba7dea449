"""Burn policies as files, and what `contracts check` says of objectives under them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from config.burn_checks import burn_problems
from config.burn_policy import BurnPolicyError, load_burn_policy
from config.loader import load_agreements
from sla.burn_rate import BurnPair, Severity, wilson_lower_bound
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS

CONTRACT = """\
kind: Contract
id: portal
type: sla
level: customer
provider: it
customer: acme
owner: slm@acme.example
revisions:
  - revision: 1
    status: signed
    effective_from: 2026-01-01T00:00:00Z
    availability:
      - {id: up, service: portal, %s}
"""


def warnings_of(folder: Path, terms: str) -> list[str]:
    (folder / "portal.yaml").write_text(CONTRACT % terms)
    return [str(warning) for warning in load_agreements([folder]).warnings]


# --- the policy --------------------------------------------------------------------------------------------------------


def test_the_shipped_policy_is_that_of_the_workbook() -> None:
    policy = load_burn_policy()
    assert "sre.google/workbook" in policy.source
    rates = [(pair.severity.value, pair.name, float(pair.burn_rate(30 * DAY_MS) or 0)) for pair in policy.pairs]
    assert rates == [("page", "1h", 14.4), ("page", "6h", 6.0), ("ticket", "1d", 3.0), ("ticket", "3d", 1.0)]
    assert all(pair.short_ms * 12 == pair.long_ms for pair in policy.pairs)


def test_over_28_days_the_burn_rate_is_not_below_one() -> None:
    slow = load_burn_policy().pairs[-1]
    assert slow.burn_rate(28 * DAY_MS) == 1
    assert slow.spend_limit(28 * DAY_MS) == Fraction(3, 28)
    assert slow.spend_limit(31 * DAY_MS) == Fraction(1, 10)
    assert slow.spend_limit(2 * DAY_MS) is None, "longer than the objective's window"


def test_a_policy_of_ones_own_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "kind: BurnPolicy\nid: mine\nsource: agreed with the desk\n"
        "pairs: [{severity: page, spends: 25%, long: 2h, short: 10m}]\nsafeguards: {min_bad_events: 5}\n"
    )
    policy = load_burn_policy(file)
    assert policy.pairs == (BurnPair("2h", Severity.PAGE, Fraction(1, 4), 2 * HOUR_MS, 10 * MINUTE_MS),)
    assert policy.min_bad_events == 5


def test_faults_of_a_policy_are_told_all_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "kind: BurnPolicy\nid: mine\nsource: x\n"
        "pairs:\n  - {severity: pager, spends: 0%, long: 2h, short: 7m}\n"
        "  - {severity: page, spends: 5%, long: 120m, short: 10m}\n"
        "  - {severity: page, spends: 5%, long: 10bh, short: 9s}\n"
        "safeguards: {confidence: 20%}\n"
    )
    with pytest.raises(BurnPolicyError) as caught:
        load_burn_policy(file)
    told = str(caught.value)
    for part in (
        "pairs[0].severity",
        "pairs[0].spends: 0 % would fire always",
        "pairs[0].short: must be a twelfth of the long window: 10m",
        "pairs[1].long: is that of pairs[0]",
        "pairs[2].long: 10bh is no whole number of minutes",
        "pairs[2].short: 9s is no whole number of minutes",
        "safeguards.confidence: must be between 50% and 99.99%",
    ):
        assert part in told


@pytest.mark.parametrize("text", ["", "a: 1\n---\nb: 2\n", "- 1\n", "kind: [", "kind: Other\n"])
def test_what_is_no_policy_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(BurnPolicyError, match=r"mine\.yaml"):
        load_burn_policy(file)
    with pytest.raises(BurnPolicyError, match="can't be read"):
        load_burn_policy(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("bad", "events"), [(1, 6), (5, 10), (10, 10), (500, 1000), (1, 100_000)])
def test_lower_bounds_are_those_of_wilsons_interval(bad: int, events: int) -> None:
    """It is where what was seen lies z standard deviations above: (share - p)^2 = z^2 p (1 - p) / n."""
    z = 1.6448536269514722
    bound = wilson_lower_bound(bad, events, z)
    assert 0 < bound < bad / events
    assert (bad / events - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / events)


def test_without_bad_events_the_lower_bound_is_zero() -> None:
    assert wilson_lower_bound(0, 0, 1.6) == wilson_lower_bound(0, 10, 1.6) == 0.0


# --- contracts check ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attain", ["99.9%", "99%", "95%", "93.06%"])
def test_pairs_that_a_total_outage_sets_off_are_no_news(tmp_path: Path, attain: str) -> None:
    assert warnings_of(tmp_path, f"attain: {attain}, over: 30d") == []


def test_pairs_that_can_never_fire_are_told_with_the_reason(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, "attain: 90%, over: 30d")
    assert warning.endswith(
        "revisions[0].availability[0].attain: at 90% over 30d even a total outage spends 1.4% of the budget in 1h: "
        "page at 2% in 1h can never fire; the first to see one is after 3h37m"
    )
    (warning,) = warnings_of(tmp_path, "attain: 80%, over: 1 month, timezone: UTC, kind: request_ratio")
    assert "page at 2% in 1h, page at 5% in 6h can never fire; the first to see one is after 14h25m" in warning
    assert "even a total outage at even traffic spends 0.7% of the budget in 1h, 4.2% of the budget in 6h" in warning


def test_a_promise_of_everything_fires_on_one_event(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, "attain: 100%, over: 30d")
    assert "fire on one bad event" in warning


def test_slices_so_long_that_one_is_the_budget_are_told(tmp_path: Path) -> None:
    (warning,) = warnings_of(tmp_path, "attain: 99.99%, over: 30d, slice: 5m")
    assert ".slice: one bad slice of 5m spends 115.7% of the budget" in warning
    assert "waits for 3 bad slices, when all of it is spent" in warning
    assert warnings_of(tmp_path, "attain: 99.9%, over: 30d, slice: 1m") == []


def test_a_policy_without_safeguards_fires_on_one_event(tmp_path: Path) -> None:
    policy = tmp_path / "mine.yaml"
    policy.write_text(
        "kind: BurnPolicy\nid: mine\nsource: agreed\n"
        "pairs: [{severity: page, spends: 2%, long: 1h, short: 5m}]\nsafeguards: {min_bad_events: 1}\n"
    )
    folder = tmp_path / "contracts"
    folder.mkdir()
    assert warnings_of(folder, "attain: 99.9%, over: 30d") == []
    (contract,) = load_agreements([folder]).contracts.values()
    ((loc, message),) = burn_problems(contract, load_burn_policy(policy))
    assert loc[-1] == "slice"
    assert "one bad slice of 1m spends 2.3% of the budget: page at 2% in 1h fires on one" in message


def test_check_notes_what_even_traffic_of_tickets_can_not_set_off() -> None:
    result = CliRunner().invoke(app, ["contracts", "check", "config/contracts"])
    assert result.exit_code == 0
    notes = [line for line in result.stderr.splitlines() if line.startswith("note: ")]
    assert any("second-line: " in note and "at 85% over 30d" in note for note in notes)
    assert not any("at 95% over month" in note for note in notes)
