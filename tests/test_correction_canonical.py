"""A network that knows canonical laws alone counts where an answer leaves room for it."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from arbiter_draws import assert_learned, draws, fitted_parent, heir_of
from conftest import SMALL

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction import Correction
from torchmist.ensemble.correction_canonical import CanonicalCorrection
from torchmist.ensemble.duo import DuoMIST
from torchmist.ensemble.evidence import Evidence
from torchmist.models.mist import MIST
from torchmist.quantile_head import from_nats, to_nats
from torchmist.weights import load_pretrained, save_weights

NAMES = ("mist-v1", "mist-v2-preview", "mist-paper-v1")


@pytest.fixture(scope="module")
def parent() -> Arbiter:
    return fitted_parent(CORRECTIONS.index("recognised"))


@pytest.fixture(scope="module")
def duo() -> DuoMIST:
    """Three untrained networks and an arbiter that asks the third, away from where they start."""
    plain = dataclasses.replace(SMALL, quantiles=24)
    local = dataclasses.replace(plain, local=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2, recognised=True)
        out = DuoMIST(MIST(plain), MIST(local), arbiter, NAMES, MIST(plain)).eval()
        with torch.no_grad():
            for p in out.parameters():
                p.add_(0.05 * torch.randn_like(p))
    return out.requires_grad_(False)


def _known(data: Data, nats: torch.Tensor, rows: float = 200.0, columns: int = 3) -> Data:
    """The draws, of which the network says ``nats`` ``[B]``."""
    sizes = torch.tensor([rows, columns, columns]).expand(len(nats), -1)
    return {**data, "recognised": nats[:, None].expand(-1, 24), "sizes": sizes}


def test_it_counts_as_far_as_the_answer_leaves_room(parent: Arbiter) -> None:
    data, arbiter = draws(300), heir_of(parent)
    silent = torch.zeros(300)
    t = parent.each(evidence_of(_known(data, silent, 20.0))).mean(0)
    middle, high = t.mean(-1), t[:, -2]
    for reach, heard in ((0.0, True), (2.9, True), (3.1, False)):
        nats = (middle + reach * (high - middle)).exp() - 0.2
        evidence = evidence_of(_known(data, nats, 20.0))
        assert (arbiter.says_more(evidence) == heard).all()
        assert torch.equal(arbiter(evidence), parent(evidence)) != heard


@pytest.mark.parametrize(
    ("linear", "said", "rows", "heard"),
    [(1.0, 1.3, 400.0, False), (1.0, 1.1, 400.0, True), (0.5, 1.3, 400.0, True),
     (1.0, 1.3, 20.0, True)],
)  # fmt: skip
def test_a_plain_gaussian_sample_has_what_its_columns_share_linearly(
    linear: float, said: float, rows: float, heard: bool
) -> None:
    answer = from_nats(torch.full((20, 24), 1.0)) + torch.linspace(-0.3, 0.3, 24)
    data = {
        **_known(draws(20), torch.full((20,), said), rows),
        "linear": torch.full((20, 1), linear),
    }
    found = CanonicalCorrection(2, 24).candidates(evidence_of(data), answer)
    assert (found.isnan() != heard).all()


@pytest.mark.parametrize(
    ("rows", "columns", "heard"),
    [(640, 3, True), (641, 3, False), (200, 1, False), (200, 2, True), (200, 32, True),
     (200, 33, False)],
)  # fmt: skip
def test_it_counts_within_the_sizes_that_it_knows(rows: int, columns: int, heard: bool) -> None:
    part, answer = CanonicalCorrection(2, 24), from_nats(torch.full((20, 24), 2.0))
    answer = answer + torch.linspace(-0.3, 0.3, 24)
    data = _known(draws(20), torch.full((20,), 2.1), float(rows), columns)
    assert (part.candidates(evidence_of(data), answer).isnan() != heard).all()
    assert part.reads((rows, rows), (columns, columns)) == heard
    assert not part.reads((rows, rows), (columns, columns + 1))
    x = torch.randn(3, rows, columns)
    assert (CanonicalCorrection.may_say_more(x, x) == heard).all()
    assert not CanonicalCorrection.may_say_more(x, x[..., 1:]).any()


def test_variates_that_repeat_each_other_rule_the_laws_out() -> None:
    part, answer = CanonicalCorrection(2, 24), from_nats(torch.full((20, 24), 2.0))
    answer = answer + torch.linspace(-0.3, 0.3, 24)
    data = _known(draws(20), torch.full((20,), 2.1))
    for shared, heard in ((1.0, True), (1.05, True), (1.2, False)):
        repeated = torch.tensor([shared, 1.0, 0.9, 4.0, 2.0]).expand(20, -1)
        found = part.candidates(evidence_of({**data, "repeated": repeated}), answer)
        assert (found.isnan() != heard).all()


def test_columns_that_are_functions_of_one_angle_are_left_to_others() -> None:
    generator = torch.Generator().manual_seed(500)
    angle = 2 * torch.pi * torch.rand(500, 1, generator=generator)
    other = angle + 0.3 * torch.randn(500, 1, generator=generator)
    x, y = (torch.cat([a.cos(), a.sin(), (2 * a).cos(), (2 * a).sin()], -1) for a in (angle, other))
    answers = [load_pretrained(name)(x[None], y[None]) for name in ("mist-duo-v16", "mist-duo-v18")]
    assert torch.equal(*answers)


def test_what_it_says_is_learned_and_all_else_stays(parent: Arbiter) -> None:
    data = draws()
    data["mi"] = data["mi"].clamp(min=0) + 0.2
    assert_learned(parent, _known(data, data["mi"]), share=0.7, epochs=10)


def test_an_arbiter_and_its_expert_belong_together(duo: DuoMIST) -> None:
    assert duo.expert is not None
    with pytest.raises(ValueError, match="expected an expert where the arbiter reads one"):
        DuoMIST(duo.plain, duo.local, duo.arbiter, NAMES)
    with pytest.raises(ValueError, match="and none elsewhere, got MIST"):
        DuoMIST(duo.plain, duo.local, Arbiter(16, members=2), NAMES, duo.expert)


def test_a_file_names_the_expert_as_well(duo: DuoMIST, tmp_path) -> None:
    path = tmp_path / "duo.safetensors"
    save_weights(duo, path, provenance={}, evaluation={})
    loaded = load_pretrained(path)
    assert isinstance(loaded, DuoMIST) and loaded.names == NAMES
    known = load_pretrained("mist-paper-v1").state_dict()
    assert loaded.expert is not None
    assert all(torch.equal(v, known[k]) for k, v in loaded.expert.state_dict().items())
    fewer = DuoMIST(duo.plain, duo.local, duo.arbiter, NAMES[:2], duo.expert)
    save_weights(fewer, path, provenance={}, evaluation={})
    with pytest.raises(ValueError, match="expected 3 parents in the header"):
        load_pretrained(path)


def test_the_expert_is_asked_of_few_rows_alone_and_of_those_that_a_mask_shows(duo) -> None:
    x = torch.randn(2, 641, 3, generator=torch.Generator().manual_seed(0))
    y = x + torch.randn(2, 641, 3, generator=torch.Generator().manual_seed(1))
    assert not duo.ask(x, y).recognised.any()
    shown = torch.arange(641).expand(2, -1) < torch.tensor([[60], [641]])
    recognised = duo.ask(x, y, shown).recognised
    torch.testing.assert_close(recognised[:1], duo.expert(x[:1, :60], y[:1, :60]))
    short = duo(x[:1, :60], y[:1, :60])
    torch.testing.assert_close(duo(x, y, shown)[:1], short, atol=1e-4, rtol=1e-4)
    assert not duo.ask(x[..., :1], y[..., :1]).recognised.any()


def test_what_it_says_has_a_gradient(duo: DuoMIST) -> None:
    x = torch.randn(1, 60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x + torch.randn(1, 60, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(duo.ask(x, y).recognised.sum(), x)
    assert gradient.isfinite().all() and gradient.abs().sum() > 0


def test_of_classes_that_overlap_the_answer_stays_between_itself_and_what_the_laws_say() -> None:
    generator = torch.Generator().manual_seed(501)
    means = [0.9 * torch.randn(20, 8, generator=generator) for _ in range(2)]
    place = torch.randint(20, (300,), generator=generator)
    x, y = (m[place] + torch.randn(300, 8, generator=generator) for m in means)
    duo = load_pretrained("mist")
    assert isinstance(duo, DuoMIST) and duo.arbiter.recognising is not None
    evidence = duo.ask(x[None], y[None])
    answers: dict[Correction, float] = {}

    def note(part: Correction, evidence: Evidence, answer: torch.Tensor) -> Evidence:
        answers[part] = float(to_nats(answer).mean())
        return evidence

    duo.arbiter(evidence, note)
    ends = sorted([answers[duo.arbiter.recognising], float(evidence.recognised.median())])
    found = answers[duo.arbiter.turning]
    assert ends[0] - 0.1 < found < ends[1] + 0.1
    assert float(duo(x[None], y[None]).mean()) < 2  # the truth is about 1; it read 6
