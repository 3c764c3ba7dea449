"""What is promised, as objectives see it: the share of clocks met, or of availability, with its terms in time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction

from sla.contract import Window
from sla.register import Register
from sla.units import NEVER


@dataclass(frozen=True, slots=True)
class Promise:
    """One revision of one objective.

    Attributes
    ----------
    id : str
        Id of the objective.
    counted_as : str
        What its counts go by: id of the target, or of the availability objective.
    from_ms, until_ms : int
        While it is in force, half-open. An objective over clocks stays until another revision of its target replaces
        it, also when its contract has ended: the clocks run off.
    is_availability : bool
        Whether it is about a service's availability, not about clocks.
    """

    id: str
    counted_as: str
    contract: str
    team: str | None
    attain: Fraction
    window: Window
    from_ms: int
    until_ms: int
    is_availability: bool = False


class Promises:
    """All objectives of a register, with their revisions."""

    def __init__(self, register: Register) -> None:
        self._revisions: dict[str, list[Promise | None]] = {}
        self._starts: dict[str, list[int]] = {}
        self._collect(register)

    def _collect(self, register: Register) -> None:
        found: dict[str, list[tuple[int, Promise | None]]] = defaultdict(list)
        for target in sorted(register.targets, key=lambda of: (of.id, of.effective_from_ms, of.revision)):
            promise = None
            if target.objective is not None:
                objective = target.objective
                promise = Promise(
                    objective.id,
                    target.id,
                    target.contract,
                    target.team,
                    objective.attain,
                    objective.window,
                    target.effective_from_ms,
                    NEVER,
                )
            found[target.id].append((target.effective_from_ms, promise))
        for of in register.availabilities:
            own = found[of.id]
            own.append(
                (
                    of.effective_from_ms,
                    Promise(
                        of.id,
                        of.id,
                        of.contract,
                        of.team,
                        of.attain,
                        of.window,
                        of.effective_from_ms,
                        of.effective_until_ms,
                        is_availability=True,
                    ),
                )
            )
        for counted_as, revisions in found.items():
            # The terms that are signed and not in force yet are those of what is counted before them.
            self._starts[counted_as] = [start_ms for start_ms, _ in revisions[1:]]
            self._revisions[counted_as] = [promise for _, promise in revisions]

    @property
    def counted(self) -> list[str]:
        """What is counted for some objective, ascending."""
        return sorted(self._revisions)

    def is_availability(self, counted_as: str) -> bool:
        """Tell whether something is counted for the availability of a service."""
        return any(promise is not None and promise.is_availability for promise in self._revisions.get(counted_as, ()))

    def of(self, counted_as: str, at_ms: int) -> Promise | None:
        """Return the promise in force at an instant, or None."""
        revisions = self._revisions.get(counted_as)
        if revisions is None:
            return None
        promise = revisions[bisect_right(self._starts[counted_as], at_ms)]
        return None if promise is None or promise.until_ms <= at_ms else promise

    def first_from_ms(self, counted_as: str) -> int:
        """Return when what is counted was promised first."""
        return min((promise.from_ms for promise in self._revisions.get(counted_as, ()) if promise), default=0)

    def changes(self, counted_as: str, after_ms: int, until_ms: int) -> list[int]:
        """Return the instants in ``(after, until]`` at which another revision takes effect, or one ends."""
        instants = set(self._starts.get(counted_as, ()))
        instants |= {promise.until_ms for promise in self._revisions.get(counted_as, ()) if promise}
        return sorted(instant for instant in instants if after_ms < instant <= until_ms)
