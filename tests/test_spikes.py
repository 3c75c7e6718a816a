"""Spikes: the information by sums and quadrature over every value, and what the columns show."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Binomial, NegativeBinomial, Normal, Poisson

from torchmist.synthetic.engines import spikes
from torchmist.synthetic.engines.mixture_information import (
    table_label_information,
    views_information,
)
from torchmist.synthetic.engines.spikes import Numbers, SpikeParameters, Spikes
from torchmist.synthetic.engines.spikes_counts import Counts

FAMILY = Spikes()
MOST = 1_000  # values of a count that sums go over


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(dx: int, dy: int, seeds: int = 20, batch: int = 4) -> list[SpikeParameters]:
    return [FAMILY.draw(batch, dx, dy, generator=generator(seed)) for seed in range(seeds)]


def counts_of(rates: list[list[float]], events: int, **changes: object) -> Counts:
    """Counts of one dataset, of items whose rates are given."""
    one = torch.ones(1, 1, 1)
    fields = {
        "trials": one, "shape": None, "kept": None, "scale": 0 * one,
        "order": torch.arange(len(rates[0])), **changes,
    }  # fmt: skip
    return Counts(torch.tensor([rates]), events, **fields)  # type: ignore[arg-type]


def law(counts: Counts, b: int, column: int, most: int = MOST) -> Tensor:
    """Chances ``[M, V]`` of the values 0 to ``most - 1`` of one column before it is shown."""
    rate = counts.rates[b, :, column, None].double()
    values = torch.arange(most).double()
    if column >= counts.events:
        trials = int(counts.trials[b])
        inside = torch.arange(trials + 1).double()
        chance = torch.zeros(len(rate), most, dtype=torch.float64)
        chance[:, : trials + 1] = Binomial(trials, rate).log_prob(inside).exp()
    elif counts.shape is None:
        chance = Poisson(rate).log_prob(values).exp()
    else:
        shape = counts.shape[b].double()
        chance = NegativeBinomial(shape, rate / (rate + shape)).log_prob(values).exp()
    kept = 1.0 if counts.kept is None else counts.kept[b].item()
    return kept * chance + (1 - kept) * (values == 0)


def shared(joint: Tensor) -> float:
    """Information in nats of a table of any chances."""
    p = joint.double() / joint.sum()
    entropies = [-torch.xlogy(q, q).sum() for q in (p.sum(0), p.sum(1), p)]
    return (entropies[0] + entropies[1] - entropies[2]).item()


def summed(p: SpikeParameters, b: int) -> float:
    """The information of a dataset of one column a side, from its law on every value."""
    items = p.x.rates.shape[1]
    x = law(p.x, b, 0)
    if isinstance(p.y, Counts):
        y = law(p.y, b, 0)
    elif isinstance(p.y, Numbers):
        means, scale = p.y.means[b].double(), p.y.scale[b].double()
        low, high = (means - 8 * scale).min(), (means + 8 * scale).max()
        steps = int(((high - low) / (scale.min() / 8)).clamp(max=60_000)) + 1
        grid = torch.linspace(low.item(), high.item(), steps, dtype=torch.float64)
        y = Normal(means, scale).log_prob(grid).exp()
    elif p.table is not None:
        y = torch.eye(p.table.shape[2], dtype=torch.float64)
    else:
        y = torch.nn.functional.one_hot(p.labels[b], p.classes).double()
    weights = torch.eye(items).double() / items if p.table is None else p.table[b].double()
    return shared(x.mT @ weights @ y)


def test_the_information_is_the_sum_over_all_values(monkeypatch) -> None:
    monkeypatch.setattr(spikes, "_DRAWS", 3_000)
    seen = set()
    for seed, p in enumerate(drawn(1, 1)):
        mi, error = FAMILY.information(p, generator=generator(seed))
        for b in range(4):
            truth = 0.0 if p.independent[b] else summed(p, b)
            assert mi[b].item() == pytest.approx(truth, abs=4.5 * error[b].item() + 5e-4)
        seen.add((type(p.y), p.table is None))
        seen.add((p.x.events, p.x.shape is None, p.x.kept is None))
    assert len(seen) >= 8


def test_a_binary_column_and_a_label_share_what_their_table_says() -> None:
    table = torch.tensor([[[0.3, 0.1], [0.15, 0.45]]])
    chance = torch.tensor([0.8, 0.25])
    x = counts_of([[0.8], [0.25]], 0)
    mi, error = table_label_information(x.view(), table, draws=20_000, generator=generator())
    seen = torch.stack([chance @ table[0], (1 - chance) @ table[0]])
    assert mi.item() == pytest.approx(shared(seen), abs=4 * error.item())
    assert error.item() < 2e-3


@pytest.mark.parametrize("kept", [None, 0.6])
@pytest.mark.parametrize("shape", [None, 1.5])
def test_columns_of_all_kinds_share_the_sum_over_all_their_values(kept, shape) -> None:
    one = torch.ones(1, 1, 1)
    changes = {"kept": kept and kept * one, "shape": shape and shape * one, "trials": 2 * one}
    rates = [[2.0, 0.3, 0.1], [0.1, 0.5, 0.7], [1.0, 0.9, 0.2], [0.5, 0.2, 0.9]]
    x = counts_of(rates, 1, **changes)
    y = counts_of([[0.1, 0.6], [0.8, 0.3], [0.4, 0.9], [0.2, 0.1]], 0, **changes)
    sides = []
    for side, most in ((x, 40), (y, 3)):
        joint = torch.ones(4, 1, dtype=torch.float64)
        for column in range(side.rates.shape[-1]):
            one_column = law(side, 0, column, most)
            joint = (joint[:, :, None] * one_column[:, None]).flatten(1)
        sides.append(joint)
    mi, error = views_information(x.view(), y.view(), draws=20_000, generator=generator())
    assert mi.item() == pytest.approx(shared(sides[0].mT @ sides[1]), abs=4 * error.item())
    assert error.item() < 4e-3


def test_columns_have_the_laws_that_their_parameters_say() -> None:
    for seed, p in enumerate(drawn(1, 1, 12)):
        x, y = FAMILY.sample_from(p, 20_000, generator=generator(seed))
        seen = y if p.swapped else x
        for b in range(4):
            scale = int(p.x.scale[b])
            counts = seen[b, :, 0].expm1() if scale == 1 else seen[b, :, 0] ** (1 + (scale == 2))
            found = torch.bincount(counts.round().long(), minlength=MOST)[:MOST] / 20_000
            items = p.x.rates.shape[1]
            weights = torch.ones(items) / items if p.table is None else p.table[b].sum(-1)
            expected = weights.double() @ law(p.x, b, 0)
            noise = (expected * (1 - expected) / 20_000).sqrt()
            assert ((found - expected).abs() < 4.5 * noise + 3e-4).all()


def test_columns_are_shuffled_with_their_rates() -> None:
    for seed, p in enumerate(drawn(9, 2, 6)):
        x, y = FAMILY.sample_from(p, 40_000, generator=generator(seed))
        seen = y if p.swapped else x
        assert p.x.order.sort().values.equal(torch.arange(seen.shape[-1]))
        for b in (p.x.scale.flatten() == 0).nonzero().flatten().tolist():
            items = p.x.rates.shape[1]
            weights = torch.ones(items) / items if p.table is None else p.table[b].sum(-1)
            rate = p.x.rates[b].clone()
            rate[:, p.x.events :] *= p.x.trials[b]
            rate *= 1 if p.x.kept is None else p.x.kept[b]
            expected = (weights @ rate)[p.x.order]
            spread = seen[b].std(0) / 200
            assert ((seen[b].mean(0) - expected).abs() < 4.5 * spread + 1e-3).all()


def test_independent_datasets_share_nothing_and_are_a_tenth() -> None:
    count = 0
    for seed, p in enumerate(drawn(1, 1, 12, batch=40)):
        mi, error = FAMILY.information(p, generator=generator(seed))
        assert not mi[p.independent].any() and not error[p.independent].any()
        x, y = (v[..., 0].double() for v in FAMILY.sample_from(p, 2_000, generator=generator(seed)))
        x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
        tied = (x * y).mean(1) / (x.std(1) * y.std(1)).clamp(min=1e-9)
        assert (tied[p.independent].abs() * math.sqrt(2_000) < 5).all()
        count += int(p.independent.sum())
    assert 0.05 < count / 480 < 0.16


def test_wide_sides_are_counts_and_labels_are_narrow() -> None:
    made = FAMILY.draw(2, 1024, 1024, generator=generator())
    assert isinstance(made.y, Counts)
    for dx, dy in ((200, 3), (3, 200)):
        kinds = set()
        for seed in range(20):
            p = FAMILY.draw(2, dx, dy, generator=generator(seed))
            kinds.add(type(p.y))
            if not isinstance(p.y, Counts):
                assert p.x.rates.shape[-1] == 200
        assert len(kinds) == 3
