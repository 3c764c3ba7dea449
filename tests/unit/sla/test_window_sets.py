"""What calendars have in common, and what any of them holds."""

from __future__ import annotations

import pytest

from sla.window_sets import intersection_of, union_of

A = [(0, 10), (20, 30), (40, 50)]


@pytest.mark.parametrize(
    ("other", "common", "either"),
    [
        pytest.param([], [], A, id="nothing"),
        pytest.param(A, A, A, id="the same"),
        pytest.param([(5, 25)], [(5, 10), (20, 25)], [(0, 30), (40, 50)], id="over two"),
        pytest.param([(10, 20)], [], [(0, 30), (40, 50)], id="touching is nothing in common, and one window"),
        pytest.param([(0, 60)], A, [(0, 60)], id="around all"),
        pytest.param(
            [(2, 3), (4, 5), (29, 41)], [(2, 3), (4, 5), (29, 30), (40, 41)], [(0, 10), (20, 50)], id="inside"
        ),
    ],
)
def test_two_sets_are_combined(
    other: list[tuple[int, int]], common: list[tuple[int, int]], either: list[tuple[int, int]]
) -> None:
    assert list(intersection_of([A, other])) == list(intersection_of([other, A])) == common
    assert list(union_of([A, other])) == list(union_of([other, A])) == either


def test_any_number_of_sets_is_combined() -> None:
    assert list(intersection_of([A, [(5, 45)], [(0, 7), (44, 100)]])) == [(5, 7), (44, 45)]
    assert list(union_of([[(1, 2)], [(0, 1)], [(2, 3)]])) == [(0, 3)]
    assert list(intersection_of([A])) == list(union_of([A])) == A
    assert list(intersection_of([])) == list(union_of([])) == []
