r"""Pictures: classes in many poses on both sides, or against labels, of which X shows the class.

A pair of classes (K, L) has a joint table, and some poses of both sides are correlated normal
pairs. Pictures (``pictures_side``) show class and poses with zeros, saturation and rounding; poses
of some are those of a pool, so that rows repeat. One to four stand side by side:

.. math:: I(X;Y) = \sum_g I(K_g;L_g) - \tfrac12 \sum_{g,s} \log(1 - \rho_{gs}^2)

A side of few columns shows a value of its own for every class. Legend: ``B`` datasets, ``N``
samples, ``K``, ``L`` classes, ``s`` shared poses, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms_tables import sample_table, table_information
from torchmist.synthetic.engines.codes_clusters import draw_joint_table, mixed_up, show_label
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.pictures_side import Side, draw_side

__all__ = ["PicturePair", "PictureParameters", "Pictures"]

_FEWEST = 6  # columns of a picture
_CLASSES = 20
_MOST = 4  # pictures side by side
_LABELS = 0.45  # share of calls in which Y is a label, where a label has as many columns
_SHARED = 0.2  # share of the pairs of pictures that share poses
_NATS = 2.5  # of a shared pose, at most
_UNCLEAR = 0.02  # where more pictures than this are next to another class, nothing is shared
_POOLED = 0.35
_POOL = (8.0, 400.0)  # poses of a pool


@dataclass(frozen=True)
class PicturePair:
    """One pair: ``table`` ``[B, K, L]``; ``x`` and ``y`` are pictures, or values of the classes
    ``[B, L, d]``, or None for a label in ``columns``; ``correlations`` ``[B, s]`` of the shared
    poses; sizes of the ``pools`` ``[B, 1]`` or None; datasets that are ``independent`` ``[B]``."""

    table: Tensor
    x: Side | Tensor | None
    y: Side | Tensor | None
    columns: tuple[int, int]
    correlations: Tensor
    pools: tuple[Tensor, Tensor] | None
    independent: Tensor


@dataclass(frozen=True)
class PictureParameters:
    """Pairs side by side; ``swapped``: X and Y change places once sampled."""

    pairs: tuple[PicturePair, ...]
    swapped: bool


class Pictures(Family[PictureParameters]):
    """Pictures of up to 20 classes, of shared poses, or of both."""

    name = "pictures"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> PictureParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(4)
        swapped = dx < dy if min(dx, dy) < _FEWEST else u[0] < 0.5
        if swapped:
            dx, dy = dy, dx
        label = u[1] < _LABELS and dy <= _CLASSES
        most = min(dx // _FEWEST, max(1, dy // _FEWEST), _MOST)
        count = 1 if u[2] < 0.6 or label else max(1, math.ceil(u[3] * most))
        pairs = []
        for k in range(count):
            a, b = (d * (k + 1) // count - d * k // count for d in (dx, dy))
            pairs.append(_draw_pair(random, a, b, label))
        return PictureParameters(tuple(pairs), swapped)

    def sample_from(
        self, parameters: PictureParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        drawn = [_sample_pair(pair, n, generator) for pair in parameters.pairs]
        x, y = (torch.cat(sides, -1) for sides in zip(*drawn))
        return (y, x) if parameters.swapped else (x, y)

    def information(
        self, parameters: PictureParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its error, both ``[B]`` float64: what pictures that are next
        to one of another class could hide at most."""
        mi = torch.zeros_like(parameters.pairs[0].independent, dtype=torch.float64)
        hidden = mi
        for p in parameters.pairs:
            told = table_information(p.table)
            told = told - 0.5 * torch.log1p(-p.correlations.double().square()).sum(-1)
            mi = mi + told.masked_fill(p.independent, 0)
            for side in (p.x, p.y):
                if isinstance(side, Side):
                    close = math.log(2) * side.close.double()
                    hidden = hidden + close.masked_fill(p.independent, 0)
        return mi, hidden


def _draw_pair(random: Random, dx: int, dy: int, label: bool) -> PicturePair:
    """Random pictures in ``dx`` columns, and pictures, values or labels in ``dy``."""
    u = random.choices(7)
    shared = 0
    if min(dx, dy) >= _FEWEST and not label and u[0] < _SHARED:
        shared = 1 + int(u[1] < 0.3)
    k = other = 2 + int(u[2] ** 1.5 * (_CLASSES - 1))
    if u[3] < 0.3:
        other = 2 + int(u[4] ** 1.5 * (_CLASSES - 1))
    if label and dy > 1:
        other, k = dy, max(k, dy)
    elif label:
        k = max(k, other)
    if shared and u[5] < 0.5:
        table = torch.ones(random.batch, 1, 1, device=random.device)
        independent = torch.zeros(random.batch, dtype=torch.bool, device=random.device)
    else:
        table, independent = draw_joint_table(random, k, other, exact=label)
        table = mixed_up(random, table)
    nats = random.log_uniform(0.05, _NATS, shared)
    x = draw_side(random, table.shape[1], dx, shared=shared)
    y: Side | Tensor | None = None
    if not label and dy >= _FEWEST:
        y = draw_side(random, table.shape[2], dy, shared=shared)
    elif not label:
        y = random.normal(table.shape[2], dy)
    for side in (x, y):
        if isinstance(side, Side):
            independent = independent | (side.close > _UNCLEAR)
    pools = None
    if not shared and u[6] < _POOLED:
        pools = random.log_uniform(*_POOL, 1).floor(), random.log_uniform(*_POOL, 1).floor()
    rho = (-torch.expm1(-2 * nats)).sqrt()
    return PicturePair(table, x, y, (dx, dy), rho, pools, independent)


def _sample_pair(p: PicturePair, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``n`` rows of both sides of a pair; rows of Y are shuffled where they are independent."""
    classes = sample_table(p.table, n, generator=generator)
    sides = (p.x, p.y)
    poses = [_poses(p, k, n, generator) for k in range(2)]
    rho = p.correlations[:, None]
    count = rho.shape[-1]
    if count:
        tied = rho * poses[0][..., :count] + (1 - rho.square()).sqrt() * poses[1][..., :count]
        poses[1] = torch.cat([tied, poses[1][..., count:]], -1)
    shown = []
    for side, label, pose, columns in zip(sides, classes, poses, p.columns):
        if isinstance(side, Side):
            shown.append(side(label, pose, generator))
        elif side is None:
            shown.append(show_label(label, columns))
        else:
            shown.append(side.gather(1, label[..., None].expand(-1, -1, columns)))
    order = torch.randperm(n, generator=generator, device=p.table.device)
    x, y = shown
    return x, torch.where(p.independent[:, None, None], y[:, order], y)


def _poses(p: PicturePair, k: int, n: int, generator: torch.Generator) -> Tensor:
    """Poses ``[B, n, q]`` of side ``k``, none for labels and values."""
    side = (p.x, p.y)[k]
    device, batch = p.table.device, len(p.table)
    width = side.ink.poses if isinstance(side, Side) else 0
    poses = torch.randn(batch, n, width, generator=generator, device=device)
    if p.pools is None or not width:
        return poses
    place = torch.rand(batch, n, generator=generator, device=device) * p.pools[k].clamp(max=n)
    return poses.gather(1, place.long()[..., None].expand(-1, -1, width))
