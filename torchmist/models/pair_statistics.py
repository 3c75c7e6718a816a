r"""Statistics of two single columns, from the counts of their ranks on nested grids.

A column of numbers is seen through the ``3^k`` bins of equal mass that its ranks fall into, a
column of labels through its classes. Of the table of counts of both come opinions of I(X;Y):

- the plug-in on grids of 3, 9, 27, 81, 243 and 729 bins, less the bias of Miller and Madow (1955);
- kernels over bins, each sample left out of its own density,
  :math:`\frac1n \sum_i \log \frac{\hat p(x_i, y_i)}{\hat p(x_i) \hat p(y_i)}`, at several
  bandwidths;
- the Gaussian copula; energies of cosine moments of the copula; variances between classes.

All of them, and what describes sizes and ties, are free of the order of the samples, of increasing
and decreasing maps of a column of numbers, of names of labels, and of the swap of the sides: bins
are numbered from the nearer end, so that an odd number of them mirrors exactly.

Legend: ``B`` pairs, ``N`` samples, ``G`` bins, ``L`` classes, ``S`` statistics, ``O`` opinions.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from torchmist.models.count_table import CountTable, count_pairs, entropy_sum
from torchmist.numerics.cache import cached

__all__ = [
    "GRID",
    "KINDS",
    "OPINIONS",
    "bins",
    "label_statistics",
    "mixed_statistics",
    "number_statistics",
]

GRID = 81
KINDS = ("numbers", "mixed", "labels")
OPINIONS = {"numbers": 18, "mixed": 12, "labels": 7}
_FINE = 729  # bins of the sparse table, read at a third of them as well
_LEVELS = (3, 9, 27, 81)
_COARSE = 27  # bins of the kernels whose bandwidths differ on both sides
_WIDTHS = (0.6, 1.3, 3.0)  # of those kernels, in bins
_SQUARE = (1.0, 2.0)  # of the kernels on 81 bins that are alike on both sides
_LINE = (0.7, 1.5, 3.0, 6.0, 12.0, 24.0)  # of kernels beside labels, in 81sts
_MOMENTS = 8
_BANDS = ((0, 1), (1, 2), (2, 4), (4, 8))
_MIX = 0.03  # share of independence in a density that leaves its own sample out
_SHARES = (0.03, 0.15, 0.5)  # the same where classes have no neighbours to borrow from


def bins(codes: Tensor, count: int) -> Tensor:
    """Bins ``0 .. count - 1`` of twice the mid-ranks ``[..., N]`` from 0; ``count`` is odd.

    Mirrored codes ``2 N - 2 - c`` fall into mirrored bins.

    Example:
        >>> bins(torch.tensor([0, 2, 4, 6, 8, 10]), 3).tolist()
        [0, 0, 1, 1, 2, 2]
    """
    twice = 2 * codes.shape[-1]
    place = codes + 1
    below = place * count // twice
    above = count - 1 - (twice - place) * count // twice
    return torch.where(2 * place <= twice, below, above)


def _make_kernel(count: int, width: float, like: Tensor) -> Tensor:
    place = torch.arange(count, dtype=like.dtype, device=like.device)
    kernel: Tensor = torch.exp(-0.5 * ((place[:, None] - place) / width).square())
    return kernel


def _kernel(count: int, width: float, like: Tensor) -> Tensor:
    """Weights of bins on each other, 1 on themselves, ``[G, G]``."""
    return cached(_make_kernel, count, width, like=like)


def _make_cosines(count: int, like: Tensor) -> Tensor:
    place = (torch.arange(count, dtype=like.dtype, device=like.device) + 0.5) / count
    order = torch.arange(1, _MOMENTS + 1, dtype=like.dtype, device=like.device)
    cosines: Tensor = math.sqrt(2) * torch.cos(math.pi * order[:, None] * place)
    return cosines


def _make_normal(count: int, like: Tensor) -> Tensor:
    place = (torch.arange(count, dtype=torch.float64, device=like.device) + 0.5) / count
    scores: Tensor = torch.special.ndtri(place).to(like.dtype)
    return scores


def _t(nats: Tensor) -> Tensor:
    return (nats.clamp(min=-0.15) + 0.2).log()


def _joined(opinions: list[Tensor], others: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Statistics ``[B, S]``, the first of which are ``t`` of the opinions ``[B, O]``."""
    nats = torch.stack(opinions, -1)
    return torch.cat([_t(nats), torch.stack(others, -1)], -1), nats


def _sizes(n: int, like: Tensor) -> Tensor:
    return torch.full_like(like, math.log(min(n, 2**14)))


def number_statistics(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Statistics ``[B, S]`` and opinions ``[B, O]`` in nats of two columns of numbers.

    Args:
        x: normal scores and codes of the ranks, each ``[B, N]`` (``torchmist.copula.Ranks``).
        y: the same, or ``[1, N]`` for all pairs.
    """
    (zx, cx), (zy, cy) = x, y
    n = zx.shape[-1]
    counts = count_pairs(bins(cx, GRID), bins(cy, GRID), (GRID, GRID)).to(torch.float32)
    tables = {GRID: CountTable(counts)}
    for level in reversed(_LEVELS[:-1]):
        counts = counts.unflatten(1, (level, 3)).unflatten(3, (level, 3)).sum((2, 4))
        tables[level] = CountTable(counts)
    opinions, others = [_gaussian(zx, zy)], []
    for level in _LEVELS:
        table = tables[level]
        plain, bias = table.plug_in()
        opinions.append(plain - bias)
        others += [plain, bias, table.share_of(1), table.share_of(2)]
    sparse, told = _sparse(cx, cy)
    opinions += sparse
    others += told
    coarse, fine = tables[_COARSE], tables[GRID]
    opinions += [*_rectangles(coarse), *_squares(fine)]
    others += _moments(coarse)
    hx, hy = fine.entropies()
    others += [hx + hy, (hx - hy).abs(), _sizes(n, hx)]
    return _joined(opinions, others)


def _gaussian(zx: Tensor, zy: Tensor) -> Tensor:
    """MI of the Gaussian copula of the correlation of normal scores ``[B, N]``."""
    zx, zy = (z - z.mean(-1, keepdim=True) for z in (zx, zy))
    scale = (zx.square().sum(-1) * zy.square().sum(-1)).clamp(min=1e-12).sqrt()
    r = ((zx * zy).sum(-1) / scale).double()
    return (-0.5 * torch.log1p(-r.square().clamp(max=1 - 1e-9))).float()


def _sparse(cx: Tensor, cy: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Opinions and others of the tables of 243 and 729 bins, which are never made whole."""
    n = cx.shape[-1]
    i, j = bins(cx, _FINE), bins(cy, _FINE)
    key = ((i // 3 * (_FINE // 3) + j // 3) * 9 + i % 3 * 3 + j % 3).to(torch.int32)
    key = _sorted(key)
    opinions, others = [], []
    for level, wide in ((_FINE // 3, 9), (_FINE, 1)):
        cells = torch.div(key, wide, rounding_mode="floor")
        size, run = _runs(cells)
        margins = [
            count_pairs(side // (_FINE // level), side.new_zeros(1, n), (level, 1))[..., 0].float()
            for side in (i, j)
        ]
        seen = (run[:, -1] + 1).to(torch.float32)
        entropy = size.log().sum(-1)  # the sum over cells of c log c
        plain = (entropy - sum(entropy_sum(m, (1,)) for m in margins)) / n + math.log(n)
        bias = (seen - sum((m > 0).sum(1) for m in margins) + 1) / (2 * n)
        expected = math.prod((m.square().sum(1) for m in margins), start=torch.ones_like(plain))
        pairs = (size.sum(-1) - n).clamp(min=0)
        chance = (expected / n**2 - 1).clamp(min=0)
        opinions.append(((pairs + 1) / (chance + 1)).log())
        others += [plain, bias, pairs.log1p(), chance.log1p(), (size == 1).float().mean(-1)]
    return opinions, others


def _sorted(key: Tensor) -> Tensor:
    """Rows of integers ``[B, N]`` in order; numpy sorts them several times as fast on a CPU."""
    if key.device.type != "cpu":
        return key.sort(-1).values
    key = key.clone()
    key.numpy().sort(axis=-1)
    return key


def _runs(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Of sorted rows ``[B, N]``: how many entries equal each, and the number of its run."""
    start = torch.ones_like(cells, dtype=torch.bool)
    start[:, 1:] = cells[:, 1:] != cells[:, :-1]
    run = start.cumsum(-1, dtype=torch.int64) - 1
    first = torch.arange(0, cells.numel(), cells.shape[1], device=cells.device)[:, None]
    flat = (run + first).flatten()
    size = flat.bincount(minlength=cells.numel())[flat].view_as(run)
    return size.to(torch.float32), run


def _rectangles(table: CountTable) -> list[Tensor]:
    """Kernels of different bandwidths on both sides: the larger and the smaller of each two."""
    kernels = [_kernel(_COARSE, width, table.counts) for width in _WIDTHS]
    left = [kernel @ table.counts for kernel in kernels]
    rows, columns = ([v @ kernel for kernel in kernels] for v in (table.rows, table.columns))
    found = [
        [table.left_out(p @ kernel, r, c, _MIX) for kernel, c in zip(kernels, columns)]
        for p, r in zip(left, rows)
    ]
    out = []
    for i in range(len(_WIDTHS)):
        out.append(found[i][i])
        for j in range(i):
            pair = found[i][j], found[j][i]
            out += [torch.maximum(*pair), torch.minimum(*pair)]
    return out


def _squares(table: CountTable) -> list[Tensor]:
    out = []
    for width in _SQUARE:
        kernel = _kernel(GRID, width, table.counts)
        joint = kernel @ table.counts @ kernel
        out.append(table.left_out(joint, table.rows @ kernel, table.columns @ kernel, _MIX))
    return out


def _moments(table: CountTable) -> list[Tensor]:
    """Squares of the cosine moments of the copula less their expectation under independence."""
    cosines = cached(_make_cosines, _COARSE, like=table.counts)
    power = (cosines @ table.counts @ cosines.mT / table.n).square()
    excess = power - 1 / table.n
    bands = [excess[:, :high, :high].sum((1, 2)) for _, high in _BANDS]
    out = [bands[0], *(wide - narrow for narrow, wide in itertools.pairwise(bands))]
    out += [power[:, 1, 1], power[:, 0, 1] + power[:, 1, 0], power.flatten(1).amax(1)]
    for threshold in (4.0, 9.0):
        out.append((power - threshold / table.n).clamp(min=0).sum((1, 2)))
    return [v.clamp(-1, 16) for v in out]


def mixed_statistics(
    label: Tensor, classes: int, number: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Statistics and opinions of labels beside numbers; as :func:`number_statistics`.

    Args:
        label: codes from 0 below ``classes``, ``[B, N]`` or ``[1, N]``.
        classes: rows of the table.
        number: normal scores and codes of the ranks, ``[B, N]`` or ``[1, N]``.
    """
    places = bins(number[1], GRID)
    count = max(len(label), len(places))
    n = label.shape[-1]
    counts = count_pairs(label.expand(count, n), places, (classes, GRID)).to(torch.float32)
    fine = CountTable(counts)
    opinions, others = [], []
    for level in _LEVELS:
        table = CountTable(counts.unflatten(2, (level, GRID // level)).sum(3))
        plain, bias = table.plug_in()
        opinions.append(plain - bias)
        others += [plain, bias, table.share_of(1)]
    for width in _LINE:
        kernel = _kernel(GRID, width, counts)
        opinions.append(fine.left_out(counts @ kernel, fine.rows, fine.columns @ kernel, _MIX))
    opinions += _variances(fine)
    rows = fine.rows.clamp(min=1)
    cosines = cached(_make_cosines, GRID, like=counts)
    power = ((counts @ cosines.mT).square() / rows[..., None]).sum(1) / fine.n
    seen = (fine.rows > 0).sum(1).float()
    excess = power - (seen[:, None] - 1) / fine.n
    others += [excess[:, low:high].sum(1).clamp(-1, 16) for low, high in _BANDS]
    labels, numbers = fine.entropies()
    others += [labels, numbers, seen.log(), _sizes(n, labels), fine.rows.amax(1) / fine.n]
    return _joined(opinions, others)


def _variances(table: CountTable) -> list[Tensor]:
    """MI of classes that differ in mean, and in mean and variance, were they normal."""
    z = cached(_make_normal, GRID, like=table.counts)
    share = table.rows / table.n
    rows = table.rows.clamp(min=1)
    mean, square = table.counts @ z / rows, table.counts @ z.square() / rows
    whole = (share * square).sum(1) - (share * mean).sum(1).square()
    within = (square - mean.square()).clamp(min=0)
    pooled = (share * within).sum(1)
    least = 1e-3 * whole.clamp(min=1e-6)
    one = 0.5 * (whole.clamp(min=1e-6) / torch.maximum(pooled, least)).log()
    weight = 2 / rows  # towards the pooled variance: that of two samples
    shrunk = (within + weight * pooled[:, None]) / (1 + weight)
    logs = torch.maximum(shrunk, least[:, None]).log()
    each = 0.5 * (whole.clamp(min=1e-6).log() - (share * logs).sum(1))
    return [one, each]


def label_statistics(x: Tensor, y: Tensor, classes: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Statistics and opinions of two columns of labels; as :func:`number_statistics`.

    Args:
        x: codes from 0 below ``classes[0]``, ``[B, N]``.
        y: codes from 0 below ``classes[1]``, ``[B, N]`` or ``[1, N]``.
    """
    counts = count_pairs(x, y, classes).to(torch.float32)
    table = CountTable(counts)
    plain, bias = table.plug_in()
    opinions, others = [plain - bias], [plain, bias, table.share_of(1), table.share_of(2)]
    for share in _SHARES:
        opinions.append(table.left_out(counts, table.rows, table.columns, share))
    product = table.rows[:, :, None] * table.columns[:, None] / table.n
    chi = (counts.square() / product.clamp(min=1e-9)).sum((1, 2)) / table.n - 1
    seen = [(v > 0).sum(1).float() for v in (table.rows, table.columns)]
    freedom = (seen[0] - 1) * (seen[1] - 1) / table.n
    shrink = (freedom / chi.clamp(min=1e-6)).clamp(max=1.0)
    opinions.append(_shrunk(table, product, shrink))
    opinions += [_shrunk(table, product, torch.full_like(chi, s)) for s in _SHARES[1:]]
    hx, hy = table.entropies()
    low, high = torch.minimum(hx, hy), torch.maximum(hx, hy)
    logs = torch.stack([s.log() for s in seen])
    others += [chi.clamp(max=64).log1p(), freedom.log1p(), shrink, low, high]
    others += [logs.amin(0), logs.amax(0), _sizes(x.shape[-1], chi)]
    return _joined(opinions, others)


def _shrunk(table: CountTable, product: Tensor, share: Tensor) -> Tensor:
    """Plug-in ``[B]`` of the table drawn towards independence by ``share`` ``[B]``."""
    share = share[:, None, None]
    mixed = (1 - share) * table.counts + share * product
    logs = torch.xlogy(mixed, mixed / product.clamp(min=1e-9))
    return torch.where(product > 0, logs, 0.0).sum((1, 2)) / table.n
