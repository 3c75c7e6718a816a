"""Further oracles of the general meta-distribution: closed-form limits and direct integrals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from torchmist.synthetic.general import KINDS
from torchmist.synthetic.general.canonical import canonical_mi, draw_correlations, sample_canonical
from torchmist.synthetic.general.channel import (
    ChannelParameters,
    binned_channel_mi,
    draw_channels,
    sample_channels,
)
from torchmist.synthetic.general.discrete import ThresholdParameters, threshold_mi
from torchmist.synthetic.general.factors import draw_loadings, factor_mi, sample_factors
from torchmist.synthetic.general.mixtures import MixtureParameters, class_mi, mixture_mi

DOCS = Path(__file__).parent.parent / "docs" / "general.md"


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(weight: list[float], apart: float, p: int, q: int, rho: float) -> MixtureParameters:
    """Unit components whose means lie ``apart`` in all columns, one correlation inside of each."""
    k = len(weight)
    step = apart * torch.arange(k, dtype=torch.float32)[None, :, None]
    one = torch.ones(1, k, 1)
    pairs = min(p, q)
    return MixtureParameters(
        torch.tensor([weight]), step * torch.ones(1, k, p), one.expand(1, k, p),
        step * torch.ones(1, k, q), one.expand(1, k, q), rho * one.expand(1, k, pairs),
    )  # fmt: skip


@pytest.mark.parametrize("rho", [0.0, 0.8])
def test_components_far_apart_add_their_entropy(rho: float) -> None:
    weight = [0.2, 0.3, 0.5]
    value, error = mixture_mi(mixture(weight, 40.0, 3, 2, rho), generator=generator())
    truth = -sum(w * math.log(w) for w in weight) - math.log(1 - rho**2)  # two pairs
    assert abs(value.item() - truth) < 4 * error.item() + 1e-4


def test_classes_far_apart_have_their_entropy_and_equal_ones_none() -> None:
    weight = [0.1, 0.9]
    far = class_mi(mixture(weight, 40.0, 5, 1, 0.0), generator=generator())[0].item()
    assert far == pytest.approx(-sum(w * math.log(w) for w in weight), abs=1e-4)
    assert class_mi(mixture(weight, 0.0, 5, 1, 0.0), generator=generator())[0].item() < 1e-5


@pytest.mark.parametrize("d", [1, 4, 16])
def test_two_classes_depend_on_their_distance_alone(d: int) -> None:
    distance = 1.7
    m = mixture([0.5, 0.5], distance / math.sqrt(d), d, 1, 0.0)
    t = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    p, q = normal.log_prob(t - distance / 2).exp(), normal.log_prob(t + distance / 2).exp()
    middle = (p + q) / 2
    entropy = torch.trapezoid(-torch.xlogy(middle, middle), t).item()
    truth = entropy - 0.5 * math.log(2 * math.pi * math.e)
    value, error = class_mi(m, generator=generator())
    assert abs(value.item() - truth) < 4 * error.item()


@pytest.mark.parametrize("rho, edge", [(0.3, 0.5), (-0.8, 0.2), (0.95, 0.9)])
def test_a_binary_view_of_one_side_against_direct_integration(rho: float, edge: float) -> None:
    x = torch.linspace(-9, 9, 40_001, dtype=torch.float64)
    density = torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)
    cut = torch.special.ndtri(torch.tensor(edge, dtype=torch.float64))
    below = torch.special.ndtr((cut - rho * x) / math.sqrt(1 - rho**2))
    left = -torch.xlogy(below, below) - torch.xlogy(1 - below, 1 - below)
    whole = -edge * math.log(edge) - (1 - edge) * math.log(1 - edge)
    truth = whole - torch.trapezoid(density * left, x).item()
    edges = torch.full((1, 1, 1), edge, dtype=torch.float64)
    p = ThresholdParameters(torch.tensor([[rho]]).double(), edges, edges, torch.tensor([False]))
    assert threshold_mi(p).item() == pytest.approx(truth, rel=5e-3)


def test_student_columns_have_the_quantiles_of_their_law() -> None:
    """P(|t_3| > 2.353) = 0.1, P(|t_3| > 5.841) = 0.01 (tables)."""
    rho, df = torch.zeros(1, 2).double(), torch.tensor([3.0]).double()
    x, y = sample_canonical(rho, df, 100_000, 2, 3, generator=generator())
    values = torch.cat([x, y], -1)[0].abs()
    for edge, share in ((2.353, 0.1), (5.841, 0.01)):
        found = (values > edge).double().mean(0)
        assert (found - share).abs().max() < 5 * math.sqrt(share / 100_000)
    radius = torch.stack([x[0].norm(dim=-1), y[0].norm(dim=-1)]).log()
    assert torch.corrcoef(radius)[0, 1] > 0.3  # the shared scale


def test_the_law_of_correlations_keeps_to_its_bounds() -> None:
    rho = draw_correlations(500, 6, 9, generator=generator())
    mi = canonical_mi(rho, torch.full((500,), torch.inf, dtype=torch.float64), 6, 9)
    assert mi.min() > 0.019 and mi.max() < 12.01
    assert -0.5 * torch.log1p(-rho.square()).max() < 3.51
    assert ((rho > 0).sum(-1) == 1).any() and ((rho > 0).all(-1)).any()


def channels(
    noise: float, edges: list[float], *, columns: int = 3, direction: list[float] | None = None,
    inside: int = 0,
) -> ChannelParameters:  # fmt: skip
    """One channel: of a projection, or of the radius of ``inside`` columns."""
    weight = torch.tensor([direction or [1.0] + [0.0] * (columns - 1)]).double()
    return ChannelParameters(
        weight / weight.norm(), torch.arange(columns)[None] < inside, torch.tensor([inside > 0]),
        torch.tensor([edges], dtype=torch.float64), torch.tensor([noise], dtype=torch.float64),
    )  # fmt: skip


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.6, 1.0])
def test_a_channel_of_two_equal_bins_has_the_closed_form(noise: float) -> None:
    """log 2 - h(e / 2): the binary symmetric channel that flips with probability e / 2."""
    flip = torch.tensor(noise / 2, dtype=torch.float64)
    lost = -torch.xlogy(flip, flip) - torch.xlogy(1 - flip, 1 - flip)
    value = binned_channel_mi(channels(noise, [0.5])).item()
    assert value == pytest.approx(math.log(2) - lost.item(), abs=1e-12)


def test_a_clean_channel_has_the_entropy_of_its_bins_and_noise_leaves_none() -> None:
    edges = [0.1, 0.3, 0.35, 0.9]
    entropy = -sum(p * math.log(p) for p in (0.1, 0.2, 0.05, 0.55, 0.1))
    assert binned_channel_mi(channels(0.0, edges)).item() == pytest.approx(entropy, rel=1e-12)
    assert binned_channel_mi(channels(1.0, edges)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("what", ["column", "projection", "radius"])
def test_joint_counts_of_channels_have_their_mi(what: str, noise: float) -> None:
    """The bin of t, computed anew from the samples, against the label."""
    n, edges = 200_000, [0.2, 0.5, 0.9]
    direction = [0.5, -2.0, 1.0] if what == "projection" else None
    c = channels(noise, edges, direction=direction, inside=2 if what == "radius" else 0)
    x, label = sample_channels(c, n, generator=generator())
    x = x[0].double()
    if what == "radius":  # of two columns: P(R^2 < r^2) = 1 - exp(-r^2 / 2)
        level = -torch.expm1(-0.5 * x[:, :2].square().sum(-1))
    else:
        level = torch.special.ndtr(x @ c.direction[0])
    inside = torch.bucketize(level, c.edges[0])
    cells = torch.bincount(4 * inside + label[0], minlength=16).view(4, 4).double() / n
    expected = (1 - noise) * torch.diag(torch.tensor([0.2, 0.3, 0.4, 0.1]).double())
    expected += noise / 4 * torch.tensor([[0.2], [0.3], [0.4], [0.1]]).double()
    assert (cells - expected).abs().max() < 5 * math.sqrt(0.25 / n)
    product = cells.sum(1, keepdim=True) * cells.sum(0, keepdim=True)
    plug_in = (torch.xlogy(cells, cells) - torch.xlogy(cells, product)).sum().item()
    assert plug_in == pytest.approx(binned_channel_mi(c).item(), abs=0.01)


def test_drawn_channels_are_of_every_form() -> None:
    c = draw_channels(400, 6, 4, generator=generator())
    assert torch.allclose(c.direction.norm(dim=-1), torch.ones(400).double())
    used, inside = (c.direction != 0).sum(-1), c.inside.sum(-1)
    assert used.min() == 1 and used.max() == 6 and inside.min() == 2
    assert 0.2 < c.radial.double().mean() < 0.45 and 0.2 < (c.noise == 0).double().mean() < 0.4
    assert (c.edges.diff(dim=-1) > 0).all() and c.edges.min() > 0 and c.edges.max() < 1
    assert not draw_channels(50, 1, 2, generator=generator()).radial.any()
    mi = binned_channel_mi(c)
    assert (mi >= 0).all() and (mi <= math.log(4)).all()


def test_factor_models_agree_with_bmi() -> None:
    samplers = pytest.importorskip("bmi.samplers", exc_type=ImportError)
    loadings = draw_loadings(6, 3, 5, generator=generator())
    for load, mi in zip(loadings, factor_mi(loadings, 3)):
        covariance = (load @ load.T + torch.eye(8)).numpy()
        oracle = samplers.SplitMultinormal(dim_x=3, dim_y=5, covariance=covariance)
        assert mi.item() == pytest.approx(float(oracle.mutual_information()), rel=1e-6, abs=1e-9)


def test_samples_of_factor_models_have_their_covariance() -> None:
    loadings = draw_loadings(5, 3, 2, generator=generator(1))
    x, y = sample_factors(loadings, 100_000, 3, generator=generator(2))
    for sample, load in zip(torch.cat([x, y], -1).double(), loadings):
        covariance = load @ load.T + torch.eye(5)
        assert torch.allclose(torch.cov(sample.T), covariance, rtol=0.02, atol=0.03)


def test_drawn_factor_models_are_of_every_form() -> None:
    loadings = draw_loadings(400, 6, 4, generator=generator())
    used = (loadings != 0).any(1)
    assert used[:, 0].all() and set(used[:, :4].sum(1).tolist()) == {1, 2, 3, 4}
    assert (loadings[:, 6:, 4:7] == 0).all() and (loadings[:, :6, 7:] == 0).all()
    own = used[:, 4:7].sum(1)
    assert torch.equal(own, used[:, 7:].sum(1)) and set(own.tolist()) == {0, 1, 2, 3}
    independent = torch.cat([loadings[..., :0], loadings[..., 4:]], -1)
    assert factor_mi(independent, 6).abs().max() < 1e-9


def test_the_page_names_every_kind() -> None:
    page = DOCS.read_text()
    assert all(f"| `{kind}` |" in page for kind in KINDS)
