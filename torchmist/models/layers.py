"""Attention blocks along the two axes of a sample.

Legend: ``B`` datasets, ``N`` samples, ``D`` features, ``P`` pair channels, ``H`` width, ``h`` heads
of ``c`` channels.
"""

from __future__ import annotations

import itertools
import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "FeatureAttention",
    "InducedSetAttention",
    "MultiheadAttentionBlock",
    "affine",
    "mlp",
    "own",
]


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with GELU between them."""
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def own(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer.

    Read off its dictionary where they are there: attributes of a module are found by way of an
    exception, and the small layers here take little longer than that.
    """
    found = layer._parameters
    weight, bias = found.get("weight"), found.get("bias")
    if weight is None or bias is None:  # a parametrised layer
        return cast(Tensor, layer.weight), cast(Tensor, layer.bias)
    return weight, bias


def affine(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer without the call of a module."""
    return F.linear(x, *own(layer))


def _normed(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    """A layer norm without the call of a module."""
    return F.layer_norm(x, layer.normalized_shape, *own(layer), layer.eps)


def _feed(norm: nn.LayerNorm, feed: nn.Sequential, x: Tensor) -> Tensor:
    """``x + feed(norm(x))``, of an :func:`mlp` with one hidden layer."""
    return x + affine(feed[2], F.gelu(affine(feed[0], _normed(norm, x))))


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
        """``x`` ``[B, Q, H]`` attends to ``y`` ``[B, N, H]``; ``mask`` ``[B, N]`` of ``y``.

        Either may have one dataset for all. The longer of both sets is not projected to heads:
        the maps of the shorter one are applied to it instead, ``h Q`` or ``h N`` rows of them.
        """
        read = self._few_queries if x.shape[1] <= y.shape[1] else self._few_keys
        x = x + read(_normed(self.query_norm, x), _normed(self.set_norm, y), mask)
        return _feed(self.feed_norm, self.feed, x)

    def _few_queries(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Of normed sets: attention whose scores and means are taken of ``y`` itself.

        The bias of the keys moves all scores of a query alike, which is nothing to the softmax.
        """
        batch, count, width = x.shape
        part = width // self.heads
        weight, bias = own(self.key_value)
        key, value = weight.view(2, self.heads, part, width).unbind()
        q = affine(self.query, x).view(batch, count, self.heads, part).transpose(1, 2)
        probes = (q @ (key * part**-0.5)).view(batch, -1, width)
        score = probes @ y.mT
        if mask is not None:
            score = score.masked_fill(~mask[:, None], -math.inf)
        pooled = torch.bmm(score.softmax(-1), y).view(len(y), self.heads, count, width)
        pooled = (pooled @ value.mT).transpose(1, 2).flatten(2)
        return affine(self.out, pooled + bias[width:])

    def _few_keys(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Of normed sets: attention whose scores and outputs are linear maps made of ``y``."""
        batch, count, width = y.shape
        part = width // self.heads
        both = affine(self.key_value, y).view(batch, count, 2, self.heads, part)
        k, v = both.permute(2, 0, 3, 1, 4).unbind()
        weight, bias = own(self.query)
        query = torch.cat([weight, bias[:, None]], 1) * part**-0.5
        probes = (k @ query.view(self.heads, part, -1)).view(batch, -1, width + 1)
        x = x.expand(batch, -1, -1)
        score = torch.baddbmm(probes[..., width:], probes[..., :width], x.mT)
        score = score.view(batch, self.heads, count, -1)  # queries last: a fast softmax
        if mask is not None:
            score = score.masked_fill(~mask[:, None, :, None], -math.inf)
        share = score.softmax(2).flatten(1, 2)
        weight, bias = own(self.out)
        values = v @ weight.mT.view(self.heads, part, width)
        return torch.bmm(share.mT, values.view(batch, -1, width)) + bias


class InducedSetAttention(nn.Module):
    """ISAB (Lee et al. 2019): attention through ``inducing`` learned points, linear in ``N``."""

    def __init__(self, width: int, heads: int, inducing: int) -> None:
        super().__init__()
        self.points = nn.Parameter(0.1 * torch.randn(1, inducing, width))
        self.gather = MultiheadAttentionBlock(width, heads)
        self.scatter = MultiheadAttentionBlock(width, heads)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """``x`` ``[B, N, H]`` and the ``mask`` ``[B, N]`` of its real samples."""
        out: Tensor = self.scatter(x, self.gather(self.points, x, mask))
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

    def forward(self, tokens: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
        """``tokens`` ``[B, D, H]``; ``bias`` and signed ``weight`` of each pair, ``[h, B, D, D]``.

        They are both halves of :attr:`bias` of the pair statistics, the second one through
        ``tanh`` and divided by ``sqrt(D)``; MIST reads them for all layers at once.
        """
        batch, size, width = tokens.shape
        part = width // self.heads
        q, k, v, u = (
            affine(self.project, _normed(self.norm, tokens))
            .view(batch, size, 4, self.heads, part)
            .permute(2, 3, 0, 1, 4)
            .reshape(4, -1, size, part)
        )
        score = torch.baddbmm(bias.flatten(0, 1), q, k.mT, alpha=1 / math.sqrt(part))
        both = torch.cat([torch.bmm(score.softmax(-1), v), torch.bmm(weight.flatten(0, 1), u)], -1)
        both = both.view(self.heads, batch, size, 2 * part).permute(1, 2, 0, 3).flatten(2)
        return _feed(self.feed_norm, self.feed, tokens + affine(self.out, both))
