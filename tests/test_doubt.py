"""Doubt: how quantiles are stretched about their median."""

from __future__ import annotations

import torch

from torchmist.doubt import Doubt


def each(members: int = 3, batch: int = 5, quantiles: int = 24) -> torch.Tensor:
    steps = torch.rand(members, batch, quantiles, generator=torch.Generator().manual_seed(0))
    return steps.cumsum(-1) - 5


def learned() -> Doubt:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        doubt = Doubt()
        for p in doubt.parameters():
            p.data.add_(torch.randn_like(p))
    return doubt.requires_grad_(False)


def middle(t: torch.Tensor) -> torch.Tensor:
    return (t[..., 11] + t[..., 12]) / 2


def test_nothing_changes_before_anything_is_learned() -> None:
    t = each()
    torch.testing.assert_close(Doubt()(t), t.mean(0))


def test_no_quantile_crosses_the_median_and_they_increase() -> None:
    t = each()
    out, centre = learned()(t), middle(t.mean(0))[:, None]
    assert (out[:, :12] <= centre).all() and (out[:, 12:] >= centre).all()
    assert (out.diff(dim=-1) >= 0).all()


def test_both_sides_are_stretched_by_factors_of_their_own() -> None:
    t = each()
    doubt = learned()
    factors, mean = doubt.stretch(t), t.mean(0)
    before, after = (q - middle(mean)[:, None] for q in (mean, doubt(t)))
    torch.testing.assert_close(after[:, :11], factors[:, :1] * before[:, :11])
    torch.testing.assert_close(after[:, 13:], factors[:, 1:] * before[:, 13:])
    assert not torch.allclose(factors[:, 0], factors[:, 1])


def test_factors_are_bounded_whatever_the_members_say() -> None:
    for scale in (0.0, 1.0, 1e6):
        factors = learned().stretch(scale * each())
        assert torch.isfinite(factors).all() and (factors <= 7.39).all()
