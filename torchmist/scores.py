"""Mutual information of many single columns with one, in batches: what scores of features need.

Every column is taken for *numbers*, of which only the ranks matter, or for *labels*
(:func:`read_table` has the rules). Pairs go through ``torchmist.models.pair_network``, whose
statistics cost little more than counting; other weights (``"mist"``, ``"mist-fast"``, a file, a
module) score by those instead, at ten to two hundred times the time.

Legend: ``F`` columns, ``B`` pairs, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES
from torchmist.copula import rank_transform
from torchmist.diagnostics.rank_resolution import beyond_resolution, resolution
from torchmist.estimation import MIEstimate, estimate_sorted
from torchmist.functional import Model
from torchmist.inference.entropy_bound import repeated_entropy
from torchmist.inference.quantiles import reduce_quantiles
from torchmist.models.pair_network import PairNetwork, is_pair_model, load_pair_network
from torchmist.models.pair_statistics import label_statistics, mixed_statistics, number_statistics
from torchmist.quantile_head import QUANTILES, quantile_levels
from torchmist.samples.column_kinds import bearable, sort_pair
from torchmist.samples.columns import Discrete, Kind, Side, read_side
from torchmist.samples.label_entropy import code_entropy
from torchmist.samples.ordinal import order_matters

__all__ = ["Columns", "Taken", "read_table", "score_columns"]

_ELEMENTS = 1_000_000  # samples in one pass
_CHUNK = 64  # most pairs in one pass
_FEW, _PER_VALUE = 20, 5  # most values of a number that is taken for labels, and rows for each
_ROWS = 20_000  # most rows to see from whether the order of integers matters
_NEAR = 0.6  # share of what the sample resolves from which a pair is looked at for near copies
_MUCH = 1.0  # nats of a pair of numbers from which the entropy of repeated values is asked
_CLASSES = 60  # most classes of a table; beside numbers, the rarest beyond are one

Taken = Literal["numbers", "labels"]


@dataclass(frozen=True, eq=False)
class Columns:
    """A table whose columns have their kinds.

    ``values`` ``[N, F]``, labels as codes from 0; ``names``, ``taken``, ``classes`` ``[F]``: what
    errors call a column, what it is taken for, and the number of its classes (0 of numbers).
    ``argument``: what the user calls the marks of labels.
    """

    values: Tensor
    names: tuple[str, ...]
    taken: tuple[Taken, ...]
    classes: tuple[int, ...]
    argument: str = ""

    def __len__(self) -> int:
        return len(self.names)

    def pick(self, places: Sequence[int]) -> Columns:
        """The columns at some places."""
        return Columns(
            self.values[:, list(places)],
            tuple(self.names[k] for k in places),
            tuple(self.taken[k] for k in places),
            tuple(self.classes[k] for k in places),
            self.argument,
        )

    def rows(self, chosen: Tensor) -> Columns:
        """The same columns of some rows, with codes from 0 again."""
        return _coded(self.values[chosen], self.names, self.taken, self.argument)

    def codes(self, place: int) -> Tensor:
        """Labels ``[N]`` as integers."""
        return self.values[:, place].long()

    def entropy(self, place: int) -> float:
        """Entropy of a column of labels in nats."""
        return float(code_entropy(self.codes(place)[None])[0])


def _coded(values: Tensor, names: Sequence[str], taken: Sequence[Taken], argument: str) -> Columns:
    values, classes = values.clone(), [0] * len(names)
    for k, kind in enumerate(taken):
        if kind == "labels":
            found, codes = values[:, k].unique(return_inverse=True)
            values[:, k] = codes.to(values.dtype)
            classes[k] = len(found)
    return Columns(values, tuple(names), tuple(taken), tuple(classes), argument)


def read_table(
    value: Any, name: str = "x", discrete: Discrete = "auto", target: Tensor | None = None,
    argument: str | None = "",
) -> Columns:  # fmt: skip
    """The columns of a table with their kinds.

    Bool, categorical and marked columns are labels. An integer column is labels while it has at
    most 20 distinct values, or at most ``N / 5`` if, beside the ``target``, the order of its values
    does not matter (``torchmist.samples.column_kinds``). A floating-point column of at most 20
    distinct values, each five times on average, is labels as well. All else are numbers.

    Args:
        value: ``[N]`` or ``[N, F]``, as for :func:`torchmist.estimate`.
        name: what errors call it.
        discrete: which columns are labels, as for :func:`torchmist.estimate`.
        target: ``[N]``, what the columns are to be scored against.
        argument: what the user calls ``discrete``; ``""`` for ``discrete_`` and the name, None
            where there is no such argument.

    Raises:
        TypeError, ValueError: as :func:`torchmist.estimate`.
    """
    side = read_side(value, name, discrete, argument)
    if side.values.dim() > 2:
        raise ValueError(
            f"expected {name} as one table, [N] or [N, F], got shape {list(side.values.shape)}"
        )
    values = side.values[:, None] if side.values.dim() == 1 else side.values
    if len(values) < MIN_SAMPLES:
        raise ValueError(
            f"expected at least {MIN_SAMPLES} samples in {name}, got n_samples = {len(values)}"
        )
    if not values.is_floating_point():
        raise TypeError(f"expected real numbers in {name}, got {values.dtype}")
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        raise ValueError(
            f"expected finite values, got {int((~finite).sum())} NaN or infinite entries in "
            f"{name}; drop or impute those rows"
        )
    if values.dtype != torch.float64:
        values = values.float()
    taken = [_taken(values[:, k], kind, target) for k, kind in enumerate(side.kinds)]
    return _coded(values, side.names, taken, side.argument)


def _taken(column: Tensor, kind: Kind, target: Tensor | None) -> Taken:
    """What a column ``[N]`` is taken for."""
    n = len(column)
    if kind in ("label", "real"):
        return "labels" if kind == "label" else "numbers"
    if kind == "number" and len(column[: _FEW * _PER_VALUE].unique()) > _FEW:
        return "numbers"
    count = len(column.unique())
    if kind == "number":
        return "labels" if count <= min(_FEW, n // _PER_VALUE) else "numbers"
    if count <= _FEW:
        return "labels" if count <= bearable(n) else "numbers"
    if target is None or count > bearable(n):
        return "numbers"
    ordered = order_matters(column[:_ROWS], target[:_ROWS], shuffled=False)
    return "numbers" if ordered else "labels"


class _Target:
    """One column ``[1, N]`` as codes, or as ranks, made once for all that is scored against it."""

    def __init__(self, y: Columns) -> None:
        self.is_labels, self.classes = y.taken[0] == "labels", y.classes[0]
        self.codes = y.codes(0)[None] if self.is_labels else None
        self.bound = y.entropy(0) if self.is_labels else math.inf
        self.ranks = None if self.is_labels else _ranks(y.values)


def _ranks(values: Tensor) -> tuple[Tensor, Tensor]:
    """Normal scores and codes of the ranks, ``[F, N]`` each, of columns ``[N, F]``."""
    found = rank_transform(values[None])
    return found.scores[0], found.codes[0]


def score_columns(
    x: Columns,
    y: Columns,
    *,
    model: Model = "mist-pairs",
    step: Callable[[int], object] | None = None,
) -> MIEstimate:
    """I(X_f; Y) of every column of ``x`` with the one column of ``y``, as a batch of ``F``.

    Runs where the values are, on CPU or GPU. Labels bound the quantiles by their entropy; constant
    columns are 0. Beside numbers, the rarest of more than 60 classes are taken as one; labels of
    more classes beside labels go by the posterior of their counts
    (``torchmist.discrete.table_posterior``).

    Args:
        x: ``F`` columns.
        y: one column of as many rows.
        model: ``"mist-pairs"``, or what :func:`torchmist.estimate` takes.
        step: called with the number of columns after each batch of them.

    Raises:
        ValueError: for tables of different lengths, or a target of several columns.

    Example:
        >>> x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
        >>> r = score_columns(read_table(x), read_table(x[:, :1]))
        >>> bool(r.mean[0] > 3), bool(r.mean[1] < 0.1)
        (True, True)
    """
    if len(y) != 1:
        raise ValueError(f"expected one column as the target, got {len(y)}")
    if len(x.values) != len(y.values):
        raise ValueError(
            f"expected as many rows in x as in y, got {len(x.values)} and {len(y.values)}"
        )
    network = load_pair_network(str(model)) if is_pair_model(model) else None
    network = None if network is None else network.to(x.values.device)
    target, groups = _Target(y), dict[str, list[int]]()
    for k in range(len(x)):
        groups.setdefault(_way(x, k, target, network), []).append(k)
    count = network.quantiles if network is not None else QUANTILES
    out = torch.zeros(len(x), count, device="cpu", dtype=torch.float32)
    chunk = max(1, min(_CHUNK, _ELEMENTS // len(x.values)))
    for way, places in groups.items():
        for start in range(0, len(places), chunk):
            part = places[start : start + chunk]
            if way in ("estimate", "counts"):
                out[part] = _one_by_one(x.pick(part), y, "mist-fast" if way == "counts" else model)
            elif network is not None:
                with torch.no_grad():
                    out[part] = _by_statistics(x.pick(part), target, network, way).cpu()
            if step is not None:
                step(len(part))
    moving = (x.values != x.values[:1]).any(0) & (y.values != y.values[:1]).any()
    out, levels = out * moving.cpu()[:, None], quantile_levels(count)
    limit = _limit(out, x, y, levels)
    opened = _open(out, x, y) & limit.isinf().all(-1)
    return MIEstimate(torch.minimum(out, limit), levels, (), True, opened)


def _limit(quantiles: Tensor, x: Columns, y: Columns, levels: Tensor) -> Tensor:
    """Quantiles ``[F, Q]`` at ``levels`` ``[Q]`` of the entropy of the numbers that repeat few
    values, of a column or of the target, infinite without such and of columns that share little."""
    out = torch.full_like(quantiles, torch.inf)
    high = quantiles.median(-1).values > _MUCH
    if bool(high.any()) and y.taken[0] == "numbers":
        out[high] = repeated_entropy(y.values, levels)
    for k in high.nonzero().flatten().tolist():
        if x.taken[k] == "numbers":
            out[k] = torch.minimum(out[k], repeated_entropy(x.values[:, [k]], levels))
    return out


def _open(quantiles: Tensor, x: Columns, y: Columns) -> Tensor:
    """Which columns of numbers the sample cannot tell from a copy of the target, ``[F]`` bool."""
    found = torch.zeros(len(x), dtype=torch.bool, device="cpu")
    if y.taken[0] == "labels":
        return found
    least = _NEAR * resolution(len(x.values))
    high = quantiles.median(-1).values > least
    places = [k for k in high.nonzero().flatten().tolist() if x.taken[k] == "numbers"]
    if places:
        sides = x.values[:, places].mT[..., None], y.values.expand(len(places), -1, -1)
        found[places] = beyond_resolution(quantiles[places], *sides)
    return found


def _way(x: Columns, k: int, target: _Target, network: PairNetwork | None) -> str:
    """How a column is scored: by one of the heads, by counts, or by other weights."""
    if network is None:
        return "estimate"
    if x.taken[k] != "labels" and not target.is_labels:
        return "numbers"
    if x.taken[k] == "labels" and target.is_labels:
        return "counts" if max(x.classes[k], target.classes) > _CLASSES else "labels"
    return "mixed labels" if target.is_labels else "mixed numbers"


def _by_statistics(x: Columns, target: _Target, network: PairNetwork, way: str) -> Tensor:
    """Quantiles ``[F, Q]`` of columns of one kind."""
    kind = way.split()[0]
    bound = torch.full((len(x), 1), target.bound, device="cpu", dtype=torch.float32)
    if way == "numbers":
        assert target.ranks is not None
        statistics = number_statistics(_ranks(x.values), target.ranks)[0]
    elif way == "mixed labels":
        assert target.codes is not None
        codes, classes = _pooled(target.codes, target.classes)
        statistics = mixed_statistics(codes, classes, _ranks(x.values))[0]
    else:
        labels = x.values.mT.long()
        bound = torch.minimum(bound, code_entropy(labels).float().cpu()[:, None])
        if way == "labels":
            assert target.codes is not None
            sizes = max(x.classes), target.classes
            statistics = label_statistics(labels, target.codes, sizes)[0]
        else:
            assert target.ranks is not None
            pools = [_pooled(*each) for each in zip(labels, x.classes)]
            codes = torch.stack([codes for codes, _ in pools])
            statistics = mixed_statistics(codes, max(c for _, c in pools), target.ranks)[0]
    quantiles = network(kind, statistics).clamp(min=0)
    return torch.minimum(quantiles, bound.to(quantiles))


def _pooled(codes: Tensor, classes: int) -> tuple[Tensor, int]:
    """Codes with all but the most frequent 59 classes as one, and the number of classes."""
    if classes <= _CLASSES:
        return codes, classes
    rank = codes.flatten().bincount().argsort(descending=True, stable=True).argsort()
    return rank[codes].clamp(max=_CLASSES - 1), _CLASSES


def _one_by_one(x: Columns, y: Columns, model: Model) -> Tensor:
    """Quantiles ``[F, Q]`` through :func:`torchmist.estimate`: numbers as one batch."""
    sides = [_side(x, "x"), _side(y, "y")]
    numbers = [k for k, kind in enumerate(x.taken) if kind == "numbers"]
    out = torch.zeros(len(x), QUANTILES, device="cpu", dtype=torch.float32)
    if numbers:
        values = x.values[:, numbers].mT[..., None]
        batch = replace(sides[0], values=values, kinds=("real",), names=("x",))
        checked = values, y.values.expand(len(values), -1, -1)
        out[numbers] = _resampled(estimate_sorted(sort_pair(batch, sides[1], checked), model))
    for k in set(range(len(x))) - set(numbers):
        labels = _side(x.pick([k]), "x")
        checked = labels.values[None], y.values[None]
        out[k] = _resampled(estimate_sorted(sort_pair(labels, sides[1], checked), model))[0]
    return out


def _resampled(found: MIEstimate) -> Tensor:
    """Quantiles ``[B, Q]`` at the usual levels."""
    if found.quantiles.shape[1] == QUANTILES:
        return found.quantiles
    levels = quantile_levels().tolist()
    return torch.stack(
        [reduce_quantiles(found.quantiles, found.levels, level) for level in levels], -1
    )


def _side(columns: Columns, name: str) -> Side:
    """The columns as a side whose kinds are settled."""
    kinds: tuple[Kind, ...] = tuple(
        "label" if kind == "labels" else "real" for kind in columns.taken
    )
    return Side(columns.values, kinds, columns.names, columns.argument or f"discrete_{name}")
