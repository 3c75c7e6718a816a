"""Attention blocks along the two axes of a sample.

Legend: ``B`` datasets, ``N`` samples, ``D`` features, ``P`` pair channels, ``H`` width.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

__all__ = ["FeatureAttention", "InducedSetAttention", "MultiheadAttentionBlock", "mlp"]


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with GELU between them."""
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class MultiheadAttentionBlock(nn.Module):
    """Pre-norm MAB of the set transformer (Lee et al. 2019): queries attend to a set."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm, self.set_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = mlp(width, 2 * width, width)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """``x`` ``[B, Q, H]`` attends to ``y`` ``[B, N, H]``; ``mask`` ``[B, N]`` of ``y``."""
        q = rearrange(self.query(self.query_norm(x)), "b q (h c) -> b h q c", h=self.heads)
        k, v = rearrange(
            self.key_value(self.set_norm(y)), "b n (t h c) -> t b h n c", t=2, h=self.heads
        )
        allowed = None if mask is None else mask[:, None, None, :]
        pooled = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
        x = x + self.out(rearrange(pooled, "b h q c -> b q (h c)"))
        out: Tensor = x + self.feed(self.feed_norm(x))
        return out


class InducedSetAttention(nn.Module):
    """ISAB (Lee et al. 2019): attention through ``inducing`` learned points, linear in ``N``."""

    def __init__(self, width: int, heads: int, inducing: int) -> None:
        super().__init__()
        self.points = nn.Parameter(0.1 * torch.randn(1, inducing, width))
        self.gather = MultiheadAttentionBlock(width, heads)
        self.scatter = MultiheadAttentionBlock(width, heads)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``x`` ``[B, N, H]`` and the ``mask`` ``[B, N]`` of its real samples."""
        points = self.points.expand(x.shape[0], -1, -1)
        out: Tensor = self.scatter(x, self.gather(points, x, mask))
        return out


class FeatureAttention(nn.Module):
    """Features attend to features; pair statistics are biases and signed weights.

    Beside softmax attention with a bias per pair, each head has a second read with weights
    ``tanh`` of another projection of the pair statistics, divided by ``sqrt(D)``.
    """

    def __init__(self, width: int, heads: int, pair_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 4 * width)
        self.bias = nn.Linear(pair_width, 2 * heads)
        self.out = nn.Linear(2 * width, width)
        self.feed = mlp(width, 3 * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.feed[-1].weight)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor, pairs: Tensor) -> Tensor:
        """``tokens`` ``[B, D, H]``, ``pairs`` ``[B, D, D, P]``."""
        q, k, v, u = rearrange(
            self.project(self.norm(tokens)), "b d (t h c) -> t b h d c", t=4, h=self.heads
        )
        bias, weight = rearrange(self.bias(pairs), "b i j (t h) -> t b h i j", t=2)
        soft = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        signed = torch.tanh(weight) / math.sqrt(tokens.shape[1]) @ u
        both = rearrange(torch.cat([soft, signed], -1), "b h d c -> b d (h c)")
        tokens = tokens + self.out(both)
        out: Tensor = tokens + self.feed(self.feed_norm(tokens))
        return out
