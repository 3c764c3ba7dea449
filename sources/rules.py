"""Rules that turn a source's own words ("Completed/Resolved", "In Progress") into the vocabulary of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from sla.events import CANCELLED, CLOSED, CREATED, FEEDBACK, MERGED, REOPENED, RESOLVED, RESPONDED, UPDATED

VOCABULARY: Final = (CREATED, UPDATED, RESPONDED, RESOLVED, CLOSED, REOPENED, CANCELLED, MERGED, FEEDBACK)
"""Every word that slawatch itself gives a meaning to."""

_OVER: Final = frozenset({RESOLVED, CLOSED, CANCELLED})


@dataclass(frozen=True, slots=True)
class EventRules:
    """How the word of one row of a ticket becomes an event. The first rule that applies wins.

    Attributes
    ----------
    first : str or None
        Event of a ticket's first row, whatever its word says; None: the word decides.
    reopening : tuple of str
        Patterns (``Accepted/*``) of words that reopen a ticket which is resolved, closed or cancelled.
    words : mapping of str to str
        Patterns of words with their events, in this order.
    otherwise : str or None
        Event of every other word. None: a word of the vocabulary (in any case) stands for itself; any other word is
        passed on as it is if there are no ``words``, else it is a fault.
    """

    first: str | None = None
    reopening: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    otherwise: str | None = None

    def event_of(self, word: str, *, is_first: bool, is_over: bool) -> str | None:
        """Return the event of a word, or None if no rule knows it.

        Parameters
        ----------
        word : str
            The source's word.
        is_first : bool
            Whether the row is the ticket's first in event time.
        is_over : bool
            Whether the ticket was resolved, closed or cancelled and not reopened since, see :func:`is_over_after`.
        """
        if is_first and self.first is not None:
            return self.first
        if is_over and any(fnmatchcase(word, pattern) for pattern in self.reopening):
            return REOPENED
        for pattern, event in self.words.items():
            if fnmatchcase(word, pattern):
                return event
        if self.otherwise is not None:
            return self.otherwise
        if (known := word.strip().lower()) in VOCABULARY:
            return known
        return None if self.words else word


def is_over_after(event: str, *, was_over: bool) -> bool:
    """Tell whether a ticket is over after an event: it stays over until it is reopened."""
    return event in _OVER or (was_over and event != REOPENED)
