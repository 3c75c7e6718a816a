"""The lift: features ``h(z)`` that show the frozen estimator what an encoder hides from it.

``I((z, h(z)); y) = I(z; y)`` for any function ``h``, so appending ``h(z)`` leaves the truth alone.
The estimate is not so indifferent: an encoder trained against a frozen estimator finds codes that
hold ``y`` in a form which that estimator does not see. ``h`` is trained to *raise* the estimate
while the encoder lowers it, and brings such codes back into view.

Legend: ``B`` datasets, ``N`` samples, ``d`` columns of ``z``, ``F`` appended features.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchmist.copula import standardise

__all__ = ["Lift", "LiftConfig", "reverse_gradient"]


@dataclass(frozen=True)
class LiftConfig:
    """Size and pace of a :class:`Lift`.

    Args:
        inputs: columns of the ``z`` that it will see.
        features: columns that one lift appends.
        count: independent lifts; each gives one estimate, and the mean of them is the term.
        width, depth: hidden layers of the network behind a lift.
        pace: how many times faster than the host's learning rate a lift moves, under any
            optimizer (Adam included).
    """

    inputs: int
    features: int = 2
    count: int = 1
    width: int = 64
    depth: int = 2
    pace: float = 3.0

    def __post_init__(self) -> None:
        for name in ("inputs", "features", "count", "width", "depth"):
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


def reverse_gradient(value: Tensor) -> Tensor:
    """``value`` itself, whose gradient arrives with the opposite sign (Ganin et al. 2016).

    Example:
        >>> import torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> reverse_gradient(3 * x).sum().backward()
        >>> x.grad
        tensor([-3., -3.])
    """
    fixed = value.detach()
    return fixed - (value - fixed)


class _PacedLinear(nn.Module):
    """A linear layer with reversed gradients whose weights move ``pace`` times faster.

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

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = reverse_gradient(self.weight), reverse_gradient(self.bias)
        return F.linear(x, self.pace * weight.to(x.dtype), self.pace * bias.to(x.dtype))


class Lift(nn.Module):
    """``z`` to ``(z, h(z))``: gradients reach ``z`` as they are, and ``h`` reversed.

    Minimising an estimate of ``I((z, h(z)); y)`` with one backward pass and one optimizer then
    trains the encoder behind ``z`` to lower it, along both paths, and ``h`` to raise it.

    Args:
        config: size and pace; ``count`` is not read here.

    Raises:
        ValueError: for a ``z`` of other than ``config.inputs`` columns.

    Example:
        >>> import torch
        >>> lift = Lift(LiftConfig(inputs=3, features=4))
        >>> lift(torch.randn(1, 10, 3)).shape
        torch.Size([1, 10, 7])
    """

    def __init__(self, config: LiftConfig) -> None:
        super().__init__()
        c = self.config = config
        widths = [c.inputs, *[c.width] * c.depth]
        self.hidden = nn.ModuleList(
            _PacedLinear(i, o, c.pace) for i, o in itertools.pairwise(widths)
        )
        self.leave = _PacedLinear(c.width, c.features, c.pace)

    def forward(self, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """``[B, N, d]`` to ``[B, N, d + F]``; ``h`` sees columns of mean 0 and variance 1.

        ``mask``: ``[B, N]`` bool, True for the samples that count.
        """
        if z.shape[-1] != self.config.inputs:
            raise ValueError(
                f"expected z of {self.config.inputs} columns, as the lift was made for, got "
                f"{z.shape[-1]}; make the term with lift={z.shape[-1]}"
            )
        value = standardise(z.float().mT, mask).mT
        for layer in self.hidden:
            value = F.silu(layer(value))
        return torch.cat([z, self.leave(value).to(z.dtype)], -1)
