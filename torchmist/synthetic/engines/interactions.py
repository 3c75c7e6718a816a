r"""Interactions: Y shows numbers that several columns of X make together, none of which tells much.

.. math:: y_i = f_i(x_{(i)}) + \sigma_i(x_{(i)})\, e_i, \qquad
          I(X;Y) = \sum_i h(y_i) - \mathrm E\, h(\sigma_i e_i)

Selected and gated values, products, ratings, quadratic forms, distances, angles and order
statistics (``interactions_formulas``), shown as noisy numbers, classes or counts
(``interactions_links``), or as vectors of random direction whose length shows them; or pairs that a
random map of each row hides (``interactions_orbits``). Columns stand among others, echo, mix and
bend as those of ``channels_columns``.

Legend: ``B`` datasets, ``N`` samples, ``T`` formulas of each, ``m`` outputs, ``c`` columns of one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.channels_columns import Side, draw_side
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.interactions_formulas import (
    FORMULAS,
    INPUTS,
    Numbers,
    draw_numbers,
    input_levels,
    selected,
    value,
)
from torchmist.synthetic.engines.interactions_links import Link, draw_link
from torchmist.synthetic.engines.interactions_orbits import (
    OrbitParameters,
    draw_orbits,
    orbit_information,
    sample_orbits,
)
from torchmist.synthetic.engines.interactions_tables import Laws, points, tabulate

__all__ = ["InteractionParameters", "Interactions", "Outputs"]

_ORBITS = 0.2
_FORMULAS = 6  # of a call
_OUTPUTS, _KINDS = 24, 2
_UNEVEN = 0.3  # share of the calls in which the noise has two levels
_VECTORS, _WIDEST = 0.15, 8  # outputs as vectors
_INDEPENDENT = 0.1


@dataclass(frozen=True)
class Outputs:
    """Formulas of one ``name`` in ``q`` parts, of columns of the law ``inputs``: their ``numbers``,
    ``laws``, and those ``law`` ``[B, T]`` that the outputs of a dataset take turns to show by
    ``link``; the number of ``outputs``; whether what is selected is shown by ``shown``: a
    continuous column, ``"bins"``, a ``"code"`` or ``"hot"``; columns of an output as a vector,
    ``width``; the ``sides``; datasets that are ``independent`` ``[B]``."""

    name: str
    q: int
    inputs: str
    numbers: Numbers
    laws: Laws
    law: Tensor
    link: Link
    outputs: int
    shown: str
    width: int
    sides: tuple[Side, Side]
    independent: Tensor


@dataclass(frozen=True)
class InteractionParameters:
    """Outputs of formulas or orbits; ``swapped``: X and Y change places once sampled."""

    law: Outputs | OrbitParameters
    swapped: bool


class Interactions(Family[InteractionParameters]):
    """Noisy functions of several columns that interact, and pairs behind random maps.

    What kind of formula, its number of columns, and the link are shared by a call, in which
    datasets choose among six formulas. A tenth of the datasets are independent.
    """

    name = "interactions"

    def draw(
        self, batch: int, dx: int, dy: int, *, generator: torch.Generator
    ) -> InteractionParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(2)
        swapped = dx == 1 if (dx == 1) != (dy == 1) else u[0] < 0.5
        if swapped:
            dx, dy = dy, dx
        independent = random.coin(_INDEPENDENT)
        if u[1] < _ORBITS:
            return InteractionParameters(draw_orbits(random, dx, dy, independent), swapped)
        return InteractionParameters(_draw_outputs(random, dx, dy, independent), swapped)

    def sample_from(
        self, parameters: InteractionParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        law = parameters.law
        if isinstance(law, Outputs):
            x, y = _sample_outputs(law, n, generator)
        else:
            x, y = sample_orbits(law, n, generator)
        return (y, x) if parameters.swapped else (x, y)

    def information(
        self, parameters: InteractionParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64: 0 for formulas."""
        p = parameters.law
        if isinstance(p, Outputs):
            each, count = p.link.information(p.laws, p.law).clamp(min=0), p.outputs
            error = torch.zeros_like(each)
        else:
            (each, error), count = orbit_information(p.maps, p.correlations), p.blocks
        kinds = each.shape[1]
        first = torch.arange(kinds, device=each.device)
        counts = (count - first + kinds - 1) // kinds
        mi, error = (each * counts).sum(-1), (error * counts).square().sum(-1).sqrt()
        return mi.masked_fill(p.independent, 0), error.masked_fill(p.independent, 0)


def _draw_outputs(random: Random, dx: int, dy: int, independent: Tensor) -> Outputs:
    """Random formulas of ``dx`` columns, shown by ``dy``."""
    u = random.choices(9)
    most = max(1, min(dy, dx // 2, _OUTPUTS))
    outputs = 1 if u[0] < 0.6 else 1 + int(u[1] * most)
    room = dx // outputs
    able = {name: f.share for name, f in FORMULAS.items() if f.columns(f.least) <= room}
    name = _pick(u[2], able)
    formula = FORMULAS[name]
    most = min(formula.most, (room - formula.more) // formula.parts)
    q = formula.least + int(u[3] ** 1.5 * (most - formula.least + 1))
    hot = name == "select" and 2 * q <= room
    shown = ("bins", "code", "hot" if hot else "code")[int(u[4] * 3)] if name == "select" else ""
    inputs = _pick(u[5], {key: share for key, (_, share) in INPUTS.items()})
    atoms = inputs == "signs"
    if atoms and not formula.atoms:
        inputs, atoms = "normal", False
    numbers = draw_numbers(random, formula, _FORMULAS, q)
    base = points(random.device)[:, : formula.columns(q)]
    made = value(formula, numbers, INPUTS[inputs][0](base), base, q)
    levels = 2 if u[6] < _UNEVEN else 1
    level = input_levels(name, numbers, base).clamp(max=levels - 1).expand(made.shape)
    laws = tabulate(made, level, levels, atoms)
    kinds = min(outputs, _KINDS)
    law = random.integers(0, _FORMULAS - 1, kinds)
    vectors = u[7] < _VECTORS
    link = draw_link(random, laws, law, outputs, vectors)
    width = 1 + int(u[8] * min(dy // outputs, _WIDEST)) if vectors else 0
    core = formula.columns(q) + (q - 1 if shown == "hot" else 0)
    free = torch.full_like(independent, not atoms and shown not in ("code", "hot"))
    sides = (
        draw_side(random, outputs * core, dx, free),
        draw_side(random, outputs * max(width, 1), dy, torch.full_like(free, not link.discrete)),
    )
    return Outputs(
        name, q, inputs, numbers, laws, law, link, outputs, shown, width, sides, independent
    )


def _sample_outputs(p: Outputs, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]`` float32."""
    batch, kinds = p.law.shape
    device, formula, made = p.law.device, FORMULAS[p.name], INPUTS[p.inputs][0]
    columns = formula.columns(p.q)
    turn = torch.arange(p.outputs, device=device) % kinds
    law = p.law[:, turn]

    def rand(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device)

    u = rand(p.outputs, n, columns)
    z, numbers = made(u), p.numbers.of(law)
    t = p.laws.standard(law, value(formula, numbers, z, u, p.q))
    level = input_levels(p.name, numbers, u).clamp(max=p.laws.below.shape[1] - 1)
    order = torch.randperm(n, generator=generator, device=device)
    apart = p.independent[:, None, None]
    t, level = (torch.where(apart, v[..., order], v) for v in (t, level))
    y = p.link.sample(t, level, turn, generator)
    if p.shown in ("code", "hot"):
        z = _show_selected(z, selected(numbers.ends, u[..., -1]), p.q, p.shown == "hot")
    x = z.permute(0, 2, 1, 3).flatten(2)
    dx, dy = (len(side.order) for side in p.sides)
    x = torch.cat([x, made(rand(n, dx - x.shape[-1]))], -1)
    y = _as_vectors(y.mT, p.width, generator)
    other = torch.randn(batch, n, dy - y.shape[-1], generator=generator, device=device)
    other = (1.5 * other).round() if p.link.discrete else other
    return p.sides[0](x, generator), p.sides[1](torch.cat([y, other], -1), generator)


def _show_selected(z: Tensor, index: Tensor, q: int, hot: bool) -> Tensor:
    """Columns ``[..., N, c]`` whose last one, or ones, say which value is selected."""
    shown = torch.nn.functional.one_hot(index, q) if hot else index[..., None]
    return torch.cat([z[..., :-1], shown.to(z.dtype)], -1)


def _as_vectors(y: Tensor, width: int, generator: torch.Generator) -> Tensor:
    """Outputs ``[B, N, m]`` as lengths of vectors of random direction ``[B, N, m * width]``: a
    random sign for one column; as they are for none."""
    if not width:
        return y
    way = torch.randn((*y.shape, width), generator=generator, device=y.device)
    way = torch.nn.functional.normalize(way, dim=-1)
    length = y.asinh().exp()
    return (length[..., None] * way).flatten(2)


def _pick(u: float, shares: dict[str, float]) -> str:
    """The name at the quantile ``u`` of a table of shares."""
    ends = list(itertools.accumulate(shares.values()))
    return next((name for name, end in zip(shares, ends) if u * ends[-1] < end), next(iter(shares)))
