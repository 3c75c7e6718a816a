"""Many classes change an answer where they say more and rows left out bear it out."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from arbiter_draws import assert_goes_on, assert_learned, draws, fitted_parent
from conftest import SMALL

import torchmist.ensemble.duo
from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of, rows_of
from torchmist.ensemble.correction_latent_classes import LatentClassCorrection
from torchmist.ensemble.duo import DuoMIST
from torchmist.models.latent_classes import class_information
from torchmist.models.mist import MIST
from torchmist.quantile_head import from_nats


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("crowded"))


def _crowded(
    data: Data, said: torch.Tensor, known: float = 0.8, bound: float = 0.8, gain: float = 1.0
) -> Data:
    """The draws, of which classes say as much on average of all rows, and ``known`` of it of those
    left out."""
    parts = [known * said, (2 - known) * said, bound * said, torch.full_like(said, gain)]
    return {**data, "crowded": torch.stack([*parts, torch.full_like(said, 20.0)], -1)}


def test_classes_count_where_they_say_more_than_the_answer(parent: Arbiter) -> None:
    data = draws(300)
    answer = parent(evidence_of(data)).mean(-1)
    data, answer = rows_of(data, answer < 5), answer[answer < 5]
    much = 1.2 * answer.clamp(min=0) + 0.2
    silent = (
        data,
        _crowded(data, answer.clamp(max=0.0)),
        _crowded(data, much, known=0.2),
        _crowded(data, much, bound=0.2),
        _crowded(data, much, gain=0.04),
    )
    more = _crowded(data, much)
    assert_goes_on(parent, silent, more, more["crowded"][:, 2])


def test_its_candidates_are_the_mean_what_rows_left_out_say_and_the_bound() -> None:
    part, answer = LatentClassCorrection(2, 24), from_nats(torch.full((20, 24), 1.0))
    found = part.candidates(
        evidence_of(_crowded(draws(20), torch.full((20,), 2.0), bound=0.7)), answer
    )
    torch.testing.assert_close(found, from_nats(torch.tensor([2.0, 1.6, 1.4])).expand(20, -1))


@pytest.mark.parametrize(
    ("rows", "columns", "read"),
    [(128, (4, 16), True), (127, (4, 4), False), (500, (3, 20), False), (512, (64, 64), True),
     (511, (64, 64), False), (5000, (8, 65), False)],
)  # fmt: skip
def test_it_is_asked_within_its_sizes(rows: int, columns: tuple[int, int], read: bool) -> None:
    assert LatentClassCorrection(2, 24).reads((100, rows), columns) == read


def test_what_classes_say_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data = rows_of(data, parent(evidence_of(data)).mean(-1) < 0.8 * data["mi"] - 0.1)
    assert_learned(parent, _crowded(data, data["mi"]), share=0.6, epochs=10)


@pytest.fixture(scope="module")
def duo() -> DuoMIST:
    """Untrained networks and an arbiter that reads classes, away from where they start."""
    plain = dataclasses.replace(SMALL, quantiles=24)
    local = dataclasses.replace(plain, local=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2, crowded=True)
        out = DuoMIST(MIST(plain), MIST(local), arbiter, ("mist-v1", "mist-v2-preview")).eval()
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return out.requires_grad_(False)


def _classes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(1)
    label = torch.randint(10, (1, n), generator=g)
    means = torch.randn(2, 10, 8, generator=g)
    x, y = (m[label] + torch.randn(1, n, 8, generator=g) for m in means)
    return x, y


def test_classes_are_sought_unless_much_more_is_known(
    duo: DuoMIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = _classes(600)
    whole = duo.ask(x, y)
    assert whole.crowded.all()
    assert torch.equal(duo(x, y), duo.arbiter(whole))
    monkeypatch.setattr(
        torchmist.ensemble.duo,
        "class_information",
        lambda *sides, known: class_information(*sides, known=lambda: 50 + known()),
    )
    left = duo.arbiter(whole._replace(crowded=torch.zeros_like(whole.crowded)))
    assert torch.equal(duo(x, y), left) and not torch.equal(left, duo.arbiter(whole))


def test_masked_rows_and_casts_do_not_count(duo: DuoMIST) -> None:
    x, y = _classes(600)
    g = torch.Generator().manual_seed(4)
    longer = [torch.cat([v, torch.randn(1, 40, 8, generator=g)], 1) for v in (x, y)]
    mask = torch.arange(640)[None] < 600
    torch.testing.assert_close(duo(*longer, mask), duo(x, y), atol=1e-3, rtol=1e-3)
    found = duo.ask(x, y).crowded
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(duo.ask(x, y).crowded, found)


def test_what_it_says_has_a_gradient(duo: DuoMIST) -> None:
    x, y = _classes(600)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(duo.ask(x, y).crowded.sum(), x)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0
