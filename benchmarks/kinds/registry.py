"""The registry of kinds: what a kind is and how a module adds one.

Legend: ``n`` rows; ``x``, ``y`` arrays ``[n]`` or ``[n, d]``, integers where they are labels. All
truths are in nats.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEYOND", "KINDS", "THEMES", "Kind", "Sample", "Tag", "kind"]

Sample = tuple[NDArray[Any], NDArray[Any], float]
Make = Callable[..., Sample]
Tag = Literal["atoms", "independent", "labels", "manifold", "noise columns", "real", "wide"]

BEYOND = 1_000_000
"""More rows than any size of the suite: no sample of the suite shows such a kind."""

KINDS: dict[str, Kind] = {}
"""All kinds by name, in the order of the modules that define them."""

THEMES = (
    "labels", "functions", "manifolds", "atoms", "tails", "clusters", "codes", "wide", "rotated",
    "taught", "learned", "within", "real",
)  # fmt: skip
"""The modules that define kinds."""


@dataclass(frozen=True)
class Kind:
    """One kind of data with known mutual information.

    Args:
        name: as it stands in records and tables.
        theme: the module that defines it.
        make: ``(n, rng) -> (x, y, truth)``; with the path of ``file`` as a third argument where the
            kind reads one.
        tags: what the data have that estimators stumble over.
        least: rows from which on a sample can show the truth to an estimator that knows nothing
            of the kind; :data:`BEYOND` where none of the suite does.
        file: a file of data that is not part of the repository.
    """

    name: str
    theme: str
    make: Make
    tags: tuple[Tag, ...] = ()
    least: int = 0
    file: str = ""

    @property
    def about(self) -> str:
        """The first paragraph of the docstring, on one line."""
        text = inspect.getdoc(self.make) or ""
        return " ".join(text.split("\n\n")[0].split())

    def shown(self, n: int) -> bool:
        """Whether a sample of ``n`` rows can show the truth."""
        return n >= self.least

    def path(self, folder: Path | None) -> Path | None:
        """The file of the kind in ``folder``, or None where it is absent."""
        found = folder / self.file if folder else None
        return found if found and found.is_file() else None

    def draw(self, n: int, seed: int, folder: Path | None = None) -> Sample:
        """x, y and the truth in nats; the same for the same arguments.

        Raises:
            FileNotFoundError: when the kind reads a file that is not in ``folder``.
        """
        rng = np.random.default_rng([seed, n, zlib.crc32(self.name.encode())])
        if not self.file:
            return self.make(n, rng)
        path = self.path(folder)
        if path is None:
            raise FileNotFoundError(
                f"expected {self.file} in {folder} for {self.name!r}, found none; give the folder "
                f"that holds it by --embeddings"
            )
        return self.make(n, rng, path)


def kind(name: str, *tags: Tag, least: int = 0, file: str = "") -> Callable[[Make], Make]:
    """Register a function ``(n, rng) -> (x, y, truth)`` under ``name``.

    Raises:
        ValueError: for a name that is taken, an unknown tag or a function without a docstring.
    """
    unknown = sorted(set(tags) - set(get_args(Tag)))
    if unknown:
        raise ValueError(f"expected tags among {get_args(Tag)}, got {unknown}; add them to Tag")
    if name in KINDS:
        raise ValueError(f"expected a new name, got {name!r}, which is taken; choose another")

    def register(make: Make) -> Make:
        if not inspect.getdoc(make):
            raise ValueError(f"expected a docstring for {name!r}, got none; say what it draws")
        theme = make.__module__.rsplit(".", 1)[-1]
        KINDS[name] = Kind(name, theme, make, tuple(sorted(tags)), least, file)
        return make

    return register
