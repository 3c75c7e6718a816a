"""Names of the paper's families (MIST, arXiv 2511.18945), written ``base[-structure]-warp``."""

from __future__ import annotations

from dataclasses import dataclass

from torchmist.synthetic.warps import WARPS

__all__ = ["IMD_FAMILIES", "OOMD_FAMILIES", "TRAIN_FAMILIES", "PaperFamily"]

TRAIN_FAMILIES = (
    "normal-dense-base",
    "normal-dense-halfcube",
    "normal-dense-asinh",
    "normal-sparse-wigglify",
    "normal-sparse-base",
    "normal-lvm-wigglify",
    "normal-lvm-base",
    "normal-2pair-base",
    "student-dense-base",
    "student-dense-wigglify",
    "student-sparse-halfcube",
    "student-sparse-base",
    "student-sparse-asinh",
    "student-2pair-asinh",
    "student-2pair-halfcube",
    "additive_noise-wigglify",
)
"""The 16 families of M_train."""

IMD_FAMILIES = (
    "normal-dense-base",
    "normal-lvm-wigglify",
    "normal-dense-halfcube",
    "student-dense-base",
    "student-sparse-base",
    "student-sparse-asinh",
)
"""The 6 families of M_test that are in the meta-distribution of M_train."""

OOMD_FAMILIES = (
    "normal-dense-wigglify",
    "normal-sparse-halfcube",
    "normal-sparse-asinh",
    "student-sparse-wigglify",
    "student-dense-halfcube",
    "additive_noise-base",
    "additive_noise-halfcube",
)
"""The 7 families of M_test outside the meta-distribution of M_train."""

_STRUCTURES = {
    "normal": ("dense", "sparse", "lvm", "2pair"),
    "student": ("dense", "sparse", "2pair"),
    "additive_noise": ("",),
}


@dataclass(frozen=True)
class PaperFamily:
    """The parts of a family's name; ``structure`` is empty for additive noise.

    Example:
        >>> PaperFamily.from_name("student-2pair-asinh")
        PaperFamily(base='student', structure='2pair', warp='asinh')
    """

    base: str
    structure: str
    warp: str

    @classmethod
    def from_name(cls, name: str) -> PaperFamily:
        """Parses ``base[-structure]-warp``; any known combination, not only those of the paper.

        Raises:
            ValueError: for an unknown family.
        """
        parts = name.split("-") if isinstance(name, str) else []
        if len(parts) in (2, 3):
            base, warp, structure = parts[0], parts[-1], parts[1] if len(parts) == 3 else ""
            if structure in _STRUCTURES.get(base, ()) and warp in WARPS:
                return cls(base, structure, warp)
        raise ValueError(
            f"expected a family named base[-structure]-warp, such as 'normal-dense-base' or "
            f"'additive_noise-wigglify', got {name!r}; structures of each base are {_STRUCTURES}, "
            f"warps are {sorted(WARPS)}"
        )
