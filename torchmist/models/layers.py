"""Attention blocks along the two axes of a sample.

Legend: ``B`` datasets, ``N`` samples, ``D`` features, ``P`` pair channels, ``H`` width, ``h`` heads
of ``c`` channels.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "ChannelLinear",
    "ColumnLinear",
    "CrossLinear",
    "FeatureAttention",
    "InducedSetAttention",
    "MultiheadAttentionBlock",
    "PairLinear",
    "SampleLinear",
    "TwoLayers",
    "affine",
    "mlp",
    "unobserved",
]


def mlp(*widths: int) -> nn.Sequential:
    """Linear layers of the given widths with GELU between them."""
    layers: list[nn.Module] = []
    for wide, narrow in itertools.pairwise(widths):
        layers += [nn.Linear(wide, narrow), nn.GELU()]
    return nn.Sequential(*layers[:-1])


def affine(layer: nn.Module, x: Tensor) -> Tensor:
    """The call ``layer(x)`` with a tensor for its type."""
    out: Tensor = layer(x)
    return out


class ChannelLinear(nn.Linear):
    """A linear map of the first axis: ``[C, ...]`` to ``[O, ...]``.

    One product of the weight and a flat matrix, without moving the axis.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``x``: ``[C, ...]``."""
        out = torch.addmm(self.bias[:, None], self.weight, x.flatten(1))
        mapped: Tensor = out.view(-1, *x.shape[1:])
        return mapped


class PairLinear(nn.Linear):
    """A linear map of the channels of pairs of columns and of the sizes of their dataset."""

    def forward(self, pairs: Tensor, sizes: Tensor) -> Tensor:  # type: ignore[override]
        """``pairs`` ``[C, B, D, D]`` and ``sizes`` ``[B or 1, S]`` give ``[O, B, D, D]``.

        The weight reads the channels of pairs first, then the sizes, which are never expanded to
        all pairs.
        """
        by_pair, by_size = self.weight.split([len(pairs), sizes.shape[-1]], 1)
        hidden = (by_pair @ pairs.flatten(1)).view(-1, *pairs.shape[1:])
        out: Tensor = hidden + F.linear(sizes, by_size, self.bias).mT[..., None, None]
        return out


class ColumnLinear(nn.Linear):
    """A linear map of the channels of columns and of the features of their dataset."""

    def forward(self, columns: Tensor, side: Tensor) -> Tensor:  # type: ignore[override]
        """``columns`` ``[C, B, D]`` and ``side`` ``[B, S]`` give tokens ``[B, D, O]``."""
        count, batch, size = columns.shape
        by_column, by_side = self.weight.split([count, side.shape[-1]], 1)
        hidden = (columns.flatten(1).mT @ by_column.mT).view(batch, size, -1)
        out: Tensor = hidden + F.linear(side, by_side, self.bias)[:, None]
        return out


class CrossLinear(nn.Linear):
    """A linear map of the channels of pairs and of the sum of those of their two columns."""

    def forward(self, pairs: Tensor, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        """``pairs`` ``[C, B, dx, dy]``, ``x`` ``[E, B, dx]``, ``y`` ``[E, B, dy]`` give
        ``[O, B, dx, dy]``; the columns are mapped before they are added to all pairs."""
        by_pair, by_column = self.weight.split([len(pairs), len(x)], 1)
        hidden = torch.addmm(self.bias[:, None], by_pair, pairs.flatten(1))
        columns = torch.cat([x, y], -1)
        columns = (by_column @ columns.flatten(1)).view(-1, *columns.shape[1:])
        in_x, in_y = columns.split([x.shape[-1], y.shape[-1]], -1)
        hidden = hidden.view(-1, *pairs.shape[1:])
        out: Tensor = hidden + in_x[..., :, None] + in_y[..., None, :]
        return out


class SampleLinear(nn.Linear):
    """A linear map of the channels of samples, beside a bias of each dataset."""

    def forward(self, x: Tensor, side: Tensor) -> Tensor:  # type: ignore[override]
        """``x`` ``[B, C, N]`` and ``side`` ``[B or 1, O]`` give tokens ``[B, N, O]``."""
        weight = self.weight.mT.expand(len(x), -1, -1)
        return torch.baddbmm((side + self.bias)[:, None], x.mT, weight)


class TwoLayers(nn.Sequential):
    """Two linear layers with GELU between them, of which the first may take several inputs."""

    def __init__(self, first: nn.Linear, last: nn.Linear) -> None:
        super().__init__(first, nn.GELU(), last)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The ``inputs`` of the first layer."""
        first, between, last = self
        out: Tensor = last(between(first(*inputs)))
        return out


def unobserved(layer: nn.Module) -> bool:
    """Whether nothing has to see the calls of ``layer``: a plain linear layer without hooks."""
    hooks = layer._forward_hooks, layer._forward_pre_hooks
    back = layer._backward_hooks, layer._backward_pre_hooks
    return type(layer) is nn.Linear and not any(hooks) and not any(back)


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
        Where a projection has hooks or is replaced (parametrised, adapted), all are called.
        """
        if not all(map(unobserved, (self.query, self.key_value, self.out))):
            read = self._every_projection
        else:
            read = self._few_queries if x.shape[1] <= y.shape[1] else self._few_keys
        x = x + read(self.query_norm(x), self.set_norm(y), mask)
        out: Tensor = x + self.feed(self.feed_norm(x))
        return out

    def _every_projection(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Of normed sets: attention as it is written, with a call of every linear layer."""
        part = x.shape[-1] // self.heads
        q = self.query(x).unflatten(-1, (self.heads, part)).transpose(1, 2)
        both = self.key_value(y).unflatten(-1, (2, self.heads, part))
        k, v = both.permute(2, 0, 3, 1, 4).unbind()
        score = q @ k.mT * part**-0.5
        if mask is not None:
            score = score.masked_fill(~mask[:, None, None], -math.inf)
        out: Tensor = self.out((score.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return out

    def _few_queries(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Of normed sets: attention whose scores and means are taken of ``y`` itself.

        The bias of the keys moves all scores of a query alike, which is nothing to the softmax.
        """
        batch, count, width = x.shape
        part = width // self.heads
        weight, bias = self.key_value.weight, self.key_value.bias
        key, value = weight.view(2, self.heads, part, width).unbind()
        q = self.query(x).view(batch, count, self.heads, part).transpose(1, 2)
        probes = (q @ (key * part**-0.5)).view(batch, -1, width)
        score = probes @ y.mT
        if mask is not None:
            score = score.masked_fill(~mask[:, None], -math.inf)
        pooled = torch.bmm(score.softmax(-1), y).view(len(y), self.heads, count, width)
        pooled = (pooled @ value.mT).transpose(1, 2).flatten(2)
        out: Tensor = self.out(pooled + bias[width:])
        return out

    def _few_keys(self, x: Tensor, y: Tensor, mask: Tensor | None) -> Tensor:
        """Of normed sets: attention whose scores and outputs are linear maps made of ``y``."""
        batch, count, width = y.shape
        part = width // self.heads
        both = self.key_value(y).view(batch, count, 2, self.heads, part)
        k, v = both.permute(2, 0, 3, 1, 4).unbind()
        weight, bias = self.query.weight, self.query.bias
        query = torch.cat([weight, bias[:, None]], 1) * part**-0.5
        probes = (k @ query.view(self.heads, part, -1)).view(batch, -1, width + 1)
        x = x.expand(batch, -1, -1)
        score = torch.baddbmm(probes[..., width:], probes[..., :width], x.mT)
        score = score.view(batch, self.heads, count, -1)  # queries last: a fast softmax
        if mask is not None:
            score = score.masked_fill(~mask[:, None, :, None], -math.inf)
        share = score.softmax(2).flatten(1, 2)
        weight, bias = self.out.weight, self.out.bias
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
        self.bias = ChannelLinear(pair_width, 2 * heads)
        self.out = nn.Linear(2 * width, width)
        self.feed = mlp(width, 3 * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.feed[-1].weight)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor, bias: Tensor, weight: Tensor) -> Tensor:
        """``tokens`` ``[B, D, H]``; ``bias`` and signed ``weight`` of each pair, ``[h, B, D, D]``.

        They are both halves of :attr:`bias` of the pair statistics, the second one through
        ``tanh`` and divided by ``sqrt(D)``.
        """
        batch, size, width = tokens.shape
        part = width // self.heads
        q, k, v, u = (
            self.project(self.norm(tokens))
            .view(batch, size, 4, self.heads, part)
            .permute(2, 3, 0, 1, 4)
            .reshape(4, -1, size, part)
        )
        score = torch.baddbmm(bias.flatten(0, 1), q, k.mT, alpha=1 / math.sqrt(part))
        both = torch.cat([torch.bmm(score.softmax(-1), v), torch.bmm(weight.flatten(0, 1), u)], -1)
        both = both.view(self.heads, batch, size, 2 * part).permute(1, 2, 0, 3).flatten(2)
        tokens = tokens + self.out(both)
        out: Tensor = tokens + self.feed(self.feed_norm(tokens))
        return out
