r"""Counts of an item: columns of events and of trials that are independent given it.

A column of events is Poisson of a rate, or negative binomial: the rate times a gamma variable of
mean 1 and shape r. A column of trials counts successes in one or two of them. A count may be lost,
with a chance that does not depend on the item: the column then shows 0. With statistics x and
[x > 0] each is an exponential family,

.. math:: \log p(x) = x \eta - A + c(x), \qquad
    \log p(x) = x \eta + [x > 0] (\log k - A - \log p_0) + \log p_0 + c(x)

where :math:`A = -\log p(0)` before losses, k is the chance to be kept and
:math:`p_0 = 1 - k + k e^{-A}`.

Legend: ``B`` datasets, ``M`` items, ``R`` draws, ``N`` samples, ``d`` columns, ``e`` of events.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.mixture_views import view_dtype

__all__ = ["CountView", "Counts"]


@dataclass(frozen=True)
class Counts:
    """Columns of counts.

    ``rates`` ``[B, M, d]`` are means of the first ``events`` columns and chances of a trial in the
    others, of one or two ``trials`` ``[B, 1, 1]``; ``shape`` ``[B, 1, 1]`` of the gamma variables,
    or None; the chance that a count is ``kept`` ``[B, 1, 1]``, or None; how counts are shown,
    ``scale`` ``[B, 1, 1]``: 0 as they are, 1 ``log(1 + x)``, 2 their root; ``order`` ``[d]``.
    """

    rates: Tensor
    events: int
    trials: Tensor
    shape: Tensor | None
    kept: Tensor | None
    scale: Tensor
    order: Tensor

    def part(self, part: slice) -> Counts:
        """Those of some of the datasets."""
        shape = None if self.shape is None else self.shape[part]
        kept = None if self.kept is None else self.kept[part]
        return replace(
            self, rates=self.rates[part], trials=self.trials[part], shape=shape, kept=kept,
            scale=self.scale[part],
        )  # fmt: skip

    def draw(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Counts of the items ``[B, R]``, ``[B, R, d]``, before they are shown."""
        rates = self.rates.gather(1, item[..., None].expand(-1, -1, self.rates.shape[-1]))
        mean, chance = rates[..., : self.events], rates[..., self.events :]
        if self.shape is not None:
            shape = self.shape.expand_as(mean).contiguous()
            mean = mean * torch._standard_gamma(shape, generator=generator) / shape
        events = torch.poisson(mean, generator=generator)
        u = torch.rand(2, *chance.shape, generator=generator, device=chance.device)
        trials = (u[0] < chance).float() + ((u[1] < chance) & (self.trials > 1)).float()
        counts = torch.cat([events, trials], -1)
        if self.kept is not None:
            u = torch.rand(counts.shape, generator=generator, device=counts.device)
            counts = counts * (u < self.kept)
        return counts

    def sample(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of the items ``[B, N]``, as they are shown."""
        counts = self.draw(item, generator)
        shown = torch.where(self.scale == 1, counts.log1p(), counts)
        return torch.where(self.scale == 2, counts.sqrt(), shown)[..., self.order]

    def view(self, part: slice = slice(None)) -> CountView:
        """Draws and log densities of some of the datasets."""
        return CountView(self.part(part))


class CountView:
    """Draws of counts, and log densities of the items up to a constant of the draw.

    All is taken from its mean over the items: what does not tell them apart costs no precision.
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        rates = counts.rates.to(view_dtype())
        mean, chance = rates[..., : counts.events], rates[..., counts.events :]
        trials = counts.trials.to(rates.dtype)
        eta, none = mean.log(), mean  # none: the logarithm of the chance of a 0, negated
        if counts.shape is not None:
            shape = counts.shape.to(rates.dtype)
            grown = (mean / shape).log1p()
            eta, none = eta - grown, shape * grown
        eta = torch.cat([eta, chance.logit()], -1)
        none = torch.cat([none, -trials * torch.log1p(-chance)], -1)
        expected = torch.cat([mean, trials * chance], -1)
        if counts.kept is not None:
            kept = counts.kept.to(rates.dtype)
            zero = torch.log1p(kept * torch.expm1(-none))
            eta = torch.cat([eta, kept.log() - none - zero], -1)
            expected = torch.cat([kept * expected, -torch.expm1(zero)], -1)
            none = -zero
        self.middle = expected.mean(1, keepdim=True)
        eta = eta - eta.mean(1, keepdim=True)
        none = (none - none.mean(1, keepdim=True)).sum(-1)
        self.constant = none - (eta @ self.middle.mT)[..., 0]
        self.eta = eta.mT

    @property
    def size(self) -> tuple[int, int]:
        """Numbers of datasets and of items."""
        return self.counts.rates.shape[0], self.counts.rates.shape[1]

    def draw(self, item: Tensor, generator: torch.Generator) -> Tensor:
        """Counts of each item ``[B, R]``, ``[B, R, d]``."""
        return self.counts.draw(item, generator)

    def logits(self, values: Tensor) -> Tensor:
        """Log densities of each item ``[B, R, M]`` up to a constant of each draw."""
        values = values.to(self.eta.dtype)
        if self.counts.kept is not None:
            values = torch.cat([values, (values > 0).to(values.dtype)], -1)
        return torch.baddbmm(self.constant[:, None], values - self.middle, self.eta, beta=-1)
