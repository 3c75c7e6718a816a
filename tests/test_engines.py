"""Every engine of the meta-distribution: what all of them promise."""

from __future__ import annotations

import pytest
import torch

from torchmist.synthetic.batch import Batch
from torchmist.synthetic.engines import ENGINES, Family

SIZES = [(1, 1), (2, 1), (1, 7), (5, 3), (40, 40), (100, 2)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=sorted(ENGINES))
def family(request) -> Family:
    return ENGINES[request.param]


def draw(family: Family, dx: int, dy: int, seed: int = 0, batch: int = 5, n: int = 30) -> Batch:
    return family.sample(batch, n, dx, dy, generator=generator(seed))


def test_names_are_those_of_the_registry() -> None:
    assert {name: family.name for name, family in ENGINES.items()} == {k: k for k in ENGINES}


@pytest.mark.parametrize(("dx", "dy"), SIZES)
def test_shapes_dtypes_and_device_and_all_is_finite(family, dx, dy) -> None:
    made = draw(family, dx, dy)
    assert made.x.shape == (5, 30, dx) and made.y.shape == (5, 30, dy)
    assert made.mi.shape == made.error.shape == (5,)
    for value in (made.x, made.y, made.mi, made.error):
        assert value.dtype == torch.float32 and value.device.type == "cpu"
        assert torch.isfinite(value).all()
    assert (made.mi >= 0).all() and (made.error >= 0).all()


@pytest.mark.parametrize("n", [1, 8, 300])
def test_any_number_of_rows(family, n) -> None:
    made = draw(family, 3, 2, n=n)
    assert made.x.shape == (5, n, 3) and torch.isfinite(made.x).all()


def test_everything_depends_on_the_generator_alone(family) -> None:
    state = torch.random.get_rng_state()
    first, again, other = draw(family, 3, 2), draw(family, 3, 2), draw(family, 3, 2, seed=1)
    assert (torch.random.get_rng_state() == state).all()
    for name in ("x", "y", "mi", "error"):
        assert (getattr(first, name) == getattr(again, name)).all()
    assert not (first.x == other.x).all() and not (first.mi == other.mi).all()


def test_rows_are_independent_of_their_place(family) -> None:
    """Of each column, neither means of both halves nor neighbouring rows tell of the place."""
    checked = 0
    for made in (draw(family, d, d, batch=40, n=1024) for d in (2, 7)):
        for side in (made.x.double(), made.y.double()):
            ranks = side.argsort(1).argsort(1).double()
            unit = (ranks - ranks.mean(1, keepdim=True)) / ranks.std(1, keepdim=True)
            halves = unit[:, :512].mean(1) - unit[:, 512:].mean(1)
            following = (unit[:, :-1] * unit[:, 1:]).mean(1)
            varied = side.std(1) > 0.01 * side.abs().amax(1)
            few = side.sort(1).values.diff(dim=1).eq(0).double().mean(1) > 0.01
            assert ((halves * 16)[varied & ~few].abs() < 5).all()
            assert ((following * 32)[varied & ~few].abs() < 5).all()
            checked += int((varied & ~few).sum())
    assert checked > 20


def test_what_is_drawn_has_both_little_and_much_to_share(family) -> None:
    columns = (4, 3) if family.name == "teachers" else (3, 2)  # two classes share log 2 at most
    made = draw(family, *columns, batch=200, n=8)
    assert made.mi.max() > 0.8 and made.mi.std() > 0.15
    assert (made.mi < 60).all()


def test_the_order_of_sides_is_fair(family) -> None:
    """Both sides of one column have about the same share of labels and of continuous values."""
    made = draw(family, 1, 1, batch=200, n=64)
    for side in (made.x, made.y):
        assert (side.std(1) > 0).double().mean() > 0.95


@pytest.mark.parametrize("name", ["batch", "n", "dx", "dy"])
@pytest.mark.parametrize("size", [0, -1, 2.0, True])
def test_sizes_that_are_no_positive_integers_are_refused(family, name, size) -> None:
    sizes = {"batch": 2, "n": 10, "dx": 2, "dy": 2, name: size}
    with pytest.raises(ValueError, match=f"expected {name} to be an integer >= 1, got {size!r}"):
        family.sample(**sizes, generator=generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_all_lives_on_the_device_of_the_generator(family) -> None:
    made = family.sample(5, 30, 3, 2, generator=torch.Generator("cuda").manual_seed(0))
    for value in (made.x, made.y, made.mi, made.error):
        assert value.device.type == "cuda" and torch.isfinite(value).all()
