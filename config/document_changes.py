"""What changes between two documents of the register, in words: for whoever reviews a change before it is published."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from config.contract_checks import Status
from config.contract_model import ContractModel
from config.terms_in_words import changes_in_words
from sla.calendar_spec import WEEKDAYS

_PARTS: Final = "parts"
"""Of a combined calendar: the documents of its parts."""

_REVISIONS: Final = "revisions"
"""Of a calendar: later hours and holidays."""

_TERMS_OF_CALENDAR: Final = ("timezone", "hours", "holidays")

_COMBINED: Final = {"intersection_of": "all of", "union_of": "any of"}

_TOLD_BY_REVISION = frozenset({"revisions", "kind", "id"})


def contract_changes(before: ContractModel | None, after: ContractModel | None) -> list[str]:
    """Return what changes in a contract, a line each; empty if nothing does.

    Parameters
    ----------
    before, after
        As on the register, and as proposed; None where it is not there.
    """
    if after is None:
        return ["removed from the register: nothing of it is monitored any more"] if before is not None else []
    lines: list[str] = []
    if before is not None:
        old, new = _parties(before), _parties(after)
        lines += [
            f"{name} {_shown(old.get(name))} -> {_shown(new.get(name))}"
            for name in [*old, *(name for name in new if name not in old)]
            if old.get(name) != new.get(name)
        ]
    return [*lines, *_revision_changes(before, after)]


def _revision_changes(before: ContractModel | None, after: ContractModel) -> Iterator[str]:
    known = {revision.revision: revision for revision in before.revisions} if before is not None else {}
    signed = None
    for revision in after.revisions:
        published = known.pop(revision.revision, None)
        if published != revision:
            head = f"revision {revision.revision}"
            if published is None:
                yield f"{head}: {revision.status.value}, from {revision.effective_from}"
                changes = changes_in_words(signed, revision) if revision.status is not Status.TERMINATED else []
            else:
                for name in ("status", "effective_from", "reason", "by"):
                    old, new = getattr(published, name), getattr(revision, name)
                    if old != new:
                        yield f"{head}: {name} {_shown(old)} -> {_shown(new)}"
                changes = changes_in_words(published, revision)
            yield from (f"{head}: {line}" for line in changes)
        if revision.status is Status.SIGNED:
            signed = revision
    yield from (f"revision {number}: left out ({revision.status.value})" for number, revision in sorted(known.items()))


def calendar_changes(before: bytes | None, after: bytes | None) -> list[str]:
    """Return what changes in a calendar, from its register documents, a line each."""
    if after is None:
        return ["removed from the register"] if before is not None else []
    new = json.loads(after)
    return _calendar_in_words(new) if before is None else _changes_of_calendar(json.loads(before), new)


def _calendar_in_words(calendar: Mapping[str, Any]) -> list[str]:
    for name, when in _COMBINED.items():
        if parts := calendar.get(name):
            return [f"open when {when} {', '.join(parts)} are"]
    hours = calendar.get("hours") or {}
    days = [day for day in WEEKDAYS if hours.get(day)]
    return [f"timezone {calendar.get('timezone', 'none')}, open {', '.join(days) or 'never'}"]


def _changes_of_calendar(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if name == _PARTS:
            for part in sorted((was or {}).keys() & (now or {}).keys()):
                lines += [f"{part}: {line}" for line in _changes_of_calendar((was or {})[part], (now or {})[part])]
        elif name in {"holidays", "hours"}:
            lines += list(_inner_changes(name, was or {}, now or {}))
        elif name == _REVISIONS:
            lines += list(_changes_of_revisions(old, was or [], now or []))
        else:
            lines.append(f"{name} {_shown(was)} -> {_shown(now)}")
    return lines


def _changes_of_revisions(
    first: Mapping[str, Any], old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> Iterator[str]:
    """Yield what changes in a calendar's revisions; a new one is compared with the hours it takes over from."""
    known = {revision["effective_from"]: revision for revision in old}
    before = {name: first.get(name) for name in _TERMS_OF_CALENDAR}
    for revision in new:
        published = known.pop(revision["effective_from"], None)
        terms = {name: revision.get(name) or first.get(name) for name in _TERMS_OF_CALENDAR}
        if published is not None:
            lines = _changes_of_calendar(published, revision)
        else:
            lines = _changes_of_calendar(before, terms) or ["changes nothing"]
        yield from (f"from {revision['effective_from']}: {line}" for line in lines)
        before = terms
    yield from (f"from {effective_from}: left out" for effective_from in known)


def _inner_changes(name: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    for key in sorted({*old, *new}, key=lambda key: (WEEKDAYS.index(key) if key in WEEKDAYS else 0, key)):
        was, now = old.get(key) or [], new.get(key) or []
        if was == now:
            continue
        if name == "holidays" and isinstance(was, list) and isinstance(now, list):
            if gone := [str(day) for day in was if day not in now]:
                yield f"holidays: no more {_few(gone)}"
            if come := [str(day) for day in now if day not in was]:
                yield f"holidays: also {_few(come)}"
        else:
            yield f"{name}.{key} {_shown(was)} -> {_shown(now)}"


def _few(days: list[str], limit: int = 8) -> str:
    more = f" and {len(days) - limit} more" if len(days) > limit else ""
    return ", ".join(days[:limit]) + more


def _parties(contract: ContractModel) -> dict[str, Any]:
    document = contract.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in document.items() if name not in _TOLD_BY_REVISION}


def _shown(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return str(value)
