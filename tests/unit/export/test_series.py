"""Counters, gauges and histograms, and the text they make."""

import threading

import pytest

from export.catalogue import CounterSpec, GaugeSpec, HistogramSpec
from export.series import Counter, Gauge, Histogram, MetricUsageError, format_value

EVENTS = CounterSpec("slawatch_things_total", "Things.", ("topic", "result"), values={"result": ("good", "bad")})
LAG = GaugeSpec("slawatch_lag_seconds", "Lag.", ("topic", "partition"), "seconds")
DURATION = HistogramSpec("slawatch_run_seconds", "Runs.", ("kind",), "seconds", buckets=(0.1, 1.0))


def test_a_counter_counts() -> None:
    series = Counter(EVENTS).labels("sla.tickets", "good")
    series.inc()
    series.inc(2.5)
    assert series.value == 3.5
    assert series.lines() == 'slawatch_things_total{topic="sla.tickets",result="good"} 3.5\n'


@pytest.mark.parametrize("amount", [-1, -0.001, float("nan")])
def test_a_counter_never_falls(amount: float) -> None:
    series = Counter(EVENTS).labels("sla.tickets", "good")
    with pytest.raises(MetricUsageError):
        series.inc(amount)
    assert series.value == 0


def test_the_same_labels_give_the_same_series_by_place_or_by_name() -> None:
    family = Gauge(LAG)
    assert family.labels("t", 3) is family.labels(partition=3, topic="t")
    assert family.labels("t", 3) is family.labels("t", "3")
    assert len(family) == 1


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        (("t",), {}),
        (("t", 1, 2), {}),
        ((), {"topic": "t"}),
        (("t",), {"partition": 1}),
        ((), {"a": 1, "b": 2}),
    ],
)
def test_labels_other_than_the_catalogues_are_refused(values: tuple[str, ...], named: dict[str, str]) -> None:
    with pytest.raises(MetricUsageError, match="slawatch_lag_seconds has the labels"):
        Gauge(LAG).labels(*values, **named)


def test_a_gauge_without_data_is_not_exposed() -> None:
    series = Gauge(LAG).labels("t", 0)
    assert series.lines() == ""
    series.set(0)
    assert series.lines() == 'slawatch_lag_seconds{topic="t",partition="0"} 0.0\n'
    series.set(None)
    assert series.lines() == ""


def test_a_gauge_goes_up_and_down_from_unknown() -> None:
    series = Gauge(LAG).labels("t", 0)
    series.inc(3)
    series.inc(-1)
    assert series.value == 2


def test_a_removed_series_is_not_brought_back_by_whoever_still_holds_it() -> None:
    family = Gauge(LAG)
    held = family.labels("t", 0)
    held.set(1)
    assert family.remove(topic="t", partition=0) == 1
    held.set(2)
    assert len(family) == 0


def test_only_matching_series_are_removed() -> None:
    family = Gauge(LAG)
    for topic, partition in (("a", 1), ("a", 11), ("b", 1)):
        family.labels(topic, partition).set(0)
    assert family.remove(topic="a", partition=1) == 1
    assert [labels for labels, _ in family.series()] == [
        {"topic": "a", "partition": "11"},
        {"topic": "b", "partition": "1"},
    ]


def test_removal_by_an_unknown_label_is_refused() -> None:
    with pytest.raises(MetricUsageError):
        Gauge(LAG).remove(contract="c")


def test_known_values_start_at_zero() -> None:
    family = Counter(EVENTS)
    assert len(family) == 0  # the topic isn't known yet
    family.start_at_zero(topic="sla.tickets")
    assert [(labels["result"], series.value) for labels, series in family.series()] == [("good", 0.0), ("bad", 0.0)]
    with pytest.raises(MetricUsageError, match="topic"):
        family.start_at_zero()


def test_a_counter_whose_labels_are_all_known_is_there_from_the_start() -> None:
    assert len(Counter(CounterSpec("a_total", "A.", ("r",), values={"r": ("x", "y")}))) == 2
    assert len(Counter(CounterSpec("b_total", "B."))) == 1


def test_histogram_buckets_are_cumulative_and_an_upper_bound_belongs_to_its_bucket() -> None:
    series = Histogram(DURATION).labels("chunk")
    for value in (0.05, 0.1, 0.5, 3.0):
        series.observe(value)
    series.observe(0.5, times=2)
    assert series.lines().splitlines() == [
        'slawatch_run_seconds_bucket{kind="chunk",le="0.1"} 2',
        'slawatch_run_seconds_bucket{kind="chunk",le="1.0"} 5',
        'slawatch_run_seconds_bucket{kind="chunk",le="+Inf"} 6',
        'slawatch_run_seconds_count{kind="chunk"} 6',
        f'slawatch_run_seconds_sum{{kind="chunk"}} {series.sum!r}',
    ]
    assert series.sum == pytest.approx(4.65)
    assert series.count == 6


def test_label_values_are_escaped() -> None:
    series = Gauge(LAG).labels('a"b\\c\nd', 0)
    series.set(1)
    assert series.lines() == 'slawatch_lag_seconds{topic="a\\"b\\\\c\\nd",partition="0"} 1.0\n'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0"),
        (1, "1.0"),
        (True, "1.0"),
        (1e300, "1e+300"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_values_are_written_as_prometheus_reads_them(value: float, text: str) -> None:
    assert format_value(value) == text


def test_no_increment_is_lost_between_threads() -> None:
    series = Counter(EVENTS).labels("t", "good")

    def count() -> None:
        for _ in range(20_000):
            series.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert series.value == 80_000
