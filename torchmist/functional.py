"""``mist_mi``: mutual information of a mini-batch as one differentiable number, in one line.

Legend: ``B`` datasets, ``N`` samples, ``Q`` quantiles.
"""

from __future__ import annotations

import copy
import os
import sys

import torch
from torch import Tensor

from torchmist.inference.quantiles import (
    LOW,
    Statistic,
    answer,
    average,
    check_statistic,
    reduce_quantiles,
    seen_from_all_sides,
)
from torchmist.models.network import QuantileNetwork
from torchmist.numerics.own_thread import apart
from torchmist.numerics.uncompiled import outside_graphs
from torchmist.samples.sample import Wrt, check_term, term_sample, without_hidden
from torchmist.terms.auto_goal import driven_answer, is_computed, warns_against
from torchmist.terms.batch_goal import Told, check_pursued, guarded_information, pursued
from torchmist.terms.label_places import labelled
from torchmist.weight_files import file_version, is_path
from torchmist.weights import load_pretrained

__all__ = ["Model", "Statistic", "Wrt", "mist_mi", "own_network", "reduce_quantiles",
           "resolve_model"]  # fmt: skip

Model = str | os.PathLike[str] | QuantileNetwork

_loaded: dict[tuple[str, str], QuantileNetwork] = {}  # a plain dict, which torch.compile can read
_versions: dict[tuple[str, str], tuple[int, int, int]] = {}  # of the files behind those


def resolve_model(model: Model, device: torch.device) -> QuantileNetwork:
    """The network behind a name, a path or a module; what was loaded is kept per device.

    A file is read again once it has been written anew; one that is gone stays as it was read. A
    compiled graph keeps the network that it was compiled with.
    """
    if isinstance(model, QuantileNetwork):
        return model
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            f"expected model to be a registered name, a path or a MIST module, got "
            f"{type(model).__name__}; see torchmist.load_pretrained"
        )
    key = os.fspath(model), str(device)
    if is_path(key[0]) and not torch.compiler.is_compiling():
        version = file_version(key[0])
        if version is not None and _versions.get(key) != version:
            _loaded.pop(key, None)
            _versions[key] = version
    if key not in _loaded:
        # nothing is compiled before the compiler is imported, which takes a second
        read = _read if "torch._dynamo" in sys.modules else _load
        _loaded[key] = read(key[0], device)
    return _loaded[key]


def own_network(model: Model, trainable: bool) -> QuantileNetwork:
    """The network of a term that is a module: a copy of one that is passed; one to be trained is
    read anew, a frozen one may be that of others.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.load_pretrained`; a goal that stands where the
            model is expected is named.
    """
    if isinstance(model, QuantileNetwork):
        return copy.deepcopy(model)
    if isinstance(model, str) and model in ("auto", "minimize", "maximize"):
        raise ValueError(
            f"expected model to be a registered name, a path or a MIST module, got {model!r}; did "
            f"you mean goal={model!r}?"
        )
    return load_pretrained(model) if trainable else resolve_model(model, torch.device("cpu"))


def _load(name: str, device: torch.device) -> QuantileNetwork:
    """New weights on ``device``."""
    return apart(lambda: load_pretrained(name).to(device))


_read = outside_graphs(
    _load,
    "torchmist: the first call with weights reads them, which no graph holds; call the term once "
    "before its step is compiled, or make a MIRegularizer, or leave fullgraph=True out",
)


def _check_direction(goal: Told, maximize: bool) -> None:
    """Raise for a ``goal`` of another name, or one beside ``maximize``, which is no bool."""
    check_pursued(goal)
    if not isinstance(maximize, bool):
        raise TypeError(f"expected maximize to be True or False, got {maximize!r}")
    if maximize and pursued(goal):
        raise ValueError(
            f"expected goal={goal!r} without maximize=True, which is a cautious value alone; for a "
            f"term that is subtracted from a loss pass goal='maximize' and leave maximize out"
        )


def mist_mi(
    z: Tensor, y: Tensor, *, model: Model = "mist-fast", statistic: Statistic | None = None,
    wrt: Wrt = "both", mask: Tensor | None = None, weight: Tensor | None = None,
    num_classes: int | None = None, maximize: bool = False, goal: Told = "auto",
) -> Tensor:  # fmt: skip
    """Estimate of +I(Z;Y) in nats, differentiable in ``z`` and ``y``.

    Add it to a loss to remove dependence, subtract it to create it. The estimator is frozen; its
    gradient moves ``z`` and ``y`` only. Works in float32 whatever autocast says. More samples or
    columns than the weights were trained on take a route of their own
    (``torchmist.inference.large_samples``), and warn once.

    Encoders that are trained against a frozen network learn what it does not see. Where ``z`` or
    ``y`` is computed, as codes are, and not given as it is, the gradient is therefore another one
    than the derivative of the value, by the sign of what comes back
    (:mod:`torchmist.terms.auto_goal`). A ``goal`` guards the value as well
    (:mod:`torchmist.terms.batch_goal`).

    Let the weight grow over the first tenth of the steps, ``0.1 * min(1.0, (step + 1) / warmup)``
    with ``warmup = steps // 10``: codes that say little of their task yet can lose all they hold.

    Args:
        z: ``[N]``, ``[N, d]`` or ``[B, N, d]``; row ``i`` of ``z`` and of ``y`` is one sample.
        y: the same, with its own ``d``; ``[N]`` is shared by all datasets of a batch ``z``. Integer
            and bool tensors are class labels, whose entropy in the sample bounds the value (not its
            gradient).
        model: a registered name, the path of a ``.safetensors`` file (read again when it has been
            written anew), or a ``MIST`` module (whose own ``requires_grad`` flags then hold).
        statistic: ``"mean"``, ``"median"``, or a quantile level in (0, 1). None is the mean, and
            0.05 with ``maximize`` or ``goal="maximize"``.
        wrt: which side gets a gradient: ``"z"``, ``"y"`` or ``"both"``.
        mask: ``[N]`` or ``[B, N]`` bool, True for the samples that count. What the others hold is
            of no account, NaN included, and no gradient reaches it.
        weight: ``[B]``, the weight of each dataset in the mean.
        num_classes: what labels are checked against (or the number of one-hot columns); the value
            does not depend on absent classes.
        maximize: the smallest of the statistics of three views (raw, whitened, rotated), a cautious
            value of what is maximised, with its own gradient. In trainings use
            ``goal="maximize"``, not both.
        goal: ``"auto"``: the value is the plain one, and the way the term is driven is read off the
            gradient that comes back. ``"minimize"`` for a term that is added to the loss,
            ``"maximize"`` for one that is subtracted; the sign stays +I, and a term that is driven
            the other way warns once. Value and gradient are those of
            :mod:`torchmist.terms.batch_goal`. Four samples or more, but fewer than the weights were
            trained on (10 for ``mist-fast``), are 0 then, with a zero gradient and one warning.
            Without state; ``MIRegularizer(goal=...)`` adds a critic. ``torch.compile`` breaks its
            graph here, and ``torch.func.vmap`` cannot transform it. None: the plain value and its
            derivative, to measure with, or where nothing is trained against it.

    Returns:
        0-dim float32; for batches ``[B, N, d]`` the mean over the datasets. Near independence it
        can be slightly negative (never below -0.2), so that its gradient does not vanish. Where a
        side is constant it is 0, with a zero gradient.

    Raises:
        TypeError: when an argument is no tensor, or of an unsupported dtype.
        ValueError: for NaN or infinite values, fewer than four samples, lengths that differ,
            wrong ranks, an unknown model, statistic, ``wrt`` or ``goal``, or a ``goal`` beside
            ``maximize=True``.

    Example:
        >>> import torch
        >>> z = torch.randn(64, 2, requires_grad=True)
        >>> mi = mist_mi(z, torch.randn(64, 3))
        >>> mi.backward()
        >>> mi.shape, z.grad.shape
        (torch.Size([]), torch.Size([64, 2]))
    """
    _check_direction(goal, maximize)
    given = z, y
    z, y = (without_hidden(side, mask) for side in given)
    check_term(z, y, num_classes)
    told = pursued(goal)
    low = maximize or told == "maximize"
    chosen: Statistic = (LOW if low else "mean") if statistic is None else statistic
    check_statistic(chosen)
    sample = term_sample(z, y, wrt=wrt, mask=mask)
    network = resolve_model(model, sample.x.device)
    if told is not None:
        plain = labelled(y, num_classes)
        found = guarded_information(sample, network, told, statistic=chosen, plain=plain)
        return average(warns_against(found, told), weight)
    if goal == "auto" and not maximize and is_computed(*given, wrt):
        ours = not isinstance(model, QuantileNetwork)
        frozen = ours or not any(weight.requires_grad for weight in network.parameters())
        return average(driven_answer(sample, network, chosen, frozen=frozen)[0], weight)
    if maximize:
        views = seen_from_all_sides(sample, network, turn_y=not sample.labels[1])
    else:
        views = [answer(sample, network).quantiles]
    mi = torch.stack([reduce_quantiles(q, network.levels, chosen) for q in views]).amin(0)
    return average(mi, weight)
