"""Tables of features as people bring them, their target, and the rows to score from.

Legend: ``N`` samples, ``F`` features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch

from torchmist.numerics.seeds import Seed, as_seed
from torchmist.samples.columns import Discrete
from torchmist.scores import Columns, read_table

__all__ = ["Marked", "check_names", "chosen_rows", "drawn_rows", "feature_tables",
           "mixed_frame", "read_target", "table_shape"]  # fmt: skip

Marked = bool | Literal["auto"]
_DENSE = 4096  # columns of a sparse matrix that are made dense at once
_LEAST = 10  # samples to draw


def table_shape(X: Any) -> tuple[int, int]:
    """Rows and columns of a table, with names or without.

    Raises:
        ValueError: for an array of another number of axes than two.

    Example:
        >>> table_shape({"a": [1, 2, 3], "b": [4, 5, 6]}), table_shape(np.zeros((3, 2)))
        ((3, 2), (3, 2))
    """
    if isinstance(X, dict):
        first = next(iter(X.values()), ())
        return (np.shape(first)[0] if np.ndim(first) else 0), len(X)
    names = getattr(getattr(X, "dtype", None), "names", None)  # of a structured array
    shape = (len(X), len(names)) if names else tuple(getattr(X, "shape", None) or np.shape(X))
    if len(shape) != 2:
        raise ValueError(f"expected X of shape [N, F], got {list(shape)}; reshape your data")
    return shape


def check_names(frame: Any) -> None:
    """Raise unless the names of a frame differ, as those of selected features have to."""
    counts = Counter(str(name) for name in getattr(frame, "column_names", frame.columns))
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(
            f"expected X with a name of its own for each column, got {twice} more than once; "
            f"rename them, or pass X.to_numpy()"
        )


def mixed_frame(X: Any) -> bool:
    """Whether a frame of pandas or polars holds columns of text, categories or bools of polars,
    which no array of numbers holds."""
    if not hasattr(X, "columns") or not hasattr(X, "dtypes"):
        return False
    return not all(
        dtype.is_numeric() if hasattr(dtype, "is_numeric") else dtype.kind in "biufc"
        for dtype in X.dtypes
    )


def feature_tables(
    X: Any, count: int, discrete: Discrete, target: Columns
) -> Iterator[Columns]:  # fmt: skip
    """The ``count`` features: at once, or those of a sparse matrix in dense parts."""
    beside = target.values[:, 0].cpu()
    if not hasattr(X, "tocsc"):
        yield read_table(X, "X", discrete, beside, "discrete_features")
        return
    columns, marks = X.tocsc(), _marks(count, discrete)
    for start in range(0, count, _DENSE):
        part = slice(start, start + _DENSE)
        marked = marks[part] if isinstance(marks, list) else marks
        yield read_table(columns[:, part], "X", marked, beside, "discrete_features")


def _marks(count: int, discrete: Discrete) -> Discrete:
    """Listed columns of a sparse matrix as a mask of all of them."""
    if isinstance(discrete, (bool, str)):
        return discrete
    items: list[Any] = [v.item() if isinstance(v, np.generic) else v for v in discrete]
    if items and all(isinstance(v, bool) for v in items):
        return items
    wrong = [v for v in items if not isinstance(v, int) or not -count <= v < count]
    if wrong:
        raise ValueError(f"expected discrete_features to hold columns of X, got {wrong}")
    return [k in {v % count for v in items} for k in range(count)]


def read_target(y: Any, discrete: Marked) -> Columns:
    """One column, text as class labels."""
    if discrete not in (True, False, "auto"):
        raise ValueError(f"expected discrete_target to be True, False or 'auto', got {discrete!r}")
    array = y if hasattr(y, "dtype") else np.asarray(y)
    kind = "f" if isinstance(y, torch.Tensor) else getattr(array.dtype, "kind", "O")
    if discrete == "auto" and kind in "OUS":
        values = np.asarray(array).ravel().tolist()
        discrete = True if any(isinstance(v, (str, bytes)) for v in values) else discrete
    target = read_table(y, "y", discrete, argument="discrete_target")
    if len(target) != 1:
        raise ValueError(f"expected y of shape [N], got {len(target)} columns; take one at a time")
    return target


def drawn_rows(n: int, most: int | None, seed: Seed) -> torch.Tensor | None:
    """Rows to score from; None for all."""
    if most is None or most >= n:
        return None
    if most < _LEAST:
        raise ValueError(f"expected max_samples of at least {_LEAST}, got {most}")
    generator = torch.Generator().manual_seed(as_seed(seed))
    return torch.randperm(n, generator=generator, device="cpu")[:most].sort().values


def chosen_rows(
    rows: torch.Tensor | None, table: Columns, target: Columns
) -> tuple[Columns, Columns]:
    """Both tables of the rows to score from."""
    if rows is None:
        return table, target
    return table.rows(rows.to(table.values.device)), target.rows(rows.to(target.values.device))
