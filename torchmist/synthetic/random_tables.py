"""Random joint tables of given margins, from weak to strong dependence, and their information.

Legend: ``Kx``, ``Ky`` cells of both sides.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["random_table", "table_mi"]

_SINKHORN = 100


def table_mi(table: Tensor) -> Tensor:
    """MI of joint tables ``[..., Kx, Ky]`` in nats."""
    product = table.sum(-1, keepdim=True) * table.sum(-2, keepdim=True)
    terms = torch.xlogy(table, table) - torch.xlogy(table, product)
    return terms.sum((-1, -2)).clamp(min=0)


def random_table(p: Tensor, q: Tensor, generator: torch.Generator) -> Tensor:
    """A random joint table ``[Kx, Ky]`` with margins ``p`` and ``q``, from weak to strong.

    Of ten, seven mix a table in which a cell says as much as it can (the overlaps of ``p`` and
    ``q`` laid out as intervals) with noise, which is independent or has random odds; the others
    have random odds alone, fitted to the margins (Sinkhorn and Knopp, 1967). In half of all the
    dependence rises or falls with the numbers of the cells, as it often does where these are
    slices; in the others it is in a random order.
    """

    def uniform() -> float:
        return float(torch.rand(1, generator=generator, dtype=torch.float64))

    ordered = uniform() < 0.5
    if ordered:
        orders = [torch.arange(len(p)), torch.arange(len(q))]
        orders[1] = orders[1].flip(0) if uniform() < 0.5 else orders[1]
    else:
        orders = [torch.randperm(len(v), generator=generator) for v in (p, q)]
    back = [order.argsort() for order in orders]

    def odds(strength: float) -> Tensor:
        if ordered:
            x, y = (_normal_scores(v[order]) for v, order in zip((p, q), orders))
            logits = torch.outer(x, y)[back[0]][:, back[1]]
        else:
            logits = torch.randn(len(p), len(q), generator=generator, dtype=torch.float64)
        table: Tensor = (strength * logits).exp()
        for _ in range(_SINKHORN):
            table = table * (p / table.sum(1))[:, None]
            table = table * (q / table.sum(0))
        return table

    if uniform() >= 0.7:
        return odds(0.2 + 5 * uniform())
    kept = _overlaps(p[orders[0]], q[orders[1]])[back[0]][:, back[1]]
    lost = p[:, None] * q if uniform() < 0.5 else odds(1.5)
    noise = uniform()
    return (1 - noise) * kept + noise * lost


def _normal_scores(p: Tensor) -> Tensor:
    """Normal quantiles ``[K]`` at the middles of the intervals of lengths ``p``, end to end."""
    scores: Tensor = torch.special.ndtri(p.cumsum(0) - p / 2)
    return scores


def _overlaps(p: Tensor, q: Tensor) -> Tensor:
    """Lengths ``[Kx, Ky]`` that the intervals of lengths ``p`` and ``q``, end to end, share."""
    p_end, q_end = p.cumsum(0)[:, None], q.cumsum(0)
    shared = torch.minimum(p_end, q_end) - torch.maximum(p_end - p[:, None], q_end - q)
    return shared.clamp(min=0)
