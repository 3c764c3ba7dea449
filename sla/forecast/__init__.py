"""Breach probability of running clocks, learned online from verdicts as they come: pure, deterministic, serialisable."""
