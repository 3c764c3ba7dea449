"""The desk that issues statements: once each, numbered, and the same after a restart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from sla.contract import Contract, Window
from sla.minute_counts import MinuteColumn, MinuteSums
from sla.register import Register
from sla.row import RowFormatError
from sla.statement_desk import LOOK_LIMIT, STATEMENT_PREFIX, StatementDesk
from sla.units import DAY_MS, HOUR_MS, MINUTE_MS, ms_of
from tests.support.domain import OFFICE, register, target

GRACE_MS = 3 * DAY_MS
RETENTION_MS = 42 * DAY_MS
OF = register(target(attain="0.9"))


def on(text: str) -> int:
    return ms_of(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")))


class Desk:
    """A desk with its rows, its counts and what it has told."""

    def __init__(self, of: Register = OF, *, owned: bool = True) -> None:
        self.of = of
        self.owned = owned
        self.counts: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self.rows: dict[bytes, bytes] = {}
        self.told: list[dict[str, Any]] = []
        self.restarts()

    def restarts(self) -> None:
        self.desk = StatementDesk(lambda _: self.owned, GRACE_MS, RETENTION_MS)
        self.desk.load(self.rows.items())
        self.desk.set_register(self.of)

    def counts_of(self, counted_as: str) -> MinuteSums:
        return MinuteColumn([(minute, *counts) for minute, counts in sorted(self.counts[counted_as].items())])

    def decide(self, when: str, good: int = 0, bad: int = 0, counted_as: str = "resolution") -> None:
        minute = on(when) - on(when) % MINUTE_MS
        self.counts[counted_as][minute][0] += good
        self.counts[counted_as][minute][1] += bad

    def at(self, when: str | int, *, uptime: int | None = None) -> list[tuple[str, str, int, int, int]]:
        """Judge; return (period, state, revision, good, bad) of what was told."""
        now_ms = on(when) if isinstance(when, str) else when
        rows, issued = self.desk.judge(now_ms, uptime, self.counts_of)
        for key, row in rows.items():
            self.rows.pop(key, None) if row is None else self.rows.__setitem__(key, row)
        self.told += [statement.document for statement in issued]
        for statement in issued:
            assert statement.key == f"{statement.document['objective']}|{statement.document['period']}"
        return [
            (found["period"], found["state"], found["revision"], found["good"], found["bad"])
            for found in (statement.document for statement in issued)
        ]


def test_a_month_is_stated_from_its_first_event_to_its_correction() -> None:
    desk = Desk()
    desk.decide("2026-10-05T10:00", good=9, bad=1)
    assert desk.at("2026-10-05T11:00") == [("2026-10", "provisional", 0, 9, 1)]
    assert desk.at("2026-10-05T11:30") == []
    desk.decide("2026-10-31T23:59", bad=1)
    assert desk.at("2026-11-01T01:00") == [("2026-11", "provisional", 0, 0, 0), ("2026-10", "provisional", 0, 9, 2)]
    assert desk.at("2026-11-03T23:30") == []
    assert desk.at("2026-11-04T00:30") == [("2026-10", "final", 1, 9, 2)]
    desk.decide("2026-10-31T23:59", good=1, bad=-1)
    assert desk.at("2026-11-10T00:00") == [("2026-10", "final", 2, 10, 1)]
    assert desk.told[-1]["changes"] == [
        {"field": "good", "before": 9, "after": 10},
        {"field": "bad", "before": 2, "after": 1},
    ]


def test_a_restart_neither_repeats_nor_renumbers() -> None:
    desk = Desk()
    desk.decide("2026-10-05T10:00", good=9, bad=1)
    desk.at("2026-11-05T00:00")
    desk.restarts()
    assert desk.at("2026-11-05T02:00") == []
    desk.decide("2026-10-05T10:00", bad=1)
    desk.restarts()
    assert desk.at("2026-11-05T04:00") == [("2026-10", "final", 2, 9, 2)]


def test_what_is_no_longer_counted_stands_as_it_was() -> None:
    desk = Desk()
    desk.decide("2026-10-05T10:00", good=9, bad=1)
    desk.at("2026-11-05T00:00")
    # In January the counts of October begin to go: what is left of them must not be issued as a correction.
    desk.counts.clear()
    desk.decide("2026-10-31T10:00", good=1)
    assert all(found[0] != "2026-10" for found in desk.at("2027-01-20T00:00"))
    assert not any(b"2026-10" in key for key in desk.rows)


def test_objectives_of_other_partitions_are_not_stated() -> None:
    desk = Desk(owned=False)
    desk.decide("2026-10-05T10:00", good=9)
    assert desk.at("2026-10-05T11:00") == []


def test_without_a_watermark_nothing_is_stated() -> None:
    desk = Desk()
    desk.decide("2026-10-05T10:00", good=9)
    assert desk.desk.judge(None, on("2026-10-05T11:00"), desk.counts_of) == ({}, [])


def test_the_terms_of_the_period_count_and_not_those_of_today() -> None:
    first = target(attain="0.9", until=on("2026-11-01T00:00"))
    second = target(attain="0.5", since=on("2026-11-01T00:00"), revision=2)
    desk = Desk(register(first, second))
    desk.decide("2026-10-05T10:00", good=8, bad=2)
    desk.at("2026-11-10T00:00")
    found = {told["period"]: (told["promised"], told["contract_revision"], told["met"]) for told in desk.told}
    assert found["2026-10"] == (0.9, 1, False)
    assert found["2026-11"] == (0.5, 2, None)


def test_many_objectives_are_looked_at_a_few_at_a_time() -> None:
    number = 2 * LOOK_LIMIT + 10
    targets = tuple(target(f"resolution-{index:04}", attain="0.9") for index in range(number))
    desk = Desk(register(*targets))
    now_ms = on("2026-10-05T11:00")
    steps = [len(desk.at(now_ms + index)) for index in range(4)]
    assert steps == [LOOK_LIMIT, LOOK_LIMIT, 10, 0]
    assert len({told["objective"] for told in desk.told}) == number
    assert len(desk.at(now_ms + HOUR_MS)) == 0


def test_a_contract_over_a_rolling_window_is_stated_per_month() -> None:
    desk = Desk(register(target(attain="0.9", over=Window(30 * DAY_MS, None))))
    desk.decide("2026-10-05T10:00", good=9, bad=1)
    desk.at("2026-10-06T00:00")
    assert (desk.told[0]["period"], desk.told[0]["promised_over"]) == ("2026-10", "30d")


def test_a_newer_format_is_refused() -> None:
    desk = StatementDesk(lambda _: True, GRACE_MS, RETENTION_MS)
    with pytest.raises(RowFormatError):
        desk.load([(STATEMENT_PREFIX + b"x|2026-10", b"\x09whatever")])


def test_a_contract_that_is_gone_is_stated_no_more() -> None:
    desk = Desk()
    desk.decide("2026-10-05T10:00", good=9)
    desk.of = Register([replace(contract, targets=()) for contract in OF.contracts.values()], {"office": OFFICE})
    assert all(isinstance(contract, Contract) for contract in desk.of.contracts.values())
    desk.desk.set_register(desk.of)
    assert desk.at("2026-10-05T11:00") == []
