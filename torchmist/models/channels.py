"""Names of all that MIST reads of a sample, from which counts and slices derive.

Pairs of columns, samples and datasets each have channels. A list of names here, and the tensor of
the same group in :mod:`torchmist.models.statistics`, is all that defines one: widths of layers, and
the places of weights when one network is read into another, follow from the names.
"""

from __future__ import annotations

__all__ = [
    "ANCHORS",
    "PLAIN_RIDGES",
    "RADIAL",
    "RADII",
    "READ_RIDGES",
    "DATASET",
    "SIZES",
    "WAVES",
    "group_slice",
    "pair_channels",
    "sample_channels",
]

PLAIN_RIDGES = (1e-3, 1e-2, 0.3, 3.0)
"""Ridges of correlation matrices whose determinants alone are read."""
READ_RIDGES = (0.05, 1.0)
"""Ridges of those whose inverses are read as well: partial correlations and radii."""

SIZES = ("log n", "5 / sqrt n", "log dx dy", "log n / d")
"""What is known of a dataset before its values."""
ANCHORS = (
    "unbiased", *(f"ridge {ridge:g}" for ridge in PLAIN_RIDGES + READ_RIDGES),
)  # fmt: skip
"""Closed forms of the information of a Gaussian copula, in nats."""
DATASET = (*SIZES, *(f"anchor {a}" for a in ANCHORS), *(f"log anchor {a}" for a in ANCHORS))
"""What is read of a dataset as a whole."""
RADII = tuple(
    f"radius {kind} {ridge:g}"
    for kind in ("mean", "difference", "joint", "gain")
    for ridge in READ_RIDGES
)
"""Mahalanobis radii of a sample."""
RADIAL = (
    "radial surprise sum", "radial surprise difference", "radial surprise product",
    "radial change sum", "radial change product",
)  # fmt: skip
"""How the correlation of a pair changes with the radii of both sides."""
WAVES = tuple(f"wave {way} {band}" for way in ("of", "on") for band in ("low", "middle", "high"))
"""How waves of three bands in one column go with slow functions of the other."""


def pair_channels(
    odd: int, even: int, paired: int, *, radial: bool = False, waves: bool = False
) -> tuple[str, ...]:
    """Names of the statistics of a pair of columns, in the order of the weights that read them.

    Args:
        odd, even: functions of the basis.
        paired: leading ones that are read odd against even.
        radial: whether :data:`RADIAL` are among them.
        waves: whether :data:`WAVES` are.

    Example:
        >>> pair_channels(2, 2, 1)[:5]
        ('plain correlation', 'plain information', 'plain z', 'plain even energy', 'odd 0')
    """
    names = [f"plain {name}" for name in ("correlation", "information", "z", "even energy")]
    names += [f"odd {k}" for k in range(odd)]
    names += [f"even {k}" for k in range(even)]
    names += [f"mixed {way} {k}" for way in ("of", "on") for k in range(paired)]
    names += [f"partial {ridge:g}" for ridge in READ_RIDGES]
    names += [f"role {name}" for name in ("same side", "other side", "self")]
    return (*names, *(RADIAL if radial else ()), *(WAVES if waves else ()))


def sample_channels(even: int, embedding: int, paired: int) -> tuple[str, ...]:
    """Names of what a sample token is made of, in the order of the weights that read it.

    Args:
        even: even functions of the basis, each weighed into ``embedding`` channels on both sides.
        embedding: channels by which a column is weighed.
        paired: learned bilinear forms between X and Y.
    """
    names = [
        f"{kind} {k} {c}" for kind in ("sum", "product") for k in range(even)
        for c in range(embedding)
    ]  # fmt: skip
    return (*names, *RADII, *(f"bilinear {k}" for k in range(paired)))


def group_slice(names: tuple[str, ...], group: str) -> slice:
    """Where the names that start with the word or words ``group`` stand, one behind the other.

    Raises:
        ValueError: if none does, or others stand between them.

    Example:
        >>> group_slice(pair_channels(4, 4, 2), "odd")
        slice(4, 8, None)
    """
    places = [k for k, name in enumerate(names) if name == group or name.startswith(f"{group} ")]
    if not places or places != list(range(places[0], places[-1] + 1)):
        raise ValueError(
            f"expected channels of the group {group!r} side by side, got places {places}; the "
            f"names are {list(names)}"
        )
    return slice(places[0], places[-1] + 1)
