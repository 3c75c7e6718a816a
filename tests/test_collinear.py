"""Notes on directions that ranks hide: where they come, and where they do not."""

from __future__ import annotations

import math

import pytest
import torch

from torchmist import estimate
from torchmist.diagnostics.collinear import collinear


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turned(n: int, size: float, d: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns whose one direction of deviation ``size`` correlates with y by 0.9: 0.83 nats."""
    z, e = torch.randn(n, d, generator=generator(n)), torch.randn(n, generator=generator(1))
    frame = torch.linalg.qr(torch.randn(d, d, generator=generator(2))).Q
    y = 0.9 * z[:, 0] + math.sqrt(0.19) * e
    scale = torch.ones(d)
    scale[0] = size
    return (z * scale) @ frame, y


def _notes(x: torch.Tensor, y: torch.Tensor, estimate: torch.Tensor) -> tuple[str, ...]:
    """The notes, which go with open ends where no side has more than six columns."""
    found = collinear(x, y, estimate)
    few = max(x.shape[-1], y.shape[-1]) <= 6
    assert bool(found.opened.any()) == (few and bool(found.notes))
    return found.notes


def test_an_estimate_names_a_direction_that_ranks_hide() -> None:
    x, y = turned(1_000, 0.02)
    with pytest.warns(UserWarning, match="times less than its columns"):
        found = estimate(x, y, model="mist-fast")
    assert found.mean < 0.4
    (note,) = [note for note in found.warnings if "times less" in note]
    assert note.startswith("x has directions that vary ") and "principal components" in note


def test_what_the_note_advises_shows_it_and_weights_with_an_arbiter_do_so_themselves() -> None:
    x, y = turned(1_000, 0.02)
    u = torch.linalg.svd((x - x.mean(0)).double(), full_matrices=False).U.float()
    for found in (estimate(u, y), estimate(u, y, model="mist-fast"), estimate(x, y)):
        assert abs(found.mean - 0.83) < 0.15
        assert not [note for note in found.warnings if "times less" in note]


@pytest.mark.parametrize("size", [1.0, 0.3])
def test_nothing_is_said_of_columns_that_vary_enough(size: float) -> None:
    x, y = turned(1_000, size)
    assert not _notes(x[None], y[None, :, None], torch.tensor([0.0]))


def test_nothing_is_said_where_the_estimate_has_it_or_the_sides_are_single_or_wide() -> None:
    x, y = turned(1_000, 0.02)
    x, y = x[None], y[None, :, None]
    assert _notes(y, x, torch.tensor([0.1]))[0].startswith("y has")
    assert not _notes(x, y, torch.tensor([0.9]))
    assert not _notes(y, y, torch.tensor([0.0]))
    assert not _notes(x[:, :20], y[:, :20], torch.tensor([0.0]))


def test_sums_that_always_hold_and_constant_columns_are_no_directions() -> None:
    x, y = turned(1_000, 1.0)
    sums = torch.cat([x, x[:, :1] + x[:, 1:2], torch.zeros(1_000, 1)], -1)
    assert not _notes(sums[None], y[None, :, None], torch.tensor([0.0]))


def test_rows_that_are_far_from_all_others_do_not_decide() -> None:
    x = torch.randn(1_000, 2, generator=generator(3))
    y = torch.randn(1_000, generator=generator(4))
    x[0], y[0] = 1e6, 1e6
    assert not _notes(x[None], y[None, :, None], torch.tensor([0.0]))


def test_sums_of_the_other_side_and_little_noise_open_the_interval() -> None:
    """Each of 4 columns is a sum of 4 others and noise of a thousandth: 27.6 nats."""
    x, e = torch.randn(2, 500, 4, generator=generator(5))
    y = x @ torch.linalg.qr(torch.randn(4, 4, generator=generator(6))).Q + 1e-3 * e
    with pytest.warns(UserWarning, match="of x are nearly sums of those of y"):
        found = estimate(x, y)
    truth = 4 * math.log(1e3)
    assert found.mean < truth and found.interval(0.9)[1] == math.inf
    (note,) = [note for note in found.warnings if "times less" in note]
    told = float(note.split(" of the ")[1].split()[0])
    assert 0.9 * truth < told < 1.1 * truth


def test_nothing_is_said_of_sums_with_noise_that_ranks_show() -> None:
    x, e = torch.randn(2, 1, 500, 4, generator=generator(5))
    y = x @ torch.linalg.qr(torch.randn(4, 4, generator=generator(6))).Q + 0.1 * e
    assert not _notes(x, y, torch.tensor([9.0]))


def test_what_labels_could_share_is_a_limit_and_nothing_is_open() -> None:
    x, y = turned(1_000, 0.02)
    label = (y > 0).float()[None, :, None]
    none, low = torch.tensor([0.0]), torch.tensor([0.1])
    found = collinear(x[None], label, none, bound=torch.tensor([math.log(2)]))
    assert "nats that both sides share" in found.notes[0] and "open" not in found.notes[0]
    assert not found.opened.any()
    assert not collinear(x[None], label, low, bound=low).notes


@pytest.mark.parametrize("law", ["two-valued", "exponential"])
@pytest.mark.parametrize("d", [2, 6, 16])
def test_what_is_far_from_normal_opens_nothing(law: str, d: int) -> None:
    """Each column of y is that of x and noise: ranks and the truth show far less than a normal law
    of these correlations would."""
    x = torch.empty(2_000, d).exponential_(generator=generator(7))
    if law == "two-valued":
        x = (torch.rand(2_000, d, generator=generator(7)) < 0.5).float() * 2 - 1
    x = x + 0.05 * torch.randn(2_000, d, generator=generator(8))
    y = x + 0.05 * torch.randn(2_000, d, generator=generator(9))
    truth = d * 1.04 if law == "two-valued" else d * 2.55
    found = collinear(x[None], y[None], torch.tensor([truth]))
    assert not found.opened.any() and (d > 6 or not found.notes)


def test_the_order_of_rows_and_other_datasets_change_nothing() -> None:
    centres = 4 * torch.randn(3, 3, generator=generator(10))
    x = centres.repeat_interleave(500, 0) + 0.05 * torch.randn(1500, 3, generator=generator(11))
    y = x + 0.05 * torch.randn(1500, 3, generator=generator(12))
    shuffled = torch.randperm(1500, generator=generator(13))
    for given in (0.5, 2.0, 3.0, 4.0):
        orders = (torch.arange(1500), shuffled, torch.arange(1499, -1, -1))
        sides = [(x[None, order], y[None, order]) for order in orders]
        opened = {bool(collinear(*pair, torch.tensor([given])).opened) for pair in sides}
        assert len(opened) == 1
    turned_x, turned_y = turned(1_500, 0.02, 3)
    both = torch.stack([x, turned_x]), torch.stack([y, turned_y[:, None].expand(-1, 3)])
    each = [collinear(both[0][[k]], both[1][[k]], torch.tensor([0.1])).opened for k in (0, 1)]
    assert torch.equal(collinear(*both, torch.full((2,), 0.1)).opened, torch.cat(each))
