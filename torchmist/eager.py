"""Functions that ``torch.compile`` leaves alone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["outside_graphs"]

Result = TypeVar("Result")


def outside_graphs(function: Callable[..., Result]) -> Callable[..., Result]:
    """``torch.compiler.disable`` of ``function``, of which the compiler is imported by the first
    call (as torch's own optimizers do) and not by the import of this package.

    A compiled step that calls it breaks its graph there, so that ``fullgraph=True`` is an error.
    """

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Result:
        eager: Callable[..., Result] | None = getattr(function, "_eager", None)
        if eager is None:
            import torch._dynamo

            eager = torch._dynamo.disable(function)
            function._eager = eager  # type: ignore[attr-defined]
        return eager(*args, **options)

    return run
