"""Datasets that have no mutual information to estimate: too few samples, or a constant side.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, warn_once
from torchmist.functional import varies

__all__ = ["CONSTANT", "FEW", "live_datasets", "touching_zero", "warn_nothing"]

FEW = f"a batch of fewer than {MIN_SAMPLES} samples"
CONSTANT = "a batch in which one side is constant"


def live_datasets(z: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
    """Datasets ``[B, N, d]`` with four samples or more and no constant side, bool ``[B]``."""
    live = varies(z, y, mask) > 0
    return live if mask is None else live & (mask.sum(-1) >= MIN_SAMPLES)


def warn_nothing(why: str) -> None:
    """Warn that a term is 0; ``why`` is :data:`FEW` or :data:`CONSTANT`, each said once."""
    if not torch.compiler.is_compiling():
        warn_once(f"torchmist: {why} has no mutual information to estimate: the term is 0 there")


def touching_zero(values: Iterable[Tensor], device: torch.device) -> Tensor:
    """0-dim 0 with a zero gradient for each of ``values`` that is floating point."""
    touched = [v for v in values if v.is_floating_point()]
    return sum(((v.float() * 0).sum() for v in touched), torch.zeros((), device=device))
