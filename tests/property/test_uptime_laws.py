"""Laws of availability: the counts are a function of the set of events, the register and the present, nothing else."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from sla.adjustment import Adjustment, CountsAs
from sla.availability import Availability, AvailabilityKind, IdlePolicy, MaintenancePolicy, ProbePolicy, StatusUse
from sla.units import MINUTE_MS
from sla.uptime_engine import UptimeEngine
from sla.uptime_events import ProbeSample, ServiceStatus, UptimeEvent
from tests.support.uptime import (
    LIMITS,
    T0,
    Buckets,
    adjustment,
    drain,
    finish,
    objective,
    oracle,
    register_of,
    sample,
    status,
)

pytestmark = pytest.mark.property

MINUTES = 90


@st.composite
def objectives(draw: DrawFn, objective_id: str = "portal-availability") -> Availability:
    terms = {
        "hours": draw(st.sampled_from((None, "short"))),
        "latency_below_ms": draw(st.sampled_from((None, 800.0, 300.0))),
        "maintenance": draw(st.sampled_from(MaintenancePolicy)),
    }
    if draw(st.integers(0, 3)) == 0:
        return objective(objective_id, kind=AvailabilityKind.REQUEST_RATIO, **terms)
    return objective(
        objective_id,
        slice_ms=draw(st.sampled_from((1, 1, 5, 15))) * MINUTE_MS,
        bad_above=draw(st.sampled_from((Fraction(0), Fraction(1, 3), Fraction(1, 2)))),
        probes=draw(st.sampled_from(ProbePolicy)),
        statuses=draw(st.sampled_from(StatusUse)),
        idle=draw(st.sampled_from(IdlePolicy)),
        good_statuses=frozenset(
            draw(st.sampled_from(([ServiceStatus.UP], [ServiceStatus.UP, ServiceStatus.DEGRADED])))
        ),
        **terms,
    )


@st.composite
def event_lists(draw: DrawFn) -> list[UptimeEvent]:
    events: list[UptimeEvent] = []
    for uid in range(draw(st.integers(1, 40))):
        minute = draw(st.integers(0, MINUTES * 4)) / 4
        if draw(st.integers(0, 7)) == 0:
            events.append(status(minute, uid, draw(st.sampled_from(("up", "down", "degraded", "maintenance")))))
            continue
        total = draw(st.sampled_from((0, 1, 1, 1, 7)))
        events.append(
            sample(
                minute,
                uid,
                probe=draw(st.sampled_from(("fra", "sin", "nyc"))),
                total=total,
                good=draw(st.integers(0, total)),
                latency_ms=draw(st.sampled_from((None, 100.0, 500.0, 800.0))),
                is_count=total > 1,
            )
        )
    return events


@st.composite
def adjustment_lists(draw: DrawFn) -> list[Adjustment]:
    found = []
    for number in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, MINUTES * 2)) / 2
        found.append(
            adjustment(
                start,
                start + draw(st.integers(1, 60)) / 2,
                draw(st.sampled_from((None, CountsAs.UP, CountsAs.DOWN, CountsAs.EXCLUDED))),
                id=f"CHG-{number}",
                recorded_at_ms=T0 + draw(st.integers(0, 2)),
                revoked=draw(st.integers(0, 5)) == 0,
            )
        )
    return found


NOW_MS = T0 + (MINUTES + 1) * MINUTE_MS + 40_000


def begin_of(events: list[UptimeEvent]) -> int:
    return min(
        (event.at_ms - 1 if isinstance(event, ProbeSample) and event.is_count else event.at_ms) // MINUTE_MS * MINUTE_MS
        for event in events
    )


@given(objectives(), event_lists(), adjustment_lists())
def test_the_counts_are_those_of_the_definition(
    of: Availability, events: list[UptimeEvent], adjustments: list[Adjustment]
) -> None:
    register = register_of(of, adjustments=adjustments)
    engine, buckets = UptimeEngine(register, 1, LIMITS), Buckets()
    for event in events:
        assert engine.apply(event) is None
    drain(engine, NOW_MS, buckets)
    assert buckets.counts == oracle([of], events, adjustments, begin_of(events), NOW_MS, register)


@given(objectives(), event_lists(), adjustment_lists())
def test_corrections_apply_exactly_to_what_is_kept_as_sums(
    of: Availability, events: list[UptimeEvent], adjustments: list[Adjustment]
) -> None:
    engine, buckets = UptimeEngine(register_of(of), 1, LIMITS), Buckets()
    rows: dict[bytes, bytes] = {}
    for event in events:
        assert engine.apply(event) is None
    later_ms = NOW_MS + LIMITS.lateness_ms
    drain(engine, NOW_MS, buckets, rows)
    drain(engine, later_ms, buckets, rows)
    assert not [key for key in rows if key[:1] == b"m"]
    restored = UptimeEngine(engine.register, 1, LIMITS)
    restored.load(rows.items(), later_ms)
    for judged, without in ((engine, buckets), (restored, buckets)):
        final = register_of(of, adjustments=adjustments)
        judged.set_register(final, 2)
        drain(judged, later_ms, without)
        assert without.counts == oracle([of], events, adjustments, begin_of(events), later_ms, final)
        judged.set_register(register_of(of), 3)
        drain(judged, later_ms, without)
        assert without.counts == oracle([of], events, [], begin_of(events), later_ms, final)


@given(objectives(), objectives("second"), event_lists(), adjustment_lists(), st.data())
def test_order_repetition_steps_restores_and_retroactive_changes_leave_the_counts_equal(
    of: Availability,
    second: Availability,
    events: list[UptimeEvent],
    adjustments: list[Adjustment],
    data: st.DataObject,
) -> None:
    final = register_of(of, second, adjustments=adjustments)
    engine, buckets = UptimeEngine(register_of(of, second), 1, LIMITS), Buckets()
    rows: dict[bytes, bytes] = {}
    arrivals = data.draw(st.permutations([*events, *data.draw(st.lists(st.sampled_from(events), max_size=10))]))
    changes_after = data.draw(st.integers(0, len(arrivals)))
    now_ms = version = 0
    for number, event in enumerate([*arrivals, None]):
        if number == changes_after:
            version = 2
            engine.set_register(final, version)
            finish(engine, buckets, rows)
        if event is not None:
            assert engine.apply(event) is None
        match data.draw(st.integers(0, 5)):
            case 0:
                finish(engine, buckets, rows)
            case 1 if (step := data.draw(st.integers(0, 40))) and now_ms + step * MINUTE_MS < NOW_MS:
                now_ms = max(now_ms, T0) + step * MINUTE_MS
                if now_ms < NOW_MS:
                    drain(engine, now_ms, buckets, rows)
            case 2:
                finish(engine, buckets, rows)
                before = engine
                engine = UptimeEngine(before.register, before.register_version, LIMITS)
                engine.load(rows.items(), before.now_ms)
    drain(engine, NOW_MS, buckets, rows)
    # Watched from the first heartbeat on, or from the first event.
    begin_ms = min(state.begin_ms for state in engine._services.values())
    assert begin_ms <= begin_of(events)
    assert buckets.counts == oracle([of, second], events, adjustments, begin_ms, NOW_MS, final)
    assert engine.judged_ms == (NOW_MS - LIMITS.settle_ms) // MINUTE_MS * MINUTE_MS


@given(objectives(), objectives(), event_lists(), st.integers(0, MINUTES))
def test_a_retroactive_revision_is_judged_as_if_it_had_always_been_there(
    former: Availability, later: Availability, events: list[UptimeEvent], minute: int
) -> None:
    change_ms = T0 + minute * MINUTE_MS
    revisions = (
        replace(former, effective_until_ms=change_ms),
        replace(later, revision=2, effective_from_ms=change_ms),
    )
    final = register_of(*revisions)
    engine, buckets = UptimeEngine(register_of(former), 1, LIMITS), Buckets()
    for event in events:
        assert engine.apply(event) is None
    drain(engine, NOW_MS, buckets)
    engine.set_register(final, 2)
    drain(engine, NOW_MS, buckets)
    assert buckets.counts == oracle(revisions, events, [], begin_of(events), NOW_MS, final)
