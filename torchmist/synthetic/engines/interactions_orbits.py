r"""Orbits: pairs of which a random signed permutation or rotation of each row hides which is which.

.. math:: y = \rho \odot G x + \sqrt{1 - \rho^2} \odot e, \qquad
          I = -\tfrac12 \sum_j \log(1 - \rho_j^2) - \log g
              + \mathrm E \log \sum_{G'} \frac{p(y | G' x)}{p(y | G x)}

with x and e standard normal and G one of the g members of a group of orthogonal maps, drawn anew
for each row: only what the group leaves alone is shared, such as sizes, radii or sorted values.

Legend: ``B`` datasets, ``N`` samples, ``T`` kinds of blocks, ``m`` blocks, ``q`` columns of one,
``g`` maps, ``P`` points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_columns import Side, draw_side
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.interactions_tables import points

__all__ = ["GROUPS", "OrbitParameters", "draw_orbits", "group", "orbit_information",
           "sample_orbits"]  # fmt: skip

_POINTS = 4096
_BLOCKS, _KINDS = 6, 2
_TOTAL = (0.05, 12.0)  # nats, were the maps known
_EACH = (0.002, 3.5)  # of a column
_MOST_TURNS = 16

GROUPS: Mapping[str, tuple[int, int, float]] = {
    "sign": (1, 8, 0.35), "signs": (1, 4, 0.15), "shift": (2, 8, 0.15), "permute": (2, 4, 0.2),
    "turn": (2, 6, 0.15),
}  # fmt: skip
"""Least and most columns of a block and the share of each group: a common sign, a sign of each
column, cyclic shifts, permutations, and rotations of planes by multiples of one angle."""


@dataclass(frozen=True)
class OrbitParameters:
    """``maps`` ``[g, q, q]``, the first of which changes nothing; ``correlations`` ``[B, T, q]``
    float64 of the kinds of blocks, which take turns; the number of ``blocks``; the ``sides``;
    datasets that are ``independent`` ``[B]``."""

    maps: Tensor
    correlations: Tensor
    blocks: int
    sides: tuple[Side, Side]
    independent: Tensor


def group(name: str, q: int, turns: int, device: torch.device) -> Tensor:
    """All maps of a group of ``q`` columns ``[g, q, q]``, or of ``turns`` rotations."""
    eye = torch.eye(q, device=device)
    if name == "sign":
        return torch.stack([eye, -eye])
    if name == "signs":
        patterns = torch.tensor(list(itertools.product((1.0, -1.0), repeat=q)), device=device)
        return patterns[:, None] * eye
    if name == "shift":
        return torch.stack([eye.roll(k, 0) for k in range(q)])
    if name == "permute":
        return eye[torch.tensor(list(itertools.permutations(range(q))), device=device)]
    angle = torch.arange(turns, device=device) * (2 * math.pi / turns)
    maps = torch.zeros(turns, q, q, device=device)
    for k in range(0, q, 2):
        maps[:, k, k] = maps[:, k + 1, k + 1] = angle.cos()
        maps[:, k + 1, k], maps[:, k, k + 1] = angle.sin(), -angle.sin()
    return maps


def draw_orbits(random: Random, dx: int, dy: int, independent: Tensor) -> OrbitParameters:
    """Random pairs of ``dx`` and ``dy`` columns; the group is shared by the datasets."""
    u, room = random.choices(5), min(dx, dy)
    shares = {name: share for name, (least, _, share) in GROUPS.items() if least <= room}
    ends = list(itertools.accumulate(shares.values()))
    name = next(key for key, end in zip(shares, ends) if u[0] * ends[-1] <= end)
    least, most, _ = GROUPS[name]
    q = least + int(u[1] * (min(most, room) - least + 1))
    q -= q % 2 if name == "turn" else 0
    blocks = 1 if u[2] < 0.6 else 1 + int(u[3] * min(_BLOCKS, room // q))
    kinds = min(blocks, _KINDS)
    total = random.log_uniform(_TOTAL[0], min(_TOTAL[1], _EACH[1] * q * blocks), 1, 1)
    weight = torch.where(random.coin(0.5, 1, 1), 1.0, random.log_uniform(0.1, 10.0, kinds, q))
    each = total / blocks * weight / weight.mean(1, keepdim=True).sum(-1, keepdim=True)
    correlations = (-torch.expm1(-2 * each.double().clamp(*_EACH))).sqrt()
    free = torch.ones_like(independent)
    sides = draw_side(random, q * blocks, dx, free), draw_side(random, q * blocks, dy, free)
    maps = group(name, q, 2 + int(u[4] * (_MOST_TURNS - 1)), random.device)
    return OrbitParameters(maps, correlations, blocks, sides, independent)


def sample_orbits(p: OrbitParameters, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]`` float32."""
    batch, kinds, q = p.correlations.shape
    device, width = generator.device, p.blocks * q

    def normal(columns: int) -> Tensor:
        return torch.randn(batch, n, columns, generator=generator, device=device)

    dx, dy = (len(side.order) for side in p.sides)
    x, y = normal(dx), normal(dy)
    order = torch.randperm(n, generator=generator, device=device)
    core = x[..., :width]
    core = torch.where(p.independent[:, None, None], core[:, order], core)
    core = core.unflatten(-1, (p.blocks, q))
    chosen = torch.randint(len(p.maps), (batch, n, p.blocks), generator=generator, device=device)
    core = (p.maps[chosen] @ core[..., None])[..., 0]
    turn = torch.arange(p.blocks, device=device) % kinds
    rho = p.correlations[:, None, turn].float()
    rest = (1 - p.correlations.square()).sqrt()[:, None, turn].float()
    shown = rho * core + rest * y[..., :width].unflatten(-1, (p.blocks, q))
    y = torch.cat([shown.flatten(2), y[..., width:]], -1)
    return p.sides[0](x, generator), p.sides[1](y, generator)


def orbit_information(maps: Tensor, correlations: Tensor) -> tuple[Tensor, Tensor]:
    """I of blocks of correlations ``[..., q]`` in nats and the deviation of the mean, ``[...]``."""
    shape, q = correlations.shape[:-1], correlations.shape[-1]
    rho = correlations.reshape(-1, q)
    rest = 1 - rho.square()
    z = torch.special.ndtri(points(rho.device)[:_POINTS, : 2 * q].double())
    x, e = z.split(q, -1)
    y = rho * x[:, None] + rest.sqrt() * e[:, None]  # [P, B T, q]
    moved = torch.einsum("gij,pj->pig", maps.double(), x).float()
    exponent = (y * rho / rest).float() @ moved
    exponent -= (rho.square() / (2 * rest)).float() @ moved.square()
    gain = (exponent - exponent[..., :1]).logsumexp(-1).double()
    deviation, mean = torch.std_mean(gain, 0)
    known = -0.5 * rest.log().sum(-1) - math.log(len(maps))
    mi, error = (known + mean).clamp(min=0), deviation / _POINTS**0.5
    return mi.reshape(shape), error.reshape(shape)
