"""The benchmark of loops: judges against closed forms, methods, records, verdicts."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.loops import LOOPS, Batch, Host, Judgement, Loop
from benchmarks.loops import __main__ as command
from benchmarks.loops.codes import exact
from benchmarks.loops.judging import (
    label_information,
    linear_accuracy,
    pair_information,
    probe_r2,
)
from benchmarks.loops.methods import METHODS, Mixture, Vib, make_method, settings
from benchmarks.loops.pixels import Bottleneck
from benchmarks.loops.report import gap_table
from benchmarks.loops.run import CHOICE, Runs, train
from benchmarks.loops.score import cells, table_of, verdict
from torchmist.weights import save_weights


@pytest.fixture
def weights(small, tmp_path: Path) -> str:
    save_weights(small, tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def test_there_are_eleven_loops_and_each_says_what_it_is() -> None:
    assert len(LOOPS) >= 11
    assert all(loop.host.__doc__ and "Judges" in loop.host.__doc__ for loop in LOOPS.values())


def test_label_judge_knows_a_small_direction() -> None:
    """A sign in a direction of 1/100 of the others' deviation: log 2 nats."""
    torch.manual_seed(0)
    turn = torch.linalg.qr(torch.randn(4, 4)).Q

    def draw(n: int, split: str) -> tuple[Tensor, Tensor]:
        s = torch.randint(2, (n,))
        small = 0.01 * (2.0 * s - 1 + 0.1 * torch.randn(n))
        return torch.cat([torch.randn(n, 3), small[:, None]], 1) @ turn, s

    assert label_information(draw, 2) == pytest.approx(math.log(2), abs=0.03)


def test_judges_find_nothing_in_independent_codes() -> None:
    torch.manual_seed(0)
    labels = label_information(lambda n, _: (torch.randn(n, 5), torch.randint(3, (n,))), 3)
    pairs = pair_information(lambda n, _: (torch.randn(n, 5), torch.randn(n, 2)))
    assert labels < 0.01 and pairs < 0.01


def test_pair_judge_knows_a_gaussian_pair() -> None:
    torch.manual_seed(0)

    def draw(n: int, split: str) -> tuple[Tensor, Tensor]:
        s = torch.randn(n, 1)
        return torch.cat([0.8 * s + 0.6 * torch.randn(n, 1), torch.randn(n, 1)], 1), s

    truth = -0.5 * math.log(1 - 0.64)
    assert pair_information(draw) == pytest.approx(truth, abs=0.08)


def test_probe_knows_the_r2_of_a_gaussian_channel() -> None:
    torch.manual_seed(0)

    def draw(n: int, split: str) -> tuple[Tensor, Tensor]:
        s = torch.randn(n, 2)
        return 0.8 * s + 0.6 * torch.randn(n, 2), s

    assert probe_r2(draw) == pytest.approx(0.64, abs=0.05)


def test_linear_probe_separates_classes_that_lie_apart() -> None:
    torch.manual_seed(0)
    label = torch.randint(3, (300,))
    z = torch.nn.functional.one_hot(label, 3) * 10 + torch.randn(300, 3)
    assert linear_accuracy((z[:200], label[:200]), (z[200:], label[200:]), 3) == 1.0


def test_exact_information_of_well_separated_items_is_their_entropy() -> None:
    x, y = torch.eye(6) * 100, torch.eye(6)[:, :5] * 100
    assert exact(x, y, 0.1, 0.1) == pytest.approx(math.log(6), abs=1e-4)


def test_exact_bottleneck_is_the_entropy_of_the_digits_without_noise_and_less_with() -> None:
    torch.manual_seed(0)
    host = Bottleneck()
    host.noise = 1e-3
    assert host.exact() == pytest.approx(math.log(1000), abs=0.02)
    host.noise = 100.0
    assert abs(host.exact()) < 0.05


def _batch(n: int = 2000) -> Batch:
    mean = torch.randn(n, 2)
    return Batch(torch.zeros(()), mean + torch.randn(n, 2), mean, mean)


def test_vib_and_the_mixture_bound_lie_above_the_information_of_a_gaussian_channel() -> None:
    torch.manual_seed(0)
    truth = math.log(2)  # two columns of half log 2
    mixture, vib = (float(m.value(_batch())) for m in (Mixture(1.0), Vib(1.0)))
    assert mixture == pytest.approx(math.log(2) + 0.5, abs=0.06)  # -E log of an integral
    assert vib == pytest.approx(1.0, abs=0.08)
    assert truth < min(mixture, vib)


def _host(classes: int | None) -> Host:
    host = Host()
    host.dz, host.dy, host.classes, host.noise = 3, 3, classes, 0.5
    return host


@pytest.mark.parametrize("direction", METHODS)
@pytest.mark.parametrize("classes", [None, 4])
def test_every_method_moves_the_code(weights, direction, classes) -> None:
    for name in METHODS[direction]:
        if name == "none":
            continue
        if direction != "remove" and classes:
            continue
        torch.manual_seed(0)
        host, mean = _host(classes), torch.randn(40, 3, requires_grad=True)
        z = mean + 0.5 * torch.randn(40, 3)
        y = torch.randint(4, (40,)) if classes else mean.detach() + torch.randn(40, 3)
        batch = Batch(torch.zeros(()), z, y, mean)
        method = make_method(name, host, direction, settings(name, direction, 1.0)[1], weights)
        for _ in range(method.inner):
            method.learn(Batch(torch.zeros(()), z.detach(), y, mean.detach()))
        (gradient,) = torch.autograd.grad(method.value(batch), mean)
        assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0, name


def test_gradient_reversal_teaches_its_predictor_and_opposes_the_code() -> None:
    torch.manual_seed(0)
    s = torch.randn(200, 3)
    code = torch.nn.Parameter(s.clone())
    method = make_method("reversal", _host(None), "remove", 1.0)
    optimizer = torch.optim.Adam(method.host, 1e-2)
    batch = Batch(torch.zeros(()), code, s)
    for _ in range(200):
        optimizer.zero_grad()
        method.value(batch).backward()
        optimizer.step()
    with torch.no_grad():
        error = (method.network(code) - s).square().mean()
        assert error < 0.05
    code.grad = None
    method.value(batch).backward()
    with torch.no_grad():
        moved = code - 0.5 * len(s) * code.grad
        assert (method.network(moved) - s).square().mean() > error


def test_unknown_methods_are_errors(weights) -> None:
    with pytest.raises(ValueError, match="expected a method of"):
        make_method("VIB", _host(None), "remove", 1.0, weights)


class _Known(Host):
    """Its score at each weight is known: the judge reads the code's scale."""

    dz, dy = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def batch(self) -> Batch:
        y = torch.randn(64, 1)
        return Batch((self.weight - 1).square(), self.weight * y + torch.randn(64, 1), y)

    def judge(self) -> Judgement:
        weight = float(self.weight.detach())
        return Judgement(-((weight - 1) ** 2), 0.5 * math.log(1 + weight**2))


def test_runs_stop_at_their_steps_or_at_their_seconds(monkeypatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr(time, "process_time", lambda: next(looks) / 100)
    loop = Loop("known", "", "remove", _Known, steps=7)
    assert train(loop, "HSIC", 1.0, 0, "mist-fast", steps=7).steps == 7
    timed = train(loop, "HSIC", 1.0, 0, "mist-fast", seconds=0.1)
    assert timed.steps == 9 and timed.seconds == pytest.approx(0.11)


def test_the_setting_is_chosen_on_seeds_that_are_not_reported(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setitem(LOOPS, "known", Loop("known", "", "remove", _Known, steps=30))
    runs = Runs(tmp_path / "loops.csv", "mist-fast")
    for _ in range(2):  # the second time from the record
        runs.run("known", "HSIC", 2, 0.0)
    rows = list(runs.records)
    assert len(rows) == 3 + 2 and {int(r["seed"]) for r in rows} == {0, 1, CHOICE[0]}
    chosen = max((r for r in rows if r["seed"] == str(CHOICE[0])), key=lambda r: float(r["score"]))
    assert {r["setting"] for r in rows if r["seed"] in "01"} == {chosen["setting"]}
    runs.forget("known", "HSIC")
    assert not list(runs.records)


def _row(method: str, seed: int, score: float, held: float = 0.3, own: float = 0.1) -> dict:
    return {
        "loop": "hide", "method": method, "budget": "steps", "setting": "1", "seed": str(seed),
        "model": "-", "task": "1", "held": str(held), "score": str(score), "own": str(own),
        "steps": "9", "seconds": "1", "detail": "",
    }  # fmt: skip


def test_verdicts_are_within_one_spread() -> None:
    scores = {"none": (0.4, 0.6), "CLUB": (0.8, 1.0), "plain": (0.75, 0.85), "lift": (0.1, 0.12)}
    rows = [_row(m, k, s) for m, pair in scores.items() for k, s in enumerate(pair)]
    rows.append(_row("lift", CHOICE[0], 9.0))
    found = cells(table_of(rows), "hide", "steps")
    assert found["plain"].score == pytest.approx(0.8) and found["plain"].seeds == 2
    assert found["lift"].score == pytest.approx(0.11)
    assert found["plain"].gaps == pytest.approx((0.2, 0.2))
    plain, lift = verdict(found, "plain"), verdict(found, "lift")
    assert (plain.best, plain.tied, plain.above_none) == ("CLUB", True, True)
    assert (lift.tied, lift.above_none) == (False, False)
    assert "+0.20 (2 of 2)" in gap_table(table_of(rows), "steps")


def test_a_host_that_diverged_is_the_worst() -> None:
    rows = [_row("CLUB", 0, math.nan), _row("CLUB", 1, 0.9), _row("plain", 0, 0.1)]
    found = cells(table_of(rows), "hide", "steps")
    assert found["CLUB"].score == -math.inf and verdict(found, "plain").tied


@pytest.mark.parametrize("name", [n for n in LOOPS if n not in ("hide", "infomax")])
def test_every_loop_trains_and_is_judged(name) -> None:
    loop = LOOPS[name]
    method = "VICReg" if loop.direction == "join" else "HSIC"
    made = train(loop, method, 1.0, 0, "mist-fast", steps=2)
    judged = made.host.eval().judge()
    assert math.isfinite(loop.score(judged)) and made.steps == 2


def test_the_command_runs_goes_on_and_reports(weights, tmp_path: Path, capsys) -> None:
    options = ["--model", weights, "--only", "hide", "--method", "none", "plain", "--seeds", "1"]
    options += ["--steps", "2", "--seconds", "0.01"]
    for _ in range(2):
        command.main([*options, "--out", str(tmp_path)])
    rows = (tmp_path / "results" / "loops.csv").read_text().splitlines()
    assert len(rows) == 1 + 1 + (3 + 1) + 2
    page = (tmp_path / "tables" / "loops.md").read_text()
    assert "Verdicts at equal steps" in page and "equal seconds (0.01 s)" in page
    assert (tmp_path / "figures" / "loops-hide.png").stat().st_size > 5000
    command.main(["--report", "--out", str(tmp_path)])
    assert "best rival" in capsys.readouterr().out
