"""Truths of conditional mutual information against oracles of their own, and the rival."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special, stats

from benchmarks.conditional import LAWS, Sample, law
from benchmarks.conditional.registry import columns_of
from benchmarks.conditional.rival import conditional_neighbours
from benchmarks.kinds.baselines import neighbours
from benchmarks.kinds.truths import table_mi

ROWS = 40_000


def gaussian(x: np.ndarray, y: np.ndarray, z: np.ndarray | None = None) -> float:
    """``I(X;Y|Z)`` of normal columns by determinants of the sample's covariance."""
    parts = [v.reshape(len(x), -1) for v in (x, y, x[:, None][:, :0] if z is None else z)]

    def log_det(*which: int) -> float:
        v = np.concatenate([parts[k] for k in which], 1)
        return float(np.linalg.slogdet(np.atleast_2d(np.cov(v.T)))[1]) if v.shape[1] else 0.0

    return (log_det(0, 2) + log_det(1, 2) - log_det(2) - log_det(0, 1, 2)) / 2


def by_class(s: Sample, value: Callable[..., float], *more: np.ndarray) -> float:
    """The mean over the classes of the condition, weighted by their sizes."""
    c = s.given["c"] if isinstance(s.given, dict) else s.given
    rows = [c == k for k in np.unique(c)]
    return sum(r.mean() * value(s.x[r], s.y[r], *(v[r] for v in more)) for r in rows)


def counted(x: np.ndarray, y: np.ndarray) -> float:
    """The plug-in estimate of two labels."""
    i, j = (np.unique(v, return_inverse=True)[1] for v in (x, y))
    table = np.zeros((i.max() + 1, j.max() + 1))
    np.add.at(table, (i, j), 1.0)
    return table_mi(table)


def of_normal(value: Callable[[float], float]) -> float:
    """The mean of a function of a standard normal number."""
    return float(integrate.quad(lambda t: value(t) * stats.norm.pdf(t), -12, 12)[0])


def columns(s: Sample, *functions: Callable[..., np.ndarray]) -> np.ndarray:
    """Functions of the numbers of the condition, as columns."""
    numbers = [v for v in columns_of(s.given) if v.dtype.kind == "f"]
    return np.stack([function(*numbers) for function in functions], 1)


def wave(s: Sample) -> float:
    return neighbours(s.x[:10_000], (s.y - s.given)[:10_000])


def label_cause(s: Sample) -> float:
    order = np.argsort(s.given).reshape(100, -1)
    return float(np.mean([counted(s.x[rows], s.y[rows]) for rows in order]))


def clusters(s: Sample) -> float:
    grid = np.linspace(-5, 5, 401)
    a = 2 * np.pi * np.arange(3) / 3
    p = stats.norm(scale=0.7).pdf
    density = [
        p(grid[:, None] - 1.5 * math.cos(v)) * p(grid - 1.5 * math.sin(v)) for v in a
    ]  # fmt: skip
    mean = sum(density) / 3
    cell = (grid[1] - grid[0]) ** 2
    return float(sum((d * np.log(d / mean)).sum() for d in density) * cell / 3)


def odds(s: Sample) -> float:
    c, z = s.given["c"], s.given["z"]
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    mean = special.expit(3 * nodes + z[:, None]) @ (weights / weights.sum())
    p = special.expit(np.where(c == 1, 3, -3) * s.x + z)
    known, unknown = (np.where(s.y == 1, v, 1 - v) for v in (p, mean))
    return float(np.log(known / unknown).mean())


def labels(s: Sample) -> float:
    shift = s.given[:, 0] - s.given[:, 1]
    p = special.expit(np.array([[-2.5], [2.5]]) + shift)
    known, unknown = (
        np.where(s.y == 1, v, 1 - v) for v in (np.where(s.x == 1, p[1], p[0]), p.mean(0))
    )
    return float(np.log(known / unknown).mean())


ORACLES: dict[str, Callable[[Sample], float]] = {
    "a line beside the condition": lambda s: gaussian(s.x, s.y, s.given),
    "the same line, exponentials": lambda s: gaussian(*map(np.log, (s.x, s.y, s.given))),
    "a common effect": lambda s: gaussian(s.x, s.y, s.given),
    "a wave beside the condition": wave,
    "a strength that the condition sets": lambda s: of_normal(lambda t: math.log1p(4 * t * t) / 2),
    "a common cause, linear": lambda s: gaussian(s.x, s.y, s.given),
    "a common cause, strong": lambda s: gaussian(s.x, s.y, s.given),
    "a common cause, curved": lambda s: gaussian(
        s.x, s.y, columns(s, lambda z: np.sin(2 * z), np.square)
    ),
    "a chain": lambda s: gaussian(s.x, s.y, s.given),
    "a label against a number": lambda s: (
        math.log(2) - of_normal(lambda t: float(np.logaddexp(0, 2 * t - 2)))
    ),
    "labels with a common cause": label_cause,
    "a sign that turns with the class": lambda s: by_class(s, gaussian),
    "a strength for each class": lambda s: by_class(s, gaussian),
    "levels of a common class": lambda s: by_class(s, gaussian),
    "labels moved by the class": lambda s: by_class(s, counted),
    "a chain of labels": lambda s: by_class(s, counted),
    "counts with a common part": lambda s: by_class(s, counted),
    "clusters renamed by the class": clusters,
    "a sign that turns, beside a number": lambda s: by_class(s, gaussian, s.given["z"]),
    "slopes of a common number by class": lambda s: by_class(
        s, gaussian, columns(s, lambda z: z, np.abs)
    ),
    "a coin whose odds turn": odds,
    "one of five columns acts": lambda s: gaussian(s.x, s.y, s.given),
    "three common causes": lambda s: gaussian(s.x, s.y, s.given),
    "a common product": lambda s: gaussian(s.x, s.y, columns(s, np.multiply)),
    "labels beside two numbers": labels,
    "vectors beside two numbers": lambda s: gaussian(s.x, s.y, s.given),
    "vectors with four common causes": lambda s: gaussian(s.x, s.y, s.given),
}


@pytest.mark.parametrize("name", LAWS)
def test_the_truth_of_a_law_is_that_of_its_oracle(name: str) -> None:
    sample = LAWS[name].draw(ROWS, 0)
    assert ORACLES[name](sample) == pytest.approx(sample.truth, abs=0.025)


@pytest.mark.parametrize("name", LAWS)
def test_a_draw_is_the_same_again_and_has_its_shapes(name: str) -> None:
    first, again = LAWS[name].draw(50, 3), LAWS[name].draw(50, 3)
    for a, b in zip((first.x, first.y, first.given), (again.x, again.y, again.given)):
        for p, q in zip(columns_of(a), columns_of(b)):
            assert p.shape == (50,) and np.array_equal(p, q) and np.isfinite(p).all()
    assert LAWS[name].about.endswith(".") and first.truth >= 0


def test_common_causes_look_like_dependence_without_the_condition() -> None:
    for name in ("a common cause, strong", "a common cause, linear", "a chain"):
        s = LAWS[name].draw(ROWS, 0)
        assert s.truth == 0 and gaussian(s.x, s.y) > 0.3


def test_a_name_that_is_taken_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a new name and a theme among .*'a chain'"):
        law("a chain", "a number")
    with pytest.raises(ValueError, match="expected a docstring for 'new'"):
        law("new", "a number")(lambda n, g: Sample(g, g, g, 0.0))


def naive(x: np.ndarray, y: np.ndarray, z: np.ndarray, k: int) -> float:
    """The sum of the module's formula, row by row, over scaled columns ``[n]``."""
    total = 0.0
    for i in range(len(x)):
        on = [abs(v - v[i]) for v in (x, y, z)]
        others = np.arange(len(x)) != i
        joint = np.maximum.reduce(on)
        radius = np.sort(joint[others])[k - 1]
        if radius == 0:
            near = [(np.maximum.reduce(d) == 0)[others].sum()
                    for d in (on, (on[0], on[2]), (on[1], on[2]), (on[2],))]  # fmt: skip
        else:
            near = [k] + [1 + (np.maximum.reduce(d) < radius)[others].sum()
                          for d in ((on[0], on[2]), (on[1], on[2]), (on[2],))]  # fmt: skip
        a, b, c, d = (special.digamma(count) for count in near)
        total += a - b - c + d
    return max(0.0, total / len(x))


def test_the_rival_is_its_formula_with_and_without_copies() -> None:
    g = np.random.default_rng(0)
    x, z = g.normal(size=(2, 60))
    y = x + z + 0.5 * g.normal(size=60)
    scaled = [(v - v.mean()) / v.std() for v in (x, y, z)]
    assert conditional_neighbours(x, y, z) == pytest.approx(naive(*scaled, 5))
    p, c = g.integers(0, 2, (2, 60))
    q = np.where(g.random(60) < 0.8, p ^ c, p)
    far = [1e6 * v for v in (p, q, c)]
    assert conditional_neighbours(p, q, c) == pytest.approx(naive(*far, 5))


@pytest.mark.parametrize("name", ["a line beside the condition", "labels moved by the class"])
def test_the_rival_is_near_the_truth_of_easy_laws(name: str) -> None:
    s = LAWS[name].draw(1500, 0)
    assert conditional_neighbours(s.x, s.y, s.given) == pytest.approx(s.truth, abs=0.08)
