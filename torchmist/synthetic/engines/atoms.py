r"""Atoms and kinds: pairs with point masses, counts, codes and tables of mixed kinds.

Normal pairs are observed through censoring, rounding, codes and gates (``latent``), a visible code
may set the correlation of each row (:math:`I = \sum_c w_c I_c`), counts and classes follow a joint
table (``table``), and labels depend on all digits of X together (``digits``). Independent pairs
add up; the other columns repeat the core or are noise.

Legend: ``B`` datasets, ``N`` samples, ``P`` pairs of each, ``V`` visible codes, ``F = B P``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms_latent import (
    Cells,
    LatentPairs,
    draw_latent,
    latent_information,
    sample_latent,
)
from torchmist.synthetic.engines.atoms_tables import (
    TABLES,
    digits_table,
    draw_table,
    sample_table,
    table_information,
)
from torchmist.synthetic.engines.family import Family
from torchmist.synthetic.engines.functions_columns import (
    chances,
    lay_out,
    one_hot,
    pick,
    repeats,
    uniform,
)

__all__ = ["AtomParameters", "Atoms"]

_VALUES = 27  # of a side of a table
_BASES = ((2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (4, 2), (5, 2), (2, 1))  # base, digits
_MOST_HOT = 20
_INDEPENDENT = 0.1
_KINDS = {"latent": 0.6, "table": 0.25, "digits": 0.15}


@dataclass(frozen=True)
class AtomParameters:
    """Pairs with atoms; what all datasets of the batch share is not a tensor."""

    kind: str
    pairs: int
    swapped: bool
    hot: bool  # Y is shown as indicator columns
    dims: tuple[int, int]  # columns of X and Y before the swap
    extra: tuple[int, int]  # repeating columns of X and Y
    digits: tuple[int, int]  # base and digits of X
    latent: LatentPairs | None
    code: Tensor  # [F, V], shares of the visible code
    correlation: Tensor  # [F, V, H]
    table: Tensor  # [F, A, C]
    shown: tuple[Tensor, Tensor]  # [F, A], [F, C]: numbers of the table's values
    jitter: Tensor  # [2, F, 1], 1 where a side of the table is spread within its steps
    independent: Tensor  # [B], bool


class Atoms(Family[AtomParameters]):
    """The law of pairs with atoms.

    Args:
        kinds: shares of ``latent``, ``table`` and ``digits``; the engine's own by default.

    Raises:
        ValueError: for an unknown or missing kind.

    Example:
        >>> import torch
        >>> batch = Atoms().sample(4, 50, 3, 2, generator=torch.Generator().manual_seed(0))
        >>> batch.x.shape, batch.y.shape
        (torch.Size([4, 50, 3]), torch.Size([4, 50, 2]))
    """

    name = "atoms"

    def __init__(self, kinds: dict[str, float] | None = None) -> None:
        self.kinds = dict(_KINDS if kinds is None else kinds)
        if not self.kinds or not set(self.kinds) <= set(_KINDS):
            raise ValueError(f"expected kinds among {sorted(_KINDS)}, got {sorted(self.kinds)}")

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> AtomParameters:
        u = chances(20, generator=generator)
        swapped = u[0] < 0.5
        dx, dy = (dy, dx) if swapped else (dx, dy)
        layout = _layout(pick(u[1], self.kinds), dx, dy, u)
        flat, device = batch * layout.pairs, generator.device
        latent = None
        code = torch.ones(flat, 1, device=device)
        correlation = torch.zeros(0, device=device)
        table = torch.ones(flat, 1, 1, device=device)
        if layout.kind == "latent":
            latent, code, correlation = _draw_coded(flat, layout, u[12], u[13], generator)
        elif layout.kind == "digits":
            base, digits = layout.digits
            classes = dy if layout.hot else base if u[14] < 0.7 else 2
            table = digits_table(flat, base, digits, classes, generator=generator)
        else:
            table = _draw_tables(flat, dy if layout.hot else _VALUES, u[15:19], generator)
        return AtomParameters(
            layout.kind,
            layout.pairs,
            swapped,
            layout.hot,
            (dx, dy),
            layout.extra,
            layout.digits,
            latent,
            code,
            correlation,
            table,
            (_numbers(flat, table.shape[1], generator), _numbers(flat, table.shape[2], generator)),
            (uniform(2, flat, 1, generator=generator) < 0.2).float(),
            uniform(batch, generator=generator) < _INDEPENDENT,
        )

    def sample_from(
        self, parameters: AtomParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        p = parameters
        if p.latent is not None:
            x, y = _latent_rows(p, p.latent, n, generator)
        else:
            x, y = _table_rows(p, n, generator)
        # from [F, columns, N] to [B, N, P columns]
        batch = len(p.independent)
        x, y = (side.reshape(batch, -1, n).mT for side in (x, y))
        order = torch.randperm(n, generator=generator, device=x.device)
        y = torch.where(p.independent[:, None, None], y[:, order], y)
        x = repeats(x, p.extra[0], generator=generator)
        y = repeats(y, p.extra[1], generator=generator)
        x = lay_out(x, p.dims[0], generator=generator)
        y = lay_out(y, p.dims[1], generator=generator)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: AtomParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        p = parameters
        batch = len(p.independent)
        if p.latent is None:
            mi, error = table_information(p.table), torch.zeros_like(p.table[:, 0, 0]).double()
        else:
            flat, codes, hidden = p.correlation.shape
            each = _repeated(p.latent, codes)
            each = replace(each, correlation=p.correlation.reshape(flat * codes, hidden))
            mi, error = latent_information(each, generator=generator)
            share = p.code.double()
            mi = (mi.reshape(flat, codes) * share).sum(-1)
            error = (error.reshape(flat, codes) * share).square().sum(-1).sqrt()
        mi = mi.reshape(batch, -1).sum(-1)
        error = error.reshape(batch, -1).square().sum(-1).sqrt()
        return mi.masked_fill(p.independent, 0), error.masked_fill(p.independent, 0)


class _Layout(NamedTuple):
    """Which columns hold what, in all datasets of a call; names as in :class:`AtomParameters`."""

    kind: str
    hot: bool
    digits: tuple[int, int]
    codes: int  # values of the visible code of latent pairs
    pairs: int
    extra: tuple[int, int]


def _layout(kind: str, dx: int, dy: int, u: list[float]) -> _Layout:
    """A layout of ``dx`` and ``dy`` columns, from the chances ``u[2]`` to ``u[11]``."""
    hot = kind != "latent" and 3 <= dy <= _MOST_HOT and u[2] < 0.5
    base, digits = _BASES[int(u[3] * (len(_BASES) - 1))] if dx > 1 else _BASES[-1]
    digits = min(digits, dx)
    codes = 2 + int(2 * u[4]) if dx > 1 and u[5] < 0.25 else 1
    width = digits if kind == "digits" else 2 if kind == "latent" and codes > 1 else 1
    pairs = 1 if hot else _pairs(min(dx // width, dy), u[6], u[7])
    extra = _extra(dx - pairs * width, u[8], u[9]), _extra(dy - pairs, u[10], u[11])
    return _Layout(kind, hot, (base, digits), codes, pairs, (extra[0], 0 if hot else extra[1]))


def _pairs(most: int, u: float, v: float) -> int:
    """Number of pairs: one in half of the calls, up to 4 mostly, up to 16 in wide data."""
    if u < 0.5:
        return 1
    return 1 + int(v * min(most, 4 if u < 0.85 else 16))


def _extra(room: int, u: float, v: float) -> int:
    """Repeating columns in a room: none mostly, but many where it is wide."""
    if room < 1 or u > (0.7 if room > 16 else 0.2):
        return 0
    return int(room ** (0.3 + 0.7 * v))


def _numbers(tables: int, values: int, generator: torch.Generator) -> Tensor:
    """Numbers ``[F, values]`` shown for values: in order, or codes in random order (a third)."""
    order = torch.rand(tables, values, generator=generator, device=generator.device).argsort(-1)
    mixed = uniform(tables, 1, generator=generator) < 1 / 3
    return torch.where(mixed, order, torch.arange(values, device=order.device)).float()


def _draw_coded(
    flat: int, layout: _Layout, u: float, v: float, generator: torch.Generator
) -> tuple[LatentPairs, Tensor, Tensor]:
    """Latent pairs, the shares ``[F, V]`` of their visible code, and the correlations ``[F, V, H]``
    that it sets."""
    cells = 4 if layout.pairs > 4 else (4, 10, 24)[int(3 * u)]  # bounds the memory
    hidden = 2 if v < 0.25 else 1
    codes = layout.codes
    latent = draw_latent(flat, cells, codes * hidden, layout.pairs**-0.5, generator=generator)
    correlation = latent.correlation.reshape(flat, codes, hidden)
    code = 0.2 + uniform(flat, codes, generator=generator)
    code = code / code.sum(-1, keepdim=True)
    weight = latent.weight[:, :hidden]
    latent = replace(latent, weight=weight / weight.sum(-1, keepdim=True))
    return latent, code, correlation


def _draw_tables(flat: int, values: int, u: list[float], generator: torch.Generator) -> Tensor:
    """Joint tables ``[F, A, values]``, a part of them of one law for each chance in ``u``."""
    ends = [flat * i // len(u) for i in range(len(u) + 1)]
    parts = [
        draw_table(pick(v, TABLES), last - first, _VALUES, values, generator=generator)
        for v, first, last in zip(u, ends, ends[1:])
        if last > first
    ]
    return torch.cat(parts)


def _repeated(pairs: LatentPairs, times: int) -> LatentPairs:
    def each(side: Cells) -> Cells:
        return Cells(**{k: v.repeat_interleave(times, 0) for k, v in vars(side).items()})

    if times == 1:
        return pairs
    return LatentPairs(
        pairs.correlation,
        pairs.weight.repeat_interleave(times, 0),
        each(pairs.x),
        each(pairs.y),
        pairs.gates.repeat_interleave(times, 0),
        pairs.table.repeat_interleave(times, 0),
    )


def _latent_rows(
    p: AtomParameters, latent: LatentPairs, n: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """X ``[F, 1 or 2, N]``, the second column being the code, and Y ``[F, 1, N]``."""
    flat, codes, hidden = p.correlation.shape
    u = uniform(2, flat, n, generator=generator)
    code = torch.searchsorted(p.code.cumsum(-1)[:, :-1].contiguous(), u[0], right=True)
    component = torch.searchsorted(latent.weight.cumsum(-1)[:, :-1].contiguous(), u[1], right=True)
    correlation = p.correlation.flatten(1).gather(1, code * hidden + component)
    x, y = sample_latent(latent, correlation, n, generator=generator)
    columns = (x, code.float()) if codes > 1 else (x,)
    return torch.stack(columns, 1), y[:, None]


def _table_rows(p: AtomParameters, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """X ``[F, digits or 1, N]`` and Y ``[F, classes or 1, N]``."""
    row, column = sample_table(p.table, n, generator=generator)
    jitter = p.jitter[..., None] * uniform(*p.jitter.shape[:2], 1, n, generator=generator)
    if p.kind == "digits":
        base, digits = p.digits
        place = base ** torch.arange(digits, device=row.device)[:, None]
        x = (row[:, None] // place % base).float()
    else:
        x = p.shown[0].gather(1, row)[:, None] + jitter[0]
    if p.hot:
        return x, one_hot(column, p.table.shape[2]).mT
    return x, p.shown[1].gather(1, column)[:, None] + jitter[1]
