"""Blocks of the ``general`` meta-distribution on which both sides are numbers, one for each kind.

A block is drawn from the numbers ``B``, ``N``, ``dx`` and ``dy``, and a generator; relations and
the paper's families have as many columns on both sides.

Legend: ``B`` datasets, ``N`` samples, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from torchmist.synthetic.additive import additive_mi, sample_additive
from torchmist.synthetic.general.canonical import canonical_mi, draw_correlations, sample_canonical
from torchmist.synthetic.general.factors import draw_loadings, factor_mi, sample_factors
from torchmist.synthetic.general.mixtures import draw_mixture, mixture_mi, sample_mixture
from torchmist.synthetic.general.relations import draw_relations, relation_mi, sample_relations
from torchmist.synthetic.paper import PaperMeta
from torchmist.synthetic.parameters import ParameterBatch

__all__ = ["BLOCKS", "Block", "Pair", "canonical_pairs"]

Pair = tuple[Tensor, Tensor, Tensor]
"""x ``[B, N, dx]``, y ``[B, N, dy]`` and MI ``[B]`` in nats."""

Block = tuple[Tensor, Tensor, Tensor, Tensor | float]
"""The same, and the standard error of MI, ``[B]`` or 0."""

_PAPER = PaperMeta()


def canonical_pairs(
    batch: int, n: int, p: int, q: int, generator: torch.Generator, *, scale: float = 1.0,
    student: bool = False,
) -> Pair:  # fmt: skip
    """Canonical Gaussian or Student pairs."""
    device = generator.device
    rho = draw_correlations(batch, p, q, generator=generator, scale=scale)
    df = torch.full((batch,), torch.inf, dtype=torch.float64, device=device)
    if student:
        u = torch.rand(batch, generator=generator, device=device, dtype=torch.float64)
        df = 20**u
        # near independence of the dispersion is as common as strong dependence
        weak = torch.rand(batch, 1, generator=generator, device=device) < 0.3
        rho = torch.where(weak, 0.0, rho)
    x, y = sample_canonical(rho, df, n, p, q, generator=generator)
    return x, y, canonical_mi(rho, df, p, q)


def _gaussian(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    return *canonical_pairs(batch, n, p, q, generator), 0.0


def _factors(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    loadings = draw_loadings(batch, p, q, generator=generator)
    x, y = sample_factors(loadings, n, p, generator=generator)
    return x, y, factor_mi(loadings, p), 0.0


def _student(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    return *canonical_pairs(batch, n, p, q, generator, student=True), 0.0


def _paper(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    """The paper's families; of single columns, uniform additive noise and plain Gaussian pairs."""
    if p < 2:
        if torch.rand(1, generator=generator, device=generator.device) < 0.5:
            return _gaussian(batch, n, p, q, generator)
        epsilon = ParameterBatch.draw(batch, 1, generator=generator).epsilon
        x, y = sample_additive(epsilon, n, generator=generator)
        return x, y, additive_mi(epsilon), 0.0
    part = _PAPER.sample(batch, n, p, generator=generator)
    return part.x, part.y, part.mi.double(), 0.0


def _relation(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    relation, log_scale = draw_relations(batch, p, generator=generator)
    x, y = sample_relations(relation, log_scale, n, generator=generator)
    mi = relation_mi(relation, log_scale)
    swap = torch.rand(1, generator=generator, device=generator.device) < 0.5
    return (y, x, mi, 0.0) if bool(swap) else (x, y, mi, 0.0)


def _mixture(batch: int, n: int, p: int, q: int, generator: torch.Generator) -> Block:
    u = torch.rand(1, generator=generator, device=generator.device)
    m = draw_mixture(batch, 2 + int(u * 7), p, q, generator=generator)
    x, y, _ = sample_mixture(m, n, generator=generator)
    return x, y, *mixture_mi(m, generator=generator)


BLOCKS: Mapping[str, Callable[[int, int, int, int, torch.Generator], Block]] = {
    "gaussian": _gaussian,
    "factors": _factors,
    "student": _student,
    "paper": _paper,
    "relation": _relation,
    "mixture": _mixture,
}
"""Kind to the function that draws its block from (B, N, dx, dy, generator)."""
