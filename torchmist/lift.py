"""The lift: predictions of ``y`` that show the frozen estimator what an encoder hides from it.

``I((z, h(z)); y) = I(z; y)`` for any function ``h``, so appending ``h(z)`` leaves the truth alone.
The estimate is not so indifferent: an encoder trained against a frozen estimator finds codes that
hold ``y`` in a form which that estimator does not see. A small network ``h`` that learns to predict
``y`` and its squares from ``z`` beside the encoder brings such codes back into view, in the
plainest form that what ``z`` knows can take.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of ``z``, ``dy`` of ``y``, ``T`` targets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.copula import standardise, standardise_units

__all__ = ["Lift", "LiftConfig", "lift_targets", "make_lifts"]


@dataclass(frozen=True)
class LiftConfig:
    """Size and pace of a :class:`Lift`.

    Args:
        inputs: columns of the ``z`` that it will see.
        targets: the most columns that it predicts and appends: those of ``y``, then their squares;
            of a wider ``y``, as many cosine waves over its columns.
        count: independent lifts; each gives one estimate, and the mean of them is the term.
        width, depth: hidden layers of the network behind a lift.
        pace: how many times faster than the host's learning rate a lift moves, under any
            optimizer (Adam included).
    """

    inputs: int
    targets: int = 16
    count: int = 1
    width: int = 64
    depth: int = 2
    pace: float = 3.0

    def __post_init__(self) -> None:
        for name in ("inputs", "targets", "count", "width", "depth"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(
                    f"expected {name} of LiftConfig to be a positive int, got {value!r}"
                )
        if isinstance(self.pace, bool) or not isinstance(self.pace, (int, float)):
            raise TypeError(f"expected pace of LiftConfig to be a float, got {self.pace!r}")
        if not 0 < self.pace < float("inf"):
            raise ValueError(
                f"expected pace of LiftConfig to be positive and finite, got {self.pace!r}; 1.0 "
                f"is the pace of the host"
            )


class _PacedLinear(nn.Module):
    """A linear layer whose weights move ``pace`` times faster.

    The stored parameters are ``1 / pace`` of the weights, so that a step of any size in the
    former is ``pace`` times larger in the latter: Adam, which ignores the scale of gradients,
    included.
    """

    def __init__(self, inputs: int, outputs: int, pace: float) -> None:
        super().__init__()
        self.pace = pace
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights, divided by the pace."""
        bound = (3 / self.weight.shape[1]) ** 0.5 / self.pace
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor, seen: Callable[[Tensor], Tensor]) -> Tensor:
        """``seen`` is what becomes of the parameters first: they learn, or are detached."""
        weight, bias = seen(self.weight), seen(self.bias)
        return F.linear(x, self.pace * weight.to(x.dtype), self.pace * bias.to(x.dtype))


def lift_targets(y: Tensor, most: int, mask: Tensor | None = None, *, squares: bool) -> Tensor:
    """What a lift predicts of ``y`` ``[B, N, dy]``: ``[B, N, T]`` with ``T`` at most ``most``.

    The columns, and with ``squares`` theirs; of more than ``most`` columns, the first orthogonal
    combinations of the discrete cosine transform. All have mean 0 and variance 1.
    """
    columns = standardise_units(y.float().mT, mask)
    width = columns.shape[1]
    if width > most:
        place = (torch.arange(width, device=y.device) + 0.5) / width
        waves = (math.pi * torch.arange(most, device=y.device)[:, None] * place).cos()
        return standardise(waves @ columns, mask).mT
    if not squares:
        return columns.mT
    squared = standardise(columns[:, : most - width].square(), mask)
    return torch.cat([columns, squared], 1).mT


class Lift(nn.Module):
    """``z`` to ``(z, h(z))``, and the error of ``h``, by which alone it learns.

    Gradients reach ``z`` through both parts of the former and not through the latter.

    Args:
        config: sizes and pace; ``count`` is not read here.

    Raises:
        ValueError: for a ``z`` of other than ``config.inputs`` columns.

    Example:
        >>> import torch
        >>> lift = Lift(LiftConfig(inputs=3))
        >>> lifted, error = lift(torch.randn(1, 10, 3), torch.randn(1, 10, 2))
        >>> lifted.shape, error.shape
        (torch.Size([1, 10, 7]), torch.Size([]))
    """

    def __init__(self, config: LiftConfig) -> None:
        super().__init__()
        c = self.config = config
        widths = [c.inputs, *[c.width] * c.depth]
        self.hidden = nn.ModuleList(
            _PacedLinear(i, o, c.pace) for i, o in itertools.pairwise(widths)
        )
        self.leave = _PacedLinear(c.width, c.targets, c.pace)

    def forward(
        self, z: Tensor, y: Tensor, mask: Tensor | None = None, *, squares: bool = True
    ) -> tuple[Tensor, Tensor]:
        """``[B, N, d + T]``, and the mean squared error of the predictions, 0-dim.

        Args:
            z: ``[B, N, d]``; ``h`` sees its columns with mean 0 and variance 1.
            y: ``[B, N, dy]``.
            mask: ``[B, N]`` bool, True for the samples that count.
            squares: whether those of ``y`` are predicted too; class labels say nothing new by them.
        """
        if z.shape[-1] != self.config.inputs:
            raise ValueError(
                f"expected z of {self.config.inputs} columns, as the lift was made for, got "
                f"{z.shape[-1]}; make the term with lift={z.shape[-1]}"
            )
        value = standardise_units(z.float().mT, mask).mT
        target = lift_targets(y.detach(), self.config.targets, mask, squares=squares)
        count = target.shape[-1]
        learned = self._network(value.detach(), lambda weight: weight)[..., :count]
        error = (learned - target).square().mean(-1)
        mean = error.mean() if mask is None else (error * mask).sum() / mask.sum()
        predicted = self._network(value, torch.detach)[..., :count]
        return torch.cat([z, predicted.to(z.dtype)], -1), mean

    def _network(self, x: Tensor, seen: Callable[[Tensor], Tensor]) -> Tensor:
        for layer in self.hidden:
            x = F.silu(layer(x, seen))
        out: Tensor = self.leave(x, seen)
        return out


def make_lifts(lift: int | LiftConfig | None) -> list[Lift]:
    """The lifts of a configuration, or of a number of columns of ``z``; none for None.

    Raises:
        TypeError: for anything else.
    """
    if lift is None:
        return []
    if isinstance(lift, int):
        lift = LiftConfig(lift)
    if not isinstance(lift, LiftConfig):
        raise TypeError(
            f"expected lift to be the number of columns of z or a LiftConfig, got {lift!r}"
        )
    return [Lift(lift) for _ in range(lift.count)]
