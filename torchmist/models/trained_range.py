"""The sizes and the information that weights were trained on, as the header of their file says.

Legend: ``n`` samples, ``d`` columns of one side, ``mi`` nats.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torchmist.checks import MIN_SAMPLES

__all__ = ["TrainedRange"]

_KINDS: dict[str, tuple[type, ...]] = {"n": (int,), "d": (int,), "mi": (int, float)}
_MOST = 2**62
_CHUNKS = "they are estimated in chunks of that size, whose quantiles are averaged"
_DIRECTIONS = (
    "the estimate is that of at most {high} directions of them, found on other parts of the "
    "sample; it can miss weak dependence that is spread over many columns"
)
_EXTRAPOLATED = "the estimate is an extrapolation"


@dataclass(frozen=True)
class TrainedRange:
    """From the least to the most of each, both included; None for what the file does not state.

    ``n``: samples of a dataset; ``d``: columns of one side; ``mi``: nats.
    """

    n: tuple[int, int] | None = None
    d: tuple[int, int] | None = None
    mi: tuple[float, float] | None = None

    @classmethod
    def from_header(cls, content: Any) -> TrainedRange:
        """Of ``{"n": [low, high], "d": [low, high], "mi": [low, high]}``; any may be missing.

        Raises:
            ValueError: for another name, and for anything but two increasing numbers, positive and
                whole (from 0 on and not necessarily whole for ``mi``).

        Example:
            >>> TrainedRange.from_header({"n": [10, 500], "d": [1, 32]})
            TrainedRange(n=(10, 500), d=(1, 32), mi=None)
        """
        ranges = content.items() if isinstance(content, dict) else [("trained_range", content)]
        for name, ends in ranges:
            if name not in _KINDS or not _is_range(ends, _KINDS[name]):
                raise ValueError(
                    f"expected 'trained_range' to hold two increasing positive numbers for each of "
                    f"{list(_KINDS)}, got {name}: {ends!r}"
                )
        return cls(**{name: (ends[0], ends[1]) for name, ends in ranges})

    def notes(self, n: int, dx: int, dy: int) -> tuple[str, ...]:
        """What of a dataset lies outside of these sizes, and what is done about it, in words."""
        found = []
        sizes = (
            ("samples", n, self.n, _CHUNKS),
            ("columns of the first variable", dx, self.d, _DIRECTIONS),
            ("columns of the second variable", dy, self.d, _DIRECTIONS),
        )
        for label, value, ends, done in sizes:
            if ends is None or ends[0] <= value <= ends[1]:
                continue
            low, high = ends
            split = value > high and (done is _CHUNKS or n >= 2 * MIN_SAMPLES)
            what = done.format(high=high) if split else _EXTRAPOLATED
            found.append(f"{value} {label}: the weights were trained on {low} to {high}; {what}")
        return tuple(found)


def _is_range(ends: Any, kinds: tuple[type, ...]) -> bool:
    """Whether ``ends`` are two increasing numbers, from 1 and whole or from 0."""
    if not isinstance(ends, (list, tuple)) or len(ends) != 2:
        return False
    if any(isinstance(end, bool) or not isinstance(end, kinds) for end in ends):
        return False
    return bool(int(float not in kinds) <= ends[0] <= ends[1] < _MOST)
