"""``slawatch contracts feasible``: can a revision be kept, what would it have come to: asked before it is signed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from datetime import timezone as tz
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich import box
from rich.table import Column, Table

from cli.backtest import limits_of, register_of
from cli.calendar_table import counted
from cli.console import console as make_console
from cli.contracts import read_agreements
from cli.contracts_lookup import AsJson, refuse
from cli.events import Columns, Constants, Mapping, SkipFaults, Timezone, instant_of, read_events
from cli.feasible_log import TOPIC, Historical, historical, play_events, play_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.contract_model import ContractModel
    from config.loader import Agreements
    from sla.backtest import Backtest
    from sla.contract import Contract, Target
    from sla.feasibility import Term, Trial, Underpinning
    from sla.register import Register

_BEGINNING: Final = "1970-01-01T00:00:00Z"
"""The proposed revision is in force from then on: asked is what it would have come to."""

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(slots=True)
class Feasibility:
    """What is said about a revision.

    Attributes
    ----------
    technical : list of (Underpinning, Underpinning or None)
        Each chain over a reference year, and at the starts of the log's clocks.
    historical : list of Historical
        Empty without a log.
    as_of_ms : int or None
        End of the log.
    """

    contract: str
    revision: int
    technical: list[tuple[Underpinning, Underpinning | None]]
    historical: list[Historical] = field(default_factory=list)
    as_of_ms: int | None = None

    @property
    def faults(self) -> list[str]:
        """What speaks against signing it, a line each."""
        technical = [in_words(uniform) for uniform, _ in self.technical if not uniform.holds]
        return technical + [
            f"{told.target.id}: {told.attained:.1%} would have been met, {_promised(told.target)} is promised"
            for told in self.historical
            if told.falls_short and told.attained is not None
        ]


def feasible(
    file: Annotated[Path, typer.Argument(metavar="FILE", dir_okay=False, help="The proposed contract.")],
    *,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--with", metavar="DIR", help="Its calendars, OLAs and UCs; may be repeated. Default: the folder of FILE."
        ),
    ] = None,
    contract: Annotated[
        str | None, typer.Option("--contract", metavar="ID", help="Which one, if FILE holds several.")
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", metavar="N", help="Which one. Default: the newest with targets.")
    ] = None,
    year: Annotated[int | None, typer.Option(help="Reference year for start instants. Default: this year.")] = None,
    events: Annotated[
        Path | None,
        typer.Option("--events", metavar="FILE|topic", help="A log (XES, CSV, JSON lines), or the topic sla.tickets."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="The log ends here. Default: newest event.")
    ] = None,
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a proposed revision can be kept, whatever its status; exit with 1 if something speaks against it.

    Technical: at which start instants of a year do the OLAs and UCs that support the SLA take longer than it allows?
    With a log also: what would it have attained, and which `within` would have been reached?
    """
    from config.settings import load_settings

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # this command says itself what does not answer
    until_ms = None if until is None else instant_of(until, "--until")
    agreements = read_agreements(beside or [file.parent], proposal=file)
    proposed = _proposed(agreements, file, contract)
    number, agreements = _as_if_signed(agreements, proposed, revision)
    register = register_of(agreements)
    settings = load_settings()
    run: Backtest | None = None
    if events is not None:
        limits = limits_of(settings.engine.settle_seconds, settings.engine.retention_days)
        if events == TOPIC:
            run = play_topic(settings, register, limits, until_ms=until_ms)
        else:
            reading = read_events(events, mapping, columns, timezone, constants, skip_faults=skip_faults)
            run = play_events(reading.events, register, limits, until_ms=until_ms)
    told = examine(register, proposed.id, number, year or datetime.now(UTC).year, run)
    if as_json:
        typer.echo(json.dumps(document(told), ensure_ascii=False, indent=2))
    else:
        _show(told)
    if told.faults:
        raise typer.Exit(1)


def _proposed(agreements: Agreements, file: Path, contract: str | None) -> ContractModel:
    """Return the contract that is asked about."""
    here = file.resolve()
    in_file = {
        identity: model
        for identity, model in agreements.contracts.items()
        if Path(agreements.files["Contract", identity].partition(" (document ")[0]).resolve() == here
    }
    if contract is not None and contract in in_file:
        return in_file[contract]
    if contract is not None or len(in_file) != 1:
        names = ", ".join(sorted(in_file)) or "none"
        asked = f"no contract {contract!r}" if contract else "name one contract with --contract"
        refuse([f"{file}: {asked}; it holds: {names}"])
    return next(iter(in_file.values()))


def _as_if_signed(agreements: Agreements, proposed: ContractModel, number: int | None) -> tuple[int, Agreements]:
    """Return the number of the revision asked about, and the agreements as if it alone had always been signed."""
    from config.contract_checks import Status

    with_targets = [revision for revision in proposed.revisions if revision.targets]
    chosen = [revision for revision in with_targets if number is None or revision.revision == number]
    if not chosen:
        names = ", ".join(str(revision.revision) for revision in with_targets) or "none"
        refuse([f"{proposed.id}: no revision {number or ''} with targets; there are: {names}"])
    revision = chosen[-1].model_copy(update={"status": Status.SIGNED, "effective_from": _BEGINNING, "review_by": None})
    signed = proposed.model_copy(update={"revisions": (revision,)})
    return revision.revision, replace(agreements, contracts={**agreements.contracts, proposed.id: signed})


def examine(register: Register, contract_id: str, number: int, year: int, run: Backtest | None) -> Feasibility:
    """Return what is to be said about a contract of a register.

    Parameters
    ----------
    number : int
        Of the revision, for the reader.
    year : int
        Reference year, in UTC.
    run : Backtest or None
        Of a log under that register.
    """
    from sla.feasibility import Trial, start_grid
    from sla.reachable_target import CONFIDENCE
    from sla.units import ms_of

    contract = register.contracts[contract_id]
    past = historical(run, list(contract.targets), CONFIDENCE) if run is not None else []
    starts = {told.target.id: told.starts for told in past}
    from_ms, until_ms = ms_of(datetime(year, 1, 1, tzinfo=UTC)), ms_of(datetime(year + 1, 1, 1, tzinfo=UTC))
    grids: dict[str, Trial] = {}
    technical = []
    for sla, chain in _chains(register, contract, from_ms):
        civil = register.calendars[sla[0].calendar]
        if civil.id not in grids:
            grids[civil.id] = Trial(start_grid(from_ms, until_ms), civil)
        of_log = starts.get(sla[0].id)
        technical.append(
            (grids[civil.id].underpin(sla, chain), Trial(of_log, civil).underpin(sla, chain) if of_log else None)
        )
    return Feasibility(contract_id, number, technical, past, run.now_ms if run is not None else None)


def _chains(register: Register, contract: Contract, at_ms: int) -> Iterator[tuple[Term, list[Term]]]:
    """Yield what is to be tried: an SLA's target, and what holds it up, alone and one after the other."""
    from sla.contract import ContractType
    from sla.feasibility import Trial, in_series, revision_at, start_grid, supporting
    from sla.units import DAY_MS

    contracts = register.contracts
    is_sla = contract.type is ContractType.SLA
    slas = [contract] if is_sla else [contracts[name] for name in contract.supports if name in contracts]

    def term(target: Target) -> Term:
        return target, register.calendar_of(target)

    for sla in slas:
        below = [other for other in contracts.values() if sla.id in other.supports]
        targets = revision_at(sla.targets, at_ms)
        metrics = frozenset(target.metric for target in targets)
        for target in targets:
            # Four weeks are enough to tell which link is the worst of its contract.
            trial = Trial(start_grid(at_ms, at_ms + 28 * DAY_MS), register.calendars[target.calendar])
            links = [link for other in below for link in supporting(target, metrics, other, at_ms)]
            alone = [trial.underpin(term(target), [term(link)]) for link in links]
            for link in links:
                if is_sla or link.contract == contract.id:
                    yield term(target), [term(link)]
            series = in_series(alone)
            if series and (is_sla or any(link.contract == contract.id for link in series)):
                yield term(target), [term(link) for link in series]


# --- output ---


def in_words(told: Underpinning) -> str:
    """Return what is to be said about a chain, in a line; instants in the time zone of the SLA's calendar."""
    from sla.duration import format_duration
    from sla.units import datetime_of

    names = " then ".join(f"{link.id} ({within_in_words(link)})" for link in told.chain)
    subject = f"{told.sla.id} ({within_in_words(told.sla)})"
    if told.stands:
        return f"{subject}: its clock stands while {names} runs"
    if told.undated:
        return f"{subject}: with {names}: due on a date that only a ticket has"
    if told.worst is None:
        return f"{subject}: nothing was tried against {names}"
    worst, zone = told.worst, told.zone

    def local(instant_ms: int) -> str:
        offset = timedelta(milliseconds=zone.offset_ms_at(instant_ms) if zone is not None else 0)
        at = datetime_of(instant_ms).astimezone(tz(offset))
        return f"{_WEEKDAYS[at.weekday()]} {at.isoformat(' ', 'minutes')}"

    if told.holds:
        left = format_duration(-worst.late_ms, business=False)
        return f"{subject}: {names} holds it up at every start, with {left} left or more"
    days = [
        f"{name} {_share(late / number)}"
        for name, (number, late) in zip(_WEEKDAYS, told.by_weekday, strict=True)
        if number and late
    ]
    often = f"{_share(told.failing_share)} of the starts ({', '.join(days)})"
    if told.failing == told.starts:
        often = "any start"
    takes = format_duration(told.worst_counted_ms, business=_is_business(told.sla))
    return (
        f"{subject}: {names} can't hold it up at {often}; worst: "
        f"start {local(worst.start_ms)}, due {local(worst.due_ms)}, done by {local(worst.done_ms)}, after {takes} "
        "as the SLA counts"
    )


def _share(share: float) -> str:
    return "<0.1%" if 0 < share < 0.001 else f"{share:.1%}"


def _promised(target: Target) -> str:
    return "" if target.objective is None else f"{float(target.objective.attain) * 100:.6g}%"


def within_in_words(target: Target) -> str:
    """Return a target's `within`, as contracts write it where it is a duration."""
    from sla.duration import format_within

    return format_within(target.within)


def _is_business(target: Target) -> bool:
    from sla.contract import TimeBase

    return target.within.base is TimeBase.BUSINESS


def document(told: Feasibility) -> dict[str, Any]:
    """Return the JSON object of what was found; durations in seconds, instants RFC 3339."""
    from sla.units import format_instant

    def chain(uniform: Underpinning, of_log: Underpinning | None) -> dict[str, Any]:
        worst = uniform.worst
        return {
            "target": uniform.sla.id,
            "chain": [link.id for link in uniform.chain],
            "holds": uniform.holds,
            "clock_stands": uniform.stands,
            "undated": uniform.undated,
            "failing_share": uniform.failing_share,
            "failing_share_on_log": None if of_log is None else of_log.failing_share,
            "failing_share_by_weekday": {
                name: late / number if number else 0.0
                for name, (number, late) in zip(_WEEKDAYS, uniform.by_weekday or ((0, 0),) * 7, strict=True)
            },
            "worst": worst
            and {
                "start": format_instant(worst.start_ms),
                "deadline": format_instant(worst.due_ms),
                "done": format_instant(worst.done_ms),
                "late_seconds": worst.late_ms / 1000,
                "counted_seconds": uniform.worst_counted_ms / 1000,
            },
        }

    return {
        "contract": told.contract,
        "revision": told.revision,
        "feasible": not told.faults,
        "faults": told.faults,
        "technical": [chain(uniform, of_log) for uniform, of_log in told.technical],
        "as_of": None if told.as_of_ms is None else format_instant(told.as_of_ms),
        "historical": [_historical_document(each) for each in told.historical],
    }


def _historical_document(told: Historical) -> dict[str, Any]:
    objective, reachable = told.target.objective, told.reachable

    def seconds(duration_ms: int | None) -> float | None:
        return None if duration_ms is None else duration_ms / 1000

    return {
        "target": told.target.id,
        "within": within_in_words(told.target),
        "outcomes": dict(sorted(told.counts.items())),
        "attained": told.attained,
        "attained_low": told.low,
        "attained_high": told.high,
        "promised": None if objective is None else float(objective.attain),
        "periods": told.periods,
        "periods_missed": told.missed,
        "reachable": reachable
        and {
            "within_seconds": seconds(reachable.within_ms),
            "low_seconds": seconds(reachable.low_ms),
            "high_seconds": seconds(reachable.high_ms),
            "stopped": reachable.stopped,
            "open": reachable.open,
        },
    }


def _show(told: Feasibility) -> None:
    from sla.units import format_instant

    console = make_console(highlight=False)
    console.print(f"{told.contract}, revision {told.revision}", style="bold", markup=False)
    console.print("\nTechnical", style="bold")
    if not told.technical:
        console.print("  no OLA or UC supports it: nothing to hold it up, nothing to contradict it")
    for uniform, of_log in told.technical:
        share = f"; {_share(of_log.failing_share)} of the log's starts" if of_log is not None and of_log.failing else ""
        style = "" if uniform.holds else "red"
        console.print(f"  {in_words(uniform)}{share}", style=style, markup=False, soft_wrap=True)
    if told.as_of_ms is not None:
        console.print(f"\nOn the log, as of {format_instant(told.as_of_ms)}", style="bold", markup=False)
        console.print(_historical_table(told.historical))
        console.print(
            "In brackets: 95 % confidence intervals. Reachable: the `within` that would have been met as often as "
            "promised; open clocks count as having run at least so long.",
            markup=False,
        )
    faults = told.faults
    console.print(
        "\nNothing speaks against it." if not faults else f"\nNot feasible as it is: {counted(len(faults), 'reason')}.",
        style="green" if not faults else "red",
    )


def _historical_table(told: Sequence[Historical]) -> Table:
    table = Table(
        Column("target", overflow="fold"),
        Column("within", no_wrap=True),
        *(Column(name, justify="right") for name in ("met", "breached", "open")),
        Column("attained", justify="right"),
        Column("promised", justify="right"),
        Column("periods missed", justify="right"),
        Column("reachable within", justify="right"),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for each in told:
        attained = "" if each.attained is None else f"{each.attained:.1%}\n({each.low:.1%} - {each.high:.1%})"
        table.add_row(
            each.target.id,
            within_in_words(each.target),
            *(f"{each.counts[name]:,}" for name in ("met", "breached", "open")),
            attained,
            _promised(each.target),
            f"{each.missed} of {each.periods}" if each.periods else "",
            _reachable(each),
            style="red" if each.falls_short else "",
        )
    return table


def _reachable(told: Historical) -> str:
    reachable = told.reachable
    if reachable is None:
        return ""

    def shown(duration_ms: int | None) -> str:
        return "more" if duration_ms is None else _rounded_up(duration_ms, business=_is_business(told.target))

    if reachable.within_ms is None:
        return f"none on this log\n(at least {shown(reachable.low_ms)})" if reachable.low_ms else "none on this log"
    return f"{shown(reachable.within_ms)}\n({shown(reachable.low_ms)} - {shown(reachable.high_ms)})"


def _rounded_up(duration_ms: int, *, business: bool) -> str:
    """Return a duration to whole minutes, upwards: that much would have been enough."""
    from sla.duration import format_duration
    from sla.units import MINUTE_MS

    return format_duration(-(-duration_ms // MINUTE_MS) * MINUTE_MS, business=business)
