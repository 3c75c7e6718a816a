r"""Conditional mutual information, by the chain rule, class by class, or both.

.. math:: I(X;Y|C) = \sum_c P(c)\, I(X;Y|C = c), \qquad I(X;Y|Z) = I(X;(Y,Z)) - I(X;Z).

Of labels and numbers, the chain rule within each class. A term takes it from X, an estimate from X
and from Y. Labels on either side bound the value of a class by their entropy in it.

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

from torchmist.checks import check_side, check_tensors, check_third, real_columns, warn_once
from torchmist.diagnostics.rank_resolution import OPEN_END
from torchmist.diagnostics.row_order import order_notes
from torchmist.estimation import MIEstimate, estimate_checked, has_open_end
from torchmist.functional import Model, resolve_model
from torchmist.inference.degenerate import touching_zero
from torchmist.inference.quantile_sums import DRAWS, draws_of, quantiles_of
from torchmist.inference.quantiles import (
    Statistic,
    answer,
    at_most,
    average,
    check_statistic,
    reduce_quantiles,
)
from torchmist.quantile_head import QUANTILES, quantile_levels
from torchmist.samples.class_labels import ignored_note
from torchmist.samples.column_kinds import joint_codes
from torchmist.samples.columns import Discrete, Side, read_side
from torchmist.samples.condition import (
    SortedGiven,
    classes_of,
    column_axis,
    joined,
    pooled_classes,
    read_given,
    settled_side,
    some_rows,
    sort_given,
    told_by_given,
    warn_of_codes,
)
from torchmist.samples.label_entropy import code_entropy, label_bound
from torchmist.samples.sample import Sample, term_sample

__all__ = ["conditional_mi", "estimate_conditional", "estimate_given"]

_ARRAYS = "torchmist.estimate_conditional"


def _split_given(given: Tensor | Sequence[Tensor], x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Class labels and numbers, each ``[N, d]``."""
    named: dict[str, Tensor] = {}
    if isinstance(given, (list, tuple)):
        named = {f"given[{k}]": part for k, part in enumerate(given)}
    else:
        named["given"] = given  # type: ignore[assignment]
    if not named:
        raise ValueError("expected given to hold at least one tensor, got none")
    check_tensors(arrays=_ARRAYS, **named)
    labels: list[Tensor] = []
    numbers: list[Tensor] = []
    for name, part in named.items():
        _check_part(part, name, x)
        columns = part.reshape(len(part), -1)
        if part.is_floating_point():
            warn_of_codes(columns)
        (numbers if part.is_floating_point() else labels).append(columns)
    return labels, numbers


def _check_part(part: Tensor, name: str, x: Tensor) -> None:
    """Raise unless a part of ``given`` has the rows and the device of ``x``, and is real."""
    if part.dim() == 0 or len(part) != len(x):
        raise ValueError(
            f"expected given to have {len(x)} rows as x has, got shape {list(part.shape)}"
        )
    if part.device != x.device:
        raise ValueError(
            f"expected x and {name} on one device, got {x.device} and {part.device}; move one "
            f"with .to(x.device)"
        )
    if part.is_complex():
        raise TypeError(
            f"expected {name} to be floating point, or integer class labels, got {part.dtype}; "
            f"{real_columns(part, name)}"
        )


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
    two estimates, whose errors add, and not quite the same with ``x`` and ``y`` exchanged
    (:func:`estimate_conditional` takes both ways). For integer labels class by class,
    ``sum_c (N_c / N) I(X; Y | C = c)``, in one batch with a mask. Of both, the chain rule within
    each class.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as in :func:`~torchmist.mist_mi`.
        given: ``[N]`` or ``[N, d]``, or several of them; integer and bool tensors are class labels,
            of which several make joint ones. Classes of fewer than four samples are pooled.
        model, statistic: as in :func:`~torchmist.mist_mi`; for a floating-point ``given`` the
            statistic of each of the two terms.

    Returns:
        0-dim. Slightly negative values occur near conditional independence. Where ``given`` holds
        all columns of ``x`` or of ``y`` it is 0, with a zero gradient.

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
    check_tensors(arrays=_ARRAYS, x=x, y=y)
    check_statistic(statistic)
    sample = term_sample(x, y, ("x", "y"))
    if len(sample.x) != 1:
        raise ValueError(f"expected x of shape [N] or [N, d], got {list(x.shape)}")
    network = resolve_model(model, sample.x.device)
    labels, numbers = _split_given(given, x)
    for name, side in (("x", x), ("y", y), *(("given", part) for part in labels)):
        note = ignored_note(name, side, "leave rows without a label out of x, y and given")
        if note:
            warn_once(f"torchmist: {note}")
    c = check_third(torch.cat(numbers, -1), "given", sample.x) if numbers else None
    flat_x, flat_y = (side.detach().reshape(len(x), -1) for side in (x, y))
    why = told_by_given(
        flat_x, flat_y, torch.cat([v.detach().double() for v in (*labels, *numbers)], -1)
    )
    if why:
        warn_once(f"torchmist: {why}")
        return touching_zero((x, y, *numbers), sample.x.device)
    if labels:
        codes = joint_codes(torch.cat([v.long() for v in labels], -1)[None])[0]
        sample = _by_class(sample, (x, y), pooled_classes(codes))

    def term(part: Sample) -> Tensor:
        return reduce_quantiles(answer(part, network).quantiles, network.levels, statistic)

    if c is not None:
        free, c = sample._replace(bound=None), c.expand(len(sample.x), -1, -1)
        both = torch.cat([sample.y, c.to(sample.y.dtype)], -1)
        each = term(free._replace(y=both)) - term(free._replace(y=c))
        each = each if sample.bound is None else at_most(each, sample.bound)
    else:
        each = term(sample)
    return each.mean() if sample.mask is None else average(each, sample.mask.sum(-1))


def _by_class(sample: Sample, raw: tuple[Tensor, Tensor], member: Tensor) -> Sample:
    """One dataset, ``raw`` as it came, as one for each class of ``member`` ``[N]``."""
    mask = torch.arange(int(member.max()) + 1, device=member.device)[:, None] == member
    x, y = (side.expand(len(mask), -1, -1) for side in (sample.x, sample.y))
    return sample._replace(x=x, y=y, mask=mask, bound=label_bound(raw, (x, y), mask))


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
    averaged; numbers among them are taken by the chain rule within each class, from X and from Y,
    so that the estimate depends on which is which by its draws alone. Numbers of few
    distinct values split the sample as labels do, while a class holds 20 samples on average.

    The quantiles are those of sums and differences of independent errors, by draws, of which half
    follow either chain. Classes have no
    sample in common. Both terms of the chain rule read the same one, and part of their errors
    cancels, so that the interval of numbers is rather too wide.

    Args:
        x, y: ``[N]`` or ``[N, d]``, as for :func:`~torchmist.estimate`.
        given: the same; columns of labels and of numbers in any mixture, or a list of several such.
        model: a registered name, a file, or a module.
        discrete_x, discrete_y, discrete_given: which columns are labels, as for
            :func:`~torchmist.estimate`; of a list, True, False or ``"auto"`` for all.

    Returns:
        An :class:`~torchmist.MIEstimate` in nats, not below 0. Where ``given`` holds all columns
        of ``x`` or of ``y`` it is 0 without any width.

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
        column_axis(read_side(x, "x", discrete_x)),
        column_axis(read_side(y, "y", discrete_y)),
    ]
    sides.append(read_given(given, len(sides[0].values), discrete_given))
    if len({len(side.values) for side in sides}) > 1:
        raise ValueError(
            f"expected x, y and given of one length, got {[len(s.values) for s in sides]} rows"
        )
    named = zip(sides, ("x", "y", "given"))
    sorted_ = sort_given(*((side, check_side(side.values, k)) for side, k in named))
    told = order_notes(x=x, y=y, given=given)
    return estimate_given(sorted_._replace(notes=(*told, *sorted_.notes)), model)


def estimate_given(sorted_: SortedGiven, model: Model = "mist") -> MIEstimate:
    """As :func:`estimate_conditional`, of one dataset whose sides are checked and sorted."""
    a, b, c = (column_axis(settled_side(side)) for side in sorted_[:3])
    why = told_by_given(a.values, b.values, c.values)
    if why:
        warn_once(f"torchmist: {why}")
        return MIEstimate(
            torch.zeros(1, QUANTILES, device="cpu", dtype=torch.float32),
            quantile_levels(),
            (why,),
            False,
        )
    member, numbers = classes_of(c)
    rng = np.random.default_rng(0)
    total, notes, beyond = np.zeros(DRAWS), list(sorted_.notes), False
    for code in member.unique():
        rows = member == code
        u, v = some_rows(a, rows), some_rows(b, rows)
        if numbers is None:
            alone = estimate_checked(u, v, ("x", "y"), model)
            if bool(rows.all()):  # as it is, without draws
                return replace(alone, warnings=tuple(dict.fromkeys((*notes, *alone.warnings))))
            draws = draws_of(alone.quantiles[0], alone.levels, rng)
            told, opened = alone.warnings, has_open_end(alone)
        else:
            draws, told, opened = _by_both_chains(u, v, some_rows(numbers, rows), model, rng)
        total += float(rows.double().mean()) * np.minimum(draws, _bound((a, b), rows))
        notes += told
        beyond |= opened
    levels, ends = quantile_levels(), torch.tensor([beyond], device="cpu")
    quantiles = quantiles_of(total, levels).clamp(min=0)[None]
    return MIEstimate(quantiles, levels, tuple(dict.fromkeys(notes)), False, ends)


def _by_both_chains(
    x: Side, y: Side, given: Side, model: Model, rng: np.random.Generator
) -> tuple[NDArray[np.float64], tuple[str, ...], bool]:
    """Draws ``[S]`` of I(X;Y|Z) for numbers ``given``, notes, and whether the upper end is open.

    Half of the draws are of I(X;(Y,Z)) - I(X;Z) and half of I(Y;(X,Z)) - I(Y;Z): where Z tells much
    of one side, that side hides in it what the other adds. A chain whose upper end is open counts
    if both are.
    """
    chains, notes = {}, []
    for one, other, name, names in ((x, y, "x", "(y, given)"), (y, x, "y", "(x, given)")):
        both = estimate_checked(one, joined([other, given]), (name, names), model)
        chains[name] = [both, estimate_checked(one, given, (name, "given"), model)]
    closed = [name for name, chain in chains.items() if not any(map(has_open_end, chain))]
    counted = closed if closed else list(chains)
    draws = []
    for k, name in enumerate(counted):
        whole, part = (draws_of(each.quantiles[0], each.levels, rng) for each in chains[name])
        draws.append((whole - part)[k :: len(counted)])
    for name, chain in chains.items():
        told = [note for each in chain for note in each.warnings]
        if name not in counted:
            told = [note for note in told if OPEN_END not in note]
            told.append(f"of the chain rule from {name}, whose upper end is open, nothing is taken")
        notes += told
    return rng.permutation(np.concatenate(draws)), tuple(notes), not closed


def _bound(sides: Sequence[Side], rows: Tensor) -> float:
    """The smaller entropy of the sides that are labels alone, in nats; infinite without one."""
    codes = [
        joint_codes(side.values[None, rows])
        for side in sides
        if all(kind == "label" for kind in side.kinds)
    ]
    return min([float(code_entropy(code)[0]) for code in codes], default=np.inf)
