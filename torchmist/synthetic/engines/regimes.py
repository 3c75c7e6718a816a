r"""Regimes: rows of several kinds, each with a relation of its own between the sides.

.. math:: x = \mu_k + s_k \odot u, \qquad y = \nu_k + W_k (x - \mu_k) + \sigma_k e

in regime k, which has a share of the rows and may be hidden, or shown as one-hot columns of X or of
Y: populations, markets and machines in several states, columns that a class chooses, signs that
flip, pairs among strangers, noise of several sizes. The information is a mean over rows of the log
ratio of densities, which are sums over the regimes. Legend: ``B`` datasets, ``N`` samples, ``K``
regimes, ``p``, ``q`` columns of the relation, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Rotation, draw_rotation
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes

__all__ = ["RegimeParameters", "Regimes"]

_MOST, _WIDEST = 8, 12  # regimes, and columns of a side that take part
_ROWS, _AT_ONCE = 12_288, 4_000_000  # of the mean, and numbers that are held at a time
_HIDDEN = 0.6  # share of calls in which no side shows the regime, where one could
_APART, _SIZED, _LOUD, _STRANGERS = 0.4, 0.3, 0.4, 0.3  # shares of datasets
_BENT = 0.2


@dataclass(frozen=True)
class RegimeParameters:
    """The regimes of each dataset, and how both sides show them.

    ``shares`` ``[B, K]``; ``means`` ``[B, K, p + q]`` and Cholesky factors ``lower``
    ``[B, K, p + q, p + q]`` of both sides together; ``columns``: p and q; ``shown``: the side, 0 or
    1, with one-hot columns of the regime, or None; ``sizes``: dx and dy; ``bent`` ``[B, 1, 1]``:
    whether columns are shown by their sinh, and a rotation of each side before.
    """

    shares: Tensor
    means: Tensor
    lower: Tensor
    columns: tuple[int, int]
    shown: int | None
    sizes: tuple[int, int]
    bent: Tensor
    turns: tuple[Rotation | None, Rotation | None]


class Regimes(Family[RegimeParameters]):
    """Two to eight regimes of up to twelve columns a side, among columns of noise.

    The number of regimes, their kind of relation and the side that shows them are shared by a call.
    """

    name = "regimes"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> RegimeParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(6)
        regimes = 2 + int(u[0] ** 2 * (_MOST - 1))
        able = [side for side, d in enumerate((dx, dy)) if d > regimes]
        shown = able[int(u[1] * len(able))] if able and u[2] > _HIDDEN else None
        free = [d - regimes * (side == shown) for side, d in enumerate((dx, dy))]
        p, q = (1 + int(v * (min(d, _WIDEST) - 1) + 0.5) for v, d in zip(u[3:5], free))
        uneven = random.uniform(regimes) * random.coin(0.6, 1)
        shares = (2 * uneven).exp()
        means, lower = _relations(random, regimes, p, q, int(4 * u[5]))
        return RegimeParameters(
            shares / shares.sum(-1, keepdim=True), means, lower, (p, q), shown, (dx, dy),
            random.coin(_BENT, 1, 1), (_turn(random, free[0]), _turn(random, free[1])),
        )  # fmt: skip

    def sample_from(
        self, parameters: RegimeParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        z, regime = _rows(p, n, generator)
        regimes = p.shares.shape[1]
        sides = []
        for side, values in enumerate(z.split(p.columns, -1)):
            extra = p.sizes[side] - values.shape[-1] - regimes * (side == p.shown)
            noise = torch.randn(*z.shape[:2], extra, generator=generator, device=z.device)
            turn = p.turns[side]
            values = torch.cat([values, noise], -1)
            values = values if turn is None else turn(values)
            values = torch.where(p.bent, values.sinh(), values)
            if side == p.shown:
                one = torch.nn.functional.one_hot(regime, regimes).to(values.dtype)
                values = torch.cat([values, one], -1)
            sides.append(values)
        return sides[0], sides[1]

    def information(
        self, parameters: RegimeParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p = parameters
        batch, regimes, d = p.means.shape
        step = max(1, min(_ROWS, _AT_ONCE // (batch * regimes * d)))
        found = []
        for start in range(0, _ROWS, step):
            z, regime = _rows(p, min(step, _ROWS - start), generator)
            found.append(_log_ratios(p, z.double(), regime))
        each = torch.cat(found, 1)
        return each.mean(1), each.std(1) / math.sqrt(_ROWS)


def _relations(random: Random, regimes: int, p: int, q: int, kind: int) -> tuple[Tensor, Tensor]:
    """Means ``[B, K, p + q]`` and Cholesky factors of the covariances of both sides.

    ``kind`` of the relations: 0 dense ones of their own, 1 one up to its sign, 2 each column of Y
    one of X, 3 a rotation of a few columns.
    """
    weight = random.normal(regimes, q, p) / math.sqrt(p)
    if kind == 1:
        sign = 1 - 2 * random.coin(0.5, regimes, 1, 1).float()
        weight = weight[:, :1] * sign
    if kind == 2:
        chosen = random.uniform(regimes, q, p).argmax(-1)
        weight = torch.nn.functional.one_hot(chosen, p).to(weight.dtype)
    if kind == 3:
        few = min(p, q)
        turned = torch.linalg.qr(random.normal(regimes, few, few)).Q
        weight = torch.zeros_like(weight)
        weight[:, :, :few, :few] = turned
    strange = random.coin(_STRANGERS, 1) & (torch.arange(regimes, device=random.device) == 0)
    weight = weight * ~strange[..., None, None]
    sized = random.coin(_SIZED, 1, 1)
    size = torch.where(sized, random.log_uniform(0.3, 3.0, regimes, p), 1.0)
    own = torch.where(random.coin(_LOUD, 1), random.log_uniform(0.3, 3.0, regimes), 1.0)
    noise = random.log_uniform(0.03, 1.5, 1) * own
    noise = torch.where(strange, 1.0, noise)
    apart = random.coin(_APART, 1, 1) * random.log_uniform(0.5, 4.0, 1, 1)
    means = apart * random.normal(regimes, p + q)
    lower = torch.zeros(random.batch, regimes, p + q, p + q, device=random.device)
    lower[..., :p, :p] = size.diag_embed()
    lower[..., p:, :p] = weight * size[:, :, None]
    lower[..., p:, p:] = noise[..., None, None] * torch.eye(q, device=random.device)
    return means, lower


def _turn(random: Random, d: int) -> Rotation | None:
    """A rotation of ``d`` columns in half of the datasets."""
    return draw_rotation(random, d, random.coin(0.5, 1, 1)) if d > 1 else None


def _rows(p: RegimeParameters, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Columns of the relation ``[B, n, p + q]`` and the regime of each row ``[B, n]``."""
    regime = torch.multinomial(p.shares, n, replacement=True, generator=generator)
    batch, _, d = p.means.shape
    e = torch.randn(batch, n, d, generator=generator, device=p.means.device)
    rows = torch.zeros_like(e)
    for k in range(p.means.shape[1]):
        made = e @ p.lower[:, k].mT + p.means[:, [k]]
        rows = torch.where((regime == k)[..., None], made, rows)
    return rows, regime


def _log_ratios(p: RegimeParameters, z: Tensor, regime: Tensor) -> Tensor:
    """Logs of the density of rows ``[B, n, p + q]`` over the product of its margins, ``[B, n]``."""
    first = p.columns[0]
    covariance = p.lower.double() @ p.lower.double().mT
    log, means = p.shares.double().log()[:, None], p.means.double()
    parts = []
    for some in (slice(None), slice(None, first), slice(first, None)):
        lower = torch.linalg.cholesky(covariance[:, :, some, some])
        away = (z[:, None, :, some] - means[:, :, None, some]).mT
        square = torch.linalg.solve_triangular(lower, away, upper=False).square().sum(2)
        size = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        parts.append((-square / 2 - size[..., None]).mT + log)  # the powers of 2 pi cancel
    known = [part.gather(-1, regime[..., None]).squeeze(-1) for part in parts]
    mixed = [part.logsumexp(-1) for part in parts]
    joint = (mixed if p.shown is None else known)[0]
    sides = [(known if side == p.shown else mixed)[1 + side] for side in (0, 1)]
    out: Tensor = joint - sides[0] - sides[1]
    return out
