"""Reads folders of YAML into checked agreements, or tells everything that is wrong with them at once.

Documents are recognised by their ``kind``; contracts and calendars may be mixed and in subfolders. YAML of other tools
(without ``kind``, or of a kind with an ``apiVersion``) is passed over and named in :attr:`Agreements.skipped`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from config.agreement_checks import SourceDocument, check_allowances, check_references, warnings_of
from config.burn_policy import BURN_POLICY_KIND
from config.calendar_combinations import combine_documents
from config.calendar_model import FOLDER, CalendarModel
from config.contract_model import ContractModel
from config.faults import Fault, StrictModel, path_of, problems_of, unknown
from config.yaml_reader import YamlDocument, YamlSyntaxError, read_documents

MODELS: Final[Mapping[str, type[StrictModel]]] = {"Contract": ContractModel, "Calendar": CalendarModel}
"""The model of each kind of document."""

MAPPING_KIND: Final = "Mapping"
"""Kind of the mappings of webhooks. They may lie beside agreements, and are never part of the register."""

SUFFIXES: Final = frozenset({".yaml", ".yml"})
"""Of files that are read in folders."""

_CONTRACTS_FOLDER = "contracts"
_CALENDARS_FOLDER = "calendars"
_DOCUMENT = " (document "
_OUR_FIELDS = frozenset(name for model in MODELS.values() for name in model.model_fields) - {"kind"}


@dataclass(frozen=True, slots=True)
class Agreements:
    """Everything that was read, without a fault.

    Attributes
    ----------
    contracts, calendars : dict of id to model
    files : dict of (kind, id) to str
        Where each document stands.
    warnings : tuple of Fault
        What is allowed and probably not meant.
    skipped : tuple of str
        Files with YAML of other tools.
    """

    contracts: dict[str, ContractModel] = field(default_factory=dict)
    calendars: dict[str, CalendarModel] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)
    warnings: tuple[Fault, ...] = ()
    skipped: tuple[str, ...] = ()


class AgreementFaults(Exception):  # noqa: N818 - it is a list of them
    """Agreements that can't be used; ``faults`` lists every fault, in the order of files and lines."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = list(faults)


def load_agreements(paths: Sequence[Path], *, proposal: Path | None = None) -> Agreements:
    """Read contracts and calendars from folders and files.

    Parameters
    ----------
    paths : sequence of Path
        Folders (searched with their subfolders; hidden ones are left out) and single files. Beside a folder named
        ``contracts`` a folder ``calendars`` is read too.
    proposal : Path, optional
        A file that stands in for what the others say: of an id in it the other documents are left out.

    Raises
    ------
    AgreementFaults
        With all faults of all files: of YAML, of single documents, and between documents.
    """
    faults: list[Fault] = []
    documents: list[SourceDocument] = []
    skipped: list[str] = []
    order: dict[str, int] = {}
    for file in files_of([*paths, *([proposal] if proposal is not None else [])], faults):
        order[str(file)] = len(order)
        before = len(documents)
        failed = len(faults)
        documents.extend(documents_of(file, faults))
        if len(documents) == before and len(faults) == failed:
            skipped.append(str(file))
    if proposal is not None:
        documents = _with_proposal(documents, proposal)
    if not documents and not faults:
        named = ", ".join(map(str, paths))
        faults.append(Fault(named, "", "no contracts or calendars here"))
    for document in documents:
        faults.extend(document.faults)
    faults.extend(check_references(documents))
    calendars, faults_between = combine_documents(documents)
    faults.extend(faults_between)
    faults.extend(check_allowances(documents, calendars))
    if faults:
        faults.sort(key=lambda fault: (order.get(fault.file.partition(_DOCUMENT)[0], -1), fault.line or 0))
        raise AgreementFaults(faults)
    return Agreements(
        contracts={d.id: d.model for d in documents if isinstance(d.model, ContractModel)},
        calendars=calendars,
        files={(d.kind, d.id): d.file for d in documents},
        warnings=tuple(warnings_of(documents)),
        skipped=tuple(skipped),
    )


def _with_proposal(documents: Sequence[SourceDocument], proposal: Path) -> list[SourceDocument]:
    """Leave out what the proposal says anew; a copy of its file among the others is the same file."""

    def is_proposed(document: SourceDocument) -> bool:
        return Path(document.file.partition(_DOCUMENT)[0]).resolve() == proposal.resolve()

    proposed = {(document.kind, document.id) for document in documents if is_proposed(document)}
    return [doc for doc in documents if is_proposed(doc) or (doc.kind, doc.id) not in proposed]


def files_of(paths: Sequence[Path], faults: list[Fault]) -> Iterator[Path]:
    """Yield the YAML files of folders, each once, however often and by whatever name it is given."""
    seen: set[Path] = set()
    folders = list(paths)
    for path in paths:
        # `.` has no parent by name.
        sibling = (path.parent if path.name == _CONTRACTS_FOLDER else path / "..") / _CALENDARS_FOLDER
        if path.resolve().name == _CONTRACTS_FOLDER and path.is_dir() and sibling.is_dir():
            folders.append(sibling)
    for path in folders:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and _is_visible(file, path))
        elif path.is_file():
            found = [path]
        else:
            faults.append(Fault(str(path), "", "no such file or folder"))
            continue
        for file in found:
            if file.is_file() and file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _is_visible(file: Path, folder: Path) -> bool:
    # Kubernetes mounts a ConfigMap as links into a hidden folder: the links are read, the folder is not.
    return not any(part.startswith(".") for part in file.relative_to(folder).parts)


def documents_of(file: Path, faults: list[Fault]) -> Iterator[SourceDocument]:
    """Yield the contracts and calendars of a file; what keeps it from being read is added to the faults."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        faults.append(Fault(str(file), "", f"can't be read: {error.strerror or error}"))
        return
    except UnicodeDecodeError as error:
        faults.append(Fault(str(file), "", f"is not UTF-8: byte {error.start}"))
        return
    try:
        for number, document in enumerate(read_documents(text)):
            data = document.data
            kind = data.get("kind") if isinstance(data, dict) else None
            if isinstance(kind, str) and kind in MODELS:
                yield _checked(file, number, kind, document)
            elif message := _kind_fault(data):
                faults.append(Fault(_named(file, number), "kind", message, document.line_of(("kind",))))
    except YamlSyntaxError as error:
        faults.append(Fault(str(file), "", str(error), error.line))


def _kind_fault(data: object) -> str | None:
    """Say what is wrong with the kind of a document that is none of ours; None if it belongs to another tool."""
    if not isinstance(data, dict) or "apiVersion" in data or data.get("kind") in (MAPPING_KIND, BURN_POLICY_KIND):
        return None
    if "kind" in data:
        return unknown(data["kind"], list(MODELS))
    looks_like_ours = len(_OUR_FIELDS & data.keys()) >= 2
    return f"missing: one of {', '.join(MODELS)}" if looks_like_ours else None


def _named(file: Path, number: int) -> str:
    return str(file) if number == 0 else f"{file}{_DOCUMENT}{number + 1})"


def _checked(file: Path, number: int, kind: str, document: YamlDocument) -> SourceDocument:
    """Validate one document; its model is None if it has faults."""
    name = _named(file, number)
    found = list(document.problems)
    model: StrictModel | None = None
    try:
        model = MODELS[kind].model_validate(document.data, context={FOLDER: file.parent})
    except ValidationError as error:
        # What is spelt ambiguously was told; that it is therefore of a wrong type is no news.
        spelt = {loc for loc, _ in found}
        found += [(loc, message) for loc, message in problems_of(error, MODELS[kind]) if loc not in spelt]
    faults = tuple(Fault(name, path_of(loc), message, document.line_of(loc)) for loc, message in found)
    return SourceDocument(name, kind, document, None if faults else model, faults)
