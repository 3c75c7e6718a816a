r"""Series: mutual information over lags, and transfer entropy, with block permutations.

.. math:: I(X_t; Y_{t+l}), \qquad
          T_{X \to Y} = I(Y_t; X_{t-1}, \dots, X_{t-p} \mid Y_{t-1}, \dots, Y_{t-q})

(Schreiber 2000). Rows of a series are no independent samples: neighbours resemble each other on
both sides, which chance alone makes look like dependence. Two things answer that.

*Significance*: one series is cut into blocks of consecutive rows, longer than it remembers, and
these are put together in random order; what the pair still shares then is chance, with the memory
of each series kept within its blocks. The share of such orders that reach the estimate is the p
value, :math:`(1 + \#\{\ge\}) / (1 + P)`.

*Intervals*: the series is dealt into interleaved ones so thin that their rows resemble each other
little, by Bartlett's number of rows that an estimate of dependence is worth,
:math:`N / (1 + 2 \sum_k r_x(k) r_y(k))`; the quantiles are the average over these.

Legend: ``T`` times, ``L`` lags, ``P`` permutations, ``N`` rows, ``d`` columns.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import check_count, check_level
from torchmist.conditional import estimate_conditional
from torchmist.diagnostics.row_order import order_notes
from torchmist.estimation import MIEstimate, estimate
from torchmist.figures.blank import blank_figure
from torchmist.functional import Model
from torchmist.numerics.seeds import Seed, as_seed
from torchmist.permutation_tests.autocorrelation import block_length, block_rows, spacing
from torchmist.permutation_tests.permutations import permutation_p_value, shuffled_blocks
from torchmist.progress import Bar
from torchmist.samples.columns import Discrete
from torchmist.scores import Columns, read_table, score_columns

__all__ = ["Lagged", "TransferEntropy", "block_length", "lagged", "transfer_entropy"]

_FEWEST = 30  # rows that must remain beside the lags


@dataclass(frozen=True, eq=False)
class Lagged:
    """Mutual information over lags, in nats.

    ``lags`` ``[L]``: times by which ``y`` is later than ``x``. ``estimate``, ``low``, ``high``
    ``[L]``: mean and central interval of probability ``level``. ``p_value`` ``[L]``: of each lag by
    itself; ``p_value_any``: of the largest estimate over all lags. ``chance`` ``[L]``: what the
    upper 5 % of the block permutations exceed. ``block``: rows of a block.
    """

    lags: NDArray[np.int64]
    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]
    p_value_any: float
    chance: NDArray[np.float64]
    block: int
    level: float

    @property
    def best(self) -> int:
        """The lag of the largest estimate."""
        return int(self.lags[self.estimate.argmax()])

    def plot(self, path: Any = None) -> Any:
        """Estimates with intervals over the lags, and what chance reaches; a matplotlib figure."""
        figure = blank_figure("a picture of lags", 5.2, 3.2)
        axes = figure.subplots()
        axes.fill_between(self.lags, self.low, self.high, alpha=0.25, linewidth=0)
        axes.plot(self.lags, self.estimate, marker="o", markersize=3)
        axes.plot(self.lags, self.chance, color="black", linestyle=":", label="95 % of chance")
        axes.set(xlabel="lag of y behind x", ylabel="mutual information, nats")
        axes.legend(frameon=False)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure


@dataclass(frozen=True, eq=False)
class TransferEntropy:
    """Transfer entropy from ``x`` to ``y`` in nats.

    ``estimate``: with quantiles (:class:`torchmist.MIEstimate`), for independent rows; its notes
    call the target x and the past of the source y. ``p_value``: by block permutations of ``x``; NaN
    without any. ``effective``: what the permutations test, which is the chain rule from the target
    alone, less their mean, at least 0 (Marschinski and Kantz 2002). ``block``: rows of a block.
    """

    estimate: MIEstimate
    p_value: float
    effective: float
    block: int


def lagged(
    x: Any, y: Any, lags: int | Iterable[int] = 10, *, permutations: int = 199,
    block: int | None = None, level: float = 0.9, discrete_x: Discrete = "auto",
    discrete_y: Discrete = "auto", model: Model = "mist-pairs", random_state: Seed = 0,
    progress: bool = False,
) -> Lagged:  # fmt: skip
    """I(X_t; Y_{t+l}) of two series over lags, with intervals and block permutations.

    All lags are estimated from the same times of ``x``, so that they compare.

    Args:
        x: ``[T]``, equally spaced in time; numbers or labels.
        y: ``[T]``, at the same times.
        lags: the lags ``l`` in a list, or a number of at least 0 for all from minus to plus it;
            where ``l`` is positive, ``x`` comes before ``y``.
        permutations: orders of blocks of ``x``; 0 for none (p values are NaN).
        block: rows of a block, at most half of those beside the lags; :func:`block_length` by
            default.
        level: of the intervals.
        discrete_x, discrete_y: as for :func:`torchmist.estimate`.
        model: ``"mist-pairs"``, or weights for sets of columns as for :func:`torchmist.estimate`.
        random_state: seed of the permutations: an int, a generator of numpy, or None for a new one.
        progress: show a bar, where tqdm is installed.

    Raises:
        TypeError, ValueError: as :func:`torchmist.estimate`; for series of different lengths, of
            several columns, or too short for the lags or blocks.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=400)
        >>> y = np.roll(x, 3) + 0.5 * rng.normal(size=400)
        >>> r = lagged(x, y, lags=5, permutations=49)
        >>> r.best, bool(r.p_value_any <= 0.02)
        (3, True)
    """
    level = check_level(level, "level")
    order_notes(x=x, y=y)
    first, second = _series(x, "x", discrete_x), _series(y, "y", discrete_y)
    _check_lengths(first.values, second.values)
    steps = _lags(lags, len(first.values))
    times = torch.arange(max(0, -min(steps)), len(first.values) - max(0, max(steps)), device="cpu")
    anchor, table = first.rows(times), _shifted(second, times, steps)
    size = block_rows(block, anchor.values[:, 0], second.values[:, 0])
    permutations = check_count(permutations, "permutations", 0)
    with Bar(len(steps) * (1 + permutations), "estimate", progress) as bar:
        ends = _thinned_ends(first, second, times, steps, level, model)
        whole = np.asarray(score_columns(table, anchor, model=model, step=bar.step).mean)
        orders = _block_orders(len(times), size, permutations, as_seed(random_state))
        chance = np.array([
            score_columns(table, anchor.rows(order), model=model, step=bar.step).mean
            for order in orders
        ]).reshape(permutations, len(steps))  # fmt: skip
    return _over_lags(steps, whole, ends, chance, size, level)


def transfer_entropy(
    x: Any,
    y: Any,
    *,
    lag: int = 1,
    history_x: int = 1,
    history_y: int = 1,
    permutations: int = 99,
    block: int | None = None,
    model: Model = "mist-fast",
    random_state: Seed = 0,
    progress: bool = False,
) -> TransferEntropy:
    """Transfer entropy from ``x`` to ``y``: what the past of ``x`` tells of ``y`` beyond its own.

    By :func:`torchmist.estimate_conditional`: a difference of two estimates that share the sample.
    Block permutations take the past of ``x`` apart from ``y`` and its past. Their null is that
    ``x`` knows nothing of either: a common cause of both series that the past of ``y`` does not
    show looks like a transfer.

    Args:
        x: ``[T]`` or ``[T, d]``, the source, equally spaced in time. Numbers alone: of class labels
            pass a column of 0 and 1 for each class.
        y: ``[T]`` or ``[T, d]``, the target, at the same times; numbers as well.
        lag: of the latest value of ``x`` behind ``y``.
        history_x: past values of ``x``, from ``lag`` on.
        history_y: past values of ``y``, from 1 on.
        permutations: orders of blocks of ``x``; 0 for none.
        block: rows of a block, at most half of those beside the histories; :func:`block_length` by
            default.
        model: weights for sets of columns, as for :func:`torchmist.estimate`; ``"mist"`` sees
            more than ``"mist-fast"`` beyond smooth dependence and takes six times as long.
        random_state: seed of the permutations: an int, a generator of numpy, or None for a new one.
        progress: show a bar, where tqdm is installed.

    Raises:
        TypeError, ValueError: as :func:`torchmist.estimate`; for text and categories, and for
            series of different lengths or too short for the histories.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=500), np.zeros(500)
        >>> for t in range(1, 500):
        ...     y[t] = 0.5 * y[t - 1] + x[t - 1] + 0.5 * rng.normal()
        >>> forward = transfer_entropy(x, y, permutations=0).estimate.mean
        >>> bool(forward > 0.5), transfer_entropy(y, x, permutations=0).estimate.mean < 0.1
        (True, True)
    """
    order_notes(x=x, y=y)
    source, target = (_numbers(v, name) for v, name in ((x, "x"), (y, "y")))
    now, past_x, past_y = _histories(source, target, lag, history_x, history_y)
    permutations = check_count(permutations, "permutations", 0)
    size = block_rows(block, source[:, 0], target[:, 0], len(now))
    found = estimate_conditional(
        now, past_x, past_y, model=model, discrete_x=False, discrete_y=False, discrete_given=False
    )
    if not permutations:
        return TransferEntropy(found, math.nan, math.nan, size)
    orders = _block_orders(len(now), size, permutations, as_seed(random_state))
    with Bar(1 + permutations, "estimate", progress) as bar:
        whole, chance = _gains(now, past_x, past_y, orders, model, bar)
    effective = max(0.0, whole - max(0.0, float(chance.mean())))
    return TransferEntropy(found, float(permutation_p_value(whole, chance)), effective, size)


def _gains(
    now: Tensor, past_x: Tensor, past_y: Tensor, orders: Iterable[Tensor], model: Model, bar: Bar
) -> tuple[float, NDArray[np.float64]]:
    """What the past of the source adds to that of the target, in nats: as it is, and in each order
    ``[P]``."""

    def total(past: Tensor) -> float:
        with warnings.catch_warnings():  # what there is to say is said of the estimate
            warnings.simplefilter("ignore", UserWarning)
            return float(estimate(now, past, model=model, discrete_x=False, discrete_y=False).mean)

    own = total(past_y)
    gains = []
    for order in itertools.chain([torch.arange(len(now), device="cpu")], orders):
        gains.append(total(torch.cat([past_x[order], past_y], -1)) - own)
        bar.step(1)
    return gains[0], np.array(gains[1:])


def _histories(
    source: Tensor, target: Tensor, lag: int, history_x: int, history_y: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The target ``[N, d]``, the past of the source and that of the target beside each other."""
    lag, history_x, history_y = (
        check_count(value, name, 1)
        for name, value in (("lag", lag), ("history_x", history_x), ("history_y", history_y))
    )
    _check_lengths(source, target)
    first = max(lag + history_x - 1, history_y)
    if len(source) - first < _FEWEST:
        raise ValueError(
            f"expected at least {_FEWEST} times beside the histories, which reach {first} back, "
            f"got {len(source)} in all; shorten lag and histories, or take a longer record"
        )
    times = torch.arange(first, len(source), device="cpu")
    past_x = torch.cat([source[times - lag - k] for k in range(history_x)], -1)
    past_y = torch.cat([target[times - 1 - k] for k in range(history_y)], -1)
    return target[times], past_x, past_y


def _block_orders(n: int, size: int, count: int, seed: int) -> Iterator[Tensor]:
    """Orders ``[N]`` of the rows of a series that keep ``size`` of them together, one by one."""
    generator = torch.Generator().manual_seed(seed)
    series = torch.zeros(1, n, dtype=torch.int64, device="cpu")
    for _ in range(count):
        yield shuffled_blocks(series, size, 1, generator)[0, 0]


def _over_lags(
    steps: list[int], whole: NDArray[np.float64],
    ends: tuple[NDArray[np.float64], NDArray[np.float64]], chance: NDArray[np.float64],
    block: int, level: float,
) -> Lagged:  # fmt: skip
    """Estimates ``[L]`` with the ends of their intervals and what orders ``[P, L]`` gave."""
    p_value = quantile = np.full(len(steps), np.nan)
    p_any = math.nan
    if len(chance):
        p_value = permutation_p_value(whole, chance)
        p_any = float(permutation_p_value(float(whole.max()), chance.max(1)))
        quantile = np.quantile(chance, 0.95, axis=0)
    low, high = np.minimum(ends[0], whole), np.maximum(ends[1], whole)
    return Lagged(np.array(steps), whole, low, high, p_value, p_any, quantile, block, level)


def _thinned_ends(
    x: Columns, y: Columns, times: Tensor, steps: list[int], level: float, model: Model
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of the intervals ``[L]``: means over interleaved series of nearly free rows."""
    thin = min(spacing(x.values[times, 0], y.values[:, 0]), len(times) // _FEWEST)
    ends = [
        score_columns(_shifted(y, part, steps), x.rows(part), model=model).interval(level)
        for part in (times[k::thin] for k in range(thin))
    ]
    low, high = (np.mean(end, 0) for end in zip(*ends))
    return low, high


def _check_lengths(x: Tensor, y: Tensor) -> None:
    if len(x) != len(y):
        raise ValueError(f"expected series of one length, got {len(x)} and {len(y)} times")


def _lags(lags: int | Iterable[int], n: int) -> list[int]:
    """The lags of a number or of a list, for series of ``n`` times."""
    if isinstance(lags, (int, np.integer)) and not isinstance(lags, bool):
        if lags < 0:
            raise ValueError(
                f"expected lags as a number of at least 0, for all from minus to plus it, or a "
                f"list, got {lags}; pass [{lags}] for that lag alone"
            )
        lags = range(-int(lags), int(lags) + 1)
    steps = list(lags) if isinstance(lags, Iterable) else []
    if not steps or not all(isinstance(k, (int, np.integer)) for k in steps):
        raise ValueError(f"expected lags as an int or a list of them, got {lags!r}")
    span = max(0, max(steps)) - min(0, min(steps))
    if n - span < _FEWEST:
        raise ValueError(
            f"expected at least {_FEWEST} times beside lags of a span of {span}, got {n} in all"
        )
    return [int(k) for k in steps]


def _shifted(series: Columns, times: Tensor, steps: list[int]) -> Columns:
    """One column for each lag, ``[N, L]``."""
    values = torch.stack([series.values[times + k, 0] for k in steps], -1)
    return Columns(
        values, series.names * len(steps), series.taken * len(steps), series.classes * len(steps)
    )


def _series(value: Any, name: str, discrete: Discrete) -> Columns:
    found = read_table(value, name, discrete)
    if len(found) != 1:
        raise ValueError(
            f"expected {name} as one series [T], got {len(found)} columns; take one at a time, or "
            f"torchmist.estimate of shifted rows"
        )
    return Columns(found.values.cpu(), found.names, found.taken, found.classes, found.argument)


def _numbers(value: Any, name: str) -> Tensor:
    return read_table(value, name, False, argument=None).values.cpu()
