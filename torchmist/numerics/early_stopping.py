"""Fit small networks to some rows of a sample, and keep the weights that are best on others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

__all__ = ["LOOK", "fit_rows"]

LOOK = 25
"""Steps between two looks at the rows that stop a fit."""
_BATCH = 256


def fit_rows(
    nets: Sequence[nn.Module], loss: Callable[[Tensor], Tensor], fit: Tensor, stop: Tensor,
    steps: Iterable[object], generator: torch.Generator, *, rate: float,
    patience: int | None = None,
) -> tuple[float, int]:  # fmt: skip
    """Lower ``loss`` by Adam, and keep the weights that were best on other rows.

    Args:
        nets: whose weights are trained; where they have none, no step is taken.
        loss: 0-dim, of rows.
        fit: rows ``[F]`` to learn from, in random batches of 256.
        stop: rows ``[S]`` that are looked at, before the first step and every 25.
        steps: as many are taken at most.
        generator: of the batches.
        rate: step size.
        patience: looks without a gain after which nothing more is tried; ``None`` for no end.

    Returns:
        The loss of the kept weights on ``stop``, and the steps that were taken.
    """
    weights = [p for net in nets for p in net.parameters()]
    optimizer = torch.optim.Adam([{"params": weights}], rate)
    best, kept, worse, taken = float("inf"), [p.detach().clone() for p in weights], -1, 0

    def look() -> None:
        nonlocal best, kept, worse
        with torch.no_grad():
            now = float(loss(stop))
        worse += 1
        if now < best:
            best, kept, worse = now, [p.detach().clone() for p in weights], 0

    look()
    for _ in steps if weights else ():
        rows = fit[
            torch.randint(len(fit), (min(_BATCH, len(fit)),), generator=generator, device="cpu")
        ]
        value = loss(rows)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        taken += 1
        if taken % LOOK == 0:
            look()
            if worse == patience:
                break
    if taken % LOOK:
        look()
    with torch.no_grad():
        for p, value in zip(weights, kept):
            p.copy_(value)
    return best, taken
