"""The benchmarks of the term: truths, judges, records, and one tiny run of each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks import (
    conflict,
    gradient_quality,
    head_to_head,
    head_to_head_tasks,
    step_cost,
    term_report,
)
from benchmarks.judges import critic_mi, ksg, probe_r2
from benchmarks.records import Records, exact_name
from benchmarks.rivals import RIVALS, make_term
from benchmarks.term_report import TABLES
from torchmist.weights import save_weights


@pytest.fixture
def weights(small, tmp_path: Path) -> str:
    save_weights(small, tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def gaussian(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    s = torch.randn(n, 1)
    return 0.8 * s + 0.6 * torch.randn(n, 1), s


def test_judges_know_a_gaussian_pair() -> None:
    torch.manual_seed(0)
    truth = -0.5 * math.log(1 - 0.64)
    assert ksg(*gaussian(2000)) == pytest.approx(truth, abs=0.08)
    assert critic_mi(gaussian, steps=150, batch=256) == pytest.approx(truth, abs=0.08)
    assert probe_r2(gaussian, steps=150) == pytest.approx(0.64, abs=0.03)


@pytest.mark.parametrize("family", gradient_quality.FAMILIES)
def test_channels_have_the_information_asked_for(family) -> None:
    channel = gradient_quality.Channel(family, 3, 0.7, 0)
    assert float(channel.mi(channel.parameter)) == pytest.approx(0.7, abs=1e-3)


def test_additive_channel_agrees_with_a_sample() -> None:
    channel = gradient_quality.Channel("additive", 1, 0.7, 0)
    with torch.no_grad():
        z, y = channel.sample(3000, torch.Generator().manual_seed(0))
    assert ksg(z, y) == pytest.approx(0.7, abs=0.08)


@pytest.mark.parametrize("name", [*RIVALS, "mist", "mist-lift:targets=4,statistic=0.9"])
def test_every_term_moves_z(weights, name) -> None:
    torch.manual_seed(0)
    term, z, y = make_term(name, 3, 2, weights), torch.randn(32, 3), torch.randn(32, 2)
    if term.inner:
        term.learn(z, y)
    z.requires_grad_()
    term.term(z, y).backward()
    assert z.grad.abs().sum() > 0 and torch.isfinite(z.grad).all()
    assert bool(term.host) == name.startswith("mist-lift")
    assert step_cost.kept_bytes(term, z, y) >= z.numel() * 4


@pytest.mark.parametrize("name", ["BLUB", "mist:count=2", "mister"])
def test_unknown_terms_are_errors(weights, name) -> None:
    with pytest.raises(ValueError, match=r"mist\[-lift\]"):
        make_term(name, 3, 2, weights)


def test_records_go_on_where_they_stopped(tmp_path: Path) -> None:
    records = Records(tmp_path / "r.csv", ("task", "lam", "score"), 2)
    records.add("a", 1.0, 0.123456)
    again = Records(tmp_path / "r.csv", ("task", "lam", "score"), 2)
    assert again.has("a", 1.0) and not again.has("a", 2.0)
    assert again.rows == [{"task": "a", "lam": "1", "score": "0.1235"}]
    with pytest.raises(ValueError, match="expected columns"):
        Records(tmp_path / "r.csv", ("task", "score"), 1)


def test_records_name_the_exact_weights() -> None:
    assert exact_name("mist").startswith("mist-")
    assert exact_name("some/where/new.safetensors") == "new"


def test_conflict_runs_and_goes_on(weights, tmp_path: Path, capsys) -> None:
    options = ["--model", weights, "--terms", "mist-lift", "CLUB", "--lam", "0.3", "--seeds", "1"]
    options += ["--steps", "2", "--judge", "2", "--task", "conflict", "partly", "unneeded", "--out"]
    for _ in range(2):
        conflict.main([*options, str(tmp_path)])
    assert len((tmp_path / "conflict.csv").read_text().splitlines()) == 7
    assert "(optimum 0.30)" in capsys.readouterr().out


def test_gradient_quality_runs(weights, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(gradient_quality, "_STEPS", 2)
    options = ["--model", weights, "--families", "gaussian", "--dims", "2", "--sizes", "256"]
    gradient_quality.main([*options, "--mi", "0.3", "--out", str(tmp_path)])
    lines = (tmp_path / "gradient_quality.csv").read_text().splitlines()
    assert len(lines) == 3 + len(RIVALS)
    assert "log-det" in capsys.readouterr().out


@pytest.mark.parametrize(
    "task, method", [("bottleneck", "VIB"), ("bottleneck", "mist"), ("disentangle", "mist-lift")]
)
def test_head_to_head_tasks_run(weights, task, method, monkeypatch) -> None:
    monkeypatch.setattr(
        head_to_head_tasks, "probe_r2", lambda view, steps: probe_r2(view, steps=steps // 50)
    )
    score, detail, steps = head_to_head.TASKS[task](method, 0, 0.05, weights, 0.002)
    assert math.isfinite(score) and steps >= 1 and detail


def test_head_to_head_reports_the_rate_that_won_on_other_seeds(
    weights, monkeypatch, tmp_path: Path
) -> None:
    made = []

    def task(method, seed, seconds, model, rate):
        made.append((seed, rate))
        return (-abs(rate - 0.005) if seed in head_to_head.CHOICE else 7.0), "made up", 1

    monkeypatch.setitem(head_to_head.TASKS, "infomax", task)
    options = ["--tasks", "infomax", "--methods", "dCor", "--seeds", "3", "--out", str(tmp_path)]
    for _ in range(2):  # the second time from the records
        head_to_head.main(options)
    assert len(made) == len(set(made)) == 4 * 2 + 3
    assert [rate for seed, rate in made if seed not in head_to_head.CHOICE] == [0.005] * 3
    records = Records(tmp_path / "head_to_head.csv", head_to_head.COLUMNS, 6)
    assert head_to_head.summary(records)[1].split()[-3:] == ["7.000", "+-", "0.000"]


def test_step_cost_runs(weights, tmp_path: Path) -> None:
    options = ["--model", weights, "--batches", "16", "--dims", "4", "--repeats", "1"]
    step_cost.main([*options, "--out", str(tmp_path)])
    assert len((tmp_path / "step_cost.csv").read_text().splitlines()) == 1 + len(step_cost.TERMS)


def test_report_puts_tables_between_the_marks(weights, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path), "--model", weights]
    conflict.main(["--terms", "mist", "--seeds", "1", "--steps", "2", "--judge", "2", *out])
    records = Records(tmp_path / "head_to_head.csv", head_to_head.COLUMNS, 6)
    records.add("infomax", "mist", 0, "tiny", 1, 0.01, 0.9, "", 3)
    records.add("infomax", "mist", head_to_head.CHOICE[0], "tiny", 1, 0.01, 0.2, "", 3)
    records.add("infomax", "MINE", 0, "-", 1, 0.01, 0.8, "", 3)
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- begin table {n} -->\n<!-- end table {n} -->\n" for n in TABLES))
    options = ["--model", weights, "--results", str(tmp_path), "--pages", str(page)]
    term_report.main(options)
    assert "conflict, d 2, lam 0.3: mist" in page.read_text()
    assert "**0.900 ± " in page.read_text() and "| 0.800 ± " in page.read_text()
