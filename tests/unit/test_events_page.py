"""The page about sending events: its examples work, and it names everything that a mapping can say."""

import json
import re
from pathlib import Path

import pytest

from config.mapping_model import AuthenticationModel, FieldModel, InstantModel, MappingModel, RuleModel, load_mapping
from export.receiver_metrics import RECEIVER_METRICS
from sla.events import Rejected
from sources.webhook_mapping import Mapped, WebhookMapper
from streams.codecs import decode_ticket

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


def test_the_event_of_the_page_is_taken_in():
    for block in blocks("json"):
        assert not isinstance(decode_ticket(block.encode(), json.loads(block)["ticket"].encode()), Rejected)


def test_the_record_that_kcat_sends_is_taken_in():
    (line,) = re.findall(r"printf '(.*)\\n'", PAGE)
    key, _, value = line.partition("\\t")
    assert not isinstance(decode_ticket(value.encode(), key.encode()), Rejected)


def test_the_mapping_of_the_page_maps(tmp_path):
    (text,) = blocks("yaml")
    (tmp_path / "desk.yaml").write_text(text, encoding="utf-8")
    mapper = WebhookMapper(load_mapping(tmp_path / "desk.yaml"))
    issue = {"key": "D-1", "group": {"name": "workplace"}, "priority": "1 high"}
    change = {"id": "7", "items": [{"field": "resolution", "to": "done"}]}
    found = mapper.map_body({"type": "changed", "changed": 1_793_586_670_303, "issue": issue, "change": change})
    assert isinstance(found, Mapped)
    (event,) = found.events
    assert (event.ticket, event.event, event.id) == ("D-1", "resolved", "7:resolved")
    assert event.fields == {"team": "workplace", "priority": "P1"}
    assert mapper.map_body({"type": "ping"}) == Mapped(())


@pytest.mark.parametrize(
    "model", [MappingModel, RuleModel, InstantModel, FieldModel, AuthenticationModel], ids=lambda model: model.__name__
)
def test_everything_that_a_mapping_can_say_is_on_the_page(model):
    code = " ".join([*blocks("yaml"), *re.findall(r"`([^`\n]+)`", PAGE)])
    named = set(re.findall(r"\b[a-z_]+\b", code))
    assert set(model.model_fields) <= named | {"value"}


def test_every_metric_of_the_receiver_is_on_the_page():
    assert all(f"`{name}`" in PAGE for name in RECEIVER_METRICS)


def test_every_shipped_mapping_is_on_the_page():
    shipped = {path.name for path in (ROOT / "config" / "mappings").glob("*.yaml")}
    assert shipped == set(re.findall(r"\(\.\./config/mappings/([\w.-]+)\)", PAGE))
