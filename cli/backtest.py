"""``slawatch backtest``: what a log would have come to under some agreements, computed without Kafka."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Column, Table

from cli.backtest_predictions import Calibration, Policies, PredictionReport, Predictions, WarmUp
from cli.console import console as make_console
from cli.events import Columns, Constants, Mapping, SkipFaults, Timezone, instant_of, progress_bar, read_events
from cli.lines import write_lines

if TYPE_CHECKING:
    from rich.console import Console

    from config.loader import Agreements
    from sla.backtest import Backtest, BacktestObserver, OpenClock
    from sla.engine import EngineLimits
    from sla.outcome import Verdict
    from sla.register import Register
    from sources.record import SourceEvent

    Record = Verdict | OpenClock

_STDOUT: Final = Path("-")
_OUTCOMES: Final = ("met", "breached", "open", "cancelled", "merged", "superseded", "terminated")
_TOLD_EVERY: Final = 2_000
"""Events between two moves of the progress bar."""

HOUR_MS: Final = 3_600_000

Contracts = Annotated[
    list[Path],
    typer.Option(
        "--contracts",
        metavar="DIR",
        help="Folder or file of contracts and calendars; may be repeated. Beside `contracts`, `calendars` is read too.",
    ),
]
Events = Annotated[
    Path, typer.Option("--events", dir_okay=False, help="XES, CSV or JSON lines (.xes .csv .jsonl .ndjson), also .gz.")
]


def backtest(
    *,
    contracts: Contracts,
    events: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Tickets: XES, CSV or JSON lines (.xes .csv .jsonl .ndjson), also .gz; needs --out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="File for one JSON line per clock (.gz compresses); - is standard output."),
    ] = None,
    uptime: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help='Services: JSON lines of {"service", "at", "good", "bad"}, the counts of the minute that begins at '
            "`at`, also .gz; needs --alerts.",
        ),
    ] = None,
    alerts: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="File for one JSON line per change of a burn-rate alert; - as above."),
    ] = None,
    predictions: Predictions = None,
    policy: Policies = None,
    calibration: Calibration = None,
    warm_up: WarmUp = "40%",
    until: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="It is this instant: later events are left out.")
    ] = None,
    mapping: Mapping = None,
    columns: Columns = None,
    timezone: Timezone = None,
    constants: Constants = None,
    skip_faults: SkipFaults = False,
) -> None:
    """Run the clocks and objectives of some agreements over a log, without Kafka: the same engine, the same verdicts.

    --events: writes one JSON line per clock, by ticket, target and cycle: its verdict as on sla.verdicts, or with the
    outcome `open` as of the end. --uptime: writes one JSON line per change of a burn-rate alert, `firing` or
    `resolved`, with the budget at that instant; availability objectives are judged every minute by the requests
    counted. The end is --until, or the newest event.

    --predictions: also writes the breach probability of every clock, made with the past only, at each of its events and
    at 0, 25, 50, 75 and 90 % of its target, and prints how good they were. --policy compares when to page.
    """
    from cli.contracts import read_agreements
    from config.settings import load_settings
    from sla.backtest import BacktestError
    from sources.faults import SourceError

    until_ms = None if until is None else instant_of(until, "--until")
    report = PredictionReport.asked_for(predictions, policy, calibration, warm_up)
    if report is not None and events is None:
        typer.echo("--predictions, --policy and --calibration need --events", err=True)
        raise typer.Exit(2)
    if report is None or out is not None:
        _require_pairs(events, out, uptime, alerts)
    engine = load_settings().engine
    register = register_of(read_agreements(contracts))
    if uptime is not None:
        from cli.backtest_uptime import backtest_uptime

        backtest_uptime(uptime, register, alerts, until_ms)
    if events is None:
        return
    reading = read_events(events, mapping, columns, timezone, constants, skip_faults=skip_faults)
    if not reading.events:
        raise SourceError(events, ["holds no events"])
    first_ms, newest_ms = reading.events[0].at_ms, reading.events[-1].at_ms
    end_ms = newest_ms if until_ms is None else until_ms
    console = make_console(stderr=True)
    began = time.monotonic()
    with progress_bar(console) as progress:
        bar = progress.add_task("", total=max(1, end_ms - first_ms), events=0, rate=0, at="")

        def tell(count: int, at_ms: int) -> None:
            from sla.units import format_instant

            rate = count / max(1e-3, time.monotonic() - began)
            progress.update(bar, completed=at_ms - first_ms, events=count, rate=rate, at=format_instant(at_ms))

        try:
            run = run_backtest(
                reading.events,
                register,
                limits_of(engine.settle_seconds, engine.retention_days),
                until_ms=until_ms,
                largest_event_bytes=engine.largest_event_bytes,
                tell=tell,
                observe=None if report is None else report.observe,
            )
        except BacktestError as error:
            console.print(str(error), markup=False, highlight=False)
            raise typer.Exit(1) from error
    if out is not None:
        records = list(run.records())
        write_lines(out, map(line_of, records))
        _summarise(make_console(stderr=out == _STDOUT), records, run)
    if report is not None:
        report.finish(run.now_ms, make_console(stderr=_STDOUT in {out, predictions}))
    if run.first_rejected is not None:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in sorted(run.rejected.items()))
        console.print(f"events refused: {counts}; the first: {run.first_rejected.detail}", markup=False)


def _require_pairs(events: Path | None, out: Path | None, uptime: Path | None, alerts: Path | None) -> None:
    """Exit with 2 unless there is something to read, and somewhere to write it to."""
    if events is None and uptime is None:
        faults = ["nothing to run: name --events (tickets) or --uptime (minute counts of services)"]
    else:
        faults = [
            f"{given} needs {missing}"
            for given, missing, is_wrong in (
                ("--events", "--out", events is not None and out is None),
                ("--out", "--events", events is None and out is not None),
                ("--uptime", "--alerts", uptime is not None and alerts is None),
                ("--alerts", "--uptime", uptime is None and alerts is not None),
            )
            if is_wrong
        ]
    if faults:
        typer.echo("\n".join(faults), err=True)
        raise typer.Exit(2)


def register_of(agreements: Agreements) -> Register:
    """Return the register that workers would compile from these agreements, had they been published."""
    from agents.register_view import compile_register
    from config.documents import calendar_document, contract_document
    from streams.register_topics import DocumentKind, RegisterSnapshot

    documents = {(DocumentKind.CALENDAR, name): calendar_document(of) for name, of in agreements.calendars.items()}
    documents |= {(DocumentKind.CONTRACT, name): contract_document(of) for name, of in agreements.contracts.items()}
    view = compile_register(RegisterSnapshot(documents))
    if view.faults:
        for fault in view.faults:
            typer.echo(fault, err=True)
        raise typer.Exit(2)
    return view.register


def limits_of(settle_seconds: float, retention_days: float) -> EngineLimits:
    """Return the engine's limits as settings give them."""
    from sla.engine import EngineLimits
    from sla.units import DAY_MS

    return EngineLimits(settle_ms=int(settle_seconds * 1000), retention_ms=int(retention_days * DAY_MS))


def run_backtest(
    events: Iterable[SourceEvent],
    register: Register,
    limits: EngineLimits,
    *,
    until_ms: int | None = None,
    largest_event_bytes: int = 65_536,
    tell: Callable[[int, int], None] | None = None,
    observe: Callable[[Backtest, Register, EngineLimits], BacktestObserver] | None = None,
) -> Backtest:
    """Run events through an engine as the player sends them and a worker reads them, records of the topic included.

    Parameters
    ----------
    events : iterable of SourceEvent
        In the order of event time.
    until_ms : int or None
        The end; None: the newest event.
    tell : callable, optional
        Is told, now and then, how many events were taken and which instant was reached.
    observe : callable, optional
        Is given the run, its register and its limits, and returns who looks on.

    Raises
    ------
    BacktestError
        If our own code failed on a ticket.
    """
    from sla.backtest import Backtest
    from sla.events import Rejected
    from sources.record import to_wire
    from sources.schedule import HEARTBEAT_EVERY_MS_AT_FULL_SPEED, Beat, schedule
    from streams.codecs import decode_ticket

    run = Backtest(register, limits)
    if observe is not None:
        run.observer = observe(run, register, limits)
    taken = 0
    for item in schedule(events, heartbeat_every_ms=HEARTBEAT_EVERY_MS_AT_FULL_SPEED, until_ms=until_ms):
        if isinstance(item, Beat):
            run.advance_to(item.at_ms)
            continue
        decoded = decode_ticket(to_wire(item), item.key, largest_event_bytes)
        if isinstance(decoded, tuple):
            run.apply(*decoded)
        else:
            assert isinstance(decoded, Rejected), "a heartbeat comes as a Beat"
            run.reject(decoded)
        taken += 1
        if tell is not None and taken % _TOLD_EVERY == 0:
            tell(taken, item.at_ms)
    return run


def line_of(record: Record) -> bytes:
    """Return the JSON line of a clock; that of a verdict is the value of its record on sla.verdicts."""
    import msgspec

    from sla.outcome import Verdict
    from streams.codecs import encode_verdict
    from streams.wire import VERSION

    if isinstance(record, Verdict):
        return encode_verdict(record)
    return msgspec.json.encode({"version": VERSION, **record.document()})


# --- summary ---


def _summarise(console: Console, records: list[Record], run: Backtest) -> None:
    from sla.units import format_instant

    console.print(_targets_table(records))
    console.print(_parties_table(records))
    console.print(f"{len(records):,} clocks as of {format_instant(run.now_ms)}", markup=False, highlight=False)


def _outcome(record: Record) -> str:
    from sla.outcome import Verdict

    return record.result.value if isinstance(record, Verdict) else "open"


def _targets_table(records: list[Record]) -> Table:
    counts = Counter((record.target, _outcome(record)) for record in records)
    shown = [name for name in _OUTCOMES if name in {"met", "breached", "open"} or any(o == name for _, o in counts)]
    table = Table(Column("target", no_wrap=True), *(Column(name, justify="right") for name in shown))
    table.add_column("attained", justify="right")
    for target in sorted({target for target, _ in counts}):
        met, breached = counts[target, "met"], counts[target, "breached"]
        attained = f"{met / (met + breached):.1%}" if met + breached else ""
        table.add_row(target, *(f"{counts[target, name]:,}" for name in shown), attained)
    return table


def _parties_table(records: list[Record]) -> Table:
    """Add up who held the tickets. Superseded clocks are left out: those that carry them on hold their time, too."""
    sums: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for contract, party, elapsed_ms, counted_ms, paused_ms in _all_shares(records):
        found = sums[contract, party]
        found[0] += 1
        found[1] += elapsed_ms
        found[2] += counted_ms
        found[3] += paused_ms
    table = Table(
        Column("contract", no_wrap=True),
        Column("held by", no_wrap=True),
        *(Column(name, justify="right") for name in ("clocks", "elapsed h", "counted h", "paused h")),
    )
    for (contract, party), (number, *durations) in sorted(sums.items(), key=lambda item: (item[0][0], -item[1][2])):
        table.add_row(contract, party, f"{number:,}", *(f"{duration / HOUR_MS:,.1f}" for duration in durations))
    return table


def _all_shares(records: list[Record]) -> Iterator[tuple[str, str, int, int, int]]:
    for record in records:
        if _outcome(record) != "superseded":
            for share in record.parties:
                yield record.contract, *share
