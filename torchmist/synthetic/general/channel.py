r"""Bins of a function of continuous columns, seen through a symmetric noisy channel, exact MI.

The columns of x are standard normal; ``t(x)`` is one column, a projection of up to eight, or the
radius of two to eight, and ``c`` the bin of ``t`` between quantiles of its law, of probabilities
:math:`p_j`. The label is ``c`` with probability :math:`1 - \epsilon`, else any of the ``J`` bins,
equally likely. With :math:`q_j = (1 - \epsilon) p_j + \epsilon / J` and
:math:`a = 1 - \epsilon + \epsilon / J`,

.. math:: I(X;Y) = H(q) + a \log a + (J - 1) \frac{\epsilon}{J} \log \frac{\epsilon}{J}.

Unlike classes that are clouds, these have sharp borders. Legend: ``B`` datasets, ``N`` samples,
``p`` columns, ``J`` bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.general.discrete import random_edges

__all__ = ["ChannelParameters", "binned_channel_mi", "draw_channels", "sample_channels"]

_CLEAN = 0.3  # share of channels without noise


@dataclass(frozen=True, eq=False)
class ChannelParameters:
    """Unit ``direction`` ``[B, p]`` of the projection; columns ``inside`` the radius ``[B, p]``;
    whether it is the radius that counts, ``radial`` ``[B]``; inner bin edges as probabilities,
    ``edges`` ``[B, J - 1]``; the channel's ``noise`` ``[B]``."""

    direction: Tensor
    inside: Tensor
    radial: Tensor
    edges: Tensor
    noise: Tensor


def draw_channels(
    batch: int, columns: int, bins: int, *, generator: torch.Generator
) -> ChannelParameters:
    """Random channels: half with bins alike, a third by the radius (of two columns or more), three
    in ten without noise; the noise of the others is uniform in 0 to 0.95."""
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device, dtype=torch.float64)

    order = torch.arange(columns, device=device)
    taking = 1 + (uniform(1).square() * min(columns, 8)).long()
    weight = torch.randn(batch, columns, generator=generator, device=device, dtype=torch.float64)
    weight = torch.where(order < taking, weight, 0.0)
    inside = order < taking.clamp(min=2)
    even = torch.arange(1, bins, device=device, dtype=torch.float64) / bins
    places = random_edges(uniform(bins))
    return ChannelParameters(
        weight / weight.norm(dim=-1, keepdim=True), inside,
        (uniform() < 1 / 3) & (columns > 1),
        torch.where(uniform(1) < 0.5, even, places),
        torch.where(uniform() < _CLEAN, 0.0, 0.95 * uniform()),
    )  # fmt: skip


def binned_channel_mi(p: ChannelParameters) -> Tensor:
    """Exact I(X;Y) in nats, ``[B]`` float64."""
    bins = p.edges.shape[-1] + 1
    ends = torch.zeros_like(p.noise[:, None])
    share = torch.cat([ends, p.edges, ends + 1], -1).diff(dim=-1)
    seen = (1 - p.noise[:, None]) * share + p.noise[:, None] / bins
    other = p.noise / bins
    keep = 1 - p.noise + other
    given = torch.xlogy(keep, keep) + (bins - 1) * torch.xlogy(other, other)
    return (given - torch.xlogy(seen, seen).sum(-1)).clamp(min=0)


def sample_channels(
    p: ChannelParameters, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[B, N, p]`` float32 and labels ``[B, N]`` int64 from 0 to ``J - 1``."""
    batch, columns = p.direction.shape
    device = p.direction.device
    x = torch.randn(batch, n, columns, generator=generator, device=device)
    level = torch.special.ndtr((x @ p.direction.float()[..., None]).squeeze(-1).double())
    rows = p.radial.nonzero().squeeze(-1)
    inside = p.inside[rows].float()
    squares = (x[rows].square() @ inside[..., None]).squeeze(-1)
    half = inside.sum(-1, keepdim=True).expand_as(squares) / 2
    level[rows] = torch.special.gammainc(half.double(), squares.double() / 2)
    label = torch.searchsorted(p.edges, level)
    u = torch.rand(2, batch, n, generator=generator, device=device, dtype=torch.float64)
    any_bin = (u[1] * (p.edges.shape[-1] + 1)).long()
    return x, torch.where(u[0] < p.noise[:, None], any_bin, label)
