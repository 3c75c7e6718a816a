r"""Sources and shapes: latent coordinates, and functions of them.

A function is :math:`g(s) = \mathrm{combine}_t\ \psi(w_t \cdot s)`: an activation of up to four
projections, combined as a sum, a product, a norm or a maximum. Waves, polynomials, growth,
products, parities, checkerboards, stairs, saws, radii and maxima are pairs of the two. The datasets
of one call come in up to four groups that share the kind of source and of function.

Legend: ``B`` datasets, ``P`` functions of each, ``K`` points, ``R`` coordinates, ``T`` terms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmist.synthetic.engines.functions_columns import chances, pick, uniform

__all__ = ["SHAPES", "SOURCES", "Shapes", "draw_shapes", "evaluate", "latent"]

Groups = tuple[tuple[int, int, str, str], ...]  # first, last, source, shape

TERMS = 4
_GROUPS = 4
_LARGEST = 6.0  # deviations of a function, above which it saturates

# name -> share; levels and bits are exactly discrete
SOURCES = {
    "uniform": 4.0,
    "normal": 4.0,
    "humps": 1.5,
    "heavy": 1.5,
    "jitter": 1.0,
    "levels": 2.0,
}
# name -> (activation, combination, share)
SHAPES = {
    "wave": ("sine", "sum", 5.0),
    "polynomial": ("cubic", "sum", 2.0),
    "growth": ("exponential", "sum", 1.5),
    "ridge": ("tanh", "sum", 1.5),
    "product": ("shifted", "product", 2.0),
    "parity": ("sign", "product", 2.0),
    "checkerboard": ("square", "product", 1.0),
    "wave product": ("sine", "product", 1.0),
    "stairs": ("floor", "sum", 1.0),
    "saw": ("saw", "sum", 1.0),
    "radius": ("shifted", "norm", 1.0),
    "maximum": ("shifted", "maximum", 1.0),
}


@dataclass(frozen=True)
class Shapes:
    """Sources and functions of a batch; ``groups`` holds (first, last, source, shape)."""

    groups: Groups
    warp: Tensor  # [B, 2]: bend and number of levels of the source
    weight: Tensor  # [B, P, R, T]
    frequency: Tensor  # [B, P, 1, T]
    phase: Tensor  # [B, P, 1, T], 0 to 2 pi
    coefficient: Tensor  # [B, P, 1, T], zeros beyond the terms in use
    cubic: Tensor  # [B, P, 3, 1]
    mean: Tensor  # [B, P, 1]
    deviation: Tensor  # [B, P, 1]
    discrete: Tensor  # [B], bool

    @property
    def coordinates(self) -> int:
        """Latent coordinates of each function."""
        return self.weight.shape[2]


def draw_shapes(
    batch: int, functions: int, coordinates: int, shared: bool, *, generator: torch.Generator
) -> Shapes:
    """Draw sources and functions; ``shared`` functions of a dataset have the same coordinates."""
    device, size = generator.device, (batch, functions)
    groups = _draw_groups(batch, generator)
    joint = _by_dataset(groups, lambda _, shape: SHAPES[shape][1] != "sum", device)[:, None, None]
    used, weight = _draw_terms(joint, size, coordinates, generator)
    term = torch.arange(TERMS, device=device)

    def rand(*shape: int) -> Tensor:
        return uniform(*size, *shape, generator=generator)

    first = 0.25 * 24 ** rand(1, 1)
    shapes = Shapes(
        groups=groups,
        warp=torch.stack(
            (
                uniform(batch, generator=generator),
                (2 * 6 ** uniform(batch, generator=generator).square()).floor(),
            ),
            -1,
        ),
        weight=weight,
        frequency=first * torch.where(term == 0, 1.0, 0.3 + 0.7 * rand(1, TERMS)),
        phase=2 * math.pi * rand(1, TERMS),
        coefficient=torch.where(
            used[:, :, None],
            torch.where((term == 0) | joint[..., None], 1.0, 2 * rand(1, TERMS) - 1),
            0.0,
        ),
        cubic=torch.randn(*size, 3, 1, generator=generator, device=device),
        mean=torch.zeros(*size, 1, device=device),
        deviation=torch.ones(*size, 1, device=device),
        discrete=_by_dataset(groups, lambda source, _: source == "levels", device),
    )
    pilot = uniform(batch, 1 if shared else functions, 1024, coordinates, generator=generator)
    return _standardised(shapes, pilot)


def _draw_groups(batch: int, generator: torch.Generator) -> Groups:
    """Up to four groups of datasets, each with the kinds of its source and of its functions."""
    count = min(batch, _GROUPS)
    u = chances(2 * count, generator=generator)
    shares = {name: shape[-1] for name, shape in SHAPES.items()}
    return tuple(
        (
            batch * i // count,
            batch * (i + 1) // count,
            pick(u[2 * i], SOURCES),
            pick(u[2 * i + 1], shares),
        )
        for i in range(count)
    )


def _draw_terms(
    joint: Tensor, size: tuple[int, int], coordinates: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Which terms are in use, ``[B, P, T]`` bool, and the directions ``[B, P, R, T]`` they project
    on: single coordinates, or random ones of them. ``joint`` ``[B, 1, 1]``: terms are no sum."""
    device = generator.device

    def rand(*shape: int) -> Tensor:
        return uniform(*size, *shape, generator=generator)

    few = min(coordinates, TERMS)
    squared = rand(1)
    active = 1 + (few * squared.square()).floor()  # mostly few coordinates
    active = torch.where(joint, 1 + ((few - 1) * squared.sqrt() + 0.5).floor(), active)
    term = torch.arange(TERMS, device=device)
    used = torch.where(joint, term < active, (term == 0) | (rand(1) < 0.5))
    own = torch.arange(coordinates, device=device)[:, None]
    axis = (own == term % active[..., None]).float()
    sign = rand(1, TERMS).sub_(0.5).sign()
    direction = torch.randn(*size, coordinates, TERMS, generator=generator, device=device)
    direction = direction * (own < active[..., None])
    direction = direction / direction.norm(dim=2, keepdim=True).clamp(min=1e-3)
    turned = rand(1, 1) < torch.where(joint, 0.15, 0.4)[..., None].reshape(-1, 1, 1, 1)
    return used, torch.where(turned, direction, axis * sign)


def _standardised(shapes: Shapes, pilot: Tensor) -> Shapes:
    """The functions with their means and deviations over uniforms ``[B, P or 1, K, R]``."""
    deviation, mean = torch.std_mean(_raw(shapes, latent(shapes, pilot)), -1, keepdim=True)
    return replace(shapes, mean=mean, deviation=deviation.clamp(min=1e-3))


def _by_dataset(
    groups: Groups,
    rule: Callable[[str, str], bool],
    device: torch.device,
) -> Tensor:
    """A rule on the kinds of source and shape, ``[B]`` bool."""
    flags = [rule(source, shape) for a, b, source, shape in groups for _ in range(a, b)]
    return torch.tensor(flags, device=device)


def latent(shapes: Shapes, u: Tensor) -> Tensor:
    """Map uniforms ``[B, P, K, R]`` to coordinates, mostly within -1 to 1."""
    parts = []
    for first, last, source, _ in shapes.groups:
        warp = shapes.warp[first:last, :, None, None, None]
        parts.append(_source(source, u[first:last], warp[:, 0], warp[:, 1]))
    return torch.cat(parts)


def _source(name: str, u: Tensor, bend: Tensor, levels: Tensor) -> Tensor:
    if name == "uniform":
        return 2 * u - 1
    if name in ("levels", "jitter"):
        step = (u * levels).floor().clamp(max=levels - 1)
        level = 2 * step / (levels - 1) - 1
        if name == "levels":
            return level
        return level + 0.3 * bend / levels * (2 * (u * levels - step) - 1)
    z: Tensor = torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6))
    if name == "normal":
        return z / 2
    if name == "humps":
        return (z + (1 + 3 * bend) * (3 * z).tanh()) / (3 + 3 * bend)
    steep = 0.4 + 0.6 * bend
    return (steep * z).sinh() / (2 * steep).sinh()


def evaluate(shapes: Shapes, s: Tensor) -> Tensor:
    """Values ``[B, P, K]`` of the functions at coordinates ``[B, P or 1, K, R]``.

    They have mean 0 and deviation 1, and saturate smoothly at 6 deviations.
    """
    value = (_raw(shapes, s) - shapes.mean) / shapes.deviation
    return _LARGEST * (value / _LARGEST).tanh()


def _raw(shapes: Shapes, s: Tensor) -> Tensor:
    projected = s @ shapes.weight  # [B, P, K, T]
    parts = []
    for first, last, _, shape in shapes.groups:
        activation, combination, _ = SHAPES[shape]
        part = slice(first, last)
        value = _activate(
            activation,
            projected[part],
            shapes.frequency[part],
            shapes.phase[part],
            shapes.cubic[part],
        )
        parts.append(_combine(combination, value, shapes.coefficient[part]))
    return torch.cat(parts)


def _activate(name: str, p: Tensor, frequency: Tensor, phase: Tensor, cubic: Tensor) -> Tensor:
    shift = phase / math.pi - 1  # -1 to 1
    if name == "sine":
        return (math.pi * frequency * p + phase).sin()
    if name == "cubic":
        q = 1.5 * p
        return q * (cubic[..., :1, :] + q * (cubic[..., 1:2, :] + q * cubic[..., 2:, :]))
    if name == "exponential":
        return ((0.5 + 0.5 * frequency) * p).exp()
    if name == "tanh":
        return ((1 + 2 * frequency) * (p - 0.5 * shift)).tanh()
    if name == "shifted":
        return p - 0.3 * shift
    if name == "sign":
        return (p > 0.35 * shift).float() * 2 - 1
    if name == "square":
        wave = (math.pi * (0.6 + 0.5 * frequency) * p + phase).sin()
        return (wave > 0).float() * 2 - 1
    turns = frequency * p + phase
    return turns.floor() if name == "floor" else turns - turns.floor()


def _combine(name: str, value: Tensor, coefficient: Tensor) -> Tensor:
    if name == "sum":
        return (value * coefficient).sum(-1)
    used = coefficient != 0
    if name == "product":
        return torch.where(used, value, 1.0).prod(-1)
    if name == "norm":
        return torch.where(used, value, 0.0).square().sum(-1).sqrt()
    return torch.where(used, value, -9.0).amax(-1)
