r"""Pairs of single columns with exact mutual information, for the network that scores them.

Almost all of them are drawn from a table of masses ``p_ij``: a cell by its mass, then a place that
is uniform within the cell. The density is constant in each cell, so that
:math:`I = \sum_{ij} p_{ij} \log [p_{ij} / (p_{i\cdot} p_{\cdot j})]` exactly, whatever made the
masses: functions with noise, copulas, mixtures, curves, fields. Rows that are merged become an atom
(one value), rows that are dealt to classes become labels; the sum over the merged table stays
exact. Gaussian pairs are drawn as such, since no table is as fine.

Legend: ``B`` pairs, ``N`` samples, ``R`` and ``C`` rows and columns of the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["FAMILIES", "Draw", "Kind", "draw_pairs", "table_mi"]

Kind = Literal["numbers", "mixed", "labels"]
_CLASSES = 60
_BOTH = 0.3  # share of the draws in which a side of numbers holds atoms


@dataclass(frozen=True)
class Draw:
    """Pairs ``x``, ``y`` ``[B, N]`` float64 (codes from 0 where labels) of ``mi`` ``[B]`` nats."""

    x: Tensor
    y: Tensor
    mi: Tensor
    kind: Kind
    family: str


def table_mi(masses: Tensor) -> Tensor:
    """MI ``[B]`` in nats of tables of masses ``[B, R, C]``.

    Example:
        >>> bool((table_mi(torch.eye(4)[None] / 4) - math.log(4)).abs() < 1e-6)
        True
    """
    p = masses.double()
    p = p / p.sum((1, 2), keepdim=True)
    product = p.sum(2, keepdim=True) * p.sum(1, keepdim=True)
    return torch.xlogy(p, p / product.clamp(min=1e-300)).sum((1, 2)).clamp(min=0)


def _uniform(g: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=g)


def _log_uniform(g: torch.Generator, low: float, high: float, *shape: int) -> Tensor:
    return _uniform(g, math.log(low), math.log(high), *shape).exp()


def _int(g: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=g))


def _coin(g: torch.Generator, p: float) -> bool:
    return float(torch.rand((), generator=g)) < p


def _places(count: int) -> Tensor:
    return (torch.arange(count) + 0.5) / count


def _curves(g: torch.Generator, b: int, u: Tensor) -> Tensor:
    """Functions of ``u`` ``[R]`` of unit variance, ``[B, R]``: waves, powers, steps, saws."""
    kind = _int(g, 0, 4)
    if kind == 0:
        f, phase = _uniform(g, 0.25, 5.0, b, 1), _uniform(g, 0, 2 * math.pi, b, 1)
        out = torch.sin(2 * math.pi * f * u + phase)
        out = out + _uniform(g, -1, 1, b, 1) * (u - 0.5) * 2 * _int(g, 0, 1)
    elif kind == 1:
        z = torch.special.ndtri(u)
        power = _uniform(g, -1, 1, b, 4)
        out = power[:, :1] * z + power[:, 1:2] * z.square() + power[:, 2:3] * z**3 / 3
        out = out + power[:, 3:] * torch.tanh(3 * z)
    elif kind == 2:
        steps = _int(g, 2, 12)
        level = torch.randn(b, steps, generator=g)
        out = level[:, (u * steps).long()]
    elif kind == 3:
        teeth = _uniform(g, 0.5, 6.0, b, 1)
        out = (teeth * u + _uniform(g, 0, 1, b, 1)) % 1.0
        out = (out - 0.5).abs() if _coin(g, 0.5) else out
    else:
        order = torch.arange(1, 9)
        weight = torch.randn(b, 8, generator=g) / order ** _uniform(g, 0.3, 2.0, b, 1)
        out = weight @ torch.cos(math.pi * order[:, None] * u)
    return (out - out.mean(1, keepdim=True)) / out.std(1, keepdim=True).clamp(min=1e-6)


def _noise(g: torch.Generator, apart: Tensor) -> Tensor:
    """Densities of several laws at standardised distances."""
    kind = _int(g, 0, 3)
    if kind == 0:
        return torch.exp(-apart.abs() * math.sqrt(2))
    if kind == 1:
        return (1 + apart.square() / 3) ** -2
    if kind == 2:
        return torch.sigmoid((1.7 - apart.abs()) * 12)
    return torch.exp(-0.5 * apart.square())


def _function(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """y a function of x with noise, or a scale; one or several branches."""
    u = _places(r)
    sigma = _log_uniform(g, 0.01, 6.0, b, 1)
    if _coin(g, 0.35):
        sigma = sigma * (_uniform(g, 0, 1.2, b, 1) * _curves(g, b, u)).exp()
    branches = 1 if _coin(g, 0.7) else _int(g, 2, 3)
    means = [_curves(g, b, u) for _ in range(branches)]
    if _coin(g, 0.15):
        means = [torch.zeros_like(m) for m in means]
    spread = 3 * sigma.amax(1) + torch.stack([m.abs().amax(1) for m in means]).amax(0)
    y = (2 * _places(c) - 1) * spread[:, None]
    least = 2 * spread[:, None] / c
    sigma = torch.maximum(sigma, 0.7 * least).expand(b, r)
    out = torch.zeros(b, r, c)
    for m in means:
        density = _noise(g, (y[:, None] - m[..., None]) / sigma[..., None]) / sigma[..., None]
        out = out + float(torch.rand((), generator=g) + 0.1) * density
    return out / out.sum(2, keepdim=True).clamp(min=1e-20)


def _student(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Ratio densities of two-dimensional t laws, at normal scores of the places."""
    rho, nu = _uniform(g, -0.97, 0.97, b, 1, 1), _log_uniform(g, 1.0, 30.0, b, 1, 1)
    x, y = (torch.special.ndtri(_places(k)) for k in (r, c))
    x, y = x[:, None], y[None]
    square = (x * x - 2 * rho * x * y + y * y) / (1 - rho * rho)
    one = (1 + x * x / nu).log() + (1 + y * y / nu).log()
    return torch.exp(-0.5 * (nu + 2) * (1 + square / nu).log() + 0.5 * (nu + 1) * one)


def _archimedean(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Masses of Clayton or Frank copulas: differences of their distribution functions."""
    u, v = torch.linspace(0, 1, r + 1).double(), torch.linspace(0, 1, c + 1).double()
    u, v = u.clamp(min=1e-9)[:, None], v.clamp(min=1e-9)[None]
    theta = _log_uniform(g, 0.05, 8.0, b, 1, 1).double()
    if _coin(g, 0.5):
        cdf = (u**-theta + v**-theta - 1) ** (-1 / theta)
    else:
        theta = 3 * theta
        cdf = -torch.log1p(torch.expm1(-theta * u) * torch.expm1(-theta * v)
                           / torch.expm1(-theta)) / theta  # fmt: skip
    return cdf.diff(dim=1).diff(dim=2).clamp(min=0).float()


def _blobs(g: torch.Generator, b: int, r: int, c: int, curve: bool = False) -> Tensor:
    """Mixtures of Gaussians without correlation, or many of them along a closed curve."""
    k = 48 if curve else _int(g, 2, 9)
    if curve:
        angle = torch.arange(k) / k * 2 * math.pi
        order = torch.arange(1, 4)
        decay = _uniform(g, 0, 2, b, 1)
        wave = torch.stack([torch.cos(order[:, None] * angle), torch.sin(order[:, None] * angle)])
        weight = torch.randn(2, b, 2, 3, generator=g) / order ** decay[..., None]
        centre = torch.einsum("sbpo,pok->sbk", weight, wave)
        centre = centre / centre.abs().amax(2, keepdim=True).clamp(min=1e-3)
        width = _log_uniform(g, 0.02, 0.5, 2, b, 1).expand(2, b, k)
        share = torch.full((b, k), 1.0 / k)
    else:
        centre = _uniform(g, -1, 1, 2, b, k)
        width = _log_uniform(g, 0.03, 1.0, 2, b, k)
        share = _uniform(g, 0.05, 1, b, k)
    sides = []
    for s, count in enumerate((r, c)):
        place = (2 * _places(count) - 1) * 1.3
        density = torch.exp(-0.5 * ((place - centre[s][..., None]) / width[s][..., None]).square())
        sides.append(density / density.sum(2, keepdim=True).clamp(min=1e-6))
    out: Tensor = torch.einsum("bk,bkr,bkc->brc", share, *sides)
    return out


def _curve(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Noise about a closed curve: circles, knots, crosses."""
    return _blobs(g, b, r, c, curve=True)


def _field(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Exponentials of random fields, smooth or of blocks."""
    k = _int(g, 2, 10)
    scale = _log_uniform(g, 0.1, 4.0, b, 1, 1)
    weight = torch.randn(b, k, k, generator=g) * scale
    if _coin(g, 0.3):
        rows, columns = (_places(r) * k).long(), (_places(c) * k).long()
        return weight[:, rows][:, :, columns].exp()
    order = torch.arange(k)
    x, y = (torch.cos(math.pi * order[:, None] * _places(m)) for m in (r, c))
    decay = (1 + order[:, None] + order) ** -1.0
    return (torch.einsum("bij,ir,jc->brc", weight * decay, x, y)).clamp(-12, 12).exp()


def _copies(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Labels copied with errors, of any shares; several may be copied to one."""
    count = min(_CLASSES, round(float(_log_uniform(g, 2, _CLASSES + 0.4))))
    share = _log_uniform(g, 0.02 if _coin(g, 0.4) else 0.3, 1, b, count)
    target = torch.randint(count, (count,), generator=g)
    if _coin(g, 0.6):
        target = torch.arange(count)
    out = torch.zeros(b, count, count)
    out[:, torch.arange(count), target] = share
    if _coin(g, 0.3):
        out = out * _log_uniform(g, 0.01, 1, b, count, count)
    return out


def _dirichlet(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """Tables of labels whose masses have nothing in common, sparse or full."""
    r, c = (min(_CLASSES, round(float(_log_uniform(g, 2, _CLASSES + 0.4)))) for _ in range(2))
    power = _log_uniform(g, 0.5, 12, b, 1, 1)
    return _uniform(g, 1e-3, 1, b, r, c) ** power


def _independent(g: torch.Generator, b: int, r: int, c: int) -> Tensor:
    """No dependence."""
    return torch.ones(b, r, c)


FAMILIES: dict[str, Callable[[torch.Generator, int, int, int], Tensor]] = {
    "function": _function, "student": _student, "archimedean": _archimedean, "blobs": _blobs,
    "curve": _curve, "field": _field, "independent": _independent, "copies": _copies,
    "dirichlet": _dirichlet,
}  # fmt: skip
_LABELS = ("copies", "dirichlet")  # tables of classes as they are
_SHARES = {
    "gaussian": 0.2, "function": 0.32, "student": 0.07, "archimedean": 0.07, "blobs": 0.1,
    "curve": 0.07, "field": 0.1, "independent": 0.07, "copies": 0.25, "dirichlet": 0.15,
}  # fmt: skip


def _group(g: torch.Generator, masses: Tensor) -> tuple[Tensor, Tensor]:
    """Masses ``[B, R', C]`` with rows merged into atoms, and which rows are atoms ``[R']``."""
    r = masses.shape[1]
    if _coin(g, 0.5):  # a limit that rows are moved to, at either end or both
        first = _int(g, 0, int(0.8 * r))
        last = _int(g, first + 1, r)
        if _coin(g, 0.6):
            first = 0
        place = torch.arange(r)
        place = torch.where((place >= first) & (place < last), first, place)
        place = torch.where(place >= last, place - (last - first) + 1, place)
        atom = torch.zeros(int(place.max()) + 1, dtype=torch.bool)
        atom[first] = True
    else:  # rounding
        count = _int(g, 3, 60)
        place = (_places(r) * count).long().unique(return_inverse=True)[1]
        atom = torch.ones(int(place.max()) + 1, dtype=torch.bool)
    return _merged(masses, place), atom


def _merged(masses: Tensor, place: Tensor) -> Tensor:
    out = torch.zeros(len(masses), int(place.max()) + 1, masses.shape[2])
    return out.index_add(1, place, masses)


def _classes(g: torch.Generator, masses: Tensor) -> Tensor:
    """Masses ``[B, L, C]`` of labels: rows dealt to classes, with errors or without."""
    b, r, _ = masses.shape
    count = min(r, _CLASSES, round(float(_log_uniform(g, 2, _CLASSES + 0.4))))
    if _coin(g, 0.5):  # bands, of any width
        width = _log_uniform(g, 0.02 if _coin(g, 0.4) else 0.3, 1, count).cumsum(0)
        place = torch.searchsorted(width / width[-1], _places(r)).clamp(max=count - 1)
        out = _merged(masses, place.unique(return_inverse=True)[1])
        return out[:, torch.randperm(out.shape[1], generator=g)]
    sharp = _log_uniform(g, 0.3, 30.0, b, 1, 1)
    score = torch.stack([_curves(g, b, _places(r)) for _ in range(count)], 1)
    share = (sharp * score + torch.randn(b, count, 1, generator=g) * _int(g, 0, 2)).softmax(1)
    return share @ masses


def _tables(g: torch.Generator, family: str, b: int) -> Tensor:
    """Masses ``[B, R, C]`` of a family, mixed with independence, either side first."""
    r, c = (_int(g, 64, 260) for _ in range(2))
    masses = FAMILIES[family](g, b, r, c)
    masses = masses / masses.sum((1, 2), keepdim=True).clamp(min=1e-20)
    if _coin(g, 0.35):
        share = _uniform(g, 0, 1, b, 1, 1) ** 0.7
        product = masses.sum(2, keepdim=True) * masses.sum(1, keepdim=True)
        masses = share * product + (1 - share) * masses
    return masses.mT if _coin(g, 0.5) else masses


def _sample(g: torch.Generator, masses: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Rows and columns ``[B, N]`` of samples."""
    b, _, c = masses.shape
    total = masses.flatten(1).double().cumsum(1)
    draw = torch.rand(b, n, generator=g, dtype=torch.float64) * total[:, -1:]
    cell = torch.searchsorted(total, draw).clamp(max=total.shape[1] - 1)
    return cell // c, cell % c


def _gaussian(g: torch.Generator, b: int, n: int) -> Draw:
    mi = _log_uniform(g, 0.001, 6.0, b).double()
    rho = (1 - (-2 * mi).exp()).sqrt()[:, None]
    x, e = (torch.randn(b, n, generator=g, dtype=torch.float64) for _ in range(2))
    return Draw(x, rho * x + (1 - rho.square()).sqrt() * e, mi, "numbers", "gaussian")


def draw_pairs(g: torch.Generator, kind: Kind, b: int, sizes: list[int]) -> list[Draw]:
    """``b`` pairs of one kind and family at each of several sizes, from the same ``b`` laws."""
    other: tuple[str, ...] = ("gaussian",) if kind == "labels" else ("copies", "dirichlet")
    if kind == "mixed":
        other += ("gaussian",)
    names = [name for name in _SHARES if name not in other]
    weight = torch.tensor([_SHARES[name] for name in names])
    family = names[int(torch.multinomial(weight, 1, generator=g))]
    if family == "gaussian":
        return [_gaussian(g, b, n) for n in sizes]
    masses = _tables(g, family, b)
    atoms: list[Tensor | None] = []
    for side in range(2):
        masses = masses.mT
        if family in _LABELS:
            atom: Tensor | None = None
        elif kind == "labels" or (kind == "mixed" and side == 0):
            masses, atom = _classes(g, masses), None
        elif _coin(g, _BOTH):
            masses, atom = _group(g, masses)
        else:
            atom = torch.zeros(masses.shape[1], dtype=torch.bool)
        atoms.append(atom)
    masses, mi = masses.contiguous(), table_mi(masses)  # rows are side 1, columns side 0
    out = []
    for n in sizes:
        values = []
        for place, atom in zip(_sample(g, masses, n), reversed(atoms)):
            value = place.double()
            if atom is not None:
                jitter = torch.rand(value.shape, generator=g, dtype=torch.float64)
                value = value + jitter.masked_fill(atom[place], 0.5)
            values.append(value)
        out.append(Draw(values[1], values[0], mi, kind, family))
    return out
