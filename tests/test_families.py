"""Every family that a recipe can name: what all of them promise."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.engines import ENGINES
from torchmist.synthetic.general import GeneralMeta
from torchmist.synthetic.general.papers import PaperPairs
from torchmist.synthetic.general.strong import StrongMeta
from torchmist.synthetic.paper import PaperMeta
from torchmist.synthetic.registry import FAMILIES, Registered, Sampler


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=FAMILIES)
def family(request) -> Registered:
    return FAMILIES[request.param]


@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (1, 7), (5, 3)])
def test_shapes_and_dtypes_and_all_is_finite(family, dx, dy) -> None:
    made = family.sample(6, 20, dx, dy, generator=generator())
    assert made.x.shape == (6, 20, dx) and made.y.shape == (6, 20, dy)
    assert made.mi.shape == made.error.shape == made.family.shape == (6,)
    for value in (made.x, made.y, made.mi, made.error):
        assert value.dtype == torch.float32 and torch.isfinite(value).all()
    assert (made.mi >= 0).all()


def test_everything_depends_on_the_generator_alone(family) -> None:
    state = torch.random.get_rng_state()
    first, again, other = (family.sample(6, 20, 3, 2, generator=generator(s)) for s in (0, 0, 1))
    assert (torch.random.get_rng_state() == state).all()
    for name in ("x", "y", "mi", "error"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert not (first.x == other.x).all()


@pytest.mark.parametrize("sizes", [(0, 20, 3, 2), (6, -1, 3, 2), (6, 20, 2.0, 2), (6, 20, 3, 0)])
def test_sizes_that_are_no_positive_integers_are_refused(family, sizes) -> None:
    with pytest.raises(ValueError, match="to be an integer >= 1"):
        family.sample(*sizes, generator=generator())


def test_families_draw_what_their_samplers_draw() -> None:
    """Seeds of data and of validation name their draws for good."""
    kinds = {"gaussian": 0.6, "factors": 0.2, "student": 0.2}
    samplers = {
        "general": GeneralMeta(), "gaussian": GeneralMeta(kinds, warped=0.0), **ENGINES,
        "strong": StrongMeta(), "papers": PaperPairs(),
    }  # fmt: skip
    assert list(FAMILIES) == list(samplers)
    for name, sampler in samplers.items():
        made = FAMILIES[name].sample(6, 12, 2, 3, generator=generator(4))
        direct = sampler.sample(6, 12, 2, 3, generator=generator(4))
        assert torch.equal(made.x, direct.x) and torch.equal(made.mi, direct.mi)


def test_moved_pairs_share_a_side_and_differ_in_information() -> None:
    able = [family for family in FAMILIES.values() if family.moved is not None]
    for family in able:
        before, after = family.sample_moved(6, 20, 5, 3, generator=generator())
        for made in (before, after):
            assert made.x.shape == (6, 20, 5) and torch.isfinite(made.x).all()
            assert torch.isfinite(made.mi).all() and (made.mi >= 0).all()
        assert torch.equal(before.y, after.y) and not torch.equal(before.x, after.x)
        assert not torch.equal(before.mi, after.mi)
    assert able


def test_a_family_without_moved_pairs_says_so() -> None:
    with pytest.raises(ValueError, match="expected a family with moved pairs"):
        FAMILIES["copies"].sample_moved(6, 20, 5, 3, generator=generator())


def test_the_papers_families_follow_the_same_protocol() -> None:
    paper: Sampler = PaperMeta()
    made = paper.sample(6, 20, 3, 3, generator=generator())
    assert torch.equal(made.x, PaperMeta().sample(6, 20, 3, generator=generator()).x)
    with pytest.raises(ValueError, match="as many columns on both sides, got 3 and 2"):
        paper.sample(6, 20, 3, 2, generator=generator())


def test_families_that_are_made_for_many_columns_have_them() -> None:
    for name, family in FAMILIES.items():
        if family.wide:
            made = family.sample(2, 32, 300, 5, generator=generator())
            assert made.x.shape == (2, 32, 300) and torch.isfinite(made.x).all(), name
