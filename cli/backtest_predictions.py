"""``slawatch backtest --predictions`` and ``--policy``: what would have been predicted and paged, and its worth."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer
from rich.table import Column, Table

from cli.calibration_plot import calibration_svg
from cli.lines import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from sla.backtest import Backtest
    from sla.engine import EngineLimits
    from sla.forecast.forecaster import Prediction
    from sla.forecast.policy import AlertPolicy, PolicyResult, WatchedClock
    from sla.forecast.quality import Quality
    from sla.forecast.run import Decision, PredictionRun
    from sla.register import Register

Predictions = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        help='File for one JSON line per prediction, {"clock_id", "at_ms", "p"}, by instant (.gz compresses); - is '
        "standard output.",
    ),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME|FILE",
        help="Compare alert policies: `all`, a name such as consumed-75 or probability-70, or a YAML file; may be "
        "repeated.",
    ),
]
Calibration = Annotated[
    Path | None, typer.Option(dir_okay=False, metavar="SVG", help="File for a plot of predicted against observed.")
]
WarmUp = Annotated[
    str,
    typer.Option(
        metavar="SHARE", help="First part of the clocks, by start, that predictions and policies are not judged by."
    ),
]

_EVENT: Final = -1
_DIGITS: Final = 6
"""Of a probability: the seventh says nothing, and lines stay short."""


class _Line(msgspec.Struct):
    clock_id: str
    at_ms: int
    p: float


class PredictionReport:
    """Takes predictions and verdicts of a run, writes the predictions, and prints how good they were.

    Parameters
    ----------
    out : Path or None
        File of predictions.
    policies : sequence of AlertPolicy
        To compare; empty: none.
    plot : Path or None
        File for the plot of calibration.
    warm_up : float
        First share of the clocks, by start, that is not judged.
    """

    def __init__(self, out: Path | None, policies: Sequence[AlertPolicy], plot: Path | None, warm_up: float) -> None:
        self._out = out
        self._policies = policies
        self._plot = plot
        self._warm_up = warm_up
        self._run: PredictionRun | None = None
        # One entry per prediction, in columns: a log has millions.
        self._clock = array("q")
        self._at_ms = array("q")
        self._share = array("d")
        self._probability = array("d")
        self._step = array("b")
        self._flags = array("b")
        self._numbers: dict[str, int] = {}
        self._strata: list[str] = []
        self._decisions: dict[int, Decision] = {}

    @classmethod
    def asked_for(
        cls, out: Path | None, policies: list[str] | None, plot: Path | None, warm_up: str
    ) -> PredictionReport | None:
        """Return the report that the options ask for; None: none of them is given. Wrong options exit with 2."""
        if out is None and not policies and plot is None:
            return None
        from config.policy_model import PolicyFileError, named_policies
        from sla.errors import UnitError
        from sla.units import parse_ratio

        try:
            share = float(parse_ratio(warm_up))
            return cls(out, named_policies(policies or []), plot, share)
        except UnitError as error:
            typer.echo(f"--warm-up: {error}", err=True)
        except PolicyFileError as error:
            for fault in error.faults:
                typer.echo(fault, err=True)
        raise typer.Exit(2)

    def observe(self, run: Backtest, register: Register, limits: EngineLimits) -> PredictionRun:
        """Return who looks on at a backtest."""
        from sla.forecast.forecaster import Forecaster
        from sla.forecast.run import PredictionRun

        self._run = PredictionRun(
            register,
            Forecaster(),
            run.ticket,
            settle_ms=limits.settle_ms,
            on_prediction=self._take,
            on_decision=self._decide,
        )
        return self._run

    def finish(self, now_ms: int, console: Console) -> None:
        """Write the predictions and print what they were worth, as of the end."""
        assert self._run is not None
        self._run.finish(now_ms)
        if self._out is not None:
            write_lines(self._out, self._lines())
        judged = self._judged()
        for stratum in sorted(set(self._strata)):
            of_stratum = frozenset(number for number in judged if self._strata[number] == stratum)
            self._print(console, stratum, of_stratum)
        if not judged:
            console.print("no clock to judge predictions by: all of them are open, or within the warm-up")

    # --- what comes in ---

    def _take(self, prediction: Prediction) -> None:
        number = self._numbers.setdefault(prediction.clock_id, len(self._numbers))
        if number == len(self._strata):
            self._strata.append(prediction.stratum)
        self._clock.append(number)
        self._at_ms.append(prediction.at_ms)
        self._share.append(prediction.share)
        self._probability.append(prediction.probability)
        self._step.append(_EVENT if prediction.step is None else prediction.step)
        self._flags.append(prediction.is_first + 2 * prediction.is_trusted)

    def _decide(self, decision: Decision) -> None:
        number = self._numbers.get(decision.clock_id)
        if number is not None:
            self._decisions[number] = decision

    # --- what goes out ---

    def _lines(self) -> Iterator[bytes]:
        from sla.forecast.quality import CHECKPOINTS

        told = {percent // 5 for percent in CHECKPOINTS} | {_EVENT}
        names = list(self._numbers)
        encode = msgspec.json.Encoder().encode
        for number, at_ms, probability, step in zip(
            self._clock, self._at_ms, self._probability, self._step, strict=True
        ):
            if step in told:
                yield encode(_Line(names[number], at_ms, round(probability, _DIGITS)))

    def _judged(self) -> frozenset[int]:
        """Return the numbers of the clocks that count: with an outcome, and started after the warm-up."""
        with_outcome = [
            (decision.start_ms, decision.clock_id, number)
            for number, decision in self._decisions.items()
            if decision.breached is not None
        ]
        with_outcome.sort()
        return frozenset(number for _, _, number in with_outcome[int(len(with_outcome) * self._warm_up) :])

    def _print(self, console: Console, stratum: str, judged: frozenset[int]) -> None:
        if not judged:
            return
        breached = sum(bool(self._decisions[number].breached) for number in judged)
        console.print(
            f"{stratum}: {len(judged):,} clocks after a warm-up of {self._warm_up:.0%}, {breached / len(judged):.1%} "
            "breached",
            markup=False,
        )
        qualities, pooled = self._qualities(judged)
        console.print(_quality_table(qualities, pooled))
        if pooled is not None:
            console.print(_calibration_table(pooled))
            if self._plot is not None:
                several = len(set(self._strata)) > 1
                path = self._plot.with_stem(f"{self._plot.stem}-{stratum.replace('/', '-')}") if several else self._plot
                path.write_text(calibration_svg(pooled, stratum), encoding="utf-8")
        assert self._run is not None
        trust = self._run.forecaster.trust(stratum)
        trusted = sum(flag >= 2 for number, flag in zip(self._clock, self._flags, strict=True) if number in judged)
        looks = sum(number in judged for number in self._clock)
        console.print(
            f"the forecast was trusted at {trusted / looks:.0%} of {looks:,} looks; at the end: {trust.in_words()}",
            markup=False,
        )
        if self._policies:
            console.print(_policies_table(self._compared(judged)))

    def _qualities(self, judged: frozenset[int]) -> tuple[dict[int, Quality | None], Quality | None]:
        import numpy as np

        from sla.forecast.quality import CHECKPOINTS, quality_of

        by_step: dict[int, tuple[list[float], list[bool]]] = {percent // 5: ([], []) for percent in CHECKPOINTS}
        for number, probability, step, flag in zip(
            self._clock, self._probability, self._step, self._flags, strict=True
        ):
            if number not in judged or (step == _EVENT and not flag & 1):
                continue
            scored = by_step.get(0 if flag & 1 else step)
            if scored is not None:
                scored[0].append(probability)
                scored[1].append(bool(self._decisions[number].breached))
        qualities = {step * 5: quality_of(np.array(p, float), np.array(b, bool)) for step, (p, b) in by_step.items()}
        everything = [one for p, _ in by_step.values() for one in p]
        outcomes = [one for _, b in by_step.values() for one in b]
        return qualities, quality_of(np.array(everything, float), np.array(outcomes, bool))

    def _compared(self, judged: frozenset[int]) -> list[PolicyResult]:
        from sla.forecast.policy import CONSUMED_POLICIES, with_pages_of
        from sla.forecast.policy import judged as judged_by

        watched = list(self._watched(judged))
        results = [judged_by(policy, watched) for policy in self._policies]
        results += [with_pages_of(result, watched) for result in results if result.policy in CONSUMED_POLICIES]
        return results

    def _watched(self, judged: frozenset[int]) -> Iterator[WatchedClock]:
        from sla.forecast.policy import Look, WatchedClock

        looks: dict[int, list[Look]] = {}
        for number, share, probability, flag in zip(
            self._clock, self._share, self._probability, self._flags, strict=True
        ):
            if number in judged:
                looks.setdefault(number, []).append(Look(share, probability, flag >= 2, bool(flag & 1)))
        for number, of_clock in looks.items():
            yield WatchedClock(bool(self._decisions[number].breached), of_clock)


def _quality_table(qualities: dict[int, Quality | None], pooled: Quality | None) -> Table:
    numbers = ("predictions", "breached", "log loss", "Brier", "AUC", "ECE")
    table = Table(Column("consumed", no_wrap=True), *(Column(name, justify="right") for name in numbers))
    rows = [(f"{percent} %", quality) for percent, quality in qualities.items()]
    for name, quality in (*rows, ("pooled", pooled)):
        if quality is None:
            continue
        table.add_row(
            name,
            f"{quality.predictions:,}",
            f"{quality.breached / quality.predictions:.1%}",
            f"{quality.log_loss:.4f}",
            f"{quality.brier:.4f}",
            _number(quality.auc, "{:.4f}"),
            f"{quality.ece:.4f}",
        )
    return table


def _calibration_table(quality: Quality) -> Table:
    table = Table(
        Column("probability", no_wrap=True),
        *(Column(name, justify="right") for name in ("predictions", "predicted", "observed")),
    )
    width = 100 // len(quality.bins)
    for number, one in enumerate(quality.bins):
        name = f"{number * width} to {(number + 1) * width} %"
        if one.predictions:
            table.add_row(name, f"{one.predictions:,.0f}", f"{one.predicted:.1%}", f"{one.observed:.1%}")
        else:
            table.add_row(name, "0", "", "")
    return table


def _policies_table(results: list[PolicyResult]) -> Table:
    numbers = ("threshold", "pages", "clocks", "precision", "recall", "mean lead", "median lead")
    table = Table(Column("policy", no_wrap=True), *(Column(name, justify="right") for name in numbers))
    for result in results:
        table.add_row(
            result.policy.name,
            _number(result.policy.page, "{:.2f}"),
            f"{result.pages:,}",
            f"{result.clocks:,}",
            _number(result.precision, "{:.3f}"),
            _number(result.recall, "{:.3f}"),
            _number(result.mean_lead, "{:.3f}"),
            _number(result.median_lead, "{:.3f}"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
