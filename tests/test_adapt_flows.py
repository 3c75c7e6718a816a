"""Flows of one variable, and meta-distributions that are warped by them."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from adapt_samples import draw, mixed

import torchmist
from torchmist.adapt import Flow, FlowReport, WarpedMeta, fit_flow, plot_flow
from torchmist.adapt.flow_fit import told_apart
from torchmist.adapt.marginals import Marginals
from torchmist.synthetic.general.canonical_meta import CanonicalMeta

pytestmark = pytest.mark.usefixtures("steady")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_marginals_are_normal_and_come_back(dtype) -> None:
    x = draw(1000, 3).to(dtype).exp()
    marginals = Marginals(x)
    z = marginals.to_normal(x)
    assert z.dtype == dtype
    assert z.mean(0).abs().max() < 0.05 and (z.std(0) - 1).abs().max() < 0.05
    far = torch.cat([x, x[:2] * 100])
    back = marginals.to_data(marginals.to_normal(far))
    assert ((back - far).abs() / far.std(0)).max() < 1e-4
    order = marginals.to_normal(torch.linspace(-5, 50, 200, dtype=dtype)[:, None].expand(-1, 3))
    assert (order.diff(dim=0) > 0).all()


@pytest.mark.parametrize("d", [1, 2, 5, 20])
def test_flow_is_invertible_and_finds_the_dependence(d) -> None:
    x = mixed(300, d)
    flow = fit_flow(x, seconds=1.5, show=False)
    assert flow.columns == d and flow.report.round_trip < 1e-4
    z = draw(50, d, seed=3)
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=2e-3, rtol=1e-3)
    assert (flow.report.gain > 0.03) == (d > 1)
    assert not any(p.requires_grad for p in flow.parameters())


def test_flow_makes_samples_like_the_data() -> None:
    x = mixed(600, 3)
    made = fit_flow(x, seconds=1.5, show=False)(draw(600, 3, seed=5))
    spearman = [torch.corrcoef(v.argsort(0).argsort(0).float().T) for v in (x, made)]
    assert (spearman[0] - spearman[1]).abs().max() < 0.2
    low, high = x.quantile(0.05, 0), x.quantile(0.95, 0)
    assert ((made > low) & (made < high)).float().mean(0).sub(0.9).abs().max() < 0.06


def test_constant_columns_are_kept_and_integers_dequantised() -> None:
    x = torch.cat([torch.full((200, 1), 7.0), draw(200, 2).mul(2).round()], -1)
    flow = Flow(x)
    made = flow(draw(50, 3, seed=1))
    assert (made[:, 0] == 7).all() and flow.step.tolist() == [0.0, 1.0, 1.0]
    assert len(made[:, 1].unique()) == 50


@pytest.mark.parametrize("d", [3, 20])
def test_flow_keeps_double_precision_throughout(d) -> None:
    flow = fit_flow(mixed(100, d), seconds=0.2, show=False).double()
    z = draw(20, d).double()
    x = flow(z)
    assert x.dtype == flow.inverse(x).dtype == flow.log_prob(x).dtype == torch.float64
    torch.testing.assert_close(flow.inverse(x), z, atol=1e-6, rtol=1e-6)
    moved = x[:, :1] + 1e-9
    assert (flow.log_prob(torch.cat([moved, x[:, 1:]], -1)) != flow.log_prob(x)).any()


@pytest.mark.parametrize("d", [3, 20])
def test_flow_lies_on_one_device(d) -> None:
    flow = Flow(mixed(100, d)).to("meta")
    assert {v.device.type for v in (*flow.parameters(), *flow.buffers())} == {"meta"}


@pytest.mark.parametrize("d", [1, 3, 20])
def test_flow_takes_batches_of_datasets(d) -> None:
    flow = fit_flow(mixed(100, d), seconds=0.2, show=False)
    z = draw(2, 5, d)
    assert flow(z).shape == flow.inverse(z).shape == z.shape and flow.log_prob(z).shape == (2, 5)
    torch.testing.assert_close(flow(z)[1], flow(z[1]))
    torch.testing.assert_close(flow.inverse(z)[1], flow.inverse(z[1]))


def test_likelihood_of_a_gaussian_is_the_known_one() -> None:
    covariance = torch.tensor([[1.0, 1.2], [1.2, 4.0]])
    x = draw(3000, 2) @ torch.linalg.cholesky(covariance).T
    flow = fit_flow(x, seconds=2, show=False)
    known = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
    assert flow.report.log_likelihood == pytest.approx(-float(known.entropy()), abs=0.15)
    assert flow.report.gain == pytest.approx(-0.5 * math.log(1 - 0.36), abs=0.08)
    fresh = draw(2000, 2, seed=9) @ torch.linalg.cholesky(covariance).T
    assert float(flow.log_prob(fresh).mean() - known.log_prob(fresh).mean()) > -0.1


def test_density_of_a_flow_integrates_to_one() -> None:
    flow = fit_flow(mixed(200, 1), seconds=1, show=False)
    x = torch.linspace(-20, 200, 200_001)[:, None]
    assert float(flow.log_prob(x).exp().sum() * (x[1] - x[0])) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("d, shape", [(1, None), (3, None), (12, (3, 4))])
def test_picture_of_samples(d, shape, tmp_path) -> None:
    flow = Flow(mixed(100, d))
    plot_flow(flow, mixed(100, d), tmp_path / "flow.png", shape=shape)
    assert (tmp_path / "flow.png").stat().st_size > 3_000
    with pytest.raises(ValueError, match="expected a shape of"):
        plot_flow(flow, mixed(100, d), tmp_path / "flow.png", shape=(5, 5))


@pytest.mark.parametrize(
    "samples, error, message",
    [
        (np.zeros((50, 2)), TypeError, "floating-point tensor, got ndarray"),
        (torch.zeros(50, 2, dtype=torch.long), TypeError, "class labels need no flow"),
        (torch.zeros(50), ValueError, r"shape \[N, d\]"),
        (torch.zeros(10, 2), ValueError, "N of at least 32"),
        (torch.full((50, 2), math.nan), ValueError, "expected finite samples"),
        (torch.zeros(50, 2), ValueError, "expected a column that varies"),
    ],
)
def test_wrong_samples_are_errors(samples, error, message) -> None:
    with pytest.raises(error, match=message):
        fit_flow(samples, seconds=1, show=False)


def test_missing_normflows_names_the_extra(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "normflows", None)
    with pytest.raises(ImportError, match=r"torchmist-mi\[adapt\]"):
        fit_flow(draw(50, 2), seconds=1, show=False)


def ksg(x: torch.Tensor, y: torch.Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator."""
    gaps = [torch.cdist(v, v, p=math.inf) for v in (x.double(), y.double())]
    radius = torch.maximum(*gaps).fill_diagonal_(math.inf).kthvalue(k, 1).values[:, None]
    inside = sum(torch.digamma((g < radius).sum(1).double()).mean() for g in gaps)
    n = torch.tensor([k, len(x)], dtype=torch.float64)
    return float(torch.digamma(n).sum() - inside)


def test_labels_stay_exact_under_warping() -> None:
    flows = [fit_flow(mixed(400, 2), seconds=1, seed=s, show=False) for s in (0, 1)]
    meta, warped = CanonicalMeta(), WarpedMeta(CanonicalMeta(), *flows)
    plain, seen = (
        m.sample(12, 1500, 2, 2, generator=torch.Generator().manual_seed(3)) for m in (meta, warped)
    )
    assert torch.equal(plain.mi, seen.mi)
    moderate = [row for row in zip(seen.x, seen.y, seen.mi.tolist()) if row[2] < 1.5]
    assert len(moderate) >= 4
    for x, y, mi in moderate:
        assert ksg(flows[0].inverse(x), flows[1].inverse(y)) == pytest.approx(mi, abs=0.1)
        scores = [torchmist.copula.normal_scores(v) for v in (x, y)]
        assert ksg(*scores) == pytest.approx(mi, abs=0.15)


def test_canonical_sides_are_standard_normal_in_every_column() -> None:
    batch = CanonicalMeta().sample(4, 4000, 3, 5, generator=torch.Generator().manual_seed(0))
    for x in (*batch.x, *batch.y):
        torch.testing.assert_close(torch.cov(x.T), torch.eye(x.shape[1]), atol=0.1, rtol=0)


def test_warp_needs_the_columns_of_its_flows() -> None:
    flow = fit_flow(mixed(100, 2), seconds=0.2, show=False)
    with pytest.raises(ValueError, match="expected dy=2, the columns of its flow, got 3"):
        WarpedMeta(CanonicalMeta(), None, flow).sample(2, 50, 3, 3, generator=torch.Generator())


def test_a_classifier_tells_other_laws_apart_and_not_the_same_one() -> None:
    normal = draw(400, 3)
    same = told_apart(normal, draw(400, 3, seed=1))
    other = told_apart(normal, torch.nn.functional.normalize(draw(400, 3, seed=1), dim=-1))
    assert 0.4 < same < 0.65 and other > 0.85


@pytest.mark.parametrize(
    "gain, apart, reason",
    [
        (0.4, 0.6, ""),
        (-0.02, 0.5, ""),
        (-0.4, 0.6, "its held-out likelihood is 0.40 nats below that of normal columns"),
        (math.nan, 0.6, "its held-out likelihood is nan nats below"),
        (0.4, 0.99, "a classifier tells 99 % of its samples from real ones"),
    ],
)
def test_a_flow_that_does_not_fit_says_so(gain, apart, reason) -> None:
    found = FlowReport(0.0, gain, 0.0, apart, 1, 1.0).misfit
    assert found.startswith(reason) and bool(found) == bool(reason)


def test_separate_points_are_told_from_what_a_short_fit_makes_of_them(monkeypatch) -> None:
    smooth = fit_flow(mixed(600, 3), seconds=0.5, show=False).report
    corners = (draw(600, 8) > 0).float()
    corners[:, 2:] = corners[:, :2].repeat(1, 3)  # two columns four times
    report = fit_flow(corners + 0.001 * draw(600, 8, seed=1), seconds=0.2, show=False).report
    assert smooth.misfit == "" and report.apart > smooth.apart + 0.1
    monkeypatch.setattr("torchmist.adapt.flows._APART", 0.6)
    assert "classifier" in report.misfit and smooth.misfit == ""


@pytest.mark.parametrize("d", [1, 1024])
def test_flows_take_one_to_a_thousand_columns(d) -> None:
    flow = fit_flow(draw(64, d), seconds=0.05, show=False)
    z = draw(8, d, seed=1)
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=1e-2, rtol=1e-2)
