"""Grafana's foundation SDK, as far as it is used here.

Its 0.0.21 warns, when it is imported, that the second form of dashboards is to be preferred. Files that Grafana reads
from a folder are of the first form; Grafana 13 brings them into the second one as it loads them.
"""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="Prefer using dashboardv2", category=DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        heatmap,
        prometheus,
        stat,
        statetimeline,
        table,
        timeseries,
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models import common as common_model
    from grafana_foundation_sdk.models import dashboard as dashboard_model
    from grafana_foundation_sdk.models import heatmap as heatmap_model
    from grafana_foundation_sdk.models import prometheus as prometheus_model
    from grafana_foundation_sdk.models import units

__all__ = [
    "JSONEncoder",
    "bargauge",
    "common",
    "common_model",
    "dashboard",
    "dashboard_model",
    "heatmap",
    "heatmap_model",
    "prometheus",
    "prometheus_model",
    "register_default_plugins",
    "stat",
    "statetimeline",
    "table",
    "timeseries",
    "units",
]
