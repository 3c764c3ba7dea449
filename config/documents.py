"""Register documents: contracts and calendars as they stand on ``sla.contracts`` and ``sla.calendars``.

One JSON object per agreement, canonical (sorted keys, no spaces), so that the same agreement is the same bytes, with
the number of its format in ``format``. Reading is strict: an unknown field or format is an error and never passed over,
for a promise a worker does not understand would go unmonitored in silence. Documents are self-contained: holidays are
plain dates.
"""

from __future__ import annotations

import json
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from config.calendar_combinations import CombinationError, combine, parts_of
from config.calendar_model import CalendarModel, HolidaysModel
from config.contract_model import ContractModel
from config.faults import StrictModel, path_of, problems_of
from sla.calendar_spec import CalendarSpec
from sla.contract import Contract

FORMAT: Final = 1
"""Format of register documents that this release writes."""

READABLE_FORMATS: Final = frozenset({FORMAT})
"""Formats that this release reads."""

_Model = TypeVar("_Model", bound=StrictModel)


class DocumentError(Exception):
    """A register document that can't be read; ``faults`` lists everything that is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def contract_document(model: ContractModel) -> bytes:
    """Return the register document of a contract: all its revisions, signed or not, defaults spelled out."""
    return _canonical(model.model_dump(mode="json", exclude_none=True))


def calendar_document(model: CalendarModel) -> bytes:
    """Return the register document of a calendar.

    Where the dates of a country or an iCalendar file came from is told in ``resolved_from``, for people only. Of a
    combined calendar every calendar it is made of stands in ``parts``: a worker needs no other document, and finds no
    other version of it.
    """
    document = _calendar_fields(model)
    if parts := parts_of(model):
        document["parts"] = {part_id: _calendar_fields(part) for part_id, part in parts.items()}
    return _canonical(document)


def _calendar_fields(model: CalendarModel) -> dict[str, Any]:
    document = model.model_dump(mode="json", exclude_none=True)
    authored = document.pop("holidays")
    if model.combination is not None:
        return document
    document["holidays"] = _resolved(model.holidays, authored)
    for revision, written in zip(model.revisions or (), document.get("revisions", ()), strict=True):
        written["holidays"] = _resolved(revision.holidays, written["holidays"])
    origin = {name: authored[name] for name in ("country", "subdivision", "ics") if name in authored}
    if origin:
        document["resolved_from"] = origin
    return document


def _resolved(given: HolidaysModel, authored: dict[str, Any]) -> dict[str, Any]:
    """Return holidays as plain dates."""
    return {
        "dates": sorted(day.isoformat() for day in given.closed_dates),
        "yearly": sorted(authored.get("yearly", ())),
    }


def contract_model_of(document: bytes) -> ContractModel:
    """Read the register document of a contract into its model, as :func:`contract_of` does.

    Raises
    ------
    DocumentError
    """
    return _validated(_read(document), ContractModel)


def contract_of(document: bytes) -> Contract:
    """Read the register document of a contract into the domain.

    Raises
    ------
    DocumentError
        If it is no such document, of a format this release does not read, or holds anything unknown.
    """
    return contract_model_of(document).to_domain()


def calendar_of(document: bytes) -> CalendarSpec:
    """Read the register document of a calendar into the domain.

    Raises
    ------
    DocumentError
        If it is no such document, of a format this release does not read, or holds anything unknown.
    """
    data = _read(document)
    parts = data.pop("parts", {})
    if not isinstance(parts, dict) or not all(isinstance(part, dict) for part in parts.values()):
        raise DocumentError(["parts: must be a mapping of ids to calendars"])
    model = _calendar_model_of(data)
    models = {model.id: model}
    for part_id, part in parts.items():
        try:
            models[part_id] = _calendar_model_of(part)
        except DocumentError as error:
            raise DocumentError([f"parts.{part_id}.{fault}" for fault in error.faults]) from error
        if part_id == model.id or models[part_id].id != part_id:
            raise DocumentError([f"parts.{part_id}: is calendar {models[part_id].id!r}"])
    try:
        return combine(models)[model.id].to_domain()
    except CombinationError as error:
        raise DocumentError([str(error)]) from error


def _calendar_model_of(data: dict[str, Any]) -> CalendarModel:
    origin = data.pop("resolved_from", {})
    if not isinstance(origin, dict):
        raise DocumentError(["resolved_from: must be a mapping"])
    revisions = data.get("revisions")
    later = [item for item in revisions if isinstance(item, dict)] if isinstance(revisions, list) else []
    holders = [_holidays(each) for each in (data, *later)]
    authored = [name for name in ("country", "subdivision", "ics") if any(name in holder for holder in holders)]
    if authored:
        raise DocumentError([f"holidays.{name}: must be resolved to dates before it is published" for name in authored])
    return _validated(data, CalendarModel)


def _holidays(data: dict[str, Any]) -> dict[str, Any]:
    given = data.get("holidays")
    return given if isinstance(given, dict) else {}


def _canonical(document: dict[str, Any]) -> bytes:
    text = json.dumps({"format": FORMAT, **document}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _read(document: bytes) -> dict[str, Any]:
    try:
        data = json.loads(document)
    except ValueError as error:
        raise DocumentError([f"no JSON: {error}"]) from error
    if not isinstance(data, dict):
        raise DocumentError(["must be a JSON object"])
    written = data.pop("format", None)
    if written is None:
        raise DocumentError(["format: missing"])
    if not isinstance(written, int) or isinstance(written, bool) or written not in READABLE_FORMATS:
        readable = ", ".join(map(str, sorted(READABLE_FORMATS)))
        raise DocumentError(
            [f"format: {json.dumps(written)} is not read by this release (it reads {readable}): upgrade"]
        )
    return data


def _validated(data: dict[str, Any], model: type[_Model]) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        faults = [": ".join(filter(None, (path_of(loc), message))) for loc, message in problems_of(error, model)]
        raise DocumentError(faults) from error
