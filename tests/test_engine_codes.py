"""Codes: mixtures against quadrature, the family against nearest neighbours."""

from __future__ import annotations

import math

import pytest
import torch
from kraskov import scaled_kraskov
from torch import Tensor

from torchmist.synthetic.engines import mixture_information as module
from torchmist.synthetic.engines.codes import Codes
from torchmist.synthetic.engines.codes_clusters import (
    ClusterParameters,
    clusters_information,
    draw_clusters,
    sample_pair,
)
from torchmist.synthetic.engines.codes_frames import draw_frame, draw_rotation
from torchmist.synthetic.engines.codes_manifolds import (
    draw_manifolds,
    manifolds_information,
    sample_codes,
)
from torchmist.synthetic.engines.codes_random import Random
from torchmist.synthetic.engines.mixture_information import (
    label_information,
    mixture_information,
    table_information,
    table_label_information,
)
from torchmist.synthetic.engines.mixture_views import NormalView

SIZES = [(1, 1), (1, 5), (5, 1), (3, 2), (8, 40), (40, 40), (200, 3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def density(grid: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    z = (grid - mean[:, None]) / scale[:, None]
    return torch.exp(-0.5 * z.square()) / (scale[:, None] * math.sqrt(2 * math.pi))


def quadrature(mx: Tensor, my: Tensor, sx: Tensor, sy: Tensor, table: Tensor) -> float:
    """I(X;Y) of one column on each side by sums over a grid."""
    grid = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    px, py = density(grid, mx.double(), sx.double()), density(grid, my.double(), sy.double())
    joint = px.T @ table.double() @ py
    product = joint.sum(1, keepdim=True) * joint.sum(0) * (grid[1] - grid[0]) ** 2
    terms = torch.xlogy(joint, joint) - torch.xlogy(joint, product)
    return float(terms.sum() * (grid[1] - grid[0]) ** 2)


@pytest.mark.parametrize("per_item", [False, True])
def test_mixture_information_is_the_integral_of_the_mixture(per_item: bool) -> None:
    mx, my = torch.tensor([-2.0, 0.0, 0.4, 3.0]), torch.tensor([1.0, -1.0, 2.0, 2.5])
    sx, sy = torch.tensor([0.7, 0.4, 1.0, 0.9]), torch.tensor([0.5, 0.8, 0.3, 0.6])
    if not per_item:
        sx, sy = sx[:1].expand(4), sy[:1].expand(4)
    weights = torch.tensor([0.1, 0.4, 0.3, 0.2])
    items = 4 if per_item else 1
    mi, error = mixture_information(
        mx[None, :, None], my[None, :, None], sx[None, :items, None], sy[None, :items, None],
        draws=20_000, generator=generator(), log_weights=weights.log()[None] + 3,
    )  # fmt: skip
    truth = quadrature(mx, my, sx, sy, weights.diag())
    assert error.item() < 0.005
    assert mi.item() == pytest.approx(truth, abs=4 * error.item())


def test_table_information_is_the_integral_of_the_mixture() -> None:
    g = generator(1)
    mx, my = 2 * torch.randn(4, generator=g), 2 * torch.randn(3, generator=g)
    sx, sy = torch.full((4,), 0.6), torch.tensor([0.3, 0.8, 0.6])
    table = torch.rand(4, 3, generator=g) ** 4
    table = table / table.sum()
    x = NormalView(mx[None, :, None], sx[None, :1, None])
    y = NormalView(my[None, :, None], sy[None, :, None])
    mi, error = table_information(x, y, table[None], draws=20_000, generator=g)
    assert mi.item() == pytest.approx(quadrature(mx, my, sx, sy, table), abs=4 * error.item())


def test_table_of_clusters_that_do_not_overlap_gives_the_mi_of_the_table() -> None:
    table = torch.tensor([[0.3, 0.1, 0.0], [0.05, 0.25, 0.3]])
    means = 100 * torch.eye(3)[None]
    scale = torch.ones(1, 1, 3)
    x, y = NormalView(means[:, :2], scale), NormalView(means, scale)
    mi, error = table_information(x, y, table[None], draws=100, generator=generator())
    product = table.sum(1, keepdim=True) * table.sum(0)
    truth = float((torch.xlogy(table, table) - torch.xlogy(table, product)).sum())
    assert mi.item() == pytest.approx(truth, abs=1e-5)
    assert error.item() == pytest.approx(0, abs=1e-6)


def test_labels_are_views_without_noise() -> None:
    g = generator(2)
    means, scale = torch.randn(2, 6, 3, generator=g), torch.full((2, 1, 3), 0.5)
    labels = torch.tensor([[0, 0, 1, 2, 1, 2], [0, 1, 2, 0, 1, 2]])
    sharp = 100 * torch.nn.functional.one_hot(labels, 3).float()
    table = torch.nn.functional.one_hot(labels, 3) / 6
    ones = torch.ones(2, 1, 3)
    kinds = [
        label_information(means, labels, scale, classes=3, draws=8_000, generator=g),
        table_label_information(NormalView(means, scale), table, draws=8_000, generator=g),
        mixture_information(means, sharp, scale, ones, draws=8_000, generator=g),
    ]
    first = kinds[0][0]
    for mi, error in kinds:
        assert ((mi - first).abs() < 5 * error.clamp(min=1e-3)).all()


def test_many_items_of_a_normal_source_give_the_mi_of_a_gaussian_pair() -> None:
    s = torch.randn(4, 2048, 2, generator=generator(3))
    scale = torch.full((4, 1, 2), 0.5)
    mi, error = mixture_information(s, s, scale, scale, draws=2048, generator=generator(4))
    assert mi.mean().item() == pytest.approx(-math.log(1 - 0.8**2), abs=0.05)
    assert (error < 0.03).all()


def test_parts_of_the_draws_do_not_change_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    s, scale = torch.randn(3, 64, 1, generator=generator(5)), torch.full((3, 1, 1), 0.3)
    whole, error = mixture_information(s, s, scale, scale, draws=4096, generator=generator())
    monkeypatch.setattr(module, "_CPU_ELEMENTS", 64 * 100)
    parts, _ = mixture_information(s, s, scale, scale, draws=4096, generator=generator(1))
    assert ((whole - parts).abs() < 5 * error).all()


@pytest.mark.parametrize("d", [1, 2, 3, 17, 100])
def test_rotations_are_orthogonal(d: int) -> None:
    used = torch.ones(4, 1, 1, dtype=torch.bool)
    q = draw_rotation(Random(4, generator()), d, used)(torch.eye(d).expand(4, d, d))
    torch.testing.assert_close(q @ q.mT, torch.eye(d).expand(4, d, d), atol=1e-5, rtol=0)


def test_a_frame_spreads_one_latent_column_over_all_columns() -> None:
    random, one = Random(3, generator()), torch.ones(3, 1, 1)
    frame = draw_frame(random, 1, 64, noise=0 * one, decay=0 * one, turned=1, curved=0)
    x = frame(torch.randn(3, 100, 1, generator=generator()), generator())
    share = x.square().sum(1) / x.square().sum((1, 2))[:, None]
    assert (share < 0.2).all()


@pytest.mark.parametrize("seed", range(4))
def test_clusters_have_the_mi_that_neighbours_find(seed: int) -> None:
    g = generator(seed)
    p = draw_clusters(Random(4, g), 2, 1, label=False, embedding=False)
    x, y = sample_pair(p, 2_000, g)
    mi, _ = clusters_information(p, g)
    near = torch.tensor([scaled_kraskov(a, b) for a, b in zip(x, y, strict=True)]).double()
    assert ((near - mi).abs() < 0.12 + 0.1 * mi).all()


@pytest.mark.parametrize("seed", range(4))
def test_manifolds_have_the_mi_that_neighbours_find(seed: int) -> None:
    g = generator(seed)
    p = draw_manifolds(Random(4, g), 1, 2, label=False)
    x, y = sample_codes(p, 2_000, g)
    mi, error = manifolds_information(p, g)
    near = torch.tensor([scaled_kraskov(a, b) for a, b in zip(x, y, strict=True)]).double()
    fair = mi < 2  # on thin curves neighbours need many more samples, and are too low
    assert ((near - mi).abs() < 0.12 + 0.2 * mi + 3 * error)[fair].all()
    assert (near < 1.1 * mi + 0.1 + 3 * error).all()


def test_a_manifold_has_the_mi_of_its_mixture_on_a_grid() -> None:
    g = generator(3)
    p = draw_manifolds(Random(3, g), 1, 1, label=False)
    mi, error = manifolds_information(p, g)
    assert p.y is not None
    for i in range(3):
        sides = []
        for code in (p.x, p.y):
            mean, scale = code.means[i, :, :1].double(), code.scale[i].item()
            low, high = mean.min().item() - 6 * scale, mean.max().item() + 6 * scale
            grid = torch.arange(low, high, 0.5 * scale, dtype=torch.float64)
            sides.append(torch.exp(-0.5 * ((grid - mean) / scale).square()))
        joint = sides[0].T @ sides[1]
        joint = joint / joint.sum()
        product = joint.sum(1, keepdim=True) * joint.sum(0)
        truth = (torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum()
        if p.tied[i]:
            assert mi[i].item() == pytest.approx(truth.item(), abs=5 * error[i].item())


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_one_column_have_the_mi_of_their_counts(seed: int) -> None:
    g = generator(seed)
    p = draw_manifolds(Random(8, g), 1, 1, label=True)
    x, y = sample_codes(p, 16_000, g)
    mi, error = manifolds_information(p, g)
    bins = (x[..., 0].argsort(-1).argsort(-1) * 60 // 16_000).long()
    classes = p.classes
    cells = torch.nn.functional.one_hot(bins * classes + y[..., 0].long(), 60 * classes)
    table = cells.double().mean(1).view(8, 60, classes)
    product = table.sum(2, keepdim=True) * table.sum(1, keepdim=True)
    plug_in = (torch.xlogy(table, table) - torch.xlogy(table, product)).sum((1, 2))
    assert ((plug_in - mi).abs() < 0.05 + 4 * error).all()


@pytest.mark.parametrize(("dx", "dy"), SIZES)
def test_codes_have_the_sizes_asked_for_and_finite_values(dx: int, dy: int) -> None:
    for seed in range(5):
        batch = Codes().sample(2, 20, dx, dy, generator=generator(seed))
        assert (batch.x.shape, batch.y.shape) == ((2, 20, dx), (2, 20, dy))
        assert batch.x.dtype == batch.y.dtype == batch.mi.dtype == torch.float32
        for values in (batch.x, batch.y, batch.mi, batch.error):
            assert torch.isfinite(values).all()
        assert (batch.mi >= 0).all() and (batch.mi < 9).all()


def test_codes_depend_on_their_generator_alone() -> None:
    state = torch.get_rng_state()
    for seed in range(4):
        a, b = (Codes().sample(1, 30, 5, 6, generator=generator(seed)) for _ in range(2))
        assert torch.equal(a.x, b.x) and torch.equal(a.y, b.y) and torch.equal(a.mi, b.mi)
    assert torch.equal(state, torch.get_rng_state())


def test_a_tenth_of_the_codes_is_independent() -> None:
    g, alone = generator(7), []
    for _ in range(30):
        law = Codes().draw(16, 4, 3, generator=g).law
        alone.append(law.independent if isinstance(law, ClusterParameters) else ~law.tied)
    assert 0.05 < torch.cat(alone).float().mean().item() < 0.17


def test_errors_are_at_most_three_hundredths() -> None:
    g = generator(8)
    batches = [Codes().sample(4, 8, 6, 4, generator=g) for _ in range(12)]
    mi, error = torch.cat([b.mi for b in batches]), torch.cat([b.error for b in batches])
    assert (error < 0.03 + 0.03 * mi).float().mean().item() > 0.95


def test_independent_clusters_read_zero_to_neighbours() -> None:
    g = generator(11)
    p = draw_clusters(Random(40, g), 2, 2, label=False, embedding=False)
    x, y = sample_pair(p, 1_500, g)
    alone = [scaled_kraskov(a, b) for a, b in zip(x[p.independent], y[p.independent], strict=True)]
    assert alone and all(abs(value) < 0.08 for value in alone)


def test_sizes_that_are_no_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected dx to be an integer >= 1, got 0"):
        Codes().sample(2, 8, 0, 2, generator=generator())
