"""The Kubernetes manifests fit the settings, the image and each other; no cluster is needed to know."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import Settings, variable_names
from grafana.promql import metrics_in

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "kubernetes"
KUSTOMIZATIONS = sorted(DEPLOY.rglob("kustomization.yaml"))
MANIFESTS = sorted(set(DEPLOY.rglob("*.yaml")) - set(KUSTOMIZATIONS))
PODS = ("StatefulSet", "Job")


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


ALL = {(doc["kind"], doc["metadata"]["name"]): doc for path in MANIFESTS for doc in documents(path)}
WORKERS = ALL["StatefulSet", "slawatch"]
WORKER = WORKERS["spec"]["template"]["spec"]["containers"][0]


def settings_files() -> dict[Path, dict[str, str]]:
    return {
        path: dict(line.split("=", 1) for line in path.read_text(encoding="utf-8").splitlines() if line)
        for path in sorted(DEPLOY.rglob("settings.env"))
    }


@pytest.mark.parametrize("path", KUSTOMIZATIONS, ids=lambda path: str(path.parent.relative_to(DEPLOY)))
def test_what_a_kustomization_names_is_there(path: Path) -> None:
    [document] = documents(path)
    named = [*document.get("resources", []), *document.get("components", [])]
    named += [file for generator in document.get("configMapGenerator", []) for file in generator.get("envs", [])]
    assert named
    for name in named:
        assert (path.parent / name).exists(), name
    manifests = {found.name for found in path.parent.glob("*.yaml")} - {path.name}
    assert manifests <= set(named), "a manifest that no kustomization uses"


def test_the_settings_are_settings_and_their_values_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    files = settings_files()
    assert len(files) == 2
    overlay = documents(DEPLOY / "overlays" / "production" / "kustomization.yaml")[0]
    [literals] = [generator["literals"] for generator in overlay["configMapGenerator"]]
    merged = {name: value for file in files.values() for name, value in file.items()}
    merged |= dict(line.split("=", 1) for line in literals)
    assert merged.keys() | {entry["name"] for entry in WORKER["env"] if entry["name"].startswith("SLAWATCH")} <= set(
        variable_names()
    )
    for name, value in merged.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.web.port == WORKER["ports"][0]["containerPort"]
    assert settings.kafka.replication_factor == 3
    assert settings.alertmanager.urls


def test_kubernetes_adds_no_variable_that_would_be_taken_for_a_setting() -> None:
    """A Service named slawatch makes SLAWATCH_SERVICE_HOST, which is no setting and would end the worker."""
    for kind, name in (("StatefulSet", "slawatch"), ("Job", "slawatch-setup")):
        assert ALL[kind, name]["spec"]["template"]["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("of", [key for key in ALL if key[0] in PODS], ids=lambda of: of[0])
def test_pods_keep_to_the_restricted_standard(of: tuple[str, str]) -> None:
    spec = ALL[of]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    for container in spec["containers"]:
        locked = container["securityContext"]
        assert locked["allowPrivilegeEscalation"] is False
        assert locked["readOnlyRootFilesystem"] is True
        assert locked["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert "memory" in container["resources"]["limits"]


def test_the_probes_ask_what_the_worker_serves() -> None:
    paths = {probe: WORKER[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness", "startup")}
    assert paths == {"liveness": "/health/live", "readiness": "/health/ready", "startup": "/health/live"}
    stop_seconds = WORKERS["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    assert stop_seconds >= int(compose["services"]["slawatch"]["stop_grace_period"].removesuffix("s"))


def test_selectors_find_the_workers_and_only_the_headless_service_is_scraped() -> None:
    labels = WORKERS["spec"]["template"]["metadata"]["labels"] | {"app.kubernetes.io/name": "slawatch"}
    for selector in (
        WORKERS["spec"]["selector"]["matchLabels"],
        ALL["PodDisruptionBudget", "slawatch"]["spec"]["selector"]["matchLabels"],
        ALL["NetworkPolicy", "slawatch"]["spec"]["podSelector"]["matchLabels"],
        ALL["Service", "slawatch"]["spec"]["selector"],
        ALL["Service", "slawatch-workers"]["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()
    assert WORKERS["spec"]["serviceName"] == "slawatch-workers"
    assert ALL["Service", "slawatch-workers"]["spec"]["clusterIP"] == "None"
    [wanted] = ALL["ServiceMonitor", "slawatch"]["spec"]["selector"]["matchExpressions"]
    scraped = [
        key for key, doc in ALL.items() if key[0] == "Service" and wanted["key"] in doc["metadata"].get("labels", {})
    ]
    assert scraped == [("Service", "slawatch-workers")]


def test_workers_reach_each_other_under_the_name_they_tell() -> None:
    [url] = [entry["value"] for entry in WORKER["env"] if entry["name"] == "SLAWATCH_WEB__ADVERTISED_URL"]
    assert url == "http://$(POD_NAME).slawatch-workers.$(POD_NAMESPACE).svc:6066"


def test_the_rules_are_those_of_the_tree() -> None:
    spec = importlib.util.spec_from_file_location("prometheus_rule", ROOT / "deploy" / "prometheus_rule.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = DEPLOY / "components" / "prometheus-operator" / "prometheusrule.yaml"
    assert written.read_text(encoding="utf-8") == module.text(), "make reference"
    rules = [rule for group in ALL["PrometheusRule", "slawatch"]["spec"]["groups"] for rule in group["rules"]]
    assert any("slawatch_ready" in metrics_in(rule["expr"]) for rule in rules if rule["expr"] != "vector(1)")


def test_a_scrape_keeps_the_labels_of_slawatch() -> None:
    [endpoint] = ALL["ServiceMonitor", "slawatch"]["spec"]["endpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] == ALL["Service", "slawatch-workers"]["spec"]["ports"][0]["name"]
    prometheus = yaml.safe_load((ROOT / "config/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert ALL["ServiceMonitor", "slawatch"]["spec"]["sampleLimit"] == prometheus["scrape_configs"][0]["sample_limit"]


@pytest.mark.parametrize("folder", ["base", "overlays/production"])
def test_kustomize_renders_and_the_schemas_of_kubernetes_are_kept(folder: str) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    answer = subprocess.run(
        [kubectl, "kustomize", str(DEPLOY / folder)], capture_output=True, text=True, check=False, timeout=60
    )
    assert answer.returncode == 0, answer.stderr
    rendered = [document for document in yaml.safe_load_all(answer.stdout) if document]
    kinds = {document["kind"] for document in rendered}
    assert {"StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy", "ConfigMap"} <= kinds
    [settings] = [document["metadata"]["name"] for document in rendered if document["kind"] == "ConfigMap"]
    assert re.fullmatch(r"slawatch-settings-\w+", settings)
    assert all(document["metadata"].get("namespace") in {"slawatch", None} for document in rendered)
    if importlib.util.find_spec("kubernetes_validate") is not None:
        import kubernetes_validate

        for document in rendered:
            if "monitoring.coreos.com" not in document["apiVersion"]:
                kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
