"""Frozen suites, baselines and committed results; not in the wheel."""
