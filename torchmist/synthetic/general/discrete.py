r"""Gaussian pairs seen through thresholds: binary, ordinal and rounded columns, exact MI.

Each pair of columns is a Gaussian pair with correlation :math:`\rho`; y, and in half of the
datasets x too, is known only by its bin. With :math:`P(j \mid x) = \Phi((t_{j+1} - \rho x) / s) -
\Phi((t_j - \rho x) / s)` and :math:`s^2 = 1 - \rho^2`,

.. math:: I(X;Y) = H(Y) - E\, H(Y \mid x), \qquad P(i, j) = \int_{bin\ i} P(j \mid x)\, dN(x).

Legend: ``B`` datasets, ``N`` samples, ``k`` pairs of columns, ``J`` bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "ThresholdParameters",
    "draw_thresholds",
    "random_edges",
    "sample_thresholds",
    "threshold_mi",
]

_NODES = 1_024


@dataclass(frozen=True, eq=False)
class ThresholdParameters:
    """Correlations ``rho`` ``[B, k]``; inner bin edges of both sides as probabilities, ``edges_x``,
    ``edges_y`` ``[B, k, J - 1]``; whether x is binned too, ``both`` ``[B]``."""

    rho: Tensor
    edges_x: Tensor
    edges_y: Tensor
    both: Tensor


def draw_thresholds(
    batch: int, pairs: int, bins: int, *, generator: torch.Generator
) -> ThresholdParameters:
    """Random pairs: correlations of either sign up to 0.995, half of the edges evenly spread."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device, dtype=torch.float64)

    even = torch.arange(1, bins, device=device, dtype=torch.float64) / bins
    regular = uniform(1, 1) < 0.5

    def edges() -> Tensor:
        places = random_edges(uniform(pairs, bins))
        return torch.where(regular, even.expand_as(places), places)

    same = uniform(1) < 0.5
    rho = 0.995 * (1 - uniform(pairs).square()) * torch.sign(uniform(pairs) - 0.5)
    return ThresholdParameters(
        torch.where(same, rho[:, :1], rho), edges(), edges(), uniform() < 0.5
    )


def random_edges(u: Tensor) -> Tensor:
    """Inner edges of ``J`` random bins as probabilities, ``[..., J - 1]``, from uniform ``u``
    ``[..., J]``; the share of a bin is an exponential variable and a little more."""
    gaps = 0.15 - u.clamp(min=1e-9).log()
    return (gaps / gaps.sum(-1, keepdim=True)).cumsum(-1)[..., :-1]


def threshold_mi(p: ThresholdParameters) -> Tensor:
    """I(X;Y) in nats, summed over the pairs, ``[B]`` float64."""
    u = (torch.arange(_NODES, device=p.rho.device, dtype=torch.float64) + 0.5) / _NODES
    x = torch.special.ndtri(u)
    rho = p.rho[..., None, None]
    inner = torch.special.ndtri(p.edges_y)[:, :, None]
    below = torch.special.ndtr((inner - rho * x[:, None]) / (1 - rho.square()).sqrt())
    ends = torch.zeros_like(below[..., :1])
    given = torch.cat([ends, below, ends + 1], -1).diff(dim=-1)  # [B, k, nodes, J]
    whole = given.mean(2)
    entropy = -torch.xlogy(whole, whole).sum(-1)
    seen = entropy + torch.xlogy(given, given).sum(-1).mean(-1)
    inside = torch.searchsorted(p.edges_x.contiguous(), u.expand(*p.rho.shape, -1).contiguous())
    bins = p.edges_x.shape[-1] + 1
    member = torch.nn.functional.one_hot(inside, bins).double()
    cells = member.mT @ given / _NODES
    product = cells.sum(-1, keepdim=True) * cells.sum(-2, keepdim=True)
    binned = (torch.xlogy(cells, cells) - torch.xlogy(cells, product.clamp(min=1e-300))).sum(
        (-1, -2)
    )
    return torch.where(p.both[:, None], binned, seen).clamp(min=0).sum(-1)


def sample_thresholds(
    p: ThresholdParameters, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X and Y, each ``[B, N, k]`` float32; binned columns hold the number of their bin."""
    batch, pairs = p.rho.shape
    x, e = torch.randn(
        2, batch, n, pairs, generator=generator, device=p.rho.device, dtype=torch.float64
    )
    rho = p.rho[:, None]
    y = rho * x + (1 - rho.square()).sqrt() * e

    def binned(values: Tensor, edges: Tensor) -> Tensor:
        inner = torch.special.ndtri(edges).contiguous()
        return torch.searchsorted(inner, values.mT.contiguous()).mT.double()

    x = torch.where(p.both[:, None, None], binned(x, p.edges_x), x)
    return x.float(), binned(y, p.edges_y).float()
