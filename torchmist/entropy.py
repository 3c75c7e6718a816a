"""Entropy of class labels: what mutual information with them cannot exceed.

Legend: ``B`` datasets, ``N`` samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["label_entropy"]


def label_entropy(labels: Tensor) -> Tensor:
    """Plug-in entropy ``-sum p log p`` of integer labels ``[B, N]``, ``[B]`` float64 in nats.

    Example:
        >>> label_entropy(torch.tensor([[0, 0, 1, 1], [2, 2, 2, 2]])).tolist()
        [0.6931471805599453, 0.0]
    """
    classes, index = labels.unique(return_inverse=True)
    counts = torch.zeros(len(labels), len(classes), dtype=torch.float64, device=labels.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=torch.float64))
    share = counts / labels.shape[1]
    return torch.xlogy(share, share).sum(-1).abs()
