"""Objectives against the burn policy: pairs of windows that can never fire, and those that fire on one event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction

from config.burn_policy import load_burn_policy
from config.contract_model import ContractModel
from config.faults import Loc
from sla.availability import AvailabilityKind
from sla.burn_rate import BurnPair, BurnPolicy
from sla.contract import Objective, Window
from sla.duration import format_duration, parse_window
from sla.units import parse_ratio
from sla.window import nominal_length_ms, window_name


def burn_problems(contract: ContractModel, policy: BurnPolicy | None = None) -> Iterator[tuple[Loc, str]]:
    """Yield what the burn-rate alerts of a contract's availability objectives can't do, with its place.

    Time comes evenly, and so, about, do requests: what a total outage does not spend is never spent. Tickets come in
    bursts, see :func:`burn_notes`.
    """
    policy = policy or load_burn_policy()
    for i, revision in enumerate(contract.revisions):
        for j, target in enumerate(revision.targets):
            if target.objective is not None and parse_ratio(target.objective.attain) == 1:
                yield ("revisions", i, "targets", j, "objective", "attain"), _fires_on_one()
        for j, promised in enumerate(revision.availability or ()):
            attain, window = parse_ratio(promised.attain), parse_window(promised.over, promised.timezone or "UTC")
            loc: Loc = ("revisions", i, "availability", j)
            if attain == 1:
                yield (*loc, "attain"), _fires_on_one()
                continue
            blunt = never_firing(policy, attain, window)
            if blunt:
                evenly = "" if promised.kind is AvailabilityKind.TIME_SLICES else " at even traffic"
                yield (*loc, "attain"), _never(policy, attain, window, blunt, f"even a total outage{evenly}")
            if promised.kind is AvailabilityKind.TIME_SLICES:
                yield from _coarse(policy, attain, window, promised.slice or "1m", (*loc, "slice"))


def burn_notes(contracts: Iterable[ContractModel], policy: BurnPolicy | None = None) -> Iterator[str]:
    """Yield a line per contract and promise over clocks that some pairs can't see as long as tickets come evenly."""
    policy = policy or load_burn_policy()
    for contract in contracts:
        groups: dict[tuple[Fraction, Window], list[str]] = defaultdict(list)
        for target in contract.to_domain().targets:
            if target.objective is not None and target.objective.id not in groups[_terms(target.objective)]:
                groups[_terms(target.objective)].append(target.objective.id)
        for (attain, window), ids in groups.items():
            blunt = never_firing(policy, attain, window)
            if blunt:
                named = ids[0] if len(ids) == 1 else f"{ids[0]} and {len(ids) - 1} more"
                what = "where tickets come evenly a breach of every one"
                yield f"{contract.id}: {named}: {_never(policy, attain, window, blunt, what)}"


def never_firing(policy: BurnPolicy, attain: Fraction, window: Window) -> list[BurnPair]:
    """Return the pairs that apply to an objective and that not even a total outage lets fire, where events come evenly.

    A burn rate can't be higher than 1 / (1 - attain).
    """
    length_ms = nominal_length_ms(window)
    return [pair for pair, _ in policy.limits(length_ms) if not pair.can_fire(attain, length_ms)]


def _terms(objective: Objective) -> tuple[Fraction, Window]:
    return objective.attain, objective.window


def _never(policy: BurnPolicy, attain: Fraction, window: Window, blunt: list[BurnPair], what: str) -> str:
    length_ms = nominal_length_ms(window)
    spends = [
        f"{float(Fraction(pair.long_ms, length_ms) / (1 - attain)):.1%} of the budget in {pair.name}" for pair in blunt
    ]
    pairs = [f"{pair.severity.value} at {float(pair.spends):.0%} in {pair.name}" for pair in blunt]
    seen = [pair for pair, _ in policy.limits(length_ms) if pair not in blunt]
    first = min((_first_ms(pair, attain, length_ms) for pair in seen), default=None)
    after = "" if first is None else f"; the first to see one is after {format_duration(first, business=False)}"
    return (
        f"at {float(attain) * 100:g}% over {window_name(window)} {what} spends {', '.join(spends)}: "
        f"{', '.join(pairs)} can never fire{after}"
    )


def _first_ms(pair: BurnPair, attain: Fraction, length_ms: int) -> int:
    """Return after how many whole minutes of a total outage a pair fires, in ms."""
    limit = pair.spend_limit(length_ms)
    assert limit is not None, "a pair that applies"
    return (int(limit * (1 - attain) * length_ms) // 60_000 + 1) * 60_000


def _coarse(policy: BurnPolicy, attain: Fraction, window: Window, written: str, loc: Loc) -> Iterator[tuple[Loc, str]]:
    length_ms = nominal_length_ms(window)
    slice_ms = parse_window(written).rolling_ms
    assert slice_ms is not None, "a slice is a length of time"
    slices = length_ms // slice_ms
    budget = (1 - attain) * slices
    at_one = [pair for pair, _ in policy.limits(length_ms) if pair.events_to_fire(attain, length_ms, slices) == 1]
    if not at_one:
        return
    pairs = ", ".join(f"{pair.severity.value} at {float(pair.spends):.0%} in {pair.name}" for pair in at_one)
    share = f"one bad slice of {written} spends {float(1 / budget):.1%} of the budget"
    if policy.min_bad_events <= 1:
        yield loc, f"{share}: {pairs} fires on one: shorter slices, or min_bad_events"
    elif budget < policy.min_bad_events:
        yield (
            loc,
            f"{share}: {pairs} waits for {policy.min_bad_events} bad slices, when all of it is spent: shorter slices",
        )


def _fires_on_one() -> str:
    return "100 % has no error budget: its alerts fire on one bad event"
