"""Records of ``sla.statements``: the statement of one objective and period as JSON, the newest per key in force."""

from __future__ import annotations

from typing import Any

import msgspec

from sla.statement_desk import IssuedStatement
from sla.units import parse_instant
from streams.wire import VERSION


class _StatementWire(msgspec.Struct):
    objective: str
    period: str
    revision: int
    as_of: str
    good: int
    bad: int


_decode = msgspec.json.Decoder(_StatementWire).decode
_encode = msgspec.json.Encoder().encode


def encode_statement(statement: IssuedStatement) -> bytes:
    """Return the public JSON document of a statement; the key of its record is ``objective|period`` in UTF-8."""
    return _encode({"version": VERSION, **statement.document})


class StatementHistory:
    """Folds the records of ``sla.statements`` into the newest statement of each objective and period.

    Attributes
    ----------
    issued : dict
        By (objective, period): (revision, good, bad).
    as_of_ms : int or None
        Up to when the newest of them counts, UTC epoch ms.
    """

    def __init__(self) -> None:
        self.issued: dict[tuple[str, str], tuple[int, int, int]] = {}
        self.as_of_ms: int | None = None

    def take(self, record: Any) -> None:
        """Take in the next record; what is no statement is passed over."""
        try:
            wire = _decode(record.value or b"")
            as_of_ms = parse_instant(wire.as_of)
        except ValueError:
            return
        key = (wire.objective, wire.period)
        last = self.issued.get(key)
        if last is None or wire.revision >= last[0]:
            self.issued[key] = (wire.revision, wire.good, wire.bad)
        self.as_of_ms = as_of_ms if self.as_of_ms is None else max(self.as_of_ms, as_of_ms)
