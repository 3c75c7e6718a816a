"""Mutual information of sets of columns with a target: chosen columns and one candidate at a time.

Sets of labels are counted by their joint classes, while the sample bears these; sets with numbers
go through weights for sets of columns.

Legend: ``F`` columns, ``N`` samples, ``C`` candidates.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from torchmist.estimation import estimate_sides
from torchmist.functional import Model
from torchmist.samples.column_kinds import bearable, joint_codes
from torchmist.samples.columns import Kind, Side
from torchmist.scores import Columns, Taken, score_columns

__all__ = ["joint_scores"]

_CLASSES = 60  # most joint classes that are counted


def joint_scores(
    table: Columns,
    chosen: Sequence[int],
    candidates: Sequence[int],
    target: Columns,
    *,
    model: Model = "mist",
    step: Callable[[int], object] | None = None,
) -> NDArray[np.float64]:
    """I((X_chosen, X_c); Y) in nats of every candidate ``c``, ``[C]`` float64.

    Args:
        table: all columns.
        chosen: places of the columns of every set.
        candidates: places of those that join them, one at a time.
        target: one column.
        model: weights for sets of columns, as for :func:`torchmist.estimate`.
        step: called with the number of candidates after each batch of them.

    Example:
        >>> from torchmist.scores import read_table
        >>> bits = torch.arange(800).view(-1, 1) // torch.tensor([1, 2, 4]) % 2
        >>> parity = read_table(bits[:, :2].sum(1) % 2, "y", True)
        >>> gain = joint_scores(read_table(bits, "x", True), [0], [1, 2], parity)
        >>> bool(gain[0] > 0.6), bool(gain[1] < 0.1)  # the truths are log(2) = 0.693 and 0
        (True, True)
    """
    out = np.zeros(len(candidates))
    counted = _counted(table, chosen, candidates)
    if counted:
        codes = torch.stack([codes for _, codes in counted.values()], -1).to(table.values.dtype)
        sizes = tuple(size for size, _ in counted.values())
        names = tuple(table.names[candidates[k]] for k in counted)
        taken: tuple[Taken, ...] = tuple("labels" for _ in sizes)
        sets = Columns(codes, names, taken, sizes)
        out[list(counted)] = score_columns(sets, target, step=step).mean
    rest = [k for k in range(len(candidates)) if k not in counted]
    plain = all(table.taken[k] == "numbers" for k in chosen)
    batch = [k for k in rest if plain and table.taken[candidates[k]] == "numbers"]
    for group in [batch, *([k] for k in rest if k not in batch)]:
        if group:
            out[group] = _by_weights(table, chosen, [candidates[k] for k in group], target, model)
            if step is not None:
                step(len(group))
    return out


def _counted(
    table: Columns, chosen: Sequence[int], candidates: Sequence[int]
) -> dict[int, tuple[int, torch.Tensor]]:
    """Numbers of joint classes and codes ``[N]`` of the sets of labels that the sample bears."""
    out: dict[int, tuple[int, torch.Tensor]] = {}
    if not all(table.taken[k] == "labels" for k in chosen):
        return out
    most = min(_CLASSES, bearable(len(table.values)))
    for k, candidate in enumerate(candidates):
        if table.taken[candidate] == "labels":
            codes = joint_codes(table.values[None][..., [*chosen, candidate]])[0]
            size = int(codes.max()) + 1
            if size <= most:
                out[k] = size, codes
    return out


def _by_weights(
    table: Columns, chosen: Sequence[int], candidates: Sequence[int], target: Columns, model: Model
) -> NDArray[np.float64]:
    """Sets of columns of the same kinds as one batch."""
    sets = [[*chosen, candidate] for candidate in candidates]
    values = torch.stack([table.values[:, columns] for columns in sets])
    kinds: list[tuple[Kind, ...]] = [
        tuple("label" if kind == "labels" else "real" for kind in columns)
        for columns in (tuple(table.taken[k] for k in sets[0]), target.taken)
    ]
    sides = (
        Side(values if len(sets) > 1 else values[0], kinds[0], ("x",) * len(sets[0]), "x"),
        Side(target.values[:, 0], kinds[1], ("y",), "y"),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = estimate_sides(sides[0], sides[1], model).mean
    return np.atleast_1d(np.asarray(found, np.float64))
