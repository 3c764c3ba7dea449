"""`slawatch events map`, `check`, `schema`, `asyncapi` and the options of `receive`, as a user calls them."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.events_schema import Kind
from cli.main import app
from streams.event_schemas import KINDS

ROOT = Path(__file__).resolve().parents[3]
MAPPINGS = ROOT / "config" / "mappings"
WEBHOOKS = ROOT / "examples" / "webhooks"
EVENT = {"version": 1, "ticket": "A", "event": "created", "at": "2026-01-01T00:00:00Z"}


def run(*arguments: object, stdin: str | None = None) -> tuple[int, list[str], list[str]]:
    done = CliRunner().invoke(app, ["events", *map(str, arguments)], input=stdin)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout.splitlines(), done.stderr.splitlines()


def lines(tmp_path: Path, *values: object) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(v if isinstance(v, str) else json.dumps(v) for v in values) + "\n", encoding="utf-8")
    return file


# --- map ---


def test_bodies_become_events_in_their_order():
    files = [WEBHOOKS / f"jira-{name}.json" for name in ("issue-created", "comment-created", "issue-updated")]
    code, out, err = run("map", MAPPINGS / "jira.yaml", *files)
    assert (code, err) == (0, ["3 events, 0 bodies refused, 0 ignored"])
    assert [json.loads(line)["event"] for line in out] == ["created", "responded", "resolved"]


def test_what_was_mapped_passes_the_check(tmp_path):
    _, out, _ = run("map", MAPPINGS / "zendesk.yaml", *sorted(WEBHOOKS.glob("zendesk-*.json")))
    assert run("check", lines(tmp_path, *out)) == (0, [], ["3 events, 0 would be refused"])


def test_bodies_may_stand_one_a_line_or_come_from_standard_input(tmp_path):
    body = json.dumps(json.loads((WEBHOOKS / "zammad-ticket-reopened.json").read_text(encoding="utf-8")))
    file = lines(tmp_path, body, body)
    code, out, _ = run("map", MAPPINGS / "zammad.yaml", file, "--query", "event=reopened")
    assert (code, [json.loads(line)["event"] for line in out]) == (0, ["reopened", "reopened"])
    code, out, _ = run("map", MAPPINGS / "zammad.yaml", "-", stdin=body)
    assert (code, [json.loads(line)["event"] for line in out]) == (0, ["updated"])


def test_bodies_that_cannot_be_mapped_are_told_with_their_place(tmp_path):
    file = lines(tmp_path, "{", {"issue": {"key": "A"}, "timestamp": 1})
    code, out, err = run("map", MAPPINGS / "jira.yaml", file)
    assert code == 2
    assert len(out) == 1
    assert err[0].startswith(f"{file}: line 1: no JSON: ")
    assert err[1] == "1 events, 1 bodies refused, 0 ignored"
    assert run("map", MAPPINGS / "jira.yaml", file, "--skip-faults")[0] == 0


def test_nothing_is_published_when_a_body_is_refused(tmp_path):
    file = lines(tmp_path, "{")
    code, out, err = run("map", MAPPINGS / "jira.yaml", WEBHOOKS / "jira-issue-created.json", file, "--publish")
    assert (code, out) == (2, [])
    assert err[-1] == "1 events, 1 bodies refused, 0 ignored; nothing was published"


def test_options_that_are_no_pairs_are_wrong_input():
    code, _, err = run("map", MAPPINGS / "jira.yaml", "-", "--query", "event", stdin="{}")
    assert code == 2
    assert any("is not NAME=VALUE" in line for line in err)


def test_events_that_a_worker_would_refuse_are_not_made(tmp_path):
    file = lines(tmp_path, {"key": "A" * 70_000, "when": 0})
    (tmp_path / "m.yaml").write_text(
        "{kind: Mapping, id: m, ticket: key, at: {value: when, format: epoch_ms}, otherwise: updated}"
    )
    code, out, err = run("map", tmp_path / "m.yaml", file)
    assert (code, out) == (2, [])
    assert err[0].startswith(f"{file}: line 1: oversized: 70")


def test_webhooks_of_a_ticket_become_verdicts_in_business_time(tmp_path):
    """09:31:10 to 10:31:05 in Jakarta are 3595 s; the wait for the caller and the lunch after it don't count."""
    bodies = [WEBHOOKS / f"servicenow-incident-{name}.json" for name in ("resolved", "created", "on-hold")]
    _, out, _ = run("map", MAPPINGS / "servicenow.yaml", *bodies)
    verdicts = tmp_path / "verdicts.jsonl"
    arguments = ["--contracts", ROOT / "config" / "contracts", "--events", lines(tmp_path, *out), "--out", verdicts]
    done = CliRunner().invoke(app, ["backtest", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    told = {verdict["target"]: verdict for verdict in map(json.loads, verdicts.read_text().splitlines())}
    for target in ("printing-response", "printing-resolution"):
        assert (told[target]["outcome"], told[target]["consumed_seconds"]) == ("met", 3595.0)
    assert told["printing-response"]["stop"] == "2026-11-02T03:31:05.000Z"
    assert told["printing-resolution"]["deadline"] == "2026-11-03T04:00:05.000Z"


# --- check ---


def test_good_events_of_every_topic_pass(tmp_path):
    examples = [kind.example for kind in KINDS.values() if kind.is_input]
    assert run("check", lines(tmp_path, *map(dict, examples)))[0] == 0


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{", "malformed: Input data was truncated"),
        (EVENT | {"version": 2}, "unknown-version: version 2: this release reads version 1"),
        (EVENT | {"type": "probe"}, "unknown-type: type 'probe': expected one of ticket, feedback, heartbeat - at `$.type`"),
        (EVENT | {"fields": {"a": []}}, "malformed: Expected `str | number | bool | null`, got `array` - at `$.fields.a`"),
        (EVENT | {"at": "2026-01-01T00:00:00"}, "malformed: Expected `datetime` with a timezone component"),
        (EVENT | {"at": "2298-01-01T00:00:00Z"}, "from-the-future: `at` is 2298-01-01T00:00:00.000Z, it is now "),
        (EVENT | {"x": "y" * 70_000}, "oversized: 70"),
        (dict(KINDS["adjustment"].example) | {"end": 0}, "malformed: Expected an instant after `start` - at `$.end`"),
        ({"version": 1, "type": "status", "service": "s", "at": 0, "status": "ill"}, "malformed: Invalid enum value 'ill'"),
    ],
)  # fmt: skip
def test_what_a_worker_would_refuse_is_told_with_reason_and_place(tmp_path, value, why):
    file = lines(tmp_path, EVENT, value)
    code, out, err = run("check", file)
    assert (code, err) == (2, ["2 events, 1 would be refused"])
    assert len(out) == 1
    assert out[0].startswith(f"{file}: line 2: {why}")


def test_one_id_for_two_events_is_told(tmp_path):
    file = lines(tmp_path, EVENT | {"id": "x"}, EVENT | {"id": "x"}, EVENT | {"id": "x", "event": "closed"})
    code, out, _ = run("check", file)
    assert code == 2
    assert out == [
        f"{file}: line 3: id 'x' is taken by {file}: line 1, which says something else: one of the two would count"
    ]


def test_a_topic_that_is_named_decides_what_is_expected(tmp_path):
    code, out, _ = run("check", lines(tmp_path, EVENT), "--topic", "sla.uptime")
    assert code == 2
    assert "missing required field `type`" in out[0]
    assert run("check", lines(tmp_path, EVENT), "--topic", "sla.verdicts")[0] == 2


def test_a_file_full_of_faults_is_cut(tmp_path):
    code, out, err = run("check", lines(tmp_path, *["{"] * 60))
    assert (code, len(out), out[-1], err) == (2, 51, "... and 10 more", ["60 events, 60 would be refused"])


# --- schema, asyncapi ---


def test_every_kind_has_a_name_on_the_command_line():
    assert [kind.value for kind in Kind] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_a_kind_is_the_one_in_the_reference(kind):
    code, out, _ = run("schema", kind)
    page = ROOT / "docs" / "reference" / "events" / f"{kind}.schema.json"
    assert (code, "\n".join(out) + "\n") == (0, page.read_text(encoding="utf-8"))


def test_without_a_kind_all_schemas_are_printed():
    code, out, _ = run("schema")
    assert (code, list(json.loads("\n".join(out))["$defs"])) == (0, list(KINDS))


def test_the_asyncapi_document_follows_the_settings(monkeypatch):
    monkeypatch.setenv("SLAWATCH_TOPICS__PREFIX", "eu.")
    code, out, _ = run("asyncapi")
    assert code == 0
    assert "    address: eu.sla.tickets" in out


# --- receive: wrong input is told before anything is opened ---


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--host", "0.0.0.0"], "has no secret"),
        (["--secret-file", "none"], "No such file"),
        (["--secret-file", "zammad=secret"], "no mapping has the id 'zammad'"),
        (["--secret-file", "empty"], "is empty"),
        (["--mapping", "again.yaml"], "another mapping has the id 'jira'"),
    ],
)
def test_a_receiver_that_would_be_open_or_ambiguous_is_not_started(tmp_path, monkeypatch, arguments, why):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    text = (MAPPINGS / "jira.yaml").read_text(encoding="utf-8")
    for name in ("jira.yaml", "again.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "secret").write_text("s")
    code, _, err = run("receive", "--mapping", "jira.yaml", *arguments)
    assert code == 2
    assert any(why in line for line in err), err
