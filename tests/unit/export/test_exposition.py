"""The metrics page in both formats, checked with the Prometheus client's own parsers."""

import asyncio
import gzip
import threading
import time
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from export import exposition as module
from export.catalogue import CATALOGUE, CounterSpec, HistogramSpec
from export.exposition import Exposition, ExpositionFormat, accepts_gzip, choose_format
from export.metrics import Metrics
from export.series import Counter, Exemplar, Gauge

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


def full_metrics() -> Metrics:
    """Metrics with a value in every family, label values that need escaping included."""
    metrics = Metrics(version="1", topics=["sla.tickets"])
    for family in metrics.families():
        labels = {name: f'{name} "x"\\y\n' for name in family.spec.labels}
        if isinstance(family, Counter):
            family.labels(**labels).inc(3)
        elif isinstance(family, Gauge):
            family.labels(**labels).set(-0.25)
        else:
            family.labels(**labels).observe(0.3)
    return metrics


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, ExpositionFormat.TEXT),
        ("", ExpositionFormat.TEXT),
        ("*/*", ExpositionFormat.TEXT),
        ("text/html,application/xhtml+xml,*/*;q=0.8", ExpositionFormat.TEXT),
        ("application/json", ExpositionFormat.TEXT),
        (OPENMETRICS, ExpositionFormat.OPENMETRICS),
        ("application/openmetrics-text", ExpositionFormat.OPENMETRICS),
        (PROMETHEUS_2, ExpositionFormat.OPENMETRICS),
        (PROMETHEUS_3, ExpositionFormat.OPENMETRICS),
        ("application/openmetrics-text;version=2.0.0", ExpositionFormat.TEXT),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", ExpositionFormat.TEXT),
        ("application/openmetrics-text;q=0, text/plain", ExpositionFormat.TEXT),
        ("application/openmetrics-text;q=nonsense", ExpositionFormat.TEXT),
        (
            "application/vnd.google.protobuf;encoding=delimited,text/plain;version=0.0.4;q=0.5",
            ExpositionFormat.TEXT,
        ),
    ],
)
def test_the_scraper_gets_the_format_it_likes_best(accept: str | None, expected: ExpositionFormat) -> None:
    assert choose_format(accept) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, False),
        ("identity", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip;q=0, *", False),
        ("*", True),
    ],
)
def test_gzip_only_for_those_who_take_it(header: str | None, expected: bool) -> None:
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize("process_metrics", [False, True])
async def test_both_formats_say_the_same_as_the_catalogue(process_metrics: bool) -> None:
    pages = Exposition(full_metrics(), process_metrics=process_metrics)
    text = (await pages.page()).body.decode()
    openmetrics = (await pages.page(OPENMETRICS)).body.decode()

    def read(families: Any) -> dict[str, Any]:
        found = {family.name: family for family in families}
        assert any(name.startswith("process_") for name in found) == process_metrics
        return {name: family for name, family in found.items() if name.startswith("sla")}

    by_text, by_openmetrics = read(parse_text(text)), read(parse_openmetrics(openmetrics))
    assert by_text.keys() == by_openmetrics.keys() == {spec.family for spec in CATALOGUE.values()}
    for spec in CATALOGUE.values():
        one, other = by_text[spec.family], by_openmetrics[spec.family]
        assert one.type == other.type == spec.type
        assert one.documentation == other.documentation == spec.help
        assert other.unit == spec.unit
        assert one.samples == other.samples
        suffixes = {sample.name.removeprefix(spec.family) for sample in one.samples}
        match spec:
            case CounterSpec():
                assert suffixes == {"_total"}
            case HistogramSpec():
                assert suffixes == {"_bucket", "_count", "_sum"}
            case _:
                assert suffixes == {""}
        for sample in one.samples:
            assert set(sample.labels) - {"le"} == set(spec.labels)
    assert openmetrics.endswith("# EOF\n")
    assert openmetrics.count("# EOF") == 1


async def test_values_survive_the_way_through_the_text() -> None:
    metrics = Metrics(version="1")
    for value in (1e-12, 123456789.125, 1.7e9):
        metrics.consumer_lag_seconds.labels('odd "topic"\\\n', 3).set(value)
        page = await Exposition(metrics, process_metrics=False).page()
        [family] = [f for f in parse_text(page.body.decode()) if f.name == "slawatch_consumer_lag_seconds"]
        assert [(s.labels, s.value) for s in family.samples] == [
            ({"topic": 'odd "topic"\\\n', "partition": "3"}, value)
        ]


async def test_the_content_type_is_always_named() -> None:
    pages = Exposition(Metrics(version="1"))
    assert (await pages.page()).content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert (await pages.page(PROMETHEUS_3)).content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def test_gzip_holds_the_same_page() -> None:
    pages = Exposition(full_metrics(), max_age_seconds=3600)
    plain, packed = await pages.page(), await pages.page(None, "gzip")
    assert (plain.encoding, packed.encoding) == (None, "gzip")
    assert gzip.decompress(packed.body) == plain.body


async def test_families_without_samples_are_left_out() -> None:
    page = await Exposition(Metrics(version="1"), process_metrics=False).page()
    assert b"sla_clocks_open" not in page.body


async def test_a_second_scraper_gets_the_kept_page(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    metrics = Metrics(version="1")
    pages = Exposition(metrics, process_metrics=False)
    first = await pages.page()
    metrics.rebalances_total.inc()
    now += 0.9
    assert (await pages.page()).body is first.body
    now += 0.2
    assert b"slawatch_rebalances_total 1.0" in (await pages.page()).body


async def test_scrapers_that_come_together_share_one_rendering_off_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = Metrics(version="1")
    threads: list[threading.Thread] = []
    render = module._samples

    def watched(family: Any) -> str:
        threads.append(threading.current_thread())
        return render(family)

    monkeypatch.setattr(module, "_samples", watched)
    pages = Exposition(metrics, process_metrics=False)
    found = await asyncio.gather(*(pages.page(accept) for accept in (None, OPENMETRICS, None, OPENMETRICS)))
    assert len(threads) == len(CATALOGUE)
    assert threading.main_thread() not in threads
    assert found[0].body == found[2].body


async def test_sources_are_asked_on_the_event_loop_before_each_rendering() -> None:
    metrics = Metrics(version="1")
    asked: list[threading.Thread] = []

    def refresh() -> None:
        asked.append(threading.current_thread())
        metrics.consumer_lag_messages.labels("t", 0).set(len(asked))

    metrics.before_exposition(refresh)
    pages = Exposition(metrics, max_age_seconds=0, process_metrics=False)
    assert b'slawatch_consumer_lag_messages{topic="t",partition="0"} 1.0' in (await pages.page()).body
    assert b'slawatch_consumer_lag_messages{topic="t",partition="0"} 2.0' in (await pages.page()).body
    assert asked == [threading.main_thread()] * 2


async def test_changes_while_a_page_is_rendered_do_no_harm() -> None:
    metrics = Metrics(version="1")
    pages = Exposition(metrics, max_age_seconds=0, process_metrics=False)
    stop = threading.Event()

    def churn() -> None:
        partition = 0
        while not stop.is_set():
            partition += 1
            metrics.state_rows.labels("t", partition % 500).set(partition)
            if partition % 50 == 0:
                metrics.forget_partition("t", (partition // 50) % 500)
                time.sleep(0)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(10):
            list(parse_text((await pages.page()).body.decode()))
    finally:
        stop.set()
        thread.join()


async def test_exemplars_are_in_openmetrics_and_not_in_text() -> None:
    metrics = Metrics(version="1", topics=["sla.tickets"])
    latency = metrics.event_latency_seconds.labels(topic="sla.tickets")
    latency.observe(0.3, exemplar=Exemplar({"ticket_id": 'INC "1"'}, 1_772_500_000.25))
    latency.observe(0.4, exemplar=Exemplar({"ticket_id": "INC-2"}, 1_772_500_001.0))
    latency.observe(7.0, exemplar=Exemplar({"ticket_id": "X" * 200}, 1_772_500_002.0))
    pages = Exposition(metrics, process_metrics=False)
    text, openmetrics = (await pages.page()).body.decode(), (await pages.page(OPENMETRICS)).body.decode()
    assert "INC" not in text
    found = {
        sample.labels["le"]: (sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp))
        for family in parse_openmetrics(openmetrics)
        for sample in family.samples
        if sample.exemplar is not None
    }
    assert found == {"0.5": ({"ticket_id": "INC-2"}, 0.4, 1_772_500_001.0)}, "the last one of a bucket, none too long"
    [page] = [family for family in parse_text(text) if family.name == "slawatch_event_latency_seconds"]
    assert [sample.value for sample in page.samples if sample.name.endswith("_count")] == [3]
