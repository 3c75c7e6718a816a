"""Many classes: the information against sums over a table, and how many there are."""

from __future__ import annotations

import torch

from torchmist.synthetic.engines.classes import Classes

FAMILY = Classes()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_labels_are_as_many_as_their_columns() -> None:
    seen = 0
    for seed in range(20):
        p = FAMILY.draw(4, 8, 100, generator=generator(seed))
        x, y = FAMILY.sample_from(p, 50, generator=generator(seed))
        assert x.shape == (4, 50, 8) and y.shape == (4, 50, 100)
        if p.law.y is None:
            seen += 1
            assert not p.swapped and p.law.table.shape[-1] == 100
            assert (y.sum(-1) == 1).all()
    assert seen > 8


def test_sides_of_few_columns_have_up_to_hundreds_of_clusters() -> None:
    counts = [FAMILY.draw(2, 3, 5, generator=generator(k)).law.table.shape[1] for k in range(60)]
    assert min(counts) >= 16 and 128 < max(counts) <= 256


def test_information_is_that_of_the_posterior_of_the_classes() -> None:
    """``H(L) - H(L | x)`` with the posterior by Bayes' rule, on draws of its own."""
    for seed in range(12):
        p = FAMILY.draw(3, 6, 40, generator=generator(seed))
        law = p.law
        if law.y is not None:
            continue
        mi, error = FAMILY.information(p, generator=generator(1))
        g = generator(2)
        weights = law.table.double()
        drawn = torch.multinomial(weights.sum(-1), 4_000, replacement=True, generator=g)
        index = drawn[..., None].expand(-1, -1, law.x.means.shape[-1])
        scale = law.x.scale.expand_as(law.x.means)
        noise = torch.randn(index.shape, generator=g)
        z = law.x.means.gather(1, index) + scale.gather(1, index) * noise
        apart = (z[:, :, None] - law.x.means[:, None]) / scale[:, None]
        log = -0.5 * apart.double().square().sum(-1) - scale[:, None].double().log().sum(-1)
        joint = (log - log.amax(-1, keepdim=True)).exp() @ weights
        posterior = joint / joint.sum(-1, keepdim=True)
        marginal = weights.sum(1)
        entropy = -torch.xlogy(marginal, marginal).sum(-1)
        known = entropy + torch.xlogy(posterior, posterior).sum(-1).mean(-1)
        known = torch.where(law.independent, 0.0, known)
        assert ((mi - known).abs() < 5 * error + 0.06).all()
        return
    raise AssertionError("no labels were drawn")
