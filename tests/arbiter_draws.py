"""Draws that the tests of fitting arbiters share."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from torchmist.ensemble.arbiter import CORRECTIONS, Arbiter
from torchmist.ensemble.arbiter_training import Data, evidence_of
from torchmist.ensemble.correction_turned_axes import TURNED_COUNT
from torchmist.ensemble.evidence import Evidence
from torchmist.models.column_products import CROSSED_COUNT
from torchmist.models.even_directions import EVEN_COUNT
from torchmist.models.independent_components import UNMIXED_COUNT
from torchmist.models.label_classifiers import TOLD_SIZES
from torchmist.models.label_curves import CURVE_COUNT
from torchmist.models.latent_classes import CLASSES_COUNT
from torchmist.models.manifold_dimensions import DIMENSION_COUNT
from torchmist.models.neighbourhood import FEATURE_COUNT, OPINION_COUNT
from torchmist.models.number_curves import NUMBER_COUNT
from torchmist.models.regimes import REGIMES_COUNT
from torchmist.models.repeated_variates import REPEATED_COUNT
from torchmist.models.settled_neighbours import SETTLED_COUNT
from torchmist.models.variates import SHARPNESS_COUNT, VARIATE_COUNT, VARIATE_OPINIONS
from torchmist.quantile_head import quantile_levels
from training.arbiter_fit import fit, inherit


def draws(count: int = 4000) -> Data:
    """Two families: in the first the plain network is right, in the second its rival, which errs
    eight times as far, and the features tell which."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    family = (torch.arange(count) % 2).float()
    t = normal(count).clamp(min=-1.5)
    right = t + torch.where(family == 0, 0.1, 0.8) * normal(count)
    wrong = t + 1 + 0.5 * normal(count)
    plain, local = (torch.where(family == k, right, wrong) for k in (0, 1))
    steps = torch.linspace(-0.2, 0.2, 24)
    sizes = torch.tensor([200.0, 2.0, 3.0]).expand(count, -1)
    evidence = Evidence(
        *((side[:, None] + steps).exp() - 0.2 for side in (plain, local)),
        (local[:, None] + normal(count, OPINION_COUNT)).exp() - 0.2, plain,
        family[:, None] + normal(count, FEATURE_COUNT),
        (t[:, None] + 0.5 * normal(count, VARIATE_OPINIONS)).exp() - 0.2,
        torch.zeros(count, VARIATE_COUNT), torch.zeros(count, SHARPNESS_COUNT),
        (plain[:, None]).exp() - 0.2, torch.zeros(count, 3),
        torch.zeros(count, CROSSED_COUNT), torch.zeros(count, UNMIXED_COUNT),
        torch.zeros(count, sum(TOLD_SIZES)), torch.zeros(count, REPEATED_COUNT),
        torch.zeros(count, REGIMES_COUNT), torch.zeros(count, SETTLED_COUNT),
        torch.zeros(count, 24), torch.zeros(count, TURNED_COUNT + 24),
        torch.zeros(count, CLASSES_COUNT), torch.zeros(count, EVEN_COUNT),
        torch.zeros(count, DIMENSION_COUNT), torch.zeros(count, CURVE_COUNT),
        torch.zeros(count, NUMBER_COUNT), sizes,
    )  # fmt: skip
    check = (torch.arange(count) // 2 % 8 == 0).float()
    return {**evidence._asdict(), "mi": t.exp() - 0.2, "family": family, "check": check}


def fitted_arbiter() -> Arbiter:
    """A small arbiter that was fitted to all of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2)
        fit(arbiter, draws(), quantile_levels(24), epochs=4, doubt_steps=50)
        return arbiter


def fitted_parent(things: int) -> Arbiter:
    """The same, that goes on by the first ``things`` of ``CORRECTIONS``, none of which was
    fitted."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        arbiter = Arbiter(16, members=2, **dict.fromkeys(CORRECTIONS[:things], True))
    inherit(arbiter, fitted_arbiter())
    return arbiter


def heir_of(parent: Arbiter) -> Arbiter:
    """One that goes on by one thing more, with the weights of ``parent``."""
    things = len(parent.corrections()) + 1
    arbiter = Arbiter(16, members=2, **dict.fromkeys(CORRECTIONS[:things], True))
    inherit(arbiter, parent)
    return arbiter


def assert_goes_on(
    parent: Arbiter, silent: Iterable[Data], more: Data, bound: torch.Tensor
) -> None:
    """An heir says what ``parent`` does of ``silent`` draws, and something else of all that say
    ``more``: no less than a ``bound`` ``[B]`` in nats, that rows had no part in, allows."""
    arbiter = heir_of(parent)
    for less in map(evidence_of, silent):
        assert not arbiter.says_more(less).any()
        assert torch.equal(arbiter(less), parent(less))
    evidence = evidence_of(more)
    assert arbiter.says_more(evidence).all()
    assert ((arbiter(evidence) - parent(evidence)).abs().amax(-1) > 1e-3).all()
    least = bound - 2 / evidence.sizes[:, 0].sqrt()
    each = arbiter.each(evidence).exp() - 0.2
    assert (each.amin((0, 2)) > least.clamp(min=-0.19) - 1e-3).all()


def assert_learned(parent: Arbiter, data: Data, *, share: float, epochs: int) -> None:
    """An heir that is fitted to ``data`` errs less than ``share`` of what ``parent`` does on draws
    that trained nothing, and has all its weights."""
    arbiter = heir_of(parent)
    fit(arbiter, data, quantile_levels(24), epochs=epochs, correction=True)
    held, truth = evidence_of(data, data["check"] > 0), data["mi"][data["check"] > 0]
    errors = [(a(held).mean(-1) - truth).abs().mean() for a in (arbiter, parent)]
    assert errors[0] < share * errors[1]
    for name, weight in parent.state_dict().items():
        assert torch.equal(arbiter.state_dict()[name], weight)
