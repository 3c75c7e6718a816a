"""The width of intervals: how quantiles are stretched, and that the estimate stays."""

from __future__ import annotations

import torch

from torchmist.ensemble.interval_width import IntervalWidth


def each(members: int = 3, batch: int = 5, quantiles: int = 24) -> torch.Tensor:
    steps = torch.rand(members, batch, quantiles, generator=torch.Generator().manual_seed(0))
    return steps.cumsum(-1) - 5


def learned() -> IntervalWidth:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        doubt = IntervalWidth()
        for p in doubt.parameters():
            p.data.add_(torch.randn_like(p))
    return doubt.requires_grad_(False)


def test_nothing_changes_before_anything_is_learned() -> None:
    t = each()
    torch.testing.assert_close(IntervalWidth()(t), t.mean(0))


def test_quantiles_increase_and_their_mean_in_nats_stays() -> None:
    t = each()
    out = learned()(t)
    assert (out.diff(dim=-1) >= 0).all() and not torch.allclose(out, t.mean(0), atol=0.1)
    torch.testing.assert_close(out.exp().mean(-1), t.mean(0).exp().mean(-1))


def test_both_sides_are_stretched_by_factors_of_their_own() -> None:
    t = each()
    doubt = learned()
    factors = doubt.stretch(t)
    before, after = (q.diff(dim=-1) for q in (t.mean(0), doubt(t)))
    torch.testing.assert_close(after[:, :11], factors[:, :1] * before[:, :11], atol=1e-4, rtol=0)
    torch.testing.assert_close(after[:, 12:], factors[:, 1:] * before[:, 12:], atol=1e-4, rtol=0)
    assert not torch.allclose(factors[:, 0], factors[:, 1])


def test_factors_are_bounded_whatever_the_members_say() -> None:
    for scale in (0.0, 1.0, 1e6):
        factors = learned().stretch(scale * each())
        assert torch.isfinite(factors).all() and (factors <= 7.39).all()
