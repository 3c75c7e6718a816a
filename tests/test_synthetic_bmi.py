"""Every family against the bmi library: the same parameters give the same MI and distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from jax.experimental import enable_x64
from scipy.stats import ks_2samp

from benchmarks.bmi_families import bmi_sampler
from torchmist.synthetic import (
    IMD_FAMILIES,
    OOMD_FAMILIES,
    TRAIN_FAMILIES,
    PaperParameters,
    draw_parameters,
    family_mi,
    sample_family,
)

FAMILIES = tuple(dict.fromkeys(TRAIN_FAMILIES + IMD_FAMILIES + OOMD_FAMILIES))
DIM, SAMPLES = 4, 4000
P_VALUE = 1e-4
"""Of the least of about 40 p-values, Bonferroni: a false alarm in under 0.5 % of the cases."""


def parameters(family: str, dim: int = DIM, seed: int = 0) -> PaperParameters:
    return draw_parameters(family, dim, torch.Generator().manual_seed(seed))


def statistics(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Scalars of each sample: columns, random projections, products of pairs, norms."""
    both = np.hstack([x, y]).astype(np.float64)
    directions = np.random.default_rng(0).standard_normal((both.shape[1], 16))
    left, right = both[:, : x.shape[1]], both[:, x.shape[1] :]
    return [
        *both.T,
        *(both @ directions).T,
        *(left * right).T,
        *(left - right).T,
        left[:, 0] * left[:, 1],
        right[:, 0] * right[:, 1],
        left[:, 0] * right[:, 1],
        (left**2).sum(1),
        (right**2).sum(1),
        (both**2).sum(1),
        (left**2).sum(1) / (right**2).sum(1),
    ]


def least_p_value(family: str, ours: PaperParameters, theirs: PaperParameters) -> float:
    """Least Kolmogorov-Smirnov p-value over the statistics of our samples and of bmi's."""
    batch = sample_family(family, [ours], SAMPLES, generator=torch.Generator().manual_seed(1))
    x, y = bmi_sampler(family, theirs).sample(SAMPLES, 2)
    pairs = zip(statistics(batch.x[0].numpy(), batch.y[0].numpy()), statistics(x, y))
    return min(ks_2samp(a, b, method="asymp").pvalue for a, b in pairs)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_mi_as_bmi(family: str):
    for dim in (2, 3, 17, 32):
        drawn = [parameters(family, dim, seed) for seed in range(3)]
        with enable_x64():
            expected = [bmi_sampler(family, p).mutual_information() for p in drawn]
        np.testing.assert_allclose(family_mi(family, drawn), expected, rtol=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_same_distribution_as_bmi(family: str, seed: int):
    p = parameters(family, seed=seed)
    assert least_p_value(family, p, p) > P_VALUE


@pytest.mark.parametrize(
    ("family", "change"),
    [
        ("normal-dense-base", {"off_diag": 0.1}),
        ("normal-sparse-base", {"strength": 0.5}),
        ("normal-sparse-wigglify", {"n_interacting": 1}),
        ("normal-lvm-base", {"beta": 1.4}),
        ("normal-lvm-wigglify", {"eta": 0.2}),
        ("student-dense-base", {"df": 2.0}),
        ("student-2pair-asinh", {"strength": 0.5}),
        ("additive_noise-base", {"epsilon": (0.2,) * DIM}),
    ],
)
def test_the_two_sample_check_sees_a_wrong_parameter(family: str, change: dict):
    p = replace(
        parameters(family), off_diag=0.3, strength=2.0, n_interacting=3, df=6.0, alpha=0.5,
        lambd=2.0, beta=0.5, eta=3.0, epsilon=(0.4,) * DIM,
    )  # fmt: skip
    assert least_p_value(family, p, p) > P_VALUE
    assert least_p_value(family, replace(p, **change), p) < P_VALUE


@pytest.mark.parametrize("family", ["normal-sparse-halfcube", "normal-lvm-wigglify"])
def test_the_two_sample_check_sees_a_wrong_warp(family: str):
    p = parameters(family)
    base = family.rsplit("-", 1)[0] + "-base"
    batch = sample_family(base, [p], SAMPLES, generator=torch.Generator().manual_seed(1))
    x, y = bmi_sampler(family, p).sample(SAMPLES, 2)
    pairs = zip(statistics(batch.x[0].numpy(), batch.y[0].numpy()), statistics(x, y))
    assert min(ks_2samp(a, b, method="asymp").pvalue for a, b in pairs) < P_VALUE


def test_bmi_families_refuse_an_unknown_name():
    with pytest.raises(ValueError, match="expected a family named base"):
        bmi_sampler("normal-round-base", parameters("normal-dense-base"))
