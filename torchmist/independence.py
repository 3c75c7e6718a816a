"""Tests of independence and of conditional independence by permutations, with the estimate in nats.

The p-value comes from a score of dependence (``torchmist.permutation_tests.kernel_dependence``)
under random orders of the rows of Y; that of a conditional test from what the condition leaves of
both sides, under random signs or under orders within classes
(``torchmist.permutation_tests.residual_test``). With the score of the network, orders given a
condition move rows only among alike ones (``torchmist.permutation_tests.exchangeable_rows``). More
than 1,024 rows are tested in blocks of at most that many, more than 8,192 by 8,192 of them.

Legend: ``N`` rows, ``B`` blocks of ``m`` rows, ``P`` permutations, ``S`` kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from torchmist.checks import check_pair, check_third, warn_once
from torchmist.conditional import estimate_given
from torchmist.diagnostics.row_order import order_notes
from torchmist.estimation import MIEstimate, estimate_sorted
from torchmist.functional import Model, resolve_model
from torchmist.inference.quantiles import answer
from torchmist.permutation_tests.autocorrelation import check_block
from torchmist.permutation_tests.exchangeable_rows import alike, predictors
from torchmist.permutation_tests.kernel_dependence import (
    BLOCK,
    MOST,
    Dependence,
    block_sizes,
    kernels,
    score_columns,
)
from torchmist.permutation_tests.permutations import sequential_p_value, shuffled, shuffled_blocks
from torchmist.permutation_tests.residual_test import ResidualCache, residual_p_value
from torchmist.samples.column_kinds import (
    Sorted,
    SortedPair,
    joint_codes,
    sort_pair,
)
from torchmist.samples.columns import Discrete, Side, read_side
from torchmist.samples.condition import SortedGiven, given_beside, sort_given, told_by_given
from torchmist.samples.one_hot import network_columns
from torchmist.samples.sample import Sample

__all__ = ["Score", "TestResult", "check_options", "conditional_independence_test",
           "independence_test", "sorted_given", "sorted_pair"]  # fmt: skip

Score = Literal["kernels", "network"]
Orders = Callable[..., Tensor]  # count -> [P, B, m]
_PILOT, _CHUNK = 40, 20
_STOP = 20


@dataclass(frozen=True, eq=False)
class TestResult:
    """Outcome of a test of independence.

    ``statistic``: the estimate of mutual information in nats (NaN with ``model=None``);
    ``p_value``: the probability of a score of at least that of the data if the sides are
    independent; ``permutations``: how many orders or signs were drawn; ``estimate``: the whole
    estimate, with quantiles and warnings, or None.
    """

    __test__ = False  # no test class, though its name begins like one

    statistic: float
    p_value: float
    permutations: int
    estimate: MIEstimate | None

    def __repr__(self) -> str:
        return (
            f"TestResult({self.statistic:.3f} nats, p = {self.p_value:.3g}, "
            f"{self.permutations} permutations)"
        )


def independence_test(
    x: Any, y: Any, *, model: Model | None = "mist", score: Score = "kernels",
    permutations: int = 199, stop: int | None = _STOP, block: int = 1,
    discrete_x: Discrete = "auto", discrete_y: Discrete = "auto",
    generator: torch.Generator | None = None,
) -> TestResult:  # fmt: skip
    """Whether x and y of a sample are dependent.

    The rows of y are put in random orders. Under independence the data are one of these orders, so
    that a test that rejects where ``p_value <= 0.05`` errs in at most 5 % of the samples, whatever
    their laws and sizes.

    Args:
        x: ``[N]`` or ``[N, d]``, as for :func:`~torchmist.estimate`; rows are independent samples.
        y: the same, with its own ``d``.
        model: what estimates ``statistic``: a name, a file or a module; None leaves it out.
        score: what is compared under permutations: ``"kernels"``, which costs no pass through a
            network, or ``"network"``, the estimate of ``model`` (``"mist-fast"`` is advised) for
            batches of permuted datasets.
        permutations: the most that are drawn.
        stop: early end, exact as well (Besag and Clifford 1991): the number of permutations that
            score as high as the data; None draws all.
        block: rows that stay together, for series, whose rows are not independent
            (:func:`torchmist.lags.block_length`); of more than 8,192 the first are tested. The
            level is exact for 1 alone.
        discrete_x, discrete_y: which columns are class labels, as for :func:`~torchmist.estimate`.
        generator: of the permutations (on the CPU); by default one of seed 0.

    Raises:
        TypeError, ValueError: as :func:`~torchmist.estimate`; for batches, and for a ``score``,
            ``permutations``, ``stop`` or ``block`` that make no sense.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=200)
        >>> independence_test(x, np.cos(3 * x), model="mist-fast").p_value
        0.005
    """
    check_options(score, permutations, stop, model, block)
    generator = _generator(generator)
    pair = sorted_pair((x, y), (discrete_x, discrete_y))
    n, device = pair.x.values.shape[1], pair.x.values.device
    check_block(block, min(n, BLOCK))
    if score == "network":
        assert model is not None
        groups = torch.zeros(1, n, dtype=torch.int64, device=device)
        orders = _orders(groups, block, generator)
        u, v = (network_columns(*sides)[0] for sides in (pair[:2], pair[1::-1]))
        draw = _network_scores((u, v), None, model)
    else:
        rows = _tested_rows(n, block, generator).to(device)
        u, v = (_blocks(score_columns(side), rows) for side in pair[:2])
        groups = torch.zeros(u.shape[:2], dtype=torch.int64, device=device)
        orders = _orders(groups, block, generator)
        draw = _kernel_scores(Dependence(kernels(u), kernels(v)), groups, orders)
    p, drawn = _p_value(draw, orders, permutations, stop)
    found = None if model is None else estimate_sorted(pair, model)
    return _result(found, p, drawn)


def conditional_independence_test(
    x: Any, y: Any, given: Any, *, model: Model | None = "mist", score: Score = "kernels",
    permutations: int = 199, stop: int | None = _STOP, discrete_x: Discrete = "auto",
    discrete_y: Discrete = "auto", discrete_given: Discrete = "auto",
    generator: torch.Generator | None = None,
) -> TestResult:  # fmt: skip
    """Whether x and y of a sample are dependent beyond what ``given`` explains.

    Both sides lose what ``given`` predicts of them
    (``torchmist.permutation_tests.kernel_residuals``). Of labels alone, the rows of y are then
    exchanged within their classes, and the level is exact. Where ``given`` holds numbers, the
    products of what is left get random signs (``torchmist.permutation_tests.residual_products``),
    and the level is exact in the limit of many rows, as no two rows have the same condition: strong
    confounding by many columns in few rows is taken for dependence. Where ``given`` holds all
    columns of ``x`` or of ``y``, the statistic is 0 and p is 1.

    Args:
        x, y: as for :func:`independence_test`.
        given: ``[N]`` or ``[N, q]``, labels and numbers in any mixture, or a list of several such.
        model, score, permutations, stop, discrete_x, discrete_y, generator: likewise; the network's
            score is ``I(X; (Y, Z)) - I(X; Z)``.
        discrete_given: which columns of ``given`` are labels; of a list, True, False or ``"auto"``
            for all.

    Raises:
        TypeError, ValueError: as :func:`independence_test`.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=300)
        >>> x, y = z + rng.normal(size=300), z + rng.normal(size=300)
        >>> conditional_independence_test(x, y, z, model=None).p_value > 0.05
        True
    """
    check_options(score, permutations, stop, model)
    generator = _generator(generator)
    whole = sorted_given((x, y, given), (discrete_x, discrete_y, discrete_given))
    _warn_of_single_rows(whole.given)
    if why := told_by_given(*(side.values[0] for side in whole[:3])):
        warn_once(f"torchmist: {why}")
        p_value, drawn = 1.0, 0
    elif score == "network":
        assert model is not None
        p_value, drawn = _network_p_value(whole, model, permutations, stop, generator)
    else:
        options = (permutations, stop, generator)
        p_value, drawn = residual_p_value(*whole[:3], *options, ResidualCache())
    found = None if model is None else estimate_given(whole, model)
    return _result(found, p_value, drawn)


def sorted_pair(values: Sequence[Any], discrete: Sequence[Discrete]) -> SortedPair:
    """x and y of a test, checked, with the kinds of their columns."""
    x, y = _read(("x", "y"), values, discrete)
    return sort_pair(x, y)


def sorted_given(values: Sequence[Any], discrete: Sequence[Discrete]) -> SortedGiven:
    """x, y and given of a conditional test, checked, with the kinds of their columns."""
    sides = _read(("x", "y", "given"), values, discrete)
    checked = check_pair(sides[0].values, sides[1].values, ("x", "y"))
    third = check_third(sides[2].values, "given", checked[0])
    return sort_given(*zip(sides, (*checked, third)))


def _network_p_value(
    whole: SortedGiven, model: Model, permutations: int, stop: int | None,
    generator: torch.Generator,
) -> tuple[float, int]:  # fmt: skip
    """The p-value of the network's score under orders of rows that are alike in the condition."""
    columns = [score_columns(side) for side in whole[:3]]
    order, cell = alike(whole.given, columns[2], predictors((columns[0], columns[1]), columns[2]))
    sides = (whole.x, whole.y), (whole.y, whole.x), (whole.given, whole.y)
    x, y, z = (network_columns(*pair)[0][:, order] for pair in sides)
    orders = _orders(cell[None], 1, generator)
    return _p_value(_network_scores((x, y), z, model), orders, permutations, stop)


def check_options(
    score: Score, permutations: int, stop: int | None, model: Model | None, block: int = 1
) -> None:
    """Raise where options of a test make no sense."""
    if score not in ("kernels", "network"):
        raise ValueError(f"expected score 'kernels' or 'network', got {score!r}")
    if score == "network" and model is None:
        raise ValueError("expected a model with score='network', got None; pass 'mist-fast'")
    counts = {"permutations": permutations, "block": block, "stop": 1 if stop is None else stop}
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"expected {name} to be an int, got {type(value).__name__}")
        if value < 1:
            raise ValueError(f"expected {name} of at least 1, got {value}")


def _read(names: Sequence[str], values: Sequence[Any], discrete: Sequence[Discrete]) -> list[Side]:
    """All sides of one dataset."""
    order_notes(**dict(zip(names, values)))
    sides: list[Side] = []
    for value, name, marks in zip(values, names, discrete):
        if name == "given":
            side = given_beside(sides[0].values, value, marks)
        else:
            side = read_side(value, name, marks)
        sides.append(side)
        if side.values.dim() > 2:
            raise ValueError(
                f"expected {name} of one dataset, [N] or [N, d], got a batch of shape "
                f"{list(side.values.shape)}; test each dataset by itself"
            )
    return sides


def _generator(generator: torch.Generator | None) -> torch.Generator:
    """That of the user, or one of seed 0."""
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(
            f"expected generator to be a torch.Generator or None, got {type(generator).__name__}; "
            f"for a seed pass torch.Generator().manual_seed(seed)"
        )
    return torch.Generator().manual_seed(0) if generator is None else generator


def _warn_of_single_rows(given: Sorted) -> None:
    """Warn where ``given`` is labels and no two rows hold the same ones."""
    if not all(given.label):
        return
    n = given.values.shape[1]
    if int(joint_codes(given.values).max()) + 1 == n:
        warn_once(
            f"torchmist: given holds {n} classes in {n} rows, each seen once: no rows can be "
            f"exchanged, and p is 1 whatever x and y are; merge classes, or mark numbers with "
            f"{given.side.argument}=False"
        )


def _orders(groups: Tensor, block: int, generator: torch.Generator) -> Orders:
    """Random orders of the rows within ``groups`` ``[B, m]``, in blocks of so many rows."""
    if block > 1:
        return partial(shuffled_blocks, groups, block, generator=generator)
    return partial(shuffled, groups, generator=generator)


def _tested_rows(n: int, block: int, generator: torch.Generator) -> Tensor:
    """Places of at most 8,192 rows: at random, or of a series the first."""
    rows = torch.randperm(n, generator=generator, device="cpu")[:MOST]
    return rows if block == 1 else torch.arange(min(n, MOST), device="cpu")


def _blocks(columns: Tensor, rows: Tensor) -> Tensor:
    """Rows of ``[N, K]`` in blocks ``[B, m, K]`` of at most 1,024; what is left over goes."""
    count, size = block_sizes(len(rows))
    return columns[rows[: count * size]].view(count, size, -1)


def _kernel_scores(
    dependence: Dependence, groups: Tensor, orders: Orders
) -> Callable[[Tensor | None], Tensor]:
    """Scores of orders ``[P, B, m]``, or of the data (None), ``[P]``."""
    dependence.fit(dependence.products(orders(count=_PILOT)))
    own = torch.arange(groups.shape[1], device=groups.device).expand(1, *groups.shape)

    def score(orders: Tensor | None) -> Tensor:
        orders = own if orders is None else orders
        return dependence.score(dependence.products(orders))

    return score


def _network_scores(
    sides: tuple[Tensor, Tensor], given: Tensor | None, model: Model
) -> Callable[[Tensor | None], Tensor]:
    """Estimates of orders ``[P, 1, N]``, or of the data (None), in nats ``[P]``."""
    network = resolve_model(model, sides[0].device)
    x, y = (side.float() for side in sides)
    z = None if given is None else given.float()
    own = torch.arange(x.shape[1], device=x.device).expand(1, 1, -1)

    def estimate(p: Tensor, q: Tensor) -> Tensor:
        with torch.no_grad():
            return answer(Sample(p, q), network).quantiles.mean(-1).double()

    def score(orders: Tensor | None) -> Tensor:
        rows = (own if orders is None else orders)[:, 0]
        permuted = y[0][rows]
        if z is None:
            return estimate(x.expand(len(rows), -1, -1), permuted)
        # X moves against (Y, Z) as a pair: I(X; Z) changes with it
        shifted = x[0][rows]
        together = torch.cat([y, z], -1).expand(len(rows), -1, -1)
        return estimate(shifted, together) - estimate(shifted, z.expand(len(rows), -1, -1))

    return score


def _p_value(
    score: Callable[[Tensor | None], Tensor], orders: Orders, permutations: int, stop: int | None
) -> tuple[float, int]:
    own = float(score(None))
    return sequential_p_value(own, lambda k: score(orders(count=k)), permutations, stop, _CHUNK)


def _result(found: MIEstimate | None, p: float, drawn: int) -> TestResult:
    return TestResult(float("nan") if found is None else float(found.mean), p, drawn, found)
