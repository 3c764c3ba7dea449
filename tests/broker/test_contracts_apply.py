"""``slawatch contracts apply`` on a real Kafka: checked first, published once, signed revisions untouched."""

import asyncio
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from config.documents import calendar_of, contract_of
from config.settings import Settings
from streams.broker import Broker
from streams.register_topics import DocumentKind, RegisterReader, read_register
from streams.topic_admin import apply

pytestmark = pytest.mark.broker

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture
def settings(kafka: Broker, prefix: str) -> Settings:
    return Settings(kafka={"bootstrap": kafka.bootstrap}, topics={"prefix": prefix, "partitions": 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("contracts", "calendars"):
        shutil.copytree(CONFIG / name, tmp_path / name)
    return tmp_path / "contracts"


@pytest.fixture
async def run(settings, monkeypatch):
    await apply(settings)
    monkeypatch.setenv("SLAWATCH_KAFKA__BOOTSTRAP", settings.kafka.bootstrap)
    monkeypatch.setenv("SLAWATCH_TOPICS__PREFIX", settings.topics.prefix)
    monkeypatch.setenv("SLAWATCH_TOPICS__PARTITIONS", "1")
    monkeypatch.setenv("COLUMNS", "200")

    async def apply_contracts(*arguments: object):
        command = ["contracts", "apply", *map(str, arguments)]
        return await asyncio.to_thread(CliRunner().invoke, app, command)

    return apply_contracts


def _rewrite(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


async def test_what_is_applied_is_what_workers_read(run, settings, folder):
    result = await run(folder)

    assert result.exit_code == 0, result.output
    reader = RegisterReader(settings)
    await reader.start()
    snapshot = reader.snapshot()
    await reader.stop()
    contracts = {
        identity: contract_of(document) for identity, document in snapshot.of_kind(DocumentKind.CONTRACT).items()
    }
    calendars = {
        identity: calendar_of(document) for identity, document in snapshot.of_kind(DocumentKind.CALENDAR).items()
    }
    assert {f"{identity}.yaml" for identity in contracts} == {file.name for file in folder.glob("*.yaml")}
    assert {target.calendar for contract in contracts.values() for target in contract.targets} <= set(calendars)
    assert f"{len(contracts) + len(calendars)} created, 0 changed, 0 removed, 0 unchanged" in result.output


async def test_applied_again_nothing_is_published(run, settings, folder):
    await run(folder)
    before = await read_register(settings)

    result = await run(folder)
    assert "0 created, 0 changed, 0 removed" in result.output
    assert await read_register(settings) == before


async def test_a_dry_run_says_what_would_be_and_publishes_nothing(run, settings, folder):
    result = await run(folder, "--dry-run")

    assert result.exit_code == 0
    assert "would be" in result.output
    assert dict((await read_register(settings)).documents) == {}


async def test_a_fault_is_told_and_nothing_is_published(run, settings, folder):
    _rewrite(folder / "acme-support.yaml", "jakarta-office", "jakarta-ofice")

    result = await run(folder)
    assert result.exit_code == 2
    assert "jakarta-ofice" in result.output
    assert dict((await read_register(settings)).documents) == {}


async def test_a_change_of_a_signed_revision_is_refused_with_file_and_field(run, settings, folder):
    await run(folder)
    before = await read_register(settings)
    _rewrite(folder / "acme-support.yaml", "within: 4bh", "within: 5bh")
    _rewrite(folder.parent / "calendars" / "jakarta-office.yaml", "id: jakarta-office", "id: jakarta-office\n")

    result = await run(folder)
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    assert line.startswith(str(folder / "acme-support.yaml"))
    assert "is signed and now differs in within" in line
    assert await read_register(settings) == before


async def test_a_calendar_that_changes_its_past_is_refused_unless_it_is_forced(run, settings, folder):
    await run(folder)
    before = await read_register(settings)
    _rewrite(folder.parent / "calendars" / "berlin-office.yaml", "  mon:", "  sat: [08:00-12:00]\n  mon:")

    result = await run(folder)

    assert result.exit_code == 2
    assert "berlin-office.yaml: berlin-office: changes its past, first on 20" in result.output
    assert "revisions: [{effective_from: " in result.output
    assert await read_register(settings) == before
    planned = await asyncio.to_thread(CliRunner().invoke, app, ["contracts", "plan", str(folder)])
    assert planned.exit_code == 0, planned.output
    assert "(apply asks for --force)" in planned.output
    assert "hours.sat none -> 08:00-12:00" in planned.output
    forced = await run(folder, "--force")
    assert forced.exit_code == 0, forced.output
    assert "warning: " in forced.output
    assert "0 created, 1 changed" in forced.output


async def test_what_is_not_in_the_folder_is_kept_unless_it_is_pruned(run, settings, folder):
    await run(folder)
    gone = folder / "incident-log.yaml"
    gone.unlink()

    kept = await run(folder)
    assert (DocumentKind.CONTRACT, "incident-log") in (await read_register(settings)).documents
    assert "kept: not in DIR" in kept.output

    planned = await run(folder, "--prune", "--dry-run")
    assert "1 removed" in planned.output
    pruned = await run(folder, "--prune")
    assert pruned.exit_code == 0
    assert (DocumentKind.CONTRACT, "incident-log") not in (await read_register(settings)).documents


async def test_a_target_id_that_another_contract_on_the_register_has_is_refused(run, settings, folder, tmp_path):
    await run(folder)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(tmp_path / "calendars", other / "calendars")
    shutil.copy(folder / "incident-log.yaml", other / "second.yaml")
    _rewrite(other / "second.yaml", "id: incident-log", "id: second")

    refused = await run(other)

    assert refused.exit_code == 2
    assert "second: id 'resolution-major' is taken by contract 'incident-log' on the register" in refused.output
    assert "second" not in (await read_register(settings)).of_kind(DocumentKind.CONTRACT)
    assert (await run("--prune", other)).exit_code == 0
