r"""Conditional mutual information, by the chain rule, class by class, or both.

.. math:: I(X;Y|C) = \sum_c P(c)\, I(X;Y|C = c), \qquad I(X;Y|Z) = I(X;(Y,Z)) - I(X;Z).

Of labels and numbers, the chain rule within each class. Labels on either side bound the value of a
class by their entropy in it.

Legend: ``N`` samples, ``K`` classes, ``Q`` quantiles, ``S`` draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchmist.checks import MIN_SAMPLES, check_pair, check_side, check_tensors, warn_once
from torchmist.columns import Discrete, Kind, Side, read_side
from torchmist.entropy import code_entropy, label_bound
from torchmist.estimate import MIEstimate, estimate_sides
from torchmist.functional import (
    Model,
    Statistic,
    average,
    check_statistic,
    pair_quantiles,
    reduce_quantiles,
    resolve_model,
)
from torchmist.kinds import joint_codes, settle_integers, sort_kinds

__all__ = ["conditional_mi", "estimate_conditional"]

_DRAWS = 4096  # of the sums of independent errors
_PER_CLASS = 20  # fewest samples of a class, on average, where numbers of few values make classes
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

    bound = label_bound((x, y), (a.expand(count, -1, -1), b.expand(count, -1, -1)), mask)
    if numbers:
        c = check_pair(x, torch.cat(numbers, -1), ("x", "given"))[1]
        each = term(a, torch.cat([b, c.to(b.dtype)], -1)) - term(a, c)
        if bound is not None:
            each = each - (each - bound).clamp(min=0).detach()
    else:
        each = term(a, b, bound)
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
    averaged; numbers among them are taken by the chain rule within each class. Numbers of few
    distinct values split the sample as labels do, while a class holds 20 samples on average.

    The quantiles are those of sums and differences of independent errors, by draws. Classes have no
    sample in common. Both terms of the chain rule read the same one, and part of their errors
    cancels, so that the interval of numbers is rather too wide.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as for :func:`~torchmist.estimate`.
        given: the same; columns of labels and of numbers in any mixture, or a list of several such.
        model: a registered name, a file, or a module.
        discrete_x, discrete_y, discrete_given: which columns are labels, as for
            :func:`~torchmist.estimate`; of a list, True, False or ``"auto"`` for all.

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
        _column_axis(read_side(x, "x", discrete_x)),
        _column_axis(read_side(y, "y", discrete_y)),
    ]
    sides.append(_read_given(given, len(sides[0].values), discrete_given))
    if len({len(side.values) for side in sides}) > 1:
        raise ValueError(
            f"expected x, y and given of one length, got {[len(s.values) for s in sides]} rows"
        )
    (a, b, c), notes = _settled(sides)
    member, numbers = _classes(c)
    rng = np.random.default_rng(0)
    total, parts = np.zeros(_DRAWS), []
    for code in member.unique():
        rows = member == code
        pairs = [(_rows(a, rows), _rows(b, rows))]
        if numbers is not None:
            z = _rows(numbers, rows)
            pairs = [(pairs[0][0], _joined([pairs[0][1], z])), (pairs[0][0], z)]
        found = [estimate_sides(*pair, model) for pair in pairs]
        draws = _draws(found[0], rng) - (_draws(found[1], rng) if len(found) > 1 else 0.0)
        total += float(rows.double().mean()) * np.minimum(draws, _bound((a, b), rows))
        parts += found
    levels = parts[0].levels
    quantiles = torch.from_numpy(np.quantile(total, levels.numpy())).float()
    if len(parts) == 1:  # as it is, without draws
        quantiles = parts[0].quantiles[0]
    told = tuple(dict.fromkeys([*notes, *(n for part in parts for n in part.warnings)]))
    beyond = torch.tensor([any(p.open_above is not None and bool(p.open_above) for p in parts)])
    return MIEstimate(quantiles.clamp(min=0)[None], levels, told, False, beyond)


def _column_axis(side: Side) -> Side:
    """A side ``[N]`` or ``[N, d]`` as ``[N, d]`` on the CPU."""
    if side.values.dim() > 2:
        raise ValueError(
            f"expected x, y and given of one dataset, [N] or [N, d], got a batch of shape "
            f"{list(side.values.shape)}; estimate each dataset by itself"
        )
    return replace(side, values=side.values.cpu().reshape(len(side.values), -1))


def _read_given(given: Any, n: int, discrete: Discrete) -> Side:
    """``given`` as one side ``[N, d]``; a list of arrays of ``n`` rows gives the columns of all."""
    several = (
        isinstance(given, (list, tuple))
        and len(given) != n
        and all(hasattr(part, "shape") and len(part) == n for part in given)
    )
    if not several:
        return _column_axis(read_side(given, "given", discrete))
    if not isinstance(discrete, (bool, str)):
        raise ValueError(
            f"expected discrete_given to be True, False or 'auto' for a list of arrays, got "
            f"{discrete!r}; pass a frame, or integers where a column is labels"
        )
    parts = [read_side(part, f"given[{k}]", discrete) for k, part in enumerate(given)]
    return replace(_joined([_column_axis(part) for part in parts]), argument="discrete_given")


def _joined(sides: Sequence[Side]) -> Side:
    """The columns of all sides ``[N, d]`` beside each other."""
    kinds, names = ([v for side in sides for v in getattr(side, k)] for k in ("kinds", "names"))
    values = torch.cat([side.values.double() for side in sides], -1)
    return Side(values, tuple(kinds), tuple(names), sides[0].argument)


def _rows(side: Side, rows: Tensor) -> Side:
    return replace(side, values=side.values[rows])


def _settled(sides: Sequence[Side]) -> tuple[list[Side], list[str]]:
    """Sides ``[N, d]`` whose integers are labels or numbers by the rules for the whole sample."""
    checked = [check_side(side.values, name) for side, name in zip(sides, ("x", "y", "given"))]
    (a, of_a), (b, of_b), (c, of_c) = (sort_kinds(*each) for each in zip(sides, checked))
    c, _, of_order = settle_integers(c, b)
    a, b, of_pair = settle_integers(a, b)
    out = []
    for side in (a, b, c):
        kinds: list[Kind] = [
            "label" if label else "real" if kind == "integer" else kind
            for kind, label in zip(side.side.kinds, side.label)
        ]
        out.append(replace(side.side, kinds=tuple(kinds)))
    return out, [*of_a, *of_b, *of_c, *of_order, *of_pair]


def _classes(given: Side) -> tuple[Tensor, Side | None]:
    """Classes ``[N]`` from 0 of a settled side, and its numbers (None if there are none)."""
    values = given.values
    split = [k for k, kind in enumerate(given.kinds) if kind == "label"]
    for k, kind in enumerate(given.kinds):
        alone = replace(given, values=values[:, [k]], kinds=(kind,), names=(given.names[k],))
        if kind != "number" or sort_kinds(alone, alone.values[None])[0].codes is None:
            continue
        codes = joint_codes(values[None][..., [*split, k]])
        if (int(codes.max()) + 1) * _PER_CLASS <= len(values):
            split.append(k)
    rest = [k for k in range(values.shape[1]) if k not in split]
    member = torch.zeros(len(values), dtype=torch.int64)
    if split:
        member = pooled_classes(joint_codes(values[None][..., split])[0])
    if not rest:
        return member, None
    kinds = tuple(given.kinds[k] for k in rest)
    names = tuple(given.names[k] for k in rest)
    return member, replace(given, values=values[:, rest], kinds=kinds, names=names)


def _bound(sides: Sequence[Side], rows: Tensor) -> float:
    """The smaller entropy of the sides that are labels alone, in nats; infinite without one."""
    codes = [
        joint_codes(side.values[None, rows])
        for side in sides
        if all(kind == "label" for kind in side.kinds)
    ]
    return min([float(code_entropy(code)[0]) for code in codes], default=np.inf)


def _draws(part: MIEstimate, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draws ``[S]`` from the quantiles of one dataset, one from each of ``S`` equal levels."""
    place = (rng.permutation(_DRAWS) + 0.5) / _DRAWS
    out: NDArray[np.float64] = np.interp(place, part.levels.numpy(), part.quantiles[0].numpy())
    return out
