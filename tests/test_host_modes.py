"""Modes of the host program: default devices, default dtypes, inference mode, first calls."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

import torchmist
from torchmist import functional
from torchmist.models import pair_network
from torchmist.numerics.own_thread import apart

X = torch.randn(150, 3, generator=torch.Generator().manual_seed(0))
Y = X[:, :2] + torch.randn(150, 2, generator=torch.Generator().manual_seed(1))
LABEL = (X[:, 0] > 0).long()


@pytest.fixture(autouse=True)
def unread() -> Iterator[None]:
    """Weights are read anew, as in the first call of a program."""
    kept = dict(functional._loaded)
    functional._loaded.clear()
    pair_network._kept.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    functional._loaded.update(kept)


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _moved(**options: object) -> Tensor:
    """The gradient in a code of a term, by a module and by a function alike."""
    z = X.clone().requires_grad_()
    (1.0 * torchmist.mist_mi(2.0 * z, Y)).backward()
    torchmist.MIRegularizer(**options)(2.0 * z, Y).backward()  # type: ignore[arg-type]
    assert z.grad is not None and z.grad.isfinite().all()
    return z.grad


FRONT_DOORS: dict[str, Callable[[], object]] = {
    "estimate": lambda: torchmist.estimate(X, Y).mean,
    "estimate of arrays": lambda: torchmist.estimate(X.numpy(), Y.numpy()).mean,
    "estimate of a label": lambda: torchmist.estimate(X, LABEL).mean,
    "estimate of labels": lambda: torchmist.estimate(LABEL, (Y[:, 1] > 0).long()).mean,
    "conditional": lambda: torchmist.estimate_conditional(X[:, :1], Y, X[:, 1:]).mean,
    "conditional on a label": lambda: torchmist.conditional_mi(X, Y, LABEL),
    "independence": lambda: torchmist.independence_test(X, Y, permutations=19).p_value,
    "pairwise": lambda: torchmist.pairwise(X.numpy()).estimate,
    "term": lambda: _moved(),
    "term of two codes": lambda: torchmist.mist_mi(X, Y, goal="maximize"),
    "term with a goal": lambda: _moved(goal="minimize"),
    "term with a memory": lambda: _moved(memory=64),
}


@pytest.mark.parametrize("name", FRONT_DOORS)
def test_a_default_device_does_not_reach_into_estimates(name: str) -> None:
    wanted = FRONT_DOORS[name]()
    with torch.device("meta"):
        found = FRONT_DOORS[name]()
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", FRONT_DOORS)
def test_a_default_dtype_does_not_reach_into_estimates(name: str, double: None) -> None:
    found = FRONT_DOORS[name]()
    torch.set_default_dtype(torch.float32)
    torch.testing.assert_close(found, FRONT_DOORS[name](), check_dtype=False, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("goal", ["auto", None, "minimize", "maximize"])
def test_a_first_call_in_inference_mode_leaves_a_term_that_trains(goal: str | None) -> None:
    term = torchmist.MIRegularizer(goal=goal).eval()  # type: ignore[arg-type]
    with torch.inference_mode():
        assert term(X, Y).isfinite() and torchmist.mist_mi(X, Y).isfinite()
        assert torchmist.estimate(X, Y).mean > 0
    z = X.clone().requires_grad_()
    (term.train()(2.0 * z, Y) + torchmist.mist_mi(2.0 * z, Y)).backward()
    assert z.grad is not None and z.grad.any()


def test_a_first_call_within_transforms_is_as_any_other() -> None:
    x, y = X.view(3, 50, 3), Y.view(3, 50, 2)
    found = torch.func.vmap(torchmist.mist_mi)(x, y)
    torch.testing.assert_close(found, torch.stack([*map(torchmist.mist_mi, x, y)]))
    functional._loaded.clear()
    assert torch.func.grad(lambda a: torchmist.mist_mi(2.0 * a, Y))(X).any()


def test_what_is_made_apart_knows_no_mode_and_its_errors_come_back() -> None:
    with torch.inference_mode(), torch.device("meta"):
        made = apart(lambda: torch.ones(2))
    assert made.device.type == "cpu" and not made.is_inference()
    with pytest.raises(KeyError, match="lost"):
        apart(lambda: {}["lost"])
