"""``adapt``, the whole: budget, interruption, report, and use of the weights."""

from __future__ import annotations

import json
import math
import sys
import time

import pytest
import torch
from adapt_samples import draw, mixed
from conftest import hasten, make_duo
from safetensors import safe_open

import torchmist
from torchmist import finetuning
from torchmist.adapt import FlowReport, adapt
from torchmist.adapt.report import AdaptReport, loss_or_no_gain
from torchmist.adapt.sides import both_sides
from torchmist.adapt.sources import checks, lessons
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.held_out import HeldOut
from torchmist.weights import save_weights


def test_adapt_without_normflows_names_the_extra(small_duo, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "normflows", None)
    with pytest.raises(ImportError, match=r"torchmist-mi\[adapt\]"):
        adapt(draw(250, 2), draw(250, 2), base=small_duo, budget=1, show=False)


LOSS = "torchmist.adapt.pipeline.loss_or_no_gain"
FIT = "torchmist.adapt.pipeline.fit_flow"


@pytest.fixture
def helping(monkeypatch) -> None:
    """Weights count as adapted whatever they do."""
    monkeypatch.setattr(LOSS, lambda _: "")


@pytest.fixture(scope="module")
def adapted() -> tuple[DuoMIST, float]:
    """Weights that count as adapted, with a budget of 60 seconds, and the seconds it all took."""
    with pytest.MonkeyPatch.context() as patch:
        hasten(patch)
        patch.setattr(LOSS, lambda _: "")
        start = time.monotonic()
        model = adapt(mixed(240, 3), draw(260, 2), base=make_duo(), budget=60, show=False)
        return model, time.monotonic() - start


def test_adapted_weights_serve_everywhere(small_duo, tmp_path, helping, quick) -> None:
    model = adapt(mixed(240, 24), draw(260, 2), base=small_duo, budget=50, show=False)
    assert model.report.helped and model.report.datasets >= 40 and model.report.steps > 0
    frozen, ours = (list(m.plain.parameters()) for m in (small_duo, model))
    assert all(torch.equal(a, b) for a, b in zip(frozen, ours))
    assert not all(
        torch.equal(a, b)
        for a, b in zip(small_duo.arbiter.parameters(), model.arbiter.parameters())
    )
    path = tmp_path / "adapted.safetensors"
    save_weights(model, path)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    assert set(json.loads(header["parents"])) == {"mist-v1", "mist-v2-preview"}
    adapted = json.loads(header["provenance"])["adapted"]
    assert adapted["dx"] == 24 and "swap of the sides" in adapted["keeps"]
    assert json.loads(header["evaluation"])["adapt"]["n"] == list(model.report.n)
    loaded = torchmist.load_pretrained(path)
    kept, found = model.arbiter.state_dict(), loaded.arbiter.state_dict()
    assert all(torch.equal(kept[name], found[name]) for name in kept)


def test_adapted_weights_keep_the_invariances_of_the_base(adapted) -> None:
    model, _ = adapted
    x, y = mixed(80, 3)[None], (mixed(80, 3)[:, :2] + draw(80, 2))[None]
    order = torch.randperm(80, generator=torch.Generator().manual_seed(2))
    for changed in (model(y, x), model(x[:, order], y[:, order]), model(x.flip(-1).log1p(), -y)):
        torch.testing.assert_close(changed, model(x, y), atol=1e-4, rtol=1e-4)


def test_adapt_keeps_its_budget(adapted) -> None:
    model, seconds = adapted
    assert 50 < model.report.seconds < 66 and seconds < 70


def test_a_checkpoint_in_no_folder_is_refused_before_anything_is_fitted(
    small_duo, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(FIT, lambda *_, **__: pytest.fail("it was fitted"))
    options = {"base": small_duo, "show": False, "budget": 60}
    with pytest.raises(ValueError, match="expected a folder for .* make .*none first"):
        adapt(mixed(240, 3), mixed(220, 2), checkpoint=tmp_path / "none" / "a.pt", **options)
    with pytest.raises(ValueError, match="expected a file to write, got the folder"):
        adapt(mixed(240, 3), mixed(220, 2), checkpoint=str(tmp_path), **options)


def test_adapt_goes_on_after_an_interruption(small_duo, tmp_path, monkeypatch, quick) -> None:
    x, y, path = mixed(240, 3), torch.arange(220) % 3, tmp_path / "state.pt"
    options = {"base": small_duo, "show": False, "budget": 60, "checkpoint": path}
    hear, count = finetuning.hear, iter(range(1000))

    def stop(*arguments):
        if next(count) == 30:
            raise KeyboardInterrupt
        return hear(*arguments)

    monkeypatch.setattr(finetuning, "hear", stop)
    with pytest.raises(KeyboardInterrupt):
        adapt(x, y, **options)
    kept = torch.load(path, weights_only=True)
    assert len(kept["check"]) + len(kept["learn"]) == 30 and "flow_x" in kept
    monkeypatch.setattr(finetuning, "hear", hear)
    model = adapt(x, y, **options)
    assert 50 < model.report.seconds < 66
    again = torch.load(path, weights_only=True)
    assert torch.equal(again["learn"][0]["mi"], kept["learn"][0]["mi"])
    assert len(again["learn"]) > len(kept["learn"])
    with pytest.raises(ValueError, match="to be a checkpoint of this data"):
        adapt(mixed(250, 3), y, **options)
    path.write_text("nothing")
    with pytest.raises(ValueError, match="could not read it"):
        adapt(x, y, **options)


def test_draws_repeat_by_their_numbers_and_every_fourth_stops(quick) -> None:
    sides = both_sides(mixed(240, 24), draw(260, 2), 0)
    learn, judge = lessons(sides, [None, None], 0), checks(sides, 0, 6)
    for number in (0, 5):
        torch.testing.assert_close(learn(number).x, learn(number).x, rtol=0, atol=0)
        assert learn(number).x.shape[-1] == 24
    assert [learn(k).check for k in range(8)] == [0, 0, 0, 1] * 2
    assert {learn(k).family for k in range(30)} == {0, 1}  # without flows nothing is generated
    assert [(judge(k).family, judge(k).x.shape[1]) for k in range(3)] == [(0, 64), (1, 64), (0, 80)]
    assert judge(6) is None


def test_a_flow_that_does_not_fit_is_left_out_and_said(small_duo, monkeypatch, quick) -> None:
    monkeypatch.setattr(FlowReport, "misfit", property(lambda self: "of a test"))
    seen = []
    monkeypatch.setattr(
        "torchmist.adapt.pipeline.lessons", lambda s, f, seed: seen.append(f) or lessons(s, f, seed)
    )
    model = adapt(mixed(240, 2), draw(260, 2), base=small_duo, budget=40, show=False)
    assert seen == [[None, None]]
    assert "the flow of x is left out: of a test" in str(model.report)


def test_too_short_a_budget_returns_the_base_and_says_so(small_duo, quick) -> None:
    model = adapt(draw(220, 2), torch.arange(220) % 3, base=small_duo, budget=2, show=False)
    assert not model.report.helped and "the base weights: " in str(model.report)
    kept, base = model.arbiter.state_dict(), small_duo.arbiter.state_dict()
    assert all(torch.equal(kept[name], base[name]) for name in base)
    assert "adapted" not in model.provenance


def test_picture_of_an_adaptation(adapted, tmp_path) -> None:
    model, _ = adapted
    model.report.plot(tmp_path / "adapt.png")
    assert (tmp_path / "adapt.png").stat().st_size > 10_000


BEFORE = [0.3, 0.3, 0.2, 0.2]


def report_of(after: list[float]) -> AdaptReport:
    """Of 32 datasets of no information: as often on clusters, clusters, slices and slices, of 128
    and 512 samples, whose errors were :data:`BEFORE`."""
    count = 32
    held = [
        HeldOut(tuple(v), (0.0,) * count, tuple(v))
        for v in (BEFORE * 8, after * (count // len(after)))
    ]
    kinds, n = ("clusters", "clusters", "slices", "slices") * 8, (128, 512) * 16
    return AdaptReport((0.0,) * count, kinds, n, *held, True, "", 50, 5, 1.0, None, None)


@pytest.mark.parametrize(
    "after, reason",
    [
        ([0.1, 0.1, 0.1, 0.1], ""),
        ([0.3, 0.3, 0.2, 0.2], "no sure gain"),
        ([0.26, 0.26, 0.16, 0.16], "no sure gain"),
        ([0.0, 0.0, 0.3, 0.2], "on slices may rise, it is 0.200 nats before and 0.250 after"),
        ([0.4, 0.4, 0.0, 0.0], "on clusters"),
        ([0.4, 0.0, 0.2, 0.0], "on 128 samples"),
        ([0.1, 0.1, 0.2, 0.2], ""),
    ],
)
def test_adapted_weights_must_gain_and_lose_nowhere(after, reason) -> None:
    report = report_of(after)
    found = loss_or_no_gain(report)
    assert reason in found and bool(found) == bool(reason)
    assert report.errors("slices") == pytest.approx((0.2, (after[2] + after[3]) / 2))
    assert all(f"{part}: " in str(report) for part in ("clusters", "slices", "n = 128", "n = 512"))
    with pytest.raises(ValueError, match="expected one of .* got 2048"):
        report.errors(2048)


@pytest.mark.parametrize(
    "change, reason",
    [(-0.05, ""), (-0.02, "no sure gain"), (0.002, "on clusters may rise")],
)
def test_a_change_that_may_be_chance_is_none(change, reason, monkeypatch) -> None:
    monkeypatch.setattr("torchmist.adapt.report._GAIN", 0.03)
    after = [
        old + change + noise for noise in (0.1, -0.1) for old in BEFORE
    ]  # as large in all parts, a standard error of 0.018 nats
    found = loss_or_no_gain(report_of(after))
    assert reason in found and bool(found) == bool(reason)
    steady = [old + change for old in BEFORE]
    assert bool(loss_or_no_gain(report_of(steady))) == (change > 0)


@pytest.mark.parametrize(
    "x, options, message",
    [
        (draw(50, 2), {}, "N of at least 200"),
        (draw(250, 2), {"budget": 0}, "expected a budget of more than 0 seconds"),
        (draw(250, 2), {"budget": "a"}, "expected a budget in seconds, got str"),
        (draw(250, 2), {"seed": 1.5}, "expected seed to be an int of at least 0, got 1.5"),
        (torch.ones(250, dtype=torch.long), {}, "expected x to vary, got one value in all 250"),
        (draw(250, 2), {"base": "mist-fast"}, "weights with an arbiter.*got mist-fast.*'mist'"),
        (torch.full((250, 2), math.nan), {}, "infinite entries in x; drop or impute those rows$"),
    ],
)
def test_wrong_input_of_adapt_is_an_error(small_duo, x, options, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        adapt(x, draw(250, 2), **{"base": small_duo, "show": False, **options})
