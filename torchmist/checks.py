"""Checks of what users pass in: each error says what was expected, what came, and the fix.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side.
"""

from __future__ import annotations

import operator
import warnings
from numbers import Real
from typing import Any

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.nn import functional as F

__all__ = [
    "FLOATS",
    "INTEGERS",
    "MIN_SAMPLES",
    "UNSIGNED",
    "check_axis",
    "check_count",
    "check_finite",
    "check_level",
    "check_mask",
    "check_pair",
    "check_side",
    "check_tensors",
    "check_third",
    "check_values",
    "real_columns",
    "visible",
    "warn_once",
    "warned",
]

MIN_SAMPLES = 4
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # of which torch has few operations
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_warned: set[str] = set()


def visible(condition: Tensor) -> bool | None:
    """A 0-dim condition as a bool; ``None`` where its value is not at hand.

    That is under ``torch.compile`` and ``vmap``, and in the capture of a CUDA graph.
    """
    if torch.compiler.is_compiling():
        return None
    if condition.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    try:
        return bool(condition)
    except RuntimeError:  # vmap: no control flow on data
        return None


def check_tensors(*, arrays: str = "torchmist.estimate", **named: Any) -> None:
    """Raise ``TypeError`` unless every argument is a dense tensor with values; ``arrays``: what
    takes arrays instead, if there is such. ``RuntimeError`` in forward mode."""
    for name, value in named.items():
        if not isinstance(value, Tensor):
            instead = f", or use {arrays} for arrays" if arrays else ""
            raise TypeError(
                f"expected {name} to be a torch.Tensor, got {type(value).__name__}; "
                f"convert it with torch.as_tensor({name}){instead}"
            )
        check_values(value, name)
        if value.layout != torch.strided:
            raise TypeError(
                f"expected {name} to be a dense tensor, got layout {value.layout}; convert it with "
                f"{name}.to_dense()"
            )
        if not torch.compiler.is_compiling() and unpack_dual(value).tangent is not None:
            raise RuntimeError(
                f"expected {name} without a tangent of forward-mode differentiation, for which "
                f"ranks have no rule; use reverse mode: backward, torch.func.grad or jacrev"
            )


def check_values(value: Tensor, name: str) -> None:
    """Raise ``TypeError`` for a nested tensor, and for one of the meta device."""
    if value.is_nested:
        raise TypeError(
            f"expected {name} to be a dense tensor, got a nested one; pass each dataset by itself, "
            f"or pad them with {name}.to_padded_tensor(0.0) and say with mask=, which terms take, "
            f"which rows count"
        )
    if value.device.type == "meta":
        raise TypeError(
            f"expected {name} to hold values, got a tensor on the meta device, which has none; "
            f"make it on a device such as 'cpu'"
        )


def check_axis(value: Tensor, name: str) -> None:
    """Raise ``ValueError`` for a single number, which has no axis of samples."""
    if value.dim() == 0:
        raise ValueError(
            f"expected {name} of shape [N], [N, d] or [B, N, d], got a single number; mutual "
            f"information is a property of a whole sample"
        )


def check_count(value: Any, name: str, least: int) -> int:
    """An integer of at least ``least``, as an int."""
    try:
        count = operator.index(value)
    except TypeError:
        count = least - 1
    if isinstance(value, bool) or count < least:
        raise ValueError(f"expected {name} to be an int of at least {least}, got {value!r}")
    return count


def check_level(level: float, name: str) -> float:
    """A probability strictly between 0 and 1, as a float."""
    if isinstance(level, bool) or not isinstance(level, Real):
        raise TypeError(f"expected {name} to be a float in (0, 1), got {type(level).__name__}")
    if not (0 < level < 1):
        raise ValueError(f"expected {name} in (0, 1), got {level}; 0.9 means ninety percent")
    return float(level)


def _labels(value: Tensor, name: str) -> Tensor:
    """Class labels ``[..., N]`` or ``[..., N, 1]`` as one-hot columns (one column for two)."""
    if value.dim() >= 2 and value.shape[-1] == 1:
        value = value.squeeze(-1)
    elif value.dim() != 1:
        raise ValueError(
            f"expected integer {name} to be class labels of shape [N], [N, 1] or [B, N, 1], got "
            f"{list(value.shape)}; pass {name}.argmax(-1) of one-hot columns, {name}[..., None] of "
            f"a label for each sample of each dataset, {name}.float() of counts or codes"
        )
    classes, index = value.unique(return_inverse=True)
    if len(classes) <= 2:
        binary: Tensor = index.float().unsqueeze(-1)
        return binary
    columns: Tensor = F.one_hot(index, len(classes)).float()
    return columns


def real_columns(value: Tensor, name: str) -> str:
    """What to do about a complex tensor."""
    columns = ".flatten(-2)" if value.dim() > 1 else ""
    return f"pass real and imaginary part as two columns, torch.view_as_real({name}){columns}"


def _dataset(value: Tensor, name: str) -> Tensor:
    """``value`` as ``[N, d]`` or ``[B, N, d]`` floating point."""
    if value.dtype in INTEGERS:
        value = _labels(value, name)
    elif value.dtype not in FLOATS:
        fix = f"convert it with {name}.{'long' if value.dtype in UNSIGNED else 'float'}()"
        if value.is_complex():
            fix = real_columns(value, name)
        elif value.is_quantized:
            fix = f"convert it with {name}.dequantize()"
        raise TypeError(
            f"expected {name} to be floating point, or integer class labels, got {value.dtype}; "
            f"{fix}"
        )
    if value.dim() == 1:
        value = value.unsqueeze(-1)
    check_axis(value, name)
    if value.dim() not in (2, 3):
        raise ValueError(
            f"expected {name} of shape [N], [N, d] or [B, N, d], got {list(value.shape)}; "
            f"flatten features with {name}.flatten(1)"
        )
    if value.shape[-1] == 0:
        raise ValueError(f"expected {name} to have at least one column, got {list(value.shape)}")
    if value.dim() == 3 and value.shape[0] == 0:
        raise ValueError(f"expected {name} to have at least one dataset, got {list(value.shape)}")
    return value


def _check_count(value: Tensor, least: int = MIN_SAMPLES) -> None:
    """Enough samples in ``[B, N, d]``."""
    if value.shape[1] < least:
        raise ValueError(
            f"expected at least {least} samples, got {value.shape[1]}; mutual information is a "
            f"property of a whole sample, so pass all of its rows at once"
        )


def _check_device(a: Tensor, b: Tensor, names: tuple[str, str]) -> None:
    """Both on one device."""
    if a.device != b.device:
        raise ValueError(
            f"expected {names[0]} and {names[1]} on one device, got {a.device} and {b.device}; "
            f"move one with .to({names[0]}.device)"
        )


def check_finite(value: Tensor, name: str, rows: str) -> None:
    """Raise ``ValueError`` for NaN and infinite values, as far as they are visible; ``rows``: what
    to drop or impute."""
    if visible(torch.isfinite(value.detach().sum())):  # a finite sum has finite terms alone
        return
    if visible(torch.isfinite(value).all()) is False:
        bad = int((~torch.isfinite(value)).sum())
        raise ValueError(
            f"expected finite values, got {bad} NaN or infinite entries in {name}; drop or impute "
            f"{rows}"
        )


def check_side(x: Tensor, name: str) -> Tensor:
    """One side alone as ``[B, N, d]``, with the checks and errors of :func:`check_pair`."""
    value = _dataset(x, name)
    value = value.unsqueeze(0) if value.dim() == 2 else value
    _check_count(value)
    check_finite(value, name, "those rows")
    return value


def _share(value: Tensor, batch: Tensor, names: tuple[str, str]) -> Tensor:
    """One column ``[N]``, here ``[N, K]``, for every dataset of ``batch`` ``[B, N, d]``."""
    b, n = batch.shape[:2]
    got = f"{names[0]} of shape [{len(value)}] with {names[1]} of shape {list(batch.shape)}"
    if b == n:
        raise ValueError(
            f"expected {names[0]} of shape [{b}, {n}, d], got {got}, where it may hold a value for "
            f"each sample or for each dataset; say which with {names[0]}.view(1, {n}, 1).expand"
            f"({b}, -1, -1), or with {names[1]}.flatten(1) for one sample in each row"
        )
    if len(value) == b:
        raise ValueError(
            f"expected {names[0]} to hold the {n} samples that all datasets of {names[1]} share, "
            f"got {got}, a value for each dataset; if each is one sample, flatten its features "
            f"with {names[1]}.flatten(1)"
        )
    if len(value) != n:
        raise ValueError(
            f"expected {names[0]} and {names[1]} to have the same number of datasets and samples, "
            f"got {got}; row i of both is one sample"
        )
    return value.expand(b, -1, -1)


def check_pair(
    x: Tensor, y: Tensor, names: tuple[str, str], least: int = MIN_SAMPLES
) -> tuple[Tensor, Tensor]:
    """Both sides as ``[B, N, d]`` with equal ``B`` and ``N``, checked before any work.

    Integer and bool tensors are class labels and become one-hot columns. A side ``[N]`` against a
    batch ``[B, N, d]`` is shared by all datasets. The check for finite values waits for the device;
    it is left out under ``torch.compile`` and ``torch.func.vmap``, which hide values.

    Raises:
        TypeError: for a dtype that is neither real floating point nor integer.
        ValueError: for wrong ranks, no columns, lengths or batches that differ, fewer than
            ``least`` samples, devices that differ, or NaN and infinite values.
    """
    a, b = _dataset(x, names[0]), _dataset(y, names[1])
    if x.dim() == 1 and b.dim() == 3:
        a = _share(a, b, names)
    elif y.dim() == 1 and a.dim() == 3:
        b = _share(b, a, (names[1], names[0]))
    if a.dim() != b.dim():
        name, one, batch = (names[0], x, b) if a.dim() == 2 else (names[1], y, a)
        fix = f"share {name} among the datasets with {name}.expand({len(batch)}, -1, -1)"
        if one.shape == batch.shape[:2]:
            fix = f"if {name} holds a value for each sample of each dataset, pass {name}[..., None]"
        raise ValueError(
            f"expected {names[0]} and {names[1]} to be both batched or both not, got shapes "
            f"{list(x.shape)} and {list(y.shape)}; add the batch axis with unsqueeze(0), or {fix}"
        )
    if a.dim() == 2:
        a, b = a.unsqueeze(0), b.unsqueeze(0)
    if a.shape[:2] != b.shape[:2]:
        turned = [name for name, one, two in zip(names, (a, b), (b, a))
                  if one.shape[2] == two.shape[1]]  # fmt: skip
        fix = f", so transpose {turned[0]} if each of its rows is a column" if turned else ""
        raise ValueError(
            f"expected {names[0]} and {names[1]} to have the same number of datasets and samples, "
            f"got shapes {list(x.shape)} and {list(y.shape)}; row i of both is one sample{fix}"
        )
    _check_count(a, least)
    _check_device(a, b, names)
    for name, value in zip(names, (a, b)):
        check_finite(value, name, f"those rows in both {names[0]} and {names[1]}")
    return a, b


def check_third(
    value: Tensor, name: str, beside: Tensor, names: tuple[str, ...] = ("x", "y")
) -> Tensor:
    """A further side as ``[B, N, d]``, with the checks of :func:`check_pair` that are still open.

    ``beside`` ``[B, N, d]``: one of the checked sides, which are called ``names``.
    """
    found = check_side(value, name)
    if found.shape[:2] != beside.shape[:2]:
        raise ValueError(
            f"expected {name} to have {beside.shape[1]} rows as {' and '.join(names)} have, got "
            f"shape {list(value.shape)}"
        )
    _check_device(beside, found, (names[0], name))
    return found


def check_mask(mask: Tensor | None, x: Tensor, least: int = MIN_SAMPLES) -> Tensor | None:
    """A bool mask ``[N]`` or ``[B, N]`` of the samples of ``x`` ``[B, N, d]``, as ``[B, N]``.

    It leaves at least ``least`` samples in each dataset.
    """
    if mask is None:
        return None
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        kind, fix = type(mask).__name__, "torch.as_tensor(mask)"
        if isinstance(mask, Tensor):
            kind, fix = str(mask.dtype), "mask > 0"
        raise TypeError(f"expected mask to be a bool tensor, got {kind}; convert it with {fix}")
    if mask.shape not in (x.shape[:2], x.shape[1:2]):
        raise ValueError(
            f"expected mask of shape {list(x.shape[1:2])} or {list(x.shape[:2])}, one entry for "
            f"each sample, got {list(mask.shape)}; drop other axes, as with mask.all(-1)"
        )
    mask = mask.expand(x.shape[:2])
    if visible((mask.sum(-1) >= least).all()) is False:
        raise ValueError(
            f"expected mask to leave at least {least} samples in each dataset, got "
            f"{int(mask.sum(-1).min())} in one of them"
        )
    return mask


def warned(message: str) -> bool:
    """Whether :func:`warn_once` has said so."""
    return message in _warned


def warn_once(message: str) -> None:
    """A ``UserWarning`` the first time that this message comes up in the process."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, UserWarning, stacklevel=4)
