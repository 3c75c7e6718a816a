"""How far the posterior of a table is from tables of known information, and how far to stretch it.

``python -m training.table_widths --tables 900 --seed 1`` draws tables of six laws, asks
``torchmist.discrete.table_posterior`` without and with its stretch about the median, and prints how
many of the truths lie below and above the intervals of 90 %, by the share of rows that are alone in
their cell. It writes the draws to ``training/table_widths.csv`` when given ``--write``. The factors
in ``torchmist.discrete.table_posterior`` are the best of a grid on such draws (``--choose``).
Legend: ``R``, ``C`` classes, ``N`` rows.
"""

from __future__ import annotations

import argparse
import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import trange

from torchmist.discrete.contingency import count_pairs
from torchmist.discrete.table_posterior import Stretch, posterior_quantiles, stretch_of
from torchmist.synthetic.random_tables import random_table, table_mi

__all__ = ["draw_table", "main"]

Array = NDArray[np.float64]
RESULT = Path(__file__).parent / "table_widths.csv"
LAWS = ("normal", "dirichlet", "copies", "topics", "random", "functions")
SHARES = (-0.01, 0.002, 0.01, 0.05, 0.15, 0.4, 1.0)
_LEVELS = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64)
_GRID = 600  # cells a side of the normal law


def draw_table(rng: np.random.Generator) -> tuple[str, Array]:
    """The name of a law, and a table ``[R, C]`` of it, of 3 to 150 classes a side."""
    law = LAWS[rng.integers(len(LAWS))]
    r, c = (int(math.exp(rng.uniform(math.log(3), math.log(150)))) for _ in "rc")
    shares = 1 / np.arange(1, r + 1) ** rng.uniform(0, 1.5)
    shares /= shares.sum()
    if law == "normal":  # a Gaussian pair, cut at random places
        table = _cut_normal(rng, r, c)
    elif law == "dirichlet":
        table = rng.gamma(math.exp(rng.uniform(math.log(0.02), math.log(3))), size=(r, c))
    elif law == "copies":  # of labels of unequal shares, some of them drawn anew
        lost = rng.uniform(0.02, 0.95)
        table = (1 - lost) * np.diag(shares) + lost * np.outer(shares, shares)
    elif law == "topics":  # both sides independent given one of a few
        count = rng.integers(2, 12)
        sides = [rng.dirichlet(np.full(k, rng.uniform(0.05, 1)), count) for k in (r, c)]
        table = (sides[0] * rng.dirichlet(np.ones(count))[:, None]).T @ sides[1]
    elif law == "random":
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        p, q = (
            torch.from_numpy(rng.dirichlet(np.full(k, rng.choice([0.3, 1, 10])))) for k in (r, c)
        )
        table = random_table(p, q, generator).numpy()
    else:  # a class of one side is a function of the other's, with noise of its own
        lost = rng.uniform(0, 0.6)
        noise = rng.dirichlet(np.full(c, rng.choice([0.3, 3.0])))
        table = lost * np.outer(shares, noise)
        table[np.arange(r), rng.integers(c, size=r)] += (1 - lost) * shares
    table = np.nan_to_num(table).clip(min=0)
    return law, table / table.sum()


def _cut_normal(rng: np.random.Generator, r: int, c: int) -> Array:
    rho, axis = rng.uniform(0.2, 0.99), np.linspace(-4, 4, _GRID)
    square = axis[:, None] ** 2 - 2 * rho * np.outer(axis, axis) + axis**2
    density = np.exp(-square / (2 * (1 - rho**2)))
    rows, columns = (np.searchsorted(np.sort(rng.normal(size=k - 1)), axis) for k in (r, c))
    table = np.zeros((r, c))
    np.add.at(table, (rows[:, None], columns), density)
    return table


def _drawn(count: int, seed: int) -> pd.DataFrame:
    """Truths and quantiles of the posterior as it is, of ``count`` samples of 30 to 4,000 rows."""
    rng, rows = np.random.default_rng(seed), []
    for _ in trange(count):
        law, table = draw_table(rng)
        n = int(math.exp(rng.uniform(math.log(30), math.log(4000))))
        cells = rng.choice(table.size, size=n, p=table.ravel())
        counts = count_pairs(*np.divmod(cells, table.shape[1]))
        found = posterior_quantiles(counts, _LEVELS).tolist()
        truth = float(table_mi(torch.from_numpy(table)))
        most = math.log(min(counts.classes))
        rows.append((law, n, truth, counts.singletons / n, most, *found))
    columns = ["law", "n", "truth", "alone", "most", "low", "middle", "high"]
    return pd.DataFrame(rows, columns=columns)


def _missed(drawn: pd.DataFrame, stretch: Stretch | None) -> pd.DataFrame:
    """Shares of truths below and above the intervals, by the share of rows that are alone."""
    low, high = drawn.low, drawn.high
    if stretch is not None:
        below, above = zip(*(stretch_of(alone, stretch) for alone in drawn.alone))
        low = (drawn.middle - np.array(below) * (drawn.middle - low)).clip(lower=0)
        high = drawn.middle + np.array(above) * (high - drawn.middle)
    high = np.minimum(high, drawn.most)
    found = {
        "alone": pd.cut(drawn.alone, SHARES), "below": drawn.truth < low - 1e-9,
        "above": drawn.truth > high + 1e-9, "width": high - low, "tables": 1,
    }  # fmt: skip
    how = {"below": "mean", "above": "mean", "width": "median", "tables": "sum"}
    return pd.DataFrame(found).groupby("alone", observed=True).agg(how)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tables", type=int, default=900)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--choose", action="store_true", help="the best factors of a grid")
    parser.add_argument("--write", action="store_true", help=f"the draws, to {RESULT.name}")
    options = parser.parse_args(arguments)
    drawn = _drawn(options.tables, options.seed)
    if options.write:
        drawn.to_csv(RESULT, index=False, float_format="%.5g", lineterminator="\n")
    print("as it is", _missed(drawn, None).round(3), sep="\n")
    print("stretched", _missed(drawn, Stretch()).round(3), sep="\n")
    if options.choose:
        grid = itertools.product((1.0, 1.1), (0.8, 1.0, 1.2, 1.4), (1.2, 1.5, 1.8, 2.1, 2.4),
                                 (0.02, 0.04, 0.08))  # fmt: skip
        best = min((Stretch(*factors) for factors in grid), key=lambda s: _loss(drawn, s))
        print("best", best, _missed(drawn, best).round(3), sep="\n")


def _loss(drawn: pd.DataFrame, stretch: Stretch) -> float:
    missed = _missed(drawn, stretch)[["below", "above"]]
    return float(((missed - 0.05) ** 2).to_numpy().sum())


if __name__ == "__main__":
    main()
