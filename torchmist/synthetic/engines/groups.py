r"""Groups: normal clusters that vary much in some directions and little or not at all in others.

A pair of groups (K, L) has a joint table, mixed up to any degree;

.. math:: x = F(m_K + s \circ e), \qquad y = F'(m'_L + s' \circ e'),
          \qquad I(X;Y) = I(X_{\mathrm{normal}}; Y_{\mathrm{normal}})

with frames F that keep MI (``codes_frames``) and deviations s of any spectrum; in directions of
deviation 0 nothing but the group shows. There the group is known, and the e of the two sides may
be correlated pairs as well, whose information adds up. Or Y is the group itself.

Legend: ``B`` datasets, ``N`` samples, ``K``, ``L`` groups, ``m`` latent columns, ``c`` correlated
pairs, ``dx``, ``dy`` columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.atoms_tables import sample_table
from torchmist.synthetic.engines.codes_clusters import (
    Clusters,
    draw_joint_table,
    mixed_up,
    show_label,
)
from torchmist.synthetic.engines.codes_frames import draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.family import Family, check_sizes
from torchmist.synthetic.engines.mixture_information import (
    table_information,
    table_label_information,
)
from torchmist.synthetic.engines.mixture_views import NormalView

__all__ = ["GroupParameters", "Groups"]

_MOST = 24  # groups of a side
_LATENT = 64  # most columns in which groups differ
_LABELS = 0.3  # share of calls in which Y is a label, where a label has as many columns
_MOST_LABELS = 20
_FLAT = 0.6  # share of the calls whose sides have directions of deviation 0
_TIED = 0.3  # share of those whose rows are correlated beyond their groups
_MIXED = 0.5  # share of the calls some of whose tables are mixed up
_PAIRS = 3  # correlated pairs, at most
_NATS = 1.5  # of each of them, at most
_FLOOR = 3e-3  # deviation of a flat direction where densities are asked for
_DRAWS = 1024


@dataclass(frozen=True)
class GroupParameters:
    """Joint ``table`` ``[B, K, L]``; the groups of X, the largest deviations last; those of Y, or
    None where Y is the label in ``label_columns`` columns; ``correlations`` ``[B, c]`` of the last
    latent columns; datasets whose groups are ``independent`` ``[B]``; ``swapped``: X and Y change
    places once sampled."""

    table: Tensor
    x: Clusters
    y: Clusters | None
    label_columns: int
    correlations: Tensor
    independent: Tensor
    swapped: bool


class Groups(Family[GroupParameters]):
    """Groups on both sides, or against their labels, with noise of any spectrum."""

    name = "groups"

    def draw(self, batch: int, dx: int, dy: int, *, generator: torch.Generator) -> GroupParameters:
        """Draw the parameters of ``batch`` distributions of ``dx`` and ``dy`` columns."""
        check_sizes(batch=batch, dx=dx, dy=dy)
        random = Random(batch, generator)
        u = random.choices(9)
        label = u[0] < _LABELS and min(dx, dy) <= _MOST_LABELS
        swapped = dy > dx if label and max(dx, dy) > _MOST_LABELS else u[1] < 0.5
        if swapped:
            dx, dy = dy, dx
        k = other = 2 + int(u[2] * (_MOST - 1))
        if u[3] < 0.4:
            other = 2 + int(u[4] * (_MOST - 1))
        if label:
            other = dy if dy > 1 else 2 + int(u[4] ** 2 * 12)
            k = max(k, other)
        table, independent = draw_joint_table(random, k, other, exact=label)
        if u[8] < _MIXED:
            table = mixed_up(random, table)
        flat, pairs = u[5] < _FLAT, 0
        if flat and not label and min(dx, dy) > 2 and u[6] < _TIED:
            pairs = 1 + int(u[7] * min(_PAIRS, min(dx, dy) - 2) * 0.999)
        x = _draw_side(random, k, dx, flat, pairs)
        y = None if label else _draw_side(random, other, dy, flat, pairs)
        nats = random.log_uniform(0.05, _NATS, pairs)
        rho = (-torch.expm1(-2 * nats)).sqrt()
        return GroupParameters(table, x, y, dy if label else 0, rho, independent, swapped)

    def sample_from(
        self, parameters: GroupParameters, n: int, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw ``n`` rows of each distribution: X ``[B, N, dx]`` and Y ``[B, N, dy]``, float32."""
        p = parameters
        group, other = sample_table(p.table, n, generator=generator)
        own = p.x.noise(n, generator)
        x = p.x.show(group, own, generator)
        if p.y is None:
            y = show_label(other, p.label_columns)
        else:
            noise = p.y.noise(n, generator)
            if count := p.correlations.shape[-1]:
                rho = p.correlations[:, None]
                tied = rho * own[..., -count:] + (1 - rho.square()).sqrt() * noise[..., -count:]
                noise = torch.cat([noise[..., :-count], tied], -1)
            y = p.y.show(other, noise, generator)
        return (y, x) if p.swapped else (x, y)

    def information(
        self, parameters: GroupParameters, *, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return I(X;Y) in nats and its standard error, both ``[B]`` float64."""
        p = parameters
        x = _view(p.x)
        if p.y is None:
            mi, error = table_label_information(x, p.table, draws=_DRAWS, generator=generator)
        else:
            mi, error = table_information(x, _view(p.y), p.table, draws=_DRAWS, generator=generator)
        mi, error = (v.masked_fill(p.independent, 0) for v in (mi, error))
        return mi - 0.5 * torch.log1p(-p.correlations.double().square()).sum(-1), error


def _view(side: Clusters) -> NormalView:
    """What densities are asked of."""
    return NormalView(side.means, side.scale.clamp(min=_FLOOR))


def _draw_side(random: Random, k: int, d: int, flat: bool, pairs: int) -> Clusters:
    """Random groups in ``d`` columns.

    With ``flat`` most datasets have directions of deviation 0, and all of them where ``pairs`` of
    the last directions, of which none is flat, are correlated with the other side's.
    """
    latent = min(d, _LATENT)
    place = torch.arange(latent, device=random.device)
    used = random.log_uniform(1.0, latent + 0.999, 1, 1).floor()
    used = torch.where(random.coin(0.6, 1, 1), float(latent), used)
    means = random.normal(k, latent) * (place < used)
    apart = random.log_uniform(1.5, 40.0, 1, 1) / used.sqrt()
    fall = random.uniform(1, 1) * 3.0 * random.coin(0.7, 1, 1)
    scale = ((latent - place) / latent).pow(fall)  # the largest last once turned around
    scale = scale.flip(-1) / scale.square().mean(-1, keepdim=True).sqrt()
    if flat and latent > 1:
        still = (random.uniform(1, 1) * latent).floor().clamp(max=latent - max(1, pairs))
        if pairs:
            still = still.clamp(min=1)
        scale = scale.masked_fill(place < still, 0)
    size = (apart.square() + 1).rsqrt()
    quiet = random.coin(0.5, 1, 1)
    noise = torch.where(quiet, 0.0, size * random.log_uniform(0.05, 1.5, 1, 1))
    decay = random.uniform(1, 1) * random.coin(0.2, 1, 1)
    frame = draw_frame(random, latent, d, noise=noise, decay=decay, turned=0.85, curved=0.3)
    return Clusters(means * apart * size, scale * size, frame)
