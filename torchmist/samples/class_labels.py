"""Class labels in terms of a loss: their number, their columns, and tables of them alone.

Legend: ``B`` datasets, ``N`` samples, ``C`` columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from torchmist.checks import FLOATS, INTEGERS, visible, warned

__all__ = ["check_class_number", "check_num_classes", "fixed_one_hot", "ignored_note",
           "ignored_notes", "one_hot", "table_note"]  # fmt: skip

_TABLE = (
    "both sides are classes, as one-hot columns or labels: of such tables the value of this term "
    "can be several times too high; it is better had from torchmist.estimate, which counts labels, "
    ".argmax(-1) of one-hot columns"
)
_IGNORED = -100  # what losses of torch leave out
_UNCOUNTED = "leave out rows without a label with mask={} != -100"
_NEAR = 0.01  # of 0 or 1: what straight-through codes are off by in half precision


def check_class_number(num_classes: int | None) -> None:
    """Raise ``ValueError`` unless ``num_classes`` is None or an int of at least 2."""
    if num_classes is None:
        return
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 2:
        raise ValueError(f"expected num_classes to be an int of at least 2, got {num_classes!r}")


def check_num_classes(num_classes: int | None, **named: Tensor) -> None:
    """Raise unless ``num_classes`` is None, or every label lies in ``0 .. num_classes - 1``.

    Instead of labels, one side may hold ``num_classes`` floating-point columns, such as one-hot
    ones.
    """
    check_class_number(num_classes)
    if num_classes is None:
        return
    labels = {k: v for k, v in named.items() if v.dtype in INTEGERS}
    columns = [v for v in named.values() if v.dim() > 1 and v.shape[-1] == num_classes]
    if not labels and not columns:
        raise ValueError(
            f"expected integer class labels or {num_classes} one-hot columns with "
            f"num_classes={num_classes}, got floating-point {' and '.join(named)} of shapes "
            f"{' and '.join(str(list(v.shape)) for v in named.values())}; leave num_classes out"
        )
    for name, value in labels.items():
        if visible(((value >= 0) & (value < num_classes)).all()) is False:
            raise ValueError(
                f"expected labels {name} in 0 to {num_classes - 1}, as num_classes={num_classes} "
                f"says, got {int(value.min())} to {int(value.max())}"
                + (f"; {_UNCOUNTED.format(name)}" if int(value.min()) == _IGNORED else "")
            )


def ignored_note(name: str, value: Tensor, fix: str = _UNCOUNTED) -> str:
    """What is to be said of labels with -100, which ``cross_entropy`` leaves out, and what to do;
    else ``""``."""
    if value.dtype not in INTEGERS or value.dtype in (torch.bool, torch.uint8):
        return ""
    if torch.compiler.is_compiling() or visible((value == _IGNORED).any()) is not True:
        return ""
    return _ignored(name, fix.format(name))


def _ignored(name: str, fix: str) -> str:
    return f"{name} holds the label {_IGNORED}, here a class like others; {fix}"


def ignored_notes(values: Tensor, label: Sequence[bool], names: Sequence[str]) -> list[str]:
    """What is to be said of columns of an estimate, ``[..., d]``, that are labels in which -100 is
    the one below 0; ``label``, ``names`` ``[d]``: which are, and what they are called."""
    notes = []
    for k, name in enumerate(names):
        column = values[..., k]
        ignored = column == _IGNORED
        if label[k] and bool(ignored.any()) and bool(((column < 0) == ignored).all()):
            notes.append(_ignored(name, "leave rows without a label out of all sides"))
    return notes


def fixed_one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Labels ``[N]``, ``[N, 1]`` or ``[B, N, 1]`` as columns ``[B, N, num_classes]`` whose place
    does not depend on which classes are present; one column for two classes."""
    flat = labels.squeeze(-1) if labels.dim() >= 2 else labels
    columns = F.one_hot(flat.long(), num_classes).float()
    columns = columns[..., 1:] if num_classes == 2 else columns
    return columns if columns.dim() == 3 else columns.unsqueeze(0)


def one_hot(value: Tensor) -> bool:
    """Whether every row of ``[N, C]`` or ``[B, N, C]`` is 0 but for a single 1, to within 0.01.

    False where the values are not at hand (``torch.compile``, ``vmap``). The first row is looked at
    first, which is the only one for codes that are no classes.
    """
    columns = value.dtype in FLOATS and value.dim() > 1 and value.shape[-1] > 1
    if not columns or not value.numel() or torch.compiler.is_compiling():
        return False
    value = value.detach()
    return all(visible(_single_one(rows)) is True for rows in (value[..., :1, :], value))


def _single_one(rows: Tensor) -> Tensor:
    """Whether all rows ``[..., C]`` are one-hot, 0-dim bool."""
    off = torch.minimum(rows.abs(), (rows - 1).abs())
    return (off <= _NEAR).all() & ((rows > 0.5).sum(-1) == 1).all()


def table_note(z: Tensor, y: Tensor) -> str:
    """What is to be said where both sides are classes, labels or one-hot columns; else ``""``.

    No gradient can move labels. One-hot columns carry one, as straight-through codes do, but a
    table of two classes is not what the networks of a term have seen.
    """
    labels = [not side.is_floating_point() for side in (z, y)]
    if all(labels):
        return (
            "both sides are class labels, so that this term has no gradient; its value is better "
            "had from torchmist.estimate, which counts them"
        )
    if warned(f"torchmist: {_TABLE}"):  # no need to look again
        return ""
    return _TABLE if all(a or one_hot(side) for a, side in zip(labels, (z, y))) else ""
