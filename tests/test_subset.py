"""Which samples are queried and referred to, and the frame of whitened columns."""

from __future__ import annotations

import pytest
import torch

from torchmist.models.local import subset, whitened


@pytest.mark.parametrize("n", [300, 1500, 2500])
def test_no_sample_is_its_own_reference_and_all_queries_and_references_differ(n) -> None:
    scores = torch.randn(2, 3, n, generator=torch.Generator().manual_seed(n))
    chosen = subset(scores)
    samples = torch.arange(n).expand(2, 1, n)
    asked = chosen.at_queries(samples)[:, 0]
    referred = chosen.at_references(asked[..., None])[..., 0]
    assert asked.shape == (2, min(n, 2048)) and referred.shape == (2, min(n, 1024))
    for places in (asked, referred):
        assert all(len(row.unique()) == len(row) for row in places)
    same = asked[:, :, None] == referred[:, None]
    assert (chosen.own.expand_as(same) == same).all()
    assert (chosen.others == min(n, 1024) - 1).all()


def test_queries_and_references_do_not_depend_on_the_order_of_samples() -> None:
    scores = torch.randn(1, 3, 2500, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(2500, generator=torch.Generator().manual_seed(1))
    first, second = subset(scores), subset(scores[..., order])
    assert (first.at_queries(scores) == second.at_queries(scores[..., order])).all()


def test_whitened_columns_are_uncorrelated_and_their_distances_free_of_order() -> None:
    x = torch.randn(1, 400, 3, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.layer_norm((x + x.sum(-1, keepdim=True)).mT, (400,))
    count = torch.tensor(400.0)
    white = whitened(x, count)
    covariance = white @ white.mT / 400
    eigenvalues = torch.linalg.eigvalsh(x @ x.mT / 400)
    shrunk = eigenvalues * 1.03 / (eigenvalues + 0.03)
    torch.testing.assert_close(torch.linalg.eigvalsh(covariance), shrunk.sort().values)
    other = whitened(x.flip(1), count)
    apart = [(v[:, :, :, None] - v[:, :, None]).square().sum(1) for v in (other, white)]
    torch.testing.assert_close(*apart, atol=1e-4, rtol=1e-4)
