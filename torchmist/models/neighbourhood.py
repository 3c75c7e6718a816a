"""What the network makes of local statistics: views, tokens, messages, and a blend of opinions.

Legend: ``B`` datasets, ``N`` samples, ``Q`` queries, ``D`` columns, ``V`` views, ``F`` features of
a view, ``O`` opinions of a view, ``H`` width of sample tokens.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.models.config import MISTConfig
from torchmist.models.layers import affine, mlp
from torchmist.models.local import (
    LOCAL,
    OPINIONS,
    Subset,
    local_statistics,
    subset,
    whitened,
)
from torchmist.quantile_head import from_nats

__all__ = ["FEATURE_COUNT", "OPINION_COUNT", "VIEWS", "Neighbourhood", "Seen",
           "Surroundings"]  # fmt: skip

VIEWS = 3
OPINION_COUNT = VIEWS * OPINIONS
FEATURE_COUNT = 2 * VIEWS * LOCAL
"""Means and deviations over the samples of the local statistics of all views."""
_SMALLEST = -0.19  # nats: opinions below it are taken for it
_SHARES = 64


def _samples(z: Tensor, mask: Tensor | None) -> Tensor:
    """Real samples of each dataset, ``[B or 1, 1, 1]``."""
    if mask is None:
        return torch.full((1, 1, 1), float(z.shape[-1]), dtype=z.dtype, device=z.device)
    return mask.sum(-1)[:, None, None].to(z.dtype)


class Seen(NamedTuple):
    """``features`` ``[B, Q, V F]``, ``opinions`` ``[B, V O]`` in nats, the ``weights`` of messages
    ``[B, Q, M]`` of both sides, of the plain and the learned view, and the ``chosen`` samples."""

    features: Tensor
    opinions: Tensor
    weights: tuple[tuple[Tensor, ...], ...]
    chosen: Subset


class Surroundings(NamedTuple):
    """What local statistics say of a whole sample: ``opinions`` ``[B, V O]`` in nats, the
    ``centre`` ``[B]`` in ``t`` that the head measures from, and the ``features`` ``[B, 2 V F]``,
    means and deviations over the samples."""

    opinions: Tensor
    centre: Tensor
    features: Tensor


class Neighbourhood(nn.Module):
    """Reads local statistics of three views of the scores and blends what they say of MI.

    The views are the scores themselves, each side whitened, and the scores with columns weighted
    by their tokens, so that neighbours can be sought where a side carries information.

    Args:
        config: of the network.
    """

    def __init__(self, config: MISTConfig) -> None:
        super().__init__()
        width = config.sample_width
        self.metric = nn.Linear(config.feature_width, 1, bias=False)
        self.token = nn.Linear(VIEWS * LOCAL, width)
        self.message_norm = nn.LayerNorm(width)
        self.value = nn.Linear(width, width)
        self.receive = nn.Linear(4 * width, width)
        opinions = OPINION_COUNT
        self.summary = FEATURE_COUNT + 2 * opinions + 3
        read = config.head_width + 2 * opinions + 3
        self.shares = mlp(read, _SHARES, opinions + 1)
        nn.init.zeros_(self.metric.weight)
        nn.init.zeros_(self.receive.weight)
        nn.init.zeros_(self.shares[-1].weight)  # type: ignore[arg-type]

    def look(
        self, z: Tensor, tokens: Tensor, dx: int, mask: Tensor | None,
        rows: tuple[Tensor, Tensor] | None,
    ) -> Seen:  # fmt: skip
        """Local statistics of standardised scores ``z`` ``[B, D, N]``, the first ``dx`` of them X.

        ``tokens`` ``[B, D, H]`` weigh the columns of the third view; ``rows``: both sides
        ``[B, N, k]`` as the first view has them, the scores by default.
        """
        chosen = subset(z, mask)
        parts = z.split([dx, z.shape[1] - dx], 1)
        asked = [chosen.at_queries(side).mT for side in parts]
        near = asked if rows is None else [chosen.at_queries(side.mT).mT for side in rows]
        views = [(near[0], near[1])]
        if z.shape[1] > 2:  # single columns look the same in all views
            samples = _samples(z, mask)
            white = [chosen.at_queries(whitened(side, samples)).mT for side in parts]
            logits = affine(self.metric, tokens.to(z.dtype))
            weighed = [
                side * (logit.log_softmax(1) / 2).exp().mT
                for side, logit in zip(asked, logits.split([dx, z.shape[1] - dx], 1))
            ]
            views += [(white[0], white[1]), (weighed[0], weighed[1])]
        local = local_statistics(views, chosen)
        again = VIEWS // len(views)
        weights = local.weights if again == 1 else local.weights * 2
        features = torch.cat([local.features] * again, -1)
        return Seen(features, torch.cat([local.opinions] * again, -1), weights, chosen)

    def exchange(self, samples: Tensor, seen: Seen) -> Tensor:
        """Sample tokens ``[B, Q, H]`` with what the samples see around them, and what their
        neighbours on either side are."""
        samples = samples + affine(self.token, seen.features.to(samples.dtype))
        value = affine(self.value, self.message_norm(samples))
        value = seen.chosen.at_references(value)
        received = []
        for weights in seen.weights:
            by_x, by_y = (share.to(value.dtype) @ value for share in weights)
            received += [by_x + by_y, by_x * by_y]
        return samples + affine(self.receive, torch.cat(received, -1))

    def summarise(self, seen: Seen) -> Tensor:
        """Means and deviations of the features over the samples, ``[B, 2 V F]``."""
        mean = seen.chosen.mean(seen.features)
        square = seen.chosen.mean(seen.features.square())
        deviation = (square - mean.square()).clamp(min=0).add(1e-4).sqrt()
        return torch.cat([mean, deviation], -1)

    def opinions_of(self, seen: Seen, centre: Tensor) -> list[Tensor]:
        """The opinions in ``t`` ``[B, O]``, their differences from the closed forms' ``centre``
        ``[B]``, their mean and deviation, and the centre."""
        t = from_nats(seen.opinions.clamp(min=_SMALLEST))
        apart = t - centre.detach()[:, None]
        return [t, apart, t.mean(1, keepdim=True), t.std(1, keepdim=True), centre.detach()[:, None]]

    def blend(self, opinions: list[Tensor], hidden: Tensor, centre: Tensor) -> Tensor:
        """Where the head measures from, ``[B]`` in ``t``: the closed forms' ``centre`` and all
        opinions, each with a share that the ``hidden`` state ``[B, H]`` and they decide."""
        t = opinions[0]
        logits = self.shares(torch.cat([hidden, *opinions], -1))
        share = F.pad(logits[:, 1:], (1, 0)) + F.pad(logits[:, :1] + 2.0, (0, t.shape[1]))
        share = share.softmax(-1)
        return (share * torch.cat([centre[:, None], t], 1)).sum(-1)
