"""Folders of agreements: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.loader import AgreementFaults, load_agreements
from sla.contract import Level

REPOSITORY = Path(__file__).parents[3]
GOLDEN = REPOSITORY / "tests" / "golden" / "contracts"
BAD = sorted(folder for folder in (GOLDEN / "bad").iterdir() if folder.is_dir())

CALENDAR = "kind: Calendar\nid: {id}\ntimezone: UTC\nhours: {{mon: [08:00-17:00]}}\n"
CONTRACT = """kind: Contract
id: {id}
type: sla
level: corporate
provider: desk
owner: desk@example.org
revisions:
  - revision: 1
    status: signed
    effective_from: 2026-01-01T00:00:00Z
    calendar: office
    targets:
      - {{id: {id}-target, metric: response, applies_to: {scope}, start: {{event: {event}}}, stop: {{event: resolved}}, within: 4bh}}
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def contract(contract_id: str, scope: str = "{}", event: str = "created") -> str:
    return CONTRACT.format(id=contract_id, scope=scope, event=event)


def faults_in(*paths: Path) -> list[str]:
    with pytest.raises(AgreementFaults) as caught:
        load_agreements(paths)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize("folder", BAD, ids=lambda folder: folder.name)
def test_a_bad_folder_is_told_all_its_faults_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert faults_in(Path()) == (folder / "faults.txt").read_text(encoding="utf-8").splitlines()


def test_a_contract_with_five_faults_gets_five_lines_each_with_place_and_suggestion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(GOLDEN / "bad" / "five-faults")
    assert faults_in(Path()) == [
        "contracts/gold.yaml: revisions[0].status: unknown 'sgned' (signed?)",
        (
            "contracts/gold.yaml: revisions[0].effective_from: 2026-01-01 is no instant with its zone "
            "(a day begins at another instant in every time zone): write it like 2026-01-31T08:00:00+07:00"
        ),
        "contracts/gold.yaml: revisions[0].targets[0].within: '4bhh': unknown unit 'bhh': did you mean 'bh'?",
        "contracts/gold.yaml: revisions[0].targets[1].puase: unknown field (pause?)",
        "contracts/gold.yaml: revisions[0].targets[2].calendar: unknown 'berln' (berlin?)",
    ]


def test_faults_carry_the_line_they_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN / "bad" / "five-faults")
    with pytest.raises(AgreementFaults) as caught:
        load_agreements([Path()])
    lines = Path("contracts/gold.yaml").read_text(encoding="utf-8").splitlines()
    words = ["sgned", "2026-01-01", "4bhh", "puase", "berln"]
    assert [word in lines[(fault.line or 0) - 1] for word, fault in zip(words, caught.value.faults, strict=True)] == [
        True
    ] * 5


def test_a_good_folder_is_read_with_its_subfolders_and_all_documents_of_a_file() -> None:
    agreements = load_agreements([GOLDEN / "good"])
    assert set(agreements.contracts) == {"acme-support", "default", "vendor"}
    assert set(agreements.calendars) == {"jakarta-office", "always"}
    assert agreements.warnings == ()
    assert agreements.files["Contract", "vendor"] == str(GOLDEN / "good" / "contracts" / "vendor.yaml")


def test_yaml_of_another_tool_is_passed_over_and_named() -> None:
    assert load_agreements([GOLDEN / "good"]).skipped == (str(GOLDEN / "good" / "openslo.yaml"),)


def test_the_shipped_agreements_have_neither_faults_nor_warnings() -> None:
    agreements = load_agreements([REPOSITORY / "config"])
    assert set(agreements.contracts) == {
        *("acme-support", "customer-onboarding", "device-delivery", "incident-log", "key-customers"),
        *("off-boarding", "printing-regions", "second-line", "service-availability", "service-desk"),
    }
    assert set(agreements.calendars) == {"always", "berlin-office", "jakarta-office", "stockholm-office"}
    assert agreements.warnings == ()
    assert agreements.contracts["incident-log"].level is Level.CUSTOMER


def test_calendars_beside_a_folder_of_contracts_are_read_too() -> None:
    agreements = load_agreements([REPOSITORY / "config" / "contracts"])
    assert "jakarta-office" in agreements.calendars


def test_calendars_beside_contracts_are_found_from_inside_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY / "config" / "contracts")
    assert "jakarta-office" in load_agreements([Path()]).calendars


def test_a_folder_given_twice_is_read_once() -> None:
    config = REPOSITORY / "config"
    assert len(load_agreements([config, config / "contracts", config / "calendars"]).contracts) == 10


def test_a_single_file_is_read(tmp_path: Path) -> None:
    write(tmp_path, office=CALENDAR.format(id="office"), other="kind: nonsense\n")
    assert set(load_agreements([tmp_path / "office.yaml"]).calendars) == {"office"}


def test_hidden_folders_are_left_out(tmp_path: Path) -> None:
    write(tmp_path, office=CALENDAR.format(id="office"))
    write(tmp_path / "..2026_01_01", office=CALENDAR.format(id="office"))
    assert set(load_agreements([tmp_path]).calendars) == {"office"}


def test_links_into_a_hidden_folder_are_read_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    write(tmp_path / "..data", office=CALENDAR.format(id="office"))
    (tmp_path / "office.yaml").symlink_to(tmp_path / "..data" / "office.yaml")
    assert set(load_agreements([tmp_path]).calendars) == {"office"}


def test_a_folder_that_does_not_exist_is_a_fault(tmp_path: Path) -> None:
    assert faults_in(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'}: no such file or folder"]


def test_a_folder_without_agreements_is_a_fault_so_that_a_mistyped_path_does_not_pass(tmp_path: Path) -> None:
    write(tmp_path, rules="groups: []\n")
    assert faults_in(tmp_path) == [f"{tmp_path}: no contracts or calendars here"]


def test_a_faulty_calendar_is_not_unknown_to_contracts_as_well(tmp_path: Path) -> None:
    write(tmp_path, a=CALENDAR.format(id="office").replace("UTC", "UCT1"), b=contract("gold"))
    faults = faults_in(tmp_path)
    assert len(faults) == 1
    assert "timezone: unknown time zone 'UCT1'" in faults[0]


def test_two_contracts_that_promise_one_metric_to_one_ticket_are_warned_about(tmp_path: Path) -> None:
    write(tmp_path, a=contract("gold", "{priority: P1}"), b=contract("silver", "{region: jakarta}"))
    write(tmp_path, office=CALENDAR.format(id="office"))
    (warning,) = load_agreements([tmp_path]).warnings
    assert "'silver-target' and 'gold-target' of 'gold' are of one metric" in str(warning)
    assert "'silver-target' wins" in str(warning)


@pytest.mark.parametrize(
    "scope", ["{priority: P2}", "{priority: P1, region: jakarta}"], ids=["disjoint", "more specific"]
)
def test_contracts_that_differ_are_not_warned_about(tmp_path: Path, scope: str) -> None:
    write(tmp_path, a=contract("gold", "{priority: P1}"), b=contract("silver", scope))
    write(tmp_path, office=CALENDAR.format(id="office"))
    assert load_agreements([tmp_path]).warnings == ()


@pytest.mark.parametrize(("event", "meant"), [("create", "created"), ("Created", "created"), ("canceled", "cancelled")])
def test_an_event_that_is_nearly_a_known_word_is_warned_about(tmp_path: Path, event: str, meant: str) -> None:
    write(tmp_path, a=contract("gold", event=event), office=CALENDAR.format(id="office"))
    (warning,) = load_agreements([tmp_path]).warnings
    assert str(warning).endswith(
        f"revisions[0].targets[0].start: event '{event}' is a word of your own, is it meant? ({meant}?)"
    )


def test_an_event_of_the_publishers_own_is_not(tmp_path: Path) -> None:
    write(tmp_path, a=contract("gold", event="repaired"), office=CALENDAR.format(id="office"))
    assert load_agreements([tmp_path]).warnings == ()


@pytest.mark.parametrize("within", ["50000bh", "2600bd", "2600bd eod"])
def test_a_target_longer_than_its_calendar_is_ever_open_is_refused(tmp_path: Path, within: str) -> None:
    rare = "kind: Calendar\nid: office\ntimezone: UTC\nhours: {fri: [16:00-17:00]}\nholidays: {yearly: [12-25]}\n"
    seldom = rare.replace("fri: [16:00-17:00]", "mon: ['00:00-00:01']")
    calendar = rare if within.endswith("bh") else seldom
    promise = contract("c").replace("4bh", within)
    if within.endswith("bh"):
        (fault,) = faults_in(write(tmp_path, office=calendar, c=promise))
        assert fault == (
            f"{tmp_path / 'c.yaml'}: revisions[0].targets[0].within: {within} is more than calendar 'office' is open in a "
            "hundred years, so there may be no deadline: write a shorter target or longer hours"
        )
    else:
        assert load_agreements([write(tmp_path, office=calendar, c=promise)]).contracts, "fifty years of Mondays"


def test_business_days_that_never_come_are_refused_in_drafts_too(tmp_path: Path) -> None:
    yearly = [f"{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 32) if (month, day) != (7, 1)]
    closed = [day for day in yearly if day not in {"02-30", "02-31", "04-31", "06-31", "09-31", "11-31"}]
    hours = (
        "hours: {mon: [08:00-17:00], tue: [08:00-17:00], wed: [08:00-17:00], thu: [08:00-17:00], fri: [08:00-17:00]}"
    )
    calendar = f"kind: Calendar\nid: office\ntimezone: UTC\n{hours}\nholidays: {{yearly: [{', '.join(closed)}]}}\n"
    promise = contract("c").replace("4bh", "150bd").replace("signed", "draft")
    (fault,) = faults_in(write(tmp_path, office=calendar, c=promise))
    assert "within: 150bd is more than calendar 'office' is open in a hundred years" in fault
    assert load_agreements([write(tmp_path, c=promise.replace("150bd", "20bd"))]).contracts
