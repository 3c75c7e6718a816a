"""Code written against the CLUB repository runs after a change of the import."""

from __future__ import annotations

import pytest
import torch

import torchmist
from torchmist import club

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", club.__all__)
def test_the_usual_loop_of_that_repository(small, name) -> None:
    estimator = getattr(club, name)(3, 2, 16, model=small)
    optimizer = torch.optim.Adam(estimator.parameters(), 1e-3)
    encoder = torch.nn.Linear(3, 3)
    for _ in range(2):
        estimator.train()
        loss = estimator.learning_loss(encoder(X).detach(), Y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        estimator.eval()
        value = estimator(encoder(X), Y)
        value.backward()
    torch.testing.assert_close(value, torchmist.mist_mi(encoder(X), Y, model=small))
    torch.testing.assert_close(estimator.mi_est(encoder(X), Y), value)
    assert encoder.weight.grad.abs().sum() > 0


def test_other_columns_than_announced_are_an_error(small) -> None:
    with pytest.raises(ValueError, match="expected 3 columns in x_samples"):
        club.CLUB(3, 2, 16, model=small)(Y, Y)
