"""The shipped weights: stored predictions, known truths, and what must not change them."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest
import torch

import torchmist
from torchmist.synthetic import PaperMeta
from torchmist.weights import registry
from training.export import reference_predictions


@pytest.mark.parametrize("name", sorted(registry()))
def test_stored_reference_predictions(name: str) -> None:
    stored = json.loads(
        files("torchmist.pretrained").joinpath(f"{name}.reference.json").read_text()
    )
    found = reference_predictions(torchmist.load_pretrained(name))
    for was, now in zip(stored, found, strict=True):
        assert was["mi"] == pytest.approx(now["mi"])
        np.testing.assert_allclose(now["quantiles"], was["quantiles"], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", sorted(registry()))
def test_header_carries_provenance_and_evaluation(name: str) -> None:
    model = torchmist.load_pretrained(name)
    assert model.provenance["steps"] > 0 and "trained_range" in model.provenance
    assert model.evaluation["validation"]


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_gaussian_pairs(rho: float) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 400, 3))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=x.shape)
    truth = -1.5 * np.log(1 - rho**2)
    assert torchmist.estimate(x, y).mean.mean() == pytest.approx(truth, abs=0.1 + 0.3 * truth)


def test_the_gradient_lowers_the_truth() -> None:
    """Descending the estimate in the mixing of a Gaussian encoder lowers its true MI."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.tensor([1.0, 1.0], requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1)

    def truth() -> float:
        signal = weight.detach()[0] ** 2
        return float(0.5 * torch.log1p(signal / (weight.detach()[1] ** 2 + 0.1)))

    before = truth()
    for _ in range(15):
        s, noise = (torch.randn(256, 2, generator=generator) for _ in range(2))
        extra = torch.randn(256, 2, generator=generator)
        z = weight[0] * s + weight[1] * noise + 0.1**0.5 * extra
        optimizer.zero_grad()
        torchmist.mist_mi(z, s).backward()
        optimizer.step()
    assert truth() < 0.5 * before


def test_unchanged_by_what_cannot_change_the_truth() -> None:
    batch = PaperMeta().sample(4, 200, 6, generator=torch.Generator().manual_seed(0))
    reference = torchmist.estimate(batch.x, batch.y).mean
    for x, y in (
        (batch.y, batch.x),
        (batch.x.flip(-1), batch.y.roll(2, -1)),
        (batch.x.flip(1), batch.y.flip(1)),
        (-torch.asinh(batch.x), batch.y * 100 + 3),
    ):
        np.testing.assert_allclose(torchmist.estimate(x, y).mean, reference, atol=1e-4)


@pytest.mark.parametrize("d, most", [(2, 0.12), (4, 0.45)])
def test_what_a_lift_appends_adds_little(d: int, most: float) -> None:
    """Predictions of s from its code of 8 columns, and their squares: 0.6 nats a column of s."""
    g, left = torch.Generator().manual_seed(0), 0.3  # of the variance of s, given its code
    s, noise = torch.randn(8, 256, d, generator=g), torch.randn(8, 256, 8, generator=g)
    frame = torch.linalg.qr(torch.randn(8, 8, d, generator=g)).Q
    scale = ((1 - left) / left) ** 0.5
    z = scale * s @ frame.mT + noise
    predicted = z @ frame
    with torch.no_grad():
        plain = torchmist.mist_mi(z, s)
        lifted = torchmist.mist_mi(torch.cat([z, predicted, predicted.square()], -1), s)
    assert plain.mean().item() == pytest.approx(-0.5 * d * np.log(left), rel=0.1)
    assert -0.1 < (lifted - plain).mean().item() < most
