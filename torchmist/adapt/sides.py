"""The two variables of an adaptation: checked, split in three, and pools of cells of them.

Legend: ``N`` samples, ``d`` columns, ``k`` of them or of their principal directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from torchmist.adapt.cells import Pool
from torchmist.adapt.partitions import clustered, column_scale, sliced
from torchmist.checks import check_side
from torchmist.estimation import as_tensor

__all__ = ["Kind", "Part", "SplitSide", "both_sides"]

Kind = Literal["clusters", "slices"]
Part = Literal["fit", "calibrate", "check"]
_FEWEST, _POOL = 200, 1024  # samples that are needed, and most that are cut into cells
_PLAIN, _KEPT = 20, 16  # columns up to which a flow sees all, and principal directions beyond
_PARTITIONS = 40


@dataclass(frozen=True, eq=False)
class SplitSide:
    """One variable: samples ``[N, d]`` in three parts, and what a flow sees of them.

    ``labels``: whether they are class labels as one-hot columns; ``directions`` ``[k, d]``: of wide
    samples the principal ones of their scaled columns, of others the columns as they are; ``back``
    ``[k, d]``: what of the columns each of them is.
    """

    fit: Tensor
    calibrate: Tensor
    check: Tensor
    labels: bool
    directions: Tensor
    back: Tensor

    @classmethod
    def of(cls, values: Tensor, labels: bool, seed: int) -> SplitSide:
        """A random 65 %, 15 % and 20 % of ``values`` ``[N, d]``."""
        order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
        a, b = int(0.65 * len(order)), int(0.8 * len(order))
        fit, scale = values[order[:a]], torch.ones(values.shape[1])
        principal = torch.eye(values.shape[1])
        if values.shape[1] > _PLAIN and not labels:
            scale = column_scale(fit)
            centred = (fit - fit.mean(0)) * scale
            principal = torch.linalg.svd(centred, full_matrices=False).Vh[:_KEPT]
        back = torch.where(scale > 0, principal / scale, 0.0)
        return cls(fit, values[order[a:b]], values[order[b:]], labels, principal * scale, back)

    def project(self, samples: Tensor) -> Tensor:
        """What a flow sees of samples ``[..., d]``, ``[..., k]``."""
        return samples @ self.directions.mT

    def lift(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Samples ``[..., d]`` of which a flow sees ``z`` ``[..., k]``.

        What lies beyond the directions is that of random real samples: independent of ``z`` and of
        the other variable, it leaves the information as it is.
        """
        real = self.fit[torch.randint(len(self.fit), z.shape[:-1], generator=generator)]
        return real + (z - self.project(real)) @ self.back

    def pool(self, part: Part, kind: Kind, seed: int) -> Pool:
        """The samples of a part cut into cells of a kind, those of labels into classes."""
        samples: Tensor = getattr(self, part)
        if self.labels:
            return Pool.of_labels(samples)
        samples = samples[:_POOL]
        seen = self.project(samples)
        if len(self.directions) == samples.shape[1]:
            seen = seen * column_scale(seen)
        generator = torch.Generator().manual_seed(seed)
        cut = clustered if kind == "clusters" else sliced
        return Pool(samples, tuple(cut(seen, generator) for _ in range(_PARTITIONS)))


def both_sides(x: Any, y: Any, seed: int) -> tuple[SplitSide, SplitSide]:
    """Both variables, checked and split.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`, for fewer than 200 samples, and for a
            side of one value.
    """
    sides = []
    for index, (name, raw) in enumerate((("x", x), ("y", y))):
        value = as_tensor(raw, name)
        few = 0 < value.dim() < 3 and len(value) < _FEWEST
        columns = None if few else check_side(value, name)
        if columns is None or len(columns) != 1 or columns.shape[1] < _FEWEST:
            raise ValueError(
                f"expected {name} of shape [N, d] with N of at least {_FEWEST}, got "
                f"{list(value.shape)}; with fewer samples use the base weights"
            )
        if not bool((columns != columns[:, :1]).any()):
            raise ValueError(
                f"expected {name} to vary, got one value in all {columns.shape[1]} samples; "
                f"nothing can depend on it"
            )
        labels = not value.is_floating_point()
        sides.append(SplitSide.of(columns[0].float().cpu(), labels, seed + index))
    return sides[0], sides[1]
