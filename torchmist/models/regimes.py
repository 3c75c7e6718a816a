r"""What both sides share where rows follow several regimes, each with a relation of its own.

Normal mixtures of scores of both sides,

.. math:: q(x, y) = \sum_k \pi_k\, N\big((x, y); \mu_k, \Sigma_k\big),

are fitted to half of the rows by expectation maximisation from several starts, for several numbers
of regimes, and asked of the other half, in turn; so is one of partners among strangers, where in
one of two regimes the sides are those of all rows and share nothing. That with the best density
there says

.. math:: E \log \frac{q(x, y)}{q(x)\, q(y)},

with the margins of the mixture itself: what is chosen by a hidden class, pairs among strangers,
relations that differ by group, noise of several sizes. It is no bound, for its margins may be off;
how much better it knows the partner of a row than the other rows of its half is one (InfoNCE),
beside it. Several regimes are sought where the joint scores are not normal, as their fourth moments
tell (Mardia, Biometrika 57, 519, 1970), or partners among strangers are found. Mixtures are
constants of the backward pass; the gradient goes through the scores. Legend: ``B`` datasets, ``N``
samples, ``D`` columns of both sides, ``R`` starts, ``k`` regimes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.directions import fixed_numbers
from torchmist.models.local import row_counts
from torchmist.models.ordered_rows import ordered_rows
from torchmist.models.pair_scores import pair_order, pair_scores
from torchmist.numerics.cache import cached
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.shares import normal_softmax

__all__ = ["CONTRASTED", "REGIMES_COUNT", "Regimes", "regime_information"]

REGIMES_COUNT = 5
"""Numbers of :class:`Regimes`."""
_WIDEST, _ROWS, _FEWEST = 40, 6, 60  # columns of both sides, rows for each of them, and at least
_MOST_ROWS = 2048
CONTRASTED = 200
"""Rows of each half that are told apart, at most: the bound is at most the logarithm of it."""
_NUMBERS = (2, 3, 4, 6)  # of regimes
_STARTS, _FIRST_STEPS, _STEPS = 4, 10, 20  # steps of all starts, then of the best
_OTHERS = 0.02  # first share of rows that no regime starts from
_PRIOR, _RIDGE = 0.1, 1e-4  # rows whose covariance is that of all, and variance added
_GAIN = 0.02  # nats a row by which strangers must be seen where moments are not odd
_ODD = (-3.0, 2.0)  # deviations outside of which fourth moments are off; few scores lie below 0


class Regimes(NamedTuple):
    """What the best mixture says, ``nats``, the bound by its ratios, ``bound``, what a single
    regime says, ``one``, in nats; how much better the rows left out are known than by a single
    one, ``gain``, in nats a row, and the ``number`` of regimes, 1 for partners among strangers:
    ``[B, 1]`` each, and all 0 where none are sought."""

    nats: Tensor
    bound: Tensor
    one: Tensor
    gain: Tensor
    number: Tensor


class _Mixture(NamedTuple):
    """Logs of the shares ``[..., k]``, means ``[..., k, D]`` and covariances ``[..., k, D, D]``."""

    logs: Tensor
    means: Tensor
    covariance: Tensor

    def of(self, some: slice) -> _Mixture:
        """That of some columns."""
        return _Mixture(self.logs, self.means[..., some], self.covariance[..., some, some])


def regime_information(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Regimes:
    """What ``[B, N, dx]`` and ``[B, N, dy]`` share by regimes; none are sought in more than 40
    columns of both sides, in fewer than 60 rows or 6 for each column, where scores look normal
    beside strangers, nor while a graph is traced.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    d = x.shape[-1] + y.shape[-1]
    out = torch.zeros(len(x), REGIMES_COUNT, device=x.device, dtype=torch.float32)
    least = max(_FEWEST, _ROWS * d)
    if d > _WIDEST or x.shape[1] < least:
        return _parts(out)
    scores = torch.cat(pair_scores(x, y, mask), -1)
    real = row_counts(x, mask)[:, None]
    some = real[:, 0] >= least
    if visible(some.any()) is not True:
        return _parts(out)
    odd = _odd(scores.detach(), real)
    order = pair_order(x, y, mask)
    for place in some.nonzero()[:, 0].tolist():
        rows = ordered_rows(scores, order, real, place, _MOST_ROWS)
        found = _by_halves(rows, x.shape[-1], bool(odd[place]))
        out = out.index_put((torch.tensor([place], device=x.device),), found[None])
    return _parts(out)


def _parts(out: Tensor) -> Regimes:
    return Regimes(*out.split(1, -1))


def _odd(z: Tensor, real: Tensor) -> Tensor:
    """Whether the fourth moments of scores ``[B, N, D]`` are not those of normal ones, ``[B]``."""
    n, d = real[..., None].to(z.dtype), z.shape[-1]
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    lower = torch.linalg.cholesky_ex(z.mT @ z / n + _RIDGE * eye).L
    squares = torch.linalg.solve_triangular(lower, z.mT, upper=False).square().sum(1)
    moment = squares.square().sum(-1) / n[:, 0, 0]
    away: Tensor = (moment - d * (d + 2)) / (8 * d * (d + 2) / n[:, 0, 0]).sqrt()
    return (away < _ODD[0]) | (away > _ODD[1])


def _by_halves(z: Tensor, dx: int, odd: bool) -> Tensor:
    """The numbers of :class:`Regimes` from scores ``[N, D]``, of which the first ``dx`` are of X;
    0 unless moments are ``odd`` or partners among strangers are found."""
    n = len(z) // 2
    halves = torch.stack([z[0 : 2 * n : 2], z[1 : 2 * n : 2]])
    with no_gradient():
        others = halves.detach().flip(0)
        tried = [_fitted(others, 1), _among_strangers(others, dx)]
        known = [_log_density(halves, mixture).mean() for mixture in tried]
        if not odd and known[1] - known[0] < _GAIN:
            return z.new_zeros(REGIMES_COUNT)
        tried += [_fitted(others, k) for k in _NUMBERS]
        known += [_log_density(halves, mixture).mean() for mixture in tried[2:]]
    best = max(range(1, len(tried)), key=lambda k: float(known[k]))
    nats = [_log_ratio(halves, dx, tried[k]).mean() for k in (best, 0)]
    shown = torch.arange(min(n, CONTRASTED), device=z.device) * n // min(n, CONTRASTED)
    bound = _contrast(halves[:, shown], dx, tried[best])
    number = nats[0].new_tensor(float((1, *_NUMBERS)[best - 1]))
    return torch.stack([nats[0], bound, nats[1], known[best] - known[0], number])


def _fitted(z: Tensor, k: int) -> _Mixture:
    """Mixtures of ``k`` regimes, fitted to rows ``[2, N, D]``: the best of several starts."""
    halves, n, d = z.shape
    whole = z.mT @ z / n
    if k == 1:
        return _moments(z, torch.ones_like(z[:, None, :, 0]), whole, single=True)
    rows = z[:, None]
    share = cached(_first_shares, n, k, d, like=z).expand(halves, -1, -1, -1)
    mixture = _moments(rows, share, whole)
    for _ in range(_FIRST_STEPS):
        mixture = _moments(rows, normal_softmax(_log_parts(rows, mixture), -2), whole)
    best = _log_density(rows, mixture).mean(-1).argmax(-1)
    at = torch.arange(halves, device=z.device), best
    mixture = _Mixture(*(part[at] for part in mixture))
    for _ in range(_STEPS):
        mixture = _moments(z, normal_softmax(_log_parts(z, mixture), -2), whole, single=True)
    return mixture


def _first_shares(n: int, k: int, d: int, *, like: Tensor) -> Tensor:
    """Shares ``[R, k, N]`` from which regimes start, each from about as many rows of its own as
    its covariance needs."""
    rank = fixed_numbers(n, _STARTS, like=like).argsort(0).argsort(0).T[:, None]
    own = rank // max(1, min(2 * d + 2, n // k)) == torch.arange(k, device=like.device)[:, None]
    return own.to(like.dtype).clamp(min=_OTHERS)


def _among_strangers(z: Tensor, dx: int) -> _Mixture:
    """Two regimes of rows ``[2, N, D]``, in the second of which sides are those of all rows and
    share nothing."""
    n, d = z.shape[1:]
    own = torch.arange(d, device=z.device) < dx
    whole = z.mT @ z / n
    ridge = _RIDGE * torch.eye(d, dtype=z.dtype, device=z.device)
    apart = torch.where(own[:, None] == own, whole, 0.0) + ridge
    even = z.new_full((len(z), 2), math.log(0.5))
    means = torch.zeros_like(z[:, :2])
    mixture = _Mixture(even, means, torch.stack([whole + ridge, apart], 1))
    for _ in range(_FIRST_STEPS + _STEPS):
        found = _moments(z, normal_softmax(_log_parts(z, mixture), -2), whole, single=True)
        covariance = torch.stack([found.covariance[:, 0], apart], 1)
        first = torch.stack([found.means[:, 0], means[:, 1]], 1)
        mixture = _Mixture(found.logs, first, covariance)
    return mixture


def _moments(rows: Tensor, share: Tensor, whole: Tensor, *, single: bool = False) -> _Mixture:
    """The mixture of ``rows`` ``[..., N, D]`` whose ``share`` of each regime is ``[..., k, N]``;
    ``whole`` ``[2, D, D]``: the covariance of all."""
    whole = whole[:, None] if single else whole[:, None, None]
    size = share.sum(-1) + 1e-3
    means = share @ rows / (size + 1)[..., None]
    away = _away(rows, means)
    covariance = (away * share[..., None, :]) @ away.mT + _PRIOR * whole
    covariance = covariance / (size + _PRIOR)[..., None, None]
    eye = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    logs = (size / size.sum(-1, keepdim=True)).log()
    return _Mixture(logs, means, covariance + _RIDGE * eye)


def _log_parts(rows: Tensor, mixture: _Mixture) -> Tensor:
    """Log densities of the regimes, with their shares, at ``rows`` ``[..., N, D]``:
    ``[..., k, N]``."""
    inverse, highest = _frames(mixture)
    out: Tensor = highest[..., None] - (inverse @ _away(rows, mixture.means)).square().sum(-2) / 2
    return out


def _away(rows: Tensor, means: Tensor) -> Tensor:
    """Rows ``[..., N, D]`` less each of ``means`` ``[..., k, D]``, ``[..., k, D, N]``: rows last,
    which many pass at a time."""
    return rows.mT.contiguous().unsqueeze(-3) - means[..., None]


def _frames(mixture: _Mixture) -> tuple[Tensor, Tensor]:
    """Lower triangular maps ``[..., k, D, D]`` that whiten the regimes, and the highest values of
    their log densities, with their shares, ``[..., k]``."""
    lower = torch.linalg.cholesky_ex(mixture.covariance).L
    eye = torch.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device)
    # the inverse and a product take a third of the time of a solution for all rows
    inverse = torch.linalg.solve_triangular(lower, eye.expand_as(lower), upper=False)
    size = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    size = size + lower.shape[-1] / 2 * math.log(2 * math.pi)
    return inverse, mixture.logs - size


def _log_density(rows: Tensor, mixture: _Mixture) -> Tensor:
    """At ``rows`` ``[..., N, D]``, ``[..., N]``."""
    out: Tensor = _log_parts(rows, mixture).logsumexp(-2)
    return out


def _log_margins(rows: Tensor, dx: int, mixture: _Mixture) -> list[Tensor]:
    """Log densities of both sides of rows ``[..., N, D]`` alone, ``[..., N]`` each."""
    sides = (slice(None, dx), slice(dx, None))
    return [_log_density(rows[..., some], mixture.of(some)) for some in sides]


def _log_ratio(rows: Tensor, dx: int, mixture: _Mixture) -> Tensor:
    """Log of the density of rows ``[..., N, D]`` over the product of its margins, ``[..., N]``."""
    of_x, of_y = _log_margins(rows, dx, mixture)
    return _log_density(rows, mixture) - of_x - of_y


def _contrast(rows: Tensor, dx: int, mixture: _Mixture) -> Tensor:
    """The InfoNCE bound in nats of rows ``[2, m, D]``, the mean of both directions and halves."""
    m = rows.shape[1]
    of_x, of_y = _log_margins(rows, dx, mixture)
    score = _log_of_pairs(rows, dx, mixture) - of_x[:, :, None] - of_y[:, None]
    own = score.diagonal(dim1=1, dim2=2)
    out: Tensor = (own - (score.logsumexp(1) + score.logsumexp(2)) / 2).mean() + math.log(m)
    return out


def _log_of_pairs(rows: Tensor, dx: int, mixture: _Mixture) -> Tensor:
    """Log densities ``[2, m, m]`` of the X of one of ``rows`` ``[2, m, D]`` with the Y of another.

    Whitened, a pair is the sum of what either row gives, whose squares a product has.
    """
    inverse, highest = _frames(mixture)
    away = _away(rows, mixture.means)
    of_x = (inverse[..., :dx] @ away[..., :dx, :]).double()
    of_y = (inverse[..., dx:] @ away[..., dx:, :]).double()
    squares = of_x.square().sum(-2)[..., None] + of_y.square().sum(-2)[..., None, :]
    squares = (squares + 2 * of_x.mT @ of_y).to(rows.dtype)
    out: Tensor = (highest[..., None, None] - squares / 2).logsumexp(1)
    return out
