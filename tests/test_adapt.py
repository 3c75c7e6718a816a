"""Adaptation: flows, warped and cell meta-distributions, fine-tuning, and the whole."""

from __future__ import annotations

import dataclasses
import math
import sys
import time

import numpy as np
import pytest
import torch

import torchmist
from torchmist.adapt import (
    CanonicalMeta,
    CellMeta,
    Flow,
    Pool,
    adapt,
    fit_flow,
    pipeline,
    plot_flow,
    warp,
)
from torchmist.adapt.cells import random_table, table_mi
from torchmist.adapt.diffusion import DiffusionMap
from torchmist.adapt.finetune import CorrectionTuner, FineTuner, Source
from torchmist.adapt.marginals import Marginals
from torchmist.adapt.partitions import clusters, k_means, partitions
from torchmist.adapt.sides import behind, both_sides, in_front
from torchmist.models.cell_correction import landmark_shares
from torchmist.models.projected import column_scale, principal_map
from torchmist.weights import save_weights


@pytest.fixture
def steady(monkeypatch) -> None:
    """Seconds of this process, whatever else the machine does."""
    monkeypatch.setattr(time, "monotonic", time.process_time)


@pytest.fixture
def quick(monkeypatch, steady) -> None:
    """Fewer partitions and datasets than in earnest."""
    monkeypatch.setattr("torchmist.adapt.sides._PARTITIONS", 6)
    monkeypatch.setattr("torchmist.adapt.pipeline._DATASETS", 8)
    monkeypatch.setattr("torchmist.adapt.pipeline._MOST", 128)


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
def test_flow_is_invertible_and_finds_the_dependence(d, steady) -> None:
    x = mixed(300, d)
    flow = fit_flow(x, seconds=1.5, show=False)
    assert flow.columns == d and flow.report.round_trip < 1e-4
    z = draw(50, d, seed=3)
    torch.testing.assert_close(flow.inverse(flow(z)), z, atol=2e-3, rtol=1e-3)
    assert (flow.report.gain > 0.03) == (d > 1)
    assert not any(p.requires_grad for p in flow.parameters())


def test_flow_makes_samples_like_the_data(steady) -> None:
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
    assert (made[:, 0] == 7).all() and flow.step.tolist() == [1.0, 1.0]
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
    flow = Flow(mixed(100, d), depth=0)
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
    with pytest.raises(ImportError, match=r"torchmist\[adapt\]"):
        fit_flow(draw(50, 2), seconds=1, show=False)


def test_adapt_without_normflows_names_the_extra(small, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "normflows", None)
    with pytest.raises(ImportError, match=r"torchmist\[adapt\]"):
        adapt(draw(250, 2), draw(250, 2), base=small, budget=1, show=False)


def ksg(x: torch.Tensor, y: torch.Tensor, k: int = 5) -> float:
    """Kraskov et al. (2004), first estimator."""
    gaps = [torch.cdist(v, v, p=math.inf) for v in (x.double(), y.double())]
    radius = torch.maximum(*gaps).fill_diagonal_(math.inf).kthvalue(k, 1).values[:, None]
    inside = sum(torch.digamma((g < radius).sum(1).double()).mean() for g in gaps)
    n = torch.tensor([k, len(x)], dtype=torch.float64)
    return float(torch.digamma(n).sum() - inside)


def test_labels_stay_exact_under_warping() -> None:
    flows = [fit_flow(mixed(400, 2), seconds=1, seed=s, show=False) for s in (0, 1)]
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
    flow = fit_flow(mixed(100, 2), seconds=0.2, show=False)
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


def test_joined_clusters_find_what_k_means_misses() -> None:
    centres = 6 * torch.stack([torch.arange(5.0), torch.arange(5.0) % 2], -1)
    z = centres.repeat(60, 1) + draw(300, 2)
    found = {cut: 0 for cut in (clusters, k_means)}
    for seed in range(10):
        for cut in found:
            part = cut(z, 5, torch.Generator().manual_seed(seed))
            pure = torch.bincount(5 * part + torch.arange(5).repeat(60), minlength=25).view(5, 5)
            found[cut] += int(pure.amax(1).sum() > 290)
    assert found[clusters] == 10 > found[k_means]


def test_partitions_use_all_kinds_of_cells() -> None:
    made = partitions(draw(300, 4), 20, torch.Generator().manual_seed(0))
    assert len(made) == 20
    for part in made:
        assert part.shape == (300,) and 2 <= len(part.unique()) == int(part.max()) + 1 <= 16


def test_random_tables_have_the_margins_and_any_strength() -> None:
    p, q = (torch.softmax(draw(k).double(), 0) for k in (5, 3))
    generator = torch.Generator().manual_seed(0)
    tables = [random_table(p, q, generator) for _ in range(60)]
    for table in tables:
        torch.testing.assert_close(table.sum(1), p, atol=1e-3, rtol=1e-2)
        torch.testing.assert_close(table.sum(0), q)
    assert min(float(t.min()) for t in tables) >= 0
    even = torch.full((8,), 1 / 8, dtype=torch.float64)
    share = torch.stack([table_mi(random_table(even, even, generator)) for _ in range(60)])
    share = share / math.log(8)
    assert share.min() < 0.1 and share.max() > 0.9 and 0.3 < share.median() < 0.6


def test_columns_of_one_unit_keep_their_proportions() -> None:
    x = draw(500, 4) * torch.tensor([1.0, 0.1, 0.5, 0.0])
    scale = column_scale(x)
    torch.testing.assert_close(scale[:3], scale[:1].expand(3))
    torch.testing.assert_close((x * scale)[:, :3].var(0).mean(), torch.tensor(1.0))
    assert scale[3] == 0
    odd = draw(500, 3) * torch.tensor([1.0, 1000.0, 1.0])
    torch.testing.assert_close((odd * column_scale(odd)).std(0), torch.ones(3))
    mean, directions = principal_map(draw(500, 3) @ torch.diag(torch.tensor([1.0, 5.0, 1.0])), 1)
    assert directions.abs().argmax() == 1 and mean.shape == (3,)


@pytest.fixture(scope="module")
def sides():
    return both_sides(mixed(260, 3), torch.arange(240) % 3, 0)


def test_correction_says_nothing_at_first(small, sides) -> None:
    model = in_front(behind(small, sides, 0), sides)
    x, y = mixed(80, 3), torch.arange(80) % 3
    torch.testing.assert_close(
        torchmist.mist_mi(x, y, model=model), torchmist.mist_mi(x, y, model=small),
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip


@pytest.fixture
def corrected(small, sides):
    model = in_front(behind(small, sides, 0), sides)
    for parameter in model.correction.network.parameters():
        parameter.data += 0.05 * draw(*parameter.shape, seed=parameter.numel())
    return model


def test_correction_leaves_masked_samples_out(corrected) -> None:
    x, y = mixed(80, 3)[None], torch.nn.functional.one_hot(torch.arange(80) % 3)[None].float()
    mask = torch.arange(80)[None] < 50
    torch.testing.assert_close(
        corrected(x, y, mask), corrected(x[:, :50], y[:, :50]), atol=1e-4, rtol=1e-4
    )


def test_adapted_labels_may_miss_a_class_and_samples_be_in_any_order(corrected) -> None:
    x, y = mixed(80, 3), torch.arange(80) % 2
    assert math.isfinite(torchmist.estimate(x, y, model=corrected).mean)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    plain = torchmist.estimate(x, y, model=corrected).mean
    assert torchmist.estimate(x[order], y[order], model=corrected).mean == pytest.approx(
        plain, abs=1e-4
    )
    with pytest.raises(ValueError, match="expected 3 columns of the first variable"):
        torchmist.estimate(x[:, :2], y, model=corrected)


@pytest.mark.parametrize("kind", [FineTuner, CorrectionTuner])
def test_tuning_resumes_where_it_stopped(small, sides, quick, kind) -> None:
    start = behind(small, sides, 0)
    sources = [Source(CellMeta(*(s.pool(s.fit, 1) for s in sides)), 1.0, 64)]
    tuner = kind(start, sources, 3, 3)
    tuner.run(0.3, what="test", show=False)
    state, steps = tuner.state(), tuner.steps
    other = kind(start, sources, 3, 3)
    other.restore(state)
    other.run(0.3, what="test", show=False)
    assert other.steps == steps > 0
    for a, b in zip(other.model.parameters(), tuner.model.parameters()):
        assert torch.equal(a, b)
    other.run(0.6, what="test", show=False)
    assert other.steps > steps


def test_correction_is_trained_alone_and_to_the_same_end(small, sides, quick) -> None:
    start = behind(small, sides, 0)
    sources = [Source(CellMeta(*(s.pool(s.fit, 1) for s in sides)), 1.0, 64)]
    tuner = CorrectionTuner(start, sources, 3, 3)
    batch = tuner.draw()
    said, quantiles = tuner.model.read(batch.x, batch.y)
    torch.testing.assert_close(
        tuner.model.correction.correct(said, quantiles), tuner.model(batch.x, batch.y)
    )
    tuner.run(0.2, what="test", show=False)
    moved = {
        name
        for (name, a), b in zip(tuner.average.named_parameters(), start.parameters())
        if not torch.equal(a, b)
    }
    assert moved and all(name.startswith("correction.") for name in moved)


def test_clusters_along_neighbours_come_closest_to_real_classes() -> None:
    source = pytest.importorskip("sklearn.datasets").load_digits(n_class=8)
    images, label = torch.tensor(source.data).float()[:1000], torch.tensor(source.target)[:1000]
    mean, matrix = principal_map(images, 16)
    z = (images - mean) @ matrix
    places = DiffusionMap.of(z[::2])(z)

    def pure(space) -> int:
        part = clusters(space, 8, torch.Generator().manual_seed(0))
        return int(torch.bincount(8 * part + label, minlength=64).view(8, 8).amax(1).sum())

    assert pure(places) > 930 and pure(places) > pure(z)


def test_a_sample_that_is_a_landmark_does_not_stand_for_itself() -> None:
    z = draw(200, 3)
    of = DiffusionMap.of(z)
    share, index = landmark_shares(z, of.landmarks, of.reach)
    assert not (index == torch.arange(200)[:, None]).any()
    torch.testing.assert_close(share.sum(-1), torch.ones(200))


class Clock:
    """Time that passes by what the parts of an adaptation are said to take."""

    now = 0.0

    def passing(self, seconds: float, function):
        def call(*args, **options):
            self.now += seconds
            return function(*args, **options)

        return call


@pytest.fixture
def clock(monkeypatch, quick) -> Clock:
    """A fit of a flow takes 4 seconds, a step 0.2, an estimate of a few datasets 1."""
    clock = Clock()
    report = fit_flow(mixed(64, 3), seconds=0.1, show=False).report

    def fit(samples, **_):
        out = Flow(samples, depth=0)
        out.report = dataclasses.replace(report, seconds=4.0)
        return out

    def step(self, _):
        self.steps += 1
        return 1.0

    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr("torchmist.adapt.pipeline.fit_flow", clock.passing(4.0, fit))
    monkeypatch.setattr(
        "torchmist.adapt.pipeline.restore_flow", lambda s, _, kept: fit(s[: len(s) - len(s) // 10])
    )
    for kind in (FineTuner, CorrectionTuner):
        monkeypatch.setattr(kind, "step", clock.passing(0.2, step))
    monkeypatch.setattr("torchmist.adapt.pipeline._held", clock.passing(1.0, pipeline._held))
    return clock


def test_adapt_keeps_its_budget(small, clock) -> None:
    model = adapt(mixed(240, 3), draw(260, 3), base=small, budget=60, show=False)
    assert 57 < clock.now < 63 and model.report.seconds == clock.now
    assert 200 < model.report.steps < 260


def test_an_interrupted_run_keeps_its_budget(small, clock, monkeypatch, tmp_path) -> None:
    x, y, options = mixed(240, 3), draw(260, 3), {"base": small, "show": False, "budget": 60}
    step, count = FineTuner.step, iter(range(1000))

    def stop(self, share):
        if next(count) == 40:
            raise KeyboardInterrupt
        return step(self, share)

    monkeypatch.setattr(FineTuner, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(x, y, checkpoint=tmp_path / "state.pt", **options)
    assert 16 < clock.now < 20
    model = adapt(x, y, checkpoint=tmp_path / "state.pt", **options)
    assert 57 < clock.now < 66 and model.report.steps == pytest.approx(230, abs=15)


def digest(model) -> list[float]:
    return [float(p.double().sum()) for p in model.parameters()]


@pytest.fixture
def helping(monkeypatch):
    """Weights count as adapted whatever they do."""
    errors = iter([0.1, 1.0] * 10)
    monkeypatch.setattr("torchmist.adapt.report.Held.error", lambda *_: next(errors))


@pytest.mark.parametrize("phase", ["tuner", "last"])
def test_adapt_resumes_after_an_interruption(small, tmp_path, monkeypatch, quick, phase) -> None:
    x, y, path = mixed(240, 3), torch.arange(220) % 2, tmp_path / "state.pt"
    options = {"base": small, "show": False, "checkpoint": path}
    kind = {"tuner": FineTuner, "last": CorrectionTuner}[phase]
    step, count = kind.step, iter(range(1000))

    def stop(self, share):
        if next(count) == 2:
            raise KeyboardInterrupt
        return step(self, share)

    monkeypatch.setattr(kind, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(x, y, budget=2, **options)
    monkeypatch.setattr(kind, "step", step)
    kept = torch.load(path, weights_only=True)
    assert kept[phase]["steps"] == (2 if phase == "tuner" else 4)
    model = adapt(x, y, budget=2, **options)
    assert model.report.steps > kept[phase]["steps"]
    with pytest.raises(ValueError, match="to be a checkpoint of this data"):
        adapt(mixed(250, 3), y, budget=1, **options)
    path.write_text("nothing")
    with pytest.raises(ValueError, match="could not read it"):
        adapt(x, y, budget=1, **options)


def test_adapted_weights_serve_everywhere(small, tmp_path, helping, quick) -> None:
    model = adapt(mixed(240, 24), draw(260, 2), base=small, budget=2, show=False)
    assert model.report.helped and model.provenance["adapted"]["dx"] == 24
    save_weights(model, tmp_path / "adapted.safetensors")
    x, y = mixed(100, 24), draw(100, 2)
    loaded = torchmist.load_pretrained(tmp_path / "adapted.safetensors")
    assert torchmist.estimate(x, y, model=loaded).mean == torchmist.estimate(x, y, model=model).mean
    assert loaded.provenance["adapted"] == model.provenance["adapted"]
    assert loaded.evaluation["adapt"]["samples"] == model.report.samples
    x.requires_grad_()
    regularizer = torchmist.MIRegularizer(tmp_path / "adapted.safetensors")
    for value in (torchmist.mist_mi(x, y, model=model), regularizer(x, y)):
        (grad,) = torch.autograd.grad(value, x)
        assert grad.isfinite().all() and (grad != 0).any()
    with pytest.raises(ValueError, match="expected general weights as base"):
        adapt(mixed(240, 24), draw(260, 2), base=loaded, budget=1, show=False)


def test_picture_of_an_adaptation(small, tmp_path, quick) -> None:
    model = adapt(draw(220, 2), torch.arange(220) % 3, base=small, budget=1, show=False)
    model.report.plot(tmp_path / "adapt.png")
    assert (tmp_path / "adapt.png").stat().st_size > 10_000


def test_adapt_returns_the_base_when_it_does_not_help(small, monkeypatch, quick) -> None:
    monkeypatch.setattr("torchmist.adapt.report.Held.error", lambda *_: 0.5)
    model = adapt(draw(220, 2), torch.arange(220) % 3, base=small, budget=1, show=False)
    assert not model.report.helped and "no gain" in str(model.report)
    assert type(model) is type(small) and digest(model) == digest(small)
    assert "adapted" not in model.provenance


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
