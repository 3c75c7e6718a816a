"""When fresh probes look at a term in training, and what they say of it.

Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from numbers import Real

from torch import Tensor

from torchmist.terms.memory_bank import Memory
from torchmist.terms.probe import FEWEST_ROWS, ProbeReport, probe_bounds

__all__ = ["ProbeSchedule", "check_alone", "judged"]

_PROBED = 2048  # most recent rows that a probe every few steps is fitted to


def check_alone(
    z: Tensor, y: Tensor, mask: Tensor | None, what: str, fix: str | None = None
) -> None:
    """Raise ``ValueError`` unless ``z``, ``y`` are one dataset as a whole, as ``what`` takes it."""
    for name, value in (("z", z), ("y", y)):
        if value.dim() > 2 or mask is not None:
            raise ValueError(
                f"expected {name} of shape [N] or [N, d] and no mask with {what}, got "
                f"{list(value.shape)}; {fix or f'use {what} for a single dataset'}"
            )


def judged(
    z: Tensor, y: Tensor, estimate: float, *, steps: int, seed: int, tolerance: float
) -> ProbeReport:
    """Fit probes to ``z`` and ``y``, and set the largest bound beside ``estimate``, in nats.

    Args:
        z: ``[N]`` or ``[N, d]`` floating point.
        y: the same, or labels ``[N]``.
        estimate: what the term says of them.
        steps, seed: as :func:`~torchmist.terms.probe.probe_bounds`.
        tolerance: nats beyond the estimate that are no finding.

    Raises:
        ValueError: for fewer than 64 rows, or a negative ``tolerance``.
        TypeError: for a ``tolerance`` that is no number.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, Real):
        raise TypeError(f"expected tolerance in nats, a number, got {tolerance!r}; 0.1 is usual")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"expected tolerance of at least 0 nats, got {tolerance!r}; 0.1 is usual")
    each, rows = probe_bounds(z, y, steps=steps, seed=seed)
    best = max(each, key=lambda name: each[name][0])
    return ProbeReport(
        estimate=estimate, probe=max(0.0, each[best][0]), error=each[best][1],
        bounds={name: value for name, (value, _) in each.items()}, rows=rows, tolerance=tolerance,
    )  # fmt: skip


class ProbeSchedule:
    """The samples of the last batches, and a count of the calls.

    Args:
        keep: whether to keep samples at all.
    """

    def __init__(self, keep: bool) -> None:
        self._calls, self._recent = 0, Memory(_PROBED if keep else 0)

    def collect(
        self, z: Tensor, y: Tensor, mask: Tensor | None, every: int
    ) -> tuple[Tensor, Tensor] | None:
        """Keep a batch; the last samples at each call in ``every``, if there are 64, else None."""
        check_alone(z, y, mask, "every")
        self._recent.keep(z, y)
        self._calls += 1
        rows = self._recent.kept(z, y) if self._calls % every == 0 else None
        return rows if rows is not None and len(rows[0]) >= FEWEST_ROWS else None
