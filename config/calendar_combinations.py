"""Calendars that are made of others: brings them together, or tells why they can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from config.agreement_checks import SourceDocument
from config.calendar_model import CalendarModel
from config.faults import Fault, unknown
from sla.errors import CalendarError


class CombinationError(Exception):
    """A calendar that can't be made of what it names."""


def combine(models: Mapping[str, CalendarModel]) -> dict[str, CalendarModel]:
    """Return the calendars by id, each combined one together with the calendars it is made of.

    Raises
    ------
    CombinationError
        If a calendar names one that is not there, is made of itself, or never opens.
    """
    combined: dict[str, CalendarModel] = {}
    for calendar_id in models:
        _combine(calendar_id, models, combined, ())
    return {calendar_id: combined[calendar_id] for calendar_id in models}


def parts_of(model: CalendarModel) -> dict[str, CalendarModel]:
    """Return every calendar that a combined one needs, by id, those its parts are made of included."""
    needed: dict[str, CalendarModel] = {}
    for part in model.parts:
        needed[part.id] = part
        needed |= parts_of(part)
    return needed


def named_by(document: SourceDocument) -> list[str]:
    """Return the ids of the calendars that a calendar is made of, as written; empty text for what is no id."""
    parts = document.data.get(_field_of(document))
    return [part if isinstance(part, str) else "" for part in parts] if isinstance(parts, (list, tuple)) else []


def combine_documents(documents: Sequence[SourceDocument]) -> tuple[dict[str, CalendarModel], list[Fault]]:
    """Bring the calendars of some documents together.

    Returns
    -------
    (dict of id to CalendarModel, list of Fault)
        The calendars without faults, and what is wrong between them. Names and circles are looked for in the documents
        as written, so one that has other faults takes part.
    """
    calendars = {document.id: document for document in reversed(documents) if document.kind == "Calendar"}
    faults: list[Fault] = []
    combined: dict[str, CalendarModel] = {}
    models = {
        calendar_id: document.model
        for calendar_id, document in calendars.items()
        if isinstance(document.model, CalendarModel)
    }
    for calendar_id, document in reversed(calendars.items()):
        found = list(_reference_faults(document, calendars))
        faults += found
        if found or not _is_whole(calendar_id, models, set()):
            continue  # the fault of a part is told where the part stands
        try:
            _combine(calendar_id, models, combined, ())
        except CombinationError as error:
            faults.append(document.fault((_field_of(document),), str(error)))
    return combined, faults


def _reference_faults(document: SourceDocument, calendars: Mapping[str, SourceDocument]) -> Iterator[Fault]:
    known = sorted(calendar_id for calendar_id in calendars if calendar_id != document.id)
    field = _field_of(document)
    for index, part in enumerate(named_by(document)):
        if part and part not in calendars:
            yield document.fault((field, index), unknown(part, known))
        elif part != document.id and (circle := _way(part, document.id, calendars, ())):
            yield document.fault(
                (field, index), f"is made of this calendar again: {' > '.join((document.id, *circle))}"
            )


def _way(here: str, there: str, calendars: Mapping[str, SourceDocument], before: tuple[str, ...]) -> tuple[str, ...]:
    """Return the ids from one calendar to another that it is made of; empty if it is not."""
    way = (*before, here)
    if here == there:
        return way
    for part in named_by(calendars[here]) if here in calendars else ():
        if part not in way and (found := _way(part, there, calendars, way)):
            return found
    return ()


def _field_of(document: SourceDocument) -> str:
    return "intersection_of" if document.data.get("intersection_of") is not None else "union_of"


def _is_whole(calendar_id: str, models: Mapping[str, CalendarModel], above: set[str]) -> bool:
    """Tell whether a calendar and all it is made of could be read, and no circle is among them."""
    if calendar_id in above or calendar_id not in models:
        return False
    return all(_is_whole(part, models, above | {calendar_id}) for part in models[calendar_id].part_ids)


def _combine(
    calendar_id: str, models: Mapping[str, CalendarModel], combined: dict[str, CalendarModel], above: tuple[str, ...]
) -> CalendarModel:
    if calendar_id in combined:
        return combined[calendar_id]
    if calendar_id in above:
        raise CombinationError(f"calendar {calendar_id} is made of itself: {' > '.join((*above, calendar_id))}")
    model = models.get(calendar_id)
    if model is None:
        raise CombinationError(f"calendar {above[-1]} is made of {calendar_id}, which is not here")
    if model.combination is not None:
        parts = [_combine(part, models, combined, (*above, calendar_id)) for part in model.part_ids]
        try:
            model = model.made_of(parts)
        except CalendarError as error:
            raise CombinationError(str(error).removeprefix(f"calendar {calendar_id!r} ")) from error
    combined[calendar_id] = model
    return model
