"""Waves: functions of many periods, what must not change them, and independence."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from torchmist.copula import normal_scores
from torchmist.models.waves import WAVES, wave_statistics

SLOW, MIDDLE, FAST = range(3)  # bands of waves in the first column


def wave(periods: float, n: int = 1000, noise: float = 0.1) -> Tensor:
    """Normal scores ``[4, 2, N]`` of a uniform column and of a noisy sine of it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(4, n, 1, generator=generator)
    y = torch.sin(2 * math.pi * periods * x)
    y = y + noise * torch.randn(4, n, 1, generator=generator)
    return normal_scores(torch.cat([x, y], -1)).mT


@pytest.mark.parametrize(("periods", "band"), [(0.25, SLOW), (2, MIDDLE), (5, FAST)])
def test_a_sine_is_seen_in_the_band_of_its_periods(periods, band) -> None:
    """A sine of p periods of u in [0, 1] goes with cos(pi k u) of k about 2 p."""
    seen = wave_statistics(wave(periods))[:, :, 0, 1].mean(1)
    assert seen.shape == (WAVES,)
    assert int(seen[:3].argmax()) == band
    assert seen[band] > 0.8


def test_the_second_half_is_the_reverse_direction() -> None:
    seen = wave_statistics(wave(5))
    torch.testing.assert_close(seen[WAVES // 2 :], seen[: WAVES // 2].mT)
    assert seen[FAST, :, 0, 1].mean() > 2 * seen[FAST, :, 1, 0].mean()


def test_the_values_are_those_of_a_loop() -> None:
    scores = wave(2, n=50).double()
    u = torch.special.ndtr(scores)

    def cosine(column: int, k: int) -> Tensor:
        return math.sqrt(2) * torch.cos(math.pi * k * u[:, column])

    wanted = torch.zeros(WAVES // 2, 4, 2, 2, dtype=torch.float64)
    for band, ks in enumerate((range(1, 3), range(3, 6), range(6, 13))):
        for a in range(2):
            for b in range(2):
                parts = [(cosine(a, k) * cosine(b, m)).sum(-1) for k in ks for m in range(1, 4)]
                energy = torch.stack(parts).square().mean(0) / 50
                wanted[band, :, a, b] = torch.log1p(energy) / 4
    torch.testing.assert_close(wave_statistics(scores)[: WAVES // 2], wanted)


@pytest.mark.parametrize("mirrored", [(-1, 1), (1, -1), (-1, -1)])
def test_mirrored_columns_give_the_same(mirrored) -> None:
    scores = wave(5, n=200)
    sign = torch.tensor(mirrored, dtype=scores.dtype)[:, None]
    torch.testing.assert_close(
        wave_statistics(scores * sign), wave_statistics(scores), atol=1e-4, rtol=1e-4
    )


def test_the_order_of_samples_gives_the_same() -> None:
    scores = wave(5, n=200)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        wave_statistics(scores[..., order]), wave_statistics(scores), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("n", [50, 500])
def test_independence_gives_about_a_quarter_of_log_2(n) -> None:
    """Squared correlations times N are about 1; means of at least 6 of them under a logarithm."""
    generator = torch.Generator().manual_seed(0)
    scores = normal_scores(torch.randn(400, n, 2, generator=generator)).mT
    seen = wave_statistics(scores)[:, :, 0, 1].mean(1)
    assert seen.tolist() == pytest.approx([math.log1p(1) / 4] * WAVES, abs=0.02)


def test_padding_changes_nothing() -> None:
    scores = wave(5, n=100)
    mask = torch.ones(4, 130, dtype=torch.bool)
    mask[:, 100:] = False
    padded = torch.nn.functional.pad(scores, (0, 30))
    torch.testing.assert_close(wave_statistics(padded, mask), wave_statistics(scores))


def test_the_gradient_is_that_of_finite_differences() -> None:
    scores = wave(2, n=12)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(wave_statistics, (scores,))
