"""A sample as the networks read it: both variables, checked once, and what is known of them.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of one side, ``V`` views.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from torchmist.checks import (
    FLOATS,
    INTEGERS,
    MIN_SAMPLES,
    check_mask,
    check_pair,
    check_tensors,
    visible,
    warn_once,
)
from torchmist.numerics.magnitudes import raised
from torchmist.numerics.ranked import Ranked
from torchmist.samples.class_labels import check_num_classes, ignored_note, table_note
from torchmist.samples.label_entropy import label_bound

__all__ = ["Sample", "Wrt", "check_term", "term_sample", "without_hidden"]

Wrt = Literal["both", "z", "y"]
_MANY = 100  # rows of which chance gives each a class of its own in no common task


class Sample(NamedTuple):
    """Both variables of ``B`` datasets: floating point, finite, of equal length, on one device.

    ``x`` ``[B, N, dx]``, ``y`` ``[B, N, dy]``; ``labels``: which of both are class labels alone;
    ``mask`` ``[B, N]``: True for the samples that count, None for all; ``bound`` ``[B]``: nats, of
    terms the smaller entropy of the sides that are labels, None where none is and in estimates,
    which :mod:`torchmist.inference.entropy_bound` bounds; ``notes``: what the user is told of them;
    ``ranked``: the columns of both by rank, where they are known.
    """

    x: Tensor
    y: Tensor
    labels: tuple[bool, bool] = (False, False)
    mask: Tensor | None = None
    bound: Tensor | None = None
    notes: tuple[str, ...] = ()
    ranked: tuple[Ranked, Ranked] | None = None

    def pick(self, datasets: Tensor | slice) -> Sample:
        """Some of the datasets, by a bool ``[B]`` or a slice."""
        mask, bound = (None if v is None else v[datasets] for v in (self.mask, self.bound))
        x, y = self.x[datasets], self.y[datasets]
        return self._replace(x=x, y=y, mask=mask, bound=bound, ranked=None)

    def seen_as(self, views: Sequence[tuple[Tensor, Tensor]]) -> Sample:
        """``V`` views of both sides, each ``[B, N, d]``, as ``V B`` datasets, view after view."""
        count = len(views)
        return self._replace(
            x=torch.cat([x for x, _ in views]),
            y=torch.cat([y for _, y in views]),
            mask=None if self.mask is None else self.mask.repeat(count, 1),
            bound=None if self.bound is None else self.bound.repeat(count),
            ranked=None,
        )


def check_term(z: Tensor, y: Tensor, num_classes: int | None) -> None:
    """Raise unless both are tensors, and their labels those that ``num_classes`` says.

    Warns once where both sides are classes (:func:`~torchmist.samples.class_labels.table_note`),
    and of labels that losses leave out.
    """
    check_tensors(z=z, y=y)
    check_num_classes(num_classes, z=z, y=y)
    for note in (table_note(z, y), ignored_note("z", z), ignored_note("y", y)):
        if note:
            warn_once(f"torchmist: {note}")


def without_hidden(value: Tensor, mask: Tensor | None) -> Tensor:
    """``value`` with 0, or with a class of the other rows, in the rows that ``mask`` leaves out,
    whatever they hold, NaN included.

    No gradient reaches these rows. Where one column ``[N]`` goes with masks ``[B, N]`` they are the
    rows that all of them leave out. What is no tensor of a term stays as it is, for the checks.
    """
    usable = isinstance(mask, Tensor) and mask.dtype == torch.bool and mask.dim() in (1, 2)
    if mask is None or not usable or not isinstance(value, Tensor) or value.is_nested:
        return value
    if value.layout != torch.strided or value.dtype not in (*FLOATS, *INTEGERS):
        return value
    if value.dim() < 3 and mask.dim() == 2:
        mask = mask.any(0)
    axes = mask.dim() if value.dim() < 3 else 2
    if value.dim() not in (1, 2, 3) or mask.shape not in (
        value.shape[:axes], value.shape[axes - mask.dim() : axes]
    ):  # fmt: skip
        return value
    hidden = ~mask.reshape(*mask.shape, *[1] * (value.dim() - axes))
    if value.dtype not in INTEGERS or value.dtype == torch.bool:
        return value.masked_fill(hidden, 0)
    counted = value.masked_fill(hidden, torch.iinfo(value.dtype).min)
    return torch.where(hidden, counted.amax().clamp(min=0), value)  # a class that counts


def _warn_of_singles(side: Tensor, name: str) -> None:
    """Warn of labels of which each of a hundred rows or more holds another."""
    n = side.shape[-2] if side.dim() > 2 else len(side)
    if side.is_floating_point() or n < _MANY or torch.compiler.is_compiling():
        return
    ordered = side.reshape(-1, n).sort(-1).values
    if visible((ordered[:, 1:] != ordered[:, :-1]).all()):
        warn_once(
            f"torchmist: {name} holds {n} classes in {n} rows, each seen once: of such labels "
            f"nothing can be told; are these numbers? then pass {name}.float()"
        )


def term_sample(
    z: Tensor, y: Tensor, names: tuple[str, str] = ("z", "y"), *, wrt: Wrt = "both",
    mask: Tensor | None = None, degenerate: bool = False,
) -> Sample:  # fmt: skip
    """Tensors as a term takes them, checked: ``[N]``, ``[N, d]`` or ``[B, N, d]``.

    Args:
        z, y: floating point, or class labels, which become one-hot columns.
        names: what errors call them.
        wrt: the sides that keep their gradient.
        mask: ``[N]`` or ``[B, N]`` bool, True for the samples that count.
        degenerate: whether fewer than four samples, or as few left by the mask, are allowed.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.checks.check_pair` and
            :func:`~torchmist.checks.check_mask`, and for an unknown ``wrt``.
    """
    a, b = check_pair(z, y, names, least=1 if degenerate else MIN_SAMPLES)
    if wrt not in ("both", "z", "y"):
        raise ValueError(f"expected wrt to be 'both', 'z' or 'y', got {wrt!r}")
    a = a if wrt in ("both", "z") else a.detach()
    b = b if wrt in ("both", "y") else b.detach()
    for name, side in zip(names, (z, y)):
        _warn_of_singles(side, name)
    present = check_mask(mask, a, least=0 if degenerate else MIN_SAMPLES)
    labels = not z.is_floating_point(), not y.is_floating_point()
    bound = label_bound((z, y), (a, b), present)
    return Sample(raised(a), raised(b), labels, present, bound)
