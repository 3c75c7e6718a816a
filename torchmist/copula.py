"""The copula layer: exact normal scores forward, a windowed rank gradient backward.

Mutual information depends on the copula alone, so every column is replaced by the normal scores
of its ranks before anything is learned from it. Ranks are piecewise constant; the backward pass
therefore uses the derivative of the population map ``z = Phi^-1(F(x))`` that the ranks estimate.

Legend: ``N`` samples, ``D`` columns (features), ``m`` neighbours on each side of a window.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchmist.numerics.cache import cached
from torchmist.numerics.magnitudes import balanced, divisors
from torchmist.numerics.no_gradient import no_gradient
from torchmist.numerics.sorting import sort_columns, tie_groups

__all__ = [
    "Ranks",
    "default_window",
    "first_order",
    "full_count",
    "full_grid",
    "lookup",
    "normal_scores",
    "rank_transform",
    "score_grid",
    "standardise",
    "standardise_units",
]


class Ranks(NamedTuple):
    """Normal scores with the integer codes that they were read from.

    ``scores``: ``[..., D, N]`` float32, ``Phi^-1((rank - 1/2) / N)``, 0 in constant columns;
    differentiable in the input. ``codes``: ``[..., D, N]`` int64, twice the zero-based mid-rank,
    so that ties (half ranks) have codes too; ``0 .. 2N-2``. Masked places hold arbitrary values.
    """

    scores: Tensor
    codes: Tensor


def default_window(n: int) -> int:
    """Neighbours on each side of a sample in the windowed gradient, for ``n`` samples."""
    return max(2, min(15, round(0.6 * math.sqrt(n))))


def score_grid(counts: Tensor, size: int) -> Tensor:
    """Normal score of every rank code, ``Phi^-1((code + 1) / (2 n))``, exactly odd in the ranks.

    ``counts``: ``[G]`` samples of each dataset; returns ``[G, 2 size - 1]`` float64, where codes
    above ``2 n - 2`` (which no sample has) are 0.
    """
    code = torch.arange(2 * size - 1, device=counts.device)
    twice_n = 2 * counts.to(torch.int64)[:, None]
    lower = torch.minimum(code + 1, twice_n - 1 - code)
    used = lower > 0
    scores = torch.special.ndtri(lower.clamp(min=1).double() / twice_n.double())
    return torch.where(used, scores * torch.sign(twice_n - 2 - 2 * code).double(), 0.0)


def _make_count(n: int, like: Tensor) -> Tensor:
    return torch.full((1,), n, dtype=torch.int64, device=like.device)


def full_count(n: int, like: Tensor) -> Tensor:
    """The samples of datasets that all have ``n``, ``[1]`` int64; not to be written to."""
    return cached(_make_count, n, like=like)


def _make_full_grid(n: int, like: Tensor) -> Tensor:
    return score_grid(_make_count(n, like), n).to(like.dtype)


def full_grid(n: int, like: Tensor) -> Tensor:
    """:func:`score_grid` of datasets of ``n`` samples, ``[1, 2 n - 1]`` in the dtype of ``like``.

    Kept for the next call: not to be written to.
    """
    return cached(_make_full_grid, n, like=like)


def _column_layout(x: Tensor, mask: Tensor | None) -> Tensor:
    """``[..., N, D]`` to contiguous ``[..., D, N]``, half types upcast, masked samples last."""
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()
    columns = x.transpose(-1, -2)
    if mask is not None:
        columns = columns.masked_fill(~mask.unsqueeze(-2), math.inf)
    return columns.contiguous()


class _FirstOrder(torch.autograd.Function):
    """The identity, whose own gradient is an error."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, of: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "expected one derivative of mutual information, got a request for a second: the "
            "gradient through ranks and kernels has none; detach it (create_graph=False), or leave "
            "this term out of gradient penalties"
        )


def first_order(gradient: Tensor, of: Tensor) -> Tensor:
    """The same gradient; a derivative of it, which ``of`` would need, raises ``RuntimeError``."""
    out: Tensor = _FirstOrder.apply(gradient, of)  # type: ignore[no-untyped-call]
    return out


class _NormalScores(torch.autograd.Function):
    """Raw columns ``[..., D, N]`` to unscaled normal scores; see :func:`rank_transform`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(columns: Tensor, counts: Tensor, grid: Tensor, window: int) -> tuple[Tensor, ...]:
        # counts: [B] when the leading axes are one batch axis B, else [1]; grid: [B or 1, C]
        ordered, order = sort_columns(columns)
        first, last = tie_groups(ordered)
        codes = torch.empty_like(order)
        codes.scatter_(-1, order, (first + last).long().expand_as(order))
        scores = lookup(grid, codes)
        return scores, codes, ordered, order, first, last

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, counts, grid, window = inputs
        _, codes, ordered, order, first, last = output
        ctx.mark_non_differentiable(codes, ordered, order, first, last)
        ctx.save_for_backward(ordered, order, first, last, grid, counts)
        ctx.window = window

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor, None, None, None]:
        with no_gradient():
            out = _NormalScores.slope_times(ctx, grad)
        if torch.is_grad_enabled() and grad.requires_grad:
            out = first_order(out, grad)
        return out, None, None, None

    @staticmethod
    def slope_times(ctx: Any, grad: Tensor) -> Tensor:
        """The adjoint of the windowed derivative, ``[..., D, N]``."""
        ordered, order, first, last, grid, counts = ctx.saved_tensors
        first, last = first.long(), last.long()
        top = (counts - 1).view(-1, *[1] * (ordered.dim() - 1))
        ends = [_at(ordered, place.expand_as(ordered[..., :1])) for place in (0 * top, top)]
        by = divisors(torch.maximum(*(end.abs() for end in ends))).clamp(max=4)
        ordered = ordered / by
        low = (first - ctx.window).clamp(min=0)
        high = torch.minimum(last + ctx.window, top)
        ties = first + last
        rise = lookup(grid, _at(ties, high)) - lookup(grid, _at(ties, low))
        width = _at(ordered, high) - _at(ordered, low)
        slope = rise / torch.maximum(width, _smallest_step(ordered, top))
        sorted_grad = grad.gather(-1, order)
        total = torch.nn.functional.pad(sorted_grad.double().cumsum(-1), (1, 0))
        mean = (_at(total, high + 1) - _at(total, low)) / (high - low + 1)
        most = torch.finfo(ordered.dtype).max * by
        out = (slope * (sorted_grad - mean)).to(ordered.dtype).clamp(-most, most) / by
        here = torch.arange(ordered.shape[-1], device=ordered.device) <= top
        out = torch.where(here, out, 0.0)  # what is masked; NaN that comes back goes on
        return torch.zeros_like(out).scatter(-1, order, out)


def _at(values: Tensor, index: Tensor) -> Tensor:
    """``values`` ``[..., D or 1, M]`` at ``index`` ``[..., D or 1, N]`` of their last axis."""
    shape = [max(*sizes) for sizes in zip(values.shape[:-1], index.shape[:-1])]
    return values.expand(*shape, -1).gather(-1, index.expand(*shape, -1))


def _smallest_step(ordered: Tensor, top: Tensor) -> Tensor:
    """A floor for the width of a window, ``[..., D, 1]``: bounds the slope in near-ties.

    A thousandth of the narrowest of three robust ranges that is not zero (the middle half, the
    middle nine tenths, the whole); 1 for a constant column, whose scores do not rise.
    """
    floor = torch.ones_like(ordered[..., :1])
    for tail in (0.0, 0.05, 0.25):
        ends = [(top * q).round().long().expand_as(ordered[..., :1]) for q in (tail, 1 - tail)]
        width = ordered.gather(-1, ends[1]) - ordered.gather(-1, ends[0])
        floor = torch.where(width > 0, 1e-3 * width, floor)
    return floor.clamp(min=torch.finfo(ordered.dtype).tiny)


def lookup(grid: Tensor, codes: Tensor) -> Tensor:
    """Entries of ``grid`` ``[..., G, C]`` at ``codes`` ``[B, D, N]``: ``[..., B, D, N]``.

    ``G`` is ``B``, or 1 if all datasets share one grid.
    """
    if grid.dim() == 2 and len(grid) == 1:
        return grid[0].index_select(0, codes.reshape(-1)).view(codes.shape)
    if grid.shape[-2] > 1:
        offset = torch.arange(grid.shape[-2], device=codes.device) * grid.shape[-1]
        codes = codes + offset.view(-1, *[1] * (codes.dim() - 1))
    lead = grid.shape[:-2]
    flat = codes.reshape(-1).expand(*lead, -1)
    return grid.flatten(-2).gather(-1, flat).view(*lead, *codes.shape)


def rank_transform(x: Tensor, mask: Tensor | None = None, *, window: int | None = None) -> Ranks:
    r"""Normal scores of each column and the rank codes behind them, columns first.

    Forward: ``z = Phi^-1((rank - 1/2) / N)`` with average ranks on ties. Backward, in sorted
    order with a window of ``m`` neighbours on each side,

    .. math:: \mathrm{grad}_x(i) = \frac{z_{i+m} - z_{i-m}}{x_{i+m} - x_{i-m}}
              \Big(g_i - \frac1{2m+1}\sum_{|j-i|\le m} g_j\Big),

    the adjoint of ``dz_i = f(x_i)/phi(z_i) (dx_i - E[dx | x = x_i])``: what only re-spaces a column
    cannot change mutual information. Tied samples share one window. The first derivative only.

    Args:
        x: samples, ``[..., N, D]`` floating point; ranks are taken in this precision, half types
            upcast.
        mask: ``[..., N]`` bool, True for real samples; needs ``x`` of shape ``[B, N, D]``.
        window: neighbours ``m`` on each side; ``None`` chooses by ``N``.
    """
    columns = _column_layout(x, mask)
    n = columns.shape[-1]
    if mask is None:
        counts = full_count(n, x)
        grid = full_grid(n, columns.detach()).float()
    else:
        counts = mask.sum(-1)
        grid = score_grid(counts, n).float()
    # without gradients the function alone: its bookkeeping takes as long as small samples do
    if not torch.is_grad_enabled():  # no window, which would tie an exported graph to one n
        scores, codes, *_ = _NormalScores.forward(columns, counts, grid, 0)
        return Ranks(scores, codes)
    window = window or default_window(n)
    made = _NormalScores.apply(columns, counts, grid, window)  # type: ignore[no-untyped-call]
    return Ranks(made[0], made[1])


def standardise(scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean 0, variance 1 along the last axis of ``[..., D, N]``; 0 where ``mask`` is False.

    Constant columns become 0.
    """
    present = None if mask is None else mask.unsqueeze(-2)
    if present is None:
        mean = scores.mean(-1, keepdim=True)
        variance = (scores - mean).square().mean(-1, keepdim=True)
    else:
        count = present.sum(-1, keepdim=True)
        mean = (scores * present).sum(-1, keepdim=True) / count
        variance = ((scores - mean).square() * present).sum(-1, keepdim=True) / count
    scale = torch.where(variance > 1e-12, variance, torch.inf).rsqrt()
    scores = (scores - mean) * scale
    return scores if present is None else scores * present


def standardise_units(columns: Tensor, mask: Tensor | None = None) -> Tensor:
    """:func:`standardise` of columns ``[..., D, N]`` in any units, however large or small."""
    return standardise(balanced(columns)[0], mask)


def normal_scores(x: Tensor, mask: Tensor | None = None, *, window: int | None = None) -> Tensor:
    """Normal scores of every column of ``x``: the input of all that follows.

    Exactly invariant under increasing maps of a column, and odd under decreasing ones. Gradients
    are those of the population map (:func:`rank_transform`).

    Args:
        x: samples, ``[..., N, D]``; half types are upcast, ranks taken in the input's precision.
        mask: ``[B, N]`` bool, True for real samples, for ``x`` of shape ``[B, N, D]``.
        window: neighbours on each side in the gradient; ``None`` chooses by ``N``.

    Returns:
        ``[..., N, D]`` float32: mean 0 and variance 1 per column, 0 for constant columns and
        masked samples.

    Example:
        >>> import torch
        >>> normal_scores(torch.tensor([[1.0], [10.0], [100.0]])).squeeze()
        tensor([-1.2247,  0.0000,  1.2247])
    """
    ranks = rank_transform(x, mask, window=window)
    return standardise(ranks.scores, mask).transpose(-1, -2)
