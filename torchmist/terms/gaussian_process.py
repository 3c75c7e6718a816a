r"""What a term pulls at: the information of two Gaussian processes, dense in all samples.

A network, a critic or the largest of several opinions gives a gradient that is right on the codes
of now and changes with each step; few steps in small batches follow it badly. The mutual
information of two Gaussian processes that read the sides through kernels K and L with noise
:math:`\lambda`,

.. math:: \tfrac12 [\log|1 + K/\lambda| + \log|1 + L/\lambda| - \log|1 + (K + L)/\lambda|]
          - \frac{\mathrm{tr} R_K \, \mathrm{tr} R_L}{2 (N - 1)},
          \qquad R_K = K (K + \lambda)^{-1},

is smooth and moves every sample. With linear kernels it is that of Gaussian variables; with
Gaussian kernels it is the kernel generalised variance (Bach and Jordan 2002), a sum over all kernel
canonical correlations. The last term takes away what independent sides have to first order. What is
left of that grows with the flatness of both spectra, so that codes in which much could hide cost
more than plain ones: right for a gradient, too high for a value.

Columns are divided by their deviations and distances by their mean, both *constants* of the
backward pass: the gradient is that at the resolution of now, and to shrink a code counts as to lose
information, as it does where noise of a fixed size is added to it.

The gradient is written down, not traced: with :math:`A_K = (K + \lambda)^{-1}` that of the value
in K is :math:`\tfrac12 [A_K - A_{K+L} - A_K^2 \lambda \, \mathrm{tr} R_L / (N - 1)]`, and it needs
the factors that the value has anyway.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.copula import first_order
from torchmist.numerics.magnitudes import balanced
from torchmist.numerics.no_gradient import no_gradient

__all__ = ["PLAIN", "SHARP", "Columns", "Kernels", "Present", "Pull", "Resolution",
           "kernel_gradients", "kernel_information", "kernel_pull", "kernels_of",
           "logs_and_inverses", "unit_columns", "written"]  # fmt: skip

_TINY = 1e-12
_BITS = math.log2(math.e)  # powers of 2 take a quarter of the time of those of e


class Resolution(NamedTuple):
    """How finely the processes see: the ``noise`` of one, where the variance of the other part is
    1, and the squared ``width`` of the kernels, over the mean squared distance of the columns."""

    noise: float
    width: float


PLAIN = Resolution(0.5, 1.0)
"""Sees what is broad: few directions, so that chance has little to pull at."""
SHARP = Resolution(0.2, 0.5)
"""Tells more rows apart: codes that are joined do not rest once their broad directions agree."""


def kernel_information(
    x: Tensor, y: Tensor, mask: Tensor | None = None, resolution: Resolution = PLAIN
) -> Tensor:
    """Information of two Gaussian processes on the sides, ``[B]`` nats, differentiable in both.

    A second derivative is an error.

    Args:
        x: ``[B, N, dx]`` float32; columns that are constant do not count.
        y: the same, ``[B, N, dy]``.
        mask: ``[B, N]`` bool, True for the samples that count.
        resolution: of both processes.

    Example:
        >>> import torch
        >>> x = torch.randn(1, 200, 1, generator=torch.Generator().manual_seed(0))
        >>> float(kernel_information(x, x.square())) > 0.5
        True
    """
    return written(x, y, mask, partial(kernel_pull, resolution=resolution))


class Pull(NamedTuple):
    """An information ``[B]`` in nats, and its gradients in both sides, None where not needed."""

    information: Tensor
    in_x: Tensor | None
    in_y: Tensor | None


Puller = Callable[[Tensor, Tensor, Tensor | None, tuple[bool, bool]], Pull]
"""Of detached sides, a mask, and which of both gradients are needed."""


def written(x: Tensor, y: Tensor, mask: Tensor | None, pull: Puller) -> Tensor:
    """The information ``[B]`` of ``pull``, with its gradients in the sides that need one."""
    needed = (x.requires_grad, y.requires_grad)
    made = _Written.apply(x, y, mask, pull, needed)  # type: ignore[no-untyped-call]
    out: Tensor = made[0]
    return out


class _Written(torch.autograd.Function):
    """Value and gradients in one pass: the first derivative alone."""

    @staticmethod
    def forward(
        x: Tensor, y: Tensor, mask: Tensor | None, pull: Puller, needed: tuple[bool, bool]
    ) -> tuple[Tensor, ...]:
        value, *gradients = pull(x, y, mask, needed)
        return value, *(x.new_empty(0) if g is None else g for g in gradients)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:], *inputs[:2])
        ctx.needed = inputs[4]

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: checkpoints unpack a tensor a single time
        found: list[Tensor | None] = []
        for gradient, side, needed in zip(saved[:2], saved[2:], ctx.needed):
            if not needed:
                found.append(None)
                continue
            with no_gradient():
                gradient = grad[:, None, None] * gradient
            found.append(first_order(gradient, side) if torch.is_grad_enabled() else gradient)
        return (*found, None, None, None)


def kernel_pull(
    x: Tensor, y: Tensor, mask: Tensor | None, needed: tuple[bool, bool],
    resolution: Resolution = PLAIN,
) -> Pull:  # fmt: skip
    """:func:`kernel_information` ``[B]`` of detached sides, and its gradients in those that are
    ``needed``, None in the other."""
    present = Present.of(x, mask)
    columns = unit_columns(x, y, present)
    kernels = kernels_of(columns, present, resolution)
    both = kernels.values
    logs, inverse = logs_and_inverses(torch.cat([both, both.sum(0, keepdim=True)]))
    traces = x.shape[1] - inverse[:2].diagonal(dim1=-2, dim2=-1).sum(-1)
    share = (traces.flip(0) / -present.free)[..., None, None]
    halves = [
        torch.baddbmm(inverse[k] - inverse[2], inverse[k], inverse[k] * share[k]) if needed[k]
        else None for k in (0, 1)
    ]  # fmt: skip
    value = logs[0] + logs[1] - logs[2] - 0.5 * traces[0] * traces[1] / present.free
    return Pull(value, *kernel_gradients(kernels, columns, halves, present))


class Present(NamedTuple):
    """Which samples count: 1 for those and 0 for others ``rows`` ``[B, N, 1]``, None where all do,
    and their ``number`` ``[B, 1, 1]``, at least 1, an int where all do."""

    rows: Tensor | None
    number: Tensor | int

    @classmethod
    def of(cls, x: Tensor, mask: Tensor | None) -> Present:
        """The samples of ``x`` ``[B, N, d]``, of which ``mask`` ``[B, N]`` shows some."""
        if mask is None:
            return cls(None, x.shape[1])
        rows = mask[..., None].to(x.dtype)
        return cls(rows, rows.sum(1, keepdim=True).clamp(min=1))

    @property
    def free(self) -> Tensor | int:
        """One less than samples count, at least 1: ``[B]``, or a number."""
        if isinstance(self.number, Tensor):
            return (self.number[:, 0, 0] - 1).clamp(min=1)
        return max(self.number - 1, 1)

    def shown(self, values: Tensor) -> Tensor:
        """``[..., B, N, d]`` with 0 in what does not count."""
        return values if self.rows is None else values * self.rows

    def shown_pairs(self, matrix: Tensor) -> Tensor:
        """``[..., B, N, N]`` likewise, changed in place."""
        return matrix if self.rows is None else matrix.mul_(self.rows * self.rows.mT)

    def centred_(self, matrix: Tensor, rows: Tensor) -> Tensor:
        """Symmetric ``[..., B, N, N]``, 0 for what does not count, in place without its ``rows``
        of :meth:`row_means` and their transpose."""
        if self.rows is None:
            return matrix.sub_(rows).sub_(rows.mT)
        return matrix.sub_((rows + rows.mT).mul_(self.rows * self.rows.mT))

    def row_means(self, matrix: Tensor) -> Tensor:
        """Means of the rows of symmetric ``[..., B, N, N]``, less half of their own mean,
        ``[..., B, N, 1]``: a row and a column of them centre it."""
        rows = matrix.sum(-1, keepdim=True) / self.number
        return self.shown(rows - 0.5 * rows.sum(-2, keepdim=True) / self.number)


def logs_and_inverses(kernels: Tensor) -> tuple[Tensor, Tensor]:
    """Halves of the log-determinants and the inverses of 1 plus ``kernels`` ``[..., N, N]``, which
    are changed in place."""
    kernels.diagonal(dim1=-2, dim2=-1).add_(1.0)
    lower = torch.linalg.cholesky_ex(kernels).L
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1), torch.cholesky_inverse(lower)


class Columns(NamedTuple):
    """Columns of both sides ``[B, N, d]`` of mean 0 and deviation 1 over the samples that count, 0
    elsewhere, and the scales ``[B, 1, d]`` they took, 0 of constant ones."""

    sides: tuple[Tensor, ...]
    scales: tuple[Tensor, ...]


def unit_columns(x: Tensor, y: Tensor, present: Present) -> Columns:
    """:class:`Columns` of ``[B, N, dx]`` and ``[B, N, dy]``."""
    side, by = balanced(present.shown(torch.cat([x, y], -1)), 1)
    side = present.shown(side - side.sum(1, keepdim=True) / present.number)
    variance = side.square().sum(1, keepdim=True) / present.number
    scale = torch.where(variance > _TINY, variance, torch.inf).rsqrt()
    side, scale = side * scale, (scale / by).clamp(max=torch.finfo(side.dtype).max)
    sizes = [x.shape[-1], y.shape[-1]]
    return Columns(side.split(sizes, -1), scale.split(sizes, -1))


class Kernels(NamedTuple):
    """Centred kernels of both sides ``[2, B, N, N]``, and what their gradients need."""

    values: Tensor
    raw: Tensor  # [2, B, N, N], before they were centred
    rates: Tensor  # [2, B, 1, 1], by which a squared distance lowers a logarithm of those
    units: Tensor  # [2, B, 1, 1], what the centred kernels are divided by


def kernels_of(columns: Columns, present: Present, resolution: Resolution) -> Kernels:
    """The centred kernels of mean diagonal 1 over the noise, 0 for what does not count."""
    count = present.number
    alive = torch.stack([(scale > 0).to(scale).sum(-1, keepdim=True) for scale in columns.scales])
    above = (count - 1).clamp(min=1) if isinstance(count, Tensor) else max(count - 1, 1)
    rates = above / (2 * resolution.width * count * alive.clamp(min=1))
    raw = present.shown_pairs(
        torch.stack([
            _exponents(side, _BITS * rate) for side, rate in zip(columns.sides, rates)
        ]).clamp_(max=0).exp2_()
    )  # fmt: skip
    rows = present.row_means(raw)
    trace = (raw.diagonal(dim1=-2, dim2=-1).sum(-1) - 2 * rows.sum((-2, -1)))[..., None, None]
    mean = trace / count
    units = resolution.noise * torch.where(mean > _TINY, mean, torch.inf)
    return Kernels(present.centred_(raw / units, rows / units), raw, rates, units)


def _exponents(side: Tensor, rate: Tensor) -> Tensor:
    """Squared distances ``[B, N, N]`` of rows ``[B, N, d]``, times ``-rate`` ``[B, 1, 1]``."""
    square = -rate * side.square().sum(-1, keepdim=True)
    return torch.baddbmm(square + square.mT, side * (2 * rate), side.mT)


def kernel_gradients(
    kernels: Kernels, columns: Columns, halves: Sequence[Tensor | None], present: Present
) -> list[Tensor | None]:
    """The gradients ``[B, N, d]`` in both sides, from the symmetric ones in the values of their
    kernels, of which ``halves`` ``[B, N, N]`` hold twice as much and are changed in place; None
    where that is None."""
    out: list[Tensor | None] = []
    parts = zip(halves, kernels.raw, -2 * kernels.rates / kernels.units, *columns)
    for twice, raw, factor, side, scale in parts:
        if twice is None:
            out.append(None)
            continue
        shown = present.shown_pairs(twice)
        by_distance = present.centred_(shown, present.row_means(shown)).mul_(raw)
        both = by_distance @ F.pad(side, (0, 1), value=1.0)
        moved = both[..., -1:] * side - both[..., :-1]
        out.append(present.shown(moved * factor * scale))
    return out
