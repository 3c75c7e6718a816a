r"""What columns tell of labels: bounds from classifiers that were fitted on other rows.

Where one side is one-hot columns of a label, the other tells of it at least

.. math:: I(X;Y) \ge H(Y) - E[-\log q(y \mid x)]

for any classifier q that the rows had no part in, but for its temperature. Two are fitted on three
quarters of the scores of columns and asked of the last quarter, in turn: Gaussian classes of one
covariance, whose means are shrunk in each discriminant direction by what chance alone would show
(empirical Bayes), for clusters; and the same with means of which each column counts only where it
stands out of chance (nearest shrunken centroids, Tibshirani et al., PNAS 99, 6567, 2002), for
labels that each depend on few columns. There may be as many classes as rows bear.

What is fitted is a constant of the backward pass; the gradient goes through the scores. Legend:
``B`` datasets, ``N`` samples, ``d`` columns, ``L`` classes, ``K`` folds, ``m`` rows of a fold.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.checks import visible
from torchmist.models.directions import Through
from torchmist.models.folds import Folds
from torchmist.models.local import sample_order
from torchmist.models.pair_scores import side_scores
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["TOLD_SIZES", "Told", "told_of_labels"]

TOLD_SIZES = (2, 2, 1, 1)
"""How many numbers the fields of :class:`Told` have."""
_FEWEST, _WIDEST = 3, 256  # classes, and columns beyond which leading directions stand for them
_TEMPERATURES = (0.05, 0.1, 0.2, 0.35, 0.6, 1.0, 1.5, 2.5, 4.0, 7.0)
_STANDING = 2.0  # standard errors by which each column of a mean is shrunk
_BEFORE = 10.0  # rows that the variances of columns count for in those within classes
_RIDGE = 1e-3
_UNSEEN = 0.5  # rows that every class is taken to have beside its own


class Told(NamedTuple):
    """``bounds`` ``[B, 2]`` in nats of both classifiers, the logs of their temperatures,
    ``sharpness`` ``[B, 2]``, the ``entropy`` of the label in nats and the log of the ``rows`` of a
    class, ``[B, 1]`` each; all 0 where not just one side is a label."""

    bounds: Tensor
    sharpness: Tensor
    entropy: Tensor
    rows: Tensor


class _Classes(NamedTuple):
    """What other folds say of classes: how many ``rows`` ``[B, K, 1, L]`` each has; in columns, the
    ``middle`` ``[B, K, 1, d]``, ``means`` ``[B, K, L, d]`` from there, and the covariance
    ``within`` ``[B, K, d, d]``."""

    rows: Tensor
    middle: Tensor
    means: Tensor
    within: Tensor


def told_of_labels(
    x: Tensor, y: Tensor, mask: Tensor | None = None,
    through: tuple[Through, Through] | None = None,
) -> Told:  # fmt: skip
    """What one of ``[B, N, dx]`` and ``[B, N, dy]`` tells of the other, where that is one-hot
    columns of at least three classes.

    ``mask``: ``[B, N]`` bool, True for real samples; ``through``: both sides where they have many
    columns (:func:`torchmist.models.directions.see_narrow`).
    """
    hot = [_one_hot(side, mask) for side in (x, y)]
    found = torch.zeros(len(x), sum(TOLD_SIZES), device=x.device, dtype=torch.float32)
    for own, side, label in ((0, x, y), (1, y, x)):
        asked = hot[1 - own] & ~hot[own]
        if label.shape[-1] < _FEWEST or visible(asked.any()) is False:
            continue
        if side.shape[-1] > _WIDEST and through is not None:
            rows = through[own].rows
        else:
            rows = side_scores(side, mask)
        told = _classified(rows, label.detach(), mask)
        found = torch.where(asked[:, None], torch.cat(told, -1), found)
    return Told(*found.split(TOLD_SIZES, -1))


def _one_hot(side: Tensor, mask: Tensor | None) -> Tensor:
    """Whether each row of ``[B, N, d]`` has one column at its higher value of two, ``[B]``."""
    low, high = _ends(side, mask)
    fits = ((side == high) | (side == low)).all(-1) & ((side > low).sum(-1) == 1)
    return (fits if mask is None else fits | ~mask).all(-1)


def _ends(side: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The lowest and the highest value of each column of ``[B, N, d]``, ``[B, 1, d]``."""
    if mask is None:
        return side.amin(1, keepdim=True), side.amax(1, keepdim=True)
    padding = ~mask[..., None]
    low = side.masked_fill(padding, torch.inf).amin(1, keepdim=True)
    return low, side.masked_fill(padding, -torch.inf).amax(1, keepdim=True)


def _classified(x: Tensor, label: Tensor, mask: Tensor | None) -> Told:
    """Bounds for columns ``x`` ``[B, N, d]`` and a label ``[B, N, L]``, as one-hot columns."""
    real = torch.ones_like(x[..., :1]) if mask is None else mask[..., None].to(x.dtype)
    index = (label - _ends(label, mask)[0]).argmax(-1, keepdim=True)
    one = torch.zeros_like(label).scatter_(-1, index, 1.0).to(x.dtype) * real
    order = sample_order(x.mT, mask, real.sum(1, keepdim=True))
    folds = Folds.of(order)
    rows, label, real = folds.deal(x), folds.deal(one), folds.deal(real)
    with no_gradient():
        classes = _of_others(rows, label, real)
        lower = torch.linalg.cholesky_ex(classes.within).L
    prior = (classes.rows + _UNSEEN).log()
    found = []
    for scores in (_shrunken(rows, classes, lower), _standing(rows, classes, lower)):
        each = [_known(t * scores + prior, label, real) for t in _TEMPERATURES]
        best, which = torch.stack(each).max(0)
        found.append(
            (best, torch.tensor(_TEMPERATURES, device=x.device, dtype=torch.float32).log()[which])
        )
    counts = label.sum((1, 2))
    size = counts.sum(-1, keepdim=True)
    seen = (counts > 0).sum(-1, keepdim=True)
    share = counts / size
    entropy = -torch.xlogy(share, share).sum(-1, keepdim=True) + (seen - 1) / (2 * size)
    bounds, sharpness = (torch.stack(part, -1) for part in zip(*found))
    return Told(entropy + bounds, sharpness, entropy, (size / seen).log())


def _known(logits: Tensor, label: Tensor, real: Tensor) -> Tensor:
    """Mean log probability ``[B]`` of the right class of rows ``[B, K, m, L]``."""
    each = (logits * label).sum(-1, keepdim=True) - logits.logsumexp(-1, keepdim=True) * real
    return each.sum((1, 2, 3)) / real.sum((1, 2, 3))


def _of_others(rows: Tensor, label: Tensor, real: Tensor) -> _Classes:
    """What the other folds say, for each of ``rows`` ``[B, K, m, d]``."""
    rows = rows.double()
    own = [label.double().mT @ side for side in (label.double(), rows)]
    gram = rows.mT @ rows
    counts, sums, grams = (part.sum(1, keepdim=True) - part for part in (*own, gram))
    count = counts.diagonal(dim1=-2, dim2=-1)[..., None]  # rows of each class
    size = (real.sum((1, 2, 3), keepdim=True) - real.sum((2, 3), keepdim=True)).double()
    middle = sums.sum(2, keepdim=True) / size
    means = sums / count.clamp(min=1)
    used = (size - (count > 0).sum(2, keepdim=True)).clamp(min=1)
    within = (grams - sums.mT @ means) / used
    total = (grams / size).diagonal(dim1=-2, dim2=-1) - middle.squeeze(2).square()
    ours = used.squeeze(-1)
    alone = (ours * within.diagonal(dim1=-2, dim2=-1) + _BEFORE * total) / (ours + _BEFORE)
    share = (0.5 * rows.shape[-1] / used).clamp(max=1)
    within = (1 - share) * within + (share * alone[:, :, None] + _RIDGE).squeeze(2).diag_embed()
    means = torch.where(count > 0, means - middle, 0.0)
    return _Classes(*(part.to(label.dtype) for part in (count.mT, middle, means, within)))


def _shrunken(rows: Tensor, classes: _Classes, lower: Tensor) -> Tensor:
    """Log densities ``[B, K, m, L]`` of ``rows`` ``[B, K, m, d]`` in Gaussian classes whose means
    are shrunk in each discriminant direction, up to a constant of each row."""
    with no_gradient():
        count = classes.rows.mT
        means = torch.linalg.solve_triangular(lower, classes.means.mT, upper=False)
        share = classes.rows / classes.rows.sum(-1, keepdim=True)
        spread = ((means * share) @ means.mT).double().nan_to_num()
        values, turn = (part.to(rows.dtype) for part in torch.linalg.eigh(spread))
        chance = ((count > 0).sum(2) - 1) / count.sum(2)
        between = (values - chance).clamp(min=0)[:, :, None]
        kept = between * count / (between * count + 1)
        means, variance = (means.mT @ turn) * kept, 1 + between * (1 - kept)
        constant = ((means.square() / variance + variance.log()).sum(-1))[:, :, None]
        turned = torch.linalg.solve_triangular(lower.mT, turn, upper=True)
    seen = (rows - classes.middle) @ turned
    away = seen.square() @ (1 / variance).mT - 2 * seen @ (means / variance).mT
    out: Tensor = -(away + constant) / 2
    return out


def _standing(rows: Tensor, classes: _Classes, lower: Tensor) -> Tensor:
    """The same where means differ from the middle in those columns that stand out alone."""
    with no_gradient():
        error = (classes.within.diagonal(dim1=-2, dim2=-1)[:, :, None] / classes.rows.mT).sqrt()
        away = (classes.means.abs() - _STANDING * error).clamp(min=0)
        means = (classes.means.sign() * away).nan_to_num()
        weight = torch.cholesky_solve(means.mT, lower)
        constant = (means.mT * weight).sum(2, keepdim=True)
    out: Tensor = (rows - classes.middle) @ weight - constant / 2
    return out
