"""Bodies of real ticket systems become the events they tell; what can't be mapped is refused with every reason."""

import json
from pathlib import Path

import pytest

from config.mapping_model import MappingModel, load_mapping
from sla.events import Rejected, TicketEvent
from sources.record import SourceEvent, to_wire
from sources.webhook_mapping import BodyRefused, Mapped, Request, WebhookMapper
from streams.codecs import decode_ticket

ROOT = Path(__file__).parents[3]
WEBHOOKS = ROOT / "examples" / "webhooks"


def shipped(name: str) -> WebhookMapper:
    return WebhookMapper(load_mapping(ROOT / "config" / "mappings" / f"{name}.yaml"))


def body(name: str, **changes: object) -> dict[str, object]:
    return {**json.loads((WEBHOOKS / f"{name}.json").read_text(encoding="utf-8")), **changes}


def told(mapper: WebhookMapper, value: object, **query: str) -> list[SourceEvent]:
    found = mapper.map_body(value, Request(query=query))
    assert isinstance(found, Mapped), found
    for event in found.events:
        decoded = decode_ticket(to_wire(event), event.key)
        assert not isinstance(decoded, Rejected), decoded
        assert isinstance(decoded[1], TicketEvent)
    return list(found.events)


def one(mapper: WebhookMapper, value: object, **query: str) -> SourceEvent:
    (event,) = told(mapper, value, **query)
    return event


def faults(mapper: WebhookMapper, value: object) -> tuple[str, ...]:
    found = mapper.map_body(value)
    assert isinstance(found, BodyRefused), found
    return found.faults


def a_mapping(**fields: object) -> WebhookMapper:
    document = {"kind": "Mapping", "id": "m", "ticket": "key", "at": "at", "otherwise": "updated", **fields}
    return WebhookMapper(MappingModel.model_validate(document))


BODY = {"key": "INC-1", "at": "2026-11-02T09:00:00+07:00"}


# --- Jira ---


def test_a_jira_issue_that_is_created_opens_a_ticket_at_its_creation():
    event = one(shipped("jira"), body("jira-issue-created"))
    assert (event.ticket, event.event, event.at_ms) == ("DESK-22", "created", 1_793_586_670_303)
    assert event.fields == {
        "status": "Waiting for support",
        "priority": "P2",
        "waiting_for": "desk",
        "issue_type": "[System] Incident",
        "project": "DESK",
        "team": "workplace",
        "service": "printing",
        "customer": "acme",
    }


def test_a_jira_resolution_resolves_and_its_removal_reopens():
    resolved = body("jira-issue-updated")
    event = one(shipped("jira"), resolved)
    assert (event.event, event.at_ms, event.id) == ("resolved", 1_793_598_025_214, "10031:resolved")

    item = {"field": "resolution", "from": "10000", "fromString": "Done", "to": None, "toString": None}
    assert one(shipped("jira"), resolved | {"changelog": {"id": "10040", "items": [item]}}).event == "reopened"


def test_one_jira_change_may_tell_two_events_with_ids_of_their_own():
    both = body("jira-issue-updated")
    both["changelog"]["items"][1]["toString"] = "Closed"  # type: ignore[index]
    events = told(shipped("jira"), both)
    assert [(event.event, event.id) for event in events] == [("resolved", "10031:resolved"), ("closed", "10031:closed")]


def test_a_jira_change_of_anything_else_is_an_update():
    item = {"field": "priority", "fieldId": "priority", "from": "2", "to": "1", "toString": "Highest"}
    event = one(shipped("jira"), body("jira-issue-updated", changelog={"id": "10041", "items": [item]}))
    assert event.event == "updated"


def test_a_public_comment_of_an_agent_responds_and_says_nothing_of_fields_it_does_not_hold():
    event = one(shipped("jira"), body("jira-comment-created"))
    assert (event.event, event.at_ms, event.id) == ("responded", 1_793_590_265_884, "10200:responded")
    assert "team" not in event.fields
    assert event.fields["status"] == "In Progress"


@pytest.mark.parametrize(("public", "author"), [(False, "atlassian"), (True, "customer")])
def test_internal_comments_and_those_of_customers_do_not_respond(public, author):
    value = body("jira-comment-created")
    value["comment"] |= {"jsdPublic": public, "author": {"accountType": author}}  # type: ignore[operator]
    assert one(shipped("jira"), value).event == "updated"


def test_a_deleted_jira_issue_is_ignored():
    assert told(shipped("jira"), body("jira-issue-updated", webhookEvent="jira:issue_deleted")) == []


# --- Zammad ---


def test_a_zammad_ticket_opens_responds_and_closes():
    mapper = shipped("zammad")
    opened, replied, closed = (
        one(mapper, body(f"zammad-{name}")) for name in ("ticket-created", "agent-reply", "ticket-closed")
    )
    assert [event.event for event in (opened, replied, closed)] == ["created", "responded", "closed"]
    assert [event.ticket for event in (opened, replied, closed)] == ["10081"] * 3
    assert opened.at_ms < replied.at_ms < closed.at_ms
    assert opened.fields | {"status": "x"} == {
        "status": "x", "priority": "P1", "waiting_for": "desk", "team": "workplace", "customer": "acme", "vip": True,
    }  # fmt: skip
    assert replied.fields["waiting_for"] == "customer"


def test_a_zammad_trigger_tells_a_reopening_by_its_url():
    value = body("zammad-ticket-reopened")
    assert one(shipped("zammad"), value, event="reopened").event == "reopened"
    assert one(shipped("zammad"), value).event == "updated"


def test_updates_of_a_closed_zammad_ticket_do_not_move_its_end():
    closed = body("zammad-ticket-closed")
    later = json.loads(json.dumps(closed))
    later["ticket"]["updated_at"] = "2026-11-04T05:40:25.101Z"
    assert one(shipped("zammad"), later) == one(shipped("zammad"), closed)


# --- Zendesk ---


def test_zendesk_triggers_tell_what_they_are_for():
    mapper = shipped("zendesk")
    opened, solved = one(mapper, body("zendesk-created")), one(mapper, body("zendesk-solved"))
    assert [(e.ticket, e.event) for e in (opened, solved)] == [("35436", "created"), ("35436", "resolved")]
    assert opened.fields["priority"] == "P2"
    assert opened.fields["vip"] is True
    assert one(mapper, body("zendesk-solved", event="updated", status="Pending")).fields["waiting_for"] == "customer"


def test_zendesk_satisfaction_is_feedback_with_a_score():
    event = one(shipped("zendesk"), body("zendesk-satisfaction"))
    assert (event.event, event.fields["csat"]) == ("feedback", "5")
    assert b'"type":"feedback"' in to_wire(event)


def test_a_zendesk_trigger_without_its_event_is_refused():
    (fault,) = faults(shipped("zendesk"), body("zendesk-solved", event="solved!"))
    assert fault.startswith("events: no rule holds for this body")


# --- ServiceNow ---


def test_a_servicenow_incident_opens_waits_and_is_resolved():
    mapper = shipped("servicenow")
    opened, held, resolved = (
        one(mapper, body(f"servicenow-incident-{name}")) for name in ("created", "on-hold", "resolved")
    )
    assert [event.event for event in (opened, held, resolved)] == ["created", "responded", "resolved"]
    # Without a zone in the text: ServiceNow's raw values are UTC.
    assert opened.at_ms == 1_793_586_670_000
    assert [event.sequence for event in (opened, held, resolved)] == [0, 3, 7]
    assert held.fields["waiting_for"] == "customer"
    assert (resolved.fields["waiting_for"], resolved.fields["status"]) == ("desk", "resolved")
    assert (opened.fields["service"], opened.fields["region"]) == ("printing", "jakarta")


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [("1", "2", "responded"), ("2", "7", "closed"), ("2", "8", "cancelled"), ("6", "2", "reopened"), ("2", "3", "updated")],
)  # fmt: skip
def test_servicenow_states_are_told_by_their_change(before, after, event):
    value = body("servicenow-incident-resolved", changes={"state": {"from": before, "to": after}})
    value["record"] |= {"state": after}  # type: ignore[operator]
    assert one(shipped("servicenow"), value).event == event


# --- any mapping ---


def test_the_same_body_is_the_same_event_and_another_one_is_not():
    mapper = a_mapping(fields={"team": "team"})
    assert one(mapper, BODY) == one(mapper, dict(BODY, unmapped=1))
    assert one(mapper, BODY).id != one(mapper, dict(BODY, team="a")).id


def test_a_snapshot_without_a_value_removes_the_field_and_a_change_says_nothing():
    assert one(a_mapping(fields={"team": "team"}), dict(BODY, team="")).fields == {"team": None}
    assert one(a_mapping(fields={"team": "team"}, bodies="changes"), BODY).fields == {}


@pytest.mark.parametrize(("value", "meaning"), [("hi 1", "P1"), ("lo", "P4"), (3, "P3"), (None, None), (True, "P4")])
def test_words_are_patterns_and_the_rest_is_otherwise(value, meaning):
    field = {"value": "p", "words": {"hi*": "P1", "3": "P3"}, "otherwise": "P4"}
    assert one(a_mapping(fields={"priority": field}), dict(BODY, p=value)).fields == {"priority": meaning}


def test_values_keep_their_types_without_words():
    fields = {name: name for name in "abcd"}
    event = one(a_mapping(fields=fields), dict(BODY, a=1, b=2.5, c=False, d="x"))
    assert event.fields == {"a": 1, "b": 2.5, "c": False, "d": "x"}


def test_a_body_of_many_tickets_is_taken_apart():
    mapper = a_mapping(each="items", ticket="item.key", at="body.at", fields={"n": "item.n"})
    events = told(mapper, {"at": BODY["at"], "items": [{"key": "A", "n": 1}, {"key": 7, "n": 2}]})
    assert [(event.ticket, event.fields) for event in events] == [("A", {"n": 1}), ("7", {"n": 2})]


def test_faults_of_parts_are_told_with_their_numbers():
    mapper = a_mapping(each="@", ticket="item.key", at="item.at")
    assert faults(mapper, [BODY, {"at": 1}]) == (
        "part 2: ticket: gives nothing, expected the ticket id",
        "part 2: at: '1' is no ISO 8601 instant; see at_format",
    )
    assert faults(mapper, {}) == ("each: gives an object, expected a list",)
    assert faults(mapper, [{}] * 1_001) == ("each: gives 1001 parts, a body may have 1000",)
    assert faults(mapper, [{}] * 30)[-1] == "... and 40 more"


@pytest.mark.parametrize(
    ("at", "fields", "at_ms"),
    [
        ({"value": "at", "format": "epoch_s"}, {"at": 1_793_586_670.5}, 1_793_586_670_500),
        ({"value": "at", "format": "epoch_ms"}, {"at": 1_793_586_670_303}, 1_793_586_670_303),
        ({"value": "at", "format": "epoch_ms"}, {"at": "1793586670303"}, 1_793_586_670_303),
        ({"value": "at", "timezone": "Asia/Jakarta"}, {"at": "2026-11-02 09:31:10"}, 1_793_586_670_000),
        ({"value": "at", "format": "%d.%m.%Y %H:%M %z"}, {"at": "02.11.2026 09:31 +0700"}, 1_793_586_660_000),
        ("at", {"at": "2026-11-02T09:31:10.303+0700"}, 1_793_586_670_303),
    ],
)
def test_instants_are_read_as_the_mapping_says(at, fields, at_ms):
    assert one(a_mapping(at=at), BODY | fields).at_ms == at_ms


@pytest.mark.parametrize(
    ("mapping", "fields", "fault"),
    [
        ({}, {"key": None}, "ticket: gives nothing, expected the ticket id"),
        ({}, {"key": True}, "ticket: gives True, expected text"),
        ({}, {"key": ["a"]}, "ticket: gives a list of 1, expected text"),
        ({}, {"at": None}, "at: gives nothing, expected an instant"),
        ({}, {"at": {}}, "at: gives an object, expected an instant"),
        ({}, {"at": "2026-11-02 09:31:10"}, "at: '2026-11-02 09:31:10' has no time zone: say its `timezone`"),
        ({"at": {"value": "at", "format": "epoch_s"}}, {"at": 1e300}, "at: "),
        ({"fields": {"tags": "tags"}}, {"tags": ["a"]}, "fields.tags: gives a list of 1, expected one value"),
        ({"sequence": "n"}, {"n": -1}, "sequence: gives -1, expected a whole number of 0 or more"),
        ({"event_id": "n"}, {"n": 1.5}, "event_id: gives 1.5, expected text"),
        ({"ticket": "join('-', key)"}, {}, "ticket: "),
        ({"events": [{"event": "e", "when": "abs(key)"}]}, {}, "events[0].when: "),
    ],
)
def test_what_does_not_fit_is_told_with_its_place_in_the_mapping(mapping, fields, fault):
    found = faults(a_mapping(**mapping), BODY | fields)
    assert any(text.startswith(fault) for text in found), found


def test_everything_wrong_with_a_body_is_told_at_once():
    mapper = a_mapping(fields={"a": "a"}, sequence="n")
    assert len(faults(mapper, {"a": {}, "n": "x"})) == 4


@pytest.mark.parametrize("value", [None, [], "text", 3, True, [[[]]]])
def test_any_json_is_mapped_or_refused(value):
    assert isinstance(a_mapping().map_body(value), BodyRefused)


def test_rules_see_headers_and_query():
    rules = [{"event": "reopened", "when": "_request.headers.\"x-trigger\" == 'again'"}]
    found = a_mapping(events=rules).map_body(BODY, Request(headers={"x-trigger": "again"}))
    assert isinstance(found, Mapped)
    assert [event.event for event in found.events] == ["reopened"]
