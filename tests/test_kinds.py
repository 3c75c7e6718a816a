"""Every kind's truth against an oracle of its own, on rows that the kind draws.

Oracles: tables of the labels or cells behind the data (Miller-Madow), entropies by order statistics
of y and of what is left of y, neighbours on views that keep the information, covariances after the
exact inverse of a lift, posteriors of mixtures, and the integral of the least squared error
over the signal-to-noise ratio (Guo, Shamai, Verdu 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import cdist

from benchmarks.kinds import (
    KINDS,
    atoms,
    clusters,
    codes,
    functions,
    learned,
    manifolds,
    real,
    rotated,
    taught,
    wide,
    within,
)
from benchmarks.kinds.baselines import neighbours
from benchmarks.kinds.lift import lift

Array = np.ndarray
Oracle = Callable[[Array, Array], float]


# ---- views and estimates, none of which reads a truth of the suite -----------------------------
def table(x: Array, y: Array) -> float:
    """Miller-Madow entropies of codes; rows of several columns are one code each."""
    a, b = (np.unique(v, axis=0, return_inverse=True)[1].ravel() for v in (x, y))
    total = 0.0
    for sign, code in ((1, a), (1, b), (-1, a * (b.max() + 1) + b)):
        count = np.unique(code, return_counts=True)[1]
        total += sign * (special.entr(count / len(x)).sum() + (len(count) - 1) / (2 * len(x)))
    return total


def binned(x: Array, cells: int = 100) -> Array:
    return np.searchsorted(np.quantile(x, np.linspace(0, 1, cells + 1)[1:-1]), x)


def left_over(f: Callable[[Array], Array]) -> Oracle:
    """h(y) - h(y - f(x)) by order statistics."""
    return lambda x, y: stats.differential_entropy(y) - stats.differential_entropy(y - f(x))


def gaussian(x: Array, y: Array) -> float:
    """Log determinants of sample covariances."""
    a, b = (v.reshape(len(v), -1) for v in (x, y))
    parts = (np.linalg.slogdet(np.atleast_2d(np.cov(v.T)))[1] for v in (a, b, np.hstack([a, b])))
    p, q, both = parts
    return 0.5 * (p + q - both) - a.shape[1] * b.shape[1] / (2 * len(x))


def standard(function: Callable[[Array], Array], d: int) -> Callable[[Array], Array]:
    """Of deviation 1 among normal rows of ``d`` columns."""
    points = function(np.random.default_rng(5).normal(size=(200_000, d)))
    return lambda x: (function(x) - points.mean()) / points.std()


def in_parts(*middles: Array) -> Oracle:
    """What the nearest middles share, and the rows less these."""

    def sought(x: Array, y: Array) -> float:
        labels = [cdist(side, m).argmin(1) for side, m in zip((x, y), middles)]
        rest = [side - m[label] for side, m, label in zip((x, y), middles, labels)]
        return table(*labels) + gaussian(*rest)

    return sought


def near(x: Array, y: Array) -> float:
    return neighbours(x[:20_000], y[:20_000], k=4)


def unrounded(x: Array, y: Array) -> float:
    """Neighbours after noise of one unit of the integers, which would tie otherwise."""
    return near(x + np.random.default_rng(1).random(len(x)), y)


def tailed_entropy(v: Array) -> float:
    """Of arcsinh v by order statistics, and back."""
    return stats.differential_entropy(np.arcsinh(v)) + 0.5 * np.log1p(v**2).mean()


def corners(x: Array, y: Array) -> float:
    """The chain rule over being at a corner."""
    at = np.abs(x) == 1
    inside = at.mean() * table(x[at], y[at]) + (1 - at.mean()) * near(x[~at], y[~at])
    return table(at, np.abs(y) == 1) + inside


def log_size(v: Array) -> Array:
    return np.log(np.abs(v))


def turns(a: Array, b: Array) -> float:
    """log 2 pi - h of the angle between pairs of cosine and sine."""
    apart = np.arctan2(a[:, 1], a[:, 0]) - np.arctan2(b[:, 1], b[:, 0])
    apart = (apart + math.pi) % (2 * math.pi) - math.pi
    return math.log(2 * math.pi) - stats.differential_entropy(apart)


def torus(x: Array, y: Array) -> float:
    a, b = (v @ np.linalg.pinv(manifolds.torus_frame(s)) for v, s in ((x, 31), (y, 32)))
    return sum(turns(a[:, [k, k + 2]], b[:, [k, k + 2]]) for k in (0, 1))


def sphere(x: Array, y: Array) -> float:
    """The height of y above x is uniform between -1 and 1 at independence."""
    below = np.log1p(-(x * y).sum(1))
    return math.log(2) - stats.differential_entropy(below) - below.mean()


def unrolled(v: Array) -> Array:
    t = np.hypot(v[:, 0], v[:, 2])
    low, high = manifolds.TURNS
    return np.stack([stats.norm.ppf((t - low) / (high - low)), v[:, 1]], 1)


def lowered(k: int, d: int, seed: int, v: Array) -> Array:
    """The latents of a lift, layer by layer."""
    made = lift(k, d, seed)
    for layer, shift in zip(made.layers[:0:-1], made.shifts[::-1]):
        v = np.arctanh((v @ np.linalg.pinv(layer)).clip(-1 + 1e-15, 1 - 1e-15)) - shift
    return v @ np.linalg.pinv(made.layers[0])


def latents(k: int, d: int, seed: int) -> Oracle:
    return lambda x, y: gaussian(lowered(k, d, seed, x), lowered(k, d, seed + 1, y))


def nearest(v: Array, centres: Array) -> Array:
    return cdist(v, centres).argmin(1)


def bars(x: Array, y: Array) -> float:
    """H(Y) from the shares of images and of flips in the rows, less the entropies of the flips."""
    images, count = np.unique(x, axis=0, return_counts=True)
    flip = np.abs(x - y).mean()
    apart = cdist(y[:20_000], images, "cityblock")
    p = (flip**apart * (1 - flip) ** (16 - apart)) @ (count / len(x))
    return -np.log(p).mean() - 16 * special.entr([flip, 1 - flip]).sum()


def student(x: Array, y: Array) -> float:
    """Densities of scipy at the rows."""
    cross = 0.6 * np.eye(3)
    joint = stats.multivariate_t(shape=np.block([[np.eye(3), cross], [cross, np.eye(3)]]), df=2)
    one = stats.multivariate_t(shape=np.eye(3), df=2)
    ratio = joint.logpdf(np.hstack([x, y])) - one.logpdf(x) - one.logpdf(y)
    return ratio.mean()


def posterior(v: Array, centres: Array, scale: float) -> Array:
    return special.softmax(-cdist(v, centres, "sqeuclidean") / (2 * scale**2), axis=1)


def mixture(name: str) -> Oracle:
    """log M sum_i p(i|x) p(i|y) at the rows."""
    f, a, g, b = codes.pair(name)

    def ratio(x: Array, y: Array) -> float:
        same = (posterior(x[:8000], f, a) * posterior(y[:8000], g, b)).sum(1)
        return np.log(len(f) * same).mean()

    return ratio


def coded_label(x: Array, y: Array) -> float:
    """H(Y) - H(Y|X) at the rows."""
    f, a, label = codes.labelled()
    share = np.bincount(label) / len(label)
    given = posterior(x[:8000], f, a) @ np.eye(5)[label]
    return special.entr(share).sum() + np.log(given[np.arange(8000), y[:8000]]).mean()


def squares(k: int, d: int, size: float, seed: int) -> Oracle:
    """1/2 the integral of the least squared error of the centre over the signal-to-noise ratio."""
    m = wide.means(k, d, size, seed)

    def integral(x: Array, y: Array) -> float:
        noise = x[:8000, :d] - m[y[:8000]]  # of the rows, whose labels are y
        nodes, weights = np.polynomial.legendre.leggauss(14)
        total = 0.0
        for node, weight in zip((nodes + 1) / 2, weights / 2):
            z = math.sqrt(node) * m[y[:8000]] + noise
            guess = posterior(z, math.sqrt(node) * m, 1.0) @ m
            total += weight * ((guess - m[y[:8000]]) ** 2).sum(1).mean()
        return total / 2

    return integral


@cache
def _digit_of() -> dict[bytes, int]:
    images, label = real.digits()
    return {image.tobytes(): int(c) for image, c in zip(images, label)}


def digit(v: Array) -> Array:
    """The class that an image has in the data."""
    return np.array([_digit_of()[row.tobytes()] for row in np.ascontiguousarray(v)])


def joined(x: Array, y: Array) -> float:
    blocks = (slice(64 * k, 64 * k + 64) for k in range(4))
    return sum(table(digit(x[:, b]), digit(y[:, b])) for b in blocks)


def slopes(x: Array) -> Array:
    return (x[:, :4] @ atoms.SLOPES) * x[:, 4]


def tree(x: Array, y: Array) -> float:
    return table(nearest(x, clusters.tree(211)), nearest(y, clusters.tree(213)))


def cluster(k: int, d: int, apart: float, seed: int) -> Oracle:
    a, b = (clusters.centres(k, d, apart, s) for s in (seed, seed + 1))
    return lambda x, y: table(nearest(x, a), nearest(y, b))


def signs(d: int, seed: int) -> Callable[[Array], Array]:
    return lambda x: x @ rotated.turn(d, seed)[:, :2] > 0


def fitted_line(x: Array, y: Array) -> float:
    """Bins of the line of least squares through a label."""
    centred = x - x.mean(0)
    return table(binned(centred @ np.linalg.lstsq(centred, y - y.mean(), rcond=None)[0]), y)


# ---- one oracle for each kind: rows, tolerance in nats, estimate ---------------------------------
ORACLES: dict[str, tuple[int, float, Oracle]] = {
    "labels copied half the time, 20 classes": (100_000, 0.01, table),
    "labels independent, 9 classes": (100_000, 0.01, table),
    "labels Likert 5 x 5": (100_000, 0.01, table),
    "ordinal against continuous": (100_000, 0.01, lambda x, y: table(binned(x), y)),
    "integers that are numbers": (20_000, 0.03, unrounded),
    "parity of 3 bits": (50_000, 0.01, table),
    "modular sum of 2 digits": (100_000, 0.01, table),
    "XOR of signs": (100_000, 0.01, lambda x, y: table(x > 0, y)),
    "rare positives, 2 %": (300_000, 0.004, lambda x, y: table(binned(x.sum(1)), y)),
    "nested codes, 60 x 12 levels": (100_000, 0.01, table),
    "sine, 2 periods": (100_000, 0.02, left_over(functions.waved)),
    "saw, 5 teeth": (100_000, 0.02, left_over(functions.sawn)),
    "chirp": (100_000, 0.02, left_over(functions.chirped)),
    "steps out of order": (100_000, 0.02, left_over(functions.stepped)),
    "cubic": (100_000, 0.02, left_over(lambda x: x**3)),
    "exponential growth": (100_000, 0.02, left_over(np.exp)),
    "product of 2 columns": (100_000, 0.02, left_over(lambda x: x[:, 0] * x[:, 1])),
    "sum of waves of 2 columns": (
        100_000, 0.02, left_over(lambda x: np.sin(x @ [4 * np.pi, 0]) + np.sin(x @ [0, 6 * np.pi])),
    ),
    "largest of 4 columns": (100_000, 0.02, left_over(lambda x: x.max(1))),
    "radius of 5 columns": (100_000, 0.02, left_over(lambda x: np.linalg.norm(x, axis=1))),
    "two branches": (20_000, 0.04, near),
    "scale of the noise": (20_000, 0.03, lambda x, y: near(x, log_size(y))),
    "checkerboard 4 x 4": (50_000, 0.01, lambda x, y: table(np.floor(x), np.floor(y))),
    "uniform noise": (100_000, 0.02, left_over(lambda x: x)),
    "Laplace noise": (100_000, 0.02, left_over(lambda x: x)),
    "angles on circles": (100_000, 0.02, turns),
    "torus in 32 columns": (50_000, 0.03, torus),
    "directions on a sphere": (100_000, 0.02, sphere),
    "spiral and its length": (
        100_000, 0.02, left_over(lambda x: np.linalg.norm(x, axis=1)),
    ),
    "Swiss rolls on both sides": (
        50_000, 0.02, lambda x, y: gaussian(unrolled(x), unrolled(y)),
    ),
    "1 latent in 64 columns": (10_000, 0.04, latents(1, 64, 101)),
    "3 latents in 64 columns": (10_000, 0.05, latents(3, 64, 103)),
    "2 latents in 256 columns": (10_000, 0.05, latents(2, 256, 105)),
    "zero-inflated": (20_000, 0.04, near),
    "half atoms": (20_000, 0.04, corners),
    "counts": (200_000, 0.006, table),
    "counts of which many are 0": (200_000, 0.006, table),
    "rounded on both sides": (1_000_000, 0.006, table),
    "censored survival times": (
        20_000, 0.03, lambda x, y: near(x, np.stack([np.log(y[:, 0]), y[:, 1]], 1)),
    ),
    "ReLU activations": (20_000, 0.08, lambda x, y: 4 * near(x[:, 2], y[:, 2])),
    "rounded prices": (100_000, 0.01, lambda x, y: table(binned(x), y)),
    "one-hot times number": (100_000, 0.02, left_over(slopes)),
    "mixed frame": (20_000, 0.05, near),
    "binary images of bars": (100_000, 0.03, bars),
    "questionnaire of 12 answers": (300_000, 0.02, table),
    "Student pair of 3 + 3 columns": (40_000, 0.03, student),
    "Cauchy signal, Cauchy noise": (
        100_000, 0.02, lambda x, y: tailed_entropy(y) - tailed_entropy(y - x),
    ),
    "cross of two correlations": (20_000, 0.04, near),
    "outliers, 10 %": (20_000, 0.04, near),
    "volatility of returns": (20_000, 0.03, lambda x, y: near(log_size(x), log_size(y))),
    "past and future of a series": (100_000, 0.01, gaussian),
    "clusters 32 x 32": (50_000, 0.02, cluster(8, 32, 20.0, 201)),
    "4 + 4 clusters in 256 columns": (10_000, 0.03, cluster(4, 256, 24.0, 203)),
    "hierarchical clusters on both sides": (50_000, 0.02, tree),
    "codes of two networks": (8000, 0.05, mixture("latents")),
    "codes of 60 items": (8000, 0.05, mixture("items")),
    "codes against a label": (8000, 0.03, coded_label),
    "labels among 56 noise columns": (8000, 0.04, squares(10, 8, 1.0, 401)),
    "100 classes in 64 columns": (8000, 0.06, squares(100, 64, 0.45, 403)),
    "784 columns, linear": (
        5000, 0.08, lambda x, y: gaussian(x @ wide.loadings(784, 10, 1.0, 411), y),
    ),
    "512 columns, linear": (
        8000, 0.04, lambda x, y: gaussian(x @ wide.loadings(512, 2, 2.0, 413), y),
    ),
    "small informative direction": (50_000, 0.02, gaussian),
    "independent, 64 + 64 columns": (30_000, 0.01, gaussian),
    "sine among 127 noise columns": (
        30_000, 0.03, lambda x, y: left_over(functions.one_period)(x[:, 17], y),
    ),
    "near copy, 6.9 nats": (50_000, 0.02, gaussian),
    "near copy of 5 mixed columns": (50_000, 0.04, gaussian),
    "sign of a direction of 8 columns": (
        100_000, 0.01, lambda x, y: table(signs(8, 601)(x)[:, 0], y),
    ),
    "quadrants of 12 columns": (100_000, 0.01, lambda x, y: table(signs(12, 602)(x), y)),
    "XOR of directions of 6 columns": (
        100_000, 0.01, lambda x, y: table(signs(6, 603)(x).sum(1) == 1, y),
    ),
    "wave along a direction of 8 columns": (
        100_000, 0.02, left_over(lambda x: np.sin(2.5 * x @ rotated.turn(8, 604)[:, 0])),
    ),
    "product of directions of 10 columns": (
        100_000, 0.02, left_over(lambda x: (x @ rotated.turn(10, 605)[:, :2]).prod(1)),
    ),
    "sign of a latent of 150 columns": (50_000, 0.01, fitted_line),
    "classes of a network of 12 columns": (
        100_000, 0.01, lambda x, y: table(taught.network(x), y),
    ),
    "sign of a form of 8 columns": (100_000, 0.01, lambda x, y: table(taught.above(x), y)),
    "nearest of 12 prototypes in 10 columns": (
        100_000, 0.01, lambda x, y: table(taught.closest(x), y),
    ),
    "votes of a network of 6 columns": (
        100_000, 0.01, lambda x, y: table(binned(taught.votes(x)), y),
    ),
    "tree of 5 levels over 12 columns": (
        100_000, 0.01, lambda x, y: table(taught.decided(x), y),
    ),
    **{
        name: (100_000, 0.02, left_over(standard(function, d)))
        for name, function, d in (
            ("network of 12 columns, noise 0.2", learned.network, 12),
            ("rectified network of 8 columns, noise 0.1", learned.rectified, 8),
            ("form of 6 columns, noise 0.1", learned.form, 6),
            ("sum of 20 waves, noise 0.3", learned.sums, 20),
            ("sum of 10 trees over 8 columns, noise 0.5", learned.trees, 8),
        )
    },
    "5 x 7 independent clusters, linear within": (
        50_000, 0.02, in_parts(within.middles(5, 8, 903), within.middles(7, 8, 904)),
    ),
    "10 x 10 clusters, linear within": (
        50_000, 0.02, in_parts(within.middles(10, 8, 905), within.middles(10, 8, 906)),
    ),
    "6 clusters on one side, linear within": (
        50_000, 0.02, in_parts(within.middles(6, 12, 907), np.zeros((1, 12))),
    ),
    "digits, same class or not": (20_000, 0.02, lambda x, y: table(digit(x), digit(y))),
    "digits against noisy labels": (20_000, 0.02, lambda x, y: table(digit(x), y)),
    "4 joined digits of 0 and 1": (20_000, 0.03, joined),
    "sentence embeddings, clean": (20_000, 0.01, lambda x, y: table(x[:, 0] > 0, y[:, 0] > 0)),
    "sentence embeddings, noisy": (20_000, 0.02, lambda x, y: table(x[:, 0] > 0, y[:, 0] > 0)),
}  # fmt: skip


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory):
    """A stand-in of the file of embeddings whose first column has the sign of the class."""
    folder = tmp_path_factory.mktemp("embeddings")
    x = np.random.default_rng(0).normal(size=(400, 6)).astype("f4")
    np.savez(folder / real.EMBEDDINGS, x=x, label=(x[:, 0] > 0).astype(int))
    return folder


def test_every_kind_has_an_oracle_and_there_are_many() -> None:
    assert set(ORACLES) == set(KINDS)
    assert len(KINDS) >= 60


@pytest.mark.parametrize("name", list(KINDS))
def test_the_oracle_agrees(name: str, embeddings) -> None:
    rows, tolerance, oracle = ORACLES[name]
    x, y, truth = KINDS[name].draw(rows, 7, embeddings)
    assert float(oracle(x, y)) == pytest.approx(truth, abs=tolerance)


@pytest.mark.parametrize("name", list(KINDS))
def test_sides_have_the_rows_asked_for_and_finite_numbers(name: str, embeddings) -> None:
    x, y, truth = KINDS[name].draw(40, 0, embeddings)
    assert len(x) == len(y) == 40
    assert np.isfinite(x).all() and np.isfinite(y).all()
    assert truth >= 0 and KINDS[name].about.endswith(".")
