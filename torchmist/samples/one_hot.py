"""What of a side goes to the network: numbers as they are, labels as one-hot columns.

Labels become one-hot columns of their joint codes where these are at most 32, which shows
interactions, else those of each column, at most 1,024 for all, the rarest classes beyond as one.
Few columns beside others are numbers, and one-hot columns as well, alike, where these are at most
8, or at most 64 and those columns are codes (``torchmist.samples.unordered``): those of grades and
rounded numbers would say again what the numbers say. Values of fewer than five rows are as one.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``K`` one-hot columns.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.samples.column_kinds import (
    CLASSES,
    NEVER,
    PER_CODE,
    Sorted,
    SortedPair,
    distinct,
    joint_codes,
)
from torchmist.samples.sample import Sample
from torchmist.samples.unordered import codes_among

__all__ = ["network_columns", "network_sample"]

_LABELS = 1024  # most one-hot columns of columns of labels, an equal part for each
_ANYWAY = 8  # one-hot columns of numbers of few values that do no harm
_JOINT = 32  # most joint codes that the network sees as one-hot columns


def network_sample(pair: SortedPair) -> Sample:
    """A pair as the network reads it: labels as one-hot columns."""
    (x, notes_x), (y, notes_y) = network_columns(pair.x, pair.y), network_columns(pair.y, pair.x)
    labels = pair.x.declared, pair.y.declared
    return Sample(x, y, labels, notes=(*pair.notes, *notes_x, *notes_y))


def network_columns(sorted_: Sorted, other: Sorted) -> tuple[Tensor, list[str]]:
    """The side for the network ``[B, N, K]``, beside an ``other``: numbers as they are, labels as
    one-hot columns."""
    values, label = sorted_.values, list(sorted_.label)
    side = sorted_.side
    notes: list[str] = []
    d = values.shape[-1]
    if d > 1 and sorted_.codes is not None and int(sorted_.codes.max()) < _JOINT:
        return _one_hot(sorted_.codes, values), notes
    auto = [k for k, kind in enumerate(side.kinds) if kind == "integer" and label[k]]
    if d > 1 and auto:
        total = sum(min(CLASSES, distinct(values[..., k])) for k in auto)
        if total > CLASSES:
            notes.append(
                f"{len(auto)} integer columns of {side.name} are taken as numbers; if they "
                f"hold class labels, pass {side.argument}=True"
            )
            label = [mark and k not in auto for k, mark in enumerate(label)]
    marked = [k for k in range(d) if label[k]]
    few = [k for k in range(d) if sorted_.few[k]] if d > 1 else []
    if not marked and _indicators(values, few):
        return values, notes
    parts = [values[..., [k for k in range(d) if not label[k]]]]
    joint = _few_codes(values, marked + few)
    if joint is None:
        parts += _few_columns(sorted_, few, other)
        joint = _few_codes(values, marked) if few else None
    if joint is not None:
        return torch.cat([*parts, _one_hot(joint, values)], -1), notes
    most = max(CLASSES, _LABELS // max(1, len(marked)))
    for k in marked:
        codes = values[..., k].unique(return_inverse=True)[1]
        rare = int(codes.max()) + 1 - most + 1
        if rare > 1:
            codes = _pool(codes, most)
            notes.append(
                f"{side.names[k]}: the {rare} rarest of {rare + most - 1} classes are taken as "
                f"one; if they are numbers, pass {side.argument}=False"
            )
        parts.append(_one_hot(codes, values))
    return torch.cat(parts, -1), notes


def _indicators(values: Tensor, columns: list[int]) -> bool:
    """Whether ``columns`` of two values each, at most one fewer than their joint codes, say by
    themselves which code a row has, as one-hot columns do."""
    chosen = values[..., columns]
    if any(distinct(column) > 2 for column in chosen.unbind(-1)):
        return False
    return not columns or int(joint_codes(chosen).max()) <= len(columns)


def _few_codes(values: Tensor, columns: list[int]) -> Tensor | None:
    """Joint codes ``[B, N]`` of several ``columns``, where these are at most 32."""
    if not 1 < len(columns) <= NEVER:
        return None
    codes = joint_codes(values[..., columns])
    return codes if int(codes.max()) < _JOINT else None


def _few_columns(sorted_: Sorted, columns: list[int], other: Sorted) -> list[Tensor]:
    """One-hot columns of those numbers of few values that are codes beside the ``other`` side, or
    of all of them where these are at most 8; at most 64, or none. They stand beside the numbers."""
    values = sorted_.values
    codes = {k: values[..., k].unique(return_inverse=True)[1] for k in columns}
    if _count(codes.values()) > _ANYWAY:
        numbers = [k for k, label in enumerate(sorted_.label) if not label]
        columns = codes_among(values, codes, numbers, _targets(other))
    frequent = [_frequent(codes[k]) for k in columns]
    if _count(frequent) > CLASSES:
        return []
    return [_one_hot(code, values) for code in frequent if _count([code]) > 2]


def _count(codes: Iterable[Tensor]) -> int:
    """How many values all ``codes`` ``[B, N]`` have."""
    return sum(int(code.max()) + 1 for code in codes)


def _targets(side: Sorted) -> Tensor:
    """The columns of a side ``[B, N, K]``, labels as one-hot columns of the most frequent 64."""
    parts = [side.values[..., [k for k, label in enumerate(side.label) if not label]]]
    for k, label in enumerate(side.label):
        if label:
            codes = side.values[..., k].unique(return_inverse=True)[1]
            parts.append(_one_hot(_pool(codes, CLASSES), side.values))
    return torch.cat(parts, -1)


def _one_hot(codes: Tensor, like: Tensor) -> Tensor:
    """Codes from 0 ``[B, N]`` as columns ``[B, N, K]``; one column for two classes."""
    count = int(codes.max()) + 1
    if count <= 2:
        return codes[..., None].to(like.dtype)
    columns: Tensor = F.one_hot(codes, count).to(like.dtype)
    return columns


def _frequent(codes: Tensor) -> Tensor:
    """Codes of five rows each or more as they are, the others as one."""
    rare = int((codes.flatten().bincount() < PER_CODE).sum())
    return codes if rare == 0 else _pool(codes, int(codes.max()) + 2 - rare)


def _pool(codes: Tensor, most: int) -> Tensor:
    """``most`` codes: all but the most frequent as one, the last."""
    rank = codes.flatten().bincount().argsort(descending=True, stable=True).argsort()
    return rank[codes].clamp(max=most - 1)
