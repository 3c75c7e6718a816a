"""What an adaptation learns from, stops by and is judged by: datasets in the user's modality.

Every draw is a function of the seed and its number, so that an interrupted run goes on with the
same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from torchmist.adapt.cells import CellMeta
from torchmist.adapt.flows import Flow
from torchmist.adapt.sides import Kind, Side
from torchmist.adapt.warp import Meta, WarpedMeta
from torchmist.finetune import Draw
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.canonical_meta import CanonicalMeta

__all__ = ["KINDS", "SIZES", "checks", "lessons"]

KINDS: tuple[Kind, ...] = ("clusters", "slices")
SIZES = (128, 512, 2048)
"""Numbers of samples of the datasets that judge."""

_LEAST, _MOST, _TOGETHER, _MADE = 64, 2048, 4, 1024  # samples, datasets in one pass, generated
_SHARES = (0.55, 0.25, 0.1, 0.03, 0.07)  # clusters, slices, generated, warped Gaussian and general
_STOP = 4  # every fourth draw is of real samples that no other is made of

Sides = tuple[Side, Side]


def cells(sides: Sides, part: str, kind: Kind, seed: int) -> CellMeta:
    """Real samples of a ``part`` that depend on each other through cells of a ``kind``."""
    return CellMeta(*(side.pool(getattr(side, part), kind, seed) for side in sides))


def lessons(sides: Sides, flows: Sequence[Flow | None], seed: int) -> Callable[[int], Draw]:
    """Draws to learn from, every fourth to stop by; of the sources that there are.

    Flows of both sides warp; where one is ``None`` (labels, no fit), its real samples stand in for
    generated ones, and nothing is warped.
    """
    own = [[cells(sides, part, kind, seed + 2) for kind in KINDS] for part in ("fit", "calibrate")]
    generator, shares = torch.Generator().manual_seed(seed + 3), list(_SHARES)
    made = [
        side.fit if flow is None else side.generated(flow, _MADE, generator)
        for side, flow in zip(sides, flows)
    ]
    whole = CellMeta(*(side.pool(z, "clusters", seed + 3) for side, z in zip(sides, made)))
    warped: list[Meta] = [WarpedMeta(meta, *flows) for meta in (CanonicalMeta(), GeneralMeta())]
    if not any(flows):
        shares[2] = 0.0
    if not all(flows):
        shares[3:] = 0.0, 0.0
    columns = [side.fit.shape[1] for side in sides]
    directions = [len(side.directions) for side in sides]

    def draw(number: int) -> Draw:
        g = torch.Generator().manual_seed(seed * 1_000_003 + number + 1)
        stop = number % _STOP == _STOP - 1
        chances = torch.tensor(shares[: len(KINDS)] if stop else shares)
        family = int(torch.multinomial(chances, 1, generator=g))
        n = int(_LEAST * (_MOST / _LEAST) ** float(torch.rand(1, generator=g)))
        meta = (*own[int(stop)], whole, *warped)[family]
        batch = meta.sample(_TOGETHER, n, *(directions if family > 2 else columns), generator=g)
        x, y = batch.x, batch.y
        if family > 2:
            x, y = (side.lift(z, g) for side, z in zip(sides, (x, y)))
        return Draw(x, y, batch.mi, family, int(stop))

    return draw


def checks(sides: Sides, seed: int, count: int) -> Callable[[int], Draw | None]:
    """``count`` draws that judge: of either kind of cells and each of the sizes in turn."""
    metas = [cells(sides, "check", kind, seed + 5) for kind in KINDS]
    columns = [side.fit.shape[1] for side in sides]

    def draw(number: int) -> Draw | None:
        if number >= count:
            return None
        kind, n = number % len(KINDS), SIZES[number // len(KINDS) % len(SIZES)]
        g = torch.Generator().manual_seed(seed * 1_000_003 - number - 1)
        batch = metas[kind].sample(_TOGETHER, n, *columns, generator=g)
        return Draw(batch.x, batch.y, batch.mi, kind, 2)

    return draw
