"""Configuration of the MIST network."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from torchmist.models.channels import pair_channels, sample_channels

__all__ = ["MISTConfig"]

_SWITCHES = ("radial", "local")
_NAMES = ("pair_channels", "sample_channels")


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
        radial: whether it reads how the correlations change with the radii of both sides.
        local: whether it reads which samples are near which (:mod:`torchmist.models.local`).

    Files of older versions hold the last two as 0 or 1, which are accepted for them.
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
    radial: bool = False
    local: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _SWITCHES:
                if value not in (0, 1):
                    raise ValueError(f"{field.name} must be True or False, got {value!r}")
                object.__setattr__(self, field.name, bool(value))
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

    @property
    def pair_channels(self) -> tuple[str, ...]:
        """Names of what is read of a pair of columns, which the sizes follow."""
        return pair_channels(self.odd, self.even, self.paired, radial=self.radial, waves=self.local)

    @property
    def sample_channels(self) -> tuple[str, ...]:
        """Names of what a sample token is made of."""
        return sample_channels(self.even, self.embedding, self.paired)

    def to_dict(self) -> dict[str, Any]:
        """All fields as a plain dictionary, and the names of the channels that they stand for."""
        return {**asdict(self), **{name: list(getattr(self, name)) for name in _NAMES}}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MISTConfig:
        """Inverse of :meth:`to_dict`; names of channels may be missing, as in older files.

        Raises:
            TypeError: for an unknown key.
            ValueError: for sizes that fit no network, or channels that are not this version's:
                their weights would be read as those of other statistics.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known - set(_NAMES))
        if unknown:
            raise TypeError(f"unknown MISTConfig keys {unknown}; known keys are {sorted(known)}")
        config = cls(**{name: value for name, value in values.items() if name in known})
        for name in _NAMES:
            mine, found = getattr(config, name), values.get(name)
            if found is not None and found != list(mine):
                raise ValueError(
                    f"expected {name} {list(mine)}, which this version reads, got {found}; use "
                    f"the version that wrote them"
                )
        return config
