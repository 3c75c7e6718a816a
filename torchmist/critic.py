"""A critic that learns beside the host what one side says of the other, by steps of its own.

Two small networks read z and y. Each predicts features of the other side (its columns, their
squares, random cosine waves of them), and both end in embeddings a, b whose products are the scores
of InfoNCE (van den Oord et al. 2018),

    I(Z;Y) >= mean_i [s_ii - log mean_j exp s_ij],    s_ij = a_i . b_j / sqrt(E).

What a call returns is from the weights before that call's own steps, so on a fresh batch the bound
holds: no row of it was learned from. Weights and the state of their Adam are buffers in float32:
the host's optimizer never sees them, ``state_dict`` holds them.

Legend: ``B`` datasets, ``N`` samples, ``T`` predicted features, ``E`` embedding, ``P`` weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.copula import standardise, standardise_units
from torchmist.lift import lift_targets

__all__ = ["Critic", "CriticConfig", "Seen", "features"]

_SHARE = 128  # fewest samples of a step, where there are more
_MOMENTUM, _DECAY, _TINY = 0.9, 0.99, 1e-8
_STATE = ("weights", "first", "second", "steps")


@dataclass(frozen=True)
class CriticConfig:
    """Size and pace of a :class:`Critic`.

    Args:
        width: units of the two hidden layers of each network.
        embedding: length of the embeddings, ``E``.
        columns: the most columns and squares that are predicted of a side.
        waves: random cosine waves that are predicted beside them.
        rate: step size of its Adam.
        steps: steps that it takes at each call in training mode.
    """

    width: int = 64
    embedding: int = 32
    columns: int = 8
    waves: int = 4
    rate: float = 3e-3
    steps: int = 2

    def __post_init__(self) -> None:
        for name in ("width", "embedding", "columns", "waves", "steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"expected {name} of CriticConfig to be a positive int, got {value!r}"
                )
        if not 0 < self.rate < 1:
            raise ValueError(f"expected rate of CriticConfig in (0, 1), got {self.rate!r}")


class Seen(NamedTuple):
    """What a critic sees of a sample: predictions of y from z ``[B, N, T]``, of z from y, and
    the bound of InfoNCE ``[B]`` in nats."""

    of_y: Tensor
    of_z: Tensor
    bound: Tensor


def features(y: Tensor, config: CriticConfig, mask: Tensor | None = None, *, plain: bool) -> Tensor:
    """What is predicted of a side ``[B, N, d]``: ``[B, N, T]`` of mean 0 and variance 1, detached.

    Columns and their squares as in :func:`~torchmist.lift.lift_targets`, then cosine waves of
    random directions, the same ones at every call; with ``plain`` (classes) the columns alone.
    """
    y = y.detach().float()
    if plain:
        return lift_targets(y, max(config.columns, y.shape[-1]), mask, squares=False)
    own = lift_targets(y, config.columns, mask, squares=True)
    generator = torch.Generator().manual_seed(y.shape[-1])
    size = y.shape[-1], config.waves
    ways = torch.randn(size, generator=generator, device="cpu", dtype=torch.float32)
    ways = ways.to(y.device) * (1 + 1 / size[0]) ** 0.5
    turns = torch.rand(size[1], generator=generator, device="cpu", dtype=torch.float32)
    phase = (2 * math.pi * turns).to(y.device)
    columns = standardise_units(y.mT, mask).mT
    waves = standardise((columns @ ways + phase).cos().mT, mask).mT
    return torch.cat([own, waves], -1)


class Critic(nn.Module):
    """The two networks and their optimizer; sized by the first sample that it sees.

    Args:
        config: sizes and pace.
        plain: whether the columns of y are classes, of which no squares or waves are predicted.

    Example:
        >>> import torch
        >>> critic = Critic(CriticConfig())
        >>> z, y = torch.randn(1, 50, 3), torch.randn(1, 50, 2)
        >>> critic.learn(z, y)
        >>> critic(z, y).bound.shape, len(list(critic.parameters()))
        (torch.Size([1]), 0)
    """

    weights: Tensor | None
    _dims: tuple[int, int] | None = None  # columns of both sides, as first called
    first: Tensor | None
    second: Tensor | None
    steps: Tensor | None

    def __init__(self, config: CriticConfig, *, plain: bool = False) -> None:
        super().__init__()
        self.config, self.plain = config, plain
        for name in _STATE:
            self.register_buffer(name, None)
        self.taken = 0  # steps, on the host

    def forward(
        self, z: Tensor, y: Tensor, mask: Tensor | None = None, own: int | None = None
    ) -> Seen:
        """Predictions and bound of a sample ``[B, N, d]``; gradients reach z and y alone.

        Args:
            z, y, mask: the sample.
            own: the bound is the mean over the first ``own`` samples, the others being no more
                than what they are told apart from; None for all.

        Raises:
            ValueError: when the columns are not those of the first call.
        """
        weights = self.sized(z, y)
        z, y = (standardise_units(v.float().mT, mask).mT for v in (z, y))
        (of_y, a), (of_z, b) = self._networks(weights, z, y)
        return Seen(of_y, of_z, self._bound(a, b, mask, own))

    @torch.no_grad()
    def learn(self, z: Tensor, y: Tensor, mask: Tensor | None = None) -> None:
        """Take the configured number of steps on a sample ``[B, N, d]``, which gets no gradient.

        Of 256 samples or more each step takes its own share, of 128 at least.
        """
        self.sized(z, y)
        z, y = (standardise_units(v.detach().float().mT, mask).mT for v in (z, y))
        of_y, of_z = features(y, self.config, mask, plain=self.plain), self._of_z(z, mask)
        shares = max(1, min(self.config.steps, z.shape[1] // _SHARE))
        for step in range(self.config.steps):
            rows = slice(step % shares, None, shares)
            present = None if mask is None else mask[:, rows]
            self._step(z[:, rows], y[:, rows], (of_y[:, rows], of_z[:, rows]), present)

    def _step(
        self, z: Tensor, y: Tensor, wanted: tuple[Tensor, Tensor], mask: Tensor | None
    ) -> None:
        assert self.weights is not None
        with torch.enable_grad():
            weights = self.weights.detach().requires_grad_()
            (of_y, a), (of_z, b) = self._networks(weights, z, y)
            loss = -self._bound(a, b, mask).mean()
            for found, target in zip((of_y, of_z), wanted):
                loss = loss + _mean((found - target).square().mean(-1), mask).mean()
            (gradient,) = torch.autograd.grad(loss, weights)
        self._update(gradient)

    def _of_z(self, z: Tensor, mask: Tensor | None) -> Tensor:
        return features(z, self.config, mask, plain=False)

    def _update(self, gradient: Tensor) -> None:
        """A step of Adam, in new tensors: the old ones may wait for a backward pass."""
        first, second, steps, weights = self.first, self.second, self.steps, self.weights
        assert first is not None and second is not None
        assert steps is not None and weights is not None
        gradient = gradient.nan_to_num(0.0, 0.0, 0.0)
        self.steps = steps + 1
        self.taken += 1
        self.first = torch.lerp(first, gradient, 1 - _MOMENTUM)
        self.second = torch.lerp(second, gradient.square(), 1 - _DECAY)
        mean = self.first / (1 - _MOMENTUM**self.taken)
        root = (self.second / (1 - _DECAY**self.taken)).sqrt() + _TINY
        self.weights = weights - self.config.rate * mean / root

    def _shapes(self, dz: int, dy: int) -> tuple[tuple[int, int], ...]:
        """(outputs, inputs) of the layers of both networks."""
        c = self.config

        def ends(d: int, plain: bool) -> int:
            if plain:
                return max(1, d)
            return min(c.columns, 2 * d) + c.waves

        out: tuple[tuple[int, int], ...] = ()
        for own, other in ((dz, ends(dy, self.plain)), (dy, ends(dz, False))):
            out += ((c.width, own), (c.width, c.width), (other + c.embedding, c.width))
        return out

    def sized(self, z: Tensor, y: Tensor) -> Tensor:
        """The weights ``[P]``, made at the first call, on the device of ``z``.

        Raises:
            ValueError: when the columns are not those of the first call.
        """
        dims = z.shape[-1], y.shape[-1]
        shapes = self._shapes(*dims)
        size = sum(o * i + o for o, i in shapes)
        if self.weights is None:
            with torch.inference_mode(False), torch.no_grad():  # it is to learn outside of them
                self.weights = self._started(shapes, z.device)
        if self.weights.numel() != size or self._dims not in (None, dims):
            first = "" if self._dims is None else f", {self._dims[0]} and {self._dims[1]}"
            raise ValueError(
                f"expected z and y with the columns of the first call{first}, got {dims[0]} and "
                f"{dims[1]} (or a state of other sizes was loaded); use one MIRegularizer "
                f"for each pair of variables"
            )
        self._dims = dims
        if self.weights.device != z.device:
            self.to(z.device)
        return self.weights

    def _started(self, shapes: tuple[tuple[int, int], ...], device: torch.device) -> Tensor:
        """New weights for layers of these ``shapes``, at the start of their training."""
        generator = torch.Generator().manual_seed(0)
        parts = []
        for outputs, inputs in shapes:
            uniform = 2 * torch.rand(
                outputs * inputs, generator=generator, device="cpu", dtype=torch.float32
            ) - 1  # fmt: skip
            parts += [uniform * (3 / inputs) ** 0.5, uniform.new_zeros(outputs)]
        weights = torch.cat(parts).to(device)
        self.first, self.second = (torch.zeros_like(weights) for _ in range(2))
        self.steps = torch.zeros((), device=device, dtype=torch.float32)
        return weights

    def _networks(
        self, weights: Tensor, z: Tensor, y: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Predictions and embedding from z, and from y."""
        layers, place = [], 0
        assert self._dims is not None
        for outputs, inputs in self._shapes(*self._dims):
            matrix = weights[place : place + outputs * inputs].view(outputs, inputs)
            place += outputs * inputs
            layers.append((matrix, weights[place : place + outputs]))
            place += outputs
        both = []
        for side, own in ((z, layers[:3]), (y, layers[3:])):
            for matrix, bias in own[:2]:
                side = F.silu(F.linear(side, matrix, bias))
            out = F.linear(side, *own[2])
            cut = out.shape[-1] - self.config.embedding
            both.append((out[..., :cut], out[..., cut:]))
        return both[0], both[1]

    def _bound(self, a: Tensor, b: Tensor, mask: Tensor | None, first: int | None = None) -> Tensor:
        scores = a @ b.mT / self.config.embedding**0.5
        if mask is None:
            count = torch.full((), float(a.shape[1]), device=a.device, dtype=torch.float32)
        else:
            count = mask.sum(-1).clamp(min=1).to(scores.dtype)
            scores = scores.masked_fill(~mask[:, None], -math.inf)
        own = torch.diagonal(scores, dim1=-2, dim2=-1)
        if mask is not None:
            own = own.masked_fill(~mask, 0.0)
        every = scores.logsumexp(-1)
        value = own - every.masked_fill(every == -math.inf, 0.0)
        return _mean(value[:, :first], None if mask is None else mask[:, :first]) + count.log()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Critic:
        """Follow the host to its device; stay in float32 whatever dtype the host takes."""
        if self.weights is not None:
            device = fn(torch.zeros((), device=self.weights.device, dtype=torch.float32)).device
            for name in _STATE:
                setattr(self, name, getattr(self, name).to(device))
        return self

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, *args: Any
    ) -> None:
        found = state_dict.get(prefix + "weights")
        if metadata and not any(prefix + name in state_dict for name in _STATE):
            self._dims = None  # the state is one of before the first call
            for name in _STATE:
                setattr(self, name, None)
        if found is not None and (self.weights is None or self.weights.shape != found.shape):
            for name in _STATE:
                like = state_dict.get(prefix + name)
                setattr(self, name, None if like is None else torch.zeros_like(like).float())
        super()._load_from_state_dict(state_dict, prefix, metadata, *args)
        self.taken = 0 if self.steps is None else int(self.steps)


def _mean(value: Tensor, mask: Tensor | None) -> Tensor:
    """Over the samples ``[B, N]`` that count, ``[B]``."""
    if mask is None:
        return value.mean(-1)
    return (value * mask).sum(-1) / mask.sum(-1).clamp(min=1)
