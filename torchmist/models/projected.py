"""MIST behind a fixed linear map of each side and a learned correction, as adaptation makes it.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns, ``kx``, ``ky`` of them kept.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from torchmist.models.cell_correction import CellCorrection
from torchmist.models.config import MISTConfig
from torchmist.models.mist import MIST

__all__ = ["ProjectedMIST", "Projection", "column_scale", "principal_map"]

_COMMON = 10.0


@dataclass(frozen=True)
class Projection:
    """Columns of both sides, how many directions are kept of each, and how many landmarks each has.

    A side without landmarks is class labels.
    """

    dx: int
    dy: int
    kx: int
    ky: int
    landmarks_x: int
    landmarks_y: int

    def to_dict(self) -> dict[str, int]:
        """All fields."""
        return asdict(self)


def column_scale(x: Tensor) -> Tensor:
    """Factors ``[d]`` that bring the columns of ``[N, d]`` to a like scale.

    Columns of one unit (no deviation above ten times the median one: pixels, embeddings) keep their
    proportions, since the small ones are mostly noise; others become standard. Constant columns
    get 0.
    """
    deviation = x.std(0)
    varies = deviation > 1e-9
    if not bool(varies.any()):
        return torch.zeros_like(deviation)
    if deviation.max() <= _COMMON * deviation[varies].median():
        common = deviation[varies].square().mean().sqrt()
        return torch.where(varies, 1 / common, 0.0)
    return torch.where(varies, 1 / deviation.clamp(min=1e-9), 0.0)


def principal_map(x: Tensor, keep: int) -> tuple[Tensor, Tensor]:
    """Mean ``[d]`` and map ``[d, k]`` onto the leading principal directions of scaled columns.

    ``x``: ``[N, d]``. With ``keep`` of at least ``d`` all columns are kept and only scaled, which
    ranks do not see.
    """
    mean, scale = x.mean(0), column_scale(x)
    if keep >= x.shape[1]:
        return mean, torch.diag(scale)
    directions = torch.linalg.svd((x - mean) * scale, full_matrices=False).Vh[:keep]
    return mean, (scale * directions).mT.contiguous()


class ProjectedMIST(MIST):
    """A :class:`MIST` that sees ``(x - mean) @ map`` of each side, and corrects what it says.

    What the maps leave out of MI is left to the training to make up for. The estimate is no longer
    free of the order, the units or the swap of the columns: they are those that the weights were
    adapted to. Class labels pass as they are.

    Args:
        config: of the network.
        projection: the sizes of the maps, which are buffers.
    """

    fixed_columns = True

    mean_x: Tensor
    mean_y: Tensor
    map_x: Tensor
    map_y: Tensor

    def __init__(self, config: MISTConfig, projection: Projection) -> None:
        super().__init__(config)
        p = self.projection = projection
        for side, d, k in (("x", p.dx, p.kx), ("y", p.dy, p.ky)):
            self.register_buffer(f"mean_{side}", torch.zeros(d))
            self.register_buffer(f"map_{side}", torch.zeros(d, k))
        self.correction = CellCorrection(p.kx, p.ky, p.landmarks_x, p.landmarks_y)

    def project(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both sides, ``[..., dx]`` and ``[..., dy]``, on the kept directions.

        Raises:
            ValueError: for other numbers of columns than the weights were adapted to.
        """
        p = self.projection
        out = []
        for name, value, mean, matrix, landmarks in (
            ("first", x, self.mean_x, self.map_x, p.landmarks_x),
            ("second", y, self.mean_y, self.map_y, p.landmarks_y),
        ):
            value = value.to(matrix.dtype)
            if not landmarks:
                out.append(value)
                continue
            if value.shape[-1] != len(mean):
                raise ValueError(
                    f"expected {len(mean)} columns of the {name} variable, as these weights were "
                    f"adapted to, got {value.shape[-1]}"
                )
            out.append((value - mean) @ matrix)
        return out[0], out[1]

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Quantiles ``[B, Q]`` of I(X;Y) in nats, as :meth:`MIST.forward`."""
        a, b = self.project(x, y)
        out: Tensor = self.correction(a, b, super().forward(a, b, mask), mask)
        return out

    def read(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """What the correction reads ``[B, F]``, and the quantiles ``[B, Q]`` that it corrects."""
        a, b = self.project(x, y)
        return self.correction.read(a, b), super().forward(a, b)
