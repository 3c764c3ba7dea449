"""docker-compose.yml, Dockerfile and the files they mount fit each other; no Docker engine is needed to know."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import load_settings, variable_names
from streams.kafka_jars import KAFKA_VERSION

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
ONE_SHOT = {
    needed
    for service in SERVICES.values()
    for needed, how in service.get("depends_on", {}).items()
    if how["condition"] == "service_completed_successfully"
}


def _mounts() -> list[tuple[str, str, str]]:
    return [
        (name, source, target)
        for name, service in SERVICES.items()
        for source, target in (volume.split(":")[:2] for volume in service.get("volumes", []))
    ]


def _rules() -> list[dict[str, Any]]:
    files = [
        yaml.safe_load(file.read_text(encoding="utf-8")) for file in (ROOT / "config/prometheus/rules").glob("*.yml")
    ]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_full_version(name: str):
    assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_the_base_image_is_pinned_to_a_full_version():
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base) for base in bases)


def test_kafka_is_the_version_that_tests_and_demo_run():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_every_service_that_stays_has_a_healthcheck_and_comes_back(name: str):
    assert SERVICES[name]["healthcheck"]["test"]
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_a_service_that_ends_is_not_started_again():
    assert sorted(ONE_SHOT) == ["setup"]
    assert all(SERVICES[name]["restart"] == "no" for name in ONE_SHOT)


def test_dependencies_name_services_and_a_healthy_one_has_a_healthcheck():
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed]


def test_mounted_files_exist_and_volumes_are_declared():
    assert _mounts()
    for service, source, target in _mounts():
        if source.startswith("."):
            assert (ROOT / source).exists(), f"{service} mounts {source} to {target}"
        else:
            assert source in COMPOSE["volumes"], f"{service} mounts {source} to {target}"
    assert {source for _, source, _ in _mounts() if not source.startswith(".")} == COMPOSE["volumes"].keys()


def test_what_operators_edit_is_mounted_read_only():
    volumes = [
        volume for service in SERVICES.values() for volume in service.get("volumes", []) if volume.startswith(".")
    ]
    assert all(volume.endswith(":ro") for volume in volumes)


def test_ports_are_published_on_the_loopback_address_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["setup", "slawatch"])
def test_the_settings_given_to_slawatch_are_settings_it_takes(name: str, monkeypatch: pytest.MonkeyPatch):
    environment = SERVICES[name]["environment"]
    assert environment.keys() <= set(variable_names())
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()

    listeners = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{settings.kafka.bootstrap}" in listeners


def test_the_settings_in_the_image_are_settings():
    found = re.findall(r"SLAWATCH_\w+", DOCKERFILE)
    assert found
    assert set(found) <= set(variable_names())


def test_the_worker_is_told_of_alertmanager_and_scraped_by_prometheus_where_it_listens(monkeypatch: pytest.MonkeyPatch):
    for variable, value in SERVICES["slawatch"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    prometheus = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    scrape = next(job for job in prometheus["scrape_configs"] if job["job_name"] == "slawatch")

    assert settings.alertmanager.urls == ("http://alertmanager:9093",)
    assert settings.web.host == "0.0.0.0"
    assert scrape["dns_sd_configs"][0]["names"] == ["slawatch"]
    assert scrape["dns_sd_configs"][0]["port"] == settings.web.port
    assert str(settings.web.port) in SERVICES["slawatch"]["healthcheck"]["test"][-1]


def test_grafana_reads_prometheus_and_alertmanager_at_their_service_names():
    provisioned = yaml.safe_load(
        (ROOT / "grafana/provisioning/datasources/datasources.yml").read_text(encoding="utf-8")
    )
    urls = {source["uid"]: source["url"] for source in provisioned["datasources"]}

    assert urls == {"prometheus": "http://prometheus:9090", "alertmanager": "http://alertmanager:9093"}
    assert urls.keys() <= SERVICES.keys()


def test_docker_compose_itself_accepts_the_file():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("needs the compose plugin of Docker (the engine need not run)")
    answer = subprocess.run(
        [docker, "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr


def test_prometheus_rules_name_metrics_of_the_catalogue_only():
    from grafana.promql import metrics_in, unknown_metrics

    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    used = set().union(*(metrics_in(rule["expr"]) for rule in _rules() if rule["expr"] != "vector(1)"))

    assert recorded <= used | {name for name in recorded if name.startswith(("slo:", "sloth_"))}
    assert any(name.startswith("slawatch_") for name in used)
    assert unknown_metrics(used, recorded) == set()


def test_every_rule_has_a_firing_case_and_a_runbook():
    tests = [
        test
        for file in (ROOT / "config/prometheus/tests").glob("*.yml")
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
    ]
    fired = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case.get("exp_alerts")
    } | {
        name
        for test in tests
        for case in test.get("promql_expr_test", [])
        if case.get("exp_samples")
        for name in re.findall(r'alertname="(\w+)"', case["expr"])
    }
    alerts = [rule for rule in _rules() if "alert" in rule]

    assert {alert["alert"] for alert in alerts} <= fired
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].endswith("#" + alert["alert"].lower())
        assert {"summary", "description", "dashboard_url"} <= alert["annotations"].keys()
        assert alert["labels"]["severity"] in {"critical", "warning", "info"}
        if alert["alert"].startswith("SLAMonitor"):
            assert {"team", "service"} <= alert["labels"].keys()
    silent = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if not case.get("exp_alerts")
    } | {
        name
        for test in tests
        for case in test.get("promql_expr_test", [])
        if not case.get("exp_samples")
        for name in re.findall(r'alertname="(\w+)"', case["expr"])
    }
    assert {alert["alert"] for alert in alerts} - {"Watchdog"} <= silent


def test_the_board_of_a_rule_is_there():
    boards = {file.stem for file in (ROOT / "grafana/dashboards").glob("*.json")}
    alerts = [rule for rule in _rules() if "alert" in rule]
    for alert in alerts:
        found = re.fullmatch(
            r"https://example\.invalid/grafana/d/([\w-]+)(\?.*)?", alert["annotations"]["dashboard_url"]
        )
        assert found, alert["alert"]
        assert found[1] in boards


def test_the_warning_is_muted_only_by_the_breach_of_the_same_target():
    from sla.outcome import AlertKind

    alertmanager = yaml.safe_load((ROOT / "config/alertmanager/alertmanager.yml").read_text(encoding="utf-8"))
    (rule,) = alertmanager["inhibit_rules"]

    assert rule["source_matchers"] == [f'alertname="{AlertKind.TICKET_BREACHED.value}"']
    assert rule["target_matchers"] == [f'alertname="{AlertKind.TICKET_AT_RISK.value}"']
    assert rule["equal"] == ["ticket_id", "sla_id", "target"]
    assert alertmanager["route"]["group_by"] == ["team", "service", "sla_id"]
