r"""Mutual information of all pairs of columns of a table, with intervals and as a heat map.

Normalised values lie between 0 and 1 and compare pairs of different kinds:

- two columns of numbers: the informational coefficient of correlation
  :math:`\sqrt{1 - e^{-2 I}}` (Linfoot 1957): the absolute correlation of two normal columns;
- two columns of labels: :math:`2 I / (H_X + H_Y)`, the symmetric uncertainty, 1 where each label
  tells the other;
- labels beside numbers: :math:`I / H` of the labels, 1 where the number tells the label.

Legend: ``D`` columns, ``N`` samples.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchmist.checks import MIN_SAMPLES, check_count, check_level
from torchmist.functional import Model
from torchmist.numerics.seeds import Seed, as_seed
from torchmist.progress import Bar
from torchmist.samples.columns import Discrete
from torchmist.scores import Columns, read_table, score_columns

__all__ = ["Pairwise", "pairwise"]


@dataclass(frozen=True, eq=False)
class Pairwise:
    """Mutual information of all pairs of columns, in nats.

    ``estimate``, ``low``, ``high`` ``[D, D]``, symmetric: mean and the ends of the central interval
    of probability ``level``. On the diagonal of all three is the entropy of a column of labels, and
    infinity for numbers. ``names``, ``kinds`` ``[D]``: of the columns; kinds are ``"numbers"`` or
    ``"labels"``. ``entropies`` ``[D]``: of columns of labels in nats, NaN for numbers.
    """

    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    entropies: NDArray[np.float64]
    level: float

    @property
    def normalized(self) -> NDArray[np.float64]:
        """Values from 0 to 1, ``[D, D]``, 1 on the diagonal; see the head of this file."""
        out = np.sqrt(-np.expm1(-2 * self.estimate))
        labels = np.array([kind == "labels" for kind in self.kinds])
        h = np.where(labels, self.entropies, 0.0)
        most = h[:, None] + h
        both = labels[:, None] & labels
        most = np.where(both, most / 2, most)
        some = labels[:, None] | labels
        shares = np.divide(self.estimate, most, out=np.zeros_like(out), where=some & (most > 0))
        out = np.where(some, shares.clip(0, 1), out)
        np.fill_diagonal(out, 1.0)
        return out

    def order(self) -> list[int]:
        """Columns such that those that share much stand together: the leaves of average linkage."""
        return _leaves(1 - self.normalized)

    def to_frame(self, values: str = "estimate") -> Any:
        """A pandas frame ``[D, D]`` of ``"estimate"``, ``"low"``, ``"high"`` or ``"normalized"``.

        Raises:
            ValueError: for other values.
            ImportError: without pandas.
        """
        if values not in ("estimate", "low", "high", "normalized"):
            raise ValueError(
                f"expected values 'estimate', 'low', 'high' or 'normalized', got {values!r}"
            )
        try:
            import pandas
        except ImportError as error:
            raise ImportError(
                f"expected pandas for a frame, got {error}; install it with "
                f"pip install 'torchmist-mi[cli]', or read .{values} and .names"
            ) from error
        return pandas.DataFrame(getattr(self, values), index=self.names, columns=self.names)

    def plot(self, path: str | os.PathLike[str] | None = None, values: str = "normalized") -> Any:
        """The matrix as a heat map, with columns that share much side by side.

        Args:
            path: a file to write as well.
            values: ``"normalized"`` or ``"estimate"``.

        Returns:
            A matplotlib figure.
        """
        from torchmist.figures.heat_map import heat_map

        return heat_map(self, path, values)

    def __repr__(self) -> str:
        return f"Pairwise({len(self.names)} columns, nats)"


def pairwise(
    table: Any,
    *,
    discrete: Discrete = "auto",
    level: float = 0.9,
    model: Model = "mist-pairs",
    max_samples: int | None = None,
    random_state: Seed = 0,
    progress: bool = False,
) -> Pairwise:
    """I of every pair of columns of a table, with intervals.

    Args:
        table: ``[N, D]``: array, tensor, dict of columns, or frame of pandas or polars.
        discrete: which columns are labels: ``"auto"`` (:func:`torchmist.scores.read_table` has the
            rules), True, False, or names, indices or a mask of columns.
        level: of the intervals.
        model: ``"mist-pairs"``, or weights for sets of columns as for :func:`torchmist.estimate`.
        max_samples: estimate from this many rows, drawn without replacement; all by default.
        random_state: seed of that draw; a generator of numpy to draw it from, or None for one that
            differs from call to call, as in scikit-learn.
        progress: show a bar, where tqdm is installed.

    Returns:
        A :class:`Pairwise` in nats.

    Raises:
        TypeError, ValueError: as :func:`torchmist.estimate`, and for fewer than two columns.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a = rng.normal(size=500)
        >>> r = pairwise({"a": a, "b": a + rng.normal(size=500), "c": rng.normal(size=500)})
        >>> bool(r.estimate[0, 1] > 0.2), bool(r.estimate[0, 2] < 0.05)
        (True, True)
    """
    check_level(level, "level")
    columns = read_table(table, "table", discrete, argument="discrete")
    if len(columns) < 2:
        raise ValueError(f"expected a table of at least two columns, got {len(columns)}")
    columns = _sampled(columns, max_samples, as_seed(random_state))
    d = len(columns)
    entropies = np.full(d, np.nan)
    out = np.full((3, d, d), np.inf)
    with Bar(d * (d - 1) // 2, "pair", progress) as bar:
        for k in range(d):
            if columns.taken[k] == "labels":
                entropies[k] = out[:, k, k] = columns.entropy(k)
            if k + 1 < d:
                rest = columns.pick(list(range(k + 1, d)))
                found = score_columns(rest, columns.pick([k]), model=model, step=bar.step)
                out[:, k, k + 1 :] = (found.mean, *found.interval(level))
                out[:, k + 1 :, k] = out[:, k, k + 1 :]
    kinds, names = tuple(columns.taken), _plain_names(columns)
    return Pairwise(out[0], out[1], out[2], names, kinds, entropies, level)


def _sampled(columns: Columns, most: int | None, seed: int) -> Columns:
    """At most that many of the rows, drawn without replacement; all for None."""
    if most is None or check_count(most, "max_samples", MIN_SAMPLES) >= len(columns.values):
        return columns
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(columns.values), generator=generator, device="cpu")[:most]
    return columns.rows(rows.to(columns.values.device))


def _plain_names(columns: Columns) -> tuple[str, ...]:
    """Names as the table has them."""
    return tuple(name.removeprefix("column ").removesuffix(" of table") for name in columns.names)


def _leaves(distance: NDArray[np.float64]) -> list[int]:
    """Order of the leaves ``[D]`` of average linkage on distances ``[D, D]``.

    Of two clusters that join, each is turned so that the ends that meet are near.
    """
    apart = distance.copy()
    np.fill_diagonal(apart, np.inf)
    clusters = {k: [k] for k in range(len(apart))}
    while len(clusters) > 1:
        i, j = np.unravel_index(int(apart.argmin()), apart.shape)
        first, second = clusters[int(i)], clusters.pop(int(j))
        turns = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
        a, b = min(turns, key=lambda pair: distance[pair[0][-1], pair[1][0]])
        size = len(first), len(second)
        joined = (size[0] * apart[i] + size[1] * apart[j]) / sum(size)
        apart[i], apart[:, i] = joined, joined
        apart[j], apart[:, j], apart[i, i] = np.inf, np.inf, np.inf
        clusters[int(i)] = a + b
    return next(iter(clusters.values()))
