r"""Normal pairs observed with atoms, and their exact mutual information.

A latent pair (z, z') has correlation rho. Each side is cut at thresholds into cells; an atomic cell
shows a number of its own (a label, which cells may share), the others show z. A pair of gates sends
sides to labels drawn from a table instead. With shares g of the gates' states, label masses of the
table q and of the open pair m, the joint law has four parts, each against the product of marginals:
labels on both sides (a table), labels on one side and numbers on the other (an integral over the
numbers, at 256 quantiles), and numbers on both (a mean of the log copula density over points).

Legend: ``F`` pairs, ``M`` cells and labels, ``H`` hidden components, ``Q`` quantiles, ``K`` points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.functions_columns import uniform

__all__ = ["Cells", "LatentPairs", "draw_latent", "latent_information", "sample_latent"]

_QUANTILES = 256
_POINTS = 2048
_LARGEST = 3.0  # nats of a latent pair


@dataclass(frozen=True)
class Cells:
    """How one side is observed."""

    thresholds: Tensor  # [F, M - 1], ascending normal scores at multiples of 1 / 256, then inf
    atomic: Tensor  # [F, M], bool
    label: Tensor  # [F, M], int64 in 0 to M - 1
    shown: Tensor  # [F, M], the number of each label


@dataclass(frozen=True)
class LatentPairs:
    """A batch of normal pairs observed with atoms."""

    correlation: Tensor  # [F, H]
    weight: Tensor  # [F, H]
    x: Cells
    y: Cells
    gates: Tensor  # [F, 4]: shares of both open, only y gated, only x gated, both gated
    table: Tensor  # [F, M, M], labels of both sides where both are gated; sums to 1


def draw_latent(
    pairs: int, cells: int, hidden: int, scale: float, *, generator: torch.Generator
) -> LatentPairs:
    """Draw pairs with up to ``cells`` cells; ``scale`` multiplies their information."""
    device = generator.device

    def rand(*shape: int) -> Tensor:
        return uniform(pairs, *shape, generator=generator)

    nats = (0.02 * 200 ** rand(hidden).sqrt() * scale).clamp(max=_LARGEST)
    correlation = (-torch.expm1(-2 * nats)).sqrt() * (rand(hidden) - 0.5).sign()
    weight = 0.2 + rand(hidden)
    a, b = 0.05 + 0.7 * rand(1), 0.05 + 0.7 * rand(1)
    kind = rand(1)
    none = torch.zeros_like(a)
    gates = torch.where(
        kind < 0.6,
        torch.cat((1 - none, none, none, none), -1),
        torch.where(
            kind < 0.7,
            torch.cat(((1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b), -1),
            torch.where(
                kind < 0.8,
                torch.cat((1 - a, none, a, none), -1),
                torch.cat((1 - a, none, none, a), -1),
            ),
        ),
    )
    few = min(4, cells)
    table = torch.zeros(pairs, cells, cells, device=device)
    noise = torch.randn(pairs, few, few, generator=generator, device=device)
    table[:, :few, :few] = (2.5 * rand(1, 1) * noise).exp()
    table = torch.where(rand(1, 1) < 0.5, table, 0.0)
    table[:, 0, 0] += 1e-6
    return LatentPairs(
        correlation,
        weight / weight.sum(-1, keepdim=True),
        _draw_cells(pairs, cells, generator),
        _draw_cells(pairs, cells, generator),
        gates,
        table / table.sum((1, 2), keepdim=True),
    )


def _draw_cells(pairs: int, cells: int, generator: torch.Generator) -> Cells:
    """Continuous, censored, a dead zone, rounded, codes in random order, or folded codes."""
    device = generator.device

    def rand(*shape: int) -> Tensor:
        return uniform(pairs, *shape, generator=generator)

    kind = rand(1)
    continuous, censored, zone = kind < 0.3, kind < 0.55, kind < 0.62  # each beyond the former
    shuffled, folded = kind > 0.85, kind > 0.93
    index = torch.arange(cells, device=device)
    levels = 2 + ((cells - 1) * rand(1).square()).floor()
    equal = torch.special.ndtr((index[1:] - levels / 2 + rand(1) - 0.5) * (4.5 / levels))
    free = torch.where(index[1:] < levels, rand(cells - 1), 2.0).sort(-1).values
    level = torch.where(rand(1) < 0.5, equal, free)
    two = rand(2).mul(0.9).add(0.05).sort(-1).values
    level = torch.where(zone, torch.nn.functional.pad(two, (0, cells - 3), value=2.0), level)
    level = (level * _QUANTILES).round().clamp(3, _QUANTILES - 3) / _QUANTILES
    count = torch.where(zone, 3.0, levels)
    thresholds = torch.special.ndtri(level).masked_fill(index[1:] >= count, math.inf)
    which = (3 * rand(1)).floor()  # censored below, above, at both ends
    ends = ((index == 0) & (which != 1)) | ((index == 2) & (which != 0))
    atomic = torch.where(zone, torch.where(censored, ends, index == 1), index < count)
    atomic = atomic & ~continuous
    fold = torch.where(
        rand(1) < 0.5,
        torch.remainder(index, (2 + 2 * rand(1)).floor()),
        torch.maximum(index, levels - 1 - index).clamp(min=0),
    )
    label = torch.where(folded, fold, index.float().expand(pairs, cells)).long()
    low, high = thresholds[:, :1], thresholds[:, 1:2]
    own = torch.randn(pairs, cells, generator=generator, device=device)
    at_ends = torch.cat((low, (low + high) / 2, high, own[:, 3:]), -1)
    code = torch.where(shuffled, rand(cells).argsort(-1), index).float()
    shown = torch.where(continuous, own, torch.where(zone, at_ends, code))
    return Cells(thresholds, atomic, label, shown)


def sample_latent(
    p: LatentPairs, correlation: Tensor, n: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw ``n`` rows ``[F, n]`` of both sides; ``correlation`` ``[F, n]`` is that of each row."""
    pairs, cells = p.x.shown.shape
    z = torch.randn(2, pairs, n, generator=generator, device=correlation.device)
    other = correlation * z[0] + (1 - correlation.square()).sqrt() * z[1]
    u = uniform(2, pairs, n, generator=generator)
    state = torch.searchsorted(p.gates.cumsum(-1)[:, :3].contiguous(), u[0], right=True)
    entry = torch.searchsorted(p.table.flatten(1).cumsum(-1)[:, :-1].contiguous(), u[1], right=True)
    row = entry // cells
    x = _observe(p.x, z[0], state >= 2, row)
    y = _observe(p.y, other, state % 2 == 1, entry - cells * row)
    return x, y


def _observe(side: Cells, z: Tensor, gated: Tensor, label: Tensor) -> Tensor:
    """The number shown: of a drawn label where gated, of a cell's label, or z itself."""
    cell = torch.searchsorted(side.thresholds.contiguous(), z.contiguous())
    own = torch.where(gated, label, side.label.gather(1, cell))
    return torch.where(gated | side.atomic.gather(1, cell), side.shown.gather(1, own), z)


def latent_information(p: LatentPairs, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats and its standard error, ``[F]`` float64."""
    device = p.gates.device
    u = (torch.arange(_QUANTILES, device=device) + 0.5) / _QUANTILES
    z = torch.special.ndtri(u)
    here_x, number_x, given_x = _conditionals(p, p.x, z)
    here_y, number_y, given_y = _conditionals(p, p.y, z)
    mass_x, mass_y = here_x.mean(1), here_y.mean(1)  # [F, M], of the open pair
    open_table = here_x.mT @ given_y / _QUANTILES
    both, only_y, only_x, neither = p.gates[..., None].unbind(1)  # each [F, 1]
    table = p.table
    row, column = table.sum(2), table.sum(1)
    px = (only_x + neither) * row + (both + only_y) * mass_x
    py = (only_y + neither) * column + (both + only_x) * mass_y
    joint = (
        neither[..., None] * table
        + both[..., None] * open_table
        + only_x[..., None] * row[..., None] * mass_y[:, None]
        + only_y[..., None] * mass_x[..., None] * column[:, None]
    )
    mi = _relative(joint, px[..., None] * py[:, None]).double().sum((1, 2))
    for given, number, gated, open_here, label, share in (
        (given_x, number_y, only_x, both + only_x, px, row),
        (given_y, number_x, only_y, both + only_y, py, column),
    ):
        law = gated[..., None] * share[:, None] + both[..., None] * given  # [F, Q, M]
        term = _relative(law, open_here[..., None] * label[:, None]).sum(-1)
        mi = mi + (term * number).double().mean(1)
    numbers, log_density, error = _numbers(p, generator)
    opens = _relative(both, (both + only_x) * (both + only_y))
    return mi + opens[:, 0] * numbers + both[:, 0] * log_density, both[:, 0] * error


def _relative(joint: Tensor, product: Tensor) -> Tensor:
    """``p log(p / q)``, 0 where p is 0."""
    return joint * (joint.clamp(min=1e-30) / product.clamp(min=1e-30)).log()


def _conditionals(p: LatentPairs, side: Cells, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of a side at its own quantiles and given the other side's, ``[F, Q, M]``.

    The second value ``[F, Q]`` is 1 where the side shows a number at its quantile.
    """
    cells = side.label.shape[1]
    labels = torch.nn.functional.one_hot(side.label, cells) * side.atomic[..., None]
    labels = labels.float()  # [F, M, M], cell to label
    cell = torch.searchsorted(side.thresholds.contiguous(), z.expand(len(labels), -1).contiguous())
    here = labels.gather(1, cell[..., None].expand(-1, -1, cells))
    total = torch.zeros_like(here)
    for correlation, weight in zip(p.correlation.unbind(1), p.weight.unbind(1)):
        rest = (1 - correlation.square()).sqrt()
        edge = side.thresholds[:, None] - correlation[:, None, None] * z[:, None]
        below = torch.special.ndtr(edge / rest[:, None, None])  # [F, Q, M - 1]
        below = torch.nn.functional.pad(torch.nn.functional.pad(below, (1, 0)), (0, 1), value=1.0)
        total = total + weight[:, None, None] * below.diff(dim=-1)
    return here, 1 - here.sum(-1), total @ labels


def _numbers(p: LatentPairs, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Chance that both sides show numbers, the log copula density's mean there, and its error."""
    pairs, hidden = p.correlation.shape
    device = p.gates.device
    order = torch.rand(3, _POINTS, generator=generator, device=device).argsort(-1)
    u = (order[:, None] + 0.5) / _POINTS + uniform(3, pairs, 1, generator=generator)
    u = (u - u.floor()).clamp(1e-6, 1 - 1e-6)
    z, noise = torch.special.ndtri(u[:2])
    z, noise = torch.cat((z, z), -1), torch.cat((noise, -noise), -1)  # antithetic pairs
    rho = p.correlation
    own = rho[:, :1]
    if hidden > 1:
        component = torch.searchsorted(p.weight.cumsum(-1)[:, :-1].contiguous(), u[2], right=True)
        own = rho.gather(1, torch.cat((component, component), -1))
    other = own * z + (1 - own.square()).sqrt() * noise
    rest = 1 - rho.square()[..., None]
    residual = other[:, None] - rho[..., None] * z[:, None]  # [F, H, K]
    each = -0.5 * rest.log() - 0.5 * residual.square() / rest
    log_density = (each + p.weight.log()[..., None]).logsumexp(1) + 0.5 * other.square()
    number = (1 - _atomic_at(p.x, z)) * (1 - _atomic_at(p.y, other))
    value = (log_density * number).double().unflatten(-1, (2, -1)).mean(1)
    deviation, mean = torch.std_mean(value, -1)
    return number.double().mean(-1), mean, deviation / math.sqrt(_POINTS)


def _atomic_at(side: Cells, z: Tensor) -> Tensor:
    cell = torch.searchsorted(side.thresholds.contiguous(), z.contiguous())
    return side.atomic.gather(1, cell).float()
