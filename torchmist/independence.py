"""Tests of independence and of conditional independence by permutations, with the estimate in nats.

The p-value comes from a score of dependence (``torchmist.dependence``) or from the network, under
random orders of the rows of Y; those of a conditional test move rows only among rows that are alike
in the condition (Runge 2018). More than 1,024 rows are tested in blocks of at most that many, more
than 8,192 by a random 8,192 of them.

Legend: ``N`` rows, ``B`` blocks of ``m`` rows, ``P`` permutations, ``S`` kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from torchmist.checks import check_pair, check_third
from torchmist.columns import Discrete, Side, read_side
from torchmist.conditional import estimate_given
from torchmist.dependence import Dependence, kernels, score_columns
from torchmist.estimate import MIEstimate, estimate_sorted
from torchmist.functional import Model, resolve_model
from torchmist.given import sort_given
from torchmist.kinds import Sorted, joint_codes, network_columns, sort_pair
from torchmist.quantiles import answer
from torchmist.residuals import Smoother, alignment, predictors
from torchmist.row_labels import order_notes
from torchmist.sample import Sample
from torchmist.shuffles import near_order, sequential_p_value, shuffled, shuffled_blocks

__all__ = ["Score", "TestResult", "conditional_independence_test", "independence_test"]

Score = Literal["kernels", "network"]
Orders = Callable[..., Tensor]  # count -> [P, B, m]
_BLOCK, _MOST = 1024, 8192  # rows of a block, and rows that are tested
_CELL = 12  # most rows that are taken for alike in numbers of the condition
_INDIRECT = 0.3  # weight of the columns of the condition beside what they predict
_PILOT, _CHUNK = 40, 20
_STOP = 20


@dataclass(frozen=True)
class TestResult:
    """Outcome of a test of independence.

    ``statistic``: the estimate of mutual information in nats (NaN with ``model=None``);
    ``p_value``: the probability of a score of at least that of the data if the sides are
    independent; ``permutations``: how many were drawn; ``estimate``: the whole estimate, with
    quantiles and warnings, or None.
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
            (:func:`torchmist.lagged.block_length`); of more than 8,192 the first are tested. The
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
    _check(score, permutations, stop, model, block)
    first, second = _read(("x", x, discrete_x), ("y", y, discrete_y))
    pair = sort_pair(first, second)
    n, device = pair.x.values.shape[1], pair.x.values.device
    _check_block(block, n)
    generator = _generator(generator)
    if score == "network":
        assert model is not None
        groups = torch.zeros(1, n, dtype=torch.int64, device=device)
        orders = _orders(groups, block, generator)
        u, v = (network_columns(side)[0] for side in pair[:2])
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

    Rows of y are exchanged with rows of the same labels in ``given``, and, where it holds numbers,
    among at most 12 rows that are near in these. Before that, the kernels lose what the condition
    predicts (``torchmist.residuals``). With labels alone the level is exact; with numbers it is so
    in the limit of many rows, as no two rows have the same condition: strong confounding by many
    columns in few rows is taken for dependence.

    Args:
        x, y: as for :func:`independence_test`.
        given: ``[N]`` or ``[N, q]``, labels and numbers in any mixture.
        model, score, permutations, stop, discrete_x, discrete_y, generator: likewise; the network's
            score is ``I(X; (Y, Z)) - I(X; Z)``.
        discrete_given: which columns of ``given`` are labels.

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
    _check(score, permutations, stop, model)
    sides = _read(("x", x, discrete_x), ("y", y, discrete_y), ("given", given, discrete_given))
    checked = check_pair(sides[0].values, sides[1].values, ("x", "y"))
    third = check_third(sides[2].values, "given", checked[0])
    whole = sort_given(*zip(sides, (*checked, third)))
    a, b, c, _ = whole
    generator = _generator(generator)
    columns = [score_columns(side) for side in (a, b, c)]
    index = predictors((columns[0], columns[1]), columns[2])
    order, cell = _alike(c, columns[2], index)
    if score == "network":
        assert model is not None
        p, q, z = (network_columns(side)[0][:, order] for side in (a, b, c))
        orders = _orders(cell[None], 1, generator)
        draw = _network_scores((p, q), z, model)
    else:
        blocks, groups = _ordered_blocks((*columns, index), order, cell, generator)
        dependence, factor = _residual_dependence(blocks, groups)
        if all(c.label):  # orders within labels are exact as they are
            factor = torch.ones_like(factor)
        orders = _orders(groups, 1, generator)
        draw = _kernel_scores(dependence, groups, orders, factor)
    p_value, drawn = _p_value(draw, orders, permutations, stop)
    found = None if model is None else estimate_given(whole, model)
    return _result(found, p_value, drawn)


def _check(
    score: Score, permutations: int, stop: int | None, model: Model | None, block: int = 1
) -> None:
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


def _check_block(block: int, n: int) -> None:
    if block > (most := min(n, _BLOCK) // 2):
        raise ValueError(f"expected block of at most {most} rows, got {block}")


def _read(*named: tuple[str, Any, Discrete]) -> list[Side]:
    """All sides of one dataset."""
    order_notes(**{name: value for name, value, _ in named})
    sides = [read_side(value, name, discrete) for name, value, discrete in named]
    for side, (name, _, _) in zip(sides, named):
        if side.values.dim() > 2:
            raise ValueError(
                f"expected {name} of one dataset, [N] or [N, d], got a batch of shape "
                f"{list(side.values.shape)}; test each dataset by itself"
            )
    return sides


def _generator(generator: torch.Generator | None) -> torch.Generator:
    return torch.Generator().manual_seed(0) if generator is None else generator


def _orders(groups: Tensor, block: int, generator: torch.Generator) -> Orders:
    """Random orders of the rows within ``groups`` ``[B, m]``, in blocks of so many rows."""
    if block > 1:
        return partial(shuffled_blocks, groups, block, generator=generator)
    return partial(shuffled, groups, generator=generator)


def _tested_rows(n: int, block: int, generator: torch.Generator) -> Tensor:
    """Places of at most 8,192 rows: at random, or of a series the first."""
    rows = torch.randperm(n, generator=generator)[:_MOST]
    return rows if block == 1 else torch.arange(min(n, _MOST))


def _blocks(columns: Tensor, rows: Tensor | None) -> Tensor:
    """Rows of ``[N, K]`` in blocks ``[B, m, K]`` of at most 1,024; what is left over goes."""
    chosen = columns if rows is None else columns[rows]
    count = -(-len(chosen) // _BLOCK)
    size = len(chosen) // count
    return chosen[: count * size].view(count, size, -1)


def _alike(given: Sorted, columns: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """An order ``[N]`` of the rows in which alike ones stand together, and their cells ``[N]``."""
    values = given.values[0]
    strata = torch.zeros(len(values), dtype=torch.int64, device=values.device)
    labels = [k for k, label in enumerate(given.label) if label]
    if labels:
        strata = joint_codes(values[None][..., labels])[0]
    if len(labels) == values.shape[1]:
        order = strata.argsort(stable=True)
        return order, strata[order]
    place = columns
    if index.shape[1]:
        place = torch.cat([index, _INDIRECT * columns / columns.shape[1] ** 0.5], -1)
    orders, cells, first = [], [], 0
    for code in strata.unique():
        rows = (strata == code).nonzero().flatten()
        order, cell = near_order(place[rows], _CELL)
        orders.append(rows[order])
        cells.append(cell + first)
        first += int(cell.max()) + 1
    return torch.cat(orders), torch.cat(cells)


def _ordered_blocks(
    columns: Iterable[Tensor], order: Tensor, cell: Tensor, generator: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """All columns ``[N, K]`` in blocks ``[B, m, K]`` of rows in ``order``, at most 8,192 of them at
    random, and their cells ``[B, m]``."""
    kept = torch.randperm(len(order), generator=generator)[:_MOST].sort().values
    rows = order[kept.to(order.device)]
    groups = _blocks(cell[kept.to(cell.device), None], None)[..., 0]
    return [_blocks(value, rows) for value in columns], groups


def _residual_dependence(blocks: list[Tensor], groups: Tensor) -> tuple[Dependence, Tensor]:
    """The dependence of what is left of both sides, and by how much the residuals of independent
    sides agree more than permuted ones, ``[Sx, Sy]``; ``blocks``: the sides, the condition and what
    it predicts, each ``[B, m, K]``."""
    x, y, given, index = blocks
    left: list[list[Tensor]] = [[], []]
    factors = []
    for u, v, z, fitted, cells in zip(kernels(x), kernels(y), given, index, groups):
        smoother = Smoother(z, fitted)
        (p, kept_p), (q, kept_q) = smoother.residual(u), smoother.residual(v)
        factors.append(alignment(kept_p, kept_q, smoother.vectors, cells))
        for side, kernel in zip(left, (p, q)):
            size = torch.linalg.matrix_norm(kernel).clamp(min=1e-12)
            side.append((kernel / size[:, None, None]).float())
    both = (torch.stack(side) for side in left)
    return Dependence(*both), torch.stack(factors).mean(0)


def _kernel_scores(
    dependence: Dependence, groups: Tensor, orders: Orders, factor: Tensor | None = None
) -> Callable[[Tensor | None], Tensor]:
    """Scores of orders ``[P, B, m]``, or of the data (None), ``[P]``."""
    dependence.fit(dependence.products(orders(count=_PILOT)))
    own = torch.arange(groups.shape[1], device=groups.device).expand(1, *groups.shape)

    def score(orders: Tensor | None) -> Tensor:
        if orders is not None:
            return dependence.score(dependence.products(orders))
        products = dependence.products(own)
        return dependence.score(products if factor is None else products / factor)

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
