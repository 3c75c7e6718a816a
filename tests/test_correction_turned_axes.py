"""Where columns exclude each other, the arbiter's members are asked of turned axes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of
from conftest import SMALL

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_turned_axes import TurnedAxesCorrection, excluding
from torchmist.ensemble.duo import DuoMIST
from torchmist.models.mist import MIST
from torchmist.models.turned_axes import EXCLUDE
from torchmist.quantile_head import from_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("turned"))


@pytest.fixture(scope="module")
def duo() -> DuoMIST:
    """Untrained networks and an arbiter that asks them of turned axes, away from where they
    start."""
    plain = dataclasses.replace(SMALL, quantiles=24)
    local = dataclasses.replace(plain, local=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2, turned=True)
        out = DuoMIST(MIST(plain), MIST(local), arbiter, ("mist-v1", "mist-v2-preview")).eval()
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return out.requires_grad_(False)


def classes(n: int, seed: int) -> torch.Tensor:
    """Noisy codes of five classes, a column for each, ``[1, N, 5]``."""
    g = torch.Generator().manual_seed(seed)
    label = torch.randint(5, (1, n), generator=g)
    return torch.eye(5)[label] + 0.1 * torch.randn(1, n, 5, generator=g)


def _turned(data: Data, nats: torch.Tensor, exclusion: float) -> Data:
    """The draws, of whose turned axes ``nats`` ``[B]`` are said."""
    beside = torch.tensor([exclusion, 0.0]).expand(len(nats), -1)
    return {**data, "turned": torch.cat([beside, nats[:, None].expand(-1, 3 + 24)], -1)}


@pytest.mark.parametrize(("exclusion", "heard"), [(0.0, False), (0.39, False), (0.41, True)])
def test_turned_axes_count_where_columns_exclude_each_other(
    parent: Arbiter, exclusion: float, heard: bool
) -> None:
    data, arbiter = draws(100), heir_of(parent)
    evidence = evidence_of(_turned(data, torch.full((100,), 3.0), exclusion))
    assert (arbiter.says_more(evidence) == heard).all()
    assert torch.equal(arbiter(evidence), parent(evidence)) != heard


def test_its_candidates_are_the_answer_and_the_neighbours_of_turned_axes() -> None:
    part, answer = TurnedAxesCorrection(2, 24), from_nats(torch.full((20, 24), 2.0))
    data = _turned(draws(20), torch.full((20,), 1.5), 0.9)
    data["turned"][:, 2] = 0.7
    found = part.candidates(evidence_of(data), answer)
    torch.testing.assert_close(found, from_nats(torch.tensor([1.5, 0.7])).expand(20, -1))


@pytest.mark.parametrize(
    ("rows", "columns", "read"),
    [(64, (1, 3), True), (63, (3, 3), False), (500, (2, 2), False), (500, (64, 64), True),
     (500, (2, 65), False)],
)  # fmt: skip
def test_it_is_asked_within_its_sizes(rows: int, columns: tuple[int, int], read: bool) -> None:
    assert TurnedAxesCorrection(2, 24).reads((rows, rows), columns) == read
    g = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2, rows, d, generator=g) for d in columns)
    assert excluding(x, y).shape == (2, 2)
    if not read:
        assert not excluding(x, y).any()


def test_what_it_says_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    assert_learned(parent, _turned(data, data["mi"], 0.8), share=0.7, epochs=10)


def test_members_are_asked_of_those_datasets_alone_and_as_of_any_other(duo: DuoMIST) -> None:
    g = torch.Generator().manual_seed(9)
    x = torch.cat([classes(200, 0), torch.randn(1, 200, 5, generator=g)])
    y = torch.cat([classes(200, 1), torch.randn(1, 200, 5, generator=g)])
    found = duo.ask(x, y).turned
    assert found[0, 0] > EXCLUDE > found[1, 0] and not found[1, 2:].any()
    alone = duo.ask(x[:1], y[:1]).turned
    torch.testing.assert_close(found[:1], alone, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(duo(y, x), duo(x, y), atol=1e-4, rtol=1e-4)
    order = torch.randperm(200, generator=g)
    torch.testing.assert_close(duo(x[:, order], y[:, order]), duo(x, y), atol=1e-3, rtol=1e-3)


def test_masked_rows_do_not_count(duo: DuoMIST) -> None:
    x, y = classes(120, 2), classes(120, 3)
    g = torch.Generator().manual_seed(4)
    longer = [torch.cat([v, torch.randn(1, 40, 5, generator=g)], 1) for v in (x, y)]
    mask = torch.arange(160)[None] < 120
    torch.testing.assert_close(duo(*longer, mask), duo(x, y), atol=1e-3, rtol=1e-3)
    few = torch.arange(160)[None] < 60
    assert not duo.ask(*longer, few).turned.any()


def test_what_it_says_has_a_gradient(duo: DuoMIST) -> None:
    x = classes(80, 4).requires_grad_()
    (gradient,) = torch.autograd.grad(duo.ask(x, classes(80, 5)).turned.sum(), x)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
