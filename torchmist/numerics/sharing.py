"""What several parts of one computation make of the same tensors, made once.

While :func:`sharing` lasts, :func:`shared` keeps what it has made, and nothing after it: a tensor
may be written to between two computations.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

__all__ = ["shared", "sharing"]

Made = TypeVar("Made")
_Kept = dict[tuple[object, ...], tuple[tuple[Tensor | None, ...], object]]
_kept: ContextVar[_Kept | None] = ContextVar("kept", default=None)


class _Sharing(AbstractContextManager[None]):
    """Keeps what is made within the outermost of such blocks."""

    _token: Token[_Kept | None] | None = None

    def __enter__(self) -> None:
        if _kept.get() is None:
            self._token = _kept.set({})

    def __exit__(self, *_: Any) -> None:
        if self._token is not None:
            _kept.reset(self._token)


def sharing() -> AbstractContextManager[None]:
    """A block in which :func:`shared` makes nothing twice; without effect in a traced graph."""
    return nullcontext() if torch.compiler.is_compiling() else _Sharing()


def shared(make: Callable[..., Made], *tensors: Tensor | None) -> Made:
    """``make(*tensors)``, which must not be written to, once of the same tensors and modes of
    gradients."""
    kept = None if torch.compiler.is_compiling() else _kept.get()
    if kept is None:
        return make(*tensors)
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    key = (make, *modes, *map(id, tensors))
    if key not in kept:
        kept[key] = tensors, make(*tensors)  # tensors that are kept keep their identity
    return cast(Made, kept[key][1])
