"""MIST: mutual information of a whole sample in one forward pass.

Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy`` features, ``K`` basis functions, ``P`` pair
channels, ``H`` feature width, ``R`` readout width, ``Q`` quantiles. What belongs to pairs of
columns has its channels first.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.constant import constant, keepable
from torchmist.copula import full_count, rank_transform, standardise
from torchmist.heads import QuantileHead, from_nats, quantile_levels, to_nats
from torchmist.models.basis import Basis
from torchmist.models.config import MISTConfig
from torchmist.models.directions import WIDEST, see_through
from torchmist.models.heap import keep_heap
from torchmist.models.layers import (
    FeatureAttention,
    InducedSetAttention,
    MultiheadAttentionBlock,
    affine,
    mlp,
    own,
)
from torchmist.models.neighbourhood import Neighbourhood
from torchmist.models.network import QuantileNetwork
from torchmist.models.statistics import (
    ANCHORS,
    RADIAL,
    RADII,
    SIDE,
    SIZES,
    Features,
    Statistics,
    pair_count,
    roles,
    sample_statistics,
)
from torchmist.models.waves import WAVES, wave_statistics

__all__ = ["MIST", "MISTConfig"]

_POOLS = 4


class MIST(QuantileNetwork):
    """Mutual information estimation by supervised training, order-free.

    A set transformer (Lee et al. 2019; MIST, arXiv 2511.18945) along the samples, joined to one
    along the features, over the copula of the sample. The estimate is invariant, by construction,
    under permutations of the samples, of the columns of X and of Y, under swapping X and Y, and
    under any strictly monotone map of any column.

    1. columns become ranks, and a learned basis of odd and even functions of their scores;
    2. Gram matrices of the basis, partial correlations and roles describe each pair of columns,
       and are biases and weights of attention over feature tokens;
    3. feature tokens weigh the columns into sample tokens, beside Mahalanobis radii and learned
       bilinear forms between X and Y; induced set attention and pooling read them;
    4. a head turns it all into increasing quantiles of ``log(I + 0.2)``, measured from a
       closed-form Gaussian copula MI to the degree that ``N``, ``dx`` and ``dy`` make it credible.

    No dropout: train and eval modes agree.

    Example:
        >>> import torch
        >>> model = MIST(MISTConfig(feature_width=16, sample_width=16, heads=2, head_width=32))
        >>> model(torch.randn(3, 50, 2), torch.randn(3, 50, 5)).shape
        torch.Size([3, 24])
    """

    levels: Tensor

    def __init__(self, config: MISTConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or MISTConfig()
        self.register_buffer("levels", quantile_levels(c.quantiles), persistent=False)
        self.basis = Basis(c.odd, c.even, c.basis_width)
        raw = pair_count(c.odd, c.even, c.paired) + c.radial * RADIAL + c.local * WAVES
        self.pair = mlp(SIZES + raw, 2 * c.pair_width, c.pair_width)
        self.pool = nn.Linear(c.pair_width, 2 * _POOLS)
        self.token = nn.Linear(6 * c.pair_width + SIDE, c.feature_width)
        self.features = nn.ModuleList(
            FeatureAttention(c.feature_width, c.heads, c.pair_width)
            for _ in range(c.feature_layers)
        )
        self.feature_norm = nn.LayerNorm(c.feature_width)
        self.readout_token = nn.Linear(c.feature_width, 2 * c.readout_width)
        self.readout = mlp(c.pair_width + 2 * c.readout_width, c.readout_width, c.readout_width)
        self.coupling = nn.Linear(c.readout_width, c.paired)
        self.share = nn.Linear(c.readout_width, 2)
        self.embed = nn.Linear(c.feature_width, c.embedding)
        self.sample_token = nn.Linear(2 * c.even * c.embedding + RADII + c.paired, c.sample_width)
        self.sample_side = nn.Linear(SIDE, c.sample_width)
        self.samples = nn.ModuleList(
            InducedSetAttention(c.sample_width, c.heads, c.inducing) for _ in range(c.sample_layers)
        )
        self.seeds = nn.Parameter(0.1 * torch.randn(1, c.seeds, c.sample_width))
        self.seed_pool = MultiheadAttentionBlock(c.sample_width, c.heads)
        self.seed_norm = nn.LayerNorm(c.sample_width)
        summary = 3 * c.feature_width + 4 * c.readout_width + c.seeds * c.sample_width + SIDE + 2
        self.neighbourhood = Neighbourhood(c) if c.local else None
        if self.neighbourhood is not None:
            summary += self.neighbourhood.summary
        self.trunk = nn.Sequential(mlp(summary, c.head_width, c.head_width), nn.GELU())
        self.blend = mlp(SIZES, 64, 2 * ANCHORS + 2)
        nn.init.zeros_(self.blend[-1].weight)  # type: ignore[arg-type]
        self.head = QuantileHead(c.head_width, c.quantiles)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """Quantiles of I(X;Y) in nats.

        Args:
            x: ``[B, N, dx]`` floating point, any scale; differentiable through the ranks.
            y: ``[B, N, dy]``.
            mask: ``[B, N]`` bool, True for real samples, when the datasets differ in size.

        Returns:
            ``[B, Q]``, increasing along ``Q``, at the levels in ``self.levels``. Their mean is
            the point estimate. Values below 0 (never under -0.2) can occur near independence.
        """
        if torch.is_grad_enabled() or not keepable(x):
            return self._estimate(x, y, mask)[0]
        keep_heap()
        with torch.inference_mode():  # a tenth faster than no_grad on small samples
            out, _ = self._estimate(x, y, mask)
        return out.clone()  # an ordinary tensor again

    def with_opinions(
        self, x: Tensor, y: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Quantiles as :meth:`forward`, and the estimates of neighbours and kernels that they are
        measured from, ``[B, O]`` in nats.

        Raises:
            ValueError: if the network reads no local statistics.
        """
        out, opinions = self._estimate(x, y, mask)
        if opinions is None:
            raise ValueError("expected a network of config local=1, got one that has no opinions")
        return out, opinions

    def _estimate(self, x: Tensor, y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        rows = None
        with _full_precision(x):
            if self.neighbourhood is not None and max(x.shape[-1], y.shape[-1]) > WIDEST:
                (x, by_x), (y, by_y) = see_through(x, y, mask)
                rows = by_x, by_y
            scores, codes = rank_transform(torch.cat([x.mT, y.mT], 1).mT, mask)
            counts = full_count(x.shape[1], scores) if mask is None else mask.sum(-1)
            values = self.basis(scores, codes, counts, masked=mask is not None)
            del codes  # large, and read by nothing else
        return self._quantiles(scores, values, x.shape[-1], mask, rows)

    def from_scores(self, zx: Tensor, zy: Tensor) -> Tensor:
        """The smooth part alone: quantiles from unscaled scores ``[B, N, dx]``, ``[B, N, dy]``.

        Equal to :meth:`forward` on samples that have these scores, and smooth in them.
        """
        scores = torch.cat([zx, zy], -1).mT
        values = self.basis.at(scores, full_count(zx.shape[1], scores))
        return self._quantiles(scores, values, zx.shape[-1], None)[0]

    def _quantiles(
        self, scores: Tensor, values: Tensor, dx: int, mask: Tensor | None,
        rows: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """Quantiles ``[B, Q]`` and the opinions of neighbours, if there are any."""
        c = self.config
        with _full_precision(scores):
            if mask is None:  # the same in one operation; scores that are constant are 0
                z = F.layer_norm(scores, scores.shape[-1:], eps=1e-12)
            else:
                z, values = standardise(scores, mask), values * mask[:, None, :]
            features = Features.of(values, c.odd, c.paired)
            stats = sample_statistics(z, features, dx, radial=bool(c.radial), mask=mask)
            if c.local:
                stats = stats.with_pairs(wave_statistics(scores, mask))
        pairs = self._pairs(stats)
        pool, bias, signed = self._pair_reads(pairs)
        tokens = self._feature_tokens(pairs, pool, stats.side, dx)
        for layer, *read in zip(self.features, bias, signed):
            tokens = layer(tokens, *read)
        tokens = self.feature_norm(tokens)
        readout = self._readout(pairs, tokens, dx)
        coupling, share = _linear(readout, self.coupling, self.share).split([c.paired, 2])
        local, radii = None, stats.radii
        if self.neighbourhood is not None:
            with _full_precision(scores):
                local = self.neighbourhood.look(z, tokens, dx, mask, rows)
            features, radii = local.chosen.of_features(features), local.chosen.at_queries(radii)
            mask = None if local.chosen.present is None else local.chosen.present[..., 0] > 0
        samples = self._sample_tokens(features, tokens, coupling, stats, radii, dx)
        if local is not None and self.neighbourhood is not None:
            samples = self.neighbourhood.exchange(samples, local)
        for layer in self.samples:
            samples = layer(samples, mask)
        seeds = self.seed_norm(self.seed_pool(self.seeds, samples, mask))
        pair_sum = self._pair_sum(share, stats, dx)
        nats = torch.stack([pair_sum / 4, (pair_sum + 1e-2).log() / 3], -1)
        summary = [*_summarise(tokens, readout, dx), seeds.flatten(1), stats.side, nats]
        centre = self._centre(stats, pair_sum)
        if local is not None and self.neighbourhood is not None:
            said = self.neighbourhood.said(local, centre)
            summary += self.neighbourhood.summarise(local, said)
        enter, leave = self.trunk[0][0], self.trunk[0][2]  # type: ignore[index]
        hidden = F.gelu(affine(leave, F.gelu(affine(enter, torch.cat(summary, -1)))))
        with _full_precision(scores):
            hidden = hidden.to(z.dtype)
            if local is not None and self.neighbourhood is not None:
                centre = self.neighbourhood.blend(said, hidden, centre)
            opinions = None if local is None else local.opinions
            return to_nats(self.head(hidden, centre)), opinions

    def _pairs(self, stats: Statistics) -> Tensor:
        """Pair channels ``[P, B, D, D]`` from the raw statistics and the sizes."""
        weight, bias = own(self.pair[0])
        said, sizes = weight.split([len(stats.pairs), SIZES], 1)
        hidden = (said @ stats.pairs.flatten(1)).view(-1, *stats.pairs.shape[1:])
        sizes = F.linear(stats.sizes, sizes, bias).mT
        return _linear(F.gelu(hidden + sizes[..., None, None]), self.pair[2])

    def _pair_reads(self, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each pair: pooling weights ``[2 T, B, D, D]``, and biases and signed weights of the
        attention of all feature layers, ``[layers, h, B, D, D]``."""
        heads = self.config.heads
        biases = (cast(FeatureAttention, layer).bias for layer in self.features)
        reads = _linear(pairs, self.pool, *biases)
        pool, rest = reads.split([2 * _POOLS, len(reads) - 2 * _POOLS])
        bias, signed = rest.view(-1, 2, heads, *pairs.shape[1:]).unbind(1)
        # tanh(x) = 2 sigmoid(2 x) - 1, which takes a fifth of the time on CPU
        return pool, bias, (torch.sigmoid(2 * signed) - 0.5) * (2 / math.sqrt(pairs.shape[-1]))

    def _feature_tokens(self, pairs: Tensor, pool: Tensor, side: Tensor, dx: int) -> Tensor:
        """Tokens ``[B, D, H]`` that carry no order: pooled pairs with either side, and the self."""
        _, batch, size, _ = pairs.shape
        share = pool.view(2, _POOLS, *pairs.shape[1:])
        share = (share + constant(_other_side, dx, size - dx, like=share)).softmax(-1)
        groups = pairs.view(_POOLS, -1, *pairs.shape[1:])
        same, other = (share.unsqueeze(2) * groups).sum(-1).flatten(1, 2)
        means = pairs @ constant(_shares, dx, size - dx, like=pairs)
        in_x, in_y, mean = means.unbind(-1)
        mean_same = torch.cat([in_x[..., :dx], in_y[..., dx:]], -1)
        mean_other = torch.cat([in_y[..., :dx], in_x[..., dx:]], -1)
        itself = pairs.diagonal(dim1=-2, dim2=-1)
        read = torch.cat([mean_same, same, mean_other, other, itself, mean]).flatten(1)
        weight, bias = own(self.token)
        out: Tensor = (read.mT @ weight[:, : len(read)].mT).view(batch, size, -1)
        return out + F.linear(side, weight[:, len(read) :], bias)[:, None]

    def _readout(self, pairs: Tensor, tokens: Tensor, dx: int) -> Tensor:
        """What each pair of an X and a Y column shares, ``[R, B, dx, dy]``, symmetric in sides."""
        between = torch.lerp(pairs[..., :dx, dx:], pairs[..., dx:, :dx].mT, 0.5)
        product, total = _linear(tokens.movedim(-1, 0), self.readout_token).chunk(2)
        product = product[..., :dx, None] * product[..., None, dx:]
        weight, bias = own(self.readout[0])
        read = torch.cat([between, product])
        by_pair, by_column = weight.split([len(read), len(total)], 1)
        hidden = torch.addmm(bias[:, None], by_pair, read.flatten(1)).view(-1, *read.shape[1:])
        total = (by_column @ total.flatten(1)).view(total.shape)
        hidden = hidden + total[..., :dx, None] + total[..., None, dx:]
        return _linear(F.gelu(hidden), self.readout[2])

    def _sample_tokens(
        self, features: Features, tokens: Tensor, coupling: Tensor, stats: Statistics,
        radii: Tensor, dx: int,
    ) -> Tensor:  # fmt: skip
        """Tokens ``[B, N, H]`` of the samples, free of column order, sign and side."""
        c = self.config
        size = tokens.shape[1]
        sides = [dx, size - dx]
        weight = affine(self.embed, tokens) * (stats.scale[c.odd :] * (2 / size**0.5))
        weight = (weight.unsqueeze(-2) * constant(_sides, *sides, like=weight)).flatten(-2)
        by_x, by_y = (weight.mT @ features.even).chunk(2, -2)
        odd_x, odd_y = features.odd_paired.split(sides, 2)
        scale_x, scale_y = stats.scale[: c.paired].split(sides, 2)
        strength = coupling * stats.sign[:, :dx, dx:] * (scale_x * (scale_y.mT * size**-0.5))
        bilinear = (strength @ odd_y * odd_x).sum(2)
        parts = [v.transpose(0, 1).flatten(1, 2) for v in (by_x + by_y, by_x * by_y)]
        token = torch.cat([*parts, radii, bilinear.transpose(0, 1)], 1)
        side = affine(self.sample_side, stats.side) + self.sample_token.bias
        weight = self.sample_token.weight.mT.expand(len(token), -1, -1)
        return torch.baddbmm(side[:, None], token.mT, weight)

    def _pair_sum(self, share: Tensor, stats: Statistics, dx: int) -> Tensor:
        """MI in nats as a sum over pairs of columns, each with its learned share, ``[B]``.

        What is credible where samples are fewer than features: pairs that stand out.
        """
        share, extra = (share.to(stats.pair_mi.dtype) - 3).unbind()
        each = stats.pair_mi[:, :dx, dx:] + F.softplus(extra)
        return (torch.sigmoid(share) * each).sum((1, 2))

    def _centre(self, stats: Statistics, pair_sum: Tensor) -> Tensor:
        """Where the head measures from, ``[B]`` in ``t``: closed forms or the sum over pairs.

        The share of each is learned from ``N``, ``dx`` and ``dy``.
        """
        out: Tensor = affine(self.blend[2], F.gelu(affine(self.blend[0], stats.sizes)))
        weight, scale, gate = out.split([ANCHORS, ANCHORS, 2], -1)
        weight = (weight + constant(_first, ANCHORS, like=weight)).softmax(-1)
        base = (weight * (scale / 2).exp() * stats.anchors).sum(-1)
        trust = torch.sigmoid(gate[:, 0] + 3 * stats.sizes[:, 3])
        out = torch.lerp(from_nats(pair_sum), from_nats(base), trust) + gate[:, 1]
        return out


def _full_precision(like: Tensor) -> AbstractContextManager[None]:
    """No autocast; entering that costs as much as several operations, so only where it is on."""
    kind = like.device.type
    if torch.compiler.is_compiling() or torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return nullcontext()


def _linear(value: Tensor, *layers: nn.Module) -> Tensor:
    """Linear layers of the first axis of ``[C, ...]``, one below the other."""
    weight, bias = own(layers[0])
    if len(layers) > 1:
        weight, bias = (torch.cat(parts) for parts in zip(*map(own, layers)))
    return torch.addmm(bias[:, None], weight, value.flatten(1)).view(-1, *value.shape[1:])


def _other_side(dx: int, dy: int, like: Tensor) -> Tensor:
    """What bars pairs of two sides, and of one side, from a softmax, ``[2, 1, 1, D, D]``."""
    bars = torch.stack([roles(dx, dy, like)[1], roles(dx, dy, like)[0]]).unsqueeze(1)
    return torch.where(bars > 0, -math.inf, 0.0).to(like.dtype)


def _first(count: int, like: Tensor) -> Tensor:
    """2 at the first of ``count`` places, ``[1, count]``."""
    return F.pad(torch.full((1, 1), 2.0, dtype=like.dtype, device=like.device), (0, count - 1))


def _sides(dx: int, dy: int, like: Tensor) -> Tensor:
    """Indicators of X and of Y, ``[D, 2, 1]``."""
    same = roles(dx, dy, like)[0, 0]
    return same[:, [0, -1], None]


def _shares(dx: int, dy: int, like: Tensor) -> Tensor:
    """Weights of the means over X, over Y and over all columns, ``[D, 3]``."""
    sides = _sides(dx, dy, like)[..., 0]
    weight = torch.cat([sides, torch.ones_like(sides[:, :1])], -1)
    return weight / weight.sum(0)


def _column_means(dx: int, dy: int, like: Tensor) -> Tensor:
    """What makes of the columns the sum of the means of both sides, ``[1, D]``."""
    return _shares(dx, dy, like)[None, :, :2].sum(-1)


def _pair_totals(dx: int, dy: int, like: Tensor) -> Tensor:
    """What makes four summaries of sums over all pairs and over the best ones of each column."""
    rows = [[1 / (dx * dy), 0, 0], [0, 1 / dx, 1 / dy], [0, 1 / 8, 1 / 8], [1 / (dx + dy), 0, 0]]
    return torch.tensor(rows, dtype=like.dtype, device=like.device)


def _summarise(tokens: Tensor, readout: Tensor, dx: int) -> list[Tensor]:
    """Order-free and side-free summaries of feature tokens and readout."""
    dy = tokens.shape[1] - dx
    peaked = 4 * readout
    best_x = (peaked.softmax(-1) * readout).sum((-2, -1))
    best_y = (peaked.softmax(-2) * readout).sum((-2, -1))
    pairs = torch.stack([readout.sum((-2, -1)), best_x, best_y]).flatten(1)
    pairs = constant(_pair_totals, dx, dy, like=pairs) @ pairs
    return [
        (constant(_column_means, dx, dy, like=tokens) @ tokens).squeeze(1),
        tokens[:, :dx].amax(1) + tokens[:, dx:].amax(1),
        tokens.sum(1) / 8,
        pairs.view(4 * len(readout), -1).mT,
    ]
