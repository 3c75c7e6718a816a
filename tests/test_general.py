"""The general meta-distribution: its law; relations, pairs and bins against other oracles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from torchmist.adapt.warp import WarpedMeta
from torchmist.synthetic import PaperMeta
from torchmist.synthetic.general import KINDS, GeneralMeta
from torchmist.synthetic.general import relations as rel
from torchmist.synthetic.general.canonical import canonical_mi, draw_correlations, sample_canonical
from torchmist.synthetic.general.discrete import (
    ThresholdParameters,
    draw_thresholds,
    sample_thresholds,
    threshold_mi,
)
from torchmist.synthetic.general.mixing import mix_linearly

SIZES = ((1, 1), (1, 3), (7, 2), (12, 12), (30, 64))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dx, dy", SIZES)
def test_every_kind_gives_finite_datasets_of_any_size(kind: str, dx: int, dy: int) -> None:
    batch = GeneralMeta({kind: 1.0}).sample(6, 40, dx, dy, generator=generator())
    assert batch.x.shape == (6, 40, dx) and batch.y.shape == (6, 40, dy)
    assert batch.x.isfinite().all() and batch.y.isfinite().all()
    assert (batch.mi >= 0).all() and batch.mi.isfinite().all()


def test_a_batch_depends_on_its_generator_alone() -> None:
    state = torch.get_rng_state()
    one, again = (GeneralMeta().sample(16, 30, 3, 4, generator=generator(5)) for _ in range(2))
    assert torch.equal(one.x, again.x) and torch.equal(one.mi, again.mi)
    assert torch.equal(state, torch.get_rng_state())


def test_shares_of_kinds_and_independence_are_respected() -> None:
    meta = GeneralMeta({"gaussian": 1.0}, independent=1.0)
    batch = meta.sample(64, 2000, 1, 1, generator=generator())
    x, y = batch.x.squeeze(-1), batch.y.squeeze(-1)
    correlation = ((x - x.mean(1, True)) * (y - y.mean(1, True))).mean(1) / (x.std(1) * y.std(1))
    assert (batch.mi == 0).all() and correlation.abs().max() < 4.5 / math.sqrt(2000)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"kinds": {"cauchy": 1.0}}, "expected shares of some of"),
        ({"kinds": {}}, "expected shares of some of"),
        ({"mixed": 1.5}, r"expected mixed in \[0, 1\]"),
    ],
)
def test_wrong_shares_are_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GeneralMeta(**arguments)


@pytest.mark.parametrize("size", [(0, 10, 1, 1), (1, 10, 0, 1), (1, 10, 1, 2.5)])
def test_wrong_sizes_are_errors(size: tuple) -> None:
    with pytest.raises(ValueError, match="to be an integer >= 1"):
        GeneralMeta().sample(*size, generator=generator())


def test_canonical_gaussians_have_the_plug_in_mi_of_a_large_sample() -> None:
    rho = draw_correlations(8, 3, 5, generator=generator())
    df = torch.full((8,), torch.inf, dtype=torch.float64)
    x, y = sample_canonical(rho, df, 40_000, 3, 5, generator=generator(1))
    x, y = mix_linearly(x, generator=generator(2)), mix_linearly(y, generator=generator(3))
    joint = torch.cat([x, y], -1).double()
    half = [
        0.5 * torch.stack([torch.cov(s.T) for s in v]).logdet()
        for v in (x.double(), y.double(), joint)
    ]
    truth = canonical_mi(rho, df, 3, 5)
    assert torch.allclose(half[0] + half[1] - half[2], truth, rtol=0.02, atol=2e-3)


def test_student_pairs_agree_with_bmi() -> None:
    samplers = pytest.importorskip("bmi.samplers", exc_type=ImportError)
    rho = torch.tensor([[0.8, 0.3]], dtype=torch.float64)
    dispersion = np.eye(5)
    for k, r in enumerate(rho[0].tolist()):
        dispersion[k, 2 + k] = dispersion[2 + k, k] = r
    oracle = samplers.SplitStudentT(dim_x=2, dim_y=3, dispersion=dispersion, df=4)
    ours = canonical_mi(rho, torch.tensor([4.0], dtype=torch.float64), 2, 3)
    assert ours.item() == pytest.approx(float(oracle.mutual_information()), rel=1e-6)


@pytest.mark.parametrize("index", range(0, len(rel.RELATIONS), 7))
def test_relations_against_direct_integration(index: int) -> None:
    source, curve, noise = rel.RELATIONS[index]
    log_scale = torch.tensor([[-1.37]], dtype=torch.float64)
    s = log_scale.exp().item()
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    f = rel._CURVES[curve](rel._SOURCES[source](u))
    f = (f - f.mean()) / f.std(correction=0)
    y = torch.linspace(f.min() - 20 * s, f.max() + 20 * s, 4000, dtype=torch.float64)
    t = (y[:, None] - f) / s
    if noise == "normal":
        p, own = (
            torch.exp(-0.5 * t.square()) / math.sqrt(2 * math.pi),
            0.5 * math.log(2 * math.pi * math.e),
        )
    elif noise == "laplace":
        p, own = 0.5 * torch.exp(-t.abs()), 1 + math.log(2)
    else:
        p, own = (t.abs() < math.sqrt(3)).double() / math.sqrt(12), 0.5 * math.log(12)
    p = p.mean(1) / s
    direct = torch.trapezoid(-torch.xlogy(p, p), y) - own - math.log(s)
    ours = rel.relation_mi(torch.tensor([[index]]), log_scale)
    assert ours.item() == pytest.approx(direct.item(), rel=6e-3)


def test_relation_samples_follow_their_formula() -> None:
    index = rel.RELATIONS.index(("uniform", "square", "normal"))
    log_scale = torch.full((1, 1), -1.0, dtype=torch.float64)
    x, y = rel.sample_relations(torch.tensor([[index]]), log_scale, 50_000, generator=generator())
    f = x.square()
    rest = y - (f - f.mean()) / f.std()
    assert rest.std().item() == pytest.approx(math.exp(-1), rel=0.02)
    assert abs(torch.corrcoef(torch.stack([rest.flatten(), f.flatten()]))[0, 1].item()) < 0.02


def test_datasets_carry_the_error_of_their_mi() -> None:
    kinds = {"mixture": 1.0, "classes": 1.0, "gaussian": 1.0}
    batch = GeneralMeta(kinds, independent=0.3).sample(96, 4, 3, 4, generator=generator())
    apart = batch.mi == 0
    drawn = (batch.family < 2) & ~apart
    assert apart.any() and (batch.error[apart] == 0).all()
    assert (batch.error[batch.family == 2] == 0).all()
    assert (batch.error[drawn] > 0).float().mean() > 0.9
    assert (batch.error <= 0.01 * batch.mi.clamp(min=0.5)).all()
    assert torch.equal(batch[10:20].error, batch.error[10:20]) and len(batch[10:20].x) == 10
    exact = PaperMeta().sample(4, 10, 3, generator=generator())
    assert (exact.error == 0).all()


def test_warped_datasets_keep_the_error() -> None:
    meta = GeneralMeta({"mixture": 1.0}, independent=0.0)
    plain, warped = (
        m.sample(4, 20, 2, 2, generator=generator()) for m in (meta, WarpedMeta(meta, None, None))
    )
    assert torch.equal(warped.error, plain.error) and (plain.error > 0).all()


def test_single_columns_of_the_paper_are_often_additive_noise() -> None:
    """y - x is uniform and bounded, and independent of x; of Gaussian pairs it is neither."""
    meta = GeneralMeta({"paper": 1.0}, independent=0.0)
    found = []
    for seed in range(40):
        batch = meta.sample(1, 4000, 1, 1, generator=generator(seed))
        x, y = batch.x[0, :, 0], batch.y[0, :, 0]
        half = (y - x).abs().max().item()
        bounded = x.min() >= 0 and x.max() <= 1
        found.append(bool(bounded))
        if bounded:
            truth = 0.25 / half if half > 0.5 else half - math.log(2 * half)
            assert batch.mi.item() == pytest.approx(truth, rel=0.01)
    assert 10 <= sum(found) <= 30


@pytest.mark.parametrize("rho", [-0.9, 0.2, 0.7])
def test_signs_of_a_gaussian_pair_have_the_closed_form(rho: float) -> None:
    half = torch.full((1, 1, 1), 0.5, dtype=torch.float64)
    p = ThresholdParameters(torch.tensor([[rho]]).double(), half, half, torch.tensor([True]))
    agree = 0.5 + math.asin(rho) / math.pi
    truth = math.log(2) + agree * math.log(agree) + (1 - agree) * math.log(1 - agree)
    assert threshold_mi(p).item() == pytest.approx(truth, rel=5e-3, abs=1e-5)


def test_binning_loses_information_and_samples_match_the_cells() -> None:
    p = draw_thresholds(4, 1, 5, generator=generator())
    seen, binned = (
        threshold_mi(ThresholdParameters(p.rho, p.edges_x, p.edges_y, torch.full((4,), both)))
        for both in (False, True)
    )
    gaussian = -0.5 * torch.log1p(-p.rho.square()).sum(-1)
    assert (binned <= seen + 1e-6).all() and (seen <= gaussian + 1e-3).all()
    both = ThresholdParameters(p.rho, p.edges_x, p.edges_y, torch.ones(4, dtype=torch.bool))
    x, y = sample_thresholds(both, 80_000, generator=generator(1))
    cells = torch.stack([torch.bincount(c, minlength=25) for c in (5 * x + y).long().flatten(1)])
    cells = cells.view(4, 5, 5).double() / 80_000
    product = cells.sum(2, keepdim=True) * cells.sum(1, keepdim=True)
    plug_in = (torch.xlogy(cells, cells) - torch.xlogy(cells, product.clamp(min=1e-300))).sum(
        (1, 2)
    )
    assert torch.allclose(plug_in, binned, atol=8e-3)


def test_only_elliptical_datasets_of_many_columns_are_mixed_linearly() -> None:
    u = torch.tensor([[0.3, 0.3], [1.0, 1.0]])
    meta = GeneralMeta(mixed=0.5, warped=0.5)
    for d, elliptical in itertools.product((4, 8), (True, False)):
        x = torch.randn(2, 20, d, generator=generator())
        out = meta._mix(x.clone(), True, elliptical, u, generator(1))
        assert torch.equal(out, x) == (d > 5 and not elliptical)
