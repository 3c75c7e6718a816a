r"""Whether the few values of a column are codes, of which the order says nothing.

Grades, rounded measurements and counts are numbers of few values, and so are codes of classes that
a table holds as floats. A column is taken for codes where the other side goes with its values in a
way that their order does not show: where a cubic of the column's normal scores leaves more of the
means of a target by value than chance would, by their own variances,

.. math:: \sum_k n_k \bar r_k^2 / s_k^2, \qquad r = t - \text{cubic},

and a tenth of :math:`\sum_k n_k \bar t_k^2` at least. Targets are the columns of the other side,
their squares (noise that depends on the code), and their products with the columns beside the one
in question (a code that turns a sign, or chooses).

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``K`` values, ``T`` targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.copula import normal_scores

__all__ = ["codes_among"]

_POWERS = 3  # of the scores of a column, which its order may follow
_SURE = 4.0  # deviations beyond chance, of one target
_SHARE = 0.1  # of what the values tell, which the order must leave out
_MOST = 1024  # products of columns, beyond which none are asked
_LEAST = 5  # rows of a value that counts
_ROWS = 20_000  # most rows to see it from
_TINY = 1e-6  # of a variance of 1


def codes_among(
    values: Tensor, codes: Mapping[int, Tensor], numbers: list[int], other: Tensor
) -> list[int]:
    """Those of some columns that are codes beside the other side.

    Args:
        values: a side ``[B, N, d]``.
        codes: those of its columns of few values, from 0 in their order, ``[B, N]`` each.
        numbers: its columns that are no labels, those among them.
        other: the columns of the other side ``[B, N, d]``, labels as one-hot columns.
    """
    values, other = values[:, :_ROWS], normal_scores(other[:, :_ROWS])
    scores = normal_scores(values)
    found = []
    for k, code in codes.items():
        beside = scores[..., [j for j in numbers if j != k]]
        if _hides(code[:, :_ROWS], scores[..., k], _targets(beside, other)):
            found.append(k)
    return found


def _hides(codes: Tensor, scores: Tensor, parts: Iterator[Tensor]) -> bool:
    """Whether some target ``[B, N, T]`` in ``parts`` goes with ``codes`` ``[B, N]`` in a way that
    their ``scores`` ``[B, N]`` hide."""
    group = F.one_hot(codes).double()
    group = group[..., group.sum((0, 1)) >= _LEAST * len(codes)]
    values = group.shape[-1]
    if values < 3:
        return False
    powers = min(_POWERS, values - 2)
    order = torch.stack([scores.double() ** p for p in range(powers + 1)], -1)
    rows, free = group.sum(-1, keepdim=True), len(codes) * (values - 1 - powers)
    for targets in parts:
        t = _standard(targets) * rows
        left = t - rows * (order @ torch.linalg.lstsq(order * rows, t).solution)
        square, noise = _between(group, left)
        sure = _deviations((square / noise).sum((0, 1)), free)
        told, _ = _between(group, t)
        more = (square - noise).sum((0, 1)) > _SHARE * told.sum((0, 1))
        if bool((more & (sure > _SURE + math.sqrt(2 * math.log(t.shape[-1])))).any()):
            return True
    return False


def _between(group: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of means by value of targets ``[B, N, T]`` times their rows, and what chance makes of
    them, ``[B, K, T]``: the variance within a value, drawn to that within all."""
    count = group.sum(1)[..., None].clamp(min=1)
    mean = group.mT @ t / count
    within = (group.mT @ t.square() - count * mean.square()).clamp(min=0)
    rest = count.sum(1, keepdim=True) - group.shape[-1]
    pooled = within.sum(1, keepdim=True) / rest.clamp(min=1)
    noise = (within + _LEAST * pooled) / (count - 1 + _LEAST)
    return count * mean.square(), noise.clamp(min=_TINY)


def _targets(beside: Tensor, other: Tensor) -> Iterator[Tensor]:
    """What may go with a code, ``[B, N, T]`` in parts, from normal scores of the columns ``beside``
    it and of the ``other`` side."""
    yield other
    yield other.square()
    if 0 < beside.shape[-1] * other.shape[-1] <= _MOST:
        yield (beside[..., None] * other[..., None, :]).flatten(2)


def _standard(columns: Tensor) -> Tensor:
    """Columns ``[B, N, d]`` of mean 0 and variance 1; 0 where they are constant."""
    centred = columns - columns.mean(1, keepdim=True)
    variance = centred.square().mean(1, keepdim=True)
    out: Tensor = centred * (variance > _TINY) * variance.clamp(min=_TINY).rsqrt()
    return out.double()


def _deviations(square: Tensor, free: int) -> Tensor:
    """Standard normal deviations of a chi-square of ``free`` degrees (Wilson and Hilferty 1931)."""
    share = 2 / (9 * free)
    return ((square / free).clamp(min=0) ** (1 / 3) - 1 + share) / math.sqrt(share)
