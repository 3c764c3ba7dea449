"""Plots of a report as inline SVG: no script, no external asset, readable without colour, described in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from fractions import Fraction
from math import ceil, floor, log10
from typing import Final
from zoneinfo import ZoneInfo

from export.report.markup import Markup, element
from export.report.wording import percent, promised
from sla.report import DayCounts, TrendPoint
from sla.units import datetime_of

WIDTH: Final = 440
HEIGHT: Final = 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 22, 34
_INNER_WIDTH: Final = WIDTH - _LEFT - _RIGHT
_INNER_HEIGHT: Final = HEIGHT - _TOP - _BOTTOM
_BASE: Final = HEIGHT - _BOTTOM
_MOST_TICKS: Final = 4


def trend_plot(points: Sequence[TrendPoint], attain: Fraction, plot_id: str) -> Markup:
    """Return bars of the share attained per period, with the promised share as a line.

    Missed periods are hatched and marked with a cross, periods without an event are gaps that say so.

    Parameters
    ----------
    plot_id : str
        Unique in the page: ids inside the picture begin with it.
    """
    known = [float(point.attained) for point in points if point.attained is not None]
    low = _floor_of(min([*known, float(attain)]))
    parts = [_hatching(plot_id), *_share_axis(low)]
    step = _INNER_WIDTH / max(1, len(points))
    for number, point in enumerate(points):
        middle = _LEFT + step * (number + 0.5)
        width = min(44.0, step * 0.62)
        parts.append(_label(middle, _BASE + 15, point.period.name))
        if point.attained is None:
            parts.append(_label(middle, _BASE - 5, "no data", css="faint"))
            continue
        top = _height_of(float(point.attained), low)
        bar = {"x": middle - width / 2, "y": top, "width": width, "height": _BASE - top}
        parts.append(element("rect", attributes=dict(bar), css="bar good" if point.is_met else "bar bad"))
        if not point.is_met:
            parts.append(element("rect", attributes={**bar, "fill": f"url(#{plot_id}-hatch)"}))
        mark = "" if point.is_met else "✕ "
        parts.append(_label(middle, max(top - 4, 10), f"{mark}{percent(point.attained, 1)}", css="value"))
    line = _height_of(float(attain), low)
    parts.append(element("line", attributes={"x1": _LEFT, "x2": WIDTH - _RIGHT, "y1": line, "y2": line}, css="promise"))
    parts.append(_label(WIDTH - _RIGHT, HEIGHT - 4, f"dashed: promised {promised(attain)}", css="faint end"))
    told = ", ".join(
        f"{point.period.name} {percent(point.attained)}{'' if point.is_met in (None, True) else ' (missed)'}"
        for point in points
    )
    return _picture(parts, f"{plot_id}-trend", "Attained per period", f"{told}; promised {promised(attain)}.")


def burn_plot(days: Sequence[DayCounts], attain: Fraction, timezone: str, plot_id: str, bad_word: str) -> Markup:
    """Return bad events added up over the days of a period, beside what the events so far allow."""
    seen = [day for day in days if day.is_seen]
    bad, allowed = [0.0], [0.0]
    for day in seen:
        bad.append(bad[-1] + day.bad)
        allowed.append(allowed[-1] + float((1 - attain) * (day.good + day.bad)))
    ticks = _ticks(max(bad[-1], allowed[-1], 1.0))
    top = ticks[-1]

    def place(values: Sequence[float]) -> str:
        return " ".join(
            f"{_LEFT + _INNER_WIDTH * number / max(1, len(days)):.1f},{_BASE - _INNER_HEIGHT * value / top:.1f}"
            for number, value in enumerate(values)
        )

    parts = []
    for tick in ticks:
        y = _BASE - _INNER_HEIGHT * tick / top
        parts.append(element("line", attributes={"x1": _LEFT, "x2": WIDTH - _RIGHT, "y1": y, "y2": y}, css="grid"))
        parts.append(_label(_LEFT - 6, y + 3.5, f"{tick:,.0f}", css="end"))
    parts += _days_axis(days, timezone)
    parts.append(element("polyline", attributes={"points": place(allowed)}, css="promise"))
    parts.append(element("polyline", attributes={"points": place(bad)}, css="line bad"))
    is_over = bad[-1] > allowed[-1]
    parts.append(_label(_LEFT, 12, f"solid: {bad_word} {bad[-1]:,.0f}", css="value start"))
    parts.append(_label(WIDTH - _RIGHT, 12, f"dashed: allowed {allowed[-1]:,.1f}", css="faint end"))
    told = (
        f"{bad[-1]:,.0f} {bad_word} in {len(seen)} of {len(days)} days; the events so far allow {allowed[-1]:,.1f}: "
        f"{'overspent' if is_over else 'within the budget'}."
    )
    return _picture(parts, f"{plot_id}-burn", "Error budget over the period", told)


def meter(share: float, label: str) -> Markup:
    """Return a share 0..1 as a bar, for table cells; its number stands beside it."""
    width = 90.0
    return element(
        "svg",
        element("rect", attributes={"x": 0, "y": 1, "width": width, "height": 9}, css="track"),
        element(
            "rect", attributes={"x": 0, "y": 1, "width": width * min(1.0, max(0.0, share)), "height": 9}, css="fill"
        ),
        attributes={"viewBox": f"0 0 {width:.0f} 11", "width": 90, "height": 11, "role": "img", "aria-label": label},
        css="meter",
    )


# --- inside ---


def _picture(parts: Sequence[Markup], name: str, title: str, told: str) -> Markup:
    return element(
        "svg",
        element("title", title, attributes={"id": f"{name}-title"}),
        element("desc", told, attributes={"id": f"{name}-desc"}),
        parts,
        attributes={
            "viewBox": f"0 0 {WIDTH} {HEIGHT}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc",
        },
        css="plot",
    )


def _hatching(plot_id: str) -> Markup:
    stripe = element("path", attributes={"d": "M0,6 L6,0", "stroke": "#fff", "stroke-width": 1.6})
    return element(
        "defs",
        element(
            "pattern",
            stripe,
            attributes={"id": f"{plot_id}-hatch", "width": 6, "height": 6, "patternUnits": "userSpaceOnUse"},
        ),
    )


def _label(x: float, y: float, words: str, css: str = "") -> Markup:
    return element("text", words, attributes={"x": float(x), "y": float(y)}, css=css or None)


def _floor_of(lowest: float) -> float:
    """Return where the axis of shares begins: a step below the lowest, so that differences can be seen."""
    for floor_at in (0.999, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5):
        if lowest - (1 - floor_at) * 0.2 >= floor_at:
            return floor_at
    return 0.0


def _height_of(share: float, low: float) -> float:
    return _BASE - _INNER_HEIGHT * max(0.0, share - low) / (1 - low)


def _share_axis(low: float) -> Iterator[Markup]:
    places = max(0, ceil(-log10((1 - low) / 4)) - 2)
    for number in range(5):
        share = low + (1 - low) * number / 4
        y = _height_of(share, low)
        yield element("line", attributes={"x1": _LEFT, "x2": WIDTH - _RIGHT, "y1": y, "y2": y}, css="grid")
        yield _label(_LEFT - 6, y + 3.5, f"{share * 100:.{places}f} %", css="end")


def _days_axis(days: Sequence[DayCounts], timezone: str) -> Iterator[Markup]:
    zone = ZoneInfo(timezone)
    every = max(1, ceil(len(days) / 7))
    for number, day in enumerate(days):
        if number % every == 0 and number + every / 2 <= len(days):
            local: datetime = datetime_of(day.start_ms).astimezone(zone)
            x = _LEFT + _INNER_WIDTH * number / len(days)
            yield element("line", attributes={"x1": x, "x2": x, "y1": _BASE, "y2": _BASE + 4}, css="grid")
            yield _label(x, _BASE + 15, f"{local:%d %b}", css="start" if number == 0 else "")


def _ticks(highest: float) -> list[float]:
    """Return round numbers from 0 to the first one at or above the highest."""
    raw = highest / _MOST_TICKS
    power = 10.0 ** floor(log10(raw)) if raw > 0 else 1.0
    size = next(step * power for step in (1, 2, 5, 10) if step * power >= raw)
    size = max(1.0, size)
    return [size * number for number in range(ceil(highest / size) + 1)]
