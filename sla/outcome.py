"""Facts that go out: verdicts, alerts, rollups. Effects are values: the engine returns them, an agent sends them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from sla.units import format_instant


class Result(StrEnum):
    """How one clock ended. Only ``met`` and ``breached`` count towards an objective."""

    MET = "met"
    BREACHED = "breached"
    CANCELLED = "cancelled"
    MERGED = "merged"
    SUPERSEDED = "superseded"
    """Another target applies since an attribute of the ticket changed; the clock goes on under that one."""
    TERMINATED = "terminated"
    """The contract ended."""
    RETRACTED = "retracted"
    """A late event showed that this clock never was; consumers drop it."""


class Share(NamedTuple):
    """How long one party held a ticket while a clock was on.

    Attributes
    ----------
    party : str
        ``customer``, ``supplier``, ``supplier:<name>``, ``team:<name>``, ``unassigned`` or ``solved``.
    elapsed_ms : int
        Wall-clock time; that of all parties is the clock's.
    counted_ms : int
        Time that counted; that of all parties is what the clock consumed.
    paused_ms : int
        Time that would have counted, had the clock not been paused.
    """

    party: str
    elapsed_ms: int
    counted_ms: int
    paused_ms: int


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one clock; the last one published for a ``clock_id`` is in force.

    Holds no worker, offset or processing time: same events, same register and same final instant give the same
    verdict, bit by bit.

    Attributes
    ----------
    decided_at_ms : int
        Places the verdict in its bucket: the stop if met, the deadline if breached (also when stopped later).
    stop_ms : int or None
        When the clock stopped; None for a breached clock that still runs.
    consumed_ms, elapsed_ms : int
        Business time (or elapsed, as the target counts) and wall-clock time, up to the stop, or to the deadline of
        a clock that still runs.
    parties : tuple of Share
        Who held the ticket in that time, by party.
    endangers : tuple of (contract, target, cycle)
        Of an OLA or UC: the ticket's clocks of the SLAs it supports.
    """

    ticket: str
    contract: str
    target: str
    metric: str
    revision: int
    cycle: int
    result: Result
    start_ms: int
    deadline_ms: int
    stop_ms: int | None
    decided_at_ms: int
    target_ms: int
    consumed_ms: int
    elapsed_ms: int
    parties: tuple[Share, ...] = ()
    endangers: tuple[tuple[str, str, int], ...] = ()

    @property
    def attribution(self) -> int:
        """CRC-32 of ``parties`` and ``endangers``: whether they are what was told before."""
        return crc32(msgspec.msgpack.encode((self.parties, self.endangers)))

    @property
    def clock_id(self) -> str:
        """``ticket:target:cycle``; parse it from the right."""
        return f"{self.ticket}:{self.target}:{self.cycle}"

    def document(self) -> dict[str, Any]:
        """Return the public JSON document of the verdict: instants in RFC 3339, absent is null."""
        return {
            "clock_id": self.clock_id,
            "ticket": self.ticket,
            "contract": self.contract,
            "target": self.target,
            "metric": self.metric,
            "revision": self.revision,
            "cycle": self.cycle,
            "outcome": self.result.value,
            "start": format_instant(self.start_ms),
            "deadline": format_instant(self.deadline_ms),
            "stop": None if self.stop_ms is None else format_instant(self.stop_ms),
            "decided_at": format_instant(self.decided_at_ms),
            "target_seconds": self.target_ms / 1000,
            "consumed_seconds": self.consumed_ms / 1000,
            "elapsed_seconds": self.elapsed_ms / 1000,
            **shares_document(self.parties),
            "endangers": endangered_document(self.ticket, self.endangers),
        }


def shares_document(parties: tuple[Share, ...]) -> dict[str, dict[str, float]]:
    """Return the public fields that say who held a ticket, each with seconds by party.

    ``parties``: wall-clock time; ``parties_counted``: time that counted; ``parties_paused``: time that would have, had
    the clock not been paused. Of the last two only parties with any.
    """
    return {
        "parties": {share.party: share.elapsed_ms / 1000 for share in parties},
        "parties_counted": {share.party: share.counted_ms / 1000 for share in parties if share.counted_ms},
        "parties_paused": {share.party: share.paused_ms / 1000 for share in parties if share.paused_ms},
    }


def endangered_document(ticket: str, endangers: tuple[tuple[str, str, int], ...]) -> list[dict[str, str]]:
    """Return the public form of SLA clocks that an OLA's or UC's clock supports."""
    return [{"contract": contract, "clock_id": f"{ticket}:{target}:{cycle}"} for contract, target, cycle in endangers]


class AlertKind(StrEnum):
    """What an alert is about; the value is its Alertmanager ``alertname``."""

    TICKET_AT_RISK = "SLATicketAtRisk"
    TICKET_BREACHED = "SLATicketBreached"
    OBJECTIVE_BUDGET_SPENT = "SLAObjectiveBudgetSpent"
    OBJECTIVE_BURNING = "SLAObjectiveBurning"
    SERVICE_DOWN = "SLAServiceDown"
    CONTRACT_REVIEW_DUE = "SLAContractReviewDue"
    CONTRACT_ENDING = "SLAContractEnding"


class AlertState(StrEnum):
    """State of one alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True, gc=False):
    """State of one alert, as published on sla.alerts (key: ``id``; the last record is in force).

    Attributes
    ----------
    id : str
        Deterministic: kind and subject, for example ``SLATicketAtRisk/INC-1:printing-response:1``.
    at_ms : int
        Instant of the decision, event time.
    labels : dict
        Identity at Alertmanager; never holds a value that changes while the alert fires.
    annotations : dict
        Prose and numbers for people; event instants are here.
    """

    id: str
    kind: AlertKind
    state: AlertState
    severity: str
    at_ms: int
    labels: dict[str, str]
    annotations: dict[str, str]
