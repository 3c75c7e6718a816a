"""Scores of many columns over the processes of joblib, or over those of its Dask and Ray backends.

Tables travel as arrays, which joblib shares between the processes of one machine.

Legend: ``F`` columns, ``N`` samples, ``C`` candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from torchmist.functional import Model
from torchmist.models.pair_network import PAIR_MODEL
from torchmist.progress import Bar
from torchmist.scores import Columns, Taken, score_columns
from torchmist.scoring.column_sets import joint_scores
from torchmist.scoring.many_rows import refined

__all__ = ["check_jobs", "parallel_joint", "parallel_scores"]

_PARTS = 2  # for each process, so that a slow one holds up little
_Sent = tuple[NDArray[Any], tuple[str, ...], tuple[Taken, ...], tuple[int, ...], str]


def check_jobs(n_jobs: int | None) -> None:
    """Raise ``ValueError`` unless ``n_jobs`` is None, or an integer other than 0."""
    whole = isinstance(n_jobs, (int, np.integer)) and not isinstance(n_jobs, bool)
    if n_jobs is not None and not (whole and n_jobs != 0):
        raise ValueError(
            f"expected n_jobs to be None or an int other than 0, got {n_jobs!r}; 1 is this process "
            f"alone, -1 as many as there are cores"
        )


def parallel_scores(
    table: Columns, target: Columns, model: Model, n_jobs: int | None, bar: Bar
) -> NDArray[np.float64]:
    """I of each column of ``table`` with the target in nats, ``[F]``, over ``n_jobs`` processes.

    On a GPU in this process alone. ``bar`` counts columns. Of more than 16,384 rows, what
    ``"mist-pairs"`` gives goes through :func:`torchmist.scoring.many_rows.refined`.
    """
    from joblib import Parallel, delayed, effective_n_jobs

    jobs = effective_n_jobs(n_jobs)
    if jobs == 1 or len(table) == 1 or table.values.device.type != "cpu":
        values = target.values.to(table.values.device)
        target = Columns(values, target.names, target.taken, target.classes, target.argument)
        return _scores(table, target, model, bar.step)
    parts = np.array_split(np.arange(len(table)), min(len(table), _PARTS * jobs))
    against = _sent(target)
    work = (delayed(_scores_job)(_sent(table.pick(p.tolist())), against, model) for p in parts)
    out = []
    for scores in Parallel(n_jobs=n_jobs, return_as="generator")(work):
        out.append(scores)
        bar.step(len(scores))
    return np.concatenate(out)


def parallel_joint(
    table: Columns,
    chosen: Sequence[int],
    left: Sequence[int],
    target: Columns,
    model: Model,
    n_jobs: int | None,
    bar: Bar,
) -> NDArray[np.float64]:
    """:func:`torchmist.scoring.column_sets.joint_scores` over ``n_jobs`` processes; ``bar`` counts
    candidates."""
    from joblib import Parallel, delayed, effective_n_jobs

    jobs = min(effective_n_jobs(n_jobs), len(left))
    if jobs == 1:
        return joint_scores(table, chosen, left, target, model=model, step=bar.step)
    sent = _sent(table), _sent(target)
    parts = np.array_split(np.asarray(left), jobs)
    work = (delayed(_joint_job)(*sent, list(chosen), part.tolist(), model) for part in parts)
    out = []
    for scores in Parallel(n_jobs=n_jobs, return_as="generator")(work):
        out.append(scores)
        bar.step(len(scores))
    return np.concatenate(out)


def _sent(columns: Columns) -> _Sent:
    values = columns.values.cpu().numpy()
    return values, columns.names, columns.taken, columns.classes, columns.argument


def _received(sent: _Sent) -> Columns:
    values, names, taken, classes, argument = sent
    return Columns(torch.from_numpy(np.array(values)), names, taken, classes, argument)


def _scores(
    table: Columns, target: Columns, model: Model, step: Callable[[int], object] | None = None
) -> NDArray[np.float64]:
    found = np.asarray(score_columns(table, target, model=model, step=step).mean)
    return refined(table, target, found) if model == PAIR_MODEL else found


def _scores_job(table: _Sent, target: _Sent, model: Model) -> NDArray[np.float64]:
    return _scores(_received(table), _received(target), model)


def _joint_job(
    table: _Sent, target: _Sent, chosen: list[int], left: list[int], model: Model
) -> NDArray[np.float64]:
    return joint_scores(_received(table), chosen, left, _received(target), model=model)
