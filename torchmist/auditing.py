"""``audit``: how far the estimator is off on a user's own data, against targets of known MI.

A function of x is cut into ``K`` bins and the bin is sent through a symmetric noisy channel that
replaces it, with probability ``e``, by one of the other bins at random. The label ``y`` depends on
x through the bin alone, so with ``b`` the frequencies of the bins in the sample,

    I(X; Y) = H(Y) - H(noise),   P(Y) = (1 - e) b + e (1 - b) / (K - 1),
    H(noise) = -e log(e / (K - 1)) - (1 - e) log(1 - e),

exactly, whatever the distribution of x. Legend: ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmist.checks import check_count, check_side
from torchmist.estimation import estimate_sorted
from torchmist.figures.blank import blank_figure
from torchmist.figures.intervals import draw_intervals
from torchmist.functional import Model
from torchmist.samples.column_kinds import settled_pair, sort_kinds
from torchmist.samples.columns import read_side

__all__ = ["AuditReport", "AuditRow", "audit"]

_TARGETS = ("column", "projection", "radius")


@dataclass(frozen=True)
class AuditRow:
    """One target: its exact MI and the estimate with its 90 % interval, in nats."""

    target: str
    bins: int
    noise: float
    truth: float
    estimate: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """Estimate minus truth, nats."""
        return self.estimate - self.truth


@dataclass(frozen=True)
class AuditReport:
    """The rows of an audit, and their summary; ``print(report)`` shows the table."""

    rows: tuple[AuditRow, ...]

    @property
    def mean_absolute_error(self) -> float:
        """Mean of ``|estimate - truth|`` over the targets, nats."""
        return sum(abs(r.error) for r in self.rows) / len(self.rows)

    @property
    def bias(self) -> float:
        """Mean of ``estimate - truth`` over the targets, nats."""
        return sum(r.error for r in self.rows) / len(self.rows)

    @property
    def coverage(self) -> float:
        """Share of targets whose 90 % interval holds the truth."""
        return sum(r.low <= r.truth <= r.high for r in self.rows) / len(self.rows)

    def __str__(self) -> str:
        lines = [f"{'target':<12} bins  noise   truth  estimate   90 % interval"]
        lines += [
            f"{r.target:<12} {r.bins:4d}  {r.noise:5.2f}  {r.truth:6.3f}  {r.estimate:8.3f}   "
            f"{r.low:.3f} to {r.high:.3f}"
            for r in self.rows
        ]
        lines.append(
            f"mean absolute error {self.mean_absolute_error:.3f} nats, bias {self.bias:+.3f}, "
            f"{100 * self.coverage:.0f} % of the 90 % intervals hold the truth"
        )
        return "\n".join(lines)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Estimates with their intervals against the truth, as a picture; needs matplotlib."""
        figure = blank_figure("a picture of an audit", 4.5, 4.2)
        axes = figure.subplots()
        for target in dict.fromkeys(r.target for r in self.rows):
            rows = [r for r in self.rows if r.target == target]
            truth, value = [r.truth for r in rows], [r.estimate for r in rows]
            ends = [r.low for r in rows], [r.high for r in rows]
            draw_intervals(axes, truth, value, *ends, label=target)
        axes.legend()
        figure.savefig(path, dpi=120)


def noisy_bins_mi(frequencies: Tensor, noise: float) -> float:
    """I(bin; Y) in nats of a ``K``-ary symmetric channel with bin ``frequencies`` ``[K]``."""
    b = frequencies.double()
    others = len(b) - 1
    out = (1 - noise) * b + noise * (1 - b) / others
    lost = -math.log1p(-noise) * (1 - noise)
    if noise > 0:
        lost -= noise * math.log(noise / others)
    return float(-torch.xlogy(out, out).sum() - lost)


def _score(x: Tensor, target: str, generator: torch.Generator) -> Tensor:
    """A number per sample ``[N]``, from standardised columns."""
    z = (x - x.mean(0)) / x.std(0).clamp(min=1e-12)
    if target == "column":
        return z[:, int(torch.randint(z.shape[1], (1,), generator=generator, device="cpu"))]
    if target == "radius":
        return z.square().sum(-1)
    return z @ torch.randn(z.shape[1], generator=generator, dtype=z.dtype, device="cpu")


def audit(
    x: Any, *, model: Model = "mist", bins: tuple[int, ...] = (2, 4, 8),
    noise: tuple[float, ...] = (0.02, 0.2, 0.4), seed: int = 0,
) -> AuditReport:  # fmt: skip
    """Check the estimator on targets that are made from ``x`` and whose MI with it is exact.

    Args:
        x: ``[N]`` or ``[N, d]``, as for :func:`~torchmist.estimate`, with a column of floating
            point at least; the data that estimates are wanted for.
        model: as in :func:`~torchmist.estimate`.
        bins: numbers of bins of the targets.
        noise: probabilities in [0, 1) that the channel replaces a bin.
        seed: of the projections and the channels.

    Returns:
        An :class:`AuditReport` with one row for each of a single column, a random projection and
        the distance from the mean, each number of bins and each noise. All in nats.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`; for ``bins`` below 2 or above the
            number of samples, ``noise`` outside of [0, 1), or constant data.

    Example:
        >>> report = audit(torch.randn(300, 3, generator=torch.Generator().manual_seed(0)))
        >>> len(report.rows), report.rows[0].target, report.rows[0].bins
        (27, 'column', 2)
    """
    check_count(seed, "seed", 0)
    data = _checked(x, bins, noise)
    generator = torch.Generator().manual_seed(seed)
    side, told = sort_kinds(read_side(data, "x"), data[None])  # whose ranks all estimates share
    rows = []
    for target, k, e in itertools.product(_TARGETS, bins, noise):
        label, truth = _noisy_bins(_score(data, target, generator), k, e, generator)
        other, also = sort_kinds(read_side(label, "y"), label.double()[None, :, None])
        r = estimate_sorted(settled_pair(side, other, (*told, *also)), model)
        low, high = r.interval(0.9)
        rows.append(AuditRow(target, k, e, truth, float(r.mean), float(low), float(high)))
    return AuditReport(tuple(rows))


def _checked(x: Any, bins: tuple[int, ...], noise: tuple[float, ...]) -> Tensor:
    """The data of an audit, ``[N, d]`` double precision on the CPU."""
    side = read_side(x, "x", argument=None)
    if not {"number", "real"} & set(side.kinds):
        raise ValueError(
            "expected x to be floating point, got integers alone; an audit makes its targets from "
            "numbers: if these are numbers pass x.astype(float), of a tensor x.double()"
        )
    values, data = side.values, check_side(side.values, "x")
    if len(data) != 1:
        raise ValueError(
            f"expected x of shape [N] or [N, d], got {list(values.shape)}; audit one dataset at a "
            f"time"
        )
    data = data[0].double().cpu()
    for name, given in (("bins", bins), ("noise", noise)):
        if not isinstance(given, (tuple, list)) or not given:
            raise ValueError(
                f"expected {name} as a tuple of at least one number, got {given!r}; pass, for "
                f"example, {name}=({'4' if name == 'bins' else '0.2'},)"
            )
    if len(data) < max(bins) and min(bins) > 1:
        raise ValueError(
            f"expected x of at least {max(bins)} rows for bins={bins}, got {len(data)}; take more "
            f"rows, or fewer bins"
        )
    if any(k < 2 or k > len(data) for k in bins) or any(not 0 <= e < 1 for e in noise):
        raise ValueError(
            f"expected bins from 2 to {len(data)} and noise in [0, 1), got {bins} and {noise}"
        )
    if not bool((data.std(0) > 0).any()):
        raise ValueError("expected columns that vary, got constant data; nothing can depend on it")
    return data


def _noisy_bins(
    score: Tensor, bins: int, noise: float, generator: torch.Generator
) -> tuple[Tensor, float]:
    """The bins of scores ``[N]`` after the noisy channel, int64 ``[N]``, and their exact MI."""
    inner = score.quantile(torch.arange(1, bins, dtype=score.dtype, device="cpu") / bins)
    bin_of = torch.bucketize(score.contiguous(), inner)
    frequencies = torch.bincount(bin_of, minlength=bins) / len(score)
    replaced = (
        torch.rand(len(score), generator=generator, device="cpu", dtype=torch.float32) < noise
    )
    step = torch.randint(1, bins, (len(score),), generator=generator, device="cpu")
    label = torch.where(replaced, (bin_of + step) % bins, bin_of)
    return label, noisy_bins_mi(frequencies, noise)
