"""Tensors as estimates read them: plain ones, whose values are at hand.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import check_values

__all__ = ["plain_tensor", "transformed"]


def transformed(value: Tensor) -> bool:
    """Whether a dense tensor stands for another one in a transform of ``torch.func``, as of
    ``vmap``, ``grad`` and ``jacrev``; not in a graph that is being compiled.

    Example:
        >>> transformed(torch.ones(2))
        False
    """
    if torch.compiler.is_compiling():
        return False
    try:
        value.data_ptr()
    except RuntimeError:  # it has no storage of its own
        return True
    return False


def plain_tensor(value: Tensor, name: str) -> Tensor:
    """A tensor without gradient, dense, and of at least single precision; errors call it so.

    Raises:
        TypeError: for a nested tensor, and for one of the meta device.
        RuntimeError: in a transform of ``torch.func``, which hides values.
    """
    check_values(value, name)
    value = value.detach()
    value = value if value.layout == torch.strided else value.to_dense()
    if transformed(value):
        raise RuntimeError(
            f"expected {name} outside of torch.func.vmap, grad and jacrev, got values that one of "
            f"them hides; pass a batch of datasets [B, N, d] as it is, or differentiate "
            f"torchmist.mist_mi"
        )
    value = value.dequantize() if value.is_quantized else value
    return value.float() if value.is_floating_point() and value.itemsize < 4 else value
