"""The due table against a dict."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sla.table import DueTable
from sla.units import NEVER

pytestmark = pytest.mark.property

KEYS = st.sampled_from([b"t%d" % number for number in range(12)])
INSTANTS = st.sampled_from((0, 1, 5, 5, 5, 9, NEVER)) | st.integers(0, 20)


class DueTableMachine(RuleBasedStateMachine):
    """What is due is what a sort of all rows by (instant, key) says."""

    def __init__(self) -> None:
        super().__init__()
        self.table = DueTable()
        self.rows: dict[bytes, bytes] = {}
        self.due_ms: dict[bytes, int] = {}

    @rule(key=KEYS, row=st.binary(max_size=3), due_ms=INSTANTS)
    def put(self, key: bytes, row: bytes, due_ms: int) -> None:
        self.table.put(key, row, due_ms)
        self.rows[key] = row
        self.due_ms[key] = due_ms

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        self.table.remove(key)
        self.rows.pop(key, None)
        self.due_ms.pop(key, None)

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def postpone(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.rows)))
        self.table.postpone(key)
        self.due_ms[key] = NEVER

    @rule(data=st.data())
    def make_due(self, data: st.DataObject) -> None:
        keys = [key for key in sorted(self.rows) if data.draw(st.booleans())]
        self.table.make_due(data.draw(st.permutations(keys)))
        self._all_due(keys)

    @rule(but=st.sets(KEYS))
    def make_all_due(self, but: set[bytes]) -> None:
        self.table.make_all_due(but)
        self._all_due([key for key in self.rows if key not in but])

    def _all_due(self, keys: list[bytes]) -> None:
        in_order = sorted(keys, key=lambda key: (self.due_ms[key], key))
        self.due_ms |= {key: number - len(keys) for number, key in enumerate(in_order)}

    @rule(now_ms=INSTANTS, limit=st.integers(1, 6))
    def sweep(self, now_ms: int, limit: int) -> None:
        due = sorted((due_ms, key) for key, due_ms in self.due_ms.items() if due_ms <= now_ms and due_ms != NEVER)
        assert self.table.due(now_ms, limit) == [key for _, key in due[:limit]]

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        assert dict(self.table.items()) == self.rows
        assert len(self.table) == len(self.rows)
        for number in range(12):
            key = b"t%d" % number
            assert self.table.get(key) == self.rows.get(key)
            assert (key in self.table) == (key in self.rows)


DueTableMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestDueTable = DueTableMachine.TestCase
