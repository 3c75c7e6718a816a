r"""Products of what is left of two sides, under random signs or under orders within classes.

With features :math:`\phi_{is}`, :math:`\psi_{it}` of the rows that kernels ``s`` and ``t`` of the
sides leave (``torchmist.permutation_tests.kernel_residuals``), and :math:`k_{ij}` how near rows are
in the condition,

.. math:: T_{st} = \Big\| \sum_i e_i \, \phi_{is} \psi_{it}^T \Big\|^2, \qquad
          T'_{st} = \sum_{ij} e_i e_j k_{ij} \langle \phi_{is}, \phi_{js} \rangle
          \langle \psi_{it}, \psi_{jt} \rangle.

The second sees dependence whose sign changes with the condition, and weighs nothing where no two
rows are near: it is the same under all signs then. Kernels of the noise of a side
meet those of the noise of the other and its line. For the data, :math:`e_i = 1`. Where both sides
are independent given the condition every summand has mean 0 and random signs :math:`e_i` give the
law of the sums (the wild bootstrap, Wu 1986); given labels alone, orders within the classes give it
exactly.

Legend: ``B`` blocks of ``m`` rows, ``S`` kernels, ``C`` products, ``P`` draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torchmist.permutation_tests.kernel_dependence import TRUSTED, combined
from torchmist.permutation_tests.kernel_residuals import Left

__all__ = ["OrderedProducts", "SignedProducts"]

_SMOOTH = 2  # the first kernels, whose products are also compared locally
_LOCAL = 0.5  # weight of these
_RAW = 3  # kernels of a side itself; those of its noise meet each other and lines
_TIED = 1e-12
_BLIND = 1e-6  # variance, as a share of the squared mean, that rounding may make


def _pairs(x: Left, y: Left, local: bool = True) -> list[tuple[int, int, bool]]:
    """Kernels of both sides that meet, and whether they also do so locally."""
    return [
        (s, t, local and max(s, t) < _SMOOTH)
        for s in range(len(x.features))
        for t in range(len(y.features))
        if max(s, t) < _RAW or not 0 < min(s, t) < _RAW
    ]


def _log_weights(pairs: Sequence[tuple[int, int, bool]]) -> Tensor:
    out: list[float] = []
    for s, t, local in pairs:
        weight = 1 + TRUSTED * (s == t == 0)
        out += [weight, _LOCAL * weight] if local else [weight]
    return torch.tensor(out, dtype=torch.float64, device="cpu").log()


class SignedProducts:
    """Scores of what is left of two sides under random signs of the rows.

    Args:
        x, y: of each block.
        near: how near the rows of each block are, ``[m, m]``.
        factor: by how much residuals of independent sides agree more than under random signs,
            ``[Sx, Sy]`` (:func:`torchmist.permutation_tests.kernel_residuals.agreement`).
    """

    def __init__(
        self, x: Sequence[Left], y: Sequence[Left], near: Sequence[Tensor], factor: Tensor
    ) -> None:
        self._x, self._y, self._near = x, y, near
        self._pairs = _pairs(x[0], y[0])
        counts = [2 if local else 1 for *_, local in self._pairs]
        of_pair = torch.tensor(
            [float(factor[s, t]) for s, t, _ in self._pairs], device="cpu", dtype=torch.float32
        )
        device = near[0].device
        self._factor = (
            of_pair.double().repeat_interleave(torch.tensor(counts, device="cpu")).to(device)
        )
        self._log_weight = _log_weights(self._pairs).to(device)
        self._kept = self._matrices(0) if len(x) == 1 else None
        self._mean = self._log_weight.new_zeros(len(self._log_weight))
        self._variance = self._mean.clone()
        for k in range(len(x)):
            matrices = self._matrices(k) if self._kept is None else self._kept
            diagonal = matrices.diagonal(dim1=-2, dim2=-1).double()
            self._mean += diagonal.sum(-1)
            square = torch.linalg.vector_norm(matrices, dim=(-2, -1)).double().square()
            self._variance += 2 * (square - diagonal.square().sum(-1))
        local = torch.tensor([k for count in counts for k in range(count)], device=device) > 0
        blind = local & (self._variance <= _BLIND * self._mean.square())
        self._log_weight = self._log_weight.masked_fill(blind, -torch.inf)
        self._mean.clamp_(min=_TIED)
        self._variance = torch.where(blind, 1.0, self._variance).clamp(min=_TIED**2)

    def _matrices(self, block: int) -> Tensor:
        """Products of the kernels of a block, ``[C, m, m]``."""
        x, y = ([phi @ phi.mT for phi in side[block].features] for side in (self._x, self._y))
        near = self._near[block]
        out = near.new_empty(len(self._log_weight), *near.shape)
        place = 0
        for s, t, local in self._pairs:
            torch.mul(x[s], y[t], out=out[place])
            if local:
                torch.mul(out[place], near, out=out[place + 1])
            place += 1 + local
        return out

    def products(self, signs: Tensor) -> Tensor:
        """``T`` and the local ones ``[P, C]`` of signs ``[P, B, m]``."""
        total = self._mean.new_zeros(len(self._mean), len(signs))
        for k in range(len(self._x)):
            matrices = self._matrices(k) if self._kept is None else self._kept
            total += ((signs[:, k] @ matrices) * signs[:, k]).sum(-1).double()
        return total.T

    def score(self, signs: Tensor | None) -> Tensor:
        """Scores of signs ``[P, B, m]``, or of the data (None), ``[P]``."""
        if signs is None:
            own = self._near[0].new_ones(1, len(self._near), len(self._near[0]))
            products = self.products(own) / self._factor
        else:
            products = self.products(signs)
        return combined(products, self._mean, self._variance, self._log_weight)


class OrderedProducts:
    """Scores of what is left of two sides under orders of the rows of Y within classes.

    Args:
        x, y: of each block.
        classes: of the rows ``[B, m]``; a local product sums over each alone.
        orders: some ``[P, B, m]`` at random, for the moments.
    """

    def __init__(
        self, x: Sequence[Left], y: Sequence[Left], classes: Tensor, orders: Tensor
    ) -> None:
        self._x, self._y, self._classes = x, y, classes
        self._pairs = _pairs(x[0], y[0], bool((classes != classes[0, 0]).any()))
        self._log_weight = _log_weights(self._pairs).to(classes.device)
        products = self.products(orders)
        self._mean = products.mean(0).clamp(min=_TIED)
        self._variance = products.var(0).clamp(min=_TIED**2)

    def score(self, orders: Tensor | None) -> Tensor:
        """Scores of orders ``[P, B, m]``, or of the data (None), ``[P]``."""
        if orders is None:
            own = torch.arange(self._classes.shape[1], device=self._classes.device)
            orders = own.expand(1, *self._classes.shape)
        products = self.products(orders)
        return combined(products, self._mean, self._variance, self._log_weight)

    def products(self, orders: Tensor) -> Tensor:
        """``T`` and the local ones ``[P, C]`` of orders ``[P, B, m]``."""
        total = self._log_weight.new_zeros(len(orders), len(self._log_weight))
        for x, y, code, rows in zip(self._x, self._y, self._classes, orders.unbind(1)):
            members = [code == k for k in code.unique()]
            out = []
            for s, t, local in self._pairs:
                phi, psi = x.features[s], y.features[t][rows]  # [m, r], [P, m, r']
                whole = psi.new_zeros(len(psi), phi.shape[1], psi.shape[2])
                alone = psi.new_zeros(len(psi))
                for member in members:
                    part = phi[member].mT @ psi[:, member]
                    whole += part
                    alone += part.square().sum((-2, -1))
                out += [whole.square().sum((-2, -1)), alone][: 1 + local]
            total += torch.stack(out, -1).double()
        return total
