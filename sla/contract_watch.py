"""What comes due in the life of a contract: its review, and its end. Told ahead of time, once, to who answers for it.

A contract belongs to one partition of the objectives, chosen by its id, so that one worker tells about it. What fires
is kept in that partition's rows: a restart tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from sla.contract import Contract
from sla.outcome import Alert, AlertKind, AlertState
from sla.register import Register
from sla.row import RowFormatError
from sla.units import DAY_MS, NEVER, format_instant

DUE_PREFIX: Final = b"d"
"""Key prefix of the rows kept here; the rest of the key is the alert's id."""

ROW_FORMAT: Final = 1

NOTICE_MS: Final = 30 * DAY_MS
"""How long ahead reviews and ends are told, unless set otherwise."""


class _Told(msgspec.Struct, array_like=True, frozen=True):
    """What was told of an alert that fires; new fields go to the end, with a default."""

    contract: str
    due_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Told).decode


@dataclass(frozen=True, slots=True)
class Due:
    """One thing that comes due.

    Attributes
    ----------
    from_ms, until_ms : int
        While now lies in ``[from, until)`` it is told; a review that nobody does is told without end.
    due_ms : int
        The date of the review, or the instant of the end.
    """

    kind: AlertKind
    contract: str
    from_ms: int
    due_ms: int
    until_ms: int

    @property
    def id(self) -> str:
        """Id of the alert."""
        return f"{self.kind.value}/{self.contract}"


class ContractWatch:
    """Reviews and ends of the contracts of one partition.

    Parameters
    ----------
    is_mine : callable
        Whether a contract, by its id, belongs to this partition.
    notice_ms : int
        How long ahead they are told.
    """

    def __init__(self, is_mine: Callable[[str], bool], notice_ms: int = NOTICE_MS) -> None:
        self._is_mine = is_mine
        self._notice_ms = notice_ms
        self._told: dict[str, _Told] = {}
        self._contracts: dict[str, Contract] = {}
        self._next_change_ms = 0

    def load(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        """Take restored rows over; those of other prefixes are passed over.

        Raises
        ------
        RowFormatError
            If a newer release wrote a row.
        """
        for key, row in rows:
            if key[:1] == DUE_PREFIX:
                if row[0] != ROW_FORMAT:
                    raise RowFormatError(
                        f"row format {row[0]}, this release reads {ROW_FORMAT}: a newer worker wrote it"
                    )
                self._told[key[1:].decode()] = _decode(row[1:])

    def set_register(self, register: Register) -> None:
        """Put a new register in force."""
        self._contracts = {name: contract for name, contract in register.contracts.items() if self._is_mine(name)}
        self._next_change_ms = 0

    def judge(self, now_ms: int) -> tuple[dict[bytes, bytes | None], list[Alert]]:
        """Return the rows that change and the alerts that are told, as of an instant that never goes back.

        An alert that fires is told again when its date moves. Costs one comparison while nothing comes due.
        """
        if now_ms < self._next_change_ms:
            return {}, []
        dues = {due.id: due for contract in self._contracts.values() for due in dues_of(contract, self._notice_ms)}
        firing = {name: due for name, due in dues.items() if due.from_ms <= now_ms < due.until_ms}
        rows: dict[bytes, bytes | None] = {}
        alerts: list[Alert] = []
        for name, due in firing.items():
            told = _Told(due.contract, due.due_ms)
            if self._told.get(name) != told:
                self._told[name] = told
                rows[DUE_PREFIX + name.encode()] = bytes((ROW_FORMAT,)) + _encode(told)
                alerts.append(_firing(due, self._contracts[due.contract], now_ms))
        for name in [name for name in self._told if name not in firing]:
            told = self._told.pop(name)
            rows[DUE_PREFIX + name.encode()] = None
            alerts.append(_resolved(name, told, self._contracts.get(told.contract), now_ms))
        bounds = [bound for due in dues.values() for bound in (due.from_ms, due.until_ms) if bound > now_ms]
        self._next_change_ms = min(bounds, default=NEVER)
        return rows, alerts


def dues_of(contract: Contract, notice_ms: int) -> list[Due]:
    """Return what comes due in the life of a contract: its review, unless it ends before that, and its end."""
    found = []
    review_ms, ends_ms = contract.review_by_ms, contract.ends_ms
    if review_ms is not None and (ends_ms is None or review_ms < ends_ms):
        found.append(
            Due(AlertKind.CONTRACT_REVIEW_DUE, contract.id, review_ms - notice_ms, review_ms, ends_ms or NEVER)
        )
    if ends_ms is not None:
        found.append(Due(AlertKind.CONTRACT_ENDING, contract.id, ends_ms - notice_ms, ends_ms, ends_ms))
    return found


def _labels(kind: AlertKind, contract: Contract) -> dict[str, str]:
    labels = {
        "alertname": kind.value,
        "alert_kind": "contract",
        "severity": "warning",
        "sla_id": contract.id,
        "owner": contract.owner,
    }
    if contract.team:
        labels["team"] = contract.team
    return labels


def _firing(due: Due, contract: Contract, now_ms: int) -> Alert:
    day = format_instant(due.due_ms)
    if due.kind is AlertKind.CONTRACT_REVIEW_DUE:
        summary = f"{contract.id}: the contract is to be reviewed"
        description = (
            f"The parties wanted to look at it again by {day}. A revision with a later review_by ends this alert."
        )
    else:
        summary = f"{contract.id}: the contract ends"
        description = f"No ticket gets a clock of it from {day} on. Agree what comes after it, or take the end back."
    return Alert(
        id=due.id,
        kind=due.kind,
        state=AlertState.FIRING,
        severity="warning",
        at_ms=now_ms,
        labels=_labels(due.kind, contract),
        annotations={
            "summary": summary,
            "description": f"{description} Provider: {contract.provider}; {contract.owner} answers for it.",
            "due": day,
        },
    )


def _resolved(name: str, told: _Told, contract: Contract | None, now_ms: int) -> Alert:
    kind = AlertKind(name.partition("/")[0])
    labels = {"alertname": kind.value, "severity": "warning", "sla_id": told.contract}
    if contract is None:
        summary = f"{told.contract}: the contract is not on the register any more"
    elif kind is AlertKind.CONTRACT_REVIEW_DUE:
        summary = f"{told.contract}: the contract is not due for a review any more"
    elif contract.ends_ms is not None and contract.ends_ms <= now_ms:
        summary = f"{told.contract}: the contract has ended"
    else:
        summary = f"{told.contract}: the end of the contract was moved or taken back"
    return Alert(
        id=name,
        kind=kind,
        state=AlertState.RESOLVED,
        severity="warning",
        at_ms=now_ms,
        labels=labels if contract is None else _labels(kind, contract),
        annotations={"summary": summary, "due": format_instant(told.due_ms)},
    )
