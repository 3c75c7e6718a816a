"""``adapt``, the whole: budget, interruption, report, and use of the weights."""

from __future__ import annotations

import dataclasses
import math
import sys
import time

import pytest
import torch
from adapt_samples import draw, mixed

import torchmist
from torchmist.adapt import Flow, adapt, finetune, fit_flow, pipeline
from torchmist.adapt.finetune import CorrectionTuner, FineTuner
from torchmist.adapt.report import AdaptReport, Held
from torchmist.weights import save_weights


def test_adapt_without_normflows_names_the_extra(small, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "normflows", None)
    with pytest.raises(ImportError, match=r"torchmist-mi\[adapt\]"):
        adapt(draw(250, 2), draw(250, 2), base=small, budget=1, show=False)


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
        if next(count) == 20:
            raise KeyboardInterrupt
        return step(self, share)

    monkeypatch.setattr(FineTuner, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(x, y, checkpoint=tmp_path / "state.pt", **options)
    assert 12 < clock.now < 16
    model = adapt(x, y, checkpoint=tmp_path / "state.pt", **options)
    assert 57 < clock.now < 66 and model.report.steps == pytest.approx(230, abs=15)
    assert 57 < model.report.seconds < 66


def digest(model) -> list[float]:
    return [float(p.double().sum()) for p in model.parameters()]


@pytest.fixture
def helping(monkeypatch):
    """Weights count as adapted whatever they do."""
    monkeypatch.setattr("torchmist.adapt.pipeline._helped", lambda _: True)


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
        adapt(x, y, budget=18, **options)
    monkeypatch.setattr(kind, "step", step)
    kept = torch.load(path, weights_only=True)
    assert kept[phase]["steps"] == (2 if phase == "tuner" else 2 * finetune._REUSE)
    model = adapt(x, y, budget=18, **options)
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
    assert loaded.evaluation["adapt"]["n"] == list(model.report.n)
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


def report_of(before: list[float], after: list[float]) -> AdaptReport:
    """Of four datasets of no information, two of either kind, and these errors."""
    held = (Held(tuple(v), (0.0,) * 4, tuple(v)) for v in (before, after))
    kinds, n = ("clusters", "clusters", "slices", "slices"), (128, 512) * 2
    return AdaptReport((0.0,) * 4, kinds, n, *held, False, 5, 1.0, None, None)


@pytest.mark.parametrize(
    "after, helped",
    [
        ([0.1, 0.1, 0.1, 0.1], True),
        ([0.3, 0.3, 0.2, 0.2], False),  # no gain
        ([0.0, 0.0, 0.3, 0.2], False),  # a gain, but a loss on slices
        ([0.4, 0.4, 0.0, 0.0], False),
        ([0.4, 0.0, 0.2, 0.0], False),  # a gain on both, but a loss at n = 128
        ([0.1, 0.1, 0.2, 0.2], True),
    ],
)
def test_adapted_weights_must_gain_and_lose_nowhere(after, helped) -> None:
    report = report_of([0.3, 0.3, 0.2, 0.2], after)
    assert pipeline._helped(report) == helped
    assert report.errors("slices") == pytest.approx((0.2, (after[2] + after[3]) / 2))
    assert report.errors(512) == pytest.approx((0.25, (after[1] + after[3]) / 2))
    assert all(f"{part}: " in str(report) for part in ("clusters", "slices", "n = 128", "n = 512"))
    with pytest.raises(ValueError, match="expected one of .* got 2048"):
        report.errors(2048)


def test_adapt_returns_the_base_when_it_does_not_help(small, monkeypatch, quick) -> None:
    monkeypatch.setattr("torchmist.adapt.pipeline._helped", lambda _: False)
    model = adapt(draw(220, 2), torch.arange(220) % 3, base=small, budget=1, show=False)
    assert not model.report.helped and "no gain" in str(model.report)
    assert type(model) is type(small) and digest(model) == digest(small)
    assert "adapted" not in model.provenance


@pytest.mark.parametrize(
    "x, options, message",
    [
        (draw(50, 2), {}, "N of at least 200"),
        (draw(250, 2), {"budget": 0}, "expected a budget of more than 0 seconds"),
        (torch.full((250, 2), math.nan), {}, "infinite entries in x; drop or impute those rows$"),
    ],
)
def test_wrong_input_of_adapt_is_an_error(small, x, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        adapt(x, draw(250, 2), base=small, show=False, **options)
