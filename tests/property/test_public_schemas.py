"""The JSON Schema of an event and its decoding accept the same values, as far as a schema can say it."""

import json
from calendar import monthrange
from datetime import datetime
from typing import Any

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sla.events import Rejected
from streams.adjustment_codec import decode_adjustment
from streams.codecs import decode_ticket
from streams.event_schemas import KINDS, document
from streams.uptime_codec import decode_uptime

pytestmark = pytest.mark.property

VALIDATORS = {kind: Draft202012Validator(document(kind)) for kind in KINDS}
OF_TICKETS = ("ticket", "feedback", "heartbeat")
OF_UPTIME = ("sample", "status", "service-feedback", "heartbeat")

TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e6, 1e6) | TEXT
ANYTHING = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXT, SCALARS, max_size=2)
FIRST, LAST = datetime(1, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001 - hypothesis adds the zones
INSTANTS = (
    st.integers(-1, 2**44)
    | st.datetimes(FIRST, LAST, timezones=st.timezones()).map(datetime.isoformat)
    | st.datetimes(FIRST.replace(year=1971), LAST.replace(year=2298), timezones=st.timezones()).map(datetime.isoformat)
    | st.from_regex(
        r"[12][0-9]{3}-[0-9]{2}-[0-3][0-9][Tt ,][0-2][0-9]:[0-9]{2}:[0-6][0-9](\.[0-9]*)?([Zz]|[+-][0-2][0-9]:?[0-9]{2})?",
        fullmatch=True,
    )
)
NUMBERS = st.integers(-1, 9) | st.floats(-1, 9) | st.none()

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "version": st.just(1),
    "type": st.sampled_from(["ticket", "feedback", "heartbeat", "sample", "status", "probe"]),
    "ticket": st.just("T"),
    "service": st.just("S"),
    "id": TEXT | st.none(),
    "event": TEXT | st.none(),
    "at": INSTANTS,
    "sequence": st.integers(-1, 2**64),
    "fields": st.dictionaries(TEXT, ANYTHING, max_size=3),
    "probe": TEXT,
    "ok": st.booleans() | st.none(),
    "good": NUMBERS,
    "total": NUMBERS,
    "latency_ms": NUMBERS,
    "status": st.sampled_from(["up", "down", "degraded", "maintenance", "ill", ""]),
    "cause": TEXT | st.none(),
    "score": NUMBERS,
    "worst": NUMBERS,
    "best": NUMBERS,
    "kind": st.sampled_from(["maintenance", "outage-correction", "other"]),
    "start": INSTANTS,
    "end": INSTANTS,
    "recorded_at": INSTANTS,
    "recorded_by": TEXT,
    "reason": TEXT,
    "counts_as": st.sampled_from(["up", "down", "excluded", "x", None]),
    "reference": TEXT | st.none(),
    "retroactive": st.booleans(),
    "revoked": st.booleans(),
    "unknown": ANYTHING,
}


@st.composite
def near(draw: st.DrawFn, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Draw the example of a kind with some fields changed, most of them to something that could be right."""
    value = dict(KINDS[draw(st.sampled_from(kinds))].example)
    for name in draw(st.lists(st.sampled_from(sorted({*value, *FIELDS})), max_size=4, unique=True)):
        match draw(st.sampled_from(["plausible", "plausible", "plausible", "anything", "absent"])):
            case "plausible":
                value[name] = draw(FIELDS.get(name, ANYTHING))
            case "anything":
                value[name] = draw(ANYTHING)
            case "absent":
                value.pop(name, None)
    return value


def holds_a_whole_float(value: dict[str, Any], *names: str) -> bool:
    """JSON Schema takes 1.0 for an integer, decoding does not."""
    return any(isinstance(value.get(name), float) and value[name].is_integer() for name in names)


def beyond_a_schema(rejected: Rejected) -> bool:
    """Tell whether decoding refused something that no schema can say; each is named in the reference."""
    return any(
        said in rejected.detail
        for said in (
            "Expected an instant in 1970..2299",  # pushed out of the range by its zone
            "Expected at most `total`",
            "Expected a number from `worst` to `best`",
            "Expected another number than `worst`",
            "Expected an instant after `start`",
            "Expected an instant not before `recorded_at`",
        )
    )


def is_a_day_no_month_has(value: dict[str, Any]) -> bool:
    texts = [value.get(name) for name in ("at", "start", "end", "recorded_at")]
    dates = [text[:10].split("-") for text in texts if isinstance(text, str) and len(text) > 18]
    return any(int(day) > monthrange(int(year), int(month))[1] for year, month, day in dates)


def instants_are_edge_cases(value: dict[str, Any]) -> bool:
    """An instant outside the years of the schema by its text, and inside by its zone, is taken."""
    texts = [value.get(name) for name in ("at", "start", "end", "recorded_at")]
    return any(isinstance(text, str) and text[:4] in ("1969", "2300") for text in texts)


def compare(kinds: tuple[str, ...], value: dict[str, Any], decoded: object) -> None:
    fits = any(VALIDATORS[kind].is_valid(value) for kind in kinds)
    event(f"fits: {fits}")
    if isinstance(decoded, Rejected) and fits and (beyond_a_schema(decoded) or is_a_day_no_month_has(value)):
        event("beyond a schema")
        return
    assert fits == (not isinstance(decoded, Rejected)), decoded


@given(value=near(OF_TICKETS))
def test_what_fits_the_schema_of_tickets_is_taken_in_and_nothing_else(value):
    """For every value v with a right key: schema accepts v <=> decode_ticket accepts v."""
    assume(not holds_a_whole_float(value, "version", "sequence", "at") and not instants_are_edge_cases(value))
    ticket = value.get("ticket")
    key = ticket.encode() if isinstance(ticket, str) else b""
    compare(OF_TICKETS, value, decode_ticket(json.dumps(value).encode(), key))


@given(value=near(OF_UPTIME))
def test_what_fits_the_schema_of_uptime_is_taken_in_and_nothing_else(value):
    """For every value v with a right key: schema accepts v <=> decode_uptime accepts v."""
    whole = ("version", "sequence", "at", "good", "total")
    assume(not holds_a_whole_float(value, *whole) and not instants_are_edge_cases(value))
    service = value.get("service")
    key = service.encode() if isinstance(service, str) else b""
    compare(OF_UPTIME, value, decode_uptime(json.dumps(value).encode(), key))


@given(value=near(("adjustment",)))
def test_what_fits_the_schema_of_adjustments_is_taken_in_and_nothing_else(value):
    """For every value v with a right key: schema accepts v <=> decode_adjustment accepts v."""
    whole = ("version", "start", "end", "recorded_at")
    assume(not holds_a_whole_float(value, *whole) and not instants_are_edge_cases(value))
    name = value.get("id")
    key = name.encode() if isinstance(name, str) else b""
    compare(("adjustment",), value, decode_adjustment(json.dumps(value).encode(), key))


@given(text=INSTANTS.map(str))
def test_instants_are_read_as_their_pattern_says(text):
    """The pattern is what decoding takes, days of the month and the edges of the years apart."""
    value = {**KINDS["heartbeat"].example, "at": text}
    assume(not instants_are_edge_cases(value))
    compare(("heartbeat",), value, decode_ticket(json.dumps(value).encode(), b""))


@given(value=st.binary(max_size=60) | near(OF_UPTIME).map(lambda value: json.dumps(value).encode()), key=st.binary())
def test_decoding_never_raises_whatever_the_bytes(value, key):
    """Bad input is an outcome, never an error."""
    decode_uptime(value, key)
    decode_adjustment(value, key)
