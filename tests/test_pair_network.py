"""Statistics of single columns, the draws that train on them, and the shipped weights."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from torchmist.copula import rank_transform
from torchmist.models.pair_network import PairNetwork, load_pair_network, save_pair_network
from torchmist.models.pair_statistics import (
    KINDS,
    OPINIONS,
    bins,
    label_statistics,
    mixed_statistics,
    number_statistics,
)
from training.pair_draws import Draw, draw_pairs, table_mi
from training.pair_scores import collect, fit, statistics_of


def ranks(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = rank_transform(x.mT[None])
    return found.scores[0], found.codes[0]


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 257, generator=g, dtype=torch.float64)
    y = x.square() + 0.5 * torch.randn(3, 257, generator=g, dtype=torch.float64)
    return x, y.round(decimals=1)


@pytest.mark.parametrize("n", [4, 5, 27, 100, 257])
@pytest.mark.parametrize("count", [3, 27, 81, 729])
def test_bins_are_equal_in_size_and_mirror_with_the_ranks(n: int, count: int) -> None:
    codes = 2 * torch.arange(n)
    place = bins(codes, count)
    assert (bins(2 * n - 2 - codes, count) == count - 1 - place).all()
    size = place.bincount(minlength=count)
    assert size.max() - size.min() <= 1 + (n % 2)


def test_number_statistics_do_not_change_under_what_leaves_the_information(pair) -> None:
    x, y = pair
    plain = number_statistics(ranks(x), ranks(y))[0]
    order = torch.randperm(257, generator=torch.Generator().manual_seed(1))
    for u, v in ((y, x), (-x, y), (x, -y), (x.exp(), y), (x[:, order], y[:, order])):
        torch.testing.assert_close(
            number_statistics(ranks(u), ranks(v))[0], plain, rtol=1e-4, atol=1e-4
        )


def test_a_shared_target_is_that_of_each_pair(pair) -> None:
    x, y = pair
    each = number_statistics(ranks(x), ranks(y[:1].expand(3, -1)))[0]
    torch.testing.assert_close(number_statistics(ranks(x), ranks(y[:1]))[0], each)


def test_mixed_and_label_statistics_do_not_see_names_or_order(pair) -> None:
    x, y = pair
    label = (x > 0).long() + (x > 1).long()
    other = (y > 1).long()
    renamed = torch.tensor([2, 0, 1])[label]
    mixed = mixed_statistics(label, 3, ranks(y))[0]
    torch.testing.assert_close(
        mixed_statistics(renamed, 3, ranks(-y))[0], mixed, rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(mixed_statistics(label, 5, ranks(y))[0], mixed, rtol=1e-4, atol=1e-4)
    both = label_statistics(label, other, (3, 2))[0]
    torch.testing.assert_close(
        label_statistics(other, renamed, (2, 3))[0], both, rtol=1e-4, atol=1e-4
    )


def test_the_first_opinion_of_labels_is_the_plug_in_less_its_bias() -> None:
    x = torch.tensor([[0, 0, 1, 1] * 25])
    y = torch.tensor([[0, 1, 1, 1] * 25])
    table = torch.tensor([[[25.0, 25.0], [0.0, 50.0]]])
    plain = float(table_mi(table))
    found = label_statistics(x, y, (2, 2))[1][0, 0]
    assert float(found) == pytest.approx(plain - (3 - 2 - 2 + 1) / 200, abs=1e-6)


def test_the_plug_in_of_the_coarsest_grid_is_that_of_three_by_three(pair) -> None:
    x, y = (torch.rand(1, 300, generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    table = np.histogram2d(*(v[0].argsort().argsort().numpy() // 100 for v in (x, y)), bins=3)[0]
    plain, bias = float(table_mi(torch.from_numpy(table)[None])), (9 - 3 - 3 + 1) / 600
    assert float(number_statistics(ranks(x), ranks(y))[1][0, 1]) == pytest.approx(
        plain - bias, abs=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_draws_have_the_information_they_say(kind) -> None:
    """The plug-in of a large sample of coarse bins is below the truth, and near it for labels."""
    g = torch.Generator().manual_seed(3)
    for _ in range(12):
        draw = draw_pairs(g, kind, 4, [20_000])[0]
        codes = []
        for side in (draw.x, draw.y):
            if len(side[0].unique()) > 100:
                side = (side.argsort(1).argsort(1) * 12 // side.shape[1]).double()
            codes.append([np.unique(row.numpy(), return_inverse=True)[1] for row in side])
        for k in range(4):
            a, b = codes[0][k], codes[1][k]
            table = np.zeros((a.max() + 1, b.max() + 1))
            np.add.at(table, (a, b), 1)
            plain = float(table_mi(torch.from_numpy(table)[None]))
            bias = (table > 0).sum() / 40_000
            assert plain - bias < float(draw.mi[k]) + 0.03, draw.family
            if kind == "labels":
                assert plain == pytest.approx(float(draw.mi[k]), abs=0.03 + 2 * bias)


def test_gaussian_draws_have_the_closed_form() -> None:
    g = torch.Generator().manual_seed(0)
    draws = [
        d for _ in range(30) for d in draw_pairs(g, "numbers", 8, [4000]) if d.family == "gaussian"
    ]
    assert draws
    for draw in draws:
        rho = torch.stack(
            [torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(draw.x, draw.y)]
        )
        found = -0.5 * torch.log1p(-rho.square())
        torch.testing.assert_close(found, draw.mi, atol=0.1, rtol=0.05)


def test_the_shipped_weights_are_right_on_draws_they_never_saw() -> None:
    network, g = load_pair_network(), torch.Generator().manual_seed(77_000)
    for kind in KINDS:
        error, inside = [], []
        for _ in range(10):
            draw: Draw = draw_pairs(g, kind, 16, [1000])[0]
            q = network(kind, statistics_of(draw)).clamp(min=0)
            error.append((q.mean(-1) - draw.mi).abs())
            inside.append((q[:, 1] - 1e-3 <= draw.mi) & (draw.mi <= q[:, -2] + 1e-3))
        assert float(torch.cat(error).mean()) < 0.05
        assert float(torch.cat(inside).float().mean()) > 0.75
    assert {kind: o for kind, (_, o) in network.sizes.items()} == OPINIONS
    assert network.provenance["pairs"] > 1e5 and network.evaluation["numbers"]


def test_collect_and_fit_make_weights_that_load(tmp_path: Path) -> None:
    collect(1, 0.0, tmp_path / "runs")
    path = fit("tiny", 2, tmp_path / "runs", tmp_path)
    network = load_pair_network(str(path))
    assert network.provenance["command"].endswith("--name tiny --passes 2")
    with pytest.raises(FileExistsError, match="expected a new name"):
        fit("tiny", 2, tmp_path / "runs", tmp_path)


def test_files_of_other_kinds_and_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected weights for single columns"):
        load_pair_network("mist-v1")
    (tmp_path / "no.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="expected a safetensors file"):
        load_pair_network(str(tmp_path / "no.safetensors"))
    network = PairNetwork({"labels": (19, 7)}, width=8)
    save_pair_network(network, tmp_path / "small.safetensors")
    again = load_pair_network(str(tmp_path / "small.safetensors"))
    stats = torch.randn(2, 19)
    torch.testing.assert_close(again("labels", stats), network("labels", stats))
    anew = PairNetwork({"labels": (19, 7)}, width=9)
    save_pair_network(anew, tmp_path / "small.safetensors")
    assert load_pair_network(str(tmp_path / "small.safetensors")).width == 9


def test_quantiles_increase_and_are_finite() -> None:
    network = load_pair_network()
    for kind, (s, _) in network.sizes.items():
        q = network(kind, 10 * torch.randn(50, s, generator=torch.Generator().manual_seed(1)))
        assert (q.diff(dim=-1) >= 0).all() and math.isfinite(float(q.sum()))
