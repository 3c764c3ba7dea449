"""``slawatch contracts apply``: put checked agreements on the register that every worker reads."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from cli.console import console as make_console
from cli.contracts import read_agreements
from cli.contracts_lookup import instant_ms, published_contracts, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from config.contract_model import ContractModel
    from config.loader import Agreements
    from streams.register_topics import DocumentKey, Published, RegisterSnapshot


def apply(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...",
            help="Folders or files of contracts and calendars. Beside `contracts`, `calendars` is read too.",
        ),
    ],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be published.")] = False,
    prune: Annotated[
        bool,
        typer.Option(
            "--prune", help="Also remove contracts and calendars that are not in DIR; this ends their monitoring."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where a calendar changes its past: verdicts are corrected.")
    ] = False,
) -> None:
    """Check contracts and calendars, then publish those that differ from the register; workers follow at once.

    Nothing is published if there is a fault, or if a signed revision differs from the one on the register: signed
    revisions are immutable, a change is a new revision. The past of a calendar that signed contracts count by changes
    only with --force.
    """
    from config.settings import load_settings
    from streams.register_topics import DocumentKind, publish, read_register

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    agreements = read_agreements(paths)
    documents = documents_of(agreements)
    settings = load_settings()
    now_ms = instant_ms(None)

    async def check_and_publish() -> Published:
        register = await read_register(settings)
        authored = {DocumentKind.CONTRACT, DocumentKind.CALENDAR}
        absent = [key for key in register.documents if key[0] in authored and key not in documents]
        kept = {} if prune else {key: register.documents[key] for key in absent}
        if faults := faults_against(register, agreements, kept, now_ms):
            refuse(faults)
        rewritten = rewritten_past(register, agreements, documents, now_ms)
        if rewritten and not force:
            refuse([*rewritten, "nothing is published; --force publishes it, and corrects those verdicts"])
        for warning in [*warnings_against(register, agreements, now_ms), *rewritten]:
            typer.echo(f"warning: {warning}", err=True)
        return await publish(settings, documents, remove=absent if prune else (), dry_run=dry_run)

    _show(asyncio.run(check_and_publish()), settings.kafka.bootstrap, dry_run=dry_run)


def documents_of(agreements: Agreements) -> dict[DocumentKey, bytes]:
    """Return the register documents of agreements, calendars first."""
    from config.documents import calendar_document, contract_document
    from streams.register_topics import DocumentKind

    calendars = {
        (DocumentKind.CALENDAR, identity): calendar_document(model) for identity, model in agreements.calendars.items()
    }
    contracts = {
        (DocumentKind.CONTRACT, identity): contract_document(model) for identity, model in agreements.contracts.items()
    }
    return {**calendars, **contracts}


def faults_against(
    register: RegisterSnapshot, agreements: Agreements, kept: Mapping[DocumentKey, bytes], now_ms: int
) -> list[str]:
    """Return a line for everything that the register does not allow: changes of what is signed, illegal steps, clashes.

    Parameters
    ----------
    kept
        Documents that stay on the register beside the agreements.
    """
    from config.contract_life import illegal_transitions
    from config.signed_revisions import changes_of_signed

    lines = []
    for place, published, proposed in _pairs(register, agreements):
        lines += [f"{place}: {line}" for line in changes_of_signed(published, proposed)]
        lines += [f"{place}: {line}" for line in illegal_transitions(published, proposed, now_ms)]
    return [*lines, *_clashes(agreements, kept)]


def warnings_against(register: RegisterSnapshot, agreements: Agreements, now_ms: int) -> list[str]:
    """Return a line for everything that is allowed and probably not meant: terms that take effect in the past."""
    from config.contract_life import retroactive_revisions

    return [
        f"{place}: {line}"
        for place, published, proposed in _pairs(register, agreements)
        for line in retroactive_revisions(published, proposed, now_ms)
    ]


def rewritten_past(
    register: RegisterSnapshot, agreements: Agreements, documents: Mapping[DocumentKey, bytes], now_ms: int
) -> list[str]:
    """Return a line for every calendar whose hours of the past would change, for contracts that are signed."""
    from config.calendar_past import changes_of_the_past
    from config.documents import DocumentError, calendar_of
    from streams.connection import KafkaFault
    from streams.register_topics import DocumentKind

    published = {}
    for identity, document in register.of_kind(DocumentKind.CALENDAR).items():
        if documents.get((DocumentKind.CALENDAR, identity), document) != document:
            try:
                published[identity] = calendar_of(document)
            except DocumentError as error:
                raise KafkaFault(f"calendar {identity} on the register can't be read: {error}") from error
    proposed = {identity: agreements.calendars[identity].to_domain() for identity in published}
    contracts = published_contracts(register).values()
    return [
        f"{agreements.files[DocumentKind.CALENDAR.value, identity]}: {identity}: {line}"
        for identity, line in changes_of_the_past(published, proposed, contracts, now_ms)
    ]


def _pairs(register: RegisterSnapshot, agreements: Agreements) -> Iterator[tuple[str, ContractModel, ContractModel]]:
    """Yield every contract that stands on both sides: its place for messages, as published, as proposed."""
    from streams.register_topics import DocumentKind

    for identity, published in published_contracts(register).items():
        if identity in agreements.contracts:
            place = f"{agreements.files[DocumentKind.CONTRACT.value, identity]}: {identity}"
            yield place, published, agreements.contracts[identity]


def _clashes(agreements: Agreements, kept: Mapping[DocumentKey, bytes]) -> list[str]:
    """Return a line for every id that a contract kept on the register and a proposed one share.

    The folder itself was checked already; a worker that finds two contracts with one target id leaves one of them out.
    """
    from config.documents import DocumentError, contract_model_of
    from streams.connection import KafkaFault
    from streams.register_topics import DocumentKind

    owner: dict[str, str] = {}
    for (kind, identity), document in sorted(kept.items()):
        if kind is not DocumentKind.CONTRACT:
            continue
        try:
            contract = contract_model_of(document).to_domain()
        except DocumentError as error:
            raise KafkaFault(f"contract {identity} on the register can't be read: {error}") from error
        for target in contract.targets:
            owner[target.id] = identity
            if target.objective is not None:
                owner[target.objective.id] = identity
    lines = []
    for identity, model in sorted(agreements.contracts.items()):
        file = agreements.files[DocumentKind.CONTRACT.value, identity]
        ids = {target.id for target in model.to_domain().targets}
        ids |= {target.objective.id for target in model.to_domain().targets if target.objective is not None}
        lines += [
            f"{file}: {identity}: id {name!r} is taken by contract {owner[name]!r} on the register: "
            "choose another, or remove that contract with --prune"
            for name in sorted(ids & set(owner))
        ]
    return lines


def _show(published: Published, bootstrap: str, *, dry_run: bool) -> None:
    from streams.register_topics import DocumentKind

    console = make_console()
    table = Table("kind", Column("id", overflow="fold"), "to be" if dry_run else "done")
    rows = {
        "created": published.created,
        "changed": published.changed,
        "removed": published.removed,
        "unchanged": published.unchanged,
        "kept: not in DIR": tuple(key for key in published.kept if key[0] is not DocumentKind.ADJUSTMENT),
    }
    for done, keys in rows.items():
        for kind, identity in keys:
            table.add_row(kind.value, identity, done)
    if table.row_count:
        console.print(table)
    counts = ", ".join(f"{len(keys)} {done.partition(':')[0]}" for done, keys in rows.items())
    console.print(f"{bootstrap}: {'would be ' if dry_run else ''}{counts}")
