"""Entropy of class labels: what mutual information with them cannot exceed.

Legend: ``B`` datasets, ``N`` samples, ``K`` columns, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["code_entropy", "entropy_estimate", "entropy_quantiles", "label_bound",
           "label_entropy"]  # fmt: skip


def label_entropy(columns: Tensor, mask: Tensor | None = None) -> Tensor:
    """Plug-in entropy ``-sum p log p`` of one-hot labels ``[B, N, K]``, ``[B]`` in nats.

    One column holds two classes as 0 and 1; ``mask`` ``[B, N]`` is True for samples that count.

    Example:
        >>> label_entropy(torch.tensor([[[0.0], [0.0], [1.0], [1.0]]])).tolist()
        [0.6931471805599453]
    """
    columns = columns.double()
    if mask is None:
        share = columns.mean(1)
    else:
        share = (columns * mask[..., None]).sum(1) / mask.sum(-1, keepdim=True)
    if share.shape[-1] == 1:
        share = torch.cat([share, 1 - share], -1)
    return torch.xlogy(share, share).sum(-1).abs()


def code_entropy(codes: Tensor) -> Tensor:
    """Plug-in entropy ``-sum p log p`` of codes from 0 ``[B, N]``, ``[B]`` float64 in nats.

    Example:
        >>> code_entropy(torch.tensor([[0, 0, 1, 1]])).tolist()
        [0.6931471805599453]
    """
    return torch.stack([torch.xlogy(share, share).sum().abs() for share in map(_shares, codes)])


def entropy_estimate(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Entropy of codes from 0 ``[B, N]`` in nats, less the bias of Miller and Madow (1955), its
    standard error, and that of equal shares, each ``[B]`` float64; where shares are equal, the
    error is that of the bias."""
    found = []
    for share in map(_shares, codes):
        surprise, bias = -share.log(), (len(share) - 1) / (2 * codes.shape[1])
        entropy = (share * surprise).sum()
        variance = ((share * surprise.square()).sum() - entropy.square()).clamp(min=0) + bias
        most = torch.full_like(entropy, len(share)).log()
        found.append(torch.stack([entropy + bias, (variance / codes.shape[1]).sqrt(), most]))
    value, error, most = torch.stack(found, -1)
    return value, error, most


def entropy_quantiles(codes: Tensor, levels: Tensor) -> Tensor:
    """Quantiles ``[B, Q]`` float32 of the entropy of codes from 0 ``[B, N]``, at ``levels``
    ``[Q]``, of normal error and at most that of equal shares.

    Example:
        >>> codes = (torch.arange(1000)[None] % 4).clamp(max=2)
        >>> q = entropy_quantiles(codes, torch.tensor([0.05, 0.95]))
        >>> [round(float(v), 2) for v in q[0]]  # about 1.5 log 2
        [1.02, 1.06]
    """
    value, error, most = entropy_estimate(codes)
    spread = torch.special.ndtri(levels.to(value)) * error[:, None]
    out: Tensor = torch.minimum(value[:, None] + spread, most[:, None]).clamp(min=0)
    return out.float()


def _shares(codes: Tensor) -> Tensor:
    """Shares of the codes from 0 that occur among ``[N]``, float64."""
    share = codes.bincount().double() / len(codes)
    return share[share > 0]


def label_bound(
    raw: tuple[Tensor, Tensor], columns: tuple[Tensor, Tensor], mask: Tensor | None = None
) -> Tensor | None:
    """The smaller entropy of the sides that are labels, ``[B]`` float32; None if neither is.

    ``raw``: both sides as they came, integer or bool where they are labels; ``columns``: the same
    as ``[B, N, d]``.
    """
    entropies = [
        label_entropy(side, mask).float()
        for given, side in zip(raw, columns)
        if not given.is_floating_point()
    ]
    return torch.stack(entropies).amin(0) if entropies else None
