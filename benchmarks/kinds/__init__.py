"""Kinds of data that people bring, each with its true mutual information in nats.

For evaluation only: no weights are trained, tuned or chosen on these kinds or on copies of them.
Run ``python -m benchmarks.kinds --model mist``; a new kind is one function in the module of its
theme, with :func:`kind` above it, an oracle in ``tests/test_kinds.py``, and
``python -m benchmarks.kinds.page`` for the page ``docs/kinds.md``.
"""

from importlib import import_module

from benchmarks.kinds.registry import BEYOND, KINDS, THEMES, Kind, kind

for _theme in THEMES:
    import_module(f"{__name__}.{_theme}")

__all__ = ["BEYOND", "KINDS", "THEMES", "Kind", "kind"]
