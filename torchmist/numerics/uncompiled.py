"""Functions that ``torch.compile`` leaves alone."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch

__all__ = ["outside_graphs"]

Result = TypeVar("Result")
_WHY = (
    "torchmist: a term with goal='minimize' or 'maximize' looks at values, which no graph holds; "
    "leave fullgraph=True out, so that the graph breaks here, or pass goal='auto'"
)


def outside_graphs(function: Callable[..., Result], why: str = _WHY) -> Callable[..., Result]:
    """``torch.compiler.disable`` of ``function``, of which the compiler is imported by the first
    call (as torch's own optimizers do) and not by the import of this package.

    A compiled step that calls it breaks its graph there, so that ``fullgraph=True`` is an error,
    which says ``why``, and what to do, where torch lets it (from 2.8 on).
    """

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Result:
        eager: Callable[..., Result] | None = getattr(function, "_eager", None)
        if eager is None:
            if torch.compiler.is_compiling():  # which cannot trace its own import
                raise RuntimeError(why)
            from torch import _dynamo

            says = "reason" in inspect.signature(_dynamo.disable).parameters
            eager = _dynamo.disable(function, **({"reason": why} if says else {}))
            function._eager = eager  # type: ignore[attr-defined]
        return eager(*args, **options)

    return run
