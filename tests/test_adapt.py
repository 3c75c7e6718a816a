"""Adaptation: flows, warped and cell meta-distributions, fine-tuning, and the whole."""

from __future__ import annotations

import math
import sys
import time

import numpy as np
import pytest
import torch

import torchmist
from torchmist.adapt import CanonicalMeta, CellMeta, Flow, Pool, adapt, fit_flow, warp
from torchmist.adapt.cells import table_mi
from torchmist.adapt.finetune import FineTuner, Source
from torchmist.adapt.marginals import Marginals
from torchmist.weights import save_weights


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixed(n: int, d: int) -> torch.Tensor:
    """Skewed, strongly mixed columns."""
    return (draw(n, d) + draw(n, 1, seed=1)).exp() + 0.1 * draw(n, d, seed=2)


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
    flow = fit_flow(x, seconds=3, show=False)
    assert flow.columns == d and flow.report.round_trip < 1e-4
    z = draw(50, d, seed=3)
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=2e-3, rtol=1e-3)
    assert (flow.report.gain > 0.03) == (d > 1)
    assert not any(p.requires_grad for p in flow.parameters())


def test_flow_makes_samples_like_the_data() -> None:
    x = mixed(600, 3)
    made = fit_flow(x, seconds=3, show=False)(draw(600, 3, seed=5))
    spearman = [torch.corrcoef(v.argsort(0).argsort(0).float().T) for v in (x, made)]
    assert (spearman[0] - spearman[1]).abs().max() < 0.2
    low, high = x.quantile(0.05, 0), x.quantile(0.95, 0)
    assert ((made > low) & (made < high)).float().mean(0).sub(0.9).abs().max() < 0.06


def test_constant_columns_are_kept_and_integers_dequantised() -> None:
    x = torch.cat([torch.full((200, 1), 7.0), draw(200, 2).mul(2).round()], -1)
    flow = Flow(x)
    made = flow(draw(50, 3, seed=1))
    assert (made[:, 0] == 7).all() and flow.step.tolist() == [1.0, 1.0]
    assert len(made[:, 1].unique()) == 50


def test_flow_moves_to_another_precision_and_device() -> None:
    flow = fit_flow(mixed(100, 2), seconds=1, show=False).to("cpu", torch.float64)
    z = draw(20, 2).double()
    assert flow(z).dtype == torch.float64
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=1e-4, rtol=1e-4)


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
    with pytest.raises(ImportError, match=r"torchmist\[adapt\]"):
        fit_flow(draw(50, 2), seconds=1, show=False)


def ksg(x: torch.Tensor, y: torch.Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator."""
    gaps = [torch.cdist(v, v, p=math.inf) for v in (x.double(), y.double())]
    radius = torch.maximum(*gaps).fill_diagonal_(math.inf).kthvalue(k, 1).values[:, None]
    inside = sum(torch.digamma((g < radius).sum(1).double()).mean() for g in gaps)
    n = torch.tensor([k, len(x)], dtype=torch.float64)
    return float(torch.digamma(n).sum() - inside)


def test_labels_stay_exact_under_warping() -> None:
    flows = [fit_flow(mixed(400, 2), seconds=2, seed=s, show=False) for s in (0, 1)]
    meta, warped = CanonicalMeta(), warp(CanonicalMeta(), *flows)
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
    flow = fit_flow(mixed(100, 2), seconds=1, show=False)
    with pytest.raises(ValueError, match="expected dy=2, the columns of its flow, got 3"):
        warp(CanonicalMeta(), None, flow).sample(2, 50, 3, 3, generator=torch.Generator())


def test_information_of_tables() -> None:
    table = torch.tensor([[0.4, 0.1], [0.1, 0.4]], dtype=torch.float64)
    assert float(table_mi(table)) == pytest.approx(math.log(2) + 0.8 * math.log(0.8)
                                                   + 0.2 * math.log(0.2))  # fmt: skip
    assert float(table_mi(torch.full((3, 4), 1 / 12))) == pytest.approx(0.0, abs=1e-6)


def test_cells_carry_the_stated_information() -> None:
    x, y = draw(3000, 2), draw(2500, 3, seed=1)
    meta = CellMeta(*(Pool(v, (torch.bucketize(v[:, 0], torch.tensor([-0.5, 0.4])),))
                      for v in (x, y)))  # fmt: skip
    batch = meta.sample(10, 2000, 2, 3, generator=torch.Generator().manual_seed(0))
    assert float(batch.mi.std()) > 0.05
    for a, b, mi in zip(batch.x, batch.y, batch.mi):
        cells = [torch.bucketize(v[:, 0].contiguous(), torch.tensor([-0.5, 0.4])) for v in (a, b)]
        table = torch.bincount(3 * cells[0] + cells[1], minlength=9).view(3, 3) / 2000
        assert float(table_mi(table)) == pytest.approx(float(mi), abs=0.05)
        assert len(a.unique(dim=0)) > 1500  # samples come once before they come again


def test_cells_of_labels_are_the_classes() -> None:
    one_hot = torch.nn.functional.one_hot(torch.arange(60) % 3).float()
    part = Pool.of_labels(one_hot).partitions[0]
    assert len(part.unique()) == 3 and (part[::3] == part[0]).all()


def test_fine_tuning_resumes_where_it_stopped(small) -> None:
    sources = [Source(CanonicalMeta(), 1.0, 64)]
    tuner = FineTuner(small, sources, 2, 3)
    tuner.run(0.3, what="test", show=False)
    state, steps = tuner.state(), tuner.steps
    other = FineTuner(small, sources, 2, 3)
    other.restore(state)
    other.run(0.3, what="test", show=False)
    assert other.steps == steps > 0
    for a, b in zip(other.model.parameters(), tuner.model.parameters()):
        assert torch.equal(a, b)
    other.run(0.6, what="test", show=False)
    assert other.steps > steps
    assert all(torch.equal(a, b) for a, b in zip(small.parameters(), small.parameters()))


def test_adapt_keeps_its_budget_and_its_result_is_accepted(small, tmp_path) -> None:
    start = time.monotonic()
    model = adapt(mixed(240, 3), draw(260, 2), base=small, budget=8, show=False,
                  checkpoint=tmp_path / "state.pt")  # fmt: skip
    assert time.monotonic() - start < 12
    assert model.report.steps > 0 and "held-out datasets" in str(model.report)
    save_weights(model, tmp_path / "adapted.safetensors")
    x, y = mixed(100, 3), draw(100, 2)
    loaded = torchmist.load_pretrained(tmp_path / "adapted.safetensors")
    assert torchmist.estimate(x, y, model=loaded).mean == torchmist.estimate(x, y, model=model).mean
    assert loaded.evaluation["adapt"]["samples"] == model.report.samples
    again = adapt(mixed(240, 3), draw(260, 2), base=small, budget=3, show=False,
                  checkpoint=tmp_path / "state.pt")  # fmt: skip
    assert again.report.steps >= model.report.steps // 2
    with pytest.raises(ValueError, match="to be a checkpoint of this data"):
        adapt(mixed(250, 3), draw(260, 2), base=small, budget=1, show=False,
              checkpoint=tmp_path / "state.pt")  # fmt: skip


def test_adapt_returns_the_base_when_it_does_not_help(small, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.adapt.pipeline._validate", lambda *_: (0.5, 0.9))
    model = adapt(draw(220, 2), torch.arange(220) % 3, base=small, budget=2, show=False)
    assert not model.report.helped and "no gain" in str(model.report)
    for a, b in zip(model.parameters(), small.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "x, options, message",
    [
        (draw(50, 2), {}, "N of at least 200"),
        (draw(250, 2), {"budget": 0}, "expected a budget of more than 0 seconds"),
        (torch.full((250, 2), math.nan), {}, "expected finite values"),
    ],
)
def test_wrong_input_of_adapt_is_an_error(small, x, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        adapt(x, draw(250, 2), base=small, show=False, **options)
