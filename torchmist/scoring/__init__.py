"""Scores of many columns: sets of them, many rows, several processes."""
