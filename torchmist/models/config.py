"""Configuration of the MIST network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["MISTConfig"]


@dataclass(frozen=True)
class MISTConfig:
    """Sizes of a :class:`~torchmist.models.mist.MIST`.

    Args:
        odd, even: learned odd and even functions of a normal score (the basis).
        paired: leading odd and even functions that are also read against each other, and odd
            ones whose learned bilinear forms between X and Y enter the sample tokens; less than
            ``odd`` and ``even``.
        basis_width: hidden width of the basis.
        pair_width: channels of the pair statistics.
        feature_width, feature_layers: width and depth of the attention over features.
        sample_width, sample_layers, inducing: width, depth and inducing points over samples.
        heads: attention heads, dividing both widths.
        embedding: channels by which a feature token weighs its column into the sample tokens.
        readout_width, head_width: widths of the pair readout and of the head.
        seeds: pooled sample tokens.
        quantiles: quantiles in the head.
        radial: 1 to read how the correlations change with the radii of both sides, else 0.
        local: 1 to read which samples are near which (:mod:`torchmist.models.local`), else 0.
    """

    odd: int = 4
    even: int = 4
    paired: int = 2
    basis_width: int = 48
    pair_width: int = 16
    feature_width: int = 96
    feature_layers: int = 3
    sample_width: int = 64
    sample_layers: int = 1
    inducing: int = 16
    heads: int = 8
    embedding: int = 6
    readout_width: int = 32
    head_width: int = 256
    seeds: int = 4
    quantiles: int = 24
    radial: int = 0
    local: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("radial", "local"):
                if value not in (0, 1):
                    raise ValueError(f"{field.name} must be 0 or 1, got {value!r}")
            elif not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field.name} must be a positive int, got {value!r}")
        for name, value in (("feature", self.feature_width), ("sample", self.sample_width)):
            if value % self.heads:
                raise ValueError(
                    f"{name}_width must be a multiple of heads={self.heads}, got {value}"
                )
        if self.paired >= min(self.odd, self.even):
            raise ValueError(
                f"paired must be less than odd={self.odd} and even={self.even}, got {self.paired}"
            )
        if self.pair_width % 4:
            raise ValueError(f"pair_width must be a multiple of 4, got {self.pair_width}")

    def to_dict(self) -> dict[str, int]:
        """All fields as a plain dictionary."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MISTConfig:
        """Inverse of :meth:`to_dict`; an unknown key raises ``TypeError``."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise TypeError(f"unknown MISTConfig keys {unknown}; known keys are {sorted(known)}")
        return cls(**values)
