"""The public schemas say what decoding does, explain every field, and are in the tree as they are generated."""

import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator

from config.settings import Settings
from config.yaml_reader import read_documents
from sla.adjustment import Adjustment
from sla.events import Heartbeat, Rejected
from sla.outcome import Alert, Result, Verdict
from streams.adjustment_codec import decode_adjustment
from streams.asyncapi import asyncapi_document
from streams.codecs import decode_alert, decode_ticket, encode_alert, encode_verdict
from streams.dead_letters import dead_letter
from streams.event_fields import DESCRIPTIONS
from streams.event_reference import EXAMPLES_FOLDER, MAPPING_SCHEMA, REFERENCE_FOLDER, files, main
from streams.event_schemas import KINDS, bundle, document
from streams.topics import Topics
from streams.uptime_codec import decode_uptime

ROOT = Path(__file__).parents[3]
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def accepts(kind: str, value: object) -> bool:
    return Draft202012Validator(document(kind)).is_valid(value)


# --- the files in the tree ---


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_generated_file_is_current(path):
    assert (ROOT / path).read_text(encoding="utf-8") == files()[path], "regenerate it: make reference"


def test_nothing_of_kinds_that_are_gone_lies_about():
    found = {
        path.relative_to(ROOT) for folder in (REFERENCE_FOLDER, EXAMPLES_FOLDER) for path in (ROOT / folder).iterdir()
    }
    assert found == set(files()) - {MAPPING_SCHEMA}


def test_shipped_mappings_fit_the_schema_of_mappings_and_others_do_not():
    validator = Draft202012Validator(json.loads(files()[MAPPING_SCHEMA]))
    for path in (ROOT / "config" / "mappings").glob("*.yaml"):
        (document,) = read_documents(path.read_text(encoding="utf-8"))
        assert validator.is_valid(document.data), list(validator.iter_errors(document.data))
        assert not validator.is_valid({**document.data, "tickets": "x"})


def test_writing_the_reference_deletes_what_is_no_more_generated(tmp_path):
    old = tmp_path / REFERENCE_FOLDER / "gone.schema.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    main(tmp_path)
    assert not old.exists()
    assert all((tmp_path / path).read_text(encoding="utf-8") == text for path, text in files().items())


# --- schemas ---


@EVERY_KIND
def test_a_schema_is_valid_under_both_drafts(kind):
    Draft202012Validator.check_schema(document(kind))
    Draft7Validator.check_schema(KINDS[kind].schema())


def test_the_bundle_holds_every_kind():
    Draft202012Validator.check_schema(bundle())
    assert list(bundle()["$defs"]) == list(KINDS)


@EVERY_KIND
def test_every_field_is_explained_and_nothing_else(kind):
    properties = KINDS[kind].schema()["properties"]
    assert set(properties) == set(DESCRIPTIONS[kind])
    assert all(part["description"] == DESCRIPTIONS[kind][name] for name, part in properties.items())


@EVERY_KIND
def test_a_kind_fits_its_own_schema_and_no_field_may_be_missing(kind):
    example = dict(KINDS[kind].example)
    assert accepts(kind, example)
    for name in KINDS[kind].schema()["required"]:
        assert not accepts(kind, {other: value for other, value in example.items() if other != name}), name


@EVERY_KIND
def test_unknown_fields_are_tolerated(kind):
    assert accepts(kind, {**KINDS[kind].example, "added_in_a_later_release": {"anything": [1]}})


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("ticket", {"ticket": 17}),
        ("ticket", {"ticket": ""}),
        ("ticket", {"version": 2}),
        ("ticket", {"version": True}),
        ("ticket", {"at": "2026-03-02T09:15:27"}),
        ("ticket", {"at": "2026-13-02T09:15:27Z"}),
        ("ticket", {"at": "1969-12-31T00:00:00Z"}),
        ("ticket", {"at": -1}),
        ("ticket", {"sequence": -1}),
        ("ticket", {"fields": {"tags": ["a", "b"]}}),
        ("ticket", {"fields": None}),
        ("ticket", {"event": None}),
        ("ticket", {"type": "feedback"}),
        ("sample", {"ok": None}),
        ("sample", {"good": 1, "total": 1}),
        ("sample", {"latency_ms": -1}),
        ("sample", {"probe": ""}),
        ("status", {"status": "sick"}),
        ("service-feedback", {"score": "4"}),
        ("adjustment", {"counts_as": "down"}),
        ("adjustment", {"kind": "outage-correction"}),
        ("adjustment", {"recorded_by": ""}),
    ],
    ids=str,
)
def test_schema_and_decoding_refuse_the_same(kind, wrong):
    value = {**KINDS[kind].example, **wrong}
    assert not accepts(kind, value)
    if not (kind == "ticket" and wrong == {"type": "feedback"}):  # it is another kind then, and a good one
        assert isinstance(decoded(kind, value), Rejected)


def decoded(kind: str, value: dict[str, object]) -> object:
    body = json.dumps(value).encode()
    topic = KINDS[kind].topics[0]
    if topic == "sla.tickets":
        return decode_ticket(body, str(value.get("ticket", "")).encode())
    if topic == "sla.uptime":
        return decode_uptime(body, str(value.get("service", "")).encode())
    return decode_adjustment(body, str(value["id"]).encode())


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind.is_input])
def test_examples_of_what_comes_in_are_taken_in(kind):
    value = json.loads((ROOT / EXAMPLES_FOLDER / f"{kind}.json").read_text(encoding="utf-8"))
    event = decoded(kind, value)
    assert not isinstance(event, Rejected), event
    assert isinstance(event, Heartbeat) == (kind == "heartbeat")
    assert isinstance(event, Adjustment) == (kind == "adjustment")


# --- what goes out ---


def a_verdict(**change: object) -> Verdict:
    values: dict[str, object] = {
        "ticket": "INC-1", "contract": "acme", "target": "response", "metric": "response", "revision": 1, "cycle": 1,
        "result": Result.MET, "start_ms": 0, "deadline_ms": 9_000, "stop_ms": 5_000, "decided_at_ms": 5_000,
        "target_ms": 9_000, "consumed_ms": 5_000, "elapsed_ms": 5_000,
    }  # fmt: skip
    return Verdict(**(values | change))  # type: ignore[arg-type]


@pytest.mark.parametrize("result", Result)
def test_verdicts_fit_their_schema_with_every_field(result):
    sent = json.loads(encode_verdict(a_verdict(result=result)))
    assert accepts("verdict", sent)
    assert set(sent) == set(KINDS["verdict"].schema()["properties"]), "describe it in streams/event_schemas.py"
    assert accepts("verdict", json.loads(encode_verdict(a_verdict(stop_ms=None))))


def test_the_example_of_an_alert_is_one_and_is_sent_as_it_is():
    example = dict(KINDS["alert"].example)
    alert = decode_alert(json.dumps(example).encode())
    assert isinstance(alert, Alert)
    assert json.loads(encode_alert(alert)) == example


def test_headers_of_a_dead_letter_fit_their_schema():
    from types import SimpleNamespace

    from sla.events import Reason

    record = SimpleNamespace(key=b"k", value=b"v", headers=(("traceparent", b"00-1"),), offset=7, timestamp=1)
    letter = dead_letter("sla.dead-letters", Rejected(Reason.MALFORMED, "no"), record, topic="t", partition=3)
    headers = {name: text.decode() for name, text in letter.headers if name.startswith("slawatch-")}
    assert accepts("dead-letter", headers)
    assert set(headers) <= set(DESCRIPTIONS["dead-letter"]) | {"slawatch-source", "slawatch-ordinal"}


# --- AsyncAPI ---


def test_every_reference_of_the_asyncapi_document_leads_somewhere():
    whole = asyncapi_document(Settings.model_construct())

    def follow(part: object) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                target = whole
                for step in part["$ref"].removeprefix("#/").split("/"):
                    target = target[step]
            for value in part.values():
                follow(value)
        elif isinstance(part, list):
            for value in part:
                follow(value)

    follow(whole)
    assert whole["asyncapi"] == "3.0.0"
    ids = [*whole["channels"], *whole["operations"], *whole["components"]["messages"]]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in ids)


def test_channels_are_the_topics_of_the_settings():
    settings = Settings(topics={"prefix": "eu.", "partitions": 6})
    channels = asyncapi_document(settings)["channels"]
    topics = Topics(settings)
    assert {channel["address"] for channel in channels.values()} <= {topic.name for topic in topics.all}
    assert channels["tickets"]["address"] == "eu.sla.tickets"
    assert channels["tickets"]["bindings"]["kafka"]["partitions"] == 6


def test_what_slawatch_reads_is_received_and_what_it_writes_is_sent():
    operations = asyncapi_document(Settings.model_construct())["operations"]
    actions = {name: operation["action"] for name, operation in operations.items()}
    assert actions == {
        "read-tickets": "receive",
        "read-uptime": "receive",
        "read-adjustments": "receive",
        "write-verdicts": "send",
        "write-alerts": "send",
        "write-dead-letters": "send",
    }


def test_the_asyncapi_page_is_plain_yaml_without_aliases():
    text = (ROOT / REFERENCE_FOLDER / "asyncapi.yaml").read_text(encoding="utf-8")
    assert not re.search(r"^\s*[\w-]+: [&*]id\d+", text, re.MULTILINE)
    assert yaml.safe_load(text) == asyncapi_document(Settings.model_construct())
