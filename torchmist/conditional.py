"""Conditional mutual information, by the chain rule or class by class.

Legend: ``N`` samples, ``K`` classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, check_pair, check_tensors
from torchmist.functional import (
    Model,
    Statistic,
    average,
    check_statistic,
    pair_quantiles,
    reduce_quantiles,
    resolve_model,
)

__all__ = ["conditional_mi"]


def conditional_mi(
    x: Tensor,
    y: Tensor,
    given: Tensor,
    *,
    model: Model = "mist-fast",
    statistic: Statistic = "mean",
) -> Tensor:
    """Estimate of +I(X;Y|C) in nats, differentiable in all that is floating point.

    For a floating-point ``given`` by the chain rule, ``I(X; (Y, C)) - I(X; C)``: a difference of
    two estimates, whose errors add. For integer labels class by class,
    ``sum_c (N_c / N) I(X; Y | C = c)``, in one batch with a mask.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as in :func:`~torchmist.mist_mi`.
        given: ``[N]`` or ``[N, d]``; integer and bool tensors are class labels.
        model, statistic: as in :func:`~torchmist.mist_mi`; for a floating-point ``given`` the
            statistic of each of the two terms.

    Returns:
        0-dim. Slightly negative values occur near conditional independence.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`, and for a class with fewer than four
            samples.

    Example:
        >>> import torch
        >>> c = torch.randn(256, 1)
        >>> x, y = c + torch.randn(256, 1), c + torch.randn(256, 1)
        >>> conditional_mi(x, y, c).shape
        torch.Size([])
    """
    check_tensors(x=x, y=y, given=given)
    check_statistic(statistic)
    a, b = check_pair(x, y, ("x", "y"))
    if len(a) != 1:
        raise ValueError(f"expected x of shape [N] or [N, d], got {list(x.shape)}")
    network = resolve_model(model, a.device)

    def term(p: Tensor, q: Tensor, mask: Tensor | None = None) -> Tensor:
        quantiles = pair_quantiles(p, q, network, mask)
        return reduce_quantiles(quantiles, network.levels, statistic)

    c = check_pair(x, given, ("x", "given"))[1]
    if given.is_floating_point():
        whole = term(a, torch.cat([b, c.to(b.dtype)], -1))
        return (whole - term(a, c)).mean()
    classes, member = given.reshape(-1).unique(return_inverse=True)
    mask = torch.arange(len(classes), device=member.device)[:, None] == member
    sizes = mask.sum(-1)
    if int(sizes.min()) < MIN_SAMPLES:
        raise ValueError(
            f"expected at least {MIN_SAMPLES} samples of every class of given, got "
            f"{int(sizes.min())} of class {classes[sizes.argmin()].item()}; merge rare classes or "
            f"leave them out"
        )
    each = term(a.expand(len(mask), -1, -1), b.expand(len(mask), -1, -1), mask)
    return average(each, sizes)
