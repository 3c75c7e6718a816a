"""``finetune``: datasets of known information in, better weights of the same invariances out."""

from __future__ import annotations

import copy
import dataclasses
import re
import time
from pathlib import Path

import pytest
import torch
from conftest import make_duo

import torchmist
from torchmist import finetuning
from torchmist.ensemble import arbiter_training, training_pace
from torchmist.ensemble.arbiter_training import Data, Schedule, evidence_of, rows_of, train_members
from torchmist.ensemble.held_out import estimates
from torchmist.finetuning import Draw, hear, tune


def channel(count: int = 8, n: int = 40, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """y = x + noise, of log(1 + 1 / s^2) / 2 nats."""
    g = torch.Generator().manual_seed(seed)
    s = torch.rand(count, 1, 1, generator=g) + 0.2
    x, noise = torch.randn(2, count, n, 1, generator=g)
    return x, x + s * noise, 0.5 * torch.log1p(s.flatten() ** -2)


def source(batches: int = 40):
    return [channel(seed=seed) for seed in range(batches)]


@pytest.fixture(scope="module")
def small_duo():
    """One for all tests, since none may change it."""
    return make_duo()


@pytest.fixture(scope="module")
def tuned(small_duo):
    return torchmist.finetune(small_duo, source(), show=False)


def test_weights_learn_the_information_of_a_simulator(small_duo, tuned) -> None:
    report = tuned.report
    assert report.helped and report.datasets == 200
    assert report.error_after < 0.7 * report.error_before
    x, y, mi = channel(60, seed=1000)
    errors = [float((m(x, y).mean(-1) - mi).abs().mean()) for m in (small_duo, tuned)]
    assert errors[1] < 0.7 * errors[0]
    assert tuned.evaluation["finetune"]["datasets"] == 200 and "fine-tuned" in str(report)


def test_the_networks_stay_and_the_model_is_left_as_it_is(small_duo, tuned) -> None:
    before = make_duo().state_dict()
    assert all(torch.equal(v, before[k]) for k, v in small_duo.state_dict().items())
    for name, value in tuned.state_dict().items():
        if not name.startswith("arbiter"):
            assert torch.equal(value, before[name])
    assert not any(p.requires_grad for p in tuned.parameters())


def test_a_call_gives_batches_until_the_time_is_over(small_duo, quick) -> None:
    seeds = iter(range(1000))
    tuned = torchmist.finetune(small_duo, lambda: channel(seed=next(seeds)), budget=40, show=False)
    assert 10 <= next(seeds) < 40 and tuned.report.seconds < 44


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0])
def test_collecting_leaves_the_time_that_the_training_takes(
    small_duo, monkeypatch, seconds
) -> None:
    """A batch takes a second, of the 90 that count, and a step of the training a tenth or more."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    train = arbiter_training.train_members

    def slow(arbiter, data, levels, schedule, seed, held):
        done = train(arbiter, data, levels, dataclasses.replace(schedule, epochs=1), seed, held)
        now[0] += seconds * done * schedule.epochs
        return done

    monkeypatch.setattr(finetuning, "train_members", slow)
    monkeypatch.setattr(training_pace, "train_members", slow)
    drawn = []

    def source():
        now[0] += 1
        drawn.append(len(drawn))
        return channel(seed=len(drawn))

    tuned = torchmist.finetune(small_duo, source, budget=100, show=False)
    assert 70 < tuned.report.seconds <= 90 and len(drawn) > 20


def test_where_nothing_is_to_learn_the_weights_come_back(small_duo, monkeypatch) -> None:
    def worse(model, data, seed):
        arbiter, steps = tune(model, data, seed)
        for member in arbiter.members:
            member[-1].bias.data += 1
        return arbiter, steps

    monkeypatch.setattr(finetuning, "tune", worse)
    tuned = torchmist.finetune(small_duo, source(10), show=False)
    assert not tuned.report.helped and "no gain" in str(tuned.report)
    own, found = small_duo.arbiter.state_dict(), tuned.arbiter.state_dict()
    assert all(torch.equal(own[k], found[k]) for k in own)


@pytest.fixture(scope="module")
def data(small_duo):
    parts = [hear(small_duo, Draw(*channel(seed=k), check=int(k % 4 == 3))) for k in range(30)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def test_intervals_hold_on_draws_that_train_nothing(small_duo, data) -> None:
    arbiter, _ = tune(small_duo, data)
    held = rows_of(data, data["check"] == 1)
    _, low, high = estimates(small_duo, arbiter, held)
    assert float(((low <= held["mi"]) & (held["mi"] <= high)).float().mean()) >= 0.95


def test_a_family_that_loses_is_guarded_by_an_average_with_the_base(
    small_duo, data, monkeypatch
) -> None:
    monkeypatch.setattr(finetuning, "_widen", lambda *_: None)
    family = (torch.arange(len(data["mi"])) // 8 % 2).float()
    own, _, _ = estimates(small_duo, small_duo.arbiter, data)
    mi = torch.where(family == 0, data["mi"], own.clamp(min=0))  # nothing to learn of the second
    data = {**data, "family": family, "mi": mi}
    data["check"] = (torch.arange(len(family)) // 16 % 4 == 3).float()
    arbiter, _ = tune(small_duo, data)
    rows = rows_of(data, (data["check"] == 1) & (family == 1))
    errors = [
        float((estimates(small_duo, one, rows)[0] - rows["mi"]).abs().mean())
        for one in (small_duo.arbiter, arbiter)
    ]
    assert errors[1] <= 1.02 * errors[0] + 1e-6


def test_training_keeps_the_weights_that_estimate_held_out_draws_best(small_duo, data) -> None:
    wrong = {**data, "mi": data["mi"] + 30}
    schedule = Schedule(12, fresh=False, rate=0.1, decay=0.0, batch=64, warmup=1)

    def loss(held: Data | None) -> float:
        arbiter = copy.deepcopy(small_duo.arbiter).requires_grad_(True)
        train_members(arbiter, wrong, small_duo.levels, schedule, 0, held)
        return arbiter_training._held_loss(arbiter, data, small_duo.levels, 0.3)

    start = arbiter_training._held_loss(small_duo.arbiter, data, small_duo.levels, 0.3)
    end, kept = loss(None), loss(data)
    assert kept <= start and kept < 0.9 * end


def test_a_pull_keeps_the_weights_near_where_they_start(small_duo, data) -> None:
    moved = []
    for decay in (0.0, 50.0):
        arbiter = torch.nn.Module.requires_grad_(
            type(small_duo.arbiter)(**small_duo.arbiter.sizes()), True
        )
        arbiter.load_state_dict(small_duo.arbiter.state_dict())
        start = [p.detach().clone() for p in arbiter.members.parameters()]
        schedule = Schedule(20, fresh=False, rate=5e-3, decay=decay, batch=64, warmup=1)
        train_members(arbiter, data, small_duo.levels, schedule, 0)
        pairs = zip(start, arbiter.members.parameters())
        moved.append(float(sum((a - b.detach()).square().sum() for a, b in pairs)))
    assert moved[1] < 0.6 * moved[0]


def test_heard_evidence_is_what_the_arbiter_is_given(small_duo) -> None:
    x, y, mi = channel()
    data = hear(small_duo, Draw(x, y, mi, family=3, check=1))
    with torch.no_grad():
        torch.testing.assert_close(small_duo.arbiter(evidence_of(data)), small_duo(x, y))
    assert (data["family"] == 3).all() and (data["check"] == 1).all()
    with_dead = torch.cat([x, torch.ones_like(x)], -1)
    again = hear(small_duo, Draw(with_dead, y, mi))
    torch.testing.assert_close(again["sizes"], data["sizes"])


@pytest.mark.parametrize(
    "batch, options, message",
    [
        ((*channel()[:2], torch.zeros(3)), {}, r"expected mi of shape \[8\].*got shape \[3\]"),
        (
            (*channel()[:2], torch.tensor([0.1, 0.2, -1.0, 0.3, -2.0, 0.1, 0.1, 0.1])), {},
            r"at least 0 nats, finite, got -1.0 as mi\[2\] of batch 0 \(2 of its 8 are so\)",
        ),
        ((*channel()[:2], torch.full((8,), torch.nan)), {}, r"got nan as mi\[0\] of batch 0"),
        ((channel()[0], channel(n=30)[1], channel()[2]), {}, "same number of"),
        (channel(), {"budget": -1}, "more than 0 seconds"),
        (channel(), {}, "at least 7 batches of datasets, got 1 in"),
        (channel(), {"model": "mist-fast"}, "with an arbiter.*got mist-fast"),
    ],
)  # fmt: skip
def test_wrong_datasets_are_errors(small_duo, batch, options, message) -> None:
    model = options.pop("model", small_duo)
    with pytest.raises(ValueError, match=message):
        torchmist.finetune(model, [batch], show=False, **options)


def test_too_few_datasets_are_an_error(small_duo) -> None:
    with pytest.raises(ValueError, match="at least 40 datasets to learn from.*got 12 and 2"):
        torchmist.finetune(small_duo, [channel(2, seed=s) for s in range(9)], show=False)


def test_the_simulator_on_the_page_is_learned() -> None:
    page = (Path(__file__).parent.parent / "docs" / "adapt.md").read_text()
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "finetune" in b]
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(block, "docs", "exec"), names)
    report = names["model"].report  # type: ignore[attr-defined]
    assert report.datasets == 80 and report.error_after <= report.error_before + 0.05


@pytest.mark.parametrize(
    "source, options, error, message",
    [
        (3, {}, TypeError, "expected source to give batches.*got int"),
        (lambda: (1, 2), {}, TypeError, "expected batches .x, y, mi. from source, got tuple of 2"),
        (lambda: None, {}, TypeError, "expected batches .x, y, mi. from source, got NoneType"),
        (lambda: (1, 2, 3), {}, TypeError, "expected x to be a torch.Tensor, got int"),
        ([], {}, ValueError, "got a source that gives none; pass a list"),
        (iter([]), {}, ValueError, "or an iterator that was not used up"),
        ([], {"budget": "a"}, TypeError, "expected a budget in seconds, got str"),
        ([], {"seed": 1.5}, ValueError, "expected seed to be an int of at least 0, got 1.5"),
    ],
)
def test_what_gives_no_datasets_is_named(small_duo, source, options, error, message) -> None:
    with pytest.raises(error, match=message):
        torchmist.finetune(small_duo, source, show=False, **options)
