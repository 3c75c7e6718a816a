"""The ``general`` meta-distribution: what users feed an estimator, with known MI.

A dataset is a block of one kind (see :data:`KINDS`) on its first columns; the remaining columns of
each side are noise, a further independent Gaussian block, or functions of the block's columns. Then
the columns of a side may be mixed linearly, or warped by coupling layers and spirals. MI is the sum
over blocks; ``Batch.error`` is that of the first, as the second is exact.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral

import torch
from torch import Tensor

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.general.blocks import BLOCKS, Block, Pair, canonical_pairs
from torchmist.synthetic.general.channel import binned_channel_mi, draw_channels, sample_channels
from torchmist.synthetic.general.discrete import draw_thresholds, sample_thresholds, threshold_mi
from torchmist.synthetic.general.mixing import (
    append_features,
    couple,
    mix_linearly,
    roll,
    spiral,
    warp_marginals,
)
from torchmist.synthetic.general.mixtures import class_mi, draw_mixture, sample_mixture

__all__ = ["KINDS", "GeneralMeta"]

KINDS: Mapping[str, float] = {
    "gaussian": 0.29,
    "factors": 0.10,
    "student": 0.10,
    "paper": 0.16,
    "relation": 0.10,
    "mixture": 0.05,
    "classes": 0.12,
    "channel": 0.03,
    "threshold": 0.05,
}
"""Kinds of block and their shares."""

_LABELS = range(3, 21)
_LABELLED = ("classes", "channel")
_ELLIPTICAL = (
    "gaussian",
    "factors",
    "student",
    "channel",
)  # their columns, of x where y is a label
_FEW, _RARE = 5, 0.1
_WARPS: Mapping[Callable[..., Tensor], float] = {warp_marginals: 0.25, couple: 0.25, spiral: 0.5}


class GeneralMeta:
    """Datasets of any ``dx``, ``dy`` from 1: see the module.

    Warps, and linear maps of what is not elliptical, hide structure from every column. They are
    rare. On sides of more than five columns warps are ten times rarer, and such linear maps are
    left out: no sample shows what they hide, and an estimate that allows for it everywhere is too
    high on plain data.

    Args:
        kinds: shares of the kinds of block, :data:`KINDS` by default; they need not sum to 1.
        independent: share of datasets whose sides are exactly independent.
        mixed: share of elliptical datasets with linearly mixed columns.
        warped: share of datasets (of continuous kinds) with nonlinear maps that mix columns; twice
            that share of those that are not elliptical have linearly mixed ones (up to five).

    Raises:
        ValueError: for unknown kinds, no kind at all, or shares outside of [0, 1].

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch = GeneralMeta().sample(8, 100, 3, 5, generator=generator)
        >>> batch.x.shape, batch.y.shape, batch.mi.shape
        (torch.Size([8, 100, 3]), torch.Size([8, 100, 5]), torch.Size([8]))
    """

    def __init__(
        self, kinds: Mapping[str, float] | None = None, *, independent: float = 0.2,
        mixed: float = 0.35, warped: float = 0.05,
    ) -> None:  # fmt: skip
        kinds = dict(KINDS if kinds is None else kinds)
        unknown = sorted(set(kinds) - set(KINDS))
        if unknown or not sum(kinds.values()) > 0:
            raise ValueError(f"expected shares of some of {sorted(KINDS)}, got {kinds}")
        for name, share in (("independent", independent), ("mixed", mixed), ("warped", warped)):
            if not 0 <= share <= 1:
                raise ValueError(f"expected {name} in [0, 1], got {share}")
        self.kinds = kinds
        self.families = tuple(kinds)
        self.independent, self.mixed, self.warped = independent, mixed, warped

    def sample(
        self, batch_size: int, n: int, dx: int, dy: int, *, generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> Batch:  # fmt: skip
        """``batch_size`` datasets of ``n`` samples; ``family`` indexes ``self.families``.

        Everything is made on the generator's device, then moved to ``device`` where one is given.

        Raises:
            ValueError: if ``batch_size``, ``n``, ``dx`` or ``dy`` is no integer of at least 1.
        """
        for name, value in (("batch_size", batch_size), ("n", n), ("dx", dx), ("dy", dy)):
            if not isinstance(value, Integral) or value < 1:
                raise ValueError(f"expected {name} to be an integer >= 1, got {value!r}")
        where = generator.device
        shares = torch.tensor(list(self.kinds.values()), dtype=torch.float64, device=where)
        family = torch.multinomial(shares, batch_size, replacement=True, generator=generator)
        x = torch.empty(batch_size, n, dx, device=where)
        y = torch.empty(batch_size, n, dy, device=where)
        mi, error = torch.zeros(2, batch_size, dtype=torch.float64, device=where)
        for index in family.unique().tolist():
            rows = (family == index).nonzero().squeeze(-1)
            # the larger half of each kind shares one layout, the rest another
            for part in rows.tensor_split(2) if len(rows) > 1 else (rows,):
                block = self._dataset(self.families[index], len(part), n, dx, dy, generator)
                x[part], y[part], mi[part], error[part] = block
        apart = torch.rand(batch_size, generator=generator, device=where) < self.independent
        if batch_size > 1:
            y = torch.where(apart[:, None, None], y.roll(1, 0), y)
            mi, error = torch.where(apart, 0.0, torch.stack([mi, error]))
        batch = Batch(x, y, mi.float(), family, error.float())
        return batch if device is None else batch.to(device)

    def _dataset(
        self, kind: str, batch: int, n: int, dx: int, dy: int, generator: torch.Generator
    ) -> Block:
        """Datasets of one kind with one layout of columns; Gaussian where no side holds labels."""
        error: Tensor | float = 0.0
        labels = self._label_side(dx, dy, generator) if kind in _LABELLED else ""
        if labels:
            x, y, mi, error = self._labelled(kind, batch, n, dx, dy, labels == "x", generator)
            free = (labels != "x", labels != "y")
        elif kind == "threshold":
            x, y, mi = self._threshold(batch, n, dx, dy, generator)
            free = (False, False)
        else:
            kind = "gaussian" if kind in _LABELLED else kind
            p = self._columns(kind, dx, generator)
            q = self._columns(kind, dy, generator)
            if kind in ("relation", "paper"):
                p = q = min(p, q)
            x, y, mi, error = BLOCKS[kind](batch, n, p, q, generator)
            free = (True, True)
        plain = kind in _ELLIPTICAL
        x, y, more, derived = self._fill(x, y, dx, dy, n, generator, free, plain)
        u = torch.rand(2, batch, generator=generator, device=generator.device)
        again = torch.rand(2, batch, generator=generator, device=generator.device)
        both = torch.rand(batch, generator=generator, device=generator.device) < 0.5
        x = self._mix(x, free[0], plain and not derived[0], u, generator)
        again = torch.where(both, u, again)
        y = self._mix(y, free[1], plain and not derived[1], again, generator)
        return x, y, mi + more, error

    @staticmethod
    def _columns(kind: str, d: int, generator: torch.Generator) -> int:
        """Columns of a side that the block takes: all, or any number; few for costly kinds."""
        u = torch.rand(2, generator=generator, device=generator.device).tolist()
        most = {"mixture": min(d, 6), "relation": min(d, 12)}.get(kind, d)
        return most if u[0] < 0.6 else 1 + int(u[1] * most)

    @staticmethod
    def _label_side(dx: int, dy: int, generator: torch.Generator) -> str:
        """The side that can hold class labels, if any: one column (two classes) or 3 to 20."""
        sides = [s for s, d in (("x", dx), ("y", dy)) if d == 1 or d in _LABELS]
        if not sides:
            return ""
        place = torch.randint(len(sides), (1,), generator=generator, device=generator.device)
        return sides[int(place)]

    def _labelled(
        self, kind: str, batch: int, n: int, dx: int, dy: int, swap: bool,
        generator: torch.Generator,
    ) -> Block:  # fmt: skip
        """Columns against their one-hot label (one column for two classes)."""
        width, d = (dx, dy) if swap else (dy, dx)
        p = min(self._columns(kind, d, generator), 32)
        count = 2 if width == 1 else width
        error: Tensor | float = 0.0
        if kind == "channel":
            c = draw_channels(batch, p, count, generator=generator)
            x, label = sample_channels(c, n, generator=generator)
            mi = binned_channel_mi(c)
        else:
            m = draw_mixture(batch, count, p, 1, generator=generator)
            x, _, label = sample_mixture(m, n, generator=generator)
            mi, error = class_mi(m, generator=generator)
        one_hot = torch.nn.functional.one_hot(label, count).float()
        y = one_hot[..., 1:] if width == 1 else one_hot
        return (y, x, mi, error) if swap else (x, y, mi, error)

    def _threshold(self, batch: int, n: int, dx: int, dy: int, generator: torch.Generator) -> Pair:
        """Binned Gaussian pairs; either side may be the binned one."""
        u = torch.rand(3, generator=generator, device=generator.device).tolist()
        pairs = 1 + int(u[0] * min(dx, dy, 8))
        p = draw_thresholds(batch, pairs, (2, 2, 3, 5, 10, 20)[int(6 * u[1])], generator=generator)
        x, y = sample_thresholds(p, n, generator=generator)
        mi = threshold_mi(p)
        return (y, x, mi) if u[2] < 0.5 else (x, y, mi)

    def _fill(
        self, x: Tensor, y: Tensor, dx: int, dy: int, n: int, generator: torch.Generator,
        free: tuple[bool, bool], elliptical: bool,
    ) -> tuple[Tensor, Tensor, Tensor, tuple[bool, bool]]:  # fmt: skip
        """The columns that the block left: functions of its columns, noise, or Gaussian pairs.

        Also the MI that these add, and which sides have functions of columns.
        """
        none = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        u = torch.rand(4, generator=generator, device=x.device).tolist()
        width = (x.shape[-1], y.shape[-1])
        if free[0] and x.shape[-1] < dx:
            x = self._derive(x, dx, u[0], elliptical, generator)
        if free[1] and y.shape[-1] < dy:
            y = self._derive(y, dy, u[1], elliptical, generator)
        derived = (x.shape[-1] > width[0], y.shape[-1] > width[1])
        p, q = dx - x.shape[-1], dy - y.shape[-1]
        if not p and not q:
            return x, y, none, derived
        if p and q and u[2] < 0.5:
            rest_x, rest_y, more = canonical_pairs(len(x), n, p, q, generator, scale=0.3)
        else:
            shape = (len(x), n)
            rest_x = torch.randn(*shape, p, generator=generator, device=x.device)
            rest_y = torch.randn(*shape, q, generator=generator, device=x.device)
            more = none
        return torch.cat([x, rest_x], -1), torch.cat([y, rest_y], -1), more, derived

    @staticmethod
    def _derive(
        x: Tensor, d: int, u: float, elliptical: bool, generator: torch.Generator
    ) -> Tensor:
        """Sometimes a roll, sometimes appended functions of the columns at hand, else nothing.

        Half of the elliptical datasets keep the columns themselves mixed linearly only.
        """
        left, width = d - x.shape[-1], x.shape[-1]
        if u < 0.1:
            return roll(x, generator=generator)
        if u > 0.4:
            return x
        out = append_features(x, min(left, 1 + int(left * (u - 0.1) / 0.3)), generator=generator)
        if elliptical and width > 1:
            rows = torch.rand(len(x), generator=generator, device=x.device) < 0.5
            out[rows, :, :width] = mix_linearly(x[rows], generator=generator)
        return out

    def _mix(
        self, x: Tensor, free: bool, elliptical: bool, u: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Some datasets' columns mixed linearly, some warped; neither where a side is discrete.

        ``u``: ``[2, B]`` uniform, which decide it; half of the datasets have the same on both
        sides.
        """
        if not free or x.shape[-1] < 2:
            return x
        few = x.shape[-1] <= _FEW
        warped = self.warped if few else _RARE * self.warped
        linear = self.mixed if elliptical else 2 * self.warped if few else 0.0
        rows = (u[0] < linear).nonzero().squeeze(-1)
        if len(rows):
            x[rows] = mix_linearly(x[rows], generator=generator)
        low = 0.0
        for warp, share in _WARPS.items():
            rows = ((u[1] >= low) & (u[1] < low + share * warped)).nonzero().squeeze(-1)
            low += share * warped
            if len(rows):
                out = warp(x[rows], generator=generator)
                if warp is warp_marginals:
                    out = mix_linearly(out, generator=generator)
                x[rows] = out
        return x
