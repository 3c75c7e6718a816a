r"""A term that is told nothing reads off which way it is driven: from the sign of what comes back.

The gradient that reaches a term in a backward pass is positive where the term is added to a loss
and negative where it is subtracted. So the plain term, whose value is that of the frozen network
alone, need not be told, and an encoder that is trained against it is not handed the derivative of
the number that it can fool:

* *added*, a quarter of the network's gradient and a share of that of the information of two
  Gaussian processes (:mod:`torchmist.terms.gaussian_process`), as long as the network sees what
  there is: a fifth of it in up to 8 columns, where both together are about as large as the
  derivative of the value, and half in 16, where the network sees less. Where a kernel estimate
  (:mod:`torchmist.terms.kernel_floor`) comes within .05 nats of the value or above it, or the value
  falls below .2 nats, it is that of the processes alone: what is left then is what hides. So it is
  in 32 columns and more, of which a batch tells the network little but chance.
* *subtracted*, that of the processes alone, a fifth of it or, of two codes that are joined, two
  fifths: an encoder takes any share of the network's gradient to inflate the value.

Only what is computed, as the output of an encoder is, is treated so; a tensor that was given as it
is (a leaf) has the derivative of the value. The sign is read at the term: neither an optimizer that
maximises the loss nor a layer between encoder and term that reverses gradients is seen.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns, ``K`` parts of ``m`` samples.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from torchmist.checks import visible, warn_once
from torchmist.copula import first_order
from torchmist.inference.degenerate import fewest_samples
from torchmist.inference.quantiles import Statistic, answer, reduce_quantiles
from torchmist.models.network import QuantileNetwork
from torchmist.numerics.no_gradient import no_gradient
from torchmist.samples.sample import Sample, Wrt
from torchmist.terms.batch_goal import Pursued, dealt, part_shares, parts_mean, pull_at
from torchmist.terms.kernel_floor import column_floor
from torchmist.terms.own_graph import OwnGraph, own_graph

__all__ = ["driven", "driven_answer", "is_computed", "warns_against"]

_OWN = 0.25  # of the gradient of the value, when added
_NARROW, _WIDE = (8, 0.2), (16, 0.5)  # columns, and what is added there of that of the processes
_BLIND = 32  # columns, from which that of the processes stands alone
_ALONE, _JOINED = 0.2, 0.4  # of that of the processes when subtracted, of one code and of two
_MARGIN, _LITTLE, _SOFT = 0.05, 0.2, 0.03  # nats


def is_computed(z: Tensor, y: Tensor, wrt: Wrt) -> bool:
    """Whether a gradient in one of the sides that get one goes on to what it was computed from."""
    sides = [side for name, side in (("z", z), ("y", y)) if wrt in (name, "both")]
    return torch.is_grad_enabled() and any(v.requires_grad and not v.is_leaf for v in sides)


def driven_answer(
    sample: Sample, network: QuantileNetwork, statistic: Statistic,
    brought: tuple[int, int] | None = None, *, frozen: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The value ``[B]`` of a network's answer with the gradient of :func:`driven`, and the
    quantiles ``[B, Q]`` of which it is the ``statistic``.

    ``brought``: as :func:`~torchmist.inference.quantiles.answer`; ``frozen``: whether no weight
    of the network has a gradient.
    """

    def read(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        quantiles = answer(sample._replace(x=x, y=y), network, brought).quantiles
        return reduce_quantiles(quantiles, network.levels, statistic), quantiles

    x, y, mask = sample.x, sample.y, sample.mask
    least = fewest_samples(network.trained_range, True)
    own = own_graph(read, x, y) if frozen and x.shape[1] >= least else None
    if own is None:
        value, quantiles = read(x, y)
        return driven(value, x, y, mask, least), quantiles
    return _driven(own.value, x, y, mask, least, own), own.quantiles


def driven(value: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, least: int) -> Tensor:
    """``value`` ``[B]`` in nats of ``[B, N, dx]`` and ``[B, N, dy]``, with a gradient that depends
    on the sign of the one that comes back; see the module.

    Once differentiable. Datasets of fewer than ``least`` samples keep the derivative of the value.
    """
    return value if x.shape[1] < least else _driven(value, x, y, mask, least, None)


def _driven(
    value: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, least: int, own: OwnGraph | None
) -> Tensor:
    """:func:`driven` of enough samples; ``own``: what holds the graph of the value, if it has
    none."""
    with torch.autocast(x.device.type, enabled=False):
        x, y = x.float(), y.float()
        out: Tensor = _Driven.apply(value, x, y, mask, least, own)  # type: ignore[no-untyped-call]
    return out


class _Driven(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(
        value: Tensor, x: Tensor, y: Tensor, mask: Tensor | None, least: int, own: OwnGraph | None
    ) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.least, ctx.own = inputs[4:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        value, *sides, mask = ctx.saved_tensors
        needed = (ctx.needs_input_grad[1], ctx.needs_input_grad[2])
        with no_gradient():
            share, *found = _directed(grad, value, sides, mask, needed, ctx.least)
        own = grad * share
        asked = visible((own != 0).any())
        of_value = None if asked is False else own
        if ctx.own is not None:
            found = _with_own(ctx.own, of_value, found, hidden=asked is None)
            of_value = None
        if torch.is_grad_enabled():
            found = [None if g is None else first_order(g, s) for g, s in zip(found, sides)]
        return (of_value, *found, None, None, None)


def _with_own(
    own: OwnGraph, of_value: Tensor | None, found: list[Tensor | None], *, hidden: bool
) -> list[Tensor | None]:
    """The gradients ``found`` in both sides, and those of the value times ``of_value``;
    ``hidden``: whether a vmap hides what that holds."""
    if of_value is None:
        own.unasked()
        return found
    beside = own.gradients(of_value, hidden=hidden)
    return [a if a is None or b is None else a + b for a, b in zip(found, beside)]


def _directed(
    grad: Tensor, value: Tensor, sides: list[Tensor], mask: Tensor | None,
    needed: tuple[bool, bool], least: int,
) -> tuple[Tensor, Tensor | None, Tensor | None]:  # fmt: skip
    """The share ``[B]`` of the value's own gradient, and the rest of those in both sides."""
    x, y, dealt_mask = dealt(sides[0], sides[1], mask)
    whole = torch.ones_like(grad) if mask is None else (mask.sum(-1) >= least).to(grad)
    parts = part_shares(x[..., 0, 0], dealt_mask)
    a, b = (side.flatten(0, 1) for side in (x, y))
    some = None if dealt_mask is None else dealt_mask.flatten(0, 1)
    share, moved = torch.ones_like(grad), [torch.zeros_like(side) for side in (x, y)]
    goals: tuple[tuple[Pursued, Tensor], ...] = (("minimize", grad > 0), ("maximize", grad < 0))
    for goal, here in goals:
        if visible(here.any()) is False:
            continue
        if goal == "minimize":
            columns = max(side.shape[-1] for side, need in zip(sides, needed) if need)
            own, strength = torch.zeros_like(value), torch.ones_like(value)
            if columns < _BLIND:
                floor = parts_mean(column_floor(a, b, some).view(parts.shape), dealt_mask)
                own, strength = _when_added(value, floor, columns)
        else:
            own = torch.zeros_like(value)
            strength = torch.full_like(value, _JOINED if all(needed) else _ALONE)
        share = torch.where(here, 1 - whole * (1 - own), share)
        factor = (torch.where(here, grad, 0.0) * strength * whole)[:, None] * parts
        pull = pull_at(a, b, some, needed, goal)
        for k, gradient in enumerate(pull[1:]):
            if gradient is not None:
                moved[k] = moved[k] + factor[..., None, None] * gradient.view(moved[k].shape)
    n = sides[0].shape[1]
    back = [
        side.transpose(1, 2).reshape(len(side), -1, side.shape[-1]).narrow(1, 0, n)
        for side in moved
    ]
    return share, back[0] if needed[0] else None, back[1] if needed[1] else None


def _when_added(value: Tensor, floor: Tensor, columns: int) -> tuple[Tensor, Tensor]:
    """Shares ``[B]`` of the value's gradient and of that of the processes, when it is added, in
    codes of so many ``columns``."""
    hides = torch.maximum(floor - value + _MARGIN, _LITTLE - value)
    (narrow, least), (wide, most) = _NARROW, _WIDE
    alone = torch.sigmoid(hides / _SOFT).clamp(min=_part_way(columns, wide, _BLIND))
    beside = least + (most - least) * _part_way(columns, narrow, wide)
    return _OWN * (1 - alone), beside + (1 - beside) * alone


def _part_way(columns: int, first: int, last: int) -> float:
    """How far ``columns`` lies between the ``first`` and the ``last``, 0 to 1."""
    return min(max((columns - first) / (last - first), 0.0), 1.0)


def warns_against(value: Tensor, goal: Pursued) -> Tensor:
    """``value``, which warns once where the sign of its gradient is not that of its ``goal``."""
    if value.requires_grad:
        value.register_hook(partial(_warn, goal))
    return value


def _warn(goal: Pursued, grad: Tensor) -> None:
    against = grad < 0 if goal == "minimize" else grad > 0
    if visible(against.any()):
        way, other = ("subtracted from", "maximize")
        if goal == "maximize":
            way, other = ("added to", "minimize")
        warn_once(
            f"torchmist: a term with goal={goal!r} is {way} the loss, so that its gradient drives "
            f"it the other way; pass goal={other!r}, or change the sign"
        )
