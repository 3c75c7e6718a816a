"""Pursuits: encoders trained against the estimator, whose codes keep an exact MI.

What an encoder can hide from the estimator, or fake to it, becomes training data of the estimator:
snapshots of encoders on their way, each with the MI of its codes. An item is drawn from a finite
list and encoded, and noise is added, so that densities are mixtures with known components.

Legend: ``E`` pursuits, ``M`` items, ``N`` rows, ``R`` dimensions of a source, ``D = max(dx, dy)``
columns of a code, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from torchmist.synthetic.engines.mixture_information import mixture_information
from training.pursuit_networks import Networks, decode, encode
from training.pursuit_population import LABEL, SOURCE, Population, draw_population

__all__ = ["Model", "Pursuits"]

Model = Callable[[Tensor, Tensor], Tensor]

_SIZES = (64, 128, 256, 512)  # rows of an encoder's step
_LIFE = (50, 500)  # steps of a pursuit
_CLIP = 5.0  # longest gradient of a pursuit
_MOMENTUM, _DECAY = 0.9, 0.99


class Pursuits:
    """A population of pursuits that advance together, as one batch.

    A pursuit minimises ``weight * estimate + task * error``, where the error is that of a decoder
    which has to find (a part of) the source in the code. It hides a variable or a label that is a
    function of the source, parts two codes of the same source, joins two views of the source that
    share a part of it or nothing, or shows the source through noise. After 50 to 500 steps it
    begins anew, with other items, encoders and optimiser.

    Args:
        count: how many, ``E``.
        dx: columns of X.
        dy: columns of Y.
        seed: everything that is drawn depends on it alone.
        device: where all of it lives.
        items: length of the list of items. The MI is at most its logarithm, and in a short list
            with little noise a code tells items apart, so that what it hides can be looked up.
        draws: Monte Carlo draws of each MI.

    Example:
        >>> pursuits = Pursuits(4, 2, 2, seed=0, items=64, draws=64)
        >>> pursuits.advance(lambda z, y: (z * y).mean((1, 2))[:, None].square(), 2)
        >>> [list(part.shape) for part in pursuits.batch(20)]
        [[4, 20, 2], [4, 20, 2], [4], [4]]
    """

    def __init__(
        self,
        count: int = 32,
        dx: int = 4,
        dy: int = 4,
        *,
        seed: int,
        device: torch.device | str = "cpu",
        items: int = 2048,
        draws: int = 512,
    ) -> None:
        for name, size, least in (
            ("count", count, 1), ("dx", dx, 1), ("dy", dy, 1), ("items", items, 16),
            ("draws", draws, 2),
        ):  # fmt: skip
            if isinstance(size, bool) or not isinstance(size, int) or size < least:
                raise ValueError(f"expected {name} to be an integer >= {least}, got {size!r}")
        self.count, self.dx, self.dy, self.items, self.draws = count, dx, dy, items, draws
        self.networks = Networks(SOURCE, max(dx, dy))
        self.generator = torch.Generator(device).manual_seed(seed)
        # What decides on control flow is drawn on the host, so that nothing waits for the device.
        self._host = torch.Generator().manual_seed(seed)
        self._left = (_LIFE[1] * torch.rand(count, generator=self._host)).long() + 1
        self.population = self._draw()

    @property
    def modes(self) -> Tensor:
        """What each pursuit is after, ``[E]``, an index of ``pursuit_population.MODES``."""
        return self.population.mode

    def advance(self, model: Model, steps: int) -> None:
        """Train every encoder for ``steps`` steps against ``model``, which gets no gradient.

        Pursuits whose time is over begin anew first.

        Args:
            model: from X ``[E, N, dx]`` and Y ``[E, N, dy]`` to quantiles ``[E, Q]`` of the MI in
                nats, differentiable in both.
            steps: how many.
        """
        self._restart(self._left <= 0)
        place = int(torch.randint(len(_SIZES), (), generator=self._host))
        for _ in range(steps):
            self._step(model, _SIZES[place])
        self._left -= steps

    @torch.no_grad()
    def batch(self, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``n`` rows of each pursuit as it is now, with their MI.

        Some codes are whitened or rotated first, which leaves the MI as it is.

        Returns:
            X ``[E, n, dx]``, Y ``[E, n, dy]``, MI and its standard error ``[E]`` in nats, float32.
        """
        p = self.population
        means_x, means_y = self.means()
        mi, error = mixture_information(
            means_x, means_y, p.noise_x, self._label_noise(),
            draws=self.draws, generator=self.generator,
        )  # fmt: skip
        index = self._rows(n)[..., None]
        x = _pick(means_x, index) + p.noise_x * self._normal(n, self.dx)
        y = _pick(means_y, index) + p.noise_y * self._normal(n, self.dy)
        numeric = (p.noise_y > 0).all(-1, keepdim=True)
        x = self._scramble(x, means_x, p.noise_x)
        y = torch.where(numeric, self._scramble(y, means_y, p.noise_y), y)
        return x, y, mi.clamp(min=0).float(), error.float()

    @torch.no_grad()
    def means(self) -> tuple[Tensor, Tensor]:
        """The codes of all items without noise, ``[E, M, dx]`` and ``[E, M, dy]``."""
        p = self.population
        codes = self._codes(self.networks.layers(p.weights), p.source)
        return self._sides(codes, p.target)

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit for bit, as tensors."""
        p = self.population
        return {
            "population": {f.name: getattr(p, f.name).clone() for f in fields(p)},
            "left": self._left.clone(),
            "host": self._host.get_state(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``, which may come from another device.

        Raises:
            ValueError: when it belongs to a population of another size.
        """
        old = self.population
        for f in fields(old):
            found, wanted = state["population"][f.name].shape, getattr(old, f.name).shape
            if found != wanted:
                raise ValueError(
                    f"expected {f.name} of shape {list(wanted)}, got {list(found)}; make Pursuits "
                    f"with the count, columns and items that the state was saved with"
                )
        device = self.generator.device
        state_of = {k: v.to(device, copy=True) for k, v in state["population"].items()}
        self.population = Population(**state_of)
        self._left = state["left"].cpu().clone()
        self._host.set_state(state["host"].cpu())
        self.generator.set_state(state["generator"].cpu())

    def _draw(self) -> Population:
        return draw_population(self.count, self.items, self.dx, self.dy, generator=self.generator)

    @torch.no_grad()
    def _restart(self, over: Tensor) -> None:
        """Begin those pursuits anew that are ``over`` ``[E]``, a mask on the host."""
        if not over.any():
            return
        where = over.to(self.generator.device, non_blocking=True)
        self.population = self.population.replaced(where, self._draw())
        life = torch.randint(_LIFE[0], _LIFE[1] + 1, over.shape, generator=self._host)
        self._left = torch.where(over, life, self._left)

    def _step(self, model: Model, n: int) -> None:
        p = self.population
        index = self._rows(n)[..., None]
        with torch.enable_grad():
            weights = p.weights.detach().requires_grad_()
            layers = self.networks.layers(weights)
            source = _pick(p.source, index)
            codes = self._codes(layers, source)
            x, y = self._sides(codes, _pick(p.target, index))
            x = x + p.noise_x * self._normal(n, self.dx)
            y = y + p.noise_y * self._normal(n, self.dy)
            loss = p.weight * self._statistic(model(x, y).float())
            loss = loss + p.task * self._task(layers, x, y, source)
            loss = loss + p.decorrelate * _correlation(codes)
            (gradient,) = torch.autograd.grad(loss.sum(), weights)
        self._update(gradient)

    def _codes(self, layers: list[Tensor], source: Tensor) -> Tensor:
        """Codes of both sides ``[E, 2, N, D]``, scaled, 0 in unused columns."""
        p = self.population
        seen = torch.stack([source * p.view_x, source * p.view_y], 1)
        both = p.activation.repeat_interleave(2)[:, None, None]
        deep = p.deep.repeat_interleave(2)[:, None, None]
        codes = encode(layers, seen.flatten(0, 1), both, deep).view(*seen.shape[:3], -1)
        centred = codes - codes.mean(2, keepdim=True)
        variance = centred.square().mean(2, keepdim=True)
        whole = (variance * p.used).sum(-1, keepdim=True) / p.used.sum(-1, keepdim=True)
        scaled = p.scaled[:, None, None, None]
        scale = torch.where(scaled == 1, variance, whole) + 1e-4
        return torch.where(scaled == 0, codes, centred * scale.rsqrt()) * p.used

    def _sides(self, codes: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """X and Y without noise, where Y is the second code or the target."""
        x, y = codes.unbind(1)
        return x[..., : self.dx], torch.where(self.population.learned, y[..., : self.dy], target)

    def _task(self, layers: list[Tensor], x: Tensor, y: Tensor, source: Tensor) -> Tensor:
        """Mean squared error ``[E]`` of what the decoder has to find."""
        p = self.population
        width = self.networks.code
        x = torch.nn.functional.pad(x, (0, width - self.dx))
        y = torch.nn.functional.pad(y * p.learned, (0, width - self.dy))
        found = decode(layers, torch.cat([x, y], -1), p.activation[:, None, None])
        error = ((found - source).square().mean(1, keepdim=True) * p.wanted).sum((1, 2))
        return error / p.wanted.sum((1, 2)).clamp(min=1)

    def _statistic(self, quantiles: Tensor) -> Tensor:
        """The mean or one of the quantiles ``[E, Q]``, ``[E]``."""
        level, count = self.population.level[:, None], quantiles.shape[-1]
        place = torch.arange(count, device=level.device)
        chosen = place == (level * count).long().clamp(max=count - 1)
        return (quantiles * torch.where(level < 0, 1 / count, chosen.float())).sum(-1)

    @torch.no_grad()
    def _update(self, gradient: Tensor) -> None:
        """One step of Adam, or of SGD with momentum, of gradients ``[E, P]``."""
        p = self.population
        gradient = gradient.nan_to_num_(0.0, 0.0, 0.0)
        length = gradient.norm(dim=1, keepdim=True)
        gradient.mul_(_CLIP / length.clamp(min=_CLIP))
        p.steps.add_(1)
        p.first.lerp_(gradient, 1 - _MOMENTUM)
        p.second.lerp_(gradient.square(), 1 - _DECAY)
        seen = p.steps[:, None]
        mean = p.first / (1 - _MOMENTUM**seen)
        root = (p.second / (1 - _DECAY**seen)).sqrt() + 1e-8
        step = torch.where(p.adam[:, None], mean / root, p.first / (1 - _MOMENTUM))
        p.weights.sub_(p.rate[:, None] * step)

    def _scramble(self, x: Tensor, means: Tensor, noise: Tensor) -> Tensor:
        """``x`` ``[E, N, d]``, in a fifth of the pursuits whitened and in a fifth reflected."""
        count, device = len(x), x.device
        choice = torch.rand(2, count, 1, 1, generator=self.generator, device=device) < 0.2
        means = means - means.mean(1, keepdim=True)
        covariance = means.mT @ means / means.shape[1] + torch.diag_embed(noise[:, 0] ** 2)
        ridge = 1e-5 * torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))
        factor, failed = torch.linalg.cholesky_ex(covariance + ridge)
        white = torch.linalg.solve_triangular(factor, x.mT, upper=False).mT
        x = torch.where(choice[0] & (failed == 0)[:, None, None], white, x)
        for _ in range(2):
            normal = self._normal(x.shape[-1], 1)
            normal = normal / normal.norm(dim=1, keepdim=True)
            x = torch.where(choice[1], x - 2 * (x @ normal) * normal.mT, x)
        return x

    def _label_noise(self) -> Tensor:
        """Noise of Y for its MI: labels have none, and as little as changes nothing is assumed."""
        noise = self.population.noise_y
        return torch.where(noise == 0, LABEL, noise)

    def _rows(self, n: int) -> Tensor:
        shape, device = (self.count, n), self.generator.device
        return torch.randint(self.items, shape, generator=self.generator, device=device)

    def _normal(self, n: int, d: int) -> Tensor:
        shape, device = (self.count, n, d), self.generator.device
        return torch.randn(shape, generator=self.generator, device=device)


def _pick(items: Tensor, index: Tensor) -> Tensor:
    """Rows ``[E, N, d]`` of ``items`` ``[E, M, d]`` at ``index`` ``[E, N, 1]``."""
    return items.gather(1, index.expand(-1, -1, items.shape[-1]))


def _correlation(codes: Tensor) -> Tensor:
    """Mean over the columns of their squared correlations with the others, both sides ``[E]``."""
    centred = codes - codes.mean(2, keepdim=True)
    unit = centred / (centred.square().sum(2, keepdim=True) + 1e-4).sqrt()
    correlation = unit.mT @ unit
    diagonal = correlation.diagonal(dim1=-2, dim2=-1)
    return (correlation.square().sum((-2, -1)) - diagonal.square().sum(-1)).mean(1) / unit.shape[-1]
