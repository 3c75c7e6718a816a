"""What an adaptation learns from, stops by and is judged by: datasets in the user's modality.

Every draw is a function of the seed and its number, so that an interrupted run goes on with the
same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from torchmist.adapt.cells import CellMeta
from torchmist.adapt.flows import Flow
from torchmist.adapt.sides import Kind, Part, SplitSide
from torchmist.adapt.warp import WarpedMeta
from torchmist.finetuning import Draw
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.canonical_meta import CanonicalMeta

__all__ = ["KINDS", "SIZES", "checks", "lessons"]

KINDS: tuple[Kind, ...] = ("clusters", "slices")
SIZES = (128, 512, 2048)
"""Numbers of samples of the datasets that judge."""

_LEAST, _MOST, _TOGETHER = 64, 2048, 4  # samples, datasets in one pass
_SHARES = (0.6, 0.3, 0.03, 0.07)  # clusters, slices, warped Gaussian pairs and general datasets
_STOP = 4  # every fourth draw is of real samples that no other is made of

Sides = tuple[SplitSide, SplitSide]


def _cells(sides: Sides, part: Part, seed: int) -> list[CellMeta]:
    """Real samples of a part that depend on each other through cells of each kind."""
    return [CellMeta(*(side.pool(part, kind, seed) for side in sides)) for kind in KINDS]


def lessons(sides: Sides, flows: Sequence[Flow | None], seed: int) -> Callable[[int], Draw]:
    """Draws to learn from, every fourth to stop by; of the sources that there are.

    Nothing is warped where a side has no flow (labels, no fit).
    """
    learn, stop = _cells(sides, "fit", seed + 2), _cells(sides, "calibrate", seed + 2)
    warped = [WarpedMeta(m, *flows) for m in (CanonicalMeta(), GeneralMeta()) if all(flows)]
    columns = [side.fit.shape[1] for side in sides]
    seen = [len(side.directions) for side in sides]

    def draw(number: int) -> Draw:
        g = torch.Generator().manual_seed(seed * 1_000_003 + number + 1)
        stops = number % _STOP == _STOP - 1
        metas: Sequence[CellMeta | WarpedMeta] = stop if stops else [*learn, *warped]
        family = int(torch.multinomial(torch.tensor(_SHARES[: len(metas)]), 1, generator=g))
        n = int(_LEAST * (_MOST / _LEAST) ** float(torch.rand(1, generator=g)))
        widths = columns if family < len(KINDS) else seen
        batch = metas[family].sample(_TOGETHER, n, *widths, generator=g)
        x, y = batch.x, batch.y
        if widths is seen:
            x, y = (side.lift(z, g) for side, z in zip(sides, (x, y)))
        return Draw(x, y, batch.mi, family, int(stops))

    return draw


def checks(sides: Sides, seed: int, count: int) -> Callable[[int], Draw | None]:
    """``count`` draws that judge: of either kind of cells and each of the sizes in turn."""
    metas = _cells(sides, "check", seed + 5)
    columns = [side.fit.shape[1] for side in sides]

    def draw(number: int) -> Draw | None:
        if number >= count:
            return None
        kind, n = number % len(KINDS), SIZES[number // len(KINDS) % len(SIZES)]
        g = torch.Generator().manual_seed(seed * 1_000_003 - number - 1)
        batch = metas[kind].sample(_TOGETHER, n, *columns, generator=g)
        return Draw(batch.x, batch.y, batch.mi, kind, 2)

    return draw
