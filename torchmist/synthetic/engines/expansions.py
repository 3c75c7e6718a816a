r"""Expansions: a few latent numbers a side, shown as many functions of them.

.. math:: x = A\,\phi(u), \qquad y = B\,\psi(v), \qquad I(X;Y) = I(U;V)

with (u, v) a pair of ``lifts_pairs``, and :math:`\phi` products and powers, layers of a network of
one activation or another, or hinges at knots: polynomial features, activations, random features,
splines. Where they might be no injection, the latent numbers stand beside them. Legend: ``B``
datasets, ``N`` samples, ``k`` latent numbers, ``m`` functions, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.lifts_pairs import (
    PairParameters,
    draw_pairs,
    pairs_information,
    sample_pairs,
)

__all__ = ["Expansion", "ExpansionParameters", "Expansions"]

_MOST_LATENT = 8
# shares of sides, up to which they are so; then layers
_PLAIN, _PRODUCTS, _HINGES = 0.15, 0.4, 0.55
_TURNED = 0.3
_ACTIVATIONS: tuple[tuple[Callable[[Tensor], Tensor], int], ...] = (
    (torch.relu, 8), (torch.tanh, 3), (torch.cos, 4), (torch.nn.functional.gelu, 3),
    (lambda z: (-z.square()).exp(), 4),
)  # fmt: skip
"""Activations, and of how many columns for each latent number they are taken for an injection."""


@dataclass(frozen=True)
class Expansion:
    """One side's functions of its latent numbers: the ``beside`` first ones are the numbers.

    ``degrees`` ``[m, 3]``: places of the factors among a 1 and the numbers, or None; ``weights``
    and ``biases`` of layers, with the number of the ``activation``, or None; then ``scale``
    ``[B, 1, d]`` and a rotation.
    """

    beside: int
    degrees: Tensor | None
    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activation: int
    scale: Tensor
    turn: Rotation | None

    def __call__(self, u: Tensor) -> Tensor:
        """Columns ``[B, N, d]`` of latent numbers ``[B, N, k]``."""
        parts = [u[..., : self.beside]]
        if self.degrees is not None:
            factors = torch.cat([torch.ones_like(u[..., :1]), u], -1)
            parts.append(factors[..., self.degrees].prod(-1))
        if self.weights:
            values = u
            for weight, bias in zip(self.weights, self.biases):
                values = _ACTIVATIONS[self.activation][0](torch.baddbmm(bias, values, weight))
            parts.append(values)
        x = torch.cat(parts, -1)
        x = x / x.std(1, correction=0, keepdim=True).clamp(min=1e-3) * self.scale
        return x if self.turn is None else self.turn(x)


@dataclass(frozen=True)
class ExpansionParameters:
    """The latent pair, and the functions of each side."""

    pair: PairParameters
    x: Expansion
    y: Expansion


class Expansions(Family[ExpansionParameters]):
    """Pairs of 1 to 8 latent numbers a side, as many functions of them on both sides or on one.

    Latent numbers, kinds of functions and activations are shared by a call.
    """

    name = "expansions"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> ExpansionParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        pair = self.draw_latent(random, min(dx, dy))
        k = pair.rho.shape[-1]
        first = self.draw_kind(random)
        x = _draw_side(random, k, dx, first)
        return ExpansionParameters(
            pair, x, _draw_side(random, k, dy, self.draw_kind(random, first))
        )

    def draw_latent(self, random: Random, most: int) -> PairParameters:
        """Random pairs of latent numbers, at most so many."""
        return draw_pairs(random, 1 + int(random.choices(1)[0] * min(_MOST_LATENT, most) * 0.999))

    def draw_kind(self, random: Random, other: list[float] | None = None) -> list[float]:
        """Three numbers between 0 and 1 that choose the functions of a side, after those of the
        ``other``."""
        return random.choices(3)

    def sample_from(
        self, parameters: ExpansionParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        circular = (p.pair.kind == 1)[:, None, None]
        u, v = (
            torch.where(circular, (side - math.pi) / 1.8, side)
            for side in sample_pairs(p.pair, n, generator)
        )
        return p.x(u), p.y(v)

    def information(
        self, parameters: ExpansionParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        mi = pairs_information(parameters.pair)
        return mi, torch.zeros_like(mi)


def _draw_side(random: Random, k: int, d: int, u: list[float]) -> Expansion:
    """Random functions of ``k`` latent numbers, in ``d`` columns, of a kind that ``u`` chooses."""
    scale = random.log_uniform(0.3, 3.0, 1, d)
    turn = draw_rotation(random, d, random.coin(_TURNED, 1, 1)) if d > 1 else None
    if d == k:
        return Expansion(k, None, (), (), 0, scale, turn)
    if u[0] < _PLAIN:  # noise of the side alone would be no function of the numbers
        straight = (random.normal(k, d - k) / math.sqrt(k),), (random.normal(1, d - k),)
        return Expansion(k, None, *straight, 1, scale, turn)
    if u[0] < _PRODUCTS:
        degrees = _degrees(random, k)[: d - k]
        layers = _layers(random, k, d - k - len(degrees), u[1])
        return Expansion(k, degrees, *layers, 0, scale, turn)
    if u[0] < _HINGES:
        return Expansion(k, None, *_hinges(random, k, d - k), 0, scale, turn)
    activation = int(u[2] * len(_ACTIVATIONS))
    beside = 0 if d >= _ACTIVATIONS[activation][1] * k else k
    return Expansion(beside, None, *_layers(random, k, d - beside, u[1]), activation, scale, turn)


def _degrees(random: Random, k: int) -> Tensor:
    """Places ``[m, 3]`` of the factors of products of two numbers, in random order, then those of
    three; place 0 is a 1."""
    place = torch.arange(k + 1, device=random.device)
    all_three = torch.combinations(place, 3, with_replacement=True)
    used = (all_three > 0).sum(-1)
    parts = [all_three[used == degree] for degree in (2, 3)]
    return torch.cat([part[random.permutation(len(part))] for part in parts])


def _layers(
    random: Random, k: int, d: int, u: float
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Weights and biases of one layer of ``d`` units, or of two where ``u`` is above 0.7; none of
    no units."""
    if not d:
        return (), ()
    gain = random.log_uniform(0.5, 2.5, 1, 1)
    weights = [gain * random.normal(k, d) / math.sqrt(min(k, 4))]
    biases = [gain * random.normal(1, d) * (0.3 + 0.7 * random.uniform(1, 1))]
    if u > 0.7:
        weights.append(random.normal(d, d) * math.sqrt(2 / d))
        biases.append(0.3 * random.normal(1, d))
    return tuple(weights), tuple(biases)


def _hinges(random: Random, k: int, d: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Weights and biases of ``d`` hinges, each of one latent number, above or below a knot."""
    number = torch.arange(d, device=random.device) % k
    sign = 1 - 2 * random.coin(0.3, 1, d).float()
    weight = torch.nn.functional.one_hot(number, k).float().T * sign
    return (weight,), (-sign * random.normal(1, d),)
