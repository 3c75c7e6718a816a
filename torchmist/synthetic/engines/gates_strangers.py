r"""Strangers: in some rows both sides are drawn apart, and nobody knows in which.

With the density ratio r of true pairs and their share p of the rows, and the same marginals in the
others, the information is :math:`E[\log(p r + q)]`, :math:`q = 1 - p`. Among true pairs

.. math:: \log r = I_0 + S, \qquad S = \tfrac12 \sum_k \rho_k (u_k^2 - v_k^2), \qquad
          E\, e^{itS} = \varphi(t) = \prod_k (1 + \rho_k^2 t^2)^{-1/2}

for canonical Gaussian pairs with independent standard normal u and v. All rows together, as an
expectation over true pairs with weights :math:`p + q / r`, give

.. math:: I = \log q + p\, E\, g(m + S), \qquad g(z) = (1 + e^{-z}) \log(1 + e^z), \qquad
          m = I_0 + \log(p / q)

and, as the Fourier transform of g'' is :math:`\pi t / (\sinh(\pi t) (1 + i t))`,

.. math:: E\, g(m + S) = g(m) + \int_0^\infty \frac{t}{\sinh \pi t}\,
          \frac{\cos t m + t \sin t m}{1 + t^2}\, \frac{1 - \varphi(t)}{t^2}\, dt.

The integrand is analytic and falls exponentially: a sum over an even grid is exact to about 1e-9.

Legend: ``B`` datasets, ``K`` canonical pairs, ``G`` groups of them, ``T`` nodes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["stranger_information"]

_STEP, _NODES = 0.05, 160
_CPU_ELEMENTS, _GPU_ELEMENTS = 1 << 18, 1 << 26  # pairs times nodes worked on at once
_NONE = 1e-9  # share of strangers that counts as none


def stranger_information(correlations: Tensor, group: Tensor, share: Tensor) -> Tensor:
    """I of each group of canonical Gaussian pairs in nats, ``[B, G]`` float64.

    Args:
        correlations: canonical correlations ``[B, K]``, below 1.
        group: the group of each pair ``[K]`` int64; the pairs of a group are true together.
        share: probabilities ``[B, G]`` that a row of a group is a true pair, above 0.
    """
    elements = _GPU_ELEMENTS if correlations.is_cuda else _CPU_ELEMENTS
    most = max(1, elements // (_NODES * correlations.shape[1]))
    parts = zip(correlations.double().split(most), share.double().split(most))
    return torch.cat([_information(rho, group, p) for rho, p in parts])


def _information(rho: Tensor, group: Tensor, share: Tensor) -> Tensor:
    """The same of all datasets at once."""
    square = rho.square()
    nats = torch.zeros_like(share).index_add(1, group, -0.5 * torch.log1p(-square))
    t = (torch.arange(_NODES, device=rho.device, dtype=rho.dtype) + 0.5) * _STEP
    terms = -0.5 * torch.log1p(square[..., None] * t.square())
    log_phi = terms.new_zeros(*share.shape, _NODES).index_add(1, group, terms)
    others = (1 - share).clamp(min=_NONE)
    m = nats + share.log() - others.log()
    phase = m[..., None] * t
    weight = _STEP / (t * torch.sinh(math.pi * t) * (1 + t.square()))
    spread = ((phase.cos() + t * phase.sin()) * -torch.expm1(log_phi)) @ weight
    centre = (1 + torch.exp(-m)) * torch.nn.functional.softplus(m)
    mixed = others.log() + share * (centre + spread)
    return torch.where(1 - share > _NONE, mixed, nats)
