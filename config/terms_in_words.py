"""The terms of an agreement in words, and what one revision changes against another: for people who agree on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from config.availability_model import AvailabilityModel
from config.contract_model import RevisionModel, TargetModel

_EVENT: Final = "event"
_NONE: Final = "none"
_DEFAULTS_OF: Final = {"metric": "its id", "calendar": "the revision's", "team": "the contract's"}
"""What holds where a target leaves a term out, if not just nothing."""

_NOT_TERMS: Final = frozenset(
    {"revision", "status", "effective_from", "reason", "by", "targets", "availability", "credits"}
)
"""Of a revision: what tells one from another, and what is compared by itself."""


def scope_in_words(scope: Mapping[str, Sequence[str]]) -> str:
    """Return which tickets: ``priority P1 or P2, service printing``; ``every ticket`` for an empty scope."""
    return ", ".join(f"{name} {_any_of(values)}" for name, values in sorted(scope.items())) or "every ticket"


def condition_in_words(clauses: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """Return a condition as the document has it in words: ``created``, ``updated with status Completed``.

    Clauses of which one must hold are parted by ``; or``. The kind of event stands without its field name.
    """
    return "; or ".join(_clause(clause) for clause in clauses) or "never"


def target_in_words(target: TargetModel | AvailabilityModel) -> dict[str, str]:
    """Return the terms of a target or an availability objective that say something, each in words.

    They go by their names in the document.

    Defaults are left out, except those that a reader wants to see (who it applies to, start, stop, within).
    """
    document = target.model_dump(mode="json", exclude_none=True)
    shown = {"applies_to", "start", "stop", "within"}
    defaults = _defaults(type(target))
    return {
        name: _words(name, value)
        for name, value in document.items()
        if name != "id" and (name in shown or value != defaults.get(name))
    }


def changes_in_words(before: RevisionModel | None, after: RevisionModel) -> list[str]:
    """Return what a revision changes against another one, a line each; targets and objectives are known by their ids.

    Parameters
    ----------
    before
        None for the first: then every promise is new.

    Returns
    -------
    list of str
        Such as ``printing-response: within 4bh -> 2bh``, ``printing-resolution: new: 8bh, service printing``; empty if
        the terms are the same.
    """
    lines: list[str] = []
    if before is not None:
        old, new = _terms_of(before), _terms_of(after)
        lines += [f"{name} {_change(name, old.get(name), new.get(name))}" for name in _changed(old, new)]
    former = _promises(before) if before is not None else {}
    present = _promises(after)
    for promise_id, promise in present.items():
        if promise_id not in former:
            lines.append(f"{promise_id}: new: {_summary(promise)}")
            continue
        old, new = _document(former[promise_id]), _document(promise)
        lines += [f"{promise_id}: {name} {_change(name, old.get(name), new.get(name))}" for name in _changed(old, new)]
    lines += [f"{promise_id}: dropped" for promise_id in former if promise_id not in present]
    owed_before, owed = _credits(before), _credits(after)
    for objective in [*owed_before, *(name for name in owed if name not in owed_before)]:
        old_words, new_words = owed_before.get(objective, _NONE), owed.get(objective, _NONE)
        if old_words != new_words:
            lines.append(f"credits for {objective}: {old_words} -> {new_words}")
    return lines


def _credits(revision: RevisionModel | None) -> dict[str, str]:
    """Return what falls due, in words, by objective: ``5% below 95%, 15% below 90%, of 12000 EUR, cap 20%``."""
    found: dict[str, str] = {}
    for credit in (revision.credits or ()) if revision is not None else ():
        words = [f"{tier.credit} below {tier.below}" for tier in credit.tiers]
        document = credit.model_dump(mode="json", exclude_none=True, exclude={"for_", "tiers"})
        found[credit.for_] = ", ".join([*words, *(f"{name} {value}" for name, value in document.items())])
    return found


def _promises(revision: RevisionModel) -> dict[str, TargetModel | AvailabilityModel]:
    """Return the targets and availability objectives of a revision by id: no two have one id."""
    targets: dict[str, TargetModel | AvailabilityModel] = {target.id: target for target in revision.targets}
    return targets | {availability.id: availability for availability in revision.availability or ()}


def _summary(promise: TargetModel | AvailabilityModel) -> str:
    if isinstance(promise, AvailabilityModel):
        return f"{promise.attain} availability of {promise.service} over {promise.over}"
    document = _document(promise)
    return f"{_words('within', document['within'])}, {scope_in_words(document.get('applies_to', {}))}"


def _document(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)


def _terms_of(revision: RevisionModel) -> dict[str, Any]:
    return {name: value for name, value in _document(revision).items() if name not in _NOT_TERMS}


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Return the defaults of a model's fields, as they stand in its document."""
    defaults = {}
    for name, info in model.model_fields.items():
        if not info.is_required():
            value = info.get_default(call_default_factory=True)
            defaults[name] = value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value
    return defaults


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    names = [*old, *(name for name in new if name not in old)]
    return (name for name in names if name != "id" and old.get(name) != new.get(name))


def _change(name: str, old: Any, new: Any) -> str:
    return f"{_words_or_none(name, old)} -> {_words_or_none(name, new)}"


def _words_or_none(name: str, value: Any) -> str:
    return _DEFAULTS_OF.get(name, _NONE) if value is None else _words(name, value)


def _words(name: str, value: Any) -> str:
    if name == "applies_to" and isinstance(value, Mapping):
        return scope_in_words(value)
    if name in {"start", "stop", "pause", "cancel", "merge", "when"} and isinstance(value, list):
        return condition_in_words(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{inner} {_words(inner, of)}" for inner, of in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(_words("", item) for item in value) or _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _clause(clause: Mapping[str, Sequence[str]]) -> str:
    events = _any_of(clause[_EVENT]) if _EVENT in clause else ""
    fields = " and ".join(f"{name} {_any_of(values)}" for name, values in sorted(clause.items()) if name != _EVENT)
    return " with ".join(filter(None, (events, fields)))


def _any_of(values: Sequence[str]) -> str:
    return " or ".join(values)
