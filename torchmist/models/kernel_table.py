r"""Sums over references of products of kernels of both sides, without keeping the kernels.

.. math:: T_i = X_i Y_i^\top, \qquad X_i = [K^1_{i}, \dots, K^S_{i}, 1, d_i], \qquad
          K^s_{ij} = \exp(-\max(d_{ij} - f_i, 0) \, r_{is})

for squared distances :math:`d` of a query :math:`i` to references :math:`j`, infinite ones (large
numbers) where a pair does not count. Kernels are made block by block, in the forward and once more
in the backward pass, so that they stay in the cache of a CPU and take no memory of a GPU.

Legend: ``R`` rows (queries of all datasets), ``M`` references, ``S`` scales.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["kernel_table"]

_BITS = math.log2(math.e)  # powers of 2 take half the time of those of e
_LEAST = -40.0 * _BITS  # of an exponent: products of kernels stay normal numbers, which are fast
_ON_CPU, _ELSEWHERE = 400_000, 150_000_000  # numbers of one block of one side


def _rows(size: int, scales: int, device: torch.device) -> int:
    """Rows of a block."""
    most = _ON_CPU if device.type == "cpu" else _ELSEWHERE
    return max(1, most // (size * (scales + 2)))


def _fill(out: Tensor, square: Tensor, first: Tensor, rate: Tensor) -> Tensor:
    """Write ``X`` ``[r, S + 2, M]`` of some rows into ``out``, whose ones are there already; return
    the shifted distances."""
    scales = rate.shape[-1]
    shifted = (square - first).clamp_(min=0)
    kernel = out[:, :scales]
    factors = shifted.unsqueeze(1), (-_BITS * rate).unsqueeze(-1)
    if torch.compiler.is_compiling():  # a graph loses what out= writes with gaps
        kernel.copy_(torch.mul(*factors))
    else:
        torch.mul(*factors, out=kernel)
    kernel.clamp_(min=_LEAST).exp2_()
    out[:, scales + 1] = square
    return shifted


def _buffers(rows: int, scales: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Room for ``X`` and ``Y`` of a block of rows, with the row of ones."""
    out = like.new_empty(2, rows, scales + 2, like.shape[1])
    out[:, :, scales] = 1.0
    return out[0], out[1]


class _KernelTable(torch.autograd.Function):
    """See :func:`kernel_table`; all arguments as rows."""

    @staticmethod
    def forward(
        dx: Tensor, dy: Tensor, first_x: Tensor, first_y: Tensor, rate_x: Tensor, rate_y: Tensor
    ) -> Tensor:
        rows, size = dx.shape
        scales = rate_x.shape[-1]
        block = min(rows, _rows(size, scales, dx.device))
        table = dx.new_empty(rows, scales + 2, scales + 2)
        a, b = _buffers(block, scales, dx)
        for start in range(0, rows, block):
            part = slice(start, min(start + block, rows))
            used = part.stop - start
            _fill(a[:used], dx[part], first_x[part], rate_x[part])
            _fill(b[:used], dy[part], first_y[part], rate_y[part])
            torch.bmm(a[:used], b[:used].mT, out=table[part])
        return table

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dx, dy, first_x, first_y, rate_x, rate_y = ctx.saved_tensors
        rows, size = dx.shape
        scales = rate_x.shape[-1]
        block = min(rows, _rows(size, scales, dx.device))
        a, b = _buffers(block, scales, dx)
        out: tuple[list[Tensor], list[Tensor]] = [], []
        for start in range(0, rows, block):
            part = slice(start, min(start + block, rows))
            used = part.stop - start
            own = a[:used], b[:used]
            sides = ((dx, first_x, rate_x), (dy, first_y, rate_y))
            shifted = [_fill(v, d[part], f[part], r[part]) for v, (d, f, r) in zip(own, sides)]
            by = torch.bmm(grad[part], own[1]), torch.bmm(grad[part].mT, own[0])
            for k in range(2):
                rate = sides[k][2][part]
                kernel = own[k][:, :scales]
                total = (by[k][:, :scales] * kernel).mul_(rate.unsqueeze(-1)).sum(1).neg_()
                total = total.mul_(shifted[k] > 0).add_(by[k][:, scales + 1])
                out[k].append(total)
        return torch.cat(out[0]), torch.cat(out[1]), None, None, None, None


def kernel_table(
    dx: Tensor, dy: Tensor, first: tuple[Tensor, Tensor], rate: tuple[Tensor, Tensor]
) -> Tensor:
    """``T`` ``[B, Q, S + 2, S + 2]`` of squared distances ``[B, Q, M]`` of both sides.

    Args:
        dx, dy: squared distances, large where a pair does not count; differentiable.
        first: what is subtracted from them, ``[B, Q, 1]`` for each side.
        rate: reciprocal widths of the kernels, ``[B, Q, S]`` for each side.

    Returns:
        The sums over references, of which those with ``d`` of one side and nothing of the other
        have no meaning.
    """
    batch, queries, _ = dx.shape
    flat = [v.flatten(0, 1) for v in (dx, dy, *first, *rate)]
    run = _KernelTable.apply if torch.is_grad_enabled() else _KernelTable.forward
    table: Tensor = run(*flat)
    return table.view(batch, queries, *table.shape[1:])
