"""The paper's meta-distribution against closed forms, quadrature and naive loops."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import synthetic_throughput
from torchmist.synthetic import (
    IMD_FAMILIES,
    OOMD_FAMILIES,
    TRAIN_FAMILIES,
    PaperFamily,
    PaperMeta,
    PaperParameters,
    draw_parameters,
    family_mi,
    sample_family,
)
from torchmist.synthetic.additive import additive_mi
from torchmist.synthetic.latent import student_correction
from torchmist.synthetic.parameters import ParameterBatch
from torchmist.synthetic.warps import WARPS

FAMILIES = tuple(dict.fromkeys(TRAIN_FAMILIES + IMD_FAMILIES + OOMD_FAMILIES))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def covariance(kind: str, p: PaperParameters) -> np.ndarray:
    """Covariance of (X, Y) of the latent-variable form, entry by entry."""
    d = p.dim
    pairs = {"dense": 0, "2pair": 2}.get(kind, p.n_interacting)
    if kind == "dense":
        shared, alpha, beta, own, private = 0.0, p.off_diag, 0.0, 1 - p.off_diag, 0.0
    elif kind == "lvm":
        shared, alpha, beta, own, private = p.lambd**2, p.alpha**2, p.beta**2, 1.0, p.eta**2
    else:
        shared, alpha, beta, own, private = p.strength**2, 0.0, 0.0, 1.0, p.strength**2
    out = np.empty((2 * d, 2 * d))
    for i in range(2 * d):
        for j in range(2 * d):
            value = alpha + beta * (i // d == j // d)
            if i % d == j % d and i % d < pairs:
                value += shared
            if i == j:
                value += own + private * (i % d >= pairs)
            out[i, j] = value
    return out


def gaussian_mi(sigma: np.ndarray) -> float:
    d = len(sigma) // 2
    logdets = [np.linalg.slogdet(s)[1] for s in (sigma[:d, :d], sigma[d:, d:], sigma)]
    return 0.5 * (logdets[0] + logdets[1] - logdets[2])


def test_family_counts():
    assert (len(TRAIN_FAMILIES), len(IMD_FAMILIES), len(OOMD_FAMILIES)) == (16, 6, 7)


def test_test_families_are_inside_and_outside_of_training():
    assert set(IMD_FAMILIES) <= set(TRAIN_FAMILIES)
    assert not set(OOMD_FAMILIES) & set(TRAIN_FAMILIES)


@pytest.mark.parametrize("dim", [2, 5, 32])
@pytest.mark.parametrize("structure", ["dense", "sparse", "lvm", "2pair"])
def test_gaussian_mi_is_that_of_the_covariance(structure: str, dim: int):
    name = f"normal-{structure}-base"
    parameters = [draw_parameters(name, dim, generator(seed)) for seed in range(5)]
    expected = [gaussian_mi(covariance(structure, p)) for p in parameters]
    np.testing.assert_allclose(family_mi(name, parameters), expected, rtol=1e-9)


def test_dense_mi_in_closed_form():
    p = draw_parameters("normal-dense-base", 4, generator())
    r = p.off_diag
    expected = math.log1p(3 * r) - 0.5 * math.log1p(7 * r) - 0.5 * math.log1p(-r)
    assert family_mi("normal-dense-base", [p]).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("structure", ["sparse", "2pair"])
def test_sparse_mi_is_a_sum_over_pairs(structure: str):
    p = draw_parameters("normal-sparse-base", 6, generator(3))
    rho = p.strength**2 / (1 + p.strength**2)
    pairs = 2 if structure == "2pair" else p.n_interacting
    mi = family_mi(f"normal-{structure}-base", [p]).item()
    assert mi == pytest.approx(-0.5 * pairs * math.log(1 - rho**2), rel=1e-12)


def test_student_correction_of_a_bivariate_cauchy_is_log_8pi_minus_3():
    df = torch.ones(1, dtype=torch.float64)
    assert student_correction(df, 1, 1).item() == pytest.approx(math.log(8 * math.pi) - 3)


def test_student_correction_vanishes_with_the_degrees_of_freedom():
    df = torch.tensor([1e7, math.inf], dtype=torch.float64)
    assert student_correction(df, 4, 4).abs().max() < 1e-4
    assert student_correction(df, 4, 4)[1] == 0


@pytest.mark.parametrize("epsilon", [0.1, 0.49, 0.5, 0.51, 2.0])
def test_additive_mi_by_quadrature(epsilon: float):
    edge = np.linspace(-epsilon, 1 + epsilon, 400_001)
    y = 0.5 * (edge[1:] + edge[:-1])
    overlap = np.clip(np.minimum(1, y + epsilon) - np.maximum(0, y - epsilon), 1e-300, None)
    density = overlap / (2 * epsilon)
    entropy = -np.sum(density * np.log(density)) * (edge[1] - edge[0])
    expected = entropy - math.log(2 * epsilon)
    mi = additive_mi(torch.tensor([[epsilon]], dtype=torch.float64)).item()
    assert mi == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("structure", ["dense", "sparse", "lvm", "2pair"])
def test_gaussian_samples_have_unit_variance_and_the_correlations_of_the_form(structure: str):
    p = draw_parameters(f"normal-{structure}-base", 4, generator(1))
    batch = sample_family(f"normal-{structure}-base", [p], 40_000, generator=generator(2))
    sample = np.cov(torch.cat([batch.x[0], batch.y[0]], -1).double().numpy().T)
    sigma = covariance(structure, p)
    scale = np.sqrt(np.diag(sigma))
    np.testing.assert_allclose(sample, sigma / np.outer(scale, scale), atol=0.03)


def test_student_shares_one_scale_in_each_sample():
    """A single chi2 makes the squared norms of X and Y dependent where X and Y are uncorrelated."""
    p = replace(draw_parameters("student-dense-base", 16, generator()), off_diag=0.0, df=3.0)
    batch = sample_family("student-dense-base", [p], 5000, generator=generator())
    norms = torch.stack([batch.x[0].norm(dim=-1), batch.y[0].norm(dim=-1)]).log()
    assert torch.corrcoef(norms)[0, 1] > 0.8


@pytest.mark.parametrize("warp", sorted(WARPS))
def test_warps_increase(warp: str):
    grid = torch.linspace(-50, 50, 200_001, dtype=torch.float64)
    for f in WARPS[warp]:
        assert (f(grid).diff() > 0).all()


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("n", [1, 40])
def test_every_family_makes_finite_float32_datasets(name: str, n: int):
    batch = PaperMeta([name]).sample(6, n, 3, generator=generator())
    for sample in (batch.x, batch.y):
        assert sample.shape == (6, n, 3)
        assert sample.dtype == torch.float32
        assert sample.isfinite().all()
    assert batch.mi.dtype == torch.float32
    assert (batch.mi > 0).all()


def test_each_dataset_of_a_mixed_batch_carries_its_own_mi():
    g = generator(7)
    meta = PaperMeta()
    family = torch.randint(len(meta.families), (32,), generator=g)
    drawn = ParameterBatch.draw(32, 5, generator=g)
    expected = [
        family_mi(meta.families[k], [p]).item() for k, p in zip(family.tolist(), drawn.unbind())
    ]
    batch = meta.sample(32, 3, 5, generator=generator(7))
    assert torch.equal(batch.family, family)
    np.testing.assert_allclose(batch.mi, expected, rtol=1e-6)


def test_families_are_equally_likely():
    family = PaperMeta().sample(8000, 1, 2, generator=generator()).family
    counts = torch.bincount(family, minlength=16)
    assert counts.shape == (16,)
    assert ((counts - 500).abs() < 5 * math.sqrt(500)).all()


@pytest.mark.parametrize(
    ("field", "low", "high"),
    [
        ("off_diag", 0, 0.5),
        ("strength", 0.1, 5),
        ("alpha", 0, 1),
        ("lambd", 0.1, 3),
        ("beta", 0, 1.5),
        ("eta", 0.1, 5),
        ("df", 1, 10),
        ("epsilon", 0.1, 2),
    ],
)
def test_parameters_are_uniform_over_the_range_of_the_paper(field: str, low: float, high: float):
    drawn = getattr(ParameterBatch.draw(20_000, 2, generator=generator()), field)
    unit = ((drawn - low) / (high - low)).flatten().sort().values
    assert 0 <= unit[0] and unit[-1] <= 1
    assert (unit - torch.linspace(0, 1, len(unit))).abs().max() < 0.015


def test_interacting_pairs_are_uniform_in_1_to_d():
    drawn = ParameterBatch.draw(5000, 5, generator=generator()).n_interacting
    counts = torch.bincount(drawn)
    assert counts[0] == 0 and len(counts) == 6
    assert ((counts[1:] - 1000).abs() < 150).all()


def test_parameters_survive_stack_and_unbind():
    drawn = ParameterBatch.draw(4, 3, generator=generator()).unbind()
    assert ParameterBatch.stack(drawn).unbind() == drawn


def test_the_generator_decides_everything():
    first, again, other = (PaperMeta().sample(8, 20, 3, generator=generator(s)) for s in (5, 5, 6))
    assert torch.equal(first.x, again.x) and torch.equal(first.y, again.y)
    assert torch.equal(first.mi, again.mi) and torch.equal(first.family, again.family)
    assert not torch.equal(first.x, other.x)


def test_the_global_random_state_is_untouched():
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    PaperMeta(FAMILIES).sample(32, 20, 3, generator=generator())
    draw_parameters("student-dense-base", 3, generator())
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()


def test_the_global_random_state_has_no_influence():
    torch.manual_seed(1)
    first = PaperMeta(FAMILIES).sample(32, 20, 3, generator=generator())
    torch.manual_seed(2)
    again = PaperMeta(FAMILIES).sample(32, 20, 3, generator=generator())
    assert torch.equal(first.x, again.x) and torch.equal(first.y, again.y)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_the_device_argument_does_not_change_the_datasets(device: str | torch.device):
    plain = PaperMeta().sample(8, 20, 3, generator=generator())
    moved = PaperMeta().sample(8, 20, 3, generator=generator(), device=device)
    assert torch.equal(plain.x, moved.x) and torch.equal(plain.y, moved.y)


def test_the_device_argument_moves_every_field():
    batch = PaperMeta().sample(8, 20, 3, generator=generator(), device="meta")
    assert {t.device.type for t in (batch.x, batch.y, batch.mi, batch.family)} == {"meta"}


@pytest.mark.parametrize(
    "name", ["", "normal", "normal-base", "student-lvm-base", "normal-dense-cube",
             "additive_noise-dense-base", "uniform-dense-base", "normal-dense-base-base", 3],
)  # fmt: skip
def test_unknown_families_are_refused(name: str):
    for refuse in (PaperFamily.from_name, lambda f: PaperMeta([f]),
                   lambda f: draw_parameters(f, 3, generator())):  # fmt: skip
        with pytest.raises(ValueError, match="expected a family named base"):
            refuse(name)


def test_an_empty_selection_is_refused():
    with pytest.raises(ValueError, match="at least one family"):
        PaperMeta([])


@pytest.mark.parametrize("dim", [1, 0, -3, 2.5])
def test_bad_dimensions_are_refused(dim: int):
    with pytest.raises(ValueError, match="integer dim >= 2"):
        PaperMeta().sample(4, 10, dim, generator=generator())
    with pytest.raises(ValueError, match="integer dim >= 2"):
        draw_parameters("normal-dense-base", dim, generator())


def test_empty_batches_and_datasets_are_refused():
    with pytest.raises(ValueError, match="batch_size >= 1"):
        PaperMeta().sample(0, 10, 3, generator=generator())
    with pytest.raises(ValueError, match="n >= 1"):
        PaperMeta().sample(4, 0, 3, generator=generator())


def test_parameters_of_different_dimensions_are_refused():
    parameters = [draw_parameters("normal-dense-base", d, generator()) for d in (2, 3)]
    with pytest.raises(ValueError, match="one dimension, got dimensions"):
        family_mi("normal-dense-base", parameters)


@pytest.mark.parametrize("change", [{"n_interacting": 9}, {"epsilon": (0.5,)}])
def test_inconsistent_parameters_are_refused(change: dict):
    p = replace(draw_parameters("normal-dense-base", 3, generator()), **change)
    with pytest.raises(ValueError, match="noise widths and 1 <= n_interacting"):
        family_mi("normal-dense-base", [p])


def test_the_throughput_benchmark_writes_its_record(tmp_path: Path):
    out = tmp_path / "rate.json"
    sizes = ["--n", "20", "--dim", "2", "--batch-size", "8", "--seconds", "0.05"]
    threads = torch.get_num_threads()
    synthetic_throughput.main([*sizes, "--threads", "1", "--out", str(out)])
    torch.set_num_threads(threads)
    assert json.loads(out.read_text())["datasets_per_second"]["1"] > 0
