"""What the fields of public records mean: the descriptions in their JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams import dead_letters

_VERSION: Final = "Version of the schema; within a version fields are only added, and only with a default."
_AT: Final = "When it happened in the source system: RFC 3339 with a zone, or integer epoch ms; years 1970 to 2299."
_SEQUENCE: Final = "The source's own order among events of one instant."
_ID: Final = (
    "Identity of the event within its {owner}: two records of one id are one event. "
    "Without it a record is what it says, byte for byte."
)

_TICKET: Final = {
    "version": _VERSION,
    "type": "Kind of the record.",
    "ticket": "Ticket id; the record's key must be the same text in UTF-8.",
    "at": _AT,
    "id": _ID.format(owner="ticket"),
    "sequence": _SEQUENCE,
    "fields": (
        "Changes of ticket fields; null removes a field. Numbers and booleans are compared as JSON writes them."
    ),
}
_SERVICE: Final = {
    "version": _VERSION,
    "type": "Kind of the record.",
    "service": "Service id; the record's key must be the same text in UTF-8.",
    "at": _AT,
    "id": _ID.format(owner="service"),
    "sequence": _SEQUENCE,
}

DESCRIPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "ticket": {
        **_TICKET,
        "event": (
            "What happened. created, responded, resolved, closed, reopened, cancelled, merged and feedback have a "
            "meaning of their own; any other word counts as an update and can be named in contracts."
        ),
    },
    "feedback": {**_TICKET, "event": "Not looked at: the event is feedback."},
    "sample": {
        **_SERVICE,
        "probe": "Who looked; a service may have several probes.",
        "ok": "Whether the one check went well. Either this, or `good` and `total`.",
        "good": "Requests that went well, of `total`.",
        "total": "All requests since this probe's sample before; 0 says that it looked and there were none.",
        "latency_ms": "How long the check took, or what the probe says of its requests, in milliseconds.",
    },
    "status": {
        **_SERVICE,
        "status": "State from `at` on.",
        "cause": "Why, for people.",
    },
    "service-feedback": {
        **_SERVICE,
        "score": "What was given, from `worst` to `best`.",
        "worst": "The scale's worst score; it may be the larger number.",
        "best": "The scale's best score.",
    },
    "heartbeat": {
        "version": _VERSION,
        "type": "Kind of the record.",
        "at": "Every event up to this instant has been sent to this partition.",
    },
    "adjustment": {
        "version": _VERSION,
        "id": "Adjustment id, such as that of the change request; the record's key must be the same text in UTF-8.",
        "kind": (
            "maintenance: agreed work, the interval is left out. outage-correction: what was measured is not what "
            "happened, the interval counts as `counts_as` says."
        ),
        "service": "Service id.",
        "start": "First instant of the interval.",
        "end": "End of the interval, not part of it; after `start`.",
        "counts_as": "How the interval counts; needed for a correction, `excluded` for maintenance.",
        "recorded_at": "When it was decided.",
        "recorded_by": "Who decided it.",
        "reason": "Why, for people and for the statement.",
        "reference": "Where it was decided: change request, minutes of a meeting.",
        "retroactive": "Whether it may begin before `recorded_at`. Without it maintenance has to be announced.",
        "revoked": "Taken back: it counts no more, and is still shown.",
        "recurrence": "When it happens again: `rule` is an RRULE of RFC 5545 without DTSTART, over the local time of "
        "`timezone`; `start` and `end` are the first time.",
        "revoked_at": "When it was taken back.",
        "revoked_by": "Who took it back.",
        "revoked_reason": "Why it was taken back.",
    },
    "verdict": {
        "version": _VERSION,
        "clock_id": "`ticket:target:cycle`; take it apart from the right. The last verdict of a clock is in force.",
        "ticket": "Ticket id; the record's key.",
        "contract": "Contract id.",
        "target": "Target id.",
        "metric": "What the target measures, such as response or resolution.",
        "revision": "Revision of the contract that the clock ran under.",
        "cycle": "Number of the target's clock on the ticket, from 1.",
        "outcome": "How the clock ended; only met and breached count towards an objective.",
        "start": "When the clock started.",
        "deadline": "When the target is used up.",
        "stop": "When the clock stopped; null for a breached clock that still runs.",
        "decided_at": "Places the verdict: the stop if met, the deadline if breached, also when stopped later.",
        "target_seconds": "What was promised, in the time the target counts.",
        "consumed_seconds": "What was used up, in the time the target counts.",
        "elapsed_seconds": "The same on the wall clock.",
        "parties": (
            "Who held the ticket in that time, on the wall clock: seconds by party (`customer`, `supplier:<name>`, "
            "`team:<name>`, `unassigned`, `solved`)."
        ),
        "parties_counted": "Of that, what counted: the sum is `consumed_seconds`. Only parties with any.",
        "parties_paused": "Of that, what would have counted had the clock not been paused. Only parties with any.",
        "endangers": "Of an OLA or UC: the clocks of this ticket under the SLAs it supports.",
    },
    "alert": {
        "version": _VERSION,
        "id": "Kind and subject; the record's key. The last record of an id is in force.",
        "kind": "What the alert is about; its Alertmanager alertname.",
        "state": "Whether it fires.",
        "severity": "How urgent it is.",
        "at": "When it was decided, in event time.",
        "labels": "Identity at Alertmanager; never holds a value that changes while the alert fires.",
        "annotations": "Prose and numbers for people; event instants are here.",
    },
    "dead-letter": {
        dead_letters.REASON: "Why the record could not be taken in.",
        dead_letters.DETAIL: "The same in prose for the publisher, with the path of what is wrong.",
        dead_letters.TOPIC: "Topic the record came from.",
        dead_letters.PARTITION: "Partition it came from.",
        dead_letters.OFFSET: "Its offset there.",
        dead_letters.TIMESTAMP: "Its Kafka timestamp there, epoch ms.",
        dead_letters.REPLAYS: "How often it had been replayed before; absent: never.",
        dead_letters.REPLAYED_FROM: "Dead letter (partition:offset) whose replay it was; absent: of none.",
        dead_letters.CUT: "Its size in bytes, if only the beginnings of key and value are here.",
    },
}
"""Description of every field of every kind of record; a test holds it complete."""
