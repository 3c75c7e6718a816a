r"""Labels that both sides tell: their entropy, and what is left within each class.

If :math:`C` is a function of X and of Y alike,

.. math:: I(X;Y) = H(C) + \sum_c P(c)\, I(X;Y|C = c),

exactly, by the chain rule (Cover and Thomas 2006, section 2.5). To a network the common columns
look like those of a copy, whose information has no limit. Legend: ``N`` samples, ``d`` columns,
``S`` draws.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.inference.quantile_sums import DRAWS
from torchmist.samples.column_kinds import Sorted, SortedPair, joint_codes
from torchmist.samples.columns import Side
from torchmist.samples.condition import settled_side
from torchmist.samples.label_entropy import entropy_estimate

__all__ = ["SharedLabels", "entropy_draws", "shared_labels"]

Rows = NDArray[np.int64]
_PER_CLASS = 20  # fewest samples of a class, on average
_START = 256  # rows that show most columns to tell nothing of each other
_MOST = 64  # columns of a side that are compared
_CHANCE = math.log(1e-3)  # that any two independent columns of both sides tell the same labels


class SharedLabels(NamedTuple):
    """Labels that both sides tell: ``codes`` from 0 ``[N]``, what is left of either side, ``x`` and
    ``y`` ``[N, d]`` with ``d`` from 0, and a ``note`` on it."""

    codes: Tensor
    x: Side
    y: Side
    note: str

    @property
    def whole(self) -> bool:
        """Whether nothing but the labels is left of a side: it is told by the other."""
        return not all(side.names for side in (self.x, self.y))

    @property
    def dense(self) -> bool:
        """Whether something is left of both sides, and tables of it within the classes would have
        no more cells than there are rows."""
        rest = [side.values for side in (self.x, self.y)]
        if not all(values.shape[1] for values in rest):
            return False
        cells = math.prod(int(joint_codes(values[None]).max()) + 1 for values in rest)
        return (int(self.codes.max()) + 1) * cells <= len(self.codes)


def shared_labels(pair: SortedPair) -> SharedLabels | None:
    """The labels, or numbers of few values, that a column of either side of one dataset tells: the
    same under any names, or those of the coarser of two. None without such, where chance could
    have made them so, as in columns that differ from one value in a row or two, and where a class
    has fewer than 20 samples on average."""
    if len(pair.x.values) > 1 or len(pair.y.values) > 1:
        return None
    of_x, of_y = (_partitions(side) for side in pair[:2])
    told: list[Rows] = []
    least = math.log(max(1, len(of_x) * len(of_y))) - _CHANCE
    names: tuple[dict[str, None], dict[str, None]] = {}, {}
    for (k, a), (j, b) in itertools.product(of_x.items(), of_y.items()):
        coarser = b if _tells(a, b) else a if _tells(b, a) else None
        if coarser is not None and _surprise(a if coarser is b else b, coarser) > least:
            told.append(coarser)
            names[0][pair.x.side.names[k]] = names[1][pair.y.side.names[j]] = None
    if not told:
        return None
    codes = joint_codes(torch.from_numpy(np.stack(told, -1))[None])[0]
    classes = int(codes.max()) + 1
    if classes * _PER_CLASS > len(codes):
        return None
    x, y = (_rest(side, codes) for side in pair[:2])
    note = (
        f"{', '.join(names[0])} and {', '.join(names[1])} tell the same {classes} labels: both "
        f"sides share their entropy, and what else they share is estimated in each class"
    )
    return SharedLabels(codes, x, y, note)


def _partitions(side: Sorted) -> dict[int, Rows]:
    """For each column of labels or of few values, the first row ``[N]`` of the class of each row;
    without columns that are constant or have fewer than 20 rows for a class."""
    out = {}
    for k, kind in enumerate(side.side.kinds[:_MOST]):
        if side.label[k] or side.few[k] or kind == "integer":
            code = side.values[0, :, k].unique(return_inverse=True)[1].cpu().numpy()
            first = np.unique(code, return_index=True)[1]
            if 1 < len(first) and len(first) * _PER_CLASS <= len(code):
                out[k] = first[code]
    return out


def _tells(one: Rows, other: Rows) -> bool:
    """Whether the class of a row by ``one`` says that by the ``other``."""
    parts = slice(_START), slice(None)
    return all(bool((other[one[some]] == other[some]).all()) for some in parts)


def _surprise(finer: Rows, coarser: Rows) -> float:
    """Nats by which it is unlikely that the classes of rows by ``finer`` tell those by ``coarser``,
    were either dealt to rows by chance: the ways to deal the coarser ones, over at most as many
    ways to read them off the finer as there are maps between the classes."""
    classes, counts = len(np.unique(finer)), np.unique(coarser, return_counts=True)[1]
    ways = math.lgamma(len(coarser) + 1) - sum(math.lgamma(count + 1) for count in counts)
    return ways - classes * math.log(len(counts))


def _rest(side: Sorted, codes: Tensor) -> Side:
    """The columns ``[N, d]`` of a side that are not the same in all rows of a class."""
    values, classes = side.values[0], int(codes.max()) + 1
    codes = codes.to(values.device)
    first = torch.zeros(classes, dtype=torch.int64, device=values.device)
    first[codes] = torch.arange(len(codes), device=values.device)
    varies = (values != values[first][codes]).any(0).tolist()
    left = [k for k, some in enumerate(varies) if some]
    settled = settled_side(side)
    kinds, names = tuple(settled.kinds[k] for k in left), tuple(settled.names[k] for k in left)
    return replace(settled, values=values[:, left], kinds=kinds, names=names)


def entropy_draws(codes: Tensor, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws ``[S]`` of the entropy in nats of labels ``[N]``, of normal error and at most that of
    equal shares."""
    value, error, most = (float(v) for v in entropy_estimate(codes[None]))
    draws: NDArray[np.float64] = value + error * rng.standard_normal(DRAWS)
    return draws.clip(0.0, most)
