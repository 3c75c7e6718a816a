"""Settings of other papers: truths against closed forms and judges, one tiny run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks import published
from benchmarks.judges import ksg
from benchmarks.loops.judging import label_information
from torchmist.weights import save_weights


def _gaussian_mi(x: torch.Tensor, y: torch.Tensor) -> float:
    """Half of the log determinants of the sample's covariances."""
    parts = (x, y, torch.cat([x, y], 1))
    a, b, c = (torch.linalg.slogdet(torch.cov(p.double().T)).logabsdet for p in parts)
    return float(a + b - c) / 2


@pytest.mark.parametrize("draw, d", [(published.gaussian_grid, 3), (published.lifted, 10)])
def test_gaussian_samples_hold_the_truth(draw, d) -> None:
    torch.manual_seed(0)
    x, y, truth = draw(20_000, d)
    assert x.shape == y.shape == (20_000, d)
    assert _gaussian_mi(x, y) == pytest.approx(truth, abs=0.04)


def test_one_lifted_column_is_the_plain_pair() -> None:
    torch.manual_seed(0)
    x, y, truth = published.lifted(2000, 1)
    assert ksg(x, y) == pytest.approx(truth, abs=0.1)


def test_pairs_of_digits_share_the_bit_and_show_it() -> None:
    """Each side alone names the bit of the other: log 2 nats an item."""
    torch.manual_seed(0)

    def draw(n: int, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        bits = torch.randint(2, (n, 1))
        return published._images(bits, 0), bits[:, 0]

    assert label_information(draw, 2) == pytest.approx(math.log(2), abs=0.03)


def test_sides_of_a_pair_have_no_image_in_common() -> None:
    torch.manual_seed(0)
    bits = torch.zeros(400, 1, dtype=torch.long)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "move", lambda images: images)
        sides = [set(map(tuple, published._images(bits, k).tolist())) for k in (0, 1)]
    assert len(sides[0]) > 50 and not sides[0] & sides[1]


@pytest.mark.parametrize("error, truth", [(0.0, 4 * math.log(2)), (0.5, 0.0), (0.1, 1.4723)])
def test_the_channel_has_its_capacity(error, truth) -> None:
    torch.manual_seed(0)
    x, _, value = published.channel(20, 4, error)
    assert x.shape == (20, 256) and value == pytest.approx(truth, abs=1e-4)


def test_the_command_runs_and_goes_on(small, tmp_path: Path, capsys) -> None:
    save_weights(small, tmp_path / "tiny.safetensors")
    options = ["--model", str(tmp_path / "tiny.safetensors"), "--suite", "grid", "--sizes", "100"]
    for _ in range(2):
        published.main([*options, "--seeds", "1", "--out", str(tmp_path)])
    rows = (tmp_path / "results" / "published.csv").read_text().splitlines()
    assert len(rows) == 1 + 7
    assert "MINE 9.80" in (tmp_path / "tables" / "published.md").read_text()
    assert "32.00" in capsys.readouterr().out
