"""The benchmark of modalities: its truths, its sources, and its records and table."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import modality
from benchmarks.modality_data import MODALITIES, bert

DOCS = Path(__file__).parent.parent / "docs"


def test_a_channel_carries_its_bits_less_the_noise() -> None:
    windows = MODALITIES["windows"]()
    x, y, truth = windows.sample(50, 0.1, 3)
    noise = -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert truth == pytest.approx(2 * (math.log(2) - noise))
    assert x.shape == y.shape == (50, 24) and windows.x.shape == (1500, 24)
    assert windows.sample(20, 0.5, 3)[2] == pytest.approx(0.0)


def test_a_window_tells_its_regime() -> None:
    windows, generator = MODALITIES["windows"](), torch.Generator().manual_seed(0)
    regime = torch.arange(400) % 4
    x, y = (windows.draw(side, regime, generator) for side in (0, 1))
    found = regime[torch.cdist(x, y).argmin(-1)]
    assert float((found == regime).float().mean()) > 0.97


def test_embeddings_that_are_not_there_are_left_out_with_a_line(tmp_path, capsys) -> None:
    assert bert(None) is None and bert(tmp_path) is None
    assert "bert is left out: no imdb_bert_768.npz" in capsys.readouterr().out
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 5)).astype(np.float32) + 8 * (np.arange(300) % 2)[:, None]
    np.savez(tmp_path / "imdb_bert_768.npz", x=rows)
    found = bert(tmp_path)
    assert found is not None and found.sample(40, 0.2, 0)[0].shape == (40, 5)


def test_records_go_on_and_make_the_table(tmp_path, capsys) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    shutil.copy(DOCS / "adapt.md", docs)
    words = ["--only", "windows", "--sizes", "32", "--seeds", "1", "--estimators", "base"]
    words += ["--out", str(tmp_path), "--docs", str(docs)]
    for _ in range(2):
        modality.main(words)
        rows = list(csv.DictReader((tmp_path / "modality.csv").open()))
        assert [float(row["error"]) for row in rows] == list(modality.ERRORS)
    assert "windows:" in (docs / "adapt.md").read_text()
    assert (docs / "figures" / "modality.png").stat().st_size > 10_000
