"""Thin Faust agents and the composition root."""
