r"""What even functions of few directions of many columns show: a modulus, a square, a radius.

Where y follows :math:`|w^T x|` neither a column nor a product of two columns shows much, and no
direction is correlated with y. Waves :math:`\varphi` of the ranks of the columns of the other side
weight the covariance of whitened columns,

.. math:: M_\varphi = E[\varphi(y)\, (x x^T - 1)],

whose eigenvectors of the largest eigenvalues span the directions (principal Hessian directions, Li,
JASA 87, 1025, 1992; sliced average variances, Cook and Weisberg, JASA 86, 328, 1991). Columns whose
waves weight it by more than chance are asked: the directions are those of three quarters of the
rows, and neighbours say what the leading one, and the form of the leading few, share with the
column on the last quarter. By the data processing inequality that is at most I(X; Y); the sum over
columns is not. Directions are constants of the backward pass; the gradient is that of the
correlation between form and wave. Legend: ``B`` datasets, ``N`` samples, ``F`` folds, ``m`` rows of
a fold, ``d``, ``q`` columns of both sides, ``h`` waves of each of ``q``, ``c`` columns that are
asked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.models.folds import FOLDS
from torchmist.models.kraskov import kraskov
from torchmist.models.ordered_rows import datasets_in_order
from torchmist.models.waves import rank_waves
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["EVEN_COUNT", "EvenDirections", "even_information", "many_columns"]

EVEN_COUNT = 5
"""Numbers of :class:`EvenDirections`."""
_NARROWEST, _WIDEST = 8, 64  # columns of a side
_FEWEST, _ROWS, _MOST_ROWS = 128, 4, 2048  # rows: at least, for each column, at most
_WAVES, _MANY = 2, 16  # waves of a column of the other side, one where it has more columns
_CHANCE = 3.0  # deviations of what chance makes, beyond which a column is asked
_ASKED, _FORM = 6, 4  # columns at most, and directions of a form
_SURE = 5.0  # standard errors by which a form must go with a wave on rows left out
_SAME = 0.25  # squared correlation from which two forms are one
_OVER_ROOT, _HIGHEST = 0.05, 0.9999  # variance added, over the root of the rows; a correlation


class EvenDirections(NamedTuple):
    """What a column shares with ``one`` direction of the other side, and with a ``form`` of a few,
    at most over the columns, the ``sum`` over all columns that are sure and whose forms differ, in
    nats; how ``sure`` the surest is, in standard errors, and the ``number`` of columns in the sum:
    ``[B, 1]`` each, and all 0 where none is."""

    one: Tensor
    form: Tensor
    sum: Tensor
    sure: Tensor
    number: Tensor


def many_columns(rows: int, columns: int) -> bool:
    """Whether directions are sought in so many rows and columns of a side."""
    return _NARROWEST <= columns <= _WIDEST and rows >= max(_FEWEST, _ROWS * columns)


def even_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> EvenDirections:
    """What even functions of few directions of ``[B, N, dx]`` or ``[B, N, dy]`` show; none are
    sought in sides of fewer than 8 columns, where one has more than 64, in fewer than 128 rows or 4
    for each column, nor while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    out = torch.zeros(len(x), EVEN_COUNT, device=x.device, dtype=torch.float32)
    columns, wide = (x.shape[-1], y.shape[-1]), max(x.shape[-1], y.shape[-1])
    if wide > _WIDEST or not many_columns(x.shape[1], wide):
        return _parts(out)

    def sought(rows: int) -> bool:
        return any(many_columns(rows, d) for d in columns)

    for place, rows in datasets_in_order(x, y, mask, _MOST_ROWS, sought):
        sides = rows.split(columns, -1)
        found = [
            _shown(one, other)
            for one, other in (sides, sides[::-1])
            if many_columns(len(rows), one.shape[-1])
        ]
        best = max(found, key=lambda each: float(each[2].detach()))
        out = out.index_put((torch.tensor([place], device=x.device),), best[None])
    return _parts(out)


def _parts(out: Tensor) -> EvenDirections:
    return EvenDirections(*out.split(1, -1))


def _shown(x: Tensor, y: Tensor) -> Tensor:
    """The numbers of :class:`EvenDirections` from scores ``[N, d]`` and ``[N, q]``, for directions
    of the first."""
    x, (y, waves) = _dealt(_whitened(x)), (_dealt(part) for part in (y, _waves(y)))
    with no_gradient():
        moments = _moments(x, waves)
        asked = _beyond_chance(moments.sum(0), x.shape[0] * x.shape[1])
        if not len(asked):
            return x.new_zeros(EVEN_COUNT)
        some = moments[:, asked]
        values, turn = torch.linalg.eigh(some.sum(0) - some)
        weight, place = _leading(values, x.shape[1] * (FOLDS - 1))
        turn = turn.gather(-1, place[:, :, None].expand_as(turn[..., :_FORM]))
    rows = x[:, None] @ turn
    one, form = rows[..., 0], (rows.square() * weight[:, :, None]).sum(-1)
    per_column = waves.shape[-1] // y.shape[-1]
    column = y[..., asked // per_column].mT
    wave = waves[..., asked].mT
    share = _correlation(form, wave)
    sure = share * math.sqrt(form.shape[0] * form.shape[-1])
    nats = _between(torch.stack([one, form]), column, share)
    return _numbers(nats, sure, asked // per_column, _alike(form))


def _numbers(nats: Tensor, sure: Tensor, columns: Tensor, alike: Tensor) -> Tensor:
    """The numbers of :class:`EvenDirections` from those of waves, ``[2, c]`` and ``[c]``, each of
    one of ``columns`` ``[c]``: of two waves of a column the surer counts, and in the sum, of
    columns whose forms are ``alike`` ``[c, c]``, that which shares most."""
    best: dict[int, int] = {}
    each = sure.detach().tolist()
    for place, column in enumerate(columns.tolist()):
        if each[place] > (each[best[column]] if column in best else _SURE):
            best[column] = place
    if not best:
        return nats.new_zeros(EVEN_COUNT)
    places = list(best.values())
    kept = nats[:, places]
    most = kept.amax(0).clamp(min=0)
    apart: list[int] = []
    for k in most.detach().argsort(descending=True).tolist():
        if not any(bool(alike[places[k], places[other]]) for other in apart):
            apart.append(k)
    total = most[sorted(apart)].sum()
    number = sure.new_tensor(float(len(apart)))
    return torch.stack([*kept.amax(1), total, sure.detach().amax(), number])


def _dealt(values: Tensor) -> Tensor:
    """Rows ``[N, p]``, dealt to the folds in turn, ``[F, m, p]``."""
    m = len(values) // FOLDS
    out: Tensor = values[: m * FOLDS].unflatten(0, (m, FOLDS)).transpose(0, 1)
    return out


def _whitened(x: Tensor) -> Tensor:
    """Scores ``[N, d]`` in a frame in which they are uncorrelated."""
    with no_gradient():
        eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        gram = x.mT @ x / len(x) + _OVER_ROOT * len(x) ** -0.5 * eye
        lower = torch.linalg.cholesky_ex(gram).L
        inverse = torch.linalg.solve_triangular(lower, eye, upper=False)
    out: Tensor = x @ inverse.mT
    return out


def _waves(y: Tensor) -> Tensor:
    """Waves over the ranks of scores ``[N, q]``, of mean 0 and variance 1, ``[N, q h]``."""
    count = _WAVES if y.shape[-1] <= _MANY else 1
    waves = rank_waves(y, count).flatten(-2)
    waves = waves - waves.mean(0)
    out: Tensor = waves / waves.square().mean(0).clamp(min=1e-12).sqrt()
    return out


def _moments(x: Tensor, waves: Tensor) -> Tensor:
    """Sums ``[F, q h, d, d]`` over the rows of each fold of a wave times products of two columns,
    less those of rows that the wave says nothing of."""
    upper = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    products = x[..., upper[0]] * x[..., upper[1]]
    sums = waves.mT @ products - waves.sum(1)[..., None] * products.mean((0, 1))
    out = sums.new_zeros(*sums.shape[:2], x.shape[-1], x.shape[-1])
    out[..., upper[0], upper[1]] = sums
    out[..., upper[1], upper[0]] = sums
    return out


def _beyond_chance(moments: Tensor, rows: int) -> Tensor:
    """Places of the waves, most first, whose ``moments`` ``[q h, d, d]`` are beyond chance."""
    d = moments.shape[-1]
    away = (moments.square().sum((-2, -1)) / rows - d * (d + 1)) / (2 * d)
    order = away.argsort(descending=True)[:_ASKED]
    return order[away[order] > _CHANCE]


def _leading(values: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """Weights ``[F, c, k]`` and places of the largest eigenvalues ``[F, c, d]`` of sums over so
    many ``rows``, largest first: 0 of those within the edge of what chance makes but the first."""
    size, place = values.abs().topk(min(_FORM, values.shape[-1]), dim=-1)
    edge = 2 * math.sqrt(values.shape[-1] * rows)
    first = torch.arange(size.shape[-1], device=values.device) == 0
    weight = values.gather(-1, place) / rows
    return torch.where(first | (size > edge), weight, 0.0), place


def _correlation(form: Tensor, wave: Tensor) -> Tensor:
    """Correlations ``[c]`` of values ``[F, c, m]`` over all folds, each less its mean there."""
    a, b = (part - part.mean(-1, keepdim=True) for part in (form, wave))
    scale = (a.square().sum((0, 2)) * b.square().sum((0, 2))).clamp(min=1e-12).sqrt()
    out: Tensor = (a * b).sum((0, 2)) / scale
    return out


def _alike(form: Tensor) -> Tensor:
    """Which forms ``[F, c, m]`` are largely the same function, ``[c, c]`` bool."""
    with no_gradient():
        a = form - form.mean(-1, keepdim=True)
        gram = (a @ a.mT).sum(0)
        size = gram.diagonal().clamp(min=1e-12)
        return gram.square() > _SAME * size[:, None] * size


def _between(values: Tensor, column: Tensor, share: Tensor) -> Tensor:
    """What neighbours say that ``values`` ``[V, F, c, m]``, each by itself, and ``column``
    ``[F, c, m]`` share within folds, in nats ``[V, c]``, with the gradient of a Gaussian pair of
    correlation ``share`` ``[c]``."""
    with no_gradient():
        unit = values / values.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-6)
        sides = unit, column.expand_as(unit)
        a, b = (part.detach().flatten(0, 2).contiguous() for part in sides)
        near = kraskov(a, b, torch.ones_like(a, dtype=torch.bool))
        near = near.unflatten(0, values.shape[:3]).mean(1)
    normal = -0.5 * torch.log1p(-share.clamp(-_HIGHEST, _HIGHEST).square())
    out: Tensor = near + normal - normal.detach()
    return out
