"""``estimate``: mutual information of a sample, with calibrated intervals.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import check_level, warn_once
from torchmist.diagnostics.collinear import collinear
from torchmist.diagnostics.data_notes import data_notes
from torchmist.diagnostics.rank_resolution import (
    OPEN_END,
    beyond_resolution,
    resolution,
    thin_notes,
)
from torchmist.diagnostics.row_order import order_notes
from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.shared_labels import SharedLabels, entropy_draws, shared_labels
from torchmist.discrete.table_posterior import table_quantiles
from torchmist.functional import Model, resolve_model
from torchmist.inference.entropy_bound import entropy_limit
from torchmist.inference.quantile_sums import DRAWS, draws_of, quantiles_of
from torchmist.inference.quantiles import answer, reduce_quantiles
from torchmist.models.trained_range import TrainedRange
from torchmist.quantile_head import quantile_levels
from torchmist.samples.column_kinds import SortedPair, countable, sort_pair
from torchmist.samples.columns import Discrete, Side, array_tensor, read_side
from torchmist.samples.condition import some_rows
from torchmist.samples.one_hot import network_sample
from torchmist.samples.plain_tensors import plain_tensor
from torchmist.samples.sample import Sample

__all__ = ["MIEstimate", "as_tensor", "estimate", "estimate_checked", "estimate_sides",
           "estimate_sorted", "has_open_end"]  # fmt: skip

Number = float | NDArray[np.float64]
_PER_CLASS = 16  # rows, from which what is left in a class is estimated
_OPEN = 0.05  # share of the rows whose classes have open ends, above which the whole has one
_ONCE = 0.5  # share of the rows whose pair of labels is seen once


@dataclass(frozen=True, eq=False)
class MIEstimate:
    """Mutual information in nats with its uncertainty; floats, or arrays ``[B]`` for a batch.

    ``quantiles``: ``[B, Q]`` at ``levels`` ``[Q]``, not below 0. ``warnings``: in what the data lie
    outside the training of the weights, what is done about it, and what looks like a mistake.
    ``open_above`` ``[B]`` bool, or None: where the sample cannot tell how much more the sides share
    (``torchmist.diagnostics.rank_resolution``). Quantiles above the median are infinite there, and
    with them the upper end of every interval; mean and median stay finite and are cautious.
    """

    quantiles: Tensor
    levels: Tensor
    warnings: tuple[str, ...]
    batched: bool
    open_above: Tensor | None = None

    def _number(self, value: Tensor) -> Number:
        return value.double().numpy() if self.batched else float(value[0])

    @property
    def mean(self) -> Number:
        """The mean of the quantiles, in nats: the point estimate of least squared error."""
        return self._number(self.quantiles.mean(-1))

    @property
    def median(self) -> Number:
        """The median, in nats: the point estimate of least absolute error."""
        return self.quantile(0.5)

    def quantile(self, tau: float) -> Number:
        """The quantile at level ``tau`` in (0, 1), in nats.

        Linear in the level between those of the network; beyond the outermost (1/48 and 47/48 of
        24 quantiles) it is the outermost.
        """
        level = check_level(tau, "tau")
        found = reduce_quantiles(self.quantiles, self.levels, level)
        if self.open_above is not None and level > 0.5:
            found = found.masked_fill(self.open_above, torch.inf)
        return self._number(found)

    def interval(self, level: float = 0.9) -> tuple[Number, Number]:
        """The central interval that holds the truth with probability ``level``, in nats."""
        level = check_level(level, "level")
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def __repr__(self) -> str:
        if self.batched:
            return f"MIEstimate({len(self.quantiles)} datasets, nats)"
        low, high = self.interval(0.9)
        return f"MIEstimate({self.mean:.3f} nats, 90% interval {low:.3f} to {high:.3f})"


def as_tensor(value: Any, name: str) -> Tensor:
    """An array, list or tensor as a detached tensor."""
    if isinstance(value, Tensor):
        return plain_tensor(value, name)
    array = np.asarray(value)
    if array.ndim == 0:
        raise TypeError(
            f"expected {name} as an array, list or tensor with a value for each sample, got "
            f"{type(value).__name__}"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"expected {name} to hold numbers, got an array of dtype {array.dtype}; encode text "
            f"as integer class labels, for example with np.unique(values, return_inverse=True)"
        )
    return array_tensor(array)


def estimate(
    x: Any,
    y: Any,
    *,
    model: Model = "mist",
    discrete_x: Discrete = "auto",
    discrete_y: Discrete = "auto",
) -> MIEstimate:
    """I(X;Y) of a sample, with quantiles, in one forward pass without gradients (of labels that
    both sides hold, one for each class).

    Where both sides are labels there is no network: their counts give the posterior
    (``torchmist.discrete.table_posterior``), along the order of classes where that tells
    something. ``torchmist.samples.column_kinds`` has the rules that
    tell labels from numbers. Labels that columns of both sides hold count by their entropy, and
    what else both share is estimated in each class (``torchmist.discrete.shared_labels``); a note
    says so. More samples or columns than the weights were trained on take a route of their own
    (``torchmist.inference.large_samples``), which ``warnings`` names.

    Args:
        x: ``[N]``, ``[N, d]`` or ``[B, N, d]``: array, nested list, tensor, sparse matrix, or a
            frame or series of pandas or polars. Integer, bool and categorical columns are class
            labels, whose entropy bounds the estimate, as that of numbers which repeat few values
            does; several integer columns are numbers where, as joint labels, they make a table of
            more cells than rows.
        y: the same, with its own ``d``; row ``i`` of both is one sample, whatever an index of
            pandas says. One side ``[N]`` is shared by all datasets of a batch on the other.
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module.
        discrete_x: which columns of ``x`` are class labels: True (all), False (none), ``"auto"``
            (by dtype and number of distinct values), or names, indices or a mask of columns, in
            any list, array, series or index. In a frame with integers for names these are names.
        discrete_y: the same for ``y``.

    Returns:
        An :class:`MIEstimate` in nats: floats for one dataset, arrays for a batch.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`; for text that is not marked as labels,
            dates, decimals, missing values, and marked columns that are not there.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=(300, 2))
        >>> r = estimate(x, x + rng.normal(size=(300, 2)))
        >>> 0.4 < r.mean < 1.0  # the truth is log(2) = 0.693
        True
        >>> color, taste = rng.choice(["red", "green"], 300), rng.choice(["sour", "sweet"], 300)
        >>> estimate(color, taste, discrete_x=True, discrete_y=True).mean < 0.02
        True
    """
    pair = sort_pair(read_side(x, "x", discrete_x), read_side(y, "y", discrete_y))
    told = order_notes(x=x, y=y)
    return estimate_sorted(pair._replace(notes=(*told, *pair.notes)), model)


def estimate_sides(x: Side, y: Side, model: Model = "mist") -> MIEstimate:
    """As :func:`estimate`, of sides whose columns are read and have their kinds."""
    return estimate_sorted(sort_pair(x, y), model)


def estimate_checked(x: Side, y: Side, names: tuple[str, str], model: Model = "mist") -> MIEstimate:
    """As :func:`estimate_sides`, of one dataset's sides ``[N, d]``, which were checked before they
    lost some of their rows; ``names``: what notes call them."""
    pair = sort_pair(x, y, (x.values[None], y.values[None]))
    return estimate_sorted(pair._replace(names=names), model)


def estimate_sorted(pair: SortedPair, model: Model = "mist") -> MIEstimate:
    """As :func:`estimate`, of checked sides whose kinds are settled."""
    shared = shared_labels(pair)
    if countable(pair.x, pair.y) and not (shared is not None and (shared.whole or shared.dense)):
        return _from_counts(pair)
    if shared is not None:
        return _with_shared_labels(pair, shared, model)
    sample = network_sample(pair)
    if sample.x is pair.x.values and sample.y is pair.y.values:
        sample = sample._replace(ranked=(pair.x.ranked, pair.y.ranked))
    network = resolve_model(model, sample.x.device)
    with torch.no_grad():
        found = answer(sample, network)
    levels = network.levels.cpu()
    quantiles = found.quantiles.clamp(min=0).abs().cpu()  # without negative zeros
    limit = entropy_limit(pair, levels)
    if limit is not None:
        quantiles = torch.minimum(quantiles, limit)
    ties, names = network.saw("atoms"), pair.names
    notes = (*found.sample.notes, *data_notes(pair.x, pair.y, ties=ties, names=names))
    trained = network.trained_range or TrainedRange()
    if trained.d is None or max(sample.x.shape[2], sample.y.shape[2]) <= trained.d[1]:
        notes += thin_notes(sample.x, sample.y, names, sample.labels)
    bound = None if limit is None else limit.median(-1).values
    blurred = collinear(sample.x, sample.y, quantiles.median(-1).values, names, bound)
    notes += blurred.notes
    most = torch.inf if trained.mi is None else trained.mi[1]
    opened, why = _open_ends(quantiles, found.sample, most, names)
    if limit is not None:  # an end that would be open is that of the entropy
        bounded = opened & limit.isfinite().all(-1)
        raised = torch.maximum(quantiles, limit)
        quantiles = torch.where(bounded[:, None] & (levels > 0.5), raised, quantiles)
        opened = opened & ~bounded
    notes += why if bool(opened.any()) else ()
    _warn(notes)
    return MIEstimate(quantiles, levels, notes, pair.batched, opened | blurred.opened)


def has_open_end(estimate: MIEstimate) -> bool:
    """Whether the upper end of the interval of one dataset is open."""
    return estimate.open_above is not None and bool(estimate.open_above)


def _with_shared_labels(pair: SortedPair, shared: SharedLabels, model: Model) -> MIEstimate:
    """What labels that both sides hold share, and what is left within each class of them.

    Of classes of few rows that is taken to be what it is in the others. Errors of two classes are
    taken to be correlated by one half: they come from the same weights.
    """
    rng = np.random.default_rng(0)
    total, common = entropy_draws(shared.codes, rng), rng.standard_normal(DRAWS)
    sizes = shared.codes.bincount().tolist() if shared.x.names and shared.y.names else []
    parts = []
    for code in sorted(range(len(sizes)), key=lambda code: -sizes[code]):
        if sizes[code] >= _PER_CLASS:
            x, y = (some_rows(side, shared.codes == code) for side in (shared.x, shared.y))
            parts.append((sizes[code], estimate_checked(x, y, pair.names, model)))
    notes, levels = [*pair.notes, shared.note], quantile_levels()
    if parts:  # what is told of the largest holds for all
        (largest, first), levels = parts[0], parts[0][1].levels
        notes += [f"in the class of {largest} rows: {note}" for note in first.warnings]
    rows = sum(size for size, _ in parts)
    for size, part in parts:
        total += size / rows * draws_of(part.quantiles[0], levels, rng, common)
    opened = sum(size for size, part in parts if has_open_end(part))
    quantiles = quantiles_of(total, levels).clamp(min=0)[None]
    _warn((*pair.notes, shared.note))
    beyond = torch.tensor([opened > _OPEN * len(shared.codes)], device="cpu")
    return MIEstimate(quantiles, levels, tuple(notes), pair.batched, beyond)


def _open_ends(
    quantiles: Tensor, sample: Sample, most: float, names: tuple[str, str]
) -> tuple[Tensor, tuple[str, ...]]:
    """Datasets ``[B]`` whose upper end is open, and why; ``most``: nats, the most in training."""
    n, notes = sample.x.shape[1], []
    beyond = beyond_resolution(quantiles, sample.x, sample.y)
    if bool(beyond.any()):
        notes.append(
            f"two columns, one of {names[0]} and one of {names[1]}, agree about as closely as the "
            f"ranks of {n} samples can tell: the sample cannot tell how much more than "
            f"{resolution(n):.1f} nats the sides share, and {OPEN_END}"
        )
    above = quantiles.median(-1).values > most
    if bool(above.any()):
        notes.append(
            f"the weights were trained on at most {most:g} nats: how much more the sides share is "
            f"an extrapolation, and {OPEN_END}"
        )
    return beyond | above, tuple(notes)


def _from_counts(pair: SortedPair) -> MIEstimate:
    """The posterior of the counts of joint codes ``[B, N]``."""
    x, y = pair.x, pair.y
    assert x.codes is not None and y.codes is not None
    levels = quantile_levels(dtype=torch.float64)
    tables = [count_pairs(u, v) for u, v in zip(x.codes.cpu().numpy(), y.codes.cpu().numpy())]
    ordered = all(len(side.label) == 1 for side in (x, y))
    quantiles = torch.stack([table_quantiles(table, levels, ordered) for table in tables])
    notes = (*pair.notes, *data_notes(x, y, counted=True, names=pair.names))
    once = sum(table.singletons for table in tables) / (len(tables) * x.codes.shape[1])
    if once > _ONCE:
        notes += (
            f"{100 * once:.0f} % of the rows hold a pair of labels that no other row holds: the "
            f"sample is small for so many classes, and the estimate leans on its prior",
        )
    _warn(notes)
    return MIEstimate(quantiles.float(), levels.float(), notes, pair.batched)


def _warn(notes: tuple[str, ...]) -> None:
    for note in notes:
        warn_once(f"torchmist: {note}")
