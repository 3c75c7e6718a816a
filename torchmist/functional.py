"""``mist_mi``: mutual information of a mini-batch as one differentiable number.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

import os
from typing import Literal

import torch
from torch import Tensor

from torchmist.checks import (
    check_level,
    check_mask,
    check_num_classes,
    check_pair,
    check_tensors,
    visible,
    warn_once,
)
from torchmist.entropy import label_bound
from torchmist.models.network import QuantileNetwork
from torchmist.routes import route
from torchmist.views import rotated_view, whitened_view
from torchmist.weights import load_pretrained

__all__ = ["LOW", "Model", "Statistic", "Wrt", "mist_mi", "reduce_quantiles", "resolve_model",
           "seen_from_all_sides"]  # fmt: skip

Model = str | os.PathLike[str] | QuantileNetwork
Statistic = Literal["mean", "median"] | float
Wrt = Literal["both", "z", "y"]

LOW: float = 0.05
"""The quantile that is climbed where information is maximised."""

_loaded: dict[tuple[str, str], QuantileNetwork] = {}  # a plain dict, which torch.compile can read


def resolve_model(model: Model, device: torch.device) -> QuantileNetwork:
    """The network behind a name, a path or a module; named ones are kept per device."""
    if isinstance(model, QuantileNetwork):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"expected model to be a registered name, a path or a MIST module, got "
            f"{type(model).__name__}; see torchmist.load_pretrained"
        )
    key = os.fspath(model), str(device)
    if key not in _loaded:
        _loaded[key] = load_pretrained(key[0]).to(device)
    return _loaded[key]


def check_statistic(statistic: Statistic) -> None:
    """Raise unless ``statistic`` is ``"mean"``, ``"median"`` or a level in (0, 1)."""
    if isinstance(statistic, str):
        if statistic not in ("mean", "median"):
            raise ValueError(
                f"expected statistic 'mean', 'median' or a quantile level in (0, 1), got "
                f"{statistic!r}"
            )
    else:
        check_level(statistic, "statistic")


def reduce_quantiles(quantiles: Tensor, levels: Tensor, statistic: Statistic) -> Tensor:
    """Mean, median or any quantile (linear in the level) of ``[B, Q]`` quantiles, ``[B]``."""
    if statistic == "mean":
        return quantiles.mean(-1)
    level = 0.5 if statistic == "median" else float(statistic)
    count = quantiles.shape[-1]
    place = min(max(level * count - 0.5, 0.0), count - 1.0)
    below = min(int(place), count - 2)
    return torch.lerp(quantiles[:, below], quantiles[:, below + 1], place - below)


def pair_quantiles(
    x: Tensor, y: Tensor, network: QuantileNetwork, mask: Tensor | None, bound: Tensor | None = None
) -> Tensor:
    """Quantiles ``[B, Q]`` of a checked pair ``[B, N, d]`` in nats; warns outside the training.

    ``bound`` ``[B]``, the entropy of labels, cuts the values but not their gradient: a term that
    stands at its bound must still be able to fall. Columns that are constant in all datasets do not
    count, and a dataset with a constant side is 0 without a gradient.
    """
    x, y, some = without_constant(x, y, mask)
    trained = network.trained_range
    if trained is not None and not torch.compiler.is_compiling():
        for note in trained.notes(x.shape[1], x.shape[2], y.shape[2]):
            warn_once(f"torchmist: {note}")
    with torch.autocast(x.device.type, enabled=False):
        out = route(x, y, network, mask)
    out = out * some
    if bound is not None:
        out = out - (out - bound[:, None]).clamp(min=0).detach()
    return out


def seen_from_all_sides(
    x: Tensor, y: Tensor, network: QuantileNetwork, mask: Tensor | None,
    bound: Tensor | None = None, *, turn_y: bool = True,
) -> list[Tensor]:  # fmt: skip
    """:func:`pair_quantiles` of the raw, the whitened and a rotated view, each ``[B, Q]``.

    Mutual information is the same in all of them, and what an encoder fakes in one is not there in
    the others. Only the raw one where both sides have one column; ``turn_y=False`` leaves ``y``,
    whose columns may be classes, as it is.
    """
    views = [(x, y)]
    if max(x.shape[-1], y.shape[-1] if turn_y else 1) > 1:
        for turned in (whitened_view, rotated_view):
            views.append((turned(x, mask), turned(y, mask) if turn_y else y))
    both = torch.cat([a for a, _ in views]), torch.cat([b for _, b in views])
    count = len(views)
    masks = None if mask is None else mask.repeat(count, 1)
    bounds = None if bound is None else bound.repeat(count)
    return list(pair_quantiles(*both, network, masks, bounds).chunk(count))


def _moving(side: Tensor, mask: Tensor | None) -> Tensor:
    """Which columns ``[B, N, d]`` are not constant in a dataset, ``[B, d]``."""
    side = side.detach()
    if mask is None:
        return (side != side[:, :1]).any(1)
    absent = ~mask[..., None]
    high, low = side.masked_fill(absent, -torch.inf), side.masked_fill(absent, torch.inf)
    return high.amax(1) > low.amin(1)


def varies(x: Tensor, y: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 for datasets ``[B, N, d]`` in which both sides have a column that is not constant, else 0,
    ``[B]``."""
    both = _moving(x, mask).any(-1) & _moving(y, mask).any(-1)
    return both.to(torch.float32)


def without_constant(
    x: Tensor, y: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Both sides ``[B, N, d]`` without columns that are constant in every dataset, and
    :func:`varies` as ``[B, 1]``.

    Those are classes that no sample has, or dead units. A side that is constant as a whole stays,
    and so does one whose values are not at hand (``torch.compile``, ``vmap``).
    """
    moving = [_moving(side, mask) for side in (x, y)]
    some = (moving[0].any(-1) & moving[1].any(-1)).to(torch.float32)
    x, y = (_kept(side, columns.any(0)) for side, columns in zip((x, y), moving))
    return x, y, some[:, None]


def _kept(side: Tensor, moving: Tensor) -> Tensor:
    """The ``moving`` ``[d]`` columns of ``[B, N, d]``."""
    if side.shape[-1] == 1 or visible(moving.all()) is not False:
        return side
    return side[..., moving] if visible(moving.any()) is True else side


def stop_gradients(x: Tensor, y: Tensor, wrt: Wrt) -> tuple[Tensor, Tensor]:
    """Both sides, detached where ``wrt`` leaves them out."""
    if wrt not in ("both", "z", "y"):
        raise ValueError(f"expected wrt to be 'both', 'z' or 'y', got {wrt!r}")
    return x if wrt in ("both", "z") else x.detach(), y if wrt in ("both", "y") else y.detach()


def warn_without_gradient(z: Tensor, y: Tensor) -> None:
    """Warn once where both sides are class labels, which no gradient can move."""
    if not (z.is_floating_point() or y.is_floating_point()):
        warn_once(
            "torchmist: both sides are class labels, so that this term has no gradient; its value "
            "is better had from torchmist.estimate, which counts them"
        )


def average(mi: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over datasets ``[B]``, weighted if ``weight`` ``[B]`` is given, 0-dim."""
    if weight is None:
        return mi.mean()
    if weight.shape != mi.shape:
        raise ValueError(
            f"expected weight of shape {list(mi.shape)}, one for each dataset, got "
            f"{list(weight.shape)}; samples cannot be weighted, leave some out with mask instead"
        )
    weight = weight.to(mi)
    if visible((weight >= 0).all() & (weight.sum() > 0)) is False:
        raise ValueError("expected weights of at least 0, not all of them 0, got others")
    return (weight * mi).sum() / weight.sum()


def mist_mi(
    z: Tensor, y: Tensor, *, model: Model = "mist-fast", statistic: Statistic | None = None,
    wrt: Wrt = "both", mask: Tensor | None = None, weight: Tensor | None = None,
    num_classes: int | None = None, maximize: bool = False,
) -> Tensor:  # fmt: skip
    """Estimate of +I(Z;Y) in nats, differentiable in ``z`` and ``y``.

    Add it to a loss to remove dependence, subtract it to create it. The estimator is frozen; its
    gradient moves ``z`` and ``y`` only. Works in float32 whatever autocast says. More samples or
    columns than the weights were trained on take a route of their own (``torchmist.routes``), and
    warn once.

    Args:
        z: ``[N]``, ``[N, d]`` or ``[B, N, d]``; row ``i`` of ``z`` and of ``y`` is one sample.
        y: the same, with its own ``d``; ``[N]`` is shared by all datasets of a batch ``z``. Integer
            and bool tensors are class labels, whose entropy in the sample bounds the value (not its
            gradient).
        model: a registered name, the path of a ``.safetensors`` file, or a ``MIST`` module (whose
            own ``requires_grad`` flags then hold).
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1); an upper quantile is
            the cautious choice when minimising. None is the mean, and 0.05 with ``maximize``.
        wrt: which side gets a gradient: ``"z"``, ``"y"`` or ``"both"``.
        mask: ``[N]`` or ``[B, N]`` bool, True for the samples that count.
        weight: ``[B]``, the weight of each dataset in the mean.
        num_classes: what labels are checked against (or the number of one-hot columns); the value
            does not depend on absent classes.
        maximize: for a term that is *subtracted* from a loss: the smallest of the statistics of
            three views (raw, whitened, rotated), which an encoder cannot raise by dressing up one
            of them. The sign stays: it is +I, a cautious one.

    Returns:
        0-dim float32; for batches ``[B, N, d]`` the mean over the datasets. Near independence it
        can be slightly negative (never below -0.2), so that its gradient does not vanish. Where a
        side is constant it is 0, with a zero gradient.

    Raises:
        TypeError: when an argument is no tensor, or of an unsupported dtype.
        ValueError: for NaN or infinite values, fewer than four samples, lengths that differ,
            wrong ranks, or an unknown model, statistic or ``wrt``.

    Example:
        >>> import torch
        >>> z = torch.randn(64, 2, requires_grad=True)
        >>> mi = mist_mi(z, torch.randn(64, 3))
        >>> mi.backward()
        >>> mi.shape, z.grad.shape
        (torch.Size([]), torch.Size([64, 2]))
    """
    check_tensors(z=z, y=y)
    chosen: Statistic = (LOW if maximize else "mean") if statistic is None else statistic
    check_statistic(chosen)
    check_num_classes(num_classes, z=z, y=y)
    warn_without_gradient(z, y)
    a, b = stop_gradients(*check_pair(z, y, ("z", "y")), wrt)
    network = resolve_model(model, a.device)
    present = check_mask(mask, a)
    bound = label_bound((z, y), (a, b), present)
    if maximize:
        views = seen_from_all_sides(a, b, network, present, bound, turn_y=y.is_floating_point())
    else:
        views = [pair_quantiles(a, b, network, present, bound)]
    mi = torch.stack([reduce_quantiles(q, network.levels, chosen) for q in views]).amin(0)
    return average(mi, weight)
