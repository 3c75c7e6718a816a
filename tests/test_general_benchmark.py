"""The benchmark of general weights: its ideal estimator, its draws, and its tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.evaluate import load
from benchmarks.general import ideal_standard_error, plug_in
from benchmarks.high_dim import embeddings
from benchmarks.pages import markdown, write_table
from torchmist.synthetic.general.canonical import sample_canonical


def test_ideal_standard_error_is_the_spread_of_the_plug_in() -> None:
    rho = torch.tensor([[0.3, 0.8]], dtype=torch.float64).expand(800, -1)
    df = torch.full((800,), torch.inf, dtype=torch.float64)
    x, y = sample_canonical(rho, df, 500, 2, 3, generator=torch.Generator().manual_seed(0))
    values = plug_in(x, y)
    ideal = ideal_standard_error(rho[:1], 500).item()
    assert values.std().item() == pytest.approx(ideal, rel=0.1)
    truth = -0.5 * torch.log1p(-rho[0].square()).sum().item()
    assert values.mean().item() == pytest.approx(truth, abs=4 * ideal / 800**0.5 + 1e-3)


@pytest.mark.parametrize("kind", ["leading", "random", "spread", "none"])
def test_embeddings_have_the_mi_that_they_claim(kind: str) -> None:
    x, y = embeddings(kind, 8, 8, 30_000, torch.Generator().manual_seed(0))
    truth = 0.0 if kind == "none" else 2.0
    assert plug_in(x, y).item() == pytest.approx(truth, abs=0.03)


def test_tables_are_put_between_their_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin table t -->\nold\n<!-- end table t -->\nb\n")
    write_table(page, "t", markdown(["n"], [["1"]]))
    assert page.read_text().split("\n")[2:5] == ["| n |", "| --- |", "| 1 |"]
    with pytest.raises(ValueError, match="expected the marks"):
        write_table(page, "other", "")


def test_registered_weights_load_by_name() -> None:
    assert load("mist").provenance["trained_range"]["n"][0] >= 1
