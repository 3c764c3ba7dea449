"""Laws of mappings, whatever senders make of their bodies."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cli.event_check import fault_of_mapped
from config.mapping_model import load_mapping
from sources.webhook_mapping import BodyRefused, Mapped, Request, WebhookMapper

pytestmark = pytest.mark.property

ROOT = Path(__file__).parents[2]
MAPPERS = {path.stem: WebhookMapper(load_mapping(path)) for path in (ROOT / "config" / "mappings").glob("*.yaml")}
BODIES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "examples" / "webhooks").glob("*.json"))
}

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for name, child in inside for place in places(child, (*path, name)))]


PLACES = {name: places(body) for name, body in BODIES.items()}


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a real body in which something else stands in up to three places."""
    name = draw(st.sampled_from(sorted(BODIES)))
    whole = {"body": copy.deepcopy(BODIES[name])}
    for place in draw(st.lists(st.sampled_from(PLACES[name]), max_size=3)):
        here: Any = whole
        for step in ("body", *place)[:-1]:
            here = here[step] if isinstance(here, dict) and step in here else None
        last = ("body", *place)[-1]
        if isinstance(here, dict) and last in here:
            here[last] = draw(ANYTHING)
    return name, whole["body"]


@given(sent=damaged(), query=st.dictionaries(TEXT, TEXT, max_size=2))
def test_a_body_is_mapped_to_events_that_workers_take_or_refused(sent, query):
    """Bad input is an outcome, never an error; what is published is never refused."""
    name, body = sent
    found = MAPPERS[name.partition("-")[0]].map_body(body, Request(query=query))
    event(type(found).__name__)
    match found:
        case Mapped(events):
            assert [fault_of_mapped(told, 65_536) for told in events] == [None] * len(events)
            assert len({told.id for told in events}) == len(events)
        case BodyRefused(faults):
            assert faults
            str(found).encode()


@given(sent=damaged())
def test_the_same_body_gives_the_same_events(sent):
    """Pure: a webhook that is delivered twice is one."""
    name, body = sent
    mapper = MAPPERS[name.partition("-")[0]]
    before = copy.deepcopy(body)
    assert mapper.map_body(body) == mapper.map_body(json.loads(json.dumps(body)))
    assert body == before
