"""HTML and SVG that can't be unescaped by accident: everything that is not :class:`Markup` is text, and is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

_VOID: Final = frozenset({"br", "hr", "img", "link", "meta"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def text(content: str | Markup) -> Markup:
    """Return text escaped for markup, quotes included; markup stays as it is."""
    return content if isinstance(content, Markup) else Markup(escape(content, quote=True))


def joined(parts: Iterable[str | Markup | None], between: str = "") -> Markup:
    """Return parts in a row, each escaped unless it is markup; None is left out."""
    return Markup(between.join(text(part) for part in parts if part is not None))


def element(
    tag: str,
    *content: str | Markup | Iterable[str | Markup] | None,
    attributes: dict[str, str | float | None] | None = None,
    css: str | None = None,
) -> Markup:
    """Return one element.

    Parameters
    ----------
    tag : str
        Its name: a word of this program, never of a user.
    *content
        Text, markup, or several of them.
    attributes : dict
        Values are escaped; None leaves one out.
    css : str or None
        Its class.
    """
    named = {**({"class": css} if css else {}), **(attributes or {})}
    written = "".join(
        f' {name}="{escape(_number(value) if isinstance(value, (int, float)) else value, quote=True)}"'
        for name, value in named.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    inner = "".join(text(part) if isinstance(part, str) else joined(part) for part in content if part is not None)
    return Markup(f"<{tag}{written}>{inner}</{tag}>")


def _number(value: float) -> str:
    """Return a coordinate in at most two places: more can't be seen."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
