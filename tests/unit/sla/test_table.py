"""Rows with the instants at which they need attention."""

from __future__ import annotations

from sla.table import DueTable
from sla.units import NEVER


def table(**due: int) -> DueTable:
    made = DueTable()
    for key, due_ms in due.items():
        made.put(key.encode(), f"row of {key}".encode(), due_ms)
    return made


def test_rows_are_due_earliest_first_and_then_by_key() -> None:
    of = table(d=30, b=20, c=10, a=20, e=31)
    assert of.due(30, 10) == [b"c", b"a", b"b", b"d"]


def test_limit_leaves_the_later_ones_and_of_those_due_together_the_greater_keys() -> None:
    of = table(**{f"k{n:02d}": 20 for n in range(30, 0, -1)}, z=10, y=5, x=40)
    assert of.due(25, 4) == [b"y", b"z", b"k01", b"k02"]
    assert of.due(25, 1) == [b"y"]


def test_nothing_is_due_before_the_earliest_instant() -> None:
    of = table(a=20, b=30)
    assert of.due(19, 10) == []
    assert of.due(20, 10) == [b"a"]


def test_row_that_was_put_again_is_due_anew() -> None:
    of = table(a=20)
    assert of.due(20, 10) == [b"a"]
    of.put(b"a", b"new row", 50)
    assert of.due(49, 10) == []
    assert of.get(b"a") == b"new row"
    of.put(b"a", b"new row", 10)
    assert of.due(49, 10) == [b"a"]


def test_postponed_row_is_not_due_until_it_is_put_again() -> None:
    of = table(a=20, b=30)
    of.postpone(b"a")
    assert of.due(40, 10) == [b"b"]
    assert of.get(b"a") == b"row of a"
    of.put(b"a", b"row of a", 20)
    assert of.due(40, 10) == [b"a", b"b"]


def test_removed_row_is_gone_and_its_place_is_taken_by_the_next_new_one() -> None:
    of = table(a=20, b=30)
    of.remove(b"a")
    of.remove(b"a")
    assert len(of) == 1
    assert b"a" not in of
    assert of.get(b"a") is None
    assert of.due(100, 10) == [b"b"]
    of.put(b"c", b"row of c", 40)
    assert dict(of.items()) == {b"b": b"row of b", b"c": b"row of c"}
    assert of.due(100, 10) == [b"b", b"c"]


def test_rows_made_due_come_before_all_others_and_keep_their_order() -> None:
    of = table(c=5, a=NEVER, b=1)
    of.make_due([b"c", b"a"])
    assert of.due(0, 10) == [b"c", b"a"]
    assert of.due(1, 10) == [b"c", b"a", b"b"]
    of.make_due([])
    assert of.due(1, 1) == [b"c"]


def test_all_rows_made_due_but_some_keep_their_order_and_rows_that_are_gone_stay_away() -> None:
    of = table(a=NEVER, b=50, c=7, d=6, e=40)
    of.remove(b"c")
    of.make_all_due(but=[b"b", b"new"])
    assert of.due(0, 10) == [b"d", b"e", b"a"]
    assert of.due(50, 10) == [b"d", b"e", b"a", b"b"]
    of.put(b"f", b"row", 45)
    assert of.due(50, 10) == [b"d", b"e", b"a", b"f", b"b"]


def test_nothing_is_made_due_in_an_empty_table() -> None:
    of = table()
    of.make_all_due()
    assert of.due(NEVER, 10) == []


def test_table_can_grow_after_it_was_swept() -> None:
    of = table(a=20)
    for n in range(1_000):
        assert of.due(n, 2) == ([b"a"] if n >= 20 else [])
        of.put(b"k%d" % n, b"row", NEVER)
    assert len(of) == 1_001


def test_row_that_is_due_never_is_not_due_even_then() -> None:
    of = table(a=NEVER, b=5)
    of.remove(b"b")
    assert of.due(NEVER, 5) == []


def test_empty_table_has_nothing_due() -> None:
    of = table()
    assert of.due(NEVER, 5) == []
    assert of.get(b"a") is None
