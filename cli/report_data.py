"""Where the numbers of ``slawatch report`` come from: a log that is run through the engine, or the topics."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

Opinions = Mapping[str, Sequence[tuple[int, float]]]
"""By service: when feedback was given (UTC epoch ms), and how content it says, 0..1."""

_MOST_FAULTS = 20

if TYPE_CHECKING:
    from pathlib import Path

    from config.settings import Settings
    from sla.events import Rejected, TicketEvent
    from sla.experience import Experience
    from sla.outcome import Verdict
    from sla.register import Register
    from sla.report_building import ClockKey, Facts
    from sources.record import SourceEvent


@dataclass(frozen=True, slots=True)
class ReportData:
    """What reports are built from.

    Attributes
    ----------
    register : Register
        As the workers see it.
    facts : Facts
        Without experiences: they are worked out for the periods that are asked for.
    events : mapping of str to list of TicketEvent
        Of each ticket, as far as they are kept.
    faults : tuple of str
        What was left out, for people.
    """

    register: Register
    facts: Facts
    events: Mapping[str, list[TicketEvent]]
    faults: tuple[str, ...] = ()

    def facts_of(self, start_ms: int, end_ms: int) -> Facts:
        """Return the facts with what requesters went through around the clocks decided in a span."""
        from sla.report_building import key_of

        wanted: dict[str, list[Verdict]] = defaultdict(list)
        for verdict in self.facts.verdicts:
            if start_ms <= verdict.decided_at_ms < end_ms and verdict.ticket in self.events:
                wanted[verdict.ticket].append(verdict)
        found: dict[ClockKey, Experience] = dict(self.facts.experiences)
        from sla.experience import experiences

        for ticket, verdicts in wanted.items():
            if all(key_of(verdict) in found for verdict in verdicts):
                continue
            asked = [(v.target, v.cycle, v.start_ms + v.elapsed_ms, v.target_ms) for v in verdicts]
            for target, cycle, experience in experiences(self.events[ticket], self.register, asked):
                found[ticket, target, cycle] = experience
        return replace(self.facts, experiences=found)


def from_log(
    register: Register,
    events: Sequence[SourceEvent],
    settings: Settings,
    *,
    name: str,
    until_ms: int | None = None,
    service_minutes: Mapping[str, Mapping[int, tuple[int, int]]] | None = None,
) -> ReportData:
    """Run events through the engine, as ``slawatch backtest`` does.

    Parameters
    ----------
    events : sequence of SourceEvent
        In the order of event time; may be empty if there are service minutes.
    name : str
        Of the log, for people.
    service_minutes : mapping
        By service: good and bad by minute.
    """
    from cli.backtest import limits_of, run_backtest
    from sla.outcome import Verdict
    from sla.report import Correction
    from sla.report_building import Facts
    from sla.units import MINUTE_MS
    from sources.record import to_wire
    from streams.codecs import decode_ticket

    minutes = service_minutes or {}
    ends = [max(told) + MINUTE_MS for told in minutes.values() if told]
    ends += [events[-1].at_ms] if events else []
    end_ms = max(ends) if until_ms is None else until_ms
    starts = [min(told) for told in minutes.values() if told] + ([events[0].at_ms] if events else [])
    engine = settings.engine
    run = run_backtest(
        events,
        register,
        limits_of(engine.settle_seconds, engine.retention_days),
        until_ms=end_ms,
        largest_event_bytes=engine.largest_event_bytes,
    )
    records = list(run.records())
    verdicts = [record for record in records if isinstance(record, Verdict)]
    of_ticket: dict[str, list[TicketEvent]] = defaultdict(list)
    for event in events:
        decoded = decode_ticket(to_wire(event), event.key, engine.largest_event_bytes)
        if event.at_ms <= end_ms and isinstance(decoded, tuple):
            of_ticket[decoded[0]].append(decoded[1])
    faults = [f"{count:,} events refused: {reason}" for reason, count in sorted(run.rejected.items())]
    facts = Facts(
        verdicts=verdicts,
        as_of_ms=end_ms,
        observed_from_ms=min(starts),
        corrections=[Correction(*pair) for pair in run.corrections],
        open_clocks=Counter(record.target for record in records if not isinstance(record, Verdict)),
        service_minutes={
            service: {minute_ms: counts for minute_ms, counts in told.items() if minute_ms < end_ms}
            for service, told in minutes.items()
        },
        source=f"from the log {name}",
    )
    return ReportData(register, facts, dict(of_ticket), tuple(faults))


def from_topics(settings: Settings) -> ReportData:
    """Read register, verdicts, statements and ticket events from Kafka, up to their present ends.

    Raises
    ------
    KafkaFault
        If a topic can't be read.
    """
    return asyncio.run(_read_topics(settings))


async def _read_topics(settings: Settings) -> ReportData:
    from aiokafka.errors import KafkaError

    from agents.register_view import compile_register
    from sla.report import Correction
    from sla.report_building import Facts
    from streams.codecs import decode_ticket
    from streams.connection import KafkaFault, read_to_end
    from streams.register_topics import read_register
    from streams.statement_codec import StatementHistory
    from streams.topics import STATEMENTS, TICKETS, VERDICTS, Topics
    from streams.verdict_reader import VerdictHistory

    topics = Topics(settings)
    view = compile_register(await read_register(settings))
    verdicts, statements = VerdictHistory(), StatementHistory()
    async for record in read_to_end(settings.kafka, [topics.name(VERDICTS)]):
        verdicts.take(record)
    async for record in read_to_end(settings.kafka, [topics.name(STATEMENTS)]):
        statements.take(record)
    events: dict[str, list[TicketEvent]] = defaultdict(list)
    faults = list(view.faults)
    try:
        async for record in read_to_end(settings.kafka, [topics.name(TICKETS)]):
            decoded = decode_ticket(record.value, record.key, settings.engine.largest_event_bytes)
            if isinstance(decoded, tuple):
                events[decoded[0]].append(decoded[1])
    except (KafkaFault, KafkaError) as error:
        # Who writes reports need not have the right to read what requesters wrote.
        events.clear()
        faults.append(f"{topics.name(TICKETS)} can't be read, so there is no watermelon index: {error}")
    in_force = list(verdicts.in_force.values())
    if verdicts.unreadable:
        faults.append(f"{verdicts.unreadable:,} records of {topics.name(VERDICTS)} are no verdicts of a worker")
    facts = Facts(
        verdicts=in_force,
        as_of_ms=max([statements.as_of_ms or 0, *(verdict.decided_at_ms for verdict in in_force)]),
        observed_from_ms=min((verdict.start_ms for verdict in in_force), default=0),
        corrections=[Correction(*pair) for pair in verdicts.corrections],
        issued=statements.issued,
        source="from the verdicts and statements published",
    )
    return ReportData(view.register, facts, _from_their_start(events), tuple(faults))


def _from_their_start(events: Mapping[str, list[TicketEvent]]) -> dict[str, list[TicketEvent]]:
    """Leave out tickets whose first events are not kept any more: half a history would tell another story."""
    from sla.events import CREATED

    return {ticket: found for ticket, found in events.items() if any(event.event == CREATED for event in found)}


def service_minutes_of(path: Path) -> Mapping[str, Mapping[int, tuple[int, int]]]:
    """Return the counts of a file of ``slawatch backtest --uptime``, by service and minute.

    Raises
    ------
    UptimeCountsError
        With the first faults, each with its line.
    """
    from cli.backtest_uptime import read_counts

    return read_counts(path).of_service


def opinions_of(path: Path) -> Opinions:
    """Return the feedback on services in a file of uptime events (JSON lines as on sla.uptime), each once.

    Raises
    ------
    SourceError
        With the first faults, if a line is no uptime event.
    """
    from sla.events import Rejected
    from sources.faults import SourceError
    from sources.files import open_source

    found = _OpinionBook()
    faults: list[str] = []
    with open_source(path) as lines:
        for number, line in enumerate(lines, 1):
            refused = found.take(line.strip(), None) if line.strip() else None
            if isinstance(refused, Rejected):
                faults.append(f"line {number}: {refused.detail}")
    if faults:
        raise SourceError(path, faults[:_MOST_FAULTS])
    return found.opinions


def opinions_of_topic(settings: Settings) -> Opinions:
    """Return the feedback on services that sla.uptime holds; reads all of it.

    Raises
    ------
    KafkaFault
        If the topic can't be read.
    """
    from streams.connection import read_to_end
    from streams.topics import UPTIME, Topics

    found = _OpinionBook()

    async def read() -> None:
        async for record in read_to_end(settings.kafka, [Topics(settings).name(UPTIME)]):
            found.take(record.value or b"", record.key)

    asyncio.run(read())
    return found.opinions


class _OpinionBook:
    """Collects feedback on services; what was sent again counts once."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self.opinions: dict[str, list[tuple[int, float]]] = defaultdict(list)

    def take(self, value: bytes, key: bytes | None) -> Rejected | None:
        """Take in one uptime event; return why it can't be read, if so. Without a key the service is believed."""
        from sla.events import Rejected
        from sla.uptime_events import ServiceFeedback
        from streams.uptime_codec import decode_uptime

        decoded = decode_uptime(value, key if key is not None else _service_in(value))
        if isinstance(decoded, ServiceFeedback) and (decoded.service, decoded.uid) not in self._seen:
            self._seen.add((decoded.service, decoded.uid))
            self.opinions[decoded.service].append((decoded.at_ms, decoded.satisfaction))
        return decoded if isinstance(decoded, Rejected) else None


def _service_in(value: bytes) -> bytes:
    import msgspec

    try:
        document = msgspec.json.decode(value)
    except ValueError:
        return b""
    service = document.get("service") if isinstance(document, dict) else None
    return service.encode() if isinstance(service, str) else b""


def unknown_contracts(register: Register, names: Iterable[str]) -> list[str]:
    """Return a line for every name that is no contract of the register, with the likely one."""
    from config.faults import suggestion

    known = sorted(register.contracts)
    return [f"unknown contract {name!r}{suggestion(name, known)}" for name in names if name not in register.contracts]
