"""The data of a recipe's steps and its validation draws.

Everything drawn is a function of the seed, the stage and the step, so a resumed run sees the same
data, and so does one on any number of processes: each draws the whole batch and keeps its share.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.synthetic import registry
from torchmist.synthetic.batch import Batch
from training.data import seeded
from training.stages import Recipe, Stage

__all__ = ["FAMILIES", "VALIDATION", "StreamData", "check_families", "shape_of", "stream_data",
           "validation"]  # fmt: skip

FAMILIES = (*registry.FAMILIES, "moved", "pursuit")
"""What a step can be made of; the last two are steps of their own."""

_WIDEST = 1024
_FEW, _TALL = 6, 0.7
_MOST = 40.0  # nats: more is not shown to the network
VALIDATION = (
    (16, 1, 1), (64, 2, 1), (64, 8, 8), (256, 1, 1), (256, 2, 2), (256, 5, 1), (256, 16, 16),
    (256, 64, 64), (256, 256, 2), (1000, 1, 1), (1000, 4, 4), (1000, 24, 24), (1000, 512, 512),
    (3000, 3, 3), (3000, 32, 32),
)  # fmt: skip
"""Sizes (N, dx, dy) of the validation draws."""


class StreamData(NamedTuple):
    """``x`` ``[B, N, dx]``, ``y`` ``[B, N, dy]``, ``mi`` ``[B]`` in nats, and ``family`` ``[B]``, a
    place in :data:`FAMILIES`. Where ``moved``, the second half is the first one, moved."""

    x: Tensor
    y: Tensor
    mi: Tensor
    family: Tensor
    moved: bool

    def of(self, some: Tensor) -> StreamData:
        """Those datasets that are in ``some`` ``[B]`` bool."""
        parts = (self.x[some], self.y[some], self.mi[some], self.family[some])
        return StreamData(*parts, self.moved)

    def finite(self) -> StreamData:
        """The same with independent noise in place of datasets that are not finite."""
        good = torch.isfinite(self.mi) & (self.mi < _MOST)
        for side in (self.x, self.y):
            good &= torch.isfinite(side).flatten(1).all(1)
        if self.moved:
            good = (good.view(2, -1).all(0)).repeat(2)
        shape = good[:, None, None]
        noise = torch.linspace(-1, 1, self.x.shape[1], device=self.x.device)[None, :, None]
        x, y = torch.where(shape, self.x, noise), torch.where(shape, self.y, torch.cos(9e3 * noise))
        return StreamData(x, y, torch.where(good, self.mi, 0.0), self.family, self.moved)

    def to(self, device: torch.device) -> StreamData:
        """The same on ``device``."""
        x, y, mi, family = (v.to(device) for v in self[:4])
        return StreamData(x, y, mi, family, self.moved)


def check_families(recipe: Recipe) -> None:
    """Raise ``ValueError`` if a stage names what is no family, or has none for many columns."""
    for stage in recipe.stages:
        unknown = sorted(set(stage.families) - set(registry.FAMILIES))
        if unknown:
            raise ValueError(
                f"expected families among {list(registry.FAMILIES)} in stage {stage.name!r}, got "
                f"{', '.join(map(repr, unknown))}"
            )
        wide = [name for name, family in registry.FAMILIES.items() if family.wide]
        if stage.wide > 0 and not any(stage.families.get(name, 0) > 0 for name in wide):
            raise ValueError(
                f"expected one of {wide} in stage {stage.name!r}, whose wide steps have "
                f"more columns than the other families; add one or set wide = 0"
            )


def _log_uniform(low: int, high: int, u: float) -> int:
    return min(high, int(low * math.exp(u * math.log((high + 1) / low))))


def shape_of(recipe: Recipe, index: int, step: int) -> tuple[int, int, int, int, str]:
    """Datasets, samples, dx, dy, and the kind (``mixed``, ``moved`` or ``pursuit``) of a step."""
    stage = recipe.stages[index]
    cpu = torch.device("cpu")
    u = torch.rand(10, generator=seeded(cpu, recipe.seed, index, step, 0)).tolist()
    kind = "moved" if u[0] < stage.moved else "mixed"
    kind = "pursuit" if u[0] >= 1 - stage.pursuit else kind
    low, high = stage.samples
    low = max(low, high // 4) if u[1] < stage.long else low
    n = _log_uniform(low, high, u[2])
    least, most = stage.dims
    wide = kind == "mixed" and u[3] < stage.wide
    if wide:
        dx = _log_uniform(most + 1, _WIDEST, u[4])
        dy = dx if u[5] < 0.3 else _log_uniform(most + 1, _WIDEST, u[6])
        if u[5] > 0.5:
            dy = _log_uniform(least, most, u[6])
        n = max(32, min(n, 2_000_000 // (dx + dy)))
        dx, dy = (dx, dy) if u[7] < 0.5 else (dy, dx)
    else:
        if u[3] > 1 - stage.few:
            most = min(_FEW, most)
        dx = _log_uniform(least, most, u[4] ** _TALL)
        dy = dx if u[5] < 0.5 else _log_uniform(least, most, u[6] ** _TALL)
    d = (min(dx, 64) + min(dy, 64)) / 2
    cost = n * (d + 16) + 12 * d * d + min(n, 2048) * min(n, 1024) / 4
    cost += 4 * n * (dx + dy) * wide
    batch = int(stage.cost / cost) // 8 * 8
    return min(max(batch, stage.batch[0]), stage.batch[1]), n, dx, dy, kind


def stream_data(
    recipe: Recipe, step: int, device: torch.device, rank: int = 0, world: int = 1
) -> StreamData | None:
    """This process's share of the data of a step of the whole recipe, made on ``device``.

    None in steps of pursuit, whose data are the trainer's own.
    """
    index, place = recipe.at(step)
    stage = recipe.stages[index]
    batch, n, dx, dy, kind = shape_of(recipe, index, place)
    generator = seeded(device, recipe.seed, index, place, 1)
    if kind == "pursuit":
        return None
    if kind == "moved":
        return _moved(stage, batch, n, dx, dy, generator, rank, world)
    narrow = max(dx, dy) <= stage.dims[1]
    families = {k: v for k, v in stage.families.items() if narrow or registry.FAMILIES[k].wide}
    shares = torch.tensor(list(families.values()), dtype=torch.float64)
    choose = seeded(torch.device("cpu"), recipe.seed, index, place, 2)
    drawn = torch.multinomial(shares, stage.groups, replacement=True, generator=choose).tolist()
    names = list(families)
    sizes = [
        batch * (k + 1) // stage.groups - batch * k // stage.groups for k in range(stage.groups)
    ]
    x = torch.empty(batch, n, dx, device=device)
    y = torch.empty(batch, n, dy, device=device)
    mi = torch.empty(batch, device=device)
    family = torch.empty(batch, dtype=torch.int64)
    start = 0
    for k in sorted(set(drawn)):
        count = sum(size for size, d in zip(sizes, drawn) if d == k)
        if not count:  # fewer datasets than groups
            continue
        part = slice(start, start + count)
        made = registry.FAMILIES[names[k]].sample(count, n, dx, dy, generator=generator)
        x[part], y[part], mi[part] = made.x, made.y, made.mi
        family[part] = FAMILIES.index(names[k])
        start += count
    share = slice(rank, None, world)
    return StreamData(x[share], y[share], mi[share], family[share].to(device), False)


def _moved(
    stage: Stage, batch: int, n: int, dx: int, dy: int, generator: torch.Generator, rank: int,
    world: int,
) -> StreamData:  # fmt: skip
    """Pairs of datasets, before and after a small move; half as many as a step has datasets."""
    count = max(8, batch // 16 * 8)
    pair = registry.FAMILIES["general"].sample_moved(count, n, dx, dy, generator=generator)
    share = slice(rank, None, world)
    x, y, mi = (torch.cat([getattr(b, k)[share] for b in pair]) for k in ("x", "y", "mi"))
    return StreamData(x, y, mi, torch.full_like(mi, FAMILIES.index("moved")).long(), True)


def validation(
    recipe: Recipe, device: torch.device, *, size: int = 32, most: int = 4096
) -> Iterator[tuple[str, tuple[int, int, int], Batch]]:
    """Draws of every family and size with seeds that no step has; ``most`` samples at most."""
    for name, family in registry.FAMILIES.items():
        for place, (n, dx, dy) in enumerate(VALIDATION):
            if n > most or (max(dx, dy) > 64 and not family.wide):
                continue
            generator = seeded(device, 1_000_003, FAMILIES.index(name), place)
            count = size if max(dx, dy) <= 64 else max(4, size // 4)
            yield name, (n, dx, dy), family.sample(count, n, dx, dy, generator=generator)
