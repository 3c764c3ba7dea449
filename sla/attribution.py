"""Who held a ticket while one of its clocks was on: the customer, a team, a supplier or nobody.

A clock's life is a row of *spans*: in each of them it ran, was paused, or stood still for another reason, under one
target, while one party held the ticket. Spans follow from the ticket's history alone, as the clock itself does, so
any order and any repetition of the events gives the same ones. Attribution adds them up: the parties' elapsed times add
up to the clock's elapsed time, to the millisecond, and their counted times to what it consumed.

Which fields say who holds a ticket is agreed per contract (:class:`~sla.contract.PartyRules`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from sla.calendar import WorkCalendar
from sla.clock import Clock, Phase
from sla.contract import ContractType, OnChange, PartyRules, Reaction, Target
from sla.events import TicketEvent
from sla.fold import advance
from sla.outcome import Share, Verdict
from sla.register import Register, Winners
from sla.ticket import Ticket, new_ticket

CUSTOMER: Final = "customer"
SUPPLIER: Final = "supplier"
UNASSIGNED: Final = "unassigned"
"""No field names a team: a gap nobody answers for."""
SOLVED: Final = "solved"
"""The ticket was solved and came back, under a reopen policy that lets the clock go on."""

_DEFAULT_RULES: Final = PartyRules()


class Mode(IntEnum):
    """What a clock did during a span."""

    RUNNING = 0
    PAUSED = 1
    STOPPED = 2
    """The ticket was solved; its clock went on later."""
    UNBOUND = 3
    """The ticket had left every target; its clock was carried on later."""


class Span(NamedTuple):
    """A part of a clock's life in which nothing about it changed.

    Attributes
    ----------
    from_ms, until_ms : int
        Half-open; never empty.
    party : str
        ``customer``, ``supplier``, ``supplier:<name>``, ``team:<name>``, ``unassigned`` or ``solved``.
    target, calendar, cycle
        Terms and cycle it was under: those of the clock that was superseded, before a change.
    event : TicketEvent
        What began it.
    """

    from_ms: int
    until_ms: int
    mode: Mode
    party: str
    target: Target
    calendar: WorkCalendar
    cycle: int
    event: TicketEvent


def party_of(rules: PartyRules, target: Target, event: str, attributes: dict[str, str]) -> str:
    """Return who holds a ticket with these fields, as a clock of this target sees it.

    Supplier goes before customer, customer before team: a wait for a supplier is a pause for most targets.
    """
    supplier = _supplier_in(rules, attributes)
    if supplier is not None:
        return supplier
    waits = target.pause.holds(event, attributes) if rules.customer is None else rules.customer.of_fields(attributes)
    return CUSTOMER if waits else _team_in(rules, attributes)


def spans_of(
    ticket: Ticket, clock: Clock, register: Register, until_ms: int, *, every_event: bool = False
) -> Iterator[Span]:
    """Return the spans of a clock from its start to an instant, in order and without a gap.

    Parameters
    ----------
    ticket : Ticket
        Holds the clock; folded under this register.
    until_ms : int
        The clock's end at the latest. Events at or after it don't matter.
    every_event : bool
        Begin a span at every event, also at one that changes nothing about the clock.
    """
    return _spans(_pieces(ticket, clock, register, until_ms), ticket.history, register, every_event=every_event)


def shares_of(ticket: Ticket, clock: Clock, register: Register, until_ms: int) -> tuple[Share, ...]:
    """Return how long each party held a clock from its start to an instant, by party.

    Elapsed times add up to ``until_ms - start``, counted times to what the clock had consumed then.
    """
    plain = _plain_shares(ticket, clock, register, until_ms)
    return _summed_shares(ticket, clock, register, until_ms) if plain is None else plain


def attributed(verdict: Verdict, ticket: Ticket, clock: Clock, register: Register) -> Verdict:
    """Return the verdict on a clock with the parties' shares of its time, and with the SLAs it endangers."""
    target, _ = register.terms[clock.target_id, clock.revision]
    return msgspec.structs.replace(
        verdict,
        parties=shares_of(ticket, clock, register, verdict.start_ms + verdict.elapsed_ms),
        endangers=endangered(ticket, clock, target, register),
    )


def endangered(ticket: Ticket, clock: Clock, target: Target, register: Register) -> tuple[tuple[str, str, int], ...]:
    """Return the clocks of SLAs that an OLA's or UC's clock supports: (contract, target id, cycle), in their order.

    Those of the contracts that its own names in ``supports``, on the same ticket and at the same time: if the OLA is
    breached, they are in danger.
    """
    if target.contract_type is ContractType.SLA:
        return ()
    contract = register.contracts.get(target.contract)
    if contract is None or not contract.supports:
        return ()
    found = []
    for other in ticket.clocks:
        terms = register.terms.get((other.target_id, other.revision))
        if terms is None or terms[0].contract not in contract.supports:
            continue
        ends_before = other.ended_ms is not None and other.ended_ms <= clock.start_ms
        begins_after = clock.ended_ms is not None and other.start_ms >= clock.ended_ms
        if not (ends_before or begins_after):
            found.append((terms[0].contract, other.target_id, other.cycle))
    return tuple(found)


# --- inside ---


def _plain_shares(ticket: Ticket, clock: Clock, register: Register, until_ms: int) -> tuple[Share, ...] | None:
    """Return the shares of a clock that ran from one start to one end under one target, or None if it is not so plain.

    Nearly every clock is, and every verdict asks: this costs a fifth of adding up the spans.
    """
    start_ms = clock.start_ms
    target, calendar = register.terms[clock.target_id, clock.revision]
    contract = register.contracts.get(target.contract)
    rules = _DEFAULT_RULES if contract is None else contract.parties
    if (
        clock.cycle > 1
        or start_ms >= until_ms
        or target.is_special
        or target.only_while is not None
        or not target.pause_is_a_state
        or rules.customer is not None
        or register.lets_go
    ):
        return None
    for other in ticket.clocks:
        if other is clock:
            break
        if register.terms[other.target_id, other.revision][0].slot == target.slot:
            return None
    found: dict[str, list[int]] = {}
    attributes: dict[str, str] = {}
    since_ms = start_ms
    is_paused, party = False, UNASSIGNED
    for event in ticket.history.events:
        at_ms = event.at_ms
        if at_ms >= until_ms:
            break
        changes = event.changes
        for name, value in changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        if at_ms < start_ms:
            continue
        reaction = target.reaction_to(event.event)
        if reaction.may_end and _ends(reaction, attributes):
            return None  # it was reopened, or ended in the instant before it started
        if not changes and at_ms > start_ms:
            continue
        now_paused = reaction.pause is not None and reaction.pause(attributes)
        now_party = _supplier_in(rules, attributes) or (CUSTOMER if now_paused else _team_in(rules, attributes))
        if now_paused is is_paused and now_party == party:
            continue
        if at_ms > since_ms:
            _add(found, party, is_paused, since_ms, at_ms, calendar)
            since_ms = at_ms
        is_paused, party = now_paused, now_party
    _add(found, party, is_paused, since_ms, until_ms, calendar)
    return tuple(Share(name, *found[name]) for name in sorted(found))


def _summed_shares(ticket: Ticket, clock: Clock, register: Register, until_ms: int) -> tuple[Share, ...]:
    """Return the shares of any clock."""
    found: dict[str, list[int]] = {}
    for span in spans_of(ticket, clock, register, until_ms):
        share = found.setdefault(span.party, [0, 0, 0])
        share[0] += span.until_ms - span.from_ms
        if span.mode <= Mode.PAUSED:
            share[1 + span.mode] += span.calendar.worked_between(span.from_ms, span.until_ms)
    return tuple(Share(party, *found[party]) for party in sorted(found))


def _add(
    found: dict[str, list[int]], party: str, is_paused: bool, from_ms: int, until_ms: int, calendar: WorkCalendar
) -> None:
    share = found.get(party)
    if share is None:
        share = found[party] = [0, 0, 0]
    share[0] += until_ms - from_ms
    share[1 + is_paused] += calendar.worked_between(from_ms, until_ms)


class _Piece(NamedTuple):
    """The part of a clock's life under one revision of one target."""

    from_ms: int
    until_ms: int
    target: Target
    calendar: WorkCalendar
    cycle: int
    begin_ms: int
    """Since when the clock was on, under this revision or an earlier one."""
    in_force: bool = True
    """False while no target applied, between leaving one and coming back under another."""
    counts_from_before: bool = False
    """Whether the clock counts from an instant before it was on: it ran then, whatever happened."""


def _pieces(ticket: Ticket, clock: Clock, register: Register, until_ms: int) -> list[_Piece]:
    """Return the parts of a clock's life, those of the clocks it carries on included, in order."""
    found: list[_Piece] = []  # the last one first
    place = ticket.clocks.index(clock) if len(ticket.clocks) > 1 else 0
    applied: dict[int, list[Winners]] | None = None
    while True:
        place, former = _carried_from(ticket, place, register)
        begin_ms = clock.start_ms
        if former is not None:
            # Looked up once, however often the ticket changed.
            applied = _winners_by_instant(ticket, register) if applied is None else applied
            begin_ms = min(until_ms, _begin_of(ticket, clock, former, register, applied))
        revisions = list(_revisions(clock, register, begin_ms, until_ms))
        if revisions[-1].target.earliest_start is not None and all(e.at_ms != begin_ms for e in ticket.history):
            on_ms = _start_event_ms(ticket, place, clock, revisions[-1].target, register)
            revisions = [piece._replace(begin_ms=on_ms, counts_from_before=True) for piece in revisions]
        found += revisions
        if former is None or not revisions[-1].from_ms == begin_ms > clock.start_ms:
            found.reverse()
            return found
        assert former.ended_ms is not None
        if former.ended_ms < begin_ms:
            found.append(revisions[-1]._replace(from_ms=former.ended_ms, until_ms=begin_ms, in_force=False))
        clock, until_ms = former, min(until_ms, former.ended_ms)


def _revisions(clock: Clock, register: Register, begin_ms: int, until_ms: int) -> Iterator[_Piece]:
    """Yield the parts of a clock's life under each revision of its target, the last one first."""
    handed_over = _handed_over(register)
    target, calendar = register.terms[clock.target_id, clock.revision]
    while True:
        if target.date_field is not None:
            # Nothing stops a date, and nothing is carried to one: all time since the start counts.
            yield _Piece(clock.start_ms, until_ms, target, calendar, clock.cycle, clock.start_ms)
            return
        earlier = handed_over.get((target.id, target.revision))
        if earlier is None or earlier.open_until_ms <= begin_ms:
            yield _Piece(begin_ms, until_ms, target, calendar, clock.cycle, begin_ms)
            return
        from_ms = min(until_ms, earlier.open_until_ms)
        yield _Piece(from_ms, until_ms, target, calendar, clock.cycle, begin_ms)
        until_ms = from_ms
        target, calendar = register.terms[earlier.id, earlier.revision]


@lru_cache(maxsize=2)  # a register never changes; there is one in force
def _handed_over(register: Register) -> dict[tuple[str, int], Target]:
    """Return the revision of a target whose open clocks go on under another one, by that one's id and revision."""
    return {(target.id, target.open_then): target for target in register.targets if target.open_then is not None}


def _carried_from(ticket: Ticket, place: int, register: Register) -> tuple[int, Clock | None]:
    """Return the superseded clock whose time one of the ticket's clocks carries, with its place among them."""
    clock = ticket.clocks[place]
    target = register.terms[clock.target_id, clock.revision][0]
    for earlier in range(place - 1, -1, -1):
        former = ticket.clocks[earlier]
        if register.terms[former.target_id, former.revision][0].slot == target.slot:
            break
    else:
        return place, None
    if former.phase != Phase.SUPERSEDED or former.start_ms != clock.start_ms:
        return place, None
    carries = target.on_change is OnChange.CARRY or (
        target.on_change is OnChange.RETROACTIVE and _was_handed_over(former, register)
    )
    return (earlier, former) if carries else (place, None)


def _was_handed_over(former: Clock, register: Register) -> bool:
    """Tell whether a clock ended where its revision let go of it, not at an event."""
    return former.ended_ms == register.terms[former.target_id, former.revision][0].open_until_ms


def _begin_of(
    ticket: Ticket, clock: Clock, former: Clock, register: Register, applied: dict[int, list[Winners]]
) -> int:
    """Return when a clock took over from the one it carries on: at once, or when a target applied again."""
    assert former.ended_ms is not None
    slot = register.terms[former.target_id, former.revision][0].slot
    another_applied = all(slot in winners for winners in applied.get(former.ended_ms, ({},)))
    if another_applied or _was_handed_over(former, register):
        return former.ended_ms
    seen, _ = _first_seen(ticket, clock, register)
    return former.ended_ms if seen is None else seen.at_ms


def _winners_by_instant(ticket: Ticket, register: Register) -> dict[int, list[Winners]]:
    """Return which targets applied after each event, by its instant."""
    found: dict[int, list[Winners]] = defaultdict(list)
    attributes: dict[str, str] = {}
    for event in ticket.history:
        for name, value in event.changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        found[event.at_ms].append(register.winners(attributes, event.at_ms))
    return found


def _start_event_ms(ticket: Ticket, place: int, clock: Clock, target: Target, register: Register) -> int:
    """Return the instant of the event that started a clock which counts from an earlier one.

    It is the event since which the clock is known, or, of a target that came to apply later, the first one that would
    have started it, had the ticket had the fields it had then.
    """
    for former in reversed(ticket.clocks[:place]):
        if register.terms[former.target_id, former.revision][0].slot == target.slot:
            if former.phase == Phase.SUPERSEDED and target.on_change is not OnChange.RESTART:
                return former.start_ms  # it was carried on before its earlier start became known
            break
    seen, fields = _first_seen(ticket, clock, register)
    attributes: dict[str, str] = {}
    first_ms: int | None = None
    for event in ticket.history:
        for name, value in event.changes.items():
            if value is None:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        if seen is not None and event.order == seen.order:
            at_the_change = target.on_change is OnChange.RESTART or _starts(target, event, attributes)
            return event.at_ms if first_ms is None or at_the_change else first_ms
        starts = target.start.holds(event.event, attributes)
        if starts and first_ms is None and target.slot in register.winners(fields, event.at_ms):
            first_ms = event.at_ms
    return clock.start_ms


def _first_seen(ticket: Ticket, clock: Clock, register: Register) -> tuple[TicketEvent | None, dict[str, str]]:
    """Return the event since which a ticket has a clock, and its fields after it."""
    # Rare (a changed priority, a ticket that left every target): so it may cost a whole fold.
    fold = new_ticket(ticket.register_version)
    for event in ticket.history:
        fold.history.append(event)
        advance(fold, event, register)
        if any(known.target_id == clock.target_id and known.cycle == clock.cycle for known in fold.clocks):
            return event, fold.attributes
    return None, fold.attributes


def _spans(
    pieces: Iterable[_Piece], history: Sequence[TicketEvent], register: Register, *, every_event: bool
) -> Iterator[Span]:
    attributes: dict[str, str] = {}
    before: tuple[str, int] | None = None
    last: TicketEvent | None = None
    has_started = False
    mode, party = Mode.RUNNING, UNASSIGNED
    index, count = 0, len(history)
    for piece in pieces:
        since_ms, until_ms, target, calendar, cycle, begin_ms, in_force, counts_from_before = piece
        if since_ms >= until_ms:
            continue
        contract = register.contracts.get(target.contract)
        rules = _DEFAULT_RULES if contract is None else contract.parties
        may_stop = target.date_field is None
        pause_is_customers = rules.customer is None and target.only_while is None
        if before != (target.id, cycle):
            mode, has_started, before = Mode.RUNNING, False, (target.id, cycle)
        began = last
        # The event before it says how the piece begins, as its own target sees it.
        event = last
        # Once per verdict and event of its ticket: so nothing is called here that can be asked in place.
        while True:
            if event is not None:
                at_ms = event.at_ms
                former_mode, former_party = mode, party
                if not in_force:
                    mode = Mode.UNBOUND
                elif not (counts_from_before and at_ms < begin_ms):
                    reaction = target.reaction_to(event.event)
                    # What ended a ticket in the instant before its clock started did not end the clock. If an end is
                    # not the clock's last instant, it was reopened and went on, by the policy of whatever target
                    # applied then.
                    if not has_started:
                        has_started = at_ms > begin_ms or (at_ms == begin_ms and _starts(target, event, attributes))
                    if has_started and may_stop and reaction.may_end and _ends(reaction, attributes):
                        mode = Mode.STOPPED
                    elif mode is not Mode.STOPPED or (reaction.reopen is not None and reaction.reopen(attributes)):
                        mode = (
                            Mode.PAUSED if reaction.pause is not None and reaction.pause(attributes) else Mode.RUNNING
                        )
                if mode is Mode.STOPPED:
                    party = SOLVED
                elif pause_is_customers:
                    party = _supplier_in(rules, attributes) or (
                        CUSTOMER if mode is Mode.PAUSED else _team_in(rules, attributes)
                    )
                else:
                    party = party_of(rules, target, event.event, attributes)
                if at_ms <= since_ms:
                    began = event
                elif every_event or former_mode is not mode or former_party != party:
                    # A clock may count from an instant before its ticket's first event.
                    yield Span(since_ms, at_ms, former_mode, former_party, target, calendar, cycle, began or event)
                    since_ms, began = at_ms, event
            if index >= count or history[index].at_ms >= until_ms:
                break
            last = event = history[index]
            index += 1
            for name, value in event.changes.items():
                if value is None:
                    attributes.pop(name, None)
                else:
                    attributes[name] = value
        yield Span(since_ms, until_ms, mode, party, target, calendar, cycle, began or history[0])


def _starts(target: Target, event: TicketEvent, attributes: dict[str, str]) -> bool:
    return target.start.holds(event.event, attributes) or target.reopen_when.holds(event.event, attributes)


def _ends(reaction: Reaction, attributes: dict[str, str]) -> bool:
    stop, cancel, merge = reaction.stop, reaction.cancel, reaction.merge
    return (
        (stop is not None and stop(attributes))
        or (cancel is not None and cancel(attributes))
        or (merge is not None and merge(attributes))
    )


def _supplier_in(rules: PartyRules, attributes: dict[str, str]) -> str | None:
    name = attributes.get(rules.supplier_field)
    if rules.supplier is None:
        return f"{SUPPLIER}:{name}" if name else None
    if rules.supplier.of_fields(attributes):
        return f"{SUPPLIER}:{name}" if name else SUPPLIER
    return None


def _team_in(rules: PartyRules, attributes: dict[str, str]) -> str:
    team = attributes.get(rules.team_field)
    return f"team:{team}" if team else UNASSIGNED
