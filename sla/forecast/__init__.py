"""Breach probability of running clocks, learned online from verdicts: pure, deterministic, serialisable."""
