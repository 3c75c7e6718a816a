"""What a term adds to the frozen network when it is known which way it will be driven.

A frozen network has blind spots, and an encoder that gains by them finds them. Which ones matter
depends on the direction:

* ``"minimize"``: what is hidden must cost. The network sees both sides with the predictions of a
  :class:`~torchmist.critic.Critic` appended (I((z, h(z)); (y, g(y))) = I(z; y)), raw and whitened,
  and the term is a soft maximum of its estimate, of the critic's bound on samples that it did not
  learn from, and of a kernel estimate (:mod:`torchmist.terms.kernel_floor`).
* ``"maximize"``: what is faked must not pay. The term is a soft minimum of a low quantile of the
  network over three views (raw, whitened, rotated) and of the critic's bound. On samples unlike
  those that it learned from this bound falls without end; it counts as 0 there, for the value and
  not for its gradient, so that the term, as the network, is never below -0.2 nats.

A soft extreme of opinions is a number to trust and a poor guide: its gradient belongs to whichever
opinion leads on the codes of now. The gradient is therefore mostly that of the information of two
Gaussian processes (:mod:`torchmist.terms.gaussian_process`), which moves every sample, and a tenth
of that of the value, for what such a kernel is too coarse to see. When maximising the processes see
finer: a broad kernel rests once a few directions of both sides agree; where two codes are joined,
it is that of their pairs against moved rows (:mod:`torchmist.terms.paired_codes`).

In training mode, with gradients, the opinions are asked at the first two calls and at every
:data:`_EVERY`-th after them, and what learns takes its steps there. The calls in between have the
gradient of the processes alone, and repeat the value of the last that asked: that of a batch up to
seven calls old. When minimising, the raw and the whitened view take turns there, and so do the two
kernel estimates. In eval mode, and without gradients, every call asks, in eval mode for all of
them. Wide sides reach the network through running directions (:mod:`torchmist.inference.views`);
the critic and the processes read all columns.

Legend: ``B`` datasets, ``N`` samples, ``V`` views, ``Q`` quantiles.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from torchmist.copula import normal_scores, standardise
from torchmist.critic import Critic, CriticConfig
from torchmist.inference.quantiles import (
    LOW,
    Statistic,
    answer_views,
    reduce_quantiles,
    seen_from_all_sides,
)
from torchmist.inference.views import RunningDirections, whitened_view
from torchmist.models.network import QuantileNetwork
from torchmist.numerics.uncompiled import outside_graphs
from torchmist.samples.plain_tensors import transformed
from torchmist.samples.sample import Sample
from torchmist.terms.auto_goal import warns_against
from torchmist.terms.batch_goal import (
    ROWS,
    Pursued,
    Told,
    check_pursued,
    pulled,
    pulled_at,
    pursued,
    soft_extreme,
)
from torchmist.terms.kernel_floor import kernel_floor
from torchmist.terms.memory_bank import weighed

__all__ = ["Goal", "Opinions", "Pursued", "check_goal"]

_FIRST, _EVERY = 2, 8  # training calls that ask for opinions: the first ones, then every so many
_LESSONS = {"minimize": 1, "maximize": 2}  # of the critic at such a call


def check_goal(
    goal: Told, critic: CriticConfig | None = None, *, lift: object = None,
    trainable: bool = False,
) -> None:  # fmt: skip
    """Raise unless ``goal`` is ``"auto"``, None, ``"minimize"`` or ``"maximize"``. A ``critic``
    goes with the last two, and they go with neither a ``lift`` nor a ``trainable`` network."""
    check_pursued(goal)
    if critic is not None and not isinstance(critic, CriticConfig):
        raise TypeError(
            f"expected critic to be a torchmist.critic.CriticConfig, got {type(critic).__name__}"
        )
    told = pursued(goal)
    if critic is not None and told is None:
        raise ValueError(
            f"expected critic together with a goal, which brings it, got goal={goal!r}; pass "
            f"goal='minimize' or goal='maximize', or leave critic out"
        )
    if told is not None and (lift is not None or trainable):
        raise ValueError(
            f"expected goal={goal!r} without lift and trainable, got lift={lift!r}, "
            f"trainable={trainable}; a goal has a critic of its own and a frozen network"
        )


class Opinions(NamedTuple):
    """``value`` ``[B]``, the term, with the gradient of the pull; ``quantiles`` ``[B, Q]`` of the
    network, mean of its views; ``each``: the opinions ``[B]`` by name, all in nats. Of a training
    call that asks nothing, all are means over the datasets of the last call that did."""

    value: Tensor
    quantiles: Tensor
    each: dict[str, Tensor]

    def mean(self) -> Opinions:
        """The mean over the datasets as one, detached."""
        value, quantiles = (v.detach().mean(0, keepdim=True) for v in self[:2])
        each = {name: v.detach().mean(0, keepdim=True) for name, v in self.each.items()}
        return Opinions(value, quantiles, each)

    def of(self, count: int, device: torch.device) -> Opinions:
        """Those of one dataset as if they were those of ``count``."""
        value, quantiles = (v.to(device).expand(count, *v.shape[1:]) for v in self[:2])
        each = {name: v.to(device).expand(count) for name, v in self.each.items()}
        return Opinions(value, quantiles, each)


class Goal(nn.Module):
    """The opinions of a term that pursues ``goal``, and what they learn from batch to batch.

    It has no parameters, takes its own steps in training mode with gradients enabled, and draws
    nothing from the global random state. In that mode a call that is not the first, the second or
    one of every eight returns the value of the last that was (the mean over its datasets), with
    the gradient of its own batch. Loading a state starts the count anew.

    Args:
        goal: ``"minimize"`` or ``"maximize"``.
        config: sizes and pace of the critic.
        statistic: of the network's quantiles; None for the mean when minimising and the 5 %
            quantile when maximising.
    """

    def __init__(
        self, goal: Pursued, config: CriticConfig, statistic: Statistic | None = None
    ) -> None:
        super().__init__()
        self.goal = goal
        self.statistic: Statistic = statistic or ("mean" if goal == "minimize" else LOW)
        self.critic = Critic(config)
        self.directions = RunningDirections()
        self._turn = 0  # of the views and kernels that alternate
        self._calls = 0  # in training mode with gradients
        self._last: Opinions | None = None  # of a training call, held until the next are due

    @outside_graphs
    def forward(
        self, sample: Sample, network: QuantileNetwork, *, targets: Tensor, plain: bool,
        own: int | None = None,
    ) -> Opinions:  # fmt: skip
        """The opinions on a sample, or those of before, and the steps of what learns.

        Args:
            sample: ``z`` as its ``x``, and ``y``.
            network: the frozen network.
            targets: ``[B, N, dy]``, ``y`` as the critic reads it: classes at a fixed place.
            plain: whether the columns of ``y`` are classes.
            own: samples of the batch, where others of before stand behind them.

        Raises:
            RuntimeError: in training mode, in a transform of ``torch.func``.
        """
        self.critic.plain = plain
        learns = self.training and torch.is_grad_enabled()
        if learns and (transformed(sample.x) or transformed(sample.y)):
            raise RuntimeError(
                f"expected a MIRegularizer that learns outside of torch.func, got values that a "
                f"transform hides; call .eval() of it, or take torchmist.mist_mi(..., "
                f"goal={self.goal!r}), which learns nothing"
            )
        with torch.autocast(sample.x.device.type, enabled=False):
            z, y, mask = sample.x.float(), sample.y.float(), sample.mask
            targets, last = targets.float(), self._due() if learns else None
            if last is None:
                sample = sample._replace(x=z, y=y)
                opinions = self._ask(sample, network, targets=targets, plain=plain, own=own)
            else:
                self.critic.sized(z, targets)
                opinions = last.of(len(z), z.device)
            value = opinions.value
            if torch.is_grad_enabled() and (z.requires_grad or targets.requires_grad):
                value = pulled(value, self._pull(z, targets, mask, own))
                warns_against(value, self.goal)
            if learns and last is None:
                self._last = opinions.mean()
                self._learn(z, y, targets, mask)
        return opinions._replace(value=value)

    def _due(self) -> Opinions | None:
        """Count a training call; the last opinions, or None where it is time to ask anew."""
        calls, self._calls = self._calls, self._calls + 1
        return self._last if calls >= _FIRST and calls % _EVERY else None

    def _learn(self, z: Tensor, y: Tensor, targets: Tensor, mask: Tensor | None) -> None:
        for _ in range(_LESSONS[self.goal]):
            self.critic.learn(z, targets, mask)
        if self.directions.needed(z, y):
            self.directions.learn(z, y, mask)

    def _ask(
        self, sample: Sample, network: QuantileNetwork, *, targets: Tensor, plain: bool,
        own: int | None,
    ) -> Opinions:  # fmt: skip
        """All opinions on a sample, and their soft extreme with its own gradient."""
        z, y, mask = sample.x, sample.y, sample.mask
        factor = 1.0 if own is None else z.shape[1] / own
        seen = self.critic(z, targets, mask, own)
        a, b = self.directions(weighed(z, factor), weighed(y, factor), mask)
        near = sample._replace(x=a, y=b)
        if self.goal == "minimize":
            extra = (seen.of_y,) if plain else (seen.of_y, seen.of_z)
            quantiles = self._lifted(near, extra, network, plain)
        else:
            quantiles = seen_from_all_sides(near, network, turn_y=not plain)
        each = [reduce_quantiles(q, network.levels, self.statistic) for q in quantiles]
        if self.goal == "minimize":
            opinions = {"network": torch.stack(each).mean(0)}
            opinions["kernel"] = self._floor(a, b, seen.of_y, mask)
        else:
            opinions = {"network": torch.stack(each).amin(0)}
            each_view = dict(zip(("raw", "whitened", "rotated"), each))
            opinions = each_view if len(each) > 1 else opinions
        if self.critic.taken:
            opinions["critic"] = seen.bound
        value = self._extreme(opinions)
        self._turn += self.training
        return Opinions(value, torch.stack(quantiles).mean(0), opinions)

    def _extreme(self, opinions: dict[str, Tensor]) -> Tensor:
        """The soft extreme of opinions ``[B]``. When maximising, a critic below 0 counts as 0, for
        the value alone."""
        value = soft_extreme(torch.stack(list(opinions.values())), self.goal)
        if self.goal == "minimize" or "critic" not in opinions:
            return value
        counted = {**opinions, "critic": opinions["critic"].clamp(min=0)}
        floored = soft_extreme(torch.stack(list(counted.values())).detach(), self.goal)
        return floored + (value - value.detach())

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._turn, self._calls, self._last = 0, 0, None

    def _lifted(
        self, sample: Sample, extra: tuple[Tensor, ...], network: QuantileNetwork, plain: bool
    ) -> list[Tensor]:
        """Quantiles of the raw and of the whitened view, with the critic's predictions."""
        a, b, mask = sample.x, sample.y, sample.mask
        views = [(a, b)]
        if max(a.shape[-1], 1 if plain else b.shape[-1]) > 1:
            if not self.training or self._turn % 2:
                views.append((whitened_view(a, mask), b if plain else whitened_view(b, mask)))
            views = views[-1:] if self.training else views
        views = [(torch.cat([x, extra[0]], -1), torch.cat([y, *extra[1:]], -1)) for x, y in views]
        return answer_views(sample, views, network, (a.shape[-1], b.shape[-1]))

    def _floor(self, a: Tensor, b: Tensor, of_y: Tensor, mask: Tensor | None) -> Tensor:
        """The larger kernel estimate of the sides and of the predictions, on some samples."""
        a, b, of_y = (side[:, :ROWS] for side in (a, b, of_y))
        mask = None if mask is None else mask[:, :ROWS]
        scores, found = normal_scores(b, mask), []
        if not self.training or self._turn % 4 < 2:
            found.append(kernel_floor(normal_scores(a, mask), scores, mask))
        if not self.training or self._turn % 4 >= 2:
            found.append(kernel_floor(standardise(of_y.mT, mask).mT, scores, mask))
        return torch.stack(found).amax(0)

    def _pull(self, z: Tensor, y: Tensor, mask: Tensor | None, own: int | None) -> Tensor:
        """The processes' information ``[B]`` on some samples."""
        rows = min(z.shape[1], ROWS)
        factor = 1.0 if own is None else rows / min(own, rows)
        a, b = (weighed(side[:, :rows], factor) for side in (z, y))
        some = None if mask is None else mask[:, :rows]
        return pulled_at(a, b, some, self.goal)
