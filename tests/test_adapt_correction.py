"""The correction, what it reads, and its training."""

from __future__ import annotations

import math

import pytest
import torch
from adapt_samples import draw, mixed
from torch import Tensor

import torchmist
from torchmist.adapt import CellMeta, pipeline
from torchmist.adapt.finetune import CorrectionTuner, FineTuner, Source
from torchmist.adapt.sides import behind, both_sides, in_front
from torchmist.functional import reduce_quantiles
from torchmist.heads import from_nats, to_nats
from torchmist.models.neighbours import LIFTS, neighbour_statistics
from torchmist.models.projected import ProjectedMIST
from torchmist.synthetic import Batch


@pytest.fixture(scope="module")
def sides():
    return both_sides(mixed(260, 3), torch.arange(240) % 3, 0)


def test_correction_says_nothing_at_first(small, sides) -> None:
    model = in_front(behind(small, sides, 0), sides)
    x, y = mixed(80, 3), torch.arange(80) % 3
    torch.testing.assert_close(
        torchmist.mist_mi(x, y, model=model), torchmist.mist_mi(x, y, model=small),
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip


@pytest.fixture
def corrected(small, sides):
    model = in_front(behind(small, sides, 0), sides)
    for parameter in model.correction.network.parameters():
        parameter.data += 0.05 * draw(*parameter.shape, seed=parameter.numel())
    return model


def test_correction_leaves_masked_samples_out(corrected) -> None:
    x, y = mixed(80, 3)[None], torch.nn.functional.one_hot(torch.arange(80) % 3)[None].float()
    mask = torch.arange(80)[None] < 50
    torch.testing.assert_close(
        corrected(x, y, mask), corrected(x[:, :50], y[:, :50]), atol=1e-4, rtol=1e-4
    )


def test_adapted_labels_may_miss_a_class_and_samples_be_in_any_order(corrected) -> None:
    x, y = mixed(80, 3), torch.arange(80) % 2
    assert math.isfinite(torchmist.estimate(x, y, model=corrected).mean)
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    plain = torchmist.estimate(x, y, model=corrected).mean
    assert torchmist.estimate(x[order], y[order], model=corrected).mean == pytest.approx(
        plain, abs=1e-4
    )
    with pytest.raises(ValueError, match="expected 3 columns of the first variable"):
        torchmist.estimate(x[:, :2], y, model=corrected)


@pytest.mark.parametrize("kind", [FineTuner, CorrectionTuner])
def test_tuning_resumes_where_it_stopped(small, sides, quick, kind) -> None:
    start = behind(small, sides, 0)
    sources = [Source(CellMeta(*(s.pool(s.fit, 1) for s in sides)), 1.0, 64)]
    tuner = kind(start, sources, 3, 3)
    tuner.run(0.3, what="test", show=False)
    state, steps = tuner.state(), tuner.steps
    other = kind(start, sources, 3, 3)
    other.restore(state)
    other.run(0.3, what="test", show=False)
    assert other.steps == steps > 0
    for a, b in zip(other.model.parameters(), tuner.model.parameters()):
        assert torch.equal(a, b)
    other.run(0.6, what="test", show=False)
    assert other.steps > steps


def test_correction_is_trained_alone_and_to_the_same_end(small, sides, quick) -> None:
    start = behind(small, sides, 0)
    sources = [Source(CellMeta(*(s.pool(s.fit, 1) for s in sides)), 1.0, 64)]
    tuner = CorrectionTuner(start, sources, 3, 3)
    batch = tuner.draw()
    said, quantiles = tuner.model.read(batch.x, batch.y)
    torch.testing.assert_close(
        tuner.model.correction.correct(said, quantiles), tuner.model(batch.x, batch.y)
    )
    tuner.run(0.2, what="test", show=False)
    moved = {
        name
        for (name, a), b in zip(tuner.average.named_parameters(), start.parameters())
        if not torch.equal(a, b)
    }
    assert moved and all(name.startswith("correction.") for name in moved)


def by_loops(x: torch.Tensor, y: torch.Tensor) -> list[float]:
    """Equation 8 of Kraskov et al. (2004), and shares of nearer samples, one sample at a time."""
    n, out, shares = len(x), [], []
    near = [[[float((v[i] - v[j]).norm()) for j in range(n) if j != i] for i in range(n)]
            for v in (x.double(), y.double())]  # fmt: skip

    def digamma(value: float) -> float:
        return float(torch.digamma(torch.tensor(value, dtype=torch.float64)))

    for k in (3, 5, 10):
        total = 0.0
        for dx, dy in zip(*near):
            radius = sorted(max(a, b) for a, b in zip(dx, dy))[k - 1]
            total += sum(digamma(1.0 + sum(a < radius for a in d)) for d in (dx, dy))
        out.append(digamma(float(k)) + digamma(float(n)) - total / n)
    for own, other in (near, near[::-1]):
        for a, b in zip(own, other):
            nearest = sorted(range(n - 1), key=a.__getitem__)[:5]
            shares += [(sum(v < b[j] for v in b) + 0.5) / (n - 1) for j in nearest]
    out.append(-sum(math.log(p) for p in shares) / len(shares) - 1)
    lifts = [sum(p < f for p in shares) / len(shares) / f for f in LIFTS]
    return out + [math.log(v + 0.01) for v in lifts]


def test_neighbour_statistics_are_those_of_plain_loops() -> None:
    x, y = draw(2, 60, 3), draw(2, 60, 2, seed=1)
    y[1] += 2 * x[1, :, :2]
    said = neighbour_statistics(x, y)
    for row, a, b in zip(said, x, y):
        torch.testing.assert_close(row, torch.tensor(by_loops(a, b)), atol=1e-4, rtol=1e-4)


def test_neighbours_of_labels_far_apart_give_the_estimate_of_ross() -> None:
    label = torch.arange(90) % 3
    x = draw(90, 2) + label[:, None]
    said = neighbour_statistics(x[None], 1e3 * torch.nn.functional.one_hot(label)[None].float())
    total = 0.0
    for i in range(90):
        gap = (x - x[i]).norm(dim=-1)
        same = [float(g) for j, g in enumerate(gap) if label[j] == label[i] and j != i]
        inside = sum(float(g) < sorted(same)[2] for j, g in enumerate(gap) if j != i)
        total += float(torch.digamma(torch.tensor(1.0 + inside)))
    digamma = torch.digamma(torch.tensor([3.0, 90.0, 30.0]))
    known = float(digamma[0] + digamma[1] - digamma[2]) - total / 90
    assert float(said[0, 0]) == pytest.approx(known, abs=1e-4)


def test_neighbours_say_nothing_of_few_samples_and_leave_masked_ones_out() -> None:
    x, y = draw(2, 40, 3), draw(2, 40, 2, seed=1)
    assert (neighbour_statistics(x[:, :10], y[:, :10]) == 0).all()
    mask = torch.arange(40) < torch.tensor([[40], [25]])
    said = neighbour_statistics(x, y, mask)
    torch.testing.assert_close(said[1:], neighbour_statistics(x[1:, :25], y[1:, :25]))


def test_neighbours_find_the_information_of_gaussians() -> None:
    z = draw(3, 1500, 2)
    rho = torch.tensor([0.0, 0.6, 0.9])
    y = rho[:, None] * z[..., 0] + (1 - rho[:, None] ** 2).sqrt() * z[..., 1]
    said = neighbour_statistics(z[..., :1], y[..., None])
    torch.testing.assert_close(said[:, 1], -0.5 * (1 - rho**2).log(), atol=0.06, rtol=0)
    assert abs(float(said[0, 3])) < 0.05 and said[0, 4:].abs().max() < 0.15


@pytest.mark.parametrize("noise", [0.0, 1e-9])
def test_neighbours_of_samples_that_coincide_are_those_of_a_table(noise) -> None:
    z, other = draw(8, 3), draw(8, 3, seed=1)
    place = torch.arange(1600) % 8
    random = torch.randint(8, (1600,), generator=torch.Generator().manual_seed(0))
    for cells, known in ((place, math.log(8)), (random, 0.0)):
        x, y = z[place] + noise * draw(1600, 3), other[cells] + noise * draw(1600, 3, seed=2)
        said = neighbour_statistics(x[None], y[None])[0]
        torch.testing.assert_close(said[:3], torch.full((3,), known), atol=0.05, rtol=0)
        assert abs(float(said[3])) < 0.25 or known > 0


def test_coordinates_of_the_network_are_those_of_the_diffusion_map(small, sides) -> None:
    cells, side = behind(small, sides, 0).correction.x, sides[0]
    z = side.project(side.check)
    torch.testing.assert_close(cells(z)[1], side.diffusion(z))


def test_correction_sees_standardised_numbers(small, sides) -> None:
    correction = behind(small, sides, 0).correction
    said = 3 + 2 * draw(50, len(correction.mean))
    correction.standardise(said)
    seen = (said - correction.mean) / correction.scale
    torch.testing.assert_close(seen.mean(0), torch.zeros(len(correction.mean)), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(len(correction.mean)))


@pytest.mark.parametrize("shift, width", [(0.0, 0.7), (1.22, 0.7 * 1.1**7), (9.0, 0.7 * 1.1**12)])
def test_intervals_are_widened_until_they_hold(small, sides, shift, width) -> None:
    """``shift``: how far the truth is from the mean, in 90 % half-widths of log(I + 0.2)."""
    model, x, y, quantiles = above_zero(small, sides)
    t, high = from_nats(quantiles), from_nats(reduce_quantiles(quantiles, model.levels, 0.95))
    centre = from_nats(quantiles.mean(-1))
    mi = to_nats(centre + shift * (high - t.mean(-1)))
    kinds = [[Batch(x, y, v, torch.zeros(8), torch.zeros(8))] for v in (to_nats(centre), mi)]
    pipeline._widen(model, kinds)
    assert model.correction.width.tolist() == pytest.approx([width, 1.0, 1.0])


def above_zero(small, sides) -> tuple[ProjectedMIST, Tensor, Tensor, Tensor]:
    """Adapted weights with all quantiles far above 0, eight datasets, and their quantiles."""
    model = in_front(behind(small, sides, 0), sides)
    model.correction.network[-1].bias.data += torch.tensor([0.0, 2.0, 0.0])
    x, y = draw(8, 128, 3), torch.eye(3)[torch.arange(128) % 3].expand(8, 128, 3)
    return model, x, y, model(x, y)


@pytest.mark.parametrize("n, width", [(32, 1.0), (128, 1.0), (256, 1.5), (512, 2.0), (3000, 4.0)])
def test_width_is_interpolated_between_sizes(small, sides, n, width) -> None:
    correction = behind(small, sides, 0).correction
    correction.width.copy_(torch.tensor([1.0, 2.0, 4.0]))
    said = torch.zeros(1, len(correction.mean))
    said[:, -2] = math.log(n) / 5 - 1
    quantiles = to_nats(torch.linspace(-1.0, 1.0, 24))[None]
    out = correction.correct(said, quantiles)
    seen = from_nats(out)
    assert float(seen[0, -1] - seen[0, 0]) == pytest.approx(2 * width, rel=1e-4)
    torch.testing.assert_close(out.mean(), quantiles.mean())  # the width leaves the mean alone


def test_estimates_by_neighbours_move_as_the_tables_do_in_the_backward_pass(small, sides) -> None:
    correction = behind(small, sides, 0).correction
    x, y = sides[0].project(mixed(60, 3)), torch.eye(3)[torch.arange(60) % 3]
    said = correction.read(x[None].requires_grad_(), y[None]).detach().requires_grad_()
    correction.network[-1].bias.data[0] = 1.0  # all the way to the opinion
    correction.correct(said, torch.linspace(0.1, 0.5, 24)[None]).mean().backward()
    by_level = said.grad[0, 2 : correction.tables : 5]
    weight = correction.weights.softmax(0)
    share = weight[:5] + weight[5:].sum() / 5  # of the opinion, for which each level answers
    torch.testing.assert_close(by_level / by_level.sum(), share)
