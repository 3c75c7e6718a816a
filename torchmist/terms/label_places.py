"""Labels as columns whose place does not depend on which classes a batch holds.

What learns from batch to batch to predict a class (a lift, a goal's critic) needs that class at the
same place every time. Legend: ``B`` datasets, ``N`` samples, ``C`` classes of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchmist.checks import warn_once
from torchmist.samples.class_labels import fixed_one_hot

__all__ = ["LabelPlaces", "labelled"]

_PLACES = 32  # of labels whose number is not known


def labelled(y: Tensor, num_classes: int | None) -> bool:
    """Whether the columns of ``y`` are classes: integer labels, or one-hot ``num_classes``."""
    return not y.is_floating_point() or y.shape[-1] == num_classes


class LabelPlaces:
    """The columns by which labels are predicted, from batch to batch.

    Example:
        >>> import torch
        >>> y = torch.tensor([0, 2])
        >>> own = torch.eye(2)[None]  # a column for each class of this batch
        >>> LabelPlaces()(y, own, 4, lift=True, goal=False)[0].tolist()
        [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]
    """

    def __init__(self) -> None:
        self._classes: Tensor | None = None  # those of the batch before

    def __call__(
        self, y: Tensor, columns: Tensor, num_classes: int | None, *, lift: bool, goal: bool
    ) -> Tensor:
        """What is predicted of ``y``: its columns, at a fixed place for each class.

        Args:
            y: what was passed; other than integer labels it is left as it is.
            columns: ``y`` as the network reads it, ``[B, N, C]``.
            num_classes: of the labels, where it is known. Without it a goal has 32 places, which
                further classes share, and a lift the columns of the batch; a warning says so once.
            lift, goal: what predicts, if anything does.
        """
        if y.is_floating_point() or not (lift or goal):
            return columns
        if num_classes is not None:
            return fixed_one_hot(y, num_classes).expand(len(columns), -1, -1)
        eager = not torch.compiler.is_compiling()
        if goal:
            if eager and columns.shape[-1] > _PLACES:
                warn_once(
                    f"torchmist: more than {_PLACES} classes share places in the critic: pass "
                    f"num_classes= to MIRegularizer"
                )
            return fixed_one_hot(y.long() % _PLACES, _PLACES).expand(len(columns), -1, -1)
        if eager:
            self._compare(y.unique())
        return columns

    def _compare(self, classes: Tensor) -> None:
        """Warn where the batch before held other classes."""
        before, self._classes = self._classes, classes
        if before is not None and not torch.equal(before.to(classes), classes):
            warn_once(
                "torchmist: batches hold different classes, and a lift numbers those of each batch "
                "anew: pass num_classes= to MIRegularizer, so that each class keeps its place"
            )
