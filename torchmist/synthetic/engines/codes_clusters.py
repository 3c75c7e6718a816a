r"""Clusters on both sides, tied by a noisy channel, or clusters and their labels.

A pair of clusters (K, L) has a joint table P; :math:`x = m_K + a_K e` and
:math:`y = m'_L + b_L e'`, or y is L itself. Both sides are shown in frames that keep MI
(``codes_frames``). With a spectrum that decays as a power law and means in its middle, a side looks
like embeddings of a few classes.

Legend: ``B`` datasets, ``N`` samples, ``K``, ``L`` clusters, ``m`` latent columns, ``dx``, ``dy``
columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmist.synthetic.engines.codes_frames import Frame, draw_frame
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.mixture_information import (
    table_information,
    table_label_information,
)
from torchmist.synthetic.engines.mixture_views import NormalView

__all__ = ["ClusterParameters", "Clusters", "clusters_information", "draw_clusters",
           "draw_joint_table", "mixed_up", "sample_pair", "show_label"]  # fmt: skip

_MOST = 32  # clusters of a side
_LATENT = 64  # most columns in which clusters differ
_DRAWS = 1024
_MIXED = 0.6  # share of the tables that are mixed up
_NONE = -1e9  # log-weight of a cluster that a dataset does not have


@dataclass(frozen=True)
class Clusters:
    """One side: ``means`` ``[B, K, m]``, ``scale`` ``[B, 1, m]`` or ``[B, K, m]``, its frame."""

    means: Tensor
    scale: Tensor
    frame: Frame

    def sample(self, cluster: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of members of the clusters ``[B, N]``."""
        return self.show(cluster, self.noise(cluster.shape[1], generator), generator)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """Standard normal ``[B, n, m]``."""
        batch, _, latent = self.means.shape
        return torch.randn(batch, n, latent, generator=generator, device=self.means.device)

    def show(self, cluster: Tensor, z: Tensor, generator: torch.Generator) -> Tensor:
        """Columns ``[B, N, d]`` of members of the clusters ``[B, N]`` with noise ``z`` ``[B, N,
        m]``."""
        index = cluster[..., None].expand(-1, -1, self.means.shape[-1])
        scale = self.scale if self.scale.shape[1] == 1 else self.scale.gather(1, index)
        return self.frame(self.means.gather(1, index) + scale * z, generator)


@dataclass(frozen=True)
class ClusterParameters:
    """Joint ``table`` ``[B, K, L]``; the clusters of X; those of Y, or None where Y is the label in
    ``label_columns`` columns; datasets that are ``independent`` ``[B]``."""

    table: Tensor
    x: Clusters
    y: Clusters | None
    label_columns: int
    independent: Tensor


def draw_clusters(
    random: Random, dx: int, dy: int, *, label: bool, embedding: bool,
    clusters: tuple[int, int] = (2, _MOST),
) -> ClusterParameters:  # fmt: skip
    """Random clusters; with ``label``, Y is the label, in one column or one-hot in ``dy`` columns.

    With ``embedding`` the columns have a decaying spectrum and the clusters overlap little.
    ``clusters``: fewest and most of a side, but for labels in ``dy`` columns and embeddings.
    """
    u, (fewest, most) = random.choices(6), clusters
    k = fewest + int(u[0] * (most - fewest + 1))
    other = fewest + int(u[1] * (most - fewest + 1)) if u[2] < 0.5 else k
    if embedding:
        k, other = min(k, 20), min(other, 20)
    if label:
        other = dy if dy > 1 else 2 + int(u[1] ** 2 * 10)
        k = max(k, other)
    table, independent = draw_joint_table(random, k, other, exact=label)
    x = _draw_side(random, k, dx, u[3], u[4] < 0.3, embedding)
    y = None if label else _draw_side(random, other, dy, u[5], u[4] < 0.3, embedding)
    return ClusterParameters(table, x, y, dy if label else 0, independent)


def sample_pair(p: ClusterParameters, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """X ``[B, N, dx]`` and Y ``[B, N, dy]`` float32."""
    batch, _, labels = p.table.shape
    u = torch.rand(batch, n, generator=generator, device=p.table.device, dtype=torch.float64)
    ends = p.table.flatten(1).double().cumsum(-1)
    pair = torch.searchsorted(ends[:, :-1].contiguous(), u * ends[:, -1:], right=True)
    x = p.x.sample(pair // labels, generator)
    if p.y is not None:
        return x, p.y.sample(pair % labels, generator)
    return x, show_label(pair % labels, p.label_columns)


def show_label(label: Tensor, columns: int) -> Tensor:
    """Labels ``[B, N]`` as one column of codes, or one-hot, ``[B, N, columns]`` float32."""
    if columns == 1:
        return label[..., None].float()
    return torch.nn.functional.one_hot(label, columns).float()


def clusters_information(p: ClusterParameters, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """I(X;Y) in nats and its standard error, ``[B]`` float64."""
    x = NormalView(p.x.means, p.x.scale)
    if p.y is None:
        mi, error = table_label_information(x, p.table, draws=_DRAWS, generator=generator)
    else:
        y = NormalView(p.y.means, p.y.scale)
        mi, error = table_information(x, y, p.table, draws=_DRAWS, generator=generator)
    zero = torch.zeros_like(mi)
    return torch.where(p.independent, zero, mi), torch.where(p.independent, zero, error)


def draw_joint_table(random: Random, k: int, other: int, *, exact: bool) -> tuple[Tensor, Tensor]:
    """Joint tables ``[B, K, L]`` and which of them are products ``[B]``.

    Three in ten are symmetric channels, a fifth random tables, a sixth confuse neighbours, a tenth
    are products, the rest are exact maps: clusters merge where the other side has fewer.
    With ``exact`` every dataset has all clusters, else from two up.
    """
    device = random.device
    some, few = random.integers(2, k, 1), random.integers(2, other, 1)
    if exact:
        some, few = torch.full_like(some, k), torch.full_like(few, other)
    else:
        same = random.coin(0.5, 1) & (some <= other)
        few = torch.where(same, some, few)
    row, column = torch.arange(k, device=device), torch.arange(other, device=device)
    inside = torch.where(column < few, 0.0, _NONE)[:, None]  # [B, 1, L]
    uneven = random.coin(0.5, 1).float()
    weight = uneven * random.normal(k) + torch.where(row < some, 0.0, _NONE)
    target = (row * few // some).clamp(max=other - 1)[..., None]  # [B, K, 1]
    distance = (column - target).abs()  # [B, K, L]
    sharp = random.log_uniform(0.5, 10.0, 1, 1)
    kind = random.uniform(1, 1)
    far = torch.where(kind < 0.3, 0.0, torch.where(kind < 0.5, sharp * random.normal(k, other), 0))
    far = torch.where((kind >= 0.5) & (kind < 0.67), -sharp * distance, far) + inside
    spread = far.softmax(-1)
    noise = random.uniform(1, 1) ** 2.5
    noise = torch.where(kind < 0.3, noise, (kind < 0.67).float())
    given = noise * spread + (1 - noise) * (distance == 0)
    independent = (kind >= 0.67) & (kind < 0.77)
    free = (uneven[..., None] * random.normal(1, other) + inside).softmax(-1)
    given = torch.where(independent, free, given)
    return weight.softmax(-1)[..., None] * given, independent[:, 0, 0]


def mixed_up(random: Random, table: Tensor) -> Tensor:
    """Tables ``[B, K, L]``, in six of ten of which classes of Y are replaced by any, by chance."""
    noise = torch.where(random.coin(_MIXED, 1, 1), random.uniform(1, 1) ** 1.5, 0.0)
    alone = table.sum(1, keepdim=True)
    even = (alone > 1e-6).float()
    even = even / even.sum(-1, keepdim=True)
    other = torch.where(random.coin(0.7, 1, 1), even, alone / alone.sum(-1, keepdim=True))
    return (1 - noise) * table + noise * table.sum(2, keepdim=True) * other


def _draw_side(
    random: Random, k: int, d: int, u: float, hierarchical: bool, embedding: bool
) -> Clusters:
    """Random clusters in ``d`` columns, of which up to 64 tell them apart."""
    most = min(d, _LATENT)
    latent = most if u < 0.6 else 1 + int((u - 0.6) / 0.4 * most * 0.999)
    used = random.log_uniform(1.0, latent + 0.999, 1, 1).floor()
    used = torch.where(random.coin(0.5, 1, 1), used, min(latent, max(2, k)))
    mask = torch.arange(latent, device=random.device) < used
    place = torch.arange(k, device=random.device)
    centre = random.normal(k, latent)
    if hierarchical:
        levels = max(1, (k - 1).bit_length())
        shrink = 0.3 + 0.5 * random.uniform(1, 1)
        for level in range(1, levels):
            nodes = random.normal(((k - 1) >> level) + 1, latent)
            centre = shrink * centre + nodes[:, place >> level]
        centre = centre / centre.square().mean((1, 2), keepdim=True).sqrt()
    near, far = random.log_uniform(0.7, 5.0, 1, 1), random.log_uniform(5.0, 40.0, 1, 1)
    apart = torch.where(random.coin(0.2 if embedding else 0.4, 1, 1), near, far)
    if embedding:
        apart = apart.clamp(max=8.0)
    means = apart * centre * mask / used.sqrt()
    uneven = random.coin(0.3, 1, 1).float()
    scale = torch.ones(random.batch, 1, latent, device=random.device)
    if u * 7 % 1 < 0.4:
        strength = random.log_uniform(0.05, 0.6, 1, 1)
        own = random.normal(k, 1) + 0.5 * random.normal(k, latent)
        scale = torch.exp(uneven * strength * own)
    decay = random.uniform(1, 1) * 1.3 * float(embedding)
    size = (1 + apart.square()).rsqrt()  # of a column of the latent ones
    noise = torch.where(random.coin(0.5, 1, 1), size, random.log_uniform(0.02, 1.0, 1, 1))
    noise = size if embedding else noise
    frame = draw_frame(
        random, latent, d, noise=noise, decay=decay,
        turned=0.9 if embedding else 0.6, curved=0.2 if embedding else 0.4,
    )  # fmt: skip
    return Clusters(means * size, scale * size, frame)
