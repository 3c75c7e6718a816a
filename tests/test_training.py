"""Training: schedule, data, metrics, resume after a kill, and several processes."""

from __future__ import annotations

import csv
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from torchmist.models.reference import ReferenceMIST
from torchmist.weights import save_weights
from training.ahead import Ahead
from training.checkpoint import Checkpoint
from training.config import PRESETS, TrainConfig
from training.data import (
    batch_shape,
    moved_batch,
    step_data,
    training_batch,
    validation_batches,
)
from training.reference import main as train_reference
from training.train import Trainer, learning_rate, main
from training.validate import coverage, interpolate, range_of, validate

CPU = torch.device("cpu")
SMOKE = replace(PRESETS["smoke"], steps=12, validate_every=6, log_every=3)
ROOT = Path(__file__).parent.parent


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in a process with OMP_NUM_THREADS=1, so that sums are in the same order."""
    count = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(count)


def command(out: Path, *options: str) -> list[str]:
    module = [sys.executable, "-m", "training.train", "--preset", "smoke"]
    return [*module, "--out", str(out), *options]


def final(out: Path) -> Checkpoint:
    return Checkpoint.load(out / "checkpoint.pt", CPU)


def assert_same(a: Checkpoint, b: Checkpoint, **close: float) -> None:
    assert a.step == b.step and a.datasets == b.datasets
    for name, value in a.average.items():
        torch.testing.assert_close(value, b.average[name], **(close or {"atol": 0, "rtol": 0}))


def test_schedule_warms_up_and_decays() -> None:
    config = TrainConfig(steps=1000, warmup=100)
    rates = [learning_rate(config, step) for step in (0, 99, 500, 999)]
    assert rates[0] == pytest.approx(1e-5, rel=0.01)
    assert rates[1] > 0.97e-3 > rates[2] > rates[3]
    assert rates[3] == pytest.approx(config.final_learning_rate, rel=0.01)


def test_data_depend_on_seed_and_step_alone() -> None:
    state = torch.random.get_rng_state()
    one, again, other = (training_batch(SMOKE, step, CPU) for step in (3, 3, 4))
    assert torch.equal(one.x, again.x) and torch.equal(one.mi, again.mi)
    assert one.x.shape != other.x.shape or not torch.equal(one.x, other.x)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_processes_share_one_batch() -> None:
    whole = training_batch(SMOKE, 5, CPU)
    halves = [training_batch(SMOKE, 5, CPU, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.cat([h.x for h in halves]), whole.x)


def test_sizes_stay_in_their_ranges() -> None:
    config = PRESETS["paper"]
    shapes = [batch_shape(config, step) for step in range(2000)]
    batches, samples, dims, others = zip(*shapes)
    assert min(samples) == 10 and 495 <= max(samples) <= 500
    assert min(dims) == 2 and max(dims) == 32 and dims == others
    assert min(batches) >= 8 and max(batches) <= 64 and not any(b % 8 for b in batches)


def test_sizes_of_the_general_preset() -> None:
    config = PRESETS["general"]
    batches, samples, dx, dy = zip(*(batch_shape(config, step) for step in range(3000)))
    assert min(samples) == 10 and 3900 <= max(samples) <= 4096
    assert min(dx) == min(dy) == 1 and max(dx) == max(dy) == 64
    assert 0.45 < sum(a == b for a, b in zip(dx, dy)) / 3000 < 0.7
    assert min(batches) >= 8 and max(batches) <= 64 and not any(b % 8 for b in batches)


def test_mixing_of_the_general_preset_grows() -> None:
    config = replace(PRESETS["general"], steps=100, dims=(2, 9), samples=(10, 40))
    first, last = (training_batch(config, step, CPU) for step in (0, 99))
    assert first.x.isfinite().all() and last.x.isfinite().all()


def test_validation_is_drawn_with_another_seed() -> None:
    first = next(iter(validation_batches(SMOKE, CPU)))[1]
    second = next(iter(validation_batches(replace(SMOKE, seed=99), CPU)))[1]
    assert torch.equal(first.x, second.x)


def test_ranges_and_coverage() -> None:
    assert [range_of(n) for n in (10, 99, 100, 299, 300, 500)] == [
        "10-100", "10-100", "100-300", "100-300", "300-500", "300-500",
    ]  # fmt: skip
    levels = torch.tensor([0.1, 0.5, 0.9])
    quantiles = torch.tensor([[0.0, 1.0, 2.0]]).expand(3, -1)
    assert interpolate(quantiles, levels, 0.7)[0] == pytest.approx(1.5)
    held = coverage(quantiles, torch.tensor([0.05, 0.3, 1.9]), levels, 0.8)
    assert held.tolist() == [True, True, True]
    assert coverage(quantiles, torch.tensor([-0.1, 1.0, 2.1]), levels, 0.8).tolist() == [
        False, True, False,
    ]  # fmt: skip


def test_config_round_trip_and_unknown_keys() -> None:
    assert TrainConfig.from_dict(SMOKE.to_dict()) == SMOKE
    with pytest.raises(TypeError, match="unknown TrainConfig keys"):
        TrainConfig.from_dict({"epochs": 3})


def test_training_lowers_the_validation_error(tmp_path) -> None:
    main(["--preset", "smoke", "--out", str(tmp_path), "--steps", "120"])
    trained = final(tmp_path)
    blank = validate(Trainer(trained.config, CPU).average, trained.config, CPU)
    assert trained.validation["mse_10-100"] < 0.8 * blank["mse_10-100"]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert int(rows[-1]["step"]) == 120 and float(rows[-1]["mse_10-100"]) > 0
    assert list(tmp_path.glob("events.out.tfevents.*"))


def test_a_killed_run_resumes_bit_for_bit(tmp_path, one_thread) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    main(["--preset", "smoke", "--out", str(whole), "--steps", "30"])
    process = subprocess.Popen(
        command(killed, "--steps", "30", "--checkpoint-minutes", "0"), env=environment, cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (killed / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < final(killed).step < 30
    main(["--preset", "smoke", "--out", str(killed), "--resume"])
    assert_same(final(whole), final(killed))
    steps = [[row["step"] for row in csv.DictReader((out / "metrics.csv").open())]
             for out in (whole, killed)]  # fmt: skip
    assert steps[0] == steps[1]


def on_two_processes(out: Path, *options: str) -> None:
    """Through torchrun, over the loopback; once more where a loaded machine broke it off."""
    launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1",
                "--nproc-per-node", "2", *command(out, *options)[1:]]  # fmt: skip
    env = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-m", *launcher], cwd=ROOT, env=env, capture_output=True, text=True
        )
        if done.returncode == 0:
            return
        shutil.rmtree(out, ignore_errors=True)
    raise AssertionError(done.stderr[-4000:])


def test_two_processes_equal_one(tmp_path) -> None:
    main(["--preset", "smoke", "--out", str(tmp_path / "one"), "--steps", "8"])
    on_two_processes(tmp_path / "two", "--steps", "8")
    assert_same(final(tmp_path / "one"), final(tmp_path / "two"), atol=2e-4, rtol=1e-3)


def test_data_made_ahead_are_the_same(tmp_path) -> None:
    options = ["--preset", "smoke", "--steps", "8"]
    main([*options, "--out", str(tmp_path / "none")])
    main([*options, "--out", str(tmp_path / "two"), "--workers", "2"])
    assert_same(final(tmp_path / "none"), final(tmp_path / "two"))


def test_a_worker_that_ended_is_named() -> None:
    make = functools.partial(step_data, replace(SMOKE, steps=2), device=CPU)
    workers = Ahead(make, range(2), 1)
    workers.next()
    workers.next()
    for process in workers._processes:
        process.kill()
    with pytest.raises(RuntimeError, match="ended with exit code -9"):
        workers.next()
    workers.close()


def test_training_starts_from_given_weights(tmp_path) -> None:
    source = Trainer(SMOKE, CPU)
    source.advance()
    path = tmp_path / "w.safetensors"
    save_weights(source.model, path, provenance={}, evaluation={})
    started = Trainer(replace(SMOKE, init=str(path), seed=7), CPU)
    for name, value in source.model.state_dict().items():
        assert torch.equal(started.model.state_dict()[name], value)


def test_no_preset_starts_from_shipped_weights(tmp_path, capsys) -> None:
    assert not any(preset.init for preset in PRESETS.values())
    with pytest.raises(SystemExit):
        main(["--preset", "settle", "--out", str(tmp_path)])
    assert "trains a part of a network: pass its --init" in capsys.readouterr().err


def test_only_the_named_modules_are_trained(tmp_path) -> None:
    trainer = Trainer(replace(SMOKE, trained=("trunk", "head")), CPU)
    before = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    for _ in range(2):
        trainer.advance()
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, before[name]) != name.startswith(("trunk.", "head."))
    again = Trainer(trainer.config, CPU)
    trainer.checkpoint().save(tmp_path / "checkpoint.pt")
    again.restore(Checkpoint.load(tmp_path / "checkpoint.pt", CPU))
    for one in (trainer, again):
        one.advance()
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name])
    with pytest.raises(AttributeError, match="tail"):
        Trainer(replace(SMOKE, trained=("tail",)), CPU)


def test_radial_inputs_start_without_effect() -> None:
    plain = Trainer(replace(SMOKE, model=replace(SMOKE.model, radial=False)), CPU).model
    model = Trainer(replace(SMOKE, seed=1, model=replace(SMOKE.model, radial=True)), CPU).model
    model.load_state_dict(model.state_of(plain))
    batch = training_batch(SMOKE, 0, CPU)
    torch.testing.assert_close(model(batch.x, batch.y), plain(batch.x, batch.y))


def test_a_time_budget_stops_with_a_checkpoint(tmp_path, steady) -> None:
    main(["--preset", "smoke", "--out", str(tmp_path), "--steps", "5000", "--max-minutes", "0.01"])
    assert 0 < final(tmp_path).step < 5000


def test_runs_are_not_overwritten_and_missing_ones_are_named(tmp_path, capsys) -> None:
    with pytest.raises(FileNotFoundError, match="train without --resume first"):
        main(["--preset", "smoke", "--out", str(tmp_path), "--resume"])
    main(["--preset", "smoke", "--out", str(tmp_path), "--steps", "2"])
    with pytest.raises(SystemExit):
        main(["--preset", "smoke", "--out", str(tmp_path), "--steps", "2"])
    assert "pass --resume to continue it" in capsys.readouterr().err


def test_three_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="1, 2, 4 or 8 processes"):
        Trainer(SMOKE, CPU, 0, 3)


def test_the_published_architecture_trains_and_resumes(tmp_path) -> None:
    weights = tmp_path / "w.safetensors"
    options = ["--preset", "smoke", "--out", str(tmp_path / "run"), "--weights", str(weights)]
    train_reference([*options, "--steps", "4"])
    train_reference([*options, "--steps", "6", "--resume"])
    model = ReferenceMIST.load(weights)
    assert model.provenance["steps"] == 6 and model.provenance["datasets"] > 6 * 8
    batch = training_batch(SMOKE, 0, CPU)
    assert model(batch.x, batch.y).isfinite().all()


def test_steps_on_moved_pairs_share_a_batch_among_processes() -> None:
    config = replace(PRESETS["general"], dims=(1, 4), samples=(10, 40), moved=0.5)
    pairs = [moved_batch(config, step, CPU) for step in range(40)]
    assert 8 < sum(pair is None for pair in pairs) < 32
    step = next(k for k, pair in enumerate(pairs) if pair is not None)
    halves = [moved_batch(config, step, CPU, rank, 2) for rank in (0, 1)]
    for which in (0, 1):
        parts = torch.cat([half[which].x for half in halves])
        assert torch.equal(parts, pairs[step][which].x)
    assert moved_batch(replace(config, moved=0.0), step, CPU) is None


def test_moved_pairs_train_the_change() -> None:
    config = replace(SMOKE, meta="general", dims=(1, 4), moved=1.0)
    trainer = Trainer(config, CPU)
    loss, norm = trainer.advance()
    assert loss.isfinite() and norm > 0
    twin = Trainer(replace(config, moved_weight=2 * config.moved_weight), CPU)
    torch.testing.assert_close(twin.advance()[0], 2 * loss)
