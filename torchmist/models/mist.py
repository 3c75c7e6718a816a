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

from torchmist.copula import full_count, rank_transform, standardise
from torchmist.models.basis import Basis
from torchmist.models.channels import ANCHORS, DATASET, SIZES
from torchmist.models.config import MISTConfig
from torchmist.models.directions import Through, see_narrow
from torchmist.models.layers import (
    ChannelLinear,
    ColumnLinear,
    CrossLinear,
    FeatureAttention,
    InducedSetAttention,
    MultiheadAttentionBlock,
    PairLinear,
    SampleLinear,
    TwoLayers,
    affine,
    mlp,
)
from torchmist.models.neighbourhood import Neighbourhood, Surroundings
from torchmist.models.network import QuantileNetwork
from torchmist.models.pooling import (
    column_summaries,
    prefer_first,
    side_bars,
    side_indicators,
    side_weights,
)
from torchmist.models.statistics import Features, Statistics, sample_statistics
from torchmist.models.waves import wave_statistics
from torchmist.numerics.cache import cached, keepable
from torchmist.quantile_head import QuantileHead, from_nats, quantile_levels, to_nats

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
        pair, sample, side = len(c.pair_channels), len(c.sample_channels), len(DATASET)
        width = c.pair_width
        self.pair = TwoLayers(
            PairLinear(pair + len(SIZES), 2 * width), ChannelLinear(2 * width, width)
        )
        self.pool = ChannelLinear(width, 2 * _POOLS)
        self.token = ColumnLinear(6 * width + side, c.feature_width)
        self.features = nn.ModuleList(
            FeatureAttention(c.feature_width, c.heads, c.pair_width)
            for _ in range(c.feature_layers)
        )
        self.feature_norm = nn.LayerNorm(c.feature_width)
        read = c.readout_width
        self.readout_token = ChannelLinear(c.feature_width, 2 * read)
        self.readout = TwoLayers(CrossLinear(width + 2 * read, read), ChannelLinear(read, read))
        self.coupling = ChannelLinear(read, c.paired)
        self.share = ChannelLinear(read, 2)
        self.embed = nn.Linear(c.feature_width, c.embedding)
        self.sample_token = SampleLinear(sample, c.sample_width)
        self.sample_side = nn.Linear(side, c.sample_width)
        self.samples = nn.ModuleList(
            InducedSetAttention(c.sample_width, c.heads, c.inducing) for _ in range(c.sample_layers)
        )
        self.seeds = nn.Parameter(0.1 * torch.randn(1, c.seeds, c.sample_width))
        self.seed_pool = MultiheadAttentionBlock(c.sample_width, c.heads)
        self.seed_norm = nn.LayerNorm(c.sample_width)
        summary = 3 * c.feature_width + 4 * c.readout_width + c.seeds * c.sample_width + side + 2
        self.neighbourhood = Neighbourhood(c) if c.local else None
        if self.neighbourhood is not None:
            summary += self.neighbourhood.summary
        self.trunk = nn.Sequential(mlp(summary, c.head_width, c.head_width), nn.GELU())
        self.blend = mlp(len(SIZES), 64, 2 * len(ANCHORS) + 2)
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
        with torch.inference_mode():  # a tenth faster than no_grad on small samples
            out, _ = self._estimate(x, y, mask)
        return out.clone()  # an ordinary tensor again

    def with_surroundings(
        self, x: Tensor, y: Tensor, mask: Tensor | None = None, *,
        through: tuple[Through, Through] | None = None,
    ) -> tuple[Tensor, Surroundings]:  # fmt: skip
        """Quantiles as :meth:`forward`, and what the local statistics say of the whole sample.

        ``through``: what ``see_narrow(x, y, mask)`` gives, where it is known.

        Raises:
            ValueError: if the network reads no local statistics.
        """
        out, around = self._estimate(x, y, mask, through)
        if around is None:
            raise ValueError("expected a network of config local=1, got one without opinions")
        return out, around

    def state_of(self, other: MIST) -> dict[str, Tensor]:
        """The weights of ``other`` for this network, with zeros for pair channels that it lacks.

        Where this network reads all that ``other`` reads, it computes the same function with them.
        """
        state, name = other.state_dict(), "pair.0.weight"
        mine, known = self.config.pair_channels, other.config.pair_channels
        place = {channel: k for k, channel in enumerate((*known, *SIZES))}
        weight = F.pad(state[name], (0, 1))  # the last column is 0
        columns = [place.get(channel, -1) for channel in (*mine, *SIZES)]
        return {**state, name: weight[:, columns]}

    def _estimate(
        self, x: Tensor, y: Tensor, mask: Tensor | None,
        through: tuple[Through, Through] | None = None,
    ) -> tuple[Tensor, Surroundings | None]:  # fmt: skip
        rows = None
        with _full_precision(x):
            if self.neighbourhood is not None and through is None:
                through = see_narrow(x, y, mask)
            if through is not None:
                (x, by_x), (y, by_y) = through
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
    ) -> tuple[Tensor, Surroundings | None]:  # fmt: skip
        """Quantiles ``[B, Q]`` and what the local statistics say, if there are any."""
        c = self.config
        with _full_precision(scores):
            if mask is None:  # the same in one operation; scores that are constant are 0
                z = F.layer_norm(scores, scores.shape[-1:], eps=1e-12)
            else:
                z, values = standardise(scores, mask), values * mask[:, None, :]
            features = Features.of(values, c.odd, c.paired)
            stats = sample_statistics(z, features, dx, radial=c.radial, mask=mask)
            if c.local:
                stats = stats.with_pairs(wave_statistics(scores, mask))
        pairs = self.pair(stats.pairs, stats.sizes)
        pool, bias, signed = self._pair_reads(pairs)
        tokens = self._feature_tokens(pairs, pool, stats.side, dx)
        for layer, each_bias, weight in zip(self.features, bias, signed):
            tokens = layer(tokens, each_bias, weight)
        tokens = self.feature_norm(tokens)
        readout = self._readout(pairs, tokens, dx)
        coupling, share = self.coupling(readout), self.share(readout)
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
        summary = [*column_summaries(tokens, readout, dx), seeds.flatten(1), stats.side, nats]
        centre = self._centre(stats, pair_sum)
        if local is not None and self.neighbourhood is not None:
            opinions = self.neighbourhood.opinions_of(local, centre)
            around = self.neighbourhood.summarise(local)
            summary += [around, *opinions]
        hidden = self.trunk(torch.cat(summary, -1))
        with _full_precision(scores):
            hidden = hidden.to(z.dtype)
            if local is None or self.neighbourhood is None:
                return to_nats(self.head(hidden, centre)), None
            centre = self.neighbourhood.blend(opinions, hidden, centre)
            seen = Surroundings(local.opinions, centre, around)
            return to_nats(self.head(hidden, centre)), seen

    def _pair_reads(self, pairs: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Of each pair: pooling weights ``[2 T, B, D, D]``, and biases and signed weights of the
        attention of each feature layer, ``[h, B, D, D]``."""
        reads = [cast(FeatureAttention, layer).bias(pairs).chunk(2) for layer in self.features]
        # tanh(x) = 2 sigmoid(2 x) - 1, which takes a fifth of the time on CPU
        scale = 2 / math.sqrt(pairs.shape[-1])
        signed = [(torch.sigmoid(2 * weight) - 0.5) * scale for _, weight in reads]
        return self.pool(pairs), [bias for bias, _ in reads], signed

    def _feature_tokens(self, pairs: Tensor, pool: Tensor, side: Tensor, dx: int) -> Tensor:
        """Tokens ``[B, D, H]`` that carry no order: pooled pairs with either side, and the self."""
        size = pairs.shape[-1]
        share = pool.view(2, _POOLS, *pairs.shape[1:])
        share = (share + cached(side_bars, dx, size - dx, like=share)).softmax(-1)
        groups = pairs.view(_POOLS, -1, *pairs.shape[1:])
        same, other = (share.unsqueeze(2) * groups).sum(-1).flatten(1, 2)
        means = pairs @ cached(side_weights, dx, size - dx, like=pairs)
        in_x, in_y, mean = means.unbind(-1)
        mean_same = torch.cat([in_x[..., :dx], in_y[..., dx:]], -1)
        mean_other = torch.cat([in_y[..., :dx], in_x[..., dx:]], -1)
        itself = pairs.diagonal(dim1=-2, dim2=-1)
        read = torch.cat([mean_same, same, mean_other, other, itself, mean])
        out: Tensor = self.token(read, side)
        return out

    def _readout(self, pairs: Tensor, tokens: Tensor, dx: int) -> Tensor:
        """What each pair of an X and a Y column shares, ``[R, B, dx, dy]``, symmetric in sides."""
        between = torch.lerp(pairs[..., :dx, dx:], pairs[..., dx:, :dx].mT, 0.5)
        product, total = self.readout_token(tokens.movedim(-1, 0)).chunk(2)
        product = product[..., :dx, None] * product[..., None, dx:]
        read = torch.cat([between, product])
        out: Tensor = self.readout(read, total[..., :dx], total[..., dx:])
        return out

    def _sample_tokens(
        self, features: Features, tokens: Tensor, coupling: Tensor, stats: Statistics,
        radii: Tensor, dx: int,
    ) -> Tensor:  # fmt: skip
        """Tokens ``[B, N, H]`` of the samples, free of column order, sign and side."""
        c = self.config
        size = tokens.shape[1]
        sides = [dx, size - dx]
        weight = affine(self.embed, tokens) * (stats.scale[c.odd :] * (2 / size**0.5))
        weight = (weight.unsqueeze(-2) * cached(side_indicators, *sides, like=weight)).flatten(-2)
        by_x, by_y = (weight.mT @ features.even).chunk(2, -2)
        odd_x, odd_y = features.odd_paired.split(sides, 2)
        scale_x, scale_y = stats.scale[: c.paired].split(sides, 2)
        strength = coupling * stats.sign[:, :dx, dx:] * (scale_x * (scale_y.mT * size**-0.5))
        bilinear = (strength @ odd_y * odd_x).sum(2)
        parts = [v.transpose(0, 1).flatten(1, 2) for v in (by_x + by_y, by_x * by_y)]
        token = torch.cat([*parts, radii, bilinear.transpose(0, 1)], 1)
        out: Tensor = self.sample_token(token, self.sample_side(stats.side))
        return out

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
        out: Tensor = self.blend(stats.sizes)
        weight, scale, gate = out.split([len(ANCHORS), len(ANCHORS), 2], -1)
        weight = (weight + cached(prefer_first, len(ANCHORS), like=weight)).softmax(-1)
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
