"""Write config/prometheus/rules as a PrometheusRule: ``python deploy/prometheus_rule.py``."""

from __future__ import annotations

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
RULES = ROOT / "config" / "prometheus" / "rules"
FILE = ROOT / "deploy" / "kubernetes" / "components" / "prometheus-operator" / "prometheusrule.yaml"
HEAD = "# Written by deploy/prometheus_rule.py from config/prometheus/rules; don't edit.\n"


def text() -> str:
    """Return the document."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(RULES.glob("*.yml"))]
    document = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "slawatch"},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }
    return HEAD + yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
