"""Samples and columns beyond the trained range: chunks, directions, and what they keep."""

from __future__ import annotations

import pytest
import torch

import torchmist
from torchmist.inference import large_samples
from torchmist.inference.large_samples import _deal, route
from torchmist.models.mist import MIST
from torchmist.numerics.ranked import Ranked


def draw(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def narrow(small: MIST) -> MIST:
    """A small network that was trained on 10 to 50 samples and 1 to 6 columns."""
    small.provenance = {"trained_range": {"n": [10, 50], "d": [1, 6]}}
    return small.requires_grad_(False)


def test_within_the_range_the_route_is_the_network(narrow: MIST) -> None:
    x, y = draw(50, 6), draw(50, 2, 1)
    assert torch.equal(route(x, y, narrow), narrow(x, y))


def test_parts_hold_every_sample_once_and_pairs_stay_together() -> None:
    x = torch.arange(23.0).view(1, 23, 1)
    a, b, present = _deal(x, -x, None, 4)
    assert a.shape == (4, 6, 1) and present is not None and present.sum().item() == 23
    assert torch.equal(a[present].flatten().sort().values, x.flatten())
    assert torch.equal(a, -b)


def test_chunks_are_averaged(narrow: MIST) -> None:
    x, y = draw(100, 3), draw(100, 2, 1)
    a, b, present = _deal(x, y, None, 2)
    assert present is None
    torch.testing.assert_close(route(x, y, narrow), narrow(a, b).mean(0, keepdim=True))


def test_many_chunks_pass_a_few_at_a_time(narrow: MIST, monkeypatch) -> None:
    x, y, passed = draw(400, 3), draw(400, 2, 1), []
    whole = route(x, y, narrow)
    narrow.register_forward_pre_hook(lambda _, inputs: passed.append(inputs[0].shape[:2]))
    monkeypatch.setattr(large_samples, "_SAMPLES", 160)
    torch.testing.assert_close(route(x, y, narrow), whole)
    assert passed == [(3, 50), (3, 50), (2, 50)]


def test_of_wide_sides_with_few_rows_what_says_less_counts(narrow: MIST) -> None:
    passed: list[tuple[int, ...]] = []
    x, y = draw(102, 20), draw(102, 2, 1)
    each = [route(x, y, narrow, folds=folds) for folds in (2, 8)]
    narrow.register_forward_pre_hook(lambda _, inputs: passed.append(tuple(inputs[0].shape)))
    assert torch.equal(route(x, y, narrow), torch.minimum(*each))
    route(draw(170, 20), draw(170, 2, 1), narrow)
    assert passed == [(3, 34, 6), (3, 34, 6), (4, 43, 6)]


def test_known_ranks_change_nothing(narrow: MIST) -> None:
    x, y = draw(100, 3), draw(100, 2, 1).round()
    ranked = Ranked.of(x), Ranked.of(y)
    assert torch.equal(route(x, y, narrow, None, ranked), route(x, y, narrow))


def test_masked_samples_take_no_route(narrow: MIST) -> None:
    x, y, mask = draw(120, 3), draw(120, 2, 1), torch.arange(120)[None] < 40
    expected = narrow(x[:, :40], y[:, :40])
    torch.testing.assert_close(route(x, y, narrow, mask), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n, dx, dy", [(120, 3, 2), (131, 3, 2), (40, 30, 2), (75, 20, 64)])
def test_routes_keep_the_symmetries(narrow: MIST, n: int, dx: int, dy: int) -> None:
    x, y = draw(n, dx), draw(n, dy, 1)
    y[..., 0] += 2 * x[..., 0]
    value = route(x, y, narrow)
    rows, columns = torch.randperm(n), torch.randperm(dx)
    changed = (-x[:, rows][..., columns]).exp(), y[:, rows]
    torch.testing.assert_close(route(*changed, narrow), value, atol=3e-3, rtol=0)
    torch.testing.assert_close(route(y, x, narrow), value, atol=3e-3, rtol=0)


def test_masked_samples_do_not_count_on_directions(narrow: MIST) -> None:
    x, y = draw(48, 20), draw(48, 2, 1)
    far = torch.cat([x, 9 + draw(16, 20, 2)], 1), torch.cat([y, draw(16, 2, 3)], 1)
    value, other = (
        route(far[0] * k, far[1], narrow, torch.arange(64)[None] < 48) for k in (1.0, 3.0)
    )
    torch.testing.assert_close(value, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize("n", [4, 7, 8, 15, 33])
def test_tiny_and_constant_wide_samples_are_finite(narrow: MIST, n: int) -> None:
    for x in (draw(n, 40), torch.zeros(1, n, 40)):
        z = x.clone().requires_grad_()
        value = route(z, draw(n, 2, 1), narrow).mean()
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(z.grad).all()


def test_gradient_reaches_all_wide_columns_that_matter(narrow: MIST) -> None:
    z = draw(64, 20).requires_grad_()
    torchmist.mist_mi(z, z.detach()[..., :2] + draw(64, 2, 1), model=narrow).backward()
    assert torch.isfinite(z.grad).all() and (z.grad.abs().sum(1) > 0).all()


@pytest.mark.skipif(torch.__version__ < (2, 5), reason="torch.compile of its functions needs 2.5")
@pytest.mark.parametrize("n, dx", [(64, 20)])
def test_routes_compile_without_graph_breaks(narrow: MIST, n: int, dx: int) -> None:
    x, y = draw(n, dx)[0], draw(n, 2, 1)[0]
    step = lambda a, b: torchmist.mist_mi(a, b, model=narrow)  # noqa: E731
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    torch._dynamo.reset()
    torch.testing.assert_close(compiled(x, y), step(x, y), atol=1e-4, rtol=1e-4)


def test_routes_under_vmap_equal_a_loop(narrow: MIST) -> None:
    term = lambda a, b: torchmist.mist_mi(a, b, model=narrow)  # noqa: E731
    for n, d in ((100, 3), (64, 12)):
        x, y = (
            torch.cat([draw(n, d, s) for s in (1, 2)]),
            torch.cat([draw(n, 2, s) for s in (3, 4)]),
        )
        loop = torch.stack([term(a, b) for a, b in zip(x, y)])
        torch.testing.assert_close(torch.func.vmap(term)(x, y), loop, atol=1e-3, rtol=1e-3)


def test_wide_gaussians_are_found_and_not_invented() -> None:
    """Four canonical pairs of 0.5 nats in the leading directions of 128 columns; then none."""
    x, y = draw(512, 128), draw(512, 128, 1)
    rho = (1 - torch.tensor(-1.0).exp()).sqrt()
    y[..., :4] = rho * x[..., :4] + (1 - rho**2).sqrt() * y[..., :4]
    turn = torch.linalg.qr(draw(128, 128, 2)[0]).Q * torch.arange(1, 129)[:, None] ** -0.5
    network = torchmist.load_pretrained()
    found = route(x @ turn, y @ turn, network)[0]
    assert found[1] < 2.0 < found[-2] and 1.3 < found.median() < 2.6
    nothing = route(x @ turn, draw(512, 128, 3), network)  # with some doubt: a long upper tail
    assert nothing.mean() < 0.3 and nothing.median() < 0.2


@pytest.mark.parametrize(
    "n, dx, match", [(60, 3, "estimated in chunks of that size"), (40, 9, "at most 6 directions")]
)
def test_the_route_is_said(narrow: MIST, n: int, dx: int, match: str) -> None:
    with pytest.warns(UserWarning, match=match):
        r = torchmist.estimate(draw(n, dx)[0], draw(n, 2, 1)[0], model=narrow)
    assert len(r.warnings) == 1 and match in r.warnings[0]


def test_more_classes_than_columns_of_the_training(narrow: MIST) -> None:
    label = torch.arange(90) % 30
    z = draw(90, 3)[0].requires_grad_()
    value = torchmist.mist_mi(z, label, model=narrow)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(z.grad).all()
    assert torchmist.estimate(z, label, model=narrow).quantile(0.99) <= torch.tensor(30.0).log()
