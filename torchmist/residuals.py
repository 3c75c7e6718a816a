r"""What is left of a kernel once all that a condition predicts is taken out.

For a smoother :math:`W` of the rows on the condition, the features of a kernel :math:`K` leave the
kernel :math:`R K R`, :math:`R = 1 - W` (Zhang et al. 2011), whose products have mean 0 where both
sides are independent given the condition, also where one of the two smoothers is somewhat off
(Shah and Peters 2020). :math:`W` is kernel ridge regression; its ridge is chosen for each kernel by
generalised cross-validation. The kernel of the condition is the sum of a line, a Gaussian, and a
Gaussian of the few directions of the condition that predict the sides by least squares, since in
many columns rows are far from each other in all but these.

Legend: ``m`` rows, ``q`` columns of the condition, ``K`` columns of a side, ``S`` kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Smoother", "alignment", "predictors"]

_LINE = 10.0
_WIDTH = 2.0
_NARROW, _SHARE = 20.0, 0.3  # of a condition of one column, which is seen in more detail
_INDEX = 4.0
_RIDGES = torch.logspace(-3, 3, 13, dtype=torch.float64)
_FEW = 2
_LEAST = 1e-6


def predictors(sides: tuple[Tensor, ...], given: Tensor) -> Tensor:
    """What ``given`` ``[N, q]`` says of each side ``[N, K]`` by least squares: at most two columns
    for each, the leading principal ones, scaled to the variance of the first; ``[N, 0]`` if ``q``
    is 1."""
    if given.shape[1] == 1:
        return given[:, :0]
    z = given.double() - given.double().mean(0)
    out = []
    for side in sides:
        u, size, _ = torch.linalg.svd(z, full_matrices=False)
        u = u[:, size > _LEAST * size.max()]
        fit = u @ (u.mT @ side.double())
        left, values, _ = torch.linalg.svd(fit, full_matrices=False)
        fit = left[:, :_FEW] * values[:_FEW]
        out.append(fit / fit.square().mean(0).sqrt().amax().clamp(min=_LEAST))
    return torch.cat(out, -1).to(given.dtype)


def _gaussian(rows: Tensor, width: float) -> Tensor:
    """``exp(-width d^2 / mean d^2)`` of rows ``[m, q]``."""
    square = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    return (-width * square / square.mean().clamp(min=_LEAST)).exp()


class Smoother:
    """Kernel ridge regression of any kernel of the rows on a condition.

    Args:
        given: the condition ``[m, q]``.
        index: what it predicts of the sides ``[m, i]``, of :func:`predictors`.
    """

    def __init__(self, given: Tensor, index: Tensor) -> None:
        z = given.double()
        kernel = _gaussian(z, _WIDTH) + _LINE * z @ z.mT / z.shape[1]
        if z.shape[1] == 1:
            kernel = kernel + _SHARE * _gaussian(z, _NARROW)
        if index.shape[1]:
            kernel = kernel + _gaussian(index.double(), _INDEX)
        kernel = kernel - kernel.mean(0)
        kernel = kernel - kernel.mean(1, keepdim=True)
        self._values, self.vectors = torch.linalg.eigh((kernel + kernel.mT) / 2)

    def residual(self, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of kernels ``[S, m, m]``, and the squares of the shares that are left of
        the eigenvectors, ``[S, m]``; float64."""
        within = self.vectors.mT @ kernels.double() @ self.vectors
        diagonal = within.diagonal(dim1=-2, dim2=-1)
        ridges = _RIDGES.to(diagonal.device)[:, None]
        left = ridges / (self._values.clamp(min=0) + ridges)
        loss = diagonal @ left.square().mT / left.mean(-1).square()
        share = left[loss.argmin(-1)]
        kept = self.vectors @ (within * share[:, :, None] * share[:, None]) @ self.vectors.mT
        return kept, share.square()


def alignment(x: Tensor, y: Tensor, vectors: Tensor, cells: Tensor) -> Tensor:
    """By how much residuals of independent sides agree more than permuted ones, ``[Sx, Sy]``.

    Both sides lost the same directions, which permutations within small cells nearly keep: with
    :math:`A = V diag(share) V^T` of each side, :math:`tr A_x A_y` over its mean under permutations
    of the rows of one side within cells.

    Args:
        x, y: shares ``[S, m]`` of :meth:`Smoother.residual`.
        vectors: the eigenvectors ``[m, m]``.
        cells: of the rows ``[m]``.
    """
    code = cells.unique(return_inverse=True)[1]
    member = torch.nn.functional.one_hot(code).to(vectors.dtype)  # [m, C]
    size = member.sum(0)
    into = member.mT @ vectors
    sums, diagonals = [], []
    for share in (x, y):
        sums.append((into * share[:, None]) @ into.mT)  # [S, C, C]
        diagonals.append((share @ vectors.square().mT) @ member)  # [S, C]
    outside = [v - torch.diag_embed(v.diagonal(dim1=-2, dim2=-1)) for v in sums]
    inside = [v.diagonal(dim1=-2, dim2=-1) - d for v, d in zip(sums, diagonals)]
    other = (outside[0] / (size[:, None] * size)).flatten(1) @ outside[1].flatten(1).mT
    mean = other + (diagonals[0] / size) @ diagonals[1].mT
    mean = mean + (inside[0] / (size * (size - 1)).clamp(min=1)) @ inside[1].mT
    return (x @ y.mT) / mean.clamp(min=_LEAST)
