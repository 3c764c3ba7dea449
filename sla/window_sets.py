"""Sets of windows: what several calendars have in common, or what any of them holds.

Windows are half-open intervals ``(open_ms, close_ms)``; a set of them ascends, none is empty and none touches another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Windows = Iterable[tuple[int, int]]


def intersection_of(sets: Sequence[Windows]) -> Iterator[tuple[int, int]]:
    """Yield the windows that lie in every set; no sets have nothing in common."""
    if not sets:
        return iter(())
    common = iter(sets[0])
    for other in sets[1:]:
        common = _common(common, iter(other))
    return common


def union_of(sets: Sequence[Windows]) -> Iterator[tuple[int, int]]:
    """Yield the windows that lie in any set."""
    current: tuple[int, int] | None = None
    for open_ms, close_ms in sorted(window for windows in sets for window in windows):
        if current is None or open_ms > current[1]:
            if current is not None:
                yield current
            current = (open_ms, close_ms)
        else:
            current = (current[0], max(current[1], close_ms))
    if current is not None:
        yield current


def _common(first: Iterator[tuple[int, int]], second: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    a, b = next(first, None), next(second, None)
    while a is not None and b is not None:
        open_ms, close_ms = max(a[0], b[0]), min(a[1], b[1])
        if open_ms < close_ms:
            yield open_ms, close_ms
        # The window that closes first can't meet another one of the other set.
        if a[1] <= b[1]:
            a = next(first, None)
        else:
            b = next(second, None)
