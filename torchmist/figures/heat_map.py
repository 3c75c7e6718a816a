"""The picture of a matrix of mutual information; needs matplotlib."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from torchmist.figures.blank import blank_figure

if TYPE_CHECKING:
    from torchmist.column_pairs import Pairwise

__all__ = ["heat_map"]

_WRITTEN = 16  # most columns whose values are written into the cells
_NAMED = 80  # most columns whose names are written


def heat_map(
    result: Pairwise, path: str | os.PathLike[str] | None = None, values: str = "normalized"
) -> Any:
    """A clustered heat map of ``result``; columns of labels have a star behind their names.

    Args:
        result: the matrix.
        path: a file to write as well.
        values: ``"normalized"`` (0 to 1) or ``"estimate"`` (nats, diagonal left out).

    Returns:
        A matplotlib figure.

    Raises:
        ValueError: for other values.
        ImportError: without matplotlib.
    """
    if values not in ("normalized", "estimate"):
        raise ValueError(f"expected values 'normalized' or 'estimate', got {values!r}")
    order = result.order()
    matrix = getattr(result, values)[np.ix_(order, order)].copy()
    np.fill_diagonal(matrix, np.nan)
    names = [f"{result.names[k]}{' *' if result.kinds[k] == 'labels' else ''}" for k in order]
    d = len(order)
    size = min(16.0, 2.6 + 0.32 * d)
    figure = blank_figure("a heat map", size + 0.9, size)
    axes = figure.subplots()
    top = 1.0 if values == "normalized" else None
    image = axes.imshow(matrix, vmin=0, vmax=top, cmap="magma_r")
    axes.set_facecolor("0.88")
    if d <= _NAMED:
        axes.set_xticks(range(d), names, rotation=90, fontsize=8)
        axes.set_yticks(range(d), names, fontsize=8)
    if d <= _WRITTEN:
        dark = 0.55 * (1.0 if top else float(np.nanmax(matrix)))
        for i, j in np.argwhere(np.isfinite(matrix)):
            color = "white" if matrix[i, j] > dark else "black"
            axes.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center", fontsize=6.5,
                      color=color)  # fmt: skip
    label = "mutual information, nats"
    if values == "normalized":
        label = "mutual information, normalised (* labels)"
    figure.colorbar(image, ax=axes, shrink=0.8, label=label)
    if path is not None:
        figure.savefig(path, dpi=130)
    return figure
