"""What a loop is: a host network, the pair that its term sees, and judges of what came out.

Legend: ``N`` rows, ``dz`` columns of a code, ``dy`` columns of the other side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

__all__ = ["LOOPS", "THEMES", "Batch", "Direction", "Host", "Judgement", "Loop", "loop"]

Direction = Literal["remove", "squeeze", "join"]
"""Minimise I(z; y) beside a task, squeeze z with respect to its own input, or maximise."""

THEMES = ("codes", "views", "pixels", "labels", "factors", "tables", "audio")
"""The modules of this folder that define loops."""


@dataclass(frozen=True)
class Batch:
    """One step's data: the task's loss (0-dim), the pair ``z`` ``[N, dz]`` and ``y`` ``[N, dy]`` or
    labels ``[N]``, and the code before its noise, where a rival needs it."""

    task: Tensor
    z: Tensor
    y: Tensor
    mean: Tensor | None = None


@dataclass(frozen=True)
class Judgement:
    """What fresh judges found: what the loop wants, what it should not hold, and a remark."""

    task: float
    held: float
    detail: str = ""


class Host(nn.Module):
    """The networks of a loop and its data. Sizes are those of the pair that a term sees.

    ``classes`` is the number of labels where ``y`` are labels; ``noise`` the standard deviation of
    the noise on z; ``memory`` how many recent samples ``goal`` keeps, where batches are small. The
    seed has been set when a host is made.
    """

    dz: int
    dy: int
    classes: int | None = None
    noise: float = 0.0
    memory: int = 0

    def batch(self) -> Batch:
        """A training batch, with gradients."""
        raise NotImplementedError

    def judge(self) -> Judgement:
        """The verdict of judges that are made and trained here."""
        raise NotImplementedError

    def blur(self, mean: Tensor) -> Tensor:
        """The code with its noise."""
        return mean + self.noise * torch.randn_like(mean)


@dataclass(frozen=True)
class Loop:
    """A loop of the benchmark. Its score is ``task - beta * held``; higher is better.

    Args:
        name: as in the records.
        title: one line for the tables.
        direction: decides which methods apply and with which sign.
        host: makes the networks and the data; its docstring says what the loop is.
        steps: of the host's optimizer in the table of equal steps.
        rate: learning rate of the host (Adam).
        beta: weight of ``held`` in the score.
        units: of ``task`` and of ``held``.
        compared: which of ``task`` and ``held`` is what a term's own value estimates, in nats;
            None where neither is.
    """

    name: str
    title: str
    direction: Direction
    host: Callable[[], Host]
    steps: int = 150
    rate: float = 5e-3
    beta: float = 1.0
    units: tuple[str, str] = ("nats", "nats")
    compared: Literal["task", "held"] | None = "held"

    def score(self, judged: Judgement) -> float:
        """``task - beta * held``."""
        return judged.task - self.beta * judged.held


LOOPS: dict[str, Loop] = {}
"""Every loop by its name."""

_H = TypeVar("_H", bound=type[Host])


def loop(
    name: str, title: str, direction: Direction, *, steps: int = 150, rate: float = 5e-3,
    beta: float = 1.0, units: tuple[str, str] = ("nats", "nats"),
    compared: Literal["task", "held"] | None = "held",
) -> Callable[[_H], _H]:  # fmt: skip
    """Class decorator that puts a host into :data:`LOOPS`; arguments as for :class:`Loop`.

    Raises:
        ValueError: for a name that is taken.
    """

    def register(host: _H) -> _H:
        if name in LOOPS:
            raise ValueError(f"expected a new name for a loop, got {name!r} twice; choose another")
        LOOPS[name] = Loop(
            name, title, direction, host, steps, rate, beta, units, compared
        )  # fmt: skip
        return host

    return register
