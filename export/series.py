"""Metric families and their series: small, quick to change, cheap to read from another thread.

Why not ``prometheus_client``'s own metrics: rendering 100,000 series takes them about 2 s, cached label prefixes about
a tenth of a second, and all of it holds the interpreter's lock that the event loop wants. The formats written here
are checked against the client's parsers and ``promtool``.

A *series* is what ``labels(...)`` returns. Hold on to it: changing it costs a fraction of a microsecond, finding it
several times that. A series that was removed stays usable but is no longer exposed, so a late update of a partition
that has moved away brings nothing back.
"""

from __future__ import annotations

import itertools
import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from export.catalogue import CounterSpec, GaugeSpec, HistogramSpec, MetricSpec


class MetricUsageError(ValueError):
    """A metric was used against its catalogue entry: wrong labels, or a counter that should fall."""


_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def escape_label(value: str) -> str:
    """Escape a label value as both exposition formats want it."""
    return value.translate(_ESCAPES)


def format_value(value: float) -> str:
    """Render a sample value as both exposition formats read it."""
    if math.isfinite(value):
        return repr(float(value))
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def _label_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{escape_label(value)}"' for name, value in zip(names, values, strict=True))


_EXEMPLAR_LENGTH = 128
"""Most characters of the names and values of an exemplar, by OpenMetrics."""


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One case among those that a bucket counts, to look into.

    Attributes
    ----------
    labels : mapping of str to str
        What tells the case; longer than OpenMetrics allows, it is left out.
    at_seconds : float
        Unix time of the observation.
    """

    labels: Mapping[str, str]
    at_seconds: float


class CounterSeries:
    """One series of a counter."""

    __slots__ = ("_lock", "_prefix", "_value")

    def __init__(self, spec: CounterSpec, values: tuple[str, ...]) -> None:
        labels = _label_text(spec.labels, values)
        self._prefix = f"{spec.name}{{{labels}}} " if labels else f"{spec.name} "
        self._value = 0.0
        self._lock = threading.Lock()

    def inc(self, amount: float = 1) -> None:
        """Add ``amount`` >= 0.

        Raises
        ------
        MetricUsageError
            If the amount is negative or not a number.
        """
        if not amount >= 0:
            raise MetricUsageError(f"a counter can't change by {amount}")
        # `+=` is a read and a write: without the lock two threads may lose one of two increments.
        with self._lock:
            self._value += amount

    @property
    def value(self) -> float:
        """The count since the process started."""
        return self._value

    def lines(self) -> str:
        """Return the sample lines."""
        return f"{self._prefix}{format_value(self._value)}\n"


class GaugeSeries:
    """One series of a gauge; not exposed until set, or after ``set(None)``."""

    __slots__ = ("_lock", "_prefix", "_value")

    def __init__(self, spec: GaugeSpec, values: tuple[str, ...]) -> None:
        labels = _label_text(spec.labels, values)
        self._prefix = f"{spec.name}{{{labels}}} " if labels else f"{spec.name} "
        self._value: float | None = None
        self._lock = threading.Lock()

    def set(self, value: float | None) -> None:
        """Set the value; None means there is no data, and the series is not exposed."""
        self._value = value

    def inc(self, amount: float = 1) -> None:
        """Add ``amount``, which may be negative, to the value; unknown counts as 0."""
        with self._lock:
            self._value = (self._value or 0.0) + amount

    @property
    def value(self) -> float | None:
        """The value; None while there is none."""
        return self._value

    def lines(self) -> str:
        """Return the sample line; empty without a value."""
        value = self._value
        return "" if value is None else f"{self._prefix}{format_value(value)}\n"


class HistogramSeries:
    """One series of a histogram."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_lock", "_prefixes", "_sum", "_sum_prefix", "_total_prefix")

    def __init__(self, spec: HistogramSpec, values: tuple[str, ...]) -> None:
        labels = _label_text(spec.labels, values)
        inner, outer = (f"{labels},", f"{{{labels}}}") if labels else ("", "")
        self._bounds = spec.buckets
        self._prefixes = [
            f'{spec.name}_bucket{{{inner}le="{format_value(bound)}"}} ' for bound in (*spec.buckets, math.inf)
        ]
        self._sum_prefix = f"{spec.name}_sum{outer} "
        self._total_prefix = f"{spec.name}_count{outer} "
        self._counts = [0] * (len(spec.buckets) + 1)
        self._sum = 0.0
        self._exemplars: dict[int, str] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, times: int = 1, exemplar: Exemplar | None = None) -> None:
        """Count ``times`` observations of one value, in the metric's unit; each bucket keeps its last exemplar."""
        bucket = bisect_left(self._bounds, value)  # an upper bound belongs to its bucket
        text = "" if exemplar is None else _exemplar_text(exemplar, value)
        with self._lock:
            self._counts[bucket] += times
            self._sum += value * times
            if text:
                self._exemplars[bucket] = text

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self._counts)

    @property
    def sum(self) -> float:
        """Sum of all observations."""
        return self._sum

    def lines(self) -> str:
        """Return the sample lines: cumulative buckets, count and sum that agree with each other."""
        with self._lock:
            counts, total = self._counts.copy(), self._sum
        return self._text(counts, total, {})

    def lines_with_exemplars(self) -> str:
        """Return the sample lines as OpenMetrics has them: buckets with their exemplars."""
        with self._lock:
            counts, total, exemplars = self._counts.copy(), self._sum, self._exemplars.copy()
        return self._text(counts, total, exemplars)

    @property
    def has_exemplars(self) -> bool:
        """Whether any bucket has one."""
        return bool(self._exemplars)

    def _text(self, counts: list[int], total: float, exemplars: Mapping[int, str]) -> str:
        cumulated = list(itertools.accumulate(counts))
        text = [
            f"{prefix}{count}{exemplars.get(bucket, '')}\n"
            for bucket, (prefix, count) in enumerate(zip(self._prefixes, cumulated, strict=True))
        ]
        text.append(f"{self._total_prefix}{cumulated[-1]}\n")
        text.append(f"{self._sum_prefix}{format_value(total)}\n")
        return "".join(text)


def _exemplar_text(exemplar: Exemplar, value: float) -> str:
    names, values = tuple(exemplar.labels), tuple(exemplar.labels.values())
    if sum(map(len, (*names, *values))) > _EXEMPLAR_LENGTH:
        return ""
    return f" # {{{_label_text(names, values)}}} {format_value(value)} {exemplar.at_seconds:.3f}"


_SpecT = TypeVar("_SpecT", bound=MetricSpec)
_SeriesT = TypeVar("_SeriesT", CounterSeries, GaugeSeries, HistogramSeries)


class Family(Generic[_SpecT, _SeriesT]):
    """All series of one metric."""

    def __init__(self, spec: _SpecT, make: Callable[[tuple[str, ...]], _SeriesT]) -> None:
        self.spec = spec
        self._make: Callable[[tuple[str, ...]], _SeriesT] = make
        self._series: dict[tuple[str, ...], _SeriesT] = {}

    def labels(self, *values: str | int, **named: str | int) -> _SeriesT:
        """Return the series of these label values, made when new.

        Parameters
        ----------
        *values, **named : str or int
            All label values in the catalogue's order, or all of them by name.

        Raises
        ------
        MetricUsageError
            If the labels are not those of the catalogue.
        """
        key = self._key(values, named)
        series = self._series.get(key)
        if series is None:
            # setdefault: two threads that ask for a new series must get the same one.
            series = self._series.setdefault(key, self._make(key))
        return series

    def _key(self, values: tuple[str | int, ...], named: dict[str, str | int]) -> tuple[str, ...]:
        names = self.spec.labels
        if named:
            if values or named.keys() != set(names):
                raise MetricUsageError(f"{self.spec.name} has the labels {names}, not {values} {sorted(named)}")
            return tuple(str(named[name]) for name in names)
        if len(values) != len(names):
            raise MetricUsageError(f"{self.spec.name} has the labels {names}, not the {len(values)} values {values}")
        return tuple(map(str, values))

    def start_at_zero(self, **fixed: str | int) -> None:
        """Make the series of all known values of the other labels, so that a first event is seen as an increase.

        Parameters
        ----------
        **fixed : str or int
            Values of the labels that the catalogue lists no values for.

        Raises
        ------
        MetricUsageError
            If values of a label are neither given nor listed.
        """
        missing = [name for name in self.spec.labels if name not in fixed and name not in self.spec.values]
        if missing:
            raise MetricUsageError(f"{self.spec.name}: no values are known for {missing}")
        choices = [(str(fixed[name]),) if name in fixed else self.spec.values[name] for name in self.spec.labels]
        for values in itertools.product(*choices):
            self.labels(*values)

    def remove(self, **matching: str | int) -> int:
        """Stop exposing the series that carry all of these label values; return how many there were."""
        if not matching.keys() <= set(self.spec.labels):
            raise MetricUsageError(f"{self.spec.name} has the labels {self.spec.labels}, not {sorted(matching)}")
        wanted = [(self.spec.labels.index(name), str(value)) for name, value in matching.items()]
        gone = [key for key in list(self._series) if all(key[place] == value for place, value in wanted)]
        for key in gone:
            self._series.pop(key, None)
        return len(gone)

    def discard(self, *values: str) -> None:
        """Stop exposing the series of exactly these label values, if there is one.

        Parameters
        ----------
        *values : str
            All label values in the catalogue's order.
        """
        self._series.pop(values, None)

    def __len__(self) -> int:
        return len(self._series)

    def series(self) -> Iterator[tuple[dict[str, str], _SeriesT]]:
        """Yield the labels and the series, as of the call."""
        for key, series in list(self._series.items()):
            yield dict(zip(self.spec.labels, key, strict=True)), series

    def handles(self) -> list[_SeriesT]:
        """Return all series, as of the call; one C call, so it may run beside changes in another thread."""
        return list(self._series.values())


class Counter(Family[CounterSpec, CounterSeries]):
    """A family of counters; ``inc`` works on the one without labels."""

    def __init__(self, spec: CounterSpec) -> None:
        super().__init__(spec, partial(CounterSeries, spec))
        if not set(spec.labels) - spec.values.keys():
            self.start_at_zero()

    def inc(self, amount: float = 1) -> None:
        """Add to the series without labels."""
        self.labels().inc(amount)


class Gauge(Family[GaugeSpec, GaugeSeries]):
    """A family of gauges; ``set`` works on the one without labels."""

    def __init__(self, spec: GaugeSpec) -> None:
        super().__init__(spec, partial(GaugeSeries, spec))

    def set(self, value: float | None) -> None:
        """Set the series without labels."""
        self.labels().set(value)


class Histogram(Family[HistogramSpec, HistogramSeries]):
    """A family of histograms; ``observe`` works on the one without labels."""

    def __init__(self, spec: HistogramSpec) -> None:
        super().__init__(spec, partial(HistogramSeries, spec))
        if not set(spec.labels) - spec.values.keys():
            self.start_at_zero()

    def observe(self, value: float, times: int = 1) -> None:
        """Count observations in the series without labels."""
        self.labels().observe(value, times)


AnyFamily = Counter | Gauge | Histogram
