"""Errors of the domain.

::

    SlaError
    ├── UnitError          a duration, instant or ratio that can't be read
    ├── CalendarError      a calendar that can't be compiled
    │   └── EmptyCalendarError   it never opens
    └── ContractError      a contract that can't be compiled

Bad *input* (an event) is not an error but an outcome: see :class:`sla.events.Rejected`.
"""

from __future__ import annotations


class SlaError(Exception):
    """Base of every error the domain raises."""


class UnitError(SlaError, ValueError):
    """A duration, an instant or a ratio that can't be read; the message says how to write it."""


class CalendarError(SlaError):
    """A calendar that can't be compiled."""


class EmptyCalendarError(CalendarError):
    """A calendar that never opens: a clock on it would never end."""


class ContractError(SlaError):
    """A contract that can't be compiled into targets."""
