"""Ordinary training loops with a term in them, each judged by networks that took no part in it.

``python -m benchmarks.loops`` runs them; a new loop is one class in the module of its theme with
:func:`loop` above it, and a paragraph in ``docs/loops.md``.
"""

from importlib import import_module

from benchmarks.loops.registry import LOOPS, THEMES, Batch, Host, Judgement, Loop, loop

for _theme in THEMES:
    import_module(f"{__name__}.{_theme}")

__all__ = ["LOOPS", "THEMES", "Batch", "Host", "Judgement", "Loop", "loop"]
