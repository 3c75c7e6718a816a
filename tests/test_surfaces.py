"""Curves and surfaces of known information."""

from __future__ import annotations

import math

import pytest
import torch
from kraskov import kraskov

from training import surfaces
from training.surfaces import CHANNELS, draws


@pytest.mark.parametrize("channel", CHANNELS)
def test_channels_have_the_information_that_neighbours_see(channel) -> None:
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(6000, generator=generator, dtype=torch.float64)
    v = channel.pass_on(u, generator)
    assert bool((v >= 0).all() and (v < 1).all())
    around = [torch.stack([(2 * math.pi * w).cos(), (2 * math.pi * w).sin()], -1) for w in (u, v)]
    assert kraskov(*around) == pytest.approx(channel.information(), abs=0.06)


def test_each_pair_is_drawn_twice_and_again_alike() -> None:
    found, again = list(draws(200, 3)), list(draws(200, 3))
    assert len(found) == 22 and len({draw.kind for draw in found}) == 15
    for one, other in zip(found, again, strict=True):
        assert torch.equal(one.x, other.x) and torch.equal(one.y, other.y) and one.mi == other.mi
        assert one.x.shape[0] == one.y.shape[0] == 200
        assert bool(one.x.isfinite().all() and one.y.isfinite().all()) and 0.4 < one.mi < 4.5


def test_a_run_prints_errors_and_adds_to_its_record(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(surfaces, "RESULT", tmp_path / "surfaces.csv")
    for _ in range(2):
        surfaces.main(["--model", "mist-v1", "--sizes", "60", "--write"])
    lines = (tmp_path / "surfaces.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 22 and lines[1].startswith("mist-v1,")
    assert "mist-v1 n = 60: error" in capsys.readouterr().out
