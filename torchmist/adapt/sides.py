"""The two variables of an adaptation: checked, split in three, and pools of cells of them.

Legend: ``N`` samples, ``d`` columns, ``k`` principal directions of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from torchmist.adapt.cells import Pool
from torchmist.adapt.flows import Flow
from torchmist.adapt.partitions import clustered, column_scale, sliced
from torchmist.checks import check_side
from torchmist.estimate import as_tensor

__all__ = ["Kind", "Side", "both_sides"]

Kind = Literal["clusters", "slices"]
_FEWEST, _POOL = 200, 1024  # samples that are needed, and most that are cut into cells
_PLAIN, _KEPT = 20, 16  # columns up to which a flow sees all, and principal directions beyond
_PARTITIONS = 40


@dataclass(frozen=True)
class Side:
    """One variable: samples ``[N, d]`` in three parts, and how a flow sees them.

    ``labels``: whether they are class labels as one-hot columns; ``scale`` ``[d]``: of the columns;
    ``directions`` ``[k, d]``: principal ones of wide samples, orthonormal, else the identity.
    """

    fit: Tensor
    calibrate: Tensor
    check: Tensor
    labels: bool
    mean: Tensor
    scale: Tensor
    directions: Tensor

    @classmethod
    def of(cls, values: Tensor, labels: bool, order: Tensor) -> Side:
        """A random 65 %, 15 % and 20 % of ``values`` ``[N, d]``."""
        a, b = int(0.65 * len(order)), int(0.8 * len(order))
        fit, d = values[order[:a]], values.shape[1]
        mean, scale, directions = torch.zeros(d), torch.ones(d), torch.eye(d)
        if not labels:
            scale = column_scale(fit)
        if not labels and d > _PLAIN:
            mean, scale = fit.mean(0), torch.where(scale > 0, scale, 1.0)
            directions = torch.linalg.svd((fit - mean) * scale, full_matrices=False).Vh[:_KEPT]
        return cls(fit, values[order[a:b]], values[order[b:]], labels, mean, scale, directions)

    def project(self, samples: Tensor) -> Tensor:
        """What a flow sees of samples ``[..., d]``, ``[..., k]``."""
        if len(self.directions) == samples.shape[-1]:
            return samples
        return ((samples - self.mean) * self.scale) @ self.directions.mT

    def lift(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """Samples ``[..., d]`` of which a flow sees ``z`` ``[..., k]``.

        What lies beyond the directions is that of random real samples: independent of ``z`` and of
        the other variable, it leaves the information as it is.
        """
        if len(self.directions) == len(self.mean):
            return z
        rows = torch.randint(len(self.fit), z.shape[:-1], generator=generator)
        rest = (self.fit[rows] - self.mean) * self.scale
        rest = rest - (rest @ self.directions.mT) @ self.directions
        return (z @ self.directions + rest) / self.scale + self.mean

    def generated(self, flow: Flow, count: int, generator: torch.Generator) -> Tensor:
        """Samples ``[count, d]`` that a flow made, on the grids of its columns."""
        with torch.no_grad():
            z = flow(torch.randn(count, flow.columns, generator=generator))
        return self.lift(flow.on_grid(z), generator)

    def pool(self, samples: Tensor, kind: Kind, seed: int) -> Pool:
        """Samples ``[N, d]`` cut into cells of a kind, those of labels into classes."""
        if self.labels:
            return Pool.of_labels(samples)
        samples = samples[:_POOL]
        cut = clustered if kind == "clusters" else sliced
        scaled = self.project(samples)
        if len(self.directions) == len(self.mean):
            scaled = (samples - samples.mean(0)) * self.scale
        return Pool(samples, cut(scaled, _PARTITIONS, torch.Generator().manual_seed(seed)))


def both_sides(x: Any, y: Any, seed: int) -> tuple[Side, Side]:
    """Both variables, checked and split.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`, and for fewer than 200 samples.
    """
    sides = []
    for index, (name, raw) in enumerate((("x", x), ("y", y))):
        value = as_tensor(raw, name)
        columns = check_side(value, name)
        if len(columns) != 1 or columns.shape[1] < _FEWEST:
            raise ValueError(
                f"expected {name} of shape [N, d] with N of at least {_FEWEST}, got "
                f"{list(value.shape)}; with fewer samples use the base weights"
            )
        generator = torch.Generator().manual_seed(seed + index)
        order = torch.randperm(columns.shape[1], generator=generator)
        sides.append(Side.of(columns[0].float().cpu(), not value.is_floating_point(), order))
    return sides[0], sides[1]
