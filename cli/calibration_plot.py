"""A plot of predicted against observed breaches: one SVG file without any external asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from sla.forecast.quality import Quality

_SIZE: Final = 360
_MARGIN: Final = 48
_LARGEST: Final = 9.0
"""Radius of the bin with the most predictions, in pixels."""


def calibration_svg(quality: Quality, title: str) -> str:
    """Return a plot of calibration: a dot per bin, its area the number of predictions, and the line of honesty."""
    side = _SIZE + 2 * _MARGIN
    most = max((one.predictions for one in quality.bins), default=1.0) or 1.0
    box = f'viewBox="0 0 {side} {side}" width="{side}" height="{side}"'
    heading = f"{escape(title)}: calibration, ECE {quality.ece:.3f}, {quality.predictions:,} predictions"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f"<title>Calibration of {escape(title)}</title>",
        f'<rect width="{side}" height="{side}" fill="white"/>',
        f'<text x="{_MARGIN}" y="{_MARGIN - 20}" font-size="14">{heading}</text>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{_x(0.5)}" y="{side - 8}" text-anchor="middle">predicted</text>',
        f'<text x="14" y="{_y(0.5)}" text-anchor="middle" transform="rotate(-90 14 {_y(0.5)})">observed</text>',
    ]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<line x1="{_x(tick)}" y1="{_y(0)}" x2="{_x(tick)}" y2="{_y(1)}" stroke="#eee"/>')
        parts.append(f'<line x1="{_x(0)}" y1="{_y(tick)}" x2="{_x(1)}" y2="{_y(tick)}" stroke="#eee"/>')
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 16}" text-anchor="middle">{tick:.0%}</text>')
        parts.append(f'<text x="{_x(0) - 6}" y="{_y(tick) + 4}" text-anchor="end">{tick:.0%}</text>')
    dots = [one for one in quality.bins if one.predictions]
    line = " ".join(f"{_x(one.predicted)},{_y(one.observed)}" for one in dots)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#1f77b4"/>')
    for one in dots:
        radius = max(2.0, _LARGEST * (one.predictions / most) ** 0.5)
        told = f"{one.predictions:,.0f} predictions: {one.predicted:.1%} predicted, {one.observed:.1%} observed"
        parts.append(
            f'<circle cx="{_x(one.predicted)}" cy="{_y(one.observed)}" r="{radius:.1f}" fill="#1f77b4" '
            f'fill-opacity="0.7"><title>{told}</title></circle>'
        )
    return "\n".join((*parts, "</svg>", ""))


def _x(share: float) -> float:
    return round(_MARGIN + share * _SIZE, 1)


def _y(share: float) -> float:
    return round(_MARGIN + (1 - share) * _SIZE, 1)
