"""Shares are those of a softmax, without numbers that processors are slow with."""

from __future__ import annotations

import torch

from torchmist.numerics.shares import normal_softmax


def test_shares_are_those_of_a_softmax_and_normal_numbers() -> None:
    logits = 60 * torch.randn(50, 40, generator=torch.Generator().manual_seed(0))
    for dim in (0, 1):
        found, expected = normal_softmax(logits.clone(), dim), logits.softmax(dim)
        torch.testing.assert_close(found, expected, atol=1e-24, rtol=1e-6)
        assert ((found == 0) | (found >= torch.finfo(torch.float32).tiny)).all()
        assert ((0 < expected) & (expected < torch.finfo(torch.float32).tiny)).any()


def test_gradients_are_those_of_a_softmax() -> None:
    g = torch.Generator().manual_seed(1)
    logits = (30 * torch.randn(5, 8, generator=g)).requires_grad_()
    weight = torch.randn(5, 8, generator=g)
    found, expected = (
        torch.autograd.grad((share * weight).sum(), logits)[0]
        for share in (normal_softmax(logits.clone(), -1), logits.softmax(-1))
    )
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-5)
