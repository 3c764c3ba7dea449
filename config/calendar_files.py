"""Reads calendars without the contracts beside them: one from its file, or all of some files and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from config.agreement_checks import SourceDocument, check_references
from config.calendar_combinations import combine_documents, named_by
from config.calendar_model import CalendarModel
from config.faults import Fault, unknown
from config.loader import SUFFIXES, AgreementFaults, documents_of, files_of


def load_calendars(paths: Sequence[Path]) -> dict[str, CalendarModel]:
    """Read the calendars of files and folders, by id; contracts are passed over.

    What a calendar is made of may stand in any of the files, and in the folder of its own file.

    Raises
    ------
    AgreementFaults
        With all faults of all calendars, and of files that can't be read.
    """
    faults: list[Fault] = []
    documents: list[SourceDocument] = []
    folders: set[Path] = set()
    for file in files_of(paths, faults):
        folders.add(file.parent)
        documents += _calendars_in(file, faults)
    if not documents and not faults:
        faults.append(Fault(", ".join(map(str, paths)), "", "no calendar here: a document with kind: Calendar"))
    return _checked(_with_parts(documents, documents, folders), faults)


def load_calendar(file: Path, calendar_id: str | None = None) -> CalendarModel:
    """Read one calendar from its file; other documents in it are passed over.

    Parameters
    ----------
    file : Path
        What the calendar is made of may stand in the same file or in others of its folder.
    calendar_id : str, optional
        Which one, if the file holds several.

    Raises
    ------
    AgreementFaults
        With all faults of the calendar and of those it is made of.
    """
    faults: list[Fault] = []
    if file.is_dir():
        raise AgreementFaults([Fault(str(file), "", "is a folder: name the file of one calendar")])
    here = _calendars_in(file, faults)
    wanted = [document for document in here if calendar_id in (None, document.id)]
    ids = [document.id for document in here]
    if not here and not faults:
        faults.append(Fault(str(file), "", "no calendar here: a document with kind: Calendar"))
    elif here and not wanted:
        faults.append(Fault(str(file), "id", unknown(calendar_id, ids)))
    elif len(wanted) > 1:
        faults.append(Fault(str(file), "", f"holds several calendars: say which one, {' or '.join(ids)}"))
    if len(wanted) != 1:
        raise AgreementFaults(faults)
    return _checked(_with_parts(wanted, here, {file.parent}), faults)[wanted[0].id]


def _calendars_in(file: Path, faults: list[Fault]) -> list[SourceDocument]:
    return [document for document in documents_of(file, faults) if document.kind == "Calendar"]


def _files_in(folders: set[Path]) -> list[Path]:
    return [file for folder in sorted(folders) for file in sorted(folder.iterdir()) if file.suffix in SUFFIXES]


def _with_parts(
    wanted: Sequence[SourceDocument], here: Sequence[SourceDocument], folders: set[Path]
) -> list[SourceDocument]:
    """Return documents and every calendar they are made of, as far as it is found here or in one of the folders."""
    known = {document.id: document for document in reversed(here)}
    beside: dict[str, SourceDocument] | None = None
    needed = list(wanted)
    for document in needed:  # grows while it is read
        for part in named_by(document):
            if part not in known and beside is None:
                # What is wrong with the neighbours matters only if they are needed.
                beside = {other.id: other for file in _files_in(folders) for other in _calendars_in(file, [])}
            found = known.get(part) or (beside or {}).get(part)
            if found is not None and all(found is not other for other in needed):
                needed.append(found)
    return needed


def _checked(documents: Sequence[SourceDocument], faults: list[Fault]) -> dict[str, CalendarModel]:
    for document in documents:
        faults.extend(document.faults)
    faults.extend(check_references(documents))
    calendars, faults_between = combine_documents(documents)
    faults.extend(faults_between)
    if faults:
        order = {document.file: number for number, document in enumerate(documents)}
        faults.sort(key=lambda fault: (order.get(fault.file, -1), fault.line or 0))
        raise AgreementFaults(faults)
    return calendars
