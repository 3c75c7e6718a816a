"""What has no mutual information to estimate: too few samples, constant columns and sides.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, visible, warn_once
from torchmist.models.trained_range import TrainedRange

__all__ = ["CONSTANT", "among_all", "few_reason", "fewest_samples", "live_datasets",
           "touching_zero", "varies", "warn_nothing", "why_nothing",
           "without_constant"]  # fmt: skip

_START = 16  # rows that show most columns not to be constant

CONSTANT = "a batch in which one side is constant"


def fewest_samples(trained: TrainedRange | None, pursued: bool) -> int:
    """Samples below which a term is 0: four, and with a goal as few as its network was ``trained``
    on, since what guards the blind side of that network makes much of what chance does below."""
    stated = trained.n if pursued and trained is not None else None
    return max(MIN_SAMPLES, stated[0]) if stated else MIN_SAMPLES


def among_all(values: Tensor, live: Tensor | None) -> Tensor:
    """``values`` ``[V, S, ...]`` of the datasets that are ``live`` ``[B]``, and zeros for the
    others, ``[V, B, ...]``; ``live`` None: all are."""
    if live is None:
        return values
    whole = values.new_zeros(len(values), len(live), *values.shape[2:])
    whole[:, live] = values
    return whole


def few_reason(least: int) -> str:
    """What is said of batches of fewer than ``least`` samples."""
    trained = ", the fewest that its weights were trained on," if least > MIN_SAMPLES else ""
    return f"a batch of fewer than {least} samples{trained}"


def _moving(side: Tensor, mask: Tensor | None) -> Tensor:
    """Which columns ``[B, N, d]`` are not constant in a dataset, ``[B, d]``."""
    side = side.detach()
    if mask is None:
        start = (side[:, :_START] != side[:, :1]).any(1)
        if side.device.type == "cpu" and visible(start.all()):
            return start
        return (side != side[:, :1]).any(1)
    absent = ~mask[..., None]
    high, low = side.masked_fill(absent, -torch.inf), side.masked_fill(absent, torch.inf)
    return high.amax(1) > low.amin(1)


def varies(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 for datasets ``[B, N, d]`` in which both sides have a column that is not constant, else 0,
    ``[B]``."""
    both = _moving(x, mask).any(-1) & _moving(y, mask).any(-1)
    return both.to(torch.float32)


def without_constant(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Both sides ``[B, N, d]`` without columns that are constant in every dataset, and
    :func:`varies` as ``[B, 1]``.

    Those are classes that no sample has, or dead units. A side that is constant as a whole stays,
    and so does one whose values are not at hand (``torch.compile``, ``vmap``).
    """
    moving = [_moving(side, mask) for side in (x, y)]
    some = (moving[0].any(-1) & moving[1].any(-1)).to(torch.float32)
    x, y = (_kept(side, columns.any(0)) for side, columns in zip((x, y), moving))
    return x, y, some[:, None]


def _kept(side: Tensor, moving: Tensor) -> Tensor:
    """The ``moving`` ``[d]`` columns of ``[B, N, d]``."""
    if side.shape[-1] == 1 or visible(moving.all()) is not False:
        return side
    return side[..., moving] if visible(moving.any()) is True else side


def live_datasets(
    z: Tensor, y: Tensor, mask: Tensor | None, least: int = MIN_SAMPLES
) -> Tensor:  # fmt: skip
    """Datasets ``[B, N, d]`` with ``least`` samples or more and no constant side, bool ``[B]``."""
    live = varies(z, y, mask) > 0
    return live if mask is None else live & (mask.sum(-1) >= least)


def why_nothing(x: Tensor, y: Tensor, mask: Tensor | None, least: int) -> str:
    """Why not all of the datasets ``[B, N, d]`` are live: too few samples, or a constant side."""
    constant = varies(x, y, mask) == 0
    if mask is not None:
        constant = constant & (mask.sum(-1) >= least)
    few = x.shape[1] < least or not bool(constant.any())
    return few_reason(least) if few else CONSTANT


def warn_nothing(why: str) -> None:
    """Warn that a term is 0; ``why`` is :data:`CONSTANT` or of :func:`few_reason`, each said
    once."""
    if not torch.compiler.is_compiling():
        warn_once(f"torchmist: {why} has no mutual information to estimate: the term is 0 there")


def touching_zero(values: Iterable[Tensor], device: torch.device) -> Tensor:
    """0-dim 0 with a zero gradient for each of ``values`` that is floating point."""
    touched = [v for v in values if v.is_floating_point()]
    return sum(
        ((v.float() * 0).sum() for v in touched),
        torch.zeros((), device=device, dtype=torch.float32),
    )
