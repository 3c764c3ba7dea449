"""One alert as it is pushed to Alertmanager, with the rules its API leaves to the client.

Measured on Alertmanager 0.25 and 0.33: an alert without ``startsAt`` but with ``endsAt`` starts in the future; a
time without a zone is silently read as UTC; a label name with a dash is refused by one release and taken by the next;
a label with an empty value is dropped, which makes it another alert. So: both times always, in UTC with ``Z``; names
of the old alphabet only; empty values dropped here, where it can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sla.units import format_instant

ALERT_NAME = "alertname"
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class InvalidAlertError(ValueError):
    """An alert that no Alertmanager should be sent; the message lists all its faults."""


def name_faults(kind: str, names: Mapping[str, str]) -> list[str]:
    """Return one line for every name that not all releases of Alertmanager take."""
    return [
        f"{kind} {name!r}: a name has letters, digits and _ and does not start with a digit"
        for name in names
        if not _NAME.fullmatch(name)
    ]


def without_empty(values: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs that have a value, sorted by name: what identifies an alert at Alertmanager."""
    return {name: values[name] for name in sorted(values) if values[name]}


@dataclass(frozen=True, slots=True)
class PushedAlert:
    """One alert for ``POST /api/v2/alerts``.

    Attributes
    ----------
    labels : mapping
        Identity; must hold ``alertname``. Pairs with an empty value are not sent.
    annotations : mapping
        Prose and numbers.
    starts_at_ms, ends_at_ms : int
        Wall-clock instants; an alert whose end has passed is resolved. The end is never before the start.
    generator_url : str
        Where a reader finds the source of the alert; may be empty.

    Raises
    ------
    InvalidAlertError
        With every fault at once.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at_ms: int
    ends_at_ms: int
    generator_url: str = ""

    def __post_init__(self) -> None:
        faults = name_faults("label", self.labels) + name_faults("annotation", self.annotations)
        if not self.labels.get(ALERT_NAME):
            faults.append(f"label {ALERT_NAME!r} is missing")
        if self.ends_at_ms < self.starts_at_ms:
            faults.append(
                f"it ends at {format_instant(self.ends_at_ms)}, before it starts at {format_instant(self.starts_at_ms)}"
            )
        if faults:
            raise InvalidAlertError("; ".join(faults))

    def document(self) -> dict[str, object]:
        """Return the JSON document of the API."""
        document: dict[str, object] = {
            "labels": without_empty(self.labels),
            "annotations": without_empty(self.annotations),
            "startsAt": format_instant(self.starts_at_ms),
            "endsAt": format_instant(self.ends_at_ms),
        }
        if self.generator_url:
            document["generatorURL"] = self.generator_url
        return document
