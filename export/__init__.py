"""Metrics, exposition, Alertmanager, web."""
