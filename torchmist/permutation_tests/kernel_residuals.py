r"""What is left of a side once all that a condition predicts is taken out, as low-rank features.

A side gives :math:`S` kernels of its rows: products of the columns (lines) and, unless it is one
label, Gaussian kernels of two widths. Each is held as features :math:`\Phi` ``[m, r]`` with
:math:`K \approx \Phi \Phi^T` (Nyström, on at most 100 rows). Kernel ridge regression :math:`W` on
the condition leaves :math:`(1 - W) \Phi` (Zhang et al. 2011), whose products with those of another
side have mean 0 where both are independent given the condition, also where one of the two
regressions is somewhat off (Shah and Peters 2020). The kernel of the condition is

.. math:: \sum_g l_g + \frac1G \sum_g k_g + \frac{1}{2^G - 1}
          \Big( \prod_g (1 + k_g + c\, l_g) - 1 - c \sum_g l_g \Big),

with a line :math:`l_g` and Gaussian kernels :math:`k_g` of each of its :math:`G` variables; the
product holds their interactions. With :math:`c = \min(1, 3 / G)`, as products of many lines would
tell each row from all others and leave a regression nothing to average. Lines take part in it, as
slopes that change with a label or with another number go on to the edge of the condition, where
Gaussian kernels end: what a regression leaves there of both sides would look like dependence. The
ridge is that of the highest marginal likelihood of a Gaussian process for the features of a kernel.
Of several variables, what they predict of the columns of a side, the index, is one more for that
side, without interactions: where a column is a function of them and noise, its features depend on
them through the index alone, and few rows tell how. Sides of numbers have two more Gaussian
kernels, of what the condition leaves of the numbers themselves: what two sides share in their noise
is plain there, where a wide condition hides it from kernels of the numbers.

A condition is wide that has more than eight variables. Rows that are alike in all of them are not
to be found, and few tell how all act together, so that its kernel has lines and the mean of the
Gaussian kernels alone, on more landmarks. The mean leaves little to a curve in one of many numbers:
the index takes in the numbers, four at most, whose squares or cubes go with what lines leave of a
side, and its Gaussian kernels count in full. Functions of the numbers of a side depend on too much
to be predicted as the numbers are: the line and the kernels of the noise are all that it gives. How
far rows are near in a wide condition grows with the square root of how many numbers it has.

Legend: ``m`` rows, ``K`` columns of a side, ``G`` variables, ``S`` kernels, ``r`` features,
``q`` directions of the condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["WIDE", "Left", "Smoother", "agreement", "features", "near"]

WIDE = 8
"""Variables beyond which a condition is wide."""

_WIDTHS = (1.0, 0.4)  # of the Gaussian kernels of a side whose variables have variance 1
_SHARES = (0.77, 0.23)  # of Gaussian kernels of these widths in the kernel of a condition
_LINE = 0.3
_SLOPES = 3.0  # variables, beyond which lines count less in the product
_LANDMARKS, _PER_VARIABLE, _MOST = 100, 2, 400  # landmarks: so many, more if wide, and at most
_GOLDEN = 0.6180339887498949
_JITTER = 1e-6
_CUT, _CUT_GIVEN = 2e-3, 1e-5  # least share of an eigenvalue that is kept
_RIDGES = torch.logspace(-2, 3, 11, dtype=torch.float64, device="cpu")
_INDEX = 3.0  # weight of the Gaussian kernels of an index of a wide condition
_CURVES, _CURVED = 4, 10.0  # numbers that it takes in at most, and the least square of their score
_BROAD = 1.5  # width of the kernel of rows that are near in a condition that is not wide
_LEAST = 1e-9
_FLAT = 0.05  # deviation of a prediction that is none


class Left(NamedTuple):
    """What is left of the features of each kernel, ``[m, r]`` float32, and ``share`` ``[S, q]`` of
    each direction of the condition, the columns of ``vectors`` ``[m, q]``."""

    features: tuple[Tensor, ...]
    share: Tensor
    vectors: Tensor


class _Kernels(NamedTuple):
    """Of the variables of a condition, at the ``places`` ``[L]`` of landmarks: sums of their
    ``lines`` and of their ``gaussians``, and, unless it is wide, what ``interactions`` add to the
    product of all, ``[m, L]`` each."""

    places: Tensor
    lines: Tensor
    gaussians: Tensor
    interactions: Tensor | None


def _gaussians(rows: Tensor, others: Tensor, widths: Sequence[float]) -> list[Tensor]:
    square = torch.cdist(rows, others, compute_mode="donot_use_mm_for_euclid_dist").square()
    return [(square / (-2 * width**2)).exp() for width in widths]


def _standard(columns: Tensor) -> Tensor:
    """Columns ``[m, k]`` centred, with mean square 1."""
    columns = columns - columns.mean(0)
    return columns / columns.square().mean(0).sqrt().clamp(min=_FLAT)


def _landmarks(m: int, count: int = _LANDMARKS) -> Tensor:
    """Places of at most ``count`` rows, spread evenly without a period."""
    if m <= count:
        return torch.arange(m, device="cpu")
    places = torch.arange(count, dtype=torch.float64, device="cpu") * _GOLDEN % 1 * m
    kept: Tensor = places.long().unique()
    return kept


def _factor(kernel: Tensor, places: Tensor, cut: float) -> tuple[Tensor, Tensor]:
    """Eigenvectors ``[m, q]`` and eigenvalues ``[q]`` of the centred kernel of which ``kernel``
    ``[m, L]`` are the columns at ``places``; those of at least the share ``cut`` of all."""
    block = kernel[places]
    level = _JITTER * block.diagonal().mean().clamp(min=_LEAST)
    root = torch.linalg.cholesky(
        block + level * torch.eye(len(block), device=block.device, dtype=torch.float32)
    )
    flat = torch.linalg.solve_triangular(root, kernel.mT, upper=False).mT
    flat = flat - flat.mean(0)
    values, vectors = torch.linalg.eigh(flat.mT @ flat)
    kept = values > (cut * values.sum()).clamp(min=_LEAST)
    return flat @ vectors[:, kept] * values[kept].rsqrt(), values[kept]


def features(groups: Sequence[Tensor], line: bool = True) -> tuple[Tensor, ...]:
    """Features ``[m, r]`` float64 of each kernel of a side, with mean square 1 in all.

    Args:
        groups: one ``[m, k]`` for each variable of the side, of variance 1: a number, or the
            columns of the classes of a label.
        line: whether the first kernel is that of products of the columns.
    """
    rows = torch.cat(list(groups), -1).double()
    places = _landmarks(len(rows)).to(rows.device)
    marks = rows[places]
    kernels = [rows @ marks.mT] if line else []
    if len(groups) > 1 or rows.shape[1] == 1:
        size = len(groups) ** 0.5
        kernels += _gaussians(rows, marks, [width * size for width in _WIDTHS])
    out = []
    for kernel in kernels:
        vectors, values = _factor(kernel, places, _CUT)
        made = vectors * values.sqrt()
        out.append(made / made.square().sum(1).mean().sqrt().clamp(min=_LEAST))
    return tuple(out)


def near(groups: Sequence[Tensor]) -> Tensor:
    """How near rows are in the variables of a condition: a kernel ``[m, m]`` float32, 1 at rows
    that are alike and 0 at rows of other labels."""
    numbers = [group for group in groups if group.shape[1] == 1]
    kernel = torch.ones(
        len(groups[0]), len(groups[0]), device=groups[0].device, dtype=torch.float32
    )
    if numbers:
        rows = torch.cat(numbers, -1).double()
        width = _BROAD * max(1.0, len(numbers) / WIDE) ** 0.5
        kernel = _gaussians(rows, rows, [width])[0].float()
    for group in groups:
        if group.shape[1] > 1:
            code = group.argmax(1)
            kernel = kernel * (code[:, None] == code)
    return kernel


def _line_and_gaussian(group: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The line and the Gaussian kernels of a variable ``[m, k]`` of a condition, ``[m, L]``."""
    marks = group[places]
    pairs = zip(_SHARES, _gaussians(group, marks, _WIDTHS))
    gaussian = torch.stack([share * kernel for share, kernel in pairs]).sum(0)
    return _LINE * group @ marks.mT, gaussian


def _kernels(groups: Sequence[Tensor]) -> _Kernels:
    """The kernels of the variables ``[m, k]`` of a condition."""
    wide = len(groups) > WIDE
    count = min(_LANDMARKS + (_PER_VARIABLE * len(groups) if wide else 0), _MOST)
    places = _landmarks(len(groups[0]), count).to(groups[0].device)
    lines = groups[0].new_zeros(len(groups[0]), len(places), dtype=torch.float64)
    gaussians, product = torch.zeros_like(lines), torch.ones_like(lines)
    slope = min(1.0, _SLOPES / len(groups))
    for group in groups:
        line, gaussian = _line_and_gaussian(group.double(), places)
        lines, gaussians = lines + line, gaussians + gaussian
        product = product if wide else product * (1 + gaussian + slope * line)
    return _Kernels(places, lines, gaussians, None if wide else product - 1 - slope * lines)


class Smoother:
    """Kernel ridge regression of the features of any side on a condition.

    Args:
        groups: one ``[m, k]`` for each variable of the condition, as for :func:`features`.
        index: further variables, which have no interactions.
        kernels: of the condition, where they are known.
    """

    def __init__(
        self, groups: Sequence[Tensor], index: Sequence[Tensor] = (),
        kernels: _Kernels | None = None,
    ) -> None:  # fmt: skip
        self._groups = tuple(groups)
        self.wide = len(self._groups) > WIDE
        self._kernels = own = _kernels(self._groups) if kernels is None else kernels
        number = len(self._groups) + len(index)
        alone = own.lines + own.gaussians / number
        for group in index:
            line, gaussian = _line_and_gaussian(group.double(), own.places)
            alone = alone + line + (_INDEX * gaussian if self.wide else gaussian / number)
        if own.interactions is not None:
            share = 0.5**number
            alone = alone + own.interactions * (share / (1 - share))
        self.vectors, self._values = _factor(alone, own.places, _CUT_GIVEN)

    def left(self, kernels: Sequence[Tensor]) -> Left:
        """What is left of the features ``[m, r]`` of each kernel of a side."""
        out, shares = [], []
        for phi in kernels:
            within = self.vectors.mT @ phi
            share = self._share(phi.square().sum(0), within.square())
            shares.append(share)
            out.append((phi - self.vectors @ ((1 - share)[:, None] * within)).float())
        return Left(tuple(out), torch.stack(shares), self.vectors)

    def predicted(self, columns: Tensor) -> Tensor:
        """What the condition predicts of columns ``[m, k]``, ``[m, k]`` float64."""
        columns = columns.double()
        within = self.vectors.mT @ columns
        share = self._share(columns.square().sum(0), within.square())
        return self.vectors @ ((1 - share)[:, None] * within)

    def with_index(self, side: Sequence[Tensor]) -> Smoother:
        """The smoother of the condition and of what it predicts of the variables of a side.

        Args:
            side: one ``[m, k]`` for each variable, as for :func:`features`.
        """
        index = []
        for group in side:
            found = self.predicted(group)
            size = found.square().mean(0).sum().sqrt()
            if size > _FLAT:
                index.append(found / size)
        if self.wide:
            index += self._curves(side)
        return Smoother(self._groups, index, self._kernels) if index else self

    def _curves(self, side: Sequence[Tensor]) -> list[Tensor]:
        """The numbers ``[m, 1]`` of the condition whose squares or cubes go most with what this
        leaves of the variables of a side."""
        numbers = [group.double() for group in self._groups if group.shape[1] == 1]
        if not numbers:
            return []
        z = torch.cat(numbers, -1)
        best = z.new_zeros(len(numbers))
        shapes = [_standard(shape) for shape in (z.square(), z**3 - 3 * z)]
        for group in side:
            left = _standard(group.double() - self.predicted(group))
            scores = [(shape.mT @ left).square() / len(z) for shape in shapes]
            best = torch.maximum(best, sum(scores, torch.zeros_like(scores[0])).amax(1))
        order = best.argsort(descending=True)[:_CURVES].tolist()
        return [numbers[k] for k in order if float(best[k]) > _CURVED]

    def noise(self, side: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Features of the Gaussian kernels of what this leaves of the numbers of a side."""
        left = [group.double() - self.predicted(group) for group in side]
        return features([v / v.square().mean().sqrt().clamp(min=_FLAT) for v in left], line=False)

    def _share(self, whole: Tensor, within: Tensor) -> Tensor:
        """The share ``[q]`` that the likeliest ridge leaves of each direction, from the squares of
        features in all ``[r]`` and in these directions ``[q, r]``."""
        ridges = _RIDGES.to(whole.device)
        rest = (whole - within.sum(0)).clamp(min=0)
        m, q = self.vectors.shape
        sums = self._values + ridges[:, None]  # [ridges, q]
        power = sums.reciprocal() @ within + rest / ridges[:, None]
        volume = sums.log().sum(1) + (m - q) * ridges.log()
        likelihood = -m * (power.clamp(min=_LEAST).log() @ whole) - volume * whole.sum()
        ridge = ridges[likelihood.argmax()]
        return ridge / (self._values + ridge)


def agreement(x: Left, y: Left) -> Tensor:
    """By how much residuals of independent sides agree more than under random signs, ``[Sx, Sy]``.

    Both sides lost directions of the same condition: with :math:`A = (1 - W)^2` of each side, this
    is :math:`tr(A_x A_y) / \\sum_i A_{x,ii} A_{y,ii}`.
    """
    m = len(x.vectors)
    lost = [1 - side.share.square() for side in (x, y)]
    both = (x.vectors.mT @ y.vectors).square()
    trace = m - 1 - lost[0].sum(1)[:, None] - lost[1].sum(1) + lost[0] @ both @ lost[1].mT
    kept = [1 - 1 / m - s.vectors.square() @ part.mT for s, part in zip((x, y), lost)]  # [m, S]
    return trace.clamp(min=_LEAST) / (kept[0].mT @ kept[1]).clamp(min=_LEAST)
