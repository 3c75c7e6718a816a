"""Linear information of many columns: against the closed form, and what must not change it."""

from __future__ import annotations

import pytest
import torch

from torchmist.ensemble.duo import DuoMIST
from torchmist.models.directions import see_through
from torchmist.models.linear import linear_information
from torchmist.synthetic.engines import ENGINES
from torchmist.weights import load_pretrained


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shared(x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    return linear_information(x, y, mask, see_through(x, y, mask))


def test_dependence_of_any_rank_is_found_where_the_sample_bears_it() -> None:
    made = ENGINES["spread"].sample(12, 2_000, 150, 100, generator=generator())
    error = (shared(made.x, made.y)[:, 0] - made.mi).abs()
    assert error.median() < 0.12 and (error < 0.3 + 0.1 * made.mi).all()


def test_independent_columns_read_about_nothing_where_they_outnumber_the_rows() -> None:
    x, y = (torch.randn(8, 200, d, generator=generator(d)) for d in (300, 90))
    assert shared(x, y).mean().abs() < 0.2


@pytest.mark.parametrize(("n", "rare"), [(400, 1), (400, 3), (2000, 5)])
def test_columns_that_leave_their_value_in_the_same_few_rows_do_not_share_all(
    n: int, rare: int
) -> None:
    x, y = (torch.randn(4, n, 20, generator=generator(k)) for k in range(2))
    for side in (x, y):
        side[..., 0] = (torch.arange(n) < rare).float()
    assert shared(x, y).abs().max() < 0.5  # one pair of columns alike had 9 nats


def test_the_order_of_samples_and_columns_and_the_sides_do_not_count() -> None:
    made = ENGINES["spectra"].sample(2, 300, 90, 20, generator=generator(2))
    rows, columns = (torch.randperm(k, generator=generator(k)) for k in (300, 90))
    one = shared(made.x, made.y)
    other = shared(made.y[:, rows], made.x[:, rows][..., columns])
    torch.testing.assert_close(one, other, atol=2e-3, rtol=1e-3)


def test_padding_changes_nothing() -> None:
    made = ENGINES["spectra"].sample(2, 400, 80, 10, generator=generator(3))
    filled = [torch.cat([side, torch.full_like(side[:, :50], 7.0)], 1) for side in (made.x, made.y)]
    mask = (torch.arange(450) < 400).expand(2, -1)
    torch.testing.assert_close(shared(*filled, mask), shared(made.x, made.y), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("dx", [80, 300])
def test_the_gradient_is_finite_also_with_constant_and_repeated_columns(dx: int) -> None:
    x = torch.randn(1, 400, dx, generator=generator(4))
    x[..., 0], x[..., 1] = 3.0, x[..., 2]
    x.requires_grad_()
    value = shared(x, x[..., 5:9].detach() + torch.randn(1, 400, 4, generator=generator(5)))
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.any()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_precision_gives_single_precision(dtype: torch.dtype) -> None:
    made = ENGINES["spectra"].sample(2, 400, 80, 10, generator=generator(6))
    x, y = (side.to(torch.bfloat16) for side in (made.x, made.y))
    found = shared(x.to(dtype), y.to(dtype))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, shared(x.float(), y.float()), atol=1e-3, rtol=1e-3)


def test_few_columns_share_what_their_correlations_say() -> None:
    made = ENGINES["spread"].sample(12, 4_000, 10, 3, generator=generator(7))
    found = linear_information(made.x, made.y, None, None)[:, 0]
    torch.testing.assert_close(found, made.mi, atol=0.05, rtol=0.1)


def test_the_evidence_of_few_columns_has_it_where_there_are_enough_rows() -> None:
    duo = load_pretrained("mist")
    assert isinstance(duo, DuoMIST)
    made = ENGINES["steep"].sample(2, 60, 10, 3, generator=generator(8))
    known = linear_information(made.x, made.y, None, None)
    mask = torch.arange(60) < torch.tensor([[60], [39]])  # of which 40 are enough
    evidence = duo.ask(made.x, made.y, mask)
    torch.testing.assert_close(evidence.linear[0], known[0], atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(evidence.linear[1], evidence.plain[1].median()[None])
