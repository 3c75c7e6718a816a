"""What engines share whose label is drawn from chances of classes that each row has.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of the side, ``L`` classes, ``C`` groups.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["chances_of", "drawn_labels", "grouped_rows", "told_by_rows"]

_ROWS, _AT_ONCE = 16_384, 2_000_000  # of the mean, and numbers that are held at a time


def grouped_rows(centres: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Normal rows ``[B, n, d]`` around ``centres`` ``[B, C, d]``, each of any group."""
    batch, groups, d = centres.shape
    z = torch.randn(batch, n, d, generator=generator, device=centres.device)
    group = torch.randint(groups, (batch, n, 1), generator=generator, device=z.device)
    return z + centres.gather(1, group.expand(-1, -1, d))


def chances_of(scores: Tensor, noise: Tensor) -> Tensor:
    """Chances ``[B, N, L]`` of classes by their ``scores``, or any class alike in a share ``noise``
    ``[B, 1, 1]`` of the rows."""
    return (1 - noise) * scores.softmax(-1) + noise / scores.shape[-1]


def drawn_labels(chances: Tensor, columns: int, generator: torch.Generator) -> Tensor:
    """One-hot columns ``[B, N, columns]`` of labels that are drawn from ``chances`` ``[B, N, L]``,
    the last ones where two classes are one column."""
    drawn = torch.multinomial(chances.flatten(0, 1), 1, generator=generator)
    drawn = drawn.view(chances.shape[:2])
    one: Tensor = torch.nn.functional.one_hot(drawn, chances.shape[-1])
    return one.float()[..., -columns:]


def told_by_rows(chances: Callable[[int], Tensor], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The mean chances of the classes ``[B, L]``, their entropy in nats ``[B]``, and that of each
    of 16,384 rows ``[B, N]``, float64.

    ``chances``: makes those of so many rows ``[B, n, L]``; ``width``: numbers that it holds for a
    row of all datasets.
    """
    step = max(1, min(_ROWS, _AT_ONCE // width))
    sums: Tensor | None = None
    entropies = []
    for start in range(0, _ROWS, step):
        part = chances(min(step, _ROWS - start)).double()
        sums = part.sum(1) if sums is None else sums + part.sum(1)
        entropies.append(-torch.xlogy(part, part).sum(-1))
    assert sums is not None
    mean = sums / _ROWS
    return mean, -torch.xlogy(mean, mean).sum(-1), torch.cat(entropies, 1)
