r"""How fast a classifier of labels learns, and how sure it is where it is surest.

A label that a network gives to rows of many columns may be certain, and no classifier shows it in
few rows: the bound

.. math:: I(X;Y) \ge H(Y) - E[-\log q(y \mid x)]

rises as rows are added. One classifier is fitted to all rows, to halves and to quarters: a ridge
regression of classes on the kernel of a wide layer of rectified units, of white columns and up to
512 rows, asked of each row as if that had no part in it
(``torchmist.models.left_out_regression``), and made a chance by one temperature. Noise in the label
shows where classes are far: a half and an eighth of the rows, those that it is surest of, are asked
by themselves.

Ridges and temperatures are constants of the backward pass. Legend: ``N`` samples, ``d`` columns,
``L`` classes, ``M`` rows of the kernel, ``P`` parts of the rows.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from torchmist.models.left_out_regression import (
    features_of,
    left_out,
    rectified_kernel,
    white_columns,
)
from torchmist.models.ordered_rows import datasets_in_order

__all__ = ["CURVE_COUNT", "LabelCurves", "classes_of", "label_curves", "may_be_learned"]

CURVE_COUNT = 13
"""Numbers of :class:`LabelCurves`."""
_NARROWEST, _WIDEST = 3, 64  # columns of a side
_FEWEST, _MOST_ROWS = 64, 2048  # rows
_RIDGES = (0.003, 0.03, 0.3)
_TEMPERATURES = (1.0, 2.0, 3.0, 4.5, 6.0, 8.0, 11.0, 15.0, 22.0, 35.0)
_PARTS = (1, 2, 4)
_SUREST = (2, 8)
_SIZES = (len(_PARTS), len(_PARTS), 1, len(_SUREST), len(_SUREST), 1, 1)
_UNSEEN = 0.5  # rows that every class is taken to have beside its own


class LabelCurves(NamedTuple):
    """``bounds`` in nats of the classifier of all rows, of halves and of quarters, the shares of
    rows that it puts in another class, ``errors``, the ``entropy`` of the label in nats, its bound
    were all rows told as the surest half and eighth are, ``surest``, and their ``slips``, the log
    of the temperature, ``sharpness``, and the log of the ``rows`` of a class: all 0 where not just
    one side is a label."""

    bounds: Tensor
    errors: Tensor
    entropy: Tensor
    surest: Tensor
    slips: Tensor
    sharpness: Tensor
    rows: Tensor

    @staticmethod
    def of(numbers: Tensor) -> LabelCurves:
        """By name, of ``[B, 13]``."""
        return LabelCurves(*numbers.split(_SIZES, -1))


def may_be_learned(rows: int, columns: tuple[int, int]) -> bool:
    """Whether a label may be learned in so many rows and columns of both sides."""
    return rows >= _FEWEST and _NARROWEST <= max(columns) <= _WIDEST


def label_curves(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """The numbers of :class:`LabelCurves` of ``[B, N, dx]`` and ``[B, N, dy]``, ``[B, 13]``; none
    of fewer than 64 rows or more than 64 columns, nor while a graph is traced.

    Sides of one and two columns are left to neighbours.

    ``mask``: ``[B, N]`` bool, True for real samples.
    """
    columns = (x.shape[-1], y.shape[-1])
    out = torch.zeros(len(x), CURVE_COUNT, device=x.device, dtype=torch.float32)
    if not may_be_learned(x.shape[1], columns):
        return out

    def sought(rows: int) -> bool:
        return may_be_learned(rows, columns)

    for place, rows in datasets_in_order(x, y, mask, _MOST_ROWS, sought):
        sides = rows.split(columns, -1)
        labels = [classes_of(side.detach()) for side in sides]
        for own, side in enumerate(sides):
            label = labels[1 - own]
            if label is not None and labels[own] is None and side.shape[-1] >= _NARROWEST:
                at = torch.tensor([place], device=x.device)
                out = out.index_put((at,), _numbers(side, label)[None])
    return out


def classes_of(side: Tensor) -> Tensor | None:
    """The classes ``[N]`` that columns ``[N, d]`` are one-hot columns of, or one column of two
    values is; None where they are no label."""
    low, high = side.amin(0), side.amax(0)
    if bool((low == high).any()) or not bool(((side == low) | (side == high)).all()):
        return None
    hot = side == high
    if side.shape[-1] == 1:
        return hot[:, 0].long()
    return hot.long().argmax(-1) if bool((hot.sum(-1) == 1).all()) else None


def _numbers(x: Tensor, label: Tensor) -> Tensor:
    """The numbers of :class:`LabelCurves` from scores ``[N, d]`` and classes ``[N]``."""
    one = F.one_hot(label).to(x.dtype)
    n, classes = one.shape
    share = one.mean(0)
    entropy = -torch.xlogy(share, share).sum() + (classes - 1) / (2 * n)
    features = features_of(white_columns(x), rectified_kernel)
    curve = [_learned(features, one, parts) for parts in _PARTS]
    known, wrong, sure, temperature = curve[0]
    order = sure.detach().argsort(descending=True)
    surest = [order[: n // part] for part in _SUREST]
    numbers = [
        *(entropy + part[0].mean() for part in curve),
        *(part[1].mean() for part in curve),
        entropy,
        *(entropy + known[rows].mean() for rows in surest),
        *(wrong[rows].mean() for rows in surest),
        temperature.log(),
        x.new_tensor(math.log(n / classes)),
    ]
    return torch.stack(numbers).float()


def _learned(features: Tensor, one: Tensor, parts: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a classifier of each of so many ``parts`` of rows ``[N, M]`` says of these rows: the log
    chance of their class, whether another has more, and the most, ``[N]`` each, and the
    temperature."""
    said = []
    for k in range(parts):
        label = one[k::parts]
        prior, centred = (label.sum(0) + _UNSEEN).log(), label - label.mean(0)
        nearest = min(
            left_out(features[k::parts], centred, _RIDGES),
            key=lambda f: float((f - centred).detach().square().sum()),
        )
        logs = torch.stack([t * nearest + prior for t in _TEMPERATURES]).log_softmax(-1)
        known = (logs * label).sum(-1)
        best = int(known.detach().mean(-1).argmax())
        most, place = logs[best].max(-1)
        wrong = (place != label.argmax(-1)).to(logs.dtype)
        temperature = logs.new_tensor(_TEMPERATURES[best])
        said.append((known[best], wrong, most, temperature))
    all_known, all_wrong, all_most, temperatures = zip(*said)
    return torch.cat(all_known), torch.cat(all_wrong), torch.cat(all_most), temperatures[0]
