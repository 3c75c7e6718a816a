"""MIST: mutual information of a whole sample in one forward pass.

Legend: ``B`` datasets, ``N`` samples, ``D = dx + dy`` features, ``K`` basis functions, ``P`` pair
channels, ``H`` feature width, ``R`` readout width, ``Q`` quantiles.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.copula import rank_transform, standardise
from torchmist.heads import QuantileHead, from_nats, quantile_levels, to_nats
from torchmist.models.basis import Basis
from torchmist.models.config import MISTConfig
from torchmist.models.layers import (
    FeatureAttention,
    InducedSetAttention,
    MultiheadAttentionBlock,
    mlp,
)
from torchmist.models.statistics import (
    ANCHORS,
    RADIAL,
    RADII,
    SIDE,
    SIZES,
    Features,
    Statistics,
    pair_count,
    sample_statistics,
)

__all__ = ["MIST", "MISTConfig"]

_POOLS = 4


class MIST(nn.Module):
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
        raw = pair_count(c.odd, c.even, c.paired) + c.radial * RADIAL
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
        with torch.autocast(x.device.type, enabled=False):
            scores, codes = rank_transform(torch.cat([x, y], -1), mask)
            counts = self._counts(scores, mask)
            values = self.basis(scores, codes, counts, masked=mask is not None)
        return self._quantiles(scores, values, x.shape[-1], counts, mask)

    def from_scores(self, zx: Tensor, zy: Tensor) -> Tensor:
        """The smooth part alone: quantiles from unscaled scores ``[B, N, dx]``, ``[B, N, dy]``.

        Equal to :meth:`forward` on samples that have these scores, and smooth in them.
        """
        scores = torch.cat([zx, zy], -1).mT
        counts = self._counts(scores, None)
        values = self.basis.at(scores, counts)
        return self._quantiles(scores, values, zx.shape[-1], counts, None)

    @staticmethod
    def _counts(scores: Tensor, mask: Tensor | None) -> Tensor:
        """Samples per dataset, ``[B]``, or ``[1]`` when all datasets have all samples."""
        if mask is not None:
            return mask.sum(-1)
        return torch.full((1,), scores.shape[-1], dtype=torch.int64, device=scores.device)

    def _quantiles(
        self, scores: Tensor, values: Tensor, dx: int, counts: Tensor, mask: Tensor | None
    ) -> Tensor:
        c = self.config
        with torch.autocast(scores.device.type, enabled=False):
            z = standardise(scores, mask)
            if mask is not None:
                values = values * mask[:, None, :]
            features = Features.of(values, c.odd, c.paired)
            stats = sample_statistics(
                z, features, counts.expand(len(z)), dx, radial=bool(c.radial), mask=mask
            )
        pairs = self._pairs(stats)
        tokens = self._feature_tokens(pairs, stats.side, dx)
        for layer in self.features:
            tokens = layer(tokens, pairs)
        tokens = self.feature_norm(tokens)
        readout = self._readout(pairs, tokens, dx)
        samples = self._sample_tokens(features, tokens, readout, stats, dx)
        for layer in self.samples:
            samples = layer(samples, mask)
        seeds = self.seed_norm(
            self.seed_pool(self.seeds.expand(samples.shape[0], -1, -1), samples, mask)
        )
        pair_sum = self._pair_sum(readout, stats, dx)
        nats = torch.stack([pair_sum / 4, (pair_sum + 1e-2).log() / 3], -1)
        summary = [_summarise(tokens, readout, dx), seeds.flatten(1), stats.side, nats]
        hidden = self.trunk(torch.cat(summary, -1))
        with torch.autocast(scores.device.type, enabled=False):
            return to_nats(self.head(hidden.to(z.dtype), self._centre(stats, pair_sum)))

    def _pairs(self, stats: Statistics) -> Tensor:
        """Pair channels ``[B, D, D, P]`` from the raw statistics and the sizes."""
        size = stats.pairs.shape[1]
        sizes = stats.sizes[:, None, None].expand(-1, size, size, -1)
        out: Tensor = self.pair(torch.cat([stats.pairs, sizes], -1))
        return out

    def _feature_tokens(self, pairs: Tensor, side: Tensor, dx: int) -> Tensor:
        """Tokens ``[B, D, H]`` that carry no order: pooled pairs with either side, and the self."""
        weight = self.pool(pairs)
        in_x, in_y = (
            torch.cat(
                [_pool(pairs[:, :, part], weight[:, :, part, which]) for which in _HALVES], -1
            )
            for part in (slice(None, dx), slice(dx, None))
        )
        half = in_x.shape[-1] // 2  # pooled as same side | pooled as other side
        same = torch.cat([in_x[:, :dx, :half], in_y[:, dx:, :half]], 1)
        other = torch.cat([in_y[:, :dx, half:], in_x[:, dx:, half:]], 1)
        own = pairs.diagonal(dim1=1, dim2=2).mT
        side = side[:, None].expand(-1, pairs.shape[1], -1)
        out: Tensor = self.token(torch.cat([same, other, own, pairs.mean(2), side], -1))
        return out

    def _readout(self, pairs: Tensor, tokens: Tensor, dx: int) -> Tensor:
        """What each pair of an X and a Y column shares, ``[B, dx, dy, R]``, symmetric in sides."""
        between = (pairs[:, :dx, dx:] + pairs[:, dx:, :dx].transpose(1, 2)) / 2
        product, total = self.readout_token(tokens).chunk(2, -1)
        out: Tensor = self.readout(
            torch.cat(
                [
                    between,
                    product[:, :dx, None] * product[:, None, dx:],
                    total[:, :dx, None] + total[:, None, dx:],
                ],
                -1,
            )
        )
        return out

    def _sample_tokens(
        self, features: Features, tokens: Tensor, readout: Tensor, stats: Statistics, dx: int
    ) -> Tensor:
        """Tokens ``[B, N, H]`` of the samples, free of column order, sign and side."""
        c = self.config
        size = tokens.shape[1]
        sides = [dx, size - dx]
        weight = self.embed(tokens) * stats.scale[c.odd :, ..., None] * (2 / size**0.5)
        by_side = [
            torch.cat([paired.mT @ w[: c.paired], rest.mT @ w[c.paired :]])
            .permute(1, 2, 0, 3)
            .flatten(2)
            for paired, rest, w in zip(
                features.even_paired.split(sides, 2),
                features.even_rest.split(sides, 2),
                weight.split(sides, 2),
            )
        ]
        odd_x, odd_y = features.odd_paired.split(sides, 2)
        scale_x, scale_y = stats.scale[: c.paired, ..., None].split(sides, 2)
        strength = self.coupling(readout).permute(3, 0, 1, 2) * stats.sign[:, :dx, dx:]
        strength = strength * scale_x * scale_y.mT / size**0.5
        bilinear = (strength @ odd_y * odd_x).sum(2)
        parts = [by_side[0] + by_side[1], by_side[0] * by_side[1]]
        token = torch.cat([*parts, stats.radii, bilinear.permute(1, 2, 0)], -1)
        out: Tensor = self.sample_token(token) + self.sample_side(stats.side)[:, None]
        return out

    def _pair_sum(self, readout: Tensor, stats: Statistics, dx: int) -> Tensor:
        """MI in nats as a sum over pairs of columns, each with its learned share, ``[B]``.

        What is credible where samples are fewer than features: pairs that stand out.
        """
        share, extra = self.share(readout).to(stats.pair_mi.dtype).unbind(-1)
        each = stats.pair_mi[:, :dx, dx:] + F.softplus(extra - 3)
        return (torch.sigmoid(share - 3) * each).sum((1, 2))

    def _centre(self, stats: Statistics, pair_sum: Tensor) -> Tensor:
        """Where the head measures from, ``[B]`` in ``t``: closed forms or the sum over pairs.

        The share of each is learned from ``N``, ``dx`` and ``dy``.
        """
        weight, scale, gate = self.blend(stats.sizes).split([ANCHORS, ANCHORS, 2], -1)
        weight = torch.cat([weight[:, :1] + 2, weight[:, 1:]], -1).softmax(-1)
        base = (weight * (scale / 2).exp() * stats.anchors).sum(-1)
        trust = torch.sigmoid(gate[:, 0] + 3 * stats.sizes[:, 3])
        out: Tensor = trust * from_nats(base) + (1 - trust) * from_nats(pair_sum) + gate[:, 1]
        return out


_HALVES = (slice(None, _POOLS), slice(_POOLS, None))


def _pool(pairs: Tensor, weight: Tensor) -> Tensor:
    """Mean and softmax pooling over the third axis: ``[B, D, J, P]`` to ``[B, D, 2 P]``."""
    share = weight.softmax(2)
    groups = pairs.unflatten(-1, (_POOLS, -1))
    return torch.cat([pairs.mean(2), (share.unsqueeze(-1) * groups).sum(2).flatten(2)], -1)


def _summarise(tokens: Tensor, readout: Tensor, dx: int) -> Tensor:
    """Order-free and side-free summary of feature tokens and readout."""
    ex, ey = tokens[:, :dx], tokens[:, dx:]
    best_y = ((4 * readout).softmax(2) * readout).sum(2)
    best_x = ((4 * readout).softmax(1) * readout).sum(1)
    return torch.cat(
        [
            ex.mean(1) + ey.mean(1),
            ex.amax(1) + ey.amax(1),
            tokens.sum(1) / 8,
            readout.mean((1, 2)),
            best_y.mean(1) + best_x.mean(1),
            (best_y.sum(1) + best_x.sum(1)) / 8,
            readout.sum((1, 2)) / tokens.shape[1],
        ],
        -1,
    )
