"""What the pages say exists: commands, settings, metrics, alerts, links, and examples that are what they claim to be."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.main import app
from config.availability_model import AvailabilityModel, GoodWhenModel
from config.calendar_model import CalendarModel, HolidaysModel, HoursModel
from config.contract_model import (
    ContractModel,
    ObjectiveModel,
    PartiesModel,
    ReopenModel,
    RevisionModel,
    TargetModel,
    WarnModel,
)
from config.credit_model import CreditModel, TierModel
from config.loader import load_agreements
from config.settings import variable_names
from export.catalogue import CATALOGUE, LABEL_MEANINGS
from export.receiver_metrics import RECEIVER_METRICS
from sla.events import Heartbeat, Reason, Rejected
from sla.outcome import Alert, AlertKind, Result, Verdict
from streams.adjustment_codec import decode_adjustment
from streams.codecs import decode_alert, decode_ticket
from streams.uptime_codec import decode_uptime

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RULES = sorted((ROOT / "config" / "prometheus" / "rules").glob("*.yml"))
EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

OUTSIDE_LABELS = {"sla_id"}
"""Labels of alerts that look like metrics."""


@dataclass(frozen=True)
class Code:
    """A piece of code in a page: a fenced block with its language, or a span in a line."""

    language: str
    text: str


BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose_of(page: Path) -> str:
    return BLOCK.sub("", text_of(page))


def codes(page: Path) -> list[Code]:
    found = [Code(language, body) for language, body in BLOCK.findall(text_of(page))]
    return found + [Code("", span) for span in re.findall(r"`([^`\n]+)`", prose_of(page))]


def blocks(page: str, language: str) -> list[str]:
    found = [code.text for code in codes(ROOT / page) if code.language == language]
    assert found, f"{page} has no {language} block: is this test still about it?"
    return found


def slug(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(prose_of(page))}


def test_pages_are_found():
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= {page.name for page in PAGES}
    assert len(PAGES) > 15


# --- commands ---


def command_lines(page: Path) -> Iterator[list[str]]:
    for code in codes(page):
        for line in code.text.splitlines():
            for found in re.finditer(r"(?:^|[\s/])slawatch ((?:[^\s#|;,]+ ?)+)", line.split("  #")[0]):
                words = found[1].split()
                # `slawatch` may also be an argument, and prose may stand in a diagram.
                if code.language in ("", "sh") or words[0] in dict(command_tree().commands):
                    yield words


@cache
def command_tree() -> Any:
    tree = typer.main.get_command(app)
    assert hasattr(tree, "commands")
    return tree


@EVERY_PAGE
def test_every_command_named_exists_with_its_options(page: Path):
    for words in command_lines(page):
        command = command_tree()
        rest = list(words)
        while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"slawatch {' '.join(words)}: no command {rest[0]!r}"
            command = command.commands[rest.pop(0)]
        known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
        for word in rest:
            if word.startswith("--"):
                assert word.partition("=")[0] in known | {"--help"}, f"slawatch {' '.join(words)}: no option {word}"


def test_every_command_is_named_somewhere():
    named = {tuple(words) for page in PAGES for words in command_lines(page)}
    text = "\n".join(text_of(page) for page in PAGES)
    for name, command in command_tree().commands.items():
        subcommands = getattr(command, "commands", None)
        assert any(words[0] == name for words in named), f"no page names slawatch {name}"
        for subcommand in subcommands or ():
            in_a_list = re.search(rf"`slawatch {name} [^\n]*`{subcommand}`", text)
            assert any(words[:2] == (name, subcommand) for words in named) or in_a_list, f"{name} {subcommand}"


@EVERY_PAGE
def test_every_make_target_named_exists(page: Path):
    targets = set(re.findall(r"^([a-z0-9-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    named = {target for code in codes(page) for target in re.findall(r"(?:^|\s)make ([a-z][a-z0-9-]*)", code.text)}
    assert named <= targets


@EVERY_PAGE
def test_every_module_that_is_run_exists(page: Path):
    for code in codes(page):
        for module in re.findall(r"python3? -m ([\w.]+)", code.text):
            assert importlib.util.find_spec(module) is not None, module


# --- settings, metrics, alerts ---


@EVERY_PAGE
def test_every_setting_named_exists(page: Path):
    named = set(re.findall(r"SLAWATCH_[A-Z0-9_]*[A-Z0-9]", text_of(page))) - {"SLAWATCH_TEST"}
    known = set(variable_names())
    assert {name for name in named if not name.startswith("SLAWATCH_TEST_")} <= known


@EVERY_PAGE
def test_every_metric_named_exists(page: Path):
    named = {name for code in codes(page) for name in re.findall(r"\b(?:sla|slawatch)_[a-z][a-z0-9_]*\b", code.text)}
    assert {
        re.sub(r"_(bucket|sum|count)$", "", name) for name in named
    } <= CATALOGUE.keys() | RECEIVER_METRICS.keys() | OUTSIDE_LABELS


def rule_alerts() -> dict[str, dict[str, object]]:
    rules = [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


ALERTS = sorted([*rule_alerts(), *(kind.value for kind in AlertKind)])


def sections() -> dict[str, str]:
    text = text_of(ROOT / "docs" / "runbooks.md")
    parts = re.split(r"^### (.+)$", text, flags=re.MULTILINE)[1:]
    return {heading: body.split("\n## ")[0] for heading, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_has_a_runbook_with_meaning_check_and_act(alert: str):
    body = sections()[alert]
    places = [body.index(f"**{word}.**") for word in ("Meaning", "Check", "Act")]
    assert places == sorted(places)


def test_every_runbook_is_of_an_alert():
    assert sorted(sections()) == ALERTS


@pytest.mark.parametrize("alert", rule_alerts())
def test_the_runbook_link_of_a_rule_ends_at_its_section(alert: str):
    annotations = rule_alerts()[alert]["annotations"]
    assert isinstance(annotations, dict)
    assert annotations["runbook_url"].partition("#")[2] == slug(alert)


# --- links and paths ---


@EVERY_PAGE
def test_internal_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(target), link


@EVERY_PAGE
def test_files_named_in_code_exist(page: Path):
    folders = "agents|benchmarks|cli|config|examples|export|grafana|scripts|sla|sources|streams|tests"
    for code in codes(page):
        for path in re.findall(
            rf"(?<![\w/.])((?:{folders})/[\w./-]+\.(?:py|md|yaml|yml|csv|json))(?![\w/])", code.text
        ):
            assert (ROOT / path).exists() or path.startswith(("cli/<", "contracts/")), path


@EVERY_PAGE
def test_no_page_names_a_path_of_a_machine(page: Path):
    assert not re.search(r"(?<![\w.])/(home|root|work|Users|tmp|mnt|opt)/", text_of(page))


def test_the_list_of_decisions_is_whole():
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    decisions = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert re.findall(r"\((\d{4}-[\w-]+\.md)\)", index) == decisions
    for name in decisions:
        text = (folder / name).read_text(encoding="utf-8")
        assert text.startswith(f"# {name[:4]}: ")
        for word in ("Context", "Decision", "Consequences", "Measurement"):
            assert f"**{word}" in text, f"{name}: {word}"


# --- examples ---


def test_the_events_of_the_reference_are_taken_in():
    kinds = set()
    for block in blocks("docs/reference/events.md", "json") + blocks("README.md", "json")[-1:]:
        document = json.loads(block)
        if "clock_id" in document:
            assert set(document) == {"version", *_verdict().document()}
            kinds.add("verdict")
        elif "service" in document:
            decode, key = (decode_adjustment, "id") if "kind" in document else (decode_uptime, "service")
            fact = decode(block.encode(), document[key].encode())
            assert not isinstance(fact, Rejected), fact
            kinds.add(document.get("type", document.get("kind")))
        elif document.get("kind"):
            assert isinstance(decode_alert(block.encode()), Alert)
            kinds.add("alert")
        else:
            decoded = decode_ticket(block.encode(), document.get("ticket", "").encode())
            assert not isinstance(decoded, Rejected), decoded
            kinds.add("heartbeat" if isinstance(decoded, Heartbeat) else decoded[1].event)
    assert kinds == {
        *("verdict", "alert", "heartbeat", "updated", "feedback", "created", "sample", "status", "maintenance"),
    }


def _verdict() -> Verdict:
    return Verdict("T", "c", "t", "m", 1, 1, Result.MET, 0, 0, None, 0, 0, 0, 0)


@pytest.mark.parametrize("page", ["docs/reference/contracts.md", "docs/tutorials/first-contract.md"])
def test_the_agreements_of_a_page_have_no_faults(page: str, tmp_path: Path):
    documents = [block for block in blocks(page, "yaml") if block.startswith("kind:")]
    assert len(documents) == 2
    for number, document in enumerate(documents):
        (tmp_path / f"{number}.yaml").write_text(document, encoding="utf-8")
    agreements = load_agreements([tmp_path])
    assert (len(agreements.contracts), len(agreements.calendars), agreements.warnings) == (1, 1, ())


def test_the_target_of_the_readme_is_the_one_in_the_file():
    (shown,) = blocks("README.md", "yaml")
    contract = text_of(ROOT / "config" / "contracts" / "acme-support.yaml")
    assert "\n".join(f"      {line}" for line in shown.rstrip().splitlines()) in contract


def test_every_reason_of_rejection_is_explained():
    text = text_of(ROOT / "docs" / "reference" / "events.md")
    assert re.findall(r"^\| `([a-z-]+)` \|", text.partition("## Rejections")[2], re.MULTILINE) == [
        r.value for r in Reason
    ]


def test_every_outcome_of_a_verdict_is_explained():
    text = text_of(ROOT / "docs" / "reference" / "events.md").partition("## Verdicts")[2]
    assert {result.value for result in Result} <= set(re.findall(r"`([a-z]+)`", text))


@pytest.mark.parametrize(
    "model",
    [
        *(ContractModel, PartiesModel, RevisionModel, TargetModel, ObjectiveModel, ReopenModel, WarnModel),
        *(AvailabilityModel, GoodWhenModel),
        *(CreditModel, TierModel),
        *(CalendarModel, HoursModel, HolidaysModel),
    ],
    ids=lambda model: model.__name__,
)
def test_every_field_of_agreements_is_explained(model):
    text = text_of(ROOT / "docs" / "reference" / "contracts.md")
    named = set(re.findall(r"\b[a-z_]+\b", " ".join(re.findall(r"`([^`\n]+)`", text))))
    spelt = {info.alias or name for name, info in model.model_fields.items()}
    assert spelt - {"tue", "wed", "thu", "fri", "sat"} <= named
    unsupported = set(re.findall(r"\b[a-z_]+\b", text.partition("## Known and not supported")[2]))
    assert model.unsupported <= unsupported


def test_every_label_of_the_vocabulary_is_in_the_reference():
    text = text_of(ROOT / "docs" / "reference" / "metrics.md")
    assert all(f"| `{label}` |" in text for label in LABEL_MEANINGS)
