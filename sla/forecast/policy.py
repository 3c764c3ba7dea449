"""What an alert policy would have paged: how many pages, how many of them right, how early.

A policy sees a clock at its events and at each 5 % of its target, as a worker does. It *pages* when it begins to fire;
a clock that falls silent and fires again pages again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Final, NamedTuple

_SEARCH_STEPS: Final = 14


class Look(NamedTuple):
    """One look at a running clock.

    Attributes
    ----------
    share : float
        Consumed share of the target.
    probability : float
    is_trusted : bool
        Whether the forecast might page then.
    is_first : bool
        The clock has just started.
    """

    share: float
    probability: float
    is_trusted: bool
    is_first: bool


class WatchedClock(NamedTuple):
    """All looks at a clock, in order, and its outcome."""

    breached: bool
    looks: Sequence[Look]


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When to page for a clock.

    Attributes
    ----------
    name : str
    consumed : float or None
        Page from this share of the target on. With a probability it is the backstop: a page in any case.
    page, clear : float or None
        Page at this probability, and stay silent once it falls below ``clear``; 0: one page per clock. Never at a
        clock's start: a high probability there says something about the queue.
    untrusted : float or None
        Page from this share on, instead of by probability, while the forecast is not trusted; None: always trust it.
    """

    name: str
    consumed: float | None = None
    page: float | None = None
    clear: float | None = None
    untrusted: float | None = None

    def fires(self, look: Look, *, fired: bool) -> bool:
        """Tell whether the policy fires at a look, given whether it did at the one before."""
        consumed = self.consumed
        if self.page is not None:
            if look.is_trusted or self.untrusted is None:
                level = self.page if not fired or self.clear is None else self.clear
                if look.probability >= level and not look.is_first:
                    return True
            elif look.share >= self.untrusted:
                return True
        return consumed is not None and look.share >= consumed


CONSUMED_POLICIES: Final = tuple(AlertPolicy(f"consumed-{percent}", consumed=percent / 100) for percent in (50, 75, 90))
"""The fixed rules."""

DEFAULT_POLICY: Final = AlertPolicy("probability-70", consumed=0.9, page=0.7, clear=0.6, untrusted=0.75)
"""What workers page by unless an agreement says otherwise."""

ONCE_POLICY: Final = AlertPolicy("probability-70-once", consumed=0.9, page=0.7, clear=0.0, untrusted=0.75)
"""The same with one page per clock, however its probability moves afterwards."""

UNGATED_POLICY: Final = AlertPolicy("probability-70-ungated", consumed=0.9, page=0.7, clear=0.0)
"""The same, trusted from the first clock on."""

BUILT_IN: Final = (*CONSUMED_POLICIES, DEFAULT_POLICY, ONCE_POLICY, UNGATED_POLICY)


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy would have done.

    Attributes
    ----------
    pages : int
        Pages sent; a clock may be paged more than once.
    clocks : int
        Clocks paged.
    precision : float or None
        Share of the pages whose clock breached; None: no pages.
    recall : float or None
        Share of the breached clocks that were paged before; None: none breached.
    mean_lead, median_lead : float or None
        Share of the target left at the first page, of the breached clocks that were paged.
    """

    policy: AlertPolicy
    pages: int
    clocks: int
    precision: float | None
    recall: float | None
    mean_lead: float | None
    median_lead: float | None


def judged(policy: AlertPolicy, watched: Iterable[WatchedClock]) -> PolicyResult:
    """Return what a policy would have done with some clocks."""
    pages = true_pages = clocks = breached = 0
    leads: list[float] = []
    for clock in watched:
        breached += clock.breached
        fired = False
        paged = 0
        for look in clock.looks:
            fires = policy.fires(look, fired=fired)
            if fires and not fired:
                paged += 1
                if paged == 1 and clock.breached:
                    leads.append(1 - look.share)
            fired = fires
        pages += paged
        clocks += paged > 0
        true_pages += paged if clock.breached else 0
    return PolicyResult(
        policy,
        pages,
        clocks,
        true_pages / pages if pages else None,
        len(leads) / breached if breached else None,
        fmean(leads) if leads else None,
        median(leads) if leads else None,
    )


def with_pages_of(rule: PolicyResult, watched: Sequence[WatchedClock], *, backstop: float = 0.9) -> PolicyResult:
    """Return the probability policy, one page per clock, with as many pages as a rule, or just fewer.

    Found by halving: pages need not fall evenly as the threshold rises, so a little apart from the nearest is possible.
    """
    policy = AlertPolicy(f"probability, pages of {rule.policy.name}", consumed=backstop, page=1.0, clear=0.0)
    best = judged(policy, watched)
    low, high = 0.0, 1.0
    for _ in range(_SEARCH_STEPS):
        middle = (low + high) / 2
        found = judged(replace(policy, page=middle), watched)
        if found.pages > rule.pages:
            low = middle
        else:
            high, best = middle, found
    return best
