"""How many dimensions sides are of: few where columns are functions of few numbers."""

from __future__ import annotations

import pytest
import torch
from padded_datasets import assert_padding_changes_nothing

from torchmist.models.manifold_dimensions import (
    ManifoldDimensions,
    manifold_dimensions,
    measured,
)


def _normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _products(z: torch.Tensor) -> torch.Tensor:
    one, other = torch.triu_indices(z.shape[-1], z.shape[-1])
    return z[..., one] * z[..., other]


def _whole(found: ManifoldDimensions) -> torch.Tensor:
    return torch.cat(found, -1)


@pytest.mark.parametrize(("n", "latent"), [(200, 4), (300, 8), (1000, 6)])
def test_products_of_few_numbers_are_of_as_many_dimensions(n: int, latent: int) -> None:
    x, y = (_products(_normal(2, n, latent, seed=k)) for k in range(2))
    found = manifold_dimensions(x, y)
    assert (found.most < 0.65).all() and (found.least <= found.most).all()
    assert (found.dimension < 1.5 * latent).all() and (found.dimension > 0.7 * latent).all()


def test_layers_and_powers_are_curved_and_one_side_alone_is_not_most() -> None:
    z, other = _normal(1, 500, 3), _normal(1, 500, 12, seed=1)
    layer = torch.relu(z @ _normal(3, 24, seed=2) + _normal(24, seed=3))
    assert float(manifold_dimensions(layer, _products(z)).most) < 0.7
    found = manifold_dimensions(layer, other)
    assert float(found.most) > 0.9 and float(found.least) < 0.5


@pytest.mark.parametrize("d", [3, 12, 40])
def test_normal_columns_of_any_covariance_are_of_their_number(d: int) -> None:
    x = _normal(4, 400, d) @ _normal(d, d, seed=1)
    y = x @ _normal(d, d, seed=2) + _normal(4, 400, d, seed=3)
    found = manifold_dimensions(x, y)
    assert ((found.most - 1).abs() < 0.12).all() and ((found.least - 1).abs() < 0.12).all()


@pytest.mark.parametrize(
    ("rows", "columns", "sought"),
    [(64, (3, 3), True), (63, (3, 3), False), (100, (2, 9), False), (128, (64, 3), True),
     (127, (64, 3), False), (5000, (65, 9), False)],
)  # fmt: skip
def test_they_are_sought_within_sizes(rows: int, columns: tuple[int, int], sought: bool) -> None:
    assert measured(rows, columns) == sought
    x, y = (_normal(1, rows, d, seed=k) for k, d in enumerate(columns))
    assert bool(_whole(manifold_dimensions(x, y)).any()) == sought


def test_the_order_of_rows_columns_and_sides_and_bends_do_not_matter() -> None:
    x, y = _products(_normal(1, 900, 4)), _normal(1, 900, 6, seed=1)
    expected = _whole(manifold_dimensions(x, y))
    rows = torch.randperm(900, generator=torch.Generator().manual_seed(0))
    columns = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    for other in (
        manifold_dimensions(y, x),
        manifold_dimensions(x[:, rows], y[:, rows]),
        manifold_dimensions(x[..., columns], -y),
        manifold_dimensions(x, y**3 + y),
    ):
        torch.testing.assert_close(_whole(other), expected, atol=1e-3, rtol=1e-3)


def test_padding_and_other_datasets_change_nothing() -> None:
    x, y = _products(_normal(1, 300, 4)), _normal(1, 300, 6, seed=1)
    assert_padding_changes_nothing(lambda *sides: _whole(manifold_dimensions(*sides)), x, y)


def test_of_grades_copies_and_constant_sides_no_dimension_is_told() -> None:
    x, y = _normal(1, 400, 4), _normal(1, 400, 6, seed=1)
    for tied in (x.mul(1.2).round(), x[:, :100].repeat(1, 4, 1), torch.ones(1, 400, 4)):
        assert not _whole(manifold_dimensions(tied, y)).any()
        assert not _whole(manifold_dimensions(y, tied)).any()
    few = torch.cat([x[:, :5], x[:, :395]], 1)
    found = _whole(manifold_dimensions(few, y))
    assert found.isfinite().all() and 0.7 < float(found[0, 0]) < 1.2
