"""Readers of real logs and the simulator: everything that turns the outside into events."""
