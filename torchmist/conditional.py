r"""Conditional mutual information, by the chain rule, class by class, or both.

.. math:: I(X;Y|C) = \sum_c P(c)\, I(X;Y|C = c), \qquad I(X;Y|Z) = I(X;(Y,Z)) - I(X;Z).

Legend: ``N`` samples, ``K`` classes, ``Q`` quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, check_pair, check_tensors, warn_once
from torchmist.columns import Discrete, read_side
from torchmist.entropy import label_bound
from torchmist.estimate import MIEstimate, estimate
from torchmist.functional import (
    Model,
    Statistic,
    average,
    check_statistic,
    pair_quantiles,
    reduce_quantiles,
    resolve_model,
)
from torchmist.kinds import joint_codes, sort_kinds

__all__ = ["conditional_mi", "estimate_conditional"]

_DRAWS = 4096  # of the sums of independent errors
_RARE = 0.5  # share of the samples in rare classes above which there is nothing to condition on


def pooled_classes(labels: Tensor) -> Tensor:
    """Classes from 0 of ``labels`` ``[N]``, those of fewer than four samples pooled into one.

    A pool that is still too small joins the smallest other class.

    Raises:
        ValueError: where more than half of the samples are in classes of fewer than four.
    """
    member: Tensor
    _, member, sizes = labels.unique(return_inverse=True, return_counts=True)
    rare = sizes < MIN_SAMPLES
    if not bool(rare.any()):
        return member
    share = float(sizes[rare].sum() / sizes.sum())
    if share > _RARE:
        raise ValueError(
            f"expected at least {MIN_SAMPLES} samples of most classes of given, got "
            f"{int(rare.sum())} of {len(sizes)} classes with fewer, which hold {100 * share:.0f} % "
            f"of the samples; merge classes, or take a larger batch"
        )
    warn_once(
        "torchmist: classes of given with fewer than 4 samples are pooled into one: the condition "
        "is coarser there"
    )
    target = int(sizes.masked_fill(rare, int(sizes.max()) + 1).argmin())
    alone = int(sizes[rare].sum()) >= MIN_SAMPLES
    out = torch.where(rare[member], len(sizes) if alone else target, member)
    pooled: Tensor = out.unique(return_inverse=True)[1]
    return pooled


def _split_given(given: Tensor | Sequence[Tensor], x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
    """Joint class labels ``[N]`` (None if there are none) and numbers, each ``[N, d]``."""
    parts = [given] if isinstance(given, Tensor) else list(given)
    check_tensors(**{f"given[{k}]": part for k, part in enumerate(parts)})
    labels: list[Tensor] = []
    numbers: list[Tensor] = []
    for part in parts:
        if len(part) != len(x):
            raise ValueError(
                f"expected given to have {len(x)} rows as x has, got shape {list(part.shape)}"
            )
        columns = part.reshape(len(part), -1)
        (numbers if part.is_floating_point() else labels).append(columns)
    if not labels and not numbers:
        raise ValueError("expected given to hold at least one tensor, got none")
    codes = joint_codes(torch.cat([v.long() for v in labels], -1)[None])[0] if labels else None
    return codes, numbers


def conditional_mi(
    x: Tensor,
    y: Tensor,
    given: Tensor | Sequence[Tensor],
    *,
    model: Model = "mist-fast",
    statistic: Statistic = "mean",
) -> Tensor:
    """Estimate of +I(X;Y|C) in nats, differentiable in all that is floating point.

    For a floating-point ``given`` by the chain rule, ``I(X; (Y, C)) - I(X; C)``: a difference of
    two estimates, whose errors add. For integer labels class by class,
    ``sum_c (N_c / N) I(X; Y | C = c)``, in one batch with a mask. Of both, the chain rule within
    each class.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as in :func:`~torchmist.mist_mi`.
        given: ``[N]`` or ``[N, d]``, or several of them; integer and bool tensors are class labels,
            of which several make joint ones. Classes of fewer than four samples are pooled.
        model, statistic: as in :func:`~torchmist.mist_mi`; for a floating-point ``given`` the
            statistic of each of the two terms.

    Returns:
        0-dim. Slightly negative values occur near conditional independence.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.mist_mi`, and where more than half of the
            samples are in classes of fewer than four.

    Example:
        >>> import torch
        >>> c = torch.randn(256, 1)
        >>> x, y = c + torch.randn(256, 1), c + torch.randn(256, 1)
        >>> conditional_mi(x, y, c).shape
        torch.Size([])
    """
    check_tensors(x=x, y=y)
    check_statistic(statistic)
    a, b = check_pair(x, y, ("x", "y"))
    if len(a) != 1:
        raise ValueError(f"expected x of shape [N] or [N, d], got {list(x.shape)}")
    network = resolve_model(model, a.device)
    labels, numbers = _split_given(given, x)
    if labels is None:
        mask, count = None, 1
    else:
        member = pooled_classes(labels)
        mask = torch.arange(int(member.max()) + 1, device=member.device)[:, None] == member
        count = len(mask)

    def term(p: Tensor, q: Tensor, bound: Tensor | None = None) -> Tensor:
        p, q = (v.expand(count, -1, -1) for v in (p, q))
        quantiles = pair_quantiles(p, q, network, mask, bound)
        return reduce_quantiles(quantiles, network.levels, statistic)

    if numbers:
        c = check_pair(x, torch.cat(numbers, -1), ("x", "given"))[1]
        each = term(a, torch.cat([b, c.to(b.dtype)], -1)) - term(a, c)
    else:
        sides = a.expand(count, -1, -1), b.expand(count, -1, -1)
        each = term(a, b, label_bound((x, y), sides, mask))
    return each.mean() if mask is None else average(each, mask.sum(-1))


def estimate_conditional(
    x: Any,
    y: Any,
    given: Any,
    *,
    model: Model = "mist",
    discrete_x: Discrete = "auto",
    discrete_y: Discrete = "auto",
    discrete_given: Discrete = "auto",
) -> MIEstimate:
    """I(X;Y|C) of one sample with quantiles, without gradients.

    Labels among the columns of ``given`` split the sample into classes, whose estimates are
    averaged; numbers among them are taken by the chain rule within each class. The quantiles are
    those of sums and differences of independent errors, which for the chain rule is wide: both of
    its terms read the same sample.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as for :func:`~torchmist.estimate`.
        given: the same; columns of labels and of numbers in any mixture.
        model: a registered name, a file, or a module.
        discrete_x, discrete_y, discrete_given: which columns are labels.

    Returns:
        An :class:`~torchmist.MIEstimate` in nats, not below 0.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`, and where more than half of the
            samples are in classes of fewer than four.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> c, x = rng.integers(0, 2, 400), rng.normal(size=400)
        >>> y = np.where(c, x, -x) + 0.5 * rng.normal(size=400)
        >>> 0.6 < estimate_conditional(x, y, c).mean < 1.0  # the truth is log(5) / 2 = 0.80
        True
    """
    sides = [
        read_side(v, name, mark)
        for v, name, mark in ((x, "x", discrete_x), (y, "y", discrete_y),
                              (given, "given", discrete_given))
    ]  # fmt: skip
    if any(side.values.dim() == 3 for side in sides):
        raise ValueError("expected x, y and given of one dataset, [N] or [N, d], got a batch")
    values = [side.values.reshape(len(side.values), -1) for side in sides]
    if len({len(v) for v in values}) > 1:
        raise ValueError(
            f"expected x, y and given of one length, got {[len(v) for v in values]} rows"
        )
    kinds, notes = sort_kinds(sides[2], values[2][None])
    label = torch.tensor(kinds.label)
    numbers = values[2][:, ~label]
    member = torch.zeros(len(values[0]), dtype=torch.int64)
    if bool(label.any()):
        member = pooled_classes(joint_codes(values[2][None][..., label])[0])
    options = {"model": model, "discrete_x": list(_labels(sides[0], values[0]))}
    y_labels = _labels(sides[1], values[1])
    signs, weights, parts = [], [], []
    for code in member.unique():
        rows = member == code
        share = float(rows.double().mean())
        terms = [(1.0, values[1][rows], y_labels)]
        if numbers.shape[1]:
            both = torch.cat([values[1], numbers], -1)[rows]
            terms = [(1.0, both, y_labels), (-1.0, numbers[rows], [])]
        for sign, side, marks in terms:
            part = estimate(values[0][rows], side, discrete_y=list(marks) or False, **_set(options))
            signs.append(sign)
            weights.append(share)
            parts.append(part)
    quantiles = _combined(parts, np.array(signs) * np.array(weights))
    told = tuple(dict.fromkeys([*notes, *(n for part in parts for n in part.warnings)]))
    return MIEstimate(quantiles.clamp(min=0), parts[0].levels, told, False)


def _set(options: dict[str, Any]) -> dict[str, Any]:
    """Options of an estimate, where no mark of columns means that none is labels."""
    return {**options, "discrete_x": options["discrete_x"] or False}


def _labels(side: Any, values: Tensor) -> list[int]:
    """Indices of the columns ``[N, d]`` that are labels."""
    kinds, _ = sort_kinds(side, values[None])
    return [k for k, is_label in enumerate(kinds.label) if is_label]


def _combined(parts: Sequence[MIEstimate], weights: NDArray[np.float64]) -> Tensor:
    """Quantiles ``[1, Q]`` of the weighted sum of estimates with independent errors."""
    if len(parts) == 1 and weights[0] == 1:
        return parts[0].quantiles
    rng = np.random.default_rng(0)
    total = np.zeros(_DRAWS)
    place = (np.arange(_DRAWS) + 0.5) / _DRAWS
    for part, weight in zip(parts, weights):
        levels, own = part.levels.numpy(), part.quantiles[0].double().numpy()
        total += weight * np.interp(rng.permutation(place), levels, own)
    quantiles = np.quantile(total, parts[0].levels.numpy())
    return torch.from_numpy(quantiles)[None].float()
