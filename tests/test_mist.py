"""The network: what must never change the estimate, and what holds by construction."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchmist.copula import rank_transform
from torchmist.models.channels import group_slice, pair_channels
from torchmist.models.gaussian import gaussian_bias, ridge_factor
from torchmist.models.layers import MultiheadAttentionBlock
from torchmist.models.losses import pinball_loss, quantile_loss
from torchmist.models.mist import MIST, MISTConfig
from torchmist.models.statistics import Features, sample_statistics
from torchmist.quantile_head import from_nats, quantile_levels, to_nats

CLOSE = {"atol": 2e-5, "rtol": 2e-5}


def evaluate(model: MIST, x: torch.Tensor, y: torch.Tensor, mask=None) -> torch.Tensor:
    with torch.no_grad():
        return model(x, y, mask)


def test_order_of_samples(small, pair) -> None:
    x, y = pair
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    out = evaluate(small, x[:, order], y[:, order])
    torch.testing.assert_close(out, evaluate(small, x, y), **CLOSE)


def test_order_of_columns(small, pair) -> None:
    x, y = pair
    out = evaluate(small, x[..., [3, 1, 0, 4, 2]], y[..., [6, 0, 2, 1, 5, 4, 3]])
    torch.testing.assert_close(out, evaluate(small, x, y), **CLOSE)


def test_swapping_sides(small, pair) -> None:
    x, y = pair
    torch.testing.assert_close(evaluate(small, y, x), evaluate(small, x, y), **CLOSE)


def test_monotone_maps_of_single_columns(small, pair) -> None:
    x, y = pair
    warped_x = torch.cat([-x[..., :2].exp(), x[..., 2:] * 1e4 + 7], -1)
    warped_y = torch.cat([y[..., :3] ** 3, -y[..., 3:]], -1)
    torch.testing.assert_close(evaluate(small, warped_x, warped_y), evaluate(small, x, y), **CLOSE)


def test_padding_and_batching(small, pair) -> None:
    x, y = pair
    whole = evaluate(small, x, y)
    torch.testing.assert_close(evaluate(small, x[1:2], y[1:2]), whole[1:2], **CLOSE)
    mask = torch.ones(3, 50, dtype=torch.bool)
    mask[:, 40:] = False
    mask[2, 25:] = False
    junk = torch.full((3, 10, 1), 9e9)
    padded = evaluate(
        small, torch.cat([x, junk.expand(-1, -1, 5)], 1), torch.cat([y, junk.expand(-1, -1, 7)], 1),
        mask,
    )  # fmt: skip
    torch.testing.assert_close(padded[:2], whole[:2], **CLOSE)
    torch.testing.assert_close(padded[2:], evaluate(small, x[2:, :25], y[2:, :25]), **CLOSE)
    alone = evaluate(small, x[2:], y[2:], mask[2:, :40])
    torch.testing.assert_close(alone, padded[2:], **CLOSE)


def test_the_estimate_does_depend_on_the_pairing(small, pair) -> None:
    x, y = pair
    shuffled = evaluate(small, x, y.flip(1))
    assert (shuffled - evaluate(small, x, y)).abs().max() > 1e-3


@pytest.mark.parametrize(("n", "dx", "dy"), [(4, 1, 1), (4, 64, 64), (5, 1, 64), (100, 3, 1)])
def test_any_size_gives_finite_increasing_quantiles_and_gradients(small, n, dx, dy) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(2, n, dx, generator=generator, requires_grad=True)
    y = torch.randn(2, n, dy, generator=generator, requires_grad=True)
    out = small(x, y)
    assert out.shape == (2, 12) and torch.isfinite(out).all()
    assert (out[:, 1:] >= out[:, :-1]).all()
    out.mean().backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(y.grad).all()


@pytest.mark.parametrize(("batch", "n", "dx", "dy"), [(1, 2100, 9, 9), (20, 2100, 9, 9)])
def test_large_samples_are_estimated_alike_with_and_without_gradients(
    small, batch, n, dx, dy
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, n, dx, generator=generator)
    y = torch.randn(batch, n, dy, generator=generator) + x
    torch.testing.assert_close(evaluate(small, x, y), small(x, y).detach(), **CLOSE)


def test_degenerate_columns_are_finite(small) -> None:
    x = torch.randn(1, 30, 3, generator=torch.Generator().manual_seed(0))
    x[..., 1] = 5.0
    x[..., 2] = x[..., 0]
    x.requires_grad_()
    out = small(x, x.detach())
    out.sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(x.grad).all()


def test_train_and_eval_agree_and_nothing_drops_out(small, pair) -> None:
    assert not [m for m in small.modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
    assert not [m for m in small.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    torch.testing.assert_close(evaluate(small.train(), *pair), evaluate(small.eval(), *pair))


def test_lookup_equals_direct_evaluation_with_its_gradient(small, pair) -> None:
    x, y = pair
    zx, zy = (rank_transform(v).scores.mT.requires_grad_() for v in (x, y))
    torch.testing.assert_close(small.from_scores(zx, zy), evaluate(small, x, y), **CLOSE)
    ranks = rank_transform(torch.cat([x, y], -1))
    counts = torch.tensor([40])
    scores = ranks.scores.clone().requires_grad_()
    weight = torch.randn(6, 3, 12, 40, generator=torch.Generator().manual_seed(0))
    looked = small.basis(scores, ranks.codes, counts)
    (by_lookup,) = torch.autograd.grad((looked * weight).sum(), scores)
    direct = small.basis.at(scores, counts)
    (by_formula,) = torch.autograd.grad((direct * weight).sum(), scores)
    torch.testing.assert_close(looked, direct, **CLOSE)
    torch.testing.assert_close(by_lookup, by_formula, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("queries", [3, 9])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_set_attention_is_that_of_torch(queries, shared, masked) -> None:
    """Fewer queries than keys or more, one set of queries for all datasets or one for each."""
    generator = torch.Generator().manual_seed(0)
    block = MultiheadAttentionBlock(8, 2).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    x = torch.randn(1 if shared else 2, queries, 8, generator=generator, dtype=torch.float64)
    y = torch.randn(2, 6, 8, generator=generator, dtype=torch.float64)
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2]) if masked else None
    q = block.query(block.query_norm(x)).unflatten(-1, (2, 4)).transpose(1, 2).expand(2, -1, -1, -1)
    k, v = block.key_value(block.set_norm(y)).unflatten(-1, (2, 2, 4)).permute(2, 0, 3, 1, 4)
    allowed = None if mask is None else mask[:, None, None]
    read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    expected = x + block.out(read.transpose(1, 2).flatten(2))
    expected = expected + block.feed(block.feed_norm(expected))
    torch.testing.assert_close(block(x, y, mask), expected)


def test_batches_of_fewer_samples_than_inducing_points() -> None:
    model = MIST(MISTConfig(feature_width=16, sample_width=16, heads=2, head_width=32)).eval()
    x, y = torch.randn(2, 3, 6, 2, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([evaluate(model, x[i : i + 1], y[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(evaluate(model, x, y), alone, **CLOSE)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_network_itself_runs_under_autocast(small, pair, dtype) -> None:
    with torch.autocast("cpu", dtype):
        out = small(*pair)
        torch.testing.assert_close(evaluate(small, *pair), out.detach(), atol=0.05, rtol=0.05)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, small(*pair), atol=0.05, rtol=0.05)
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in small.parameters())


def test_gradcheck_of_the_smooth_part(small) -> None:
    model = small.double()
    generator = torch.Generator().manual_seed(3)
    shapes = ((1, 9, 2), (1, 9, 1))
    zx, zy = (
        torch.randn(s, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes
    )
    torch.autograd.gradcheck(model.from_scores, (zx, zy), atol=1e-5, rtol=1e-3, eps=1e-6)


def test_basis_functions_are_odd_and_even(small) -> None:
    z = torch.linspace(-2, 2, 9)[None, None]
    values = small.basis.at(torch.cat([z, -z], 1), torch.tensor([9]))
    torch.testing.assert_close(values[:3, :, 0], -values[:3, :, 1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(values[3:, :, 0], values[3:, :, 1], atol=1e-5, rtol=1e-5)


def test_ridge_factor_against_dense_algebra() -> None:
    x = torch.randn(3, 50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    correlation = torch.stack([torch.corrcoef(v.T) for v in x])
    factor = ridge_factor(correlation, (0.1, 1.0), inverses=2)
    for i, r in enumerate((0.1, 1.0)):
        dense = (correlation + r * torch.eye(4, dtype=torch.float64)) / (1 + r)
        torch.testing.assert_close(factor.half_logdet[i], 0.5 * torch.logdet(dense))
        torch.testing.assert_close(factor.precision[i], dense.inverse())


def test_gaussian_bias_is_the_mean_plug_in_of_independent_data() -> None:
    x = torch.randn(20_000, 30, 5, generator=torch.Generator().manual_seed(0))
    x = x - x.mean(1, keepdim=True)
    covariance = x.mT @ x
    logdet = torch.logdet
    plug_in = 0.5 * (
        logdet(covariance[:, :2, :2]) + logdet(covariance[:, 2:, 2:]) - logdet(covariance)
    )
    expected = gaussian_bias(torch.tensor([30.0]), 2, 3)
    assert abs(plug_in.mean() - expected.item()) < 0.004


def test_nats_round_trip_and_levels() -> None:
    mi = torch.tensor([0.0, 0.1, 5.0, 100.0])
    torch.testing.assert_close(to_nats(from_nats(mi)), mi, atol=1e-5, rtol=1e-5)
    assert quantile_levels(4).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_pinball_loss_is_least_at_the_quantile() -> None:
    target = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor([0.2])
    losses = [pinball_loss(torch.full((4000, 1), q), target, levels) for q in (-1.5, -0.84, 0.0)]
    assert losses[1] < losses[0] and losses[1] < losses[2]


def test_quantile_loss_is_finite_at_the_edges() -> None:
    quantiles = torch.tensor([[-0.2, 0.0, 600.0]], requires_grad=True)
    loss = quantile_loss(to_nats(from_nats(quantiles.clamp(min=-0.199))), torch.zeros(1),
                         quantile_levels(3))  # fmt: skip
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(quantiles.grad).all()


def test_config_round_trip_and_errors() -> None:
    config = MISTConfig(odd=5)
    assert MISTConfig.from_dict(config.to_dict()) == config
    with pytest.raises(TypeError, match="unknown MISTConfig keys"):
        MISTConfig.from_dict({"width": 3})
    with pytest.raises(ValueError, match="heads must be a positive int"):
        MISTConfig(heads=0)
    with pytest.raises(ValueError, match="radial must be True or False"):
        MISTConfig(radial=2)
    with pytest.raises(ValueError, match="multiple of heads"):
        MISTConfig(feature_width=97)
    with pytest.raises(ValueError, match="paired must be less"):
        MISTConfig(paired=4)
    with pytest.raises(ValueError, match="pair_width must be a multiple of 4"):
        MISTConfig(pair_width=6)


def test_radial_statistics_see_what_a_rotation_by_the_radius_hides() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4000, 2, generator=generator)
    angle = x.square().sum(-1)
    a, b = x.unbind(-1)
    y = 0.9 * (angle.cos() * a - angle.sin() * b) + 0.4 * torch.randn(1, 4000, generator=generator)

    def between(y: torch.Tensor) -> torch.Tensor:
        z = rank_transform(torch.cat([x, y[..., None]], -1)).scores
        features = Features.of(torch.zeros(4, 1, 3, 4000), 2, 1)
        return sample_statistics(z, features, 2, radial=True).pairs[:, 0, :2, 2].T

    hidden, none = between(y), between(y.flip(1))
    assert hidden[:, 0].max() < 0.15  # the correlation is all but gone
    surprise = group_slice(pair_channels(2, 2, 1, radial=True), "radial surprise")
    assert hidden[:, surprise].max() > 1.2 and none[:, surprise].max() < 0.7
