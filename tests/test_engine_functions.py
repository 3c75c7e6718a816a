"""The engine of functions: its densities against direct mixtures, its MI against integrals."""

import math
from dataclasses import replace

import pytest
import torch

from torchmist.synthetic.engines.functions import Functions
from torchmist.synthetic.engines.functions_columns import display, lay_out, repeats
from torchmist.synthetic.engines.functions_density import (
    joint_log_density,
    marginal_log_density,
    noise,
)
from torchmist.synthetic.engines.functions_shapes import SHAPES, draw_shapes, evaluate, latent

CHANNELS = ["plain", "spread", "branches", "label", "joint"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def neighbour_information(x: torch.Tensor, y: torch.Tensor, k: int = 4) -> float:
    """The first estimator of Kraskov, Stoegbauer and Grassberger of columns ``[N, d]``."""
    x, y = ((side.argsort(0).argsort(0) + 0.5).double() / len(side) for side in (x, y))
    dx, dy = torch.cdist(x, x, p=torch.inf), torch.cdist(y, y, p=torch.inf)
    radius = torch.maximum(dx, dy).kthvalue(k + 1, dim=1, keepdim=True).values
    counts = (d.lt(radius).sum(1).double() for d in (dx, dy))
    psi = torch.special.digamma
    each = psi(torch.tensor(float(k))) + psi(torch.tensor(float(len(x))))
    return (each - sum(psi(count) for count in counts).mean()).item()


@pytest.mark.parametrize("kind", [0, 1, 2])
@pytest.mark.parametrize("constant", [True, False])
def test_the_marginal_density_is_that_of_the_mixture(kind: int, constant: bool) -> None:
    points = 4000
    s = torch.linspace(-1, 1, points)
    centre = (3 * s).sin()[None, None, :, None]
    size = 0.1 * torch.ones_like(s) if constant else 0.1 * (1.2 * s).exp()
    scale = size[None, None, :, None]
    law = torch.full((1, 1, 1), float(kind))
    weight = torch.ones(1, 1, 1, 1)
    y = torch.linspace(-0.9, 0.9, points)[None, None]
    log_density = marginal_log_density(y, centre, scale, weight, law, constant)[0, 0, ::40]
    residual = (y[0, 0, ::40, None] - centre[0, 0, :, 0]) / size
    each = [
        (-residual.square() / 2).exp() / math.sqrt(2 * math.pi),
        (-math.sqrt(2) * residual.abs()).exp() / math.sqrt(2),
        (residual.abs() < math.sqrt(3)) / math.sqrt(12),
    ][kind]
    expected = (each / size).mean(-1).log()
    error = (log_density - expected).abs()
    assert error.mean() < 0.01 and error.max() < 0.2  # the edge of uniform noise is blurred


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_noise_has_unit_variance(kind: int) -> None:
    e = noise(torch.tensor(float(kind)), (torch.arange(100_000) + 0.5) / 100_000)
    assert abs(e.mean().item()) < 1e-3 and abs(e.var().item() - 1) < 2e-3


def test_the_joint_density_is_that_of_the_mixture() -> None:
    centre = torch.randn(2, 3, 50, generator=seeded())
    y = torch.randn(2, 3, 7, generator=seeded(1))
    scale = torch.tensor([0.3, 0.5, 1.0]).expand(2, 3)[..., None]
    residual = (y[..., None] - centre[:, :, None]) / scale[..., None]
    each = -residual.square() / 2 - scale[..., None].log() - 0.5 * math.log(2 * math.pi)
    expected = each.sum(1).logsumexp(-1) - math.log(50)
    torch.testing.assert_close(joint_log_density(y, centre, scale), expected)


def test_the_information_of_a_wave_is_that_of_an_integral() -> None:
    engine = Functions({"plain": 1.0})
    seed = next(
        seed
        for seed in range(500)
        if (p := engine.draw(4, 1, 1, generator=seeded(seed))).shapes.groups[0][2:]
        == ("uniform", "wave")
    )
    p = engine.draw(4, 1, 1, generator=seeded(seed))
    p = replace(p, kind=torch.zeros_like(p.kind), independent=torch.zeros(4).bool())
    mi, error = engine.information(p, generator=seeded())
    u = ((torch.arange(4000) + 0.5) / 4000).expand(4, 1, -1)[..., None]
    value = evaluate(p.shapes, latent(p.shapes, u))[0, 0].double()
    scale = p.scale[0, 0, 0].double()
    edge = torch.linspace(0, 1, 1001, dtype=torch.float64) * 2 - 1
    edge = edge * (value.abs().max() + 6 * scale)
    density = torch.special.ndtr((edge[:, None] - value) / scale).mean(1).diff() / edge.diff()
    entropy = (torch.special.entr(density) * edge.diff()).sum()
    expected = entropy - 0.5 * math.log(2 * math.pi * math.e) - scale.log()
    assert abs(mi[0].item() - expected.item()) < 0.01 + 3 * error[0].item()


@pytest.mark.parametrize("channel", ["plain", "spread", "branches", "joint"])
def test_samples_have_the_information_that_neighbours_find(channel: str) -> None:
    engine = Functions({channel: 1.0})
    found = []
    for seed in range(60):
        p = engine.draw(4, 1, 2 if channel == "joint" else 1, generator=seeded(seed))
        if p.channel != channel or any(p.extra) or p.swapped:
            continue
        x, y = engine.sample_from(p, 1500, generator=seeded(seed))
        mi, _ = engine.information(p, generator=seeded(seed))
        # neighbours resolve curves in two columns at low information only
        smooth = ~p.shapes.discrete & (mi < (1.0 if channel == "joint" else 2.5))
        found += [neighbour_information(x[i], y[i]) - mi[i].item() for i in range(4) if smooth[i]]
        if len(found) > 8:
            break
    error = torch.tensor(found)
    assert len(found) > 8
    assert error.median().abs() < 0.08


def test_labels_have_the_information_of_their_table() -> None:
    engine = Functions({"label": 1.0})
    for seed in range(16):
        p = engine.draw(4, 1, 1, generator=seeded(seed))
        if p.extra[0] or p.swapped:
            continue
        x, y = engine.sample_from(p, 100_000, generator=seeded(seed))
        mi, error = engine.information(p, generator=seeded(seed))
        for i in range(4):
            cell = (x[i, :, 0].argsort().argsort() * 400) // 100_000
            _, label = y[i, :, 0].unique(return_inverse=True)
            counts = torch.zeros(400, 12, dtype=torch.float64)
            counts.index_put_((cell, label), torch.ones(1).double(), accumulate=True)
            law = counts / counts.sum()
            entropy = torch.special.entr
            found = entropy(law.sum(0)).sum() + entropy(law.sum(1)).sum() - entropy(law).sum()
            assert abs(found.item() - mi[i].item()) < 0.06 + 0.05 * mi[i].item() + 3 * error[i]


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(("n", "dx", "dy"), [(8, 1, 1), (30, 3, 5), (20, 40, 2), (10, 300, 200)])
def test_samples_have_the_shapes_asked_for(channel: str, n: int, dx: int, dy: int) -> None:
    engine = Functions({channel: 1.0})
    for seed in range(2):
        batch = engine.sample(5, n, dx, dy, generator=seeded(seed))
        assert batch.x.shape == (5, n, dx) and batch.y.shape == (5, n, dy)
        assert batch.x.dtype == batch.y.dtype == torch.float32
        assert batch.x.isfinite().all() and batch.y.isfinite().all()
        assert (batch.mi >= 0).all() and (batch.error < 0.15).all()


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_information_does_not_depend_on_the_points_of_integration(channel: str) -> None:
    engine = Functions({channel: 1.0})
    p = engine.draw(16, 3, 3, generator=seeded(1))
    first, error = engine.information(p, generator=seeded(2))
    second, _ = engine.information(p, generator=seeded(3))
    assert first.dtype == error.dtype == torch.float64
    assert ((first - second).abs() < 0.01 + 5 * error).all()


def test_every_shape_is_drawn_and_has_deviation_one_or_less() -> None:
    seen = set()
    for seed in range(40):
        shapes = draw_shapes(8, 1, 3, False, generator=seeded(seed))
        u = torch.rand(8, 1, 4000, 3, generator=seeded(seed))
        value = evaluate(shapes, latent(shapes, u))
        assert (value.std(-1) < 1.3).all() and value.isfinite().all()
        seen |= {group[3] for group in shapes.groups}
    assert seen == set(SHAPES)


def test_displayed_columns_give_the_core_back() -> None:
    core = torch.rand(6, 400, 2, generator=seeded())
    shown = display(core, torch.zeros(6).bool(), 0, 1.0, generator=seeded(1))
    design = torch.cat((shown, torch.ones(6, 400, 1)), -1)
    fitted = design @ torch.linalg.lstsq(design, core).solution
    torch.testing.assert_close(fitted, core, atol=1e-4, rtol=0)


def test_discrete_cores_stay_tied_in_every_column() -> None:
    core = torch.randint(3, (4, 500, 2), generator=seeded()).float() - 1
    shown = display(core, torch.ones(4).bool(), 5, 1.0, generator=seeded(1))
    shown = torch.cat((shown, repeats(core, 4, generator=seeded(2))), -1)
    for dataset in shown:
        assert len(dataset.unique(dim=0)) == 9
        assert all(len(column.unique()) <= 9 for column in dataset.T)


def test_noise_columns_surround_the_core() -> None:
    core = torch.full((2, 9, 1), 7.0)
    wide = lay_out(core, 6, generator=seeded())
    assert wide.shape == (2, 9, 6)
    assert ((wide == 7).all(1).sum(-1) == 1).all()


def test_equal_generators_give_equal_batches_and_leave_the_global_state() -> None:
    state = torch.get_rng_state()
    for seed in range(6):
        first, second = (Functions().sample(5, 20, 4, 3, generator=seeded(seed)) for _ in range(2))
        assert torch.equal(first.x, second.x) and torch.equal(first.y, second.y)
        assert torch.equal(first.mi, second.mi)
    assert torch.equal(state, torch.get_rng_state())


def test_a_tenth_of_the_datasets_is_independent() -> None:
    batch = Functions({"label": 1.0}).sample(300, 10, 2, 1, generator=seeded())
    assert 12 < int((batch.error == 0).sum()) < 60


def test_an_unknown_channel_raises() -> None:
    with pytest.raises(ValueError, match="expected channels among"):
        Functions({"waves": 1.0})
