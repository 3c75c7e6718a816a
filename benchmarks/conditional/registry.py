"""The registry of laws of conditional mutual information, and what a draw of one is.

Legend: ``n`` rows; sides ``[n]`` or ``[n, d]``, integers where they are labels; a condition of both
labels and numbers is a frame (a dict of columns). Truths are in nats.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["LAWS", "THEMES", "Law", "Sample", "Side", "Theme", "columns_of", "law"]

Side = NDArray[Any] | dict[str, NDArray[Any]]
Theme = Literal["a number", "a class", "a class and a number", "several columns"]
THEMES: tuple[Theme, ...] = get_args(Theme)
"""What is given, in the order of the tables."""


class Sample(NamedTuple):
    """Sides ``x`` and ``y``, the condition ``given``, and I(X;Y|given) in nats."""

    x: NDArray[Any]
    y: NDArray[Any]
    given: Side
    truth: float


Make = Callable[[int, np.random.Generator], Sample]


@dataclass(frozen=True)
class Law:
    """One law; ``theme`` says what is given."""

    name: str
    theme: Theme
    make: Make

    @property
    def about(self) -> str:
        """The docstring, on one line."""
        return " ".join((inspect.getdoc(self.make) or "").split())

    def draw(self, n: int, seed: int) -> Sample:
        """A sample of ``n`` rows; the same for the same arguments."""
        return self.make(n, np.random.default_rng([seed, n, zlib.crc32(self.name.encode())]))


LAWS: dict[str, Law] = {}
"""All laws by name, in the order of the modules that define them."""


def law(name: str, theme: Theme) -> Callable[[Make], Make]:
    """Register a function ``(n, rng) -> Sample``.

    Raises:
        ValueError: for a name that is taken, an unknown theme or a function without a docstring.
    """
    if name in LAWS or theme not in THEMES:
        raise ValueError(f"expected a new name and a theme among {THEMES}, got {name!r}, {theme!r}")

    def register(make: Make) -> Make:
        if not inspect.getdoc(make):
            raise ValueError(f"expected a docstring for {name!r}, got none; say what it draws")
        LAWS[name] = Law(name, theme, make)
        return make

    return register


def columns_of(side: Side) -> list[NDArray[Any]]:
    """The columns of a side, each ``[n]``."""
    if isinstance(side, dict):
        return list(side.values())
    return list(side.reshape(len(side), -1).T)
