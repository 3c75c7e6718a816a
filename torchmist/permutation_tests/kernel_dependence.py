r"""How dependent two sides look, from kernels of the rows: what permutation tests permute.

Each side gives :math:`S = 4` matrices of similarities of its rows, which together see what single
ones do not: products of the columns (lines), negative distances (broad shapes), and Gaussian
kernels :math:`\exp(-d_{ij}^2 / (r_i r_j))` whose widths :math:`r_i` are the distance to the eighth
neighbour (waves, clusters, interactions) and to three tenths of all rows. Every matrix of one side
meets every matrix of the other:

.. math:: T_{st} = \langle H K^{x,s} H, H K^{y,t} H \rangle, \qquad
          \text{score} = \log \sum_{st} w_{st} / p_{st},

where :math:`H` centres, the pair of distances is distance covariance (Székely et al. 2007), the
others are the Hilbert-Schmidt criterion (Gretton et al. 2008), :math:`p_{st}` is the upper tail of
the gamma law with the moments of :math:`T_{st}` under permutations, and the sum of reciprocals is
that of the harmonic mean p-value (Wilson 2019). The score orders permutations and is no p-value
itself: the level of a test rests on the permutations alone.

Legend: ``B`` blocks of rows, ``m`` rows of a block, ``K`` columns, ``S`` kernels, ``P``
permutations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.copula import normal_scores
from torchmist.samples.column_kinds import Sorted

__all__ = ["BLOCK", "KERNELS", "MOST", "TRUSTED", "Dependence", "block_sizes", "combined",
           "kernels", "normalised", "score_columns", "score_groups"]  # fmt: skip

BLOCK, MOST = 1024, 8192
"""Rows of a block, and rows that are tested, at most."""
KERNELS = 4
"""Kernels of a side: products, distances, near and far neighbours."""
TRUSTED = 3.0
"""Further weight of lines with lines and of distances with distances."""
_NEAR, _FAR = 8, 0.3  # neighbours, and share of the rows, at the width of a kernel
_TIED = 1e-6
_ORDERS = 20  # that are multiplied at once
_ELEMENTS = 2**16  # of kernels that are permuted at once: they stay in the cache
_LEAST = 1e-300


def block_sizes(n: int) -> tuple[int, int]:
    """In how many blocks of how many rows, at most 1,024 each, ``n`` rows are tested; what is left
    over goes."""
    count = -(-n // BLOCK)
    return count, n // count


def score_groups(side: Sorted) -> list[Tensor]:
    """One dataset of a side as ``[N, k]`` float32 for each of its variables, of variance 1.

    Numbers come first, as normal scores; labels become one column for each class, whose variances
    sum to 1. A constant column becomes 0.
    """
    values = side.values[0]
    numbers = [k for k, label in enumerate(side.label) if not label]
    parts: list[Tensor] = []
    if numbers:
        scores = normal_scores(values[:, numbers].double()).float()
        parts += _scaled(scores[..., None]).float().unbind(1)
    for k, label in enumerate(side.label):
        if label:
            codes = values[:, k].unique(return_inverse=True)[1]
            parts.append(_scaled(F.one_hot(codes)[:, None].float()).flatten(1).float())
    return parts


def score_columns(side: Sorted) -> Tensor:
    """The columns of :func:`score_groups` beside each other, ``[N, K]`` float32."""
    return torch.cat(score_groups(side), -1)


def _scaled(columns: Tensor) -> Tensor:
    """Groups of columns ``[N, G, K]``, centred, with variances that sum to 1 in each group."""
    columns = columns - columns.mean(0)
    total = columns.square().mean(0).sum(-1, keepdim=True)
    return columns * (total > _TIED) * total.clamp(min=_TIED).rsqrt()


def kernels(rows: Tensor) -> Tensor:
    """Centred kernels ``[B, S, m, m]`` of rows ``[B, m, K]``, each of Frobenius norm 1."""
    m = rows.shape[1]
    square = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    ordered = square.sort(-1).values
    out = [rows @ rows.mT, -square.sqrt()]
    for near in (min(_NEAR, m // 2), int(_FAR * m)):
        width = ordered[..., max(1, near)] + _TIED
        out.append((-square / (width.unsqueeze(-1) * width.unsqueeze(-2)).sqrt()).exp())
    return normalised(torch.stack(out, 1))


def normalised(kernel: Tensor) -> Tensor:
    """Kernels ``[..., m, m]`` centred in both axes and divided by their norm; 0 if constant."""
    kernel = kernel - kernel.mean(-1, keepdim=True)
    kernel = kernel - kernel.mean(-2, keepdim=True)
    size: Tensor = torch.linalg.matrix_norm(kernel)[..., None, None]
    return kernel / size.clamp(min=_TIED)


class Dependence:
    """Scores of dependence of two sides under permutations of the rows of Y.

    Args:
        x, y: kernels ``[B, Sx, m, m]`` and ``[B, Sy, m, m]``.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self._x, self._y = (k.permute(0, 2, 3, 1).contiguous() for k in (x, y))
        weight = torch.ones(x.shape[1], y.shape[1], dtype=torch.float64, device=x.device)
        weight[0, 0] += TRUSTED
        weight[1, 1] += TRUSTED
        self._log_weight = weight.log()

    def products(self, orders: Tensor) -> Tensor:
        """``T`` ``[P, Sx, Sy]`` for orders ``[P, B, m]`` of the rows of Y in each block."""
        return torch.cat([self._products(part) for part in orders.split(_ORDERS)])

    def _products(self, orders: Tensor) -> Tensor:
        """The same for few orders, from one triangle of the kernels, which are symmetric."""
        count, _, m = orders.shape
        out = self._log_weight.new_zeros(len(self._log_weight), count, self._log_weight.shape[1])
        step = max(1, _ELEMENTS // (m * count))
        for x, y, rows in zip(self._x, self._y, orders.unbind(1)):
            rows = rows.T.int().contiguous()
            begin, cells = rows * m, y.flatten(0, 1)
            for i in range(0, m, step):
                square = slice(i, min(i + step, m))
                part = x[square, i:].clone()
                part[:, step:] *= 2
                place = begin[square, None] + rows[None, i:]
                permuted = cells.index_select(0, place.flatten()).view(-1, count * y.shape[-1])
                out += (part.flatten(0, 1).T @ permuted).view(out.shape).double()
        return out.transpose(0, 1)

    def fit(self, products: Tensor) -> None:
        """Take the moments of ``T`` from those of permutations ``[P, Sx, Sy]``, at least two."""
        self._mean = products.mean(0).clamp(min=_TIED**2)
        self._variance = products.var(0).clamp(min=_TIED**4)

    def score(self, products: Tensor) -> Tensor:
        """The score ``[P]`` of ``T`` ``[P, Sx, Sy]``; rises with dependence."""
        return combined(products, self._mean, self._variance, self._log_weight)


def combined(products: Tensor, mean: Tensor, variance: Tensor, log_weight: Tensor) -> Tensor:
    """The score ``[P]`` of products ``[P, ...]`` whose moments and weights under independence are
    those given, ``[...]``; rises with dependence."""
    shape = mean.square() / variance
    tail = torch.special.gammaincc(shape, products.clamp(min=0) * mean / variance)
    score: Tensor = (log_weight - tail.clamp(min=_LEAST).log()).flatten(1).logsumexp(1)
    return score
