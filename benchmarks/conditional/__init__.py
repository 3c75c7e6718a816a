"""Conditional mutual information of known truth: ``python -m benchmarks.conditional``.

For evaluation only: nothing is trained, tuned or chosen on these laws. A law is one function in the
module of its theme, with :func:`law` above it and an oracle in ``tests/test_conditional_laws.py``.
"""

from importlib import import_module

from benchmarks.conditional.registry import LAWS, THEMES, Law, Sample, law

for _module in ("numbers", "classes", "columns"):
    import_module(f"{__name__}.{_module}")

__all__ = ["LAWS", "THEMES", "Law", "Sample", "law"]
