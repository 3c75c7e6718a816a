"""Networks of several sizes, each trained for the same time."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import variants
from benchmarks.variants import CASES, VARIANTS, forward_times, main, train, verdict
from training.checkpoint import Checkpoint
from training.config import PRESETS
from training.train import learning_rate

SMOKE = replace(PRESETS["smoke"], validation_size=1)
MARKS = "<!-- begin table variants -->\n<!-- end table variants -->\n"


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["variant"]: row for row in csv.DictReader(file)}


@pytest.fixture
def options(tmp_path, monkeypatch) -> list[str]:
    monkeypatch.setitem(PRESETS, "smoke", SMOKE)
    monkeypatch.setattr(variants, "CASES", ((20, 2), (40, 3)))
    (tmp_path / "page.md").write_text(f"# Page\n{MARKS}end\n")
    return ["--preset", "smoke", "--out", str(tmp_path / "v.csv"), "--runs", str(tmp_path / "runs"),
            "--page", str(tmp_path / "page.md")]  # fmt: skip


def test_every_network_has_a_row_and_the_page_a_table(options, tmp_path) -> None:
    threads = torch.get_num_threads()
    main([*options, "--minutes", "0.004"])
    found, page = rows(tmp_path / "v.csv"), (tmp_path / "page.md").read_text()
    assert list(found) == list(VARIANTS) and torch.get_num_threads() == threads
    sizes = [int(found[name]["parameters"]) for name in ("small", "large")]
    assert sizes[0] < sizes[1]
    for name, row in found.items():
        assert float(row["ms_20_2"]) > 0 and float(row["mse_10-100"]) > 0
        kept = Checkpoint.load(tmp_path / "runs" / name / "checkpoint.pt", torch.device("cpu"))
        assert kept.step == int(row["steps"]) > 0 and f"| {name} |" in page
    assert "The small network is" in page and page.endswith("end\n")


def test_finished_networks_are_kept_and_budgets_not_mixed(options, tmp_path, monkeypatch) -> None:
    main([*options, "--minutes", "0.004"])
    before = rows(tmp_path / "v.csv")
    lines = (tmp_path / "v.csv").read_text().splitlines()
    (tmp_path / "v.csv").write_text("\n".join(lines[:2]) + "\n")  # killed after the first
    trained = []
    monkeypatch.setattr(
        variants, "train", lambda c, s, name="": trained.append(name) or train(c, s, name)
    )
    main([*options, "--minutes", "0.004"])
    after = rows(tmp_path / "v.csv")
    assert trained == ["chosen", "large"]
    assert after["small"]["mse_10-100"] == before["small"]["mse_10-100"]
    with pytest.raises(ValueError, match="pass the same --minutes"):
        main([*options, "--minutes", "0.005"])


def test_the_schedule_ends_with_the_time() -> None:
    trainer = train(replace(SMOKE, warmup=1), 1.0)
    rate = learning_rate(trainer.config, trainer.step - 1)
    assert trainer.step > 10 and 1.0 <= trainer.seconds < 1.5
    assert rate < SMOKE.final_learning_rate + 0.02 * SMOKE.learning_rate


def test_forward_times_grow_with_the_sample() -> None:
    network = variants.MIST(SMOKE.model).eval()
    small, large = (forward_times([network], n, 8)[0] for n in (50, 20_000))
    assert 0 < small < large


@pytest.mark.parametrize("factor, words", [(3.5, "so it may ship"), (2.5, "not at least 3 times")])
def test_the_small_network_ships_if_three_times_as_fast_everywhere(factor, words) -> None:
    keys = [f"ms_{n}_{dim}" for n, dim in CASES]
    small = dict.fromkeys(keys, "2.0") | {keys[1]: str(20 / factor)}
    made = {"small": small, "chosen": dict.fromkeys(keys, "20")}
    assert words in verdict(made)


def test_the_sizes_are_those_of_networks() -> None:
    general = PRESETS["general"].model
    counts = [
        sum(p.numel() for p in variants.MIST(replace(general, **VARIANTS[name])).parameters())
        for name in ("small", "chosen", "large")
    ]
    assert 3 * counts[0] < counts[1] and 2 * counts[1] < counts[2]
