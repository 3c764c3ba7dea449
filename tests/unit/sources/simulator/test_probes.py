from __future__ import annotations

from sla.units import HOUR_MS, parse_instant
from sla.uptime_events import ProbeSample
from sources.record import SourceEvent
from sources.simulator import model, simulate
from sources.simulator.probes import PROBES, SAMPLE_EVERY_MS, SimulatedSample, with_samples
from streams.uptime_codec import decode_uptime

START_MS = parse_instant("2026-11-02T06:00:00Z")


def test_samples_come_in_order_of_every_service_and_probe_and_are_bad_while_an_outage_lasts():
    end_ms = START_MS + 14 * HOUR_MS
    items = list(with_samples(simulate(5, START_MS, 14 * HOUR_MS), 5, START_MS, end_ms))
    assert [item.at_ms for item in items] == sorted(item.at_ms for item in items)
    outages = {
        item.ticket: (item.at_ms, str(item.fields["service"]))
        for item in items
        if isinstance(item, SourceEvent) and item.event == "created" and item.fields.get("channel") == "monitoring"
    }
    ends = {item.ticket: item.at_ms for item in items if isinstance(item, SourceEvent) and item.event == "resolved"}
    assert outages
    samples = [item for item in items if isinstance(item, SimulatedSample)]
    assert len(samples) == 14 * HOUR_MS // SAMPLE_EVERY_MS * len(model.SERVICES) * len(PROBES)
    bad = 0
    for item in samples:
        sample = decode_uptime(item.wire, item.key)
        assert isinstance(sample, ProbeSample)
        down = any(
            service == sample.service and began_ms < sample.at_ms < ends.get(ticket, end_ms)
            for ticket, (began_ms, service) in outages.items()
        )
        assert sample.good == (0 if down else 1) or sample.at_ms in {began_ms for began_ms, _ in outages.values()}
        bad += not sample.good
    assert bad > 0


def test_the_same_seed_gives_the_same_samples():
    def of(seed: int) -> list[bytes]:
        items = with_samples([], seed, START_MS, START_MS + HOUR_MS)
        return [item.wire for item in items if isinstance(item, SimulatedSample)]

    assert of(3) == of(3)
    assert of(3) != of(4)
